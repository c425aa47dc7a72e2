"""The page of a run: which documents are shown, and what is told of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import InsufficientEvidence, InvalidInput
from .documents import DocumentScores, explain_documents
from .page import FitSettings, InfluencePage, QueryText, ShownDocument, shown_candidates
from .request import Run
from .results import InfluenceScores
from .scores import Queries
from .sequences import TokenSequence
from .tail import PowerLaw, fit_power_law
from .tfidf import Filtered

__all__ = ["page_of"]


def page_of(
    what: Run,
    asked: Queries,
    documents: list[TokenSequence],
    scores: DocumentScores,
    filtered: Filtered | None,
    recall: tuple[str, ...],
    sources: Mapping[str, str],
    created: str,
    command: str,
) -> InfluencePage:
    """The page, with the parts of tokens and layers of the documents that it shows."""
    held = _explained(what, asked, documents, scores)
    shown = shown_candidates(held)
    look = _Looks(what.tokenizer, documents, filtered, sources)
    settings = what.factors.settings
    damping = what.damping
    return InfluencePage(
        title=f"Influence on {what.identity.name}",
        created=created,
        command=command,
        settings=FitSettings(
            model=what.identity.name,
            model_sha256=what.identity.sha256,
            strategy=settings.strategy,
            fisher=settings.fisher,
            damping=damping.factor if damping.absolute is None else damping.absolute,
            blocks=settings.blocks,
            dtype=what.dtype,
            query_rank=what.query_rank,
            fitted_on=what.factors.data.n_examples,
        ),
        scores=held,
        queries=tuple(
            QueryText(
                id=prompt.id,
                prompt=prompt.prompt,
                completion=prompt.completion,
                tail=_tail(row, what.seed),
            )
            for prompt, row in zip(what.prompts, scores.pairwise, strict=True)
        ),
        documents=tuple(
            tuple(look.of(number, candidate) for candidate in some)
            for number, some in enumerate(shown)
        ),
        recall=tuple(f"Query {q}: {text}" for q, text in zip(scores.queries, recall, strict=False)),
        warnings=()
        if damping.absolute is None
        else (
            "Damping was given as a number for all layers, not as a share of the mean eigenvalue.",
        ),
    )


def _explained(
    what: Run, asked: Queries, documents: list[TokenSequence], scores: DocumentScores
) -> InfluenceScores:
    """The scores, with the parts of tokens and layers of those documents that a page shows."""
    n_queries, n = scores.pairwise.shape
    bare = InfluenceScores(
        queries=scores.queries,
        candidates=scores.documents,
        pairwise=scores.pairwise,
        training_size=scores.training_size,
        modules=tuple(tracked.name for tracked in asked.modules),
        self_influence=scores.own,
    )
    shown = sorted({row for some in shown_candidates(bare) for row in some})
    if not shown:
        return bare
    parts = explain_documents(
        asked,
        [documents[row] for row in shown],
        length=what.length,
        batch_positions=what.batch_positions,
    )
    by_token = [np.zeros((n_queries, 0), np.float32)] * n
    by_module = np.zeros((n_queries, n, len(bare.modules)), np.float32)
    for place, row in enumerate(shown):
        by_token[row] = (parts.by_token or ())[place]
        if parts.by_module is not None:
            by_module[:, row] = parts.by_module[:, place]
    return replace(bare, by_token=tuple(by_token), by_module=by_module)


def _tail(row: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> PowerLaw | None:
    try:
        return fit_power_law(row, seed=seed)
    except (InsufficientEvidence, InvalidInput):
        return None  # too few documents for a tail


class _Looks:
    """Documents as a page shows them."""

    def __init__(
        self,
        tokenizer: Any,
        documents: list[TokenSequence],
        filtered: Filtered | None,
        sources: Mapping[str, str],
    ) -> None:
        self._decode: Callable[..., str] = tokenizer.decode
        self._documents, self._sources = documents, sources
        self._found: list[dict[str, tuple[str, int | None]]] = [
            {
                name: (stratum, rank if stratum == "top" else None)
                for stratum, members, _ in chosen.strata()
                for rank, name in enumerate(members.ids, start=1)
            }
            for chosen in (() if filtered is None else filtered.queries)
        ]

    def of(self, query: int, candidate: int) -> ShownDocument:
        """A document, shown for a query."""
        document = self._documents[candidate]
        stratum, rank = "", None
        if self._found:
            stratum, rank = self._found[query].get(document.id, ("", None))
        return ShownDocument(
            candidate=candidate,
            tokens=tuple(self._decode([token]) for token in document.tokens),
            source=self._sources.get(document.id, ""),
            stratum=stratum,
            tfidf_rank=rank,
        )
