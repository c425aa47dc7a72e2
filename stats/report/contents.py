"""What a report's tables hold, gathered from the report and its case."""

from dataclasses import dataclass, field

from .audit import AuditReport
from .case import AssumptionCheck, ExaminedItem, PositiveControl, RegisteredTest
from .entries import AuditedFinding, Exhibit, NotRun

__all__ = [
    "AnsweredTest",
    "Assumption",
    "ExhibitRow",
    "Item",
    "answered_tests",
    "assumptions_of",
    "exhibit_name",
    "exhibits_of",
    "failed_assumption",
    "items_of",
    "positive_controls_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredTest:
    """A registered test with what became of it.

    Attributes:
        place: Its place among the registered tests, from 1.
        answered: What became of it.
        registered: How it was registered; None in a report without a case.
        exhibit: The file with its numbers; empty if there is none.
        index: Its place in the report's `entries`; None if it was not run.
    """

    place: int
    answered: AuditedFinding | NotRun
    registered: RegisteredTest | None
    exhibit: str
    index: int | None

    @property
    def entry(self) -> AuditedFinding | None:
        """The finding, if there is one."""
        return self.answered if isinstance(self.answered, AuditedFinding) else None

    @property
    def anchor(self) -> str:
        """Name of its paragraph among the findings."""
        return f"test-{self.place}"

    @property
    def question(self) -> str:
        """What it asks."""
        if self.registered is not None:
            return self.registered.question
        entry = self.entry
        return (
            entry.finding.question if entry else self.answered.question  # type: ignore[union-attr]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """An assumption, what became of it, and the tests that rest on it (their anchors)."""

    name: str
    text: str
    check: AssumptionCheck | None
    used_in: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that was examined.

    Attributes:
        name: As the case or a finding calls it.
        sha256: Its digest; empty where there is none.
        given: How the case describes it; None if only findings name it.
        used_in: Anchors of the tests that rest on it.
        also: Other names that findings have for what has this digest.
    """

    name: str
    sha256: str
    given: ExaminedItem | None
    used_in: list[str] = field(default_factory=list)
    also: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhibitRow:
    """A file that accompanies the report, and the anchors of what uses it."""

    exhibit: Exhibit
    used_in: list[str]


def exhibit_name(place: int) -> str:
    """Where a bundle keeps the numbers of the test of this place, as `provenance.bundle.layout` has it."""
    return f"exhibits/T{place:02d}.parquet"


def answered_tests(report: AuditReport) -> list[AnsweredTest]:
    """All registered tests: in order of registration, or those without a result last."""
    answered: list[AuditedFinding | NotRun] = [*report.entries, *report.not_run]
    indices = {id(entry): index for index, entry in enumerate(report.entries)}
    registered: dict[str, RegisteredTest] = {}
    if report.case is not None:
        registered = {test.test: test for test in report.case.registered}
        order = {name: place for place, name in enumerate(registered)}
        answered.sort(key=lambda test: order[test.test])
    files = {exhibit.name for exhibit in report.exhibits}
    return [
        AnsweredTest(
            place=place,
            answered=test,
            registered=registered.get(test.test),
            exhibit=name if registered and (name := exhibit_name(place)) in files else "",
            index=indices.get(id(test)),
        )
        for place, test in enumerate(answered, 1)
    ]


def assumptions_of(report: AuditReport, tests: list[AnsweredTest]) -> dict[str, Assumption]:
    """Every distinct assumption, numbered A1, A2, ... in order of first use; then those only checked."""
    checks = {c.assumption: c for c in report.case.checks} if report.case else {}
    found: dict[str, Assumption] = {}
    for test in tests:
        for text in test.entry.finding.assumptions if test.entry else ():
            _add(found, text, checks).used_in.append(test.anchor)
    for text in checks:
        _add(found, text, checks)
    return found


def _add(found: dict[str, Assumption], text: str, checks: dict[str, AssumptionCheck]) -> Assumption:
    if text not in found:
        found[text] = Assumption(name=f"A{len(found) + 1}", text=text, check=checks.get(text))
    return found[text]


def failed_assumption(entry: AuditedFinding, assumptions: dict[str, Assumption]) -> str:
    """Which of its assumptions failed, as `A3`; empty where the words do not say."""
    failure = entry.failed_assumption
    named = [t for t in entry.finding.assumptions if failure.startswith(t)]
    return assumptions[max(named, key=len)].name if named else ""


def items_of(report: AuditReport, tests: list[AnsweredTest]) -> list[Item]:
    """What was examined, as the case describes it, then what findings name besides; one digest, one item."""
    items = [
        Item(name=item.name, sha256=item.sha256, given=item)
        for item in (report.case.items if report.case else ())
    ]
    by_name = {(item.name, item.sha256): item for item in items}
    by_digest = {item.sha256: item for item in reversed(items) if item.sha256}
    for test in tests:
        for used in test.entry.finding.inputs if test.entry else ():
            item = by_name.get((used.name, used.sha256)) or by_digest.get(used.sha256)
            if item is None:
                item = Item(name=used.name, sha256=used.sha256, given=None)
                by_name[used.name, used.sha256] = item
                items.append(item)
            if used.name not in (item.name, *item.also):
                item.also.append(used.name)
            item.used_in.append(test.anchor)
    return items


def exhibits_of(report: AuditReport, tests: list[AnsweredTest]) -> list[ExhibitRow]:
    """The files, each with the tests whose numbers it holds."""
    used: dict[str, list[str]] = {}
    for test in tests:
        if test.exhibit:
            used.setdefault(test.exhibit, []).append(test.anchor)
    return [ExhibitRow(exhibit=x, used_in=used.get(x.name, [])) for x in report.exhibits]


def positive_controls_of(report: AuditReport) -> tuple[PositiveControl, ...]:
    """The positive controls of the case; none without one."""
    return report.case.positive_controls if report.case else ()
