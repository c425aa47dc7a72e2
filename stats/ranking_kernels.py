"""The numba kernels of ranking: one sort of packed integers instead of an argsort.

A double and its index are packed into 64 bits: the order-preserving bits of the double (less the least
of all, without the low bits that are 0 in all) above, the index below. Sorting these integers, which
NumPy does fast and in place, sorts the doubles; ties lie beside each other and keep the order of their
indices. Where both do not fit, the lowest bits of the double are dropped, and runs that agree in the
bits kept are put right by the values themselves.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .kernels import _kernel

__all__ = ["centred_ranks", "packed_keys"]

_TOP_BIT = np.uint64(1) << np.uint64(63)
_ZERO, _ONE, _WORD = np.uint64(0), np.uint64(1), np.uint64(64)
_SHORT_RUN = 32  # sorted by insertion


@_kernel
def _ordered(bits: np.uint64) -> np.uint64:
    """The bits of a double as an unsigned integer in the order of the doubles; -0.0 is 0.0."""
    if bits == _TOP_BIT:
        return _TOP_BIT
    if bits & _TOP_BIT:
        return ~bits
    return bits | _TOP_BIT


@_kernel
def packed_keys(x: NDArray[np.float64], index_bits: int) -> tuple[NDArray[np.uint64], bool]:
    """One key per value, and whether they hold all bits of the values.

    Args:
        x: Finite values, shape (n,), n >= 1.
        index_bits: Bits that the index n - 1 needs, at least 1.
    """
    raw = x.view(np.uint64)
    least = most = _ordered(raw[0])
    for i in range(x.size):
        bits = _ordered(raw[i])
        least, most = min(least, bits), max(most, bits)
    used = _ZERO
    for i in range(x.size):
        used |= _ordered(raw[i]) - least
    span = most - least
    width = _ZERO  # bits from the highest that differs on
    while width < _WORD and span >> width:
        width += _ONE
    empty = _ZERO  # of them the low ones that are 0 in all
    while empty < width and not (used >> empty) & _ONE:
        empty += _ONE
    room = np.uint64(64 - index_bits)
    whole = bool(width - empty <= room)
    dropped = empty if whole else width - room  # below 64, as room >= 1
    shift = np.uint64(index_bits)
    keys = np.empty(x.size, dtype=np.uint64)
    for i in range(x.size):
        keys[i] = (((_ordered(raw[i]) - least) >> dropped) << shift) | np.uint64(i)
    return keys, whole


@_kernel
def _sort_run(x: NDArray[np.float64], order: NDArray[np.int64], first: int, stop: int) -> None:
    """Sort order[first:stop] by value; equal values keep their order."""
    if stop - first > _SHORT_RUN:
        run = order[first:stop].copy()
        order[first:stop] = run[np.argsort(x[run], kind="mergesort")]
        return
    for i in range(first + 1, stop):
        moved = order[i]
        j = i - 1
        while j >= first and x[order[j]] > x[moved]:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = moved


@_kernel
def centred_ranks(
    x: NDArray[np.float64], keys: NDArray[np.uint64], index_bits: int, whole: bool
) -> tuple[NDArray[np.float64], float, float, NDArray[np.int64]]:
    """Ranks less their mean, ties given their average.

    Args:
        x: The values, shape (n,).
        keys: Their keys, sorted.
        index_bits: As for `packed_keys`.
        whole: Whether the keys hold all bits of the values.

    Returns:
        The ranks, shape (n,), multiples of 1/2; the sum of their squares; the logarithm of the number
        of permutations that exchange ties only; and the indices that sort x, ties in their order.
    """
    n = x.size
    shift = np.uint64(index_bits)
    mask = (_ONE << shift) - _ONE
    ranks = np.empty(n)
    order = np.empty(n, dtype=np.int64)
    squares = log_ties = 0.0
    middle = 0.5 * (n - 1)
    first = run_end = 0
    while first < n:
        if first == run_end:  # a new run of keys that agree above the index
            head = keys[first] >> shift
            while run_end < n and keys[run_end] >> shift == head:
                order[run_end] = np.int64(keys[run_end] & mask)
                run_end += 1
            if not whole and run_end - first > 1:
                _sort_run(x, order, first, run_end)
        stop = run_end
        if not whole:
            stop = first + 1
            while stop < run_end and x[order[stop]] == x[order[first]]:
                stop += 1
        rank = 0.5 * (first + stop - 1) - middle
        for i in range(first, stop):
            ranks[order[i]] = rank
        squares += (stop - first) * rank * rank
        if stop - first > 1:
            log_ties += math.lgamma(stop - first + 1.0)
        first = stop
    return ranks, squares, log_ties, order
