"""Finding the mark again: does a model favour the released wording over its unpublished alternatives?

By type, shard or slot, every choice of every unit is scored in the *original* context, so that an
innocent model cannot copy an earlier substitute; by record, whole variants are scored. Either way the
only randomness is the key's, and a model that never saw the release is independent of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import InvalidInput
from ..provenance.suspect import Suspect, hearsay_of, inputs_of, refuse_same_model
from ..stats import Finding, Input, choice_test, ghost_test
from .evidence import KEY_ASSUMPTION, Evidence
from .keys import MarkingKey
from .marking import Mode, Unit
from .recipients import copies_of
from .scoring import (
    UnitScores,
    score_units,
    score_variants,
    unit_weights,
    variants_of,
    words_of,
)

__all__ = ["detect", "detect_recipients", "unit_test"]

# Levels of a reference's own test: refused as having seen the release, or only pointed out.
_SPOILT_REFERENCE, _DOUBTFUL_REFERENCE = 1e-4, 1e-2


def detect(
    evidence: Evidence,
    suspect: Suspect,
    *,
    seed: int,
    references: Sequence[Suspect] = (),
) -> Finding:
    """Test whether a model was trained on a release.

    Args:
        evidence: Manifest and texts.
        suspect: The model under audit.
        seed: Seed of the Monte-Carlo draws.
        references: Models that never saw the release; their scores are regressed out.

    Returns:
        A finding; its unit is what one draw of the key decides.

    Raises:
        InvalidInput: If a model is named twice, a reference favours the released wording itself, or
            the release was not marked with a key.
        InsufficientEvidence: If no slot can be scored.
    """
    return _Scored.of(evidence, suspect, references).finding(evidence, seed)


def detect_recipients(
    evidence: Evidence,
    suspect: Suspect,
    *,
    key: MarkingKey,
    recipients: Sequence[str],
    seed: int,
    references: Sequence[Suspect] = (),
    committed: Mapping[str, Input] | None = None,
) -> list[tuple[str, Finding]]:
    """Test for each recipient whether a model was trained on that recipient's copy.

    All copies have the same slots, so one manifest serves for all and the model is asked once (by
    record, once per copy: variants are whole texts). The recipients' draws are independent, so the
    findings of a model that saw one copy are innocent ones for the others.

    Args:
        evidence: Manifest of any copy, and texts.
        suspect: The model under audit.
        key: The owner's key, from which the recipients' are derived.
        recipients: Who got a copy.
        seed: Seed of the Monte-Carlo draws.
        references: Models that never saw any copy.
        committed: See `copies_of`.

    Returns:
        (recipient, finding), in the order asked for. The p-values are not yet corrected for the number
        of recipients: `bookplate.stats.adjust`, or `AuditReport`, does that.

    Raises:
        InvalidInput: If no recipient is named, one is named twice, or as for `detect`.
        VerificationError: As for `copies_of`.
        InsufficientEvidence: If no slot can be scored.
    """
    scored = None
    findings = []
    for name, copy in copies_of(evidence, key, recipients, committed=committed or {}):
        if scored is None or evidence.manifest.marking.unit is Unit.RECORD:
            scored = _Scored.of(copy, suspect, references)
        finding = scored.finding(copy, seed)
        findings.append((
            name,
            finding.about(
                name=f"{finding.name}, copy of {name}",
                question=f"Was {suspect.identity.name} trained on the copy that {name} got?",
            ),
        ))
    return findings


def unit_test(
    scores: UnitScores, references: Sequence[UnitScores], *, seed: int, n_resamples: int = 99_999
) -> Finding:
    """`choice_test` over units, each weighted by `unit_weights`.

    How frequent each word is in general text is regressed out as a reference's scores are: every model
    prefers frequent words, and the table knows them beforehand. Neither weights nor regression depend
    on the draw, so the p-value is exact.

    Args:
        scores: Scores under the suspect.
        references: Scores of the same units under models that never saw the release.
        seed: Seed of the Monte-Carlo draws.
        n_resamples: How many draws.

    Returns:
        A finding.
    """
    known = [scores.frequencies, *(reference.values for reference in references)]
    finding = choice_test(
        scores.values,
        scores.chosen,
        references=known,
        weights=unit_weights(scores, known),
        seed=seed,
        n_resamples=n_resamples,
    )
    effect = finding.effect
    after = " after word frequency" + (f" and{_after(len(references))[6:]}" if references else "")
    return finding.about(
        effect=replace(effect, name=effect.name.replace(_after(len(known)), after))
    )


def _after(n_references: int) -> str:
    """How `choice_test` names what it regressed out."""
    return f" after {n_references} reference{'s' * (n_references > 1)}"


class _Scored(ABC):
    """A suspect and its references, asked; what remains is to compare their scores with draws."""

    def __init__(self, suspect: Suspect, references: Sequence[Suspect]) -> None:
        self._suspect, self._references = suspect, references

    @staticmethod
    def of(evidence: Evidence, suspect: Suspect, references: Sequence[Suspect]) -> "_Scored":
        refuse_same_model(suspect, references)
        if evidence.manifest.marking.mode is not Mode.KEYED:
            raise InvalidInput(
                "this release was marked in mode 'leximark', where no key draws anything",
                "compare it with marked texts that were held back: --held-out",
            )
        if evidence.manifest.marking.unit is Unit.RECORD:
            return _ScoredVariants(evidence, suspect, references)
        return _ScoredUnits(evidence, suspect, references)

    def finding(self, evidence: Evidence, seed: int) -> Finding:
        """The test, for the draws of this manifest."""
        references, own_tests = self._references, self._own_tests(evidence, seed)
        doubts = [_doubt(r, own) for r, own in zip(references, own_tests, strict=True)]
        finding = self._test(evidence, seed)
        return finding.about(
            name="keyed watermark",
            question=f"Was {self._suspect.identity.name} trained on the marked release?",
            unit=evidence.manifest.marking.unit.plural,
            assumptions=(
                KEY_ASSUMPTION,
                *(
                    ("The references never saw the release; one that did costs power.",)
                    if references
                    else ()
                ),
            ),
            warnings=(
                *finding.warnings,
                *evidence.warnings,
                *self._warnings(evidence),
                *filter(None, doubts),
                *hearsay_of(self._suspect, *references),
            ),
            inputs=(
                *evidence.inputs,
                *inputs_of(self._suspect, *references),
            ),
            effect=replace(
                finding.effect,
                name=finding.effect.name.replace("in the unit of the scores", "in nats"),
            ),
        )

    @abstractmethod
    def _test(self, evidence: Evidence, seed: int) -> Finding:
        """The suspect's scores against the draws."""

    @abstractmethod
    def _own_tests(self, evidence: Evidence, seed: int) -> list[Finding]:
        """Each reference's own scores against the draws."""

    def _warnings(self, evidence: Evidence) -> list[str]:
        del evidence
        return []


