"""What a suspect says of every choice of every unit, and of whole variants; nothing here knows the draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, VerificationError
from ..provenance.suspect import ChoiceSlot, Suspect
from .evidence import Evidence
from .manifest import MarkedRecord
from .tables import apply_edits

__all__ = ["UnitScores", "score_units", "score_variants", "variants_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitScores:
    """Scores of all choices of every unit under one model, in nats.

    Attributes:
        names: Name of each unit, see `Marking.unit_name`, ascending.
        values: Per unit the mean log-probability of each of its choices.
        chosen: Index of the released choice of each unit.
        n_slots: Number of slots each unit's scores are averaged over.
    """

    names: tuple[str, ...]
    values: tuple[NDArray[np.float64], ...]
    chosen: NDArray[np.int64]
    n_slots: NDArray[np.int64]

    def chosen_from(self, draws: Mapping[str, int]) -> NDArray[np.int64]:
        """The choices that other draws make of these units, from their names."""
        return np.array([draws[name] for name in self.names])


def score_units(evidence: Evidence, suspect: Suspect) -> UnitScores:
    """Mean log-probability of every choice of every unit, in the original context.

    Args:
        evidence: Manifest (any unit but the record) and texts.
        suspect: The model to score with.

    Returns:
        Units sorted by name. Slots with nothing before them are left out, whatever was released.

    Raises:
        InsufficientEvidence: If no slot can be scored.
        VerificationError: If a unit was given two choices.
    """
    records = evidence.marked()
    texts = [evidence.originals[record.record] for record in records]
    places = [[ChoiceSlot(s.start, s.end, s.choices) for s in r.slots] for r in records]
    scores = suspect.choice_logprobs(texts, places)
    name_of = evidence.manifest.marking.unit_name
    totals: dict[str, tuple[NDArray[np.float64], int, int]] = {}
    for record, record_scores in zip(records, scores, strict=True):
        for index, (slot, score) in enumerate(zip(record.slots, record_scores, strict=True)):
            if not np.isfinite(score).all():
                continue
            name = name_of(record.record, index, slot.unit)
            total, count, chosen = totals.get(name, (np.zeros(score.size), 0, slot.choice))
            if chosen != slot.choice or total.size != score.size:
                raise VerificationError(
                    f"unit '{name}' has two different choices in one manifest",
                    "the manifest was altered",
                )
            totals[name] = (total + score, count + 1, chosen)
    if not totals:
        raise InsufficientEvidence(
            "no marked word could be scored", "are these the released texts?"
        )
    names = tuple(sorted(totals))
    return UnitScores(
        names=names,
        values=tuple(totals[name][0] / totals[name][1] for name in names),
        chosen=np.array([totals[name][2] for name in names]),
        n_slots=np.array([totals[name][1] for name in names]),
    )


def variants_of(evidence: Evidence, records: Sequence[MarkedRecord]) -> list[list[str]]:
    """Per record the released text, then each ghost's.

    Raises:
        InsufficientEvidence: If there is no record.
    """
    if not records:
        raise InsufficientEvidence(
            "no marked record could be scored", "are these the released texts?"
        )
    originals = [evidence.originals[record.record] for record in records]
    return [
        [apply_edits(original, record.release_edits()), *record.ghost_texts(original)]
        for original, record in zip(originals, records, strict=True)
    ]


def score_variants(suspect: Suspect, variants: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Log-probability of each whole variant, shape (N, M + 1); each distinct text is scored once."""
    distinct = list(dict.fromkeys(text for texts in variants for text in texts))
    totals = [float(score.sum()) for score in suspect.token_logprobs(distinct)]
    score_of = dict(zip(distinct, totals, strict=True))
    return np.array([[score_of[text] for text in texts] for texts in variants])
