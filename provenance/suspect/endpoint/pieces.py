"""Long texts in pieces for models whose tokenizer is not known: cut where every tokenizer begins a token."""

import re
from dataclasses import dataclass

__all__ = ["Piece", "context_before", "pieces_of"]

# Tokenizers differ in what they do with line ends and punctuation, but not with one space between words.
_BEFORE_WORD = re.compile(r"(?<=\w) (?=\w)")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text, and what goes before it.

    Attributes:
        before: The text before, as much as is sent along; its tokens are not counted.
        text: The part itself.
    """

    before: str
    text: str


def pieces_of(text: str, longest: int | None) -> list[Piece]:
    """A text in parts, each sent with what goes before it.

    Args:
        text: The text.
        longest: Characters sent at once; None: all.

    Returns:
        Parts that make up the text. But for the first, each is half as long as what is sent at once.
    """
    if longest is None or len(text) <= longest:
        return [Piece("", text)]
    half = longest // 2
    pieces, begin, room = [], 0, longest
    while begin < len(text):
        end = len(text) if begin + room >= len(text) else _last_cut(text, begin, begin + room)
        pieces.append(Piece(context_before(text, begin, half) if begin else "", text[begin:end]))
        begin, room = end, half
    return pieces


def context_before(text: str, place: int, longest: int | None) -> str:
    """The text before a place: all, or the end of it, at most so many characters, from a word on."""
    if longest is None or place <= longest:
        return text[:place]
    found = _BEFORE_WORD.search(text, place - longest, place)
    return text[found.start() if found else place - longest : place]


def _last_cut(text: str, begin: int, end: int) -> int:
    """The last space between words in the second half of a stretch, or its end."""
    cuts = [m.start() for m in _BEFORE_WORD.finditer(text, (begin + end) // 2, end)]
    return cuts[-1] if cuts else end
