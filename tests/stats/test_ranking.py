"""Ranks against their definition, for doubles of every kind, whether or not their keys hold all bits."""

import math
import sys
from collections import Counter

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import ranking, ranks
from bookplate.stats.ranking import ranked, ranked_pair
from bookplate.stats.ranking_kernels import centred_ranks, packed_keys
from scipy.stats import rankdata

LARGEST = sys.float_info.max
TINY = 5e-324


def worlds(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "normal": rng.normal(size=n),
        "whole numbers": rng.integers(-50, 50, size=n).astype(float),
        "one value": np.full(n, -3.25),
        "zeros of both signs": np.where(rng.random(n) < 0.5, -0.0, 0.0),
        "nearly equal": 1e9 + rng.random(n) * 1e-3,
        "nearly equal, negative": -1e9 - rng.random(n) * 1e-3,
        "subnormal": rng.normal(size=n) * 1e-310,
        "huge": rng.normal(size=n) * 1e299,
        "every exponent": np.exp2(rng.uniform(-1074, 1023, size=n)) * rng.choice([-1, 1], size=n),
        "falling": -np.arange(n, dtype=float),
        "rounded": np.round(rng.normal(size=n), 3),
        "one outlier": np.r_[1e300, rng.random(n - 1)],
    }


@pytest.mark.parametrize("world", worlds(2))
@pytest.mark.parametrize("n", [1, 2, 3, 200, 5_000])
def test_ranks_are_scipys(world, n):
    x = worlds(max(n, 2))[world][:n]
    found = ranked(x)
    assert (found.centred + (n + 1) / 2).tolist() == rankdata(x).tolist()
    assert found.order.tolist() == np.argsort(x, kind="stable").tolist()
    assert found.squares == pytest.approx(found.centred @ found.centred, rel=1e-12)
    ties = sum(math.lgamma(size + 1) for size in Counter(x.tolist()).values())
    assert found.log_ties == pytest.approx(ties, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("world", worlds(2))
@pytest.mark.parametrize("index_bits", [12, 40, 60, 63])
def test_keys_without_room_for_all_bits_give_the_same_ranks(world, index_bits):
    """As if n were far larger: with 63 bits for the index, one bit is left for the value."""
    x = worlds(3_000)[world]
    keys, whole = packed_keys(x, index_bits)
    keys.sort()
    found = centred_ranks(x, keys, index_bits, whole)
    expected = ranked(x)
    assert found[0].tolist() == expected.centred.tolist()
    assert found[3].tolist() == expected.order.tolist()
    assert found[1:3] == (expected.squares, expected.log_ties)
    assert whole or world not in {"one value", "zeros of both signs"}


@pytest.mark.parametrize(
    "x",
    [
        [3.0],
        [1.0, 1.0],
        [2.0, -1.0, 2.0, 0.0, 2.0],
        [0.0, -0.0, TINY, -TINY],
        [LARGEST, -LARGEST, 0.0],
    ],
)
def test_a_rank_counts_the_smaller_and_half_the_equal(x):
    x = np.array(x)
    twin = [(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x]
    assert (ranked(x).centred + (x.size + 1) / 2).tolist() == twin


def test_a_pair_is_ranked_alike_with_and_without_a_thread(monkeypatch):
    x, y = np.random.default_rng(3).normal(size=(2, 4_000))
    alone = ranked_pair(x, y)
    monkeypatch.setattr(ranking, "_WORTH_A_THREAD", 1)
    threaded = ranked_pair(x, y)
    for a, b in zip(alone, threaded, strict=True):
        assert a.centred.tolist() == b.centred.tolist()
        assert (a.squares, a.log_ties) == (b.squares, b.log_ties)


def test_ranks_of_anything_like_an_array():
    assert ranks([30, 10, 20, 10]).tolist() == [4, 1.5, 3, 1.5]
    assert ranks(np.arange(6)[::-2]).tolist() == [3, 2, 1]  # a view with a stride of its own
    assert ranks([]).size == 0
    with pytest.raises(InvalidInput, match=r"^x: value nan at index 1"):
        ranks([1.0, math.nan])
