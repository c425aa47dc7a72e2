"""Power: formulas against the tests themselves, against other programs, limits, search, refusals."""

import itertools
import math

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Alternative, choice_test, ghost_test, paired_test, spearman_test
from bookplate.stats.permutation_bound import permutation_log10_p
from bookplate.stats.power import forecast, formulas
from bookplate.stats.power.forecast import (
    PowerTest,
    forecast_power,
    power_choice,
    power_paired,
    power_spearman,
    sample_size,
)
from bookplate.stats.power.levels import level_text
from bookplate.stats.power.pilot import pilot_effect
from bookplate.stats.power.simulation import simulate_power
from bookplate.stats.tails import student_t_log10_sf
from scipy.stats import binom, norm
from statsmodels.stats.power import TTestPower

GREATER, LESS, BOTH = Alternative.GREATER, Alternative.LESS, Alternative.TWO_SIDED
CHANCE = 1e-6  # a formula within its stated error fails a test by chance once in a million seeds


def assert_near(simulated, stated, error):
    """The count is one that a true power within `error` of the stated one would give."""
    n = simulated.n_datasets
    low = binom.ppf(CHANCE / 2, n, max(stated - error, 0.0))
    high = binom.ppf(1 - CHANCE / 2, n, min(stated + error, 1.0))
    assert low <= simulated.n_reached <= high, (simulated.power, stated)


# (n, effect, log10 alpha): enumerated, drawn, by the bound; 0.03 is the error the docstring states.
SIGN_GRID = [
    (12, 0.8, -2.0), (16, 1.0, -3.0), (25, 0.6, -1.3), (25, 1.2, -5.0), (25, 1.2, -6.0),
    (40, 0.5, -3.0), (40, 1.0, -6.0), (40, 1.5, -9.0), (100, 0.5, -6.0), (100, 0.8, -12.0),
]  # fmt: skip


@pytest.mark.parametrize(("n", "effect", "level"), SIGN_GRID)
def test_sign_flip_power_is_that_of_the_test(n, effect, level):
    options = {"log10_alpha": level, "alternative": GREATER}
    simulated = simulate_power(PowerTest.PAIRED, n, effect, seed=1, n_datasets=150, **options)
    assert_near(simulated, power_paired(n, effect, **options).power, 0.03)


def test_choices_between_two_are_sign_flips():
    for n, effect, level in [(16, 1.0, -3.0), (25, 1.2, -6.0)]:
        options = {"log10_alpha": level, "alternative": GREATER}
        simulated = simulate_power(PowerTest.CHOICE, n, effect, seed=1, n_datasets=100, **options)
        assert_near(simulated, power_choice(n, effect, **options).power, 0.03)


@pytest.mark.parametrize(
    ("n", "rho", "level", "error"),
    [
        (8, 0.8, -2.0, 0.2), (15, 0.8, -3.0, 0.1), (30, 0.5, -3.0, 0.03), (60, 0.4, -2.0, 0.03),
        (60, 0.6, -6.0, 0.05), (500, 0.2, -4.0, 0.03), (500, 0.3, -9.0, 0.03),
        (500, 0.5, -30.0, 0.05), (2000, 0.2, -20.0, 0.03),
    ],
)  # fmt: skip
def test_spearman_power_is_that_of_the_test(n, rho, level, error):
    options = {"log10_alpha": level, "alternative": GREATER}
    simulated = simulate_power(PowerTest.SPEARMAN, n, rho, seed=2, n_datasets=150, **options)
    assert_near(simulated, power_spearman(n, rho, **options).power, error)


@pytest.mark.parametrize("test", [PowerTest.PAIRED, PowerTest.SPEARMAN])
def test_two_sided_and_less(test):
    options = {"alpha": 1e-3, "n_datasets": 150, "seed": 3}
    for alternative, effect in [(BOTH, 0.5), (BOTH, -0.5), (LESS, -0.5)]:
        simulated = simulate_power(test, 40, effect, alternative=alternative, **options)
        stated = forecast_power(test, 40, effect, log10_alpha=-3, alternative=alternative).power
        assert_near(simulated, stated, 0.03)
    assert (
        forecast_power(test, 40, -0.5, log10_alpha=-3, alternative=LESS).power
        == forecast_power(test, 40, 0.5, log10_alpha=-3, alternative=GREATER).power
    )


