"""`bookplate watermark leak`, run as a user would."""

import hashlib
import json
import re

import polars as pl
import pytest

MANIFEST = "out/private/manifest.parquet"
RELEASED = "out/release/data.parquet"


@pytest.fixture
def folder(run, tmp_path, english, key):
    """A marked dataset in out/, and its unmarked original in data.parquet."""
    ids = [f"doc {i}" for i in range(100)]
    pl.DataFrame({"text": english[:100], "id": ids}).write_parquet(tmp_path / "data.parquet")
    options = ["--key", "key", "--tier", "broad", "--id-column", "id"]
    assert run("watermark", "embed", "data.parquet", "out", *options)[0] == 0
    return tmp_path


def test_a_copy_is_found_and_what_was_taken_is_shown(run, folder):
    code, out, err = run("watermark", "leak", MANIFEST, RELEASED, "--key", "key")
    assert (code, err) == (0, "")
    assert "Were the texts of data.parquet copied from the marked release?" in out
    p = float(re.search(r"p-value\s+(\S+)", out).group(1))
    assert p < 1e-6
    assert re.search(r"texts\s+\d+ of 100 hold a part of some record", out)
    assert re.search(r"record\s+doc \d+: 100% of its word runs in \d+ texts", out)
    assert re.search(r"and \d+ more records", out)


def test_the_original_is_not_accused(run, folder):
    frame = pl.read_parquet(folder / "data.parquet")
    (folder / "theirs.csv").write_text(frame.rename({"text": "body"}).write_csv())
    options = ["--text-column", "body", "--released", RELEASED, "--json"]
    code, out, err = run("watermark", "leak", MANIFEST, "theirs.csv", *options)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["p_value"] == 1
    assert result["inputs"][-1]["name"] == "theirs.csv"
    assert result["coverage"]["n_texts"] == 100
    assert result["coverage"]["records"][0]["words_found"] == 1


def test_the_report_lists_every_record(run, folder):
    code, _, err = run("watermark", "leak", MANIFEST, RELEASED, "--report", "report")
    assert (code, err) == (0, "")
    table = (folder / "report" / "coverage.csv").read_bytes()
    rows = pl.read_csv(table)
    assert rows["words_found"].is_between(0, 1).all()
    assert rows["ids"].str.starts_with("doc ").all()
    report = json.loads((folder / "report" / "report.json").read_bytes())
    assert hashlib.sha256(table).hexdigest() in json.dumps(report)
    assert "leak test" in (folder / "report" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "nothing.csv: no such file"),
        ([RELEASED, "--text-column", "body"], "no column 'body'"),
        ([RELEASED, "--released-column", "body"], "no column 'body'"),
        ([RELEASED, "--report", "out"], "out: already exists"),
        ([RELEASED, "--alpha", "0"], "--alpha: expected a number between 0 and 1"),
        ([RELEASED, "--seed", "-1"], "--seed: expected an integer in [0, 2**64)"),
        ([RELEASED, "--key", "data.parquet"], "a key file"),
        (["alien.csv"], "in 1 texts no marked word of the release was found"),
    ],
)
def test_bad_calls(run, folder, arguments, message):
    (folder / "alien.csv").write_text("text\nNothing of it\n")
    before = sorted(folder.rglob("*"))
    code, out, err = run("watermark", "leak", MANIFEST, *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert message in err
    assert sorted(folder.rglob("*")) == before


def test_which_copy_is_a_table(run, folder):
    """out/ was made for nobody; a copy for Bob is found to be Bob's."""
    options = ["--key", "key", "--tier", "broad", "--recipient", "Bob"]
    assert run("watermark", "embed", "data.parquet", "bob", *options)[0] == 0
    names = ["--recipient", "Alice", "--recipient", "Bob"]
    leaked = ["watermark", "leak", MANIFEST, "bob/release/data.parquet"]
    code, out, err = run(*leaked, "--key", "key", *names)
    assert (code, err) == (0, "")
    assert re.search(r"^Alice .* no evidence found$", out, re.MULTILINE)
    assert re.search(r"^Bob .*e-\d+ .* evidence found$", out, re.MULTILINE)
    code, out, err = run(*leaked, *names)
    assert (code, out) == (2, "")
    assert "--recipient needs --key" in err


def test_names_are_held_against_what_was_published_with_the_copies(run, folder):
    """Else a name could be sought that fits; out/ was made for nobody."""
    for name in ("Alice", "Bob"):
        options = ["--key", "key", "--tier", "broad", "--recipient", name]
        assert run("watermark", "embed", "data.parquet", name, *options)[0] == 0
    releases = [f"{name}/release/release.json" for name in ("Alice", "Bob")]
    command = ["watermark", "leak", MANIFEST, "Bob/release/data.parquet", "--key", "key"]
    names = ["--recipient", "Alice", "--recipient", "Bob"]
    code, out, err = run(*command, *names)
    assert (code, err) == (0, "")
    assert out.count("this recipient's name was fixed before") == 1
    given = [word for release in releases for word in ("--committed", release)]
    code, out, err = run(*command, *names, *given, "--json")
    assert (code, err) == (0, "")
    for label, found in zip(("Alice", "Bob"), json.loads(out)["findings"], strict=True):
        finding = found["finding"]
        digest = hashlib.sha256((folder / label / "release" / "release.json").read_bytes())
        expected = {"name": f"release.json of {label}", "sha256": digest.hexdigest()}
        assert expected in finding["inputs"]
        assert not any("was fixed before" in warning for warning in finding["warnings"])
        assert any("was published before" in warning for warning in finding["warnings"])
    code, out, err = run(*command, *names, "--recipient", "Bobby", *given)
    assert (code, out) == (2, "")
    assert "none of the releases given commits to the key of recipient 'Bobby'" in err
    code, _, err = run(*command, *given)
    assert code == 2
    assert "--committed goes with --recipient" in err
