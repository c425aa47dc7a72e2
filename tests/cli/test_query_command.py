"""`bookplate palimpsest query`, run as a user would."""

import json

import numpy as np
import polars as pl
import pytest
from bookplate.stats.report import AuditReport

QUERY = ["palimpsest", "query", "order.parquet", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path, tiny_model, english):
    """A transcript with a repeated sequence, and a model under three names."""
    steps = np.random.default_rng(1).permutation(61)
    texts = [text[:90] for text in english[:60]]
    pl.DataFrame({"step": steps, "text": [*texts, texts[0]]}).write_parquet(
        tmp_path / "order.parquet"
    )
    for name in ("model", "other"):
        (tmp_path / name).symlink_to(tiny_model)
    return tmp_path


def test_several_suspects_are_a_table_and_a_report(run, folder, other_model):
    (folder / "third").symlink_to(other_model)
    suspects = ["--suspect", "model", "--suspect", "third"]
    code, out, err = run(*QUERY, *suspects, "--covariate", "zlib", "--report", "report")
    assert (code, err) == (0, "")
    assert "corrected for 2" in out
    assert out.count("1 of the 60 distinct sequences were trained on") == 1
    report = AuditReport.from_json((folder / "report" / "report.json").read_bytes())
    assert [entry.suspect for entry in report.entries] == ["model", "third"]
    assert {entry.finding.n for entry in report.entries} == {60}
    assert all("after zlib" in " ".join(e.finding.assumptions) for e in report.entries)


def test_a_sample_and_a_window_are_drawn_and_said(run, folder):
    options = ["--sample", "40", "--prefix-tokens", "4", "--window-tokens", "6", "--json"]
    code, out, err = run(*QUERY, "--suspect", "model", *options)
    assert (code, err) == (0, "")
    said = " ".join(json.loads(out)["assumptions"])
    assert "40 of 61 sequences were used, drawn from the two ends" in said
    assert "6 tokens after a prefix of 4" in said


def test_recorded_answers_serve_a_sample_too(run, folder):
    options = ["--sample", "40", "--seed", "3"]
    made = run("palimpsest", "questions", "order.parquet", "questions.parquet", *options)
    assert made[0] == 0
    record = ["membership", "record", "questions.parquet", "answers.parquet", "--suspect", "model"]
    assert run(*record)[0] == 0
    told = json.loads(run(*QUERY, "--suspect", "answers.parquet", *options, "--json")[1])
    own = json.loads(run(*QUERY, "--suspect", "model", *options, "--json")[1])
    assert told["log10_p"] == pytest.approx(own["log10_p"], abs=1e-6)


def test_step_by_step(run, folder):
    code, out, err = run(*QUERY, "--suspect", "model", "--sequential", "--budget", "20", "--json")
    assert (code, err) == (0, "")
    finding = json.loads(out)
    assert finding["n"] == 10
    assert any("20 of 60 sequences were asked about" in w for w in finding["warnings"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suspect", "model", "--suspect", "model"], "named twice"),
        (["--suspect", "model", "--budget", "9"], "--budget goes with --sequential"),
        (["--suspect", "model", "--sequential", "--covariate", "zlib"], "do not go with"),
        (["--suspect", "model", "--sample", "5"], "sample of at least 30"),
        (["--suspect", "model", "--window-tokens", "0"], "prefix of 0 or more"),
        (["--suspect", "model", "--disclosed", "x.parquet"], "holds its sequences itself"),
        (["--suspect", "model", "--statistic", "difference"], "do not go together"),
        (["--suspect", "model", "--prefix-tokens", "500"], "has no token with 500 before it"),
    ],
)
def test_what_does_not_fit_is_one_line(run, folder, options, message):
    code, out, err = run(*QUERY, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
