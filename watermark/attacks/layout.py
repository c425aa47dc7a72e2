"""What honest pipelines do to the characters of a text: lower case, Unicode and white space."""

import math
import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby

from ...errors import InvalidInput
from .attack import TextAttack, checked_share

__all__ = ["LowerCase", "NormaliseSpace", "NormaliseUnicode", "Truncate"]


@dataclass(frozen=True, slots=True)
class LowerCase(TextAttack):
    """Lower-case the text."""

    def on_text(self, text: str, *, seed: int) -> str:
        """The text in lower case; nothing is random. See `TextAttack.on_text`."""
        return text.lower()


_QUOTES = dict.fromkeys("‘’‚‛′‹›", "'") | dict.fromkeys("“”„‟″«»", '"')
_DASHES = dict.fromkeys("‐‑‒–—―−", "-")
# Zero-width characters, the soft hyphen and the marks of writing direction.
_UNSEEN = dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", "") | dict.fromkeys(
    map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]), ""
)
_PLAIN = str.maketrans(_QUOTES | _DASHES | _UNSEEN)


@dataclass(frozen=True, slots=True)
class NormaliseUnicode(TextAttack):
    """Normalise to NFKC, make quotes and dashes plain ASCII, and drop characters nobody sees.

    Twice is the same as once. Letters of other alphabets stay what they are, so look-alikes
    (`baselines.LookAlikes`) survive.
    """

    def on_text(self, text: str, *, seed: int) -> str:
        """The normalised text; nothing is random. See `TextAttack.on_text`."""
        # What is unseen goes first, as a letter may combine with what stands behind it.
        return _nfkc(text.translate(_PLAIN)).translate(_PLAIN)


# Long runs of what may be combining marks, with the two letters that decompose into one.
_MARKS = re.compile(r"(?:[^\w\x00-\x7f]|[\uff9e\uff9f]){32,}+")


def _nfkc(text: str) -> str:
    """NFKC, whose order of combining marks Python finds by insertion: quadratic in a run of marks.

    Long runs are decomposed and sorted beforehand, which leads to the same result (UAX #15).
    """
    return unicodedata.normalize("NFKC", _MARKS.sub(lambda run: _ordered(run.group()), text))


def _ordered(run: str) -> str:
    decomposed = "".join(unicodedata.normalize("NFKD", character) for character in run)
    pieces: list[str] = []
    for _, characters in groupby(decomposed, key=lambda c: unicodedata.combining(c) > 0):
        pieces += sorted(characters, key=unicodedata.combining)  # stable; starters are all 0
    return "".join(pieces)


_BLANKS = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NormaliseSpace(TextAttack):
    """Make every run of white space one space, and drop it at both ends of the text.

    Twice is the same as once.

    Attributes:
        keep_lines: Keep line breaks, at most one empty line in a row, and drop white space at the ends
            of lines only; indents shrink to one space.
    """

    keep_lines: bool = False

    def on_text(self, text: str, *, seed: int) -> str:
        """The text with plain white space; nothing is random. See `TextAttack.on_text`."""
        if not self.keep_lines:
            return " ".join(text.split())
        spaced = _BLANKS.sub(" ", _LINE_ENDS.sub("\n", text))
        return _EMPTY_LINES.sub("\n\n", spaced.replace(" \n", "\n")).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(TextAttack):
    """Keep the beginning of each text; the cut may go through a word.

    Attributes:
        characters: How many code points to keep, at least 1; or
        share: which share of them to keep, in (0, 1], rounded up. Exactly one of the two is given.
    """

    characters: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.characters is None) == (self.share is None):
            raise InvalidInput("expected either a number of characters or a share of them")
        if self.characters is not None and self.characters < 1:
            raise InvalidInput(f"expected at least 1 character, got {self.characters}")
        if self.share is not None:
            checked_share("share of characters", self.share)

    def on_text(self, text: str, *, seed: int) -> str:
        """The beginning of the text; nothing is random. See `TextAttack.on_text`."""
        if self.share is None:
            return text[: self.characters]
        # The margin keeps rounding errors, as in 0.1 * 30, from adding a character.
        return text[: math.ceil(self.share * len(text) - 1e-9)]
