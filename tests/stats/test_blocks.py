"""Plain blocks say all that the page says, in its order, and refuse what they do not know."""

import html
import re

import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.report import PROFILES, render_html
from bookplate.stats.report.blocks import (
    Box,
    Definitions,
    Figure,
    Heading,
    Logo,
    Paragraph,
    Table,
    all_runs,
    plain_text,
)
from bookplate.stats.report.reading import read_page

from .report_samples import HOSTILE, full_report, hostile_report
from .sample_case import sample_report

PAGE = """<!doctype html><html lang="en"><head><title>T</title></head><body>
<a class="skip" href="#content">Skip</a><header><h1>T</h1></header><nav aria-label="Contents"></nav>
<main id="content"><section>{}</section></main><footer><p>End</p></footer></body></html>"""


def squeezed(text: str) -> str:
    """Without any white space: which of it a browser shows is not the matter here."""
    return "".join(text.split())


def text_of_page(page: str) -> str:
    """What the page says, found with regular expressions instead of a parser."""
    body = re.search(r"<body>(.*)</body>", page, re.DOTALL)[1]
    for left_out in (r'<a class="skip".*?</a>', r"<nav.*?</nav>"):
        body = re.sub(left_out, "", body, flags=re.DOTALL)
    picture = r"<svg.*?<title[^>]*>(.*?)</title><desc[^>]*>(.*?)</desc>.*?</svg>"
    body = re.sub(picture, r"\1\2", body, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", body))


REPORTS = [
    pytest.param(full_report, id="no case"),
    *(pytest.param(lambda p=p: sample_report(p), id=p) for p in PROFILES),
    *(
        pytest.param(lambda t=t: hostile_report(t), id=f"hostile {k}")
        for k, t in enumerate(HOSTILE)
    ),
]


@pytest.mark.parametrize("make", REPORTS)
def test_no_word_is_lost_or_added(make):
    page = render_html(make())
    said = "".join(plain_text(read_page(page).blocks))
    assert squeezed(said) == squeezed(text_of_page(page))


def test_kinds_of_blocks_and_their_marks():
    read = read_page(render_html(sample_report()))
    assert (read.language, read.contents) == ("en", "Contents")
    heads = [b for b in read.main if isinstance(b, Heading) and b.level == 2]
    assert [int(b.number) for b in heads] == list(range(1, len(heads) + 1))
    numbered = [b.number for b in read.main if isinstance(b, Paragraph) and b.role == "para"]
    assert numbered
    assert all(re.fullmatch(r"\d+\.\d+", n) for n in numbered)
    boxes = [b for b in read.main if isinstance(b, Box) and b.role == "finding"]
    assert len(boxes) == sample_report().n_tests
    assert any(isinstance(b, Figure) for box in boxes for b in box.blocks)
    assert any(isinstance(b, Definitions) and b.role == "front" for b in read.front)
    marks = {mark for runs in all_runs(read.blocks) for run in runs for mark in run.marks}
    assert {"strong", "digest", "foreign", "status", "number", "soft", "slot"} <= marks
    digests = [r.text for runs in all_runs(read.blocks) for r in runs if "digest" in r.marks]
    assert digests
    assert all(re.fullmatch(r"[0-9a-f]{64}", text) for text in digests)


def test_pictures_keep_the_case_of_their_markup():
    figures = [
        b for box in read_page(render_html(full_report())).main if isinstance(box, Box)
        for b in box.blocks if isinstance(b, Figure)
    ]  # fmt: skip
    assert figures
    assert all("viewBox=" in f.svg and f.svg.endswith("</svg>") for f in figures)
    assert all(f.title and f.description and f.caption for f in figures)


def test_a_forced_end_of_line_stays_apart_from_the_text():
    (block,) = read_page(PAGE.format("<p>one <br> two</p>")).main
    assert [run.text for run in block.runs] == ["one", "\n", "two"]


def test_columns_and_cells():
    page = PAGE.format(
        '<div class="wide stacks"><table><caption>C</caption>'
        '<thead><tr><th class="w12 right">A</th><th>B</th>'
        "</tr></thead><tbody><tr><th>1</th><td>2</td></tr></tbody></table></div>"
    )
    (table,) = read_page(page).main
    assert isinstance(table, Table)
    assert table.wide
    assert [(c.width, c.align) for c in table.columns] == [(12, "right"), (None, "left")]
    assert [[cell.header for cell in row] for row in table.rows] == [[True, False]]


def test_a_logo():
    source = "data:image/png;base64,iVBORw0KGgo="
    (logo,) = read_page(PAGE.format(f'<p class="logo"><img src="{source}" alt="Lab"></p>')).main
    assert logo == Logo(data=b"\x89PNG\r\n\x1a\n", format="png", description="Lab")


@pytest.mark.parametrize(
    ("markup", "error"),
    [
        ("<video></video>", "<video> in <section>"),
        ("<p><video></video></p>", "<video> in <p>"),
        ("<p><!-- aside --></p>", "a comment"),
        ("loose", "text outside of any block"),
        ("<ul>loose<li>x</li></ul>", "text outside of its parts"),
        ("<ul><p>x</p></ul>", "<p> in <ul>"),
        ("<dl><div><dt>a</dt></div></dl>", "expected the parts dt, dd"),
        ('<p><a href="#nowhere">x</a></p>', "'nowhere'"),
        ('<p><a href="https://example.org">x</a></p>', "expected a link to a place in this page"),
        ('<p id="a">x</p><p id="a">y</p>', "an id stands twice"),
        ("<p><b>x</p>", "</p> closes <b>"),
        ('<p class="logo"><img src="https://example.org/x.png"></p>', "in the page itself"),
        (
            "<table><caption>C</caption><thead><tr><th>A</th></tr></thead>"
            "<tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
            "more or fewer cells",
        ),
        (
            "<table><caption>C</caption><thead><tr><th colspan=2>A</th></tr></thead><tbody></tbody></table>",
            "no part of a report's page",
        ),
    ],
)
def test_what_is_not_known_is_refused(markup, error):
    with pytest.raises(InvalidInput, match=re.escape(error)):
        read_page(PAGE.format(markup))
