r"""ROC analysis: how well does a score tell two kinds of units apart?

Notation: m positives (units with the label that is expected to score higher) with scores x_i,
n negatives with scores y_j; psi(x, y) is 1 if x > y, 1/2 if x = y, 0 otherwise;
A = sum_ij psi(x_i, y_j) / (m n) is the AUROC; V10_i = sum_j psi(x_i, y_j) / n and
V01_j = sum_i psi(x_i, y_j) / m are its structural components (DeLong et al. 1988).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from . import kernels
from .checks import finite_vector
from .findings import Effect

__all__ = ["OperatingPoint", "RocResult", "roc"]

_CONFIDENCE = 0.95
_TAIL = (1 - _CONFIDENCE) / 2
# Below either, the interval is warned of: units of a class, and units of the smaller class times
# the share of pairs out of order.
_FEW = 20
_FEW_ERRORS = 2.0
_CURVE_STEPS = 400  # per axis
_CURVE_STEPS_PER_DECADE = 40  # so that a logarithmic axis is as smooth as a linear one


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """How many positives are found while few negatives are: one row of a table of TPR at fixed FPR.

    Attributes:
        target_fpr: The false-positive rate not to be exceeded.
        threshold: Units that score at least this much are called positive; infinity if not even the
            highest score keeps to the target.
        fpr: Share of the negatives called positive, never above the target. Its interval says what
            is known of the rate among further negatives, which may well be above the target.
        tpr: Share of the positives called positive.
    """

    target_fpr: float
    threshold: float
    fpr: Effect
    tpr: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class RocResult:
    """How well a score separates positives from negatives, in the direction fixed beforehand.

    Attributes:
        auroc: Probability that a random positive outscores a random negative, ties counted half.
        at_fpr: True-positive rates at the false-positive rates asked for, in the order asked.
        fpr: False-positive rates of the curve, ascending from 0 to 1.
        tpr: True-positive rates of the curve, ascending from 0 to 1.
        thresholds: Point i calls positive what scores at least `thresholds[i]`; descending from
            infinity, where nothing is.
        higher_means: The label that was expected to score higher: its units are the positives.
        n_positives: Number of positives.
        n_negatives: Number of negatives.
        warnings: What the reader must know besides.
    """

    auroc: Effect
    at_fpr: tuple[OperatingPoint, ...]
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    thresholds: tuple[float, ...]
    higher_means: bool | int | float | str
    n_positives: int
    n_negatives: int
    warnings: tuple[str, ...]


def roc(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    higher_means: bool | int | float | str,
    fprs: Sequence[float] = (0.001, 0.01, 0.05),
) -> RocResult:
    r"""Measure how well a score tells units of one label from units of the other.

    The interval of the AUROC A is DeLong's on the logit scale,

    .. math:: \operatorname{logit} A \pm 1.96\, \frac{s}{A (1 - A)}, \quad
        s^2 = \frac{\operatorname{var}(V_{10})}{m} + \frac{\operatorname{var}(V_{01})}{n},

    with the unbiased variances of DeLong et al. (1988), computed by sorting as in Sun & Xu (2014)
    and without rounding. It takes the units as independent; units that share an author or a source
    make it too narrow. It is asymptotic: in simulations of normal scores with 20 to 400 of each
    class and A from 0.5 to 0.99 it covered 89 to 97 % instead of 95, least for very unequal classes and
    A near 1, and 92 % or more where min(m, n) (1 - A) >= 2. A warning is given below that, and for
    fewer than 20 of a class.

    s is 0 exactly if the classes are separated (A is 0 or 1) or all scores are equal. An interval of
    width 0 would be a false claim, so there the interval is the Clopper-Pearson one of k = min(m, n)
    disjoint pairs: their k comparisons are independent and came out alike, which for a probability
    q per pair happens with probability q**k. So A >= 0.025**(1/k) for separated classes and, as q is
    the probability of a tie, 0.05**(1/k) / 2 <= A <= 1 - 0.05**(1/k) / 2 for equal scores. These
    hold at any m and n and for any distribution. They are wider than DeLong's interval
    when a single pair is out of order.

    The TPR at an FPR is the largest among the thresholds whose empirical FPR is at most the target;
    tied scores pass or fail together, and nothing is interpolated. Its Clopper-Pearson interval
    takes the threshold as given, although the same negatives chose it.

    Args:
        labels: Two kinds of truth values, integers, floats or strings, shape (N,), at least two of each.
        scores: Finite scores, shape (N,).
        higher_means: The label that is expected to score higher. It is never guessed: if the scores
            point the other way, the AUROC is below 1/2.
        fprs: False-positive rates in (0, 1) at which to give the true-positive rate.

    Returns:
        The AUROC, the operating points, and a curve of at most some thousand points. From one point
        to the next, either rate moves by at most 1/400 and by at most 6 % of itself, each plus one
        unit, unless the curve is straight between them.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    positives, negatives, targets = _checked(labels, scores, higher_means, fprs)
    m, n = positives.size, negatives.size
    twice_v10 = _moments(positives, negatives)
    twice_v01 = _moments(negatives, positives)
    auroc = _auroc(twice_v10, twice_v01, m, n)
    points = tuple(_operating_point(positives, negatives, target) for target in targets)
    fpr, tpr, thresholds = _curve(positives, negatives)
    return RocResult(
        auroc=auroc,
        at_fpr=points,
        fpr=tuple(fpr.tolist()),
        tpr=tuple(tpr.tolist()),
        thresholds=tuple(thresholds.tolist()),
        higher_means=higher_means,
        n_positives=m,
        n_negatives=n,
        warnings=_warnings(auroc, positives, negatives, targets),
    )


