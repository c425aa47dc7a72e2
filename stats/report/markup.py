"""A tree of the elements of our own HTML page: no more of HTML than `render_html` writes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from ...errors import InvalidInput

__all__ = ["Element", "parse_markup"]

_VOID = {"br", "img", "meta", "wbr"}
_SVG = re.compile(r"<svg\b.*?</svg>", re.DOTALL)


@dataclass(slots=True, kw_only=True, eq=False)
class Element:
    """An element of the page.

    Attributes:
        name: Its tag.
        attributes: As written, entities resolved.
        parent: The element around it, or None.
        children: Text and elements, in order.
        source: The markup of an `svg`, byte for byte; empty for others.
    """

    name: str
    attributes: dict[str, str]
    parent: "Element | None"
    children: "list[str | Element]" = field(default_factory=list)
    source: str = ""

    @property
    def classes(self) -> list[str]:
        """The names in its `class`."""
        return self.attributes.get("class", "").split()

    def elements(self) -> "list[Element]":
        """The children that are elements."""
        return [child for child in self.children if isinstance(child, Element)]

    def descendants(self) -> "Iterator[Element]":
        """All elements within, in order."""
        for child in self.elements():
            yield child
            yield from child.descendants()

    def text(self) -> str:
        """All text within, as it is."""
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)


def parse_markup(page: str) -> Element:
    """Read a page into a tree.

    Args:
        page: What `render_html` wrote.

    Returns:
        A nameless element that holds the whole page.

    Raises:
        InvalidInput: If an element is not closed where it should be.
    """
    builder = _Builder(page)
    builder.feed(page)
    builder.close()
    if builder.at is not builder.root:
        raise InvalidInput(f"page: <{builder.at.name}> is never closed")
    return builder.root


class _Builder(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element(name="", attributes={}, parent=None)
        # HTMLParser folds the case of `viewBox` and `clipPath`: a picture is taken from the page itself.
        self._pictures = _SVG.finditer(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(
            name=tag,
            attributes={name: value or "" for name, value in attrs},
            parent=self.at,
            source=next(self._pictures)[0] if tag == "svg" else "",
        )
        self.at.children.append(element)
        if tag not in _VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != self.at.name or self.at.parent is None:
            raise InvalidInput(f"line {self.getpos()[0]}: </{tag}> closes <{self.at.name}>")
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)

    def handle_comment(self, data: str) -> None:
        raise InvalidInput(
            f"line {self.getpos()[0]}: a comment, which nobody would see: {data!r:.60}"
        )
