"""Marking a dataset piece by piece, in this process, in several, or on other machines.

Every piece is finished on its own: its released rows, its rows of the manifest and a summary lie in
the folder of parts before the next begins. What depends on several pieces is left to `merging`.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from ..errors import BookplateError, InvalidInput
from ..files import Interrupted
from .candidates import CandidateSource
from .keys import MarkingKey
from .manifest import MarkedRecord, leaf_of, rows_frame
from .marking import Marking, Unit
from .tables import Piece
from .texts import mark_text

__all__ = ["Begin", "Engine", "Job", "Part", "do_pieces", "mark_piece", "refuse_missing_engine"]

_AHEAD = 2  # pieces that wait for each worker, so that none is idle
_ROW_GROUP = 1_024  # merging reads slices of a part


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all pieces.

    Attributes:
        key: The key that draws the choices; a recipient's own where there are recipients.
        marking: How to mark.
        candidates: What may stand for which word.
        parts: Folder for finished parts.
    """

    key: MarkingKey
    marking: Marking
    candidates: CandidateSource
    parts: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A finished piece.

    Attributes:
        stem: Path of its files, without their endings.
        source: SHA-256 of the piece's bytes in a text file; empty for parquet.
        rows: Rows of the piece.
        records: Distinct texts among them.
        slots: Slots of these.
        units: Names of the units that several records may share; empty if each slot is a unit, and
            where they have been counted.
    """

    stem: Path
    source: str
    rows: int
    records: int
    slots: int
    units: tuple[str, ...]

    @property
    def released(self) -> Path:
        """The released rows, uncompressed."""
        return self.stem.with_suffix(".released")

    @property
    def manifest(self) -> Path:
        """Rows of the manifest, sorted by record, with their Merkle leaves."""
        return self.stem.with_suffix(".parquet")

    @property
    def digests(self) -> Path:
        """Of each row of `manifest`, the first 8 bytes of the digests of record and released text."""
        return self.stem.with_suffix(".npy")

    @classmethod
    def finished(cls, stem: Path, piece: Piece) -> "Part | None":
        """The part of a piece, if it was finished before a run was killed."""
        try:
            data = json.loads(stem.with_suffix(".json").read_bytes())
        except FileNotFoundError:
            return None
        part = cls(**{**data, "stem": stem, "units": tuple(data["units"])})
        return part if part.source == _digest_of_source(piece) else None

    def finish(self) -> None:
        """Say that all files of the part are there; what was killed before it is done anew."""
        staged = self.stem.with_suffix(".new")
        staged.write_text(json.dumps({**asdict(self), "stem": self.stem.name}), encoding="utf-8")
        staged.replace(self.stem.with_suffix(".json"))


def mark_piece(piece: Piece, stem: Path, job: Job) -> Part:
    """Mark the rows of a piece and write its part.

    Args:
        piece: The piece.
        stem: Path of the part's files, without their endings.
        job: How to mark.

    Returns:
        The part.

    Raises:
        InvalidInput: If the piece is not what it should be.
    """
    table = piece.read()
    drawer = job.key.drawer()
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(table.texts):
        rows.setdefault(text, []).append(row)
    slots = job.candidates.slots(list(rows))
    marked = {
        text: mark_text(text, found, drawer, job.marking)
        for text, found in zip(rows, slots, strict=True)
    }
    records = sorted(
        (_with_rows(record, rows[text], table.ids) for text, record in marked.items()),
        key=lambda record: record.record,
    )
    part = Part(
        stem=stem,
        source=_digest_of_source(piece),
        rows=len(table.texts),
        records=len(records),
        slots=sum(len(record.slots) for record in records),
        units=_shared_units(records, job.marking),
    )
    table.write(part.released, [marked[text].release_edits() for text in table.texts])
    _write_rows(part, records, job.key)
    part.finish()
    return part


class Engine(StrEnum):
    """Whose processes mark the pieces."""

    LOCAL = "local"  # this machine's
    RAY = "ray"  # those of a Ray cluster


def refuse_missing_engine(engine: Engine) -> None:
    """Check that an engine is installed.

    Raises:
        InvalidInput: If it is not.
    """
    if engine is Engine.RAY and find_spec("ray") is None:
        raise InvalidInput("the engine 'ray' needs the package ray", "pip install 'bookplate[ray]'")


def do_pieces(
    pieces: Iterable[Piece], job: Job, *, workers: int, engine: Engine = Engine.LOCAL
) -> Iterator[Part]:
    """Mark pieces; those whose parts are there already are not marked again.

    Args:
        pieces: The pieces of all files, in order.
        job: How to mark.
        workers: Number of processes; 1 of the local engine is this one.
        engine: Whose processes they are.

    Yields:
        The part of each piece, in order.

    Raises:
        BookplateError: If a piece is not what it should be; the message is that of the first such
            piece, and does not depend on workers and engine.
        Interrupted: If a worker was killed, or the cluster was lost.
    """
    named = ((piece, job.parts / f"{number:08d}") for number, piece in enumerate(pieces))
    if engine is Engine.RAY:
        from .ray_engine import ray_workers  # ray is an extra

        yield from _together(named, job, workers, ray_workers(job, workers))
    elif workers == 1:
        yield from _alone(named, job)
    else:
        yield from _together(named, job, workers, _processes(job, workers))


_Named = Iterator[tuple[Piece, Path]]


def _alone(named: _Named, job: Job) -> Iterator[Part]:
    rows = _RowCounter()
    for piece, stem in named:
        part = Part.finished(stem, piece) or mark_piece(rows.placed(piece), stem, job)
        rows.add(piece, part)
        yield part


# Begins to mark a piece, and gives a function that waits for its part. That raises what `mark_piece`
# raises.
Begin = Callable[[Piece, Path], Callable[[], Part]]


def _together(
    named: _Named, job: Job, workers: int, open_engine: AbstractContextManager[Begin]
) -> Iterator[Part]:
    rows = _RowCounter()
    waiting: deque[tuple[Piece, Path, Callable[[], Part]]] = deque()
    with open_engine as begin:
        for piece, stem in named:
            finished = Part.finished(stem, piece)
            wait = partial(_itself, finished) if finished else begin(piece, stem)
            waiting.append((piece, stem, wait))
            if len(waiting) > workers * (1 + _AHEAD):
                yield _settled(*waiting.popleft(), rows, job)
        while waiting:
            yield _settled(*waiting.popleft(), rows, job)


def _itself(part: Part) -> Part:
    return part


@contextmanager
def _processes(job: Job, workers: int) -> Generator[Begin]:
    """Other processes of this machine."""
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_work,
        initargs=(job,),
    )
    try:
        yield lambda piece, stem: _deaf_to_ctrl_c(pool.submit, _work, piece, stem).result
    except BrokenProcessPool as error:
        raise Interrupted(
            "a worker process was killed, perhaps for lack of memory",
            f"the same command goes on where it stopped, with fewer --workers if need be; what is done "
            f"lies in {job.parts.parent}, and is private",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _deaf_to_ctrl_c(start: Callable[..., Future[Part]], *arguments: object) -> Future[Part]:
    """Start processes with Ctrl-C blocked: it would end them before `_begin_work` has them ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return start(*arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settled(
    piece: Piece, stem: Path, wait: Callable[[], Part], rows: "_RowCounter", job: Job
) -> Part:
    try:
        part = wait()
    except BookplateError:
        # The worker did not know how many rows come before; here we do, and can name the row.
        part = mark_piece(rows.placed(piece), stem, job)
    rows.add(piece, part)
    return part


class _RowCounter:
    """Rows of the present file before a piece, so that errors can name rows of the whole file."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._rows = 0

    def placed(self, piece: Piece) -> Piece:
        return piece.after(self._rows if piece.place.path == self._file else 0)

    def add(self, piece: Piece, part: Part) -> None:
        before = self._rows if piece.place.path == self._file else 0
        self._file, self._rows = piece.place.path, before + part.rows


# The job of this process, if it is a worker: sent once through a pipe, so that the key stands in no
# argument list, no environment and no file.
_job: Job | None = None


def _begin_work(job: Job) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no orphan where the parent was killed: a pool's workers would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(piece: Piece, stem: Path) -> Part:
    if _job is None:
        raise RuntimeError("the worker has no job")
    return mark_piece(piece, stem, _job)


def _digest_of_source(piece: Piece) -> str:
    return "" if piece.n_rows is not None else hashlib.sha256(piece.content).hexdigest()


def _with_rows(record: MarkedRecord, rows: list[int], ids: list[str] | None) -> MarkedRecord:
    names = () if ids is None else tuple(sorted({ids[row] for row in rows}))
    return replace(record, ids=names, rows=tuple(rows))


def _shared_units(records: Iterable[MarkedRecord], marking: Marking) -> tuple[str, ...]:
    if marking.unit not in {Unit.TYPE, Unit.SHARD}:
        return ()
    names = {
        marking.unit_name(record.record, index, slot.unit)
        for record in records
        for index, slot in enumerate(record.slots)
    }
    return tuple(sorted(names))


def _write_rows(part: Part, records: list[MarkedRecord], key: MarkingKey) -> None:
    salter = key.row_salter()
    salts = [salter(record.record).hex() for record in records]
    frame = rows_frame(records, salts).with_columns(
        pl.Series("leaf", map(leaf_of, records, salts), dtype=pl.Binary),
        pl.Series("edited", [len(r.release_edits()) for r in records], dtype=pl.Int64),
    )
    with part.manifest.open("wb") as file:
        frame.write_parquet(file, compression_level=1, row_group_size=_ROW_GROUP)
    heads = [(int(r.record[:16], 16), int(r.released[:16], 16)) for r in records]
    np.save(part.digests, np.array(heads, dtype=np.uint64).reshape(-1, 2))
