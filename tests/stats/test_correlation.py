"""Spearman's test against scipy, brute force and mpmath; size, power, covariates, refusals."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import Alternative, SpearmanMethod, Trend, Validity, ranks, spearman_test
from scipy.stats import binom, hypergeom, spearmanr

N_NULL = 2_000
CHANCE = 1e-6
ALL = (Alternative.GREATER, Alternative.LESS, Alternative.TWO_SIDED)


def at_most(alpha):
    return binom.ppf(1 - CHANCE, N_NULL, alpha)


def twin_p(x, y, alternative):
    """The share of all assignments of x to y whose rho reaches the observed one."""
    x, y = twin_ranks(x), twin_ranks(y)
    null = np.array([np.corrcoef(p, y)[0, 1] for p in itertools.permutations(x)])
    rho = np.corrcoef(x, y)[0, 1]
    if alternative is Alternative.TWO_SIDED:
        return np.mean(np.abs(null) >= abs(rho) - 1e-9)
    return np.mean(null >= rho - 1e-9 if alternative is Alternative.GREATER else null <= rho + 1e-9)


def twin_ranks(x):
    x = np.asarray(x)
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def twin_residual(y, *covariates):
    design = np.column_stack([np.ones(len(y)), *covariates])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


# ---- against oracles ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 60, 501, 2_000])
@pytest.mark.parametrize("n_levels", [3, 10**9])
def test_rho_is_scipys(n, n_levels):
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, n_levels, size=(2, n))
    finding = spearman_test(x, y, alternative=Alternative.GREATER, seed=1, n_resamples=9)
    assert finding.statistic.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("alternative", ALL)
@pytest.mark.parametrize("n", [500, 3_000])
def test_p_by_t_is_scipys(n, alternative):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.integers(0, 50, size=n)
    finding = spearman_test(x, y, alternative=alternative, seed=1)
    assert finding.method == "t"
    assert finding.valid is Validity.ASYMPTOTIC
    assert finding.p_value == pytest.approx(
        spearmanr(x, y, alternative=alternative.value).pvalue, rel=1e-9
    )


@pytest.mark.parametrize("alternative", ALL)
@pytest.mark.parametrize("n", [4, 5, 6])
@pytest.mark.parametrize("n_levels", [2, 3, 1_000])
def test_exact_p_is_brute_force(n, n_levels, alternative):
    rng = np.random.default_rng(100 * n + n_levels)
    for _ in range(3):
        x, y = rng.integers(0, n_levels, size=(2, n))
        x[0], x[1], y[0], y[1] = 0, 1, 0, 1  # not all tied
        finding = spearman_test(x, y, alternative=alternative, seed=1)
        assert finding.p_value == pytest.approx(twin_p(x, y, alternative), rel=1e-9)
        assert finding.method == "exact"
        assert finding.valid is Validity.FINITE_SAMPLE


def test_nine_pairs_in_order_are_one_of_nine_factorial():
    finding = spearman_test(range(9), range(9), alternative=Alternative.GREATER, seed=1)
    assert finding.log10_p == pytest.approx(-math.log10(math.factorial(9)), rel=1e-12)


@pytest.mark.parametrize("alternative", ALL)
def test_permutation_agrees_with_enumeration(alternative):
    """b of B draws is binomial with the exact p."""
    rng = np.random.default_rng(5)
    n_draws = 5_000
    for _ in range(4):
        x, y = rng.normal(size=8), rng.integers(0, 5, size=8)
        p = spearman_test(x, y, alternative=alternative, seed=0).p_value
        drawn = spearman_test(
            x,
            y,
            alternative=alternative,
            seed=2,
            method=SpearmanMethod.PERMUTATION,
            n_resamples=n_draws,
        )
        b = round(drawn.p_value * (n_draws + 1)) - 1
        assert binom.ppf(CHANCE / 2, n_draws, p) <= b <= binom.ppf(1 - CHANCE / 2, n_draws, p)
        assert drawn.method == f"monte-carlo B={n_draws}"
        assert drawn.seed == 2


@pytest.mark.parametrize(("n", "noise"), [(4_000, 0.3), (20_000, 0.15), (20_000, 0.6)])
def test_log10_p_by_t_is_mpmaths_at_any_size(n, noise):
    """p from about 1e-600 down to below 1e-10000; relative 1e-10, far inside the promised 1e-3."""
    x = np.arange(n)
    y = x / n + noise * np.random.default_rng(n).normal(size=n)
    finding = spearman_test(x, y, alternative=Alternative.GREATER, seed=1, method=SpearmanMethod.T)
    with mpmath.workdps(60):
        r = mpmath.mpf(finding.statistic.value)
        tail = mpmath.betainc(mpmath.mpf(n - 2) / 2, 0.5, 0, 1 - r * r, regularized=True) / 2
        expected = float(mpmath.log10(tail))
    assert expected < -400
    assert finding.log10_p == pytest.approx(expected, rel=1e-10)


def test_p_by_t_at_1e_minus_400_has_three_digits():
    """rho for p = 1e-400 at n = 16,000, planted through the ranks themselves."""
    n, rho_wanted = 16_000, math.sqrt(1 - 10 ** (-2 * 398.5 / 15_998))
    rng = np.random.default_rng(4)
    x = np.arange(n)
    z = rng.normal(size=n)
    score = np.linspace(-1.7, 1.7, n)
    y = rho_wanted * 1.04 * score + math.sqrt(1 - rho_wanted**2) * z
    finding = spearman_test(x, y, alternative=Alternative.GREATER, seed=1, method=SpearmanMethod.T)
    assert -500 < finding.log10_p < -320
    with mpmath.workdps(60):
        r = mpmath.mpf(finding.statistic.value)
        tail = mpmath.betainc(mpmath.mpf(n - 2) / 2, 0.5, 0, 1 - r * r, regularized=True) / 2
        ratio = mpmath.power(10, finding.log10_p) / tail
    assert float(ratio) == pytest.approx(1, abs=1e-3)


# ---- the far tail of t ----------------------------------------------------------------------------


def test_t_never_claims_less_than_the_least_likely_assignment():
    """Perfect order has probability 1/n!, where Student's t would say 0."""
    finding = spearman_test(
        range(500), range(500), alternative=Alternative.GREATER, seed=1, method=SpearmanMethod.T
    )
    assert finding.statistic.value == pytest.approx(1, abs=1e-12)
    assert finding.log10_p == pytest.approx(-math.lgamma(501) / math.log(10), rel=1e-12)


