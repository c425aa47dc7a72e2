"""What a table of texts is, where its rows lie, and the refusals all formats share."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import InvalidInput
from .edits import Edit

__all__ = ["Columns", "Place", "TextTable", "check_columns", "refuse_lone_surrogates"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are used.

    Attributes:
        text: The column (or key) that holds the text.
        id: The column that identifies a row; None if there is none.
    """

    text: str = "text"
    id: str | None = None

    def names(self) -> list[str]:
        """The columns that must be there."""
        return [self.text] if self.id is None else [self.text, self.id]


@dataclass(frozen=True, slots=True)
class Place:
    """Where some rows of a file begin, for error messages.

    Attributes:
        path: The file.
        rows: Rows before them.
        lines: Line ends before them.
        bytes: Bytes before them, uncompressed.
    """

    path: Path
    rows: int = 0
    lines: int = 0
    bytes: int = 0

    def row(self, number: int) -> str:
        """Name of the row with this number, from 1, among the rows that begin here."""
        return f"{self.path}: row {self.rows + number}"

    def line(self, number: int) -> str:
        """Name of the line with this number, from 1, among the lines that begin here."""
        return f"{self.path}: line {self.lines + number}"


class TextTable(Protocol):
    """A table, or some rows of one, with one text per row.

    Attributes:
        texts: The texts in row order; no lone surrogates, no missing values.
        ids: The id column as strings, or None where none was asked for.
    """

    texts: list[str]
    ids: list[str] | None

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        """Write the rows with each one's text edited, in the format they were read from."""


_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def refuse_lone_surrogates(table: TextTable, place: Place) -> None:
    """Check texts and ids.

    Raises:
        InvalidInput: If one holds half a surrogate pair; UTF-8 has no bytes for it.
    """
    for values in (table.texts, table.ids or ()):
        for row, value in enumerate(values, 1):
            if (surrogate := _LONE_SURROGATE.search(value)) is not None:
                raise InvalidInput(
                    f"{place.row(row)}: lone surrogate U+{ord(surrogate.group()):04X} at character "
                    f"{surrogate.start()}",
                    "it is no valid Unicode text: repair or drop this row",
                )


def check_columns(where: str, columns: Columns, present: Collection[str]) -> None:
    """Check that the columns in use are there.

    Raises:
        InvalidInput: If one is not.
    """
    for column in columns.names():
        if column not in present:
            raise InvalidInput(
                f"{where}: no column '{column}'",
                f"the columns are {', '.join(map(repr, present)) or 'none'}; name another",
            )