def test_simulation_repeats_itself_and_grows():
    options = {"alpha": 0.05, "alternative": GREATER, "seed": 7}
    short = simulate_power(PowerTest.PAIRED, 10, 0.6, n_datasets=40, **options)
    assert short == simulate_power(PowerTest.PAIRED, 10, 0.6, n_datasets=40, **options)
    longer = simulate_power(PowerTest.PAIRED, 10, 0.6, n_datasets=60, **options)
    assert 0 <= longer.n_reached - short.n_reached <= 20
    assert short.low < short.power < short.high
    none = simulate_power(PowerTest.PAIRED, 3, 0.6, n_datasets=5, **options)
    assert (none.n_reached, none.low, none.power) == (0, 0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 5))  # Clopper-Pearson without a success


# ---- other programs and limits --------------------------------------------------------------------


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("alternative", [GREATER, BOTH])
def test_small_effects_are_those_of_the_t_test(n, alternative):
    """Sign flips and t agree to first order; 0.01 is what small samples leave between them."""
    side = {GREATER: "larger", BOTH: "two-sided"}[alternative]
    for z in (1.0, 2.0, 3.0):
        effect = z / math.sqrt(n)
        theirs = TTestPower().power(effect, n, 0.05, alternative=side)
        ours = power_paired(n, effect, alpha=0.05, alternative=alternative).power
        assert ours == pytest.approx(theirs, abs=0.01)


def test_for_many_pairs_it_is_the_normal_approximation():
    """Where the bound decides, ln alpha is compared with w**2 / 2 instead of the normal tail."""
    n, effect = 10**10, 6e-5
    drawn = power_paired(n, effect, alpha=1e-3, alternative=GREATER).power
    assert drawn == pytest.approx(norm.cdf(6 - norm.isf(1e-3)), abs=0.002)  # B draws, not infinity
    bound = power_paired(n, effect, log10_alpha=-9, alternative=GREATER).power
    assert bound == pytest.approx(norm.cdf(6 - math.sqrt(18 * math.log(10))), abs=1e-6)


@pytest.mark.parametrize("n", [25, 400, 10**6])
def test_without_an_effect_the_power_is_the_level(n):
    """By draws it is that of B = 99,999 patterns, at most alpha; 2 % is the median's distance."""
    for alpha in (0.05, 0.01):
        assert power_paired(n, 0, alpha=alpha, alternative=GREATER).power == pytest.approx(
            alpha, rel=0.02
        )
        assert power_spearman(n, 0, alpha=alpha, alternative=BOTH).power == pytest.approx(
            alpha, rel=0.3
        )


def test_the_series_joins_the_quadrature():
    below, above = (formulas._sign_flips(1e-4 * (1 + s)) for s in (-1e-9, 1e-9))
    assert below.mu == pytest.approx(above.mu, rel=1e-8)
    assert below.v == pytest.approx(above.v, abs=1e-11)
    assert below.ln_r == pytest.approx(above.ln_r, abs=1e-11)


def test_the_moments_are_those_of_the_log_likelihood_ratio():
    d = np.random.default_rng(1).normal(0.7, 1, 400_000)
    a = 0.7 * d - np.log(np.cosh(0.7 * d))
    pair = formulas._sign_flips(0.7)
    assert pair.mu == pytest.approx(a.mean(), abs=5 * a.std() / 632)
    assert pair.v == pytest.approx(a.var() / (2 * a.mean()), rel=0.02)


def test_what_no_test_can_reach_has_no_power():
    for n, side, least in [(10, GREATER, -10), (10, BOTH, -9), (60, GREATER, -60), (60, BOTH, -59)]:
        level = least * math.log10(2)
        stated = [
            power_paired(n, 2.0, log10_alpha=level + off, alternative=side).power
            for off in (-1e-6, 1e-9)
        ]
        assert stated[0] == 0
        assert stated[1] >= norm.cdf(2.0) ** n
    assert power_paired(10, 2.0, log10_alpha=-10 * math.log10(2), alternative=GREATER).power == (
        pytest.approx(norm.cdf(2.0) ** 10)  # all signs right, and nothing else
    )
    for n in (6, 30):
        least = -math.lgamma(n + 1) / math.log(10)
        assert power_spearman(n, 0.99, log10_alpha=least - 1e-6, alternative=GREATER).power == 0
        assert power_spearman(n, 0.99, log10_alpha=least + 1e-6, alternative=GREATER).power > 0


