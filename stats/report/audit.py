"""`AuditReport`: every registered test of an audit, corrected for their number and judged by rule.

Nobody writes a status or a strength word by hand: both follow from the findings, and a report whose
stated answers differ from the recomputed ones cannot be constructed or read.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn, Self

from scipy.stats import binomtest

from ...errors import InsufficientEvidence, InvalidInput
from ..combine import AdjustMethod, adjusted_log10_p
from ..evidence import calibrated_log10_e, verbal_strength
from ..findings import EValue, Finding
from .typed import require_types
from .wording import visible

__all__ = [
    "FORMAT",
    "AuditReport",
    "AuditedFinding",
    "Control",
    "Exhibit",
    "NotRun",
    "Status",
]

FORMAT = "bookplate-report/1"
SUFFICIENT_POWER = 0.90
CONTROL_LEVELS = (0.05, 0.5)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


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
            calibrated from the corrected p-value.
        status: Follows from the corrected p-value, alpha, power and `failed_assumption`.
    """

    suspect: str
    finding: Finding
    power: float | None
    failed_assumption: str
    log10_p_corrected: float
    e_value: EValue
    status: Status

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
        return {
            "suspect": self.suspect,
            "finding": self.finding.to_dict(),
            "power": self.power,
            "failed_assumption": self.failed_assumption,
            "log10_p_corrected": self.log10_p_corrected,
            "e_value": {"log10_e": self.e_value.log10_e, "method": self.e_value.method},
            "strength": self.strength,
            "status": self.status.value,
        }


