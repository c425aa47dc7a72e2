"""From influence scores of sequences to those of the documents that the filter chose."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ..results import InfluenceScores

__all__ = ["influences_of"]


def influences_of(scores: InfluenceScores, query: str, ids: Sequence[str]) -> NDArray[np.float64]:
    """Influence of documents on a query, the sum over their windows.

    Args:
        scores: Scores of sequences, each named after its document.
        query: Id of the query.
        ids: Ids of documents, such as `Chosen.top.ids`.

    Returns:
        Nats, shape (len(ids),).

    Raises:
        InvalidInput: If the query or a document was not scored.
    """
    if query not in scores.queries:
        raise InvalidInput(f"query '{query}': was not scored")
    sums: dict[str, float] = {}
    row = scores.pairwise[scores.queries.index(query)].tolist()
    for name, value in zip(scores.candidates, row, strict=True):
        sums[name] = sums.get(name, 0.0) + value
    missing = [name for name in ids if name not in sums]
    if missing:
        raise InvalidInput(
            f"{len(missing):,} of {len(ids):,} documents were not scored, e.g. '{missing[0]}'",
            "score all that the filter chose: a part of them is no random sample",
        )
    return np.array([sums[name] for name in ids])
