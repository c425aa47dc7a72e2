"""The sign-flip test and its kernels: slow twins, SciPy, size and power, early stopping, refusals."""

import hashlib
import itertools
import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import Alternative, Finding, NullHistogram, Validity, resampling_kernels
from bookplate.stats.montecarlo import Plan, ResamplingMethod, drawn_tail
from bookplate.stats.paired import paired_test
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.stats import binom, chi2, norm

N_NULL = 2_000
CHANCE = 1e-6  # a correct test exceeds a bound below once in a million seeds; ours are fixed
SIDES = list(Alternative)
WORLDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "ties": lambda rng, n: rng.integers(-2, 3, size=n).astype(float),
    "unequal spread": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-2, 3, size=n),
}


def at_most(alpha):
    return binom.ppf(1 - CHANCE, N_NULL, alpha)


def twin_p(d, alternative):
    """P(T >= t) from the definition: every pattern of signs."""
    d = np.asarray(d, dtype=float) * (-1 if alternative is Alternative.LESS else 1)
    sums = np.array([np.dot(signs, d) for signs in itertools.product((1, -1), repeat=d.size)])
    if alternative is Alternative.TWO_SIDED:
        return np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9)
    return np.mean(sums >= d.sum() - 1e-9)


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


def twin_signs(n, seed, draw):
    """Bit i % 32 of word (i // 32) % 4 of the call for block i // 128; a set bit is plus."""
    signs = []
    for i in range(n):
        counter = (i // 128, draw % 2**32, draw // 2**32, 2)
        word = twin_philox(counter, (seed % 2**32, seed // 2**32))[i // 32 % 4]
        signs.append(1 if word >> (i % 32) & 1 else -1)
    return signs


@pytest.mark.parametrize("seed", [0, 2**64 - 1, 20_260_819])
@pytest.mark.parametrize("n", [1, 7, 8, 31, 127, 128, 129, 300])
def test_drawn_sums_are_their_slow_twin(n, seed):
    """Differences are whole numbers, so that every order of addition gives the same sum."""
    d = np.random.default_rng(n).integers(-1_000, 1_000, size=n).astype(float)
    for first in (0, 2**32 - 2):
        drawn = resampling_kernels.drawn_sign_sums(d, np.uint64(seed), first, 4)
        assert drawn.tolist() == [
            np.dot(twin_signs(n, seed, first + i), d) for i in range(drawn.size)
        ]


def test_the_plain_sum_is_the_draw_with_all_signs_plus():
    """To the last bit, on numbers that round: groups of 8, words of 4, blocks of 4 words."""
    d = np.random.default_rng(1).standard_cauchy(size=300)
    padded = np.concatenate([d, np.zeros(384 - d.size)])
    total = 0.0
    for block in padded.reshape(-1, 4, 4, 8):
        words = []
        for word in block:
            groups = []
            for group in word:
                sum_ = 0.0
                for value in group:
                    sum_ += value
                groups.append(sum_)
            words.append(((groups[0] + groups[1]) + groups[2]) + groups[3])
        total += ((words[0] + words[1]) + words[2]) + words[3]
    assert resampling_kernels.plain_sum(d) == total
    one = np.array([0.1, 0.2, 0.3])
    drawn = resampling_kernels.drawn_sign_sums(one, np.uint64(1), 0, 200)
    assert drawn.max() == resampling_kernels.plain_sum(one)


def test_all_sums_are_all_sums():
    d = np.array([0.5, -3.0, 10.25, 2.0])
    sums = resampling_kernels.all_sign_sums(d)
    expected = [np.dot(signs, d) for signs in itertools.product((1, -1), repeat=4)]
    assert sorted(sums.tolist()) == sorted(expected)
    assert sums[-1] == d.sum()


def test_every_pattern_of_signs_is_equally_likely():
    """Powers of two make the pattern readable from the sum; signs 5..12 span two bytes."""
    d = np.zeros(140)
    d[[5, 7, 8, 12, 31, 32, 127, 128]] = 2.0 ** np.arange(8)
    sums = resampling_kernels.drawn_sign_sums(d, np.uint64(3), 0, 100_000)
    counts = np.bincount(np.rint((sums + 255) / 2).astype(int), minlength=256)
    expected = 100_000 / 256
    assert ((counts - expected) ** 2 / expected).sum() <= chi2.isf(CHANCE, 255)


def test_draws_do_not_depend_on_threads_or_on_where_a_call_starts():
    d = np.random.default_rng(2).normal(size=200)
    numba.set_num_threads(1)
    whole = resampling_kernels.drawn_sign_sums(d, np.uint64(4), 0, 6_000)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    for cuts in ([0, 6_000], [0, 1, 2_501, 6_000]):
        parts = [
            resampling_kernels.drawn_sign_sums(d, np.uint64(4), first, stop - first)
            for first, stop in itertools.pairwise(cuts)
        ]
        assert np.array_equal(np.concatenate(parts), whole)


DIGEST = """
import hashlib, numpy as np
from bookplate.stats import resampling_kernels as rk
d = np.random.default_rng(5).standard_cauchy(size=150)
starts, picks = np.array([0, 60, 67, 150]), np.array([30, 1, 20])
found = hashlib.sha256()
found.update(rk.drawn_sign_sums(d, np.uint64(2**63 + 1), 7, 20).tobytes())
found.update(np.float64(rk.plain_sum(d)).tobytes())
found.update(rk.all_sign_sums(d[:6]).tobytes())
found.update(rk.drawn_subset_sums(d, starts, picks, np.uint64(2**63 + 1), 7, 20).tobytes())
found.update(np.float64(rk.leading_sum(d, starts, picks)).tobytes())
found.update(rk.all_subset_sums(d, np.array([0, 4, 7]), np.array([2, 1]), 18).tobytes())
"""


def test_the_same_bits_with_and_without_the_jit():
    script = DIGEST + "print(found.hexdigest())"
    without = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    scope = {"hashlib": hashlib}
    exec(DIGEST, scope)
    assert without.stdout.strip() == scope["found"].hexdigest()


# ---- p against its definition ---------------------------------------------------------------------


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("world", WORLDS)
def test_exact_p_is_the_share_of_sign_patterns(world, alternative):
    rng = np.random.default_rng(6)
    for _ in range(10):
        d = WORLDS[world](rng, 8)
        finding = paired_test(d, alternative=alternative, seed=0)
        assert finding.p_value == pytest.approx(twin_p(d, alternative), rel=1e-12)
        assert finding.method == "exact"
        assert finding.seed is None


@pytest.mark.parametrize("alternative", SIDES)
def test_exact_p_agrees_with_scipy(alternative):
    rng = np.random.default_rng(7)
    for _ in range(5):
        x, y = rng.normal(size=7) + 0.5, rng.normal(size=7)
        peer = stats.permutation_test(
            (x, y),
            lambda a, b: np.mean(a - b),
            permutation_type="samples",
            alternative=alternative.value,
            n_resamples=np.inf,
        )
        assert paired_test(x - y, alternative=alternative, seed=0).p_value == pytest.approx(
            peer.pvalue, rel=1e-12
        )


@pytest.mark.parametrize("alternative", SIDES)
def test_monte_carlo_agrees_with_enumeration(alternative):
    rng, n_draws = np.random.default_rng(8), 20_000
    for world in WORLDS.values():
        d = world(rng, 15)
        p = paired_test(d, alternative=alternative, seed=0, method="exact").p_value
        drawn = paired_test(
            d, alternative=alternative, seed=9, method="monte-carlo", n_resamples=n_draws
        )
        b = round(drawn.p_value * (n_draws + 1)) - 1
        assert binom.ppf(CHANCE / 2, n_draws, p) <= b <= binom.ppf(1 - CHANCE / 2, n_draws, p)
        assert (drawn.method, drawn.seed) == (f"monte-carlo B={n_draws}", 9)


@pytest.mark.parametrize("alternative", SIDES)
def test_over_all_sign_patterns_p_is_valid_even_where_the_bound_decides(alternative):
    """The definition of validity, without sampling; B = 1 leaves the bound to decide below 1/2."""
    sizes = np.random.default_rng(10).exponential(size=9)
    patterns = [np.array(s) * sizes for s in itertools.product((1, -1), repeat=9)]
    exact = np.sort([paired_test(d, alternative=alternative, seed=0).p_value for d in patterns])
    assert (np.searchsorted(exact, exact, side="right") / exact.size <= exact * (1 + 1e-12)).all()
    few = {"method": "monte-carlo", "n_resamples": 1}
    p = np.sort([paired_test(d, alternative=alternative, seed=5, **few).p_value for d in patterns])
    below = p[p < 0.5]
    assert below.size > 30
    assert (np.searchsorted(p, below, side="right") / p.size <= below * (1 + 1e-12)).all()


def test_the_bound_is_chernoffs():
    d = np.random.default_rng(11).normal(size=300) + 1.0
    t = d.sum()
    best = minimize_scalar(lambda lam: np.log(np.cosh(lam * d)).sum() - lam * t, bounds=(0, 20))
    one = paired_test(d, alternative="greater", seed=1, n_resamples=99)
    both = paired_test(d, alternative="two-sided", seed=1, n_resamples=99)
    assert one.log10_p == pytest.approx(best.fun / math.log(10), rel=1e-6)
    assert both.log10_p == pytest.approx(one.log10_p + math.log10(2), rel=1e-12)
    assert one.method == both.method == "chernoff-bound, as none of B=99 draws reached the value"
    assert one.valid is Validity.FINITE_SAMPLE


def test_the_bound_is_never_below_the_exact_tail():
    rng = np.random.default_rng(12)
    for shift in (0.3, 1.0, 3.0):
        d = rng.normal(size=18) + shift
        exact = paired_test(d, alternative="greater", seed=0)
        drawn = paired_test(d, alternative="greater", seed=0, method="monte-carlo", n_resamples=1)
        assert drawn.log10_p >= exact.log10_p - 1e-12


def test_all_signs_alike_give_the_probability_of_that_pattern():
    finding = paired_test(np.ones(2_000), alternative="greater", seed=1)
    assert finding.log10_p == pytest.approx(-2_000 * math.log10(2), rel=1e-9)
    assert finding.p_text == "8.8e-603"


def test_a_tie_within_rounding_counts_against_the_claim():
    d = [0.1, 0.2, -0.3]  # flipping all but for rounding gives the observed sum, 0
    assert paired_test(d, alternative="greater", seed=0).p_value == pytest.approx(5 / 8)
    assert paired_test(d, alternative="two-sided", seed=0).p_value == 1


# ---- size and power -------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("stop_after", [None, 5])
def test_null_rejections_keep_their_rate(world, stop_after):
    rng = np.random.default_rng(13)
    for alternative in (Alternative.GREATER, Alternative.TWO_SIDED):
        p = np.array([
            paired_test(
                WORLDS[world](rng, 40),
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


def test_size_below_the_monte_carlo_floor():
    rng = np.random.default_rng(14)
    p = np.array([
        paired_test(rng.normal(size=25), alternative="two-sided", seed=s, n_resamples=19).p_value
        for s in range(N_NULL)
    ])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= at_most(alpha)


def test_a_planted_effect_is_found():
    """100 normal differences lifted by 0.25: the power of a z test, within 5 standard errors."""
    rng, n, lift, n_runs = np.random.default_rng(15), 100, 0.25, 400
    rejected = sum(
        paired_test(
            rng.normal(size=n) + lift, alternative="greater", seed=s, n_resamples=999
        ).rejects(0.05)
        for s in range(n_runs)
    )
    power = norm.sf(norm.isf(0.05) - lift * math.sqrt(n))
    assert abs(rejected / n_runs - power) <= 5 * math.sqrt(power * (1 - power) / n_runs)


# ---- early stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize("alternative", SIDES)
def test_stopping_reads_the_same_draws_up_to_the_one_that_ends_them(alternative):
    rng, h = np.random.default_rng(16), 20
    stopped = 0
    for shift in (0.0, 0.1, 0.2, 0.4):
        d = rng.normal(size=60) + shift
        towards = -d if alternative is Alternative.LESS else d
        null, t = (
            resampling_kernels.drawn_sign_sums(towards, np.uint64(17), 0, 5_000),
            towards.sum(),
        )
        if alternative is Alternative.TWO_SIDED:
            null, t = np.abs(null), abs(t)
        reached = np.flatnonzero(null >= t)
        finding = paired_test(d, alternative=alternative, seed=17, n_resamples=5_000, stop_after=h)
        if reached.size >= h:
            stopped += 1
            last = int(reached[h - 1]) + 1
            assert finding.p_value == pytest.approx(h / last)
            assert f"stopped at draw {last} of at most B=5000, the {h}. to reach" in finding.method
            assert sum(finding.figure.counts) == last
        else:
            assert finding.p_value == pytest.approx((1 + reached.size) / 5_001)
            assert "B=5000, as fewer than stop_after=20" in finding.method
        assert "Besag & Clifford 1991" in finding.method
    assert stopped >= 1


def test_stopping_is_valid_by_its_definition():
    """The observed value and 6 draws in every order they can come in, h = 2."""
    plan = Plan.of("greater", "monte-carlo", 1, 6, 2)
    p = []
    for order in itertools.permutations(range(7)):
        observed, draws = order[0], np.array(order[1:], dtype=float)
        tail = drawn_tail(
            plan, lambda first, n, x=draws: x[first : first + n], observed, 1.0, lambda: 0.0
        )
        p.append(10**tail.log10_p)
    p = np.sort(p)
    assert (np.searchsorted(p, p * (1 + 1e-12), side="right") / p.size <= p * (1 + 1e-9)).all()
    attained = {1 / 7, 2 / 7, 2 / 6, 2 / 5, 2 / 4, 2 / 3, 1.0}
    assert {round(x, 9) for x in p} == {round(x, 9) for x in attained}


def test_stopping_goes_on_to_the_bound_where_no_draw_reaches_the_value():
    d = np.random.default_rng(18).normal(size=200) + 1
    plain = paired_test(d, alternative="greater", seed=1, n_resamples=999)
    assert paired_test(d, alternative="greater", seed=1, n_resamples=999, stop_after=10) == plain


# ---- shape of the finding, invariance -------------------------------------------------------------


def test_the_finding_says_what_was_found():
    d = np.concatenate([np.random.default_rng(19).normal(size=50) + 0.5, np.zeros(3)])
    finding = paired_test(d, alternative="greater", seed=20, n_resamples=999)
    assert finding.statistic.value == pytest.approx(d.sum() / math.sqrt((d**2).sum()))
    oracle = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert finding.effect.value == pytest.approx(d.mean())
    assert (finding.effect.low, finding.effect.high) == pytest.approx((oracle.low, oracle.high))
    assert (finding.n, finding.unit) == (53, "pairs")
    assert finding.warnings == ("3 of 53 differences are 0 and say nothing.",)
    assert isinstance(finding.figure, NullHistogram)
    assert sum(finding.figure.counts) == 999
    assert Finding.from_dict(finding.to_dict()) == finding
    assert finding.assumptions


def test_the_seed_replays_the_finding():
    d = np.random.default_rng(21).normal(size=40) + 0.2
    first = paired_test(d, alternative="two-sided", seed=22, n_resamples=999)
    assert paired_test(d, alternative="two-sided", seed=first.seed, n_resamples=999) == first
    assert paired_test(d, alternative="two-sided", seed=23, n_resamples=999) != first


@pytest.mark.parametrize("method", ["exact", "monte-carlo"])
def test_mirrored_data_mirror_the_finding_and_scale_changes_nothing(method):
    d = np.random.default_rng(24).normal(size=18)
    up = paired_test(d, alternative="greater", seed=1, method=method, n_resamples=999)
    down = paired_test(-d, alternative="less", seed=1, method=method, n_resamples=999)
    large = paired_test(d * 2.0**900, alternative="greater", seed=1, method=method, n_resamples=999)
    small = paired_test(
        d * 2.0**-900, alternative="greater", seed=1, method=method, n_resamples=999
    )
    assert up.log10_p == down.log10_p == large.log10_p == small.log10_p
    assert up.statistic.value == -down.statistic.value == large.statistic.value
    assert large.effect.high == math.ldexp(up.effect.high, 900)
    assert small.effect.low == math.ldexp(up.effect.low, -900)


def test_zero_differences_change_nothing_but_n():
    d = np.random.default_rng(25).normal(size=30)
    with_zeros = np.insert(d, [0, 10, 30], 0.0)
    one = paired_test(d, alternative="greater", seed=1, n_resamples=999)
    other = paired_test(with_zeros, alternative="greater", seed=1, n_resamples=999)
    assert (one.log10_p, one.n, other.n) == (other.log10_p, 30, 33)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("method", ["auto", "exact", "monte-carlo"])
def test_all_zero_differences_give_p_1_and_a_warning(alternative, method):
    finding = paired_test(np.zeros(40), alternative=alternative, seed=0, method=method)
    assert finding.p_value == 1
    assert finding.warnings == ("All differences are 0: p is 1.",)
    assert (finding.seed, finding.figure) == (None, None)


# ---- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"differences": [1.0, math.nan, 2.0]}, r"differences: value nan at index 1 is not finite"),
        ({"differences": [1.0, 2.0, math.inf]}, r"differences: value inf at index 2 is not finite"),
        ({"differences": [1.0, 2e300]}, r"differences: value 2e\+300 at index 1 is beyond 1e300"),
        (
            {"differences": [[1.0], [2.0]]},
            r"differences: expected one dimension, got shape \(2, 1\)",
        ),
        ({"differences": ["a", "b"]}, r"differences: expected numbers"),
        ({"differences": [1.0]}, r"differences: expected at least 2 pairs, got 1"),
        ({"differences": []}, r"differences: expected at least 2 pairs, got 0"),
        ({"alternative": "bigger"}, r"alternative: expected one of 'greater', 'less', 'two-sided'"),
        ({"method": "permutation"}, r"method: expected one of 'auto', 'exact', 'monte-carlo'"),
        (
            {"differences": np.ones(21), "method": "exact"},
            r"method: exact enumeration of 2\*\*21.0",
        ),
        ({"seed": -1}, r"seed: expected an integer in"),
        ({"seed": True}, r"seed: expected an integer in"),
        ({"n_resamples": 0}, r"n_resamples: expected a positive integer, got 0"),
        ({"stop_after": 0}, r"stop_after: expected a positive integer, got 0"),
        ({"stop_after": 1.5}, r"stop_after: expected a positive integer, got 1.5"),
        ({"stop_after": 100, "n_resamples": 99}, r"stop_after: expected at most n_resamples = 99"),
        ({"stop_after": 5, "method": "exact"}, r"stop_after: enumeration draws nothing"),
    ],
)
def test_refusals_name_the_argument_and_the_index(changes, message):
    call = {"differences": [1.0, 2.0, -1.0], "alternative": "greater", "seed": 1, **changes}
    with pytest.raises(InvalidInput, match=message):
        paired_test(call.pop("differences"), **call)


def test_direction_and_seed_are_never_guessed():
    with pytest.raises(TypeError):
        paired_test([1.0, 2.0], seed=1)
    with pytest.raises(TypeError):
        paired_test([1.0, 2.0], alternative="greater")


def test_plain_strings_become_members():
    finding = paired_test([1.0, 2.0], alternative="less", seed=1, method="exact")
    assert finding.alternative is Alternative.LESS
    assert ResamplingMethod("exact") is ResamplingMethod.EXACT
