"""From findings to a folder with report.json and report.html."""

import hashlib
import importlib.metadata
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InvalidInput
from ..files import new_folder
from ..stats import AdjustMethod, Effect, Finding, adjust, format_p
from ..stats.report import AuditReport, Exhibit, Status, render_html
from .configuration import applied
from .output import effect_line, print_finding, print_json, print_rows, print_table

if TYPE_CHECKING:
    from ..provenance.suspect import Completer, LikelihoodReader, TokenReader

__all__ = [
    "Attachment",
    "accounts_of",
    "conclude",
    "distinct",
    "evidence_found",
    "now",
    "refuse_unfit",
    "repeat_command",
    "versions",
    "write_files",
]

_LIBRARIES = (
    "matplotlib",
    "numba",
    "numpy",
    "polars",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
    "typst",
)


def versions() -> Mapping[str, str]:
    """Versions of this program and of what its numbers depend on."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"bookplate": __version__, "python": platform.python_version(), **libraries}


def now() -> str:
    """The time by this machine's clock, RFC 3339 in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def repeat_command() -> str:
    """The command line that is running, as a shell would take it again.

    With the options that stand in bookplate.toml or in the environment, and without --report, whose folder
    exists when the command is read.
    """
    typed = sys.argv[1:]
    words = iter([*typed, *(word for setting in applied(typed) for word in setting.words)])
    kept = []
    for word in words:
        if word == "--report":
            next(words, None)
        elif not word.startswith("--report="):
            kept.append(word)
    return shlex.join(["bookplate", *kept])


