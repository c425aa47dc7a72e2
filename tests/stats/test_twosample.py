"""Two sets of values: permutation, strata, Welch, rank; slow twins, SciPy, mpmath, size, refusals."""

import itertools
import math

import mpmath
import numba
import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Alternative, Finding, NullHistogram, Validity, resampling_kernels
from bookplate.stats.paired import paired_test
from bookplate.stats.rank import rank_test
from bookplate.stats.subset_bound import _log_moments, subset_log_bound
from bookplate.stats.twosample import stratified_test, two_sample_test
from bookplate.stats.welch import _student_t_log10_sf, welch_test
from scipy import stats
from scipy.stats import binom, chi2, norm

N_NULL = 2_000
CHANCE = 1e-6  # a correct test exceeds a bound below once in a million seeds; ours are fixed
SIDES = list(Alternative)
WORLDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "ties": lambda rng, n: rng.integers(0, 3, size=n).astype(float),
    "one giant": lambda rng, n: rng.normal(size=n) * np.where(rng.random(n) < 0.05, 1e6, 1.0),
}


def at_most(alpha):
    return binom.ppf(1 - CHANCE, N_NULL, alpha)


def twin_sums(a, b, strata_a, strata_b):
    """T of every assignment, from the definition; the first is the observed one."""
    per_stratum = []
    for s in sorted(set(strata_a) & set(strata_b)):
        mine = [x for x, label in zip(a, strata_a, strict=True) if label == s]
        pooled = np.array(mine + [x for x, label in zip(b, strata_b, strict=True) if label == s])
        centred = pooled - pooled.mean()
        per_stratum.append([sum(c) for c in itertools.combinations(centred, len(mine))])
    return np.array([sum(sums) for sums in itertools.product(*per_stratum)])


def twin_p(sums, alternative):
    if alternative is Alternative.GREATER:
        return np.mean(sums >= sums[0] - 1e-9)
    if alternative is Alternative.LESS:
        return np.mean(sums <= sums[0] + 1e-9)
    return np.mean(np.abs(sums) >= abs(sums[0]) - 1e-9)


# ---- kernels --------------------------------------------------------------------------------------


