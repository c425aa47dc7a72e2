r"""Removal of repeated text, as pipelines do before training.

Words are runs of letters, digits and underscores, in lower case. Every n-gram of words becomes a
64-bit number: the polynomial :math:`\sum_j h(w_j) B^j` modulo 2**64 over BLAKE2b hashes h of the words.
Two different n-grams share a number with probability near 2**-64, so among N n-grams a false match has
probability near N**2 / 2**65: below 1e-5 for ten million words.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from ..tables import Edit, apply_edits
from .attack import Attacked, checked_share, checked_texts

__all__ = ["DropNearDuplicates", "DropRepeats", "Whole"]


class Whole(StrEnum):
    """What goes when an n-gram is met again."""

    TEXT = "text"  # the whole later text
    PASSAGE = "passage"  # only the words that the repeated n-grams cover


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRepeats:
    """Drop later texts, or passages of them, that share an n-gram of words with an earlier text.

    "Earlier" is by row. Whole texts are compared with the earlier texts that were kept; passages with
    every earlier text, as all but its repeated passages stays. A passage goes up to its next word; a
    text whose words all go is dropped. Repeats within one text stay, and so does a text of fewer
    words than an n-gram has.

    Attributes:
        words: Words of an n-gram, at least 1; LexiMark's own test uses 50.
        whole: What is dropped.
    """

    words: int = 50
    whole: Whole = Whole.TEXT

    def __post_init__(self) -> None:
        _check_words(self.words)
        if self.whole not in set(Whole):
            raise InvalidInput(f"expected one of {[*map(str, Whole)]}, got {self.whole!r}")

    def __call__(self, texts: Sequence[str], *, seed: int) -> Attacked:
        """Drop what repeats; nothing is random. See `Attack`.

        Raises:
            InvalidInput: If `texts` is a single string.
        """
        ngrams = _numbered([
            _ngrams(row, self.words) for row in _hashed_words(checked_texts(texts))
        ])
        seen = np.zeros(
            1 + max((int(row.max()) for row in ngrams if row.size), default=0), dtype=bool
        )
        kept: list[tuple[int, str]] = []
        for index, (text, row) in enumerate(zip(texts, ngrams, strict=True)):
            repeated = seen[row]
            if not repeated.any():
                kept.append((index, text))
            elif self.whole is Whole.PASSAGE:
                rest = _without(text, repeated, self.words)
                if _WORD.search(rest):
                    kept.append((index, rest))
            else:
                continue
            seen[row] = True
        return _attacked(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropNearDuplicates:
    """Drop a text whose set of n-grams is nearly that of an earlier text which was kept.

    The Jaccard similarity is computed, not estimated. Few pairs need it: two sets of similarity t share
    one of the first (1 - t) |x| + 1 members of each in any fixed order, and the rarest come first here
    (prefix filter: Bayardo, Ma & Srikant, WWW 2007). A text of fewer words than an n-gram has counts as
    one n-gram; one without words stays.

    Attributes:
        threshold: Least Jaccard similarity of a near-duplicate, in (0, 1].
        words: Words of an n-gram, at least 1.
    """

    threshold: float = 0.8
    words: int = 5

    def __post_init__(self) -> None:
        checked_share("Jaccard similarity", self.threshold)
        _check_words(self.words)

    def __call__(self, texts: Sequence[str], *, seed: int) -> Attacked:
        """Drop near-duplicates; nothing is random. See `Attack`.

        Raises:
            InvalidInput: If `texts` is a single string.
        """
        hashes = _hashed_words(checked_texts(texts))
        sets = _rarest_first([_ngrams(row, min(self.words, max(row.size, 1))) for row in hashes])
        kept: list[tuple[int, str]] = []
        by_member: dict[int, list[int]] = {}  # rows kept, by each member of their prefix
        for index, (text, members) in enumerate(zip(texts, sets, strict=True)):
            # The margin keeps rounding from shortening a prefix; a longer one is only slower.
            overlap = math.ceil(self.threshold * members.size - 1e-9)
            prefix = members[: members.size - overlap + 1].tolist()
            near = Counter(row for member in prefix for row in by_member.get(member, ()))
            if any(_jaccard(members, sets[row]) >= self.threshold for row, _ in near.most_common()):
                continue
            kept.append((index, text))
            for member in prefix:
                by_member.setdefault(member, []).append(index)
        return _attacked(kept)


_WORD = re.compile(r"\w++")
_BASE = 0x9E3779B97F4A7C15 | 1  # odd, so that no word is shifted out


def _check_words(words: int) -> None:
    if words < 1:
        raise InvalidInput(f"expected n-grams of at least 1 word, got {words}")


class _WordHashes(dict[str, int]):
    """A 64-bit hash of each word as written, made when it is first asked for."""

    def __missing__(self, word: str) -> int:
        data = word.lower().encode("utf-8", "surrogatepass")
        self[word] = number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
        return number


def _hashed_words(texts: Sequence[str]) -> list[NDArray[np.uint64]]:
    """The hashes of each text's words, shape (words,)."""
    known = _WordHashes()
    return [np.array([known[w] for w in _WORD.findall(text)], dtype=np.uint64) for text in texts]


def _ngrams(words: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """The hash of each n-gram of a text, shape (max(words - n + 1, 0),)."""
    count = max(words.size - n + 1, 0)
    sums = np.zeros(count, dtype=np.uint64)
    for j in range(n if count else 0):
        sums += words[j : j + count] * np.uint64(pow(_BASE, j, 2**64))  # wraps, as it should
    return sums


def _numbered(rows: list[NDArray[np.uint64]]) -> list[NDArray[np.int64]]:
    """The same rows with each distinct hash replaced by a number from 0."""
    if not rows:
        return []
    _, numbers = np.unique(np.concatenate(rows), return_inverse=True)
    return np.split(numbers.astype(np.int64), np.cumsum([row.size for row in rows])[:-1])


def _rarest_first(rows: list[NDArray[np.uint64]]) -> list[NDArray[np.int64]]:
    """The distinct n-grams of each row, ascending by a number that grows with their frequency."""
    if not rows:
        return []
    distinct = _numbered([np.unique(row) for row in rows])
    order = np.argsort(np.bincount(np.concatenate(distinct)), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return [np.sort(rank[row]) for row in distinct]


def _jaccard(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    common = np.intersect1d(x, y, assume_unique=True).size
    return common / (x.size + y.size - common)


def _without(text: str, repeated: NDArray[np.bool_], n: int) -> str:
    """The text without the words of its repeated n-grams, each passage up to its next word."""
    starts = [match.start() for match in _WORD.finditer(text)]
    steps = np.zeros(len(starts) + 1, dtype=np.int64)
    steps[: repeated.size] += repeated
    steps[n:] -= repeated
    covered = np.cumsum(steps[:-1]) > 0
    bounds = np.flatnonzero(np.diff(covered, prepend=False, append=False)).reshape(-1, 2)
    starts.append(len(text))
    return apply_edits(
        text, [Edit(starts[first], starts[end], "") for first, end in bounds.tolist()]
    )


def _attacked(kept: list[tuple[int, str]]) -> Attacked:
    return Attacked(texts=tuple(text for _, text in kept), rows=tuple(row for row, _ in kept))