def refuse_unfit(folder: Path | None, alpha: float = 0.01, seed: int = 0) -> None:
    """Refuse an output folder that exists, a threshold or a seed that is none, before any work is done.

    Raises:
        InvalidInput: If one of them is unfit.
    """
    if folder is not None and os.path.lexists(folder):
        raise InvalidInput(
            f"{folder}: already exists", "choose another name, or move it away first"
        )
    if not 0 < alpha < 1:
        raise InvalidInput(f"--alpha: expected a number between 0 and 1, got {alpha}")
    if not 0 <= seed < 2**64:
        raise InvalidInput(f"--seed: expected an integer in [0, 2**64), got {seed}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to be written beside a report.

    Attributes:
        name: File name.
        content: Its bytes.
        description: What it holds.
    """

    name: str
    content: bytes
    description: str

    def exhibit(self) -> Exhibit:
        """What the report says of it."""
        digest = hashlib.sha256(self.content).hexdigest()
        return Exhibit(name=self.name, sha256=digest, description=self.description)


def accounts_of(models: "Iterable[LikelihoodReader | Completer | TokenReader]") -> list[Attachment]:
    """What is known of each endpoint among some models: the file whose digest its findings name.

    Args:
        models: The models, after they were asked.
    """
    found: list[Attachment] = []
    for model in models:
        record = getattr(model, "record", None)
        if record is None:  # weights and recorded answers are files, with digests of their own
            continue
        what = f"What {model.identity.name} said of itself; its digest stands for the model here."
        found.append(Attachment("endpoint.json", record(), what))
    return distinct(found)


def distinct(attachments: Iterable[Attachment]) -> list[Attachment]:
    """Each content once, with a name of its own: an endpoint may tell more of itself as it is asked."""
    once = {attachment.content: attachment for attachment in attachments}
    names: dict[str, int] = {}
    found = []
    for attachment in once.values():
        stem, dot, ending = attachment.name.partition(".")
        n = names[attachment.name] = names.get(attachment.name, 0) + 1
        found.append(
            replace(attachment, name=attachment.name if n == 1 else f"{stem}-{n}{dot}{ending}")
        )
    return found


def evidence_found(findings: Sequence[Finding], alpha: float) -> list[bool]:
    """Of each of several findings on one suspect whether its corrected p-value (Holm) reaches alpha."""
    corrected = adjust(findings, method=AdjustMethod.HOLM)
    return [log10_p <= math.log10(alpha) for log10_p in corrected]


def conclude(
    suspect: str | Sequence[str],
    findings: Sequence[Finding],
    report: Path | None,
    *,
    alpha: float,
    as_json: bool,
    labels: Sequence[str] = (),
    also: Sequence[Effect] = (),
    kind: str = "model",
    attachments: Sequence[Attachment] = (),
    limits: Sequence[str] = (),
    json_also: Mapping[str, Any] = MappingProxyType({}),
    rows_also: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the report of some findings, if asked for, and print them.

    Args:
        suspect: What the user called the suspect; or several, one for each finding.
        findings: The tests' outcomes.
        report: Folder to make, or None.
        alpha: Threshold, fixed in advance.
        as_json: Print JSON.
        labels: Short name of each finding; if given, they are printed as a table with their p-values
            corrected for their number (Holm).
        also: What else was measured of a single finding.
        kind: What the suspect is, "model" or "dataset".
        attachments: Files to write beside the report.
        limits: What the report is to say that the findings do not speak of.
        json_also: What else to print where JSON is printed.
        rows_also: What else to print for people, after the findings.
    """
    suspects = [suspect] * len(findings) if isinstance(suspect, str) else suspect
    audit = _audit_of(suspects, findings, alpha, kind, attachments, limits)
    if report is not None:
        with new_folder(report) as staged:
            for attachment in attachments:
                (staged / attachment.name).write_bytes(attachment.content)
            write_files(audit, staged)
    if not labels:
        (finding,) = findings
        if as_json:
            measured = {"also": [asdict(effect) for effect in also]} if also else {}
            print_json({**finding.to_dict(), **measured, **json_also})
        else:
            print_finding(finding)
            print_rows([*(("also", effect_line(effect)) for effect in also), *rows_also])
            print_rows([("answer", _answer(audit)), *_written(report)])
        return
    corrected = adjust(findings, method=AdjustMethod.HOLM)
    if as_json:
        print_json({
            "findings": [
                {"label": label, "log10_p_corrected": log10_p, "finding": finding.to_dict()}
                for label, log10_p, finding in zip(labels, corrected, findings, strict=True)
            ],
            **json_also,
        })
        return
    first = findings[0]
    print_rows([
        ("null hypothesis", f"for each of them: {first.null}"),
        ("n", f"{first.n} {first.unit}"),
        *(("assumes", text) for text in first.assumptions),
        *(("warning", text) for text in dict.fromkeys(w for f in findings for w in f.warnings)),
    ])
    print_table(
        ("", "p-value", f"corrected for {len(findings)}", f"at {alpha:g}"),
        [
            (label, finding.p_text, format_p(log10_p), _verdict(log10_p, alpha))
            for label, finding, log10_p in zip(labels, findings, corrected, strict=True)
        ],
    )
    print_rows(rows_also)


def _verdict(log10_p: float, alpha: float) -> str:
    return "evidence found" if log10_p <= math.log10(alpha) else "no evidence found"


def write_files(report: AuditReport, folder: Path) -> None:
    """Write report.json and report.html into a folder that exists."""
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")


_ANSWERS = {
    Status.EVIDENCE_FOUND: "evidence found: p is not above {alpha:g}, which was fixed beforehand",
    Status.INCONCLUSIVE: "inconclusive: p is above {alpha:g}, and how surely the test would notice an effect "
    "was not measured; it counts for neither side",
    Status.ASSUMPTION_FAILED: "none: an assumption failed, so p means nothing; see the warnings",
}


def _answer(audit: AuditReport) -> str:
    """What the report of one finding answers, in a line."""
    (entry,) = audit.entries
    return _ANSWERS[entry.status].format(alpha=audit.alpha)


def _written(report: Path | None) -> list[tuple[str, str]]:
    return [] if report is None else [("wrote", f"{report / 'report.html'}, report.json")]


def _audit_of(
    suspects: Sequence[str],
    findings: Sequence[Finding],
    alpha: float,
    kind: str,
    attachments: Sequence[Attachment],
    limits: Sequence[str],
) -> AuditReport:
    """A report on one test or several of each suspect."""
    number = "one test" if len(findings) == 1 else f"{len(findings)} tests"
    named = ", ".join(dict.fromkeys(suspects))
    return AuditReport.from_findings(
        [(suspect, finding, None) for suspect, finding in zip(suspects, findings, strict=True)],
        title=f"Audit of {named}" if kind == "model" else f"Audit of the {kind} {named}",
        subject=f"{named}, examined with {number}.",
        alpha=alpha,
        command=repeat_command(),
        versions=versions(),
        created=now(),
        exhibits=[attachment.exhibit() for attachment in attachments],
        limits=(
            *limits,
            "Power was not measured: a result above the threshold is inconclusive, not an acquittal.",
            f"No control {kind}s were examined in this run.",
        ),
    )
