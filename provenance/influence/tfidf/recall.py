r"""What the filter may have hidden, told from its random stratum.

Notation: the filter's top holds k documents, all scored, a_1 >= a_2 >= ... their influences on one query.
Outside are N documents, of which a simple random sample of n was scored. K(a) is how many of the N have an
influence of at least a, X(a) how many of the n. As the a_r do not depend on the sample, X(a_r) has a
hypergeometric distribution: n draws without replacement from N documents of which K(a_r) are marked.

Number hidden. The interval for K(a_m) holds every K for which neither P(X <= x | K) nor P(X >= x | K) is at
most alpha / 2, x being what was seen: Clopper and Pearson's (1934) construction for a finite population.

Recall. Of the corpus's m most influential documents, R are in the top; ties count against the filter. The
r-th best of the top is among these m if and only if K(a_r) <= m - r, so R is the largest r of which this is
true. The hypotheses R < 1, R < 2, ... are nested, each implied by the one before. They are tested in this
order, R < r by P(X <= x_r | K = m - r + 1), until one is not rejected at alpha / 2. A false claim needs the
rejection of the first true one among them, R < R + 1, which happens with probability at most alpha / 2 (a
fixed sequence of tests, Maurer et al. 1995). So low is the last r rejected, over m; high comes likewise from
R >= m, R >= m - 1, ... P-values only rise along either sequence, so that the last rejection is found by
bisection.

What this cannot say. A sample that holds no document above a_m does not show that there is none: with n of N
scored, some 3.7 N / n documents may be hidden at 95 %, and the recall's lower bound is 0 unless m
is larger than that. `random_needed` gives the size that would do. How influential a hidden
document may be is beyond any bound: one that was not drawn can have any influence.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from ....errors import InvalidInput
from ....stats.checks import finite_vector, number_in

__all__ = ["FilterRecall", "HiddenTail", "filter_recall", "hidden_tail", "random_needed"]

# scipy's tails are right to 1e-6 of themselves up to 1e9 documents; what is near is not rejected.
_MARGIN = 1 - 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRecall:
    """How many of the most influential documents are in the filter's top.

    Attributes:
        m: How many documents count as the most influential.
        threshold: Influence of the m-th best document of the top.
        n_sampled: Documents of the random stratum.
        n_outside: Documents that are not in the top, for which these stand.
        n_above: Documents of the random stratum with an influence of at least the threshold.
        hidden: Estimated number of documents outside with such an influence.
        hidden_low: Lower end of its interval.
        hidden_high: Upper end.
        recall: Estimated share of the corpus's m most influential documents that are in the top.
        recall_low: Lower end of its interval.
        recall_high: Upper end.
        confidence: Of either interval, over draws of the random stratum; the ends hold each with half the
            error.
    """

    m: int
    threshold: float
    n_sampled: int
    n_outside: int
    n_above: int
    hidden: float
    hidden_low: int
    hidden_high: int
    recall: float
    recall_low: float
    recall_high: float
    confidence: float

    def explained(self) -> str:
        """The result in words, with what it cannot say."""
        seen = (
            f"Of {self.n_sampled:,} documents drawn at random from the {self.n_outside:,} outside the "
            f"filter's top, {self.n_above:,} have at least the influence of the top's best number {self.m:,}."
        )
        low, high = round(self.recall_low * self.m), round(self.recall_high * self.m)
        bound = (
            f"With {100 * self.confidence:.4g} % confidence {self.hidden_low:,} to {self.hidden_high:,} "
            f"documents outside do, and of the corpus's {self.m:,} most influential documents {low:,} to "
            f"{high:,} are in the top."
        )
        if low or self.n_above:
            return f"{seen} {bound}"
        return f"{seen} {bound} The sample is too small to show that any of them are."


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTail:
    """How much positive influence lies outside the filter's top.

    Attributes:
        inside: Sum of the positive influences of the top.
        outside: Estimated sum of the positive influences outside.
        standard_error: Of `outside`. Influences have heavy tails: the true sum can lie many of these above.
        share_inside: inside / (inside + outside); None where both are 0.
        largest: Largest influence in the random stratum.
        most_above_largest: At most so many documents outside have an influence above it, with the confidence.
        confidence: Of that bound, which is exact; of the sums there is none.
    """

    inside: float
    outside: float
    standard_error: float
    share_inside: float | None
    largest: float
    most_above_largest: int
    confidence: float


def filter_recall(
    top: ArrayLike, random: ArrayLike, *, n_outside: int, m: int, confidence: float = 0.95
) -> FilterRecall:
    """How many of a corpus's m most influential documents the filter's top holds.

    For the most negative influences give all values with their signs changed. Of several queries each
    interval holds by itself; for Q of them at once give a confidence of 1 - 0.05 / Q.

    Args:
        top: Influence on one query of every document of the top, shape (k,).
        random: Influence of every document of the random stratum, shape (n,).
        n_outside: Documents that are not in the top, `Chosen.n_outside`.
        m: How many documents count as the most influential; at most k. To be chosen beforehand.
        confidence: Of the intervals.

    Returns:
        Estimates and exact intervals; see the module for their derivation and limits.

    Raises:
        InvalidInput: If a number is not finite, m is not in [1, k], or `random` holds more than n_outside.
    """
    best, sample = _checked(top, random, n_outside)
    if not 1 <= m <= best.size:
        raise InvalidInput(f"m: expected 1 to {best.size:,}, the size of the top, got {m:,}")
    error = _error(confidence)
    n, marks = sample.size, np.arange(1, m + 1)
    above = n - np.searchsorted(sample, best[:m], side="left")  # X(a_r), r = 1..m
    x = int(above[-1])
    scale = n_outside / n if n else 0.0

    def supported(r: int) -> bool:  # R >= r is shown
        return _at_most(int(above[r - 1]), n_outside, m - r + 1, n) <= error

    def excluded(r: int) -> bool:  # R < r is shown
        return _at_least(int(above[r - 1]), n_outside, m - r, n) <= error

    estimated = n_outside == 0 or n > 0
    return FilterRecall(
        m=m,
        threshold=float(best[m - 1]),
        n_sampled=n,
        n_outside=n_outside,
        n_above=x,
        hidden=scale * x if estimated else math.nan,
        hidden_low=_first(lambda many: _at_least(x, n_outside, many, n) > error, x, n_outside),
        hidden_high=_most_marked(x, n_outside, n, error),
        recall=float((scale * above <= m - marks).sum() / m) if estimated else math.nan,
        recall_low=(_first(lambda r: not supported(r), 1, m + 1) - 1) / m,
        recall_high=(_first(excluded, 1, m + 1) - 1) / m,
        confidence=confidence,
    )


def hidden_tail(
    top: ArrayLike, random: ArrayLike, *, n_outside: int, confidence: float = 0.95
) -> HiddenTail:
    """How much positive influence the filter's top leaves out.

    The sum outside is estimated by N times the sample's mean, its standard error with the correction for a
    finite population, N sqrt((1 - n/N) s^2 / n) (Cochran 1977, chapter 2). The number above the largest value
    seen is K with P(none of the K largest is drawn) = binom(N - K, n) / binom(N, n): exact for any
    distribution.

    Args:
        top: Influence on one query of every document of the top, shape (k,).
        random: Influence of every document of the random stratum, shape (n,), n at least 2.
        n_outside: Documents that are not in the top.
        confidence: Of `most_above_largest`.

    Raises:
        InvalidInput: If a number is not finite, or fewer than 2 or more than n_outside were drawn.
    """
    best, sample = _checked(top, random, n_outside)
    if sample.size < 2:
        raise InvalidInput(f"random: expected at least 2 documents, got {sample.size}")
    number_in("confidence", confidence, 0.5, 1 - 1e-9)
    n, gains = sample.size, np.maximum(sample, 0)
    spread = math.sqrt((1 - n / n_outside) * float(gains.var(ddof=1)) / n)
    inside, outside = float(np.maximum(best, 0).sum()), n_outside * float(gains.mean())
    whole = inside + outside
    return HiddenTail(
        inside=inside,
        outside=outside,
        standard_error=n_outside * spread,
        share_inside=inside / whole if whole else None,
        largest=float(sample[-1]),
        most_above_largest=_most_marked(0, n_outside, n, (1 - confidence) * _MARGIN),
        confidence=confidence,
    )


def random_needed(n_outside: int, m: int, *, recall: float, confidence: float = 0.95) -> int:
    """Size of a random sample that shows a recall, if no document of it turns out to be influential.

    Args:
        n_outside: Documents that are not in the filter's top.
        m: How many documents count as the most influential.
        recall: Lower bound that is to be shown, in (0, 1].
        confidence: Of `filter_recall`.

    Returns:
        The least n with P(X = 0 | K = m - ceil(recall m) + 1) at most half the error.

    Raises:
        InvalidInput: If a number is out of range.
    """
    if n_outside < 1 or m < 1:
        raise InvalidInput(f"n_outside, m: expected at least 1, got {n_outside:,} and {m:,}")
    if not 0 < recall <= 1:
        raise InvalidInput(f"recall: expected a share above 0, at most 1, got {recall}")
    error = _error(confidence)
    marked = m - math.ceil(recall * m) + 1
    return _first(lambda n: _at_most(0, n_outside, marked, n) <= error, 0, n_outside)


def _checked(
    top: ArrayLike, random: ArrayLike, n_outside: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Influences of the top from the largest on, and of the sample from the smallest on."""
    best, sample = (_ascending(name, data) for name, data in (("top", top), ("random", random)))
    if sample.size > n_outside:
        raise InvalidInput(f"random: {sample.size:,} documents cannot be of {n_outside:,} outside")
    return best[::-1], sample


