"""What an audit could not examine, and how often it looked: by rule, so that nothing is left out."""

from collections.abc import Callable, Collection, Iterator, Sequence

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout
from ...provenance.custody.log import verify_bytes
from ...stats.report import AuditReport
from .assumptions import checks_of
from .commitments import Committed, Stamp, names_of_commitments
from .endings import n_retried
from .outcomes import Outcome
from .planned import OrderSequentialTest, OrderTest, PartitionTest
from .registering import Registered, registered_for
from .schema import SECTIONS
from .wordings import blanks

__all__ = ["limits_as_told", "limits_of", "looks_of"]

_LARGEST = 256 << 20
_PROVEN = Stamp(name="", content=b"", at="2000-01-01T00:00:00Z")


def limits_of(
    registered: Registered,
    outcomes: Sequence[Outcome],
    committed: tuple[Committed, tuple[Committed, ...]],
) -> tuple[str, ...]:
    """What this audit could not examine, one sentence each.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
        committed: The registration and the commitments, with their timestamps.
    """
    own, others = committed
    said = []
    unproven = [c.what for c in others if not any(stamp.at for stamp in c.stamps)]
    if unproven:
        said.append(_unproven(unproven))
    if not any(stamp.at for stamp in own.stamps):
        said.append(_UNREGISTERED)
    for name in [n for c in (own, *others) for n in c.unconfirmed()]:
        said.append(_UNCONFIRMED.format(name))
    said.extend(_of_registration(registered))
    failed = {item for outcome in outcomes for item in outcome.failed_controls.items()}
    said.extend(_UNTESTED.format(name, reason) for name, reason in sorted(failed))
    return tuple(said)


_ORDERED = (OrderTest, OrderSequentialTest, PartitionTest)
_UNPROVEN = "Time of commitment unproven"
_UNCONFIRMED = "The timestamp {} was not confirmed: the roots of its authority were not at hand."
_UNTESTED = "The control {} could not be tested: {}"
_RESTARTED = "An audit of the same file that was run in secret before, with another log, would not show here."
_ON_WORD = (  # what follows it, by version: the first is said today
    "Warnings beyond those that such a finding always has, the names of effects, of figures and of queries, "
    "the names of models whose digest the audit file does not fix, and what is said of command and versions "
    "stand on the word of whoever signs; the other words of the findings, and their numbers, follow from "
    "what is in the bundle.",
    "Warnings that only the texts or the models could give are those that whoever signs reports; the other "
    "words of the findings, and their numbers, follow from what is in the bundle.",
)
_UNREGISTERED = (
    "No authority testifies when the tests and the threshold were fixed: only the log of whoever ran the "
    "audit does."
)


def looks_of(registered: Registered, outcomes: Sequence[Outcome], retried: int) -> str:
    """How often data were looked at, and what stopped the audit.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
        retried: How often a test that had failed was tried again.
    """
    n, missing = len(registered.pairs), sum(outcome.finding is None for outcome in outcomes)
    stepwise = sorted({p.test for p in registered.pairs if p.planned.kind.endswith("sequential")})
    words = (
        f"{n} {'test was' if n == 1 else 'tests were'} registered. A test that gave a finding was not run "
        f"again. {missing or 'None'} of them gave no result. Failed tests were tried again "
        f"{retried or 'no'} {'time' if retried == 1 else 'times'}."
    )
    if stepwise:
        words += (
            f" {', '.join(stepwise)} looked after every step and stopped at the registered e-value or at the "
            "end; its p-value allows for that."
        )
    return words


