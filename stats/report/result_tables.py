"""The tables of every report: questions, answers, scale, items, controls, assumptions, versions, seeds."""

from collections.abc import Sequence

from markupsafe import Markup

from ..evidence import VERBAL_SCALE
from .answers import STATUS_WORDS, strength_words
from .audit import AuditReport
from .contents import AnsweredTest, Assumption, ExhibitRow, Item
from .entries import CONTROL_LEVELS, AuditedFinding, NotRun, Status
from .inline import (
    datum,
    digest,
    e_number,
    effect_number,
    or_missing,
    p_number,
    percent_up,
    shown_alpha,
)
from .numbering import Numbering
from .tables import Cell, Column, table

__all__ = [
    "answers_table",
    "assumptions_table",
    "controls_table",
    "exhibits_table",
    "items_table",
    "questions_table",
    "scale_table",
    "seeds_table",
    "status",
    "versions_table",
]

_NOT_RUN = "Not stated: the test was not run."


def status(answered: AuditedFinding | NotRun) -> Markup:
    """A status as shape and words."""
    shape, words = STATUS_WORDS[answered.status]
    return Markup(
        '<span class="status"><span class="shape" aria-hidden="true">{}</span> {}</span>'
    ).format(shape, words)


def paras(at: Numbering, anchors: Sequence[str]) -> Markup:
    """Links to paragraphs, each once."""
    return Markup(", ").join(
        at.ref(anchor) for anchor in dict.fromkeys(anchors) if at.has(anchor)
    ) or Markup("–")


def _named(test: AnsweredTest, at: Numbering) -> Markup:
    where = Markup(" {}").format(at.ref(test.anchor)) if at.has(test.anchor) else ""
    return Markup("<b>{}</b><br>{}{}").format(
        datum(test.answered.suspect), datum(test.question), where
    )


def questions_table(at: Numbering, tests: Sequence[AnsweredTest]) -> Markup:
    """Each question with its two propositions."""
    registered = any(test.registered for test in tests)
    names = (
        ("Proposition H1 (claimant)", "Proposition H2")
        if registered
        else ("Null proposition", "Alternative proposition")
    )
    return table(
        at.table("questions-table"),
        "The question of each registered test, with its two propositions",
        [Column("Test", 30), *(Column(name) for name in names)],
        [[_named(test, at), *_propositions(test)] for test in tests],
        wide=True,
    )


def _propositions(test: AnsweredTest) -> tuple[Markup | str, Markup | str]:
    if test.registered is not None:
        return or_missing(test.registered.proposition), or_missing(
            test.registered.counter_proposition
        )
    if test.entry is None:
        return _NOT_RUN, _NOT_RUN
    finding = test.entry.finding
    return datum(finding.null), Markup(
        "The null proposition is not true of {}, and the data depart from it in the tested direction ({})."
    ).format(datum(test.entry.suspect), finding.alternative.value)


def answers_table(at: Numbering, report: AuditReport, tests: Sequence[AnsweredTest]) -> Markup:
    """Status, corrected p, e-value in words and effect of each test."""
    return table(
        at.table("answers-table"),
        f"Answers. p and e are corrected for {report.n_tests} registered "
        f"test{'s' * (report.n_tests != 1)}",
        [
            Column("Suspect and question", 30),
            Column("Status", 18),
            Column("p, corrected", 16),
            Column("e-value, in words", 16),
            Column("Effect"),
        ],
        [[_named(test, at), status(test.answered), *_numbers(test)] for test in tests],
        wide=True,
    )


def _numbers(test: AnsweredTest) -> tuple[Markup | str | Cell, ...]:
    entry = test.entry
    if entry is None:
        return (Cell("none", 2), Cell("none", -1e9), "none")
    if entry.status is Status.ASSUMPTION_FAILED:
        return (Cell("no weight", 1), Cell("no weight", -1e9), "no weight")
    effect = entry.finding.effect
    return (
        Cell(p_number(entry.log10_p_corrected), entry.log10_p_corrected),
        Cell(
            Markup('{} <span class="words">{}</span>').format(
                e_number(entry.e_value.log10_e), strength_words(entry)
            ),
            entry.e_value.log10_e,
        ),
        Markup('{}<br><span class="words">{}</span>').format(
            effect_number(effect), datum(effect.name)
        ),
    )


def scale_table(at: Numbering) -> Markup:
    """The words for e-values."""
    rows: list[list[Markup | str | Cell]] = []
    for log10_edge, word in VERBAL_SCALE:
        edge = round(10**log10_edge)
        rows.append([Cell(f"{edge:,}", edge), f"{word} evidence", f"1 of {edge:,} cases"])
    rows.append([
        Cell("–", 0),
        "no evidence",
        "says nothing; it is not evidence for the null hypothesis",
    ])
    return table(
        at.table("scale"),
        "Words for e-values as evidence against the null hypothesis",
        [
            Column("e-value above", 21, numbers=True),
            Column("Words", 30),
            Column("If the null hypothesis is true, reached in at most"),
        ],
        rows,
    )


