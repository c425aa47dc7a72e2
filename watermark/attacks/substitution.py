"""Attacks on the words: replace some by other words of the table, as the marker itself did.

Outside the replaced words every character stays. Both attackers own the table: whoever has the
package has it. A released substitute is mostly no word that the marker would change again, so they
read the table both ways: the *group* of a word is what it may become, what may become it, and what
else that could have become.
"""

import random
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ...errors import InvalidInput
from ..lexicon import Lexicon, Tier
from ..selection import find_slots
from ..tables import Edit, apply_edits
from .attack import TextAttack, checked_share, random_for

__all__ = ["InformedAttack", "Resubstitute", "ShareOf", "Wording"]


class ShareOf(StrEnum):
    """Of which words a share is meant."""

    SUBSTITUTABLE = "substitutable"  # the words that the table reaches
    ALL = "all"  # all words, as far as the table reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubstitute(TextAttack):
    """Replace random words by random other words of their groups.

    The attacker knows the table but not how the marker selects words, and takes any word between
    characters that are neither letters nor digits, also in code or after "a". The number of words is
    the share of the text's words, rounded up or down at random so that the mean is exact.

    Attributes:
        share: Share of the words to replace, in (0, 1].
        of: The words it is a share of. Of all words, as the LexiMark paper counts (arXiv 2506.14474),
            it cannot be reached where the table holds too few: then every word it holds is replaced.
        tier: Tier of the shipped table.
        lexicon: Another table to use; `tier` is then without effect.
    """

    share: float
    of: ShareOf = ShareOf.SUBSTITUTABLE
    tier: Tier = Tier.BROAD
    lexicon: Lexicon | None = None

    def __post_init__(self) -> None:
        checked_share("share of words", self.share)
        if self.of not in set(ShareOf):
            raise InvalidInput(f"expected one of {[*map(str, ShareOf)]}, got {self.of!r}")

    def on_text(self, text: str, *, seed: int) -> str:
        """The text with random words replaced; see `TextAttack.on_text`."""
        rng = random_for("resubstitute", seed, text)
        groups = _groups(self.lexicon or Lexicon.shipped(self.tier))
        words = list(_WORD.finditer(text))
        reached = [word for word in words if word.group().lower() in groups]
        base = words if self.of is ShareOf.ALL else reached
        n = min(_rounded_at_random(self.share * len(base), rng), len(reached))
        edits = []
        for index in sorted(rng.sample(range(len(reached)), n)):
            old = reached[index].group()
            others = groups[old.lower()][1:]
            edits.append(Edit(*reached[index].span(), _in_capitals_of(old, rng.choice(others))))
        return apply_edits(text, edits)


class Wording(StrEnum):
    """What an informed attacker writes into the slots."""

    REDRAWN = "redrawn"  # any word of the group, itself included, all alike
    MOST_FREQUENT = (
        "most frequent"  # the group's most frequent word: more often the original than not
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InformedAttack(TextAttack):
    """Rewrite every slot, knowing the method, its parameters and the table, but not the key.

    The slots are found in the released text, whose words differ from the original's; so with the
    marker's own `per_sentence` a few slots are missed and a few other words are hit. Without a limit
    nearly none is missed, at the price of more edits.

    Attributes:
        wording: What is written into the slots; each slot by itself, also where the marker drew one
            choice per word type.
        tier: Tier of the shipped table that the marker used.
        per_sentence: Most slots per sentence; None for every admissible word.
        lexicon: Another table to use; `tier` is then without effect.
    """

    wording: Wording
    tier: Tier = Tier.STRICT
    per_sentence: int | None = None
    lexicon: Lexicon | None = None

    def __post_init__(self) -> None:
        if self.wording not in set(Wording):
            raise InvalidInput(f"expected one of {[*map(str, Wording)]}, got {self.wording!r}")
        if self.per_sentence is not None and self.per_sentence < 1:
            raise InvalidInput(f"expected at least 1 word per sentence, got {self.per_sentence}")

    def on_text(self, text: str, *, seed: int) -> str:
        """The text with every slot rewritten; see `TextAttack.on_text`."""
        rng = random_for("informed", seed, text)
        table = _read_both_ways(self.lexicon or Lexicon.shipped(self.tier))
        edits = []
        for slot in find_slots(text, table, per_sentence=self.per_sentence or sys.maxsize):
            if self.wording is Wording.REDRAWN:
                new = rng.choice(slot.choices)
            else:
                new = min(zip(slot.surprisals, slot.choices, strict=True))[1]
            edits.append(Edit(slot.start, slot.end, new))
        return apply_edits(text, edits)


# A run of letters that touches no digit, underscore or combining mark; linear on hostile input.
_WORD = re.compile(r"(?<!\w)[^\W\d_]++(?![\w\u0300-\u036f])")


@lru_cache(maxsize=8)
def _groups(lexicon: Lexicon) -> Mapping[str, tuple[str, ...]]:
    """For each word of a table, substitutes included: the word, then the rest of its group, a to z."""
    groups: dict[str, set[str]] = {}
    for choices in lexicon.entries():
        for word in choices:
            groups.setdefault(word, set()).update(choices)
    return {word: (word, *sorted(group - {word})) for word, group in groups.items()}


@lru_cache(maxsize=8)
def _read_both_ways(lexicon: Lexicon) -> Lexicon:
    """The table as an attacker reads it: the choices of a word are its group."""
    return lexicon.with_entries(_groups(lexicon))


def _rounded_at_random(x: float, rng: random.Random) -> int:
    """One of the two integers next to x, with mean x."""
    return int(x) + (rng.random() < x % 1)


def _in_capitals_of(old: str, new: str) -> str:
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new.capitalize() if old[0].isupper() else new
