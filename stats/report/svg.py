"""Drawing as SVG by hand: the same bytes on every machine, and no text that is not escaped here.

Colours are of Okabe & Ito (2008); they are told apart in grey by lightness, and here also by shape and
words. All text is horizontal and stays text: it can be searched, copied and read aloud.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from .wording import MINUS, bounded, decimal, visible

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "PALE",
    "VERMILION",
    "Axis",
    "axis_over",
    "axis_with",
    "circle",
    "dots",
    "frame",
    "line",
    "path",
    "picture",
    "shortened",
    "strokes",
    "text",
    "tick_words",
]

BLUE, VERMILION, GREY, PALE, INK = "#0072b2", "#b34700", "#8c8c8c", "#d0d0d0", "#1a1a1a"

_FONT = "Noto Sans,Liberation Sans,DejaVu Sans,Arial,sans-serif"
_MOST_TICKS = 6
_LONGEST_LABEL = 54
_SIZE = 10


@dataclass(frozen=True, slots=True)
class Axis:
    """From numbers to places on the page.

    Attributes:
        low: The number at `start`.
        high: The number at `end`; above `low`.
        start: Place of `low`.
        end: Place of `high`.
        ticks: Round numbers between them.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The place of a number."""
        # Halved, so that the distance of two very large numbers is no infinity.
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.start + share * (self.end - self.start)


def axis_over(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    margin: float = 0.04,
    ticks: int = _MOST_TICKS,
) -> Axis:
    """An axis that holds some numbers, with a margin on both sides.

    Args:
        values: Finite numbers, at least one.
        start: Place of its low end.
        end: Place of its high end.
        margin: Share of the range that is added at each end.
        ticks: About how many round numbers to name.
    """
    listed = list(values)
    low, high = min(listed), max(listed)
    if not low < high:
        size = max(abs(low), 1.0) / 2
        low, high = low - size, high + size
    half = high / 2 - low / 2
    low = max(low - 2 * margin * half, -sys.float_info.max)
    high = min(high + 2 * margin * half, sys.float_info.max)
    return axis_with(low, high, start, end, ticks=ticks)


def axis_with(
    low: float, high: float, start: float, end: float, *, ticks: int = _MOST_TICKS
) -> Axis:
    """An axis with given ends, `low` below `high`."""
    return Axis(low, high, start, end, tuple(_round_numbers(low, high, ticks)))


def _round_numbers(low: float, high: float, most: int) -> Iterable[float]:
    rough = (high / 2 - low / 2) * 2 / most
    if not 0 < rough < math.inf:
        return
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= rough), rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if not step > 0 or last - first > 2 * most:
        return
    for k in range(first, last + 1):
        yield k * step


def tick_words(ticks: Sequence[float]) -> list[str]:
    """Round numbers in words, all with the same decimals."""
    if not ticks:
        return []
    size = max(abs(tick) for tick in ticks)
    step = min((b - a for a, b in pairwise(ticks)), default=size or 1.0)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if size >= 1e6 or places > 5:
        return [f"{tick:.3g}".replace("-", MINUS) for tick in ticks]
    return [decimal(tick, places) for tick in ticks]


def picture(
    prefix: str, width: float, height: float, title: str, description: str, parts: Iterable[Markup]
) -> str:
    """One `svg` element for an HTML page, without script or outside reference.

    Args:
        prefix: Start of its ids.
        width: In its own unit.
        height: In the same.
        title: Read aloud in place of the picture.
        description: What it shows, for those who do not see it.
        parts: Its elements.
    """
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" role="img" '
            'aria-labelledby="{p}title {p}desc" font-family="{font}" font-size="{size}" fill="{ink}">'
            '<title id="{p}title">{title}</title><desc id="{p}desc">{desc}</desc>{parts}</svg>'
        ).format(
            w=_at(width),
            h=_at(height),
            p=prefix,
            font=_FONT,
            size=_SIZE,
            ink=INK,
            title=bounded(title),
            desc=bounded(description),
            parts=Markup("").join(parts),
        )
    )


def line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    *,
    colour: str = INK,
    width: float = 0.8,
    dashes: str = "",
) -> Markup:
    """A straight line."""
    dashed = Markup(' stroke-dasharray="{}"').format(dashes) if dashes else ""
    return Markup('<path d="M{} {}L{} {}" fill="none" stroke="{}" stroke-width="{}"{}/>').format(
        _at(x1), _at(y1), _at(x2), _at(y2), colour, width, dashed
    )


def strokes(
    segments: Iterable[tuple[float, float, float, float]], *, colour: str = INK, width: float = 0.8
) -> Markup:
    """Many straight lines of one kind: x1, y1, x2, y2 of each."""
    steps = "".join(_steps([(x, y), (u, v)]) for x, y, u, v in segments)
    return Markup('<path d="{}" fill="none" stroke="{}" stroke-width="{}"/>').format(
        steps, colour, width
    )


def dots(places: Iterable[tuple[float, float]], radius: float, colour: str) -> Markup:
    """Many filled circles of one kind."""
    inner = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="{}"/>').format(_at(x), _at(y), _at(radius))
        for x, y in places
    )
    return Markup('<g fill="{}">{}</g>').format(colour, inner)


def path(
    points: Iterable[tuple[float, float]],
    *,
    colour: str = "none",
    fill: str = "none",
    width: float = 0.8,
) -> Markup:
    """Points joined by straight lines."""
    return Markup('<path d="{}" fill="{}" stroke="{}" stroke-width="{}"/>').format(
        _steps(points), fill, colour, width
    )


def circle(x: float, y: float, radius: float, *, colour: str = INK, fill: str = "none") -> Markup:
    """A circle."""
    return Markup(
        '<circle cx="{}" cy="{}" r="{}" fill="{}" stroke="{}" stroke-width="1.4"/>'
    ).format(_at(x), _at(y), _at(radius), fill, colour)


def text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> Markup:
    """Words that start, end or are centred at a place."""
    return Markup('<text x="{}" y="{}"{}{}>{}</text>').format(
        _at(x),
        _at(y),
        "" if anchor == "start" else Markup(' text-anchor="{}"').format(anchor),
        Markup(' font-weight="bold"') if bold else "",
        visible(words),
    )


def frame(across: Axis, up: Axis, x_label: str, y_labels: Sequence[str]) -> list[Markup]:
    """Both axes with their numbers, and their names: the vertical one's above it."""
    left, floor = across.start, up.start
    lines = [(left, floor, across.end, floor), (left, floor, left, up.end)]
    lines += [(across(value), floor, across(value), floor + 3.5) for value in across.ticks]
    lines += [(left - 3.5, up(value), left, up(value)) for value in up.ticks]
    below = [
        (across(v), floor + 14, words)
        for v, words in zip(across.ticks, tick_words(across.ticks), strict=True)
    ]
    below.append(((left + across.end) / 2, floor + 28, shortened(x_label)))
    beside = [
        (left - 6, up(v) + 3.5, words)
        for v, words in zip(up.ticks, tick_words(up.ticks), strict=True)
    ]
    above = up.end - 7 - 13 * (len(y_labels) - 1)
    names = [(4.0, above + 13 * i, shortened(words)) for i, words in enumerate(y_labels)]
    return [strokes(lines), _texts("middle", below), _texts("end", beside), _texts("start", names)]


def _texts(anchor: str, placed: Iterable[tuple[float, float, str]]) -> Markup:
    inner = Markup("").join(text(x, y, words) for x, y, words in placed)
    return Markup('<g text-anchor="{}">{}</g>').format(anchor, inner)


def shortened(label: str, longest: int = _LONGEST_LABEL) -> str:
    """A label that fits, visible and cut at its end."""
    shown = visible(label[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _steps(points: Iterable[tuple[float, float]]) -> str:
    """Points as the commands of a path, level and upright lines in their short form."""
    said: list[str] = []
    before = ("", "")
    for x, y in points:
        now = (_at(x), _at(y))
        if not said:
            said.append(f"M{now[0]} {now[1]}")
        elif now[1] == before[1]:
            said.append(f"H{now[0]}" if now[0] != before[0] else "")
        else:
            said.append(f"V{now[1]}" if now[0] == before[0] else f"L{now[0]} {now[1]}")
        before = now
    return "".join(said)


def _at(place: float) -> str:
    """A place with at most one decimal, and no minus before zero."""
    return f"{round(place, 1) + 0.0:.1f}".removesuffix(".0")
