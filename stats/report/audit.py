"""`AuditReport`: every registered test of an audit, corrected for their number and judged by rule.

Nobody writes a status or a strength word by hand: both follow from the findings, and a report whose
stated answers differ from the recomputed ones cannot be constructed or read.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from ...errors import InsufficientEvidence, InvalidInput
from ..combine import AdjustMethod, adjusted_log10_p
from ..evidence import calibrated_log10_e
from ..findings import EValue, Finding
from .case import CaseFile, check_time
from .entries import AuditedFinding, Control, Exhibit, NotRun, Status
from .strict_json import difference, strict_json
from .typed import require_types

__all__ = ["FORMAT", "FORMAT_WITH_CASE", "SUFFICIENT_POWER", "AuditReport"]

FORMAT, FORMAT_WITH_CASE = "bookplate-report/1", "bookplate-report/2"
SUFFICIENT_POWER = 0.90

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


_Answer = tuple[float, EValue, Status]


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
        case: The case it belongs to, or None for the report of a single command.
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
    case: CaseFile | None = None

    def __post_init__(self) -> None:
        require_types(self)
        _check_alpha(self.alpha)
        if not self.created:
            raise InvalidInput("created: has no time")
        check_time("created", self.created)
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
        _check_registered(self.case, [*self.entries, *self.not_run])
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
        case: CaseFile | None = None,
        ids: Mapping[tuple[str, str], str] = MappingProxyType({}),
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
            case: The case, or None.
            ids: Id of the registered test, by (suspect, finding name); all of them where there is a case.

        Returns:
            The report.

        Raises:
            InsufficientEvidence: If no test is registered at all.
            InvalidInput: If alpha, a power or the time is malformed, if two tests share suspect and
                name, if `failed_assumptions` names a test that is not there, or if the tests are not
                those that the case registered.
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
                test=ids.get((suspect, finding.name), ""),
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
            case=case,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary for JSON."""
        case = {} if self.case is None else {"case": self.case.to_dict()}
        return {
            **case,
            "format": FORMAT if self.case is None else FORMAT_WITH_CASE,
            "title": self.title,
            "subject": self.subject,
            "alpha": self.alpha,
            "entries": [entry.to_dict() for entry in self.entries],
            "not_run": [test.to_dict() for test in self.not_run],
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
        fields = strict_json(data)  # 1
        if fields.get("format") not in (FORMAT, FORMAT_WITH_CASE):  # 2
            raise InvalidInput(
                f"expected format {FORMAT!r} or {FORMAT_WITH_CASE!r}, got {fields.get('format')!r:.80}"
            )
        try:  # 3
            report = cls._from_fields(fields)
        except (
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
            OverflowError,
            InsufficientEvidence,
        ) as error:
            raise InvalidInput(f"not a report of this version: {error!s:.400}") from error
        altered = difference(json.loads(report.to_json()), fields, "report")  # 4
        if altered:
            raise InvalidInput(f"{altered:.600}")
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
            case=CaseFile.from_dict(fields["case"]) if "case" in fields else None,
            ids={
                (e["suspect"], f.name): e["test"]
                for e, f in zip(entries, findings, strict=True)
                if "test" in e
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
            _e_value(None if failure else finding.e_value, own, len(registered)),
            Status.ASSUMPTION_FAILED if failure else _status(p, power, alpha),
        )
        for finding, own, p, failure, power in zip(
            findings, counted, corrected[: len(counted)], failures, powers, strict=True
        )
    ]


def _e_value(direct: EValue | None, log10_p: float, n_tests: int) -> EValue:
    # For each of m tests, P(e >= c) is at most 1 / (m c) if the claim is false, by Markov's inequality
    # for e / m, and by calibration for m p: so 1 / c bounds the whole report. (Holm's p would not do
    # beside e / m: its own bound is 1 / c already.)
    if direct is None:
        log10_e = calibrated_log10_e(min(log10_p + math.log10(n_tests), 0.0))
        return EValue(
            log10_e=log10_e,
            method=f"calibrated from the p-value times the number of tests, {n_tests}",
        )
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


def _check_registered(case: CaseFile | None, answered: Sequence[AuditedFinding | NotRun]) -> None:
    """Refuse a report that leaves out a registered test, or holds one that was not registered."""
    registered = {} if case is None else {test.test: test for test in case.registered}
    given = [test.test for test in answered if test.test]
    if case is None:
        if given:
            raise InvalidInput(
                f"test {given[0]!r:.80}: has an id, but the report belongs to no case"
            )
        return
    if len(given) < len(answered) or sorted(given) != sorted(registered):
        differing = ", ".join(sorted(registered.keys() ^ set(given)))[:200] or "an id is missing"
        raise InvalidInput(f"the tests of the report are not those registered: {differing}")
    for test in answered:
        due = registered[test.test]
        power = test.power if isinstance(test, AuditedFinding) else due.power
        if (test.suspect, power) != (due.suspect, due.power):
            raise InvalidInput(f"test {test.test!r}: suspect or power is not the registered one")


def _refuse_duplicates(names: Sequence[tuple[str, str]]) -> None:
    seen: set[tuple[str, str]] = set()
    for pair in names:
        if pair in seen:
            raise InvalidInput(f"two tests are called {pair[1]!r} for suspect {pair[0]!r}")
        seen.add(pair)
