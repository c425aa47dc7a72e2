"""Ranks, of one vector or of two at once, fit for Spearman's correlation."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import finite_vector
from .ranking_kernels import centred_ranks, packed_keys

__all__ = ["Ranked", "ranked", "ranked_pair", "ranks"]

_WORTH_A_THREAD = 50_000  # values; below, starting a thread costs more than it saves


@dataclass(frozen=True, slots=True)
class Ranked:
    """Ranks of one quantity.

    Attributes:
        centred: Ranks less their mean, ties given their average, shape (n,); all 0 if all are tied.
        squares: Sum of their squares.
        log_ties: Natural logarithm of the number of permutations that leave the ranks unchanged.
        order: Indices that sort the quantity, tied ones in their order, shape (n,).
    """

    centred: NDArray[np.float64]
    squares: float
    log_ties: float
    order: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of values."""
        return self.centred.size

    @property
    def evenness(self) -> float:
        """Variance as a share of that of untied ranks, in [0, 1]; 0 if all are tied."""
        return self.squares / ((float(self.n) ** 3 - self.n) / 12)

    def unit(self) -> NDArray[np.float64]:
        """Ranks scaled to length 1, so that an inner product is rho; there must be two values at least."""
        return self.centred / math.sqrt(self.squares)


def ranks(x: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1 to n, ties given their average.

    Args:
        x: Finite values, shape (n,).

    Returns:
        Ranks, shape (n,).

    Raises:
        InvalidInput: If x is not a finite vector.
    """
    vector = finite_vector("x", x)
    if vector.size == 0:
        return vector
    centred = ranked(vector).centred
    centred += (centred.size + 1) / 2
    return centred


def ranked(x: NDArray[np.float64]) -> Ranked:
    """Rank a checked vector."""
    index_bits = max((x.size - 1).bit_length(), 1)
    keys, whole = packed_keys(x, index_bits)
    keys.sort()
    return Ranked(*centred_ranks(x, keys, index_bits, whole))


def ranked_pair(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Ranked, Ranked]:
    """Rank two checked vectors, side by side where that is worth it: sorting does not hold the lock."""
    if x.size < _WORTH_A_THREAD:
        return ranked(x), ranked(y)
    with ThreadPoolExecutor(max_workers=1) as other:
        second = other.submit(ranked, y)
        return ranked(x), second.result()
