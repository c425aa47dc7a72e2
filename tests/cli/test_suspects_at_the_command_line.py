"""Weights, an endpoint and recorded answers feed the same commands with the same outcome."""

import hashlib
import json

import polars as pl
import polars.testing
import pytest
from bookplate.provenance.membership import METHODS
from bookplate.provenance.palimpsest import Transcript
from bookplate.stats.report import AuditReport

START = "<|endoftext|>"
TOKEN = "sk-never-to-be-seen-0123456789"
LOCAL = ["--suspect", "model", "--device", "cpu"]
ASKED = ["--neighbours", "2", "--prefix", "prefix.jsonl", "--frequencies", "corpus.jsonl"]
SCORE = ["membership", "score", "texts.csv", *ASKED]


@pytest.fixture
def folder(tmp_path, english, tiny_model):
    """texts.csv, what their scores are measured against, and the model."""
    texts = [text[:150] for text in english]
    pl.DataFrame({"text": texts[:12]}).write_csv(tmp_path / "texts.csv")
    pl.DataFrame({"text": [texts[12][:60]]}).write_ndjson(tmp_path / "prefix.jsonl")
    pl.DataFrame({"text": texts[13:20]}).write_ndjson(tmp_path / "corpus.jsonl")
    (tmp_path / "model").symlink_to(tiny_model)
    return tmp_path


def endpoint(served):
    return ["--suspect", served.name, "--answers", "answers.sqlite", "--start", START]


def scores(run, folder, suspect, out):
    code, _, err = run(*SCORE, *suspect, "--out", out)
    assert code == 0, err
    return pl.read_parquet(folder / out)


def test_recorded_answers_have_the_scores_of_the_weights(run, folder):
    assert run("membership", "questions", "texts.csv", "questions.parquet", *ASKED)[0] == 0
    code, _, err = run("membership", "record", "questions.parquet", "answers.parquet", *LOCAL)
    assert code == 0, err
    told = scores(run, folder, ["--suspect", "answers.parquet"], "told.parquet")
    own = scores(run, folder, LOCAL, "own.parquet")
    assert set(own.columns) == {"row", "tokens", *METHODS} - {"reference_ratio"}
    pl.testing.assert_frame_equal(told, own, abs_tol=1e-5)


def test_an_endpoint_has_the_scores_that_it_can_have(run, folder, served):
    told = scores(run, folder, endpoint(served), "told.parquet")
    own = scores(run, folder, LOCAL, "own.parquet")
    assert set(own.columns) - set(told.columns) == {"min_k_plus_plus", "dc_pdd"}
    pl.testing.assert_frame_equal(told, own.select(told.columns), abs_tol=1e-4)


def test_texts_to_compare_with_are_asked_about_too(run, folder):
    halves = ["texts.csv", "--held-out", "corpus.jsonl", "--score", "loss"]
    assert run("membership", "questions", halves[0], "questions.parquet", *halves[1:])[0] == 0
    asked = pl.read_parquet(folder / "questions.parquet")["text"].to_list()
    held_out = pl.read_ndjson(folder / "corpus.jsonl")["text"].to_list()
    assert set(asked) == {*pl.read_csv(folder / "texts.csv")["text"], *held_out}


def test_reports_hold_what_endpoints_said_of_themselves(run, folder, served, english, monkeypatch):
    """And never the token."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    texts = [text[:150] for text in english[:32]]
    rows = {"step": list(range(32)), "text": texts}
    pl.DataFrame(rows).write_parquet(folder / "order.parquet")
    query = ["palimpsest", "query", "order.parquet"]
    code, out, err = run(
        *query, *endpoint(served), "--token-variable", "MY_TOKEN", "--report", "report"
    )
    assert code == 0, err
    assert served.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in out + err
    files = [path for path in folder.rglob("*") if path.is_file() and "model" not in path.parts]
    assert {"report.json", "report.html", "answers.sqlite"} < {path.name for path in files}
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)
    account = (folder / "report" / "endpoint.json").read_bytes()
    report = AuditReport.from_json((folder / "report" / "report.json").read_bytes())
    (entry,) = report.entries
    digests = {given.name: given.sha256 for given in entry.finding.inputs}
    assert digests[served.name] == hashlib.sha256(account).hexdigest()
    assert json.loads(account)["model"] == "tiny"
    assert [exhibit.name for exhibit in report.exhibits] == ["endpoint.json"]
    assert run(*query, *LOCAL, "--report", "second")[0] == 0
    assert not (folder / "second" / "endpoint.json").exists()
    assert Transcript.read(folder / "order.parquet").steps.size == 32
