"""One manifest from the parts of many pieces, the same however the dataset was cut.

A record's rows are gathered from all parts, bucket by bucket of its digest, so that a bucket and not
the manifest has to fit into memory. Many parts are merged into fewer first, and these again, so that a
bucket is read from few files.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ..provenance.custody import MerkleCommitment, MerkleTree
from .manifest import (
    MANIFEST_ROWS,
    ROW_SCHEMA,
    ManifestHeader,
    leaf_of,
    parse_record,
    write_rows,
)
from .piecework import Part
from .tables.parquet import write_frames

__all__ = ["Merged", "merge"]

_BUCKET_WEIGHT = (
    200_000  # rows and slots of a bucket: some 25 MB, and several times that while sorted
)
_FAN_IN = 64  # runs that are merged at once; of each, a group of rows is in memory
_RUN_ROWS = 1_024  # rows in such a group
_PASS_ROWS = 4_000_000  # rows of which digests are compared at once: some 200 MB
_SPACE = 1 << 64  # of the first 8 bytes of a digest


@dataclass(frozen=True, slots=True)
class Merged:
    """What the merged manifest holds.

    Attributes:
        commitment: Merkle commitment to its rows.
        records: Distinct texts.
        marked_records: Those with at least one slot.
        slots: Slots over all distinct texts.
        edited_words: Slots whose released word differs from the original.
    """

    commitment: MerkleCommitment
    records: int
    marked_records: int
    slots: int
    edited_words: int


def merge(parts: Sequence[Part], path: Path, header: ManifestHeader) -> Merged:
    """Write the manifest.

    Args:
        parts: The parts of all pieces, in the order of the dataset.
        path: File to write.
        header: What holds for all records.

    Returns:
        What it holds.
    """
    merger = _Merger(parts, header.marking.ghosts)
    write_rows(path, _even(merger.frames(), MANIFEST_ROWS), header)
    return Merged(
        merger.tree.commitment(),
        merger.records,
        merger.marked_records,
        merger.slots,
        merger.edited_words,
    )


class _Merger:
    """Sorted rows without duplicates, and what is counted on the way."""

    def __init__(self, parts: Sequence[Part], n_ghosts: int) -> None:
        self.parts = parts
        self.n_ghosts = n_ghosts
        self.tree = MerkleTree()
        self.records = self.marked_records = self.slots = self.edited_words = 0

    def frames(self) -> Iterator[pl.DataFrame]:
        shared = _shared_heads(self.parts)
        folder = self.parts[0].stem.parent / "runs"
        for frame in _buckets(
            _few_runs(_runs_of(self.parts), folder, self.n_ghosts), self.n_ghosts
        ):
            self._count(frame)
            yield _without_rows_unless(frame, shared).select(list(ROW_SCHEMA))

    def _count(self, frame: pl.DataFrame) -> None:
        n_slots = frame["slots"].list.len()
        self.tree.extend(frame["leaf"])
        self.records += frame.height
        self.marked_records += int((n_slots > 0).sum())
        self.slots += int(n_slots.sum())
        self.edited_words += int(frame["edited"].sum())


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of the manifest in a file, sorted by record.

    Attributes:
        rows: The file, as `Part.manifest`.
        digests: As `Part.digests`.
        first_row: What is missing in its row numbers.
        weight: Its rows and slots, or somewhat more.
    """

    rows: Path
    digests: Path
    first_row: int
    weight: int

    def slice(self, low: int, high: int) -> pl.DataFrame | None:
        """The rows whose records begin with a number in [low, high); None if there are none."""
        heads = np.load(self.digests, mmap_mode="r")[:, 0]
        start = int(np.searchsorted(heads, np.uint64(low)))
        end = len(heads) if high == _SPACE else int(np.searchsorted(heads, np.uint64(high)))
        if start == end:
            return None
        with self.rows.open("rb") as file:
            frame = pl.scan_parquet(file).slice(start, end - start).collect()
        if self.first_row == 0:
            return frame
        return frame.with_columns(pl.col("rows").list.eval(pl.element() + self.first_row))


def _runs_of(parts: Sequence[Part]) -> list[_Run]:
    first_rows = accumulate((part.rows for part in parts), initial=0)
    return [
        _Run(part.manifest, part.digests, first_row, part.records + part.slots)
        for part, first_row in zip(parts, first_rows, strict=False)
    ]


