"""The query test around its statistic: windows, covariates, repeated sequences, doubtful models."""

import math
import zlib
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import (
    PUBLISHED_WINDOW,
    Covariate,
    QueryStatistic,
    Transcript,
    Window,
    mean_logprobs,
    order_test,
    query_sequentially,
    query_test,
)
from bookplate.provenance.palimpsest.advice import advise
from bookplate.provenance.palimpsest.covariates import covariate_values
from bookplate.provenance.palimpsest.query import prepared
from bookplate.provenance.palimpsest.scoring import WHOLE
from bookplate.provenance.suspect import open_suspect
from bookplate.stats import Input, SpearmanMethod
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

SOURCE = Input(name="transcript.parquet", sha256="0" * 64)


class Speaker:
    """A model of ids: each is likelier the nearer it lies to the one before, plus what it remembers."""

    def __init__(self, name="speaker", memory=None):
        self.identity = Input(name=name, sha256=name.encode().hex().ljust(64, "0")[:64])
        self.memory = memory or {}
        self.asked = []

    def token_logprobs(self, sequences):
        self.asked += sequences
        return [
            -np.log1p(np.abs(np.diff(np.asarray(s, dtype=float)))) + self.memory.get(tuple(s), 0.0)
            for s in sequences
        ]


def walks(n, length, seed=0):
    rng = np.random.default_rng(seed)
    return [
        tuple(int(i) for i in 500 + np.cumsum(rng.choice([-2, -1, 1, 2], length))) for _ in range(n)
    ]


def transcript_of(sequences, steps=None):
    steps = range(len(sequences)) if steps is None else steps
    return Transcript(steps=np.array(steps), sequences=tuple(sequences), source=SOURCE)


def remembering(sequences, strength=0.05):
    return Speaker("guilty", {s: strength * i / len(sequences) for i, s in enumerate(sequences)})


def test_a_window_scores_these_tokens_alone(tiny_model, english):
    suspect = open_suspect(str(tiny_model))
    ids = [suspect._token_ids(" ".join(english[i : i + 3]))[1:101] for i in range(30)]
    whole = suspect.token_logprobs(ids)
    window = mean_logprobs(transcript_of([tuple(i) for i in ids]), suspect, PUBLISHED_WINDOW)
    expected = [scores[31:63].mean() for scores in whole]  # of tokens 32 to 63; the first has none
    np.testing.assert_allclose(window, expected, atol=1e-5)
    texts = [suspect._tokenizer.decode(i) for i in ids]
    from_texts = mean_logprobs(transcript_of(texts), suspect, Window(32, 8))
    expected = [scores[32:40].mean() for scores in suspect.token_logprobs(texts)]
    np.testing.assert_allclose(from_texts, expected, atol=1e-5)


def test_a_window_asks_for_no_more_than_it_needs():
    speaker = Speaker()
    mean_logprobs(transcript_of(walks(30, 90)), speaker, PUBLISHED_WINDOW)
    assert {len(s) for s in speaker.asked} == {64}


def test_sequences_that_are_too_short_are_left_out_and_counted():
    sequences = walks(40, 50) + walks(7, 33, seed=1) + walks(3, 32, seed=2)
    finding = query_test(transcript_of(sequences), Speaker(), seed=1, window=PUBLISHED_WINDOW)
    assert finding.n == 47
    assert any("3 sequences that are too short" in w for w in finding.warnings)
    with pytest.raises(InsufficientEvidence, match="only 29 distinct sequences"):
        query_test(
            transcript_of(walks(29, 50) + walks(5, 9)), Speaker(), seed=1, window=PUBLISHED_WINDOW
        )


@pytest.mark.parametrize(("prefix", "tokens"), [(-1, 2), (0, 0)])
def test_a_window_that_is_none_is_refused(prefix, tokens):
    with pytest.raises(InvalidInput, match="prefix of 0 or more"):
        Window(prefix, tokens)


# ---- covariates -----------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8))
def test_covariates_equal_their_definition(ids):
    sequences = [tuple(s) for s in ids]
    np.testing.assert_array_equal(
        covariate_values(Covariate.LENGTH, sequences), [len(s) for s in sequences]
    )
    packed = [len(zlib.compress(np.array(s, "<i8").tobytes())) / len(s) for s in sequences]
    np.testing.assert_allclose(covariate_values(Covariate.ZLIB, sequences), packed)
    counts = Counter(pair for s in sequences for pair in pairwise(s))
    every = counts.total()
    rarity = [
        np.mean([-math.log(counts[p] / every) for p in pairwise(s)]) if len(s) > 1 else 0.0
        for s in sequences
    ]
    np.testing.assert_allclose(covariate_values(Covariate.RARITY, sequences), rarity, atol=1e-12)
    words = [" ".join(f"w{i}" for i in s) for s in sequences]
    np.testing.assert_allclose(covariate_values(Covariate.RARITY, words), rarity, atol=1e-12)


