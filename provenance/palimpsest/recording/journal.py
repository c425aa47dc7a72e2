"""The journal of one rank: a file that grows by one record per optimizer step.

A record is written by one system call before the next step begins, so that a process that is killed
loses nothing it has trained on; the system keeps what was written. A record that was cut
short ends the journal: nobody ever writes behind it, as each start of a training has its own.

A record is `BPJ1`, the length of the body (8 bytes) and its CRC-32 (4 bytes), and the body: step (8 bytes),
number of sequences (4), bytes per token (1: 2 or 4); then per sequence its micro-batch (4) and its
length (4); then all tokens. All numbers are little-endian. A body of a step alone, negative, says that
training came to its end before the step -1 - step.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput, VerificationError
from .batches import FEWEST_TOKENS, Rows

__all__ = ["JournalWriter", "StepRecord", "journal_records"]

_MAGIC = b"BPJ1"
_HEAD = struct.Struct("<4sQI")
_BODY = struct.Struct("<qIB")
_END = struct.Struct("<q")
_DTYPES: dict[int, np.dtype[np.unsignedinteger]] = {
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What one rank trained on in one optimizer step.

    Attributes:
        step: Optimizer steps made before this one.
        micro: Micro-batch of each sequence within the step, shape (n,), ascending.
        lengths: Tokens of each sequence, shape (n,).
        tokens: All token ids, one sequence after the other, shape (sum of lengths,).
        is_end: Whether this is no step, but the place where training ended by itself.
    """

    step: int
    micro: NDArray[np.uint32]
    lengths: NDArray[np.uint32]
    tokens: NDArray[np.unsignedinteger]
    is_end: bool = False


class JournalWriter:
    """Appends records to a new file; readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0

    def write(self, step: int, batches: Sequence[Rows]) -> None:
        """Append one step.

        Args:
            step: Optimizer steps made before this one.
            batches: Its micro-batches in order.

        Raises:
            InvalidInput: If the disk is full, or gone; no part of the step is left there.
        """
        width = max((rows.tokens.dtype.itemsize for rows in batches), default=2)
        sizes = [len(rows.lengths) for rows in batches]
        micro = np.repeat(np.arange(len(batches), dtype="<u4"), sizes)
        parts = [
            _BODY.pack(step, sum(sizes), width),
            micro.tobytes(),
            *(rows.lengths.astype("<u4", copy=False).tobytes() for rows in batches),
            *(rows.tokens.astype(_DTYPES[width], copy=False).tobytes() for rows in batches),
        ]
        self._append(b"".join(parts))

    def end(self, step: int) -> None:
        """Say that training came to its end before this step."""
        self._append(_END.pack(-1 - step))
        self.sync()

    def sync(self) -> None:
        """Have what was written survive the machine, too."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _append(self, body: bytes) -> None:
        record = memoryview(_HEAD.pack(_MAGIC, len(body), zlib.crc32(body)) + body)
        whole = self._size + len(record)
        try:
            while record:  # more than 2 GiB, or a disk that fills up, takes several calls
                record = record[os.write(self._handle, record) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)  # nothing may follow half a record
            raise InvalidInput(
                f"{self._path}: cannot be written: {error.strerror}",
                "make room, and resume training from its last checkpoint",
            ) from error
        self._size = whole


def journal_records(path: Path) -> Iterator[StepRecord]:
    """The records of a journal; a last one that was cut short is left out.

    Args:
        path: A file that `JournalWriter` wrote.

    Raises:
        VerificationError: If a record was altered, or is none that `JournalWriter` writes.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        while (start := file.tell()) < size:
            body = _body(file, size)
            if body is None:
                if _cut_short(file, start):
                    return
                raise VerificationError(
                    f"{path}: the record at byte {start:,} was altered",
                    "if the machine went down while it was written, cut the file there",
                )
            record = _parsed(body)
            if record is None:
                raise VerificationError(
                    f"{path}: the record at byte {start:,} is malformed",
                    "no recorder wrote it: bring the journal of the rank itself",
                )
            yield record


def _body(file: BinaryIO, size: int) -> bytes | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack(head)
    if magic != _MAGIC or length > size - file.tell():
        return None
    body = file.read(length)
    return body if zlib.crc32(body) == checksum else None


def _cut_short(file: BinaryIO, start: int) -> bool:
    """Whether what is left looks like the beginning of a record, or like space never written to."""
    file.seek(start)
    head = file.read(_HEAD.size)
    if not any(head):
        return True
    if not head.startswith(_MAGIC[: len(head)]):
        return False
    stop = file.seek(0, os.SEEK_END)
    if len(head) == _HEAD.size and _HEAD.unpack(head)[1] <= stop - start - _HEAD.size:
        return False
    last = stop - _HEAD.size - _END.size
    file.seek(max(last, 0))
    return last <= start or not file.read().startswith(_MAGIC)  # the end of training comes last


def _parsed(body: bytes) -> StepRecord | None:
    """The record; None unless sizes, width and lengths agree to the byte: a checksum proves no author."""
    if len(body) == _END.size:
        (step,) = _END.unpack(body)
        none = np.zeros(0, dtype="<u4")
        record = StepRecord(step=-1 - step, micro=none, lengths=none, tokens=none, is_end=True)
        return record if step < 0 else None
    if len(body) < _BODY.size:
        return None
    step, n_rows, width = _BODY.unpack_from(body)
    first_token = _BODY.size + 8 * n_rows
    if step < 0 or width not in _DTYPES or len(body) < first_token:
        return None
    micro, lengths = np.frombuffer(body, "<u4", 2 * n_rows, _BODY.size).reshape(2, n_rows)
    if len(body) != first_token + width * int(lengths.sum(dtype=np.int64)):
        return None
    if (lengths < FEWEST_TOKENS).any() or (micro[1:] < micro[:-1]).any():
        return None
    tokens = np.frombuffer(body, _DTYPES[width], offset=first_token)
    return StepRecord(step=step, micro=micro, lengths=lengths, tokens=tokens)
