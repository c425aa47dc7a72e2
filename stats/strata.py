"""Two sets of values in strata, arranged for sums of what is drawn from each stratum.

Notation as in `twosample`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence
from .projection import power_of_two
from .tails import log_binomial

__all__ = ["Strata", "arranged"]

_RELATIVE_TIE = 1e-12
# Centring rounds by some 2e-16 of the largest value; sums that differ by less count as ties too. In
# units of the 1e-10 by which `montecarlo` tells ties, per value.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Strata:
    """Both sets, centred and scaled by a power of two, the smaller set of each stratum first.

    Attributes:
        values: c_si, negated where b is the smaller set: the leading values of all strata sum to T.
        starts: Stratum s owns `values[starts[s]:starts[s + 1]]`.
        picks: m_s, in [1, n_s / 2].
        from_a: Which values come from a.
        exponent: values * 2**exponent is in the unit of the data.
        tie_scale: Sums closer than 1e-10 of it are ties.
        n_left_out: Values in strata that hold one set only.
    """

    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    picks: NDArray[np.int64]
    from_a: NDArray[np.bool_]
    exponent: int
    tie_scale: float
    n_left_out: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """n_s, shape (S,)."""
        return np.diff(self.starts)

    @property
    def weight(self) -> float:
        """W."""
        return float((self.picks * (self.sizes - self.picks) / self.sizes).sum())

    @property
    def log_outcomes(self) -> float:
        """Log of the number of ways to choose the smaller sets."""
        return float(log_binomial(self.sizes, self.picks).sum())

    def n_outcomes(self) -> int:
        """Number of ways to choose the smaller sets."""
        pairs = zip(self.sizes.tolist(), self.picks.tolist(), strict=True)
        return math.prod(math.comb(n, m) for n, m in pairs)

    def null_variance(self, values: NDArray[np.float64]) -> float:
        """Variance of T, made of centred `values`, when the smaller sets are drawn at random."""
        squares = np.add.reduceat(values**2, self.starts[:-1])
        n, m = self.sizes, self.picks
        return float((squares * m * (n - m) / (n * (n - 1.0))).sum())


def arranged(
    x_a: NDArray[np.float64], x_b: NDArray[np.float64], codes: NDArray[np.int64]
) -> Strata:
    """Sort by stratum, the smaller set first, and centre; strata with one set only are left out."""
    pooled = np.concatenate((x_a, x_b))
    from_a = np.arange(pooled.size) < x_a.size
    n_a, n_b = np.bincount(codes[from_a], minlength=1), np.bincount(codes[~from_a], minlength=1)
    n_codes = max(n_a.size, n_b.size)
    n_a, n_b = np.pad(n_a, (0, n_codes - n_a.size)), np.pad(n_b, (0, n_codes - n_b.size))
    both = (n_a > 0) & (n_b > 0)
    sizes, picks = (n_a + n_b)[both], np.minimum(n_a, n_b)[both]
    if int((sizes - 1).sum()) < 2:
        raise InsufficientEvidence(
            "strata_a, strata_b: fewer than 3 values lie in strata that hold both sets",
            "a value is compared only with the other set's values of its own stratum",
        )
    a_is_smaller = n_a <= n_b
    order = np.lexsort((from_a != a_is_smaller[codes], codes))
    order = order[both[codes[order]]]
    exponent = power_of_two(pooled[order])
    scaled, in_a = np.ldexp(pooled[order], -exponent), from_a[order]
    starts = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    first = starts[:-1]
    centred = _centred(scaled, starts)
    # Values equal up to rounding are ties, so that a stratum of ties is seen to say nothing.
    spread = np.maximum.reduceat(scaled, first) - np.minimum.reduceat(scaled, first)
    tied = spread <= _RELATIVE_TIE * np.maximum.reduceat(np.abs(scaled), first)
    signs = np.where(tied, 0.0, np.where(a_is_smaller[both], 1.0, -1.0))
    values = centred * np.repeat(signs, sizes)
    telling = np.repeat(~tied, sizes)
    rest = power_of_two(values)
    return Strata(
        values=np.ldexp(values, -rest),
        starts=starts,
        picks=picks.astype(np.int64),
        from_a=in_a,
        exponent=exponent + rest,
        tie_scale=float(
            np.ldexp(np.abs(values).sum() + _ROUNDING * np.abs(scaled[telling]).sum(), -rest)
        ),
        n_left_out=pooled.size - order.size,
    )


def _centred(x: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.diff(starts)
    return x - np.repeat(np.add.reduceat(x, starts[:-1]) / sizes, sizes)
