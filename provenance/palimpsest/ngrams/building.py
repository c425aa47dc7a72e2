"""Building an index: sequences stream in, shards are written whole, a killed run goes on.

    INDEX/index.json                    what it is of, its counts, and the digest of every file
    INDEX/steps.bin contents.bin        int64 per row of the transcript: its step, its distinct sequence
    INDEX/shard-00000/digests.bin       16 bytes per distinct sequence
    INDEX/shard-00000/lengths.bin       int64 per distinct sequence
    INDEX/shard-00000/...               the engine's files: see `suffixes` and `infini`

Memory: one shard at a time with its suffix array (35 bytes per token, 45 for the widest ids, so 0.6 to
0.75 GB at the default size), and about 200 bytes per distinct sequence.
"""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....errors import InsufficientEvidence, InvalidInput
from ....files import canonical_json, resumable_folder, sha256_of_file
from ....stats import Input
from ..repeats import content_digest
from . import infini, suffixes

__all__ = [
    "CONTENTS",
    "DIGESTS",
    "FORMAT",
    "HEADER",
    "LENGTHS",
    "STEPS",
    "VERSION",
    "Block",
    "Engine",
    "build_index",
    "engine_files",
    "shard_name",
]

FORMAT, VERSION = "bookplate n-gram index", 1
HEADER, STEPS, CONTENTS = "index.json", "steps.bin", "contents.bin"
DIGESTS, LENGTHS = "digests.bin", "lengths.bin"
_LARGEST_ID = 2**32 - 3  # beyond are infini-gram's separator and what it is told is the end of text
_SHARD_TOKENS = 1 << 24
_MOST_SHARD_TOKENS = 1 << 28  # suffix arrays are sorted as bytes, of which there may be 2**31

Block = tuple[ArrayLike, Sequence[ArrayLike]]  # steps (b,), and the token ids of each sequence


class Engine(StrEnum):
    """Who sorts and searches: both give the same numbers."""

    SUFFIX_ARRAY = "suffix-array"
    INFINI_GRAM = "infini-gram"


def shard_name(number: int) -> str:
    """Name of a shard's folder."""
    return f"shard-{number:05d}"


def engine_files(engine: Engine) -> tuple[str, ...]:
    """Names of the files that an engine adds to a shard's folder."""
    return suffixes.FILES if engine is Engine.SUFFIX_ARRAY else infini.FILES


def build_index(
    folder: Path,
    blocks: Iterable[Block],
    *,
    source: Input,
    tokenizer: Input,
    engine: Engine = Engine.SUFFIX_ARRAY,
    shard_tokens: int = _SHARD_TOKENS,
) -> None:
    """Index the distinct sequences of a transcript; the folder appears when it is whole.

    A run that was killed goes on with the first shard that was not written when the same call is
    made again with the same blocks.

    Args:
        folder: Folder to make.
        blocks: Rows of the transcript in any order, in blocks of any size.
        source: The transcript.
        tokenizer: What the ids are ids of.
        engine: Who sorts and searches.
        shard_tokens: A shard is closed before it would have more, with what ends its sequences.

    Raises:
        InvalidInput: If the folder exists, a block is malformed, or the engine is not installed.
        InsufficientEvidence: If there are no rows.
    """
    if not 2 <= shard_tokens <= _MOST_SHARD_TOKENS:
        raise InvalidInput(
            f"shard_tokens: expected 2 to {_MOST_SHARD_TOKENS:,}, got {shard_tokens}"
        )
    stated: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "engine": engine.value,
        "source": {"name": source.name, "sha256": source.sha256},
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256},
    }
    with resumable_folder(folder, {**stated, "shard_tokens": shard_tokens}) as work:
        builder = _Builder(work.parts, engine, shard_tokens)
        for steps, sequences in blocks:
            builder.add(steps, sequences)
        counts = builder.close(work.whole)
        for number in range(len(counts["shards"])):
            (work.parts / shard_name(number)).rename(work.whole / shard_name(number))
        names = sorted(path for path in work.whole.rglob("*") if path.is_file())
        files = {path.relative_to(work.whole).as_posix(): sha256_of_file(path) for path in names}
        header = {**stated, **counts, "files": files}
        _written(work.whole / HEADER, canonical_json(header))


