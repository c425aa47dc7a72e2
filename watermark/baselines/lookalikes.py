"""Marks that replace letters by others that look alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ..keys import Drawer
from ..tables import Edit
from .baseline import DRAWS, Baseline, Scope, check_choices, variant_numbers

__all__ = ["LOOK_ALIKES", "LookAlikes", "Pattern"]

# Letters that most fonts draw alike, Latin to Cyrillic (UTS #39, confusables.txt). NFKC keeps them.
LOOK_ALIKES: Mapping[str, str] = MappingProxyType(
    dict(zip("acdehijopqswxy", "асԁеһіјорԛѕԝху", strict=True))
    | dict(zip("ABCEHIJKMOPSTX", "АВСЕНІЈКМОРЅТХ", strict=True))
)


class Pattern(StrEnum):
    """What one coin of the look-alikes decides."""

    LETTER = "letter"  # a letter of the alphabet, wherever it stands
    WORD = "word"  # a letter within a word type (as written), wherever that word stands


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlikes(Baseline):
    """Some letters replaced by Cyrillic ones that look alike.

    For each variant every letter of `LOOK_ALIKES` has a fair coin of its own: heads, and it is replaced
    throughout the unit. So each variant is a uniform subset of the letters. With scope RECORD (unit: the
    distinct text) `ghost_test` is valid, with scope DATASET (unit: the dataset) `rank_test` on the
    summed scores, for either pattern: coins per word type are more, but all texts share them.

    Attributes:
        pattern: Whether the coins are the same in all words.
    """

    pattern: Pattern = Pattern.LETTER

    def __post_init__(self) -> None:
        check_choices(self, scope=Scope, pattern=Pattern)

    def edits(self, text: str, drawer: Drawer, n_ghosts: int) -> list[tuple[Edit, ...]]:
        """One edit per replaced letter; see `Baseline.edits`."""
        return [
            tuple(
                Edit(i, i + 1, new)
                for i, (old, new) in enumerate(zip(text, variant, strict=True))
                if old != new
            )
            for variant in self.variants(text, drawer, n_ghosts)
        ]

    def variants(self, text: str, drawer: Drawer, n_ghosts: int) -> list[str]:
        """The variants, of the length of the text; see `Baseline.variants`."""
        unit = self._unit(text)
        if self.pattern is Pattern.LETTER:
            return [
                text.translate(_coined(drawer, unit, str(v), "")) for v in variant_numbers(n_ghosts)
            ]
        pieces = _LETTERS.split(text)  # odd ones are words
        return [_by_word(pieces, drawer, unit, str(v)) for v in variant_numbers(n_ghosts)]


_LETTERS = re.compile(r"([A-Za-z]+)")


def _coined(drawer: Drawer, *unit: str) -> dict[int, str]:
    """The letters whose coin shows heads, by code point: each subset is equally likely."""
    coins = drawer.draw(1 << len(LOOK_ALIKES), DRAWS, "look-alikes", *unit)
    return {ord(old): new for i, (old, new) in enumerate(LOOK_ALIKES.items()) if coins >> i & 1}


def _by_word(pieces: Sequence[str], drawer: Drawer, *unit: str) -> str:
    """The pieces joined, every second one a word with coins of its own."""
    words = {word: word.translate(_coined(drawer, *unit, word)) for word in set(pieces[1::2])}
    return "".join(words[piece] if i % 2 else piece for i, piece in enumerate(pieces))
