"""The report decides by rule, reads strictly, and shows hostile text without obeying it."""

import dataclasses
import json
import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import (
    Alternative,
    Effect,
    EValue,
    Finding,
    Input,
    Statistic,
    calibrated_log10_e,
    choice_test,
    spearman_test,
    verbal_strength,
)
from bookplate.stats.report import (
    AuditReport,
    Control,
    Exhibit,
    NotRun,
    Status,
    render_figure,
    render_html,
)
from bookplate.stats.report.wording import decimal, e_text, effect_text, odds_text, p_text, visible
from hypothesis import given
from hypothesis import strategies as st

SHA = "0123456789abcdef" * 4
CONTEXT = {
    "title": "Use of a dataset in a model",
    "subject": "Whether one model was built with one dataset.",
    "alpha": 0.01,
    "command": "bookplate audit run audit.toml",
    "versions": {"bookplate": "0.1.0", "python": "3.11.9"},
    "created": "2026-11-21T14:05:00Z",
}
TIMES = " \N{MULTIPLICATION SIGN} 10"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><iframe src=https://evil.example/>",
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "url(https://evil.example/x.png)",
    "{{ 7 * 191 }}{% raw %}",
    "$\\frac{1}{$ &amp; &#60;b&#62; ]]> -->",
    "\x1b[31mred\x1b[0m",
    "evil\u202egpj.exe",
    "nul\x00byte and line\nbreak\u2028",
    "lone \udc80 and \ud800",
    "\ufffe\uffff\U000e0041\u200b",
    "A" * 10_000,
]


def choice_finding() -> Finding:
    rng = np.random.default_rng(20260101)
    values = rng.normal(size=(120, 3))
    chosen = rng.integers(0, 3, size=120)
    values[np.arange(120), chosen] += 0.7
    return choice_test(list(values), chosen, seed=2**64 - 1, n_resamples=999).about(
        name="marked wording test", inputs=(Input(name="release.jsonl", sha256=SHA),)
    )


def order_finding() -> Finding:
    rng = np.random.default_rng(20260102)
    step = np.arange(40)
    return spearman_test(
        step, rng.normal(size=40), alternative=Alternative.GREATER, seed=3, n_resamples=999
    ).about(name="training order test", warnings=("Short records were left out.",))


CHOICE, ORDER = choice_finding(), order_finding()


def full_report() -> AuditReport:
    """A report in which every status occurs."""
    return AuditReport.from_findings(
        [
            ("model-a", CHOICE, 0.95),
            ("model-a", ORDER, 0.95),
            ("model-b", ORDER, None),
            ("model-b", CHOICE, 0.5),
        ],
        controls=[Control(name="other keys", description="innocent", p_values=(0.02, 0.3, 0.9))],
        exhibits=[Exhibit(name="scores.parquet", sha256=SHA, description="all scores")],
        limits=["The training data were not seen."],
        not_run=[NotRun(suspect="model-c", name="x", question="Is it?", reason="No answer.")],
        failed_assumptions={("model-b", "marked wording test"): "A1: the key was public."},
        **CONTEXT,
    )


def hostile_report(text: str) -> AuditReport:
    """A report with `text` in every field that holds text."""
    trend = dataclasses.replace(ORDER.figure, x_label=text, y_label=text)
    histogram = dataclasses.replace(CHOICE.figure, label=text)
    said = {
        "name": text,
        "question": text,
        "null": text,
        "method": text,
        "unit": text,
        "statistic": Statistic(name=text, value=1.0),
        "effect": Effect(name=text, value=1, low=0, high=2, confidence=0.95, interval=text),
        "assumptions": (text,),
        "warnings": (text,),
        "inputs": (Input(name=text, sha256=text),),
        "e_value": EValue(log10_e=1.0, method=text),
    }
    first = CHOICE.about(**said, figure=histogram)
    second = ORDER.about(**{**said, "name": text + "2"}, figure=trend)
    return AuditReport.from_findings(
        [(text, first, 0.95), (text, second, 0.95)],
        title=text,
        subject=text,
        alpha=0.05,
        command=text,
        versions={text: text},
        created="2026-11-21T14:05:00Z",
        controls=[Control(name=text, description=text, p_values=(0.5,))],
        exhibits=[Exhibit(name=text, sha256=SHA, description=text)],
        limits=[text],
        not_run=[NotRun(suspect=text, name=text + "3", question=text, reason=text)],
        failed_assumptions={(text, text + "2"): text},
    )