def test_the_least_likely_assignment_counts_ties():
    """One hit among 600 on both sides: p = 1/600, where Student's t would say 0."""
    x = np.zeros(600)
    x[3] = 1
    finding = spearman_test(x, x, alternative=Alternative.GREATER, seed=1, method=SpearmanMethod.T)
    assert finding.p_value == pytest.approx(1 / 600, rel=1e-9)
    assert any("are tied" in warning for warning in finding.warnings)


def test_heavy_ties_on_both_sides_are_permuted():
    """Two coincidences of 5 among 1,000: hypergeometric p = 2.0e-4, where t says 1e-13."""
    x, y = np.zeros((2, 1_000))
    x[:5], y[3:8] = 1, 1
    finding = spearman_test(x, y, alternative=Alternative.GREATER, seed=1)
    exact = sum(math.comb(5, k) * math.comb(995, 5 - k) / math.comb(1_000, 5) for k in range(2, 6))
    b = round(finding.p_value * 10_000) - 1
    assert finding.method == "monte-carlo B=9999"
    assert b <= binom.ppf(1 - CHANCE, 9_999, exact)
    assert b >= binom.ppf(CHANCE, 9_999, exact)
    asked = spearman_test(x, y, alternative=Alternative.GREATER, seed=1, method=SpearmanMethod.T)
    assert asked.log10_p < -12
    assert any("are tied" in warning for warning in asked.warnings)