def twin_philox(counter, key):
    """Salmon et al. (2011), section 3.3, in Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def twin_drawn_subset_sum(values, starts, picks, seed, draw):
    """A partial Fisher-Yates shuffle per stratum; pick i reads half of call i // 2."""
    shuffled, total, pick = list(values), 0.0, 0
    for start, stop, m in zip(starts[:-1], starts[1:], picks, strict=True):
        for i in range(start, start + m):
            counter = (pick // 2, draw % 2**32, draw // 2**32, 3)
            words = twin_philox(counter, (seed % 2**32, seed // 2**32))
            high, low = words[2 * (pick % 2)], words[2 * (pick % 2) + 1]
            j = i + (high * 2**32 + low) * (stop - i) // 2**64
            shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
            total += shuffled[i]
            pick += 1
    return total


STRATA = [([0, 5], [2]), ([0, 9], [1]), ([0, 4, 7, 20], [2, 1, 5]), ([0, 2, 4, 6], [1, 1, 1])]


@pytest.mark.parametrize("seed", [0, 2**64 - 1, 20_260_819])
@pytest.mark.parametrize(("starts", "picks"), STRATA)
def test_drawn_subset_sums_are_their_slow_twin(starts, picks, seed):
    values = np.random.default_rng(1).normal(size=starts[-1])
    for first in (0, 2**32 - 2):
        drawn = resampling_kernels.drawn_subset_sums(
            values, np.array(starts), np.array(picks), np.uint64(seed), first, 8
        )
        assert drawn.tolist() == [
            twin_drawn_subset_sum(values, starts, picks, seed, first + i) for i in range(8)
        ]


@pytest.mark.parametrize(("starts", "picks"), STRATA[:2] + STRATA[3:])
def test_all_subset_sums_are_all_and_the_first_is_the_leading_one(starts, picks):
    values = np.random.default_rng(2).normal(size=starts[-1])
    combinations = [
        list(itertools.combinations(values[i:j], m))
        for i, j, m in zip(starts[:-1], starts[1:], picks, strict=True)
    ]
    expected = [sum(sum(c) for c in pick) for pick in itertools.product(*combinations)]
    sums = resampling_kernels.all_subset_sums(
        values, np.array(starts), np.array(picks), len(expected)
    )
    assert sorted(sums.tolist()) == pytest.approx(sorted(expected), abs=1e-12)
    assert sums[0] == resampling_kernels.leading_sum(values, np.array(starts), np.array(picks))


def test_every_subset_is_equally_likely():
    """Powers of two make the subset readable from the sum: 3 of 6 and 1 of 3, in 60 ways."""
    values, starts, picks = 2.0 ** np.arange(9), np.array([0, 6, 9]), np.array([3, 1])
    sums = resampling_kernels.drawn_subset_sums(values, starts, picks, np.uint64(3), 0, 60_000)
    seen, counts = np.unique(sums, return_counts=True)
    assert seen.size == 60
    assert ((counts - 1_000) ** 2 / 1_000).sum() <= chi2.isf(CHANCE, 59)


def test_subset_draws_do_not_depend_on_threads_or_on_where_a_call_starts():
    values = np.random.default_rng(4).normal(size=50)
    data = (values, np.array([0, 20, 50]), np.array([7, 15]), np.uint64(5))
    numba.set_num_threads(1)
    whole = resampling_kernels.drawn_subset_sums(*data, 0, 3_000)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    for cuts in ([0, 3_000], [0, 1, 1_234, 3_000]):
        parts = [
            resampling_kernels.drawn_subset_sums(*data, first, stop - first)
            for first, stop in itertools.pairwise(cuts)
        ]
        assert np.array_equal(np.concatenate(parts), whole)


# ---- permutation p against its definition ---------------------------------------------------------


@pytest.mark.parametrize("alternative", [Alternative.GREATER, Alternative.LESS])
@pytest.mark.parametrize(("n_a", "n_b"), [(3, 5), (5, 3), (2, 6), (4, 4)])
def test_exact_p_agrees_with_scipy(n_a, n_b, alternative):
    rng = np.random.default_rng(6)
    for world in WORLDS.values():
        a, b = world(rng, n_a), world(rng, n_b)
        peer = stats.permutation_test(
            (a, b),
            lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
            vectorized=True,
            alternative=alternative.value,
            n_resamples=np.inf,
        )
        finding = two_sample_test(a, b, alternative=alternative, seed=0)
        assert finding.p_value == pytest.approx(peer.pvalue, rel=1e-12)
        assert (finding.method, finding.seed) == ("exact", None) or finding.warnings


@pytest.mark.parametrize("alternative", SIDES)
def test_exact_stratified_p_is_the_share_of_assignments(alternative):
    rng = np.random.default_rng(7)
    strata_a, strata_b = ["x"] * 3 + ["y", "y", "z"], ["x", "z", "z"] + ["y"] * 4
    for world in WORLDS.values():
        a, b = world(rng, 6), world(rng, 7)
        finding = stratified_test(a, b, strata_a, strata_b, alternative=alternative, seed=0)
        expected = twin_p(twin_sums(a, b, strata_a, strata_b), alternative)
        assert finding.p_value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
def test_one_stratum_is_the_two_sample_test(alternative):
    a, b = np.random.default_rng(8).normal(size=(2, 30))
    plain = two_sample_test(a, b, alternative=alternative, seed=1, n_resamples=999)
    one = stratified_test(
        a, b, [7] * 30, [7] * 30, alternative=alternative, seed=1, n_resamples=999
    )
    assert (one.log10_p, one.statistic, one.effect) == (
        plain.log10_p,
        plain.statistic,
        plain.effect,
    )


@pytest.mark.parametrize("alternative", SIDES)
def test_pairs_as_strata_are_the_paired_test(alternative):
    rng = np.random.default_rng(9)
    a, b, pair = rng.normal(size=12) + 0.3, rng.normal(size=12), np.arange(12)
    paired = paired_test(a - b, alternative=alternative, seed=0)
    strata = stratified_test(a, b, pair, pair, alternative=alternative, seed=0)
    assert strata.log10_p == pytest.approx(paired.log10_p, rel=1e-12)
    for name in ("value", "low", "high"):
        assert getattr(strata.effect, name) == pytest.approx(getattr(paired.effect, name))
    assert strata.statistic.value == pytest.approx(paired.statistic.value)


@pytest.mark.parametrize("alternative", SIDES)
def test_monte_carlo_agrees_with_enumeration(alternative):
    rng, n_draws = np.random.default_rng(10), 20_000
    for world in WORLDS.values():
        a, b = world(rng, 6), world(rng, 9)
        p = two_sample_test(a, b, alternative=alternative, seed=0, method="exact").p_value
        drawn = two_sample_test(
            a, b, alternative=alternative, seed=9, method="monte-carlo", n_resamples=n_draws
        )
        k = round(drawn.p_value * (n_draws + 1)) - 1
        assert binom.ppf(CHANCE / 2, n_draws, p) <= k <= binom.ppf(1 - CHANCE / 2, n_draws, p)
        assert (drawn.method, drawn.seed) == (f"monte-carlo B={n_draws}", 9)


@pytest.mark.parametrize("alternative", SIDES)
def test_over_all_assignments_p_is_valid_even_where_the_bound_decides(alternative):
    """The definition of validity, without sampling; B = 1 leaves the bound to decide below 1/2."""
    pooled = np.random.default_rng(11).exponential(size=10)
    few = {"method": "monte-carlo", "n_resamples": 1}
    exact, p = [], []
    for chosen in itertools.combinations(range(10), 4):
        a, b = pooled[list(chosen)], np.delete(pooled, chosen)
        exact.append(two_sample_test(a, b, alternative=alternative, seed=0).p_value)
        p.append(two_sample_test(a, b, alternative=alternative, seed=5, **few).p_value)
    exact, p = np.sort(exact), np.sort(p)
    assert (np.searchsorted(exact, exact, side="right") / exact.size <= exact * (1 + 1e-12)).all()
    below = p[p < 0.5]
    assert below.size > 20
    assert (np.searchsorted(p, below, side="right") / p.size <= below * (1 + 1e-12)).all()


# ---- the bound ------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 3, 6])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_moments_are_bounded_from_above_by_both_inequalities(m, scale):
    """E exp(sum of m drawn from y) from the definition; equal to it for m = 1."""
    y = np.random.default_rng(12).normal(size=12) * scale
    sums = [sum(c) for c in itertools.combinations(y, m)]
    exact = float(np.logaddexp.reduce(sums)) - math.log(len(sums))
    bound = _log_moments(y, np.array([0, 12]), np.array([m]))[0]
    assert bound >= exact - 1e-9
    assert bound <= exact + 0.15  # what the local bound loses at 12 values; far less at many
    if m == 1:
        assert bound == pytest.approx(exact)


def test_the_bound_is_never_below_the_exact_tail_and_follows_it():
    rng = np.random.default_rng(13)
    starts, picks = np.array([0, 8, 11, 17]), np.array([4, 1, 2])
    for world in WORLDS.values():
        values = world(rng, 17)
        values -= np.repeat(np.add.reduceat(values, starts[:-1]) / np.diff(starts), np.diff(starts))
        sums = np.sort(resampling_kernels.all_subset_sums(values, starts, picks, 70 * 3 * 15))
        for t in sums[:: 70 * 5]:
            tail = np.log(np.mean(sums >= t - 1e-9 * np.abs(values).sum()))
            assert subset_log_bound(values, starts, picks, t) >= tail - 1e-9


def test_far_out_the_bound_is_sharp_to_the_number_of_assignments():
    """Two sets of 500 that do not overlap: one assignment of binom(1000, 500), 10**-299.4."""
    finding = two_sample_test(
        np.ones(500), np.zeros(500), alternative="greater", seed=1, n_resamples=99
    )
    least = -math.log10(math.comb(1000, 500))
    assert finding.method == "chernoff-bound, as none of B=99 draws reached the value"
    assert finding.log10_p == pytest.approx(least, rel=1e-6)
    assert finding.log10_p >= least - 1e-9
    assert finding.valid is Validity.FINITE_SAMPLE


@pytest.mark.parametrize("alternative", SIDES)
def test_the_bound_follows_the_hypergeometric_tail(alternative):
    """0/1 values: T is hypergeometric, whose tail SciPy has; the bound loses 1 digit, as Chernoff's does."""
    a, b = np.repeat([1.0, 0.0], [120, 80]), np.repeat([1.0, 0.0], [60, 240])
    if alternative is Alternative.LESS:
        a, b = 1 - a, 1 - b
    finding = two_sample_test(a, b, alternative=alternative, seed=1, n_resamples=99)
    tail = stats.hypergeom.logsf(119, 500, 180, 200) / math.log(10)
    assert tail <= finding.log10_p <= tail + 1.2
    assert "chernoff" in finding.method


def test_the_two_sided_bound_has_both_sides():
    """Sets of one size make T symmetric, so that the sides are equal."""
    rng = np.random.default_rng(27)
    a, b = rng.normal(size=60) + 2, rng.normal(size=60)
    one = two_sample_test(a, b, alternative="greater", seed=1, n_resamples=99)
    both = two_sample_test(a, b, alternative="two-sided", seed=1, n_resamples=99)
    assert both.log10_p == pytest.approx(one.log10_p + math.log10(2), rel=1e-6)


# ---- size and power -------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("stop_after", [None, 5])
def test_null_rejections_keep_their_rate(world, stop_after):
    rng = np.random.default_rng(14)
    for alternative in (Alternative.LESS, Alternative.TWO_SIDED):
        p = np.array([
            two_sample_test(
                WORLDS[world](rng, 15),
                WORLDS[world](rng, 25),
                alternative=alternative,
                seed=seed,
                n_resamples=199,
                stop_after=stop_after,
            ).p_value
            for seed in range(N_NULL)
        ])
        for alpha in (0.05, 0.01, 0.001):
            assert (p <= alpha).sum() <= at_most(alpha)
        if world == "normal":  # not timid either: p = 0.05 is attained by both ways of drawing
            assert (p <= 0.05).sum() >= binom.ppf(CHANCE, N_NULL, 0.05)


def test_strata_that_differ_make_no_false_alarm_but_fool_the_plain_test():
    """Set a has more of the high stratum: a confounder, not an effect."""
    rng, strata_a, strata_b = (
        np.random.default_rng(15),
        np.repeat([0, 1], [5, 25]),
        np.repeat([0, 1], [25, 5]),
    )
    stratified, plain = [], []
    for seed in range(N_NULL):
        a, b = rng.normal(size=30) + 3 * strata_a, rng.normal(size=30) + 3 * strata_b
        options = {"alternative": "greater", "seed": seed, "n_resamples": 199}
        stratified.append(stratified_test(a, b, strata_a, strata_b, **options).p_value)
        if seed < 100:
            plain.append(two_sample_test(a, b, **options).p_value)
    for alpha in (0.05, 0.01, 0.001):
        assert (np.array(stratified) <= alpha).sum() <= at_most(alpha)
    assert np.median(plain) <= 0.005


@pytest.mark.parametrize("which", ["permutation", "welch"])
def test_a_planted_effect_is_found(which):
    """Two sets of 80 normal values, one lifted by 0.4: the power of a z test, within 5 standard errors."""
    rng, n, lift, n_runs = np.random.default_rng(16), 80, 0.4, 400
    rejected = 0
    for seed in range(n_runs):
        a, b = rng.normal(size=n) + lift, rng.normal(size=n)
        if which == "welch":
            rejected += welch_test(a, b, alternative="greater").rejects(0.05)
        else:
            rejected += two_sample_test(
                a, b, alternative="greater", seed=seed, n_resamples=999
            ).rejects(0.05)
    power = norm.sf(norm.isf(0.05) - lift * math.sqrt(n / 2))
    assert abs(rejected / n_runs - power) <= 5 * math.sqrt(power * (1 - power) / n_runs)


def test_stopping_ends_with_the_draw_that_fills_the_count():
    rng = np.random.default_rng(17)
    a, b = rng.normal(size=20) + 0.3, rng.normal(size=30)
    options = {"alternative": "greater", "seed": 3, "n_resamples": 5_000}
    finding = two_sample_test(a, b, **options, stop_after=10)
    last = sum(finding.figure.counts)
    assert finding.p_value == pytest.approx(10 / last)
    assert f"stopped at draw {last} of at most B=5000, the 10. to reach" in finding.method
    shorter = two_sample_test(a, b, **{**options, "n_resamples": last})
    assert shorter.p_value == pytest.approx(11 / (last + 1))
    assert shorter.figure.counts == finding.figure.counts


# ---- the permutation finding ----------------------------------------------------------------------


def test_the_finding_says_what_was_found():
    rng = np.random.default_rng(18)
    a, b = rng.normal(size=40) + 0.5, rng.normal(size=25)
    finding = two_sample_test(a, b, alternative="two-sided", seed=19, n_resamples=999)
    oracle = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert finding.effect.value == pytest.approx(a.mean() - b.mean())
    assert (finding.effect.low, finding.effect.high) == pytest.approx((oracle.low, oracle.high))
    pooled = np.concatenate([a, b])
    deviation = pooled.std(ddof=1) * math.sqrt(1 / 40 + 1 / 25)
    assert finding.statistic.value == pytest.approx((a.mean() - b.mean()) / deviation)
    assert (finding.n, finding.unit, finding.seed) == (65, "values", 19)
    assert isinstance(finding.figure, NullHistogram)
    assert Finding.from_dict(finding.to_dict()) == finding
    again = two_sample_test(a, b, alternative="two-sided", seed=finding.seed, n_resamples=999)
    assert again == finding


@pytest.mark.parametrize("method", ["exact", "monte-carlo"])
def test_exchanged_sets_mirror_the_finding_and_scale_changes_nothing(method):
    rng = np.random.default_rng(20)
    a, b = rng.normal(size=6) + 1, rng.normal(size=8)
    options = {"seed": 1, "method": method, "n_resamples": 999}
    up = two_sample_test(a, b, alternative="greater", **options)
    down = two_sample_test(b, a, alternative="less", **options)
    assert (down.log10_p, down.statistic.value) == (up.log10_p, -up.statistic.value)
    assert down.effect.low == -up.effect.high
    for power in (900, -900):
        scaled = two_sample_test(
            np.ldexp(a, power), np.ldexp(b, power), alternative="greater", **options
        )
        assert scaled.log10_p == up.log10_p
        assert scaled.effect.high == math.ldexp(up.effect.high, power)


def test_ties_within_rounding_count_against_the_claim_however_far_from_zero():
    for offset in (0.0, 1e6, 1e7 + 0.1, 1e8 + 0.7):
        a, b = np.array([0.1, 0.6]) + offset, np.array([0.3, 0.4]) + offset  # both sum to 0.7
        for alternative in (Alternative.GREATER, Alternative.LESS):
            finding = two_sample_test(a, b, alternative=alternative, seed=0)
            assert finding.p_value == pytest.approx(4 / 6)


def test_the_order_of_values_does_not_matter_to_an_exact_p():
    rng = np.random.default_rng(21)
    a, b = rng.normal(size=6), rng.normal(size=7)
    one = two_sample_test(a, b, alternative="greater", seed=0)
    other = two_sample_test(a[::-1], b[::-1], alternative="greater", seed=0)
    assert one.log10_p == other.log10_p


def test_values_without_a_counterpart_are_left_out_with_a_warning():
    a, b = [1.0, 2.0, 3.0, 9.0], [0.0, 1.0, 50.0, 60.0]
    finding = stratified_test(a, b, [0, 0, 0, 1], [0, 0, 2, 2], alternative="greater", seed=0)
    alone = two_sample_test(a[:3], b[:2], alternative="greater", seed=0)
    assert (finding.log10_p, finding.n, finding.effect) == (alone.log10_p, 5, alone.effect)
    assert finding.warnings == ("3 values lie in strata that hold one set only and were left out.",)


def test_a_stratum_of_ties_says_nothing():
    a, b = [0.3, 0.1 + 0.2, 5.0, 4.0], [0.3, 1.0, 2.0]
    finding = stratified_test(a, b, [0, 0, 1, 1], [0, 1, 1], alternative="greater", seed=0)
    assert finding.p_value == pytest.approx(1 / 6)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e300])
def test_tied_values_give_p_1_and_a_warning(alternative, value):
    a, b, zero = np.full(7, value), np.full(13, value), np.zeros(20, dtype=int)
    options = {"alternative": alternative}
    assert two_sample_test(a, b, seed=0, **options).warnings == (
        "All values of both sets are tied: p is 1.",
    )
    for finding in (
        two_sample_test(a, b, seed=0, **options),
        stratified_test(a, b, zero[:7], zero[:13], seed=0, **options),
        welch_test(a, b, **options),
        rank_test(value, a, **options),
    ):
        assert finding.p_value == 1
        assert "tied: p is 1" in finding.warnings[0]
        assert finding.seed is None


# ---- Welch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alternative", SIDES)
def test_welch_agrees_with_scipy(alternative):
    rng = np.random.default_rng(22)
    for n_a, n_b, spread, shift in [
        (2, 2, 1, 0),
        (5, 40, 10, 3),
        (60, 7, 0.01, -0.2),
        (9, 9, 1, 3),
    ]:
        a, b = rng.normal(size=n_a) * spread + shift, rng.normal(size=n_b)
        peer = stats.ttest_ind(a, b, equal_var=False, alternative=alternative.value)
        finding = welch_test(a, b, alternative=alternative)
        assert finding.p_value == pytest.approx(peer.pvalue, rel=1e-9)
        assert finding.statistic.value == pytest.approx(peer.statistic, rel=1e-9)
        assert f"{peer.df:.6g} degrees" in finding.statistic.name
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert (finding.effect.low, finding.effect.high) == pytest.approx((
            interval.low,
            interval.high,
        ))
        assert finding.valid is Validity.ASYMPTOTIC
        assert Finding.from_dict(finding.to_dict()) == finding


def log10_sf_by_mpmath(t, df):
    with mpmath.workdps(60):
        t, df = mpmath.mpf(t), mpmath.mpf(df)
        tail = mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
        return float(mpmath.log10(tail if t >= 0 else 1 - tail))


@pytest.mark.parametrize("df", [1.0, 1.37, 7.5, 99.9, 1_234.5, 98_765.4])
@pytest.mark.parametrize("t", [-300.0, -0.5, 1e-9, 0.3, 2.0, 9.0, 40.0, 500.0, 1e8])
def test_students_tail_agrees_with_mpmath(t, df):
    expected = log10_sf_by_mpmath(t, df)
    assert _student_t_log10_sf(t, df) == pytest.approx(expected, rel=1e-9, abs=1e-50)


@pytest.mark.parametrize("log10_p", [-350, -400, -1_000, -10_000])
@pytest.mark.parametrize("df", [50.5, 777.7, 20_000.25])
def test_students_tail_is_right_far_below_the_smallest_float(df, log10_p):
    # log10 p is about -df/2 log10(1 + t**2/df); no closed inverse is needed to be in the region
    t = math.sqrt(df * (1 - 10 ** (2 * log10_p / df))) * 10 ** (-log10_p / df)
    expected = log10_sf_by_mpmath(t, df)
    assert expected < 0.9 * log10_p
    assert _student_t_log10_sf(t, df) == pytest.approx(expected, rel=1e-9)


def test_students_tail_beyond_the_squares_of_floats():
    for t, df in ((1e99, 1.5), (1e101, 1.5), (1e160, 2.5), (1e300, 33.3)):
        assert _student_t_log10_sf(t, df) == pytest.approx(log10_sf_by_mpmath(t, df), rel=1e-9)
    assert _student_t_log10_sf(0.0, 3.3) == math.log10(0.5)
    assert _student_t_log10_sf(1e-200, 3.3) == pytest.approx(math.log10(0.5))


def test_welch_at_1e_400_from_data():
    """Sets of 1,500 and 700 values, far apart: t, nu and the tail in 60 digits."""
    rng = np.random.default_rng(23)
    a, b = rng.normal(size=1_500) + 1.8, rng.normal(size=700) * 0.5
    finding = welch_test(a, b, alternative="two-sided")
    with mpmath.workdps(60):
        means, errors = [], []
        for x in (a, b):
            exact = [mpmath.mpf(float(v)) for v in x]
            mean = mpmath.fsum(exact) / len(exact)
            means.append(mean)
            squares = mpmath.fsum((v - mean) ** 2 for v in exact)
            errors.append(squares / (len(exact) - 1) / len(exact))
        t = (means[0] - means[1]) / mpmath.sqrt(sum(errors))
        df = sum(errors) ** 2 / (errors[0] ** 2 / 1_499 + errors[1] ** 2 / 699)
        expected = log10_sf_by_mpmath(t, df) + math.log10(2)
    assert -500 < expected < -310
    assert finding.log10_p == pytest.approx(expected, rel=1e-9)
    assert finding.p_value > 0
    assert finding.warnings == ()


def test_welch_says_when_p_rests_on_normal_tails():
    finding = welch_test([10.0, 10.1, 9.9, 10.05], [0.0, 0.1, -0.1], alternative="greater")
    assert finding.log10_p < -math.log10(35)
    assert finding.warnings == (
        "p is below 1e-1.5, the least that exchangeable values can give: it rests on normal tails.",
    )
    assert "up to the effect under test" in finding.assumptions[0]


def test_welch_keeps_its_rate_for_normal_values_of_unequal_spread():
    """Approximate by construction: at these sizes within a tenth of alpha, which is allowed for."""
    rng = np.random.default_rng(24)
    p = np.array([
        welch_test(rng.normal(size=60), 4 * rng.normal(size=40), alternative="greater").p_value
        for _ in range(N_NULL)
    ])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= at_most(1.1 * alpha)
    assert (p <= 0.05).sum() >= binom.ppf(CHANCE, N_NULL, 0.9 * 0.05)


def test_welch_needs_variance_in_one_set_only():
    finding = welch_test([1.0, 1.0, 1.0], [0.0, 0.1, 0.2], alternative="greater")
    peer = stats.ttest_1samp([0.0, 0.1, 0.2], 1.0, alternative="less")
    assert finding.p_value == pytest.approx(peer.pvalue)
    assert finding.statistic.value == pytest.approx(-peer.statistic)


def test_welch_of_scaled_values():
    a, b = np.random.default_rng(25).normal(size=(2, 12))
    one = welch_test(a, b, alternative="greater")
    for power in (990, -990):
        scaled = welch_test(np.ldexp(a, power), np.ldexp(b, power), alternative="greater")
        assert (scaled.log10_p, scaled.statistic) == (one.log10_p, one.statistic)


# ---- rank -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("values", [range(7), [0, 0, 1, 1, 1, 2, 3]])
def test_rank_p_is_valid_over_all_choices_of_the_observed(values, alternative):
    values = np.array(values, dtype=float)
    p = np.sort([
        rank_test(values[i], np.delete(values, i), alternative=alternative).p_value
        for i in range(values.size)
    ])
    assert (np.searchsorted(p, p * (1 + 1e-12), side="right") / p.size <= p * (1 + 1e-12)).all()


def test_rank_by_hand():
    others = [1.0, 2.0, 2.0, 3.0]
    up = rank_test(2.0, others, alternative="greater")
    assert up.p_value == pytest.approx(4 / 5)
    assert up.statistic.value == 3  # ranks 2, 3 and 4 are shared
    assert up.warnings == ("2 of 4 others equal the observed value and count against the claim.",)
    assert rank_test(9.0, others, alternative="greater").p_value == pytest.approx(1 / 5)
    assert rank_test(9.0, others, alternative="less").p_value == 1
    assert rank_test(0.0, others, alternative="less").p_value == pytest.approx(1 / 5)
    assert rank_test(9.0, others, alternative="two-sided").p_value == pytest.approx(2 / 5)
    assert rank_test(2.0, others, alternative="two-sided").p_value == 1


@pytest.mark.parametrize("observed", [-9.0, 3.0, 9.0])
def test_the_rank_finding(observed):
    others = np.arange(10.0) - 4.5
    finding = rank_test(observed, others, alternative="greater")
    below = int((others < observed).sum())
    interval = stats.binomtest(below, 10).proportion_ci(0.95)
    assert finding.effect.value == below / 10
    assert (finding.effect.low, finding.effect.high) == pytest.approx((interval.low, interval.high))
    assert (finding.n, finding.method, finding.seed) == (11, "exact", None)
    assert finding.valid is Validity.FINITE_SAMPLE
    assert sum(finding.figure.counts) == 10
    assert Finding.from_dict(finding.to_dict()) == finding


@pytest.mark.parametrize("alternative", SIDES)
def test_rank_rejections_keep_their_rate(alternative):
    rng = np.random.default_rng(26)
    for world in WORLDS.values():
        p = np.array([
            rank_test(x[0], x[1:], alternative=alternative).p_value
            for x in (world(rng, 100) for _ in range(N_NULL))
        ])
        for alpha in (0.05, 0.01):
            assert (p <= alpha).sum() <= at_most(alpha)


@pytest.mark.parametrize(
    ("observed", "others"),
    [(0.0, [5e-324, 0.0]), (1.0, [1 + 2e-16, 1.0]), (1e300, [-1e300, 0.0]), (1e300, [1e300])],
)
def test_rank_draws_its_picture_of_any_legal_values(observed, others):
    finding = rank_test(observed, others, alternative="two-sided")
    assert sum(finding.figure.counts) == len(others)


@pytest.mark.parametrize("largest", [1e300, 1e-300, 5e-324])
def test_values_at_the_limits_of_floats_are_legal(largest):
    a, b = np.array([0.0, largest]), np.array([-largest, 0.0, -largest])
    for finding in (
        two_sample_test(a, b, alternative="greater", seed=0),
        two_sample_test(a, b, alternative="greater", seed=0, method="monte-carlo", n_resamples=9),
        welch_test(a, b, alternative="greater"),
        paired_test(b, alternative="less", seed=0),
    ):
        assert finding.effect.low < finding.effect.high
        assert finding.p_value < 1


# ---- refusals -------------------------------------------------------------------------------------

SETS = {"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0]}
BAD_SETS = [
    ({"a": [1.0, math.nan]}, r"a: value nan at index 1 is not finite"),
    ({"b": [-math.inf, 0.0, 1.0]}, r"b: value -inf at index 0 is not finite"),
    ({"b": [0.0, -2e300]}, r"b: value -2e\+300 at index 1 is beyond 1e300"),
    ({"a": [[1.0, 2.0]]}, r"a: expected one dimension, got shape \(1, 2\)"),
    ({"a": "text"}, r"a: expected numbers"),
    ({"a": []}, r"a: expected at least . values?, got 0"),
    ({"alternative": "larger"}, r"alternative: expected one of 'greater', 'less', 'two-sided'"),
]
BAD_PLANS = [
    ({"seed": 2**64}, r"seed: expected an integer in"),
    ({"method": "t"}, r"method: expected one of 'auto', 'exact', 'monte-carlo'"),
    ({"n_resamples": -1}, r"n_resamples: expected a positive integer"),
    ({"stop_after": 0}, r"stop_after: expected a positive integer"),
    (
        {"a": np.arange(15.0), "b": np.arange(15.0), "method": "exact"},
        r"method: exact enumeration of 2\*\*27",
    ),
]


@pytest.mark.parametrize(
    ("changes", "message"),
    [*BAD_SETS, *BAD_PLANS, ({"a": [1.0], "b": [2.0]}, r"a, b: expected at least 3 values")],
)
def test_two_sample_refusals(changes, message):
    call = {**SETS, "alternative": "greater", "seed": 1, **changes}
    with pytest.raises(InvalidInput, match=message):
        two_sample_test(call.pop("a"), call.pop("b"), **call)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *BAD_SETS,
        ({"b": [1.0]}, r"b: expected at least 2 values, got 1"),
        ({"a": [1.0, 1.0], "b": [2.0, 2.0]}, r"a, b: neither set varies \(all of a are 1.0"),
    ],
)
def test_welch_refusals(changes, message):
    call = {**SETS, "alternative": "greater", **changes}
    with pytest.raises(InvalidInput, match=message):
        welch_test(call.pop("a"), call.pop("b"), **call)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *BAD_SETS[:3],
        *BAD_PLANS[:4],
        ({"strata_a": [0, 0]}, r"strata_a: expected one label per value, shape \(3,\), got \(2,\)"),
        ({"strata_b": [0.0, 1.0]}, r"strata_b: expected integers or strings, got float64"),
        ({"strata_b": ["x", "y"]}, r"strata_b: expected labels of the kind of strata_a"),
        ({"strata_a": ["x", 1, "y"]}, r"strata_a\[1\]: expected a string as before, got 1"),
        ({"strata_a": [[0], [0, 1], [1]]}, r"strata_a: expected 3 labels"),
    ],
)
def test_stratified_refusals(changes, message):
    call = {
        **SETS,
        "strata_a": [0, 0, 1],
        "strata_b": [0, 1],
        "alternative": "greater",
        "seed": 1,
        **changes,
    }
    data = [call.pop(name) for name in ("a", "b", "strata_a", "strata_b")]
    with pytest.raises(InvalidInput, match=message):
        stratified_test(*data, **call)


@pytest.mark.parametrize("strata_b", [[2, 3], [1, 2]])
def test_strata_that_leave_nothing_to_compare_are_no_evidence(strata_b):
    with pytest.raises(InsufficientEvidence, match="strata_a, strata_b: fewer than 3 values"):
        stratified_test(SETS["a"], SETS["b"], [0, 0, 1], strata_b, alternative="greater", seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observed": math.nan}, r"observed: expected a finite number"),
        ({"observed": "1"}, r"observed: expected a number, got '1'"),
        ({"observed": True}, r"observed: expected a number, got True"),
        ({"others": [0.0, math.inf]}, r"others: value inf at index 1 is not finite"),
        ({"others": []}, r"others: expected at least 1 value, got 0"),
        ({"alternative": "top"}, r"alternative: expected one of"),
    ],
)
def test_rank_refusals(changes, message):
    call = {"observed": 1.0, "others": [0.0, 2.0], "alternative": "greater", **changes}
    with pytest.raises(InvalidInput, match=message):
        rank_test(call.pop("observed"), call.pop("others"), **call)
