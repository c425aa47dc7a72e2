"""`bookplate watermark detect`: is the mark in this model?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .dry_run import all_asked
from .options import (
    Alpha,
    AsJson,
    Committed,
    Recipients,
    References,
    Report,
    Seed,
    SuspectName,
    TextColumn,
)
from .output import working
from .reaching import Reached, reach, reaches_models

if TYPE_CHECKING:
    from ..provenance.suspect import Suspect
    from ..stats import Effect, Finding
    from ..watermark.evidence import Evidence
    from ..watermark.keys import MarkingKey

__all__ = ["detect"]


class MethodName(StrEnum):
    """The values of --method."""

    KEYED = "keyed"
    COMPLETION = "completion"
    SEQUENTIAL = "sequential"


@reaches_models
def detect(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    suspect: SuspectName,
    reference: References = None,
    released: Annotated[
        Path | None,
        typer.Option(help="A released file; default: the ones in ../release/ of the manifest."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Draw every choice anew and compare.")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Marked texts that nobody has seen, to compare with (mode leximark only)."
        ),
    ] = None,
    method: Annotated[
        MethodName,
        typer.Option(
            help="keyed: score every choice. completion: look at the model's answers only. sequential: "
            "ask word by word and stop once the e-value reaches 1/alpha."
        ),
    ] = MethodName.KEYED,
    samples: Annotated[
        int | None, typer.Option(help="Answers per place (method completion only; default 8).")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(help="Most words, or texts, to be scored (method sequential only)."),
    ] = None,
    recipient: Recipients = None,
    committed: Committed = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    text_column: TextColumn = "text",
    as_json: AsJson = False,
    *,
    how: Reached,
) -> None:
    """Test whether a model was trained on a marked release."""
    from ..watermark.evidence import load_evidence
    from ..watermark.keys import MarkingKey
    from ..watermark.manifest.rehearsal import rehearse
    from .reporting import accounts_of, conclude, refuse_unfit

    refuse_unfit(report, alpha, seed)
    marking_key = None if key is None else MarkingKey.read(key)
    if recipient and marking_key is None:
        raise InvalidInput(
            "--recipient needs --key, the owner's key that recipients' keys follow from"
        )
    if committed and not recipient:
        raise InvalidInput("--committed goes with --recipient")
    if method is not MethodName.KEYED and (recipient or held_out is not None):
        raise InvalidInput(f"--recipient and --held-out do not go with --method {method}")
    if method is MethodName.COMPLETION and reference:
        raise InvalidInput(
            "--reference does not go with --method completion: answers have no scores"
        )
    _refuse_unused(method, samples, budget)
    if held_out is not None and (recipient or reference):
        raise InvalidInput("--held-out compares two sets of texts: no --recipient, no --reference")
    if marking_key is None and manifest.is_file():  # whoever has no key has it from someone else
        rehearse(manifest)
    evidence = load_evidence(manifest, released=released, key=marking_key, text_column=text_column)
    asked = _Asked(evidence, suspect, reference or [], seed, alpha, how)
    labels: Sequence[str] = ()
    also: Sequence[Effect] = ()
    if held_out is not None:
        findings, also = _compared(asked, held_out, text_column)
    elif method is MethodName.COMPLETION:
        findings = [_completed(asked, 8 if samples is None else samples)]
    elif method is MethodName.SEQUENTIAL:
        findings = [_step_by_step(asked, budget)]
    elif recipient and marking_key is not None:
        findings, labels = _by_recipient(asked, marking_key, recipient, committed or []), recipient
    else:
        findings = [_keyed(asked)]
    all_asked()
    conclude(
        suspect,
        findings,
        report,
        alpha=alpha,
        as_json=as_json,
        labels=labels,
        also=also,
        attachments=accounts_of(asked.opened),
    )


def _refuse_unused(method: MethodName, samples: int | None, budget: int | None) -> None:
    for name, value, owner in (
        ("--samples", samples, MethodName.COMPLETION),
        ("--budget", budget, MethodName.SEQUENTIAL),
    ):
        if value is None:
            continue
        if method is not owner:
            raise InvalidInput(f"{name} belongs to --method {owner}")
        if value < 1:
            raise InvalidInput(f"{name}: expected at least 1, got {value}")


@dataclass(frozen=True)
class _Asked:
    """What every method starts from; models are opened only when it is clear that they are needed."""

    evidence: "Evidence"
    suspect: str
    references: Sequence[str]
    seed: int
    alpha: float
    how: Reached
    opened: "list[Suspect]" = field(default_factory=list)

    def reach(self) -> "tuple[Suspect, list[Suspect]]":
        suspect, references = reach(self.suspect, self.references, self.how)
        self.opened.extend((suspect, *references))
        return suspect, references


def _keyed(asked: _Asked) -> "Finding":
    from ..watermark.detect import detect as detect_mark

    model, references = asked.reach()
    with working(f"scoring {asked.suspect}"):
        return detect_mark(asked.evidence, model, references=references, seed=asked.seed)


def _by_recipient(
    asked: _Asked, key: "MarkingKey", names: Sequence[str], committed: Sequence[Path]
) -> "list[Finding]":
    from ..watermark.detect import detect_recipients
    from ..watermark.recipients import commitments_in

    model, references = asked.reach()
    with working(f"scoring {asked.suspect}"):
        named = detect_recipients(
            asked.evidence,
            model,
            key=key,
            recipients=names,
            references=references,
            seed=asked.seed,
            committed=commitments_in(committed),
        )
    return [finding for _, finding in named]


def _completed(asked: _Asked, samples: int) -> "Finding":
    from ..provenance.suspect import Completer
    from ..watermark.completion import completion_test

    model, _ = asked.reach()
    if not isinstance(model, Completer):
        raise InvalidInput(f"{asked.suspect}: cannot continue texts", "use --method keyed")
    with working(f"asking {asked.suspect}"):
        return completion_test(asked.evidence, model, seed=asked.seed, n_samples=samples)


def _step_by_step(asked: _Asked, budget: int | None) -> "Finding":
    from ..watermark.sequential import detect_sequentially

    model, references = asked.reach()
    with working(f"asking {asked.suspect}"):
        result = detect_sequentially(
            asked.evidence, model, alpha=asked.alpha, references=references, budget=budget
        )
    cost = (
        f"{result.n_scored:,} of {result.n_scored_in_all:,} scores were asked for; the level was "
        f"{'reached' if result.reached else 'not reached'}."
    )
    return result.finding.about(warnings=(*result.finding.warnings, cost))


def _compared(
    asked: _Asked, held_out: Path, text_column: str
) -> "tuple[list[Finding], list[Effect]]":
    """Released against held-back texts, as LexiMark published it."""
    from ..files import sha256_of_file
    from ..stats import Input
    from ..watermark.leximark import leximark_test, refuse_unfit_sets, released_texts
    from ..watermark.tables import read_table

    texts = read_table(held_out, text_column=text_column).texts
    refuse_unfit_sets(asked.evidence, texts)
    model, _ = asked.reach()
    with working(f"scoring {asked.suspect}"):
        result = leximark_test(
            released_texts(asked.evidence),
            texts,
            model,
            inputs=(
                *asked.evidence.inputs,
                Input(name=held_out.name, sha256=sha256_of_file(held_out)),
            ),
        )
    return [result.finding], [result.roc.auroc, *(point.tpr for point in result.roc.at_fpr)]
