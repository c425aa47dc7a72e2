"""From findings to a folder with report.json and report.html."""

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from .. import __version__
from ..errors import InvalidInput
from ..files import new_folder
from ..stats import Finding
from ..stats.report import AuditReport, render_html

__all__ = [
    "audit_of_one",
    "now",
    "refuse_existing",
    "repeat_command",
    "versions",
    "write_files",
    "write_report",
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
    """The command line that is running, as a shell would take it again."""
    return shlex.join(["bookplate", *sys.argv[1:]])


def refuse_existing(folder: Path | None) -> None:
    """Refuse an output folder that exists, before any work is done.

    Raises:
        InvalidInput: If it exists.
    """
    if folder is not None and folder.exists():
        raise InvalidInput(
            f"{folder}: already exists", "choose another name, or move it away first"
        )


def audit_of_one(suspect: str, finding: Finding, alpha: float) -> AuditReport:
    """A report on one test of one suspect.

    Args:
        suspect: What the user called the suspect.
        finding: The test's outcome.
        alpha: Threshold, fixed in advance.

    Returns:
        The report.
    """
    return AuditReport.from_findings(
        [(suspect, finding, None)],
        title="Audit of one model",
        subject=f"The model {suspect}, examined with one test.",
        alpha=alpha,
        command=repeat_command(),
        versions=versions(),
        created=now(),
        limits=(
            "Power was not measured: a result above the threshold is inconclusive, not an acquittal.",
            "No control models were examined in this run.",
        ),
    )


def write_report(report: AuditReport, folder: Path) -> None:
    """Write report.json and report.html into a new folder; it appears when both are whole.

    Args:
        report: The report.
        folder: Must not exist.
    """
    with new_folder(folder) as staged:
        write_files(report, staged)


def write_files(report: AuditReport, folder: Path) -> None:
    """Write report.json and report.html into a folder that exists."""
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")
