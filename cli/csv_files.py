"""CSV files for people, who will open them in a spreadsheet: what they hold is foreign text.

A cell that begins with = + - @ may be run as a formula, and so may what stands behind a comma, a
semicolon, a bar or a quote, where the program takes another separator than ours. An apostrophe is put
before each such character: spreadsheets show it, and run nothing. Characters that show nothing, line
ends and tabs among them, are written as `<U+0009>`. Every text is quoted; numbers are not touched.
"""

import re
from collections.abc import Iterable, Sequence

from ..display import visible

__all__ = ["csv_file", "harmless"]

_FORMULA = frozenset("=+-@＝＋－＠")  # full-width, too: some programs read them as the plain ones
_BETWEEN = re.compile(r"[\s,;|\"']+")
_SEPARATORS = frozenset(",;|\"'")


def harmless(text: str) -> str:
    """A text as a cell that no spreadsheet runs and no terminal obeys.

    Args:
        text: Any string, also one with lone surrogates.

    Returns:
        Printable text, encodable as UTF-8.
    """
    shown = visible(text)

    def guarded(run: re.Match[str]) -> str:
        begins = run.start() == 0 or not _SEPARATORS.isdisjoint(run.group())
        return (
            run.group() + "'"
            if begins and shown[run.end() : run.end() + 1] in _FORMULA
            else run.group()
        )

    guarded_text = _BETWEEN.sub(guarded, shown)
    return f"'{guarded_text}" if shown[:1] in _FORMULA else guarded_text


def csv_file(heading: Sequence[str], rows: Iterable[Sequence[str | int | float | None]]) -> bytes:
    """A CSV file: UTF-8, a comma between cells, a line feed behind each row.

    Args:
        heading: Names of the columns.
        rows: Their cells; None is an empty one.

    Returns:
        Its bytes, the same for the same rows.
    """
    lines = (",".join(map(_cell, row)) for row in (heading, *rows))
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _cell(value: str | int | float | None) -> str:
    if isinstance(value, str):
        doubled = harmless(value).replace('"', '""')
        return f'"{doubled}"'
    return "" if value is None else repr(value)
