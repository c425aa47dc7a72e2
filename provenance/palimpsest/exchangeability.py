"""Whether an order looks drawn at random, sequence by sequence, as far as contents and scores can show."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...stats import Alternative, spearman_test

__all__ = ["content_in_order", "neighbours_alike"]

_TREND_BINS = 32
_LEAST_PER_BIN = 8
_SUSPICIOUS_Z = 4.0
_SUSPICIOUS_LOG10_P = -4.0


def content_in_order(
    steps: NDArray[np.int64], properties: Mapping[str, NDArray[np.float64]]
) -> list[str]:
    """Warnings if what sequences are like follows the training order: then it was not drawn at random.

    No model is asked. Sequences sorted by length, or a curriculum from easy to hard, make innocent models
    look guilty.

    Args:
        steps: Training step of each sequence, shape (n,).
        properties: Properties of the sequences by name, each of shape (n,).
    """
    found = []
    for name, values in properties.items():
        if np.ptp(values) == 0:
            continue
        test = spearman_test(steps, values, alternative=Alternative.TWO_SIDED, seed=0)
        if test.log10_p <= _SUSPICIOUS_LOG10_P:
            found.append(
                f"THE ORDER IS NOT RANDOM: the {name} of the sequences follows it (rho = "
                f"{test.effect.value:.2f}, p = {test.p_text}). The p-value here means nothing."
            )
    return found


def neighbours_alike(
    steps: NDArray[np.int64], rows: NDArray[np.int64], scores: NDArray[np.float64]
) -> list[str]:
    """A warning if sequences that were trained on side by side have scores alike, beyond any trend.

    Each sequence drawn into the order by itself, they do not. Where documents were shuffled and then
    cut into sequences, the pieces of one stay together: then there are fewer independent units than
    sequences, and p is too small.

    Args:
        steps: Training step of each sequence, shape (n,).
        rows: Its place within the transcript, which orders sequences of one step.
        scores: Its score.
    """
    sorted_scores = scores[np.lexsort((rows, steps))]
    ranks = np.argsort(np.argsort(sorted_scores, kind="stable"), kind="stable").astype(np.float64)
    values, places = np.unique(sorted_scores, return_inverse=True)
    ranks = (np.bincount(places, ranks) / np.bincount(places))[places]  # ties share a rank
    n_bins = min(_TREND_BINS, ranks.size // _LEAST_PER_BIN)
    rest = np.concatenate([part - part.mean() for part in np.array_split(ranks, max(n_bins, 1))])
    square = float(rest @ rest)
    if values.size < 2 or square == 0:
        return []
    z = float(rest[:-1] @ rest[1:]) / square * np.sqrt(rest.size)
    if z < _SUSPICIOUS_Z:
        return []
    return [
        f"Sequences that follow each other in the training order have similar scores (z = {z:.1f}), as when "
        "documents are shuffled first and cut into sequences afterwards. If so, sequences are not "
        "exchangeable, and p is too small: test whole documents instead."
    ]
