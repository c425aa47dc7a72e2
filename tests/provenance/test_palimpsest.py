"""The order test: rows in any order, references and covariates, false alarms, refusals."""

import json

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import QueryStatistic, Transcript, order_test, query_test
from bookplate.provenance.suspect import open_suspect
from bookplate.stats import Input, SpearmanMethod, Trend
from scipy.stats import binom, rankdata, spearmanr

SOURCE = Input(name="transcript.parquet", sha256="0" * 64)


def transcript_of(steps, lengths=None):
    lengths = np.full(len(steps), 4) if lengths is None else lengths
    return Transcript(
        steps=np.asarray(steps), sequences=tuple((1,) * int(n) for n in lengths), source=SOURCE
    )


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_statistic_is_spearman_of_step_and_likelihood(rng):
    steps, scores = rng.permutation(600) // 4, rng.normal(size=600)
    finding = order_test(transcript_of(steps), scores, [], seed=1)
    assert finding.statistic.value == pytest.approx(spearmanr(steps, scores).statistic)
    assert finding.alternative == "greater"
    assert isinstance(finding.figure, Trend)


def test_rows_in_any_order_give_the_same_finding(rng):
    """The argsort trap: ranking by argsort(order) is right only for rows already in order."""
    steps = np.arange(700)
    scores = 0.002 * steps + rng.normal(size=700)
    reference = rng.normal(size=700)
    lengths = rng.integers(5, 60, size=700)
    sorted_rows = order_test(transcript_of(steps, lengths), scores, [reference], seed=1)
    mixed = rng.permutation(700)
    any_rows = order_test(
        transcript_of(steps[mixed], lengths[mixed]), scores[mixed], [reference[mixed]], seed=1
    )
    assert sorted_rows.statistic.value > 0.2
    assert any_rows.statistic.value == pytest.approx(sorted_rows.statistic.value, abs=1e-12)
    assert any_rows.log10_p == pytest.approx(sorted_rows.log10_p, rel=1e-9)


def test_difference_subtracts_the_mean_of_the_references(rng):
    steps = np.arange(600)
    scores, a, b = rng.normal(size=(3, 600))
    finding = order_test(
        transcript_of(steps), scores, [a, b], seed=1, statistic=QueryStatistic.DIFFERENCE
    )
    assert finding.statistic.value == pytest.approx(
        spearmanr(steps, scores - (a + b) / 2).statistic
    )


def test_residual_regresses_on_references_and_length(rng):
    steps, lengths = np.arange(600), rng.integers(5, 90, size=600)
    reference = rng.normal(size=600)
    scores = 3 * reference - 0.1 * lengths + rng.normal(size=600)
    design = np.column_stack([np.ones(600), reference, lengths])
    residual = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    finding = order_test(transcript_of(steps, lengths), scores, [reference], seed=1)
    assert finding.statistic.value == pytest.approx(
        np.corrcoef(rankdata(steps), rankdata(residual))[0, 1]
    )


def test_a_reference_makes_a_faint_order_visible(rng):
    difficulty = rng.normal(size=2_000)
    steps = np.arange(2_000)
    scores = difficulty + 1e-4 * steps + 0.1 * rng.normal(size=2_000)
    reference = difficulty + 0.1 * rng.normal(size=2_000)
    alone = order_test(transcript_of(steps), scores, [], seed=1)
    together = order_test(transcript_of(steps), scores, [reference], seed=1)
    assert together.log10_p < -40 < alone.log10_p


