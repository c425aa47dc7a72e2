"""`render_markdown`: the report in short, for a model card or a dataset card; its words are the page's.

Foreign text cannot become a link, a picture, markup or a mention: what is not plain words stands in a
code span, and of the rest all that Markdown could read as its own is escaped.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from .audit import AuditReport
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
    Runs,
    Table,
)
from .html import render_html
from .reading import read_page

__all__ = ["render_markdown"]

# What a card needs of a report; the rest is in the report itself.
_SECTIONS = ("questions", "answers", "limits", "repeat")
_LONGEST_FOREIGN = 300
# Words, numbers and punctuation that no reader of Markdown takes for anything else.
_PLAIN = re.compile(r"[\w \-.,;:?!'\"()%+/=≤≥−×–—’“”…·]*", re.UNICODE)
_ADDRESS = re.compile(r"(?i)www\.|://|mailto:|xmpp:|:[a-z+-][\w+-]*:|\bgh-\d|__")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&@])")
_LINE_START = re.compile(r"^(\d*)([-+=:.)])")


def render_markdown(report: AuditReport, *, page: str | None = None) -> str:
    """Write the short form of a report in GitHub's Markdown, with headings from level 2.

    Args:
        report: The report.
        page: What `render_html(report)` returned, if it is at hand.

    Returns:
        Front matter, questions, answers, limits and how to repeat; the same text for the same report. A
        foreign string of more than 300 characters is cut, and says so.
    """
    read = read_page(render_html(report) if page is None else page)
    chosen = [*read.front, *_sections(read.main), *read.end]
    return "\n\n".join(part for block in chosen for part in _block(block)) + "\n"


def _sections(blocks: Sequence[Block]) -> Iterator[Block]:
    inside = False
    for block in blocks:
        if isinstance(block, Heading) and block.level <= 2:
            inside = block.id in _SECTIONS
        if inside:
            yield block


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            number = f"{block.number} " if block.number else ""
            yield f"{'#' * (block.level + 1)} {number}{_line(block.runs)}"
        case Paragraph():
            number = f"**{block.number}** " if block.number else ""
            words = _line(block.runs)
            yield number + words if number else _not_a_block(words)
        case Definitions():
            yield "\n".join(
                f"- **{_line(term, plain=True)}:** {_line(said)}" for term, said in block.items
            )
        case Items():
            marks = (f"{k}." if block.ordered else "-" for k in range(1, len(block.items) + 1))
            yield "\n".join(
                f"{m} {_not_a_block(_line(runs))}"
                for m, runs in zip(marks, block.items, strict=True)
            )
        case Table():
            yield f"**{_line(block.caption, plain=True)}**"
            yield _table(block)
        case Preformatted():
            fence = _fence(block.text, 3)
            yield f"{fence}\n{_cut(block.text)}\n{fence}"
        case Figure():
            yield _not_a_block(_line(block.caption))
        case Logo():
            pass  # a card belongs to someone else
        case Box():
            for inner in block.blocks:
                yield from _block(inner)


def _table(table: Table) -> str:
    rows = [[_cell(cell.runs) for cell in row] for row in (table.head, *table.rows)]
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:]))


def _cell(runs: Runs) -> str:
    # Readers of Markdown disagree on a bar after a backslash: in a table it is shown by its number.
    return _line(tuple(Run(run.text.replace("|", "<U+007C>"), run.marks, run.link) for run in runs))


def _line(runs: Runs, *, plain: bool = False) -> str:
    """Runs on one line; a forced end of line becomes a dash."""
    parts = []
    for style, group in groupby(runs, key=lambda run: "" if plain else _style(run)):
        words = "".join(map(_run, group))
        bare = words.strip(" ")
        if bare:
            before, after = words[: words.index(bare)], words[words.index(bare) + len(bare) :]
            words = f"{before}{style}{bare}{style}{after}"
        parts.append(words)
    return re.sub(r" {2,}", " ", "".join(parts)).strip(" ")


def _style(run: Run) -> str:
    if run.marks & {"strong", "status", "number"}:
        return "**"
    return "*" if "emphasis" in run.marks else ""


def _run(run: Run) -> str:
    if run.text == "\n":
        return " – "
    bare = run.text.strip(" ")
    if not bare:
        return " "
    before, after = (" " if edge == " " else "" for edge in (run.text[0], run.text[-1]))
    return before + (_code(_cut(bare)) if "code" in run.marks else _words(bare, run.marks)) + after


def _words(text: str, marks: frozenset[str]) -> str:
    if "foreign" not in marks:
        return _escaped(text)
    shown = _cut(text)
    if not _PLAIN.fullmatch(shown) or _ADDRESS.search(shown):
        return _code(shown)
    return _isolated(_escaped(shown))


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_FOREIGN:
        return text
    left_out = len(text) - _LONGEST_FOREIGN
    return f"{text[:_LONGEST_FOREIGN]}… [{left_out:,} more characters: see report.json]"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _code(text: str) -> str:
    """A code span, fenced by more backticks than stand together in the text."""
    fence = _fence(text, 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{_isolated(text)}{space}{fence}"


def _fence(text: str, shortest: int) -> str:
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    return "`" * max(shortest, longest + 1)


def _isolated(text: str) -> str:
    """Foreign text that runs from right to left cannot reorder what stands around it."""
    if any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in text):
        return f"\u2068{text}\u2069"
    return text


def _not_a_block(line: str) -> str:
    """A line that begins no list, quotation or heading."""
    return _LINE_START.sub(r"\1\\\2", line)