# ---- check ----------------------------------------------------------------------------------------


def _checked(
    labels: ArrayLike,
    scores: ArrayLike,
    higher_means: bool | int | float | str,
    fprs: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
    """Return the sorted scores of positives and negatives, and the target rates."""
    vector = finite_vector("scores", scores)
    kinds = _label_vector(labels)
    if kinds.size != vector.size:
        raise InvalidInput(
            f"expected labels and scores of one length, got {kinds.size} and {vector.size}"
        )
    if kinds.size == 0:
        raise InvalidInput("labels: expected at least two units of each label, got none at all")
    is_positive = _is_positive(kinds, higher_means)
    positives, negatives = vector[is_positive], vector[~is_positive]
    for name, group in (("that", positives), ("the other", negatives)):
        if group.size < 2:
            raise InvalidInput(
                f"labels: expected at least two units of each label, got {group.size} of {name} "
                f"which higher_means={higher_means!r} {'names' if name == 'that' else 'does not name'}"
            )
    targets: list[float] = finite_vector("fprs", fprs).tolist()
    for index, target in enumerate(targets):
        if not 0 < target < 1:
            raise InvalidInput(f"fprs[{index}]: expected a rate in (0, 1), got {target}")
    positives.sort()
    negatives.sort()
    return positives, negatives, targets


def _label_vector(labels: ArrayLike) -> NDArray[Any]:
    try:
        kinds = np.asarray(labels)
        if kinds.dtype.kind in "OT":  # e.g. a column of strings: let numpy find a plain type
            kinds = np.array(kinds.tolist())
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"labels: expected a vector of labels ({error})") from error
    if kinds.ndim != 1 or kinds.dtype.kind not in "biufU":
        raise InvalidInput(
            "labels: expected one dimension of truth values, numbers or strings, got shape "
            f"{kinds.shape} of {kinds.dtype}"
        )
    if kinds.dtype.kind == "f" and np.isnan(kinds).any():
        raise InvalidInput(
            f"labels: value nan at index {int(np.isnan(kinds).argmax())} is no label"
        )
    return kinds


def _is_positive(kinds: NDArray[Any], higher_means: bool | int | float | str) -> NDArray[np.bool_]:
    is_first = kinds == kinds[0]
    if is_first.all():
        raise InvalidInput(f"labels: all {kinds.size} are {kinds[0].item()!r}; expected two kinds")
    second = kinds[int(is_first.argmin())]
    is_second = kinds == second
    neither = ~(is_first | is_second)
    if neither.any():
        index = int(neither.argmax())
        raise InvalidInput(
            f"labels: expected two kinds, got {kinds[0].item()!r}, {second.item()!r} and "
            f"{kinds[index].item()!r} at index {index}"
        )
    if higher_means == kinds[0].item():
        return cast("NDArray[np.bool_]", is_first)
    if higher_means == second.item():
        return cast("NDArray[np.bool_]", is_second)
    raise InvalidInput(
        f"higher_means: expected one of the labels {kinds[0].item()!r} and {second.item()!r}, "
        f"got {higher_means!r}"
    )


# ---- compute --------------------------------------------------------------------------------------


