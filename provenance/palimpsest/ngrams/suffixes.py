"""The index of one machine: a suffix array per shard, memory-mapped.

A shard's folder holds `tokens.bin` (little-endian uint16, or uint32 where an id needs it; ids plus 1,
0 behind each sequence) and `suffixes.bin` (int32). `kernels` says what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import VerificationError
from . import kernels
from .matching import Matches, MatchRule
from .rarity import rarity_of
from .table import SequenceTable

__all__ = ["FILES", "Shard", "SuffixIndex", "open_shard", "suffix_array", "write_shard"]

FILES = ("tokens.bin", "suffixes.bin")
_CONTRADICTS = "{}: the suffix array points outside its tokens"
_MANY = 20_000  # places from which on all cores are worth waking
_BLOCK = 1 << 18  # places of a text at a time: bounds memory, changes no result


@dataclass(frozen=True, slots=True)
class Shard:
    """Some sequences with their suffix array.

    Attributes:
        path: Its folder.
        tokens: See `kernels`.
        suffixes: See `kernels`.
        starts: First place of each sequence.
        first: Number of its first sequence in the table.
    """

    path: Path
    tokens: NDArray[Any]
    suffixes: NDArray[np.int32]
    starts: NDArray[np.int64]
    first: int


def write_shard(folder: Path, sequences: Sequence[NDArray[np.int64]]) -> None:
    """Write a shard's files into a folder."""
    tokens = _laid_out(sequences)
    tokens.astype(tokens.dtype.newbyteorder("<")).tofile(folder / FILES[0])
    suffixes = suffix_array(_high_byte_first(tokens))[len(sequences) :]  # ends come first
    suffixes.astype("<i4").tofile(folder / FILES[1])


def _laid_out(sequences: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
    largest = max(int(ids.max()) for ids in sequences) + 1
    size = sum(ids.size + 1 for ids in sequences)
    tokens = np.zeros(size, dtype=np.uint16 if largest < 1 << 16 else np.uint32)
    place = 0
    for ids in sequences:
        tokens[place : place + ids.size] = ids + 1
        place += ids.size + 1
    return tokens


def _high_byte_first(tokens: NDArray[Any]) -> NDArray[np.uint8]:
    """Shape (n, bytes of the largest): sorted as bytes, tokens are sorted as numbers."""
    width = (int(tokens.max()).bit_length() + 7) // 8
    content = np.empty((tokens.size, width), dtype=np.uint8)
    for byte in range(width):
        content[:, byte] = (tokens >> (8 * (width - 1 - byte))) & 255
    return content


def suffix_array(content: NDArray[np.uint8]) -> NDArray[np.int32]:
    """All places, ordered by the tokens from there on, each read as a row of bytes; shape (n,)."""
    from pydivsufsort import divsufsort

    width = content.shape[1]
    places: NDArray[np.int32] = divsufsort(content.reshape(-1))
    if width > 1:
        places = places[places % width == 0]
        places //= width
    return places


def open_shard(path: Path, lengths: NDArray[np.int64], first: int) -> Shard:
    """Map a shard's files.

    Args:
        path: Its folder.
        lengths: Tokens of each of its sequences.
        first: Number of the first of them.

    Raises:
        VerificationError: If a file has the wrong size.
    """
    n_tokens = int(lengths.sum())
    size = n_tokens + lengths.size
    token_bytes = (path / FILES[0]).stat().st_size
    if token_bytes not in {2 * size, 4 * size}:
        raise VerificationError(
            f"{path / FILES[0]}: expected {size} tokens, got {token_bytes} bytes"
        )
    suffix_bytes = (path / FILES[1]).stat().st_size
    if suffix_bytes != 4 * n_tokens:
        raise VerificationError(
            f"{path / FILES[1]}: expected {n_tokens} suffixes, got {suffix_bytes} bytes"
        )
    tokens = np.memmap(path / FILES[0], f"<u{token_bytes // size}", "r").view(np.ndarray)
    suffixes = np.memmap(path / FILES[1], "<i4", "r").view(np.ndarray)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
    return Shard(path, tokens, suffixes, starts, first)


class SuffixIndex:
    """An index that lies on this machine's disk.

    Args:
        table: The sequences.
        shards: The shards, in the order of the sequences.
    """

    def __init__(self, table: SequenceTable, shards: Sequence[Shard]) -> None:
        self._table = table
        self._shards = tuple(shards)

    @property
    def table(self) -> SequenceTable:
        """The sequences and their steps."""
        return self._table

    def with_steps(self, steps: NDArray[np.int64]) -> "SuffixIndex":
        """The same rows, as if trained on at other steps: to see what the test says of drawn orders."""
        return SuffixIndex(replace(self._table, steps=steps), self._shards)

    def match(self, query: NDArray[np.int64], rule: MatchRule) -> Matches:
        """Match a text; see `matching.joined` for its form.

        Raises:
            VerificationError: If the index contradicts itself.
        """
        scores = np.zeros(len(self._table.digests))
        by_length = np.zeros(rule.longest + 1, dtype=np.int64)
        n_too_common = 0
        for begin in range(0, query.size, _BLOCK):
            end = min(begin + _BLOCK, query.size)
            found = [self._longest(shard, query, begin, end, rule) for shard in self._shards]
            best = np.max([lengths for lengths, _, _ in found], axis=0)
            total = np.zeros(end - begin, dtype=np.int64)
            for lengths, lows, highs in found:
                total += np.where(lengths == best, highs - lows, 0)
            rare = (best > 0) & (total <= rule.most_occurrences)
            for shard, (lengths, lows, highs) in zip(self._shards, found, strict=True):
                part = scores[shard.first : shard.first + shard.starts.size]
                chosen = rare & (lengths == best)
                if not kernels.add_weights(
                    part, shard.suffixes, shard.starts, chosen, lows, highs, total
                ):
                    raise VerificationError(_CONTRADICTS.format(shard.path))
            by_length += np.bincount(best[rare], minlength=rule.longest + 1)
            n_too_common += int(((best > 0) & ~rare).sum())
        return Matches(scores, by_length, int((query > 0).sum()), n_too_common)

    def n_matched(self, query: NDArray[np.int64], length: int) -> int:
        """Places of a text from which on a k-gram of exactly this length occurs."""
        rule = MatchRule(longest=length, shortest=length)
        found = np.zeros(query.size, dtype=bool)
        for shard in self._shards:
            found |= self._longest(shard, query, 0, query.size, rule)[0] > 0
        return int(found.sum())

    def sequence(self, number: int) -> NDArray[np.int64]:
        """Token ids of a distinct sequence."""
        firsts = [shard.first for shard in self._shards]
        shard = self._shards[int(np.searchsorted(firsts, number, side="right")) - 1]
        start = shard.starts[number - shard.first]
        stored = shard.tokens[start : start + self._table.lengths[number]]
        return stored.astype(np.int64) - 1

    def rarity(self) -> NDArray[np.float64]:
        """See `rarity_of`."""
        return rarity_of(lambda: ((shard.tokens, shard.starts) for shard in self._shards))

    @staticmethod
    def _longest(
        shard: Shard, query: NDArray[np.int64], begin: int, end: int, rule: MatchRule
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        many = end - begin > _MANY
        search = kernels.longest_matches_parallel if many else kernels.longest_matches
        found = search(shard.tokens, shard.suffixes, query, begin, end, rule.longest, rule.shortest)
        if (found[0] < 0).any():
            raise VerificationError(_CONTRADICTS.format(shard.path))
        return found
