"""The formulas for power: numbers in, a probability out; `forecast` explains, checks and words them.

Notation as in `forecast`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

__all__ = ["MOST_ENUMERATED_PAIRS", "MOST_ENUMERATED_SIGNS", "sign_flip_power", "spearman_power"]

# How the tests make their p-values by default; `test_power` holds these against the tests.
MOST_ENUMERATED_SIGNS = 20
_SIGN_DRAWS = 99_999
MOST_ENUMERATED_PAIRS = 9
_PERMUTATIONS = 9_999
_FEWEST_FOR_T = 500
_QUARTIC = 0.06  # ln p by permutation is that of t plus this times n rho**4; see `spearman_test`
_ERROR_WHERE_T_ENDS = 0.05

_NO_EFFECT = 1e-100  # its square is still a float
_TINY_EFFECT = 1e-4  # below it two terms of the series in the effect are exact to 1e-15
_CERTAIN_EFFECT = 30.0  # from here on no difference has the wrong sign, up to 1e-190
_WHOLE = 1e-9  # relative: alpha (1 + B) = 0.99999999999 is meant to be 1


# ---- sign flips -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SignFlips:
    """One pair's contribution to the sign-flip test, for an effect delta > 0; see `power_paired`.

    Attributes:
        mu: Mean log-likelihood ratio, in nats per pair; at most ln 2.
        v: Variance of the signed root w.
        ln_r: Logarithm of u / w.
    """

    mu: float
    v: float
    ln_r: float


@lru_cache(maxsize=64)
def _sign_flips(delta: float) -> _SignFlips:
    if delta < _TINY_EFFECT:
        square = delta * delta
        return _SignFlips(mu=square / 2 - square**2 / 4, v=1 - square, ln_r=-0.75 * square)
    nodes, weights = _hermite()
    d = nodes + delta
    y = np.abs(delta * d)
    # log cosh y, without the cancellation at 0 and the overflow far out
    log_cosh = np.where(
        y < 1,
        np.log1p(2 * np.sinh(np.minimum(y, 1) / 2) ** 2),
        y + np.log1p(np.exp(-2 * y)) - math.log(2),
    )
    mu = delta * delta - float(weights @ log_cosh)
    variance = float(weights @ (delta * d - log_cosh - mu) ** 2)
    kappa = float(weights @ (d / np.cosh(np.minimum(y, 300))) ** 2)
    return _SignFlips(mu, variance / (2 * mu), math.log(delta) + 0.5 * math.log(kappa / (2 * mu)))


@lru_cache(maxsize=1)
def _hermite() -> tuple[Any, Any]:
    """Nodes and weights for the mean of a function of a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    return nodes, weights / weights.sum()


def sign_flip_power(n: int, effect: float, ln_alpha: float, sides: int) -> float:
    """P(p <= alpha) on one side, of `sides` sides that are looked at.

    Args:
        n: Number of differences.
        effect: Their mean in standard deviations, towards the alternative if positive.
        ln_alpha: Log of the level of this side.
        sides: 1 or 2; the resolution of B draws is shared by both.
    """
    room = ln_alpha + n * math.log(2)  # log of the number of patterns that alpha allows
    if room < math.log1p(-_WHOLE):
        return 0.0
    all_right = math.exp(n * float(special.log_ndtr(effect)))
    if n <= MOST_ENUMERATED_SIGNS:
        patterns = math.floor(math.exp(room) * (1 + _WHOLE))
        if patterns == 1:
            return all_right
        return max(_sign_root_power(n, effect, math.log((patterns - 0.5) / 2**n)), all_right)
    drawn = _median_level(ln_alpha, _SIGN_DRAWS, sides)
    if drawn is None:
        return max(_sign_root_power(n, effect, ln_alpha, by_bound=True), all_right)
    return _sign_root_power(n, effect, drawn)


