"""Candidates by the similarity of words in their sentence: does the new word mean here what the old did?

Source: the contextual variant of German et al. (2025), arXiv 2506.14474: cosine of the words' vectors
in the last layer, 0.8 at least. There the model is bert-base-uncased, and the number was chosen
with it; another encoder may need a threshold of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .encoders import WordAt, cosines
from .places import Context
from .table_based import TableBasedSource

__all__ = ["BertSource"]


class BertSource(TableBasedSource):
    """Admits a word whose vector in the sentence is close to that of the original word there."""

    name = "bert"

    def cosines(self, places: Sequence[tuple[Context, Sequence[Context]]]) -> NDArray[np.float64]:
        """See `TableBasedSource.cosines`. Every distinct word in its sentence is encoded once."""
        contexts = dict.fromkeys(c for one, others in places for c in (one, *others))
        line_of = {context: line for line, context in enumerate(contexts)}
        vectors = self._encoder.word_vectors([WordAt(c.sentence, *c.span) for c in contexts])
        pairs = np.array(
            [(line_of[one], line_of[other]) for one, others in places for other in others],
            dtype=np.intp,
        ).reshape(-1, 2)
        return cosines(vectors[pairs[:, 0]], vectors[pairs[:, 1]])
