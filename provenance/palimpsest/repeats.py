"""Sequences that were trained on repeatedly: one unit each, with one step."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DIGEST_BYTES",
    "Units",
    "content_digest",
    "content_digests",
    "digest_names",
    "units_of",
]

DIGEST_BYTES = 16
_FEWEST_COPIES = 30


@dataclass(frozen=True, slots=True)
class Units:
    """What the test permutes: distinct sequences, each with one step, in an order that is no order.

    Attributes:
        sequences: Number of each one, sorted by digest: by content alone.
        steps: Its step, shape (n,).
        note: What was done about repeated sequences; empty if there are none.
    """

    sequences: NDArray[np.int64]
    steps: NDArray[np.int64]
    note: str


def content_digest(sequence: str | NDArray[np.integer]) -> bytes:
    """16 bytes that stand for a sequence's content: a text, or token ids."""
    data = sequence.encode() if isinstance(sequence, str) else sequence.astype("<i8").tobytes()
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def content_digests(sequences: Sequence[str | tuple[int, ...]]) -> NDArray[np.uint8]:
    """`content_digest` of each sequence, shape (n, 16)."""
    digests = [content_digest(s if isinstance(s, str) else np.array(s)) for s in sequences]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def digest_names(digests: NDArray[np.uint8]) -> tuple[str, ...]:
    """Digests of shape (n, 16) in hexadecimal."""
    digits, width = digests.tobytes().hex(), 2 * DIGEST_BYTES
    return tuple(digits[i : i + width] for i in range(0, len(digits), width))


def units_of(
    steps: NDArray[np.int64],
    contents: NDArray[np.int64],
    digests: NDArray[np.uint8],
    *,
    is_sample: bool = False,
) -> Units:
    """One step for each distinct sequence.

    Whatever is taken must not make sequences differ by how often they occur, nor by which of them somebody
    chose to repeat: the last copy of a sequence that is there often is late, whatever the order. So a
    copy's step is taken by its number only where all occur equally often (the last copy), or where the
    order goes through all of them epoch by epoch (the copy in the last epoch that is complete; who came
    once more may have been chosen by content). Else it is the step of one copy drawn by lot. The lots
    follow from the contents of all sequences, so that nobody can choose among them.

    Args:
        steps: Training step of each row, shape (rows,).
        contents: Which distinct sequence each row is, shape (rows,).
        digests: `content_digest` of each distinct sequence, shape (sequences, 16).
        is_sample: Whether the rows are a part of the order, from which its epochs cannot be told.
    """
    order = _by_digest(digests)
    counts = np.bincount(contents, minlength=len(digests))
    rows = np.lexsort((steps, contents))  # copies of a sequence together, early first
    copies = steps[rows]
    ends = np.cumsum(counts)
    starts = ends - counts
    if counts.max() == 1:
        return Units(order, copies[order], "")
    if not is_sample and counts.max() == counts.min():
        taken, how = copies[ends - 1], "its last step"
    elif not is_sample and _in_epochs(copies, counts):
        taken, how = copies[starts + counts.min() - 1], "its step in the last complete epoch"
    else:
        key = hashlib.blake2b(digests[order].tobytes(), digest_size=32).digest()
        chosen = starts.copy()
        for sequence in np.flatnonzero(counts > 1):
            chosen[sequence] += _lot(key, digests[sequence], int(counts[sequence]))
        taken, how = copies[chosen], "the step of one copy, drawn by lot from the contents"
    note = (
        f"{int((counts > 1).sum()):,} of the {len(counts):,} distinct sequences were trained on "
        f"repeatedly ({len(steps):,} rows in all): each is one unit, with {how}."
    )
    return Units(order, taken[order], note)


def _in_epochs(copies: NDArray[np.int64], counts: NDArray[np.int64]) -> bool:
    """Whether every sequence comes once before any comes again, and so on.

    Where each row had its place drawn by itself, n >= 30 sequences with d >= 30 further copies are so by
    chance with a probability of at most 1 / (n + d over d), below 1e-17.

    Args:
        copies: Steps of each sequence's copies, early first, one sequence after the other.
        counts: Number of copies of each.
    """
    if min(counts.size, copies.size - counts.size) < _FEWEST_COPIES:
        return False
    number = np.arange(copies.size) - np.repeat(np.cumsum(counts) - counts, counts)  # of the copy
    first = np.full(int(counts.max()), np.iinfo(np.int64).max)
    last = np.full(first.size, np.iinfo(np.int64).min)
    np.minimum.at(first, number, copies)
    np.maximum.at(last, number, copies)
    # A batch that lies in two epochs costs power only; many equal steps would look like epochs.
    return bool((last[:-1] < first[1:]).all())


def _by_digest(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    words = np.ascontiguousarray(digests).view(">u8")
    return np.lexsort((words[:, 1], words[:, 0]))


def _lot(key: bytes, digest: NDArray[np.uint8], n: int) -> int:
    drawn = hashlib.blake2b(digest.tobytes(), key=key, digest_size=16)
    return int.from_bytes(drawn.digest(), "little") % n
