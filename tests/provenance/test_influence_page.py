"""The influence page shows by rule, shows every number, and shows hostile text without obeying it."""

import base64
import dataclasses
import hashlib
import re
import time
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from bookplate.display import visible
from bookplate.errors import InvalidInput
from bookplate.provenance.influence.page import (
    FitSettings,
    InfluencePage,
    QueryText,
    ShownDocument,
    render_page,
    shown_candidates,
    write_page,
)
from bookplate.provenance.influence.page.charts import layer_chart, score_chart, tail_chart
from bookplate.provenance.influence.page.heat import heat_map, level_edges, text_window
from bookplate.provenance.influence.page.layers import by_layer, layer_of
from bookplate.provenance.influence.page.wording import Unit, one_line, shortened, unit_for
from bookplate.provenance.influence.results import InfluenceScores
from bookplate.provenance.influence.tail import PowerLaw, fit_power_law
from bookplate.stats import Effect
from hypothesis import given, settings
from hypothesis import strategies as st

MODULES = tuple(f"transformer.h.{layer}.mlp.{part}" for layer in range(3) for part in "ab")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg></details></script><iframe src=https://evil.example/>",
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "{{ 7 * 191 }}{% raw %}",
    "$\\frac{1}{$ &amp; &#60;b&#62; ]]> -->",
    "\x1b[31mred\x1b[0m",
    "evil\u202egpj.exe",
    "nul\x00byte and line\r\nbreak\u2028\ttab",
    "lone \udc80 and \ud800",
    "\ufffe\uffff\U000e0041\u200b",
    "A" * 1_000_000,
]


def tables(n_queries=2, n_candidates=60, n_tokens=12, seed=1) -> InfluenceScores:
    """Scores whose parts sum to them, with a heavy tail."""
    rng = np.random.default_rng(seed)
    by_token = tuple(
        (rng.standard_t(2, size=(n_queries, n_tokens)) * 1e-6).astype(np.float32)
        for _ in range(n_candidates)
    )
    pairwise = np.stack([part.sum(axis=1, dtype=np.float64) for part in by_token], axis=1)
    shares = rng.dirichlet(np.ones(len(MODULES)), size=pairwise.shape)
    return InfluenceScores(
        queries=tuple(f"query {q}" for q in range(n_queries)),
        candidates=tuple(f"document {c}" for c in range(n_candidates)),
        pairwise=pairwise,
        training_size=1234,
        modules=MODULES,
        by_module=(pairwise[..., None] * shares).astype(np.float32),
        by_token=by_token,
        self_influence=rng.random(n_candidates) * 1e-4,
    )


def law(alpha: float, threshold: float, n_tail: int, text="word") -> PowerLaw:
    return PowerLaw(
        alpha=Effect(name="a", value=alpha, low=2.1, high=2.6, confidence=0.95, interval="i"),
        threshold=threshold,
        n_tail=n_tail,
        fraction=0.01,
        ks_distance=0.1,
        p_power_law=0.3,
        warnings=(text,),
    )


def page_of(scores: InfluenceScores, text="word", per_side=5, **changes) -> InfluencePage:
    """A page about these scores, with `text` wherever text goes."""

    def document(c: int) -> ShownDocument:
        n = 12 if scores.by_token is None else scores.by_token[c].shape[1]
        return ShownDocument(
            candidate=c,
            tokens=tuple(f" {text}" for _ in range(n)),
            source=text,
            stratum=text,
            tfidf_rank=c + 1,
        )

    fields = {
        "title": text,
        "created": text,
        "command": text,
        "settings": FitSettings(
            model=text,
            model_sha256="0123456789abcdef" * 4,
            strategy=text,
            fisher=text,
            damping=0.1,
            blocks=1,
            dtype=text,
        ),
        "scores": scores,
        "queries": tuple(
            QueryText(
                id=id, prompt=text, completion=text, tail=law(2.345, 1e-6, 20, text), notes=(text,)
            )
            for id in scores.queries
        ),
        "documents": tuple(tuple(map(document, row)) for row in shown_candidates(scores, per_side)),
        "per_side": per_side,
        "recall": (text,),
        "audit": (text,),
        "warnings": (text,),
    }
    return InfluencePage(**{**fields, **changes})


