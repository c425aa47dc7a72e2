r"""What a surrogate sees of a document: hashed words, length and, if wanted, an embedding.

Notation: n documents, B buckets, E embedding dimensions, P = B + 1 + E columns.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...errors import InvalidInput
from ...stats.checks import positive_count

__all__ = ["Document", "Embed", "FeatureMap", "RawFeatures", "batched", "read_documents"]

_T = TypeVar("_T")

Document = str | Sequence[int]  # a text, or token ids
Embed = Callable[[Sequence[Document]], NDArray[np.floating]]

_PIECE = re.compile(r"\w+|[^\w\s]")
_WORDS_KEPT = 1 << 18
_PAIR = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it is a bijection of 64 bits


@dataclass(frozen=True, slots=True)
class RawFeatures:
    """Documents read once; `FeatureMap` scales them.

    Attributes:
        counts: Hashed words and pairs of words, signed 1 + ln(count), shape (n, B).
        log_lengths: ln(1 + words), shape (n,).
        embeddings: Shape (n, E); E may be 0.
    """

    counts: sparse.csr_array
    log_lengths: NDArray[np.float64]
    embeddings: NDArray[np.float64]

    def rows(self, which: NDArray[np.int64]) -> Self:
        """Some of the documents."""
        return type(self)(self.counts[which], self.log_lengths[which], self.embeddings[which])


def read_documents(
    documents: Sequence[Document], *, buckets: int, embed: Embed | None = None
) -> RawFeatures:
    """Hash the words of texts, or token ids, and their neighbouring pairs into buckets with a sign.

    Signs keep inner products unbiased in spite of collisions (Weinberger et al. 2009, arXiv 0902.2206).

    Args:
        documents: Texts or sequences of token ids.
        buckets: B.
        embed: Gives an embedding of each document, shape (n, E).

    Raises:
        InvalidInput: If a document is neither, or embeddings are not finite or of another shape.
    """
    positive_count("buckets", buckets)
    columns, values, ends, lengths = [], [], [0], []
    for index, document in enumerate(documents):
        codes = _codes(document, index)
        pairs = _mixed(codes[:-1] * _PAIR + codes[1:])
        features, counts = np.unique(np.concatenate((codes, pairs)), return_counts=True)
        sign = np.where(features >> np.uint64(63), 1.0, -1.0)
        columns.append((features % np.uint64(buckets)).astype(np.int32))
        values.append(sign * (1 + np.log(counts)))
        ends.append(ends[-1] + features.size)
        lengths.append(codes.size)
    n = len(lengths)
    data = np.concatenate(values) if values else np.empty(0)
    indices = np.concatenate(columns) if columns else np.empty(0, np.int32)
    counts_nb = sparse.csr_array((data, indices, np.array(ends)), shape=(n, buckets))
    counts_nb.sum_duplicates()
    return RawFeatures(counts_nb, np.log1p(lengths), _embeddings(documents, embed, n))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMap:
    """Scales learnt from training documents.

    Words are weighed by their inverse document frequency, and a document's words scaled to length 1. Length
    and embedding are centred and scaled so that each block has mean squared length 1, like the words.

    Attributes:
        idf: Weight of each bucket, shape (B,).
        length_centre: Mean of log length.
        length_scale: Its standard deviation; 1 if it does not vary.
        embedding_centre: Mean embedding, shape (E,).
        embedding_scale: Root mean squared length of centred embeddings; 1 if they do not vary.
    """

    idf: NDArray[np.float64]
    length_centre: float
    length_scale: float
    embedding_centre: NDArray[np.float64]
    embedding_scale: float

    @classmethod
    def fit(cls, raw: RawFeatures) -> Self:
        """Learn the scales."""
        n = raw.log_lengths.size
        df = np.bincount(raw.counts.indices, minlength=raw.counts.shape[1])
        centre = raw.embeddings.mean(axis=0)
        spread = float(np.sqrt(((raw.embeddings - centre) ** 2).sum(axis=1).mean()))
        return cls(
            idf=np.log((n + 1) / (df + 1)) + 1,
            length_centre=float(raw.log_lengths.mean()),
            length_scale=float(raw.log_lengths.std()) or 1.0,
            embedding_centre=centre,
            embedding_scale=spread or 1.0,
        )

    def of(self, raw: RawFeatures) -> sparse.csr_array:
        """Features of documents, shape (n, P)."""
        words = raw.counts * self.idf
        norms = np.sqrt(np.asarray((words * words).sum(axis=1)).ravel())
        words = sparse.diags_array(1 / np.where(norms > 0, norms, 1.0)) @ words
        length = (raw.log_lengths - self.length_centre) / self.length_scale
        embedding = (raw.embeddings - self.embedding_centre) / self.embedding_scale
        dense = sparse.csr_array(np.column_stack((length, embedding)))
        return sparse.csr_array(sparse.hstack((words, dense), format="csr"))


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of `size` items, the last one shorter (`itertools.batched` of Python 3.12).

    Raises:
        InvalidInput: If `size` is not a positive integer.
    """
    positive_count("batch", size)
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _codes(document: Document, index: int) -> NDArray[np.uint64]:
    if isinstance(document, str):
        return np.fromiter(map(_word_code, _PIECE.findall(document.lower())), dtype=np.uint64)
    try:
        tokens = np.asarray(document)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise TypeError(f"{tokens.dtype} of shape {tokens.shape}")
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"documents[{index}]: expected a text or token ids, got {type(document).__name__} ({error})"
        ) from error
    return _mixed(tokens.astype(np.uint64))


@lru_cache(maxsize=_WORDS_KEPT)
def _word_code(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    return int(_mixed(np.array([zlib.crc32(data) << 32 | zlib.adler32(data)], dtype=np.uint64))[0])


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014), so that low and high bits depend on all."""
    x = x + _PAIR
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _embeddings(documents: Sequence[Document], embed: Embed | None, n: int) -> NDArray[np.float64]:
    if embed is None:
        return np.empty((n, 0))
    rows = np.asarray(embed(documents), dtype=np.float64)
    if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
        raise InvalidInput(
            f"embed: expected finite numbers of shape ({n}, E), got shape {rows.shape}"
        )
    return rows
