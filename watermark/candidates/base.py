"""The interface of all candidate sources, and what keeps the test exact when choices depend on context.

What a draw decides. The test rests on one fact: given everything an innocent model can depend on,
the released choice of every unit is uniform over the unit's choices, and independent of all other
units. The key gives that for any choices that were fixed without the key. With a table the choices
follow from the word, and the unit may be the word type. A contextual source gives the same word
{great, large} here and {large, vast} there. If both places shared the name "big", one HMAC value
would pick the same index in both sets: two draws, each uniform, that are one and the same. Units by
word type are therefore named by `marking.type_name`: the word *and its choices*. Places with equal
choices share a draw, places with other choices have a draw of their own, and the draws are
independent because the names differ. Nothing else of the test changes.

What must hold of the choices, and how it is kept:

1. They do not depend on the key. Every context is taken from the *original* text with one word
   exchanged, never from a text that holds other released choices. The places, the budget and the
   filters see the original only.
2. They are fixed before the release, and the manifest records them. No test computes them again:
   a model on another machine may round a cosine to the other side of its threshold, and a chat
   endpoint answers differently every time. Neither can hurt the p-value; only a resumed or
   repeated marking may then differ from the first.
3. They need not be symmetric. "large" may be admitted for "big" and not the reverse; the original
   word is one of the choices, and taking marks out uses the manifest's positions, not the table.

Words are judged one at a time. Several exchanged words of one sentence may together say something
else, so the budget, not the threshold, bounds what a sentence loses.

Power. Many choice sets mean many small units, which detect less than few large ones: in equal reach
a source that reads the context is weaker than the table, and gains by what it reaches besides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol

from ...errors import InvalidInput
from ..selection import Budget, Place, Slot, rarest_within
from ..source_identity import SourceIdentity
from .places import Context

if TYPE_CHECKING:
    from .rules import Rules

__all__ = [
    "CandidateSource",
    "Proposal",
    "Threshold",
    "settled",
    "threshold",
]

Threshold = NewType("Threshold", float)  # a cosine in (0, 1]


class CandidateSource(Protocol):
    """Says for the words of a text what may stand there; knows no key.

    A source can be pickled, so that several processes may use it: one with a model opens it anew
    where it is unpickled.
    """

    @property
    def reads_context(self) -> bool:
        """Whether a model judges each place: slow, so that datasets are cut into small pieces."""

    @property
    def identity(self) -> SourceIdentity:
        """What a release records of this source."""

    def slots(self, texts: Sequence[str]) -> list[list[Slot]]:
        """The words that may be replaced.

        Args:
            texts: Original texts. Give many at once: their sentences share batches.

        Returns:
            For each text its slots, in its order. A text's slots do not depend on the other texts.
        """


@dataclass(frozen=True, slots=True)
class Proposal:
    """Words that are to be judged for one place.

    Attributes:
        text: Index of the text.
        place: Where.
        context: The original sentence.
        words: Substitutes in lower case, from a to z, all of which passed the filters.
    """

    text: int
    place: Place
    context: Context
    words: tuple[str, ...]


def threshold(value: float) -> Threshold:
    """Check a threshold of a cosine.

    Raises:
        InvalidInput: If it is not above 0 and at most 1.
    """
    if not 0 < value <= 1:
        raise InvalidInput(
            f"expected a cosine threshold above 0 and at most 1, got {value}",
            "0.8 is the published value",
        )
    return Threshold(float(value))


def settled(
    texts: Sequence[str],
    proposals: Sequence[Proposal],
    admitted: Iterable[Sequence[str]],
    rules: "Rules",
    budget: Budget,
) -> list[list[Slot]]:
    """Turn what a source admitted into slots.

    Args:
        texts: The original texts.
        proposals: What was proposed, in the order of the texts.
        admitted: For each proposal the words that were admitted.
        rules: The filters, which know each word's surprisal.
        budget: How many words may be replaced.

    Returns:
        For each text its slots. A place without an admitted word has none.
    """
    found: list[list[Slot]] = [[] for _ in texts]
    for proposal, words in zip(proposals, admitted, strict=True):
        if words:
            found[proposal.text].append(_slot(proposal, words, rules))
    return [
        rarest_within(budget, text, slots, lambda slot: slot.surprisals[0])
        for text, slots in zip(texts, found, strict=True)
    ]


def _slot(proposal: Proposal, words: Sequence[str], rules: "Rules") -> Slot:
    place = proposal.place
    choices = (place.word, *sorted(words))
    return Slot(
        place.start,
        place.end,
        place.word,
        tuple(c.capitalize() for c in choices) if place.is_title else choices,
        tuple(map(rules.surprisal, choices)),
    )