def _sign_root_power(n: int, effect: float, ln_alpha: float, *, by_bound: bool = False) -> float:
    needed = math.sqrt(-2 * ln_alpha) if by_bound else -float(special.ndtri_exp(ln_alpha))
    if abs(effect) < _NO_EFFECT:
        return float(special.ndtr(-needed))
    pair = _sign_flips(min(abs(effect), _CERTAIN_EFFECT))
    m = math.sqrt(2 * n * pair.mu)
    mean = m + ((1 - pair.v) / 2 + (0.0 if by_bound else pair.ln_r)) / m
    spread = math.sqrt(max(pair.v, 1e-300))
    return float(special.ndtr((math.copysign(mean, effect) - needed) / spread))


def _median_level(ln_alpha: float, n_draws: int, sides: int) -> float | None:
    """Log of the tail probability for which (1 + b) / (1 + B) <= alpha in half of all runs.

    b is binomial, so the draws reject with probability 1/2 where P(b <= k - 1) = 1/2,
    k = floor(alpha (1 + B)). None where k = 0: no number of hits is small enough.
    """
    if ln_alpha + math.log(sides * (1 + n_draws)) < math.log1p(-_WHOLE):
        return None
    k = math.floor(math.exp(ln_alpha) * sides * (1 + n_draws) * (1 + _WHOLE))
    return math.log(float(special.betaincinv(k, n_draws - k + 1, 0.5)) / sides)


# ---- Spearman -------------------------------------------------------------------------------------


def spearman_power(n: int, rho: float, ln_alpha: float, sides: int) -> float:
    """P(p <= alpha) on one side, as `sign_flip_power`, for a population correlation rho."""
    critical = _critical_z(n, ln_alpha, sides)
    if critical is None:
        return 0.0
    spread = math.sqrt((1 + rho * rho / 2) / (n - 3))
    return float(special.ndtr((math.atanh(rho) - critical) / spread))


@lru_cache(maxsize=4096)
def _critical_z(n: int, ln_alpha: float, sides: int) -> float | None:
    """Fisher's z of the least correlation whose p is at most alpha; None if there is none."""
    room = ln_alpha + float(special.gammaln(n + 1))
    if room < math.log1p(-_WHOLE):
        return None
    if n <= MOST_ENUMERATED_PAIRS:
        orders = math.floor(math.exp(room) * (1 + _WHOLE))
        return _z_by_permutation(n, math.log((orders - 0.5) / math.factorial(n)))
    if n < _FEWEST_FOR_T:
        drawn = _median_level(ln_alpha, _PERMUTATIONS, sides)
        return _z_by_bound(n, ln_alpha) if drawn is None else _z_by_permutation(n, drawn)
    border = math.atanh((_ERROR_WHERE_T_ENDS / (_QUARTIC * n)) ** 0.25)
    by_t = _least_z(lambda z: _t_root(n, z) >= -float(special.ndtri_exp(ln_alpha)))
    return by_t if by_t <= border else max(_z_by_bound(n, ln_alpha), border)


def _z_by_permutation(n: int, ln_alpha: float) -> float:
    def reaches(z: float) -> bool:
        by_t = ln_alpha - _QUARTIC * n * math.tanh(z) ** 4
        return _t_root(n, z) >= -float(special.ndtri_exp(by_t))

    return _least_z(reaches)


def _z_by_bound(n: int, ln_alpha: float) -> float:
    def reaches(z: float) -> bool:
        r = math.tanh(z)
        price = _QUARTIC * n * r**4 + r * (0.93 * math.log(n) - 0.9)
        return _t_root(n, z) ** 2 / 2 - price >= -ln_alpha

    return _least_z(reaches)


def _t_root(n: int, z: float) -> float:
    """Wallace's normal deviate of the t-value of a correlation tanh(z); for z < 0 that of 0."""
    nu = n - 2
    # -ln(1 - tanh(z)**2) = 2 ln cosh z
    log_cosh = (
        math.log1p(2 * math.sinh(z / 2) ** 2)
        if z < 1
        else z + math.log1p(math.exp(-2 * z)) - math.log(2)
    )
    return (8 * nu + 1) / (8 * nu + 3) * math.sqrt(2 * nu * log_cosh)


def _least_z(reaches: Callable[[float], bool]) -> float:
    """The least z >= 0 that reaches; by bisection, as what is compared rises with z."""
    low, high = 0.0, 1.0
    while not reaches(high):
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
