"""Tail probabilities against enumeration and mpmath."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from bookplate.stats import tails

# Float64 rounding of sums of a dozen terms moves a log10 by far less than this.
ROUNDING = 1e-9


def random_design(rng):
    """Up to six units of two to five centred choices, of very unequal size."""
    sizes = rng.integers(2, 6, size=rng.integers(1, 7))
    while math.prod(sizes.tolist()) > 2_000:
        sizes = sizes[1:]
    units = []
    for size in sizes:
        kind = rng.integers(4)
        unit = rng.normal(size=size) if kind < 2 else rng.integers(-2, 3, size=size).astype(float)
        unit *= 10.0 ** rng.uniform(-3, 3) if kind % 2 else 1.0
        units.append(unit - unit.mean())
    return units


def flat(units):
    starts = np.concatenate([[0], np.cumsum([len(u) for u in units])])
    return np.concatenate(units), starts


def all_sums(units):
    return np.array([sum(pick) for pick in itertools.product(*units)])


def hoeffding_log10(units, t):
    """Hoeffding (1963), theorem 2."""
    squares = sum((max(u) - min(u)) ** 2 for u in units)
    return -2 * t**2 / squares / math.log(10) if squares > 0 and t > 0 else 0.0


def test_the_bound_lies_between_the_exact_tail_and_hoeffding():
    rng = np.random.default_rng(20_260_401)
    n_checked = 0
    for _ in range(400):
        units = random_design(rng)
        sums = all_sums(units)
        scale = sum(np.abs(u).sum() for u in units)
        for t in [*rng.choice(sums, size=4), sums.max(), np.sort(sums)[-2]]:
            exact = math.log10(np.mean(sums >= t - 1e-12 * scale))
            bound = tails.chernoff_log10_p(*flat(units), t)
            assert exact - ROUNDING <= bound <= 0
            assert bound <= hoeffding_log10(units, t) + ROUNDING
            n_checked += t > 0
    assert n_checked > 1_000  # the law is not met by t <= 0 alone


def test_for_sign_flips_the_bound_is_below_the_subgaussian_one():
    """With two choices +-d, Hoeffding's bound reads exp(-t^2 / (2 sum d^2))."""
    rng = np.random.default_rng(2)
    for n in (1, 5, 50, 500):
        d = rng.exponential(size=n)
        t = 0.8 * d.sum()
        bound = tails.chernoff_log10_p(*flat([np.array([v, -v]) for v in d]), t)
        assert bound <= -(t**2) / (2 * (d**2).sum()) / math.log(10) + ROUNDING


def test_at_the_maximum_the_bound_nears_the_exact_probability():
    """All of n alike sign flips: exactly 2^-n; the search reaches it to three digits of the log."""
    for n in (1, 10, 1_000):
        bound = tails.chernoff_log10_p(*flat([np.array([1.0, -1.0])] * n), float(n))
        assert bound == pytest.approx(-n * math.log10(2), rel=1e-3)
        assert bound >= -n * math.log10(2)


def test_the_bound_is_near_the_binomial_tail():
    """70 of 100 signs: within the factor sqrt(2 pi n p q) lambda that Chernoff gives away."""
    bound = tails.chernoff_log10_p(*flat([np.array([1.0, -1.0])] * 100), 40.0)
    exact = math.log10(sum(math.comb(100, k) for k in range(70, 101)) / 2**100)
    assert exact <= bound <= exact + 1.1


@pytest.mark.parametrize("scale", [2.0**-200, 2.0**-20, 2.0**30, 2.0**200])
def test_the_bound_does_not_depend_on_the_unit_of_measurement(scale):
    units = [np.array([1.0, -0.5, -0.5]), np.array([2.0, -2.0]), np.array([0.25, -0.25])]
    values, starts = flat(units)
    assert tails.chernoff_log10_p(values * scale, starts, 3.0 * scale) == pytest.approx(
        tails.chernoff_log10_p(values, starts, 3.0), rel=1e-12
    )


@pytest.mark.parametrize("t", [0.0, -1.0])
def test_below_the_mean_the_bound_says_nothing(t):
    assert tails.chernoff_log10_p(*flat([np.array([1.0, -1.0])]), t) == 0


def test_without_spread_the_bound_says_nothing():
    assert tails.chernoff_log10_p(*flat([np.zeros(2)]), 1.0) == 0


def test_the_monte_carlo_p_counts_the_observed_value_and_is_never_zero():
    assert tails.monte_carlo_log10_p(0, 99) == -2
    assert tails.monte_carlo_log10_p(99, 99) == 0
    assert tails.monte_carlo_log10_p(4, 99) == math.log10(
        0.05
    )  # the very float: it rejects at 0.05
    assert tails.monte_carlo_log10_p(99, 99_999) == math.log10(0.001)


@pytest.mark.parametrize("n", [3, 4, 10, 500, 16_000])
@pytest.mark.parametrize("rho", [-0.9, -0.01, 0.0, 1e-9, 0.01, 0.3, 0.7, 0.99])
def test_students_tail_is_that_of_mpmath(n, rho):
    """Relative 1e-10 of log10 p: the error of `betainc`, and of n additions of logs, is far smaller."""
    assert tails.student_t_log10_sf(rho, n) == pytest.approx(
        mpmath_log10_sf(rho, n), rel=1e-10, abs=1e-14
    )


@pytest.mark.parametrize("target", [-270, -279, -281, -290, -307, -324, -400, -1_000, -10_000])
@pytest.mark.parametrize("n", [4_000, 100_000])
def test_students_tail_is_right_far_below_the_smallest_float(n, target):
    """To 1e-10 of log10 p, so to 3 digits of p itself at 1e-400, and where the formula switches."""
    rho = math.sqrt(1 - 10 ** (2 * target / (n - 2)))  # p is near (1 - rho^2)^((n - 2) / 2)
    log10_p = tails.student_t_log10_sf(rho, n)
    assert log10_p == pytest.approx(target, rel=0.05)
    assert log10_p == pytest.approx(mpmath_log10_sf(rho, n), rel=1e-10)


def test_students_tails_of_both_sides_sum_to_one():
    for rho in np.linspace(-1, 1, 41):
        both = 10 ** tails.student_t_log10_sf(rho, 12) + 10 ** tails.student_t_log10_sf(-rho, 12)
        assert both == pytest.approx(1, abs=1e-13)


def test_students_tail_falls_with_rho():
    curve = [tails.student_t_log10_sf(rho, 2_000) for rho in np.linspace(-1, 1, 2_001)]
    assert (np.diff(curve) <= 0).all()
    assert all(-math.inf < p <= 0 for p in curve)


def mpmath_log10_sf(rho: float, n: int) -> float:
    """The upper tail of r under Student's law, by DLMF 8.17 in 60 digits."""
    with mpmath.workdps(60):
        r = mpmath.mpf(rho)
        tail = mpmath.betainc(mpmath.mpf(n - 2) / 2, 0.5, 0, 1 - r * r, regularized=True) / 2
        return float(mpmath.log10(tail if rho >= 0 else 1 - tail))
