"""Plain blocks of a report, from which PDF and Markdown are made; `read_page` takes them from the HTML."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Block",
    "Box",
    "Cell",
    "Column",
    "Definitions",
    "Figure",
    "Heading",
    "Items",
    "Logo",
    "Page",
    "Paragraph",
    "Preformatted",
    "Run",
    "Runs",
    "Table",
    "all_runs",
    "plain_text",
    "texts",
]


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text that is set in one way; a line feed is a forced end of line.

    Attributes:
        text: The words.
        marks: How they are set: strong, emphasis, code, digest, foreign (from outside: must not reorder
            or format what is around it), status, shape (says nothing a word does not), number, soft,
            above, below.
        link: The id of the block it points to, or empty.
    """

    text: str
    marks: frozenset[str] = frozenset()
    link: str = ""


Runs: TypeAlias = tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading; level 1 is the title of the report."""

    level: int
    number: str
    runs: Runs
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph; `number` as in `4.3`, `role` the class it has on the page."""

    runs: Runs
    number: str = ""
    role: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Terms, each with what is said of it."""

    items: tuple[tuple[Runs, Runs], ...]
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    ordered: bool
    items: tuple[Runs, ...]
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its share of the width in per cent, or None, and its alignment."""

    width: int | None
    align: Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell; a `header` names its row or column."""

    runs: Runs
    header: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; every row has as many cells as there are columns. `wide` ones take the whole page."""

    caption: Runs
    columns: tuple[Column, ...]
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    wide: bool
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture as SVG, with its title and description for those who do not see it."""

    svg: str
    title: str
    description: str
    caption: Runs
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """The picture of a letterhead: its bytes, `png` or `svg`, and what stands for it."""

    data: bytes
    format: Literal["png", "svg"]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preformatted:
    """Text whose ends of lines are as they are."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Blocks that stand together in a frame: one finding."""

    blocks: "tuple[Block, ...]"
    role: str = ""
    id: str = ""


Block: TypeAlias = (
    Heading | Paragraph | Definitions | Items | Table | Figure | Logo | Preformatted | Box
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report: its language, its title, and the blocks of front matter, main part and end.

    Attributes:
        language: As in `en`.
        title: What a window or a file is called that shows it.
        contents: The heading of a table of contents.
        front: Title, subject and facts about the report itself.
        main: The numbered sections.
        end: What stands under them.
    """

    language: str
    title: str
    contents: str
    front: tuple[Block, ...]
    main: tuple[Block, ...]
    end: tuple[Block, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks in order."""
        return self.front + self.main + self.end


def plain_text(blocks: Sequence[Block]) -> Iterator[str]:
    """All text of blocks in order, piece by piece; the words of a picture are its title and description."""
    for block in blocks:
        match block:
            case Box():
                yield from plain_text(block.blocks)
            case Preformatted():
                yield block.text
            case Figure():
                yield from (block.title, block.description)
            case Heading() | Paragraph() if block.number:
                yield block.number
            case _:
                pass
        yield from ("".join(run.text for run in runs) for runs in texts(block))


def texts(block: Block) -> Iterator[Runs]:
    """The runs that belong to a block itself, in the order of the page."""
    match block:
        case Heading() | Paragraph():
            yield block.runs
        case Definitions():
            for term, said in block.items:
                yield from (term, said)
        case Items():
            yield from block.items
        case Table():
            yield block.caption
            for row in (block.head, *block.rows):
                yield from (cell.runs for cell in row)
        case Figure():
            yield block.caption
        case Preformatted() | Box() | Logo():
            pass


def all_runs(blocks: Sequence[Block]) -> Iterator[Runs]:
    """The runs of blocks and of the blocks in them."""
    for block in blocks:
        yield from texts(block)
        if isinstance(block, Box):
            yield from all_runs(block.blocks)
