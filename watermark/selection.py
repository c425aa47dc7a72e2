"""Which words of a text may be replaced: ordinary words of running prose, the rarest of each sentence.

Nothing here depends on the key. Code, markup, table rows, addresses, numbers, names and back-ticked
text are left alone; a word counts only if it stands between white space and ordinary punctuation. The
table may also name the neighbours beside which a word must stay as it is.

`find_slots` is the whole way with a substitution table. Other sources of substitutes
(`candidates`) take its parts: `find_places` and `rarest_within`.
"""

import bisect
import math
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from ..errors import InvalidInput
from .code_spans import is_inside, line_around, protected_spans
from .lexicon import Lexicon
from .lexicon.articles import starts_with_vowel_sound

__all__ = [
    "Budget",
    "Place",
    "Slot",
    "all_slots",
    "find_places",
    "find_slots",
    "rarest_within",
    "sentence_ends",
    "to_the_rarest",
]


@dataclass(frozen=True, slots=True)
class Slot:
    """A word that may be replaced.

    Attributes:
        start: First character (code points).
        end: End, exclusive.
        word: The lower-case word, which names its unit by type.
        choices: What may stand there, in the capitals of the original; the original comes first.
        surprisals: -log2 of each choice's frequency, in bits.
    """

    start: int
    end: int
    word: str
    choices: tuple[str, ...]
    surprisals: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A word of running prose that could be replaced, if anything else may stand there.

    Attributes:
        start: First character (code points).
        end: End, exclusive.
        word: The word in lower case.
        is_title: Whether it has a capital, because it opens a sentence.
        follows_article: Whether "a" or "an" stands before it, or cannot be ruled out.
    """

    start: int
    end: int
    word: str
    is_title: bool
    follows_article: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many words may be replaced; of several limits the smallest counts.

    Attributes:
        per_sentence: Most words per sentence (LexiMark's K), or None.
        share: Most words per sentence as a part of its words, rounded up, or None.
        most_per_record: Most words per text, or None.
    """

    per_sentence: int | None = 5
    share: float | None = None
    most_per_record: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (
            ("per sentence", self.per_sentence),
            ("per record", self.most_per_record),
        ):
            if limit is not None and limit < 1:
                raise InvalidInput(f"expected at least 1 word {name}, got {limit}")
        if self.share is not None and not 0 < self.share <= 1:
            raise InvalidInput(
                f"expected a share of words above 0 and at most 1, got {self.share}",
                "0.1 is one word in ten",
            )

    def limit(self, sentence: str) -> int | None:
        """Most words of this sentence, or None for all."""
        if self.share is None:
            return self.per_sentence
        n_words = sum(any(map(str.isalpha, piece)) for piece in sentence.split())
        by_share = math.ceil(self.share * n_words - 1e-9)  # 0.1 * 30 is a little above 3
        return by_share if self.per_sentence is None else min(by_share, self.per_sentence)


class _Placed(Protocol):
    @property
    def start(self) -> int: ...


_PlacedT = TypeVar("_PlacedT", bound=_Placed)

_OPENERS = r"(\[\"'“‘"
_CLOSERS = r")\]\"'”’"
_PUNCTUATION = ".,;:!?([\"'“‘)]”’"
# Possessive quantifiers: linear on hostile input.
_WORD = re.compile(rf"(?<!\S)[{_OPENERS}]*+([A-Za-z]++)[.,;:!?{_CLOSERS}]*+(?!\S)")
_STOP = re.compile(rf"[.!?][{_CLOSERS}]*+(?=\s)|\n[ \t]*+(?=\n)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:(?:[A-Za-z]\.)*[A-Za-z]|ph\.d|etc|vs|cf|al|figs?|eqs?|refs?|no|nos|vols?|pp|sec|ch|"
    r"mr|mrs|ms|messrs|dr|prof|st|jr|sr|gen|col|capt|lt|sgt|sen|rep|gov|hon|rev|inc|ltd|co|corp|mt|"
    r"jan|feb|apr|aug|sept?|oct|nov|dec|approx|resp|viz|ca)$",
    re.IGNORECASE,
)


