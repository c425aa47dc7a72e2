"""Parquet and JSON lines, read some rows at a time."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from ....errors import InvalidInput
from ...frames import readable, scanned

__all__ = ["frames_of", "refuse_unreadable", "schema_of"]

SUFFIXES = (".parquet", ".jsonl")
_BLOCK_BYTES, _BLOCK_ROWS = 1 << 26, 1 << 18  # of the file, at a time


def schema_of(path: Path) -> pl.Schema:
    """Names and types of a file's columns; those of JSON lines are told from its first rows.

    Raises:
        InvalidInput: If the file cannot be read.
    """
    refuse_unreadable(path)
    if path.suffix == ".parquet":
        with readable(path, path.suffix[1:]), path.open("rb") as file:
            return scanned(file).collect_schema()
    for frame in _json_frames(path, 1_000):
        return frame.schema
    return pl.Schema()


def frames_of(path: Path, columns: Sequence[str], n_rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a file in order, so many at a time; some 64 MB of the file are unpacked at once.

    Args:
        path: A `.parquet` or `.jsonl` file.
        columns: The columns to read.
        n_rows: Rows per frame.

    Raises:
        InvalidInput: If the file cannot be read, or lacks a column.
    """
    refuse_unreadable(path)
    if path.suffix == ".parquet":
        yield from _parquet_frames(path, columns, n_rows)
        return
    for frame in _json_frames(path, n_rows):
        if missing := [name for name in columns if name not in frame.columns]:
            raise InvalidInput(f"{path}: some rows have no '{missing[0]}'")
        yield frame.select(columns)


def refuse_unreadable(path: Path) -> None:
    """Refuse what is no file, or has another suffix."""
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path}: expected a .parquet or .jsonl transcript, got '{path.suffix}'")


def _parquet_frames(path: Path, columns: Sequence[str], n_rows: int) -> Iterator[pl.DataFrame]:
    with path.open("rb") as file:  # polars cannot take a path that is not UTF-8
        with readable(path, path.suffix[1:]):
            total = scanned(file).select(pl.len()).collect().item()
        # A slice decodes the row groups that it touches, whole: many small ones would do so many times.
        most = int(_BLOCK_BYTES * total / path.stat().st_size)
        block_rows = max(1, min(most, _BLOCK_ROWS))
        for first in range(0, total, block_rows):
            with readable(path, path.suffix[1:]):
                block = scanned(file).select(columns).slice(first, block_rows).collect()
            yield from block.iter_slices(n_rows)


def _json_frames(path: Path, n_rows: int) -> Iterator[pl.DataFrame]:
    with path.open("rb") as file:
        rows = (line for line in file if line.strip())
        while block := b"".join(islice(rows, n_rows)):
            yield _parsed(block, path)


def _parsed(block: bytes, path: Path) -> pl.DataFrame:
    with readable(path, path.suffix[1:]):
        return pl.read_ndjson(io.BytesIO(block), infer_schema_length=None)