class Seen(HTMLParser):
    """Tags, attributes and text of a page, and the text of its scripts."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        (self.scripts if self.tags and self.tags[-1] == "script" else self.text).append(data)


SCORES = tables()
PAGE = page_of(SCORES)
HTML = render_page(PAGE)


# ---- what is shown -------------------------------------------------------------------------------


def test_the_rule_shows_the_strongest_of_either_sign():
    rng = np.random.default_rng(3)
    scores = rng.integers(-6, 7, size=(20, 15)).astype(float)  # many ties and zeros
    table = dataclasses.replace(
        tables(20, 15), pairwise=scores, by_token=None, by_module=None, self_influence=None
    )
    for row, shown in zip(scores, shown_candidates(table, 4), strict=True):
        positive = sorted((c for c in range(15) if row[c] > 0), key=lambda c: (-row[c], c))[:4]
        negative = sorted((c for c in range(15) if row[c] < 0), key=lambda c: (row[c], c))[:4]
        assert shown == (*positive, *negative)


def test_every_shown_number_is_on_the_page():
    unit = unit_for(float(np.abs(SCORES.pairwise).max()))
    for q, row in enumerate(shown_candidates(SCORES, 5)):
        for c in row:
            score = SCORES.pairwise[q, c]
            assert f'data-score="{score}" data-label="Influence"><b>{unit.text(score)}</b>' in HTML
            assert f"together: {unit.text(float(SCORES.by_token[c][q].sum(dtype=float)))}." in HTML
            assert SCORES.candidates[c] in HTML
    for words in ("N = 1,234", "α = 2.35", "2.10 to 2.60", "95 % interval", "0.44 to 0.47"):
        assert words in HTML


def test_the_layers_sum_to_the_documents_shown():
    unit = unit_for(float(np.abs(SCORES.pairwise).max()))
    for q, row in enumerate(shown_candidates(SCORES, 5)):
        positive = [c for c in row if SCORES.pairwise[q, c] > 0]
        layers = by_layer(MODULES, SCORES.by_module[q, positive])
        total = sum(layer.net for layer in layers)
        assert total == pytest.approx(SCORES.pairwise[q, positive].sum(), rel=1e-5)  # float32 parts
        assert f"<b>{unit.number(total)}</b>" in HTML


def test_layers_are_grouped_by_their_number_and_ordered_by_it():
    modules = ("h.10.mlp", "lm_head", "h.2.mlp.0", "h.2.attn", "3", "x4.y")
    parts = np.array([[1, 2, 4, -6, 8, 16], [1, -2, 4, 8, 8, 16]], dtype=np.float32)
    layers = by_layer(modules, parts)
    assert [layer.name for layer in layers] == ["2", "3", "10", "lm_head", "x4.y"]
    assert [(layer.positive, layer.negative) for layer in layers] == [
        (12, -2),
        (16, 0),
        (2, 0),
        (2, -2),
        (32, 0),
    ]
    assert layer_of("gpt_neox.layers.07.mlp.dense_h_to_4h") == "7"
    many = by_layer([f"module{chr(97 + k)}" for k in range(20)], np.ones((1, 20), np.float32))
    assert [(layer.name, layer.n_modules, layer.net) for layer in many] == [("other", 20, 20)]


# ---- numbers in words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nats", "exponent", "text"),
    [
        (1.234567e-5, -6, "+12.3 µnat"),
        (-1.234567e-5, -6, "\N{MINUS SIGN}12.3 µnat"),
        (-1.2e-5, -3, "\N{MINUS SIGN}0.0120 mnat"),
        (4e-12, -6, "+4.00 \N{MULTIPLICATION SIGN} 10⁻⁶ µnat"),
        (0.0, -6, "0 µnat"),
        (1234.5, 0, "+1,234 nat"),
        (7e9, 0, "+7.00 \N{MULTIPLICATION SIGN} 10⁹ nat"),
    ],
)
def test_numbers_have_sign_digits_and_unit(nats, exponent, text):
    assert Unit(exponent).text(nats) == text


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [(0, 0), (12, 0), (1e9, 0), (0.5, -3), (1e-3, -3), (9.9e-4, -6), (1e-40, -15)],
)
def test_the_unit_follows_the_largest_number(largest, exponent):
    assert unit_for(largest).exponent == exponent


def test_long_text_is_cut_and_says_so():
    assert shortened("abc", 3) == "abc"
    assert shortened("\x1b" * 4, 2) == "<U+001B><U+001B>… (4 characters)"
    assert one_line("a\r\nb\n\tc") == "a↵b↵⇥c"


# ---- heat maps -----------------------------------------------------------------------------------


def drawn(tokens, parts, most=100):
    influence = None if parts is None else np.asarray(parts, dtype=np.float32)
    return heat_map(tokens, influence, largest=32, unit=Unit(0), most=most)


def test_a_token_is_coloured_by_sign_and_size():
    parts = [32, 16, 15.9, 8, 4, 2, 1, 0.99, 0, -0.99, -1, -32]
    heat = drawn([chr(97 + k) for k in range(12)], parts)
    kinds = dict(
        (text, kind)
        for kind, text in re.findall(r'<i class=(\w+) title="[^"]*">(\w)</i>', heat.markup)
    )
    expected = ["p5", "p5", "p4", "p4", "p3", "p2", "p1", None, None, None, "m1", "m5"]
    assert [kinds.get(chr(97 + k)) for k in range(12)] == expected
    assert level_edges(32) == [1, 2, 4, 8, 16, 32]
    assert 'title="+15.9 nat"' in heat.markup
    assert [(t.text, t.position, t.influence) for t in heat.strongest][::3] == [
        ("a", 1, "+32.0 nat"),
        ("l", 12, "\N{MINUS SIGN}32.0 nat"),
    ]
    assert heat.total == Unit(0).text(float(np.sum(np.float32(parts), dtype=float)))


@given(
    st.lists(
        st.tuples(st.text(st.characters(), max_size=6), st.floats(-32, 32, width=32)), min_size=1
    )
)
@settings(max_examples=50, deadline=None)
def test_a_heat_map_holds_all_text_and_no_other_markup(tokens):
    texts = [text for text, _ in tokens]
    for parts in ([part for _, part in tokens], None):
        seen = Seen(str(drawn(texts, parts).markup))
        assert set(seen.tags) <= {"i", "/i"}
        assert {name for name, _ in seen.attributes} <= {"class", "title"}
        shown = "".join(seen.text)
        shown.encode()
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c != "\n" for c in shown)
        for text in texts:
            assert all(c in shown for c in text if c.isalnum())


def test_of_a_long_document_the_most_influential_stretch_is_drawn():
    parts = np.zeros(1000, dtype=np.float32)
    parts[[700, 720]] = (5, -9)
    heat = drawn([f"<{k}>" for k in range(1000)], parts, most=30)
    assert "&lt;700&gt;" in heat.markup
    assert "&lt;720&gt;" in heat.markup
    assert heat.before + 30 + heat.after == 1000
    assert heat.strongest[1].position == 721
    rng = np.random.default_rng(5)
    noise = rng.normal(size=40).astype(np.float32)
    sums = [np.abs(noise[k : k + 7]).sum(dtype=float) for k in range(34)]
    assert text_window(noise, 40, 7) == int(np.argmax(sums))
    assert [text_window(noise, 40, 40), text_window(None, 40, 7)] == [0, 0]


# ---- pictures ------------------------------------------------------------------------------------

ONE_SIDED = [
    np.array([3.0]),
    np.array([-3.0]),
    np.zeros(4),
    np.array([5.0, 5.0]),
    np.ones(9) * 1e-300,
]


@pytest.mark.parametrize("scores", [*ONE_SIDED, SCORES.pairwise[0]], ids=str)
def test_the_histogram_holds_every_candidate(scores):
    root = ET.fromstring(score_chart(scores, [float(scores[0])], Unit(0), "q1"))
    heights = np.array([float(bar.get("height")) for bar in root.iter("rect")])
    ticks = {t.text: float(t.get("y")) for t in root.iter("text") if t.get("text-anchor") == "end"}
    decade = ticks["1"] - ticks["10"]  # in the picture's own length
    counts = 10 ** ((heights - 0.3 * decade) / decade)  # a bar begins 0.3 decades below 1
    assert counts.round().sum() == len(scores)
    assert np.abs(counts - counts.round()).max() < 0.1
    assert f"{len(scores):,} candidates" in root.find("desc").text


def test_the_tail_is_on_the_line_of_its_power_law():
    alpha, n = 2.5, 2000
    scores = (np.arange(1, n + 1) / n) ** (-1 / (alpha - 1))  # share beyond x is x ** (1 - alpha)
    fit = law(alpha, 1.0, n)
    # Points below the threshold, so that the line begins inside the picture.
    root = ET.fromstring(tail_chart(np.append(scores, 0.5), fit, Unit(0), "q1"))
    line = next(e for e in root.iter("line") if e.get("class") == "fit")
    x1, y1, x2, y2 = (float(line.get(name)) for name in ("x1", "y1", "x2", "y2"))
    path = next(e for e in root.iter("path")).get("d")
    dots = [tuple(map(float, dot)) for dot in re.findall(r"M([\d.]+) ([\d.]+)h0", path)]
    on_line = [(x, y) for x, y in dots if x1 <= x <= x2]
    assert len(on_line) > 50
    for x, y in on_line:
        assert y == pytest.approx(y1 + (y2 - y1) * (x - x1) / (x2 - x1), abs=0.5)
    assert all(a[0] >= b[0] for a, b in pairwise(dots))  # larger scores are rarer


@pytest.mark.parametrize(
    "parts", [[[1, 2, 4]], [[-1, -2, -4]], [[0, 0, 0]], [[1, -2, 0], [3, 4, -9]]]
)
def test_the_bars_of_layers_are_as_long_as_their_parts(parts):
    layers = by_layer(("0", "1", "2"), np.array(parts, dtype=np.float32))
    root = ET.fromstring(layer_chart(layers, Unit(0), "q1"))
    bars = [(e.get("class"), float(e.get("height"))) for e in root.iter("rect")]
    lengths = [part for layer in layers for part in (layer.positive, -layer.negative)]
    per_nat = max(height for _, height in bars) / max(max(lengths), 1e-9)
    for (_, height), length in zip(bars, lengths, strict=True):
        assert height == pytest.approx(length * per_nat, abs=0.11)


# ---- the page as a document ----------------------------------------------------------------------


def test_the_page_is_the_same_for_the_same_run():
    assert render_page(page_of(tables())) == HTML


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_is_shown_and_not_obeyed(text):
    scores = dataclasses.replace(
        SCORES,
        queries=tuple(text for _ in SCORES.queries),
        candidates=tuple(text for _ in SCORES.candidates),
        modules=tuple(text for _ in MODULES),
    )
    html = render_page(page_of(scores, text))
    html.encode()
    seen, plain = Seen(html), Seen(HTML)
    assert set(seen.tags) <= set(plain.tags) | {"br"}
    assert seen.tags.count("script") == 1
    assert {name for name, _ in seen.attributes} <= {name for name, _ in plain.attributes}
    assert len(html) < 600_000
    shown = "".join(seen.text)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c != "\n" for c in html)
    assert visible(text[:10]) in shown


def test_only_our_own_script_may_run_and_nothing_is_fetched():
    seen = Seen(HTML)
    (script,) = seen.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(v for n, v in seen.attributes if n == "content" and "default-src" in v)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    links = [value for name, value in seen.attributes if name in {"href", "src", "action"}]
    assert all(link.startswith("#") for link in links)
    assert "url(" not in HTML
    assert "@import" not in HTML
    assert not [name for name, _ in seen.attributes if name.startswith("on")]


def test_ids_are_unique_and_links_and_labels_lead_somewhere():
    seen = Seen(HTML)
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    aims = [value[1:] for name, value in seen.attributes if name == "href"]
    labels = [
        v for name, value in seen.attributes if name == "aria-labelledby" for v in value.split()
    ]
    assert set(aims) | set(labels) <= set(ids)
    assert all(f"<{tag}" in HTML for tag in ("main", "nav", "header", "footer", 'html lang="en"'))
    assert not re.search(r"<th (?![^>]*scope=)", HTML)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_text_can_be_read_on_every_colour_and_levels_differ_in_lightness():
    ink = "#1a1a1a"
    for sign in "pm":
        grounds = re.findall(rf"\.{sign}\d {{ background: (#\w{{6}})", HTML)
        assert len(grounds) == 5
        assert min(contrast(ink, ground) for ground in grounds) >= 4.5
        lights = [luminance(ground) for ground in grounds]
        assert all(a > b for a, b in pairwise(lights))
    assert contrast("#4d4d4d", "#f4f4f1") >= 4.5  # soft text on the faint ground of a prompt


@pytest.mark.parametrize("absent", ["by_token", "by_module", "self_influence"])
def test_parts_that_were_not_computed_are_said_to_be_missing(absent):
    html = render_page(page_of(dataclasses.replace(SCORES, **{absent: None})))
    said = {
        "by_token": "influence of single tokens was not computed",
        "by_module": "scores were not split by module",
        "self_influence": "On itself",
    }[absent]
    assert (said in html) != (absent == "self_influence")
    assert (said in HTML) == (absent == "self_influence")


def test_a_tail_that_is_no_power_law_is_said_to_be_none():
    rng = np.random.default_rng(7)
    scores = dataclasses.replace(
        SCORES, pairwise=rng.normal(10, 1, size=(2, 60)) * 1e-6, by_token=None, by_module=None
    )
    fitted = [fit_power_law(row, seed=1, fraction=0.9) for row in scores.pairwise]
    assert max(fit.p_power_law for fit in fitted) <= 0.05
    page = page_of(scores)
    queries = [
        dataclasses.replace(query, tail=fit)
        for query, fit in zip(page.queries, fitted, strict=True)
    ]
    html = render_page(dataclasses.replace(page, queries=tuple(queries)))
    assert html.count(", poor fit</td>") == 2
    assert html.count("does not look like a power law") == 2
    assert "poor fit" not in HTML


def test_scores_of_one_sign_or_none():
    for sign, missing in ((1, "negative"), (-1, "positive"), (0, "positive")):
        scores = dataclasses.replace(
            SCORES, pairwise=np.abs(SCORES.pairwise) * sign, by_token=None, by_module=None
        )
        assert f"No candidate has a {missing} score." in render_page(page_of(scores))


def test_a_hundred_queries_of_twenty_documents():
    scores = tables(n_queries=100, n_candidates=150, n_tokens=128)
    page = page_of(scores, per_side=10)
    start = time.perf_counter()
    html = render_page(page)
    assert time.perf_counter() - start < 20  # about 2 s on one core of 2024
    assert len(html) < 12_000_000
    assert html.count("<details") >= 2000


def test_only_its_owner_may_read_the_file_and_nothing_is_overwritten(tmp_path):
    path = tmp_path / "influence.html"
    write_page(path, PAGE)
    assert path.read_text(encoding="utf-8") == HTML
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match="already exists"):
        write_page(path, PAGE)


# ---- refusals ------------------------------------------------------------------------------------


def test_documents_of_somebodys_choice_are_refused():
    chosen = (PAGE.documents[0][1:], *PAGE.documents[1:])
    with pytest.raises(InvalidInput, match="rule selects"):
        dataclasses.replace(PAGE, documents=chosen)
    turned = (PAGE.documents[0][::-1], *PAGE.documents[1:])
    with pytest.raises(InvalidInput, match="rule selects"):
        dataclasses.replace(PAGE, documents=turned)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairwise": np.zeros((2, 59))}, "scores of shape"),
        ({"pairwise": np.full((2, 60), np.nan)}, "not finite"),
        ({"by_module": np.zeros((2, 60, 5), np.float32)}, "by_module"),
        ({"by_module": np.full((2, 60, 6), np.inf, np.float32)}, "not finite"),
        ({"by_token": SCORES.by_token[:-1]}, "by_token"),
        ({"by_token": tuple(part[:, :-1] for part in SCORES.by_token)}, "tokens of text"),
        ({"self_influence": np.zeros(59)}, "self_influence"),
        ({"candidates": ()}, "expected queries and candidates"),
        ({"queries": ("other", "query 1")}, "not those of the scores"),
    ],
)
def test_scores_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        dataclasses.replace(PAGE, scores=dataclasses.replace(SCORES, **changes))
