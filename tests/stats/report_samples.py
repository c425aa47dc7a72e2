"""Findings and reports that several tests of reports share, and what a browser would find in a page."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
from bookplate.stats import (
    Alternative,
    Effect,
    EValue,
    Finding,
    Input,
    Statistic,
    choice_test,
    spearman_test,
)
from bookplate.stats.report import (
    AuditReport,
    Control,
    Exhibit,
    NotRun,
)

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


__all__ = [
    "CHOICE",
    "CONTEXT",
    "HOSTILE",
    "ORDER",
    "SHA",
    "TIMES",
    "Page",
    "full_report",
    "hostile_report",
]


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