def find_slots(text: str, lexicon: Lexicon, *, per_sentence: int) -> list[Slot]:
    """The words of a text that may be replaced by words of a substitution table.

    Args:
        text: Any text.
        lexicon: The substitution table.
        per_sentence: How many words of a sentence at most: those of highest surprisal, the earlier
            one where two are alike.

    Returns:
        Slots in the order of the text.
    """
    return rarest_within(
        Budget(per_sentence=per_sentence),
        text,
        all_slots(text, lexicon),
        lambda slot: slot.surprisals[0],
    )


def all_slots(text: str, lexicon: Lexicon) -> list[Slot]:
    """Every word that a substitution table could replace, however many a sentence has."""
    slots = []
    for place in _places(text, lexicon.forms.__contains__, partial(_stands_free, lexicon)):
        choices = lexicon.choices(place.word)
        if place.follows_article and not _one_article(choices):
            continue
        shown = tuple(c.capitalize() for c in choices) if place.is_title else choices
        surprisals = tuple(map(lexicon.surprisal, choices))
        slots.append(Slot(place.start, place.end, place.word, shown, surprisals))
    return slots


def find_places(text: str, is_wanted: Callable[[str], object]) -> Iterator[Place]:
    """The words of running prose that a source may have substitutes for.

    Args:
        text: Any text.
        is_wanted: Whether a lower-case word is of interest; asked first, as most words are not.

    Returns:
        Places in the order of the text.
    """
    return _places(text, is_wanted, lambda *_: True)


def _places(
    text: str,
    is_wanted: Callable[[str], object],
    is_free: Callable[[str, re.Match[str]], bool],
) -> Iterator[Place]:
    """`find_places`, with a further say for whoever looks at the neighbours of a match of `_WORD`."""
    text = _one_line_end(text)
    protected: list[tuple[int, int]] | None = None
    line_end, in_code = 0, False  # of the last line that was looked at
    for match in _WORD.finditer(text):
        original = match.group(1)
        word = original.lower()
        if not is_wanted(word) or not is_free(text, match):
            continue
        start, end = match.span(1)
        is_title = original != word
        if is_title and not (_is_title(original) and _opens_sentence(text, match.start())):
            continue
        if start >= line_end:
            line_end, in_code = line_around(text, start)
        if in_code:
            continue
        protected = protected_spans(text) if protected is None else protected
        if not is_inside(protected, start):
            yield Place(start, end, word, is_title, _follows_article(text, start))


# What a neighbour is called that is no plain word; `lexicon.contexts` uses the same signs.
_BOUNDARY, _NUMBER, _OTHER = ".", "#", "`"
_NEARBY = 60
_NEIGHBOUR = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def _stands_free(lexicon: Lexicon, text: str, match: re.Match[str]) -> bool:
    """Whether the word of a match is in none of the phrases in which it must stay as it is."""
    context = lexicon.context(match.group(1).lower())
    return context is None or (
        (not context.looks_ahead or context.admits_before(_following(text, match)))
        and (not context.looks_back or context.admits_after(_previous(text, match)))
    )


def _previous(text: str, match: re.Match[str]) -> str:
    """The word before a match in lower case, or the sign of what stands there."""
    before = text[max(match.start() - _NEARBY, 0) : match.start()]
    stripped = before.rstrip()
    apart = match.start() < match.start(1) or before.count("\n", len(stripped)) > 1
    if apart or not stripped:
        return _BOUNDARY
    piece = stripped.split()[-1]
    if piece.endswith(tuple(_PUNCTUATION)):
        return _BOUNDARY
    return _neighbour(piece)


def _following(text: str, match: re.Match[str]) -> str:
    """The word behind a match in lower case, or the sign of what stands there."""
    behind = text[match.end() : match.end() + _NEARBY]
    stripped = behind.lstrip()
    apart = match.end(1) < match.end() or behind.count("\n", 0, -len(stripped)) > 1
    if apart or not stripped:
        return _BOUNDARY
    piece = stripped.split(None, 1)[0]
    if piece.startswith(tuple(_PUNCTUATION)):
        return _BOUNDARY
    return _neighbour(piece)


def _neighbour(piece: str) -> str:
    word = piece.strip(_PUNCTUATION).lower().replace("’", "'")
    if _NEIGHBOUR.fullmatch(word):
        return word
    if word[:1].isdigit():
        return _NUMBER
    return _OTHER if any(map(str.isalnum, word)) else _BOUNDARY


