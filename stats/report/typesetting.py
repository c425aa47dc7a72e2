"""Blocks as `report.typ` reads them: what can be drawn, where a line may end, what stays on one page."""

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .blocks import (
    Block,
    Box,
    Definitions,
    Figure,
    Heading,
    Items,
    Logo,
    Paragraph,
    Preformatted,
    Run,
    Table,
    all_runs,
    texts,
)

__all__ = ["drawable_text", "font_folder", "link_targets", "shortened", "typeset"]

# Any glyph that the font of the text lacks comes from these, in the style of the text around it.
_STYLES = ("", "-Bold", "-Oblique", "-BoldOblique")
_FALLBACK_FONTS = tuple(f"DejaVuSans{style}.ttf" for style in _STYLES)

_LONGEST_FOREIGN = 5_000  # characters of a name or paragraph: about two pages
_LONGEST_IN_HEADING = 500
_LONGEST_WORD = 14
_LONGEST_LETTERS = 24  # a longer "word" of letters alone is no word of a language
_LONGEST_WHOLE = 16  # characters of a number or reference that stays on one line
_PIECE = 10
_BREAK_AFTER = re.compile(r"(?<=[-_./\\:@,;|+=&?#%~)\]}>])")
_WHOLE_ROW = 900  # characters of a row that is not broken over two pages

_PICTURE_MM = 84.0
_LINE_MM = 5.2
_SPACE_MM = 4.0
_LINE_LENGTH = 70  # characters
_SURE = (
    1.3  # a box is measured only if the estimate of its height is within this factor of the page
)


def font_folder() -> Path:
    """The folder of the fonts that come with matplotlib."""
    import matplotlib  # in here: it is slow to import

    return Path(matplotlib.get_data_path(), "fonts", "ttf")


@cache
def _drawable() -> frozenset[int]:
    """The code points that have a glyph in every style."""
    from matplotlib.ft2font import FT2Font

    covered = [set(FT2Font(str(font_folder() / name)).get_charmap()) for name in _FALLBACK_FONTS]
    return frozenset(set.intersection(*covered))


@cache
def _without_glyph() -> re.Pattern[str]:
    """Any character that cannot be drawn."""
    runs: list[list[int]] = []
    for code in sorted(_drawable()):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return re.compile(f"[^{''.join(f'{re.escape(chr(a))}-{re.escape(chr(b))}' for a, b in runs)}]")


def drawable_text(text: str) -> str:
    """The text, with each code point that has no glyph as `<U+4E2D>`."""
    return _without_glyph().sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def shortened(text: str, limit: int = _LONGEST_FOREIGN) -> str:
    """The text, cut after so many characters, and saying so."""
    if len(text) <= limit:
        return text
    left_out = len(text) - limit
    return f"{text[:limit]}… [{left_out:,} more characters: see report.json]"


def link_targets(blocks: Sequence[Block]) -> frozenset[str]:
    """The ids that something links to; only these become places in the PDF."""
    return frozenset(run.link for runs in all_runs(blocks) for run in runs)


def typeset(
    blocks: Sequence[Block], targets: frozenset[str], room_mm: float
) -> list[dict[str, Any]]:
    """Blocks as JSON for `report.typ`.

    Args:
        blocks: The blocks.
        targets: The ids that something links to.
        room_mm: Height of the text on a page; boxes that may fit into it are kept whole if they do.

    Returns:
        One object per block.
    """
    made = [_block(block, targets, room_mm) for block in blocks]
    for block, after in zip(made, [*blocks[1:], None], strict=True):
        # What leads into a table stays with it; a box may take a page of its own.
        block["sticky"] = not isinstance(after, Box)
    return made


def _block(block: Block, targets: frozenset[str], room_mm: float) -> dict[str, Any]:
    identity = getattr(block, "id", "")
    made: dict[str, Any] = {
        "kind": type(block).__name__,
        "id": identity if identity in targets else "",
    }
    match block:
        case Heading():
            made |= {"level": block.level, "number": block.number}
            made["runs"] = _runs(block.runs, _LONGEST_IN_HEADING)
        case Paragraph():
            made |= {"role": block.role, "number": block.number, "runs": _runs(block.runs)}
        case Definitions():
            made["items"] = [[_runs(term), _runs(said)] for term, said in block.items]
        case Items():
            made |= {"ordered": block.ordered, "items": [_runs(runs) for runs in block.items]}
        case Table():
            made |= _table(block)
        case Figure():
            made |= _picture(block)
        case Logo():
            made |= {
                "data": list(block.data),
                "format": block.format,
                "alt": drawable_text(shortened(block.description)),
            }
        case Preformatted():
            lines = shortened(block.text).split("\n")
            made["lines"] = [_pieces(drawable_text(line)) for line in lines]
        case Box():
            made["blocks"] = typeset(block.blocks, targets, room_mm)
            made["may_fit"] = _may_fit(block, room_mm)
    return made


