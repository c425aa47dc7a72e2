"""The index past one machine: infini-gram's files, read by the package of that name.

Source: Liu et al. (2024), arXiv 2401.17377; package infini-gram 2.6. Each of our shards is one of its
index folders (`tokenized.0`, `offset.0`, `table.0`, format version 4), so that matches are those of
`SuffixIndex`, number for number. A document is a distinct sequence; documents are in the order of
the table. The files are those that the package's own indexing writes, byte for byte; its program
is not used, since for ids of 4 bytes it takes 32 GiB of memory at once.
"""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput, VerificationError
from .matching import Matches, MatchRule
from .rarity import Laid, rarity_of
from .suffixes import suffix_array
from .table import SequenceTable

__all__ = ["FILES", "InfiniIndex", "write_shard"]

Found = list[tuple[int, int]]  # places in the table of each shard: [low, high)
FILES = ("tokenized.0", "offset.0", "table.0")


def _package() -> ModuleType:
    try:
        return importlib.import_module("infini_gram")
    except ImportError as error:
        raise InvalidInput(
            "this index needs the package infini-gram", "pip install 'bookplate[ngrams]'"
        ) from error


def write_shard(folder: Path, sequences: Sequence[NDArray[np.int64]]) -> None:
    """Write a shard's files into a folder.

    Raises:
        InvalidInput: If the package, which alone reads them, is not installed.
    """
    _package()
    largest = max(int(ids.max()) for ids in sequences)
    width = 2 if largest < _end(2) - 1 else 4  # infini-gram keeps the two largest numbers to itself
    laid = np.concatenate([np.concatenate([[_end(width)], ids]) for ids in sequences])
    content = laid.astype(f"<u{width}").view(np.uint8)
    content.tofile(folder / FILES[0])
    starts = np.cumsum([0, *(ids.size + 1 for ids in sequences[:-1])])
    (width * starts).astype("<u8").tofile(folder / FILES[1])
    pointers = suffix_array(content.reshape(-1, width)).astype("<u8") * np.uint64(width)
    used = int(np.ceil(np.log2(content.size) / 8))  # bytes of a pointer
    pointers.view(np.uint8).reshape(-1, 8)[:, :used].tofile(folder / FILES[2])


def _end(width: int) -> int:
    """infini-gram's own separator, in front of each document."""
    return (1 << (8 * width)) - 1


class InfiniIndex:
    """An index in infini-gram's files.

    Args:
        table: The sequences.
        shards: The shards' folders, in the order of the sequences.
        firsts: Number of the first sequence of each.

    Raises:
        InvalidInput: If the package is not installed.
        VerificationError: If the files do not hold the table's sequences.
    """

    def __init__(self, table: SequenceTable, shards: Sequence[Path], firsts: Sequence[int]) -> None:
        self._table = table
        self._shards = tuple(shards)
        self._firsts = tuple(firsts)
        ends = (*self._firsts[1:], len(table.digests))
        self._widths: list[int] = []
        # One engine per shard: its documents are then counted from 0, as ours are.
        self._engines: list[Any] = []
        self._tables: list[NDArray[np.uint8]] = []  # (places, bytes of a pointer)
        self._offsets: list[NDArray[np.uint64]] = []
        for path, first, end in zip(shards, self._firsts, ends, strict=True):
            width = _width(path, table.lengths[first:end])
            self._widths.append(width)
            self._engines.append(_engine(path, width))
            pointers = np.memmap(path / FILES[2], np.uint8, "r").view(np.ndarray)
            n = (path / FILES[0]).stat().st_size // width
            self._tables.append(pointers.reshape(n, -1))
            self._offsets.append(np.fromfile(path / FILES[1], "<u8"))

    @property
    def table(self) -> SequenceTable:
        """The sequences and their steps."""
        return self._table

    def with_steps(self, steps: NDArray[np.int64]) -> "InfiniIndex":
        """The same rows, as if trained on at other steps: to see what the test says of drawn orders."""
        return InfiniIndex(replace(self._table, steps=steps), self._shards, self._firsts)

    def match(self, query: NDArray[np.int64], rule: MatchRule) -> Matches:
        """Match a text; see `matching.joined` for its form."""
        scores = np.zeros(len(self._table.digests))
        by_length = np.zeros(rule.longest + 1, dtype=np.int64)
        n_too_common = 0
        search = _Search(self._engines, self._widths)
        for place in np.flatnonzero(query > 0):
            length, found = search.longest(_from(query, int(place), rule), rule)
            if length == 0:
                continue
            total = _total(found)
            if total > rule.most_occurrences:
                n_too_common += 1
                continue
            by_length[length] += 1
            for sequence in self._sequences(found):
                scores[sequence] += 1 / total
        return Matches(scores, by_length, int((query > 0).sum()), n_too_common)

    def n_matched(self, query: NDArray[np.int64], length: int) -> int:
        """Places of a text from which on a k-gram of exactly this length occurs."""
        rule = MatchRule(longest=length, shortest=length)
        search = _Search(self._engines, self._widths)
        places = np.flatnonzero(query > 0).tolist()
        return sum(search.longest(_from(query, place, rule), rule)[0] > 0 for place in places)

    def sequence(self, number: int) -> NDArray[np.int64]:
        """Token ids of a distinct sequence."""
        shard = int(np.searchsorted(self._firsts, number, side="right")) - 1
        before = self._table.lengths[self._firsts[shard] : number]
        width = self._widths[shard]
        place = width * int(before.sum() + before.size + 1)
        count = int(self._table.lengths[number])
        ids = np.fromfile(self._shards[shard] / FILES[0], f"<u{width}", count, offset=place)
        return ids.astype(np.int64)

    def rarity(self) -> NDArray[np.float64]:
        """See `rarity_of`."""
        return rarity_of(lambda: map(self._laid, range(len(self._shards))))

    def _laid(self, shard: int) -> Laid:
        """A shard as `kernels` has it: one more than infini-gram's separator is 0."""
        width = self._widths[shard]
        tokens = np.fromfile(self._shards[shard] / FILES[0], f"<u{width}")
        tokens += np.array(1, dtype=tokens.dtype)
        return tokens, np.flatnonzero(tokens == 0) + 1

    def _sequences(self, found: Found) -> list[int]:
        """The sequence of each occurrence, read from the table: the engine would load every document."""
        sequences: list[int] = []
        for shard, (low, high) in enumerate(found):
            pointers = np.zeros((high - low, 8), dtype=np.uint8)
            table = self._tables[shard]
            pointers[:, : table.shape[1]] = table[low:high]
            offsets = self._offsets[shard]
            inside = np.searchsorted(offsets, pointers.view("<u8")[:, 0], side="right") - 1
            sequences += (self._firsts[shard] + inside).tolist()
        return sequences


