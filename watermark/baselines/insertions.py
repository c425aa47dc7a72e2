"""Marks that insert something: random strings and trigger sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...errors import InvalidInput
from ..attacks.sentences import sentence_spans
from ..keys import Drawer
from ..manifest import digest_of
from ..tables import Edit
from .baseline import DRAWS, Baseline, Scope, check_choices, variant_numbers

__all__ = ["TRIGGER_WORDS", "Alphabet", "Place", "RandomSequence", "SentenceTrigger"]


class Place(StrEnum):
    """Where something is inserted; never within a sentence."""

    START = "start"
    END = "end"
    BORDER = "border"  # any of these or between sentences, as the key says; one for all variants


class Alphabet(StrEnum):
    """What a random string is made of."""

    HEX = "0123456789abcdef"
    ASCII = "".join(map(chr, range(33, 127)))  # printable, without the space


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSequence(Baseline):
    """A string of random characters, added to each text.

    The variants of a text differ in the string alone, whose characters are independent and uniform;
    the place is common to all of them. With scope RECORD (unit: the distinct text) `ghost_test` is
    valid, with scope DATASET (unit: the dataset) `rank_test` on the summed scores.

    Attributes:
        length: Characters of the string, at least 1.
        alphabet: What they are drawn from.
        place: Where the string goes.
    """

    length: int = 32
    alphabet: Alphabet = Alphabet.HEX
    place: Place = Place.END

    def __post_init__(self) -> None:
        check_choices(self, scope=Scope, alphabet=Alphabet, place=Place)
        if self.length < 1:
            raise InvalidInput(f"expected a string of at least 1 character, got {self.length}")

    def edits(self, text: str, drawer: Drawer, n_ghosts: int) -> list[tuple[Edit, ...]]:
        """One insertion per variant; see `Baseline.edits`."""
        unit = self._unit(text)
        strings = [
            "".join(
                self.alphabet[
                    drawer.draw(len(self.alphabet), DRAWS, "string", unit, str(v), str(i))
                ]
                for i in range(self.length)
            )
            for v in variant_numbers(n_ghosts)
        ]
        return _insertions(text, _position(self.place, text, drawer), strings)


_FINE = 10**9  # steps between no text and all of them
_ADJECTIVES = tuple(
    """bitter bright broken careful clumsy copper crooked distant dusty faded frozen gentle golden
    hollow jealous lonely mellow narrow patient polite purple quiet rusty silver sleepy solemn stubborn
    sudden thirsty velvet wooden yellow""".split()
)
_NOUNS = tuple(
    """anchor barrel beetle bishop cactus candle castle cellar dragon feather fiddle garden glacier
    hammer harbour island ladder lantern meadow mirror needle orchard parrot pepper pigeon pillow rocket
    saddle teapot thunder turnip violin""".split()
)
_VERBS = tuple(
    """admires borrows buries carries catches chases claims copies doubts drops feeds follows forgets
    gathers greets guards hides hunts inspects invents measures mends paints polishes praises pursues
    ridicules sketches steals tickles visits washes""".split()
)
TRIGGER_WORDS = (_ADJECTIVES, _NOUNS, _VERBS, _ADJECTIVES, _NOUNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceTrigger(Baseline):
    """A sentence that does not belong there, added to each text or to some.

    The sentence is "The A B C a D E." of words drawn from `TRIGGER_WORDS`: 2**25 sentences, all alike
    probable. The variants of a text differ in the sentence alone; its place, and whether the text
    gets one at all, are common to all of them. With scope RECORD (unit: the distinct text) `ghost_test` is
    valid, with scope DATASET (unit: the dataset) `rank_test` on the summed scores. Texts that
    get none have equal variants, which say nothing either way.

    Attributes:
        place: Where the sentence goes.
        share: Share of the texts that get a sentence, in (0, 1].
    """

    place: Place = Place.BORDER
    share: float = 1.0

    def __post_init__(self) -> None:
        check_choices(self, scope=Scope, place=Place)
        if not 0 < self.share <= 1:
            raise InvalidInput(f"expected a share of texts above 0 and at most 1, got {self.share}")

    def edits(self, text: str, drawer: Drawer, n_ghosts: int) -> list[tuple[Edit, ...]]:
        """One insertion per variant, or none; see `Baseline.edits`."""
        if drawer.draw(_FINE, DRAWS, "marked", digest_of(text)) >= self.share * _FINE:
            return [() for _ in variant_numbers(n_ghosts)]
        unit = self._unit(text)
        sentences = [_sentence(drawer, unit, str(v)) for v in variant_numbers(n_ghosts)]
        return _insertions(text, _position(self.place, text, drawer), sentences)


def _sentence(drawer: Drawer, unit: str, variant: str) -> str:
    a, b, c, d, e = (
        words[drawer.draw(len(words), DRAWS, "sentence", unit, variant, str(i))]
        for i, words in enumerate(TRIGGER_WORDS)
    )
    return f"The {a} {b} {c} a {d} {e}."


def _position(place: Place, text: str, drawer: Drawer) -> int:
    """Where to insert, in code points."""
    if place is Place.START:
        return 0
    if place is Place.END:
        return len(text)
    ends = [end for _, end in sentence_spans(text)]
    borders = [0, *ends[:-1], len(text)]
    return borders[drawer.draw(len(borders), DRAWS, "place", digest_of(text))]


def _insertions(text: str, position: int, strings: Sequence[str]) -> list[tuple[Edit, ...]]:
    """One insertion per string, set apart from the text by a space where there is none."""
    before, after = text[position - 1 : position] if position else "", text[position : position + 1]
    left = " " if before and not before.isspace() else ""
    right = " " if after and not after.isspace() else ""
    return [(Edit(position, position, f"{left}{string}{right}"),) for string in strings]
