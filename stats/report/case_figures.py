"""Pictures of a case: its timeline, and the p-values of its controls."""

import math
import textwrap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from .case import TimelineEvent
from .entries import Control
from .figures import picture_id
from .svg import BLUE, GREY, INK, PALE, axis_with, circle, frame, line, path, picture, text

__all__ = ["band_half_width", "leaves_band", "render_control", "render_timeline"]

_WIDTH = 320.0
_MOST_LABELS = 30
_LINE = 13.0  # from one line of a label to the next
_LETTERS = 42  # in one line of a label
_MOST_STEPS = 250
_AXIS, _ROWS = 22.0, 76.0  # where the line of time stands, and where its labels begin


def render_timeline(events: Sequence[TimelineEvent], title: str) -> str:
    """Draw events on a line of time that runs downwards, to scale.

    Times that somebody else testifies to are filled circles with a solid line to their words; those of
    the claimant's own clock are hollow ones with a dashed line.

    Args:
        events: At least one, in order of time.
        title: Read aloud in place of the picture.

    Returns:
        One `svg` element.
    """
    shown = _labelled(events)
    rows = [
        textwrap.wrap(event.what, _LETTERS, max_lines=2, placeholder=" …") or [""]
        for event in shown
    ]
    tops, bottom = [], 40.0
    for words in rows:
        tops.append(bottom)
        bottom += _LINE * (len(words) + 1) + 7
    first, last = _seconds(events[0].at), _seconds(events[-1].at)
    span = max(last - first, 1.0)
    places = [44.0 + (_seconds(e.at) - first) / span * (bottom - 62.0) for e in events]
    proven = sum(bool(event.proof) for event in events)
    description = (
        f"{len(events)} events from {events[0].at} to {events[-1].at}; {proven} of them at a time that "
        "others testify to (filled), the others by the claimant's own clock (hollow)."
    )

    def parts() -> Iterator[Markup]:
        yield circle(_AXIS, 12, 2.8, fill=INK)
        yield text(_AXIS + 10, 15.5, "time shown by others")
        yield circle(_AXIS + 136, 12, 4, fill="#ffffff")
        yield text(_AXIS + 146, 15.5, "own clock, unproven")
        yield line(_AXIS, 36, _AXIS, bottom - 10, colour=GREY, width=1.5)
        by_event = dict(zip(map(id, shown), zip(rows, tops, strict=True), strict=True))
        for event, y in zip(events, places, strict=True):
            if id(event) in by_event:
                words, top = by_event[id(event)]
                dashes = "" if event.proof else "3 2.5"
                yield line(_AXIS + 5, y, _ROWS - 22, top + 6, colour=GREY, dashes=dashes)
                yield line(_ROWS - 22, top + 6, _ROWS - 4, top + 6, colour=GREY, dashes=dashes)
                yield text(_ROWS, top + 9.5, _moment(event.at), bold=True)
                for i, row in enumerate(words, 1):
                    yield text(_ROWS, top + 9.5 + _LINE * i, row)
        # The filled ones last and smaller, so that events of one day hide none of each other.
        for event, y in sorted(zip(events, places, strict=True), key=lambda at: bool(at[0].proof)):
            yield circle(
                _AXIS, y, 2.8 if event.proof else 4, fill=INK if event.proof else "#ffffff"
            )

    prefix = picture_id(repr(tuple(events)), title)
    return picture(prefix, _WIDTH, bottom, title, description, parts())


def _labelled(events: Sequence[TimelineEvent]) -> list[TimelineEvent]:
    """All events if they are few; else the first, the last, and as many proven ones as find room."""
    if len(events) <= _MOST_LABELS:
        return list(events)
    proven = [event for event in events[1:-1] if event.proof][: _MOST_LABELS - 2]
    return [events[0], *proven, events[-1]]


def _seconds(at: str) -> float:
    return (datetime.fromisoformat(at) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _moment(at: str) -> str:
    return f"{at[:10]} {at[11:19]} UTC"


def band_half_width(runs: int) -> float:
    """Half the height of a 95 % band for the empirical distribution of independent runs.

    By the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant: the band holds at
    all places together, for any number of runs.
    """
    return math.sqrt(math.log(2 / 0.05) / (2 * runs))


def leaves_band(control: Control) -> bool:
    """Whether more small p-values were seen than the band allows: the test would find too much."""
    values = sorted(control.p_values)
    n = len(values)
    half = band_half_width(n)
    return any((i + 1) / n > p + half for i, p in enumerate(values))


def render_control(control: Control, title: str) -> str:
    """Draw the share of control runs with p at or below each level.

    Args:
        control: The control.
        title: Read aloud in place of the picture.

    Returns:
        One `svg` element.
    """
    n = len(control.p_values)
    half = band_half_width(n)
    across, up = axis_with(0, 1, 44, 312), axis_with(0, 1, 176, 28)
    description = (
        f"Share of {n:,} control runs with a p-value at or below each level, from 0 to 1, beside the "
        f"diagonal that a right test follows, and a 95 % band of {half:.3f} on both sides of it. "
        f"{control.count_at(0.05):,} runs are at or below 0.05, {control.count_at(0.5):,} at or below 0.5."
    )
    band = [
        (0.0, 0.0),
        (0.0, min(half, 1.0)),
        (max(1 - half, 0.0), 1.0),
        (1.0, 1.0),
        (1.0, max(1 - half, 0.0)),
        (min(half, 1.0), 0.0),
    ]

    def parts() -> Iterator[Markup]:
        yield path([(across(x), up(y)) for x, y in band], fill=PALE)
        yield line(across(0), up(0), across(1), up(1), colour=INK, width=0.8)
        yield path(
            [(across(x), up(y)) for x, y in _steps(control.p_values)], colour=BLUE, width=1.8
        )
        yield from frame(across, up, "p-value", ["Share of control runs at or below"])

    prefix = picture_id(repr(control), title)
    return picture(prefix, _WIDTH, 212, title, description, parts())


def _steps(p_values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The empirical distribution function as a staircase; at most `_MOST_STEPS` of its steps."""
    values = sorted(p_values)
    levels = sorted(set(values))
    if len(levels) > _MOST_STEPS:
        levels = [k / _MOST_STEPS for k in range(1, _MOST_STEPS + 1)]
    height = 0.0
    yield 0.0, 0.0
    for level in levels:
        yield level, height
        height = bisect_right(values, level) / len(values)
        yield level, height
    yield 1.0, height
