"""Checks 4 and 5: what was signed, reported and registered beforehand say the same."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from ....display import counted, visible
from ....errors import BookplateError, InvalidInput, VerificationError
from ....stats.report import AuditedFinding, AuditReport, CaseFile
from ....stats.report.audit import FORMAT, FORMAT_WITH_CASE
from ....stats.report.strict_json import strict_json
from ..layout import AUDIT, REPORT_JSON
from ..predicate import Predicate
from ..registration import PlannedTest, Registration
from .matter import Matter
from .outcomes import NotChecked

__all__ = ["CORRECTION", "ReadRegistration", "agreement", "registration"]

ReadRegistration = Callable[[bytes], Registration]

CORRECTION = "holm"  # the only one that reports of these formats are made with
_REPORT_FORMATS = (FORMAT, FORMAT_WITH_CASE)
_LARGEST_AUDIT = 16 << 20


def agreement(matter: Matter) -> Sequence[str]:
    """4. The formats are known, and the predicate says what report.json says."""
    found = matter.predicate_or_error
    if isinstance(found, VerificationError):
        raise found
    predicate = found
    _check_format(matter)
    report, case = matter.report, matter.report.case
    if case is None:
        raise VerificationError(f"{REPORT_JSON}: belongs to no case, so nothing was registered")
    for what, signed, reported in _pairs(predicate, report, case):
        _same(what, "signed", signed, "reported", reported)
    if case.key_fingerprint:
        _same("signing key", "used", matter.signer, "reported", case.key_fingerprint)
    for exhibit in report.exhibits:
        _same(
            f"exhibit {visible(exhibit.name[:100])}",
            *("in the bundle", matter.digests.get(exhibit.name, "missing")),
            *("reported", exhibit.sha256),
        )
    return [
        f"format {predicate.format_version}, report {visible(predicate.report_id[:100])!r}, "
        f"{counted(len(predicate.tests), 'test')}, {counted(len(report.exhibits), 'exhibit')}"
    ]


def registration(matter: Matter, read: ReadRegistration | None) -> Sequence[str]:
    """5. The report answers the audit file: its digest, and its tests, directions and threshold."""
    predicate, report, case = matter.predicate, matter.report, matter.case
    data = matter.read(AUDIT, _LARGEST_AUDIT)
    digest = hashlib.sha256(data).hexdigest()
    _same(AUDIT, "in the bundle", digest, "signed", predicate.pre_registration_sha256)
    _same(AUDIT, "in the bundle", digest, "reported", case.pre_registration)
    if read is None:
        raise NotChecked(f"the digest of {AUDIT} is the one signed; what it says was not read")
    try:
        planned = read(data)
    except BookplateError as error:
        raise VerificationError(f"{AUDIT}: {error}") from None
    _same("alpha", "registered", planned.alpha, "reported", report.alpha)
    _same("correction", "registered", planned.correction, "used", CORRECTION)
    tests = [(t.id, t.kind, t.suspect, t.alternative) for t in planned.tests]
    _same_tests(tests, [(t.test, t.kind, t.suspect, t.direction) for t in case.registered])
    by_id = {test.id: test for test in planned.tests}
    for entry in report.entries:
        _check_finding(entry, by_id[entry.test])
    return [
        f"SHA-256 {digest}",
        f"{counted(len(tests), 'test')} as registered, with their directions",
    ]


def _check_finding(entry: AuditedFinding, planned: PlannedTest) -> None:
    """Direction, seed and power are those registered: none is chosen once data are seen."""
    finding = entry.finding
    where = f"test {entry.test}"
    _same(f"direction of {where}", "registered", planned.alternative, "tested", finding.alternative)
    if planned.seed is not None and finding.seed is not None:
        _same(f"seed of {where}", "registered", planned.seed, "used", finding.seed)
    if planned.power is not None:
        _same(f"power of {where}", "registered", planned.power, "reported", entry.power)


def _check_format(matter: Matter) -> None:
    """So that a report of a later format is refused for that, and not for its fields."""
    if not isinstance(matter.report_or_error, BookplateError):
        return
    try:
        kind = strict_json(matter.read(REPORT_JSON)).get("format")
    except InvalidInput:
        return  # check 8 says what is wrong with it
    if kind not in _REPORT_FORMATS:
        raise VerificationError(
            f"{REPORT_JSON}: format {visible(str(kind)[:80])!r} is not one of "
            f"{', '.join(_REPORT_FORMATS)}",
            "a newer version of this tool may read it",
        )


def _pairs(
    predicate: Predicate, report: AuditReport, case: CaseFile
) -> list[tuple[str, object, object]]:
    """What it is about, as signed, and as reported."""
    answers: dict[str, str] = {test.test: test.status.value for test in report.not_run}
    answers |= {entry.test: entry.status.value for entry in report.entries}
    tests = [(t.test, t.kind, t.suspect, answers[t.test]) for t in case.registered]
    return [
        ("report id", predicate.report_id, case.report_id),
        ("tool version", predicate.tool_version, report.versions.get("bookplate", "")),
        ("time of making", predicate.created_at, report.created),
        ("alpha", predicate.alpha, report.alpha),
        ("correction", predicate.correction, CORRECTION),
        ("tests", [(t.id, t.kind, t.suspect, t.status) for t in predicate.tests], tests),
        ("suspects", list(predicate.suspects), list(dict.fromkeys(t[2] for t in tests))),
        ("pre-registration", predicate.pre_registration_sha256, case.pre_registration),
        ("custody head", predicate.custody_head, case.custody_head),
        ("statement replaced", predicate.previous_statement_sha256, case.previous_statement),
    ]


def _same_tests(
    registered: list[tuple[str, str, str, str]], reported: list[tuple[str, str, str, str]]
) -> None:
    known = {test[0] for test in reported}
    for test in registered:
        if test[0] not in known:
            raise VerificationError(
                f"test {visible(test[0][:100])} of {visible(test[2][:100])!r} was registered, but is "
                "not in the report"
            )
    _same("tests", "registered", registered, "reported", reported)


def _same(what: str, one: str, a: Any, other: str, b: Any) -> None:
    if a == b:
        return
    if isinstance(a, list) and isinstance(b, list):
        differing = [pair for pair in zip(a, b, strict=False) if pair[0] != pair[1]]
        a, b = differing[0] if differing else (f"{len(a)} in number", f"{len(b)} in number")
    raise VerificationError(f"{what}: {one} {_shown(a)}, {other} {_shown(b)}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return visible(", ".join(str(part)[:60] for part in value))
    return visible(str(value)[:100]) or "nothing"
