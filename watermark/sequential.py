"""Detection query by query, for auditors who pay per query: stop as soon as the evidence is enough.

Units (or records) are asked in an order that the draws do not influence, those with most slots first,
and fed to a test martingale. Its p-value and its e-value stay valid whenever one stops.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput
from ..provenance.suspect import ChoiceSlot, Suspect, hearsay_of, inputs_of, refuse_same_model
from ..stats import Alternative, Finding, RankEProcess
from .evidence import KEY_ASSUMPTION, Evidence
from .marking import Mode, Unit
from .scoring import is_scored, score_variants, variants_of

__all__ = ["SequentialResult", "detect_sequentially"]

_UNITS_PER_QUERY = 16
_RECORDS_PER_QUERY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialResult:
    """Where the asking ended.

    Attributes:
        finding: The test martingale's finding.
        n_scored: Words (or whole texts, by record) that the suspect was asked to score.
        n_scored_in_all: What asking to the end would have taken.
        reached: Whether the e-value reached 1 / alpha.
    """

    finding: Finding
    n_scored: int
    n_scored_in_all: int
    reached: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """One record of the martingale: its name, its scores, the released one first, and their cost."""

    name: str
    scores: NDArray[np.float64]
    n_scored: int


def detect_sequentially(
    evidence: Evidence,
    suspect: Suspect,
    *,
    alpha: float,
    references: Sequence[Suspect] = (),
    budget: int | None = None,
) -> SequentialResult:
    """Ask a model about one unit after the other until the e-value reaches 1 / alpha.

    Only the rank of the released choice among its unit's choices counts, so this needs more units than
    `detect` does with all scores at hand; it pays where queries cost more than that. References enter as
    the difference from their mean.

    Args:
        evidence: Manifest and texts.
        suspect: The model under audit.
        alpha: Level of the decision, in (0, 1), fixed beforehand.
        references: Models that never saw the release.
        budget: Stop before more words (or texts) than this have been scored; None: no limit.

    Returns:
        The finding and what it cost.

    Raises:
        InvalidInput: If an argument is malformed, or the release was not marked with a key.
        InsufficientEvidence: If nothing could be scored within the budget.
    """
    refuse_same_model(suspect, references)
    if evidence.manifest.marking.mode is not Mode.KEYED:
        raise InvalidInput(
            "this release was marked in mode 'leximark', where no key draws anything"
        )
    if budget is not None and budget < 1:
        raise InvalidInput(f"budget: expected a positive number of queries, got {budget}")
    by_record = evidence.manifest.marking.unit is Unit.RECORD
    steps = (_by_record if by_record else _by_unit)(evidence, suspect, references)
    in_all = _cost(evidence)
    process = RankEProcess(alternative=Alternative.GREATER, alpha=alpha)
    n_scored, names = 0, []
    for step in steps:
        if budget is not None and n_scored + step.n_scored > budget:
            break
        n_scored += step.n_scored
        if step.scores.size:
            process.feed(step.scores)
            names.append(step.name)
        if process.rejected:
            break
    if process.n == 0:
        raise InsufficientEvidence(
            "nothing could be scored within the budget", "allow more queries, or check the texts"
        )
    finding = process.finding().named(names)
    return SequentialResult(
        finding=finding.about(
            name="sequential watermark test",
            question=f"Was {suspect.identity.name} trained on the marked release?",
            unit=evidence.manifest.marking.unit.plural,
            assumptions=(
                KEY_ASSUMPTION,
                *finding.assumptions,
            ),
            warnings=(
                *finding.warnings,
                *evidence.warnings,
                *hearsay_of(suspect, *references),
            ),
            inputs=(
                *evidence.inputs,
                *inputs_of(suspect, *references),
            ),
        ),
        n_scored=n_scored,
        n_scored_in_all=in_all,
        reached=process.rejected,
    )


def _by_unit(
    evidence: Evidence, suspect: Suspect, references: Sequence[Suspect]
) -> Iterator[_Step]:
    """Units with most slots first; of equal ones, in the order of their names."""
    name_of = evidence.manifest.marking.unit_name
    places: dict[str, list[tuple[str, ChoiceSlot, int]]] = {}
    for record in evidence.marked():
        for index, slot in enumerate(record.slots):
            places.setdefault(name_of(record.record, index, slot.unit), []).append((
                evidence.originals[record.record],
                ChoiceSlot(slot.start, slot.end, slot.choices),
                slot.choice,
            ))
    names = sorted(places, key=lambda name: (-len(places[name]), name))
    for first in range(0, len(names), _UNITS_PER_QUERY):
        batch = [
            place for name in names[first : first + _UNITS_PER_QUERY] for place in places[name]
        ]
        texts = [text for text, _, _ in batch]
        slots = [[slot] for _, slot, _ in batch]
        scores = iter(
            _less_references(
                [row[0] for row in suspect.choice_logprobs(texts, slots)],
                [[row[0] for row in r.choice_logprobs(texts, slots)] for r in references],
            )
        )
        for name in names[first : first + _UNITS_PER_QUERY]:
            found = [next(scores) for _ in places[name]]
            scored = [
                score
                for (text, slot, _), score in zip(places[name], found, strict=True)
                if is_scored(text, slot.start, score)
            ]
            mean = np.mean(scored, axis=0) if scored else np.empty(0)
            chosen = places[name][0][2]
            n_scored = sum(score.size for score in found)
            yield _Step(name, _released_first(mean, chosen), n_scored)


def _by_record(
    evidence: Evidence, suspect: Suspect, references: Sequence[Suspect]
) -> Iterator[_Step]:
    """Records with most slots first; of equal ones, in the order of their digests."""
    records = sorted(evidence.marked(), key=lambda record: (-len(record.slots), record.record))
    for first in range(0, len(records), _RECORDS_PER_QUERY):
        batch = records[first : first + _RECORDS_PER_QUERY]
        variants = variants_of(evidence, batch)
        scores = score_variants(suspect, variants)
        for reference in references:
            scores = scores - score_variants(reference, variants) / len(references)
        for record, row, texts in zip(batch, scores, variants, strict=True):
            yield _Step(record.record, row, len(set(texts)))


def _less_references(
    scores: Sequence[NDArray[np.float64]], others: Sequence[Sequence[NDArray[np.float64]]]
) -> list[NDArray[np.float64]]:
    if not others:
        return list(scores)
    means = [np.mean(rows, axis=0) for rows in zip(*others, strict=True)]
    return [score - mean for score, mean in zip(scores, means, strict=True)]


def _released_first(scores: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    if scores.size == 0:
        return scores
    return np.concatenate([scores[chosen : chosen + 1], np.delete(scores, chosen)])


def _cost(evidence: Evidence) -> int:
    records = evidence.marked()
    if evidence.manifest.marking.unit is Unit.RECORD:
        return sum(len(set(texts)) for texts in (variants_of(evidence, records) if records else ()))
    return sum(len(slot.choices) for record in records for slot in record.slots)
