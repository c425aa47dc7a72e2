"""Asking an endpoint for continuations: several samples in one request where it allows that."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....files import canonical_json
from .http_client import PassingTroubleError, Question

__all__ = ["Draw", "continuations_of", "draw_question", "shares"]

_CONTINUE = (
    "Continue the text below. Answer with the continuation alone, from the very next word on.\n\n"
)


@dataclass(frozen=True, slots=True)
class Draw:
    """Samples asked for by one request.

    Attributes:
        prompt: Index of the prompt.
        first: How many samples of it came before.
        count: How many to draw.
    """

    prompt: int
    first: int
    count: int


def shares(done: int, wanted: int, *, one_by_one: bool) -> list[tuple[int, int]]:
    """First sample and number of samples of each request that is still to be made for a prompt."""
    if done >= wanted:
        return []
    if one_by_one:
        return [(first, 1) for first in range(done, wanted)]
    return [(done, wanted - done)]


def draw_question(
    prompt: str, draw: Draw, body: Mapping[str, Any], *, seed: int, chat: bool
) -> Question:
    """The request for samples, at temperature 1 and, where the endpoint heeds it, with a seed of its own.

    Args:
        prompt: The text to continue.
        draw: Which samples; equal prompts at other places get samples of their own.
        body: Model and length.
        seed: Seed of all draws.
        chat: Whether a chat model is to be told what to do.
    """
    own = hashlib.sha256(canonical_json([str(seed), draw.prompt, draw.first])).digest()
    sent: dict[str, Any] = {
        **body,
        "temperature": 1,
        "top_p": 1,
        "n": draw.count,
        "seed": int.from_bytes(own[:4]) >> 1,  # servers take 31 bits
    }
    if chat:
        sent["messages"] = [{"role": "user", "content": _CONTINUE + prompt}]
        return Question("/chat/completions", sent, len(_CONTINUE) + len(prompt))
    return Question("/completions", sent | {"prompt": prompt}, len(prompt))


def continuations_of(data: Any, most: int) -> list[str]:
    """The texts in an answer, at most so many.

    Raises:
        PassingTroubleError: If there is none.
    """
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise PassingTroubleError("the answer holds no choices")
    texts = []
    for choice in choices[:most]:
        fields = choice if isinstance(choice, dict) else {}
        message = fields.get("message")
        text = message.get("content") if isinstance(message, dict) else fields.get("text")
        if not isinstance(text, str):
            raise PassingTroubleError("an answer holds no text")
        texts.append(text)
    return texts
