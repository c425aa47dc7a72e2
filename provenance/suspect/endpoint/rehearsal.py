"""What would be asked of an endpoint, told before anything is sent: the work itself, on made-up answers.

Nothing is counted by a formula beside the code that asks: that code runs, and each question that has no kept
answer is counted in place of being sent. The count is that of a real run where questions do not depend on
answers; for a test that stops early it is what it takes where there is no evidence.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .asking import Asker
from .http_client import Question, Reply

__all__ = ["Foreseen", "Rehearsal", "RehearsedAsker"]

_CHARACTERS_PER_TOKEN = 4  # of English; a little more or less with every tokenizer


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What one model would be asked.

    Attributes:
        requests: How many would be sent.
        kept: How many need not be sent, as their answers are kept.
        characters: Length of what would be sent.
        generated: Most tokens that would be drawn.
    """

    requests: int = 0
    kept: int = 0
    characters: int = 0
    generated: int = 0

    @property
    def tokens(self) -> int:
        """Tokens sent and received, guessed from the length as for English."""
        return -(-self.characters // _CHARACTERS_PER_TOKEN) + self.generated

    def __add__(self, other: "Foreseen") -> "Foreseen":
        """Both together."""
        return Foreseen(
            self.requests + other.requests,
            self.kept + other.kept,
            self.characters + other.characters,
            self.generated + other.generated,
        )


class Rehearsal:
    """Counts what several models would be asked.

    Attributes:
        foreseen: By the name of each model, in the order in which they were first asked.
    """

    def __init__(self) -> None:
        self.foreseen: dict[str, Foreseen] = {}

    @property
    def total(self) -> Foreseen:
        """Of all models together."""
        return sum(self.foreseen.values(), Foreseen())

    def count(self, name: str, found: Foreseen) -> None:
        """Add to what a model would be asked."""
        self.foreseen[name] = self.foreseen.get(name, Foreseen()) + found


class RehearsedAsker(Asker):
    """Answers every question by itself, and counts those that would be sent.

    Args:
        rehearsal: Where to count.
        given: As for `Asker`; nothing is written to its store.
    """

    def __init__(self, rehearsal: Rehearsal, *given: Any) -> None:
        super().__init__(*given)
        self._rehearsal = rehearsal
        self._invented: dict[str, Any] = {}

    def ask(
        self,
        questions: Sequence[Question],
        read: Callable[[int, Reply], tuple[Any, int]],
        check: Callable[[int, Any], None],
        on_progress: Callable[[int, int, float], object],
    ) -> list[Any]:
        """See `Asker.ask`; the answers are made up, except those that are kept."""
        names = [self._name("answer", question.path, question.body) for question in questions]
        unknown = [name for name in names if name not in self._invented]
        known = self._store.read(unknown)
        self._rehearsal.count(f"{self._api.url}#{self._model}", Foreseen(kept=len(known)))
        self._invented |= known
        for index, (name, question) in enumerate(zip(names, questions, strict=True)):
            if name not in self._invented:
                self._rehearsal.count(f"{self._api.url}#{self._model}", foreseen_of(question))
                self._invented[name], _ = read(index, invented_reply(question))
        return [self._invented[name] for name in names]


def foreseen_of(question: Question) -> Foreseen:
    """One request."""
    drawn = int(question.body.get("max_tokens", 0)) * int(question.body.get("n", 1))
    return Foreseen(requests=1, characters=question.characters, generated=drawn)


def invented_reply(question: Question) -> Reply:
    """An answer as an endpoint might give it; it says nothing of any model."""
    body = question.body
    if not body.get("echo"):
        drawn = range(int(body.get("n", 1)))
        choices = [{"index": i, "text": " the", "message": {"content": " the"}} for i in drawn]
        return Reply(200, {"choices": choices}, {})
    prompt = body["prompt"]
    # A character each: so they spell the prompt wherever it is cut into start, context and text.
    tokens = [*(prompt if isinstance(prompt, str) else ["a"] * len(prompt)), " the"]
    values = [None, *_values(prompt, len(tokens) - 1)]
    logprobs = {"tokens": tokens, "token_logprobs": values}
    data = {
        "choices": [{"index": 0, "logprobs": logprobs}],
        "usage": {"completion_tokens": 1, "total_tokens": 0},
    }
    return Reply(200, data, {})


def _values(prompt: Any, n: int) -> list[float]:
    """Log-probabilities that differ from place to place: equal ones would stop some tests."""
    digest = hashlib.blake2b(repr(prompt).encode(), digest_size=4).digest()
    first = int.from_bytes(digest)
    return [-0.1 - (first + 40_503 * place & 0xFFFF) / 8_000 for place in range(n)]
