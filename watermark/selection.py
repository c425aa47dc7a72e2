"""Which words of a text may be replaced: ordinary words of running prose, the rarest of each sentence.

Nothing here depends on the key. Code, markup, addresses, numbers, names and back-ticked text are
left alone; a word counts only if it stands between white space and ordinary punctuation.
"""

import bisect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .lexicon import Lexicon
from .lexicon.articles import starts_with_vowel_sound

__all__ = ["Slot", "find_slots", "to_the_rarest"]


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


_OPENERS = r"(\[\"'“‘"
_CLOSERS = r")\]\"'”’"
# Possessive quantifiers, and unclosed code that reaches to the end: linear on hostile input.
_WORD = re.compile(rf"(?<!\S)[{_OPENERS}]*+([A-Za-z]++)[.,;:!?{_CLOSERS}]*+(?!\S)")
_STOP = re.compile(rf"[.!?][{_CLOSERS}]*+(?=\s)|\n[ \t]*+(?=\n)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:(?:[A-Za-z]\.)*[A-Za-z]|ph\.d|etc|vs|cf|al|figs?|eqs?|refs?|no|nos|vols?|pp|sec|ch|"
    r"mr|mrs|ms|messrs|dr|prof|st|jr|sr|gen|col|capt|lt|sgt|sen|rep|gov|hon|rev|inc|ltd|co|corp|mt|"
    r"jan|feb|apr|aug|sept?|oct|nov|dec|approx|resp|viz|ca)$",
    re.IGNORECASE,
)
_PROTECTED = re.compile(
    r"""
      # fenced code, also in quotes and lists; a line of ticks with words cannot close it (CommonMark)
      ^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*+(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)
      .*?(?:\n[ \t>]*+(?P=fence)[`~]*+[ \t]*+$|\Z)
    | <(?P<tag>(?i:pre|code|script|style))\b.*?(?:</(?P=tag)|\Z)              # code in HTML
    | ^[ \t]*+(?:>>>|\.\.\.[ ]|In[ ]\[)[^\n]*+(?:\n(?![ \t]*+(?:\n|\Z))[^\n]*+)*+  # sessions and output
    | (?<!`)(?P<ticks>`++)(?:(?!\n[ \t]*+\n).){1,1000}?(?P=ticks)              # back-ticked text
    | <[^<>\n]{1,1000}+>                                                      # tags
    | \$[^$\n]{1,200}+\$                                                      # formulas
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_LITERAL_BLOCK = re.compile(r"^([ \t]*+)[^\n]*?::[ \t]*+\n((?:[ \t]*+\n)*+)", re.MULTILINE)
_LINE = re.compile(r"([ \t]*)[^\n]*(?:\n|\Z)")


def find_slots(text: str, lexicon: Lexicon, *, per_sentence: int) -> list[Slot]:
    """The words of a text that may be replaced.

    Args:
        text: Any text.
        lexicon: The substitution table.
        per_sentence: How many words of a sentence at most: those of highest surprisal, the earlier
            one where two are alike.

    Returns:
        Slots in the order of the text.
    """
    text = text.replace("\r\n", " \n").replace("\r", "\n")  # one kind of line end, same positions
    candidates = list(_candidates(text, lexicon))
    if not candidates:
        return []
    ends = _sentence_ends(text)
    by_sentence: dict[int, list[Slot]] = {}
    for slot in candidates:
        by_sentence.setdefault(bisect.bisect_right(ends, slot.start), []).append(slot)
    kept: list[Slot] = []
    for slots in by_sentence.values():
        rarest = sorted(slots, key=lambda slot: (-slot.surprisals[0], slot.start))[:per_sentence]
        kept += sorted(rarest, key=lambda slot: slot.start)
    return kept


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


def _candidates(text: str, lexicon: Lexicon) -> Iterator[Slot]:
    protected: list[tuple[int, int]] | None = None
    for match in _WORD.finditer(text):
        original = match.group(1)
        word = original.lower()
        choices = lexicon.choices(word)
        if not choices:
            continue
        start, end = match.span(1)
        if original != word and not (_is_title(original) and _opens_sentence(text, match.start())):
            continue
        if _follows_article(text, start) and not _one_article(choices):
            continue
        protected = _protected_spans(text) if protected is None else protected
        if _inside(protected, start):
            continue
        shown = choices if original == word else tuple(c.capitalize() for c in choices)
        yield Slot(start, end, word, shown, tuple(map(lexicon.surprisal, choices)))


_ARTICLE_BEFORE = re.compile(rf"(?<!\w)an?[\s{_OPENERS}]+$", re.IGNORECASE)


def _follows_article(text: str, position: int) -> bool:
    """Whether "a" or "an" stands before a position, or is too far away to be seen."""
    nearby = text[max(position - 100, 0) : position]
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


def _sentence_ends(text: str) -> list[int]:
    """Positions behind each sentence, ascending."""
    return [
        stop.end()
        for stop in _STOP.finditer(text)
        if text[stop.start()] != "."
        or not text[stop.start() - 1 : stop.start()].isalpha()
        or not _ABBREVIATION.search(text[max(stop.start() - 12, 0) : stop.start()])
    ]


def _protected_spans(text: str) -> list[tuple[int, int]]:
    """Merged spans of code and markup, ascending."""
    spans = [match.span() for match in _PROTECTED.finditer(text)]
    if "::" in text:
        spans += _literal_blocks(text)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _literal_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Indented blocks after a line that ends in `::` (reStructuredText)."""
    position = 0
    for opener in _LITERAL_BLOCK.finditer(text):
        if opener.start() < position:
            continue  # within the last block, which then holds its block too
        margin = len(opener.group(1).expandtabs())
        position = opener.end()
        while position < len(text) and (line := _LINE.match(text, position)) is not None:
            if line.group().strip() and len(line.group(1).expandtabs()) <= margin:
                break
            position = line.end()
        yield opener.end(), position


def _inside(spans: list[tuple[int, int]], position: int) -> bool:
    index = bisect.bisect_right(spans, (position, len(spans) and spans[-1][1] + 1)) - 1
    return index >= 0 and spans[index][0] <= position < spans[index][1]
