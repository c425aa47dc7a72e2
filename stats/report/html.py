"""`render_html`: the report as one page that needs nothing else, not even a script.

Whatever the template prints passes through `visible` and autoescape; only the style sheet, our own
SVG and what `_datum` has escaped are taken as markup.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from ..evidence import VERBAL_SCALE
from ..findings import Alternative, Effect, NullHistogram, Trend
from . import wording
from .audit import SUFFICIENT_POWER, AuditReport
from .entries import CONTROL_LEVELS, AuditedFinding, NotRun, Status
from .figures import render_figure

__all__ = ["render_html"]

# Shape and word together: nothing depends on colour.
_STATUS_WORDS = {
    Status.EVIDENCE_FOUND: ("■", "Evidence found"),
    Status.NO_EVIDENCE_FOUND: ("□", "No evidence found"),
    Status.INCONCLUSIVE: ("◇", "Inconclusive"),
    Status.ASSUMPTION_FAILED: ("\N{MULTIPLICATION SIGN}", "Assumption failed"),
    Status.NOT_RUN: ("\N{EN DASH}", "Not run"),
}
_DIRECTIONS = {
    Alternative.GREATER: "greater: only large values count against the null hypothesis",
    Alternative.LESS: "less: only small values count against the null hypothesis",
    Alternative.TWO_SIDED: "two-sided: large and small values count against the null hypothesis",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """Something the findings rest on, and the paragraphs that use it."""

    name: str
    sha256: str
    used_in: list[str]


def render_html(report: AuditReport) -> str:
    """Write a report as one self-contained HTML page.

    Args:
        report: The report.

    Returns:
        The page; the same text for the same report.
    """
    return _template().render(
        report=report,
        style=Markup(_resource("report.css")),  # ruff: ignore[unsafe-markup-use]  (our own file)
        digest=hashlib.sha256(report.to_json()).hexdigest(),
        assumptions=_assumptions(report),
        items=_items(report),
        Status=Status,
        control_levels=CONTROL_LEVELS,
        sufficient_power=SUFFICIENT_POWER,
        verbal_scale=VERBAL_SCALE,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalised,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        datum=_datum,
        direction=_DIRECTIONS.__getitem__,
        digest=_digest,
        e=wording.e_text,
        effect=_effect,
        figure=_figure,
        log10_e=_scale_edge,
        odds=wording.odds_text,
        p=wording.p_text,
        percent=_percent,
        statistic=_statistic,
        status=_status,
    )
    return environment.from_string(_resource("report.html.jinja"))


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _finalised(value: Any) -> Any:
    return (
        wording.visible(value)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _datum(text: str) -> Markup:
    """Return a string from outside visible, escaped, and unable to reorder the text around it."""
    return Markup("<bdi>{}</bdi>").format(wording.visible(text))


def _digest(sha256: str) -> Markup:
    groups = Markup("<wbr>").join(
        Markup("<span>{}</span>").format(wording.visible(g)) for g in wording.grouped(sha256)
    )
    return Markup('<code class="digest">{}</code>').format(groups)


def _status(entry: AuditedFinding | NotRun) -> Markup:
    shape, words = _STATUS_WORDS[entry.status]
    return Markup(
        '<span class="status"><span class="shape" aria-hidden="true">{}</span> {}</span>'
    ).format(shape, words)


def _effect(effect: Effect) -> Markup:
    value, low, high = wording.effect_text(effect)
    return Markup(
        '<span class="number">{}</span> <span class="interval">({} % interval {} to {})</span>'
    ).format(value, f"{100 * effect.confidence:g}", low, high)


def _statistic(value: float) -> str:
    return wording.decimal(value, 3)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _scale_edge(log10_e: float) -> str:
    return f"{round(10**log10_e):,}"


def _figure(entry: AuditedFinding, number: str) -> Markup:
    figure = entry.finding.figure
    if figure is None:
        return Markup("")
    title = f"Figure {number}: {entry.finding.name}, {entry.suspect}"
    svg = render_figure(figure, title, _described(figure))
    return Markup(svg)  # ruff: ignore[unsafe-markup-use]  (ElementTree has escaped it)


def _described(figure: NullHistogram | Trend) -> str:
    if isinstance(figure, Trend):
        return (
            f"Means of {figure.y_label} in {len(figure.x)} bins of {figure.x_label}, with 95 % "
            f"intervals; first bin {figure.y[0]:.4g}, last bin {figure.y[-1]:.4g}."
        )
    lowest, highest, observed = (
        wording.decimal(value, 2) for value in (figure.edges[0], figure.edges[-1], figure.observed)
    )
    return (
        f"Histogram of {sum(figure.counts):,} values of the statistic under the null hypothesis, "
        f"between {lowest} and {highest}; a line marks the observed value {observed}. "
        f"Horizontal axis: {figure.label}."
    )


def _assumptions(report: AuditReport) -> dict[str, _Item]:
    """Return every distinct assumption, numbered A1, A2, ... in order of first use."""
    found: dict[str, _Item] = {}
    for k, entry in enumerate(report.entries, 1):
        for text in entry.finding.assumptions:
            item = found.setdefault(text, _Item(name=f"A{len(found) + 1}", sha256="", used_in=[]))
            item.used_in.append(f"4.{k}")
    return found


def _items(report: AuditReport) -> list[_Item]:
    found: dict[tuple[str, str], _Item] = {}
    for k, entry in enumerate(report.entries, 1):
        for given in entry.finding.inputs:
            item = found.setdefault(
                (given.name, given.sha256), _Item(name=given.name, sha256=given.sha256, used_in=[])
            )
            item.used_in.append(f"4.{k}")
    return list(found.values())
