"""A file in pieces of whole rows, so that it can be worked on bit by bit, and by several processes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import polars as pl

from ...errors import InvalidInput
from .csv_rows import csv_header, read_csv
from .json_lines import read_json_lines
from .parquet import metadata_of, packed_rows, read_parquet, row_groups_of, write_frames
from .streams import Compression, read_blocks, write_blocks
from .table import Columns, Place, TextTable, refuse_lone_surrogates

__all__ = ["ENDINGS", "PIECE_BYTES", "Format", "Kind", "Piece", "format_of", "join", "pieces_of"]

PIECE_BYTES = 1 << 22
_LONGEST_ROW = 1 << 30
_BLOCK = 1 << 20


class Kind(StrEnum):
    """Kinds of tables; the value is the end of a file's name, before that of its compression."""

    PARQUET = ".parquet"
    JSON_LINES = ".jsonl"
    CSV = ".csv"


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written; parquet compresses within."""

    kind: Kind
    compression: Compression = Compression.NONE

    @property
    def ending(self) -> str:
        """The end of the names of such files."""
        return self.kind + self.compression


_FORMATS = [
    Format(Kind.PARQUET),
    *(Format(kind, how) for kind in (Kind.JSON_LINES, Kind.CSV) for how in Compression),
]
ENDINGS = tuple(known.ending for known in _FORMATS)


def format_of(path: Path) -> Format:
    """The format of a file by the end of its name.

    Raises:
        InvalidInput: If it is none of those we read.
    """
    for known in _FORMATS:
        if path.name.lower().endswith(known.ending):
            return known
    raise InvalidInput(
        f"{path}: cannot tell the format from '{path.suffix}'",
        f"use a file ending in {', '.join(ENDINGS)}",
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole rows of a file.

    Attributes:
        kind: Kind of the table.
        place: Where the rows come from. `place.rows` is 0 in text files, where it is known only once
            the rows before have been read.
        columns: Which columns are used.
        content: The rows' bytes. Empty in parquet, which is read from its file, unless they were
            `packed`.
        n_rows: Number of rows in parquet, where each piece becomes one row group; else None.
        header: The names of a CSV file's columns, or None if this piece begins with them.
    """

    kind: Kind
    place: Place
    columns: Columns
    content: bytes = b""
    n_rows: int | None = None
    header: tuple[str, ...] | None = None

    def after(self, rows: int) -> "Piece":
        """The same piece, knowing how many rows come before."""
        return (
            self if self.n_rows is not None else replace(self, place=replace(self.place, rows=rows))
        )

    def packed(self) -> "Piece":
        """The same piece with its rows in it, for a machine that cannot reach the file.

        Raises:
            InvalidInput: If the file cannot be read.
        """
        if self.n_rows is None:
            return self
        return replace(self, content=packed_rows(self.place, self.n_rows))

    def read(self) -> TextTable:
        """Read the rows.

        Raises:
            InvalidInput: If they are not what they should be; the message names file and row.
        """
        return self._read(every_column=True)

    def texts(self) -> list[str]:
        """The texts alone; of parquet, no other column is read. Raises as `read`."""
        return self._read(every_column=False).texts

    def _read(self, *, every_column: bool) -> TextTable:
        table: TextTable
        if self.kind is Kind.PARQUET:
            table = read_parquet(
                self.place, self.columns, self.n_rows, self.content, every_column=every_column
            )
        elif self.kind is Kind.JSON_LINES:
            table = read_json_lines(self.text(), self.place, self.columns)
        else:
            table = read_csv(self.text(), self.place, self.columns, self.header)
        refuse_lone_surrogates(table, self.place)
        return table

    def text(self) -> str:
        """The characters of a text file's rows.

        Raises:
            InvalidInput: If they are not UTF-8.
        """
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.content.count(b"\n", 0, error.start) + 1
            raise InvalidInput(
                f"{self.place.line(line)}: byte {self.place.bytes + error.start} is not UTF-8",
                "convert the file to UTF-8",
            ) from error


