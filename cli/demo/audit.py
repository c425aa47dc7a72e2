"""The demo's audit: both tests on every model, controls drawn afresh, one report."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ...files import sha256_of_file
from ...provenance.palimpsest import Transcript, mean_logprobs, order_test
from ...stats import Finding
from ...stats.report import AuditReport, Control, Exhibit
from ...watermark.detect import detect, unit_test
from ...watermark.evidence import load_evidence
from ...watermark.keys import MarkingKey
from ...watermark.manifest import Manifest
from ...watermark.scoring import UnitScores, score_units
from ..reporting import now, repeat_command, versions
from .remembered import RememberedSuspect

__all__ = ["ALPHA", "SUSPECTS", "audit", "power_like"]

ALPHA = 0.01
SUSPECTS = ("guilty", "innocent", "base", "derivative", "stranger")
REFERENCE = "neighbour"
_FRESH_DRAWS = 40
_INNOCENT = ("innocent", "stranger")  # of both tests
_SUBJECT = (
    "Five small language models trained for this demonstration. The claimant owns the docstrings of "
    "SciPy, released with a secret mark, and a model called base, whose training order was drawn at "
    "random and recorded. guilty was trained on the marked release; derivative was fine-tuned from "
    "base; innocent and stranger have nothing of the claimant's mark or order, although stranger was "
    "trained on the unmarked originals."
)
_LIMITS = (
    "The models are tiny and were trained minutes before the audit; larger models remember differently.",
    "Key and order were not committed to before a trusted witness: on this machine's word alone.",
    "Power is estimated from one positive control each, by a normal approximation at the lower end of "
    "that control's interval.",
)


def audit(folder: Path, models: Mapping[str, Path], cache: Path) -> AuditReport:
    """Run both tests on every suspect.

    Args:
        folder: The demo's output with dataset, release, manifest, key and transcript.
        models: Folder of each model.
        cache: Where scores are remembered.

    Returns:
        The report; all tests count in its correction.
    """
    reached = {name: RememberedSuspect(models[name], cache) for name in (*SUSPECTS, REFERENCE)}
    marked = folder / "marked"
    evidence = load_evidence(
        marked / "private" / "manifest.parquet", key=MarkingKey.read(folder / "key.json")
    )
    transcript = Transcript.read(folder / "transcript.parquet")
    reference = reached[REFERENCE]
    marks = {
        name: detect(evidence, reached[name], references=[reference], seed=1) for name in SUSPECTS
    }
    orders, order_scores = _order_findings(transcript, reached)
    level = ALPHA / (2 * len(SUSPECTS))  # Holm's first step, the hardest
    tests = [
        *((name, marks[name], power_like(marks["guilty"], level)) for name in SUSPECTS),
        *((name, orders[name], power_like(orders["derivative"], level)) for name in SUSPECTS),
    ]
    unit_scores = {name: score_units(evidence, reached[name]) for name in (*_INNOCENT, REFERENCE)}
    controls = [
        *(_other_keys(name, evidence.manifest, unit_scores) for name in _INNOCENT),
        *(_other_orders(name, transcript, order_scores) for name in _INNOCENT),
    ]
    return AuditReport.from_findings(
        tests,
        title="Bookplate demonstration: five models, two questions",
        subject=_SUBJECT,
        alpha=ALPHA,
        command=repeat_command(),
        versions=versions(),
        created=now(),
        controls=controls,
        exhibits=_exhibits(folder),
        limits=_LIMITS,
    )


def power_like(control: Finding, level: float) -> float:
    """The chance that a case like a positive control would be noticed, taken at the low end.

    The control's standardised effect is lowered by 1.28 (the lower end of its 80 % interval) and the
    statistic is taken as normal: a rough figure, and not an optimistic one.

    Args:
        control: The finding of the positive control.
        level: Uncorrected p-value that counts as noticed, in (0, 1).

    Returns:
        A probability, rounded down to two digits.
    """
    effect = control.effect
    error = (effect.high - effect.low) / (2 * norm.ppf(0.5 + effect.confidence / 2))
    noticed = float(norm.sf(norm.isf(level) + 1.28 - effect.value / error))
    return math.floor(100 * noticed) / 100


def _order_findings(
    transcript: Transcript, reached: Mapping[str, RememberedSuspect]
) -> tuple[dict[str, Finding], dict[str, NDArray[np.float64]]]:
    scores = {name: mean_logprobs(transcript, suspect) for name, suspect in reached.items()}
    findings = {}
    for name in SUSPECTS:
        finding = order_test(transcript, scores[name], [scores[REFERENCE]], seed=1)
        findings[name] = finding.about(
            question=f"Was {name} derived from the model of this training run?",
            inputs=(transcript.source, reached[name].identity, reached[REFERENCE].identity),
        )
    return findings, scores


def _other_keys(name: str, manifest: Manifest, scores: Mapping[str, UnitScores]) -> Control:
    """The same test with keys drawn afresh: the scores stay, as they do not depend on the key."""
    p_values = []
    for _ in range(_FRESH_DRAWS):
        drawer = MarkingKey.generate().drawer()
        chosen = np.array([
            manifest.marking.draw(drawer, "", 0, word, values.size)[0]
            for word, values in zip(scores[name].names, scores[name].values, strict=True)
        ])
        fresh = replace(scores[name], chosen=chosen)
        p_values.append(unit_test(fresh, [scores[REFERENCE]], seed=1, n_resamples=9_999).p_value)
    return Control(
        name=f"{name}, other keys",
        description=f"The watermark test of {name} with {_FRESH_DRAWS} other keys, drawn afresh.",
        p_values=tuple(p_values),
    )


def _other_orders(
    name: str, transcript: Transcript, scores: Mapping[str, NDArray[np.float64]]
) -> Control:
    """The same test with training orders drawn afresh."""
    rng = np.random.default_rng()
    p_values = []
    for _ in range(_FRESH_DRAWS):
        order = replace(transcript, steps=rng.permutation(transcript.steps))
        p_values.append(order_test(order, scores[name], [scores[REFERENCE]], seed=1).p_value)
    return Control(
        name=f"{name}, other orders",
        description=f"The order test of {name} with {_FRESH_DRAWS} other orders, drawn afresh.",
        p_values=tuple(p_values),
    )


def _exhibits(folder: Path) -> list[Exhibit]:
    described = {
        "scipy-docstrings.parquet": "the claimant's dataset, unmarked",
        "marked/release/scipy-docstrings.parquet": "the dataset as released, marked",
        "marked/release/release.json": "public description of the release, with both commitments",
        "marked/private/manifest.parquet": "every slot and choice",
        "transcript.parquet": "the training order of base",
    }
    return [
        Exhibit(name=name, sha256=sha256_of_file(folder / name), description=text)
        for name, text in described.items()
    ]
