"""The short form for a card: the page's words, and hostile text that Markdown cannot obey."""

import html
import re

import pytest
from bookplate.stats.report import render_html, render_markdown
from bookplate.stats.report.blocks import Paragraph, Run, Table, all_runs
from bookplate.stats.report.markdown import _line, _not_a_block
from bookplate.stats.report.reading import read_page
from markdown_it import MarkdownIt

from .report_samples import HOSTILE, full_report, hostile_report
from .sample_case import sample_report

MARKDOWN = [
    "![x](https://evil.example/x.png)",
    "[a](javascript:alert(1))",
    "[a]: https://evil.example",
    "www.evil.example and https://evil.example",
    "user@evil.example, @someone, #12, GH-12 :smile:",
    "a|b|c \\| d",
    "a`b``c`",
    "`",
    "**bold** _it_ __u__ ~~gone~~",
    "# Heading",
    "- item",
    "1. item",
    "> quote",
    "---",
    "| a |",
    "$x$ and $$y$$",
    "&lt;b&gt; &#60;",
    "\\",
    "\\[x](y)",
    "<!-- c -->",
]
# What the form itself consists of; neither links nor pictures are among it.
OURS = {
    "p",
    "h2",
    "h3",
    "h4",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "code",
    "pre",
    "table",
    "thead",
    "tbody",
}
OURS |= {"tr", "th", "td"}


def drawn(text: str) -> str:
    """As a reader of Markdown draws it that lets HTML and bare links through: the worst case."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u2068\u2069–]", "", text)


def text_of(page: str) -> str:
    return squeezed(html.unescape(re.sub(r"<[^>]*>", "", page)))


def test_front_matter_questions_answers_limits_and_repetition_are_in_it():
    text = render_markdown(sample_report())
    heads = re.findall(r"^### \d+ (.*)$", text, re.MULTILINE)
    assert heads == ["Questions", "Answers in brief", "Assumptions and limits", "Repetition"]
    assert "bookplate report verify" in text
    assert "**Report:** **BP-2026-0117**, draft" in text
    said, page = text_of(drawn(text)), read_page(render_html(sample_report()))
    for block in page.main:
        if isinstance(block, Paragraph) and block.number.startswith("2."):
            assert squeezed(block.number + "".join(run.text for run in block.runs)) in said
    (answers,) = [b for b in page.main if isinstance(b, Table) and "Answers" in b.caption[0].text]
    assert f"| {' | '.join('---' for _ in answers.columns)} |" in text
    digests = {r.text for runs in all_runs(page.front) for r in runs if "digest" in r.marks}
    assert digests
    assert all(f"`{digest}`" in text for digest in digests)


def test_it_is_the_same_each_time_and_needs_no_page():
    page = render_html(full_report())
    assert render_markdown(full_report(), page=page) == render_markdown(full_report())


def test_it_is_drawn_as_it_is_meant():
    page = drawn(render_markdown(sample_report()))
    assert set(re.findall(r"<(\w+)", page)) <= OURS
    assert page.count("<table>") == page.count("</table>") > 3
    assert "**" not in page


@pytest.mark.parametrize("text", [*HOSTILE, *MARKDOWN])
def test_hostile_text_is_text(text):
    shown = render_markdown(hostile_report(text))
    page = drawn(shown)
    assert set(re.findall(r"<(\w+)", page)) <= OURS
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e\u2066\u2067]", shown)
    outside = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?i)www\.|://|@|:smile:|GH-\d|#\d", outside)
    widths = {line.count(" | ") for line in shown.splitlines() if line.startswith("| ")}
    assert max(widths) <= 6
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1


def test_a_long_name_is_cut_and_says_so():
    text = render_markdown(hostile_report("A" * 10_000))
    assert "A" * 300 + "… [9,700 more characters: see report.json]" in text
    assert "A" * 301 not in text


@pytest.mark.parametrize(
    ("runs", "line"),
    [
        (
            [Run("a", frozenset({"strong"})), Run(": b", frozenset({"strong"})), Run(" c")],
            "**a: b** c",
        ),
        ([Run("a"), Run("\n"), Run("b")], "a – b"),
        ([Run("x_y", frozenset({"foreign"}))], "x\\_y"),
        ([Run("a*b", frozenset({"foreign"}))], "`a*b`"),
        ([Run("a`b", frozenset({"foreign"}))], "``a`b``"),
        ([Run("\u05d0", frozenset({"foreign"}))], "\u2068\u05d0\u2069"),
        ([Run("p < 1 & [2]")], "p \\< 1 \\& \\[2\\]"),
    ],
)
def test_runs(runs, line):
    assert _line(tuple(runs)) == line


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ("- x", "\\- x"),
        ("1. x", "1\\. x"),
        ("2026 was", "2026 was"),
        ("+", "\\+"),
        ("12) x", "12\\) x"),
    ],
)
def test_beginnings(line, safe):
    assert _not_a_block(line) == safe
