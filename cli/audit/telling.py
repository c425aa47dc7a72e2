"""Whether a report tells of the case what the audit file says of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ...display import visible
from ...errors import VerificationError
from ...stats.report import AuditReport, CaseFile
from .case import kind_of
from .registering import Registered, registered_for
from .schema import SECTIONS

__all__ = ["told_as_registered"]


def told_as_registered(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Hold what the report tells of the case against the audit file, from which the program wrote it.

    1. Title, parties, instructions, opinions and the like are those of the file.
    2. Every registered test stands there in the words of the file: propositions, settings, power.
    3. Every item is there, with kind, role and origin, and with the digest that was registered.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If the report tells something else.
    """
    registered = registered_for(report, names, read)
    if registered is None or report.case is None:
        return ""
    for what, due, told in (
        *_texts(registered, report, report.case),
        *_tests(registered, report.case),
    ):
        _same(what, due, told)
    _check_items(registered, report.case)
    return "the case is told as registered"


def _texts(
    registered: Registered, report: AuditReport, case: CaseFile
) -> Iterator[tuple[str, Any, Any]]:
    """Step 1."""
    audit = registered.audit
    yield "title", audit.title, report.title
    yield "subject", audit.subject, report.subject
    for name in (
        "report_id",
        "standing",
        "profile",
        "instructions",
        "conflicts",
        "previous_statement",
    ):
        yield name.replace("_", " "), getattr(audit, name), getattr(case, name)
    yield "opinions", tuple(audit.opinions), case.opinions
    parties = tuple((p.role, p.name, p.details) for p in audit.parties)
    yield "parties", parties, tuple((p.role, p.name, p.details) for p in case.parties)


def _tests(registered: Registered, case: CaseFile) -> Iterator[tuple[str, Any, Any]]:
    """Step 2; times of commitment are held against timestamps elsewhere."""
    for due, told in zip(registered.registered_tests(), case.registered, strict=True):
        bare = replace(told, committed_at="", committed_proof="")
        for name in due.__dataclass_fields__:
            yield f"{due.test}, {name.replace('_', ' ')}", getattr(due, name), getattr(bare, name)


def _check_items(registered: Registered, case: CaseFile) -> None:
    """Step 3."""
    told = {item.name: item for item in case.items}
    due = [
        (section, name, thing)
        for section in SECTIONS
        for name, thing in registered.audit.section(section).items()
    ]
    _same("items", sorted(name for _, name, _ in due), sorted(item.name for item in case.items))
    for section, name, thing in due:
        item = told[name]
        _same(f"kind of {name}", kind_of(section, thing), item.kind)
        if role := getattr(thing, "role", ""):
            _same(f"role of {name}", role, item.role)
        if thing.sha256:
            _same(f"digest of {name}", thing.sha256, item.sha256)
        acquired = (thing.acquired.at, thing.acquired.by, thing.acquired.how)
        _same(
            f"origin of {name}",
            acquired,
            (item.acquired_at, item.acquired_by, item.acquired_how),
        )


def _same(what: str, due: Any, told: Any) -> None:
    if due != told:
        raise VerificationError(
            f"{what}: registered {_shown(due)}, reported {_shown(told)}",
        )


def _shown(value: Any) -> str:
    return repr(visible(str(value)[:120]))
