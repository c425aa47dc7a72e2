"""The numba ground floor: random numbers, ranks, resampling. Arrays in, arrays out, no checks.

Random numbers are counter-based (Philox4x32-10; Salmon et al. 2011, "Parallel random numbers:
as easy as 1, 2, 3"): draw `b` is a pure function of (seed, b), so results do not depend on the
number of threads or on whether the JIT is on. Compiled code is cached on disk; `fastmath` stays
off because a p-value may not depend on how the compiler reorders a sum.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])

_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)


def _kernel(function: _F) -> _F:
    return cast("_F", njit(cache=True, nogil=True, fastmath=False)(function))


def _parallel_kernel(function: _F) -> _F:
    return cast("_F", njit(cache=True, nogil=True, fastmath=False, parallel=True)(function))


@_kernel
def philox(
    counter_0: np.uint64,
    counter_1: np.uint64,
    counter_2: np.uint64,
    counter_3: np.uint64,
    key_0: np.uint64,
    key_1: np.uint64,
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Philox4x32-10: four uniform 32-bit words (held in uint64) from four counters and two keys."""
    for _ in range(10):
        product_0 = _MULTIPLIER_0 * counter_0
        product_1 = _MULTIPLIER_1 * counter_2
        counter_0 = (product_1 >> _SHIFT32) ^ counter_1 ^ key_0
        counter_2 = (product_0 >> _SHIFT32) ^ counter_3 ^ key_1
        counter_1 = product_1 & _MASK32
        counter_3 = product_0 & _MASK32
        key_0 = (key_0 + _WEYL_0) & _MASK32
        key_1 = (key_1 + _WEYL_1) & _MASK32
    return counter_0, counter_1, counter_2, counter_3


@_kernel
def choice_sum(
    values: NDArray[np.float64], starts: NDArray[np.int64], chosen: NDArray[np.int64]
) -> float:
    """Sum of the chosen value of each unit, added in the order in which the draws add theirs."""
    total = 0.0
    for unit in range(chosen.size):
        total += values[starts[unit] + chosen[unit]]
    return total