def _moments(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[int, int]:
    """Sum and sum of squares of 2 sum_j psi(x_i, y_j) over i, in integers of any size."""
    total, high, low = kernels.twice_placements(x, y)
    return int(total), (int(high) << 32) + int(low)


def _auroc(v10: tuple[int, int], v01: tuple[int, int], m: int, n: int) -> Effect:
    total, pairs = v10[0], 2 * m * n
    value, complement = total / pairs, (pairs - total) / pairs
    # var(V10) / m + var(V01) / n over one denominator: integers until the last division.
    spread_10 = m * v10[1] - v10[0] ** 2
    spread_01 = n * v01[1] - v01[0] ** 2
    variance = (spread_10 * (n - 1) + spread_01 * (m - 1)) / (pairs**2 * (m - 1) * (n - 1))
    if variance > 0:
        centre = math.log(value) - math.log(complement)
        half_width = -float(special.ndtri(_TAIL)) * math.sqrt(variance) / (value * complement)
        low, high = (
            float(special.expit(centre - half_width)),
            float(special.expit(centre + half_width)),
        )
        interval = "DeLong on the logit scale"
    else:
        k = min(m, n)
        if total in (0, pairs):
            reach = 1 - _TAIL ** (1 / k)
            low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        else:  # all scores are tied
            low = (2 * _TAIL) ** (1 / k) / 2
            high = 1 - low
        interval = f"Clopper-Pearson of {k} disjoint pairs, as DeLong's variance is 0"
    return Effect(
        name="AUROC, probability that a positive outscores a negative",
        value=value,
        low=min(low, value),  # rounding may put an end on the wrong side of the value
        high=max(high, value),
        confidence=_CONFIDENCE,
        interval=interval,
    )


def _operating_point(
    positives: NDArray[np.float64], negatives: NDArray[np.float64], target: float
) -> OperatingPoint:
    m, n = positives.size, negatives.size
    # a / n <= target as floats, which is how the rate will be read; a differs from n * target by 1 at most.
    allowed = min(math.floor(n * target) + 1, n)
    while allowed / n > target:
        allowed -= 1
    first_forbidden = negatives[n - 1 - allowed]  # allowed < n, as the target is below 1
    start = int(np.searchsorted(positives, first_forbidden, side="right"))
    threshold = float(positives[start]) if start < m else math.inf
    false_positives = n - int(np.searchsorted(negatives, threshold, side="left"))
    return OperatingPoint(
        target_fpr=target,
        threshold=threshold,
        fpr=_share("false-positive rate", false_positives, n),
        tpr=_share("true-positive rate", m - start, m),
    )


def _share(name: str, k: int, n: int) -> Effect:
    return Effect(
        name=name,
        value=k / n,
        low=float(special.betaincinv(k, n - k + 1, _TAIL)) if k > 0 else 0.0,
        high=float(special.betainccinv(k + 1, n - k, _TAIL)) if k < n else 1.0,
        confidence=_CONFIDENCE,
        interval="Clopper-Pearson, the threshold taken as given",
    )


def _curve(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rates at enough thresholds for the eye; corners of the kept points stay, straight runs go."""
    marks = np.concatenate([_quantiles(positives), _quantiles(negatives)])
    # Where many units are tied, the curve rises along a straight line: keep both of its ends.
    above = np.concatenate([_next_above(positives, marks), _next_above(negatives, marks)])
    both = np.minimum(above[: marks.size], above[marks.size :])
    thresholds = np.unique(np.concatenate([marks, both, [math.inf]]))[::-1]
    fp = negatives.size - np.searchsorted(negatives, thresholds, side="left")
    tp = positives.size - np.searchsorted(positives, thresholds, side="left")
    keep = np.ones(thresholds.size, dtype=np.bool_)
    d_fp, d_tp = np.diff(fp).astype(np.int64), np.diff(tp).astype(np.int64)
    keep[1:-1] = d_fp[:-1] * d_tp[1:] != d_fp[1:] * d_tp[:-1]
    return fp[keep] / negatives.size, tp[keep] / positives.size, thresholds[keep]


def _quantiles(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Order statistics of ascending x in even steps, and in logarithmic steps from the top."""
    linear = np.linspace(0, x.size - 1, min(x.size, _CURVE_STEPS + 1))
    n_log = math.ceil(_CURVE_STEPS_PER_DECADE * math.log10(x.size)) + 1
    from_top = x.size - np.geomspace(1, x.size, n_log)
    picked: NDArray[np.float64] = x[np.rint(np.concatenate([linear, from_top])).astype(np.int64)]
    return picked


def _next_above(x: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
    index = np.searchsorted(x, marks, side="right")
    return np.where(index < x.size, x[np.minimum(index, x.size - 1)], math.inf)


# ---- explain --------------------------------------------------------------------------------------


def _warnings(
    auroc: Effect,
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    targets: list[float],
) -> tuple[str, ...]:
    m, n = positives.size, negatives.size
    warnings = []
    if auroc.value in {0, 1}:
        warnings.append(
            "The classes are fully separated: the interval holds for any distribution of the scores, "
            "and is wide."
        )
    elif max(positives[-1], negatives[-1]) == min(positives[0], negatives[0]):
        warnings.append("All scores are tied: they tell nothing apart.")
    elif min(m, n) < _FEW or min(m, n) * min(auroc.value, 1 - auroc.value) < _FEW_ERRORS:
        warnings.append(
            f"{m} positives and {n} negatives are few for an AUROC of {auroc.value:.4g}: DeLong's "
            "interval is asymptotic and may be too narrow."
        )
    if auroc.high < 0.5:
        warnings.append(
            "The scores point the other way: the label named by higher_means scores lower. "
            "Nothing was turned round."
        )
    warnings.extend(
        f"Only {n} negatives: a false-positive rate of {target} cannot be told from rates up to "
        f"1/{n}; the true-positive rate given for it is that above all negatives."
        for target in targets
        if 1 / n > target
    )
    return tuple(warnings)