def test_a_covariate_makes_a_faint_order_visible():
    rng = np.random.default_rng(2)
    lengths = rng.integers(20, 200, 500)
    sequences = [tuple(int(i) for i in rng.integers(0, 9, n)) for n in lengths]
    scores = 0.05 * lengths + 0.003 * np.arange(500) + rng.normal(size=500)
    alone = order_test(transcript_of(sequences), scores, [], seed=1)
    after = order_test(transcript_of(sequences), scores, [], seed=1, covariates=[Covariate.LENGTH])
    assert after.log10_p < -8 < alone.log10_p
    assert after.name == "palimpsest query (residual)"
    assert any("after length" in a for a in after.assumptions)


def test_covariates_belong_to_the_residual():
    order, scores = transcript_of(walks(40, 9)), np.arange(40.0)
    for statistic in (QueryStatistic.LIKELIHOOD, QueryStatistic.DIFFERENCE):
        with pytest.raises(InvalidInput, match="do not go together"):
            order_test(order, scores, [], seed=1, statistic=statistic, covariates=[Covariate.ZLIB])


# ---- sequences ------------------------------------------------------------------------------------


def test_repeated_sequences_count_once():
    """Else a sequence that was read a hundred times would pass for a hundred observations."""
    sequences = walks(60, 20)
    often = [*sequences, *[sequences[0]] * 100]
    finding = query_test(transcript_of(often), Speaker(), seed=1)
    assert finding.n == 60
    assert any(
        "1 of the 60 distinct sequences were trained on repeatedly" in w for w in finding.warnings
    )
    assert any("160 rows in all" in w for w in finding.warnings)


def test_of_whole_epochs_the_last_counts():
    """Its order was drawn by itself, and is remembered best."""
    rng = np.random.default_rng(5)
    sequences = walks(40, 20)
    epochs = [rng.permutation(40) for _ in range(3)]
    order = transcript_of([sequences[i] for epoch in epochs for i in epoch])
    asked = prepared(order, WHOLE).transcript
    assert dict(zip(asked.sequences, asked.steps, strict=True)) == {
        sequences[i]: 80 + place for place, i in enumerate(epochs[2])
    }


def test_a_last_pass_over_chosen_sequences_does_not_make_them_late():
    """Annealing on the best data: who comes once more was chosen by content."""
    sequences = walks(100, 20)
    order = transcript_of([*sequences, *sequences[:40]])
    asked = prepared(order, WHOLE).transcript
    assert dict(zip(asked.sequences, asked.steps, strict=True)) == {
        s: place for place, s in enumerate(sequences)
    }


def test_which_copy_stands_for_a_sequence_is_drawn_where_numbers_differ():
    """The last of many copies would be late, whatever the order."""
    rng, ranks = np.random.default_rng(9), []
    for number in range(200):
        sequences = walks(40, 20, seed=number)
        often = [*sequences, *sequences[:10] * 20]
        order = transcript_of(often, rng.permutation(len(often)))
        asked = prepared(order, WHOLE).transcript
        taken = dict(zip(asked.sequences, asked.steps, strict=True))
        for s in sequences[:10]:
            copies = sorted(order.steps[[other == s for other in often]])
            ranks.append(copies.index(taken[s]))
    counts = np.bincount(ranks, minlength=21)
    assert binom.ppf(1e-7, 2_000, 1 / 21) <= counts.min()
    assert counts.max() <= binom.isf(1e-7, 2_000, 1 / 21)


def test_in_a_sample_equal_steps_are_no_epochs():
    """Two large batches from the ends of a run: copies in both would all pass for late ones."""
    sequences = walks(100, 20)
    order = transcript_of([*sequences, *sequences[:50]], [0] * 100 + [9] * 50)
    asked = prepared(replace(order, description="150 of 9,000 sequences were used"), WHOLE)
    taken = dict(zip(asked.transcript.sequences, asked.transcript.steps, strict=True))
    assert {taken[s] for s in sequences[50:]} == {0}
    assert 10 < sum(taken[s] == 9 for s in sequences[:50]) < 40
    assert any("drawn by lot" in note for note in asked.notes)


