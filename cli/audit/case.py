"""The case that a report tells, from the audit file, its outcomes, its commitments and its log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...provenance.custody.log import VerifiedLog
from ...stats.report import (
    CaseFile,
    CustodyRecord,
    ExaminedItem,
    Letterhead,
    Party,
    RegisteredTest,
    RepeatStep,
    TimelineEvent,
)
from .assumptions import checks_of
from .commitments import Committed
from .controls import Controls
from .endings import n_retried
from .limits import looks_of
from .outcomes import Outcome
from .registering import Registered

__all__ = ["case_of", "custody_records", "kind_of", "logged_registration", "stated_events"]

_MOST_RECORDS = 300  # of the log in the report; the whole log is an exhibit
_MOST_DETAILS = 300  # characters of one entry
_ROLES = {"datasets": "release", "transcripts": "training order", "retrainings": "runs"}


def case_of(
    registered: Registered,
    outcomes: Sequence[Outcome],
    committed: tuple[Committed, tuple[Committed, ...]],
    log: VerifiedLog,
    controls: Controls,
    *,
    key_fingerprint: str,
    created: str,
    letterhead: Letterhead | None = None,
) -> CaseFile:
    """The case of an audit.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
        committed: The registration and the commitments, with their timestamps.
        log: The custody log.
        controls: What came of its controls.
        key_fingerprint: Of the key that will sign; empty if none does.
        created: Time of the report.
        letterhead: Whose letterhead the report bears.
    """
    audit, own = registered.audit, committed[0]
    proofs = [event for event in own.events()]
    first = min(proofs, key=lambda event: event.at) if proofs else None
    return CaseFile(
        report_id=audit.report_id,
        standing=audit.standing,
        profile=audit.profile,
        parties=tuple(Party(role=p.role, name=p.name, details=p.details) for p in audit.parties),
        instructions=audit.instructions,
        pre_registration=registered.pre_registration,
        registered_at=first.at if first else logged_registration(registered, log),
        registered_proof=first.proof if first else "",
        key_fingerprint=key_fingerprint,
        previous_statement=audit.previous_statement,
        items=tuple(_items(registered, outcomes)),
        events=tuple(
            sorted(_events(registered, outcomes, committed, log, created), key=lambda e: e.at)
        ),
        registered=tuple(_tests(registered, committed[1])),
        checks=checks_of(registered, outcomes),
        positive_controls=controls.positive,
        opinions=audit.opinions,
        conflicts=audit.conflicts,
        looks=looks_of(registered, outcomes, n_retried(log, registered.pre_registration)),
        custody=custody_records(log),
        custody_head=log.head,
        repetition=_repetition(registered),
        letterhead=letterhead,
    )


def _tests(registered: Registered, committed: Sequence[Committed]) -> Iterator[RegisteredTest]:
    """The registered tests, with the proven time of the commitment that each rests on."""
    events = {one.name: min(one.events(), key=lambda e: e.at, default=None) for one in committed}
    for test in registered.registered_tests():
        proven = events.get(f"commitments/{test.material}.json")
        if proven is not None:
            test = replace(test, committed_at=proven.at, committed_proof=proven.proof)
        yield test


def kind_of(section: str, thing: object) -> str:
    """What an examined item is called: an endpoint, or as its section of the audit file."""
    return "endpoint" if getattr(thing, "is_endpoint", False) else section[:-1]


def _items(registered: Registered, outcomes: Sequence[Outcome]) -> Iterator[ExaminedItem]:
    audit = registered.audit
    digests = {i.name: i.sha256 for outcome in outcomes for i in outcome.examined}
    for section in ("datasets", "transcripts", "retrainings", "runs", "texts", "models"):
        for name, thing in audit.section(section).items():
            yield ExaminedItem(
                name=name,
                kind=kind_of(section, thing),
                role=getattr(thing, "role", _ROLES.get(section, "")),
                sha256=digests.get(name, thing.sha256),
                acquired_at=thing.acquired.at,
                acquired_by=thing.acquired.by,
                acquired_how=thing.acquired.how,
            )


def _events(
    registered: Registered,
    outcomes: Sequence[Outcome],
    committed: tuple[Committed, tuple[Committed, ...]],
    log: VerifiedLog,
    created: str,
) -> Iterator[TimelineEvent]:
    for one in (committed[0], *committed[1]):
        yield from one.events()
    yield from stated_events(registered, log)
    for test in registered.audit.tests:
        mine = [o for o in outcomes if o.test.partition(".")[0] == test and o.started]
        if mine:
            yield TimelineEvent(at=min(o.started for o in mine), what=f"The test {test} began")
            yield TimelineEvent(at=max(o.finished for o in mine), what=f"The test {test} ended")
    yield TimelineEvent(at=created, what="This report was made")


def stated_events(registered: Registered, log: VerifiedLog) -> Iterator[TimelineEvent]:
    """What the audit file says happened, and when the log first names the file: times that nobody proves."""
    audit = registered.audit
    for section in ("datasets", "transcripts", "retrainings", "runs", "texts", "models"):
        for name, thing in audit.section(section).items():
            for at, what in (
                (getattr(thing, "published_at", ""), f"{name} was published"),
                (getattr(thing, "appeared_at", ""), f"{name} was first seen"),
                (thing.acquired.at, f"{name} was acquired"),
            ):
                if at:
                    yield TimelineEvent(at=at, what=what)
    if at := logged_registration(registered, log):
        yield TimelineEvent(at=at, what="This audit was registered")


def logged_registration(registered: Registered, log: VerifiedLog) -> str:
    """When the log first names the file's digest; empty if it never does."""
    for entry in log.entries:
        if registered.pre_registration in repr(entry.details):
            return _second(entry.time)
    return ""


def custody_records(log: VerifiedLog) -> tuple[CustodyRecord, ...]:
    """The entries as a report lists them; of a long log its beginning and its end."""
    entries = log.entries
    if len(entries) > _MOST_RECORDS:
        half = _MOST_RECORDS // 2
        entries = (*entries[:half], *entries[-half:])
    return tuple(
        CustodyRecord(
            number=entry.number,
            at=_second(entry.time),
            actor=entry.who,
            action=entry.action,
            what=_summed(entry.details),
        )
        for entry in entries
    )


def _summed(details: Mapping[str, Any]) -> str:
    text = "; ".join(f"{name}: {value}" for name, value in details.items())
    return text if len(text) <= _MOST_DETAILS else f"{text[:_MOST_DETAILS]}…"


def _second(time: Any) -> str:
    return str(time.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _repetition(registered: Registered) -> tuple[RepeatStep, ...]:
    name = registered.path.name
    return (
        RepeatStep(
            what="Signature, digests, every p-value, the correction, the words of this report",
            command="bookplate report verify BUNDLE --fingerprint FINGERPRINT",
            needs="nothing but the bundle, and the signer's fingerprint from another source",
        ),
        RepeatStep(
            what="The p-values, by other programs",
            command="each exhibit is a table in Parquet; section “Method” says what is computed from it",
            needs="nothing but the bundle",
        ),
        RepeatStep(
            what="The scores, and all that follows",
            command=f"bookplate audit {name}",
            needs="the models, and the manifest, transcript, runs or texts that the audit file names",
        ),
    )
