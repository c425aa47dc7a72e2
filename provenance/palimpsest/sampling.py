"""Which sequences of a long transcript are asked about, chosen before any model is.

Why the permutation test stays exact: under the null hypothesis every arrangement of the sequences in
the order was equally likely. A sample is a choice of *places* in that order: it uses the steps and a
seed, never a score or a text, and places of one step are told apart by chance alone. Given the places,
and which sequences fell on them, every arrangement of these sequences is still equally likely, so the
scores may be permuted among them. Breaking ties by the row number would not do: where rows are
numbered by their text, as in a sorted dataset, the sequences chosen would depend on their arrangement.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput

__all__ = ["FEWEST", "Sample", "Sampling", "drawn_places", "random_places"]

FEWEST = 30  # sequences an order test needs


class Sampling(StrEnum):
    """How the places of a sample lie in the order."""

    RANDOM = "random"  # every place alike
    STRATIFIED = "stratified"  # one place in each of so many equal parts of the order
    EXTREMES = "extremes"  # the earliest and the latest; most signal for a test of order


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample of a transcript, fixed before any score is seen.

    Attributes:
        size: Sequences to draw; all are taken if there are no more.
        sampling: How they lie in the order.
        seed: Seed of the draw.
    """

    size: int
    sampling: Sampling = Sampling.RANDOM
    seed: int

    def __post_init__(self) -> None:
        if self.size < FEWEST:
            raise InvalidInput(
                f"expected a sample of at least {FEWEST} sequences, got {self.size}",
                "an order test needs as many; some thousands are usual",
            )
        if self.seed < 0:
            raise InvalidInput(f"expected a seed of 0 or more, got {self.seed}")

    def described(self, n_rows: int) -> str:
        """What a finding says of the sample."""
        if self.size >= n_rows:
            return f"All {n_rows:,} sequences of the transcript were used."
        how = {
            Sampling.RANDOM: "at random",
            Sampling.STRATIFIED: "evenly over the training order",
            Sampling.EXTREMES: "from the two ends of the training order",
        }[self.sampling]
        return (
            f"{self.size:,} of {n_rows:,} sequences were used, drawn {how} ({self.sampling}, seed "
            f"{self.seed}) without regard to any score."
        )


def drawn_places(steps: NDArray[np.int64], sample: Sample) -> NDArray[np.int64]:
    """Draw a sample.

    Args:
        steps: Training step of each row, shape (N,), in any order.
        sample: How many, and how.

    Returns:
        Indices into `steps`, ascending, shape (min(size, N),). Some 24 bytes are used per row.
    """
    n_rows = len(steps)
    if sample.size >= n_rows:
        return np.arange(n_rows)
    if sample.sampling is Sampling.RANDOM:
        return random_places(n_rows, sample)
    rng = np.random.default_rng(sample.seed)
    # Rows of one step in random order: see the module's docstring.
    in_order = np.lexsort((rng.random(n_rows), steps))
    if sample.sampling is Sampling.EXTREMES:
        early = sample.size // 2
        return np.sort(np.concatenate([in_order[:early], in_order[early - sample.size :]]))
    bounds = np.arange(sample.size + 1) * n_rows // sample.size
    return np.sort(in_order[rng.integers(bounds[:-1], bounds[1:])])


def random_places(n_rows: int, sample: Sample) -> NDArray[np.int64]:
    """`drawn_places` for `Sampling.RANDOM`, which needs no steps; memory grows with the sample alone."""
    if sample.size >= n_rows:
        return np.arange(n_rows)
    rng = np.random.default_rng(sample.seed)
    return np.sort(rng.choice(n_rows, sample.size, replace=False, shuffle=False))
