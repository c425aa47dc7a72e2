"""Finding the mark again: does a model favour the released wording over its unpublished alternatives?

By type, every choice of every word type is scored in the *original* context, so that an innocent model
cannot copy an earlier substitute; by record, whole variants are scored. Either way the only randomness
is the key's, and a model that never saw the release is independent of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput, VerificationError
from ..files import sha256_of_file
from ..provenance.suspect import ChoiceSlot, Suspect, refuse_same_model
from ..stats import Finding, Input, choice_test, ghost_test
from ..tables import apply_edits, read_table
from .embed import RELEASE_NAME, original_texts
from .keys import MarkingKey
from .manifest import Manifest, MarkedRecord
from .marking import Unit
from .release import Release

__all__ = ["Evidence", "detect", "load_evidence", "score_units", "unit_test"]

# A reference that rejects its own test at this level has probably seen the release.
_SPOILT_REFERENCE = 1e-3
_SLOT_NOISE = 2.0  # variance between slots of a type, relative to that between models
_KEY_ASSUMPTION = (
    "The key that drew the choices was secret, and text that carries its choices could reach the suspect "
    "from the release only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A manifest with the original texts it speaks of.

    Attributes:
        manifest: The manifest.
        originals: Original text of each record, by its digest.
        inputs: The files it was read from.
        warnings: What could not be checked while reading.
    """

    manifest: Manifest
    originals: dict[str, str]
    inputs: tuple[Input, ...] = ()
    warnings: tuple[str, ...] = ()

    def marked(self) -> list[MarkedRecord]:
        """Records that have slots and whose text is present, sorted by record."""
        return [r for r in self.manifest.records if r.slots and r.record in self.originals]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitScores:
    """Scores of all choices of every unit under one model, in nats.

    Attributes:
        words: Name of each unit.
        values: Per unit the mean log-probability of each of its choices.
        chosen: Index of the released choice of each unit.
        n_slots: Number of slots each unit's scores are averaged over.
    """

    words: tuple[str, ...]
    values: tuple[NDArray[np.float64], ...]
    chosen: NDArray[np.int64]
    n_slots: NDArray[np.int64]


