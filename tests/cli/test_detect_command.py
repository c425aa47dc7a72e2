"""The commands that examine a model: pure output, and what is refused before or while reaching one."""

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def folder(tmp_path, tiny_model, english):
    """A marked dataset, a transcript and a model."""
    shutil.copytree(tiny_model, tmp_path / "model")
    pl.DataFrame({"text": english[:60]}).write_parquet(tmp_path / "data.parquet")
    steps = np.random.default_rng(1).permutation(40)
    texts = [text[:60] for text in english[:40]]
    pl.DataFrame({"step": steps, "text": texts}).write_parquet(tmp_path / "order.parquet")
    return tmp_path


@pytest.fixture
def marked(run, folder, key):
    assert (
        run("watermark", "embed", "data.parquet", "out", "--key", "key", "--tier", "broad")[0] == 0
    )
    return folder / "out"


MANIFEST = "out/private/manifest.parquet"


def test_json_is_all_there_is_on_standard_output(run, marked):
    detect = ["watermark", "detect", MANIFEST, "--key", "key", "--suspect", "model", "--json"]
    query = ["palimpsest", "query", "order.parquet", "--suspect", "model", "--json"]
    for command, unit in ((detect, "word types"), (query, "training sequences")):
        code, out, err = run(*command)
        assert (code, err) == (0, "")
        finding = json.loads(out)
        assert finding["unit"] == unit
        assert 0 < finding["p_value"] <= 1


def test_a_report_is_written_and_names_are_harmless(run, folder):
    name = "m\x1b[31m\n<blink>"
    (folder / "model").rename(folder / name)
    code, out, err = run("palimpsest", "query", "order.parquet", "--suspect", name, "--report", "r")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    page = (folder / "r" / "report.html").read_text()
    assert "\x1b" not in page
    assert "<blink>" not in page
    assert json.loads((folder / "r" / "report.json").read_text())


def test_which_copy_is_a_table_of_corrected_p_values(run, folder, key):
    mark = ["watermark", "embed", "data.parquet", "out", "--key", "key", "--tier", "broad"]
    assert run(*mark, "--recipient", "Alice")[0] == 0
    detect = ["watermark", "detect", MANIFEST, "--key", "key", "--suspect", "model"]
    names = ["--recipient", "Alice", "--recipient", "Bob"]
    code, out, err = run(*detect, *names, "--report", "r")
    assert (code, err) == (0, "")
    assert re.search(r"^Alice +0\.\d{4} +\d\.\d{4} +no evidence found$", out, re.MULTILINE)
    report = json.loads((folder / "r" / "report.json").read_text())
    assert [entry["finding"]["name"] for entry in report["entries"]] == [
        "keyed watermark, copy of Alice",
        "keyed watermark, copy of Bob",
    ]
    code, out, err = run(*detect, *names, "--json")
    assert (code, err) == (0, "")
    alice, bob = json.loads(out)["findings"]
    assert (alice["label"], bob["label"]) == ("Alice", "Bob")
    assert alice["finding"]["p_value"] != bob["finding"]["p_value"]
    own = json.loads(run(*detect, "--json")[1])
    assert own["p_value"] == alice["finding"]["p_value"]
    refused(run(*detect[:3], "--suspect", "model", *names), "--recipient needs --key")
    refused(run(*detect, *names, "--recipient", "Bob"), "'Bob' is named twice")
    refused(run(*detect, "--recipient", "\x1b[2J"), "expected 1 to 200 visible characters")


def test_the_published_mode_compares_with_texts_held_back(run, folder, english, key):
    pl.DataFrame({"text": english[60:120]}).write_parquet(folder / "rest.parquet")
    how = ["--key", "key", "--tier", "broad", "--mode", "leximark"]
    assert run("watermark", "embed", "data.parquet", "out", *how)[0] == 0
    assert run("watermark", "embed", "rest.parquet", "held", *how)[0] == 0
    detect = ["watermark", "detect", MANIFEST, "--suspect", "model"]
    held_out = ["--held-out", "held/release/rest.parquet"]
    code, out, err = run(*detect, *held_out, "--report", "r")
    assert (code, err) == (0, "")
    assert "AUROC" in out
    assert "assumes both sets of texts" in out
    code, out, err = run(*detect, *held_out, "--json")
    assert (code, err) == (0, "")
    measured = json.loads(out)
    assert measured["name"] == "LexiMark comparison"
    assert len(measured["also"]) == 3
    refused(run(*detect), "no key draws anything")
    refused(run(*detect, *held_out, "--reference", "model"), "no --recipient, no --reference")
    refused(run(*detect, "--held-out", "out/release/data.parquet"), "are among the released")


def test_other_ways_to_ask(run, marked):
    detect = ["watermark", "detect", MANIFEST, "--suspect", "model"]
    # This model has seen a minute of English: none of its answers is a word of the table.
    refused(
        run(*detect, "--method", "completion", "--samples", "1"), "answers is one of the choices"
    )
    code, out, err = run(*detect, "--method", "sequential", "--budget", "150", "--json")
    assert (code, err) == (0, "")
    finding = json.loads(out)
    assert finding["name"] == "sequential watermark test"
    assert "scores were asked for; the level was not reached" in finding["warnings"][-1]
    for options, message in (
        (["--method", "completion", "--reference", "model"], "answers have no scores"),
        (["--method", "sequential", "--held-out", "data.parquet"], "do not go with --method"),
        (["--method", "sequential", "--budget", "0"], "--budget: expected at least 1, got 0"),
        (["--method", "completion", "--samples", "0"], "--samples: expected at least 1, got 0"),
        (["--method", "sequential", "--samples", "3"], "--samples belongs to --method completion"),
        (["--budget", "3"], "--budget belongs to --method sequential"),
        (["--held-out", "data.parquet"], "was marked with a key"),
    ):
        refused(run(*detect, *options), message)


def test_the_quality_of_a_release_is_shown(run, marked, folder):
    code, out, err = run("watermark", "quality", MANIFEST, "--model", "model", "--report", "q")
    assert (code, err) == (0, "")
    assert re.search(r"^words changed +\d+ of [\d,]+ \(\d\.\d\d%\)", out, re.MULTILINE)
    assert "perplexity" in out
    measured = json.loads((folder / "q" / "quality.json").read_text())
    assert measured["perplexity"]["model"]["name"] == "model"
    assert "<h1>" in (folder / "q" / "quality.html").read_text()
    code, out, err = run("watermark", "quality", MANIFEST, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["perplexity"] is None
    refused(run("watermark", "quality", MANIFEST, "--report", "q"), "q: already exists")
    refused(run("watermark", "quality", MANIFEST, "--effect", "0"), "a positive effect")


def refused(outcome, message):
    code, out, err = outcome
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suspect", "model", "--seed", "-1"], "--seed: expected an integer in [0, 2**64)"),
        (["--suspect", "model", "--alpha", "2"], "--alpha: expected a number between 0 and 1"),
        (["--suspect", "model", "--report", "model"], "model: already exists"),
        (["--suspect", "model", "--report", "link"], "link: already exists"),
        (["--suspect", "model", "--reference", "copy"], "the same model as the suspect"),
        (["--suspect", "model", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["--suspect", "./nothing"], "no such folder"),
    ],
)
def test_bad_calls(run, marked, folder, options, message):
    shutil.copytree(folder / "model", folder / "copy")
    (folder / "link").symlink_to("nowhere")
    before = sorted(folder.rglob("*"))
    refused(run("palimpsest", "query", "order.parquet", *options), message)
    refused(run("watermark", "detect", MANIFEST, *options), message)
    assert sorted(folder.rglob("*")) == before
