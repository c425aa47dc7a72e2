"""Whether the true order of a phase looks drawn as the other orders are: sequence by sequence, at random.

If it was not, its run is unlike the others for a reason that has nothing to do with the text under audit.
No model is asked.
"""

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ..covariates import Covariate, covariate_values
from ..exchangeability import content_in_order, neighbours_alike
from .phase import LastPhase

__all__ = ["doubts_about", "recurrence_z"]

_FEWEST = 30  # sequences below which nothing can be told
_SUSPICIOUS_Z = 4.0


def doubts_about(phase: LastPhase) -> list[str]:
    """Reasons to doubt that the order of a phase was drawn at random, in words; none is the rule.

    Looked for are sequences that come back too evenly (several epochs that the checkpoint does not tell)
    or too soon, lengths or contents that follow the order, and neighbours that are alike (documents that
    were shuffled before they were cut into sequences).

    Args:
        phase: The sequences in their true order, and their epochs.
    """
    n = len(phase.sequences)
    if n < _FEWEST:
        return []
    kept = [tuple(sequence.tolist()) for sequence in phase.sequences]
    places = np.arange(n)
    rarity = covariate_values(Covariate.RARITY, kept)
    lengths = covariate_values(Covariate.LENGTH, kept)
    with _threads_kept():
        found = content_in_order(places, {"length": lengths, "rarity": rarity})
    known: dict[tuple[int, ...], int] = {}
    which = np.array([known.setdefault(sequence, len(known)) for sequence in kept])
    spans = zip(phase.epochs, phase.epochs[1:], strict=False)
    z = max((recurrence_z(which[begin:end]) for begin, end in spans), key=abs)
    if abs(z) >= _SUSPICIOUS_Z:
        how = "more evenly" if z > 0 else "sooner"
        found.append(
            f"THE ORDER IS NOT RANDOM: repeated sequences come back {how} than by chance (z = {z:.1f}), as "
            f"{'in several epochs' if z > 0 else 'when copies stay together'}, and the other orders do not "
            "keep that. The p-value means nothing."
        )
    elif neighbours_alike(places, places, rarity):
        found.append(
            "Sequences that follow each other in the true order are alike, as when documents are shuffled "
            "first and cut into sequences afterwards. The other orders tear them apart, so the true run may "
            "differ from theirs for every text: the p-value may mean nothing."
        )
    return found


@contextmanager
def _threads_kept() -> Generator[None]:
    """Leave torch its number of threads: numba's kernels set it for all, and a run's rounding hangs on it."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def recurrence_z(which: NDArray[np.int64]) -> float:
    """How far apart the copies of repeated sequences lie, in standard deviations from a random order.

    The places of m copies among n, in a uniformly random order, span about n Beta(m - 1, 2): mean
    n (m - 1) / (m + 1), variance n^2 2 (m - 1) / ((m + 1)^2 (m + 2)). As no two sequences share a place, the
    true variance of the sum is a little smaller.

    Args:
        which: Which sequence stands at each place, as an index, shape (n,).

    Returns:
        (spans - expected) / sd, summed over all repeated sequences; 0 if there are none.
    """
    n = which.size
    in_groups = np.argsort(which, kind="stable")
    _, starts, copies = np.unique(which[in_groups], return_index=True, return_counts=True)
    spans = in_groups[starts + copies - 1] - in_groups[starts]
    m = copies[copies > 1].astype(np.float64)
    if not m.size:
        return 0.0
    expected = (n + 1) * (m - 1) / (m + 1)
    variance = n * n * 2 * (m - 1) / ((m + 1) ** 2 * (m + 2))
    return float((spans[copies > 1] - expected).sum() / np.sqrt(variance.sum()))