# ---- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log10_p", "power", "failed", "status"),
    [
        (math.log10(0.05), None, "", Status.EVIDENCE_FOUND),
        (math.log10(0.05) + 1e-9, None, "", Status.INCONCLUSIVE),
        (math.log10(0.05) + 1e-9, 0.8999, "", Status.INCONCLUSIVE),
        (math.log10(0.05) + 1e-9, 0.90, "", Status.NO_EVIDENCE_FOUND),
        (0.0, 1.0, "", Status.NO_EVIDENCE_FOUND),
        (-1e4, 0.0, "", Status.EVIDENCE_FOUND),
        (-1e4, 1.0, "A1 failed", Status.ASSUMPTION_FAILED),
    ],
)
def test_status_follows_from_the_rule(log10_p, power, failed, status):
    report = AuditReport.from_findings(
        [("m", CHOICE.about(log10_p=log10_p), power)],
        failed_assumptions={("m", CHOICE.name): failed} if failed else {},
        **{**CONTEXT, "alpha": 0.05},
    )
    assert report.entries[0].status is status


def test_tests_without_a_result_count_in_the_correction():
    entry = full_report().entries[0]
    assert entry.log10_p_corrected == pytest.approx(CHOICE.log10_p + math.log10(5))
    assert entry.e_value.log10_e == pytest.approx(CHOICE.e_value.log10_e - math.log10(5))
    assert entry.strength == verbal_strength(entry.e_value.log10_e)
    calibrated = full_report().entries[1]
    assert calibrated.e_value.log10_e == calibrated_log10_e(min(ORDER.log10_p + math.log10(5), 0.0))


def test_where_p_and_e_value_disagree_the_report_says_so():
    weak = CHOICE.about(log10_p=math.log10(0.03), e_value=EValue(log10_e=-0.3, method="bet"))
    strong = CHOICE.about(log10_p=math.log10(0.2), e_value=EValue(log10_e=1.5, method="bet"))
    pages = [
        render_html(AuditReport.from_findings([("m", f, None)], **{**CONTEXT, "alpha": 0.05}))
        for f in (weak, strong, CHOICE)
    ]
    assert "The two numbers disagree" in pages[0]
    assert "lies in a band with a word" in pages[1]
    assert not any("disagree" in page for page in pages[1:])
    assert "band with a word" not in pages[2]


def test_a_failed_assumption_takes_all_weight_from_the_number():
    failed = full_report().entries[3]
    assert failed.finding.log10_p < -5
    assert failed.log10_p_corrected == 0
    assert failed.finding.e_value.log10_e > 3
    assert failed.e_value.log10_e == calibrated_log10_e(0.0)
    assert failed.strength == "none"


def test_control_counts_and_exact_bound():
    control = Control(name="c", description="d", p_values=(0.05, 0.050001, 0.5, 1.0))
    assert [control.count_at(a) for a in (0.05, 0.5)] == [1, 3]
    none_of_2000 = Control(name="c", description="d", p_values=(0.5,) * 2000)
    assert none_of_2000.rate_bound == pytest.approx(1 - 0.05 ** (1 / 2000), rel=1e-9)
    all_of_3 = Control(name="c", description="d", p_values=(0.01,) * 3)
    assert all_of_3.rate_bound == 1


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan, math.inf, 1, "0.01"])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(InvalidInput, match="alpha"):
        AuditReport.from_findings([("m", CHOICE, None)], **{**CONTEXT, "alpha": alpha})


