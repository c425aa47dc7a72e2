"""The sequences behind an index: which contents there are, and at which steps each was trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....stats import Input
from ..repeats import Units, units_of

__all__ = ["SequenceTable"]


@dataclass(frozen=True, slots=True)
class SequenceTable:
    """The rows of a transcript, and its distinct sequences.

    Attributes:
        steps: Training step of each row, shape (rows,).
        contents: Which distinct sequence each row is, shape (rows,).
        digests: Digest of each distinct sequence, shape (sequences, 16), uint8.
        lengths: Tokens of each, shape (sequences,).
        largest_id: Largest token id of all.
        source: The transcript.
        tokenizer: What its ids are ids of.
    """

    steps: NDArray[np.int64]
    contents: NDArray[np.int64]
    digests: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    largest_id: int
    source: Input
    tokenizer: Input

    def units(self) -> Units:
        """See `units_of`."""
        return units_of(self.steps, self.contents, self.digests)
