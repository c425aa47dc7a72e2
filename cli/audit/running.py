"""Running every registered test: one failure is an outcome with a reason, and never a gap.

A test that gave a finding is never run again: whoever could run it until it suits would get what suits. A
test that failed is tried again if that is asked for, and each attempt stands in the custody log.
"""

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...display import visible
from ...errors import BookplateError, VerificationError
from ...files import Interrupted
from ...provenance.custody import log as custody
from ...stats import Finding, Input
from ..reporting import now
from .keeping import Kept, WorkFolder
from .kinds import Materials, tested
from .outcomes import Outcome, how_it_ended
from .progress import Progress, progress_of
from .registering import Pair, Registered

__all__ = ["Job", "register", "run"]

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How an audit is run.

    Attributes:
        registered: The audit.
        work: Its work folder.
        log: The custody log.
        who: Who runs it.
        command: With which command.
        retry: Try again what failed.
        debug: Print tracebacks of what fails.
    """

    registered: Registered
    work: Path
    log: Path
    who: str
    command: Sequence[str] = ()
    retry: bool = False
    debug: bool = False

    def enter(self, action: str, what: str, **details: object) -> None:
        """Make an entry in the custody log."""
        told = {"what": what, "audit": self.registered.pre_registration, **details}
        custody.append(self.log, action, who=self.who, details=told)

    def enter_command(self) -> None:
        """Say with which command this run began."""
        told = {"what": "audit run began", "audit": self.registered.pre_registration}
        custody.append(self.log, "analysis", who=self.who, command=self.command, details=told)


def register(job: Job) -> bool:
    """Enter the registration in the custody log, if it is not there; returns whether it is new."""
    known = job.log.exists() and any(
        entry.details.get("what") == _REGISTERED
        and entry.details.get("audit") == job.registered.pre_registration
        for entry in custody.verify(job.log).entries
    )
    if not known:
        audit = job.registered.audit
        job.enter(
            "identification", _REGISTERED, report=audit.report_id, tests=len(job.registered.pairs)
        )
    return not known


_REGISTERED = "audit file registered"


def run(job: Job) -> tuple[Outcome, ...]:
    """Run every test that has no outcome yet.

    Args:
        job: What to run.

    Returns:
        The outcome of every registered test, in order of registration.

    Raises:
        InvalidInput: If the audit file is no longer the one registered, or names what is not there.
        VerificationError: If a kept outcome or the log was altered.
        Interrupted: If somebody stopped it, or the clock was set back; the same call goes on.
    """
    registered = job.registered
    with WorkFolder.opened(job.work, registered.pre_registration) as work:
        register(job)
        _refuse_early(job)
        job.enter_command()
        outcomes = _Run(job, work).outcomes()
        _refuse_early(job)
        return outcomes


def _refuse_early(job: Job) -> None:
    """A report that claims to be older than its registration would be refused by whoever verifies it."""
    registered = next(
        entry.time
        for entry in custody.verify(job.log).entries
        if entry.details.get("what") == _REGISTERED
        and entry.details.get("audit") == job.registered.pre_registration
    )
    if (at := now()) < registered.strftime("%Y-%m-%dT%H:%M:%SZ"):
        raise Interrupted(
            f"{job.log}: the audit was registered at {registered:%Y-%m-%dT%H:%M:%SZ}, and the clock of this "
            f"machine says {at}",
            "set it right; the same command goes on, and nothing is lost",
        )


@dataclass(slots=True)
class _Run:
    job: Job
    work: WorkFolder
    kept: dict[str, Kept] = field(default_factory=dict)

    def outcomes(self) -> tuple[Outcome, ...]:
        registered = self.job.registered
        everything = (*registered.pairs, *registered.controls)
        self._load(everything)
        left = [pair for pair in everything if pair.id not in self.kept]
        if left:
            _refuse_missing(registered)
        try:
            with progress_of(everything) as progress:
                for pair in everything:
                    if pair.id in self.kept:
                        progress.ended(pair, _how(self.kept[pair.id]), None)
                self._run(left, progress)
        except KeyboardInterrupt:
            self.job.enter("analysis", "stopped by hand", done=len(self.kept))
            raise Interrupted(
                f"stopped: {len(self.kept)} of {len(everything)} tests are done and kept",
                "the same command goes on",
            ) from None
        return tuple(self._outcome(pair) for pair in registered.pairs)

    def _load(self, everything: Sequence[Pair]) -> None:
        """What is kept from before, held against the log; failures are set aside if they are tried again."""
        logged = self._logged()
        known = {pair.id for pair in everything}
        for name in self.work.names():
            if name not in known:
                raise VerificationError(f"{self.work.path}: {visible(name)} was never registered")
            found = self.work.load(name, expected=logged.get(name, ""))
            if name not in logged:  # killed between keeping it and saying so
                self._enter_end(name, found)
            logged.pop(name, None)
            if found.reason and self.job.retry:
                number = self.work.set_aside(name)
                self.job.enter("analysis", f"test {name} is tried again", attempt=number + 1)
            else:
                self.kept[name] = found
        for name, digest in logged.items():
            # Of a failure that was set aside, the next attempt may have been cut short.
            if name in known and digest not in self.work.digests_set_aside(name):
                raise VerificationError(
                    f"{self.work.path}: the outcome of {visible(name)} is gone; the custody log has it",
                    "bring the work folder back: a test that gave a result is not run again",
                )

    def _logged(self) -> dict[str, str]:
        """Digest of the last outcome of each test, by the log."""
        found: dict[str, str] = {}
        for entry in custody.verify(self.job.log).entries:
            details = entry.details
            if (
                details.get("audit") == self.job.registered.pre_registration
                and "outcome" in details
            ):
                found[str(details.get("test"))] = str(details["outcome"])
        return found

    def _run(self, left: Sequence[Pair], progress: Progress) -> None:
        from ...provenance.suspect.endpoint import Budget

        if not left:
            return
        limits, spent = self.job.registered.audit.budget, self.work.spent
        budget = Budget(max_queries=limits.max_queries, max_tokens=limits.max_tokens)
        budget.queries, budget.tokens = spent.queries, spent.tokens
        materials = Materials(self.job.registered, budget, self._acquired)
        for pairs in _by_subject(left):
            for pair in pairs:
                progress.begins(pair)
                began = time.monotonic()
                self._one(pair, materials)
                spent.queries, spent.tokens = budget.queries, budget.tokens
                spent.seconds += time.monotonic() - began
                self.work.save()
                progress.ended(pair, _how(self.kept[pair.id]), time.monotonic() - began)
            if pairs[0].section == "models":
                materials.let_go(pairs[0].subject)

    def _one(self, pair: Pair, materials: Materials) -> None:
        """One test, whatever happens, becomes an outcome that is kept."""
        started = now()
        self.job.enter("analysis", f"test {pair.id} began", test=pair.id)
        try:
            self._refuse_late()
            found = tested(pair, materials)
            if found.finding.alternative != pair.planned.DIRECTION:
                raise VerificationError(f"looked in another direction: {found.finding.alternative}")
            kept = Kept(
                test=pair.id,
                started=started,
                finished=now(),
                finding=found.finding,
                failed_assumption=found.failed_assumption,
                examined=self._examined(pair, materials),
                attachments=found.attachments if pair.role == "suspect" else (),
            )
            self.work.keep(kept)
        except Exception as error:  # ruff: ignore[blind-except]  (recorded: a gap would be silent)
            if self.job.debug:
                traceback.print_exc()
            kept = Kept(
                test=pair.id,
                started=started,
                finished=now(),
                reason=_reason(error),
                examined=self._examined(pair, materials),
            )
            self.work.keep(kept)
        self.kept[pair.id] = kept
        self._enter_end(pair.id, kept)

    def _enter_end(self, test: str, kept: Kept) -> None:
        what = f"test {test} ended: {_how(kept)}"
        self.job.enter("analysis", what, test=test, outcome=self.work.digest(test))

    def _refuse_late(self) -> None:
        hours = self.job.registered.audit.budget.hours
        if hours is not None and self.work.spent.seconds >= 3_600 * hours:
            raise Interrupted(f"the budget of {hours:g} hours was spent before this test began")

    def _acquired(self, name: str, identity: Input) -> None:
        """Enter what is opened, and hold it to what it was when it was first opened."""
        model = self.job.registered.audit.models.get(name)
        known = self.work.acquired.get(name)
        if known is not None and known != identity.sha256 and not (model and model.is_endpoint):
            raise VerificationError(
                f"{name}: has changed since it was first opened: its digest was {known} and is "
                f"{identity.sha256}",
                "bring back what was examined",
            )
        if known is None:
            self.work.acquired[name] = identity.sha256
            self.work.save()
            self.job.enter(
                "acquisition",
                f"{name} opened for examination",
                name=visible(identity.name),
                sha256=identity.sha256,
            )

    def _examined(self, pair: Pair, materials: Materials) -> tuple[Input, ...]:
        used = [getattr(pair.planned, name) for name in pair.planned.USES]
        names = dict.fromkeys((pair.subject, *filter(None, used), *pair.references))
        known = {
            **self.work.acquired,
            **materials.endpoints(),
        }  # whose digest grows as they are asked
        return tuple(Input(name=name, sha256=known[name]) for name in names if name in known)

    def _outcome(self, pair: Pair) -> Outcome:
        kept = self.kept[pair.id]
        controls = {
            control.subject: (control.role, self.kept[control.id])
            for control in self.job.registered.controls
            if control.test == pair.test
        }

        def told(role: str) -> Mapping[str, Finding]:
            return {
                name: found.finding
                for name, (its_role, found) in controls.items()
                if its_role == role and found.finding is not None and not found.failed_assumption
            }

        return Outcome(
            test=pair.id,
            started=kept.started,
            finished=kept.finished,
            finding=kept.finding,
            reason=kept.reason,
            failed_assumption=kept.failed_assumption,
            controls=told("innocent"),
            positives=told("positive"),
            failed_controls={
                name: found.reason or found.failed_assumption
                for name, (_, found) in controls.items()
                if found.reason or found.failed_assumption
            },
            examined=kept.examined,
            attachments=kept.attachments,
        )


def _refuse_missing(registered: Registered) -> None:
    """The claimant's own files must be there; that a suspect is not is an outcome.

    Raises:
        InvalidInput: If one is not.
    """
    for where, path in registered.files():
        section, *rest = where.split(".")
        thing = registered.audit.section(section).get(rest[0]) if rest else None
        tested_itself = getattr(thing, "role", "") in {"suspect", "innocent", "positive"}
        if not tested_itself and not path.exists():
            raise registered.document.error(
                (section, *rest), f"{visible(str(path))}: there is no such file or folder"
            )


def _by_subject(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """The tests of each subject together, so that it is opened once."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.subject, []).append(pair)
    yield from found.values()


def _how(kept: Kept) -> str:
    return how_it_ended(reason=kept.reason, failed_assumption=kept.failed_assumption)


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = str(error) or type(error).__name__
    if not isinstance(error, BookplateError | OSError):
        text = f"{type(error).__name__}: {text}"
    hint = getattr(error, "hint", "")
    text = visible(" ".join(f"{text}; {hint}".split() if hint else text.split()))
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
