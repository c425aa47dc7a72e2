"""Power laws of influence: estimates, intervals, what is refused."""

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.influence.tail import (
    _p_of_distance,
    fit_power_law,
    hill_curve,
    tail_points,
)
from scipy.stats import binom, kstest


def pareto(rng, alpha, n):
    return rng.pareto(alpha - 1, n) + 1


def test_alpha_is_the_maximum_of_the_likelihood():
    x = pareto(np.random.default_rng(1), 2.7, 400)
    fit = fit_power_law(x, seed=1, fraction=0.25)
    tail = np.sort(x)[-100:]
    u = np.sort(x)[-101]
    assert (fit.n_tail, fit.threshold, fit.fraction) == (100, u, 0.25)
    grid = np.linspace(1.01, 6, 50_000)
    likelihood = 100 * np.log((grid - 1) / u) - grid * np.log(tail / u).sum()
    assert fit.alpha.value == pytest.approx(grid[likelihood.argmax()], abs=2e-4)


@pytest.mark.parametrize("alpha", [2.0, 3.0, 4.3])
def test_the_interval_covers_a_power_law(alpha):
    """Exactly 95 %; 200 runs on either side of it fail by chance once in 1,000."""
    missed = 0
    for seed in range(200):
        x = pareto(np.random.default_rng(seed), alpha, 2_000)
        curve = hill_curve(x, [40])
        missed += not curve[0].low <= alpha <= curve[0].high
    assert binom.ppf(0.0005, 200, 0.05) <= missed <= binom.isf(0.0005, 200, 0.05)


def test_the_curve_agrees_with_the_fit():
    x = pareto(np.random.default_rng(2), 2.5, 1_000)
    fit = fit_power_law(x, seed=1, fraction=0.1)
    fits = (fit, fit_power_law(x, seed=1, fraction=0.05))
    for one, other in zip(hill_curve(x, [100, 50]), fits, strict=True):
        assert one.value == pytest.approx(other.alpha.value)
        assert one.high == pytest.approx(other.alpha.high)


def test_p_of_a_power_law_is_uniform():
    """Kolmogorov-Smirnov at 0.1 %; the 1e-3 refers to this fixed seed, so it never flickers."""
    p = [
        fit_power_law(pareto(np.random.default_rng(s), 2.5, 200), seed=s, fraction=0.3).p_power_law
        for s in range(60)
    ]
    assert kstest(p, "uniform").pvalue > 1e-3


def test_a_normal_tail_is_told_from_a_power_law():
    x = np.random.default_rng(3).normal(size=20_000)
    fit = fit_power_law(x, seed=1, fraction=0.1)
    assert fit.p_power_law < 0.01
    assert any("does not look like" in text for text in fit.warnings)
    slopes = [effect.value for effect in hill_curve(x, [2_000, 200, 20])]
    assert slopes == sorted(slopes)


def test_the_distance_is_that_of_scipy():
    x = pareto(np.random.default_rng(4), 3, 300)
    fit = fit_power_law(x, seed=1, fraction=0.5)
    logs = np.log(np.sort(x)[-150:] / fit.threshold)
    assert fit.ks_distance == pytest.approx(kstest(logs / logs.mean(), "expon").statistic)
    assert _p_of_distance(1.0, 150, np.random.default_rng(1)) == pytest.approx(0.001)


def test_the_unit_and_what_is_not_positive_do_not_matter():
    x = pareto(np.random.default_rng(5), 2.5, 1_000)
    low = np.concatenate((x, -x, np.zeros(500)))
    one, other = fit_power_law(x, seed=1, least=60), fit_power_law(1e-9 * low, seed=1, least=60)
    assert one.alpha.value == pytest.approx(other.alpha.value)
    assert other.fraction == pytest.approx(0.024)
    assert any("widened to 60" in text for text in one.warnings)


def test_few_positive_values_and_ties_are_warned_of():
    x = np.concatenate((pareto(np.random.default_rng(6), 2.5, 30).round(1), np.full(970, -1.0)))
    fit = fit_power_law(x, seed=1, fraction=0.5)
    assert fit.n_tail == 29
    assert any("only 30 are positive" in text for text in fit.warnings)
    assert any("equal another value" in text for text in fit.warnings)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([], InsufficientEvidence, "0 values are positive"),
        (np.arange(11) - 0.0, InsufficientEvidence, "10 values are positive"),
        (-np.arange(100.0), InsufficientEvidence, "0 values"),
        (np.ones(100), InsufficientEvidence, "all equal"),
        ([np.nan] * 20, InvalidInput, "not finite"),
    ],
)
def test_what_has_no_tail_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        fit_power_law(x, seed=1)
    with pytest.raises(error):
        hill_curve(x, [10])


@pytest.mark.parametrize(
    "changes", [{"fraction": 0}, {"fraction": 1.1}, {"least": 0}, {"seed": -1}]
)
def test_malformed_options_are_refused(changes):
    with pytest.raises(InvalidInput, match=next(iter(changes))):
        fit_power_law(np.arange(1.0, 99), **{"seed": 1, **changes})
    with pytest.raises(InvalidInput, match=r"\[10, 97\]"):
        hill_curve(np.arange(1.0, 99), [98])


def test_points_of_the_picture():
    x = np.concatenate((pareto(np.random.default_rng(7), 2.5, 5_000), -np.ones(5_000)))
    values, shares = tail_points(x, points=50)
    assert 30 < values.size <= 50
    assert values[0] == x.max()
    assert shares[0] == pytest.approx(1e-4)
    assert shares[-1] == pytest.approx(0.5)
    for value, share in zip(values, shares, strict=True):
        assert share == pytest.approx(np.mean(x >= value))
    with pytest.raises(InsufficientEvidence, match="no document"):
        tail_points([0.0])
