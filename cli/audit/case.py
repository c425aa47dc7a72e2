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
from .controls import positive_controls_of
from .outcomes import Outcome
from .registering import Registered

__all__ = ["case_of", "limits_of"]

_MOST_RECORDS = 300  # of the log in the report; the whole log is an exhibit
_MOST_DETAILS = 300  # characters of one entry
_ROLES = {"datasets": "release", "transcripts": "training order", "retrainings": "runs"}


def case_of(
    registered: Registered,
    outcomes: Sequence[Outcome],
    committed: tuple[Committed, tuple[Committed, ...]],
    log: VerifiedLog,
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
        registered_at=first.at if first else _logged_registration(registered, log),
        registered_proof=first.proof if first else "",
        key_fingerprint=key_fingerprint,
        previous_statement=audit.previous_statement,
        items=tuple(_items(registered, outcomes)),
        events=tuple(
            sorted(_events(registered, outcomes, committed, log, created), key=lambda e: e.at)
        ),
        registered=tuple(_tests(registered, committed[1])),
        checks=checks_of(registered, outcomes),
        positive_controls=tuple(positive_controls_of(registered, outcomes)),
        opinions=audit.opinions,
        conflicts=audit.conflicts,
        looks=_looks(registered, outcomes),
        custody=tuple(_custody(log)),
        custody_head=log.head,
        repetition=_repetition(registered),
        letterhead=letterhead,
    )


def limits_of(
    registered: Registered,
    outcomes: Sequence[Outcome],
    committed: tuple[Committed, tuple[Committed, ...]],
) -> tuple[str, ...]:
    """What this audit could not examine, one sentence each."""
    audit, (own, others) = registered.audit, committed
    said = []
    unproven = [c.what for c in others if not any(stamp.at for stamp in c.stamps)]
    if unproven:
        said.append(
            f"Time of commitment unproven: {'; '.join(unproven)}. No authority testifies when it was made, "
            "so it could have been made after the model was seen."
        )
    if not any(stamp.at for stamp in own.stamps):
        said.append(
            "No authority testifies when the tests and the threshold were fixed: the log of whoever ran the "
            "audit does."
        )
    for name in [n for c in (own, *others) for n in c.unconfirmed()]:
        said.append(
            f"The timestamp {name} was not confirmed: the roots of its authority were not at hand."
        )
    without = [name for name, test in audit.tests.items() if test.power is None]
    if without:
        said.append(
            f"The power of {', '.join(without)} was not registered: a result above the threshold is "
            "inconclusive, not an acquittal."
        )
    bare = [name for name, test in audit.tests.items() if not test.innocent]
    if bare:
        said.append(f"No innocent model or text was registered as a control of {', '.join(bare)}.")
    for name, reason in sorted({
        item for outcome in outcomes for item in outcome.failed_controls.items()
    }):
        said.append(f"The control {name} could not be tested: {reason}")
    endpoints = [name for name, model in audit.models.items() if model.is_endpoint]
    if endpoints:
        said.append(
            f"What answered for {', '.join(endpoints)} is known by its address only: the findings speak of "
            "the endpoint in the time it was asked, not of a model."
        )
    return tuple(said)


def _tests(registered: Registered, committed: Sequence[Committed]) -> Iterator[RegisteredTest]:
    """The registered tests, with the proven time of the commitment that each rests on."""
    events = {one.name: min(one.events(), key=lambda e: e.at, default=None) for one in committed}
    for test in registered.registered_tests():
        proven = events.get(f"commitments/{test.material}.json")
        if proven is not None:
            test = replace(test, committed_at=proven.at, committed_proof=proven.proof)
        yield test


def _items(registered: Registered, outcomes: Sequence[Outcome]) -> Iterator[ExaminedItem]:
    audit = registered.audit
    digests = {i.name: i.sha256 for outcome in outcomes for i in outcome.examined}
    for section in ("datasets", "transcripts", "retrainings", "runs", "texts", "models"):
        for name, thing in audit.section(section).items():
            yield ExaminedItem(
                name=name,
                kind="endpoint" if getattr(thing, "is_endpoint", False) else section[:-1],
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
    audit = registered.audit
    for one in (committed[0], *committed[1]):
        yield from one.events()
    for section in ("datasets", "transcripts", "retrainings", "runs", "texts", "models"):
        for name, thing in audit.section(section).items():
            for at, what in (
                (getattr(thing, "published_at", ""), f"{name} was published"),
                (getattr(thing, "appeared_at", ""), f"{name} was first seen"),
                (thing.acquired.at, f"{name} was acquired"),
            ):
                if at:
                    yield TimelineEvent(at=at, what=what)
    if at := _logged_registration(registered, log):
        yield TimelineEvent(at=at, what="This audit was registered")
    for test in audit.tests:
        mine = [o for o in outcomes if o.test.partition(".")[0] == test and o.started]
        if mine:
            yield TimelineEvent(at=min(o.started for o in mine), what=f"The test {test} began")
            yield TimelineEvent(at=max(o.finished for o in mine), what=f"The test {test} ended")
    yield TimelineEvent(at=created, what="This report was made")


def _logged_registration(registered: Registered, log: VerifiedLog) -> str:
    """When the log first names the file's digest; empty if it never does."""
    for entry in log.entries:
        if registered.pre_registration in repr(entry.details):
            return _second(entry.time)
    return ""


def _custody(log: VerifiedLog) -> Iterator[CustodyRecord]:
    """The entries, or, of a long log, its beginning and its end."""
    entries = log.entries
    if len(entries) > _MOST_RECORDS:
        half = _MOST_RECORDS // 2
        entries = (*entries[:half], *entries[-half:])
    for entry in entries:
        yield CustodyRecord(
            number=entry.number,
            at=_second(entry.time),
            actor=entry.who,
            action=entry.action,
            what=_summed(entry.details),
        )


def _summed(details: Mapping[str, Any]) -> str:
    text = "; ".join(f"{name}: {value}" for name, value in details.items())
    return text if len(text) <= _MOST_DETAILS else f"{text[:_MOST_DETAILS]}…"


def _second(time: Any) -> str:
    return str(time.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _looks(registered: Registered, outcomes: Sequence[Outcome]) -> str:
    n, missing = len(registered.pairs), sum(outcome.finding is None for outcome in outcomes)
    stepwise = sorted({p.test for p in registered.pairs if p.planned.kind.endswith("sequential")})
    words = (
        f"{n} {'test was' if n == 1 else 'tests were'} registered. A test that gave a finding was not run "
        f"again. {missing or 'None'} of them gave no result."
    )
    if stepwise:
        words += (
            f" {', '.join(stepwise)} looked after every step and stopped at the registered e-value or at the "
            "end; its p-value allows for that."
        )
    return words


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
