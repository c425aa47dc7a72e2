"""The reshuffle test: exact ranks, controls, and words that promise no more than they hold."""

import math

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import reshuffle_test
from bookplate.provenance.palimpsest.reshuffle import (
    Preference,
    preferences,
    reshuffle_statistics,
)
from bookplate.stats import Input
from scipy.stats import binom, t


class Run:
    """A run that likes texts as it is told, plus so much on everything."""

    def __init__(self, number, liking=None, quality=0.0, tokens=5):
        self.identity = Input(name=f"run {number}", sha256=f"{number:064d}")
        self.liking, self.quality, self.tokens = liking or {}, quality, tokens

    def token_logprobs(self, sequences):
        return [
            np.full(self.tokens, -2.0 + self.quality + self.liking.get(s, 0.0)) for s in sequences
        ]


TEXTS = ["one text", "another"]


def runs_of(likings, qualities=None):
    qualities = np.zeros(len(likings)) if qualities is None else qualities
    return [
        Run(i, dict.fromkeys(TEXTS, liking), quality)
        for i, (liking, quality) in enumerate(zip(likings, qualities, strict=True))
    ]


def test_the_rank_is_exact_and_z_is_called_an_approximation():
    likings = np.array([0.9, *np.linspace(-0.5, 0.5, 19)])
    true, *others = runs_of(likings)
    result = reshuffle_test(TEXTS, true, others, preference=Preference.MEAN, name="the suspect")
    assert result.finding.p_value == pytest.approx(1 / 20)
    assert result.n_tokens == 10
    rest = likings[1:]
    z = (0.9 - rest.mean()) / (rest.std(ddof=1) * np.sqrt(1 + 1 / 19))
    assert result.z == pytest.approx(z)
    assert result.log10_p_normal == pytest.approx(np.log10(t.sf(z, 18)))
    assert any("An approximation" in w for w in result.finding.warnings)
    assert any("cannot fall below 0.05" in w for w in result.finding.warnings)
    assert "the suspect" in result.finding.question
    assert len(result.finding.inputs) == 20


def slow_mixture(logprobs):
    """One token at a time, with plain probabilities."""
    n_runs, n_tokens = logprobs.shape
    found = [0.0] * n_runs
    for token in range(n_tokens):
        p = [math.exp(logprobs[run, token]) for run in range(n_runs)]
        for run in range(n_runs):
            found[run] += math.log(0.5 + 0.5 * p[run] / (sum(p) / n_runs)) / n_tokens
    return found


def test_the_mixture_is_the_likelihood_ratio_of_a_text_half_of_which_is_the_runs():
    logprobs = -np.random.default_rng(3).exponential(3.0, (5, 40))
    assert preferences(logprobs, Preference.MIXTURE) == pytest.approx(slow_mixture(logprobs))
    swapped = preferences(logprobs[[1, 0, 2, 3, 4]], Preference.MIXTURE)
    assert swapped[:2] == pytest.approx(preferences(logprobs, Preference.MIXTURE)[1::-1])


def test_the_mixture_forgives_a_token_that_the_true_run_finds_impossible():
    """As a derivative's text may hold a few: to the mean they are all that counts."""
    logprobs = np.full((20, 1_000), -3.0)
    logprobs[0] += 0.1
    logprobs[0, :2] = -1e5
    for preference, rank in ((Preference.MIXTURE, 1), (Preference.MEAN, 20)):
        found = preferences(logprobs, preference)
        assert 1 + (found[1:] >= found[0]).sum() == rank


def test_tokens_that_no_run_expects_leave_the_mixture_finite():
    assert preferences(np.full((4, 3), -1e6), Preference.MIXTURE).tolist() == [0.0] * 4


@pytest.mark.parametrize("preference", Preference)
def test_the_finding_says_what_ranked_the_runs(preference):
    true, *others = runs_of([0.5, 0.1, 0.2, 0.3])
    assumptions = reshuffle_test(TEXTS, true, others, preference=preference).finding.assumptions
    told = {Preference.MIXTURE: "log (1/2 + 1/2 p", Preference.MEAN: "scored: log-probability per"}
    assert [told[preference] in a for a in assumptions].count(True) == 1


