"""From findings to a folder with report.json and report.html."""

import importlib.metadata
import math
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from .. import __version__
from ..errors import InvalidInput
from ..files import new_folder
from ..provenance.suspect import Suspect, open_suspect
from ..stats import AdjustMethod, Effect, Finding, adjust, format_p
from ..stats.report import AuditReport, render_html
from .output import effect_line, print_finding, print_json, print_rows, print_table, quiet_libraries

__all__ = [
    "conclude",
    "now",
    "reach",
    "refuse_unfit",
    "repeat_command",
    "versions",
    "write_files",
]

_LIBRARIES = (
    "numba",
    "numpy",
    "polars",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
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

    Without --report, whose folder exists when the command is read.
    """
    words = iter(sys.argv[1:])
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


def reach(suspect: str, references: Sequence[str], device: str) -> tuple[Suspect, list[Suspect]]:
    """Open a suspect and its references.

    Args:
        suspect: What the user called the suspect.
        references: What the user called the references.
        device: Where to run them.

    Returns:
        The suspect, and the references in their order.
    """
    quiet_libraries()
    opened = [open_suspect(name, device=device) for name in (suspect, *references)]
    return opened[0], opened[1:]


def conclude(
    suspect: str,
    findings: Sequence[Finding],
    report: Path | None,
    *,
    alpha: float,
    as_json: bool,
    labels: Sequence[str] = (),
    also: Sequence[Effect] = (),
) -> None:
    """Write the report of the findings on one suspect, if asked for, and print them.

    Args:
        suspect: What the user called the suspect.
        findings: The tests' outcomes.
        report: Folder to make, or None.
        alpha: Threshold, fixed in advance.
        as_json: Print JSON.
        labels: Short name of each finding; if given, they are printed as a table with their p-values
            corrected for their number (Holm).
        also: What else was measured of a single finding.
    """
    if report is not None:
        with new_folder(report) as staged:
            write_files(_audit_of(suspect, findings, alpha), staged)
    if not labels:
        (finding,) = findings
        if as_json:
            measured = {"also": [asdict(effect) for effect in also]} if also else {}
            print_json({**finding.to_dict(), **measured})
        else:
            print_finding(finding)
            print_rows([("also", effect_line(effect)) for effect in also])
        return
    corrected = adjust(findings, method=AdjustMethod.HOLM)
    if as_json:
        print_json({
            "findings": [
                {"label": label, "log10_p_corrected": log10_p, "finding": finding.to_dict()}
                for label, log10_p, finding in zip(labels, corrected, findings, strict=True)
            ]
        })
        return
    first = findings[0]
    print_rows([
        ("null hypothesis", f"for each of them: {first.null}"),
        ("n", f"{first.n} {first.unit}"),
        *(("assumes", text) for text in first.assumptions),
        *(("warning", text) for text in first.warnings),
    ])
    print_table(
        ("", "p-value", f"corrected for {len(findings)}", f"at {alpha:g}"),
        [
            (label, finding.p_text, format_p(log10_p), _verdict(log10_p, alpha))
            for label, finding, log10_p in zip(labels, findings, corrected, strict=True)
        ],
    )


def _verdict(log10_p: float, alpha: float) -> str:
    return "evidence found" if log10_p <= math.log10(alpha) else "no evidence found"


def write_files(report: AuditReport, folder: Path) -> None:
    """Write report.json and report.html into a folder that exists."""
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")


def _audit_of(suspect: str, findings: Sequence[Finding], alpha: float) -> AuditReport:
    """A report on the tests of one suspect."""
    number = "one test" if len(findings) == 1 else f"{len(findings)} tests"
    return AuditReport.from_findings(
        [(suspect, finding, None) for finding in findings],
        title=f"Audit of {suspect}",
        subject=f"{suspect}, examined with {number}.",
        alpha=alpha,
        command=repeat_command(),
        versions=versions(),
        created=now(),
        limits=(
            "Power was not measured: a result above the threshold is inconclusive, not an acquittal.",
            "No control models were examined in this run.",
        ),
    )
