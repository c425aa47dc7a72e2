"""Whether the sequences of a transcript were drawn into the order one by one, as far as scores can show."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["neighbours_alike"]

_TREND_BINS = 32
_LEAST_PER_BIN = 8
_SUSPICIOUS_Z = 4.0


def neighbours_alike(steps: NDArray[np.int64], scores: NDArray[np.float64]) -> str:
    """A warning if sequences that were trained on side by side have scores alike, beyond any trend.

    Each sequence drawn into the order by itself, they do not. Where documents were shuffled and then
    cut into sequences, the pieces of one stay together: then there are fewer independent units than
    sequences, and p is too small.
    """
    order = np.argsort(steps, kind="stable")
    sorted_scores = scores[order]
    ranks = np.argsort(np.argsort(sorted_scores, kind="stable"), kind="stable").astype(np.float64)
    values, places = np.unique(sorted_scores, return_inverse=True)
    ranks = (np.bincount(places, ranks) / np.bincount(places))[places]  # ties share a rank
    n_bins = min(_TREND_BINS, ranks.size // _LEAST_PER_BIN)
    rest = np.concatenate([part - part.mean() for part in np.array_split(ranks, max(n_bins, 1))])
    square = float(rest @ rest)
    if values.size < 2 or square == 0:
        return ""
    z = float(rest[:-1] @ rest[1:]) / square * np.sqrt(rest.size)
    if z < _SUSPICIOUS_Z:
        return ""
    return (
        f"Sequences that follow each other in the training order have similar scores (z = {z:.1f}), as when "
        "documents are shuffled first and cut into sequences afterwards. If so, sequences are not "
        "exchangeable, and p is too small: test whole documents instead."
    )
