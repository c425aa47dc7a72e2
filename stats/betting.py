"""How much a test martingale stakes on each record, and what that makes of its capital.

Notation as in `sequential`.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .kernels import _kernel

__all__ = [
    "BETS",
    "CAP",
    "CONFIDENCE",
    "THETAS",
    "log_mean_exp",
    "prices_of",
    "settle_ranks",
    "settle_signs",
    "share_interval",
]

# Strengths of the bets: 1/256, ..., 4 in steps of sqrt(2), of equal weight, because an effect may be
# of any order of magnitude. For a small effect of z standard deviations per record the best strength
# is about 0.7 z, so the grid begins with effects that take a million records to find; at its other
# end, 4, an average record of the right sign all but doubles the capital, and no bet does more. Within
# the grid a strength within about a fifth of the best one is at hand, which slows the growth of log E by
# 3 % at most; not knowing the best one costs log 21 = 3.0 of log E, once. No argument changes the
# grid: one that could be chosen after looking would break the guarantee. A saved state goes with this
# grid only: whoever changes it, or the cap below, raises `eprocess._STATE_VERSION`.
THETAS: NDArray[np.float64] = 2.0 ** (np.arange(-16, 5) / 2)
THETAS.flags.writeable = False
BETS = f"mixture of {THETAS.size} bets theta = 1/256, ..., 4 in steps of sqrt(2), equal weights"

# The typical size is the square of the mean root, which one outlier hardly moves, and sizes beyond 2.5
# times it count as 2.5, so that no record can ruin a part. Against the root mean square and no cap, records
# until e = 1e6 (medians, effects of 0.1 and 0.3): up to 4 % more for normal differences, 15 % fewer for
# Laplace ones, less than half for Student's t with 2 degrees of freedom.
CAP = 2.5

CONFIDENCE = 0.95  # of the interval of the effect


# One kernel call settles one record or a million, so that both give the same bits.


@_kernel
def log_mean_exp(log_capitals: NDArray[np.float64]) -> float:
    """Natural log of the capital, the mean of all parts; the largest is taken out against overflow."""
    top = -math.inf
    for value in log_capitals:
        top = max(top, value)
    total = 0.0
    for value in log_capitals:
        total += math.exp(value - top)
    return top + math.log(total / log_capitals.size)


@_kernel
def settle_signs(
    towards: NDArray[np.float64],
    thetas: NDArray[np.float64],
    log_capitals: NDArray[np.float64],
    log_path: NDArray[np.float64],
    n_nonzero: int,
    mean_root: float,
) -> tuple[int, float]:
    """Settle the bets on the signs of `towards`, updating `log_capitals` and filling `log_path`."""
    for i in range(towards.size):
        if towards[i] != 0:
            n_nonzero += 1
            root = math.sqrt(abs(towards[i]))
            mean_root += (root - mean_root) / n_nonzero
            # Neither 1e300 nor 1e-300 is lost: root / mean_root is at most n_nonzero.
            stake = math.copysign(min((root / mean_root) ** 2, CAP), towards[i])
            for k in range(thetas.size):
                # log(exp(x) / cosh(x)) = log 2 - log(1 + exp(-2x)), and |x| <= 10
                log_capitals[k] += math.log(2.0) - math.log1p(math.exp(-2 * thetas[k] * stake))
        log_path[i] = log_mean_exp(log_capitals)
    return n_nonzero, mean_root


@_kernel
def settle_ranks(
    scores: NDArray[np.float64],
    rows: NDArray[np.int64],
    log_prices: NDArray[np.float64],
    thetas: NDArray[np.float64],
    log_capitals: NDArray[np.float64],
    log_path: NDArray[np.float64],
) -> None:
    """Settle the bets on rank scores; record i pays the prices `log_prices[rows[i]]`."""
    for i in range(scores.size):
        for k in range(thetas.size):
            log_capitals[k] += thetas[k] * scores[i] - log_prices[rows[i], k]
        log_path[i] = log_mean_exp(log_capitals)


@lru_cache(maxsize=4_096)
def prices_of(n_variants: int) -> tuple[float, NDArray[np.float64]]:
    """Root mean square of the raw normal scores, and log mean_r exp(theta_k u(r)), shape (K,)."""
    raw = special.ndtri(np.arange(1, n_variants + 1) / (n_variants + 1))
    spread = math.sqrt(float((raw * raw).mean()))
    u = raw / spread
    return spread, np.array([math.log(float(np.exp(theta * u).mean())) for theta in THETAS])


def share_interval(total: float, n: int) -> tuple[float, float]:
    """An anytime-valid interval for the expectation of numbers in [0, 1], from their sum.

    All p at which the capital B(S + 1, n - S + 1) / (p**S (1 - p)**(n - S)) is below
    1 / (1 - confidence), S the sum: Robbins (1970) for numbers that are 0 or 1.
    """
    # Why numbers in between are allowed: for x in [0, 1] of expectation p given the past, the factor
    # (q/p)^x ((1-q)/(1-p))^(1-x) is at most x q/p + (1-x) (1-q)/(1-p), by the inequality of weighted
    # means, and the expectation of that is q + 1 - q = 1. So the product over records is a
    # supermartingale for each q, and its mean over uniform q, the ratio above, is one as well.
    log_mixture = float(special.betaln(total + 1, n - total + 1))
    limit = -math.log(1 - CONFIDENCE)

    def outside(p: float) -> bool:
        fit = float(special.xlogy(total, p) + special.xlog1py(n - total, -p))
        return log_mixture - fit >= limit

    middle = total / n
    return _bisect(outside, 0.0, middle), _bisect(outside, 1.0, middle)


def _bisect(outside: Callable[[float], bool], end: float, middle: float) -> float:
    """The border between `end` and `middle`, rounded towards `end`; `end` if that is not outside."""
    if not outside(end):
        return end
    inner = middle
    while True:
        half = (end + inner) / 2
        if half in {end, inner}:
            return end
        if outside(half):
            end = half
        else:
            inner = half
