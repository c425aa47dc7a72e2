r"""The first pass: in how many documents each term occurs.

.. math:: \mathrm{IDF}(t) = \log\left(\frac{C - c_t + 1/2}{c_t + 1/2} + 1\right)

C is the number of documents, c_t how many of them hold term t. It is positive for every term. Source: Grosse
et al. 2023, section 3.2.1, which takes it from Okapi BM25 (Robertson et al. 1995), with the 1 that keeps it
positive.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from . import kernels
from .documents import DocumentBatch, DocumentSource
from .settings import FilterSettings

__all__ = ["DocumentFrequencies", "Tally", "document_frequencies"]


@dataclass(frozen=True, slots=True)
class Tally:
    """How much a pass over a corpus has read.

    Attributes:
        n_documents: Documents, short ones included.
        n_short: Documents of fewer tokens than the settings ask for, which take no part.
        n_tokens: Tokens.
    """

    n_documents: int
    n_short: int
    n_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFrequencies:
    """In how many documents each bucket of terms occurs; serves any number of queries.

    Attributes:
        counts: Documents that hold a term of the bucket, shape (n_buckets,).
        read: What was read.
        longest: Tokens of the longest term.
        fewest: Tokens of the shortest document that counts.
    """

    counts: NDArray[np.int64]
    read: Tally
    longest: int
    fewest: int

    def idf(self, buckets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Inverse document frequency of the terms in these buckets, in nats, above 0."""
        n_documents = self.read.n_documents - self.read.n_short
        counts = self.counts[buckets]
        return np.log1p((n_documents - counts + 0.5) / (counts + 0.5))


def document_frequencies(
    documents: DocumentSource, settings: FilterSettings
) -> DocumentFrequencies:
    """Count in how many documents each bucket occurs.

    Memory: 16 bytes per bucket and one batch.

    Args:
        documents: The corpus.
        settings: How terms are hashed.

    Raises:
        InvalidInput: If every document is short, or positions are missing or given twice.
    """
    table = np.zeros((settings.n_buckets, 2), dtype=np.int64)
    progress, stamp = Progress(settings.fewest), 1
    for batch in progress.follow(documents):
        stamp = kernels.count_documents(
            batch.tokens,
            batch.offsets,
            settings.bits,
            settings.longest,
            settings.fewest,
            stamp,
            table,
        )
    return DocumentFrequencies(
        counts=table[:, 1].copy(),
        read=progress.tally(),
        longest=settings.longest,
        fewest=settings.fewest,
    )


class Progress:
    """Sees to it that a pass reads each position once, without keeping the positions.

    Args:
        fewest: Documents of fewer tokens are short.
    """

    def __init__(self, fewest: int) -> None:
        self._fewest = fewest
        self._parts: list[tuple[int, int]] = []
        self._n_short = self._n_tokens = 0

    def follow(self, documents: DocumentSource) -> Iterator[DocumentBatch]:
        """The batches, noted as they pass."""
        for batch in documents:
            self._parts.append((batch.first, len(batch)))
            self._n_short += int((np.diff(batch.offsets) < self._fewest).sum())
            self._n_tokens += batch.tokens.size
            yield batch

    def tally(self) -> Tally:
        """What was read.

        Raises:
            InvalidInput: If every document is short, or positions are missing or were given twice.
        """
        expected = 0
        for first, size in sorted(self._parts):
            if first != expected:
                what = "given twice" if first < expected else "missing"
                raise InvalidInput(f"documents: position {min(first, expected):,} is {what}")
            expected += size
        if self._n_short == expected:
            least = f"{self._fewest} token{'s' * (self._fewest > 1)}"
            raise InvalidInput(f"documents: none of {expected:,} has at least {least}")
        return Tally(expected, self._n_short, self._n_tokens)
