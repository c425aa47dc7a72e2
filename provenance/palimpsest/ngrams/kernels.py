"""Matching over suffix arrays: arrays in, arrays out, no checks but the bounds of what is read from disk.

Notation: a shard holds `tokens` (0 ends every sequence; ids are stored plus 1), `suffixes` (places in
`tokens` that are no end, ordered by the tokens from there on) and `starts` (first place of each
sequence). Suffixes that begin with the same k-gram are neighbours: [low, high) among `suffixes`. Ids
above 0 in a query never match an end, so no match runs from one sequence into the next.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = [
    "add_weights",
    "longest_matches",
    "longest_matches_parallel",
    "mean_pair_rarity",
    "pair_codes",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_OUTSIDE = -1


def _kernel(function: _F) -> _F:
    return cast("_F", njit(cache=True, nogil=True, fastmath=False)(function))


def _parallel_kernel(function: _F) -> _F:
    return cast("_F", njit(cache=True, nogil=True, fastmath=False, parallel=True)(function))


@_kernel
def _first_not_below(
    tokens: NDArray[Any],
    suffixes: NDArray[np.int32],
    low: int,
    high: int,
    offset: int,
    wanted: int,
) -> int:
    """First suffix in [low, high) whose token at `offset` is >= `wanted`; -1 if one points outside."""
    while low < high:
        middle = (low + high) // 2
        place = suffixes[middle] + offset
        if place < offset or place >= tokens.size:
            return _OUTSIDE
        if np.int64(tokens[place]) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@_kernel
def _longest_from(
    tokens: NDArray[Any],
    suffixes: NDArray[np.int32],
    query: NDArray[np.int64],
    place: int,
    longest: int,
    shortest: int,
) -> tuple[int, int, int]:
    """Length, low and high of the longest k-gram at one place of a query."""
    low, high, length = 0, suffixes.size, 0
    while length < longest and place + length < query.size:
        wanted = query[place + length]
        if wanted == 0:
            break
        first = _first_not_below(tokens, suffixes, low, high, length, wanted)
        last = first
        if first >= 0 and first < high:
            last = _first_not_below(tokens, suffixes, first, high, length, wanted + 1)
        if first < 0 or last < 0:
            return _OUTSIDE, 0, 0
        if first == last:
            break
        low, high, length = first, last, length + 1
    if length < shortest:
        return 0, 0, 0
    return length, low, high


@_kernel
def longest_matches(
    tokens: NDArray[Any],
    suffixes: NDArray[np.int32],
    query: NDArray[np.int64],
    begin: int,
    end: int,
    longest: int,
    shortest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The longest k-gram from each place of a query on that occurs in a shard.

    Args:
        tokens: See the module; any unsigned type.
        suffixes: See the module.
        query: Stored ids (plus 1) of a text; 0 ends each of several texts.
        begin: First place of the query to look at.
        end: Place behind the last.
        longest: Most tokens of a k-gram.
        shortest: Fewest.

    Returns:
        Length (0 where there is none of at least `shortest`; -1 where the shard points outside itself),
        low and high, each of shape (end - begin,).
    """
    found = np.zeros((3, end - begin), dtype=np.int64)
    for i in range(end - begin):
        found[0, i], found[1, i], found[2, i] = _longest_from(
            tokens, suffixes, query, begin + i, longest, shortest
        )
    return found[0], found[1], found[2]


@_parallel_kernel
def longest_matches_parallel(
    tokens: NDArray[Any],
    suffixes: NDArray[np.int32],
    query: NDArray[np.int64],
    begin: int,
    end: int,
    longest: int,
    shortest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """`longest_matches` on all cores: for many places, as waking the cores takes its time."""
    found = np.zeros((3, end - begin), dtype=np.int64)
    for i in prange(end - begin):
        found[0, i], found[1, i], found[2, i] = _longest_from(
            tokens, suffixes, query, begin + i, longest, shortest
        )
    return found[0], found[1], found[2]


@_kernel
def add_weights(
    scores: NDArray[np.float64],
    suffixes: NDArray[np.int32],
    starts: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    lows: NDArray[np.int64],
    highs: NDArray[np.int64],
    occurrences: NDArray[np.int64],
) -> bool:
    """Give every sequence of a shard 1 / occurrences for each occurrence of a chosen k-gram in it.

    Each sequence's sum is added up in the order of the query, whatever the shards are.

    Args:
        scores: Sums of the shard's sequences, shape (sequences,); added to.
        suffixes: See the module.
        starts: First place of each sequence, ascending from 0.
        chosen: Places of the query that count, shape (n,).
        lows: First suffix of each one's k-gram.
        highs: One behind the last.
        occurrences: Its occurrences in all shards.

    Returns:
        False if a suffix points outside the shard.
    """
    for i in range(chosen.size):
        if not chosen[i]:
            continue
        weight = 1.0 / occurrences[i]
        for suffix in range(lows[i], highs[i]):
            sequence = np.searchsorted(starts, suffixes[suffix], side="right") - 1
            if sequence < 0:
                return False
            scores[sequence] += weight
    return True


@_kernel
def pair_codes(tokens: NDArray[Any]) -> NDArray[np.uint64]:
    """Each pair of neighbours within a sequence as one number, in the order of the tokens."""
    codes = np.empty(tokens.size, dtype=np.uint64)
    n = 0
    for place in range(tokens.size - 1):
        if tokens[place] != 0 and tokens[place + 1] != 0:
            codes[n] = (np.uint64(tokens[place]) << np.uint64(32)) | np.uint64(tokens[place + 1])
            n += 1
    return codes[:n]


@_parallel_kernel
def mean_pair_rarity(
    tokens: NDArray[Any],
    starts: NDArray[np.int64],
    codes: NDArray[np.uint64],
    rarity: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over each sequence's pairs of neighbours of their rarity, shape (sequences,); 0 without a pair.

    Args:
        tokens: See the module.
        starts: See the module.
        codes: Every pair that occurs, ascending; see `pair_codes`.
        rarity: Of each of them.
    """
    means = np.zeros(starts.size)
    for sequence in prange(starts.size):
        place, total, count = starts[sequence], 0.0, 0
        while place + 1 < tokens.size and tokens[place] != 0 and tokens[place + 1] != 0:
            code = (np.uint64(tokens[place]) << np.uint64(32)) | np.uint64(tokens[place + 1])
            total += rarity[np.searchsorted(codes, code)]
            place, count = place + 1, count + 1
        if count > 0:
            means[sequence] = total / count
    return means
