"""The partition test: what counts, rows in any order, false alarms, repeated and neighbouring sequences."""

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import (
    Covariate,
    Sample,
    Sampling,
    Transcript,
    TranscriptSource,
)
from bookplate.provenance.palimpsest.ngrams import (
    Engine,
    MatchRule,
    WordTokenizer,
    build_index,
    joined,
    open_index,
)
from bookplate.provenance.palimpsest.partition import (
    index_transcript,
    partition_test,
    partition_test_of_tokens,
)
from bookplate.stats import Input, SpearmanMethod, Trend
from scipy.stats import binom, rankdata, spearmanr

SOURCE = Input(name="transcript.parquet", sha256="0" * 64)
IDS = Input(name="ids", sha256="1" * 64)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def indexed(folder, rows, steps, **options):
    build_index(folder, [(steps, rows)], source=SOURCE, tokenizer=IDS, **options)
    return open_index(folder)


def rows_of(rng, n, longest=40, vocabulary=300):
    """Sequences of different length whose tokens are Zipf's."""
    weights = 1 / np.arange(1, vocabulary + 1)
    return [
        rng.choice(vocabulary, size=rng.integers(8, longest), p=weights / weights.sum())
        for _ in range(n)
    ]


def remembered(rng, rows, steps, n=250):
    """A text of pieces of the rows, late ones more often."""
    order = np.argsort(steps)
    chosen = (len(rows) * rng.beta(3, 1, size=n)).astype(int)
    return [rows[order[i]][:6] for i in chosen]


def test_what_was_trained_on_late_shows(tmp_path, rng):
    rows, steps = rows_of(rng, 400), rng.permutation(400) // 4
    index = indexed(tmp_path / "index", rows, steps)
    done = partition_test_of_tokens(index, remembered(rng, rows, steps), seed=1)
    assert done.finding.log10_p < -6
    assert done.finding.alternative == "greater"
    assert done.finding.n == 400
    assert done.finding.unit == "distinct training sequences"
    assert isinstance(done.finding.figure, Trend)
    reversed_order = index.with_steps(steps.max() - steps)
    text = remembered(rng, rows, steps)
    assert partition_test_of_tokens(reversed_order, text, seed=1).finding.p_value > 0.99


def test_the_statistic_is_spearman_of_step_and_score(tmp_path, rng):
    rows, steps = rows_of(rng, 100), rng.permutation(100) // 3
    index = indexed(tmp_path / "index", rows, steps)
    text = remembered(rng, rows, steps)
    done = partition_test_of_tokens(index, text, seed=1, covariates=())
    scores = index.match(joined(text), MatchRule()).scores
    assert done.finding.statistic.value == pytest.approx(spearmanr(steps, scores).statistic)
    assert "Regressed out of the scores: nothing." in done.finding.assumptions


@pytest.mark.parametrize("covariate", list(Covariate))
def test_covariates_are_regressed_out(tmp_path, rng, covariate):
    from bookplate.provenance.palimpsest.covariates import covariate_values

    rows, steps = rows_of(rng, 100), rng.permutation(100)
    index = indexed(tmp_path / "index", rows, steps)
    text = remembered(rng, rows, steps)
    done = partition_test_of_tokens(index, text, seed=1, covariates=[covariate])
    values = covariate_values(covariate, [tuple(row.tolist()) for row in rows])
    scores = index.match(joined(text), MatchRule()).scores
    design = np.column_stack([np.ones(100), values])
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    assert done.finding.statistic.value == pytest.approx(
        np.corrcoef(rankdata(steps), rankdata(np.round(rest, 9)))[0, 1], abs=1e-6
    )
    assert f"Regressed out of the scores: {covariate.value}." in done.finding.assumptions


def test_lengths_that_are_all_alike_are_no_covariate(tmp_path, rng):
    rows = rng.integers(0, 50, size=(60, 9))
    index = indexed(tmp_path / "index", list(rows), np.arange(60))
    done = partition_test_of_tokens(index, list(rows[:20]), seed=1)
    assert "Regressed out of the scores: nothing." in done.finding.assumptions


def test_rows_in_any_order_and_any_shards_give_the_same_finding(tmp_path, rng):
    """To the last bit: nothing, not even rounding or ties, may follow the order of the rows."""
    rows, steps = rows_of(rng, 200), np.arange(200) // 3
    text = remembered(rng, rows, steps)
    findings = []
    for name, mixed, tokens in (("a", np.arange(200), 10**6), ("b", rng.permutation(200), 300)):
        index = indexed(
            tmp_path / name, [rows[i] for i in mixed], steps[mixed], shard_tokens=tokens
        )
        for covariates in ((), (Covariate.LENGTH, Covariate.RARITY)):
            done = partition_test_of_tokens(index, text, seed=1, covariates=covariates)
            findings.append(done.finding)
    assert findings[0] == findings[2]
    assert findings[1] == findings[3]
    assert findings[0] != findings[1]


