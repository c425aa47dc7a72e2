r"""Tail probabilities as decimal logarithms: never 0, right far below the smallest float.

Notation: b of B null draws reach the observed value; K the cumulant generating function of the
statistic under the null; t the observed value of a centred statistic.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from . import kernels
from .findings import LOG10_E

# Null sums equal to the observed one up to rounding are ties, and ties count against the claim.
RELATIVE_TIE = 1e-10


def monte_carlo_log10_p(n_exceeding: int, n_draws: int) -> float:
    """log10 of (1 + b) / (1 + B); valid for any B (Phipson & Smyth 2010)."""
    # The quotient first: p = alpha then gives the very float of log10(alpha), and rejects at alpha.
    return math.log10((1 + n_exceeding) / (1 + n_draws))


def chernoff_log10_p(values: NDArray[np.float64], starts: NDArray[np.int64], t: float) -> float:
    r"""log10 of an upper bound on P(T >= t), T a sum of independent uniform choices of mean zero.

    .. math:: P(T \ge t) \le \min_{\lambda > 0} \exp(K(\lambda) - \lambda t), \quad
        K(\lambda) = \sum_u \log \tfrac1{k_u} \sum_i e^{\lambda x_{ui}}

    Source: Chernoff (1952). Every lambda > 0 gives a valid bound, so a search that stops early only
    loses sharpness. The search starts at Hoeffding's lambda = 4 t / sum (max - min)**2 (Hoeffding
    1963, theorem 2), whose value is never above Hoeffding's bound exp(-2 t**2 / sum (max - min)**2),
    and keeps the best value seen. Both statements hold up to the rounding of float64.

    Args:
        values: Centred choice values of all units, shape (sum k_u,).
        starts: Unit u owns `values[starts[u]:starts[u + 1]]`, shape (U + 1,).
        t: A value that the sum can take, such as the observed one.

    Returns:
        A number <= 0; 0 where t <= 0.
    """
    first, sizes = starts[:-1], np.diff(starts)
    tops = np.maximum.reduceat(values, first)
    total = float(((tops - np.minimum.reduceat(values, first)) ** 2).sum())
    if t <= 0 or total == 0:
        return 0.0
    # x - max(x) <= 0: no overflow, and no difference of large numbers when t is near its maximum.
    below_top = values - np.repeat(tops, sizes)
    gap = max(float(tops.sum()) - t, 0.0)
    log_sizes = np.log(sizes)

    def exponent(lam: float) -> float:
        cumulants = np.log(np.add.reduceat(np.exp(lam * below_top), first)) - log_sizes
        return float(cumulants.sum()) + lam * gap

    # exponent is convex in lambda; the search is in log(lambda) around Hoeffding's choice.
    centre = math.log(4) + math.log(t) - math.log(total)
    best = min(exponent(math.exp(centre)), least(exponent, centre - 2.0, centre + 8.0, 40))
    # An outcome with sum t has at least this probability, whatever rounding says.
    return max(min(best, 0.0), -float(log_sizes.sum())) * LOG10_E


def least(f: Callable[[float], float], low: float, high: float, n_steps: int) -> float:
    """The least value of f(exp(x)) seen by golden section over x in [low, high].

    For a function with one valley it is near the bottom; for any function it is a value f takes.
    """
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = f(math.exp(left)), f(math.exp(right))
    best = min(at_left, at_right)
    for _ in range(n_steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = f(math.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = f(math.exp(right))
        best = min(best, at_left, at_right)
    return best


def student_t_log10_sf(rho: float, n: int) -> float:
    r"""log10 P(R >= rho) for a correlation whose t-value follows Student's t with n - 2 degrees.

    A continuous law: at rho = 1 its tail is 0, and what is returned is some very small number.

    With t = rho * sqrt((n - 2) / (1 - rho**2)) the upper tail is I_{1 - rho**2}((n - 2)/2, 1/2) / 2
    for rho >= 0 (DLMF 8.17); where that underflows, its series (DLMF 8.17.8) is summed in logs.

    Args:
        rho: Correlation in [-1, 1].
        n: Number of pairs, at least 3.
    """
    a, b = (n - 2) / 2, 0.5
    x = max((1 - rho) * (1 + rho), 5e-324)  # rho = +-1: the limit, without the infinity
    # I_x(a, b) = 1 - I_{1-x}(b, a): for small rho, x rounds to 1 and would lose rho altogether.
    tail = special.betainc(a, b, x) if x < 0.5 else special.betaincc(b, a, rho * rho)
    half_tail = 0.5 * float(tail)
    if rho < 0:
        return math.log1p(-half_tail) * LOG10_E
    if half_tail > 1e-280:
        return math.log10(half_tail)
    log_tail = (
        a * math.log(x)
        + b * math.log1p(-x)
        - math.log(2 * a)
        - float(special.betaln(a, b))
        + kernels.log_incomplete_beta_sum(a, b, x)
    )
    return min(log_tail * LOG10_E, 0.0)


def log_binomial(n: NDArray[np.int64], m: NDArray[np.int64]) -> NDArray[np.float64]:
    """Natural logarithm of the number of ways to choose m of n, elementwise."""
    logs: NDArray[np.float64] = (
        special.gammaln(n + 1.0) - special.gammaln(m + 1.0) - special.gammaln(n - m + 1.0)
    )
    return logs
