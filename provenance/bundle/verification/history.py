"""Checks 10 and 11: the custody log, and what only those who know the methods can check."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ....display import counted, visible
from ....errors import VerificationError
from ....stats.report import AuditReport
from ...custody.log import VerifiedLog, verify_bytes
from ..layout import CUSTODY
from .matter import Matter
from .outcomes import NotChecked

__all__ = ["LinkCheck", "ReadFile", "custody", "links"]

_MOST_QUOTED = 300  # a report of more leaves out the middle

ReadFile = Callable[[str, int], bytes]
LinkCheck = Callable[[AuditReport, Sequence[str], ReadFile], str]
"""Holds exhibits against commitments.

Is given the report, the names of all files that are signed for, and a function that reads one of them (its
name, most bytes). Returns what it checked, in one sentence, or nothing if there was nothing for it; raises
VerificationError if something does not hold, and NotChecked if something that should be tied is not.
"""


def custody(matter: Matter) -> Sequence[str]:
    """10. The custody log is whole, and ends where the predicate says."""
    head = matter.predicate.custody_head
    if not head and not matter.has(CUSTODY):
        raise NotChecked("the bundle has no custody log")
    log = verify_bytes(matter.read(CUSTODY), CUSTODY)
    if log.head != head:
        raise VerificationError(f"{CUSTODY}: ends with {log.head}, but {head or 'none'} was signed")
    _check_quoted(matter, log)
    said = [counted(len(log.entries), "entry", "entries")]
    if log.fragments or log.unfinished:
        said.append(f"{len(log.fragments) + log.unfinished} lines were cut short")
    if log.set_back:
        said.append(f"the clock was set back before entry {log.set_back[0]}")
    return said


def links(matter: Matter, checks: Sequence[LinkCheck]) -> Sequence[str]:
    """11. What the exhibits say was chosen is what was committed to."""
    report, names = matter.report, tuple(matter.digests)
    said, left = [], []
    for check in checks:
        try:
            said.append(check(report, names, matter.read))
        except NotChecked as doubt:  # what fails after it must still show
            left.append(str(doubt))
    said = [text for text in said if text]
    if left:
        raise NotChecked("; ".join([*left, *said]))
    if not said:
        raise NotChecked("nothing in this bundle ties an exhibit to a commitment")
    return said


def _check_quoted(matter: Matter, log: VerifiedLog) -> None:
    """The report quotes the log: all of it or, of a long one, its beginning and its end."""
    quoted = matter.case.custody
    entries = {entry.number: entry for entry in log.entries}
    for record in quoted:
        entry = entries.get(record.number)
        said = (_second(datetime.fromisoformat(record.at)), record.actor, record.action)
        if entry is None or said != (_second(entry.time), entry.who, entry.action):
            raise VerificationError(
                f"{CUSTODY}: has no entry {record.number} of {record.at} by "
                f"{visible(record.actor[:100])!r}, which the report lists"
            )
    if len({record.number for record in quoted}) < min(len(log.entries), _MOST_QUOTED):
        raise VerificationError(
            f"{CUSTODY}: has {counted(len(log.entries), 'entry', 'entries')}, of which the report lists "
            f"{len(quoted)} only"
        )


def _second(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)