@pytest.mark.parametrize(("n", "ones", "few"), [(500, 110, 5), (500, 250, 3), (2_000, 440, 8)])
def test_moderate_ties_on_both_sides_are_permuted(n, ones, few):
    """Ones among ones are hypergeometric; t would be too small by a factor of 3 to 100 here."""
    x, y = np.zeros((2, n))
    x[:ones], y[:few] = 1, 1
    exact = hypergeom.sf(few - 1, n, ones, few)
    finding = spearman_test(x, y, alternative="greater", seed=1, n_resamples=19_999)
    asked = spearman_test(x, y, alternative="greater", seed=1, method="t")
    assert asked.p_value < exact / 2
    assert finding.valid is Validity.FINITE_SAMPLE
    if finding.method.startswith("monte-carlo"):
        b = round(finding.p_value * 20_000) - 1
        assert binom.ppf(CHANCE / 2, 19_999, exact) <= b <= binom.ppf(1 - CHANCE / 2, 19_999, exact)
    else:
        assert finding.p_value >= exact


@pytest.mark.parametrize("levels", [2, 3, 20])
def test_the_border_of_t_follows_the_kurtosis_of_a_tied_side(levels):
    """k_a k_b / 24: 0.1 for half zeros and half ones, whose kurtosis is -2; 0.06 for many levels."""
    n = 1_000
    x, scores = np.arange(n), np.random.default_rng(2).normal(size=n)
    kurtosis = -1.2 * (levels**2 + 1) / (levels**2 - 1)
    border = (0.05 / (1.2 * -kurtosis / 24) / n) ** 0.25
    methods = set()
    for slope in np.linspace(0, 0.6, 60):
        order = np.argsort(np.argsort(slope * x / n + scores))
        finding = spearman_test(x, order * levels // n, alternative="greater", seed=1)
        assert (finding.method == "t") == (finding.statistic.value <= border)
        methods.add(finding.method)
    assert len(methods) > 1


def test_ties_on_one_side_leave_t_in_place():
    y = np.zeros(1_000)
    y[:5] = 1
    finding = spearman_test(np.arange(1_000), y, alternative=Alternative.LESS, seed=1)
    assert finding.method == "t"
    assert finding.warnings == ()


def test_the_far_tail_of_t_comes_with_a_warning():
    """At n = 1,000 and rho = 0.5 the fourth cumulants differ by 0.06 n rho^4 = 3.75 in ln p."""
    near, far = (
        spearman_test(*leaning(1_000, rho), alternative="greater", seed=1, method="t")
        for rho in (0.15, 0.5)
    )
    assert near.warnings == ()
    assert any("Student's t is too small" in warning for warning in far.warnings)


def leaning(n, rho):
    """x in order, and y whose correlation with it is about rho."""
    x = np.arange(n)
    noise = np.random.default_rng(6).normal(size=n)
    return x, rho * (x / n - 0.5) * math.sqrt(12) + math.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize("alternative", ALL)
@pytest.mark.parametrize("n", [500, 16_000])
def test_auto_trusts_t_in_the_centre_and_the_permutation_bound_far_out(n, alternative):
    """The border is where 0.06 n rho^4 = 0.05."""
    sign = -1 if alternative is Alternative.LESS else 1
    border = (0.05 / 0.06 / n) ** 0.25
    log10_p = []
    for share in (0.5, 0.9, 1.3, 2.0):
        x, y = leaning(n, share * border)
        finding = spearman_test(x, sign * y, alternative=alternative, seed=1)
        by_t = spearman_test(x, sign * y, alternative=alternative, seed=1, method="t")
        if abs(finding.statistic.value) <= border:
            assert finding == by_t
            assert finding.valid is Validity.ASYMPTOTIC
        else:
            assert finding.log10_p > by_t.log10_p
            assert (finding.valid is Validity.FINITE_SAMPLE) == ("bound" in finding.method)
        log10_p.append(finding.log10_p)
    assert log10_p == sorted(log10_p, reverse=True)
    assert "bound" in finding.method
    assert finding.warnings == ()
    permuted = spearman_test(x, sign * y, alternative=alternative, seed=1, method="permutation")
    assert permuted.log10_p == pytest.approx(finding.log10_p, rel=1e-6)


def test_p_never_rises_with_rho_across_the_border():
    """Just beyond it the bound is looser than t: there p stays at t's p at the border."""
    n = 500
    border = (0.05 / 0.06 / n) ** 0.25
    rng = np.random.default_rng(9)
    found = []
    for share in np.linspace(0.8, 1.6, 33):
        x, y = leaning(n, share * border)
        found.append(spearman_test(x, rng.permutation(y) * 1e-9 + y, alternative="greater", seed=1))
    found.sort(key=lambda finding: finding.statistic.value)
    p = [finding.log10_p for finding in found]
    assert p == sorted(p, reverse=True)
    methods = [finding.method.split()[0] for finding in found]
    assert [m for m, _ in itertools.groupby(methods)] == ["t", "chernoff-bound"]
    assert any("beyond which" in finding.method for finding in found)


def test_without_any_exceeding_permutation_the_bound_gives_p():
    """60 pairs in order: the floor would be 1e-4, the truth is 1/60! = 1e-82."""
    finding = spearman_test(range(60), range(60), alternative="greater", seed=1)
    assert finding.valid is Validity.FINITE_SAMPLE
    assert finding.method == "chernoff-bound, as none of B=9999 draws reached the value"
    assert -math.lgamma(61) / math.log(10) <= finding.log10_p < -59
    both = spearman_test(range(60), range(60), alternative="two-sided", seed=1)
    assert both.log10_p == pytest.approx(finding.log10_p + math.log10(2), abs=1e-6)
    less = spearman_test(range(60), range(60, 0, -1), alternative="less", seed=1)
    assert less.log10_p == pytest.approx(finding.log10_p, abs=1e-6)


@pytest.mark.parametrize("alternative", ALL)
def test_stopping_early_gives_h_over_l(alternative):
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(2, 50))
    finding = spearman_test(x, y, alternative=alternative, seed=4, stop_after=20)
    made = int(finding.method.split("stopped at draw ")[1].split()[0])
    assert finding.p_value == pytest.approx(20 / made, rel=1e-12)
    whole = spearman_test(x, y, alternative=alternative, seed=4, n_resamples=made)
    assert whole.p_value == pytest.approx(21 / (made + 1), rel=1e-12)


