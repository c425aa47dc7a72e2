"""The interface of all candidate sources, and what keeps the test exact when choices depend on context.

What a draw decides. The test rests on one fact: given everything an innocent model can depend on,
the released choice of every unit is uniform over the unit's choices, and independent of all other
units. The key gives that for any choices that were fixed without the key. With a table the choices
follow from the word, and the unit may be the word type. A contextual source gives the same word
{great, large} here and {large, vast} there. If both places shared the name "big", one HMAC value
would pick the same index in both sets: two draws, each uniform, that are one and the same. Such
slots therefore belong to units named by `group_name`: the word *and its choices*. Places with equal
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

Power. Many choice sets mean many small units, which detect less than few large ones.
`one_choice_set_per_word` settles on one set for each word of a dataset, again without the key, and
drops the places where it does not fit. `group_name` then has one name per word, and the unit is
the word type as before. It needs a pass over the whole dataset before the first draw, and a record's
marks then depend on the dataset it came in, not on the record and the key alone.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType, Protocol

from ...errors import InvalidInput
from ...files import canonical_json
from ...stats import Input
from ..selection import Budget, Place, Slot, rarest_within
from .places import Context
from .rules import Rules

__all__ = [
    "CandidateSource",
    "Proposal",
    "SourceIdentity",
    "Threshold",
    "group_name",
    "one_choice_set_per_word",
    "settled",
    "threshold",
]

Threshold = NewType("Threshold", float)  # a cosine in (0, 1]
Setting = str | int | float | bool | None

_LEAST_FIT = 0.5  # of a word's places, for the choice set it settles on


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIdentity:
    """How candidates were made, as a release says it.

    Attributes:
        name: Name of the source.
        settings: Thresholds, limits and filters.
        inputs: Digests of the table and the model; a chat endpoint has none.
    """

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The identity as JSON data."""
        inputs = [{"name": i.name, "sha256": i.sha256} for i in self.inputs]
        return {"name": self.name, "settings": dict(self.settings), "inputs": inputs}

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON of `as_dict`."""
        return hashlib.sha256(canonical_json(self.as_dict())).hexdigest()


class CandidateSource(Protocol):
    """Says for the words of a text what may stand there; knows no key."""

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


def group_name(slot: Slot) -> str:
    """Name of a slot's unit where choices depend on context: the word, then the rest of its choices.

    The choices are taken in lower case, so that a capital at the start of a sentence makes no unit
    of its own. `|` occurs in no word, so different choices have different names.
    """
    return "|".join(choice.lower() for choice in slot.choices)


def settled(
    texts: Sequence[str],
    proposals: Sequence[Proposal],
    admitted: Iterable[Sequence[str]],
    rules: Rules,
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


def one_choice_set_per_word(slots: Sequence[Sequence[Slot]]) -> list[list[Slot]]:
    """Settle on one set of choices for each word of a dataset, so that the word can be the unit.

    Of a word's substitutes the one that fits most of its places is taken, the first from a to z
    where two are alike; then every other one that fits at least half of its places together with
    those already taken. Places where the set does not fit are dropped.

    Args:
        slots: The slots of *all* distinct texts of the dataset: another dataset, another set. Best
            found without a budget, which is then applied to what stays (`rarest_within`).

    Returns:
        The slots that stay, with the choices of their word.
    """
    fitting: dict[str, list[frozenset[str]]] = defaultdict(list)
    for slot in (slot for text in slots for slot in text):
        fitting[slot.word].append(frozenset(_substitutes(slot)))
    settled_on = {word: _settle(sets) for word, sets in fitting.items()}
    return [
        [_narrowed(s, settled_on[s.word]) for s in text if settled_on[s.word] <= {*_substitutes(s)}]
        for text in slots
    ]


def _settle(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    counts = Counter(word for words in sets for word in words)
    first, *others = sorted(counts, key=lambda word: (-counts[word], word))
    chosen = frozenset({first})
    for word in others:
        fits = sum(chosen | {word} <= words for words in sets)
        if fits >= _LEAST_FIT * len(sets):
            chosen |= {word}
    return chosen


def _substitutes(slot: Slot) -> tuple[str, ...]:
    return tuple(choice.lower() for choice in slot.choices[1:])


def _narrowed(slot: Slot, words: frozenset[str]) -> Slot:
    kept = [0, *(i for i, word in enumerate(_substitutes(slot), 1) if word in words)]
    return replace(
        slot,
        choices=tuple(slot.choices[i] for i in kept),
        surprisals=tuple(slot.surprisals[i] for i in kept),
    )


def _slot(proposal: Proposal, words: Sequence[str], rules: Rules) -> Slot:
    place = proposal.place
    choices = (place.word, *sorted(words))
    return Slot(
        place.start,
        place.end,
        place.word,
        tuple(c.capitalize() for c in choices) if place.is_title else choices,
        tuple(map(rules.surprisal, choices)),
    )
