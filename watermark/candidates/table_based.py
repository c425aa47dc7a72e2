"""What `sbert` and `bert` share: pairs of the substitution table, admitted where a model agrees."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..selection import Budget, Slot, find_places
from ..source_identity import SourceIdentity
from .base import Proposal, settled, threshold
from .encoders import Encoder
from .places import Context, in_context
from .rules import Rules
from .thesaurus import Thesaurus

__all__ = ["TableBasedSource"]


class TableBasedSource(ABC):
    """Admits a pair of the table where the cosine reaches a threshold.

    Args:
        encoder: The model.
        least_cosine: Least cosine of what is admitted.
        thesaurus: Where substitutes come from; default: the shipped table, broad tier.
        protect: Words that must stay as they are, in all their forms.
        budget: How many words may be replaced; default: 5 per sentence. It is applied last, to the
            words that have an admitted substitute.
    """

    name: str
    reads_context = True

    def __init__(
        self,
        encoder: Encoder,
        *,
        least_cosine: float = 0.8,
        thesaurus: Thesaurus | None = None,
        protect: Iterable[str] = (),
        budget: Budget | None = None,
        rarer_only: bool = False,
    ) -> None:
        self._encoder = encoder
        self._least_cosine = threshold(least_cosine)
        self._thesaurus = Thesaurus() if thesaurus is None else thesaurus
        self._rules = Rules(protect, rarer_only=rarer_only)
        self._budget = Budget() if budget is None else budget

    @property
    def identity(self) -> SourceIdentity:
        """See `CandidateSource.identity`."""
        return SourceIdentity(
            name=self.name,
            settings={
                "least_cosine": self._least_cosine,
                "tier": self._thesaurus.tier.value,
                **asdict(self._budget),
                **self._rules.settings,
            },
            inputs=(self._thesaurus.identity, self._encoder.identity),
        )

    def slots(self, texts: Sequence[str]) -> list[list[Slot]]:
        """See `CandidateSource.slots`."""
        proposals = [p for index, text in enumerate(texts) for p in self._proposals(index, text)]
        scores = iter(self.cosines([(p.context, words_of(p)) for p in proposals]))
        admitted = [
            [
                w
                for w, score in zip(p.words, islice(scores, len(p.words)), strict=True)
                if score >= self._least_cosine
            ]
            for p in proposals
        ]  # a NaN, for a word the model did not see, is not admitted
        return settled(texts, proposals, admitted, self._rules, self._budget)

    @abstractmethod
    def cosines(self, places: Sequence[tuple[Context, Sequence[Context]]]) -> NDArray[np.float64]:
        """Cosine of each exchanged context with its original, one after the other.

        Args:
            places: Original contexts, each with those that have another word.

        Returns:
            NaN where the model cannot tell the two apart, as the word was cut off or is unknown.
        """

    def _proposals(self, index: int, text: str) -> Iterable[Proposal]:
        for place, context in in_context(text, find_places(text, self._thesaurus.substitutes)):
            if self._rules.protects(place.word):
                continue
            listed = self._thesaurus.substitutes(place.word)
            words = self._rules.choose(place, listed, from_table=True)
            if words:
                yield Proposal(index, place, context, words)


def words_of(proposal: Proposal) -> list[Context]:
    """The proposal's sentence with each of its words."""
    return [proposal.context.with_word(word) for word in proposal.words]
