"""`read_page`: our own HTML page as plain blocks, so that other formats repeat its words and add none.

Strict: a tag or a nesting that is not known here is an error, so that nothing which the page says is
lost on the way. The skip link and the entries of the contents are left out: a format that has pages
makes its own.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ...errors import InvalidInput
from .blocks import (
    Block,
    Box,
    Cell,
    Column,
    Definitions,
    Figure,
    Heading,
    Items,
    Logo,
    Page,
    Paragraph,
    Preformatted,
    Run,
    Runs,
    Table,
    all_runs,
)
from .markup import Element, parse_markup

__all__ = ["read_page"]

_MARK_OF_TAG = {
    "b": "strong",
    "strong": "strong",
    "i": "emphasis",
    "em": "emphasis",
    "code": "code",
}
_MARK_OF_TAG |= {"bdi": "foreign", "sup": "above", "sub": "below", "a": "", "span": ""}
_MARK_OF_CLASS = {name: name for name in ("digest", "number", "shape", "slot", "status")}
_MARK_OF_CLASS |= dict.fromkeys(("aside", "interval", "odds", "soft", "words"), "soft")
_INLINE = {*_MARK_OF_TAG, "br", "wbr"}
_SPACE = re.compile(r"[ \t\n\r\f]+")
_DATA = re.compile(r"data:image/(png|svg\+xml);base64,([A-Za-z0-9+/=]*)")
_WIDTH = re.compile(r"w(\d{1,2})")


@lru_cache(maxsize=1)  # PDF and Markdown read the same page, one after the other
def read_page(page: str) -> Page:
    """Read what `render_html` wrote.

    Args:
        page: The page.

    Returns:
        Its blocks, in order.

    Raises:
        InvalidInput: If the page has a structure that is not known here, or a link that leads nowhere.
    """
    html = _only(parse_markup(page).elements(), "html")
    head, body = _each(html, "head", "body")
    main = _only(body.elements(), "main")
    read = Page(
        language=html.attributes.get("lang", ""),
        title=" ".join(_only(head.elements(), "title").text().split()),
        contents=_only(body.elements(), "nav").attributes.get("aria-label", ""),
        front=tuple(_blocks(_only(body.elements(), "header"))),
        main=tuple(_blocks(main)),
        end=tuple(_blocks(_only(body.elements(), "footer"))),
    )
    _check_rest(body)
    _check_links(read)
    return read


def _check_rest(body: Element) -> None:
    for child in body.elements():
        if child.name not in {"header", "main", "footer", "nav"} and child.classes != ["skip"]:
            raise _unknown(child)


def _blocks(parent: Element) -> Iterator[Block]:
    for child in parent.children:
        if isinstance(child, str):
            if child.strip():
                raise InvalidInput(f"<{parent.name}>: has text outside of any block: {child!r:.60}")
        elif child.name == "section" or (child.name == "div" and child.classes[:1] == ["wide"]):
            yield from _blocks(child)
        else:
            yield _block(child)


def _block(element: Element) -> Block:
    role, identity = " ".join(element.classes), element.attributes.get("id", "")
    match element.name:
        case "h1" | "h2" | "h3" | "h4":
            number, runs = _numbered(element)
            return Heading(level=int(element.name[1]), number=number, runs=runs, id=identity)
        case "p" if element.classes == ["logo"]:
            return _logo(element)
        case "p":
            number, runs = _numbered(element)
            return Paragraph(runs=runs, number=number, role=role, id=identity)
        case "dl":
            return Definitions(items=tuple(_definitions(element)), role=role)
        case "ul" | "ol":
            items = tuple(_inline(item) for item in _all(element, "li"))
            return Items(ordered=element.name == "ol", items=items, role=role)
        case "table":
            return _table(element, identity)
        case "figure":
            return _figure(element, identity)
        case "pre":
            return Preformatted(text=_preformatted(element))
        case "article" | "aside":
            return Box(blocks=tuple(_blocks(element)), role=role, id=identity)
        case _:
            raise _unknown(element)


def _numbered(element: Element) -> tuple[str, Runs]:
    """The number that a heading or paragraph begins with, and the rest."""
    first = next((c for c in element.children if isinstance(c, Element) or c.strip()), None)
    if not isinstance(first, Element) or first.classes != ["n"]:
        return "", _inline(element)
    return first.text().strip(), _inline(element, leave_out=first)


def _definitions(element: Element) -> Iterator[tuple[Runs, Runs]]:
    for pair in _all(element, "div"):
        term, said = _each(pair, "dt", "dd")
        yield _inline(term), _inline(said)


def _table(element: Element, identity: str) -> Table:
    caption, head, body = _each(element, "caption", "thead", "tbody")
    cells = _all(_only(head.elements(), "tr"), "th")
    rows = tuple(
        tuple(Cell(runs=_inline(cell), header=cell.name == "th") for cell in _all(row, "th", "td"))
        for row in _all(body, "tr")
    )
    if any(len(row) != len(cells) for row in rows):
        raise InvalidInput(
            f"<table> {caption.text()!r:.60}: a row has more or fewer cells than the head"
        )
    return Table(
        caption=_inline(caption),
        columns=tuple(_column(cell) for cell in cells),
        head=tuple(Cell(runs=_inline(cell), header=True) for cell in cells),
        rows=rows,
        wide=element.parent is not None and "wide" in element.parent.classes,
        id=identity,
    )


def _column(cell: Element) -> Column:
    if not {"colspan", "rowspan"}.isdisjoint(cell.attributes):
        raise _unknown(cell)
    widths = [int(found[1]) for name in cell.classes if (found := _WIDTH.fullmatch(name))]
    return Column(
        width=widths[0] if widths else None, align="right" if "right" in cell.classes else "left"
    )


def _figure(element: Element, identity: str) -> Figure:
    svg, caption = _each(element, "svg", "figcaption")
    title, description = (_only(svg.elements(), name).text() for name in ("title", "desc"))
    return Figure(
        svg=svg.source, title=title, description=description, caption=_inline(caption), id=identity
    )


def _logo(element: Element) -> Logo:
    (picture,) = _each(element, "img")
    found = _DATA.fullmatch(picture.attributes.get("src", ""))
    if found is None:
        raise InvalidInput("<img>: expected a PNG or SVG picture in the page itself")
    return Logo(
        data=base64.b64decode(found[2], validate=True),
        format="png" if found[1] == "png" else "svg",
        description=picture.attributes.get("alt", ""),
    )


def _preformatted(element: Element) -> str:
    for child in element.descendants():
        if child.name not in {"code", "bdi"}:
            raise _unknown(child)
    return element.text()


def _inline(element: Element, leave_out: Element | None = None) -> Runs:
    """The text within an element, white space folded as a browser folds it."""
    folded: list[Run] = []
    for run in _runs(element, frozenset(), "", leave_out):
        text = run.text if run.text == "\n" else _SPACE.sub(" ", run.text)
        if not folded or folded[-1].text.endswith((" ", "\n")):
            text = text.lstrip(" ")
        if text == "\n" and folded:
            folded[-1] = Run(folded[-1].text.rstrip(" "), folded[-1].marks, folded[-1].link)
        if text and folded and _joins(folded[-1], run):
            folded[-1] = Run(folded[-1].text + text, run.marks, run.link)
        elif text:
            folded.append(Run(text, run.marks, run.link))
    if folded:
        folded[-1] = Run(folded[-1].text.rstrip(" "), folded[-1].marks, folded[-1].link)
    return tuple(run for run in folded if run.text)


def _joins(before: Run, after: Run) -> bool:
    same = (before.marks, before.link) == (after.marks, after.link)
    return same and "\n" not in {before.text, after.text}


def _runs(
    element: Element, marks: frozenset[str], link: str, leave_out: Element | None = None
) -> Iterator[Run]:
    for child in element.children:
        if isinstance(child, str):
            yield Run(child, marks, link)
        elif child is leave_out or child.name == "wbr":
            continue
        elif child.name == "br":
            yield Run("\n")
        elif child.name in _INLINE:
            added = {_MARK_OF_TAG[child.name]} | {_MARK_OF_CLASS.get(c, "") for c in child.classes}
            yield from _runs(child, marks | (added - {""}), _target(child) or link)
        else:
            raise _unknown(child)


def _target(element: Element) -> str:
    address = element.attributes.get("href", "")
    if element.name == "a" and not re.fullmatch(r"#[A-Za-z0-9._-]+", address):
        raise InvalidInput(f"<a>: expected a link to a place in this page, got {address!r:.60}")
    return address[1:]


def _check_links(page: Page) -> None:
    ids = [name for name in _ids(page.blocks) if name]
    named = set(ids)
    if len(named) < len(ids):
        raise InvalidInput(
            f"page: an id stands twice: {sorted(i for i in named if ids.count(i) > 1)}"
        )
    for runs in all_runs(page.blocks):
        for run in runs:
            if run.link and run.link not in named:
                raise InvalidInput(f"<a>: nothing in the page has the id {run.link!r}")


def _ids(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        yield getattr(block, "id", "")
        if isinstance(block, Box):
            yield from _ids(block.blocks)


def _all(parent: Element, *names: str) -> list[Element]:
    """The children of an element, all of them with one of these names, and no text between them."""
    for child in parent.children:
        if isinstance(child, str) and child.strip():
            raise InvalidInput(f"<{parent.name}>: has text outside of its parts: {child!r:.60}")
        if isinstance(child, Element) and child.name not in names:
            raise _unknown(child)
    return parent.elements()


def _each(parent: Element, *names: str) -> list[Element]:
    """The children of an element, which must be exactly these."""
    found = _all(parent, *names)
    if [child.name for child in found] != list(names):
        raise InvalidInput(f"<{parent.name}>: expected the parts {', '.join(names)}, each once")
    return found


def _only(elements: Sequence[Element], name: str) -> Element:
    found = [element for element in elements if element.name == name]
    if len(found) != 1:
        raise InvalidInput(f"page: expected one <{name}>, found {len(found)}")
    return found[0]


def _unknown(element: Element) -> InvalidInput:
    where = element.parent.name if element.parent else "page"
    classes = f" class={' '.join(element.classes)!r}" if element.classes else ""
    return InvalidInput(
        f"<{element.name}{classes}> in <{where}>: no part of a report's page",
        "teach stats/report/blocks.py what it means, so that PDF and Markdown show it too",
    )
