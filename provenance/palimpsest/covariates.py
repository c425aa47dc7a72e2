"""What makes a sequence easy or hard for any model: covariates that do not depend on the training order.

Regressed out of the scores they leave the test valid, as they are functions of the sequences alone, and
make it stronger where they explain what two models share (the residual of `query_test`).
"""

import zlib
from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .scoring import concatenated

__all__ = ["Covariate", "covariate_values"]

Sequences = Sequence[str | tuple[int, ...]]


class Covariate(StrEnum):
    """A property of a sequence."""

    LENGTH = "length"  # tokens, or characters of texts
    ZLIB = "zlib"  # bytes that zlib needs, per token or character
    RARITY = "rarity"  # mean -log of how often its pairs of neighbours occur in the transcript


def covariate_values(covariate: Covariate, sequences: Sequences) -> NDArray[np.float64]:
    """A covariate of each sequence, shape (n,).

    Args:
        covariate: Which one.
        sequences: All sequences that are tested. Rarity counts in all of them, whatever their order.
    """
    functions: dict[Covariate, Callable[[Sequences], NDArray[np.float64]]] = {
        Covariate.LENGTH: _lengths,
        Covariate.ZLIB: _zlib,
        Covariate.RARITY: _rarity,
    }
    return functions[covariate](sequences)


def _lengths(sequences: Sequences) -> NDArray[np.float64]:
    return np.array([len(sequence) for sequence in sequences], dtype=np.float64)


def _zlib(sequences: Sequences) -> NDArray[np.float64]:
    packed = [len(zlib.compress(_as_bytes(sequence))) for sequence in sequences]
    return np.array(packed) / np.maximum(_lengths(sequences), 1)


def _as_bytes(sequence: str | tuple[int, ...]) -> bytes:
    if isinstance(sequence, str):
        return sequence.encode("utf-8", "surrogatepass")
    return np.array(sequence, dtype="<i8").tobytes()


def _rarity(sequences: Sequences) -> NDArray[np.float64]:
    r"""Mean over a sequence's pairs of neighbours of -log of the pair's share of all pairs, in nats."""
    known: dict[str, int] = {}
    ids = [
        [known.setdefault(word, len(known)) for word in sequence.split()]
        if isinstance(sequence, str)
        else sequence
        for sequence in sequences
    ]
    flat, starts = concatenated(ids)
    ends = np.append(starts[1:], flat.size)
    _, token = np.unique(flat, return_inverse=True)
    pairs = token[:-1].astype(np.int64) * (int(token.max(initial=0)) + 1) + token[1:]
    within = np.ones(pairs.size, dtype=bool)
    within[ends[:-1] - 1] = False  # the last of a sequence and the first of the next
    _, pair, times = np.unique(pairs[within], return_inverse=True, return_counts=True)
    rare = np.zeros(flat.size)
    rare[:-1][within] = -np.log(times[pair] / max(pair.size, 1))
    sums = np.add.reduceat(np.append(rare, 0.0), starts) if starts.size else np.empty(0)
    n_pairs = np.maximum(ends - starts - 1, 0)
    values: NDArray[np.float64] = np.where(ends > starts, sums, 0.0) / np.maximum(n_pairs, 1)
    return values