def items_table(at: Numbering, items: Sequence[Item]) -> Markup:
    """What the findings rest on, and how it was come by where a case says so."""
    if not any(item.given for item in items):
        return table(
            at.table("items"),
            "Inputs of the findings",
            [Column("Item and SHA-256"), Column("Used in", 18)],
            [[_with_digest(item.name, item.sha256), paras(at, item.used_in)] for item in items],
        )
    return table(
        at.table("items"),
        "Items examined",
        [
            Column("Item and SHA-256", 34),
            Column("Kind and role", 16),
            Column("Acquired"),
            Column("Used in", 14),
        ],
        [
            [
                _with_digest(item.name, item.sha256, item.also),
                _kind_and_role(item),
                _acquired(item),
                paras(at, item.used_in),
            ]
            for item in items
        ],
        wide=True,
    )


def _with_digest(name: str, sha256: str, also: Sequence[str] = ()) -> Markup:
    others = Markup("").join(
        Markup('<br><span class="soft">in findings also:</span> {}').format(datum(n)) for n in also
    )
    return Markup("{}<br>{}{}").format(datum(name), digest(sha256), others)


def _kind_and_role(item: Item) -> Markup:
    if item.given is None:
        return Markup("named by a finding")
    return Markup("{}, {}").format(or_missing(item.given.kind), or_missing(item.given.role))


def _acquired(item: Item) -> Markup:
    given = item.given
    if given is None or not (given.acquired_at or given.acquired_by or given.acquired_how):
        return or_missing("")
    return Markup("{}<br>by {}: {}").format(
        or_missing(given.acquired_at), or_missing(given.acquired_by), or_missing(given.acquired_how)
    )


def exhibits_table(at: Numbering, exhibits: Sequence[ExhibitRow], *, with_use: bool) -> Markup:
    """The files that accompany the report."""
    columns = [Column("Exhibit and SHA-256"), Column("What it holds", 30)]
    rows: list[list[Markup | str | Cell]] = [
        [_with_digest(x.exhibit.name, x.exhibit.sha256), or_missing(x.exhibit.description)]
        for x in exhibits
    ]
    if with_use:
        columns.append(Column("Used in", 16))
        rows = [[*row, paras(at, x.used_in)] for row, x in zip(rows, exhibits, strict=True)]
    return table(at.table("exhibits-table"), "Exhibits that accompany this report", columns, rows)


def controls_table(at: Numbering, report: AuditReport) -> Markup:
    """Runs where the null hypothesis holds: how many small p-values."""
    first = CONTROL_LEVELS[0]
    rows: list[list[Markup | str | Cell]] = [
        [
            Markup("<b>{}</b><br>{}").format(datum(c.name), datum(c.description)),
            Cell(f"{len(c.p_values):,}", len(c.p_values)),
            *(
                Cell(
                    f"{c.count_at(level):,} ({level * len(c.p_values):,g})",
                    c.count_at(level) / len(c.p_values),
                )
                for level in CONTROL_LEVELS
            ),
            Cell(percent_up(c.rate_bound), c.rate_bound),
        ]
        for c in report.controls
    ]
    return table(
        at.table("controls-table"),
        "Runs where the null hypothesis is known to hold",
        [
            Column("Control", 30),
            Column("Runs", 12, numbers=True),
            *(
                Column(f"p ≤ {shown_alpha(level)} (expected)", numbers=True)
                for level in CONTROL_LEVELS
            ),
            Column(f"Rate of p ≤ {shown_alpha(first)}, 95 % upper bound", numbers=True),
        ],
        rows,
        wide=True,
    )


def assumptions_table(
    at: Numbering, assumptions: Sequence[Assumption], *, with_checks: bool
) -> Markup:
    """Assumptions, and what became of them where a case says so."""
    if not with_checks:
        return table(
            at.table("assumptions"),
            "Assumptions",
            [Column("No.", 12), Column("Assumption"), Column("Rest on it", 21)],
            [[a.name, datum(a.text), paras(at, a.used_in)] for a in assumptions],
        )
    return table(
        at.table("assumptions"),
        "Assumptions, and what became of them",
        [
            Column("No.", 6),
            Column("Assumption", 26),
            Column("How checked"),
            Column("Result"),
            Column("If it is false"),
            Column("Rest on it", 12),
        ],
        [
            [
                a.name,
                datum(a.text),
                *_checked(a),
                paras(at, a.used_in),
            ]
            for a in assumptions
        ],
        wide=True,
    )


def _checked(assumption: Assumption) -> tuple[Markup | str, Markup | str, Markup | str]:
    check = assumption.check
    if check is None or not check.check:
        result: Markup | str = datum(check.result) if check and check.result else "none"
        if_false = or_missing(check.if_false if check else "")
        return "not checked", result, if_false
    return datum(check.check), or_missing(check.result), or_missing(check.if_false)


def versions_table(at: Numbering, report: AuditReport) -> Markup:
    """Version of each program."""
    return table(
        at.table("versions"),
        "Versions",
        [Column("Program"), Column("Version")],
        [[datum(name), datum(version)] for name, version in report.versions.items()],
    )


def seeds_table(at: Numbering, tests: Sequence[AnsweredTest]) -> Markup:
    """Seed of each test that was run."""
    return table(
        at.table("seeds"),
        "Seeds",
        [Column("Para", 16), Column("Test"), Column("Seed", numbers=True)],
        [
            [
                at.ref(test.anchor),
                Markup("{}: {}").format(datum(test.entry.suspect), datum(test.entry.finding.name)),
                "none used" if test.entry.finding.seed is None else str(test.entry.finding.seed),
            ]
            for test in tests
            if test.entry is not None
        ],
        header=1,
    )
