"""Each kernel against a slow twin written from its definition; the same bits with and without the JIT."""

import hashlib
import itertools
import math
import os
import subprocess
import sys

import mpmath
import numba
import numpy as np
import pytest
from bookplate.stats import kernels
from scipy.stats import chi2

# An honest generator fails a chi-square test below once in a million seeds; ours is fixed.
FALSE_ALARM = 1e-6


def words(*values: int) -> list[np.uint64]:
    return [np.uint64(value) for value in values]


def twin_philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Salmon et al. (2011), section 3.3, in Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def twin_drawn_choice_sums(values, starts, seed: int, draws: range) -> list[float]:
    key = seed % 2**32, seed // 2**32
    sums = []
    for draw in draws:
        total = 0.0
        for unit, (start, stop) in enumerate(itertools.pairwise(starts.tolist())):
            block = twin_philox((unit // 4, draw % 2**32, draw // 2**32, 0), key)
            total += values[start + block[unit % 4] * (stop - start) // 2**32]
        sums.append(total)
    return sums


def twin_permuted_dots(x, y, seed: int, draws: range) -> list[float]:
    key = seed % 2**32, seed // 2**32
    dots = []
    for draw in draws:
        shuffled = list(y)
        for i in range(len(y) - 1, 0, -1):
            high, low, _, _ = twin_philox((i, draw % 2**32, draw // 2**32, 1), key)
            j = (high * 2**32 + low) * (i + 1) // 2**64
            shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
        dots.append(sum_in_order(a * b for a, b in zip(x, shuffled, strict=True)))
    return dots


def sum_in_order(terms) -> float:
    """`sum` compensates for rounding from Python 3.12 on; the kernels add plainly."""
    total = 0.0
    for term in terms:
        total += term
    return total


def ragged(sizes, seed=0):
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return np.random.default_rng(seed).normal(size=starts[-1]), starts


def chi_square_fits(counts, probabilities) -> bool:
    expected = np.sum(counts) * np.asarray(probabilities)
    return ((np.asarray(counts) - expected) ** 2 / expected).sum() <= chi2.isf(
        FALSE_ALARM, len(counts) - 1
    )


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    """The vectors of Random123's `kat_vectors` for philox4x32-10."""
    assert tuple(int(word) for word in kernels.philox(*words(*counter, *key))) == expected
    assert twin_philox(counter, key) == expected


def test_philox_is_its_slow_twin():
    for row in np.random.default_rng(1).integers(0, 2**32, size=(50, 6)).tolist():
        assert tuple(int(w) for w in kernels.philox(*words(*row))) == twin_philox(
            tuple(row[:4]), tuple(row[4:])
        )


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 20_260_819])
@pytest.mark.parametrize("sizes", [[2], [3, 2, 7], [2, 2, 2, 2], [5, 2, 2, 3, 2, 2, 2, 9, 4]])
def test_drawn_sums_are_their_slow_twin(sizes, seed):
    values, starts = ragged(sizes)
    drawn = kernels.drawn_choice_sums(values, starts, np.uint64(seed), 5, 12)
    assert drawn.tolist() == twin_drawn_choice_sums(values, starts, seed, range(5, 17))


@pytest.mark.parametrize("seed", [0, 2**33 + 5, 2**64 - 1])
@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_permuted_dots_are_their_slow_twin(n, seed):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    permuted = kernels.permuted_dots(x, y, np.uint64(seed), 3, 10)
    assert permuted.tolist() == twin_permuted_dots(x, y, seed, range(3, 13))


def test_choice_sum_and_dot_add_in_the_order_of_the_draws():
    values, starts = ragged([2, 3, 4, 2], seed=3)
    chosen = np.array([1, 2, 0, 1])
    assert kernels.choice_sum(values, starts, chosen) == sum_in_order(values[starts[:-1] + chosen])
    assert kernels.dot(values, values[::-1].copy()) == sum_in_order(values * values[::-1])


@pytest.mark.parametrize("sizes", [[2], [4], [2, 3], [3, 2, 2, 4]])
def test_enumerated_sums_are_all_combinations(sizes):
    values, starts = ragged(sizes)
    units = [values[a:b] for a, b in itertools.pairwise(starts)]
    sums = kernels.all_choice_sums(values, starts, math.prod(sizes))
    assert sorted(sums) == sorted(sum_in_order(pick) for pick in itertools.product(*units))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_enumerated_dots_are_all_permutations(n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    dots = kernels.all_permuted_dots(x, y, math.factorial(n))
    twin = [
        sum_in_order(a * b for a, b in zip(x, p, strict=True)) for p in itertools.permutations(y)
    ]
    assert sorted(dots) == sorted(twin)
    assert dots[0] == kernels.dot(x, y)


@pytest.mark.parametrize(("a", "x"), [(0.5, 0.0), (1.0, 0.3), (249.0, 0.9), (7_999.0, 0.99)])
def test_the_beta_sum_is_a_hypergeometric_series(a, x):
    """Sum_n (a+b)_n / (a+1)_n x^n = 2F1(a + b, 1; a + 1; x); a thousand roundings cost 1e-13 at most."""
    expected = mpmath.log(mpmath.hyp2f1(a + 0.5, 1, a + 1, x))
    assert kernels.log_incomplete_beta_sum(a, 0.5, x) == pytest.approx(
        float(expected), rel=1e-12, abs=1e-13
    )


def test_draws_of_a_choice_are_uniform_and_independent():
    """Cells of (unit 0, unit 1) within a draw, and of unit 0 in consecutive draws."""
    values, starts = np.array([0.0, 1, 2, 3, 4, 0, 10, 20]), np.array([0, 5, 8])
    drawn = kernels.drawn_choice_sums(values, starts, np.uint64(7), 0, 6_000).astype(int)
    first, second = drawn % 10, drawn // 10
    assert chi_square_fits(np.bincount(3 * first + second, minlength=15), np.full(15, 1 / 15))
    pairs = 5 * first[::2] + first[1::2]
    assert chi_square_fits(np.bincount(pairs, minlength=25), np.full(25, 1 / 25))


def test_all_permutations_are_equally_likely():
    x, y = np.array([1.0, 10, 100, 1_000]), np.arange(4.0)  # the dot spells the permutation
    _, counts = np.unique(kernels.permuted_dots(x, y, np.uint64(8), 0, 4_000), return_counts=True)
    assert counts.size == 24
    assert chi_square_fits(counts, np.full(24, 1 / 24))


def digest() -> str:
    """SHA-256 of the bits of one run of each random kernel."""
    values, starts = ragged([2, 3, 4, 2, 5, 2, 3], seed=5)
    drawn = kernels.drawn_choice_sums(values, starts, np.uint64(2**63 + 9), 0, 150)
    permuted = kernels.permuted_dots(values, values[::-1].copy(), np.uint64(2**63 + 9), 0, 50)
    return hashlib.sha256(drawn.tobytes() + permuted.tobytes()).hexdigest()


def test_bits_do_not_depend_on_the_number_of_threads():
    before = numba.get_num_threads()
    try:
        digests = set()
        for n_threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(n_threads)
            digests.add(digest())
    finally:
        numba.set_num_threads(before)
    assert len(digests) == 1


@pytest.mark.parametrize("setting", [{"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_NUM_THREADS": "2"}])
def test_bits_do_not_depend_on_the_jit(setting):
    program = f"import runpy; print(runpy.run_path({__file__!r})['digest']())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()


@pytest.mark.parametrize("sizes", [[1], [3, 2], [4, 4, 4, 3]])
def test_binned_moments_are_their_definition(sizes):
    rng = np.random.default_rng(9)
    edges = np.concatenate([[0], np.cumsum(sizes)])
    place = rng.permutation(edges[-1]).astype(float)
    x = 1e8 + rng.normal(size=edges[-1])  # squares about 0 would lose all digits
    sums, squares = kernels.binned_moments(place, x, edges)
    groups = [x[(place >= a) & (place < b)] for a, b in itertools.pairwise(edges)]
    assert sums == pytest.approx([g.sum() for g in groups], rel=1e-15)
    assert squares == pytest.approx([((g - g.mean()) ** 2).sum() for g in groups], rel=1e-6)
