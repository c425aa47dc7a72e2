"""The numba kernels of the paired and two-sample tests: arrays in, arrays out, no checks.

Random numbers as in `kernels`: draw `b` is a pure function of (seed, b), whatever the number of
threads, the chunk it is computed in, or whether the JIT is on. Streams (the last Philox counter): 2
for sign flips, 3 for subsets; `kernels` uses 0 and 1.
"""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from .kernels import _MASK32, _SHIFT32, _kernel, _parallel_kernel, philox

_SIGN_STREAM = np.uint64(2)
_SUBSET_STREAM = np.uint64(3)
_BYTE = np.uint64(0xFF)
_SHIFT8, _SHIFT16, _SHIFT24 = np.uint64(8), np.uint64(16), np.uint64(24)
# One Philox call signs 16 groups of 8 differences; their tables (32 KiB) stay in the first cache
# while a chunk of draws uses them, and no table outlives its block, so memory is that of the sums.
_BLOCK = 128
_DRAWS_PER_CHUNK = 2_048


@_kernel
def _fill_sign_tables(
    differences: NDArray[np.float64], first: int, tables: NDArray[np.float64]
) -> None:
    """Set tables[g, pattern] to the signed sum of differences[first + 8 g:][:8]; a set bit is plus."""
    for group in range(16):
        tables[group, 0] = 0.0
        for bit in range(8):
            i = first + 8 * group + bit
            value = differences[i] if i < differences.size else 0.0
            half = 1 << bit
            for pattern in range(half):
                tables[group, half + pattern] = tables[group, pattern] + value
                tables[group, pattern] -= value


@_kernel
def _word_sum(tables: NDArray[np.float64], first: int, word: np.uint64) -> float:
    """Sum of four groups, signed by the four bytes of a 32-bit word, the lowest byte first."""
    return float(
        tables[first, np.int64(word & _BYTE)]
        + tables[first + 1, np.int64((word >> _SHIFT8) & _BYTE)]
        + tables[first + 2, np.int64((word >> _SHIFT16) & _BYTE)]
        + tables[first + 3, np.int64(word >> _SHIFT24)]
    )