def test_checking_nothing_is_not_passing():
    with pytest.raises(InsufficientEvidence, match="no findings"):
        AuditReport.from_findings([], **CONTEXT)
    with pytest.raises(InsufficientEvidence, match="no runs"):
        Control(name="c", description="d", p_values=())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tests": [("m", CHOICE, None), ("m", CHOICE, 0.5)]}, "two tests are called"),
        ({"tests": [("m", CHOICE, 1.5)]}, "power"),
        ({"tests": [("m", CHOICE, math.nan)]}, "finite"),
        ({"tests": [(b"m", CHOICE, None)]}, "AuditedFinding.suspect"),
        ({"created": "2026-11-21 14:05"}, "created"),
        ({"created": "2026-13-21T14:05:00Z"}, "created"),
        ({"title": 7}, "AuditReport.title"),
        ({"versions": {"python": 3}}, "versions"),
        ({"failed_assumptions": {("m", "other"): "x"}}, "no such test"),
    ],
)
def test_malformed_reports_are_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        AuditReport.from_findings(**{"tests": [("m", CHOICE, None)], **CONTEXT, **changes})


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_impossible_control_p_values_are_refused(p):
    with pytest.raises(InvalidInput):
        Control(name="c", description="d", p_values=(0.5, p))


def test_an_exhibit_needs_a_whole_digest():
    with pytest.raises(InvalidInput, match="64 hex"):
        Exhibit(name="x", sha256=SHA[:-1], description="d")


def test_a_status_written_by_hand_is_refused():
    report = full_report()
    forged = dataclasses.replace(report.entries[1], status=Status.EVIDENCE_FOUND)
    with pytest.raises(InvalidInput, match="not the computed one"):
        dataclasses.replace(report, entries=(report.entries[0], forged, *report.entries[2:]))


# ---- JSON ----------------------------------------------------------------------------------------


def test_json_round_trip_is_exact():
    report = full_report()
    data = report.to_json()
    assert AuditReport.from_json(data) == report
    assert AuditReport.from_json(data).to_json() == data
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    assert list(json.loads(data)) == sorted(json.loads(data))
    assert json.loads(data)["format"] == "bookplate-report/1"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_json(text):
    report = hostile_report(text)
    assert AuditReport.from_json(report.to_json()) == report


def _edited(edit: Callable[[dict], object]) -> bytes:
    fields = json.loads(full_report().to_json())
    edit(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "JSON object"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (full_report().to_json() + b"{}", "not JSON"),
        (full_report().to_json().replace(b'"alpha"', b'"alpha":0.5,"alpha"', 1), "appears twice"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":NaN'), "NaN"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":-Infinity'), "Infinity"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":1e999'), "too large"),
        (_edited(lambda r: r.update(format="bookplate-report/3")), "expected format"),
        (_edited(lambda r: r.update(format="bookplate-report/2")), r"report\.format"),
        (_edited(lambda r: r["entries"][0].update(test="T1")), "belongs to no case"),
        (_edited(lambda r: r.update(note="x")), r"report\.note: unknown field"),
        (_edited(lambda r: r.update({"\x1b[2J": "x"})), r"report\.<U\+001B>\[2J: unknown field"),
        (_edited(lambda r: r["entries"][0].update(note="x")), r"entries\[0\]\.note: unknown field"),
        (_edited(lambda r: r["entries"][0]["finding"].update(note="x")), "not a finding"),
        (_edited(lambda r: r["controls"][0].update(note="x")), "unknown field"),
        (_edited(lambda r: r["exhibits"][0].update(note="x")), "not a report"),
        (_edited(lambda r: r.pop("limits")), "limits"),
        (_edited(lambda r: r.pop("entries")), "entries"),
        (_edited(lambda r: r.update(entries=[], not_run=[])), "no findings"),
        (_edited(lambda r: r["entries"][1].update(status="evidence_found")), "status"),
        (_edited(lambda r: r["entries"][1].update(strength="strong")), "strength"),
        (_edited(lambda r: r["entries"][1].update(log10_p_corrected=-9.0)), "log10_p_corrected"),
        (_edited(lambda r: r["entries"][0]["e_value"].update(log10_e=9.0)), r"e_value\.log10_e"),
        (_edited(lambda r: r["entries"][0]["e_value"].update(method="x")), r"e_value\.method"),
        (_edited(lambda r: r["entries"][0]["finding"]["e_value"].update(x=1)), "not a finding"),
        (_edited(lambda r: r["entries"][1]["finding"].update(p_value=1e-9)), "p_value"),
        (_edited(lambda r: r["controls"][0].update(rate_bound=0.001)), "rate_bound"),
        (_edited(lambda r: r["entries"][0]["finding"].update(name=5)), "Finding.name"),
        (_edited(lambda r: r["entries"][0]["finding"].update(n=True)), "Finding.n"),
        (_edited(lambda r: r["entries"][0]["finding"].update(log10_p="0")), "not a finding"),
        (_edited(lambda r: r["entries"][0]["finding"]["effect"].update(low=None)), "Effect.low"),
        (_edited(lambda r: r.update(limits="abc")), "limits"),
        (_edited(lambda r: r.update(title=None)), "AuditReport.title"),
    ],
)
def test_reading_is_strict(data, message):
    with pytest.raises(InvalidInput, match=message):
        AuditReport.from_json(data)


