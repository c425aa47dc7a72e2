"""Candidates from the substitution table alone: no model, the same choices wherever a word stands."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from ...stats import Input
from ..lexicon import Lexicon
from ..selection import Budget, Slot, all_slots, rarest_within
from ..source_identity import SourceIdentity
from .protection import Protection

__all__ = ["LexiconSource"]


class LexiconSource:
    """The default source. A word has one set of choices, so its unit may be the word type.

    Its slots are those of `find_slots`, as long as no words are protected.

    Args:
        lexicon: The substitution table; default: the shipped one, strict tier.
        protect: Words that must stay as they are, in all their forms.
        budget: How many words may be replaced; default: 5 per sentence.
        rarer_only: Whether a substitute must be rarer than the word, as LexiMark publishes.
    """

    reads_context = False

    def __init__(
        self,
        lexicon: Lexicon | None = None,
        *,
        protect: Iterable[str] = (),
        budget: Budget | None = None,
        rarer_only: bool = False,
    ) -> None:
        self._rarer_only = rarer_only
        self._lexicon = Lexicon.shipped() if lexicon is None else lexicon
        self._protection = Protection(protect)
        self._budget = Budget() if budget is None else budget

    @property
    def identity(self) -> SourceIdentity:
        """See `CandidateSource.identity`."""
        settings = {"tier": self._lexicon.tier.value, **asdict(self._budget)}
        return SourceIdentity(
            name="lexicon",
            settings={
                **settings,
                **self._protection.settings,
                "rarer_only": self._rarer_only,
            },
            inputs=(Input(name="substitution table", sha256=self._lexicon.sha256),),
        )

    def slots(self, texts: Sequence[str]) -> list[list[Slot]]:
        """See `CandidateSource.slots`."""
        return [self._slots_of(text) for text in texts]

    def _slots_of(self, text: str) -> list[Slot]:
        slots = all_slots(text, self._lexicon)
        if self._protection.words or self._rarer_only:
            slots = [s for slot in slots for s in self._narrowed(slot)]
        return rarest_within(self._budget, text, slots, lambda slot: slot.surprisals[0])

    def _narrowed(self, slot: Slot) -> list[Slot]:
        """The slot without the choices that are not wanted, or nothing if it is then no slot."""
        if self._protection.protects(slot.word):
            return []
        kept = [0, *(i for i in range(1, len(slot.choices)) if self._is_wanted(slot, i))]
        if len(kept) < 2:
            return []
        choices = tuple(slot.choices[i] for i in kept)
        return [replace(slot, choices=choices, surprisals=tuple(slot.surprisals[i] for i in kept))]

    def _is_wanted(self, slot: Slot, index: int) -> bool:
        if self._rarer_only and slot.surprisals[index] <= slot.surprisals[0]:
            return False
        return not self._protection.protects(slot.choices[index].lower())