class _ScoredUnits(_Scored):
    """By type, shard or slot: the scores do not depend on any draw."""

    def __init__(self, evidence: Evidence, suspect: Suspect, references: Sequence[Suspect]) -> None:
        super().__init__(suspect, references)
        self._others = [score_units(evidence, reference) for reference in references]
        self._scores = score_units(evidence, suspect)

    def _test(self, evidence: Evidence, seed: int) -> Finding:
        finding = unit_test(_drawn(self._scores, evidence), self._others, seed=seed)
        names = self._scores.names
        return finding.named(names, words_of(evidence, names))

    def _own_tests(self, evidence: Evidence, seed: int) -> list[Finding]:
        return [unit_test(_drawn(other, evidence), [], seed=seed) for other in self._others]

    def _warnings(self, evidence: Evidence) -> list[str]:
        n_slots = sum(len(record.slots) for record in evidence.marked())
        left_out = n_slots - int(self._scores.n_slots.sum())
        if not left_out:
            return []
        return [f"{left_out} slots have no text before them and were left out."]


class _ScoredVariants(_Scored):
    """By record: whole texts, which depend on the draws."""

    def __init__(self, evidence: Evidence, suspect: Suspect, references: Sequence[Suspect]) -> None:
        super().__init__(suspect, references)
        records = evidence.marked()
        self._names = [record.record for record in records]
        variants = variants_of(evidence, records)
        self._others = [score_variants(reference, variants) for reference in references]
        self._scores = score_variants(suspect, variants)

    def _test(self, evidence: Evidence, seed: int) -> Finding:
        del evidence
        finding = ghost_test(self._scores, references=self._others, seed=seed)
        return finding.named(self._names)

    def _own_tests(self, evidence: Evidence, seed: int) -> list[Finding]:
        del evidence
        return [ghost_test(other, seed=seed) for other in self._others]


def _drawn(scores: UnitScores, evidence: Evidence) -> UnitScores:
    """The same scores with the draws of this manifest."""
    name_of = evidence.manifest.marking.unit_name
    draws = {
        name_of(record.record, index, slot.unit): slot.choice
        for record in evidence.marked()
        for index, slot in enumerate(record.slots)
    }
    return replace(scores, chosen=scores.chosen_from(draws))


def _doubt(reference: Suspect, own: Finding) -> str:
    """What is to be said against a reference; empty if nothing.

    Raises:
        InvalidInput: If it has probably seen the release.
    """
    if own.log10_p > math.log10(_DOUBTFUL_REFERENCE):
        return ""
    favours = f"reference {reference.identity.name} favours the released wording itself (p = {own.p_text})"
    # Refusing depends on the draw, but only ever takes a result away: P(p <= alpha and not refused)
    # stays at most alpha.
    if own.log10_p <= math.log10(_SPOILT_REFERENCE):
        raise InvalidInput(
            f"{favours}: it has probably seen the release, and would hide the suspect's trace",
            "use another reference",
        )
    return f"{favours[0].upper()}{favours[1:]}: if it has seen the release, it hides the suspect's trace."