_Answer = tuple[float, EValue, Status]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A test that was registered but gave no result; it still counts in the correction.

    Attributes:
        suspect: Name of the model that was to be tested.
        name: Which test.
        question: The question it was to answer.
        reason: Why there is no result.
    """

    suspect: str
    name: str
    question: str
    reason: str

    def __post_init__(self) -> None:
        require_types(self)

    @property
    def status(self) -> Status:
        """Always `Status.NOT_RUN`."""
        return Status.NOT_RUN


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """All that a report says; `render_html` writes it for people, `to_json` for machines.

    Make one with `from_findings`. The constructor recomputes every answer and refuses others.

    Attributes:
        title: Title of the report.
        subject: What is examined and for whom, in plain words.
        alpha: Threshold for the corrected p-values, in (0, 1): the probability of one or more false
            findings in the whole report, if the assumptions hold.
        entries: The tests that were run, with their answers, in order of registration.
        not_run: The tests that were registered and gave no result.
        controls: Runs where the null hypothesis is known to hold.
        exhibits: Files that accompany the report.
        command: The command that repeats the audit.
        versions: Version of each program used.
        created: When the report was made, by the clock of the machine that made it: RFC 3339, UTC.
        limits: What this audit could not examine; one sentence each.
    """

    title: str
    subject: str
    alpha: float
    entries: tuple[AuditedFinding, ...]
    not_run: tuple[NotRun, ...]
    controls: tuple[Control, ...]
    exhibits: tuple[Exhibit, ...]
    command: str
    versions: Mapping[str, str]
    created: str
    limits: tuple[str, ...]

    def __post_init__(self) -> None:
        require_types(self)
        _check_alpha(self.alpha)
        _check_created(self.created)
        if not self.entries and not self.not_run:
            raise InsufficientEvidence("no findings to report: checking nothing is not passing")
        _refuse_duplicates(
            [(e.suspect, e.finding.name) for e in self.entries]
            + [(t.suspect, t.name) for t in self.not_run]
        )
        for stated, due in zip(self.entries, self._answers(), strict=True):
            if (stated.log10_p_corrected, stated.e_value, stated.status) != due:
                raise InvalidInput(
                    f"{stated.finding.name!r} of {stated.suspect!r}: the stated answer is not the "
                    "computed one",
                    "make reports with AuditReport.from_findings",
                )
        object.__setattr__(self, "versions", MappingProxyType(dict(sorted(self.versions.items()))))

    @property
    def n_tests(self) -> int:
        """Number of registered tests, all of which count in the correction."""
        return len(self.entries) + len(self.not_run)

    @classmethod
    def from_findings(
        cls,
        tests: Iterable[tuple[str, Finding, float | None]],
        *,
        title: str,
        subject: str,
        alpha: float,
        command: str,
        versions: Mapping[str, str],
        created: str,
        controls: Sequence[Control] = (),
        exhibits: Sequence[Exhibit] = (),
        limits: Sequence[str] = (),
        not_run: Sequence[NotRun] = (),
        failed_assumptions: Mapping[tuple[str, str], str] = MappingProxyType({}),
    ) -> Self:
        """Correct and judge the findings of an audit.

        Tests that were not run, or whose assumption failed, enter Holm's correction with p = 1.
        Then, with p the corrected p-value: `evidence_found` iff p <= alpha; `no_evidence_found` iff
        p > alpha and the power is known and at least 0.90; `inconclusive` otherwise.

        Args:
            tests: (suspect, finding, power or None) of every test that was run.
            title: See `AuditReport`, as for all that follow.
            subject: What is examined.
            alpha: Threshold for corrected p-values.
            command: The command that repeats the audit.
            versions: Version of each program used.
            created: RFC 3339 time in UTC, ending in Z.
            controls: Calibration controls.
            exhibits: Accompanying files.
            limits: What could not be examined.
            not_run: Registered tests without a result.
            failed_assumptions: What failed and how, by (suspect, finding name).

        Returns:
            The report.

        Raises:
            InsufficientEvidence: If no test is registered at all.
            InvalidInput: If alpha, a power or the time is malformed, if two tests share suspect and
                name, or if `failed_assumptions` names a test that is not there.
        """
        rows = list(tests)
        _check_alpha(alpha)
        unknown = set(failed_assumptions) - {
            (suspect, finding.name) for suspect, finding, _ in rows
        }
        if unknown:
            raise InvalidInput(f"failed_assumptions: no such test: {sorted(unknown)[0]}")
        failures = [failed_assumptions.get((suspect, f.name), "") for suspect, f, _ in rows]
        answers = _answers(
            [f for _, f, _ in rows], failures, [p for *_, p in rows], len(not_run), alpha
        )
        entries = tuple(
            AuditedFinding(
                suspect=suspect,
                finding=finding,
                power=power,
                failed_assumption=failure,
                log10_p_corrected=log10_p,
                e_value=e_value,
                status=status,
            )
            for (suspect, finding, power), failure, (log10_p, e_value, status) in zip(
                rows, failures, answers, strict=True
            )
        )
        return cls(
            title=title,
            subject=subject,
            alpha=alpha,
            entries=entries,
            not_run=tuple(not_run),
            controls=tuple(controls),
            exhibits=tuple(exhibits),
            command=command,
            versions=versions,
            created=created,
            limits=tuple(limits),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary for JSON."""
        return {
            "format": FORMAT,
            "title": self.title,
            "subject": self.subject,
            "alpha": self.alpha,
            "entries": [entry.to_dict() for entry in self.entries],
            "not_run": [
                {"suspect": t.suspect, "name": t.name, "question": t.question, "reason": t.reason}
                for t in self.not_run
            ],
            "controls": [control.to_dict() for control in self.controls],
            "exhibits": [
                {"name": x.name, "sha256": x.sha256, "description": x.description}
                for x in self.exhibits
            ],
            "command": self.command,
            "versions": dict(self.versions),
            "created": self.created,
            "limits": list(self.limits),
        }

    def to_json(self) -> bytes:
        """Return the one byte sequence of this report: UTF-8, sorted keys, a newline at the end."""
        text = json.dumps(
            self.to_dict(),
            ensure_ascii=False,
            allow_nan=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        # A file name may hold a lone surrogate, which UTF-8 cannot; JSON can, as an escape.
        escaped = _LONE_SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", text)
        return escaped.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `to_json` wrote, and compute every answer again.

        1. The bytes are UTF-8 JSON without duplicate keys, NaN or infinities.
        2. The format is one we know.
        3. Every field is of its kind, and the findings make a report.
        4. That report, written again, is the one read: no unknown or missing field, no altered
           answer. Computed numbers may differ in the tenth digit, as between machines.

        Not checked: who made the report, and whether its findings are true.

        Args:
            data: The bytes of a report.

        Returns:
            The report.

        Raises:
            InvalidInput: If one of the four fails; the message says where.
        """
        fields = _strict_json(data)  # 1
        if fields.get("format") != FORMAT:  # 2
            raise InvalidInput(f"expected format {FORMAT!r}, got {fields.get('format')!r}")
        try:  # 3
            report = cls._from_fields(fields)
        except (KeyError, TypeError, AttributeError, ValueError, InsufficientEvidence) as error:
            raise InvalidInput(f"not a report of this version: {error}") from error
        difference = _difference(json.loads(report.to_json()), fields, "report")  # 4
        if difference:
            raise InvalidInput(difference)
        return report

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        entries = fields["entries"]
        findings = [Finding.from_dict(entry["finding"]) for entry in entries]
        return cls.from_findings(
            [(e["suspect"], f, e["power"]) for e, f in zip(entries, findings, strict=True)],
            title=fields["title"],
            subject=fields["subject"],
            alpha=fields["alpha"],
            command=fields["command"],
            versions=fields["versions"],
            created=fields["created"],
            controls=[
                Control(name=c["name"], description=c["description"], p_values=tuple(c["p_values"]))
                for c in fields["controls"]
            ],
            exhibits=[Exhibit(**exhibit) for exhibit in fields["exhibits"]],
            limits=fields["limits"],
            not_run=[NotRun(**test) for test in fields["not_run"]],
            failed_assumptions={
                (e["suspect"], f.name): e["failed_assumption"]
                for e, f in zip(entries, findings, strict=True)
                if e["failed_assumption"] != ""
            },
        )

    def _answers(self) -> list[_Answer]:
        return _answers(
            [entry.finding for entry in self.entries],
            [entry.failed_assumption for entry in self.entries],
            [entry.power for entry in self.entries],
            len(self.not_run),
            self.alpha,
        )


def _answers(
    findings: Sequence[Finding],
    failures: Sequence[str],
    powers: Sequence[float | None],
    n_not_run: int,
    alpha: float,
) -> list[_Answer]:
    """Corrected log10 p, e-value and status of every test that was run."""
    counted = [0.0 if failure else f.log10_p for f, failure in zip(findings, failures, strict=True)]
    registered = counted + [0.0] * n_not_run
    corrected = adjusted_log10_p(registered, method=AdjustMethod.HOLM) if registered else ()
    return [
        (
            p,
            _e_value(None if failure else finding.e_value, p, len(registered)),
            Status.ASSUMPTION_FAILED if failure else _status(p, power, alpha),
        )
        for finding, p, failure, power in zip(
            findings, corrected[: len(counted)], failures, powers, strict=True
        )
    ]


def _e_value(direct: EValue | None, log10_p_corrected: float, n_tests: int) -> EValue:
    if direct is None:
        log10_e = calibrated_log10_e(log10_p_corrected)
        return EValue(log10_e=log10_e, method="calibrated from the corrected p-value")
    # P(any of m e-values reaches m c) <= m / (m c): so e / m keeps Markov's bound for the whole report.
    return EValue(
        log10_e=direct.log10_e - math.log10(n_tests),
        method=f"{direct.method}; divided by the number of tests, {n_tests}",
    )


def _status(log10_p_corrected: float, power: float | None, alpha: float) -> Status:
    if log10_p_corrected <= math.log10(alpha):
        return Status.EVIDENCE_FOUND
    if power is not None and power >= SUFFICIENT_POWER:
        return Status.NO_EVIDENCE_FOUND
    return Status.INCONCLUSIVE


def _check_alpha(alpha: float) -> None:
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        raise InvalidInput(f"alpha: expected a number strictly between 0 and 1, got {alpha!r}")


def _check_created(created: str) -> None:
    try:
        if _RFC3339_UTC.fullmatch(created):
            datetime.fromisoformat(created)
            return
    except ValueError:
        pass
    raise InvalidInput(f"created: expected a time like 2026-01-31T09:30:00Z, got {created!r}")


def _refuse_duplicates(names: Sequence[tuple[str, str]]) -> None:
    seen: set[tuple[str, str]] = set()
    for pair in names:
        if pair in seen:
            raise InvalidInput(f"two tests are called {pair[1]!r} for suspect {pair[0]!r}")
        seen.add(pair)


def _strict_json(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except InvalidInput:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON in UTF-8: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidInput(f"expected a JSON object, got {type(fields).__name__}")
    return fields


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise InvalidInput(f"key {next(n for n in names if names.count(n) > 1)!r} appears twice")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is no JSON number")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidInput(f"{digits} is too large for a number")
    return value


def _difference(expected: Any, got: Any, where: str) -> str:
    """Return the first place where two JSON values differ, in words; empty if nowhere."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in sorted(expected.keys() ^ got.keys()):
            return f"{where}.{visible(name)}: {'unknown' if name in got else 'missing'} field"
        pairs = [(f"{where}.{name}", expected[name], got[name]) for name in sorted(got)]
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = [
            (f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(expected, got, strict=True))
        ]
    elif _same_value(expected, got):
        return ""
    else:
        return f"{where}: expected {expected!r:.80}, got {got!r:.80}"
    return next((text for at, a, b in pairs if (text := _difference(a, b, at))), "")


def _same_value(expected: Any, got: Any) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(expected, got, rel_tol=1e-10)
    return type(expected) is type(got) and bool(expected == got)