@_parallel_kernel
def drawn_choice_sums(
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    seed: np.uint64,
    first_draw: int,
    n_draws: int,
) -> NDArray[np.float64]:
    """Sums over units of one uniformly drawn value each, draws first_draw.. on, shape (n_draws,).

    Unit u owns `values[starts[u]:starts[u + 1]]`. A 32-bit word w becomes an index by (w * k) >> 32,
    so each of k choices has a probability within 2**-32 of 1/k (equal to it if k is a power of two).
    For U units of k choices the sum's mean moves by less than k 2**-32 of the units' summed ranges:
    for a million alike units of three choices, less than a millionth of its standard deviation.
    """
    n_units = starts.size - 1
    key_0, key_1 = seed & _MASK32, seed >> _SHIFT32
    sums = np.empty(n_draws)
    for i in prange(n_draws):
        draw = np.uint64(first_draw + i)
        draw_low, draw_high = draw & _MASK32, draw >> _SHIFT32
        total = 0.0
        for block in range((n_units + 3) // 4):
            words = philox(np.uint64(block), draw_low, draw_high, np.uint64(0), key_0, key_1)
            for lane in range(min(4, n_units - 4 * block)):
                unit = 4 * block + lane
                size = np.uint64(starts[unit + 1] - starts[unit])
                total += values[starts[unit] + np.int64((words[lane] * size) >> _SHIFT32)]
        sums[i] = total
    return sums


@_kernel
def all_choice_sums(
    values: NDArray[np.float64], starts: NDArray[np.int64], n_outcomes: int
) -> NDArray[np.float64]:
    """The sum of every possible combination of one value per unit, shape (n_outcomes,)."""
    n_units = starts.size - 1
    chosen = np.zeros(n_units, dtype=np.int64)
    sums = np.empty(n_outcomes)
    for outcome in range(n_outcomes):
        total = 0.0
        for unit in range(n_units):
            total += values[starts[unit] + chosen[unit]]
        sums[outcome] = total
        for unit in range(n_units):
            chosen[unit] += 1
            if chosen[unit] < starts[unit + 1] - starts[unit]:
                break
            chosen[unit] = 0
    return sums


@_kernel
def twice_placements(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[int, int, int]:
    """Sums over i of c_i and of its square, c_i = 2 sum_j psi(x_i, y_j) of `roc`; x and y ascend.

    The sum of squares comes as high * 2**32 + low, so that it does not overflow for 1e9 scores.
    """
    below, not_above, total, high, low = 0, 0, 0, 0, 0
    for i in range(x.size):
        while below < y.size and y[below] < x[i]:
            below += 1
        if not_above < below:
            not_above = below
        while not_above < y.size and y[not_above] == x[i]:
            not_above += 1
        c = below + not_above
        total += c
        high += (c * c) >> 32
        low += (c * c) & 0xFFFFFFFF
    return total, high, low


@_kernel
def dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Inner product, added in the order in which the permutation kernels add theirs."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@_parallel_kernel
def permuted_dots(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    seed: np.uint64,
    first_draw: int,
    n_draws: int,
) -> NDArray[np.float64]:
    """Inner products of x with uniformly permuted y, draws first_draw.. on, shape (n_draws,).

    One Fisher-Yates shuffle per draw.
    """
    n = x.size
    key_0, key_1 = seed & _MASK32, seed >> _SHIFT32
    dots = np.empty(n_draws)
    for d in prange(n_draws):
        draw = np.uint64(first_draw + d)
        draw_low, draw_high = draw & _MASK32, draw >> _SHIFT32
        shuffled = y.copy()
        for i in range(n - 1, 0, -1):
            word_0, word_1, _, _ = philox(
                np.uint64(i), draw_low, draw_high, np.uint64(1), key_0, key_1
            )
            # (w * size) >> 64 for the 64-bit w of two words: each j within 2**-64 of 1 / size.
            size = np.uint64(i + 1)
            j = np.int64((word_0 * size + ((word_1 * size) >> _SHIFT32)) >> _SHIFT32)
            shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
        total = 0.0
        for i in range(n):
            total += x[i] * shuffled[i]
        dots[d] = total
    return dots


@_kernel
def all_permuted_dots(
    x: NDArray[np.float64], y: NDArray[np.float64], n_outcomes: int
) -> NDArray[np.float64]:
    """Inner products of x with every permutation of y (Heap's algorithm), shape (n!,)."""
    n = x.size
    permuted = y.copy()
    state = np.zeros(n, dtype=np.int64)
    dots = np.empty(n_outcomes)
    dots[0] = 0.0
    for i in range(n):
        dots[0] += x[i] * permuted[i]
    outcome, i = 1, 1
    while i < n:
        if state[i] < i:
            j = 0 if i % 2 == 0 else state[i]
            permuted[i], permuted[j] = permuted[j], permuted[i]
            total = 0.0
            for k in range(n):
                total += x[k] * permuted[k]
            dots[outcome] = total
            outcome += 1
            state[i] += 1
            i = 1
        else:
            state[i] = 0
            i += 1
    return dots


@_kernel
def binned_moments(
    position: NDArray[np.float64], x: NDArray[np.float64], edges: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum, and sum of squares about its mean, of the x whose position lies in each bin.

    Bin g holds the positions in [edges[g], edges[g + 1]); positions are 0..n-1 in any order. Two
    passes, so that no digits are lost where x hardly varies.
    """
    n_bins = edges.size - 1
    bin_of = np.empty(edges[-1], dtype=np.uint8)
    for g in range(n_bins):
        bin_of[edges[g] : edges[g + 1]] = g
    sums, squares = np.zeros(n_bins), np.zeros(n_bins)
    for i in range(x.size):
        sums[bin_of[np.int64(position[i])]] += x[i]
    for i in range(x.size):
        g = bin_of[np.int64(position[i])]
        distance = x[i] - sums[g] / (edges[g + 1] - edges[g])
        squares[g] += distance * distance
    return sums, squares


@_kernel
def log_incomplete_beta_sum(a: float, b: float, x: float) -> float:
    """Log of sum_n x**n prod_{m<n} (a + b + m) / (a + 1 + m), for 0 <= x < 1 and 0 < b < 1.

    All terms are positive and fall at least as fast as x**n; they are summed until one no longer counts.
    """
    total, term, n = 1.0, 1.0, 0.0
    while term > 1e-17 * total:
        term *= (a + b + n) / (a + 1.0 + n) * x
        total += term
        n += 1.0
    return float(np.log(total))