def test_an_order_that_follows_the_contents_is_called_so():
    """A curriculum from short to long: no model need be asked to see it."""
    sequences = sorted((walk[:n] for n, walk in enumerate(walks(300, 320), 10)), key=len)
    finding = query_test(transcript_of(sequences), Speaker(), seed=1)
    assert any("THE ORDER IS NOT RANDOM: the length" in w for w in finding.warnings)
    mixed = np.random.default_rng(1).permutation(300)
    finding = query_test(transcript_of(sequences, mixed), Speaker(), seed=1)
    assert not any("NOT RANDOM" in w for w in finding.warnings)


@pytest.mark.parametrize("batch", [1, 64])
def test_documents_that_were_cut_after_shuffling_are_noticed(batch):
    """Pieces of one document stay side by side, also within a batch, and are alike."""
    rng = np.random.default_rng(3)
    pieces = walks(800, 20)
    difficulty = np.repeat(rng.normal(size=100), 8)
    speaker = Speaker("innocent", dict(zip(pieces, difficulty, strict=True)))
    order = transcript_of(pieces, np.arange(800) // batch)
    finding = query_test(order, speaker, seed=1)
    assert any("similar scores" in w for w in finding.warnings)
    if batch == 1:
        found = query_sequentially(order, speaker, alpha=1e-9, seed=1).finding
        assert any("similar scores" in w for w in found.warnings)


def test_rows_in_any_order_give_the_same_finding_to_the_last_bit():
    sequences = [*walks(60, 20), *walks(5, 20)] + [walks(60, 20)[3]] * 4
    steps = np.random.default_rng(1).permutation(len(sequences))
    mixed = np.random.default_rng(2).permutation(len(sequences))
    one = query_test(transcript_of(sequences, steps), Speaker(), seed=1)
    other = query_test(
        transcript_of([sequences[i] for i in mixed], steps[mixed]), Speaker(), seed=1
    )
    assert one == other


def test_false_alarms_with_repeated_sequences_stay_within_the_level():
    """Scores depend on the sequence, and hard ones are repeated: the p-values must not notice."""
    rng = np.random.default_rng(4)
    sequences = walks(80, 20)
    repeated = sequences + [s for s in sequences[:20] for _ in range(5)]
    memory = {s: 3.0 if s in set(sequences[:20]) else float(rng.normal()) for s in sequences}
    speaker = Speaker("innocent", memory)
    p_values = []
    for run in range(200):
        steps = rng.permutation(len(repeated)) // 4
        asked = prepared(transcript_of(repeated, steps), WHOLE).transcript
        scores = mean_logprobs(asked, speaker)
        p_values.append(order_test(asked, scores, [], seed=run, method=SpearmanMethod.T).p_value)
    for level in (0.05, 0.01):
        assert (np.array(p_values) <= level).sum() <= binom.ppf(1 - 1e-6, 200, level)


# ---- models ---------------------------------------------------------------------------------------


def test_a_model_that_remembers_the_order_is_found_and_says_what_was_fixed():
    sequences = walks(400, 40)
    finding = query_test(
        transcript_of(sequences),
        remembering(sequences, 1.0),
        seed=1,
        references=[Speaker("other")],
        covariates=[Covariate.ZLIB],
        window=Window(5),
    )
    assert finding.log10_p < -20
    said = " ".join(finding.assumptions)
    assert "after references and zlib" in said
    assert "all tokens after a prefix of 5" in said


def test_a_reference_that_follows_the_order_is_pointed_out():
    sequences = walks(400, 40)
    finding = query_test(
        transcript_of(sequences),
        Speaker(),
        seed=1,
        references=[remembering(sequences, 1.0), Speaker("other")],
    )
    (doubt,) = [w for w in finding.warnings if "follows the training order itself" in w]
    assert doubt.startswith("Reference guilty")


def test_an_earlier_checkpoint_is_no_reference():
    """It prefers early sequences; what is left after it rises with the order, whoever is suspected."""
    sequences = walks(600, 20)
    earlier = Speaker("checkpoint", {s: 0.4 * (i < 300) for i, s in enumerate(sequences)})
    order = transcript_of(sequences)
    with pytest.raises(InvalidInput, match="reference checkpoint prefers early sequences"):
        query_test(order, Speaker("innocent"), seed=1, references=[earlier])
    with pytest.raises(InvalidInput, match="reference checkpoint prefers early sequences"):
        query_sequentially(order, Speaker("innocent"), alpha=1e-3, seed=1, references=[earlier])


def test_a_reference_that_may_prefer_early_sequences_is_pointed_out():
    rng = np.random.default_rng(1)
    sequences = walks(400, 20)
    noise = dict(zip(sequences, 0.3 * rng.normal(size=400), strict=True))
    doubtful = Speaker("doubtful", {s: noise[s] - 0.15 * i / 400 for i, s in enumerate(sequences)})
    finding = query_test(transcript_of(sequences), Speaker(), seed=1, references=[doubtful])
    assert any("seems to prefer early sequences" in w for w in finding.warnings)


def test_ids_of_another_tokenizer_are_noticed():
    """A model finds the words of its own tokenizer likelier in their order than mixed."""
    sequences = walks(60, 40)
    names = np.random.default_rng(1).permutation(1_000)
    alien = [tuple(int(names[i]) for i in s) for s in sequences]
    own, other = (query_test(transcript_of(s), Speaker(), seed=1) for s in (sequences, alien))
    assert not any("another tokenizer's" in w for w in own.warnings)
    assert any("another tokenizer's" in w for w in other.warnings)


# ---- step by step ---------------------------------------------------------------------------------


def test_asking_stops_when_the_evidence_suffices():
    sequences = walks(4_000, 20)
    guilty, reference = remembering(sequences, 2.0), Speaker("other")
    order = transcript_of(sequences)
    result = query_sequentially(order, guilty, alpha=1e-3, seed=1, references=[reference])
    assert result.reached
    assert result.finding.e_value.log10_e >= 3
    assert result.n_scored < 100 < result.n_sequences == 4_000
    asked = guilty.asked[: result.n_scored]  # then come those of the check of the tokenizer
    assert asked == reference.asked
    # Furthest apart first: of the ends alone, and mixed.
    assert {*asked} <= {*sequences[:50], *sequences[-50:]}
    halves = [s in sequences[:50] for s in asked]
    assert 5 < sum(halves[: len(halves) // 2]) < len(halves) // 2 - 5


def test_an_innocent_model_is_asked_all_and_a_budget_is_kept():
    sequences = walks(101, 20)
    innocent = Speaker()
    result = query_sequentially(transcript_of(sequences), innocent, alpha=0.01, seed=1)
    assert not result.reached
    assert result.n_scored == 100
    assert result.finding.n == 50
    frugal = Speaker()
    result = query_sequentially(transcript_of(sequences), frugal, alpha=0.01, seed=1, budget=41)
    assert result.n_scored == 40
    with pytest.raises(InvalidInput, match="at least 2 sequences"):
        query_sequentially(transcript_of(sequences), frugal, alpha=0.01, seed=1, budget=1)


def test_false_alarms_step_by_step_stay_within_the_level():
    """Heavy tails, many equal steps, stopping at will: at most alpha of all orders ever reach 1/alpha."""
    rng = np.random.default_rng(6)
    sequences = walks(120, 10)
    reached = 0
    for run in range(300):
        speaker = Speaker("innocent", dict(zip(sequences, rng.standard_cauchy(120), strict=True)))
        steps = rng.permutation(120) // 8
        result = query_sequentially(transcript_of(sequences, steps), speaker, alpha=0.05, seed=run)
        reached += result.reached
    assert reached <= binom.ppf(1 - 1e-6, 300, 0.05)


# ---- advice ---------------------------------------------------------------------------------------


def test_advice_prefers_the_reference_that_shows_most():
    """One reference finds the same sequences hard as the model does; the other is noise."""
    rng = np.random.default_rng(8)
    sequences = walks(600, 20)
    hard = dict(zip(sequences, rng.normal(size=600), strict=True))
    own = Speaker("own", {s: hard[s] + 1.0 * i / 600 for i, s in enumerate(sequences)})
    good = Speaker("good", {s: hard[s] + 0.3 * rng.normal() for s in sequences})
    bad = Speaker("bad", {s: float(rng.normal()) for s in sequences})
    options = advise(transcript_of(sequences), own, seed=1, references=[good, bad])
    assert "good" in options[0].references
    alone = {o.references: o for o in options if not o.covariates}
    assert set(alone) == {(), ("good",), ("bad",), ("good", "bad")}
    assert alone["good",].needed < alone[()].needed / 2
    assert alone["good",].needed <= alone["good",].needed_at_worst
    assert [o.pilot.effect for o in options] == sorted(
        (o.pilot.effect for o in options), reverse=True
    )


def test_where_nothing_shows_no_number_is_promised():
    sequences = walks(60, 20)
    against = Speaker("own", {s: -1.0 * (i // 2) for i, s in enumerate(sequences)})
    (first, *_) = advise(transcript_of(sequences), against, seed=1)
    assert first.needed is None
    assert first.needed_at_worst is None
    with pytest.raises(InvalidInput, match="alpha < power"):
        advise(transcript_of(sequences), against, seed=1, alpha=0.9, power=0.5)
