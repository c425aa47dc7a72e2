"""How much there is to be read, and sequences that stand for it in a rehearsal."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .sequences import TokenSequence
from .tasks import Batch, TokenTask

__all__ = ["Amount"]


class _Rehearsed(TokenTask):
    """Sequences for a model without numbers, of which nobody can tell what its outputs depend on."""

    def probe(self, device: torch.device) -> Batch:
        return TokenTask([TokenSequence("", (0, 0))] * 2).batch([0, 1], device)


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is of something.

    Attributes:
        n: Sequences.
        longest: Tokens of the longest.
        tokens: Tokens of all.
    """

    n: int
    longest: int
    tokens: int

    @classmethod
    def of(cls, sequences: Sequence[TokenSequence]) -> "Amount":
        """Of these sequences."""
        lengths = [len(sequence.tokens) for sequence in sequences]
        return cls(len(lengths), max(lengths, default=0), sum(lengths))

    @classmethod
    def equal(cls, n: int, length: int) -> "Amount":
        """Of n sequences of one length."""
        return cls(n, length, n * length)

    @property
    def positions(self) -> int:
        """Positions that predict a token."""
        return self.tokens - self.n

    def batch(self, positions: int, head: nn.Linear | None = None) -> TokenTask:
        """As many of the longest as a batch of so many positions takes; for the head see `TokenTask`."""
        return self.some(self.rows(positions), head)

    def rows(self, positions: int) -> int:
        """How many of the longest a batch of so many positions takes."""
        return min(max(positions // (self.longest - 1), 1), self.n)

    def some(self, n: int, head: nn.Linear | None = None) -> TokenTask:
        """The n longest; of these, one is shorter if not all are of one length."""
        rows = [TokenSequence(str(row), (0,) * self.longest) for row in range(n)]
        if self.tokens < self.n * self.longest and n > 1 and self.longest > 2:
            rows[-1] = TokenSequence(str(n - 1), (0,) * (self.longest - 1))
        return _Rehearsed(rows, "sequence", head)
