"""What asking a paid endpoint may cost."""

import math
from dataclasses import dataclass

from ....errors import InvalidInput
from ....files import Interrupted

__all__ = ["Budget", "Taken"]

_TOKENS_PER_CHARACTER = 0.5  # before anything is known; English takes about a quarter


@dataclass(frozen=True, slots=True)
class Taken:
    """What one request was thought to cost before it was sent.

    Attributes:
        characters: Its length.
        tokens: Its tokens, guessed.
    """

    characters: int
    tokens: int


class Budget:
    """Counts requests and tokens, and stops before there are too many.

    A request that failed counts, since it may be paid for, unless the endpoint turned it away (status 429).
    Tokens are counted by what the endpoint says; those of a request under way are guessed from its length
    and the requests before, so the last few may go over the limit by what the guess was off.

    Args:
        max_queries: Most requests; None: no limit.
        max_tokens: Most tokens, sent and received; None: no limit.

    Attributes:
        queries: Requests so far.
        tokens: Their tokens.

    Raises:
        InvalidInput: If a limit is not positive.
    """

    def __init__(self, max_queries: int | None = None, max_tokens: int | None = None) -> None:
        for name, limit in (("queries", max_queries), ("tokens", max_tokens)):
            if limit is not None and limit < 1:
                raise InvalidInput(f"expected a budget of at least 1 of {name}, got {limit}")
        self.queries = 0
        self.tokens = 0
        self._max_queries, self._max_tokens = max_queries, max_tokens
        self._characters = 0
        self._under_way = 0

    def take(self, characters: int) -> Taken:
        """Count a request before it is sent.

        Args:
            characters: Its length.

        Returns:
            To be handed to `settle`.

        Raises:
            Interrupted: If it would go over a limit.
        """
        guess = math.ceil(characters * self._tokens_per_character()) + 1
        if self._max_queries is not None and self.queries >= self._max_queries:
            raise Interrupted(*_spent(f"{self._max_queries:,} queries"))
        foreseen = self.tokens + self._under_way + guess
        if self._max_tokens is not None and foreseen > self._max_tokens:
            raise Interrupted(
                *_spent(f"{self._max_tokens:,} tokens ({self.tokens:,} used, {guess:,} wanted)")
            )
        self.queries += 1
        self._under_way += guess
        return Taken(characters, guess)

    def settle(self, taken: Taken, tokens: int = 0, *, billed: bool = True) -> None:
        """Replace the guess by what is known.

        Args:
            taken: What `take` gave.
            tokens: Tokens of the request and its answer; 0 if unknown.
            billed: Whether it counts at all.
        """
        self._under_way -= taken.tokens
        if not billed:
            self.queries -= 1
            return
        self.tokens += tokens or taken.tokens
        if tokens:
            self._characters += taken.characters

    def _tokens_per_character(self) -> float:
        if not self._characters:
            return _TOKENS_PER_CHARACTER
        return self.tokens / self._characters


def _spent(limit: str) -> tuple[str, str]:
    return (
        f"the budget of {limit} is spent",
        "what was answered is kept: the same call with a larger budget goes on from there",
    )
