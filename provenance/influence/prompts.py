"""Behaviours that are asked about: prompts with what the model said to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from ..palimpsest.transcript.tables import frames_of, schema_of
from .sequences import TokenSequence

__all__ = ["Prompt", "read_prompts", "tokenised"]

_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Prompt:
    """A query in words.

    Attributes:
        id: Its name.
        prompt: What the model was given; may be empty.
        completion: What it said; the loss of this counts.
    """

    id: str
    prompt: str
    completion: str


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Queries from parquet or JSON lines with columns `prompt` and `completion`, and `id` if there is one.

    Without `id` a query is called by its row, from 1.

    Raises:
        InvalidInput: If the file cannot be read, holds none, or a row is no query.
    """
    columns = schema_of(path)
    if missing := [name for name in ("prompt", "completion") if name not in columns]:
        raise InvalidInput(
            f"{path}: has no column '{missing[0]}'",
            'one query per line: {"id": "capital", "prompt": "The capital of", "completion": " Chile"}',
        )
    wanted = [name for name in ("id", "prompt", "completion") if name in columns]
    found: list[Prompt] = []
    for frame in frames_of(path, wanted, _ROWS):
        for row in frame.iter_rows(named=True):
            found.append(_prompt(row, len(found) + 1, path))
    if not found:
        raise InvalidInput(f"{path}: holds no query")
    names = [prompt.id for prompt in found]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InvalidInput(f"{path}: two queries are called {repeated[0]!r}")
    return tuple(found)


def _prompt(row: dict[str, Any], number: int, path: Path) -> Prompt:
    prompt = "" if row["prompt"] is None else row["prompt"]
    completion = row["completion"]
    if not isinstance(prompt, str) or not isinstance(completion, str) or not completion:
        raise InvalidInput(f"{path}, row {number}: expected a prompt and a completion, both texts")
    name = row.get("id")
    return Prompt(str(number) if name is None else str(name), prompt, completion)


def tokenised(prompts: Sequence[Prompt], tokenizer: Any) -> list[TokenSequence]:
    """Queries as sequences whose completions are scored.

    A token that reaches from the prompt into the completion belongs to the completion. Nothing precedes the
    first token of all, so it is never scored.

    Args:
        prompts: The queries.
        tokenizer: A fast tokenizer of transformers.

    Raises:
        InvalidInput: If nothing of a completion can be scored.
    """
    found = []
    for prompt in prompts:
        cut = tokenizer(
            prompt.prompt + prompt.completion,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        tokens, spans = cut["input_ids"], cut["offset_mapping"]
        within = [number for number, (_, end) in enumerate(spans) if end > len(prompt.prompt)]
        first = max(within[0] if within else len(tokens), 1)
        if first >= len(tokens):
            raise InvalidInput(
                f"query {prompt.id!r}: its completion leaves no token to score",
                "give a prompt before it, or a longer completion",
            )
        found.append(TokenSequence(prompt.id, tuple(tokens), first))
    return found
