"""`bookplate watermark leak`: folders of files, and a report that tells nobody too much."""

import csv
import hashlib
import json
import re

import polars as pl
import pytest

MANIFEST = "out/private/manifest.parquet"


@pytest.fixture
def folder(run, tmp_path, english, key):
    """A dataset whose ids are formulas, marked for nobody, for Alice and for Bob."""
    ids = [f"=1+{i}\x1b[31m" for i in range(120)]
    pl.DataFrame({"text": english[:120], "id": ids}).write_parquet(tmp_path / "data.parquet")
    options = ["--key", "key", "--tier", "broad", "--id-column", "id"]
    for out, name in (("out", None), ("alice", "Alice"), ("bob", "Bob")):
        of = [] if name is None else ["--recipient", name]
        assert run("watermark", "embed", "data.parquet", out, *options, *of)[0] == 0
    return tmp_path


@pytest.fixture
def leaked(folder):
    """Bob's copy in two files of other formats."""
    frame = pl.read_parquet(folder / "bob" / "release" / "data.parquet")
    (folder / "theirs" / "more").mkdir(parents=True)
    frame[60:].write_csv(folder / "theirs" / "more" / "b.csv")
    frame[:60].write_ndjson(folder / "theirs" / "a.jsonl")
    return "theirs"


def options(*names):
    return ["--key", "key", *(x for name in names for x in ("--recipient", name))]


def test_a_folder_is_listed_file_by_file(run, folder, leaked):
    code, _, err = run("watermark", "leak", MANIFEST, leaked, *options("Bob"), "--report", "report")
    assert (code, err) == (0, "")
    listing = (folder / "report" / "audited_files.csv").read_bytes()
    rows = list(csv.reader(listing.decode().splitlines()))
    assert [row[:2] for row in rows[1:]] == [["a.jsonl", "60"], ["more/b.csv", "60"]]
    digest = hashlib.sha256((folder / leaked / "a.jsonl").read_bytes()).hexdigest()
    assert rows[1][2] == digest
    report = (folder / "report" / "report.json").read_text()
    assert "theirs/ (digest of audited_files.csv)" in report
    assert report.count(hashlib.sha256(listing).hexdigest()) == 2  # as an input, and as an exhibit


def test_recipients_share_one_table_that_tells_of_the_source_alone(run, folder, leaked):
    arguments = ["watermark", "leak", MANIFEST, leaked, *options("Alice", "Bob")]
    code, out, err = run(*arguments, "--report", "report")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert re.search(r"^Alice .* no evidence found$", out, re.MULTILINE)
    assert re.search(r"^Bob .* evidence found$", out, re.MULTILINE)
    assert re.search(r"[\d.]+ with the words of Alice; [\d.]+ by chance", out)
    (line, *_) = re.findall(r"^record .*$", out, re.MULTILINE)
    assert "<U+001B>" in line
    assert "with the words of Bob" in line
    assert "Alice" not in line
    content = (folder / "report" / "coverage.csv").read_text()
    table = pl.read_csv(folder / "report" / "coverage.csv")
    assert table["ids"].str.starts_with("'=1+").all()
    # Near-duplicates among the originals take a slot of each other now and then.
    assert table["with the words of Bob"].sum() > 0.98 * table["slots_found"].sum()
    assert table["by_chance"].sum() < 0.6 * table["slots_found"].sum()
    assert "Alice" not in content
    originals = pl.read_parquet(folder / MANIFEST)["record"].to_list()
    everything = content + out + (folder / "report" / "report.json").read_text()
    assert not [digest for digest in originals if digest[:16] in everything]


def test_json_tells_as_much(run, folder, leaked):
    arguments = ["watermark", "leak", MANIFEST, leaked, *options("Alice", "Bob"), "--json"]
    code, out, _ = run(*arguments)
    assert code == 0
    coverage = json.loads(out)["coverage"]
    assert [copy["recipient"] for copy in coverage["copies"]] == ["Alice", "Bob"]
    assert coverage["copies"][1]["released"] > 0.98 * coverage["n_shown"]
    assert all(set(row["released"]) == {"Bob"} for row in coverage["records"])
    assert {row["file"] for row in coverage["records"]} == {"data.parquet"}


def test_nothing_is_told_of_a_copy_that_is_not_the_source(run, folder):
    """Alice, who is innocent of out/, is not told which of its words she has."""
    copy = "alice/release"
    code, out, err = run("watermark", "leak", MANIFEST, copy, "--report", "report")
    assert (code, err) == (0, "")
    (line, *_) = re.findall(r"^record .*$", out, re.MULTILINE)
    assert "released word" not in line
    assert "released" not in (folder / "report" / "coverage.csv").read_text()
    code, out, _ = run("watermark", "leak", MANIFEST, copy, "--json")
    assert {row["released"] for row in json.loads(out)["coverage"]["records"]} == {None}


def test_changed_columns_of_the_release_are_reported(run, folder, leaked):
    path = folder / "out" / "release" / "data.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(pl.lit("x").alias("id")).write_parquet(path)
    code, out, _ = run("watermark", "leak", MANIFEST, leaked)
    assert code == 0
    assert re.search(r"^warning +data.parquet is not byte for byte the released file", out, re.M)