def rarest_within(
    budget: Budget, text: str, found: Sequence[_PlacedT], bits: Callable[[_PlacedT], float]
) -> list[_PlacedT]:
    """What a budget leaves of the slots or places of a text: the most surprising words.

    Source: German et al. (2025), arXiv 2506.14474, for the K most surprising words of a sentence.

    Args:
        budget: How many may stay.
        text: The original text.
        found: Slots or places of the text, in its order.
        bits: The surprisal of one of them.

    Returns:
        Those of highest surprisal, the earlier one where two are alike, in the order of the text.
        The record's limit is applied to what the limits of the sentences left.
    """
    if not found:
        return []
    ends = sentence_ends(text)
    by_sentence: dict[int, list[_PlacedT]] = {}
    for one in found:
        by_sentence.setdefault(bisect.bisect_right(ends, one.start), []).append(one)
    kept: list[_PlacedT] = []
    for index, ones in by_sentence.items():
        begin = ends[index - 1] if index else 0
        limit = budget.limit(text[begin : ends[index] if index < len(ends) else None])
        kept += _rarest(ones, limit, bits)
    return _rarest(kept, budget.most_per_record, bits)


def _rarest(
    ones: list[_PlacedT], limit: int | None, bits: Callable[[_PlacedT], float]
) -> list[_PlacedT]:
    if limit is None or len(ones) <= limit:
        return ones
    rarest = sorted(ones, key=lambda one: (-bits(one), one.start))[:limit]
    return sorted(rarest, key=lambda one: one.start)


def to_the_rarest(slots: Iterable[Slot]) -> list[Slot]:
    """LexiMark's choice: each word against its rarest substitute; slots without a rarer one are left out.

    Source: German et al. (2025), arXiv 2506.14474. There the most surprising words of a sentence are
    chosen first and left alone if they have no substitute; here they are chosen among those that have.
    """
    return [
        replace(
            slot,
            choices=(slot.choices[0], slot.choices[rarest]),
            surprisals=(slot.surprisals[0], slot.surprisals[rarest]),
        )
        for slot in slots
        if (rarest := max(range(len(slot.choices)), key=slot.surprisals.__getitem__)) != 0
    ]


def _one_line_end(text: str) -> str:
    """The text with line feeds only; every other character keeps its position."""
    return text.replace("\r\n", " \n").replace("\r", "\n")


_SPACE_AND_OPENERS = f"{string.whitespace}\u00a0{_OPENERS}"
_ARTICLE_BEFORE = re.compile(rf"(?<!\w)an?[\s{_OPENERS}]+$", re.IGNORECASE)


def _follows_article(text: str, position: int) -> bool:
    """Whether "a" or "an" stands before a position, or is too far away to be seen."""
    nearby = text[max(position - 100, 0) : position]
    before = nearby.rstrip(_SPACE_AND_OPENERS)
    if before[-1:] not in "aAnN":  # nearly always; an empty end is in every string
        return False
    unseen = len(nearby) == 100 and nearby.isspace()
    return unseen or _ARTICLE_BEFORE.search(nearby) is not None


def _one_article(choices: tuple[str, ...]) -> bool:
    """Whether all choices surely take the same article, a or an."""
    sounds = {starts_with_vowel_sound(choice) for choice in choices}
    return len(sounds) == 1 and None not in sounds


def _is_title(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and word[1:].islower()


def _opens_sentence(text: str, position: int) -> bool:
    """Whether a word at this position starts a sentence, so that its capital says nothing."""
    before = text[max(position - 200, 0) : position]
    stripped = before.rstrip()
    if not stripped:
        return position <= 200  # the start of the text, not a long run of spaces
    if before[len(stripped) :].count("\n") > 1:
        return True
    closed = stripped.rstrip("".join(_CLOSERS.replace("\\", "")))
    return closed.endswith((".", "!", "?")) and not _ABBREVIATION.search(closed[:-1][-12:])


def sentence_ends(text: str) -> list[int]:
    """Positions behind each sentence, ascending."""
    text = _one_line_end(text)
    return [
        stop.end()
        for stop in _STOP.finditer(text)
        if text[stop.start()] != "."
        or not text[stop.start() - 1 : stop.start()].isalpha()
        or not _ABBREVIATION.search(text[max(stop.start() - 12, 0) : stop.start()])
    ]
