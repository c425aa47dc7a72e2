"""The PDF says what the page says, is the same bytes each time, and shows hostile text as text."""

import dataclasses
import io
import re
import sys

import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.report import pdf as pdf_module
from bookplate.stats.report import render_html, render_pdf
from bookplate.stats.report.blocks import Box, Figure, Heading, Paragraph, Run, plain_text
from bookplate.stats.report.packing import packed
from bookplate.stats.report.reading import read_page
from bookplate.stats.report.typesetting import drawable_text, link_targets, shortened, typeset

from .report_samples import HOSTILE, full_report, hostile_report
from .sample_case import sample_report

pytest.importorskip("typst")
pypdf = pytest.importorskip("pypdf", reason="the text of a PDF is read with pypdf")

TYPST = [
    '#read("/etc/passwd")',
    '#import "@preview/x:1.0.0"',
    "$x^2$ @ref <label> = H",
    "\n= Heading",
]
LATEX = ["\\input{/etc/passwd}", "\\write18{id}", "%c{}"]
ODD = [
    "\u4e2d\u6587", "\U0001f600\U0001f9ea", "\u05d0\u05d1\u05d2 5", "\u0627\u0633\u0645 7",
    "e\u0301x\u0323\u0308", "\ufe0f\u200d\u00ad", "\ue000\U000f0000", "\ufffd \u0378", "e\u20dd",
]  # fmt: skip


def squeezed(text: str) -> str:
    """Without white space, and without the marks that only guide its direction."""
    return re.sub(r"[\s\u2068\u2069]", "", text)


def pages_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def text_of(pdf: bytes) -> str:
    return squeezed("".join(pages_of(pdf)))


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(sample_report())


@pytest.fixture(scope="module")
def pdf(page) -> bytes:
    return render_pdf(sample_report(), page=page)


@pytest.fixture(scope="module")
def pages(pdf) -> list[str]:
    return pages_of(pdf)


@pytest.fixture(scope="module")
def hostile_pdf() -> bytes:
    said = " ".join(TYPST + LATEX + ODD + [t for t in HOSTILE if len(t) < 999])
    return render_pdf(hostile_report(f"{said} {'x' * 300}/{'0123456789abcdef' * 9}"))


def test_each_answer_and_every_paragraph_is_in_it(page, pages):
    # Footers stand between the halves of what runs over two pages: words are compared, one by one.
    text = squeezed("".join(pages))
    blocks = read_page(page).main
    answers = [b for b in blocks if isinstance(b, Paragraph) and b.number.startswith("2.")]
    assert len(answers) >= sample_report().n_tests
    for block in answers:
        opening = squeezed("".join(run.text for run in block.runs))[:60]
        assert block.number + opening in text
    missing = {word for said in plain_text(blocks) for word in said.split()} - {
        word for said in map(alt_text, blocks) for word in said
    }
    assert [word for word in missing if squeezed(word) not in text and len(word) < 14] == []


def alt_text(block) -> list[str]:
    """Words that are read aloud instead of a picture, and are on no page."""
    inside = block.blocks if isinstance(block, Box) else (block,)
    said = " ".join(f"{b.title} {b.description}" for b in inside if isinstance(b, Figure))
    return said.split()


def test_it_is_the_same_each_time():
    made = {render_pdf(full_report()) for _ in range(2)}
    assert len(made) == 1


def test_what_it_says_of_itself(pdf, page):
    read = pypdf.PdfReader(io.BytesIO(pdf), strict=True)
    root = read.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True)
    assert read.metadata.title == sample_report().title
    assert read.metadata.creation_date.strftime("%Y-%m-%dT%H:%M:%SZ") == sample_report().created
    xmp = root["/Metadata"].get_data().decode()
    for claim in ("<pdfaid:part>2<", "<pdfaid:conformance>A<", "<pdfuaid:part>1<"):
        assert claim in xmp
    bookmarks = [b.title for b in read.outline if not isinstance(b, list)]
    heads = [b for b in read_page(page).main if isinstance(b, Heading) and b.level == 2]
    assert bookmarks == [f"{b.number} {''.join(r.text for r in b.runs)}" for b in heads]


def test_each_page_says_which_it_is_of_which_report(pages):
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in text
        assert "BP-2026-0117 · report.json SHA-256 " in text


def test_pictures_have_words_and_draw_theirs():
    page = render_html(full_report())
    pdf = render_pdf(full_report(), page=page)
    figures = [
        b for box in read_page(page).main if isinstance(box, Box)
        for b in box.blocks if isinstance(b, Figure)
    ]  # fmt: skip
    items = structure(pypdf.PdfReader(io.BytesIO(pdf)))
    said = [item["/Alt"] for item in items if "/Alt" in item]
    assert said == [f"{f.title}. {f.description}" for f in figures]
    assert "Standardisedsumofchoiceadvantages" in text_of(pdf)


def structure(read) -> list:
    found, at = [], [read.trailer["/Root"]["/StructTreeRoot"]]
    while at:
        item = at.pop().get_object()
        if isinstance(item, list):
            at += reversed(item)
        elif isinstance(item, dict):
            if item.get("/S") == "/Figure":
                found.append(item)
            at += [item["/K"]] if "/K" in item else []
    return found


