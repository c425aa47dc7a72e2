"""The tables that only a report with a case has."""

from collections.abc import Sequence

from markupsafe import Markup

from .audit import AuditReport
from .case import CaseFile
from .contents import AnsweredTest
from .entries import Exhibit, Status
from .inline import (
    MISSING,
    datum,
    digest,
    or_missing,
    p_number,
    probability,
    shown_alpha,
)
from .kinds import kind_of
from .numbering import Numbering
from .result_tables import status
from .tables import Cell, Column, table

__all__ = [
    "certified_table",
    "custody_table",
    "positive_controls_table",
    "power_table",
    "registered_table",
    "repetition_table",
    "timeline_table",
]


def timeline_table(at: Numbering, case: CaseFile) -> Markup:
    """Events, with who testifies to their time."""
    return table(
        at.table("timeline-table"),
        "Timeline",
        [
            Column("Time (UTC)", 24),
            Column("What happened"),
            Column("Who testifies to the time", 36),
        ],
        [
            [
                datum(event.at),
                datum(event.what),
                datum(event.proof) if event.proof else "nobody else: own clock, unproven",
            ]
            for event in case.events
        ],
        wide=True,
    )


def positive_controls_table(at: Numbering, case: CaseFile) -> Markup:
    """How often the tests noticed what was there."""
    rows: list[list[Markup | str | Cell]] = [
        [
            Markup("<b>{}</b><br>{}").format(datum(c.name), datum(c.description)),
            Cell(shown_alpha(c.level), c.level),
            Cell(f"{c.noticed:,} of {c.runs:,}", c.noticed / c.runs),
            Cell(probability(c.power_bound), c.power_bound),
        ]
        for c in case.positive_controls
    ]
    return table(
        at.table("positive-controls"),
        "Runs where the claim is known to be true",
        [
            Column("Positive control", 40),
            Column("Noticed if p at most", numbers=True),
            Column("Noticed", numbers=True),
            Column("Power, 95 % lower bound", numbers=True),
        ],
        rows,
        wide=True,
    )


def power_table(at: Numbering, tests: Sequence[AnsweredTest]) -> Markup:
    """What each test would have noticed, as registered."""
    rows: list[list[Markup | str | Cell]] = [
        [
            Markup("{}<br>{}").format(at.ref(test.anchor), datum(registered.test)),
            or_missing(registered.smallest_effect),
            "not measured"
            if registered.power is None
            else Cell(probability(registered.power), registered.power),
            or_missing(registered.power_source),
        ]
        for test in tests
        if (registered := test.registered) is not None
    ]
    return table(
        at.table("power"),
        "Power of each test to notice the smallest effect of interest",
        [
            Column("Test", 24),
            Column("Smallest effect of interest, as registered"),
            Column("Power", 14, numbers=True),
            Column("How it was found", 30),
        ],
        rows,
        wide=True,
    )


def registered_table(at: Numbering, tests: Sequence[AnsweredTest]) -> Markup:
    """Every registered test, in order of registration."""
    rows: list[list[Markup | str | Cell]] = []
    for test in tests:
        registered = test.registered
        if registered is None:
            continue
        rows.append([
            Cell(str(test.place), test.place),
            Markup("<b>{}</b><br>{} ({})<br>{}").format(
                datum(registered.test),
                kind_of(registered.kind).label,
                datum(registered.kind),
                at.ref(test.anchor),
            ),
            datum(registered.suspect),
            Markup("{}<br>{}").format(datum(registered.direction), or_missing(registered.settings)),
            *_p_values(test),
            status(test.answered),
        ])
    return table(
        at.table("registered-table"),
        "All registered tests, in order of registration",
        [
            Column("No.", 6, numbers=True),
            Column("Test", 21),
            Column("Suspect", 14),
            Column("Direction and settings"),
            Column("p, alone", 12),
            Column("p, corrected", 12),
            Column("Status", 16),
        ],
        rows,
        wide=True,
        header=1,
    )


def _p_values(test: AnsweredTest) -> tuple[Cell, Cell]:
    entry = test.entry
    if entry is None:
        return Cell("none", 2), Cell("set to 1", 1)
    alone = Cell(p_number(entry.finding.log10_p), entry.finding.log10_p)
    if entry.status is Status.ASSUMPTION_FAILED:
        return alone, Cell("set to 1", 1)
    return alone, Cell(p_number(entry.log10_p_corrected), entry.log10_p_corrected)


def custody_table(at: Numbering, case: CaseFile) -> Markup:
    """The custody log."""
    return table(
        at.table("custody-table"),
        "Entries of the custody log",
        [
            Column("No.", 6, numbers=True),
            Column("Time (own clock)", 22),
            Column("Who", 16),
            Column("Action", 16),
            Column("What was done, to what"),
        ],
        [
            [
                Cell(str(record.number), record.number),
                or_missing(record.at),
                or_missing(record.actor),
                or_missing(record.action),
                or_missing(record.what),
            ]
            for record in case.custody
        ],
        wide=True,
    )


def repetition_table(at: Numbering, case: CaseFile) -> Markup:
    """What can be repeated with what."""
    return table(
        at.table("repetition"),
        "What can be repeated, and what it takes",
        [Column("What", 30), Column("Command"), Column("Needs", 26)],
        [
            [
                or_missing(step.what),
                Markup("<code>{}</code>").format(datum(step.command)) if step.command else MISSING,
                or_missing(step.needs),
            ]
            for step in case.repetition
        ],
        wide=True,
    )


def certified_table(at: Numbering, report: AuditReport, exhibits: Sequence[Exhibit]) -> Markup:
    """The files a draft certificate speaks of."""
    pre_registration = report.case.pre_registration if report.case else ""
    rows: list[list[Markup | str | Cell]] = []
    if pre_registration:
        rows.append(["audit.yaml (pre-registration)", digest(pre_registration)])
    rows += [[datum(x.name), digest(x.sha256)] for x in exhibits]
    return table(
        at.table("certified"),
        "Files that the draft certificate speaks of",
        [Column("File", 36), Column("SHA-256")],
        rows,
    )