def _few_runs(runs: list[_Run], folder: Path, n_ghosts: int) -> list[_Run]:
    """Merge runs into fewer, until they can be merged at once."""
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    for level in count():
        if len(runs) <= _FAN_IN:
            break
        below = folder / str(level)
        below.mkdir(parents=True)
        runs = [
            _merged_run(runs[start : start + _FAN_IN], below / f"{start:08d}", n_ghosts)
            for start in range(0, len(runs), _FAN_IN)
        ]
        shutil.rmtree(folder / str(level - 1), ignore_errors=True)
    return runs


def _merged_run(runs: Sequence[_Run], stem: Path, n_ghosts: int) -> _Run:
    rows, digests = stem.with_suffix(".parquet"), stem.with_suffix(".npy")
    heads: list[npt.NDArray[np.uint64]] = []

    def frames() -> Iterator[pl.DataFrame]:
        for frame in _buckets(runs, n_ghosts):
            heads.append(_heads(frame["record"]))
            yield frame

    write_frames(rows, _even(frames(), _RUN_ROWS), {})
    np.save(digests, np.concatenate(heads).reshape(-1, 1))
    return _Run(rows, digests, 0, sum(run.weight for run in runs))


def _buckets(runs: Sequence[_Run], n_ghosts: int) -> Iterator[pl.DataFrame]:
    """All rows in order, one for each record."""
    for low, high in _ranges(sum(run.weight for run in runs), _BUCKET_WEIGHT):
        slices = [found for run in runs if (found := run.slice(low, high)) is not None]
        if slices:
            frame = pl.concat(slices).sort("record", maintain_order=True)
            yield frame if frame["record"].is_unique().all() else _merged(frame, n_ghosts)


def _merged(frame: pl.DataFrame, n_ghosts: int) -> pl.DataFrame:
    """One row per record; ids and row numbers are those of all its rows."""
    alike = ["released", "slots", "salt", "leaf", "edited"]
    merged = frame.group_by("record", maintain_order=True).agg(
        pl.col(alike).first(),
        pl.col("ids").list.explode().drop_nulls().unique().sort(),
        pl.col("rows").list.explode().drop_nulls().sort(),
        pl.len().alias("times"),
    )
    stale = (pl.col("times") > 1) & (pl.col("ids").list.len() > 0)
    rows = merged.filter(stale)
    leaves = [
        leaf_of(parse_record(row, n_ghosts), row["salt"]) for row in rows.iter_rows(named=True)
    ]
    fresh = rows.select("record").with_columns(pl.Series("leaf", leaves, dtype=pl.Binary))
    merged = merged.update(fresh, on="record", how="left") if leaves else merged
    return merged.select(frame.columns)


def _without_rows_unless(frame: pl.DataFrame, shared: npt.NDArray[np.uint64]) -> pl.DataFrame:
    """Forget the row numbers of records whose released text is theirs alone."""
    kept = pl.Series(np.isin(_heads(frame["released"]), shared))
    none = pl.lit([], dtype=ROW_SCHEMA["rows"])
    return frame.with_columns(pl.when(kept).then("rows").otherwise(none).alias("rows"))


def _heads(digests: pl.Series) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of each digest."""
    return np.array([int(digest[:16], 16) for digest in digests], dtype=np.uint64)


def _shared_heads(parts: Sequence[Part]) -> npt.NDArray[np.uint64]:
    """First 8 bytes of the digests of released texts that several records have.

    Two digests that begin alike without being equal keep some row numbers for nothing.
    """
    found = []
    for low, high in _ranges(sum(part.records for part in parts), _PASS_ROWS):
        pairs = np.unique(np.concatenate([_pairs(part, low, high) for part in parts]), axis=0)
        heads, times = np.unique(pairs[:, 1], return_counts=True)
        found.append(heads[times > 1])
    return np.concatenate(found)


def _pairs(part: Part, low: int, high: int) -> npt.NDArray[np.uint64]:
    pairs: npt.NDArray[np.uint64] = np.load(part.digests)
    return pairs[(pairs[:, 1] >= np.uint64(low)) & (pairs[:, 1] <= np.uint64(high - 1))]


def _ranges(weight: int, most: int) -> Iterator[tuple[int, int]]:
    """Equal ranges of the numbers below 2**64, so many that each holds about `most` of the weight."""
    n = -(-max(weight, 1) // most)
    bounds = [_SPACE * i // n for i in range(n + 1)]
    yield from pairwise(bounds)


def _even(frames: Iterable[pl.DataFrame], size: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of one size, but for the last."""
    waiting: pl.DataFrame | None = None
    for frame in frames:
        waiting = frame if waiting is None else pl.concat([waiting, frame])
        whole = waiting.height // size * size
        for start in range(0, whole, size):
            yield waiting.slice(start, size)
        waiting = waiting.slice(whole)
    if waiting is not None:
        yield waiting
