"""The one picture of a finding, as inline SVG: the same bytes for the same data."""

import hashlib
from collections.abc import Iterator

from markupsafe import Markup

from ...errors import InvalidInput
from ..findings import NullHistogram, Trend
from .svg import (
    BLUE,
    GREY,
    PALE,
    VERMILION,
    Axis,
    axis_over,
    axis_with,
    dots,
    frame,
    line,
    path,
    picture,
    strokes,
    text,
)
from .wording import decimal

__all__ = ["described", "picture_id", "render_figure"]

_WIDTH, _HEIGHT = 320.0, 190.0  # small, so that the text stays readable at the width of a phone
_LEFT, _RIGHT, _BOTTOM = 44.0, 312.0, 156.0
_MOST_SERIES = 1_000  # points in one picture


def render_figure(figure: NullHistogram | Trend, title: str, description: str) -> str:
    """Draw a figure as an `<svg>` element for an HTML page.

    Its ids start with a digest of figure, title and description, so that figures share a page.

    Args:
        figure: What to draw.
        title: Short name, read aloud in place of the picture.
        description: What the picture shows, for those who do not see it.

    Returns:
        One well-formed `svg` element, without XML declaration, script or outside reference.

    Raises:
        InvalidInput: If the parts of the figure do not fit each other.
    """
    _check(figure)
    parts = _histogram(figure) if isinstance(figure, NullHistogram) else _trend(figure)
    return picture(
        picture_id(repr(figure), title, description), _WIDTH, _HEIGHT, title, description, parts
    )


def picture_id(*said: str) -> str:
    """Start of the ids of a picture: a digest of what it shows and says."""
    digest = hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest()
    return f"fig-{digest[:12]}-"


def described(figure: NullHistogram | Trend) -> str:
    """What a figure shows, for those who do not see it."""
    if isinstance(figure, Trend):
        return (
            f"Means of {figure.y_label} in {len(figure.x)} bins of {figure.x_label}, with 95 % "
            f"intervals; first bin {figure.y[0]:.4g}, last bin {figure.y[-1]:.4g}."
        )
    lowest, highest, observed = (
        decimal(value, 2) for value in (figure.edges[0], figure.edges[-1], figure.observed)
    )
    return (
        f"Histogram of {sum(figure.counts):,} values of the statistic under the null hypothesis, "
        f"between {lowest} and {highest}; a line marks the observed value {observed}. "
        f"Horizontal axis: {figure.label}."
    )


def _check(figure: NullHistogram | Trend) -> None:
    if isinstance(figure, Trend):
        sizes = {len(part) for part in (figure.x, figure.y, figure.low, figure.high)}
        if len(sizes) > 1 or 0 in sizes:
            raise InvalidInput(
                f"trend: expected x, y, low, high of one length, got {sorted(sizes)}"
            )
        return
    if len(figure.edges) != len(figure.counts) + 1 or not figure.counts:
        raise InvalidInput(
            f"histogram: expected one edge more than counts, got {len(figure.edges)} edges and "
            f"{len(figure.counts)} counts"
        )
    if list(figure.edges) != sorted(figure.edges):
        raise InvalidInput("histogram: expected ascending edges")


def _histogram(figure: NullHistogram) -> Iterator[Markup]:
    across = axis_over((figure.edges[0], figure.edges[-1], figure.observed), _LEFT, _RIGHT)
    up = axis_with(0.0, max(*figure.counts, 1) * 1.25, _BOTTOM, 24.0, ticks=4)
    yield path(_outline(figure, across, up), colour=GREY, fill=PALE)
    yield from frame(across, up, figure.label, ["Draws under the null hypothesis"])
    x = across(figure.observed)
    yield line(x, up.start, x, up.end, colour=VERMILION, width=2)
    on_left = x > (across.start + across.end) / 2
    yield text(
        x - 5 if on_left else x + 5,
        up.end + 9,
        f"observed {decimal(figure.observed, 2)}",
        anchor="end" if on_left else "start",
        bold=True,
    )


def _outline(figure: NullHistogram, across: Axis, up: Axis) -> Iterator[tuple[float, float]]:
    yield across(figure.edges[0]), up.start
    for low, high, count in zip(figure.edges, figure.edges[1:], figure.counts, strict=False):
        yield across(low), up(count)
        yield across(high), up(count)
    yield across(figure.edges[-1]), up.start


def _trend(figure: Trend) -> Iterator[Markup]:
    step = -(-len(figure.x) // _MOST_SERIES)
    bins = list(zip(figure.x, figure.y, figure.low, figure.high, strict=True))[::step]
    across = axis_over(figure.x, _LEFT, _RIGHT)
    up = axis_over((*figure.y, *figure.low, *figure.high), _BOTTOM, 36.0, ticks=5)
    yield from frame(
        across, up, figure.x_label, [figure.y_label, "mean per bin, with 95 % interval"]
    )
    yield strokes(_bars(across, up, bins), width=1)
    yield dots(((across(x), up(y)) for x, y, _, _ in bins), 2.6, BLUE)


def _bars(
    across: Axis, up: Axis, bins: list[tuple[float, float, float, float]]
) -> Iterator[tuple[float, float, float, float]]:
    for x, _, low, high in bins:
        place, bottom, top = across(x), up(low), up(high)
        yield place, bottom, place, top
        yield place - 2.5, bottom, place + 2.5, bottom
        yield place - 2.5, top, place + 2.5, top