def test_paper():
    sizes = {}
    for paper in ("a4", "letter"):
        pdf = render_pdf(full_report(), paper=paper)
        sizes[paper] = [
            round(float(x)) for x in pypdf.PdfReader(io.BytesIO(pdf)).pages[0].mediabox[2:]
        ]
    assert sizes == {"a4": [595, 842], "letter": [612, 792]}
    with pytest.raises(InvalidInput, match="paper"):
        render_pdf(full_report(), paper="a5")


def test_hostile_text_is_text(hostile_pdf):
    text = text_of(hostile_pdf)
    for shown in (
        '#read("/etc/passwd")', "$x^2$@ref<label>=H", "<U+000A>=Heading", "\\input{/etc/passwd}",
        "<U+4E2D><U+6587>", "<U+1F9EA>", "<U+E000><U+F0000>", "<U+001B>[31mred<U+001B>[0m",
        "evil<U+202E>gpj.exe", "<script>alert(1)</script>", "{{7*191}}{%raw%}", "<U+DC80>",
    ):  # fmt: skip
        assert squeezed(shown) in text
    assert "root:" not in text


def test_long_words_stay_on_the_paper(hostile_pdf):
    """No piece of text begins beyond the right margin of 29 mm."""
    right = 0.0

    def measure(text, _cm, matrix, *_):
        nonlocal right
        if text.strip():
            right = max(right, matrix[4])

    for sheet in pypdf.PdfReader(io.BytesIO(hostile_pdf)).pages[:6]:
        sheet.extract_text(visitor_text=measure)
    assert 0 < right < 595 - 29 / 25.4 * 72


def test_a_name_of_a_megabyte_is_cut_and_says_so():
    report = dataclasses.replace(full_report(), title="A" * 1_000_000, subject="B" * 1_000_000)
    pdf = render_pdf(report)
    front = squeezed("".join(pages_of(pdf)[:5]))
    for shown in ("A" * 60, "[999,500more", "B" * 60, "[995,000morecharacters:seereport.json]"):
        assert shown in front
    assert len(pdf) < 500_000


def test_without_typst_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(InvalidInput, match="typst, which is not installed") as caught:
        render_pdf(full_report())
    assert "pip install typst" in caught.value.hint


def test_code_points_without_a_glyph_are_shown_by_number():
    assert drawable_text("a\u4e2d\u2212\u03c1\u25a0") == "a<U+4E2D>\u2212\u03c1\u25a0"
    assert shortened("a" * 5_000) == "a" * 5_000
    assert shortened("a" * 5_345).endswith("a… [345 more characters: see report.json]")


def test_where_a_line_may_end():
    def pieces(text: str, *marks: str) -> list[str]:
        (block,) = typeset([Paragraph(runs=(Run(text, frozenset(marks)),))], frozenset(), 245.0)
        return block["runs"][0][0]

    assert pieces("plain words of the report", "foreign") == ["plain words of the report"]
    assert pieces("0" * 64, "digest") == ["0000"] * 16
    assert pieces("/very/long/path/of/a/file.json", "foreign")[:3] == ["/", "very/", "long/"]
    assert max(map(len, pieces("A" * 99, "foreign"))) == 10
    assert "".join(pieces("A" * 99 + " b", "foreign")) == "A" * 99 + " b"
    assert pieces("\u05d0\u05d1", "foreign") == ["\u2068\u05d0\u05d1\u2069"]


def test_only_what_is_linked_to_becomes_a_place(page):
    read = read_page(page)
    targets = link_targets(read.blocks)
    made = typeset(read.main, targets, 245.0)
    assert {b["id"] for b in made} <= targets | {""}
    assert "" in targets


def test_packing_changes_no_object(pdf):
    read = pypdf.PdfReader(io.BytesIO(pdf), strict=True)
    assert b"/Type/ObjStm" in pdf
    assert len(read.xref_objStm) > 100
    assert packed(pdf) == pdf  # its table of objects is a stream already: nothing to do


@pytest.mark.parametrize(
    "other", [b"", b"%PDF-1.7\n", b"%PDF-1.7\nstartxref\n9\n%%EOF\n", b"x" * 99]
)
def test_packing_leaves_other_files_alone(other):
    assert packed(other) == other


def test_packing_a_small_file():
    body = b"%PDF-1.7\n"
    offsets = []
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    objects += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>"]
    objects += [b"<</Length 3>>\nstream\nq Q\nendstream"]
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, text)
    start = len(body)
    body += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % o for o in offsets)
    body += b"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start
    small = packed(body)
    assert small != body
    assert b"/Type/Catalog" not in small
    read = pypdf.PdfReader(io.BytesIO(small), strict=True)
    assert read.pages[0].get_contents().get_data() == b"q Q"
    assert [float(x) for x in read.pages[0].mediabox] == [0, 0, 9, 9]
    cut = body.replace(b"trailer\n<<", b"trailer\n<</Encrypt 9 0 R")
    assert packed(cut) == cut


def test_figures_of_very_many_findings_are_described_and_not_drawn(monkeypatch, page, pdf):
    monkeypatch.setattr(pdf_module, "_MOST_MEASURED", 1)
    described = text_of(render_pdf(sample_report(), page=page))
    told = "Thefigureisdrawninreport.html."
    drawn = sum(
        isinstance(inner, Figure)
        for block in read_page(page).main
        if isinstance(block, Box)
        for inner in block.blocks
    )
    assert told not in text_of(pdf)
    assert described.count(told) == drawn > 1