class _Builder:
    """Takes rows, keeps the distinct sequences of one shard, writes shards."""

    def __init__(self, parts: Path, engine: Engine, shard_tokens: int) -> None:
        self._parts = parts
        self._engine = engine
        self._shard_tokens = shard_tokens
        self._known: dict[bytes, int] = {}
        self._steps: list[NDArray[np.int64]] = []
        self._contents: list[NDArray[np.int64]] = []
        self._waiting: list[NDArray[np.int64]] = []
        self._digests: list[bytes] = []
        self._n_taken = 0  # distinct sequences that are in a shard or wait for one
        self._size = 0  # tokens that wait, with their ends
        self._largest_id = 0
        self._shards: list[dict[str, int]] = []

    def add(self, steps: ArrayLike, sequences: Sequence[ArrayLike]) -> None:
        """Take a block of rows."""
        own = np.asarray(steps)
        row = sum(block.size for block in self._steps)
        if own.ndim != 1 or not np.issubdtype(own.dtype, np.integer) or own.size != len(sequences):
            raise InvalidInput(
                f"row {row + 1} on: expected one integer step for each of {len(sequences)} sequences"
            )
        contents = np.empty(own.size, dtype=np.int64)
        for i, sequence in enumerate(sequences):
            contents[i] = self._number(_checked(sequence, row + i + 1))
        self._steps.append(own.astype(np.int64))
        self._contents.append(contents)

    def _number(self, ids: NDArray[np.int64]) -> int:
        """Number of a sequence, which waits for its shard if it is new."""
        digest = content_digest(ids)
        number = self._known.setdefault(digest, len(self._known))
        if number < self._n_taken:
            return number
        if self._waiting and self._size + ids.size + 1 > self._shard_tokens:
            self._write_shard()
        self._waiting.append(ids)
        self._digests.append(digest)
        self._size += ids.size + 1
        self._n_taken += 1
        return number

    def _write_shard(self) -> None:
        path = self._parts / shard_name(len(self._shards))
        lengths = np.array([ids.size for ids in self._waiting], dtype=np.int64)
        digests = b"".join(self._digests)
        if not _is_written(path, self._engine, digests):
            staged = path.with_suffix(".new")
            _cleared(staged)
            writer = suffixes if self._engine is Engine.SUFFIX_ARRAY else infini
            writer.write_shard(staged, self._waiting)
            (staged / DIGESTS).write_bytes(digests)
            lengths.astype("<i8").tofile(staged / LENGTHS)
            for file in staged.iterdir():
                _flushed(file)
            _cleared(path)
            path.rmdir()
            staged.rename(path)
        self._largest_id = max(self._largest_id, *(int(ids.max()) for ids in self._waiting))
        self._shards.append({"sequences": lengths.size, "tokens": int(lengths.sum())})
        self._waiting, self._digests, self._size = [], [], 0

    def close(self, folder: Path) -> dict[str, Any]:
        """Write what is left, and the rows into `folder`; give the counts for the header."""
        if not self._known:
            raise InsufficientEvidence("there are no sequences to index")
        self._write_shard()
        steps, contents = np.concatenate(self._steps), np.concatenate(self._contents)
        _written(folder / STEPS, steps.astype("<i8").tobytes())
        _written(folder / CONTENTS, contents.astype("<i8").tobytes())
        return {"rows": steps.size, "largest_id": self._largest_id, "shards": self._shards}


def _checked(sequence: ArrayLike, row: int) -> NDArray[np.int64]:
    ids = np.asarray(sequence)
    if ids.ndim != 1 or ids.size == 0 or not np.issubdtype(ids.dtype, np.integer):
        raise InvalidInput(f"row {row}: expected a list of at least one integer token id")
    if ids.min() < 0 or ids.max() > _LARGEST_ID:
        raise InvalidInput(f"row {row}: expected token ids from 0 to {_LARGEST_ID}")
    if ids.size >= _MOST_SHARD_TOKENS:
        raise InvalidInput(f"row {row}: a sequence has at most {_MOST_SHARD_TOKENS - 1:,} tokens")
    return ids.astype(np.int64)


def _is_written(path: Path, engine: Engine, digests: bytes) -> bool:
    """Whether an earlier run wrote this shard whole: it took its name last."""
    if not all((path / name).is_file() for name in (*engine_files(engine), DIGESTS, LENGTHS)):
        return False
    return (path / DIGESTS).read_bytes() == digests


def _cleared(folder: Path) -> None:
    """An empty folder of this name."""
    if folder.exists():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    folder.mkdir(exist_ok=True)


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _flushed(path)


def _flushed(path: Path) -> None:
    """Wait until the file is on the disk: a shard that has its name is never half there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