def test_t_for_few_pairs_comes_with_a_warning():
    finding = spearman_test(
        range(20), range(20), alternative=Alternative.LESS, seed=1, method=SpearmanMethod.T
    )
    assert any("only 20 pairs" in warning for warning in finding.warnings)
    assert finding.p_value == 1


# ---- size and power -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "n_levels", "method"),
    [
        (7, 10**9, "exact"),
        (7, 3, "exact"),
        (40, 10**9, "monte-carlo B=199"),
        (40, 2, "monte-carlo B=199"),
        (500, 10**9, "t"),
        (500, 4, "t"),
    ],
)
@pytest.mark.parametrize("alternative", [Alternative.GREATER, Alternative.TWO_SIDED])
def test_null_rejections_keep_their_rate(n, n_levels, method, alternative):
    rng = np.random.default_rng(n + n_levels)
    p = []
    for seed in range(N_NULL):
        x, y = rng.permutation(n), rng.integers(0, n_levels, size=n)
        y[:2] = 0, 1
        finding = spearman_test(x, y, alternative=alternative, seed=seed, n_resamples=199)
        assert finding.method == method or finding.method.startswith("chernoff-bound")
        p.append(finding.p_value)
    for alpha in (0.05, 0.01):
        assert (np.array(p) <= alpha * (1 + 1e-12)).sum() <= at_most(alpha)


@pytest.mark.parametrize("n", [12, 500])
def test_covariates_keep_the_rate(n):
    """Covariates that y nearly copies, in a heavy-tailed world; x knows of neither."""
    rng = np.random.default_rng(n)
    p = []
    for seed in range(N_NULL):
        shared = rng.standard_cauchy(size=n)
        y, covariate = shared + rng.normal(size=(2, n))
        finding = spearman_test(
            rng.permutation(n),
            y,
            covariates=[covariate, np.abs(covariate)],
            alternative=Alternative.GREATER,
            seed=seed,
            n_resamples=199,
        )
        p.append(finding.p_value)
    for alpha in (0.05, 0.01):
        assert (np.array(p) <= alpha).sum() <= at_most(alpha)


