r"""How far the inner product of two vectors can go if one of them is permuted at random: a bound.

Notation: vectors a and b of n values with mean 0; pi a uniform permutation; T = sum_i a_i b_pi(i);
t > 0 the observed value of T; per the permanent, a determinant without the signs.

For every lambda > 0, Markov's inequality gives

.. math:: P(T \ge t) \le e^{-\lambda t} E e^{\lambda T} = \frac{e^{-\lambda t}}{n!} \operatorname{per}(M),
    \quad M_{ij} = e^{\lambda a_i b_j}

and the permanent has an upper bound that is sharp up to a factor polynomial in n:

Scaling. For any y_j > 0, per(M) = per(M') / prod_j y_j with M'_ij = M_ij y_j.

Rows. Let row i of M' have a sum of at most R_i and no entry above R_i / k_i, k_i a positive integer.
As a function of one row (the others held) the permanent is linear with coefficients >= 0. On the
set of rows with these two properties it therefore is largest at a vertex: a row with k_i entries of
R_i / k_i and zeros (or at one with fewer, which is not larger). Doing so row by row leaves a matrix of
zeros and ones with rows scaled by R_i / k_i, and for zeros and ones Bregman (1973) proved Minc's
conjecture per <= prod_i (k_i!)^(1/k_i). Hence

.. math:: \ln \operatorname{per}(M) \le \sum_i \bigl[ \ln R_i - \ln k_i + \ln(k_i!) / k_i \bigr]
    - \sum_j \ln y_j

Every lambda and every y give a valid bound. Good ones make M' nearly doubly stochastic (Sinkhorn
1964), which is what the iteration below does; stopping it early costs sharpness only.

Source of the theorem: L. M. Bregman (1973), "Some properties of nonnegative matrices and their
permanents", Soviet Math. Dokl. 14. The step from zeros and ones to general rows is proved above.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from . import tails
from .findings import LOG10_E

__all__ = ["permutation_log10_p"]

_N_NODES = 257
_N_SCALINGS = 8
_N_STEPS = 15
_LOG_REACH = 1.2  # lambda is sought within exp(+-1.2) of what a normal pair would need
_LARGEST_EXPONENT = (
    300.0  # |lambda a b| stays below it, so that exp of it and its square are floats
)


def permutation_log10_p(a: NDArray[np.float64], b: NDArray[np.float64], t: float) -> float:
    """log10 of an upper bound on P(sum_i a_i b_pi(i) >= t), pi a uniform permutation.

    See the module's docstring for the proof. The sums over i and j are not taken one by one but over
    a grid, after O(n) work, in such a way that the result stays an upper bound (see `_Side`); all
    this up to the rounding of float64. For two untied rankings of 500 to 1,000,000 values, where
    Student's t still is a good approximation (down to 1e-50, to 1e-500 for the longest), it is larger
    than t's p by a factor of 10 to 250; most of it is the price of Markov's inequality. For two very
    skewed vectors (a few large values each) it can be far larger than P, up to 1.

    Args:
        a: Values of mean 0 and mean square 1, shape (n,), n >= 2.
        b: The same.
        t: A value that the sum can take, such as the observed one.

    Returns:
        A number <= 0; 0 where t <= 0.
    """
    if t <= 0:
        return 0.0
    rows, columns = _Side(a), _Side(b)
    rho = t / a.size
    guess = rho / max((1 - rho) * (1 + rho), 1e-3)  # exact for a normal pair of correlation rho
    largest = _LARGEST_EXPONENT / (rows.reach * columns.reach)

    def log_bound(lam: float) -> float:
        return _log_bound(rows, columns, min(lam, largest), t)

    centre = math.log(guess)
    best = tails.least(log_bound, centre - _LOG_REACH, centre + _LOG_REACH, _N_STEPS)
    return min(best, 0.0) * LOG10_E


class _Side:
    """One vector, seen from the nodes of a grid over its range.

    A value between two nodes counts in part at each, by its distance (weights that sum to 1 and keep
    its position). So sum_i f(v_i) = sum_k weight_k f(node_k) for f linear between nodes, and the
    right side is the larger one for f convex: a chord lies above.

    Attributes:
        nodes: Ascending, from the least value to the largest, shape (G,).
        weights: See above, shape (G,); they sum to n.
        counts: Number of values per cell between nodes, shape (G - 1,).
        reach: Largest |value|.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        low, high = float(values.min()), float(values.max())
        self.nodes = np.linspace(low, high, _N_NODES)
        position = (values - low) * ((_N_NODES - 1) / (high - low))
        cell = np.minimum(position.astype(np.int64), _N_NODES - 2)
        beyond = np.clip(position - cell, 0.0, 1.0)  # rounding must not make a weight negative
        self.counts = np.bincount(cell, minlength=_N_NODES - 1)
        self.weights = np.bincount(cell, 1 - beyond, _N_NODES)
        self.weights += np.bincount(cell + 1, beyond, _N_NODES)
        self.reach = max(-low, high)


def _log_bound(rows: _Side, columns: _Side, lam: float, t: float) -> float:
    """Natural logarithm of the bound for one lambda.

    ln y is linear between the nodes of b. Then M'_ij, the exponential of something linear in b, is
    convex in b between nodes: R, summed over the nodes of b, is not below the row's sum. ln R is
    convex in a (a sum of exponentials of linear functions is log-convex), so its sum over the nodes
    of a is not below the sum over rows. The largest entry of a row is taken at a node of b, where the
    maximum of a linear function lies; its logarithm is convex in a as well.
    """
    exponents = lam * np.outer(rows.nodes, columns.nodes)
    m = np.exp(exponents)
    # Where the iteration would end for a normal pair: lambda = rho / (1 - rho**2).
    rho = (math.sqrt(1 + 4 * lam * lam) - 1) / (2 * lam)
    log_y = -0.5 * lam * rho * columns.nodes**2
    for _ in range(_N_SCALINGS):
        row_sums = m @ (columns.weights * np.exp(log_y))
        log_y = -np.log((rows.weights / row_sums) @ m)
    log_sums = np.log(m @ (columns.weights * np.exp(log_y)))
    # Between nodes both logarithms are replaced by their chords, which are not below them. The
    # difference of two chords is linear: least at one of the ends.
    log_room = log_sums - (exponents + log_y).max(axis=1)
    least_room = np.minimum(log_room[:-1], log_room[1:])
    # R may be raised at will: where its bound is below that of the largest entry, raise it, k = 1.
    raised = np.maximum(-least_room, 0.0)
    k = np.maximum(np.floor(np.exp(least_room)), 1.0)
    per_row = raised - np.log(k) + special.gammaln(k + 1) / k
    n = float(rows.counts.sum())
    return float(
        rows.weights @ log_sums
        + rows.counts @ per_row
        - columns.weights @ log_y
        - special.gammaln(n + 1)
        - lam * t
    )
