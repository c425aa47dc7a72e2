"""Tables of texts: parquet, JSON lines and CSV, read with their texts and written back with edits.

JSON lines and CSV are edited in place: outside the replaced words every byte of the file stays as
it was, other columns, spacing, quoting and line ends included. Parquet keeps every other column
with its type.
"""

import bisect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from .errors import InvalidInput

__all__ = ["Edit", "TextTable", "apply_edits", "read_table"]


class Edit(NamedTuple):
    """Replace characters [start, end) of a text (code points) by `replacement`."""

    start: int
    end: int
    replacement: str


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text with its edits made; edits are ascending and do not overlap."""
    pieces, position = [], 0
    for edit in edits:
        pieces += [text[position : edit.start], edit.replacement]
        position = edit.end
    return "".join([*pieces, text[position:]])


class TextTable(Protocol):
    """A table with one text per row.

    Attributes:
        texts: The texts in row order; no lone surrogates, no missing values.
        ids: The id column as strings, or None where none was asked for.
    """

    texts: list[str]
    ids: list[str] | None

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        """Write the table with each row's text edited, in the format it was read from."""


def read_table(path: Path, *, text_column: str = "text", id_column: str | None = None) -> TextTable:
    """Read a table of texts by its file ending.

    Args:
        path: A `.parquet`, `.jsonl` or `.csv` file (UTF-8).
        text_column: Name of the column or key that holds the text.
        id_column: Name of the column or key that identifies a row; None if there is none. An id
            that is no string is taken as it is written.

    Returns:
        The table; it has at least one row.

    Raises:
        InvalidInput: If the file is missing, unreadable, not UTF-8, empty, lacks a column, or
            holds a missing text or a lone surrogate; the message names file and row.
    """
    readers = {".parquet": _read_parquet, ".jsonl": _read_jsonl, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if path.is_dir():
        raise InvalidInput(f"{path}: is a folder", "name one file in it")
    if reader is None:
        raise InvalidInput(
            f"{path}: cannot tell the format from '{path.suffix}'",
            f"use a file ending in {', '.join(readers)}",
        )
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    table = reader(path, text_column, id_column)
    if not table.texts:
        raise InvalidInput(f"{path}: the dataset is empty", "give a file with at least one row")
    for values in (table.texts, table.ids or ()):
        _refuse_lone_surrogates(values, path)
    return table


_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _refuse_lone_surrogates(values: Sequence[str], path: Path) -> None:
    for row, value in enumerate(values, 1):
        if (surrogate := _LONE_SURROGATE.search(value)) is not None:
            raise InvalidInput(
                f"{path}: row {row}: lone surrogate U+{ord(surrogate.group()):04X} at character "
                f"{surrogate.start()}",
                "it is no valid Unicode text: repair or drop this row",
            )


@dataclass
class _FrameTable:
    """A parquet file in memory."""

    frame: pl.DataFrame
    text_column: str
    texts: list[str]
    ids: list[str] | None

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        texts = [apply_edits(text, e) for text, e in zip(self.texts, edits, strict=True)]
        dtype = self.frame.schema[self.text_column]
        edited = self.frame.with_columns(pl.Series(self.text_column, texts, dtype=dtype))
        with path.open("wb") as file:  # polars cannot take a path that is not UTF-8
            edited.write_parquet(file)


def _read_parquet(path: Path, text_column: str, id_column: str | None) -> TextTable:
    try:
        with path.open("rb") as file:
            frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InvalidInput(f"{path}: cannot be read as parquet: {_first_line(error)}") from error
    for column in filter(None, (text_column, id_column)):
        if column not in frame.columns:
            raise _missing_column(path, column, frame.columns)
    series = frame[text_column]
    if series.dtype != pl.String:
        raise InvalidInput(f"{path}: column '{text_column}': expected strings, got {series.dtype}")
    _refuse_nulls(series, path)
    if id_column is None:
        return _FrameTable(frame, text_column, series.to_list(), None)
    _refuse_nulls(frame[id_column], path)
    ids = [str(value) for value in frame[id_column].to_list()]
    return _FrameTable(frame, text_column, series.to_list(), ids)


def _refuse_nulls(series: pl.Series, path: Path) -> None:
    if series.null_count():
        row = int(series.is_null().arg_max() or 0) + 1
        raise InvalidInput(
            f"{path}: row {row}: '{series.name}' is missing", "drop or fill this row"
        )


@dataclass
class _SplicedTable:
    """A text file in memory; each row's text is the characters [start, end) of `raw`, escaped.

    `escape` matches every sequence of characters in `raw` that stands for one character of a text.
    """

    source: Path
    raw: str
    spans: list[tuple[int, int]]
    escape: re.Pattern[str]
    texts: list[str]
    ids: list[str] | None

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        """Write the table, edited.

        Raises:
            InvalidInput: If a replaced word is spelt with escapes (JSON allows it for any letter):
                the way it was spelt could not be restored.
        """
        moved: list[Edit] = []
        rows = zip(self.texts, self.spans, edits, strict=True)
        for row, (text, span, row_edits) in enumerate(rows, 1):
            for edit, raw_edit in zip(row_edits, self._in_raw(span, row_edits), strict=True):
                word = text[edit.start : edit.end]
                if self.raw[raw_edit.start : raw_edit.end] != word:
                    raise InvalidInput(
                        f"{self.source}: row {row}: the word '{word}' is spelt with escapes",
                        "write ordinary letters as themselves",
                    )
                moved.append(raw_edit)
        path.write_bytes(apply_edits(self.raw, moved).encode("utf-8"))

    def _in_raw(self, span: tuple[int, int], edits: Sequence[Edit]) -> Iterator[Edit]:
        """The edits of one text as edits of `raw`."""
        if not edits:
            return
        ends, shifts = [], [0]  # text position behind each escape; by how much raw is ahead there
        for match in self.escape.finditer(self.raw, *span):
            ends.append(match.start() - span[0] - shifts[-1] + 1)
            shifts.append(shifts[-1] + match.end() - match.start() - 1)
        for start, end, replacement in edits:
            yield Edit(
                span[0] + start + shifts[bisect.bisect_right(ends, start)],
                span[0] + end + shifts[bisect.bisect_right(ends, end)],
                replacement,
            )


_JSON_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)
_JSON_SPACE = re.compile(r"[ \t\r]*")
_JSON = json.JSONDecoder(parse_int=float)  # numbers are never used, and int() refuses huge ones
_JSON_TYPES = {type(None): "null", bool: "a boolean", list: "a list", dict: "an object"}


