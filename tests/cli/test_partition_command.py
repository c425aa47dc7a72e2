"""`palimpsest partition`: texts in, a finding out; an index kept and used again; clear refusals."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest
import typer
from bookplate.cli.demo.training import packed
from bookplate.cli.partition_command import partition
from bookplate.errors import InvalidInput
from bookplate.provenance.palimpsest import Transcript
from typer.testing import CliRunner

app = typer.Typer()
app.command("partition")(partition)


def run(*arguments):
    """What the command prints; its errors come through as they are."""
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def files(tmp_path, english, tokenizer):
    """A transcript of tokens and one of text in the same order, a tokenizer, and a text of late pieces."""
    rows = packed(tokenizer, english[:60], 60)
    order = np.random.default_rng(3).permutation(len(rows))
    rows = [rows[i] for i in order]
    steps = np.arange(len(rows)) // 2
    Transcript.write(tmp_path / "tokens.parquet", steps.tolist(), rows)
    texts = [tokenizer.decode(row) for row in rows]
    pl.DataFrame({"step": steps, "text": texts}).write_parquet(tmp_path / "text.parquet")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    late = " ".join(text[10:150] for text in texts[-60:])
    (tmp_path / "late.txt").write_text(late, encoding="utf-8")
    pl.DataFrame({"said": [late]}).write_ndjson(tmp_path / "late.jsonl")
    return tmp_path


def test_a_transcript_of_tokens_with_its_tokenizer(files):
    tokens = ("--tokenizer", files / "tokenizer")
    out = json.loads(run(files / "tokens.parquet", files / "late.txt", *tokens, "--json"))
    assert out["log10_p"] < -3
    assert out["matches"]["counted"] > 500
    assert [i["name"] for i in out["inputs"]] == ["tokens.parquet", "tokenizer", "late.txt"]
    assert "late.txt" in out["question"]


def test_a_transcript_of_text_needs_none(files):
    printed = run(files / "text.parquet", files / "late.jsonl", "--text-column", "said")
    assert "words" not in printed.split("question")[0]
    assert "places count" in printed
    assert "p-value" in printed


def test_an_index_is_kept_and_used_again(files):
    arguments = (files / "text.parquet", files / "late.txt", "--index", files / "index", "--json")
    first = json.loads(run(*arguments))
    before = (files / "index" / "index.json").stat().st_mtime_ns
    assert json.loads(run(*arguments)) == first
    assert (files / "index" / "index.json").stat().st_mtime_ns == before
    fresh = json.loads(run(*arguments[:2], "--json"))
    named = [given["name"] for given in first.pop("inputs")]
    assert named == [
        *(given["name"] for given in fresh.pop("inputs")[:-1]),
        "index/index.json",
        "late.txt",
    ]
    assert first == fresh


def test_an_index_whose_order_was_altered_is_refused(files):
    """Its own digests would agree; the transcript does not."""
    arguments = (files / "text.parquet", files / "late.txt", "--index", files / "index")
    run(*arguments)
    header, steps = files / "index" / "index.json", files / "index" / "steps.bin"
    altered = np.sort(np.fromfile(steps, "<i8"))[::-1]
    altered.tofile(steps)
    told = json.loads(header.read_text())
    told["files"]["steps.bin"] = hashlib.sha256(steps.read_bytes()).hexdigest()
    header.write_text(json.dumps(told))
    with pytest.raises(InvalidInput, match="or it was altered"):
        run(*arguments)


def test_the_rule_and_the_covariates_can_be_chosen(files):
    rule = ("--longest", 4, "--shortest", 3, "--most-occurrences", 50)
    chosen = ("--covariate", "length", "--covariate", "rarity")
    out = json.loads(run(files / "text.parquet", files / "late.txt", *rule, *chosen, "--json"))
    assert len(out["matches"]["by_length"]) == 5
    assert any("more than 50 times" in a for a in out["assumptions"])
    assert any("length, rarity" in a for a in out["assumptions"])


def test_a_report_is_written(files):
    run(files / "text.parquet", files / "late.txt", "--report", files / "report")
    report = json.loads((files / "report" / "report.json").read_text())
    assert "late.txt" in json.dumps(report)
    assert "Training step" in json.dumps(report)


def test_tokens_without_a_tokenizer_are_refused(files):
    with pytest.raises(InvalidInput, match="holds token ids, and nobody says of which tokenizer"):
        run(files / "tokens.parquet", files / "late.txt")


def test_an_index_of_another_transcript_is_refused(files):
    run(files / "text.parquet", files / "late.txt", "--index", files / "index")
    pl.read_parquet(files / "text.parquet")[:200].write_parquet(files / "part.parquet")
    with pytest.raises(
        InvalidInput, match=r"is not the index of this transcript, but of text\.parquet"
    ):
        run(files / "part.parquet", files / "late.txt", "--index", files / "index")


def test_an_index_of_other_words_is_refused(files):
    run(files / "text.parquet", files / "late.txt", "--index", files / "index")
    with pytest.raises(InvalidInput, match="the index is of ids of the tokenizer words"):
        run(
            *(files / "text.parquet", files / "late.txt", "--index", files / "index"),
            *("--tokenizer", files / "tokenizer"),
        )


def test_a_text_that_is_no_text_is_refused(files):
    (files / "late.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="cannot be read as UTF-8"):
        run(files / "text.parquet", files / "late.txt")
