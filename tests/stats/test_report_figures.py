"""Figures are drawn the same every time, and obey no text in them."""

import dataclasses
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.report import Control, TimelineEvent, render_figure
from bookplate.stats.report.case_figures import (
    _steps,
    band_half_width,
    leaves_band,
    render_control,
    render_timeline,
)
from bookplate.stats.report.svg import axis_with, tick_words
from bookplate.stats.report.wording import decimal

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import CHOICE, ORDER


@pytest.mark.parametrize("figure", [CHOICE.figure, ORDER.figure])
def test_figures_are_deterministic_well_formed_and_described(figure):
    svg = render_figure(figure, "Name", "What it shows")
    assert render_figure(figure, "Name", "What it shows") == svg
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert [e.text for e in root[:2]] == ["Name", "What it shows"]
    assert root.get("aria-labelledby").split() == [e.get("id") for e in root[:2]]
    assert not svg.startswith("<?xml")
    assert "<!DOCTYPE" not in svg
    assert "<metadata" not in svg


def test_two_figures_share_no_id_and_point_nowhere():
    svgs = [render_figure(CHOICE.figure, name, "d") for name in ("first", "second")]
    ids = [{e.get("id") for e in ET.fromstring(svg).iter()} - {None} for svg in svgs]
    assert len(ids[0]) == 2
    assert ids[0].isdisjoint(ids[1])
    assert not any(re.search(r"href|url\(|style", svg) for svg in svgs)


@pytest.mark.parametrize(
    "figure",
    [
        dataclasses.replace(CHOICE.figure, edges=CHOICE.figure.edges[1:]),
        dataclasses.replace(CHOICE.figure, edges=(0.0,), counts=()),
        dataclasses.replace(CHOICE.figure, edges=CHOICE.figure.edges[::-1]),
        dataclasses.replace(ORDER.figure, low=ORDER.figure.low[1:]),
        dataclasses.replace(ORDER.figure, x=(), y=(), low=(), high=()),
    ],
)
def test_figures_whose_parts_do_not_fit_are_refused(figure):
    with pytest.raises(InvalidInput, match="expected"):
        render_figure(figure, "t", "d")


def test_the_observed_value_is_labelled_in_text():
    svg = render_figure(CHOICE.figure, "t", "d")
    assert f"observed {decimal(CHOICE.figure.observed, 2)}" in "".join(
        ET.fromstring(svg).itertext()
    )


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-9, 1.0, 1e9, 1e300, 1.7e308])
def test_numbers_of_any_size_stay_in_the_picture(size):
    histogram = dataclasses.replace(
        CHOICE.figure, edges=(-size, 0.0, size), counts=(3, 4), observed=size
    )
    trend = dataclasses.replace(
        ORDER.figure, x=(-size, size), y=(size, -size), low=(size, -size), high=(size, -size)
    )
    for figure in (histogram, trend):
        root = ET.fromstring(render_figure(figure, "t", "d"))
        for element in root.iter():
            for path in (element.get("d") or "").split():
                assert "nan" not in path
                assert "inf" not in path
            for name, limit in (("x", 320), ("cx", 320), ("y", 212), ("cy", 212)):
                assert -1 <= float(element.get(name) or 0) <= limit


def test_places_on_an_axis_are_in_proportion():
    axis = axis_with(0.0, 10.0, 100.0, 200.0)
    assert [axis(v) for v in (0.0, 2.5, 10.0)] == [100.0, 125.0, 200.0]
    assert list(axis.ticks) == [0, 2, 4, 6, 8, 10]
    assert tick_words([-0.5, 0.0, 0.5]) == ["\N{MINUS SIGN}0.5", "0.0", "0.5"]
    assert tick_words([0.0, 2e6]) == ["0", "2e+06"]
    assert tick_words([]) == []


EVENTS = (
    TimelineEvent(at="2026-01-01T00:00:00Z", what="first <b>"),
    TimelineEvent(at="2026-01-02T00:00:00Z", what="second", proof="a witness"),
    TimelineEvent(at="2026-01-03T00:00:00Z", what="third"),
)


def circles(svg: str) -> list[tuple[float, str]]:
    """(place, fill) of each circle below the key, from top to bottom."""
    found = [(float(e.get("cy")), e.get("fill")) for e in ET.fromstring(svg).iter() if e.get("cy")]
    return sorted(pair for pair in found if pair[0] > 20)


def test_the_timeline_is_to_scale_and_draws_unproven_times_hollow():
    (top, a), (middle, b), (bottom, c) = circles(render_timeline(EVENTS, "t"))
    assert middle - top == pytest.approx(bottom - middle, abs=0.2)
    assert (a, c) == ("#ffffff", "#ffffff")
    assert b not in (a, c)
    svg = render_timeline(EVENTS, "t")
    assert svg.count("stroke-dasharray") == 4  # two lines to each of the two unproven
    assert "first <b>" in "".join(ET.fromstring(svg).itertext())


def test_a_long_timeline_keeps_every_point_and_names_some():
    many = [
        TimelineEvent(at=f"2026-01-01T00:{m:02d}:{s:02d}Z", what=f"query {m} {s}")
        for m in range(5)
        for s in range(60)
    ]
    svg = render_timeline(many, "t")
    assert len(circles(svg)) == 300
    assert "query 0 0" in svg
    assert "query 4 59" in svg
    assert "query 2 2" not in svg
    assert len(circles(render_timeline(many[:1], "t"))) == 1


def test_controls_are_drawn_as_the_share_at_or_below_each_level():
    few = Control(name="c", description="", p_values=(0.25, 0.5, 0.5, 1.0))
    assert list(_steps(few.p_values)) == [
        (0.0, 0.0),
        (0.25, 0.0),
        (0.25, 0.25),
        (0.5, 0.25),
        (0.5, 0.75),
        (1.0, 0.75),
        (1.0, 1.0),
        (1.0, 1.0),
    ]
    assert len(list(_steps([k / 5_000 for k in range(1, 5_001)]))) < 600
    root = ET.fromstring(render_control(few, "t"))
    assert root.get("role") == "img"


def test_a_test_that_finds_too_much_leaves_the_band():
    right = Control(name="c", description="", p_values=tuple((k + 0.5) / 200 for k in range(200)))
    wrong = Control(
        name="c", description="", p_values=tuple(((k + 0.5) / 200) ** 3 for k in range(200))
    )
    late = Control(name="c", description="", p_values=(1.0,) * 200)
    assert [leaves_band(c) for c in (right, wrong, late)] == [False, True, False]
    # sqrt(ln(40) / 400), by hand
    assert band_half_width(200) == pytest.approx(0.09603, abs=1e-5)