def load_evidence(
    manifest_path: Path,
    *,
    released: Path | None = None,
    key: MarkingKey | None = None,
    text_column: str = "text",
) -> Evidence:
    """Read a manifest and the texts it speaks of, and check that they belong together.

    Args:
        manifest_path: The private manifest.
        released: A released file; default: the ones listed in `../release/release.json`.
        key: The key; if given, every choice is drawn anew and compared.
        text_column: Column of the texts.

    Returns:
        The evidence; its warnings say what was not checked.

    Raises:
        InvalidInput: If a file cannot be read.
        VerificationError: If key, manifest, release.json or texts do not belong together.
    """
    manifest = Manifest.read(manifest_path)
    inputs = [Input(name=manifest_path.name, sha256=sha256_of_file(manifest_path))]
    warnings = []
    description = manifest_path.resolve().parent.parent / "release" / RELEASE_NAME
    if description.exists():
        release = Release.read(description)
        _check_release(manifest, release, description)
        inputs.append(Input(name=RELEASE_NAME, sha256=sha256_of_file(description)))
        files = [description.with_name(name) for name in release.files]
    else:
        warnings.append(
            "release.json was not at hand: the manifest was not held against its commitment."
        )
        files = []
    if released is not None:
        files = [released]
    if not files:
        raise InvalidInput(
            f"{manifest_path}: no release.json beside it in ../release/", "name the released file"
        )
    if key is None:
        warnings.append("The key was not at hand: the choices were read, not drawn anew.")
    else:
        manifest.check_key(key)
    originals: dict[str, str] = {}
    for file in files:
        texts = read_table(file, text_column=text_column).texts
        originals |= original_texts(manifest, texts, str(file))
        inputs.append(Input(name=file.name, sha256=sha256_of_file(file)))
    return Evidence(
        manifest=manifest, originals=originals, inputs=tuple(inputs), warnings=tuple(warnings)
    )


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
        A finding; by type the unit is the word type, by record the record.

    Raises:
        InvalidInput: If a model is named twice.
        InsufficientEvidence: If no slot can be scored.
    """
    refuse_same_model(suspect, references)
    if evidence.manifest.marking.unit is Unit.TYPE:
        finding, warnings = _detect_by_type(evidence, suspect, references, seed)
    else:
        finding, warnings = _detect_by_record(evidence, suspect, references, seed)
    return finding.about(
        name="keyed watermark",
        question=f"Was {suspect.identity.name} trained on the marked release?",
        assumptions=(_KEY_ASSUMPTION, *_reference_assumptions(references)),
        warnings=(*finding.warnings, *evidence.warnings, *warnings),
        inputs=(*evidence.inputs, suspect.identity, *(r.identity for r in references)),
        effect=replace(
            finding.effect, name=finding.effect.name.replace("in the unit of the scores", "in nats")
        ),
    )


def score_units(evidence: Evidence, suspect: Suspect) -> UnitScores:
    """Mean log-probability of every choice of every word type, in the original context.

    Args:
        evidence: Manifest (by type) and texts.
        suspect: The model to score with.

    Returns:
        Units sorted by word. Slots with nothing before them are left out, whatever was released.

    Raises:
        InsufficientEvidence: If no slot can be scored.
        VerificationError: If a word type was given two choices.
    """
    records = evidence.marked()
    texts = [evidence.originals[record.record] for record in records]
    places = [[ChoiceSlot(s.start, s.end, s.choices) for s in r.slots] for r in records]
    scores = suspect.choice_logprobs(texts, places)
    totals: dict[str, tuple[NDArray[np.float64], int, int]] = {}
    for record, record_scores in zip(records, scores, strict=True):
        for slot, score in zip(record.slots, record_scores, strict=True):
            if not np.isfinite(score).all():
                continue
            total, count, chosen = totals.get(slot.unit, (np.zeros(score.size), 0, slot.choice))
            if chosen != slot.choice or total.size != score.size:
                raise VerificationError(
                    f"word type '{slot.unit}' has two different choices in one manifest",
                    "the manifest was altered",
                )
            totals[slot.unit] = (total + score, count + 1, chosen)
    if not totals:
        raise InsufficientEvidence(
            "no marked word could be scored", "are these the released texts?"
        )
    words = tuple(sorted(totals))
    return UnitScores(
        words=words,
        values=tuple(totals[w][0] / totals[w][1] for w in words),
        chosen=np.array([totals[w][2] for w in words]),
        n_slots=np.array([totals[w][1] for w in words]),
    )


def unit_test(
    scores: UnitScores, references: Sequence[UnitScores], *, seed: int, n_resamples: int = 99_999
) -> Finding:
    """`choice_test` over word types, each weighted by m / (m + 2), m its number of slots.

    The mean over m slots of a type's scores has variance tau^2 + s^2 / m: how models differ in their
    taste for the words, and the noise of single slots. Its inverse is proportional to m / (m + s^2/tau^2).
    The ratio 2 was chosen on models trained for that purpose alone; any weight that depends on the
    originals only, as this does, leaves the p-value exact.

    Args:
        scores: Scores under the suspect.
        references: Scores of the same units under models that never saw the release.
        seed: Seed of the Monte-Carlo draws.
        n_resamples: How many draws.

    Returns:
        A finding.
    """
    return choice_test(
        scores.values,
        scores.chosen,
        references=[reference.values for reference in references],
        weights=scores.n_slots / (scores.n_slots + _SLOT_NOISE),
        seed=seed,
        n_resamples=n_resamples,
    ).about(unit="word types")


def _detect_by_type(
    evidence: Evidence, suspect: Suspect, references: Sequence[Suspect], seed: int
) -> tuple[Finding, list[str]]:
    others = [score_units(evidence, reference) for reference in references]
    scores = score_units(evidence, suspect)
    finding = unit_test(scores, others, seed=seed)
    spoilt = [
        _spoilt(reference, unit_test(other, [], seed=seed))
        for reference, other in zip(references, others, strict=True)
    ]
    left_out = sum(len(r.slots) for r in evidence.marked()) - int(scores.n_slots.sum())
    warnings = [f"{left_out} slots have no text before them and were left out."] if left_out else []
    return finding, warnings + [w for w in spoilt if w]


def _detect_by_record(
    evidence: Evidence, suspect: Suspect, references: Sequence[Suspect], seed: int
) -> tuple[Finding, list[str]]:
    records = evidence.marked()
    variants = [
        [apply_edits(original, record.release_edits()), *record.ghost_texts(original)]
        for record in records
        if (original := evidence.originals[record.record])
    ]
    if not variants:
        raise InsufficientEvidence(
            "no marked record could be scored", "are these the released texts?"
        )
    others = [_variant_scores(reference, variants) for reference in references]
    finding = ghost_test(_variant_scores(suspect, variants), references=others, seed=seed)
    spoilt = [
        _spoilt(reference, ghost_test(other, seed=seed))
        for reference, other in zip(references, others, strict=True)
    ]
    return finding, [w for w in spoilt if w]


def _variant_scores(suspect: Suspect, variants: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Log-probability of each whole variant, shape (N, M + 1); each distinct text is scored once."""
    distinct = list(dict.fromkeys(text for texts in variants for text in texts))
    totals = [float(score.sum()) for score in suspect.token_logprobs(distinct)]
    score_of = dict(zip(distinct, totals, strict=True))
    return np.array([[score_of[text] for text in texts] for texts in variants])


def _spoilt(reference: Suspect, finding: Finding) -> str:
    if finding.log10_p > math.log10(_SPOILT_REFERENCE):
        return ""
    return (
        f"Reference {reference.identity.name} favours the released wording itself (p = {finding.p_text}): "
        "it has probably seen the release, and hides the suspect's trace. Use another."
    )


def _reference_assumptions(references: Sequence[Suspect]) -> tuple[str, ...]:
    if not references:
        return ()
    return (
        "The references never saw the release; one that did costs power and can turn the sign.",
    )


def _check_release(manifest: Manifest, release: Release, path: Path) -> None:
    same = (
        release.manifest == manifest.commitment()
        and release.key_commitment == manifest.key_commitment
        and release.lexicon_sha256 == manifest.lexicon_sha256
        and release.marking == manifest.marking
    )
    if not same:
        raise VerificationError(
            f"{path}: does not describe this manifest",
            "they belong to different releases, or one was altered",
        )
