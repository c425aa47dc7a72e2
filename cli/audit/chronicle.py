"""Whether a report tells of times and of the custody log what the log and the audit file say."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout
from ...provenance.custody.log import VerifiedLog, verify_bytes
from ...stats.report import AuditReport, CaseFile, TimelineEvent
from .case import custody_records, logged_registration, stated_events
from .commitments import EXISTED, names_of_commitments
from .registering import Registered, registered_for
from .wordings import blanks

__all__ = ["told_as_logged"]

_LARGEST = 256 << 20
_APART = timedelta(minutes=1)  # between a time that was noted and the entry in the log about it
_PROOF = "RFC 3161 timestamp of * (*)"


def told_as_logged(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Hold the chain of custody and the timeline against the log.

    1. The report quotes the log in its own words: number, time, actor, action and what was done.
    2. What is called proven names a timestamp of the bundle and its authority, in the words of the program,
       and says no more than that the file existed that the timestamp is over. Check 6 holds the authority and
       the time against the timestamp.
    3. Everything else on the timeline stands in the audit file, or in the log, at that time; nothing that
       stands there is left out.

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
    if registered is None or report.case is None or layout.CUSTODY not in names:
        return ""  # without a log `endings_as_logged` refuses the bundle
    log = verify_bytes(read(layout.CUSTODY, _LARGEST), layout.CUSTODY)
    case = report.case
    if case.custody != (due := custody_records(log)):
        pairs = zip(due, case.custody, strict=False)
        number = next((one.number for one, other in pairs if one != other), len(due))
        raise VerificationError(f"{layout.CUSTODY}: the report tells entry {number} in other words")
    _check_proofs(registered, case, log)
    _check_proven(registered, case, names)
    _check_events(report, registered, case, log)
    entries = counted(len(due), "entry of the log", "entries of the log")
    return f"{entries} and {counted(len(case.events), 'time')} told as logged"


def _check_proofs(registered: Registered, case: CaseFile, log: VerifiedLog) -> None:
    """2."""
    proofs = [case.registered_proof, *(event.proof for event in case.events)]
    proofs += [test.committed_proof for test in case.registered]
    for proof in filter(None, proofs):
        if blanks(proof, _PROOF) is None:
            raise VerificationError(
                f"{visible(proof[:200])!r}: not how this program names a timestamp as proof"
            )
    if not case.registered_proof and case.registered_at != logged_registration(registered, log):
        raise VerificationError(
            f"registered at {visible(case.registered_at)}, by the report; the custody log says "
            f"{logged_registration(registered, log) or 'nothing'}"
        )
    for test in case.registered:
        if test.committed_at and not test.committed_proof:
            raise VerificationError(
                f"{test.test}: committed to at {visible(test.committed_at)}, which nothing proves"
            )


def _check_proven(registered: Registered, case: CaseFile, names: Sequence[str]) -> None:
    """2: each timestamp proves one event, of the file that it is over."""
    called, proven = names_of_commitments(registered), set()
    for event in (event for event in case.events if event.proof):
        stamp = _stamp_of(event.proof)
        about = layout.stamped_name(stamp, names) if stamp in names else ""
        if about not in called or event.what != EXISTED.format(called[about]):
            raise VerificationError(
                f"the timeline says: {event.at}, {visible(event.what[:200])}, which "
                f"{visible(stamp[:200])} does not prove"
            )
        if stamp in proven:
            raise VerificationError(f"{visible(stamp[:200])}: named as proof of two times")
        proven.add(stamp)
    for test in case.registered:
        stamp = _stamp_of(test.committed_proof)
        if stamp and layout.stamped_name(stamp, names) != f"commitments/{test.material}.json":
            raise VerificationError(
                f"{test.test}: {visible(stamp[:200])} is not over the commitment that it rests on"
            )


def _stamp_of(proof: str) -> str:
    """The timestamp that a proof names: names of files hold no bracket, those of authorities may."""
    return proof.rpartition(" (")[2].removesuffix(")")


def _check_events(
    report: AuditReport, registered: Registered, case: CaseFile, log: VerifiedLog
) -> None:
    """3."""
    spans = dict(_spans(registered, log))
    claimed = Counter(event for event in case.events if not event.proof)
    due = Counter(stated_events(registered, log))
    due[TimelineEvent(at=report.created, what="This report was made")] += 1
    if missing := due - claimed:
        event = next(iter(missing))
        raise VerificationError(f"the timeline leaves out: {event.at}, {visible(event.what[:200])}")
    for event in (claimed - due).elements():
        first, last = spans.pop(event.what, (None, None))
        at = datetime.fromisoformat(event.at)
        if first is None or last is None or not first - _APART <= at <= last + _APART:
            raise VerificationError(
                f"the timeline says: {event.at}, {visible(event.what[:200])}, which the custody log does not"
            )


def _spans(
    registered: Registered, log: VerifiedLog
) -> Iterator[tuple[str, tuple[datetime, datetime]]]:
    """Between which times each test began and ended, by the log: a resumed audit has several of each."""
    for test in registered.audit.tests:
        mine = [
            entry.time
            for entry in log.entries
            if entry.details.get("audit") == registered.pre_registration
            and str(entry.details.get("test", "")).partition(".")[0] == test
        ]
        if mine:
            for what in ("began", "ended"):
                yield f"The test {test} {what}", (min(mine), max(mine))
