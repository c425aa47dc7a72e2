"""Numbers of sections, paragraphs, tables and figures: counted in one place, referred to by name.

A reference may come before what it points to. So a page is written twice: the first time to count,
the second time with the numbers known.
"""

from collections.abc import Callable

from markupsafe import Markup

__all__ = ["Numbering", "numbered"]


class Numbering:
    """Counts while a page is written, and says what number something has.

    Args:
        known: What an earlier writing counted: id and words of each name; None while counting.
    """

    def __init__(self, known: dict[str, tuple[str, str]] | None = None) -> None:
        self._known = known
        self.found: dict[str, tuple[str, str]] = {}
        self._section = self._para = self._table = self._figure = 0

    def section(self, name: str) -> str:
        """Begin a section and return its number; its id is its name."""
        self._section, self._para = self._section + 1, 0
        self._note(name, name, f"section {self._section}")
        return str(self._section)

    def para(self, name: str = "") -> str:
        """Begin a paragraph of the section and return its number; its id is `para-` and the number."""
        self._para += 1
        number = f"{self._section}.{self._para}"
        if name:
            self._note(name, f"para-{number}", f"para {number}")
        return number

    def table(self, name: str) -> str:
        """Return the number of the next table; its id is `table-` and the number."""
        self._table += 1
        self._note(name, f"table-{self._table}", f"table {self._table}")
        return str(self._table)

    def figure(self, name: str) -> str:
        """Return the number of the next figure; its id is `figure-` and the number."""
        self._figure += 1
        self._note(name, f"figure-{self._figure}", f"figure {self._figure}")
        return str(self._figure)

    @property
    def figures(self) -> int:
        """How many figures there have been."""
        return self._figure

    def has(self, name: str) -> bool:
        """Whether the page has something of this name; always true while counting."""
        return self._known is None or name in self._known

    def start(self, name: str) -> Markup:
        """Return a link as `ref` does, for the start of a sentence: `Table 2`."""
        if self._known is None:
            return self.ref(name)
        return self.ref(name, self._known.get(name, ("", ""))[1].capitalize())

    def ref(self, name: str, words: str = "") -> Markup:
        """Return a link to what has a name, by its number: `para 4.3`, `table 2`.

        Raises:
            LookupError: If the page has no such thing.
        """
        if self._known is None:
            return Markup("")
        if name not in self._known:
            raise LookupError(f"the report has nothing called {name!r}")
        target, number = self._known[name]
        return Markup('<a href="#{}">{}</a>').format(target, words or number)

    def _note(self, name: str, target: str, words: str) -> None:
        if name in self.found:
            raise LookupError(f"the report has two things called {name!r}")
        self.found[name] = (target, words)


def numbered(write: Callable[[Numbering], str]) -> str:
    """Write a page whose parts refer to each other.

    Args:
        write: Writes the page; called twice.

    Returns:
        What the second call wrote.
    """
    counting = Numbering()
    write(counting)
    return write(Numbering(counting.found))
