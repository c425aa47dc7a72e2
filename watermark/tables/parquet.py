"""Parquet: every column but the texts passes through with its type.

Rows are read and written in groups, so memory does not grow with the file; it grows with the largest
row group of the source.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from ...errors import InvalidInput
from ...provenance.frames import readable, scanned
from .edits import Edit, apply_edits
from .table import Columns, Place, check_columns

__all__ = [
    "ParquetTable",
    "RowGroups",
    "described",
    "metadata_of",
    "packed_rows",
    "read_parquet",
    "row_groups_of",
    "write_frames",
]

_MOST_ROWS = 1 << 16
_MOST_TEXT = 1 << 24  # bytes of text per row group
_MOST_BYTES = 1 << 23  # compressed bytes of all columns per row group
_ARROW_SCHEMA = "ARROW:schema"  # key of what pyarrow and others take names, types and metadata from
_SURE = (  # types that have one form in parquet
    *(pl.Boolean, pl.Null, pl.String, pl.Categorical, pl.Enum, pl.Float32, pl.Float64),
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)


@dataclass
class ParquetTable:
    """Rows of a parquet file in memory."""

    frame: pl.DataFrame
    text_column: str
    texts: list[str]
    ids: list[str] | None

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        """Write the rows, edited."""
        texts = [apply_edits(text, e) for text, e in zip(self.texts, edits, strict=True)]
        dtype = self.frame.schema[self.text_column]
        edited = self.frame.with_columns(pl.Series(self.text_column, texts, dtype=dtype))
        with path.open("wb") as file:  # polars cannot take a path that is not UTF-8
            edited.write_parquet(file)


@dataclass(frozen=True, slots=True)
class RowGroups:
    """How the rows of a file are grouped when it is written anew.

    Attributes:
        n_rows: Rows of the file.
        size: Rows per group; it follows from the file alone.
    """

    n_rows: int
    size: int


def row_groups_of(path: Path, columns: Columns) -> RowGroups:
    """Choose groups of rows that are neither small nor many megabytes large.

    Raises:
        InvalidInput: If the file cannot be read, or lacks a column.
    """
    with readable(path, "parquet"):
        with path.open("rb") as file:
            scan = scanned(file)
            _check_columns(scan.collect_schema(), path, columns)
            text = pl.col(columns.text)
            n_rows, n_bytes = (
                scan
                .select(pl.len(), text.str.len_bytes().sum().alias("bytes"))
                .collect(engine="streaming")
                .row(0)
            )
    shares = [_MOST_TEXT / max(n_bytes, 1), _MOST_BYTES / max(path.stat().st_size, 1)]
    size = min(_MOST_ROWS, *(max(1, int(share * n_rows)) for share in shares))
    return RowGroups(n_rows, size)


def metadata_of(path: Path) -> dict[str, str]:
    """What a file says of itself, as key and value; see `described`.

    Raises:
        InvalidInput: If it cannot be read.
    """
    with readable(path, "parquet"), path.open("rb") as file:
        return pl.read_parquet_metadata(file)


def read_parquet(
    place: Place,
    columns: Columns,
    n_rows: int | None = None,
    content: bytes = b"",
    *,
    every_column: bool = True,
) -> ParquetTable:
    """Read `n_rows` rows from a place on, or all.

    Args:
        place: The place.
        columns: Which columns are used.
        n_rows: How many rows.
        content: These rows, if the file need not be read: what `packed_rows` gave.
        every_column: Whether columns that are not used are read too, as writing the rows needs.

    Returns:
        The rows.

    Raises:
        InvalidInput: If the file cannot be read, lacks a column, or a text or an id is missing.
    """
    path = place.path
    with readable(path, "parquet"), io.BytesIO(content) if content else path.open("rb") as file:
        scan = scanned(file)
        _check_columns(scan.collect_schema(), path, columns)
        rows = scan.slice(0 if content else place.rows, n_rows)
        frame = (rows if every_column else rows.select(*dict.fromkeys(columns.names()))).collect()
    texts = frame[columns.text]
    _refuse_nulls(texts, place)
    if columns.id is None:
        return ParquetTable(frame, columns.text, texts.to_list(), None)
    _refuse_nulls(frame[columns.id], place)
    ids = [str(value) for value in frame[columns.id].to_list()]
    return ParquetTable(frame, columns.text, texts.to_list(), ids)


def packed_rows(place: Place, n_rows: int) -> bytes:
    """Rows of a file, as a parquet file of their own.

    Raises:
        InvalidInput: If the file cannot be read.
    """
    packed = io.BytesIO()
    with readable(place.path, "parquet"), place.path.open("rb") as file:
        scanned(file).slice(place.rows, n_rows).collect().write_parquet(packed, compression_level=1)
    return packed.getvalue()


def described(metadata: Mapping[str, str], frame: pl.DataFrame) -> dict[str, str]:
    """What a file written by polars may say of itself, if its source said `metadata`.

    The source's Arrow schema is kept: pyarrow takes from it types that polars does not have, such as
    strings with short offsets, and metadata such as the features of a Hugging Face dataset. But it
    must describe what polars writes, whose durations are never in seconds, for one. That is tried
    on some rows; where they cannot tell, polars writes a schema of its own.

    Args:
        metadata: What `metadata_of` gave.
        frame: Some rows of the file.
    """
    kept = dict(metadata)
    if _ARROW_SCHEMA in kept and not (_tells(frame) and _comes_back(frame, kept)):
        del kept[_ARROW_SCHEMA]
    return kept


def _tells(frame: pl.DataFrame) -> bool:
    """Whether the rows have a value for each type that may be written in several ways."""
    return all(
        leaf.null_count() < len(leaf) or isinstance(leaf.dtype, _SURE)
        for column in frame
        for leaf in _leaves(column)
    )


def _leaves(column: pl.Series) -> Iterator[pl.Series]:
    if isinstance(column.dtype, pl.Struct):
        for field in column.struct.unnest():
            yield from _leaves(field)
    elif isinstance(column.dtype, pl.List | pl.Array):
        yield from _leaves(column.explode())
    else:
        yield column


def _comes_back(frame: pl.DataFrame, metadata: dict[str, str]) -> bool:
    written = io.BytesIO()
    try:
        frame.write_parquet(written, metadata=metadata)
        back = pl.read_parquet(io.BytesIO(written.getvalue()))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return back.schema == frame.schema and back.equals(frame)


def write_frames(path: Path, frames: Iterable[pl.DataFrame], metadata: Mapping[str, str]) -> None:
    """Write a file of frames, one row group each, holding few of them in memory.

    Args:
        path: File to write.
        frames: Its rows, at least one frame; all but the last have the same number of rows.
        metadata: Keys and values to write; see `described`.
    """
    waiting = iter(frames)
    first = next(waiting)

    def source(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        del with_columns, predicate, n_rows, batch_size  # nothing but the whole is asked for
        yield first
        yield from waiting

    stream = register_io_source(source, schema=first.schema)
    with path.open("wb") as file:  # polars cannot take a path that is not UTF-8
        stream.sink_parquet(
            file,
            row_group_size=max(first.height, 1),
            maintain_order=True,
            metadata=described(metadata, first),
            engine="streaming",
        )


def _check_columns(schema: pl.Schema, path: Path, columns: Columns) -> None:
    check_columns(str(path), columns, schema)
    if schema[columns.text] != pl.String:
        raise InvalidInput(
            f"{path}: column '{columns.text}': expected strings, got {schema[columns.text]}"
        )


def _refuse_nulls(series: pl.Series, place: Place) -> None:
    if series.null_count():
        row = int(series.is_null().arg_max() or 0) + 1
        raise InvalidInput(f"{place.row(row)}: '{series.name}' is missing", "drop or fill this row")
