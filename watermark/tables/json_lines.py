"""JSON lines: one object per line; blank lines are kept and are no rows."""

import json
import re
from collections.abc import Iterator

from ...errors import InvalidInput
from .spliced import SplicedTable
from .table import Columns, Place, check_columns

__all__ = ["read_json_lines"]

_JSON_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)
_JSON_SPACE = re.compile(r"[ \t\r]*")
_JSON = json.JSONDecoder(parse_int=float)  # numbers are never used, and int() refuses huge ones
_JSON_TYPES = {type(None): "null", bool: "a boolean", list: "a list", dict: "an object"}


def read_json_lines(raw: str, place: Place, columns: Columns) -> SplicedTable:
    """Read whole lines.

    Args:
        raw: The lines.
        place: Where they come from.
        columns: Which keys to use.

    Raises:
        InvalidInput: If a line is no JSON object, or lacks a text or an id.
    """
    spans: list[tuple[int, int]] = []
    texts: list[str] = []
    ids: list[str] = []
    position = 1 if place.bytes == 0 and raw.startswith("\ufeff") else 0
    for row, line in enumerate(raw[position:].split("\n"), 1):
        if line.strip():
            try:
                values = dict(_json_members(line))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{place.line(row)}: not a JSON object: {error}") from error
            check_columns(place.line(row), columns, values)
            start, end, text = values[columns.text]
            if not isinstance(text, str):
                raise InvalidInput(
                    f"{place.line(row)}: expected '{columns.text}' to be a string, "
                    f"got {_JSON_TYPES.get(type(text), 'a number')}",
                    "drop or fill this row",
                )
            spans.append((position + start + 1, position + end - 1))
            texts.append(text)
            if columns.id is not None:
                ids.append(
                    _json_id(line, *values[columns.id], f"{place.line(row)}: '{columns.id}'")
                )
        position += len(line) + 1
    known_ids = None if columns.id is None else ids
    return SplicedTable(place, raw, spans, _JSON_ESCAPE, texts, known_ids)


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