def limits_as_told(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Hold limits, checks of assumptions and the words on looks against what follows from the bundle.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If a limit is left out, or a check says something else.
    """
    registered = registered_for(report, names, read)
    if registered is None or report.case is None:
        return ""
    due = list(_due(registered, names))
    for limit in due:
        if not any(_says(told, limit) for told in report.limits):
            raise VerificationError(f"the limits do not say: {visible(limit[:200])}")
    known = (*due, *_possible(registered, names))
    called = {what for name, what in names_of_commitments(registered).items() if name in names}
    for place, told in enumerate(report.limits):
        is_known = any(_says(told, limit) for limit in known if limit != _UNPROVEN)
        if told in report.limits[:place] or not (is_known or _is_unproven(told, called)):
            raise VerificationError(f"no limit of this audit: {visible(told[:200])!r}")
    outcomes = _outcomes_in(report, registered)
    if report.case.checks != checks_of(registered, outcomes):
        raise VerificationError("the checks of assumptions are not what the findings give")
    retried = 0
    if layout.CUSTODY in names:
        log = verify_bytes(read(layout.CUSTODY, _LARGEST), layout.CUSTODY)
        retried = n_retried(log, registered.pre_registration)
    if report.case.looks != looks_of(registered, outcomes, retried):
        raise VerificationError("the words on looks at the data are not what the tests give")
    return (
        f"{counted(len(due), 'limit')} and {counted(len(report.case.checks), 'check')} of assumptions, as "
        "they follow"
    )


def _says(told: str, limit: str) -> bool:
    """Whether a report has this limit, in its words or in those of an earlier version."""
    if limit.startswith(_RESTARTED):
        return told in {_RESTARTED, *(f"{_RESTARTED} {words}" for words in _ON_WORD)}
    if limit == _UNPROVEN:
        return told.startswith(f"{_UNPROVEN}: ")
    return blanks(told, limit) is not None


def _is_unproven(told: str, called: Collection[str]) -> bool:
    """Whether this says of some of the commitments that nobody testifies to their time."""
    found = blanks(told, _unproven(["*"]))
    named = found[0].split("; ") if found else []
    return bool(named) and len(set(named)) == len(named) and set(named) <= set(called)


def _possible(registered: Registered, names: Sequence[str]) -> Iterator[str]:
    """What a report may say besides, as timestamps and controls turned out, which others' trust decides."""
    yield _UNREGISTERED
    yield from (_UNCONFIRMED.format(name) for name in names if name.endswith(".tsr"))
    for pair in registered.controls:
        yield _UNTESTED.format(pair.subject, "*")


def _unproven(called: Sequence[str]) -> str:
    return (
        f"{_UNPROVEN}: {'; '.join(called)}. No authority testifies when it was made, so it could have been "
        "made after the model was seen."
    )


def _due(registered: Registered, names: Sequence[str]) -> Iterator[str]:
    """What every report of this registration must say, with these timestamps at most."""
    own = Committed(name=layout.AUDIT, what="", content=b"", stamps=(_PROVEN,))
    yield from limits_of(registered, (), (own, ()))
    stamps = [name for name in names if name.endswith(".tsr")]
    about = {layout.stamped_name(stamp, names) for stamp in stamps}
    if layout.AUDIT not in about:
        yield _UNREGISTERED
    if set(layout.commitment_names(names)) - about:
        yield _UNPROVEN


def _of_registration(registered: Registered) -> list[str]:
    """The limits that follow from the audit file alone."""
    audit, said = registered.audit, []
    without = [name for name, test in audit.tests.items() if test.power is None]
    if without:
        said.append(
            f"The power of {', '.join(without)} was not registered: a result above the threshold is "
            "inconclusive, not an acquittal."
        )
    bare = [name for name, test in audit.tests.items() if not test.innocent]
    if bare:
        said.append(f"No innocent model or text was registered as a control of {', '.join(bare)}.")
    ordered = [name for name, test in audit.tests.items() if isinstance(test, _ORDERED)]
    if ordered:
        said.append(
            f"That the positions in the exhibits of {', '.join(ordered)} are those of the transcript stands "
            "on the word of whoever signs: the exhibits name sequences by digests only."
        )
    loose = [
        name
        for section in SECTIONS
        for name, thing in audit.section(section).items()
        if not thing.sha256 and not getattr(thing, "is_endpoint", False)
    ]
    if loose:
        said.append(
            f"The audit file fixes no digest of {', '.join(loose)}: what lay there when the audit ran was "
            "examined."
        )
    said.append(f"{_RESTARTED} {_ON_WORD[0]}")
    endpoints = [name for name, model in audit.models.items() if model.is_endpoint]
    if endpoints:
        said.append(
            f"What answered for {', '.join(endpoints)} is known by its address only: the findings speak of "
            "the endpoint in the time it was asked, not of a model."
        )
    return said


def _outcomes_in(report: AuditReport, registered: Registered) -> list[Outcome]:
    """As far as a report tells them, in order of registration."""
    run = {entry.test: entry for entry in report.entries}
    return [
        Outcome(
            test=pair.id,
            started="",
            finished="",
            finding=run[pair.id].finding if pair.id in run else None,
            failed_assumption=run[pair.id].failed_assumption if pair.id in run else "",
        )
        for pair in registered.pairs
    ]