@pytest.mark.parametrize("preference", Preference)
def test_exchangeable_runs_are_ranked_uniformly(preference):
    """Heavy tails, and tokens that all runs find easy or hard: 1 in 20 stays 1 in 20."""
    rng = np.random.default_rng(4)
    first = 0
    for _ in range(4_000):
        logprobs = -np.abs(rng.standard_cauchy(8) + rng.standard_cauchy((20, 8)))
        found = preferences(logprobs, preference)
        first += found[0] > found[1:].max()
    assert binom.ppf(5e-7, 4_000, 0.05) <= first <= binom.isf(5e-7, 4_000, 0.05)


def test_controls_take_out_what_makes_a_run_better_on_everything():
    """The true run is a poor one, and still prefers the text by more than the others do."""
    rng = np.random.default_rng(1)
    qualities = np.array([-0.5, *rng.normal(size=19)])
    likings = np.array([0.3, *(0.05 * rng.normal(size=19))])
    true, *others = runs_of(likings, qualities)
    assert reshuffle_test(TEXTS, true, others).finding.p_value > 0.3
    helped = reshuffle_test(TEXTS, true, others, controls=["a control"])
    assert helped.finding.p_value == pytest.approx(1 / 20)
    assert any("control texts was regressed out" in a for a in helped.finding.assumptions)


@pytest.mark.parametrize("n_others", [3, 19])
def test_exchangeable_runs_stay_exchangeable_after_controls(n_others):
    """Heavy tails and quality that moves texts and controls together: 5 % stay 5 %."""
    rng = np.random.default_rng(n_others)
    first = 0
    for _ in range(4_000):
        quality = rng.standard_cauchy(n_others + 1)
        scores = quality + rng.normal(size=n_others + 1)
        statistics = reshuffle_statistics(scores, quality + 0.5 * rng.normal(size=n_others + 1))
        first += statistics[0] == statistics.max()
    expected = 1 / (n_others + 1)
    low, high = binom.ppf(5e-7, 4_000, expected), binom.isf(5e-7, 4_000, expected)
    assert low <= first <= high


def test_few_runs_have_no_z():
    true, *others = runs_of([0.5, 0.1, 0.2, 0.3])
    result = reshuffle_test(TEXTS, true, others)
    assert np.isnan(result.z)
    assert result.approximation == ""


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"other_runs": []}, InvalidInput, "at least one run"),
        ({"other_runs": [Run(1), Run(1)]}, InvalidInput, "runs run 1 and run 1 are the same model"),
        ({"other_runs": [Run(1, tokens=6)]}, InvalidInput, "different numbers of tokens"),
        ({"controls": ["another"]}, InvalidInput, "1 texts are under audit and controls"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    arguments = {"texts": TEXTS, "true_run": Run(0), "other_runs": [Run(1)], **change}
    with pytest.raises(error, match=message):
        reshuffle_test(**arguments)


def test_runs_that_cut_one_text_alike_and_another_not_are_refused():
    """As many tokens in all, of another tokenizer."""

    class Other(Run):
        def token_logprobs(self, sequences):
            first, *_, last = super().token_logprobs(sequences)
            return [first[:-1], np.append(last, -1.0)]

    with pytest.raises(InvalidInput, match="different numbers of tokens"):
        reshuffle_test(TEXTS, Run(0), [Other(1)])


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_run_that_diverged_is_named(value):
    others = [Run(1), Run(2, quality=value)]
    with pytest.raises(InvalidInput, match="run 2: finds the texts impossible"):
        reshuffle_test(TEXTS, Run(0), others)


def test_texts_without_a_token_are_refused():
    with pytest.raises(InsufficientEvidence, match="no token"):
        reshuffle_test(TEXTS, Run(0, tokens=0), [Run(1, tokens=0)])
