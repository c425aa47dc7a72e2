"""Claimed documents and their controls: what is compared with what, before any score is looked at.

Notation: Q queries, C candidates (windows of documents), D documents.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...stats.checks import finite_vector, positive_count
from .results import InfluenceScores

__all__ = ["Documents", "by_document", "strata_of"]

_FEWEST_PER_BIN = 20  # documents; fewer would often lack a claimed document or a control


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Documents with what an audit must know of them, in any order.

    Attributes:
        queries: Names of the queries; Q of them.
        influence: Influence of each document on each query, shape (Q, D).
        claimed: Which documents are claimed, shape (D,); the others are controls.
        lengths: What was scored of each document, in tokens, shape (D,).
        sources: Where each document comes from, shape (D,), strings.
        ids: Id of each document; empty if they have none.
    """

    queries: tuple[str, ...]
    influence: NDArray[np.float64]
    claimed: NDArray[np.bool_]
    lengths: NDArray[np.float64]
    sources: NDArray[np.str_]
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = self.claimed.size
        if len(set(self.queries)) != len(self.queries):
            raise InvalidInput("queries: a name occurs twice")
        if self.influence.shape != (len(self.queries), n) or not self.queries:
            raise InvalidInput(
                f"scores: expected shape ({len(self.queries)}, {n}), queries times documents, "
                f"got {self.influence.shape}"
            )
        for query, row in zip(self.queries, self.influence, strict=True):
            finite_vector(f"scores on query {query!r}", row)
        for name, values in (("lengths", self.lengths), ("sources", self.sources)):
            if values.shape != (n,):
                raise InvalidInput(f"{name}: expected one per document, {n}, got {values.shape}")
        if (self.lengths <= 0).any():
            i = int((self.lengths <= 0).argmax())
            raise InvalidInput(
                f"lengths: document {i} has length {self.lengths[i]:g}, expected > 0"
            )
        if not 0 < self.claimed.sum() < n:
            raise InsufficientEvidence(
                f"{int(self.claimed.sum())} of {n} documents are claimed: there is nothing to compare",
                "score claimed documents and controls",
            )

    @classmethod
    def of_arrays(
        cls,
        scores: ArrayLike,
        claimed: ArrayLike,
        lengths: ArrayLike,
        sources: Sequence[str],
        queries: Sequence[str] | None,
    ) -> "Documents":
        """From arrays over documents: scores of shape (Q, D) or (D,), a mask, lengths, sources.

        Raises:
            InvalidInput: If shapes do not fit, or an entry is not what it should be.
            InsufficientEvidence: If all documents are claimed, or none.
        """
        rows = np.atleast_2d(_table(scores))
        mask = np.asarray(claimed)
        if mask.dtype != np.bool_ or mask.ndim != 1:
            raise InvalidInput(
                f"claimed: expected a truth value per document, got {mask.dtype} of shape {mask.shape}",
                "ids of documents go with InfluenceScores",
            )
        names = queries or [f"query {q + 1}" for q in range(len(rows))]
        return cls(
            queries=tuple(names),
            influence=rows,
            claimed=mask,
            lengths=finite_vector("lengths", lengths),
            sources=_names("sources", sources),
        )

    @classmethod
    def of_scores(
        cls,
        scores: InfluenceScores,
        claimed: Collection[str],
        lengths: Mapping[str, float],
        sources: Mapping[str, str],
    ) -> "Documents":
        """From scores of windows, and what is known of their documents by id.

        Raises:
            InvalidInput: If a claimed id was not scored or occurs twice, or a document lacks a length or
                source.
            InsufficientEvidence: If all documents are claimed, or none.
        """
        ids, influence = by_document(scores)
        if isinstance(claimed, str) or not all(isinstance(id, str) for id in claimed):
            raise InvalidInput("claimed: expected ids of documents, as strings")
        wanted = set(claimed)
        if len(wanted) != len(claimed):
            raise InvalidInput("claimed: an id occurs twice", "name each document once")
        unknown = sorted(wanted - set(ids))
        if unknown:
            raise InvalidInput(
                f"claimed: {len(unknown)} ids were not scored, e.g. {unknown[0]!r}",
                "score all claimed documents; leaving some out afterwards would be a choice",
            )
        for name, known in (("lengths", lengths), ("sources", sources)):
            missing = [id for id in ids if id not in known]
            if missing:
                raise InvalidInput(
                    f"{name}: {len(missing)} documents lack one, e.g. {missing[0]!r}"
                )
        return cls(
            queries=scores.queries,
            influence=influence,
            claimed=np.array([id in wanted for id in ids], dtype=np.bool_),
            lengths=finite_vector("lengths", [lengths[id] for id in ids]),
            sources=_names("sources", [sources[id] for id in ids]),
            ids=ids,
        )


def by_document(scores: InfluenceScores) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Sum the scores of windows that share an id: the loss of a document is a sum, so is its influence.

    Returns:
        Ids in the order of their first window, D of them, and influence of shape (Q, D), nats.

    Raises:
        InvalidInput: If the table's shape does not fit its names.
    """
    pairwise = np.asarray(scores.pairwise, dtype=np.float64)
    expected = (len(scores.queries), len(scores.candidates))
    if pairwise.shape != expected:
        raise InvalidInput(f"scores: expected shape {expected}, got {pairwise.shape}")
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(id, len(places)) for id in scores.candidates], np.int64)
    sums = np.zeros((len(pairwise), len(places)))
    for total, row in zip(sums, pairwise, strict=True):
        np.add.at(total, codes, row)
    return tuple(places), sums


def strata_of(
    lengths: NDArray[np.float64], sources: NDArray[np.str_], *, length_bins: int
) -> NDArray[np.int64]:
    """Stratum of each document: its source, and within the source a bin of lengths.

    The bins are quantiles of the lengths of all the source's documents, claimed or not. They depend neither
    on the claim nor on a score, which the permutation test needs. Equal lengths share a bin. A bin is
    meant to hold 20 documents or more, so a small source has fewer bins.

    Args:
        lengths: Shape (D,).
        sources: Shape (D,).
        length_bins: Bins per source at most.

    Returns:
        Stratum of each document, in 0..S-1, shape (D,).

    Raises:
        InvalidInput: If `length_bins` is not a positive integer.
    """
    positive_count("length_bins", length_bins)
    _, source = np.unique(sources, return_inverse=True)
    bins = np.zeros(lengths.size, dtype=np.int64)
    for s in range(int(source.max()) + 1):
        members = np.flatnonzero(source == s)
        n_bins = min(length_bins, max(members.size // _FEWEST_PER_BIN, 1))
        edges = np.quantile(lengths[members], np.linspace(0, 1, n_bins + 1)[1:-1])
        bins[members] = np.searchsorted(edges, lengths[members], side="right")
    strata: NDArray[np.int64] = np.unique(source * length_bins + bins, return_inverse=True)[1]
    return strata


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    try:
        rows = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"scores: expected a table of numbers ({error})") from error
    if rows.ndim not in (1, 2):
        raise InvalidInput(f"scores: expected shape (Q, D) or (D,), got {rows.shape}")
    return rows


def _names(name: str, values: Sequence[str]) -> NDArray[np.str_]:
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise InvalidInput(f"{name}[{index}]: expected a string, got {value!r:.80}")
    return np.asarray(values, dtype=np.str_)
