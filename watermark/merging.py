"""One manifest from the parts of many pieces, the same however the dataset was cut.

A record's rows are gathered from all parts, bucket by bucket of its digest, so that a bucket and not
the manifest has to fit into memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
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

__all__ = ["Merged", "merge"]

_BUCKET_WEIGHT = (
    200_000  # rows and slots of a bucket: some 25 MB, and several times that while sorted
)
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
    write_rows(path, _even(merger.buckets()), header)
    return Merged(
        merger.tree.commitment(),
        merger.records,
        merger.marked_records,
        merger.slots,
        merger.edited_words,
    )


class _Merger:
    """Sorted rows without duplicates, bucket by bucket, and what is counted on the way."""

    def __init__(self, parts: Sequence[Part], n_ghosts: int) -> None:
        self.parts = parts
        self.n_ghosts = n_ghosts
        self.first_rows = [0, *accumulate(part.rows for part in parts)]
        self.tree = MerkleTree()
        self.records = self.marked_records = self.slots = self.edited_words = 0

    def buckets(self) -> Iterator[pl.DataFrame]:
        shared = _shared_heads(self.parts)
        weight = sum(part.records + part.slots for part in self.parts)
        for low, high in _ranges(weight, _BUCKET_WEIGHT):
            frame = self._bucket(low, high)
            if frame.height:
                self._count(frame)
                yield _without_rows_unless(frame, shared).select(list(ROW_SCHEMA))

    def _bucket(self, low: int, high: int) -> pl.DataFrame:
        slices = (
            _slice(part, first_row, low, high)
            for part, first_row in zip(self.parts, self.first_rows, strict=False)
        )
        frame = pl.concat([found for found in slices if found is not None] or [_NO_ROWS])
        frame = frame.sort("record", maintain_order=True)
        return frame if frame["record"].is_unique().all() else self._merged(frame)

    def _merged(self, frame: pl.DataFrame) -> pl.DataFrame:
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
            leaf_of(parse_record(row, self.n_ghosts), row["salt"])
            for row in rows.iter_rows(named=True)
        ]
        fresh = rows.select("record").with_columns(pl.Series("leaf", leaves, dtype=pl.Binary))
        merged = merged.update(fresh, on="record", how="left") if leaves else merged
        return merged.select(frame.columns)

    def _count(self, frame: pl.DataFrame) -> None:
        n_slots = frame["slots"].list.len()
        self.tree.extend(frame["leaf"])
        self.records += frame.height
        self.marked_records += int((n_slots > 0).sum())
        self.slots += int(n_slots.sum())
        self.edited_words += int(frame["edited"].sum())


_NO_ROWS = pl.DataFrame(schema={**ROW_SCHEMA, "leaf": pl.Binary(), "edited": pl.Int64()})


def _slice(part: Part, first_row: int, low: int, high: int) -> pl.DataFrame | None:
    """The rows of a part whose records begin with a number in [low, high)."""
    heads = np.load(part.digests, mmap_mode="r")[:, 0]
    start = int(np.searchsorted(heads, np.uint64(low)))
    end = len(heads) if high == _SPACE else int(np.searchsorted(heads, np.uint64(high)))
    if start == end:
        return None
    with part.manifest.open("rb") as file:
        frame = pl.scan_parquet(file).slice(start, end - start).collect()
    return frame.with_columns(pl.col("rows").list.eval(pl.element() + first_row))


def _without_rows_unless(frame: pl.DataFrame, shared: npt.NDArray[np.uint64]) -> pl.DataFrame:
    """Forget the row numbers of records whose released text is theirs alone."""
    heads = [int(released[:16], 16) for released in frame["released"]]
    kept = pl.Series(np.isin(np.array(heads, dtype=np.uint64), shared))
    none = pl.lit([], dtype=ROW_SCHEMA["rows"])
    return frame.with_columns(pl.when(kept).then("rows").otherwise(none).alias("rows"))


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


def _even(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in frames of one size, but for the last."""
    waiting = pl.DataFrame(schema=ROW_SCHEMA)
    for frame in frames:
        waiting = pl.concat([waiting, frame])
        whole = waiting.height // MANIFEST_ROWS * MANIFEST_ROWS
        for start in range(0, whole, MANIFEST_ROWS):
            yield waiting.slice(start, MANIFEST_ROWS)
        waiting = waiting.slice(whole)
    yield waiting