def test_over_all_assignments_p_with_covariates_is_valid():
    """The definition of a valid p-value, without sampling: n = 6, all 720 orders of x."""
    rng = np.random.default_rng(7)
    y, first, second = rng.normal(size=(3, 6))
    p = np.sort([
        spearman_test(
            x, y, covariates=[first, second], alternative=Alternative.TWO_SIDED, seed=0
        ).p_value
        for x in itertools.permutations(range(6))
    ])
    assert (np.searchsorted(p, p, side="right") / p.size <= p * (1 + 1e-12)).all()


def test_a_covariate_uncovers_a_hidden_trend():
    rng = np.random.default_rng(8)
    x, hard = np.arange(600), rng.normal(size=600)
    y = hard + 0.1 * x / 600 + 0.05 * rng.normal(size=600)
    alone = spearman_test(x, y, alternative=Alternative.GREATER, seed=1)
    helped = spearman_test(x, y, covariates=[hard], alternative=Alternative.GREATER, seed=1)
    assert alone.p_value > 1e-4
    assert helped.p_value < 1e-20
    assert helped.question == "Does y rise with x given 1 covariate?"


# ---- covariates -----------------------------------------------------------------------------------


def test_covariates_are_regressed_out_with_an_intercept():
    rng = np.random.default_rng(9)
    x, y, first, second = rng.normal(size=(4, 300))
    finding = spearman_test(
        x, y, covariates=[first, second], alternative=Alternative.GREATER, seed=1, n_resamples=9
    )
    expected = spearmanr(x, twin_residual(y, first, second)).statistic
    assert finding.statistic.value == pytest.approx(expected, abs=1e-12)


def test_rho_does_not_depend_on_the_scale_of_covariates():
    rng = np.random.default_rng(10)
    x, y, first, second = rng.normal(size=(4, 200))

    def rho(*covariates, response=y):
        return spearman_test(
            x, response, covariates=covariates, alternative=Alternative.LESS, seed=1, n_resamples=9
        ).statistic.value

    plain = rho(first, second)
    assert rho(first * 1e-200, 1e200 * second) == pytest.approx(plain, abs=1e-9)
    assert rho(first * 1e299, second + 1e6) == pytest.approx(plain, abs=1e-9)
    assert rho(first, second, first - 3 * second) == pytest.approx(plain, abs=1e-9)
    assert rho(first, second, response=y * 1e299) == pytest.approx(plain, abs=1e-9)
    assert rho(first, second, response=y * 1e-300) == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (-2.5e5, 3.0), (1e-200, 0.0)])
def test_a_perfectly_explained_y_leaves_nothing_to_rank(slope, offset):
    """Rounding leaves a tiny copy of y, which here rises with x."""
    x = np.arange(100)
    y = np.sqrt(x + 0.3) - 7
    finding = spearman_test(
        x, y, covariates=[slope * y + offset], alternative=Alternative.GREATER, seed=1
    )
    assert finding.p_value == 1
    assert finding.warnings == ("All values of y, after covariates, are tied: p is 1.",)


# ---- invariance and degenerate data ---------------------------------------------------------------


def test_the_tails_mirror_each_other():
    rng = np.random.default_rng(11)
    for n in (8, 50, 700):
        x, y = rng.normal(size=(2, n))
        up = spearman_test(x, y, alternative=Alternative.GREATER, seed=3)
        down = spearman_test(x, -y, alternative=Alternative.LESS, seed=3)
        assert up.log10_p == pytest.approx(down.log10_p, rel=1e-12)
        assert up.statistic.value == pytest.approx(-down.statistic.value, abs=1e-15)


def test_only_ranks_matter():
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=(2, 60))
    plain = spearman_test(x, y, alternative=Alternative.GREATER, seed=3)
    bent = spearman_test(np.exp(x), y**3 * 1e300 / 100, alternative=Alternative.GREATER, seed=3)
    assert bent.log10_p == plain.log10_p


@pytest.mark.parametrize("n", [4, 50, 1_000])
@pytest.mark.parametrize("tied", ["x", "y"])
def test_all_ties_give_p_one_with_a_warning(n, tied):
    data = {"x": np.arange(n), "y": np.arange(n), tied: np.full(n, 0.1)}
    for alternative in ALL:
        finding = spearman_test(**data, alternative=alternative, seed=1)
        assert finding.p_value == 1
        assert finding.warnings == (f"All values of {tied} are tied: p is 1.",)
        assert finding.seed is None


