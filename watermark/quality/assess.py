"""How much a release was changed, what it costs in fluency, and how much of it the test will need.

The examples and counts show original words: they belong to the owner and are not to be published.
"""

import bisect
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from ...errors import InsufficientEvidence, InvalidInput
from ...provenance.suspect import Suspect
from ...stats import Input
from ..evidence import Evidence
from ..manifest import MarkedRecord
from ..selection import sentence_ends
from ..tables import apply_edits
from .forecast import Forecast, forecast
from .perplexity import Perplexity, measure_perplexity
from .similarity import SentenceEncoder, Similarity, measure_similarity

__all__ = ["Edited", "Quality", "assess"]

_WORD = re.compile(r"[^\W\d_]+")
_MOST_PAIRS = 40
_CONTEXT = 120  # characters shown on each side of an edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """One replaced word in its surroundings.

    Attributes:
        record: SHA-256 of the original text.
        before: Text before it.
        original: The word as it stood.
        released: The word as it is published.
        after: Text behind it.
    """

    record: str
    before: str
    original: str
    released: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What marking did to a release.

    Attributes:
        n_records: Distinct records.
        n_changed_records: Of these, how many have a replaced word.
        n_words: Words of all originals: runs of letters.
        n_slots: Places where a word could have been replaced.
        n_changed: Words that were replaced.
        edits_per_sentence: Number of sentences with 0, 1, 2, ... replaced words.
        pairs: The commonest replacements as (original, released, count), in lower case.
        examples: Replaced words drawn at random.
        perplexity: What a language model thinks of them, or None.
        similarity: How like a sentence encoder finds the changed sentences, or None.
        forecast: How much the test will need, or None where there is no keyed draw by unit.
        inputs: The files this rests on.
        warnings: What could not be checked.
    """

    n_records: int
    n_changed_records: int
    n_words: int
    n_slots: int
    n_changed: int
    edits_per_sentence: tuple[int, ...]
    pairs: tuple[tuple[str, str, int], ...]
    examples: tuple[Edited, ...]
    perplexity: Perplexity | None
    similarity: Similarity | None
    forecast: Forecast | None
    inputs: tuple[Input, ...]
    warnings: tuple[str, ...]

    @property
    def changed_share(self) -> float:
        """Replaced words as a share of all words."""
        return self.n_changed / self.n_words if self.n_words else 0.0

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON."""
        return {**asdict(self), "changed_share": self.changed_share}


def assess(
    evidence: Evidence,
    *,
    seed: int,
    n_examples: int = 50,
    model: Suspect | None = None,
    encoder: SentenceEncoder | None = None,
    most_records: int = 500,
    effect: float = 0.3,
) -> Quality:
    """Measure what marking did to a release.

    Args:
        evidence: Manifest and texts.
        seed: Seed of the draw of examples and of the records that the model reads.
        n_examples: How many replaced words to show.
        model: A language model to measure perplexity with, or None.
        encoder: A sentence encoder to compare sentences with, or None.
        most_records: Changed records that models read at most.
        effect: Guess of the effect per unit for the forecast; the tiny models of `bookplate demo` had 0.3
            to 0.5 after one epoch.

    Returns:
        The measurements.

    Raises:
        InvalidInput: If an argument is out of range.
        InsufficientEvidence: If no record is present.
    """
    if n_examples < 0 or most_records < 2 or not 0 < effect < math.inf:
        raise InvalidInput(
            "expected examples >= 0, records for the model >= 2 and a positive effect, got "
            f"{n_examples}, {most_records} and {effect}"
        )
    records = [r for r in evidence.manifest.records if r.record in evidence.originals]
    if not records:
        raise InsufficientEvidence("no record is present", "are these the released texts?")
    rng = random.Random(seed)  # ruff: ignore[suspicious-non-cryptographic-random-usage]
    changed = [record for record in records if record.release_edits()]
    places = [(r, i) for r in changed for i, slot in enumerate(r.slots) if slot.choice != 0]
    chosen = rng.sample(places, min(n_examples, len(places)))
    pairs = Counter(
        (s.original.lower(), s.released.lower()) for r in changed for s in r.slots if s.choice != 0
    )
    read = rng.sample(changed, min(most_records, len(changed)))
    return Quality(
        n_records=len(records),
        n_changed_records=len(changed),
        n_words=sum(len(_WORD.findall(evidence.originals[r.record])) for r in records),
        n_slots=sum(len(record.slots) for record in records),
        n_changed=len(places),
        edits_per_sentence=_edits_per_sentence(evidence, records),
        pairs=tuple((a, b, n) for (a, b), n in pairs.most_common(_MOST_PAIRS)),
        examples=tuple(_example(evidence, record, index) for record, index in chosen),
        perplexity=None if model is None else measure_perplexity(evidence, read, model),
        similarity=None if encoder is None else measure_similarity(evidence, read, encoder),
        forecast=forecast(evidence, effect, rng),
        inputs=evidence.inputs,
        warnings=evidence.warnings,
    )


def _edits_per_sentence(evidence: Evidence, records: Sequence[MarkedRecord]) -> tuple[int, ...]:
    counts: Counter[int] = Counter()
    for record in records:
        original = evidence.originals[record.record]
        ends = sentence_ends(original)
        in_sentence = Counter(
            bisect.bisect_right(ends, slot.start) for slot in record.slots if slot.choice != 0
        )
        borders = [0, *ends, len(original)]
        n_sentences = sum(_WORD.search(original, a, b) is not None for a, b in pairwise(borders))
        counts.update(in_sentence.values())
        counts[0] += max(n_sentences - len(in_sentence), 0)
    return tuple(counts[k] for k in range(max(counts) + 1)) if counts else ()


def _example(evidence: Evidence, record: MarkedRecord, index: int) -> Edited:
    """The slot in its released surroundings, with the original word beside it."""
    original, slot = evidence.originals[record.record], record.slots[index]
    edits = record.release_edits()
    before = apply_edits(original[: slot.start], [e for e in edits if e.end <= slot.start])
    rest = [
        e._replace(start=e.start - slot.end, end=e.end - slot.end)
        for e in edits
        if e.start >= slot.end
    ]
    after = apply_edits(original[slot.end :], rest)
    return Edited(
        record=record.record,
        before=before[-_CONTEXT:],
        original=slot.original,
        released=slot.released,
        after=after[:_CONTEXT],
    )
