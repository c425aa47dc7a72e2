"""Sequences of tokens, the unit of everything here: what is fitted on, asked about and scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["TokenSequence", "windows"]


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Tokens that a model reads at once.

    Attributes:
        id: Name of the document (several windows of one share it) or of the query.
        tokens: Token ids; at least two.
        first_scored: Index of the first token whose loss counts, at least 1; earlier tokens are context
            (a prompt, say). The loss of a sequence is the sum over its scored tokens, in nats.
    """

    id: str
    tokens: tuple[int, ...]
    first_scored: int = 1

    @property
    def n_scored(self) -> int:
        """Tokens whose loss counts."""
        return len(self.tokens) - self.first_scored


def windows(id: str, tokens: Sequence[int], length: int) -> Iterator[TokenSequence]:
    """A document cut into consecutive sequences of at most `length` tokens, as training cuts it.

    A last window of one token, whose loss has nothing to stand on, is left out. The loss of a document is the
    sum over its windows, and so is its influence.
    """
    for begin in range(0, len(tokens), length):
        part = tuple(tokens[begin : begin + length])
        if len(part) > 1:
            yield TokenSequence(id, part)
