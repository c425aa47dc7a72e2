"""Words as they are compared: without capitals, punctuation, spacing and Unicode variants."""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["folded_words", "parts_of"]

_LONG = 1 << 20  # characters of a part
_WORD = re.compile(r"[^\W_]+")
_SPACE = re.compile(r"[ \t\n\r]")
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


def folded_words(text: str) -> list[str]:
    """The words of a text, folded.

    Args:
        text: Any text.

    Returns:
        Runs of letters and digits after NFKC and case folding, without invisible characters.
    """
    if text.isascii():
        return _WORD.findall(text.lower())
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return _WORD.findall(folded)


def parts_of(text: str) -> Iterator[str]:
    """A text, or parts of a long one that have the same words, so that these need not be in memory at once.

    No word goes across white space, and neither does what NFKC composes or reorders.

    Args:
        text: Any text.

    Yields:
        The parts, in order.
    """
    start = 0
    while len(text) - start > _LONG:
        space = _SPACE.search(text, start + _LONG)
        if space is None:
            break
        yield text[start : space.end()]
        start = space.end()
    yield text[start:] if start else text
