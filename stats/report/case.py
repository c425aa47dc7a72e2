"""The case around the findings: who asked, what was examined, when, by whom, and what a reader may doubt.

Nothing here enters a number. The texts come from the audit file or from the program that ran it, and a
report prints them as they are; what is empty is printed as not stated.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from scipy.stats import binomtest

from ...errors import InvalidInput
from .letterhead import Letterhead
from .typed import require_types

__all__ = [
    "PROFILES",
    "AssumptionCheck",
    "CaseFile",
    "CustodyRecord",
    "ExaminedItem",
    "Party",
    "PositiveControl",
    "RegisteredTest",
    "RepeatStep",
    "TimelineEvent",
    "check_time",
]

# Whose rules the expert's own declaration follows: slots are printed, never filled in.
PROFILES = ("none", "frcp26", "cpr35", "crimpr19", "eu")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_DIGEST = re.compile(r"([0-9a-f]{64})?", re.ASCII)
_TEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Someone the report names.

    Attributes:
        role: claimant, respondent, author, ...
        name: As given.
        details: Address, qualification, whatever was given; may be empty.
    """

    role: str
    name: str
    details: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedItem:
    """A dataset, model or endpoint that was examined, and how it was come by.

    Attributes:
        name: What the report calls it.
        kind: dataset, transcript, model, endpoint, ...
        role: suspect, reference, innocent control, positive control, release, ...
        sha256: Digest of its bytes or of its description; empty where there is none.
        acquired_at: RFC 3339 in UTC; empty if not stated.
        acquired_by: Who; empty if not stated.
        acquired_how: From where and in which way; empty if not stated.
    """

    name: str
    kind: str
    role: str
    sha256: str = ""
    acquired_at: str = ""
    acquired_by: str = ""
    acquired_how: str = ""

    def __post_init__(self) -> None:
        _check_digest("ExaminedItem.sha256", self.sha256)
        check_time("ExaminedItem.acquired_at", self.acquired_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """Something that happened at a time.

    Attributes:
        at: RFC 3339 in UTC.
        what: What happened.
        proof: Who else testifies to the time, with the exhibit; empty for the claimant's own clock.
    """

    at: str
    what: str
    proof: str = ""

    def __post_init__(self) -> None:
        if not self.at:
            raise InvalidInput(f"event {self.what!r:.60}: has no time")
        check_time("TimelineEvent.at", self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredTest:
    """A test of one suspect, as it was registered before any data were read.

    Attributes:
        test: Its id, as in the entries of the report.
        kind: Which test.
        suspect: Of which suspect.
        question: What it asks.
        proposition: What the claimant says.
        counter_proposition: What is put against it, at the same level; the null hypothesis follows from it.
        direction: greater, less or two-sided.
        settings: Everything else that was fixed, in words.
        smallest_effect: The smallest effect of interest, in words; empty if none was registered.
        power: Probability of noticing that effect, or None.
        power_source: How the power was found; empty if it was not.
        material: What of the claimant's is looked for, by the name it has among the examined items;
            empty if not stated.
        committed_at: Time of the commitment to the key or the order, RFC 3339 in UTC; empty if unknown.
        committed_proof: Who else testifies to that time, with the exhibit; empty for the own clock.
    """

    test: str
    kind: str
    suspect: str
    question: str
    proposition: str
    counter_proposition: str
    direction: str
    settings: str = ""
    smallest_effect: str = ""
    power: float | None = None
    power_source: str = ""
    material: str = ""
    committed_at: str = ""
    committed_proof: str = ""

    def __post_init__(self) -> None:
        if not _TEST_ID.fullmatch(self.test):
            raise InvalidInput(
                f"test id {self.test!r:.120}: expected letters, digits, '.', '_' and '-', at most 100"
            )
        check_time("RegisteredTest.committed_at", self.committed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumptionCheck:
    """An assumption of the findings, and what became of it.

    Attributes:
        assumption: As the findings state it.
        check: How it was checked; empty if it was not.
        result: What came of it; empty if it was not checked.
        if_false: What follows for the findings if it does not hold.
    """

    assumption: str
    check: str = ""
    result: str = ""
    if_false: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositiveControl:
    """The same test, run where the claim is known to be true: how often it noticed.

    Attributes:
        name: What was run.
        description: Which use of the material it stands for, and how large.
        noticed: Runs with a p-value at or below `level`.
        runs: All runs, at least one.
        level: The threshold, in (0, 1).
    """

    name: str
    description: str
    noticed: int
    runs: int
    level: float

    def __post_init__(self) -> None:
        require_types(self)
        if not 0 <= self.noticed <= self.runs or self.runs < 1 or not 0 < self.level < 1:
            raise InvalidInput(
                f"positive control {self.name!r:.60}: expected 0 <= noticed <= runs and a level in (0, 1)"
            )

    @property
    def power_bound(self) -> float:
        """One-sided exact 95 % lower bound (Clopper-Pearson) for the probability of noticing."""
        test = binomtest(self.noticed, self.runs, alternative="greater")
        return float(test.proportion_ci(confidence_level=0.95, method="exact").low)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyRecord:
    """One entry of the custody log, in the words of ISO/IEC 27037.

    Attributes:
        number: Its place in the log, from 0.
        at: RFC 3339 in UTC, by the clock of the machine that wrote it.
        actor: Who.
        action: identification, collection, acquisition, preservation, analysis, ...
        what: What was done, to what.
    """

    number: int
    at: str
    actor: str
    action: str
    what: str

    def __post_init__(self) -> None:
        check_time("CustodyRecord.at", self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatStep:
    """A way to repeat a part of the audit.

    Attributes:
        what: Which part.
        command: With which command.
        needs: What it takes: nothing but the bundle, the model, the key, ...
    """

    what: str
    command: str
    needs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """All that a report says besides its findings.

    Attributes:
        report_id: Name of this report, unique for its author.
        standing: `draft`, or `final`.
        profile: Whose rules the slots for the expert's declaration follow; one of `PROFILES`.
        parties: Claimant, respondent, author, ...
        instructions: What the author was asked to do, by whom; may be empty.
        pre_registration: SHA-256 of the audit file.
        registered_at: Time of registration, RFC 3339 in UTC; empty if unknown.
        registered_proof: Who else testifies to that time; empty for the own clock.
        key_fingerprint: SHA-256 of the public key that signs the bundle; empty if unsigned.
        previous_statement: SHA-256 of the statement that this report replaces; empty if none.
        items: What was examined.
        events: The timeline, in order of time.
        registered: Every registered test, in order of registration.
        checks: Assumptions and what became of them.
        positive_controls: How often the tests noticed what was there.
        opinions: What a critic would say, results against the claim included; one paragraph each.
        conflicts: Conflicts of interest and compensation, as the author states them; may be empty.
        looks: How often the data were looked at, and what stopped the audit.
        custody: Entries of the custody log.
        custody_head: Hash of the log's last entry; empty if there is no log.
        repetition: How to repeat each part.
        letterhead: Whose letterhead the report has; None for a plain one.
    """

    report_id: str
    standing: str
    profile: str
    parties: tuple[Party, ...]
    instructions: str
    pre_registration: str
    registered_at: str
    registered_proof: str
    key_fingerprint: str
    previous_statement: str
    items: tuple[ExaminedItem, ...]
    events: tuple[TimelineEvent, ...]
    registered: tuple[RegisteredTest, ...]
    checks: tuple[AssumptionCheck, ...]
    positive_controls: tuple[PositiveControl, ...]
    opinions: tuple[str, ...]
    conflicts: str
    looks: str
    custody: tuple[CustodyRecord, ...]
    custody_head: str
    repetition: tuple[RepeatStep, ...]
    letterhead: Letterhead | None = None

    def __post_init__(self) -> None:
        require_types(self)
        if not self.report_id:
            raise InvalidInput("CaseFile.report_id: is empty")
        for name, known in (("standing", ("draft", "final")), ("profile", PROFILES)):
            if getattr(self, name) not in known:
                raise InvalidInput(f"CaseFile.{name}: expected one of {', '.join(known)}")
        for name in ("pre_registration", "key_fingerprint", "previous_statement", "custody_head"):
            _check_digest(f"CaseFile.{name}", getattr(self, name))
        check_time("CaseFile.registered_at", self.registered_at)
        if [e.at for e in self.events] != sorted(e.at for e in self.events):
            raise InvalidInput("CaseFile.events: are not in order of time")
        ids = [test.test for test in self.registered]
        if len(set(ids)) < len(ids):
            raise InvalidInput("CaseFile.registered: a test is registered twice")

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            KeyError: If a field is missing.
            TypeError: If one is unknown or no mapping where one is due.
            InvalidInput: If one is of another kind.
        """
        made: Self = _made(cls, data)
        return made


def check_time(where: str, text: str) -> None:
    """Refuse what is neither empty nor a time like 2026-01-31T09:30:00Z."""
    if not text:
        return
    try:
        if _TIME.fullmatch(text):
            datetime.fromisoformat(text)
            return
    except ValueError:
        pass
    raise InvalidInput(f"{where}: expected a time like 2026-01-31T09:30:00Z, got {text!r:.60}")


def _check_digest(where: str, text: str) -> None:
    if not _DIGEST.fullmatch(text):
        raise InvalidInput(f"{where}: expected 64 hex digits or nothing, got {text!r:.80}")


def _made(cls: type[Any], data: Any) -> Any:
    """A dataclass of a plain dictionary, with the tuples of dataclasses in it; no default fills a gap."""
    if not isinstance(data, Mapping):
        raise TypeError(f"{cls.__name__}: expected an object, got {data!r:.60}")
    hints = get_type_hints(cls)
    for field in fields(cls):
        _ = data[field.name]
    return cls(**{name: _plain(hints.get(name), value) for name, value in data.items()})


def _plain(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType) and isinstance(value, Mapping):
        return _made(get_args(hint)[0], value)
    if get_origin(hint) is not tuple:
        return value
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {value!r:.60}")
    inner = get_args(hint)[0]
    return tuple(value) if inner is str else tuple(_made(inner, item) for item in value)
