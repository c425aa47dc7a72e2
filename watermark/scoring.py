"""What a suspect says of every choice of every unit, and of whole variants; nothing here knows the draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput, VerificationError
from ..provenance.suspect import ChoiceSlot, Suspect
from .manifest import MarkedRecord
from .tables import apply_edits

if TYPE_CHECKING:  # verification needs the weights, and none of what evidence is read with
    from .evidence import Evidence

__all__ = [
    "UnitScores",
    "is_scored",
    "score_units",
    "score_variants",
    "unit_weights",
    "variants_of",
    "words_of",
]

_SLOT_NOISE = 2.0  # variance between slots of a type, relative to that between models
_SHRINKAGE = 3.0  # of a unit's spread towards the mean spread, which counts so many times


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitScores:
    """Scores of all choices of every unit under one model, in nats.

    Attributes:
        names: Name of each unit, see `Marking.unit_name`, ascending.
        values: Per unit the mean log-probability of each of its choices.
        frequencies: Per unit the log of each choice's frequency in general text, in nats.
        chosen: Index of the released choice of each unit.
        n_slots: Number of slots each unit's scores are averaged over.
    """

    names: tuple[str, ...]
    values: tuple[NDArray[np.float64], ...]
    frequencies: tuple[NDArray[np.float64], ...]
    chosen: NDArray[np.int64]
    n_slots: NDArray[np.int64]

    def chosen_from(self, draws: Mapping[str, int]) -> NDArray[np.int64]:
        """The choices that other draws make of these units, from their names."""
        return np.array([draws[name] for name in self.names])


def score_units(evidence: "Evidence", suspect: Suspect) -> UnitScores:
    """Mean log-probability of every choice of every unit, in the original context.

    Args:
        evidence: Manifest (any unit but the record) and texts.
        suspect: The model to score with.

    Returns:
        Units sorted by name. Slots with nothing before them are left out, whatever was released.

    Raises:
        InsufficientEvidence: If no slot can be scored.
        InvalidInput: If a place with text before it was not scored.
        VerificationError: If a unit was given two choices.
    """
    records = evidence.marked()
    texts = [evidence.originals[record.record] for record in records]
    places = [[ChoiceSlot(s.start, s.end, s.choices) for s in r.slots] for r in records]
    scores = suspect.choice_logprobs(texts, places)
    name_of = evidence.manifest.marking.unit_name
    totals: dict[str, tuple[NDArray[np.float64], int, int]] = {}
    surprisals: dict[str, NDArray[np.float64]] = {}
    for record, record_scores in zip(records, scores, strict=True):
        for index, (slot, score) in enumerate(zip(record.slots, record_scores, strict=True)):
            if not is_scored(evidence.originals[record.record], slot.start, score):
                continue
            name = name_of(record.record, index, slot.unit)
            total, count, chosen = totals.get(name, (np.zeros(score.size), 0, slot.choice))
            if chosen != slot.choice or total.size != score.size:
                raise VerificationError(
                    f"unit '{name}' has two different choices in one manifest",
                    "the manifest was altered",
                )
            totals[name] = (total + score, count + 1, chosen)
            surprisals[name] = surprisals.get(name, 0.0) + np.array(slot.surprisals)
    if not totals:
        raise InsufficientEvidence(
            "no marked word could be scored", "are these the released texts?"
        )
    names = tuple(sorted(totals))
    return UnitScores(
        names=names,
        values=tuple(totals[name][0] / totals[name][1] for name in names),
        frequencies=tuple(-math.log(2) * surprisals[name] / totals[name][1] for name in names),
        chosen=np.array([totals[name][2] for name in names]),
        n_slots=np.array([totals[name][1] for name in names]),
    )


def is_scored(text: str, start: int, score: NDArray[np.float64]) -> bool:
    """Whether a place was scored; only one with nothing before it may be left out.

    Raises:
        InvalidInput: If another one was, as who leaves out places at will can choose the outcome.
    """
    if np.isfinite(score).all():
        return True
    if text[:start].strip():
        raise InvalidInput(
            f"the suspect gave no score of the place at character {start} of a text",
            "all places with text before them must be scored",
        )
    return False


def unit_weights(
    scores: UnitScores, known: Sequence[Sequence[NDArray[np.float64]]]
) -> NDArray[np.float64]:
    r"""How much each unit counts: more with many slots, less where its choices differ much anyway.

    .. math:: a_u = \frac{m_u}{m_u + 2} \Big/ \Big(3 + \frac{v_u}{\bar v}\Big)

    m_u is the number of slots. The mean over m slots has variance tau^2 + s^2 / m: how models differ in
    their taste for the words, and the noise of single slots; its inverse is proportional to
    m / (m + s^2 / tau^2). v_u is the variance of the unit's scores over its choices, which is what it
    adds to the statistic's null variance, and v-bar its weighted mean. The best weight is signal by
    variance; one unit's variance is a poor estimate, so it is shrunk. Both constants were chosen on models
    trained for that purpose alone (benchmarks/RESULTS.md).

    A variance over all choices does not know which of them was released, so the test stays exact.

    Args:
        scores: Scores under the suspect.
        known: Scores of the same choices that are regressed out first, as in `choice_test`.

    Returns:
        Positive weights, shape (U,).
    """
    base: NDArray[np.float64] = scores.n_slots / (scores.n_slots + _SLOT_NOISE)
    sizes = np.array([value.size for value in scores.values])
    columns = [_centred(values, sizes) for values in (scores.values, *known)]
    by_row = np.repeat(base / np.sqrt(sizes), sizes)  # as `choice_test` weighs its rows
    target, covariates = columns[0], np.reshape(columns[1:], (len(known), int(sizes.sum()))).T
    slopes = np.linalg.lstsq(covariates * by_row[:, None], target * by_row)[0]
    squares = (target - covariates @ slopes) ** 2
    variances = np.add.reduceat(squares, np.cumsum(sizes) - sizes) / sizes
    typical = float(np.average(variances, weights=base))
    return base / (_SHRINKAGE + variances / typical) if typical > 0 else base


def _centred(
    values: Sequence[NDArray[np.float64]], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """All scores less their unit's mean, one after the other, of largest magnitude 1."""
    flat = np.concatenate(values)
    means = np.add.reduceat(flat, np.cumsum(sizes) - sizes) / sizes
    centred: NDArray[np.float64] = flat - np.repeat(means, sizes)
    largest = float(np.abs(centred).max())
    return centred / largest if largest > 0 else centred


def words_of(evidence: "Evidence", names: Sequence[str]) -> list[tuple[str, ...]]:
    """The choices of units, by their names, as they are written in the unit's first slot."""
    name_of = evidence.manifest.marking.unit_name
    choices: dict[str, tuple[str, ...]] = {}
    for record in evidence.marked():
        for index, slot in enumerate(record.slots):
            choices.setdefault(name_of(record.record, index, slot.unit), slot.choices)
    return [choices[name] for name in names]


def variants_of(evidence: "Evidence", records: Sequence[MarkedRecord]) -> list[list[str]]:
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
