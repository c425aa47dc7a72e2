"""What the page of an influence run holds; an object that exists fits together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....stats.checks import positive_count
from ..results import InfluenceScores
from ..tail import PowerLaw

__all__ = [
    "FitSettings",
    "InfluencePage",
    "QueryText",
    "ShownDocument",
    "shown_candidates",
]

PER_SIDE = 10  # documents shown per query and sign, unless told otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How the curvature was fitted, as the page states it.

    Attributes:
        model: Name of the model.
        model_sha256: Digest of its weights, 64 hexadecimal digits.
        strategy: How the curvature is approximated: "ekfac", say.
        fisher: Where the labels came from: "sampled" from the model, or "empirical".
        damping: Damping of a module as a fraction of its mean eigenvalue.
        blocks: Diagonal blocks that each factor was cut into; 1 if it was whole.
        dtype: Number format of the model's passes.
        query_rank: Rank that the queries' gradients were cut to; None if they were whole.
        fitted_on: Sequences that the factors were fitted on; None if not told.
    """

    model: str
    model_sha256: str
    strategy: str
    fisher: str
    damping: float
    blocks: int
    dtype: str
    query_rank: int | None = None
    fitted_on: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryText:
    """A query in words, and what is known of its scores.

    Attributes:
        id: Its id in the scores.
        prompt: Text that the model was given; may be empty.
        completion: Text that the model said; the scores are about this.
        log_probability: Of the completion after the prompt, in nats; None if not told.
        tail: Power law of its largest scores; None if not fitted.
        notes: Sentences about this query alone, such as the estimated recall of the filter.
    """

    id: str
    prompt: str
    completion: str
    log_probability: float | None = None
    tail: PowerLaw | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """A candidate of which a query's section shows the text.

    Attributes:
        candidate: Its row in the scores.
        tokens: Its text, cut as the model read it; joined they are the text. One string for each token.
        source: Where it comes from (a file, a licence, a URL); empty if not told.
        stratum: How the filter came to it for this query (top, random, bottom); empty if not told.
        tfidf_rank: Its rank in the filter for this query, from 1; None if not told.
    """

    candidate: int
    tokens: tuple[str, ...]
    source: str = ""
    stratum: str = ""
    tfidf_rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluencePage:
    """All that one page shows.

    Attributes:
        title: Name of the run.
        created: When, RFC 3339.
        command: The command that made it.
        settings: How the curvature was fitted.
        scores: The scores, of all candidates.
        queries: The queries in words, in the order of the scores.
        documents: For each query the documents shown: exactly those, in that order, that
            `shown_candidates(scores, per_side)` names.
        per_side: How many documents of each sign are shown.
        recall: Sentences on what the filter may have hidden.
        audit: Lines on the findings of an audit of these scores.
        warnings: What went less than well, one sentence each.

    Raises:
        InvalidInput: If the parts do not fit each other, or a score is not finite.
    """

    title: str
    created: str
    command: str
    settings: FitSettings
    scores: InfluenceScores
    queries: tuple[QueryText, ...]
    documents: tuple[tuple[ShownDocument, ...], ...]
    per_side: int = PER_SIDE
    recall: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_scores(self.scores)
        if tuple(query.id for query in self.queries) != self.scores.queries:
            raise InvalidInput("page: the queries are not those of the scores, in their order")
        expected = shown_candidates(self.scores, self.per_side)
        got = tuple(tuple(doc.candidate for doc in docs) for docs in self.documents)
        if got != expected:
            raise InvalidInput(
                "page: the documents are not those that the rule selects",
                "take them, in their order, from shown_candidates(scores, per_side)",
            )
        for q, documents in enumerate(self.documents):
            for document in documents:
                _check_parts(self.scores, q, document)


def shown_candidates(
    scores: InfluenceScores, per_side: int = PER_SIDE
) -> tuple[tuple[int, ...], ...]:
    """Which candidates each query's section shows: the strongest of either sign, nobody's choice.

    Args:
        scores: The scores.
        per_side: How many of each sign, at most.

    Returns:
        For each query the rows of its highest positive scores, highest first, then those of its lowest
        negative scores, lowest first. Ties keep the order of the candidates; a score of 0 is never shown.
    """
    positive_count("per_side", per_side)
    return tuple(
        (*_strongest(row, per_side), *_strongest(-row, per_side)) for row in scores.pairwise
    )


def _strongest(scores: NDArray[np.float64], n: int) -> list[int]:
    order = np.argsort(-scores, kind="stable")[:n]
    return [int(c) for c in order if scores[c] > 0]


def _check_scores(scores: InfluenceScores) -> None:
    shape = (len(scores.queries), len(scores.candidates))
    if 0 in shape:
        raise InvalidInput(f"page: expected queries and candidates, got {shape[0]} and {shape[1]}")
    if scores.pairwise.shape != shape:
        raise InvalidInput(f"page: expected scores of shape {shape}, got {scores.pairwise.shape}")
    _refuse_not_finite(scores.pairwise)
    if scores.by_module is not None:
        _expect("by_module", scores.by_module.shape, (*shape, len(scores.modules)))
    if scores.self_influence is not None:
        _expect("self_influence", scores.self_influence.shape, shape[1:])
        _refuse_not_finite(scores.self_influence)
    if scores.by_token is not None:
        _expect("by_token", (len(scores.by_token),), shape[1:])


def _check_parts(scores: InfluenceScores, q: int, document: ShownDocument) -> None:
    """Of the parts of scores only those shown are looked at: all of them can be gigabytes."""
    c = document.candidate
    if scores.by_module is not None:
        _refuse_not_finite(scores.by_module[q, c])
    if scores.by_token is not None:
        shape = (len(scores.queries), len(document.tokens))
        _expect(f"by_token[{c}], as there are tokens of text,", scores.by_token[c].shape, shape)
        _refuse_not_finite(scores.by_token[c][q])


def _refuse_not_finite(values: NDArray[np.floating]) -> None:
    if not np.isfinite(values).all():
        raise InvalidInput("page: a score is not finite", "fit the factors in a wider dtype")


def _expect(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise InvalidInput(f"page: expected {name} of shape {expected}, got {got}")