def test_the_rule_stands_in_the_finding(tmp_path, rng):
    rows, steps = rows_of(rng, 60), rng.permutation(60)
    index = indexed(tmp_path / "index", rows, steps)
    rule = MatchRule(longest=5, shortest=3, most_occurrences=77)
    done = partition_test_of_tokens(index, remembered(rng, rows, steps), seed=1, rule=rule)
    assert any(
        "of 5 tokens at most and 3 at least; none that occurs more than 77 times" in assumption
        for assumption in done.finding.assumptions
    )


# --- false alarms


def alarms_within_bounds(p_values):
    """The bound on the number of rejections fails by chance once in a million."""
    for level in (0.05, 0.01):
        found = int((np.asarray(p_values) <= level).sum())
        assert found <= binom.ppf(1 - 1e-6, len(p_values), level)
    assert np.mean(np.asarray(p_values) <= 0.5) > 0.35  # nor is it idle


def test_false_alarms_stay_within_the_level(tmp_path, rng):
    """An innocent text, close to some sequences, under orders drawn anew; batches share a step."""
    rows = rows_of(rng, 60)
    text = [rows[i][:7] for i in rng.zipf(1.3, size=200) % 60]
    index = indexed(tmp_path / "index", rows, np.arange(60), shard_tokens=400)
    alarms_within_bounds([
        partition_test_of_tokens(
            index.with_steps(rng.permutation(60) // 4),
            text,
            seed=run,
        ).finding.p_value
        for run in range(150)
    ])


def test_sequences_that_are_there_often_are_not_late_because_of_it(tmp_path, rng):
    """Rows of the most remembered sequences repeat, the whole order is shuffled: still no false alarm.

    The same orders by each one's last step instead of a lot: alarms everywhere.
    """
    rows = rows_of(rng, 60)
    repeated = [*rows, *(rows[i % 20] for i in range(160))]
    text = [rows[i][:7] for i in rng.integers(0, 20, size=100)]
    index = indexed(tmp_path / "index", repeated, np.arange(220))
    runs = [
        partition_test_of_tokens(index.with_steps(rng.permutation(220)), text, seed=run).finding
        for run in range(150)
    ]
    alarms_within_bounds([finding.p_value for finding in runs])
    by_last = [by_last_step(index.with_steps(rng.permutation(220)), text) for _ in range(50)]
    assert np.mean(np.array(by_last) < 0.01) > 0.9
    assert runs[0].n == 60
    assert (
        "20 of the 60 distinct sequences were trained on repeatedly (220 rows"
        in runs[0].warnings[0]
    )


def by_last_step(index, text):
    """P-value of the test that `Units` must not make."""
    last = np.zeros(60, dtype=np.int64)
    np.maximum.at(last, index.table.contents, index.table.steps)
    scores = index.match(joined(text), MatchRule()).scores
    return spearmanr(last, scores, alternative="greater").pvalue


@pytest.mark.parametrize("n_rows", [150, 181], ids=["whole", "cut off"])
def test_over_epochs_the_last_complete_one_counts(tmp_path, rng, n_rows):
    """Who came once more in one that was cut off may have been chosen by content."""
    rows = rows_of(rng, 50)
    order = np.concatenate([rng.permutation(50) for _ in range(4)])[:n_rows]
    steps = np.arange(n_rows) // 5
    index = indexed(tmp_path / "index", [rows[i] for i in order], steps)
    units = index.table.units()
    third = {tuple(rows[i]): steps[100 + place] for place, i in enumerate(order[100:150])}
    found = zip(units.sequences, units.steps, strict=True)
    assert {tuple(index.sequence(int(s))): step for s, step in found} == third
    how = "its last step" if n_rows == 150 else "its step in the last complete epoch"
    assert how in units.note
    mixed = index.with_steps(rng.permutation(n_rows)).table.units()
    assert ("its last step" in mixed.note) == (n_rows == 150)


def test_a_few_copies_at_the_end_are_no_epoch(tmp_path, rng):
    """By chance all copies of a few sequences come last; their number may still follow from the content."""
    rows = rows_of(rng, 50)
    index = indexed(tmp_path / "index", [*rows, *rows[:3]], np.arange(53))
    assert "drawn by lot" in index.table.units().note


def test_lots_do_not_depend_on_the_order_of_the_rows(tmp_path, rng):
    rows, steps = [*rows_of(rng, 40)] * 2, rng.permutation(80)
    rows = rows[:70]
    steps = steps[:70]
    mixed = rng.permutation(70)
    first = indexed(tmp_path / "a", rows, steps).table.units()
    second = indexed(tmp_path / "b", [rows[i] for i in mixed], steps[mixed]).table.units()
    assert first.steps.tolist() == second.steps.tolist()


def test_pieces_of_one_document_side_by_side_are_noticed(tmp_path, rng):
    """Documents shuffled, then cut: neighbours share words, and sequences are not exchangeable."""
    documents = [rng.integers(30 * d, 30 * d + 30, size=(8, 20)) for d in range(50)]
    rows = [piece for i in rng.permutation(50) for piece in documents[i]]
    text = [documents[i][rng.integers(8)] for i in range(0, 50, 3)]
    text += [rng.integers(30 * i, 30 * i + 30, size=400) for i in range(0, 50, 3)]
    index = indexed(tmp_path / "index", rows, np.arange(400))

    def warnings(order):
        return " ".join(partition_test_of_tokens(order, text, seed=1).finding.warnings)

    assert "documents are shuffled first and cut into sequences" in warnings(index)
    assert "documents" not in warnings(index.with_steps(rng.permutation(400)))


def test_a_trend_alone_is_no_reason_to_warn(tmp_path, rng):
    rows, steps = rows_of(rng, 1_000), rng.permutation(1_000)
    index = indexed(tmp_path / "index", rows, steps)
    done = partition_test_of_tokens(
        index, remembered(rng, rows, steps, 3_000), seed=1, method=SpearmanMethod.AUTO
    )
    assert done.finding.log10_p < -20
    assert not [w for w in done.finding.warnings if "documents" in w]


# --- refusals


def test_too_little_is_refused(tmp_path, rng):
    few = indexed(tmp_path / "few", rows_of(rng, 29), np.arange(29))
    with pytest.raises(InsufficientEvidence, match="29 distinct sequences are too few"):
        partition_test_of_tokens(few, [np.array([1, 2])], seed=1)
    rows = rows_of(rng, 30)
    together = indexed(tmp_path / "together", rows, np.zeros(30, dtype=int))
    with pytest.raises(InsufficientEvidence, match="have the same step"):
        partition_test_of_tokens(together, [rows[0]], seed=1)
    copies = indexed(tmp_path / "copies", [rows[i % 3] for i in range(60)], np.arange(60))
    with pytest.raises(InsufficientEvidence, match="3 distinct sequences are too few"):
        partition_test_of_tokens(copies, [rows[0]], seed=1)


@pytest.mark.parametrize("text", [[], [np.array([], dtype=int)], [np.array([9_999, 9_998])]])
def test_a_text_without_a_match_is_no_evidence(tmp_path, rng, text):
    index = indexed(tmp_path / "index", rows_of(rng, 40), np.arange(40))
    with pytest.raises(InsufficientEvidence, match="begins a k-gram"):
        partition_test_of_tokens(index, text, seed=1)


# --- of texts


@pytest.fixture
def written(tmp_path, english):
    """A transcript of text on disk, and what a model of late memory would write."""
    pieces = [
        text[i : i + 300]
        for text in english[:150]
        for i in range(0, 600, 300)
        if text[i : i + 300].strip()
    ]
    order = np.random.default_rng(12).permutation(len(pieces))
    frame_of(order, pieces).write_parquet(tmp_path / "order.parquet")
    late = [pieces[i][20:140] for i in order[-40:]]
    return tmp_path / "order.parquet", late


def frame_of(order, pieces):
    import polars as pl

    return pl.DataFrame({"step": np.arange(len(pieces)) // 2, "text": [pieces[i] for i in order]})


@pytest.mark.parametrize("engine", list(Engine))
def test_text_is_cut_into_words(tmp_path, written, engine):
    if engine is Engine.INFINI_GRAM:
        pytest.importorskip("infini_gram")
    path, late = written
    words = WordTokenizer()
    index_transcript(tmp_path / "disk", TranscriptSource.open(path), words, engine=engine)
    index_transcript(tmp_path / "memory", Transcript.read(path), words)
    mine = Input(name="late.txt", sha256="2" * 64)
    findings = [
        partition_test(
            open_index(tmp_path / name), late, words, seed=1, name="late.txt", inputs=[mine]
        ).finding
        for name in ("disk", "memory")
    ]
    assert findings[0] == findings[1]
    assert findings[0].log10_p < -3
    assert "late.txt" in findings[0].question
    assert [i.name for i in findings[0].inputs] == ["order.parquet", "words", "late.txt"]


def test_a_sample_is_not_taken_for_the_whole(tmp_path, written):
    path, _ = written
    sample = Transcript.read(path, Sample(size=50, sampling=Sampling.RANDOM, seed=1))
    with pytest.raises(InvalidInput, match="only a sample"):
        index_transcript(tmp_path / "index", sample, WordTokenizer())