@pytest.mark.parametrize("method", [SpearmanMethod.T, SpearmanMethod.PERMUTATION])
def test_false_alarms_stay_within_the_level(rng, method):
    """An innocent model's p-values are uniform over random orders, however odd its scores are.

    The bound on the number of rejections fails by chance once in a million.
    """
    n, runs = 200, 2_000
    lengths = rng.integers(5, 90, size=n)
    reference = rng.standard_cauchy(size=n)
    scores = np.round(reference - 0.02 * lengths + rng.standard_cauchy(size=n), 1)
    p_values = np.array([
        order_test(
            transcript_of(rng.permutation(n) // 8, lengths),
            scores,
            [reference],
            seed=run,
            method=method,
        ).p_value
        for run in range(runs if method is SpearmanMethod.T else runs // 8)
    ])
    for level in (0.05, 0.01):
        assert (p_values <= level).sum() <= binom.ppf(1 - 1e-6, p_values.size, level)


def test_statistic_and_references_must_fit(rng):
    order = transcript_of(np.arange(40))
    with pytest.raises(InvalidInput, match="do not go together"):
        order_test(order, rng.normal(size=40), [], seed=1, statistic=QueryStatistic.DIFFERENCE)
    with pytest.raises(InvalidInput, match="do not go together"):
        order_test(
            order,
            rng.normal(size=40),
            [rng.normal(size=40)],
            seed=1,
            statistic=QueryStatistic.LIKELIHOOD,
        )


def test_query_scores_text_and_tokens_alike(tiny_model, english, tmp_path):
    suspect = open_suspect(str(tiny_model))
    texts = [text[:120] for text in english[:40]]
    as_text = tmp_path / "order.jsonl"
    as_text.write_text(
        "".join(json.dumps({"step": i, "text": t}) + "\n" for i, t in enumerate(texts))
    )
    as_tokens = tmp_path / "order.parquet"
    Transcript.write(as_tokens, range(40), [suspect._token_ids(text) for text in texts])
    a = query_test(Transcript.read(as_text), suspect, seed=1)
    b = query_test(Transcript.read(as_tokens), suspect, seed=1)
    assert a.statistic.value == pytest.approx(b.statistic.value, abs=1e-12)
    assert a.inputs[1] == suspect.identity
    assert a.inputs[0].name == "order.jsonl"


ROWS = {"step": list(range(40)), "text": [f"text {i}" for i in range(40)]}
BAD = {
    "no step": ({"text": ROWS["text"]}, InvalidInput, "integer column 'step'"),
    "step of floats": ({**ROWS, "step": [0.5] * 40}, InvalidInput, "integer column 'step'"),
    "missing step": ({**ROWS, "step": [None, *range(39)]}, InvalidInput, "row 1: 'step'"),
    "no text": ({"step": ROWS["step"]}, InvalidInput, "'text' of strings or 'tokens'"),
    "missing text": ({**ROWS, "text": [*ROWS["text"][:-1], None]}, InvalidInput, "row 40: 'text'"),
    "empty text": ({**ROWS, "text": ["x", " ", *ROWS["text"][2:]]}, InvalidInput, "row 2"),
    "text tokens": ({"step": ROWS["step"], "tokens": [["a"]] * 40}, InvalidInput, "'tokens'"),
    "one token": ({"step": ROWS["step"], "tokens": [[1, 2]] * 39 + [[1]]}, InvalidInput, "row 40"),
    "negative token": ({"step": ROWS["step"], "tokens": [[1, -2]] * 40}, InvalidInput, "row 1"),
    "one step": ({**ROWS, "step": [7] * 40}, InsufficientEvidence, "same step"),
    "too few": ({"step": [1, 2], "text": ["a", "b"]}, InsufficientEvidence, "too few"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_transcripts_are_refused(case, tmp_path):
    rows, error, message = BAD[case]
    path = tmp_path / "order.parquet"
    pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(error, match=message):
        Transcript.read(path)


def test_unreadable_transcripts_are_refused(tmp_path):
    for name, content in [("a.parquet", b"PAR1 no"), ("b.jsonl", b'{"step": '), ("c.txt", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInput, match=name):
            Transcript.read(tmp_path / name)
    with pytest.raises(InvalidInput, match="no such file"):
        Transcript.read(tmp_path / "none.parquet")


def test_a_step_beyond_64_bits_is_refused(tmp_path):
    steps = pl.Series("step", [2**63 + i for i in range(40)], dtype=pl.UInt64)
    path = tmp_path / "t.parquet"
    pl.DataFrame([steps, pl.Series("text", ["a b c"] * 40)]).write_parquet(path)
    with pytest.raises(InvalidInput, match="below 2"):
        Transcript.read(path)


def test_a_model_is_no_reference_for_itself(tiny_model):
    suspect = open_suspect(str(tiny_model))
    with pytest.raises(InvalidInput, match="is the same model as the suspect"):
        query_test(transcript_of(np.arange(40)), suspect, references=[suspect], seed=1)


def test_a_misfit_statistic_is_refused_before_any_scoring(rng):
    with pytest.raises(InvalidInput, match="do not go together"):
        query_test(transcript_of(np.arange(40)), None, seed=1, statistic=QueryStatistic.DIFFERENCE)


def test_published_transcripts_call_the_step_index(tmp_path):
    rows = {"index": list(range(40, 80)), "tokens": [[i, 2, 3] for i in range(40)]}
    pl.DataFrame(rows).write_parquet(tmp_path / "published.parquet")
    assert Transcript.read(tmp_path / "published.parquet").steps.tolist() == rows["index"]
    both = pl.DataFrame({**rows, "step": list(range(40))})
    both.write_parquet(tmp_path / "both.parquet")
    assert Transcript.read(tmp_path / "both.parquet").steps.tolist() == list(range(40))
    pl.DataFrame({**rows, "index": [0.5] * 40}).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InvalidInput, match="integer column 'index'"):
        Transcript.read(tmp_path / "bad.parquet")
