"""The page's three pictures as inline SVG, the same bytes for the same numbers.

They are written by hand, not by matplotlib as the audit report's one figure is: a page may hold a hundred
queries with three pictures each, and matplotlib takes 0.1 s and 20 kB for each of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ....stats.report.wording import MINUS
from ..tail import PowerLaw
from .layers import LayerInfluence
from .wording import Unit, shortened

__all__ = ["layer_chart", "score_chart", "tail_chart"]

_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 30, 46  # margins of the plotting area
_BINS = 60
_MOST_POINTS = 160
_DECADES = 3  # of the score, drawn in the tail

_Scale = Callable[[float], float]


@dataclass(slots=True)
class _Chart:
    """A picture under construction; shapes are kept in drawing order."""

    title: str
    description: str
    x: _Scale
    y: _Scale
    shapes: list[str] = field(default_factory=list)

    def text(self, at: tuple[float, float], words: str, *, anchor: str = "middle") -> None:
        self.shapes.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def bar(self, x: tuple[float, float], y: tuple[float, float], kind: str) -> None:
        """A rectangle between two places on either axis, in data units."""
        left, right = sorted(map(self.x, x))
        top, bottom = sorted(map(self.y, y))
        self.shapes.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" '
            f'width="{max(right - left - 0.5, 0.5):.1f}" height="{bottom - top:.1f}"/>'
        )

    def line(self, x: tuple[float, float], y: tuple[float, float], kind: str) -> None:
        """A line between two points, in data units."""
        self.shapes.append(
            f'<line class="{kind}" x1="{self.x(x[0]):.1f}" y1="{self.y(y[0]):.1f}" '
            f'x2="{self.x(x[1]):.1f}" y2="{self.y(y[1]):.1f}"/>'
        )

    def dots(self, points: Sequence[tuple[float, float]], kind: str, radius: float) -> None:
        """Points in data units."""
        # Zero-length strokes with round caps: one element for all.
        path = "".join(f"M{self.x(x):.1f} {self.y(y):.1f}h0" for x, y in points)
        self.shapes.append(f'<path class="{kind}" stroke-width="{2 * radius:g}" d="{path}"/>')

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> None:
        floor = _HEIGHT - _BOTTOM
        self._axis_line(_LEFT, floor, _WIDTH - _RIGHT, floor)
        for value, words in ticks:
            self._axis_line(self.x(value), floor, self.x(value), floor + 4)
            self.text((self.x(value), floor + 18), words)
        self.text(((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8), label)

    def y_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> None:
        self._axis_line(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM)
        for value, words in ticks:
            self._axis_line(_LEFT - 4, self.y(value), _LEFT, self.y(value))
            self.text((_LEFT - 8, self.y(value) + 4), words, anchor="end")
        self.text((0, 14), label, anchor="start")  # above the axis: all text is horizontal

    def _axis_line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.shapes.append(
            f'<line class="axis" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def svg(self, identity: str) -> Markup:
        """The whole picture; `identity` starts its ids and must be ours and unique on the page."""
        return Markup(  # ruff: ignore[unsafe-markup-use]  (every text in it is escaped)
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-labelledby="{identity}-title {identity}-desc">'
            f'<title id="{identity}-title">{escape(self.title)}</title>'
            f'<desc id="{identity}-desc">{escape(self.description)}</desc>'
            f"{''.join(self.shapes)}</svg>"
        )


def score_chart(
    scores: NDArray[np.float64], edges_shown: Sequence[float], unit: Unit, identity: str
) -> Markup:
    """Histogram of one query's scores, counts on a logarithmic axis.

    Args:
        scores: Scores of all candidates, shape (C,), nats.
        edges_shown: Scores beyond which documents are shown, marked by dashed lines.
        unit: Unit of the axis.
        identity: Start of the picture's ids.
    """
    values = scores / 10.0**unit.exponent
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    width = (high - low) / _BINS or 1.0
    first = math.floor(low / width)
    bins = np.floor(values / width).astype(np.int64) - first
    counts = np.bincount(bins)
    edge = (first * width, (first + len(counts)) * width)
    top = max(math.log10(counts.max()), 1.0) * 1.05
    floor = -0.3  # so that a single candidate has a bar
    chart = _Chart(
        "Histogram of the influence of all candidates",
        f"{len(scores):,} candidates, from {unit.text(float(scores.min()))} to "
        f"{unit.text(float(scores.max()))}, half of them at or below "
        f"{unit.text(float(np.median(scores)))}; logarithmic counts.",
        _linear(edge, (_LEFT, _WIDTH - _RIGHT)),
        _linear((floor, top), (_HEIGHT - _BOTTOM, _TOP)),
    )
    for k in np.flatnonzero(counts):
        left = (first + int(k)) * width
        kind = "pos" if first + k >= 0 else "neg"
        chart.bar((left, left + width), (floor, math.log10(counts[k])), kind)
    for mark in edges_shown:
        place = mark / 10.0**unit.exponent
        chart.line((place, place), (floor, top), "mark")
    chart.x_axis([(v, _plain(v)) for v in _ticks(*edge)], f"Influence, {unit.name}")
    chart.y_axis(_decade_ticks(0.0, top, _count), "Candidates")
    return chart.svg(identity)


def layer_chart(layers: Sequence[LayerInfluence], unit: Unit, identity: str) -> Markup:
    """Positive and negative part of each layer as bars, their sum as a dot.

    Args:
        layers: The layers, at least one.
        unit: Unit of the axis.
        identity: Start of the picture's ids.
    """
    scale = 10.0**unit.exponent
    low = min(min(layer.negative for layer in layers) / scale, 0.0)
    high = max(max(layer.positive for layer in layers) / scale, 0.0)
    if low == high:
        high = 1.0
    strongest = max(layers, key=lambda layer: layer.net)
    chart = _Chart(
        "Influence by layer",
        f"{len(layers)} layers. The largest sum, {unit.text(strongest.net)}, is that of layer "
        f"{shortened(strongest.name, 40)}. All numbers are in the table beside the picture.",
        _linear((-0.6, len(layers) - 0.4), (_LEFT, _WIDTH - _RIGHT)),
        _linear((low, high), (_HEIGHT - _BOTTOM, _TOP)),
    )
    for k, layer in enumerate(layers):
        chart.bar((k - 0.4, k + 0.4), (0.0, layer.positive / scale), "pos")
        chart.bar((k - 0.4, k + 0.4), (0.0, layer.negative / scale), "neg")
    chart.line((-0.6, len(layers) - 0.4), (0.0, 0.0), "axis")
    sums = [(k, layer.net / scale) for k, layer in enumerate(layers)]
    radius = 3 if len(layers) <= 30 else 1.5
    chart.dots(sums, "net", radius + 1.5)  # a dark rim around a white dot: seen on any bar
    chart.dots(sums, "net inner", radius)
    numbered = [k for k, layer in enumerate(layers) if layer.name.isdecimal()]
    step = math.ceil(max(len(numbered), 1) / 12)
    ticks = [(k, layers[k].name) for k in numbered[::step]]
    unnumbered = [(k, "other") for k in range(len(numbered), len(layers))][:1]
    chart.x_axis(ticks + unnumbered, "Layer")
    chart.y_axis([(v, _plain(v)) for v in _ticks(low, high)], f"Influence, {unit.name}")
    return chart.svg(identity)


def tail_chart(
    scores: NDArray[np.float64], fit: PowerLaw | None, unit: Unit, identity: str
) -> Markup:
    """Share of candidates with at least a given positive score, both axes logarithmic, and the power law.

    Args:
        scores: Scores of all candidates, shape (C,), nats; at least one is positive.
        fit: The power law; None draws the scores alone.
        unit: Unit of the axis.
        identity: Start of the picture's ids.
    """
    scale = 10.0**unit.exponent
    ordered = np.sort(scores[scores > 0])[::-1] / scale
    high = float(ordered[0])
    begin = high / 10**_DECADES if fit is None else min(high / 10**_DECADES, fit.threshold / scale)
    ordered = ordered[ordered >= begin]
    ranks = np.unique(np.geomspace(1, len(ordered), _MOST_POINTS).round().astype(np.int64))
    points = [(math.log10(ordered[k - 1]), math.log10(k / len(scores))) for k in ranks]
    left = min(points[-1][0], math.log10(high) - 0.5)
    bottom, top = -math.log10(len(scores)) - 0.15, min(points[-1][1] + 0.3, 0.0)
    chart = _Chart(
        "The tail: share of candidates with at least this influence",
        f"{len(ordered):,} of {len(scores):,} candidates drawn, the largest at "
        f"{unit.text(high * scale)}; both axes logarithmic. {_fit_words(fit, unit)}",
        _linear((left, math.log10(high) + 0.1), (_LEFT, _WIDTH - _RIGHT)),
        _linear((bottom, max(top, bottom + 0.5)), (_HEIGHT - _BOTTOM, _TOP)),
    )
    chart.dots(points, "dots", 2)
    if fit is not None and left < math.log10(fit.threshold / scale) < math.log10(high):
        slope = fit.alpha.value - 1  # alpha is the density's exponent, this is that of the shares
        start = (math.log10(fit.threshold / scale), math.log10(fit.n_tail / len(scores)))
        run = min(math.log10(high) - start[0], (start[1] - bottom) / slope)
        end = (start[0] + run, start[1] - run * slope)
        chart.line((start[0], start[0]), (bottom, start[1]), "mark")
        chart.line((start[0], end[0]), (start[1], end[1]), "fit")
    chart.x_axis(
        _decade_ticks(left, math.log10(high) + 0.1, _plain), f"Influence of at least, {unit.name}"
    )
    chart.y_axis(_decade_ticks(bottom, top, _percent), "Share of candidates")
    return chart.svg(identity)


def _fit_words(fit: PowerLaw | None, unit: Unit) -> str:
    if fit is None:
        return "No power law was fitted."
    return f"A line shows the power law with alpha {fit.alpha.value:.2f} above {unit.text(fit.threshold)}."


def _linear(data: tuple[float, float], place: tuple[float, float]) -> _Scale:
    slope = (place[1] - place[0]) / (data[1] - data[0])
    return lambda value: place[0] + (value - data[0]) * slope


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers between the two."""
    raw = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _decade_ticks(
    low: float, high: float, words: Callable[[float], str]
) -> list[tuple[float, str]]:
    """Powers of ten between two logarithms; also twice and five times these if they are few."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    few = high - low < 2
    marks = [k + math.log10(m) for k in decades for m in ((1, 2, 5) if few else (1,))]
    return [(mark, words(10**mark)) for mark in marks if low <= mark <= high]


def _plain(value: float) -> str:
    return f"{value:.4g}".replace("-", MINUS) if abs(value) >= 1e-12 else "0"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"
