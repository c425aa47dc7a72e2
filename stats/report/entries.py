"""What a report is made of: a finding with its answer, a test without one, controls, exhibits."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scipy.stats import binomtest

from ...errors import InsufficientEvidence, InvalidInput
from ..evidence import verbal_strength
from ..findings import EValue, Finding
from .typed import require_types

__all__ = ["CONTROL_LEVELS", "AuditedFinding", "Control", "Exhibit", "NotRun", "Status"]

CONTROL_LEVELS = (0.05, 0.5)

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Status(StrEnum):
    """What a registered test answered; `AuditReport.from_findings` decides it, never a writer."""

    EVIDENCE_FOUND = "evidence_found"
    NO_EVIDENCE_FOUND = "no_evidence_found"
    INCONCLUSIVE = "inconclusive"
    ASSUMPTION_FAILED = "assumption_failed"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedFinding:
    """One finding about one suspect, with its answer.

    Attributes:
        suspect: Name of the model under test.
        finding: What the test returned.
        power: Probability of noticing the smallest effect of interest, measured beforehand; None if
            it is not known.
        failed_assumption: Which assumption failed its check, and how; empty if none did.
        log10_p_corrected: Decimal logarithm of the Holm-corrected p-value.
        e_value: The finding's own e-value divided by the number of tests, or, where it has none, one
            calibrated from its p-value times that number.
        status: Follows from the corrected p-value, alpha, power and `failed_assumption`.
        test: Id of the registered test, where the report belongs to a case; else empty.
    """

    suspect: str
    finding: Finding
    power: float | None
    failed_assumption: str
    log10_p_corrected: float
    e_value: EValue
    status: Status
    test: str = ""

    def __post_init__(self) -> None:
        require_types(self)
        if self.power is not None and not 0 <= self.power <= 1:
            raise InvalidInput(f"power of {self.finding.name!r}: expected [0, 1], got {self.power}")

    @property
    def strength(self) -> str:
        """The word for the e-value."""
        return verbal_strength(self.e_value.log10_e)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary for JSON, the computed answers among its fields."""
        registered = {"test": self.test} if self.test else {}
        return {
            **registered,
            "suspect": self.suspect,
            "finding": self.finding.to_dict(),
            "power": self.power,
            "failed_assumption": self.failed_assumption,
            "log10_p_corrected": self.log10_p_corrected,
            "e_value": {"log10_e": self.e_value.log10_e, "method": self.e_value.method},
            "strength": self.strength,
            "status": self.status.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A test that was registered but gave no result; it still counts in the correction.

    Attributes:
        suspect: Name of the model that was to be tested.
        name: Which test.
        question: The question it was to answer.
        reason: Why there is no result.
        test: Id of the registered test, where the report belongs to a case; else empty.
    """

    suspect: str
    name: str
    question: str
    reason: str
    test: str = ""

    def __post_init__(self) -> None:
        require_types(self)

    @property
    def status(self) -> Status:
        """Always `Status.NOT_RUN`."""
        return Status.NOT_RUN

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary for JSON."""
        registered = {"test": self.test} if self.test else {}
        return {
            **registered,
            "suspect": self.suspect,
            "name": self.name,
            "question": self.question,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The same test, run again where the null hypothesis is known to hold.

    Attributes:
        name: What was run.
        description: Why the null hypothesis holds: other keys, other orders, an innocent model.
        p_values: The uncorrected p-value of each run, in (0, 1].
    """

    name: str
    description: str
    p_values: tuple[float, ...]

    def __post_init__(self) -> None:
        require_types(self)
        if not self.p_values:
            raise InsufficientEvidence(f"control {self.name!r}: no runs, so no error rate")
        for i, p in enumerate(self.p_values):
            if not 0 < p <= 1:
                raise InvalidInput(
                    f"control {self.name!r}, p_values[{i}]: expected (0, 1], got {p}"
                )

    def count_at(self, level: float) -> int:
        """Return the number of runs with p <= level; about that share, if the test is right."""
        return sum(p <= level for p in self.p_values)

    @property
    def rate_bound(self) -> float:
        """One-sided exact 95 % upper bound (Clopper-Pearson) for the rate of p <= 0.05."""
        test = binomtest(self.count_at(CONTROL_LEVELS[0]), len(self.p_values), alternative="less")
        return float(test.proportion_ci(confidence_level=0.95, method="exact").high)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary for JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "p_values": list(self.p_values),
            "counts": [{"level": a, "at_or_below": self.count_at(a)} for a in CONTROL_LEVELS],
            "rate_bound": self.rate_bound,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A file that accompanies the report.

    Attributes:
        name: File name.
        sha256: SHA-256 of its bytes, 64 lower-case hexadecimal digits.
        description: What it holds.
    """

    name: str
    sha256: str
    description: str

    def __post_init__(self) -> None:
        require_types(self)
        if not _SHA256.fullmatch(self.sha256):
            raise InvalidInput(
                f"exhibit {self.name!r}: expected 64 hex digits, got {self.sha256!r}"
            )