class _Search:
    """Looks up k-grams of one text; what was looked up before is known."""

    def __init__(self, engines: Sequence[Any], widths: Sequence[int]) -> None:
        self._engines = engines
        self._widths = widths
        self._known: dict[tuple[int, ...], Found] = {}
        self._last = 0  # length at the place before

    def longest(self, ids: tuple[int, ...], rule: MatchRule) -> tuple[int, Found]:
        """Length and occurrences of the longest k-gram at the beginning of some ids; 0 if there is none.

        Where a k-gram occurs, so does every shorter one from the same place on: the length is found by
        halving, in which the whole is tried first after a place that matched as long.
        """
        most, fewest = len(ids), rule.shortest - 1  # fewest occurs, or is too short to count
        middle = most if self._last == rule.longest else fewest + 1
        while fewest < most:
            if _total(self._find(ids[:middle])) > 0:
                fewest = middle
            else:
                most = middle - 1
            middle = (fewest + most + 1) // 2
        self._last = fewest if fewest >= rule.shortest else 0
        return (self._last, self._find(ids[: self._last])) if self._last else (0, [])

    def _find(self, ids: tuple[int, ...]) -> Found:
        found = self._known.get(ids)
        if found is None:
            found = self._known[ids] = []
            for engine, width in zip(self._engines, self._widths, strict=True):
                low = high = 0
                if max(ids) < _end(width):  # else no token has this id
                    ((low, high),) = _answered(engine.find(list(ids)))["segment_by_shard"]
                found.append((low, high))
        return found


def _from(query: NDArray[np.int64], place: int, rule: MatchRule) -> tuple[int, ...]:
    """Token ids of a query from a place on, up to the end of its text, as many as may match."""
    ids = query[place : place + rule.longest] - 1
    ends = np.flatnonzero(ids < 0)
    return tuple((ids[: ends[0]] if ends.size else ids).tolist())


def _total(found: Found) -> int:
    return sum(high - low for low, high in found)


def _width(path: Path, lengths: NDArray[np.int64]) -> int:
    """Bytes per token of a shard whose files have the right sizes.

    Raises:
        VerificationError: If they do not.
    """
    n = int(lengths.sum()) + lengths.size
    size, offsets, table = ((path / name).stat().st_size for name in FILES)
    width = size // n
    used = int(np.ceil(np.log2(size) / 8)) if size else 0
    if width not in {2, 4} or (size, offsets, table) != (width * n, 8 * lengths.size, used * n):
        raise VerificationError(f"{path}: the files do not hold {lengths.size} sequences")
    return width


def _engine(path: Path, width: int) -> Any:
    _package()
    engine = importlib.import_module("infini_gram.engine").InfiniGramEngine
    return engine(
        str(path),
        eos_token_id=_end(width) - 1,
        vocab_size=_end(width),
        version=4,
        token_dtype=f"u{8 * width}",
    )


def _answered(answer: Any) -> Any:
    """What the engine answers; it reports errors as answers."""
    if isinstance(answer, dict) and "error" in answer:
        raise VerificationError(f"infini-gram: {answer['error']}")
    return answer
