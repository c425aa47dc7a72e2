"""The page is composed and written: every number on it is computed here, the template only prints."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray

from ....files import new_file
from ....stats.report.wording import grouped, visible
from .charts import layer_chart, score_chart, tail_chart
from .contents import InfluencePage, QueryText, ShownDocument
from .heat import LEVELS, HeatMap, heat_map, level_edges
from .layers import LayerInfluence, by_layer
from .wording import Unit, one_line, shortened, unit_for

__all__ = ["render_page", "write_page"]

MOST_TOKENS = 512  # drawn of one document: the length of a sequence in arXiv 2308.03296
MOST_TOKENS_IN_ALL = 131_072  # drawn on a page, so that it stays within a few megabytes
FEWEST_TOKENS = 32
_LONGEST_PASSAGE = 4_000  # characters of a prompt or completion
_LONGEST_TEXT = 400  # of any other text from outside
_OPEN = 3  # heat maps of each table that are open from the start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A document in the ranked table; `score` is in nats, for sorting."""

    rank: int
    id: str
    score: float
    document: ShownDocument
    self_influence: float | None
    heat: HeatMap
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """All that the template prints of one query."""

    number: int
    text: QueryText
    n_positive: int
    n_negative: int
    top_share: tuple[int, float] | None
    highest: float
    lowest: float
    scores_chart: Markup
    tail_chart: Markup | None
    layers: list[LayerInfluence]
    layers_chart: Markup | None
    edges: list[float]
    helped: list[_Row]
    hindered: list[_Row]


def write_page(path: Path, page: InfluencePage) -> None:
    """Write a run's page; it may show training data, so only its owner may read the file.

    Args:
        path: File to make.
        page: What to show.

    Raises:
        InvalidInput: If `path` exists already or cannot be written.
    """
    text = render_page(page)
    with new_file(path, private=True) as staged:
        staged.write_text(text, encoding="utf-8")