def test_the_tests_make_their_p_values_as_is_assumed_here():
    d = np.arange(1.0, 23.0)
    assert paired_test(d[:20], alternative=GREATER, seed=1).method == "exact"
    assert "B=99999" in paired_test(d[:21], alternative=GREATER, seed=1).method
    for n, word in [(20, "exact"), (21, "B=99999")]:
        units = [np.array([x, -x]) for x in d[:n]]
        assert word in choice_test(units, np.zeros(n, dtype=int), seed=1).method
    x = np.arange(500.0)
    y = np.random.default_rng(1).normal(size=500)
    for n, word in [(9, "exact"), (10, "B=9999"), (499, "B=9999"), (500, "t")]:
        assert spearman_test(x[:n], y[:n], alternative=BOTH, seed=1).method.endswith(word)


# ---- the least correlation that reaches a level ---------------------------------------------------


@pytest.mark.parametrize("n", [500, 5_000, 10**6])
@pytest.mark.parametrize("level", [-1.3, -3.0, -5.5])
def test_the_critical_correlation_by_t(n, level):
    z = formulas._critical_z(n, level * math.log(10), 1)
    assert student_t_log10_sf(math.tanh(z), n) == pytest.approx(level, rel=1e-5)


@pytest.mark.parametrize(
    ("n", "level"),
    [(60, -9.0), (100, -12.0), *itertools.product([200, 2_000, 100_000], [-9.0, -12.0, -30.0])],
)
def test_the_fit_to_the_permutation_bound(n, level):
    """2 % of log10 p costs at most 2 % more units; beyond rho = 0.8 the fit is not meant to hold."""
    rho = math.tanh(formulas._z_by_bound(n, level * math.log(10)))
    x = np.arange(n) - (n - 1) / 2
    x /= x.std()
    assert permutation_log10_p(x, x, n * rho) == pytest.approx(level, rel=0.02)


# ---- monotone, and found ---------------------------------------------------------------------------


@pytest.mark.parametrize("test", [PowerTest.PAIRED, PowerTest.SPEARMAN])
@pytest.mark.parametrize("level", [-1.3, -4.0, -6.0, -30.0, -400.0])
def test_power_rises_with_n_effect_and_alpha(test, level):
    def at(n, effect, level=level):
        return forecast_power(test, n, effect, log10_alpha=level, alternative=GREATER).power

    for effect in (0.01, 0.1, 0.5, 0.9):
        powers = [at(n, effect) for n in np.unique(np.geomspace(21, 1e7, 60).astype(int)).tolist()]
        assert all(np.diff(powers) >= -1e-5)  # one dip: see `sample_size`
    for n in (8, 30, 499, 500, 10_000):
        powers = [at(n, effect) for effect in np.linspace(-0.9, 0.99, 60)]
        assert all(np.diff(powers) >= -1e-12)
        powers = [at(n, 0.3, level * f) for f in (2, 1.5, 1, 0.8, 0.6)]
        assert all(np.diff(powers) >= -1e-12)


@pytest.mark.parametrize("test", list(PowerTest))
@pytest.mark.parametrize("effect", [0.95, 0.3, 0.02])
@pytest.mark.parametrize("level", [-1.3, -4.0, -6.0, -12.0, -400.0])
@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.999])
def test_the_sample_size_is_the_smallest(test, effect, level, wanted):
    options = {"log10_alpha": level, "alternative": GREATER}
    found = sample_size(test, effect, power=wanted, **options)
    assert found.power >= wanted
    assert found.power == forecast_power(test, found.n, effect, **options).power
    if found.n > forecast._LEAST_UNITS[test]:
        assert forecast_power(test, found.n - 1, effect, **options).power < wanted
    for more in (1, 2, 5, 100, found.n):
        assert forecast_power(test, found.n + more, effect, **options).power >= wanted