@_kernel
def plain_sum(differences: NDArray[np.float64]) -> float:
    """Sum of the differences as they are, added in the order in which `drawn_sign_sums` adds them."""
    tables = np.empty((16, 256))
    sum_ = 0.0
    for block in range((differences.size + _BLOCK - 1) // _BLOCK):
        _fill_sign_tables(differences, _BLOCK * block, tables)
        total = _word_sum(tables, 0, _MASK32)
        total += _word_sum(tables, 4, _MASK32)
        total += _word_sum(tables, 8, _MASK32)
        total += _word_sum(tables, 12, _MASK32)
        sum_ += total
    return sum_


@_parallel_kernel
def drawn_sign_sums(
    differences: NDArray[np.float64], seed: np.uint64, first_draw: int, n_draws: int
) -> NDArray[np.float64]:
    """Sums of the differences under independent fair signs, draws first_draw.. on, shape (n_draws,).

    Eight signs cost one look-up: a random byte picks among the 256 signed sums of eight differences.
    """
    key_0, key_1 = seed & _MASK32, seed >> _SHIFT32
    sums = np.zeros(n_draws)
    for chunk in prange((n_draws + _DRAWS_PER_CHUNK - 1) // _DRAWS_PER_CHUNK):
        start = chunk * _DRAWS_PER_CHUNK
        stop = min(start + _DRAWS_PER_CHUNK, n_draws)
        tables = np.empty((16, 256))
        for block in range((differences.size + _BLOCK - 1) // _BLOCK):
            _fill_sign_tables(differences, _BLOCK * block, tables)
            for i in range(start, stop):
                draw = np.uint64(first_draw + i)
                word_0, word_1, word_2, word_3 = philox(
                    np.uint64(block), draw & _MASK32, draw >> _SHIFT32, _SIGN_STREAM, key_0, key_1
                )
                total = _word_sum(tables, 0, word_0)
                total += _word_sum(tables, 4, word_1)
                total += _word_sum(tables, 8, word_2)
                total += _word_sum(tables, 12, word_3)
                sums[i] += total
    return sums


@_kernel
def all_sign_sums(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum under every combination of signs, shape (2**n,); the last one has all signs plus."""
    sums = np.zeros(1 << differences.size)
    for i in range(differences.size):
        half = 1 << i
        for pattern in range(half):
            sums[half + pattern] = sums[pattern] + differences[i]
            sums[pattern] -= differences[i]
    return sums


@_kernel
def leading_sum(
    values: NDArray[np.float64], starts: NDArray[np.int64], picks: NDArray[np.int64]
) -> float:
    """Sum of the first picks[s] values of each stratum, added in the order in which the draws add theirs."""
    total = 0.0
    for stratum in range(picks.size):
        for i in range(starts[stratum], starts[stratum] + picks[stratum]):
            total += values[i]
    return total


@_parallel_kernel
def drawn_subset_sums(
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    picks: NDArray[np.int64],
    seed: np.uint64,
    first_draw: int,
    n_draws: int,
) -> NDArray[np.float64]:
    """Sums of picks[s] values drawn from each stratum without replacement, shape (n_draws,).

    Stratum s owns `values[starts[s]:starts[s + 1]]`. Each draw is a partial Fisher-Yates shuffle,
    undone afterwards, so that no draw depends on another. Each index is within 2**-64 of uniform.
    """
    key_0, key_1 = seed & _MASK32, seed >> _SHIFT32
    n_picks = picks.sum()
    sums = np.empty(n_draws)
    n_chunks = min(n_draws, 256)
    for chunk in prange(n_chunks):
        shuffled = values.copy()
        swapped = np.empty(n_picks, dtype=np.int64)
        for draw_index in range(chunk * n_draws // n_chunks, (chunk + 1) * n_draws // n_chunks):
            draw = np.uint64(first_draw + draw_index)
            total = 0.0
            pick = 0
            high_0 = low_0 = high_1 = low_1 = np.uint64(0)
            for stratum in range(picks.size):
                stop = starts[stratum + 1]
                for i in range(starts[stratum], starts[stratum] + picks[stratum]):
                    if pick % 2 == 0:  # one Philox call serves two picks
                        high_0, low_0, high_1, low_1 = philox(
                            np.uint64(pick // 2),
                            draw & _MASK32,
                            draw >> _SHIFT32,
                            _SUBSET_STREAM,
                            key_0,
                            key_1,
                        )
                    else:
                        high_0, low_0 = high_1, low_1
                    # (w * size) >> 64 for the 64-bit w of two words
                    size = np.uint64(stop - i)
                    offset = (high_0 * size + ((low_0 * size) >> _SHIFT32)) >> _SHIFT32
                    j = i + np.int64(offset)
                    shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
                    swapped[pick] = j
                    total += shuffled[i]
                    pick += 1
            sums[draw_index] = total
            for stratum in range(picks.size - 1, -1, -1):
                first = starts[stratum]
                for i in range(first + picks[stratum] - 1, first - 1, -1):
                    pick -= 1
                    j = swapped[pick]
                    shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
    return sums


@_kernel
def all_subset_sums(
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    picks: NDArray[np.int64],
    n_outcomes: int,
) -> NDArray[np.float64]:
    """The sum of every choice of picks[s] values per stratum, shape (n_outcomes,).

    The first outcome takes the leading values of each stratum; combinations follow in
    lexicographic order, the first stratum turning fastest.
    """
    firsts = np.zeros(picks.size + 1, dtype=np.int64)
    for stratum in range(picks.size):
        firsts[stratum + 1] = firsts[stratum] + picks[stratum]
    chosen = np.empty(firsts[-1], dtype=np.int64)
    for stratum in range(picks.size):
        for i in range(picks[stratum]):
            chosen[firsts[stratum] + i] = starts[stratum] + i
    sums = np.empty(n_outcomes)
    for outcome in range(n_outcomes):
        total = 0.0
        for i in chosen:
            total += values[i]
        sums[outcome] = total
        for stratum in range(picks.size):
            first, n_picks = firsts[stratum], picks[stratum]
            moved = n_picks - 1  # the last pick that can still move to the right
            while moved >= 0 and chosen[first + moved] == starts[stratum + 1] - n_picks + moved:
                moved -= 1
            start = starts[stratum] if moved < 0 else chosen[first + moved] + 1
            for i in range(max(moved, 0), n_picks):
                chosen[first + i] = start + i - max(moved, 0)
            if moved >= 0:
                break
    return sums
