"""Tests for the mark of a release: in models, and in other datasets."""

from typing import TYPE_CHECKING

from ....display import visible
from ....errors import InvalidInput
from ....stats import Finding
from ...reporting import accounts_of
from ..planned import (
    CompletionTest,
    LeakTest,
    LexiMarkTest,
    WatermarkSequentialTest,
    WatermarkTest,
)
from ..registering import Pair
from .materials import Materials
from .tested import Tested

if TYPE_CHECKING:
    from ....provenance.suspect import Suspect

__all__ = ["completion", "leak", "leximark", "watermark", "watermark_sequential"]


def models_of(pair: Pair, materials: Materials) -> "tuple[Suspect, list[Suspect]]":
    """The model under test, and its references."""
    return materials.model(pair.subject), [materials.reference(name) for name in pair.references]


def watermark(pair: Pair, planned: WatermarkTest, materials: Materials) -> Tested:
    """Every choice of the key is scored."""
    from ....watermark.detect import detect

    evidence = materials.evidence(planned.dataset)
    model, references = models_of(pair, materials)
    finding = detect(evidence, model, references=references, seed=pair.seed)
    return Tested(finding, tuple(accounts_of((model, *references))))


def completion(pair: Pair, planned: CompletionTest, materials: Materials) -> Tested:
    """Only the answers are looked at."""
    from ....provenance.suspect import Completer
    from ....watermark.completion import completion_test

    evidence = materials.evidence(planned.dataset)
    model = materials.model(pair.subject)
    if not isinstance(model, Completer):
        raise InvalidInput(f"{pair.subject}: cannot continue texts", "register a watermark test")
    finding = completion_test(evidence, model, seed=pair.seed, n_samples=planned.samples)
    return Tested(finding, tuple(accounts_of((model,))))


def watermark_sequential(
    pair: Pair, planned: WatermarkSequentialTest, materials: Materials
) -> Tested:
    """Word by word, until the e-value is enough."""
    from ....watermark.sequential import detect_sequentially

    evidence = materials.evidence(planned.dataset)
    model, references = models_of(pair, materials)
    found = detect_sequentially(
        evidence,
        model,
        alpha=materials.registered.sequential_alpha,
        references=references,
        budget=planned.budget,
    )
    cost = f"{found.n_scored:,} of {found.n_scored_in_all:,} scores were asked for"
    finding = with_cost(found.finding, cost, reached=found.reached)
    return Tested(finding, tuple(accounts_of((model, *references))))


def with_cost(finding: Finding, cost: str, *, reached: bool) -> Finding:
    """A finding that says what it cost and where it stopped."""
    level = "reached" if reached else "not reached"
    return finding.about(warnings=(*finding.warnings, f"{cost}; the level was {level}."))


def leximark(pair: Pair, planned: LexiMarkTest, materials: Materials) -> Tested:
    """Released against held-back texts."""
    from ....watermark.leximark import leximark_test, refuse_unfit_sets, released_texts

    evidence = materials.evidence(planned.dataset)
    held_out, identity, listing = materials.texts(planned.held_out)
    refuse_unfit_sets(evidence, held_out)
    model = materials.model(pair.subject)
    found = leximark_test(
        released_texts(evidence), held_out, model, inputs=(*evidence.inputs, identity)
    )
    return Tested(found.finding, (*listing, *accounts_of((model,))))


def leak(pair: Pair, planned: LeakTest, materials: Materials) -> Tested:
    """Is a dataset a copy of the release?"""
    from ....watermark.audited import AuditedDataset
    from ....watermark.leak import leak as leak_of
    from ...leak_command import identified
    from ...leak_coverage import Coverage

    registered = materials.registered
    defined = registered.audit.texts[pair.subject]
    path = registered.resolved(defined.path)
    evidence = materials.evidence(planned.dataset)
    dataset = AuditedDataset(path, text_column=defined.text_column)
    found = leak_of(evidence, dataset.texts(), seed=pair.seed, name=visible(path.name))
    identity, listing = identified(dataset, path)
    materials.known_texts(pair.subject, identity)
    finding = found.finding.about(inputs=(*found.finding.inputs, identity))
    is_copy = finding.rejects(registered.sequential_alpha)
    coverage = Coverage([found], [], [is_copy])
    return Tested(
        finding.about(warnings=(*finding.warnings, *coverage.limits())),
        (coverage.attachment(), *listing),
    )
