"""The page of a report with a case: fifteen sections, every reference leads somewhere, nothing is signed."""

import dataclasses
import re
import sys
import time
import unicodedata
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from bookplate.provenance.bundle.layout import exhibit_name as name_in_bundle
from bookplate.stats import Input
from bookplate.stats.report import PROFILES, AuditReport, Status, render_html
from bookplate.stats.report.answers import STATUS_WORDS
from bookplate.stats.report.case import CaseFile
from bookplate.stats.report.colours import LEAST_CONTRAST, contrast
from bookplate.stats.report.contents import answered_tests, exhibit_name, items_of
from bookplate.stats.report.numbering import Numbering, numbered
from bookplate.stats.report.wording import bounded, e_text, effect_text, grouped, p_text, visible

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import HOSTILE, Page, full_report
from sample_case import sample_case, sample_report, sha

SECTIONS = [
    "questions",
    "answers",
    "examined",
    "timeline",
    "findings",
    "controls",
    "registered",
    "method",
    "limits",
    "opinions",
    "custody",
    "repeat",
    "declaration",
    "glossary",
    "exhibits",
]
VOID = {"meta", "br", "wbr", "img"}
FIXED = {
    *("at", "acquired_at", "registered_at", "committed_at", "sha256", "pre_registration"),
    *("key_fingerprint", "previous_statement", "custody_head", "standing", "profile", "test"),
}


