"""One value among others: does its rank make it stand out?"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from .checks import MAX_MAGNITUDE, finite_sample, one_of
from .findings import Alternative, Effect, Finding, NullHistogram, Statistic, Validity
from .workings import Working

__all__ = ["rank_test"]

_RELATIVE_TIE = 1e-12


def rank_test(observed: float, others: ArrayLike, *, alternative: Alternative) -> Finding:
    """Test whether one value stands out among others, by its rank.

    Null hypothesis: the observed value and the K others are exchangeable. For GREATER
    p = (1 + #{others >= observed}) / (K + 1): exact, whatever the distribution; TWO_SIDED doubles
    the smaller side, at most 1, which is valid because each side is rejected with probability at most
    alpha / 2. Ties count against the claim. Values are compared as they are, without a tolerance.

    Args:
        observed: The value in question.
        others: The values to compare it with, shape (K,), K >= 1.
        alternative: GREATER (the observed value is larger), LESS or TWO_SIDED; fixed before the data
            are seen.

    Returns:
        A finding whose statistic is the mid-rank of the observed value, 1 the smallest, and whose effect
        is the share of the others below it, with a Clopper-Pearson interval.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    alternative = one_of("alternative", Alternative, alternative)
    value, x = _number("observed", observed), finite_sample("others", others, 1)
    k = x.size
    below, above = int(np.count_nonzero(x < value)), int(np.count_nonzero(x > value))
    ties = k - below - above
    reach_up, reach_down = 1 + above + ties, 1 + below + ties
    extreme = {
        Alternative.GREATER: reach_up,
        Alternative.LESS: reach_down,
        Alternative.TWO_SIDED: min(2 * min(reach_up, reach_down), k + 1),
    }[alternative]
    counts, edges = _others_histogram(x, value)
    direction = {
        Alternative.GREATER: "larger than",
        Alternative.LESS: "smaller than",
        Alternative.TWO_SIDED: "outside the range of",
    }[alternative]
    warnings = []
    if ties == k:
        warnings.append("The observed value and all others are tied: p is 1.")
    elif ties:
        warnings.append(
            f"{ties} of {k} others equal the observed value and count against the claim."
        )
    return Finding(
        name="rank test",
        question=f"Is the observed value {direction} the others?",
        null="The observed value and the others are exchangeable: each of them is equally likely to "
        "have any rank.",
        alternative=alternative,
        statistic=Statistic(
            name="mid-rank of the observed value among all, 1 the smallest",
            value=1 + below + ties / 2,
        ),
        log10_p=math.log10(extreme / (k + 1)),
        method="exact",
        valid=Validity.FINITE_SAMPLE,
        n=k + 1,
        unit="values",
        effect=Effect(
            name="share of the others below the observed value",
            value=below / k,
            low=float(special.betaincinv(below, k - below + 1, 0.025)) if below else 0.0,
            high=float(special.betaincinv(below + 1, k - below, 0.975)) if below < k else 1.0,
            confidence=0.95,
            interval="Clopper-Pearson, as if the others were a sample of many",
        ),
        assumptions=(
            "Without an effect, the observed value was made as the others were.",
            "The others were chosen without looking at their values.",
        ),
        warnings=tuple(warnings),
        figure=NullHistogram(label="Value", edges=edges, counts=counts, observed=value),
        working=Working(
            test="rank",
            columns={"value": np.append(value, x), "observed": np.arange(k + 1) == 0},
            settings={"alternative": alternative.value},
        ),
    )


def _number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidInput(f"{name}: expected a number, got {value!r}")
    if not abs(value) <= MAX_MAGNITUDE:
        raise InvalidInput(f"{name}: expected a finite number up to 1e300, got {value!r}")
    return float(value)


def _others_histogram(
    x: NDArray[np.float64], value: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    low, high = min(float(x.min()), value), max(float(x.max()), value)
    if high - low <= _RELATIVE_TIE * max(abs(low), abs(high)) or high - low < 1e-300:
        middle, reach = (low + high) / 2, 0.5 * max(abs(low), 1.0)  # too narrow to cut into bins
        low, high = middle - reach, middle + reach
    counts, edges = np.histogram(x, bins=min(max(x.size // 4, 5), 61), range=(low, high))
    return tuple(counts.tolist()), tuple(edges.tolist())
