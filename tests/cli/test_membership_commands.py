"""`bookplate membership score`, run as a user would."""

import csv
import json
import random
import sys
from pathlib import Path

import polars as pl
import pytest
from bookplate.provenance.membership import METHODS, without_near_duplicates
from bookplate.stats.report import AuditReport


@pytest.fixture(scope="module")
def distinct(english):
    """In random order: the check of dataset inference rightly refuses halves by file order."""
    texts = [text[:300] for text in english[:150]]
    kept = [texts[i] for i in without_near_duplicates(texts)]
    random.Random(2).shuffle(kept)
    return kept


@pytest.fixture
def folder(tmp_path, distinct, tiny_model):
    """texts.csv with labels, kept.jsonl held out of the same set, and the model."""
    rows = {"text": distinct[:40], "seen": [1, 0] * 20, "name": ["=1+1", *map(str, range(39))]}
    pl.DataFrame(rows).write_csv(tmp_path / "texts.csv")
    pl.DataFrame({"text": distinct[40:75]}).write_ndjson(tmp_path / "kept.jsonl")
    pl.DataFrame({"text": distinct[75:77]}).write_ndjson(tmp_path / "prefix.jsonl")
    (tmp_path / "model").symlink_to(tiny_model)
    return tmp_path


SCORE = ["membership", "score", "texts.csv", "--suspect", "model", "--device", "cpu"]


def test_scores_are_written_and_summed_up(run, folder):
    options = ["--out", "scores.parquet", "--id-column", "name", "--neighbours", "2"]
    code, out, err = run(
        *SCORE, *options, "--prefix", "prefix.jsonl", "--frequencies", "kept.jsonl"
    )
    assert code == 0, err
    frame = pl.read_parquet(folder / "scores.parquet")
    given = [score for score in METHODS if score != "reference_ratio"]
    assert frame.columns == ["row", "id", "tokens", *given]
    assert frame.height == 40
    assert frame["id"][0] == "=1+1"
    assert "a higher score speaks for membership" in out
    assert "min_k_plus_plus" in out
    assert "Scores alone tell no members from non-members" in err


def test_csv_cells_are_safe_for_spreadsheets(run, folder):
    code, _, err = run(
        *SCORE, "--out", "scores.csv", "--id-column", "name", "--labels", "seen", "--score", "loss"
    )
    assert code == 0, err
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "id", "label", "tokens", "loss"]
    assert rows[0]["id"] == "'=1+1"
    assert [row["label"] for row in rows[:3]] == ["1", "0", "1"]
    assert float(rows[0]["loss"]) < 0


def test_labels_give_auroc_and_a_warning(run, folder):
    code, out, err = run(
        *SCORE, "--labels", "seen", "--score", "loss", "--score", "reference_ratio"
    )
    assert code == 0, err
    assert "TPR at 0.1 % FPR" in out
    assert "say nothing about membership if members and non-members come from" in out
    assert "left out" in out
    assert "needs a reference model" in out
    assert "20" in out
    code, out, _ = run(*SCORE, "--labels", "seen", "--json")
    result = json.loads(out)
    auroc = result["scores"]["min_k"]["auroc"]
    assert auroc["low"] < auroc["value"] < auroc["high"]
    assert [p["fpr"] for p in result["scores"]["min_k"]["tpr_at_fpr"]] == [0.001, 0.01, 0.05]
    assert "2409.19798" in result["warnings"][0]
    assert result["scores"]["loss"]["published"] == "lower for members; here negated"
    assert [i["name"] for i in result["inputs"]] == ["tiny", "texts.csv"]


def test_held_out_texts_give_a_test_and_a_report(run, folder):
    options = ["--held-out", "kept.jsonl", "--score", "loss", "--score", "min_k", "--seed", "3"]
    code, out, err = run(*SCORE, *options, "--report", "report", "--out", "both.csv")
    assert code == 0, err
    assert "DATASET INFERENCE NEEDS HELD-OUT TEXTS OF THE SAME DISTRIBUTION" in err
    assert "could not tell the two sets apart" in out
    assert "weight" in out
    report = AuditReport.from_json((folder / "report" / "report.json").read_bytes())
    (entry,) = report.entries
    assert entry.finding.name == "dataset inference"
    assert entry.finding.seed == 3
    assert [i.name for i in entry.finding.inputs] == ["texts.csv", "kept.jsonl", "tiny"]
    assert any("DATASET INFERENCE NEEDS" in limit for limit in report.limits)
    exhibit = (folder / "report" / "membership_scores.csv").read_bytes()
    assert exhibit == (folder / "both.csv").read_bytes()
    rows = list(csv.DictReader(exhibit.decode().splitlines()))
    assert [(row["set"], row["row"]) for row in (rows[0], rows[40])] == [
        ("under test", "1"),
        ("held out", "1"),
    ]
    code, out, _ = run(*SCORE, *options, "--json")
    result = json.loads(out)
    assert result["check"]["accepts"] is True
    assert set(result["weights"]) == {"loss", "min_k"}
    assert result["p_value"] == entry.finding.p_value


def test_different_sets_need_force(run, folder, distinct):
    pl.DataFrame({"text": [t.upper() for t in distinct[40:75]]}).write_ndjson(
        folder / "other.jsonl"
    )
    options = ["--held-out", "other.jsonl", "--score", "loss"]
    code, out, err = run(*SCORE, *options, "--report", "report")
    assert (code, out) == (2, "")
    assert "can tell the two sets apart" in err
    assert not (folder / "report").exists()
    code, out, _ = run(*SCORE, *options, "--force")
    assert code == 0
    assert "FORCED" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--force"], "--force needs --held-out"),
        (["--report", "r"], "--report needs --held-out"),
        (["--labels", "seen", "--held-out", "kept.jsonl"], "do not go together"),
        (["--score", "min-k"], "--score: expected one of 'loss'"),
        (["--share", "0"], "--share: expected"),
        (["--neighbours", "-1"], "--neighbours: expected 0 or more"),
        (["--out", "scores.txt"], "ends in .parquet or .csv"),
        (["--out", "kept.jsonl"], "ends in .parquet or .csv"),
        (["--out", "there.csv"], "there.csv: already exists"),
        (["--labels", "name"], "texts.csv: row 1: expected 1 or 0 in column 'name', got '=1+1'"),
        (["--labels", "nothing"], "no column 'nothing'"),
        (["--held-out", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--held-out", "texts.csv"], "are the same, or nearly"),
        (["--prefix", "texts.csv", "--held-out", "kept.jsonl"], "the prefix holds a text"),
        (["--seed", "-1"], "--seed"),
        (["--score", "recall"], "none of the scores can be had: recall needs a prefix"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run, folder, options, message):
    (folder / "there.csv").write_text("a")
    before = sorted(folder.iterdir())
    code, out, err = run(*SCORE, *options)
    assert (code, out) == (2, "")
    *_, line = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert err.count("error: ") == 1
    assert sorted(folder.iterdir()) == before


def test_asking_for_help_loads_nothing_heavy():
    source = Path(sys.modules["bookplate.cli.membership_commands"].__file__).read_text()
    top = [line for line in source.splitlines() if line.startswith(("import", "from"))]
    assert not [line for line in top if "membership_run" in line or "provenance" in line]