class Strict(Page):
    """Also refuses tags that are not balanced."""

    def __init__(self, text: str) -> None:
        self.open: list[str] = []
        super().__init__(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        assert len(dict(attrs)) == len(attrs), tag
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        super().handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


def text_of(part: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", part)).split())


def section(page: str, name: str) -> str:
    return re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', page, re.DOTALL)[1]


def everywhere(value, text, name=""):
    """A copy of a case with `text` in each field that takes any text."""
    if dataclasses.is_dataclass(value):
        changed = {
            f.name: everywhere(getattr(value, f.name), text, f.name)
            for f in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(everywhere(item, text, name) for item in value)
    if isinstance(value, str) and name not in FIXED:
        return value + text if name == "suspect" else text
    return value


def hostile_report(text: str) -> AuditReport:
    sample = sample_report()
    return AuditReport.from_findings(
        [(e.suspect + text, e.finding, e.power) for e in sample.entries],
        title=text,
        subject=text,
        alpha=sample.alpha,
        command=text,
        versions={text: text},
        created=sample.created,
        controls=[everywhere(c, text) for c in sample.controls],
        exhibits=[everywhere(x, text) for x in sample.exhibits[:1]],
        limits=[text],
        not_run=[
            dataclasses.replace(t, suspect=t.suspect + text, name=text, reason=text)
            for t in sample.not_run
        ],
        failed_assumptions={
            (e.suspect + text, e.finding.name): text for e in sample.entries if e.failed_assumption
        },
        case=everywhere(sample.case, text),
        ids={(e.suspect + text, e.finding.name): e.test for e in sample.entries},
    )


PAGE = render_html(sample_report())


def test_all_sections_stand_in_their_order_and_under_their_numbers():
    found = re.findall(r'<h2 id="(\w+)"><span class="n">(\d+)</span> ', PAGE)
    assert found == [(name, str(i)) for i, name in enumerate(SECTIONS, 1)]
    assert re.findall(r'<li><a href="#(\w+)">', PAGE) == SECTIONS


@pytest.mark.parametrize("profile", PROFILES)
def test_tags_are_balanced_ids_unique_links_resolve_and_headings_descend(profile):
    page = Strict(render_html(sample_report(profile)))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in page.elements if tag == "a"} <= set(ids)
    named = {n for _, a in page.elements for n in (a.get("aria-labelledby") or "").split()}
    assert named <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("main") == tags.count("header") == tags.count("nav") == 1


@pytest.mark.parametrize("page", [PAGE, render_html(full_report())], ids=["case", "no case"])
def test_headers_of_tables_are_scoped_and_rows_are_full(page):
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert len(tables) > 8
    for table in tables:
        assert len(re.findall(r"<caption>Table \d+\. ", table)) == 1
        columns = len(re.findall(r'<th[^>]* scope="col"', table))
        for row in re.findall(r"<tr.*?</tr>", table.split("<tbody", 1)[1], re.DOTALL):
            assert len(re.findall(r"<t[dh]\b", row)) == columns
            assert row.count('scope="row"') == 1
        assert len(re.findall(r"<th[ >]", table)) == table.count('scope="')


@pytest.mark.parametrize("page", [PAGE, render_html(full_report())], ids=["case", "no case"])
def test_numbers_of_tables_and_figures_run_from_one_and_paragraphs_without_gaps(page):
    for kind in ("Table", "Figure"):
        given = [int(n) for n in re.findall(rf"{kind} (\d+)\.", page)]
        assert given == list(range(1, len(given) + 1))
    numbers = re.findall(r'id="para-(\d+)\.(\d+)"', page)
    for before, after in pairwise([(0, 0), *((int(a), int(b)) for a, b in numbers)]):
        assert after in {(before[0], before[1] + 1), (after[0], 1)}
        assert after[0] >= before[0]


@pytest.mark.parametrize("page", [PAGE, render_html(full_report())], ids=["case", "no case"])
def test_no_number_is_mentioned_that_is_not_there(page):
    """References are links with computed words, so a number in plain text is one that nobody counted."""
    links = re.findall(r'<a href="#([^"]+)">((?:para|section|table|figure) [\d.]+)</a>', page, re.I)
    assert len(links) > 20
    for target, words in links:
        kind, number = words.split()
        if kind.lower() == "section":
            assert f'<h2 id="{target}"><span class="n">{number}</span>' in page
        else:
            assert target == f"{kind.lower()}-{number}"
    ours = re.sub(
        r"<svg.*?</svg>|<bdi>.*?</bdi>|<a .*?</a>|<caption>.*?</caption>|<b>Figure \d+.</b>",
        "",
        page,
    )
    assert not re.search(r"\b(para|section|table|figure) \d", text_of(ours.split("<body>")[1]))


def test_numbering_refuses_what_is_not_there_or_there_twice():
    with pytest.raises(LookupError, match="nothing called 'x'"):
        numbered(lambda at: str(at.ref("x")))
    at = Numbering()
    at.para("a")
    with pytest.raises(LookupError, match="two things"):
        at.para("a")
    assert numbered(lambda at: str(at.ref("t")) + at.section("s") + at.table("t")) == (
        '<a href="#table-1">table 1</a>11'
    )
    assert numbered(lambda at: at.table("t") + at.start("t")) == '1<a href="#table-1">Table 1</a>'
    with pytest.raises(LookupError, match="nothing called 'x'"):
        numbered(lambda at: str(at.start("x")))


def test_every_number_of_the_answers_is_that_of_the_json():
    report = AuditReport.from_json(sample_report().to_json())
    rows = re.findall(r"<tr role.*?</tr>", section(PAGE, "answers"), re.DOTALL)[1:]
    for test, row in zip(answered_tests(report), rows, strict=True):
        words = text_of(row)
        assert words.startswith(test.answered.suspect)
        assert STATUS_WORDS[test.answered.status][1] in words
        if test.entry is None or test.entry.status is Status.ASSUMPTION_FAILED:
            assert "10⁻" not in words
            continue
        assert p_text(test.entry.log10_p_corrected) in words
        assert e_text(test.entry.e_value.log10_e) in words
        assert all(part in words for part in effect_text(test.entry.finding.effect))


def test_all_registered_tests_are_shown_in_their_order():
    table = text_of(section(PAGE, "registered"))
    places = [table.index(test.test) for test in sample_case().registered]
    assert places == sorted(places)
    assert table.count("set to 1") == 2  # not run, and assumption failed
    boxes = re.findall(r'<article class="finding".*?</article>', PAGE, re.DOTALL)
    assert len(boxes) == len(sample_case().registered)
    assert "Nothing about api.north.example/chat follows from this." in text_of(boxes[2])


def test_front_matter_says_who_what_when_and_how_to_check():
    case, front = sample_case(), text_of(PAGE[PAGE.index("<header") : PAGE.index("</header")])
    for words in (
        "BP-2026-0117, draft",
        "Harbour Press Ltd",
        "North Models Inc.",
        case.instructions,
        f"bookplate report verify BUNDLE --fingerprint {case.key_fingerprint}",
        "Time of commitment unproven for 2 of 5 tests",
        "none: first statement",
        "It contains no opinion or declaration of an expert",
    ):
        assert words in front
    assert "".join(grouped(case.pre_registration)) in front.replace(" ", "")


def test_what_is_empty_is_printed_as_not_stated():
    bare = dataclasses.replace(
        sample_case(), parties=(), instructions="", events=(), custody=(), opinions=(), looks=""
    )
    page = render_html(dataclasses.replace(sample_report(), case=bare))
    Strict(page)
    assert text_of(page).count("not stated") > text_of(PAGE).count("not stated") + 2
    assert "No event was recorded." in page
    assert "The custody log has no entries." in page
    assert "That none is stated does not mean that there is none." in page


@pytest.mark.parametrize("profile", PROFILES)
def test_declarations_are_slots_and_nothing_is_signed(profile):
    part = text_of(section(render_html(sample_report(profile)), "declaration"))
    assert part.count("[not filled in]") >= 4
    assert "Nothing in this section is filled in, declared or signed." in part
    assert ("Unsigned draft." in part) == (profile == "frcp26")
    for words in (r"\bI (declare|confirm|certify|believe|understand)\b", "under penalty", r"\b/s/"):
        assert not re.search(words, part)


def test_the_draft_certificate_lists_every_file():
    part = section(PAGE, "declaration").replace("</span><span>", "")
    for digest in (sample_case().pre_registration, *(x.sha256 for x in sample_report().exhibits)):
        assert "".join(grouped(digest)) in part


def test_what_has_one_digest_is_one_item():
    report = sample_report()
    first = report.entries[0].finding
    used = (
        Input(name="the files", sha256=sha("Harbour Essays 2026.1")),
        Input(name="x", sha256=""),
    )
    changed = dataclasses.replace(report.entries[0], finding=first.about(inputs=used))
    items = items_of(
        dataclasses.replace(report, entries=(changed, *report.entries[1:])),
        [dataclasses.replace(answered_tests(report)[0], answered=changed)],
    )
    assert len(items) == len(sample_case().items) + 1
    assert (items[0].also, items[0].used_in) == (["the files"], ["test-1"])
    assert (items[-1].name, items[-1].given) == ("x", None)


def test_exhibits_are_found_where_a_bundle_keeps_them():
    assert [exhibit_name(n) for n in (1, 42, 500)] == [name_in_bundle(n) for n in (1, 42, 500)]
    assert [test.exhibit for test in answered_tests(sample_report())][1:3] == [
        "exhibits/T02.parquet",
        "",
    ]


def test_the_failed_assumption_is_named_by_its_number():
    (number,) = re.findall(r"but assumption (A\d+) \(", text_of(section(PAGE, "answers")))
    rows = text_of(section(PAGE, "limits"))
    assert f"{number}The training order of anchor-1b was a random shuffle" in rows


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_case_is_shown_and_not_obeyed(text):
    report = hostile_report(text)
    html = render_html(AuditReport.from_json(report.to_json()))
    page = Strict(html)
    tags = [tag for tag, _ in page.elements]
    assert {"img", "iframe", "object", "embed", "link", "base", "form"}.isdisjoint(tags)
    assert tags.count("script") == tags.count("style") == 1
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|expression", style)
    assert "".join(visible(text).split()) in "".join("".join(page.words).split())
    hidden = {c for c in html if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"}}
    assert hidden <= {"\n"}


def test_a_name_of_more_than_a_megabyte_is_cut_and_says_so():
    report = dataclasses.replace(sample_report(), title="<b>" * 350_000)
    html = render_html(report)
    assert len(html) < 10_000_000
    assert html.count("… [cut here: 1,050,000 characters; all are in report.json]") == 2
    assert "<b><b>" not in html
    assert bounded("x" * 1_000_000) == "x" * 1_000_000


def test_the_page_is_the_same_twice_and_after_reading_it_back():
    again = AuditReport.from_json(sample_report().to_json())
    assert render_html(again) == PAGE


@pytest.mark.parametrize(
    "phrase",
    [
        r"\bproves?\b",
        r"due to chance",
        r"consistent with",
        r"\bguilty\b",
        r"is innocent",
        r"% certain",
        r"probability that the model",
        r"error rate (of|is) (0|zero|\d)",
        r"not significant",
        r"was not used",
        r"\*\*\*|p = 0\.0+\b|p < 0\.0+\b",
        r"support for innocence",
        r"generally accepted\b(?!\?)",
    ],
)
def test_what_is_never_printed(phrase):
    assert not re.search(phrase, Page(PAGE).text, re.IGNORECASE)


def test_all_colours_can_be_read():
    style = PAGE[PAGE.index("<style>") : PAGE.index("</style>")]
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", style))
    for ink in ("ink", "soft", "accent"):
        for ground in ("#ffffff", named["faint"]):
            assert contrast(named[ink], ground) >= LEAST_CONTRAST
    assert contrast(named["rule"], "#ffffff") >= 3
    for colour in set(re.findall(r'(?:stroke|fill)="(#[0-9a-f]{6})"', PAGE)) - {
        "#ffffff",
        "#d0d0d0",
    }:
        assert contrast(colour, "#ffffff") >= 3, colour
    # Black on white and equal colours, by the definition of WCAG.
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#123456", "#123456") == 1


def big_report(suspects: int) -> AuditReport:
    sample, case = sample_report(), sample_case()
    first = next(t for t in case.registered if t.test == sample.entries[0].test)
    names = [f"suspect-{i:02d}" for i in range(suspects)]
    tests = tuple(dataclasses.replace(first, test=f"T.{n}", suspect=n) for n in names)
    finding = sample.entries[0].finding
    return dataclasses.replace(
        AuditReport.from_findings(
            [(name, finding, first.power) for name in names],
            title="t",
            subject="s",
            alpha=0.01,
            command="c",
            versions={},
            created=sample.created,
            case=dataclasses.replace(case, registered=tests),
            ids={(n, finding.name): f"T.{n}" for n in names},
        )
    )


def test_a_large_report_stays_small_and_quick():
    """5 MB and 30 s for 500 tests are 10 kB and 60 ms for one; a twentieth of the time is enough here."""
    report = big_report(41)
    start = time.perf_counter()
    page = render_html(report)
    assert time.perf_counter() - start < 6
    assert len(page.encode()) < 41 * 10_000 + 100_000
    assert "The words of each answer stand in its box" in page
    assert "The words of each answer stand in its box" not in PAGE
    assert isinstance(report.case, CaseFile)
