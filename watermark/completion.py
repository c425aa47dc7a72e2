"""The completion test: for models that return text only, do their answers repeat the released words?

The model continues the *original* text before a slot. Answers that begin with one of the unit's
choices are counted, the others are not. The key that drew the released word is independent of any
model that never saw the release, so the counts are scores like any others: the null is exact.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput
from ..provenance.suspect import Completer, inputs_of
from ..stats import Finding, choice_test
from .evidence import KEY_ASSUMPTION, Evidence
from .manifest import MarkedSlot
from .marking import Mode, Unit
from .scoring import words_of

__all__ = ["AnswerCounts", "completion_test", "count_answers"]

_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")
_NEW_TOKENS = 8  # as many as a long word may take
_NOISE = 2.0  # a unit weighs m / (m + 2), m its number of answers


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCounts:
    """How often each choice of every unit was given as an answer.

    Attributes:
        names: Name of each unit, see `Marking.unit_name`, ascending.
        counts: Per unit the number of answers that are each of its choices.
        chosen: Index of the released choice of each unit.
        n_asked: Prompts times samples.
    """

    names: tuple[str, ...]
    counts: tuple[NDArray[np.int64], ...]
    chosen: NDArray[np.int64]
    n_asked: int


def count_answers(
    evidence: Evidence,
    suspect: Completer,
    *,
    seed: int,
    n_samples: int = 8,
    per_unit: int = 8,
) -> AnswerCounts:
    """Ask a model to continue the text before slots, and count which choices it gives.

    Args:
        evidence: Manifest and texts.
        suspect: The model under audit.
        seed: Seed of the model's draws, where it takes one.
        n_samples: Answers per slot.
        per_unit: Slots asked per unit at most: the first ones in the order of the records' digests.

    Returns:
        Counts; units without a single answer that is one of their choices are left out.

    Raises:
        InvalidInput: If the release was not marked with a key, or the unit is the record.
    """
    marking = evidence.manifest.marking
    if marking.mode is not Mode.KEYED:
        raise InvalidInput(
            "this release was marked in mode 'leximark', where no key draws anything",
            "compare it with marked texts that were held back: --held-out",
        )
    if marking.unit is Unit.RECORD:
        raise InvalidInput(
            "answers are counted per word: they fit releases marked with a key by type, shard or slot",
            "use 'detect' with a model that gives log-probabilities",
        )
    asked: dict[str, list[tuple[MarkedSlot, str]]] = {}
    for record in evidence.marked():
        original = evidence.originals[record.record]
        for index, slot in enumerate(record.slots):
            prompt = original[: slot.start].rstrip()
            places = asked.setdefault(marking.unit_name(record.record, index, slot.unit), [])
            if prompt and len(places) < per_unit:
                places.append((slot, prompt))
    prompts = [prompt for places in asked.values() for _, prompt in places]
    answers = iter(
        suspect.complete(prompts, n_samples=n_samples, max_new_tokens=_NEW_TOKENS, seed=seed)
        if prompts
        else ()
    )
    counted = {
        name: (_counts(places, [next(answers) for _ in places]), places[0][0].choice)
        for name, places in asked.items()
        if places
    }
    names = tuple(sorted(name for name, (counts, _) in counted.items() if counts.any()))
    return AnswerCounts(
        names=names,
        counts=tuple(counted[name][0] for name in names),
        chosen=np.array([counted[name][1] for name in names], dtype=np.int64),
        n_asked=len(prompts) * n_samples,
    )


def completion_test(
    evidence: Evidence,
    suspect: Completer,
    *,
    seed: int,
    n_samples: int = 8,
    per_unit: int = 8,
) -> Finding:
    """Test whether a model that returns text only was trained on a release.

    Each unit's score of a choice is the share of its counted answers that are this choice; a unit of m
    counted answers weighs m / (m + 2). Both depend on the originals and the model alone.

    Args:
        evidence: As for `count_answers`, as for all that follow.
        suspect: The model under audit.
        seed: Also the seed of the Monte-Carlo draws.
        n_samples: Answers per slot.
        per_unit: Slots asked per unit.

    Returns:
        A finding whose unit is what one draw of the key decides.

    Raises:
        InvalidInput: As for `count_answers`.
        InsufficientEvidence: If no answer is one of the choices.
    """
    answers = count_answers(evidence, suspect, seed=seed, n_samples=n_samples, per_unit=per_unit)
    if not answers.names:
        raise InsufficientEvidence(
            f"none of {answers.n_asked:,} answers is one of the choices",
            "ask for more answers, or use a model that gives log-probabilities",
        )
    totals = np.array([counts.sum() for counts in answers.counts])
    finding = choice_test(
        [counts / total for counts, total in zip(answers.counts, totals, strict=True)],
        answers.chosen,
        weights=totals / (totals + _NOISE),
        seed=seed,
    )
    named = finding.named(answers.names, words_of(evidence, answers.names))
    return named.about(
        name="completion test",
        question=f"Does {suspect.identity.name} continue the original texts with the released words?",
        unit=f"{evidence.manifest.marking.unit.plural} with an answer",
        assumptions=(KEY_ASSUMPTION,),
        warnings=(
            *finding.warnings,
            *evidence.warnings,
            f"{int(totals.sum()):,} of {answers.n_asked:,} answers are one of the choices of their place; "
            "the others say nothing.",
        ),
        inputs=(*evidence.inputs, *inputs_of(suspect)),
    )


def _counts(
    places: Sequence[tuple[MarkedSlot, str]], answers: Sequence[Sequence[str]]
) -> NDArray[np.int64]:
    """Answers per choice; the case of an answer does not matter, that of a slot is its text's."""
    counts = np.zeros(len(places[0][0].choices), dtype=np.int64)
    for (slot, _), samples in zip(places, answers, strict=True):
        index = {choice.lower(): i for i, choice in enumerate(slot.choices)}
        for sample in samples:
            word = _FIRST_WORD.match(sample)
            if word is not None and (i := index.get(word.group(1).lower())) is not None:
                counts[i] += 1
    return counts