def _read_jsonl(path: Path, text_column: str, id_column: str | None) -> TextTable:
    raw = _read_utf8(path)
    spans: list[tuple[int, int]] = []
    texts: list[str] = []
    ids: list[str] = []
    position = 1 if raw.startswith("\ufeff") else 0
    for row, line in enumerate(raw[position:].split("\n"), 1):
        if line.strip():
            try:
                values = dict(_json_members(line))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{path}: line {row}: not a JSON object: {error}") from error
            for column in filter(None, (text_column, id_column)):
                if column not in values:
                    raise _missing_column(path, column, list(values), f"line {row}: ")
            start, end, text = values[text_column]
            if not isinstance(text, str):
                raise InvalidInput(
                    f"{path}: line {row}: expected '{text_column}' to be a string, "
                    f"got {_JSON_TYPES.get(type(text), 'a number')}",
                    "drop or fill this row",
                )
            spans.append((position + start + 1, position + end - 1))
            texts.append(text)
            if id_column is not None:
                ids.append(_json_id(line, *values[id_column], f"{path}: line {row}: '{id_column}'"))
        position += len(line) + 1
    known_ids = None if id_column is None else ids
    return _SplicedTable(path, raw, spans, _JSON_ESCAPE, texts, known_ids)


def _json_id(line: str, start: int, end: int, value: object, where: str) -> str:
    """An id: a string's text, or anything else as it is written."""
    if value is None:
        raise InvalidInput(f"{where} is missing", "drop or fill this row")
    return value if isinstance(value, str) else line[start:end]