def _ascending(name: str, data: ArrayLike) -> NDArray[np.float64]:
    return np.sort(finite_vector(name, data)) if np.size(data) else np.zeros(0)


def _error(confidence: float) -> float:
    """Greatest p-value that is rejected, at either end."""
    number_in("confidence", confidence, 0.5, 1 - 1e-9)
    return (1 - confidence) / 2 * _MARGIN


def _at_most(x: int, n_documents: int, n_marked: int, n_drawn: int) -> float:
    """P(X <= x); 0 where there cannot be so many marked documents."""
    if n_marked > n_documents:
        return 0.0
    return float(hypergeom.cdf(x, n_documents, n_marked, n_drawn))


def _at_least(x: int, n_documents: int, n_marked: int, n_drawn: int) -> float:
    """P(X >= x)."""
    if n_marked > n_documents:
        return 1.0
    return float(hypergeom.sf(x - 1, n_documents, n_marked, n_drawn))


def _most_marked(x: int, n_documents: int, n_drawn: int, error: float) -> int:
    """The largest number of marked documents that is not rejected when x of those drawn are."""
    return (
        _first(lambda many: _at_most(x, n_documents, many, n_drawn) <= error, x, n_documents + 1)
        - 1
    )


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first integer in [low, high) for which a condition that stays true holds; high if none."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
