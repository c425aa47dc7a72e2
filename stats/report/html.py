"""`render_html`: the report as one page that needs nothing else; a script in it sorts tables, no more.

Whatever the templates print passes through `visible` and autoescape; only the style sheet, the script,
our own SVG and what `inline` has escaped are taken as markup. The same report gives the same bytes.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ..findings import Alternative
from . import case_tables, inline, wording
from .answers import STATUS_WORDS, answer, strength_words
from .audit import SUFFICIENT_POWER, AuditReport
from .case_figures import band_half_width, leaves_band, render_control, render_timeline
from .contents import (
    AnsweredTest,
    answered_tests,
    assumptions_of,
    exhibits_of,
    failed_assumption,
    items_of,
)
from .declarations import DECLARATIONS
from .doubts import doubts_table, time_of_commitment
from .entries import Control, NotRun
from .figures import described, render_figure
from .glossary import glossary
from .kinds import kind_of
from .numbering import Numbering, numbered
from .result_tables import (
    answers_table,
    assumptions_table,
    controls_table,
    exhibits_table,
    items_table,
    questions_table,
    scale_table,
    seeds_table,
    status,
    versions_table,
)

__all__ = ["render_html"]

_MOST_CONTROL_FIGURES = 6
_MOST_ANSWERS = 40  # beyond, "in brief" would be a book
_DIRECTIONS = {
    Alternative.GREATER: "greater: only large values count against the null hypothesis",
    Alternative.LESS: "less: only small values count against the null hypothesis",
    Alternative.TWO_SIDED: "two-sided: large and small values count against the null hypothesis",
}
# (id, words in the contents, whether only a report with a case has it)
_SECTIONS = (
    ("questions", "Questions", False),
    ("answers", "Answers in brief", False),
    ("examined", "What was examined", False),
    ("timeline", "Timeline", True),
    ("findings", "Findings", False),
    ("controls", "Controls and error rate", False),
    ("registered", "All tests registered", True),
    ("method", "Method", False),
    ("limits", "Assumptions and limits", False),
    ("opinions", "Range of opinion", True),
    ("custody", "Chain of custody", True),
    ("repeat", "Repetition", False),
    ("declaration", "Declaration of the expert", True),
    ("glossary", "Glossary", False),
    ("exhibits", "Exhibits", True),
)


def render_html(report: AuditReport) -> str:
    """Write a report as one self-contained HTML page.

    With a case it has fifteen sections, from the questions to the exhibits; without one, those that need
    no case. The letterhead is the one in the case.

    Args:
        report: The report.

    Returns:
        The page; the same text for the same report.
    """
    fixed = _fixed(report)
    template = _environment().get_template("report.html.jinja")
    return numbered(lambda at: template.render(**fixed, **_numbered(report, fixed, at)))


def _fixed(report: AuditReport) -> dict[str, Any]:
    """What the templates print, as far as it has no number."""
    case, tests = report.case, answered_tests(report)
    letterhead = case.letterhead if case else None
    script = _resource("report.js")
    return {
        "report": report,
        "case": case,
        "tests": tests,
        "items": items_of(report, tests),
        "assumptions": assumptions_of(report, tests),
        "contents": [
            (name, words) for name, words, with_case in _SECTIONS if case or not with_case
        ],
        "letterhead": letterhead,
        "accent": letterhead.accent if letterhead else "",
        "footer_id": _css_text(case.report_id) if case else "",
        "digest_of_report": hashlib.sha256(report.to_json()).hexdigest(),
        "style": Markup(_resource("report.css")),  # ruff: ignore[unsafe-markup-use]  (our own file)
        "script": Markup(script),  # ruff: ignore[unsafe-markup-use]  (our own file)
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "time_of_commitment": time_of_commitment(tests),
        "declaration": DECLARATIONS[case.profile] if case else None,
        "glossary": glossary(with_case=case is not None),
        "sufficient_power": SUFFICIENT_POWER,
        "counts": _counts(tests),
        "most_answers": _MOST_ANSWERS,
        "most_control_figures": _MOST_CONTROL_FIGURES,
    }


def _counts(tests: list[AnsweredTest]) -> str:
    """How many tests have which status, those that none has included."""
    given = [test.answered.status for test in tests]
    listed = ", ".join(
        f"{words.lower()} {given.count(s)}" for s, (_, words) in STATUS_WORDS.items()
    )
    return f"Of {len(tests)} registered test{'s' * (len(tests) != 1)}: {listed}."


def _numbered(report: AuditReport, fixed: dict[str, Any], at: Numbering) -> dict[str, Any]:
    """What the templates print that has a number or refers to one."""
    tests, case = fixed["tests"], report.case
    assumptions = fixed["assumptions"]
    exhibits = exhibits_of(report, tests)

    def said(test: AnsweredTest) -> Markup:
        return answer(report, test.answered, test.registered, _links(at, test, assumptions))

    made: dict[str, Callable[..., Markup] | Numbering] = {
        "at": at,
        "answer": said,
        "questions_table": lambda: questions_table(at, tests),
        "answers_table": lambda: answers_table(at, report, tests),
        "scale_table": lambda: scale_table(at),
        "items_table": lambda: items_table(at, fixed["items"]),
        "exhibits_table": lambda with_use: exhibits_table(at, exhibits, with_use=with_use),
        "finding_figure": lambda test: _finding_figure(at, test),
        "controls_table": lambda: controls_table(at, report),
        "control_figure": lambda control: _control_figure(at, control),
        "assumptions_table": lambda: assumptions_table(
            at, list(assumptions.values()), with_checks=case is not None
        ),
        "versions_table": lambda: versions_table(at, report),
        "seeds_table": lambda: seeds_table(at, tests),
    }
    if case is not None:
        made |= {
            "timeline_figure": lambda: _timeline_figure(at, report),
            "timeline_table": lambda: case_tables.timeline_table(at, case),
            "positive_controls_table": lambda: case_tables.positive_controls_table(at, case),
            "power_table": lambda: case_tables.power_table(at, tests),
            "registered_table": lambda: case_tables.registered_table(at, tests),
            "doubts_table": lambda: doubts_table(at, report, case, tests),
            "custody_table": lambda: case_tables.custody_table(at, case),
            "repetition_table": lambda: case_tables.repetition_table(at, case),
            "certified_table": lambda: case_tables.certified_table(at, report, report.exhibits),
        }
    return made


def _links(at: Numbering, test: AnsweredTest, assumptions: dict[str, Any]) -> dict[str, Markup]:
    links = {
        "controls": at.ref("controls"),
        "same_order": at.ref("same-order"),
        "treatments": at.ref("treatments"),
    }
    if at.has(test.anchor):
        links["para"] = at.ref(test.anchor)
    if test.registered is not None:
        links["registered"] = at.ref("registered-table")
    if test.exhibit:
        links["exhibit"] = Markup("exhibit {} and in {}").format(
            inline.datum(test.exhibit), links["para"]
        )
    if test.entry is not None and (name := failed_assumption(test.entry, assumptions)):
        links["assumption"] = Markup("assumption {} ({})").format(name, at.ref("assumptions"))
    return links


@lru_cache(maxsize=1024)  # a page is written twice, and each picture of it drawn once
def _drawn(figure: Any, title: str) -> Markup:
    svg = render_figure(figure, title, described(figure))
    return Markup(svg)  # ruff: ignore[unsafe-markup-use]  (`svg` has escaped it)


def _finding_figure(at: Numbering, test: AnsweredTest) -> Markup:
    assert test.entry is not None  # ruff: ignore[assert]  (the template asks only then)
    finding, suspect = test.entry.finding, inline.datum(test.entry.suspect)
    figure = finding.figure
    number = at.figure(f"figure-{test.place}")
    shown = (
        Markup("the statistic under the null hypothesis (grey), and the observed value (line).")
        if hasattr(figure, "observed")
        else Markup("mean of “{}” in {} bins of “{}”; bars are 95 % intervals of the mean.").format(
            inline.datum(figure.y_label),  # type: ignore[union-attr]
            len(figure.x),  # type: ignore[union-attr]
            inline.datum(figure.x_label),  # type: ignore[union-attr]
        )
    )
    caption = Markup(
        "{}, {}: {} n = {:,} {}. Data: report.json, entries[{}].finding.figure."
    ).format(
        suspect,
        inline.datum(finding.name),
        shown,
        finding.n,
        inline.datum(finding.unit),
        test.index,
    )
    title = f"{finding.name}, {test.entry.suspect}, test {test.place}"
    return _figure(number, _drawn(figure, title), caption)


def _timeline_figure(at: Numbering, report: AuditReport) -> Markup:
    assert report.case is not None  # ruff: ignore[assert]  (the template asks only then)
    svg = render_timeline(report.case.events, f"Timeline of {report.case.report_id}")
    caption = Markup(
        "What happened when. Filled circles and solid lines: times that others testify to. Hollow circles "
        "and dashed lines: the claimant's own clock. Down the line, distances are to scale. Data: {}."
    ).format(at.ref("timeline-table"))
    number = at.figure("timeline-figure")
    return _figure(number, Markup(svg), caption)  # ruff: ignore[unsafe-markup-use]  (escaped)


def _control_figure(at: Numbering, control: Control) -> Markup:
    number = at.figure(f"control-figure-{at.figures + 1}")
    svg = render_control(control, f"{control.name}, figure {number}")
    verdict = (
        "It rises above the band: small p-values are more frequent than the test promises."
        if leaves_band(control)
        else "It does not rise above the band."
    )
    caption = Markup(
        "{}: share of n = {:,} control runs with p at or below each level (line), the diagonal of a right "
        "test, and a 95 % band of {} around it, for independent runs. {} Data: report.json, controls."
    ).format(
        inline.datum(control.name),
        len(control.p_values),
        f"±{band_half_width(len(control.p_values)):.2f}",
        verdict,
    )
    return _figure(number, Markup(svg), caption)  # ruff: ignore[unsafe-markup-use]  (escaped)


def _figure(number: str, svg: Markup, caption: Markup) -> Markup:
    return Markup(
        '<figure id="figure-{n}">\n{svg}\n<figcaption><b>Figure {n}.</b> {caption}</figcaption>\n</figure>'
    ).format(n=number, svg=svg, caption=caption)


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalised,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_resource),
    )
    environment.filters.update(
        datum=inline.datum,
        digest=inline.digest,
        direction=_DIRECTIONS.__getitem__,
        e=inline.e_number,
        effect=inline.effect_number,
        kind_label=lambda name: kind_of(name).label,
        lower_first=lambda text: text[:1].lower() + text[1:],
        or_missing=inline.or_missing,
        p=inline.p_number,
        probability=inline.probability,
        statistic=lambda value: wording.decimal(value, 3),
        status=status,
        strength=strength_words,
        title_of=_title_of,
        upper_first=lambda text: text[:1].upper() + text[1:],
    )
    return environment


def _title_of(test: AnsweredTest) -> Markup:
    answered = test.answered
    return inline.datum(answered.name if isinstance(answered, NotRun) else answered.finding.name)


def _css_text(text: str) -> str:
    """Text for a CSS string: letters and digits only, so that nothing ends the string."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "·" for c in text[:40])
    return f"{kept}, " if kept else ""


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(*name.split("/")).read_text(encoding="utf-8")


def _finalised(value: Any) -> Any:
    return (
        wording.bounded(value)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )
