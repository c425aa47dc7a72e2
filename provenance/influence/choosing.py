"""Which candidates of a corpus to score exactly next: what a surrogate ranks high, and some at random."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...stats.checks import positive_count, seed_of
from .features import Document, batched
from .surrogate import Surrogate

__all__ = ["NextCandidates", "choose_next"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCandidates:
    """What to score next.

    Attributes:
        greedy: Ids ranked high for some query, best first, the queries taking turns.
        explored: Ids drawn at random from all others: with them, and only with them, one can tell how well
            the surrogate ranks the corpus, and what it misses (`at_random` of `fit_surrogate`).
        n_seen: Candidates looked at, without those skipped.
    """

    greedy: tuple[str, ...]
    explored: tuple[str, ...]
    n_seen: int


def choose_next(
    surrogate: Surrogate,
    candidates: Iterable[tuple[str, Document]],
    n: int,
    *,
    seed: int,
    explore: float = 0.2,
    skip: Collection[str] = (),
    batch: int = 1_024,
) -> NextCandidates:
    """Choose n candidates in one pass, in memory for n per query and a batch.

    A candidate is explored if its keyed hash is among the smallest of those not chosen greedily. The
    outcome depends on the seed and the set of candidates, not on their order or the batch; equal predictions
    are ordered by the same hash.

    Args:
        surrogate: Ranks the candidates.
        candidates: Ids and documents; each id once.
        n: How many to choose.
        seed: Seed of the exploration, in [0, 2**64).
        explore: Share of n to draw at random, in [0, 1], rounded.
        skip: Ids that were scored already.
        batch: Candidates predicted at once.

    Raises:
        InvalidInput: If an argument is malformed, or an id occurs twice among those that lead.
        InsufficientEvidence: If there are no candidates.
    """
    positive_count("n", n)
    if not 0 <= explore <= 1:
        raise InvalidInput(f"explore: expected a share in [0, 1], got {explore}")
    key = int(seed_of(seed)).to_bytes(8, "little")
    n_explored = round(n * explore)
    n_greedy = n - n_explored
    known = frozenset(skip)
    leaders = [_Leaders(n_greedy) for _ in surrogate.queries]
    drawn = _Leaders(n)  # some of them may be chosen greedily
    n_seen = 0
    fresh = ((id, document) for id, document in candidates if id not in known)
    for part in batched(fresh, batch):
        ids = [id for id, _ in part]
        hashes = np.array([_hash(id, key) for id in ids], dtype=np.uint64)
        if n_greedy:
            for leading, row in zip(leaders, surrogate.predict([d for _, d in part]), strict=True):
                leading.add(-row, hashes, ids)
        drawn.add(np.zeros(len(ids)), hashes, ids)
        n_seen += len(ids)
    if not n_seen:
        raise InsufficientEvidence("no candidate is left to choose from")
    greedy = _taking_turns([leading.ids for leading in leaders], n_greedy)
    taken = frozenset(greedy)
    explored = tuple(id for id in drawn.ids if id not in taken)[:n_explored]
    return NextCandidates(greedy=greedy, explored=explored, n_seen=n_seen)


class _Leaders:
    """The candidates with the smallest keys so far, ties by hash."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.keys: NDArray[np.float64] = np.empty(0)
        self.hashes: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self.ids: list[str] = []

    def add(self, keys: NDArray[np.float64], hashes: NDArray[np.uint64], ids: list[str]) -> None:
        keys, hashes = np.concatenate((self.keys, keys)), np.concatenate((self.hashes, hashes))
        ids = self.ids + ids
        order = np.lexsort((hashes, keys))[: self.size]
        self.keys, self.hashes = keys[order], hashes[order]
        self.ids = [ids[i] for i in order]
        if len(set(self.ids)) < len(self.ids):
            twice = next(id for i, id in enumerate(self.ids) if id in self.ids[:i])
            raise InvalidInput(
                f"candidates: the id {twice!r} occurs twice", "give each document once"
            )


def _taking_turns(ranked: list[list[str]], n: int) -> tuple[str, ...]:
    """The first n different ids, first of each list first."""
    chosen: dict[str, None] = {}
    for place in range(n):
        for ids in ranked:
            if place < len(ids) and len(chosen) < n:
                chosen.setdefault(ids[place])
    return tuple(chosen)


def _hash(id: str, key: bytes) -> int:
    data = id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, key=key, digest_size=8).digest(), "little")