def test_ranks_are_averages_of_ties():
    assert ranks([3.0, 1.0, 3.0, -2.0]).tolist() == [3.5, 2.0, 3.5, 1.0]
    with pytest.raises(InvalidInput, match=r"^x: value nan at index 1"):
        ranks([1.0, math.nan])


# ---- what the finding says ------------------------------------------------------------------------


def test_the_interval_covers_rho():
    """Binormal with correlation 0.5: Spearman's is 6/pi asin(0.25); nominal 95 %, at n = 200 within 1 %."""
    rng = np.random.default_rng(13)
    rho, n_runs = 6 / math.pi * math.asin(0.25), 1_000
    covered = 0
    for _ in range(n_runs):
        x, noise = rng.normal(size=(2, 200))
        effect = spearman_test(
            x,
            0.5 * x + math.sqrt(0.75) * noise,
            alternative=Alternative.GREATER,
            seed=1,
            method=SpearmanMethod.T,
        ).effect
        covered += effect.low <= rho <= effect.high
    assert binom.ppf(CHANCE, n_runs, 0.94) <= covered <= binom.ppf(1 - CHANCE, n_runs, 0.96)


@pytest.mark.parametrize(("n", "low"), [(4, -0.9), (9, 0.9), (1_000, 0.999)])
def test_perfect_order_of_few_pairs_claims_no_precision(n, low):
    for sign in (1, -1):
        effect = spearman_test(
            range(n), sign * np.arange(n), alternative="two-sided", seed=1, n_resamples=9
        ).effect
        ends = sorted((abs(effect.low), abs(effect.high)) if n > 4 else (effect.low, effect.high))
        assert effect.low <= effect.value <= effect.high
        assert max(abs(effect.low), abs(effect.high)) == 1
        assert ends[0] >= low - 0.1
        if n == 4:
            assert effect.high - effect.low > 1


def test_the_interval_stays_within_minus_one_and_one():
    effect = spearman_test(range(4), range(4), alternative=Alternative.GREATER, seed=1).effect
    assert -1 <= effect.low < effect.value == 1
    assert effect.high <= 1


@pytest.mark.parametrize(("n", "n_bins"), [(4, 2), (9, 2), (40, 5), (1_000, 16)])
def test_the_trend_has_bins_wide_enough_for_an_interval(n, n_bins):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n))
    figure = spearman_test(x, y, alternative=Alternative.GREATER, seed=1, n_resamples=9).figure
    assert isinstance(figure, Trend)
    groups = np.array_split(np.argsort(x), n_bins)
    assert figure.x == pytest.approx([x[g].mean() for g in groups])
    assert figure.y == pytest.approx([y[g].mean() for g in groups])
    errors = [y[g].std(ddof=1) / math.sqrt(g.size) for g in groups]
    assert np.subtract(figure.high, figure.y) == pytest.approx(1.96 * np.array(errors))
    assert np.subtract(figure.y, figure.low) == pytest.approx(1.96 * np.array(errors))


@pytest.mark.parametrize("seed", range(3))
def test_the_trend_does_not_show_the_order_of_tied_units(seed):
    """Two values of x: two bins, whatever order the file has."""
    rng = np.random.default_rng(seed)
    x, y = np.repeat([0.0, 1.0], 80), rng.normal(size=160)
    y[:80].sort()
    shuffled = rng.permutation(160)
    figures = [
        spearman_test(x[o], y[o], alternative="greater", seed=1, n_resamples=9).figure
        for o in (np.arange(160), shuffled)
    ]
    for figure in figures:
        assert figure.x == (0.0, 1.0)
        assert figure.y == pytest.approx([y[:80].mean(), y[80:].mean()])
    one_apart = spearman_test(
        np.r_[np.zeros(159), 1.0], y, alternative="greater", seed=1, n_resamples=9
    ).figure
    assert one_apart.x == pytest.approx((1 / 160,))