def test_last_digits_of_computed_numbers_may_differ_between_machines():
    fields = json.loads(full_report().to_json())
    fields["entries"][1]["e_value"]["log10_e"] *= 1 + 1e-14
    assert AuditReport.from_json(json.dumps(fields).encode()) == full_report()


# ---- numbers in words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log10_p", "text", "odds"),
    [
        (0.0, "1.0000", ""),
        (math.log10(0.0312), "0.0312", ""),
        (math.log10(0.01), "0.0100", ""),
        (math.log10(0.0032), "0.0032", "about 1 in 310"),
        (math.log10(3.1e-9), "3.1" + TIMES + "⁻⁹", "about 1 in 320 million"),
        (-12.5, "3.2" + TIMES + "⁻¹³", "about 1 in 3.1 trillion"),
        (-20.5, "3.2" + TIMES + "⁻²¹", "about 1 in 10²⁰"),
        (-1e4, "1.0" + TIMES + "⁻¹⁰⁰⁰⁰", "about 1 in 10¹⁰⁰⁰⁰"),
    ],
)
def test_p_in_words(log10_p, text, odds):
    assert p_text(log10_p) == text
    assert odds_text(log10_p) == odds


@given(st.floats(-400, 0))
def test_p_in_words_never_claims_more_than_p(log10_p):
    mantissa, _, exponent = p_text(log10_p).partition(TIMES)
    power = int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)
    assert float(mantissa) > 0
    assert math.log10(float(mantissa)) + power >= log10_p - 1e-9


@pytest.mark.parametrize(
    ("log10_e", "text"),
    [
        (math.log10(0.5), "0.50"),
        (-2.0, "0.01"),
        (-2.1, "< 0.01"),
        (-400.0, "< 0.01"),
        (math.log10(9.999), "9.99"),
        (math.log10(5239), "5,200"),
        (6.0, "1.0" + TIMES + "⁶"),
        (9996.5, "3.1" + TIMES + "⁹⁹⁹⁶"),
    ],
)
def test_e_in_words(log10_e, text):
    assert e_text(log10_e) == text


def test_minus_signs_are_minus_signs():
    assert decimal(-0.153, 2) == "\N{MINUS SIGN}0.15"
    assert decimal(-0.0001, 2) == "0.00"
    assert decimal(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    effect = Effect(name="x", value=0.1534, low=-0.0211, high=0.3279, confidence=0.95, interval="z")
    assert effect_text(effect) == ("0.15", "\N{MINUS SIGN}0.02", "0.33")


@given(st.text(st.characters()))
def test_visible_text_hides_nothing(text):
    shown = visible(text)
    shown.encode()
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in shown)


def test_visible_names_the_code_point():
    assert visible("a\u202eb\x1b\udc80") == "a<U+202E>b<U+001B><U+DC80>"


# ---- figures -------------------------------------------------------------------------------------


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


def test_two_figures_share_no_id_and_refer_only_to_their_own():
    svgs = [render_figure(CHOICE.figure, name, "d") for name in ("first", "second")]
    ids = [{e.get("id") for e in ET.fromstring(svg).iter()} - {None} for svg in svgs]
    assert ids[0].isdisjoint(ids[1])
    for svg, own in zip(svgs, ids, strict=True):
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert used
        assert set(used) <= own


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


def test_a_figure_ignores_the_readers_matplotlibrc():
    import matplotlib as mpl

    before = render_figure(CHOICE.figure, "t", "d")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert render_figure(CHOICE.figure, "t", "d") == before
        assert mpl.rcParams["font.size"] == 30


# ---- HTML ----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(text):
    html = render_html(hostile_report(text))
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "embed", "link", "base", "form"})
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