def pieces_of(path: Path, columns: Columns, piece_bytes: int = PIECE_BYTES) -> Iterator[Piece]:
    """Cut a file into pieces of whole rows.

    Args:
        path: A file in one of our formats.
        columns: Which columns are used.
        piece_bytes: Uncompressed bytes of a piece of a text file, about; rows that are longer are not
            cut. Parquet is cut by rows, alike for every value.

    Yields:
        Its pieces in order; at least one.

    Raises:
        InvalidInput: If the file cannot be read.
    """
    known = format_of(path)
    if known.kind is Kind.PARQUET:
        yield from _parquet_pieces(path, columns)
        return
    place = Place(path)
    contents = _whole_rows(path, known, piece_bytes)
    header: tuple[str, ...] | None = None
    if known.kind is Kind.CSV:
        piece, header = _csv_head(contents, place, columns)
        yield piece
        place = _behind(piece)
    for content in contents:
        piece = Piece(known.kind, place, columns, content, header=header)
        yield piece
        place = _behind(piece)


def _csv_head(
    contents: Iterator[bytes], place: Place, columns: Columns
) -> tuple[Piece, tuple[str, ...]]:
    """The first piece of a CSV file, with its header, which blank lines may precede."""
    begun = b""
    for content in contents:
        begun += content
        piece = Piece(Kind.CSV, place, columns, begun)
        if header := csv_header(piece.text(), place):
            return piece, tuple(header)
    return Piece(Kind.CSV, place, columns, begun), ()


def _behind(piece: Piece) -> Place:
    """Where the rows behind a piece of a text file begin."""
    place, content = piece.place, piece.content
    return replace(
        place, bytes=place.bytes + len(content), lines=place.lines + content.count(b"\n")
    )


def join(source: Path, parts: Iterable[Path], target: Path) -> None:
    """Put the written pieces of a file together again.

    Args:
        source: The file that was cut into pieces.
        parts: What `TextTable.write` made of each piece, in order.
        target: File to write, in the format of the source.
    """
    known = format_of(source)
    if known.kind is not Kind.PARQUET:
        blocks = (block for part in parts for block in read_blocks(part, Compression.NONE))
        write_blocks(target, blocks, known.compression)
        return
    write_frames(target, map(_frame, parts), metadata_of(source))


def _frame(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        return pl.read_parquet(file)


def _parquet_pieces(path: Path, columns: Columns) -> Iterator[Piece]:
    groups = row_groups_of(path, columns)
    for start in range(0, max(groups.n_rows, 1), groups.size):
        n_rows = min(groups.size, groups.n_rows - start)
        yield Piece(Kind.PARQUET, Place(path, rows=start), columns, n_rows=n_rows)


def _whole_rows(path: Path, known: Format, piece_bytes: int) -> Iterator[bytes]:
    """The bytes of a text file in runs of whole rows."""
    last_cut = _last_csv_cut if known.kind is Kind.CSV else _last_line_end
    waiting = bytearray()
    enough = piece_bytes
    empty = True
    for block in read_blocks(path, known.compression, min(piece_bytes, _BLOCK)):
        waiting += block
        if len(waiting) < enough:
            continue
        if cut := last_cut(waiting):
            yield bytes(waiting[:cut])
            empty = False
            del waiting[:cut]
            enough = piece_bytes
        elif len(waiting) > _LONGEST_ROW:
            raise InvalidInput(
                f"{path}: a row is longer than {_LONGEST_ROW >> 20:,} MiB",
                "a line end is missing, or a quote is not closed",
            )
        else:
            enough = 2 * len(waiting)  # each byte is looked at few times, however long the row
    if waiting or empty:
        yield bytes(waiting)


def _last_line_end(content: bytearray) -> int:
    return content.rfind(b"\n") + 1


def _last_csv_cut(content: bytearray) -> int:
    r"""Position behind the last row that surely ends in `content`, or 0.

    A line end lies outside quotes if an even number of them comes before it: doubled quotes within a
    field count twice. Where lines end in a lone \r, the last byte is no place to cut, since a \n may
    follow.
    """
    outside = content.count(b'"') % 2 == 0
    end = len(content)
    while end > 0:
        quote = content.rfind(b'"', 0, end)
        if outside:
            line_end = content.rfind(b"\n", quote + 1, end)
            if line_end < 0:
                line_end = content.rfind(b"\r", quote + 1, min(end, len(content) - 1))
            if line_end >= 0:
                return line_end + 1
        outside = not outside
        end = quote
    return 0
