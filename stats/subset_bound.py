r"""How far a sum of values drawn without replacement can go: a bound.

Notation: stratum s holds n values c_i, of which m are drawn, every choice equally likely; T is the sum
of what is drawn in all strata, t its observed value.

The bound is Chernoff's, exp(K(lambda) - lambda t), with an upper bound K on the cumulant
generating function. With w_i = exp(lambda c_i), E exp(lambda T_s) = e_m(w) / binom(n, m), where e_m
is the elementary symmetric polynomial. Per stratum the smaller of two bounds on it is used:

.. math:: \frac{e_m(w)}{\binom nm} \le \Bigl(\frac{e_1(w)}{n}\Bigr)^m, \qquad
    e_m(w) \le z^{-m} \prod_i (1 + z w_i) \, e^{-v} I_0(v)

The first is Maclaurin's inequality (so the bound of Hoeffding 1963, section 6). The second holds
for every z > 0. Let N count the successes of independent trials with odds z w_i. As the coefficient
of z**m in the product, e_m(w) = z**-m prod_i (1 + z w_i) P(N = m). With v the variance of N,
P(N = m) is at most the mean of N's characteristic function in absolute value over a period, and
|1 - p + p e^{i s}|**2 = 1 - 2 p (1 - p)(1 - cos s) bounds that by the mean of
exp(-v (1 - cos s)), which is e^{-v} I_0(v), some 1 / sqrt(2 pi v).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from . import tails

__all__ = ["subset_log_bound"]

_NEWTON_STEPS = 12
_SEARCH_STEPS = 30


def subset_log_bound(
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    picks: NDArray[np.int64],
    t: float,
) -> float:
    """Natural logarithm of an upper bound on P(T >= t); every lambda > 0 and z > 0 gives a valid one.

    Source: Chernoff (1952). A search that stops early only loses sharpness. Up to the rounding of float64.

    Args:
        values: Centred values, shape (sum n_s,).
        starts: Stratum s owns `values[starts[s]:starts[s + 1]]`, shape (S + 1,).
        picks: m_s, 1 <= m_s < n_s, shape (S,).
        t: A value that the sum can take.

    Returns:
        A number <= 0; 0 where t <= 0.
    """
    sizes, first = np.diff(starts), starts[:-1]
    squares = np.add.reduceat(values**2, first)
    variance = float((squares * picks * (sizes - picks) / (sizes * (sizes - 1.0))).sum())
    if t <= 0 or variance == 0:
        return 0.0

    def exponent(lam: float) -> float:
        return float(_log_moments(lam * values, starts, picks).sum()) - lam * t

    # Around t / variance, the choice for normal sums.
    centre = math.log(t / variance)
    return min(0.0, tails.least(exponent, centre - 4.0, centre + 8.0, _SEARCH_STEPS))


def _log_moments(
    y: NDArray[np.float64], starts: NDArray[np.int64], picks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Upper bounds on log(e_m(exp y) / binom(n, m)) per stratum, shape (S,)."""
    sizes, first = np.diff(starts), starts[:-1]
    tops, bottoms = np.maximum.reduceat(y, first), np.minimum.reduceat(y, first)
    means = np.log(np.add.reduceat(np.exp(y - np.repeat(tops, sizes)), first) / sizes) + tops
    # log z solves sum_i expit(y_i + log z) = m; it lies where all terms are below, or all above, m / n.
    odds = special.logit(picks / sizes)
    low, high = odds - tops, odds - bottoms
    log_z = odds - means  # the solution to first order
    for _ in range(_NEWTON_STEPS):
        log_z = np.where((log_z > low) & (log_z < high), log_z, (low + high) / 2)
        share = special.expit(y + np.repeat(log_z, sizes))
        excess = np.add.reduceat(share, first) - picks
        low, high = np.where(excess < 0, log_z, low), np.where(excess >= 0, log_z, high)
        slope = np.add.reduceat(share * (1 - share), first)
        log_z = log_z - excess / np.maximum(slope, 1e-300)
    log_z = np.where((log_z > low) & (log_z < high), log_z, (low + high) / 2)
    log_odds = y + np.repeat(log_z, sizes)
    products = np.add.reduceat(np.logaddexp(0.0, log_odds), first)
    share = special.expit(log_odds)
    local = np.log(special.i0e(np.add.reduceat(share * (1 - share), first)))
    coefficients = products - picks * log_z + local - tails.log_binomial(sizes, picks)
    moments: NDArray[np.float64] = np.minimum(picks * means, coefficients)
    return moments