def _json_members(line: str) -> Iterator[tuple[str, tuple[int, int, object]]]:
    """The members of the JSON object on a line as (key, (start, end, value)).

    Raises:
        ValueError: If the line is not one JSON object, or a key appears twice.
    """

    def skip(position: int, expected: str) -> int:
        position = _skip_space(line, position)
        if line[position : position + 1] not in expected or position >= len(line):
            raise ValueError(f"expected one of {expected!r} at character {position}")
        return position + 1

    position = skip(0, "{")
    if line.startswith("}", _skip_space(line, position)):
        position = skip(position, "}")
    seen: set[str] = set()
    while line[position - 1] != "}":
        start = skip(position, '"') - 1
        key, position = _JSON.raw_decode(line, start)
        if key in seen:
            raise ValueError(f"key {key!r} appears twice")
        seen.add(key)
        start = _skip_space(line, skip(position, ":"))
        value, position = _JSON.raw_decode(line, start)
        yield key, (start, position, value)
        position = skip(position, ",}")
    if _skip_space(line, position) != len(line):
        raise ValueError(f"more after the object, at character {position}")


def _skip_space(line: str, position: int) -> int:
    match = _JSON_SPACE.match(line, position)
    return match.end() if match else position


_CSV_ESCAPE = re.compile(r'""')
_CSV_FIELD = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",\r\n]*+))(,|\r\n|\n|\r|\Z)')


def _read_csv(path: Path, text_column: str, id_column: str | None) -> TextTable:
    raw = _read_utf8(path)
    rows = _csv_rows(raw, path)
    header = [_csv_value(raw, span) for span in next(rows, [])]
    for column in filter(None, (text_column, id_column)):
        if column not in header:
            raise _missing_column(path, column, header)
        if header.count(column) > 1:
            raise InvalidInput(f"{path}: two columns are called '{column}'", "rename one")
    spans: list[tuple[int, int]] = []
    ids: list[str] = []
    for row, fields in enumerate(rows, 1):
        if len(fields) != len(header):
            raise InvalidInput(
                f"{path}: row {row}: expected {len(header)} fields, got {len(fields)}",
                "quote fields that hold commas, quotes or line breaks",
            )
        spans.append(fields[header.index(text_column)])
        if id_column is not None:
            ids.append(_csv_value(raw, fields[header.index(id_column)]))
    texts = [_csv_value(raw, span) for span in spans]
    known_ids = None if id_column is None else ids
    return _SplicedTable(path, raw, spans, _CSV_ESCAPE, texts, known_ids)


def _csv_value(raw: str, span: tuple[int, int]) -> str:
    return raw[span[0] : span[1]].replace('""', '"')


def _csv_rows(raw: str, path: Path) -> Iterator[list[tuple[int, int]]]:
    """The spans of the fields of each row (RFC 4180), without their quotes.

    Blank lines are skipped where the table has several columns, as they can be no row there.

    Raises:
        InvalidInput: If a quote is not closed.
    """
    position = 1 if raw.startswith("\ufeff") else 0
    fields: list[tuple[int, int]] = []
    n_columns, row = 0, 0
    while position < len(raw):
        match = _CSV_FIELD.match(raw, position)
        if match is None:
            raise InvalidInput(
                f"{path}: row {row}: a quote is not closed, or stands within an unquoted field",
                "quote the field and double the quotes within it",
            )
        fields.append(match.span(1) if match.group(1) is not None else match.span(2))
        position = match.end()
        if match.group(3) == "," and position < len(raw):
            continue
        if match.group(3) == ",":
            fields.append((position, position))
        blank = len(fields) == 1 and fields[0][0] == fields[0][1] and match.group(1) is None
        if not (blank and n_columns != 1):
            n_columns = n_columns or len(fields)
            yield fields
            row += 1
        fields = []


def _read_utf8(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{path}: line {line}: byte {error.start} is not UTF-8", "convert the file to UTF-8"
        ) from error


def _missing_column(
    path: Path, column: str, present: Sequence[str], where: str = ""
) -> InvalidInput:
    return InvalidInput(
        f"{path}: {where}no column '{column}'",
        f"the columns are {', '.join(map(repr, present)) or 'none'}; name another",
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
