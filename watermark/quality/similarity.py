"""Do the changed sentences still say the same, as a sentence encoder sees it?"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...stats import Input
from ..evidence import Evidence
from ..manifest import MarkedRecord
from ..selection import sentence_ends
from ..tables import Edit, apply_edits

__all__ = ["SentenceEncoder", "Similarity", "measure_similarity"]

_LEAST = 0.8  # the threshold of LexiMark's sentence filter


class SentenceEncoder(Protocol):
    """What is needed of `candidates.encoders.Encoder`."""

    @property
    def identity(self) -> Input:
        """Name and digest."""

    def token_ids(self, sentences: Sequence[str]) -> list[tuple[int, ...]]:
        """The tokens of each sentence."""

    def sentence_vectors(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """A vector of length 1 for each, shape (len(rows), width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Cosines of changed sentences with their originals.

    Attributes:
        encoder: The sentence encoder.
        n: Changed sentences compared.
        mean: Mean cosine.
        low: The cosine that 5 % of them do not reach.
        n_below: How many lie below 0.8, the threshold of LexiMark's sentence filter.
    """

    encoder: Input
    n: int
    mean: float
    low: float
    n_below: int


def measure_similarity(
    evidence: Evidence, records: Sequence[MarkedRecord], encoder: SentenceEncoder
) -> Similarity | None:
    """Compare each changed sentence, with all its edits, to the original one.

    Args:
        evidence: Manifest and texts.
        records: Records whose sentences are compared.
        encoder: The sentence encoder.

    Returns:
        The comparison; None if no sentence was changed.
    """
    pairs = [
        pair
        for record in records
        for pair in _changed_sentences(evidence.originals[record.record], record.release_edits())
    ]
    if not pairs:
        return None
    vectors = encoder.sentence_vectors(encoder.token_ids([text for pair in pairs for text in pair]))
    cosines = np.einsum("nd,nd->n", vectors[::2], vectors[1::2], dtype=np.float64)
    return Similarity(
        encoder=encoder.identity,
        n=len(pairs),
        mean=float(cosines.mean()),
        low=float(np.quantile(cosines, 0.05)),
        n_below=int((cosines < _LEAST).sum()),
    )


def _changed_sentences(original: str, edits: Sequence[Edit]) -> list[tuple[str, str]]:
    ends = sentence_ends(original)
    by_sentence: dict[int, list[Edit]] = {}
    for edit in edits:
        by_sentence.setdefault(bisect.bisect_right(ends, edit.start), []).append(edit)
    borders = list(pairwise([0, *ends, len(original)]))
    found = []
    for index, inside in by_sentence.items():
        begin, end = borders[index]
        moved = [e._replace(start=e.start - begin, end=e.end - begin) for e in inside]
        sentence = original[begin:end]
        found.append((sentence.strip(), apply_edits(sentence, moved).strip()))
    return found