def render_page(page: InfluencePage) -> str:
    """A run's page as HTML: it needs no other file and no script; a script only sorts its tables.

    Args:
        page: What to show.

    Returns:
        The same text for the same page.
    """
    unit = unit_for(float(np.abs(page.scores.pairwise).max()))
    n_documents = sum(map(len, page.documents))
    most = min(max(MOST_TOKENS_IN_ALL // max(n_documents, 1), FEWEST_TOKENS), MOST_TOKENS)
    shown = [doc for documents in page.documents for doc in documents]
    script = _resource("sort.js").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = files("bookplate.stats.report").joinpath("report.css").read_text(encoding="utf-8")
    return _template(unit).render(
        page=page,
        sections=[_section(page, q, unit, most) for q in range(len(page.queries))],
        most=most,
        levels=LEVELS,
        has_source=any(doc.source for doc in shown),
        has_stratum=any(doc.stratum for doc in shown),
        has_tfidf=any(doc.tfidf_rank is not None for doc in shown),
        has_self=page.scores.self_influence is not None,
        has_tail=any(query.tail is not None for query in page.queries),
        unit=unit,
        # Our own files; the policy lets this one script run and no other.
        style=Markup(style + _resource("influence.css")),  # ruff: ignore[unsafe-markup-use]
        script=Markup(script),  # ruff: ignore[unsafe-markup-use]
        script_digest=digest,
    )


def _section(page: InfluencePage, q: int, unit: Unit, most: int) -> _Section:
    scores = page.scores.pairwise[q]
    documents = page.documents[q]
    helping = [doc for doc in documents if scores[doc.candidate] > 0]
    hindering = documents[len(helping) :]
    largest = _largest_token(page, q)
    layers = _layers(page, q, helping)
    identity = f"q{q + 1}"
    return _Section(
        number=q + 1,
        text=page.queries[q],
        n_positive=int((scores > 0).sum()),
        n_negative=int((scores < 0).sum()),
        top_share=_top_share(scores),
        highest=float(scores.max()),
        lowest=float(scores.min()),
        scores_chart=score_chart(scores, _edges_shown(scores, documents), unit, identity),
        tail_chart=(
            tail_chart(scores, page.queries[q].tail, unit, f"{identity}-tail") if helping else None
        ),
        layers=layers,
        layers_chart=layer_chart(layers, unit, f"{identity}-layers") if layers else None,
        edges=level_edges(largest) if largest > 0 else [],
        helped=[_row(page, q, doc, k, largest, unit, most) for k, doc in enumerate(helping)],
        hindered=[_row(page, q, doc, k, largest, unit, most) for k, doc in enumerate(hindering)],
    )


def _row(
    page: InfluencePage,
    q: int,
    document: ShownDocument,
    place: int,
    largest: float,
    unit: Unit,
    most: int,
) -> _Row:
    scores, c = page.scores, document.candidate
    parts = None if scores.by_token is None else scores.by_token[c][q]
    return _Row(
        rank=place + 1,
        id=scores.candidates[c],
        score=float(scores.pairwise[q, c]),
        document=document,
        self_influence=None if scores.self_influence is None else float(scores.self_influence[c]),
        heat=heat_map(document.tokens, parts, largest=largest, unit=unit, most=most),
        open=place < _OPEN,
    )


def _largest_token(page: InfluencePage, q: int) -> float:
    """Size of the largest part of a token among the documents shown for a query."""
    by_token = page.scores.by_token
    if by_token is None:
        return 0.0
    parts = [by_token[doc.candidate][q] for doc in page.documents[q]]
    return max((float(np.abs(part).max(initial=0)) for part in parts), default=0.0)


def _layers(page: InfluencePage, q: int, documents: list[ShownDocument]) -> list[LayerInfluence]:
    if page.scores.by_module is None or not documents or not page.scores.modules:
        return []
    rows = [doc.candidate for doc in documents]
    return by_layer(page.scores.modules, page.scores.by_module[q, rows])


def _edges_shown(scores: NDArray[np.float64], documents: tuple[ShownDocument, ...]) -> list[float]:
    """The weakest score shown of each sign."""
    shown = scores[[doc.candidate for doc in documents]]
    return [float(part[-1]) for part in (shown[shown > 0], shown[shown < 0]) if part.size]


def _top_share(scores: NDArray[np.float64]) -> tuple[int, float] | None:
    """The top hundredth of the candidates, at least one, and its share of all positive influence."""
    positive = np.sort(scores[scores > 0])[::-1]
    if not positive.size:
        return None
    n = min(max(len(scores) // 100, 1), len(positive))
    return n, float(positive[:n].sum() / positive.sum())


def _template(unit: Unit) -> Template:
    template = _parsed()
    # The filters of numbers depend on the page's unit; the parsed template does not.
    template.environment.filters.update(nats=unit.text, amount=unit.number)
    return template


@cache
def _parsed() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalised,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        amount=str,
        nats=str,
        count=_count,
        datum=_datum,
        digest=_digest,
        line=one_line,
        passage=_passage,
    )
    return environment.from_string(_resource("influence.html.jinja"))


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _finalised(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Markup):
        return shortened(value, _LONGEST_TEXT)
    return value


def _count(number: int) -> str:
    return f"{number:,}"


def _datum(text: str, most: int = _LONGEST_TEXT) -> Markup:
    """A string from outside, visible, bounded, escaped, and unable to reorder the text around it."""
    return Markup("<bdi>{}</bdi>").format(shortened(text, most))


def _digest(sha256: str) -> Markup:
    groups = [Markup("<span>{}</span>").format(visible(g)) for g in grouped(sha256[:64])]
    return Markup('<code class="digest">{}</code>').format(Markup("<wbr>").join(groups))


def _passage(text: str) -> Markup:
    """A passage with its line breaks; the middle of a very long one is left out, and said to be."""
    lines = Markup("<br>").join(map(visible, text[:_LONGEST_PASSAGE].splitlines()))
    if len(text) <= _LONGEST_PASSAGE:
        return lines
    half = _LONGEST_PASSAGE // 2
    first, last = (part.splitlines() for part in (text[:half], text[-half:]))
    return Markup("{}<br><b>… {:,} characters are not shown …</b><br>{}").format(
        Markup("<br>").join(map(visible, first)),
        len(text) - 2 * half,
        Markup("<br>").join(map(visible, last)),
    )
