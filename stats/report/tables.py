"""Tables of a report as markup. Every one has a number, a caption and named columns, and can be sorted."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .wording import visible

__all__ = ["Cell", "Column", "table"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its share of the width in per cent (0: what is left), numbers or words."""

    name: str
    width: int = 0
    numbers: bool = False

    @property
    def classes(self) -> str:
        """As the style sheet knows them."""
        parts = [f"w{self.width}" if self.width else "", "right" if self.numbers else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell whose place in a sorted column does not follow from its words: `key` is a number."""

    words: Markup | str
    key: float


def table(
    number: str,
    caption: Markup | str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Markup | str | Cell]],
    *,
    wide: bool = False,
    header: int = 0,
) -> Markup:
    """A table.

    Args:
        number: Its number in the report; its id is `table-` and the number.
        caption: What it shows.
        columns: Its columns.
        rows: One cell for each column; plain text is escaped.
        wide: Whether it takes the whole page, and becomes a list of cards on a phone.
        header: Which column names the row.
    """

    def role(name: str) -> Markup:
        # Cards are no table to a browser, so a wide table says its roles itself.
        return Markup(' role="{}"').format(name) if wide else Markup("")

    head = Markup("").join(
        Markup('<th{} scope="col"{}>{}</th>').format(
            role("columnheader"), _class(column.classes), column.name
        )
        for column in columns
    )
    body = Markup("\n").join(
        Markup("<tr{}>{}</tr>").format(
            role("row"),
            Markup("").join(
                _cell(column, cell, header=i == header, wide=wide)
                for i, (column, cell) in enumerate(zip(columns, row, strict=True))
            ),
        )
        for row in rows
    )
    made = Markup(
        '<table id="table-{}"{}>\n<caption>Table {}. {}</caption>\n<thead{}><tr{}>{}</tr></thead>\n'
        "<tbody{}>\n{}\n</tbody>\n</table>"
    ).format(
        number,
        role("table"),
        number,
        caption,
        role("rowgroup"),
        role("row"),
        head,
        role("rowgroup"),
        body,
    )
    return Markup('<div class="wide stacks">\n{}\n</div>').format(made) if wide else made


def _cell(column: Column, cell: Markup | str | Cell, *, header: bool, wide: bool) -> Markup:
    words, key = (
        (cell.words, Markup(' data-key="{}"').format(f"{cell.key:.12g}"))
        if isinstance(cell, Cell)
        else (cell, Markup(""))
    )
    shown = words if isinstance(words, Markup) else visible(words)
    right = _class("right" if column.numbers else "")
    if header:
        role = Markup(' role="rowheader"') if wide else ""
        return Markup('<th{} scope="row"{}{}>{}</th>').format(role, right, key, shown)
    role = Markup(' role="cell" data-label="{}"').format(column.name) if wide else ""
    return Markup("<td{}{}{}>{}</td>").format(role, right, key, shown)


def _class(names: str) -> Markup:
    return Markup(' class="{}"').format(names) if names else Markup("")
