"""ROC analysis against brute force and scipy; coverage of the intervals; refusals."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.roc import roc
from scipy.stats import binom, binomtest, mannwhitneyu, norm

CHANCE = 1e-6
ROUNDING = 1e-12


def twin_components(positives, negatives):
    """The structural components of DeLong et al. (1988), from all pairs."""
    gap = np.subtract.outer(positives, negatives)
    psi = (gap > 0) + 0.5 * (gap == 0)
    return psi.mean(axis=1), psi.mean(axis=0)


def twin_interval(positives, negatives):
    v10, v01 = twin_components(positives, negatives)
    a = v10.mean()
    s = math.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))
    ends = math.log(a / (1 - a)) + norm.ppf([0.025, 0.975]) * s / (a * (1 - a))
    return a, *(1 / (1 + np.exp(-ends)))


def twin_rates(labels, scores, threshold):
    called = scores >= threshold
    return called[labels == 0].mean(), called[labels == 1].mean()


def data(seed, m, n, shift=0.5, n_levels=None):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([1, 0], [m, n]))
    scores = rng.normal(size=m + n) + shift * labels
    return labels, scores if n_levels is None else np.floor(scores * n_levels)


SHAPES = pytest.mark.parametrize(
    ("m", "n", "n_levels"),
    [(2, 2, None), (5, 40, 2), (40, 5, None), (300, 200, None), (200, 300, 1), (1_000, 7, 3)],
)


# ---- AUROC ----------------------------------------------------------------------------------------


@SHAPES
def test_auroc_and_its_interval_are_delongs(m, n, n_levels):
    for seed in range(5):
        labels, scores = data(seed, m, n, n_levels=n_levels)
        got = roc(labels, scores, higher_means=1)
        positives, negatives = scores[labels == 1], scores[labels == 0]
        u = mannwhitneyu(positives, negatives).statistic
        assert got.auroc.value == pytest.approx(u / (m * n), abs=ROUNDING)
        assert (got.n_positives, got.n_negatives) == (m, n)
        if 0 < got.auroc.value < 1:
            expected = twin_interval(positives, negatives)
            assert (got.auroc.value, got.auroc.low, got.auroc.high) == pytest.approx(
                expected, rel=1e-9
            )


def test_the_variance_survives_a_nearly_perfect_score():
    """One pair of a million out of order: sums of squares in floats would lose the variance."""
    positives, negatives = np.arange(1_000.0) + 1_000, np.arange(1_000.0)
    negatives[-1] = 1_000.5
    labels = np.repeat([1, 0], 1_000)
    got = roc(labels, np.concatenate([positives, negatives]), higher_means=1).auroc
    assert got.value == pytest.approx(1 - 1e-6, rel=1e-12)
    assert got.low == pytest.approx(twin_interval(positives, negatives)[1], rel=1e-9)
    assert 1 - got.high == pytest.approx(1 - twin_interval(positives, negatives)[2], rel=1e-6)


def test_the_sums_do_not_overflow():
    """Nearly 3 million scores: the sum of squares is beyond 2**63."""
    labels, scores = data(4, 1_450_000, 1_450_000, shift=2.5)
    positives, negatives = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    assert (4.0 * np.searchsorted(negatives, positives) ** 2).sum() > 2**63
    v10 = np.searchsorted(negatives, positives) / negatives.size
    v01 = 1 - np.searchsorted(positives, negatives) / positives.size
    s = math.sqrt(v10.var() / v10.size + v01.var() / v01.size)
    got = roc(labels, scores, higher_means=1).auroc
    assert got.value == pytest.approx(v10.mean(), rel=1e-12)
    assert got.high - got.low == pytest.approx(2 * norm.ppf(0.975) * s, rel=1e-5)


def test_naming_the_other_label_turns_everything_round():
    labels, scores = data(3, 80, 60, n_levels=4)
    one, other = (roc(labels, scores, higher_means=label).auroc for label in (1, 0))
    assert other.value == pytest.approx(1 - one.value)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))


def test_the_direction_is_never_guessed():
    labels, scores = data(3, 80, 60, shift=2.0)
    got = roc(labels, scores, higher_means=0)
    assert got.auroc.high < 0.5
    assert any("point the other way" in text for text in got.warnings)
    assert got.higher_means == 0


def test_any_increasing_function_of_the_scores_gives_the_same():
    labels, scores = data(5, 50, 70)
    one, other = (roc(labels, s, higher_means=1) for s in (scores, np.exp(scores)))
    assert one.auroc == other.auroc
    assert (one.fpr, one.tpr) == (other.fpr, other.tpr)


@pytest.mark.parametrize(
    ("a", "b"), [(1, 0), (True, False), (2.5, -1.0), ("member", "other"), (-1, 7)]
)
def test_labels_of_any_plain_kind(a, b):
    labels, scores = data(6, 30, 20)
    expected = roc(labels, scores, higher_means=1)
    names = [a if label else b for label in labels]
    for given in (names, np.array(names), np.array(names, dtype=object)):
        assert roc(given, scores, higher_means=a).auroc == expected.auroc


# ---- where DeLong's variance is 0 -----------------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), [(2, 2), (5, 30), (400, 60)])
def test_separated_classes_get_an_interval_of_disjoint_pairs(m, n):
    labels = np.repeat([1, 0], [m, n])
    scores = np.arange(m + n)[::-1].astype(float)
    k = min(m, n)
    expected = binomtest(k, k).proportion_ci(0.95).low
    up, down = (roc(labels, scores, higher_means=label) for label in (1, 0))
    assert (up.auroc.value, up.auroc.high, down.auroc.value, down.auroc.low) == (1, 1, 0, 0)
    assert up.auroc.low == pytest.approx(expected)
    assert down.auroc.high == pytest.approx(1 - expected)
    assert "DeLong's variance is 0" in up.auroc.interval
    assert any("separated" in text for text in up.warnings)


def test_equal_scores_are_told_and_bounded():
    labels, scores = np.repeat([1, 0], [30, 20]), np.full(50, 3.0)
    got = roc(labels, scores, higher_means=1)
    tie = 0.05 ** (1 / 20)
    assert (got.auroc.low, got.auroc.value, got.auroc.high) == pytest.approx((
        tie / 2,
        0.5,
        1 - tie / 2,
    ))
    assert any("tied" in text for text in got.warnings)
    assert (got.fpr, got.tpr, got.thresholds) == ((0, 1), (0, 1), (math.inf, 3.0))


def test_scores_that_tell_nothing_apart_are_not_called_tied():
    """Two levels in equal shares: the curve is the diagonal, but the scores differ."""
    labels, scores = np.tile([1, 0], 40), np.repeat([1.0, 2.0], 40)
    got = roc(labels, scores, higher_means=1)
    assert got.auroc.value == pytest.approx(0.5)
    assert got.auroc.low < 0.45
    assert not any("tied" in text for text in got.warnings)


def test_separation_covers_the_worst_case():
    """A positive falls below all negatives with probability 1 - A: separated with probability A**m.

    At the A where the interval of separated classes just misses A, that is 0.025, so the bound is
    as sharp as any that holds for every distribution.
    """
    k = 30
    low = roc(np.repeat([1, 0], k), np.repeat([1.0, 0.0], k), higher_means=1).auroc.low
    assert low**k == pytest.approx(0.025)


# ---- coverage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "n", "auroc", "shape"),
    [
        (30, 30, 0.5, "normal"),
        (50, 50, 0.8, "normal"),
        (50, 200, 0.9, "normal"),
        (60, 40, 0.75, "exponential"),
        (60, 40, 0.5, "tied"),
    ],
)
def test_the_delong_interval_covers(m, n, auroc, shape):
    """Nominal 95 %; 93 to 98 % is asked for, which binomial noise leaves once in a million."""
    rng = np.random.default_rng(7)
    labels = np.repeat([1, 0], [m, n])
    n_runs, covered = 2_000, 0
    for _ in range(n_runs):
        if shape == "normal":
            scores = rng.normal(size=m + n) + labels * math.sqrt(2) * norm.ppf(auroc)
        elif shape == "exponential":  # P(X > Y) = 3/4 for means 3 and 1
            scores = rng.exponential(size=m + n) * np.where(labels == 1, 3, 1)
        else:
            scores = rng.integers(0, 3, size=m + n).astype(float)
        got = roc(labels, scores, higher_means=1, fprs=()).auroc
        covered += got.low <= auroc <= got.high
    assert covered >= binom.ppf(CHANCE, n_runs, 0.93)
    assert covered <= binom.ppf(1 - CHANCE, n_runs, 0.98)


@pytest.mark.parametrize(("m", "n", "auroc"), [(10, 10, 0.8), (20, 200, 0.99)])
def test_few_units_are_warned_of(m, n, auroc):
    labels, scores = data(1, m, n, shift=math.sqrt(2) * norm.ppf(auroc))
    got = roc(labels, scores, higher_means=1)
    assert 0 < got.auroc.value < 1
    assert any("are few" in text for text in got.warnings)


def test_enough_units_are_not_warned_of():
    labels, scores = data(1, 1_000, 1_000)
    assert roc(labels, scores, higher_means=1).warnings == ()


# ---- operating points -----------------------------------------------------------------------------


@SHAPES
def test_tpr_is_the_largest_within_the_fpr(m, n, n_levels):
    targets = (0.001, 0.01, 0.05, 1 / 3, 0.2, 0.999)
    for seed in range(5):
        labels, scores = data(seed, m, n, n_levels=n_levels)
        thresholds = [math.inf, *np.unique(scores)]
        rates = [twin_rates(labels, scores, t) for t in thresholds]
        got = roc(labels, scores, higher_means=1, fprs=targets)
        for point, target in zip(got.at_fpr, targets, strict=True):
            assert point.target_fpr == target
            assert point.tpr.value == max(tpr for fpr, tpr in rates if fpr <= target)
            assert point.fpr.value <= target
            assert (point.fpr.value, point.tpr.value) == twin_rates(labels, scores, point.threshold)


@pytest.mark.parametrize("n", [20, 50, 100, 700, 1_000, 3_000])
def test_a_rate_equal_to_the_target_is_within_it(n):
    """k / n and the float k / n given as the target are one number, however they round."""
    negatives = np.arange(float(n))
    positives = negatives + 0.5
    labels = np.repeat([1, 0], n)
    targets = [k / n for k in range(1, n, max(n // 50, 1))]
    got = roc(labels, np.concatenate([positives, negatives]), higher_means=1, fprs=targets)
    assert [point.fpr.value for point in got.at_fpr] == targets


def test_tied_scores_pass_or_fail_together():
    """Half of both classes at the top score: an FPR of 0.05 admits none of them."""
    labels = np.tile([1, 0], 100)
    scores = np.repeat([1.0, 0.0], 100)
    point = roc(labels, scores, higher_means=1, fprs=[0.05]).at_fpr[0]
    assert (point.threshold, point.fpr.value, point.tpr.value) == (math.inf, 0, 0)
    assert point.tpr.high > 0


@SHAPES
def test_the_intervals_of_the_rates_are_clopper_pearson(m, n, n_levels):
    labels, scores = data(8, m, n, n_levels=n_levels)
    for point in roc(labels, scores, higher_means=1, fprs=(0.01, 0.3, 0.9)).at_fpr:
        for share, size in ((point.tpr, m), (point.fpr, n)):
            expected = binomtest(round(share.value * size), size).proportion_ci(0.95)
            assert (share.low, share.high) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-12)


def test_too_few_negatives_for_a_rate_are_told():
    labels, scores = data(9, 100, 100)
    got = roc(labels, scores, higher_means=1, fprs=(0.001, 0.01, 0.05))
    about_rates = [text for text in got.warnings if "negatives: a false-positive rate" in text]
    assert len(about_rates) == 1
    assert "0.001" in about_rates[0]


# ---- the curve ------------------------------------------------------------------------------------


@SHAPES
def test_the_curve_is_all_corners_where_units_are_few(m, n, n_levels):
    labels, scores = data(10, m, n, n_levels=n_levels)
    got = roc(labels, scores, higher_means=1)
    assert (got.fpr[0], got.tpr[0], got.fpr[-1], got.tpr[-1]) == (0, 0, 1, 1)
    for fpr, tpr, threshold in zip(got.fpr, got.tpr, got.thresholds, strict=True):
        assert (fpr, tpr) == twin_rates(labels, scores, threshold)
    # Every point of the full curve lies on the straight lines between those kept.
    area = np.trapezoid(got.tpr, got.fpr)
    assert area == pytest.approx(got.auroc.value, abs=2e-3 if m + n > 800 else ROUNDING)


@pytest.mark.parametrize("n_levels", [None, 3])
def test_a_thinned_curve_moves_by_small_steps(n_levels):
    m, n = 60_000, 40_000
    labels, scores = data(11, m, n, n_levels=n_levels)
    got = roc(labels, scores, higher_means=1)
    assert len(got.fpr) < 4_000
    assert np.trapezoid(got.tpr, got.fpr) == pytest.approx(got.auroc.value, abs=1e-5)
    assert (np.diff(got.thresholds) < 0).all()
    # Each point of the full curve is on the line between two kept ones, or these are close together.
    every = np.unique(scores)
    tp = m - np.searchsorted(np.sort(scores[labels == 1]), every)
    fp = n - np.searchsorted(np.sort(scores[labels == 0]), every)
    kept_tp, kept_fp = np.rint(np.array(got.tpr) * m), np.rint(np.array(got.fpr) * n)
    after = np.searchsorted(-np.array(got.thresholds), -every)  # the first kept point not above
    d_tp, d_fp = (kept[after] - kept[after - 1] for kept in (kept_tp, kept_fp))
    on_the_line = (tp - kept_tp[after]) * d_fp == (fp - kept_fp[after]) * d_tp
    close = (d_tp <= m / 400 + 1) & (d_fp <= n / 400 + 1)
    close &= (d_tp <= 0.06 * kept_tp[after] + 1) & (d_fp <= 0.06 * kept_fp[after] + 1)
    assert (on_the_line | close).all()


def test_the_result_does_not_depend_on_the_jit():
    code = (
        "import numpy as np; from bookplate.stats.roc import roc; r = np.random.default_rng(1);"
        "y = r.integers(0, 2, 500); s = np.floor(9 * r.normal(size=500));"
        "print(repr(roc(y, s, higher_means=1)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("0", "1")
    }
    assert len(outputs) == 1


# ---- refusals -------------------------------------------------------------------------------------

GOOD = [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "scores", "options", "message"),
    [
        (GOOD, [1, 2, 3], {}, "expected labels and scores of one length, got 4 and 3"),
        (GOOD, [1, 2, math.nan, 4], {}, "scores: value nan at index 2"),
        (GOOD, [1, math.inf, 3, 4], {}, "scores: value inf at index 1"),
        (GOOD, ["a", "b", "c", "d"], {}, "scores: expected numbers"),
        ([1, 1, 1, 1], [1, 2, 3, 4], {}, "labels: all 4 are 1"),
        ([], [], {}, "labels: expected at least two units"),
        ([1, 0, 0, 0], [1, 2, 3, 4], {}, "labels: expected at least two units of each label, got 1"),
        ([1, 1, 1, 0], [1, 2, 3, 4], {}, "labels: expected at least two units of each label, got 1"),
        ([1, 0, 1, 2], [1, 2, 3, 4], {}, "labels: expected two kinds, got 1, 0 and 2 at index 3"),
        ([1, 0, math.nan, 0], [1, 2, 3, 4], {}, "labels: value nan at index 2"),
        ([1, 0, None, 0], [1, 2, 3, 4], {}, "labels: expected one dimension"),
        ([[1, 0], [1, 0]], [1, 2, 3, 4], {}, "labels: expected one dimension"),
        ([[1, 0], [1]], [1, 2, 3], {}, "labels: expected a vector"),
        (GOOD, [1, 2, 3, 4], {"higher_means": 2}, "higher_means: expected one of the labels 1 and 0"),
        (GOOD, [1, 2, 3, 4], {"higher_means": "1"}, "higher_means: expected one of the labels"),
        (GOOD, [1, 2, 3, 4], {"fprs": [0.1, 0.0]}, r"fprs\[1\]: expected a rate in \(0, 1\)"),
        (GOOD, [1, 2, 3, 4], {"fprs": [1.0]}, r"fprs\[0\]: expected a rate in \(0, 1\)"),
        (GOOD, [1, 2, 3, 4], {"fprs": [math.nan]}, "fprs: value nan at index 0"),
        (GOOD, [1, 2, 3, 4], {"fprs": 0.1}, "fprs: expected one dimension"),
    ],
)  # fmt: skip
def test_malformed_arguments_are_refused(labels, scores, options, message):
    with pytest.raises(InvalidInput, match=message):
        roc(labels, scores, **{"higher_means": 1, **options})


def test_the_direction_must_be_given():
    with pytest.raises(TypeError, match="higher_means"):
        roc(GOOD, [1, 2, 3, 4])
