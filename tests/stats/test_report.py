"""The page shows by rule, can be read by everybody, and shows hostile text without obeying it."""

import base64
import hashlib
import re
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from bookplate.stats.report import (
    AuditReport,
    render_html,
)
from bookplate.stats.report.wording import effect_text, p_text, visible

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import CHOICE, CONTEXT, HOSTILE, SHA, Page, full_report, hostile_report


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(text):
    html = render_html(hostile_report(text))
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"img", "iframe", "object", "embed", "link", "base", "form"})
    assert [tag for tag, _ in page.elements].count("script") == 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#"), attributes
        for value in attributes.values():
            assert not re.search(r"url\((?!#)", value or ""), attributes
    assert html.count("<style>") == html.count("</style>")
    assert "".join(visible(text).split()) in "".join("".join(page.words).split())
    hidden = {c for c in html if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"}}
    assert hidden <= {"\n"}
    html.encode()


def test_the_page_is_one_file_under_a_strict_policy():
    html = render_html(full_report())
    page = Page(html)
    policy = next(a for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy["content"]
    assert not re.findall(r"@import|url\((?!#)", html)
    assert set(re.findall(r"https?://[^\"]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_page_is_the_same_twice():
    assert render_html(full_report()) == render_html(full_report())


def test_ids_are_unique_and_links_lead_somewhere():
    elements = Page(render_html(full_report())).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for tag, a in elements if tag == "a"}
    assert targets
    assert targets <= set(ids)
    named = {n for _, a in elements for n in (a.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


def test_headings_descend_by_one_and_tables_have_captions():
    elements = [tag for tag, _ in Page(render_html(full_report())).elements]
    levels = [int(tag[1]) for tag in elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert elements.count("table") == elements.count("caption") == 9
    assert elements.count("main") == elements.count("header") == elements.count("nav") == 1


def test_the_page_says_what_the_findings_say():
    report = full_report()
    text = Page(render_html(report)).text
    for entry in report.entries:
        assert p_text(entry.finding.log10_p) in text
        assert p_text(entry.log10_p_corrected) in text
        assert effect_text(entry.finding.effect)[0] in text
    for words in (
        "Evidence found",
        "No evidence found",
        "Inconclusive",
        "Assumption failed",
        "Not run",
        "This result should not be counted for either party.",
        "Nothing about model-c follows from this.",
        "already corrected for 5 registered tests",
        "Markov",
    ):
        assert words in text
    assert " ".join(SHA[i : i + 4] for i in range(0, 64, 4)).replace(" ", "") in text.replace(
        " ", ""
    )
    assert str(2**64 - 1) in text


def test_a_failed_test_keeps_its_number_and_loses_its_weight():
    page = render_html(full_report())
    answers = page[page.index("Table 2.") : page.index("The scale of words")]
    assert answers.count(">no weight<") == 3
    box = page[page.index('id="para-4.4"') : page.index('id="controls"')]
    assert p_text(CHOICE.log10_p) in box


def test_a_report_without_controls_says_so():
    text = Page(render_html(AuditReport.from_findings([("m", CHOICE, None)], **CONTEXT))).text
    assert "No control runs accompany this report." in text


@pytest.mark.parametrize(
    "phrase",
    [
        r"\bproves?\b",
        r"\bproven\b",
        r"due to chance",
        r"consistent with",
        r"\bguilty\b",
        r"is innocent",
        r"% certain",
        r"probability that the model",
        r"error rate (of|is) (0|zero|\d)",
        r"not significant",
        r"statistically significant",
        r"was not used",
        r"\*\*\*|p = 0\.0+\b|p < 0\.0+\b",
        r"support for innocence",
    ],
)
def test_what_is_never_printed(phrase):
    assert not re.search(phrase, Page(render_html(full_report())).text, re.IGNORECASE)
