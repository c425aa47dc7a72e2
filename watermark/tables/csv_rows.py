"""CSV as RFC 4180 has it: fields may be quoted, and quoted fields may hold line breaks."""

import re
from collections.abc import Iterator, Sequence

from ...errors import InvalidInput
from .spliced import SplicedTable
from .table import Columns, Place, check_columns

__all__ = ["csv_header", "read_csv"]

_CSV_ESCAPE = re.compile(r'""')
_CSV_FIELD = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",\r\n]*+))(,|\r\n|\n|\r|\Z)')


def csv_header(raw: str, place: Place) -> list[str]:
    """Names of the columns, from the start of a file; empty if there is no header."""
    return [_csv_value(raw, span) for span in next(_csv_rows(raw, place, 0), [])]


def read_csv(
    raw: str, place: Place, columns: Columns, header: Sequence[str] | None
) -> SplicedTable:
    """Read whole rows.

    Args:
        raw: The rows.
        place: Where they come from.
        columns: Which columns to use.
        header: Names of the columns; None if these rows begin with them.

    Raises:
        InvalidInput: If a column is missing or there twice, a row has more or fewer fields than the
            header, or a quote is not closed.
    """
    rows = _csv_rows(raw, place, len(header or ()))
    if header is None:
        header = [_csv_value(raw, span) for span in next(rows, [])]
    check_columns(str(place.path), columns, header)
    for column in columns.names():
        if header.count(column) > 1:
            raise InvalidInput(f"{place.path}: two columns are called '{column}'", "rename one")
    spans: list[tuple[int, int]] = []
    ids: list[str] = []
    for row, fields in enumerate(rows, 1):
        if len(fields) != len(header):
            raise InvalidInput(
                f"{place.row(row)}: expected {len(header)} fields, got {len(fields)}",
                "quote fields that hold commas, quotes or line breaks",
            )
        spans.append(fields[header.index(columns.text)])
        if columns.id is not None:
            ids.append(_csv_value(raw, fields[header.index(columns.id)]))
    texts = [_csv_value(raw, span) for span in spans]
    known_ids = None if columns.id is None else ids
    return SplicedTable(place, raw, spans, _CSV_ESCAPE, texts, known_ids)


def _csv_value(raw: str, span: tuple[int, int]) -> str:
    return raw[span[0] : span[1]].replace('""', '"')


def _csv_rows(raw: str, place: Place, n_columns: int) -> Iterator[list[tuple[int, int]]]:
    """The spans of the fields of each row, without their quotes; `n_columns` is 0 before the header.

    Blank lines are skipped where the table has several columns, as they can be no row there.

    Raises:
        InvalidInput: If a quote is not closed.
    """
    position = 1 if place.bytes == 0 and raw.startswith("\ufeff") else 0
    fields: list[tuple[int, int]] = []
    row = 0 if n_columns == 0 else 1
    while position < len(raw):
        match = _CSV_FIELD.match(raw, position)
        if match is None:
            raise InvalidInput(
                f"{place.row(row)}: a quote is not closed, or stands within an unquoted field",
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
