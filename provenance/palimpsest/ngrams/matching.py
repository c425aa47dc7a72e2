"""What is looked for in an index, and what is found."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from .table import SequenceTable

__all__ = ["Index", "MatchRule", "Matches", "joined"]

_LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRule:
    """Which k-grams of a text count; to be fixed before the text is looked at.

    From each place of the text on, the longest k-gram that occurs in the transcript is taken. Longer
    than `longest` it need not be; if it is shorter than `shortest`, or occurs more than
    `most_occurrences` times, the place counts nothing. Else each occurrence counts 1 / occurrences for
    the sequence that it lies in, so that each place of the text hands out 1 in all.

    Attributes:
        longest: k, in tokens.
        shortest: Where backing off ends, in tokens.
        most_occurrences: In all distinct sequences together.
    """

    longest: int = 8
    shortest: int = 2
    most_occurrences: int = 1_000

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest <= _LONGEST:
            raise InvalidInput(
                f"expected 1 <= shortest <= longest <= {_LONGEST} tokens of a k-gram, got "
                f"{self.shortest} and {self.longest}"
            )
        if self.most_occurrences < 1:
            raise InvalidInput(
                f"most_occurrences: expected at least 1, got {self.most_occurrences}"
            )

    def __str__(self) -> str:
        return (
            f"from each place of the text on, the longest k-gram in the transcript, of {self.longest} tokens "
            f"at most and {self.shortest} at least; none that occurs more than "
            f"{self.most_occurrences:,} times; each occurrence weighs 1 / occurrences"
        )


@dataclass(frozen=True, slots=True)
class Matches:
    """What a text shares with a transcript.

    Attributes:
        scores: Sum of weights of each distinct sequence, shape (sequences,).
        by_length: Places of the text whose k-gram counts, by the k-gram's length, shape (longest + 1,).
        n_places: Places of the text.
        n_too_common: Places whose longest k-gram occurs too often.
    """

    scores: NDArray[np.float64]
    by_length: NDArray[np.int64]
    n_places: int
    n_too_common: int

    @property
    def n_counted(self) -> int:
        """Places of the text whose k-gram counts."""
        return int(self.by_length.sum())


class Index(Protocol):
    """Where k-grams of a transcript are looked up."""

    @property
    def table(self) -> SequenceTable:
        """The sequences and their steps."""

    def with_steps(self, steps: NDArray[np.int64]) -> "Index":
        """The same rows, as if trained on at other steps: to see what the test says of drawn orders."""

    def match(self, query: NDArray[np.int64], rule: MatchRule) -> Matches:
        """Match a text; see `joined` for its form."""

    def n_matched(self, query: NDArray[np.int64], length: int) -> int:
        """Places of a text from which on a k-gram of exactly this length occurs."""

    def rarity(self) -> NDArray[np.float64]:
        """How rare each distinct sequence's pairs of tokens are; see `rarity_of`."""

    def sequence(self, number: int) -> NDArray[np.int64]:
        """Token ids of a distinct sequence."""


def joined(texts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Texts as one query: ids plus 1, and a 0 behind each text, over which no k-gram runs."""
    pieces: list[NDArray[np.int64]] = []
    for ids in texts:
        pieces += [np.asarray(ids, dtype=np.int64) + 1, np.zeros(1, dtype=np.int64)]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