def test_what_is_found_is_what_the_test_needs():
    """End to end: the number that is to give power 0.8 gives it."""
    found = sample_size(PowerTest.PAIRED, 0.4, alpha=1e-6, power=0.8, alternative=GREATER)
    simulated = simulate_power(
        PowerTest.PAIRED, found.n, 0.4, alpha=1e-6, alternative=GREATER, seed=5, n_datasets=200
    )
    assert_near(simulated, 0.8, 0.03)


# ---- levels and words ------------------------------------------------------------------------------


def test_levels_below_the_smallest_float():
    options = {"alternative": GREATER}
    assert power_paired(50_000, 0.2, log10_alpha=-400, **options).power == pytest.approx(
        0.82, abs=0.2
    )
    assert power_paired(1_000, 0.2, log10_alpha=-400, **options).power == 0
    assert power_choice(100, 0.3, alpha=0.01).power == (
        power_paired(100, 0.3, log10_alpha=-2, **options).power
    )


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (math.log10(0.05), "0.05"),
        (-2, "0.01"),
        (-6, "1e-06"),
        (-400, "1e-400"),
        (-399.6, "2.51e-400"),
    ],
)
def test_levels_are_readable(level, text):
    assert level_text(level) == text


def test_the_statement_is_a_sentence():
    forecast = sample_size(PowerTest.CHOICE, 0.1, alpha=1e-6, alternative=GREATER)
    assert forecast.statement.startswith(
        f"{forecast.n:,} units give p <= 1e-06 with probability 0.90"
    )
    assert forecast.to_dict()["test"] == "choice"
    shy = power_paired(1_000, 0.3, alpha=0.05, alternative=GREATER)
    assert "above 0.9999" in shy.statement


def test_rough_formulas_say_so():
    assert power_spearman(20, 0.5, alpha=0.05, alternative=GREATER).warnings
    assert power_paired(100, 2.0, alpha=0.05, alternative=GREATER).warnings
    assert not power_paired(100, 0.2, alpha=0.05, alternative=GREATER).warnings


# ---- pilots ----------------------------------------------------------------------------------------


def test_a_pilot_gives_its_effect_back():
    rng = np.random.default_rng(1)
    d = rng.normal(0.3, 1, 500)
    paired = pilot_effect(paired_test(d, alternative=GREATER, seed=1))
    assert paired.effect == pytest.approx(d.mean() / d.std())
    assert paired.low < 0.3 < paired.high
    units = [np.array([5 + x, 5 - x]) for x in d]
    choice = pilot_effect(
        choice_test(units, np.zeros(500, dtype=int), seed=1).about(unit="word types")
    )
    assert (choice.test, choice.unit) == (PowerTest.CHOICE, "word types")
    assert choice.effect == pytest.approx(paired.effect)
    x = rng.normal(size=500)
    finding = spearman_test(x, x + d, alternative=GREATER, seed=1)
    spearman = pilot_effect(finding)
    assert (spearman.effect, spearman.low) == (finding.statistic.value, finding.effect.low)
    assert (spearman.weakest, spearman.strongest) == (spearman.low, spearman.high)


def test_the_interval_of_a_pilot_covers():
    """95 % nominal; 300 runs of a correct interval fall below 270 once in a million."""
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(300):
        found = pilot_effect(
            paired_test(rng.normal(0.5, 1, 60), alternative=GREATER, seed=1, n_resamples=99)
        )
        inside += found.low <= 0.5 <= found.high
    assert inside >= binom.ppf(CHANCE, 300, 0.95)


def test_pilots_that_say_nothing():
    with pytest.raises(InsufficientEvidence, match="agree wholly"):
        pilot_effect(paired_test([1.0, 1.0, 1.0], alternative=GREATER, seed=1))
    finding = paired_test([1.0, 2.0, -0.5], alternative=GREATER, seed=1)
    with pytest.raises(InvalidInput, match="no power formula"):
        pilot_effect(finding.about(statistic=type(finding.statistic)(name="t", value=1.0)))
    assert pilot_effect(finding).weakest is None


