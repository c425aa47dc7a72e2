"""Terms of documents as numbers of buckets, counted and looked up: arrays in, arrays out, no checks.

Notation: document d owns `tokens[offsets[d]:offsets[d + 1]]`. Its terms are its tokens and, if `longest`
is 2, its pairs of neighbours. Hashes depend on the ids alone: the same on every machine.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....stats.kernels import philox

__all__ = ["buckets_of", "count_documents", "present_slots", "random_keys"]

_F = TypeVar("_F", bound=Callable[..., Any])

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK32, _SHIFT32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_ONE, _S30, _S27, _S31 = np.uint64(1), np.uint64(30), np.uint64(27), np.uint64(31)


def _kernel(function: _F) -> _F:
    return cast("_F", njit(cache=True, nogil=True, fastmath=False)(function))


@_kernel
def _mixed(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): a bijection of 64-bit words that keeps 0."""
    x = (x ^ (x >> _S30)) * _FIRST
    x = (x ^ (x >> _S27)) * _SECOND
    return x ^ (x >> _S31)


@_kernel
def _single(token: int, bits: int) -> np.int64:
    """Bucket of a token: its id, where that is small enough."""
    word = np.uint64(token)
    mask = (_ONE << np.uint64(bits)) - _ONE
    return np.int64((word ^ _mixed(word >> np.uint64(bits))) & mask)


@_kernel
def _pair(left: int, right: int, bits: int) -> np.int64:
    """Bucket of two neighbours."""
    mask = (_ONE << np.uint64(bits)) - _ONE
    word = _mixed(np.uint64(left) + _GOLDEN) + np.uint64(right)
    return np.int64(_mixed(word) & mask)


@_kernel
def buckets_of(tokens: NDArray[np.int64], bits: int, longest: int) -> NDArray[np.int64]:
    """Bucket of every term of one document, repeats included."""
    n_pairs = max(tokens.size - 1, 0) if longest == 2 else 0
    buckets = np.empty(tokens.size + n_pairs, dtype=np.int64)
    for i in range(tokens.size):
        buckets[i] = _single(tokens[i], bits)
    for i in range(n_pairs):
        buckets[tokens.size + i] = _pair(tokens[i], tokens[i + 1], bits)
    return buckets


@_kernel
def count_documents(
    tokens: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bits: int,
    longest: int,
    fewest: int,
    stamp: int,
    table: NDArray[np.int64],
) -> int:
    """Add 1 to the count of each bucket that a document has, for every document.

    Args:
        tokens: Token ids.
        offsets: Where documents begin and end, shape (B + 1,).
        bits: Binary logarithm of the number of buckets.
        longest: Tokens of the longest term.
        fewest: Documents of fewer tokens do not count.
        stamp: Above every number in the first column of `table`.
        table: Shape (n_buckets, 2), written to: the stamp of the last document that had the bucket,
            and the number of documents that had it, side by side for the cache.

    Returns:
        The stamp to go on with.
    """
    for d in range(offsets.size - 1):
        end = offsets[d + 1]
        if end - offsets[d] < fewest:
            continue
        for i in range(offsets[d], end):
            bucket = _single(tokens[i], bits)
            if table[bucket, 0] != stamp:
                table[bucket, 0] = stamp
                table[bucket, 1] += 1
            if longest == 2 and i + 1 < end:
                bucket = _pair(tokens[i], tokens[i + 1], bits)
                if table[bucket, 0] != stamp:
                    table[bucket, 0] = stamp
                    table[bucket, 1] += 1
        stamp += 1
    return stamp


@_kernel
def present_slots(
    tokens: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bits: int,
    longest: int,
    slots: NDArray[np.int32],
    n_slots: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Which terms of the queries each document has: the rows of a binary CSR matrix.

    Args:
        tokens: Token ids.
        offsets: Where documents begin and end, shape (B + 1,).
        bits: Binary logarithm of the number of buckets.
        longest: Tokens of the longest term.
        slots: Column of each bucket, -1 for those of no query, shape (n_buckets,).
        n_slots: Number of columns.

    Returns:
        Row pointers, shape (B + 1,), and column indices; each column at most once in a row.
    """
    n_documents = offsets.size - 1
    pointers = np.zeros(n_documents + 1, dtype=np.int64)
    most = longest * (offsets[n_documents] - offsets[0])
    columns = np.empty(min(most, n_documents * n_slots), dtype=np.int32)
    seen = np.full(n_slots, -1, dtype=np.int64)
    n = 0
    for d in range(n_documents):
        end = offsets[d + 1]
        for i in range(offsets[d], end):
            slot = slots[_single(tokens[i], bits)]
            if slot >= 0 and seen[slot] != d:
                seen[slot] = d
                columns[n] = slot
                n += 1
            if longest == 2 and i + 1 < end:
                slot = slots[_pair(tokens[i], tokens[i + 1], bits)]
                if slot >= 0 and seen[slot] != d:
                    seen[slot] = d
                    columns[n] = slot
                    n += 1
        pointers[d + 1] = n
    return pointers, columns[:n]


@_kernel
def random_keys(positions: NDArray[np.int64], seed: np.uint64, purpose: int) -> NDArray[np.int64]:
    """Uniform 63-bit number of each position, a function of (seed, purpose, position) alone."""
    keys = np.empty(positions.size, dtype=np.int64)
    for i in range(positions.size):
        position = np.uint64(positions[i])
        low, high, _, _ = philox(
            position & _MASK32,
            position >> _SHIFT32,
            np.uint64(purpose),
            np.uint64(0),
            seed & _MASK32,
            seed >> _SHIFT32,
        )
        keys[i] = np.int64((low | (high << _SHIFT32)) >> _ONE)
    return keys