def test_huge_values_do_not_overflow_the_figure():
    figure = spearman_test(
        np.arange(30) * 1e298, np.full(30, 1e300), alternative=Alternative.GREATER, seed=1
    ).figure
    assert isinstance(figure, Trend)
    assert np.isfinite([figure.x, figure.y, figure.low, figure.high]).all()


# ---- refusals -------------------------------------------------------------------------------------

GOOD = {
    "x": [1.0, 2.0, 3.0, 4.0, 5.0],
    "y": [2.0, 1.0, 4.0, 3.0, 5.0],
    "alternative": Alternative.GREATER,
    "seed": 1,
}
COVARIATE = [0.0, 1.0, 0.0, 2.0, 7.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [1.0, 2.0, math.nan, 4.0, 5.0]}, "^x: value nan at index 2"),
        ({"y": [1.0, 2.0, 3.0, math.inf, 5.0]}, "^y: value inf at index 3"),
        ({"y": [1.0, 2.0, 3.0, 4.0, -2e300]}, "^y: value -2e[+]300 at index 4 is beyond 1e300"),
        ({"y": [1.0, 2.0, 3.0, 4.0]}, "^expected x and y of one length, got 5 and 4"),
        ({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}, "^x: expected at least 4 pairs, got 3"),
        ({"x": [], "y": []}, "^x: expected at least 4 pairs, got 0"),
        ({"x": [[1.0, 2.0]]}, r"^x: expected one dimension, got shape \(1, 2\)"),
        ({"x": 3.0}, r"^x: expected one dimension, got shape \(\)"),
        ({"x": ["a", "b", "c", "d", "e"]}, "^x: expected numbers"),
        ({"x": [[1.0], [2.0, 3.0]]}, "^x: expected numbers"),
        ({"x": np.arange(5).astype("datetime64[D]")}, "^x: expected numbers"),
        ({"x": np.ma.masked_greater(np.arange(5.0), 3)}, "^x: got a masked array"),
        ({"y": [1j, 2, 3, 4, 5]}, "^y: expected numbers"),
        ({"covariates": [[1.0, 2.0]]}, r"^covariates\[0\]: expected length 5, got 2"),
        (
            {"covariates": [COVARIATE, [0.0, math.nan, 0.0, 0.0, 1.0]]},
            r"^covariates\[1\]: value nan at index 1",
        ),
        ({"covariates": [[0.1] * 5]}, r"^covariates\[0\]: all values are 0\.1"),
        ({"covariates": [[0.0] * 5]}, r"^covariates\[0\]: all values are 0\.0"),
        ({"covariates": [COVARIATE] * 2}, "^covariates: 2 are too many for 5 pairs"),
        ({"alternative": "up"}, "^alternative: expected one of"),
        ({"alternative": None}, "^alternative: expected one of"),
        ({"method": "magic"}, "^method: expected one of"),
        ({"seed": -1}, "^seed: "),
        ({"seed": 2**64}, "^seed: "),
        ({"seed": 0.0}, "^seed: "),
        ({"seed": False}, "^seed: "),
        ({"seed": np.False_}, "^seed: "),
        ({"n_resamples": 0}, "^n_resamples: "),
        ({"n_resamples": -5}, "^n_resamples: "),
        ({"n_resamples": 1e3}, "^n_resamples: "),
    ],
)
def test_spearman_test_refuses(change, message):
    with pytest.raises(InvalidInput, match=message):
        spearman_test(**{**GOOD, **change})


def test_infeasible_enumeration_is_refused():
    with pytest.raises(InvalidInput, match=r"^method: exact enumeration needs n <= 9, got 10"):
        spearman_test(
            range(10), range(10), alternative=Alternative.LESS, seed=1, method=SpearmanMethod.EXACT
        )


@pytest.mark.parametrize("alternative", ALL)
def test_a_plain_string_means_its_direction(alternative):
    """`"greater"` is not the object `Alternative.GREATER`, and must not silently become two-sided."""
    plain = spearman_test(**{**GOOD, "alternative": alternative.value})
    assert plain == spearman_test(**{**GOOD, "alternative": alternative})
    assert plain.alternative is alternative
