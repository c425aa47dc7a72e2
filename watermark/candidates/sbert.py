"""Candidates by the similarity of sentences: does the sentence still say the same?

Source: the SBERT variant of German et al. (2025), arXiv 2506.14474, with its threshold of 0.8.
One word changes the vector of a sentence little: with all-MiniLM-L6-v2 nearly all pairs of the table
pass 0.8, right ones and wrong ones. The table's tier then decides the quality; `bert` tells more.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .encoders import cosines
from .places import Context
from .table_based import TableBasedSource

__all__ = ["SbertSource"]


class SbertSource(TableBasedSource):
    """Admits a word if the sentence with it has a vector close to that of the original sentence."""

    name = "sbert"

    def cosines(self, places: Sequence[tuple[Context, Sequence[Context]]]) -> NDArray[np.float64]:
        """See `TableBasedSource.cosines`. Every distinct sentence is encoded once."""
        sentences = dict.fromkeys(c.sentence for one, others in places for c in (one, *others))
        tokens = dict(zip(sentences, self._encoder.token_ids(list(sentences)), strict=True))
        rows = {row: line for line, row in enumerate(dict.fromkeys(tokens.values()))}
        vectors = self._encoder.sentence_vectors(list(rows))
        line_of = {sentence: rows[tokens[sentence]] for sentence in sentences}
        pairs = np.array(
            [
                (line_of[one.sentence], line_of[other.sentence])
                for one, others in places
                for other in others
            ],
            dtype=np.intp,
        ).reshape(-1, 2)
        scores = cosines(vectors[pairs[:, 0]], vectors[pairs[:, 1]])
        # The same tokens, or one more unknown: the model cannot tell the words apart.
        unknown = np.array([row.count(self._encoder.unknown) for row in rows], dtype=np.intp)
        seen = (pairs[:, 0] != pairs[:, 1]) & (unknown[pairs[:, 0]] == unknown[pairs[:, 1]])
        return np.where(seen, scores, np.nan)
