"""The words of a text that a source is asked about, each in its sentence."""

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..selection import Budget, Place, find_places, rarest_within, sentence_ends
from .rules import Rules

__all__ = ["Context", "asked_places", "in_context"]

_REACH = 400  # characters of its sentence that are read on either side of a word
_ASKED_PER_KEPT = 2  # places asked about for each that may be kept, as many come back empty


@dataclass(frozen=True, slots=True)
class Context:
    """A word in its sentence, of which at most 400 characters on either side are read."""

    before: str
    word: str
    after: str

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of the word in `sentence`."""
        return len(self.before), len(self.before) + len(self.word)

    @property
    def sentence(self) -> str:
        """The text of the context."""
        return self.before + self.word + self.after

    def with_word(self, word: str) -> "Context":
        """The same sentence with another word, which takes over a capital."""
        return replace(self, word=word.capitalize() if self.word[0].isupper() else word)


def in_context(text: str, places: Iterable[Place]) -> Iterator[tuple[Place, Context]]:
    """Places of a text, each with its sentence.

    Args:
        text: An original text.
        places: Its places, in any order.

    Yields:
        In the order of `places`.
    """
    ends = sentence_ends(text)
    for place in places:
        index = bisect.bisect_right(ends, place.start)
        begin = ends[index - 1] if index else 0
        end = ends[index] if index < len(ends) else len(text)
        yield place, _context(text, place, begin, end)


def asked_places(text: str, rules: Rules, budget: Budget) -> Iterator[tuple[Place, Context]]:
    """The places of a text that a source without a word list of its own is asked about.

    Args:
        text: An original text.
        rules: Which words may change.
        budget: How many may be kept; twice as many are asked about, the most surprising ones.

    Returns:
        Places in the order of the text, each with its sentence.
    """
    wider = replace(
        budget,
        per_sentence=budget.per_sentence and _ASKED_PER_KEPT * budget.per_sentence,
        share=budget.share and min(_ASKED_PER_KEPT * budget.share, 1.0),
        most_per_record=budget.most_per_record and _ASKED_PER_KEPT * budget.most_per_record,
    )
    places = list(find_places(text, rules.may_change))
    kept = rarest_within(wider, text, places, lambda place: rules.surprisal(place.word))
    return in_context(text, kept)


def _context(text: str, place: Place, begin: int, end: int) -> Context:
    """Long "sentences", such as lists without a stop, are cut at white space if there is some."""
    before = text[max(begin, place.start - _REACH) : place.start]
    if place.start - _REACH > begin:
        before = before[before.find(" ") + 1 :]
    after = text[place.end : min(end, place.end + _REACH)]
    if place.end + _REACH < end:
        after = after[: after.rfind(" ")] if " " in after else after
    return Context(before.lstrip(), text[place.start : place.end], after.rstrip())
