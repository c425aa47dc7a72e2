"""How common a sequence's own words are: a covariate that depends on content alone."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels

__all__ = ["Laid", "rarity_of"]

Laid = tuple[NDArray[Any], NDArray[np.int64]]  # a shard's stored tokens, first place per sequence


def rarity_of(shards: Callable[[], Iterable[Laid]]) -> NDArray[np.float64]:
    """Mean -log of how often a sequence's pairs of neighbours occur, in nats, shape (sequences,).

    The same as `Covariate.RARITY` of the query test. A pair's share is that of all pairs in all shards:
    in its own shard alone, a sequence's value would depend on the rows beside it, and so on the order.

    Args:
        shards: Gives the shards; called twice.
    """
    codes, counts = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    for tokens, _ in shards():
        own, of_own = np.unique(kernels.pair_codes(tokens), return_counts=True)
        codes, places = np.unique(np.concatenate([codes, own]), return_inverse=True)
        together = np.concatenate([counts, of_own])
        counts = np.zeros(codes.size, dtype=np.int64)
        np.add.at(counts, places, together)
    rarity = -np.log(counts / max(int(counts.sum()), 1))
    return np.concatenate([
        kernels.mean_pair_rarity(tokens, starts, codes, rarity) for tokens, starts in shards()
    ])