# ---- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_paired(1, 0.1, alpha=0.05, alternative=GREATER), "n: expected 2 to"),
        (lambda: power_spearman(3, 0.1, alpha=0.05, alternative=GREATER), "n: expected 4 to"),
        (lambda: power_choice(10**12 + 1, 0.1, alpha=0.05), "n: expected 1 to"),
        (lambda: power_paired(2.5, 0.1, alpha=0.05, alternative=GREATER), "n: expected a positive"),
        (lambda: power_paired(9, math.nan, alpha=0.05, alternative=GREATER), "effect: expected a finite"),
        (lambda: power_paired(9, "1", alpha=0.05, alternative=GREATER), "effect: expected a finite"),
        (lambda: power_spearman(9, 1.0, alpha=0.05, alternative=GREATER), "Spearman correlation in"),
        (lambda: power_paired(9, 1, alpha=0.0, alternative=GREATER), "alpha: expected"),
        (lambda: power_paired(9, 1, alpha=1.0, alternative=GREATER), "alpha: expected"),
        (lambda: power_paired(9, 1, alpha=math.nan, alternative=GREATER), "alpha: expected"),
        (lambda: power_paired(9, 1, log10_alpha=0.0, alternative=GREATER), "log10_alpha: expected"),
        (lambda: power_paired(9, 1, log10_alpha=-math.inf, alternative=GREATER), "log10_alpha: exp"),
        (lambda: power_paired(9, 1, alternative=GREATER), "either alpha or log10_alpha"),
        (lambda: power_paired(9, 1, alpha=0.1, log10_alpha=-1, alternative=GREATER), "either alpha or"),
        (lambda: power_paired(9, 1, alpha=0.1, alternative="up"), "alternative: expected one of"),
        (lambda: power_choice(9, 1, alpha=0.1, alternative=BOTH), "one direction"),
        (lambda: sample_size("sign", 1, alpha=0.1, alternative=GREATER), "test: expected one of"),
        (lambda: sample_size("paired", 0.0, alpha=0.1, alternative=BOTH), "never found"),
        (lambda: sample_size("paired", -0.1, alpha=0.1, alternative=GREATER), "never found"),
        (lambda: sample_size("paired", 0.1, alpha=0.1, alternative=LESS), "never found"),
        (lambda: sample_size("paired", 0.1, alpha=0.1, power=0.1, alternative=GREATER), "power: exp"),
        (lambda: sample_size("paired", 0.1, alpha=0.1, power=1.0, alternative=GREATER), "power: exp"),
        (lambda: sample_size("paired", 1e-7, alpha=0.1, alternative=GREATER), "more than 1,000,000,"),
        (lambda: sample_size("spearman", 1e-9, alpha=0.1, alternative=BOTH), "more than 1,000,000,"),
        (lambda: simulate_power("paired", 9, 1, alpha=0.1, alternative=GREATER, seed=-1), "seed: exp"),
        (
            lambda: simulate_power("paired", 9, 1, alpha=0.1, alternative=GREATER, seed=1, n_datasets=0),
            "n_datasets: expected",
        ),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


# ---- what a review found --------------------------------------------------------------------------


def test_a_pilot_of_many_choices_with_a_large_effect_is_refused():
    """The formula is for signs: with ten choices it promised 0.91 where the test had 0.61."""
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(2_000, 10))
    scores[:, 0] += 0.8
    pilot = ghost_test(scores, seed=1, n_resamples=99)
    with pytest.raises(InsufficientEvidence, match="more than two choices"):
        pilot_effect(pilot)
    few = rng.normal(size=(2_000, 2))
    few[:, 0] += 1.2
    assert pilot_effect(ghost_test(few, seed=1, n_resamples=99)).effect > 0.7
    scores[:, 0] -= 0.5
    assert 0 < pilot_effect(ghost_test(scores, seed=1, n_resamples=99)).effect < 0.5


@pytest.mark.parametrize("effect", [1e-200, -1e-170])
def test_an_effect_whose_square_is_no_float_is_none(effect):
    found = power_paired(100, effect, alpha=0.01, alternative="greater")
    assert found.power == pytest.approx(0.01, rel=0.02)


def test_a_simulation_that_would_not_end_is_refused():
    for test, n in (("choice", 10**6), ("paired", 10**8), ("spearman", 10**9)):
        with pytest.raises(InvalidInput, match="would take hours"):
            simulate_power(
                test, n, 0.1, alpha=0.01, alternative="greater", seed=1, n_datasets=1_000
            )