def _may_fit(box: Box, room_mm: float) -> bool:
    """Whether it is worth while to set a box in order to learn if one page holds it."""
    return sum(map(_height_mm, box.blocks)) <= room_mm * _SURE


def _height_mm(block: Block) -> float:
    """About how high a block is."""
    if isinstance(block, Box):
        return sum(_height_mm(inner) for inner in block.blocks)
    width, per_line = 1, _LINE_LENGTH
    if isinstance(block, Table):
        width = len(block.columns)  # cells side by side
        per_line = _LINE_LENGTH // width
    elif isinstance(block, Definitions):
        width = 2
    lengths = [sum(len(run.text) for run in runs) for runs in texts(block)]
    if isinstance(block, Preformatted):
        lengths = [len(line) for line in block.text.split("\n")]
    height = sum(_SPACE_MM / 2 + _LINE_MM * math.ceil(n / per_line) for n in lengths) / width
    picture = _PICTURE_MM * 0.6 if isinstance(block, Figure) else 0.0
    return height + picture + _SPACE_MM / 2


def _table(table: Table) -> dict[str, Any]:
    return {
        "caption": _runs(table.caption),
        "columns": [{"width": column.width, "align": column.align} for column in table.columns],
        "head": [_runs(cell.runs) for cell in table.head],
        "rows": [
            {
                "cells": [_runs(cell.runs) for cell in row],
                "whole": sum(len(run.text) for cell in row for run in cell.runs) <= _WHOLE_ROW,
            }
            for row in table.rows
        ],
    }


def _picture(figure: Figure) -> dict[str, Any]:
    # In XML, so that the brackets are escaped once more.
    svg = _without_glyph().sub(
        lambda found: found[0] if found[0].isspace() else f"&lt;U+{ord(found[0]):04X}&gt;",
        figure.svg,
    )
    return {
        "svg": svg,
        "alt": drawable_text(shortened(f"{figure.title}. {figure.description}")),
        "caption": _runs(figure.caption),
        "width": _PICTURE_MM,
    }


def _runs(runs: Sequence[Run], limit: int = _LONGEST_FOREIGN) -> list[Any]:
    """Runs as (pieces, marks, link); a line may end between pieces."""
    return [[_set(run, limit), _marks(run), run.link] for run in runs]


def _marks(run: Run) -> list[str]:
    """How a run is set; a short number or reference stays on one line."""
    short = len(run.text) <= _LONGEST_WHOLE and "foreign" not in run.marks
    whole = short and (run.link or "number" in run.marks)
    return sorted(run.marks | {"whole"}) if whole else sorted(run.marks)


def _set(run: Run, limit: int) -> list[str]:
    if run.text == "\n":
        return [run.text]
    if "digest" in run.marks:
        digest = drawable_text(shortened(run.text, limit))
        return [digest[i : i + 4] for i in range(0, len(digest), 4)]
    if "foreign" not in run.marks:
        return _pieces(drawable_text(run.text))
    return _pieces(_isolated(drawable_text(shortened(run.text, limit))))


def _isolated(text: str) -> str:
    """Foreign text that runs from right to left cannot reorder what stands around it."""
    if any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in text):
        return f"\u2068{text}\u2069"
    return text


def _pieces(text: str) -> list[str]:
    """Cut long words where a line may end: after punctuation, or anywhere if there is none."""
    pieces = [""]
    for word in re.split(r"(?<= )", text):
        if len(word) <= _LONGEST_WORD or (word.strip().isalpha() and len(word) <= _LONGEST_LETTERS):
            pieces[-1] += word
            continue
        parts = [
            part[i : i + _PIECE]
            for part in _BREAK_AFTER.split(word)
            for i in range(0, len(part), _PIECE)
        ]
        pieces[-1] += parts[0]
        pieces += parts[1:]
    return pieces
