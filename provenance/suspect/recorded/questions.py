"""What somebody else is to ask of a model: the questions file that goes to the party with the weights.

One row per question, sorted by the question's digest, so that order and grouping tell nothing. Choices are
sorted by their spelling. The file holds no draw: it does not say which choice, or which of several texts,
was released. Who also holds the release can tell, of course, as anybody can who reads it.

Columns: `format`; `question`, SHA-256 of what is asked; and either `text` alone (score its tokens), `tokens`
(the same for token ids), or `text`, `start`, `end` and `choices` (score words at a place, code points).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import BookplateError, InsufficientEvidence
from ....files import canonical_json, new_file
from ....stats import Input
from ..base import ChoiceSlot, TokenTable
from .files import read_columns, refuse_format, refuse_row

__all__ = ["QUESTIONS_FORMAT", "Listener", "Place", "Question", "Questions", "collect", "digest_of"]

QUESTIONS_FORMAT = "bookplate-questions-1"
_SCHEMA = pl.Schema({
    "format": pl.String(),
    "question": pl.String(),
    "text": pl.String(),
    "tokens": pl.List(pl.Int64),
    "start": pl.Int64(),
    "end": pl.Int64(),
    "choices": pl.List(pl.String),
})


@dataclass(frozen=True, slots=True)
class Place:
    """Words at a place of a text.

    Attributes:
        text: The text.
        slot: The place; its choices are sorted.
    """

    text: str
    slot: ChoiceSlot

    @classmethod
    def of(cls, text: str, slot: ChoiceSlot) -> "Place":
        """A place with its choices sorted, each once."""
        return cls(text, ChoiceSlot(slot.start, slot.end, tuple(sorted(set(slot.choices)))))


Question: TypeAlias = str | tuple[int, ...] | Place  # a text, token ids, or words at a place


def digest_of(question: Question) -> str:
    """SHA-256 of what is asked, as 64 hexadecimal digits."""
    if isinstance(question, Place):
        slot, text = question.slot, hashlib.sha256(question.text.encode()).hexdigest()
        asked = ["choices", text, slot.start, slot.end, list(slot.choices)]
    elif isinstance(question, str):
        asked = ["text", question]
    else:
        asked = ["tokens", list(question)]
    return hashlib.sha256(canonical_json(asked)).hexdigest()


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions, each once, in the order of their digests.

    Attributes:
        asked: The questions by digest.
    """

    asked: dict[str, Question]

    @classmethod
    def of(cls, questions: Sequence[Question]) -> "Questions":
        """Sort questions by their digests."""
        return cls(dict(sorted((digest_of(question), question) for question in questions)))

    def write(self, path: Path) -> None:
        """Write the questions file.

        Args:
            path: A new `.parquet` file.

        Raises:
            InvalidInput: If it exists.
        """
        rows = [_row(digest, question) for digest, question in self.asked.items()]
        with new_file(path) as staged:
            pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(staged)

    @classmethod
    def read(cls, path: Path) -> "Questions":
        """Read a questions file.

        Raises:
            InvalidInput: If it is none; names the row.
        """
        frame = read_columns(path, _SCHEMA, "a questions file")
        refuse_format(frame, path, QUESTIONS_FORMAT)
        asked: dict[str, Question] = {}
        for row, (_, digest, *content) in enumerate(frame.iter_rows(), 1):
            question = _question(*content)
            if question is None:
                refuse_row(path, row, "is neither a text, nor token ids, nor words at a place")
            if digest_of(question) != digest:
                refuse_row(path, row, "is not what its digest says")
            asked[digest] = question
        return cls(asked)


def collect(test: "Callable[[Listener], object]") -> Questions:
    """Everything that a test asks of a suspect.

    The test runs on a model that answers nothing of worth, and its outcome is thrown away.

    Args:
        test: Calls a test with the suspect it is given.

    Returns:
        The questions.

    Raises:
        InsufficientEvidence: If it asks nothing.
        BookplateError: If it fails before it asks anything.
    """
    listener = Listener()
    try:
        test(listener)
    except BookplateError:
        if not listener.asked:
            raise
    if not listener.asked:
        raise InsufficientEvidence("this test asks nothing of a model that others could answer")
    return Questions.of(listener.asked)


class Listener:
    """A suspect, and a reader of tokens, that notes what it is asked and answers with noise."""

    def __init__(self) -> None:
        self.identity = Input(name="nobody", sha256="0" * 64)
        # The answers will be a file: nothing is asked that it would not need.
        self.source = self.identity
        self.asked: list[Question] = []
        self._noise = np.random.default_rng(0)

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`."""
        self.asked += [s if isinstance(s, str) else tuple(map(int, s)) for s in sequences]
        return [self._values(len(sequence)) for sequence in sequences]

    def token_tables(self, texts: Sequence[str]) -> list[TokenTable]:
        """See `TokenReader.token_tables`."""
        self.asked += texts
        return [
            TokenTable(
                tokens=tuple(text),
                logprobs=self._values(len(text)),
                mean=self._values(len(text)),
                sd=-self._values(len(text)),
            )
            for text in texts
        ]

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TokenReader.tokens`."""
        self.asked += texts
        return [tuple(text) for text in texts]

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`."""
        self.asked += [
            Place.of(text, slot)
            for text, places in zip(texts, slots, strict=True)
            for slot in places
        ]
        return [[self._values(len(slot.choices)) for slot in places] for places in slots]

    def _values(self, n: int) -> NDArray[np.float64]:
        return -self._noise.uniform(0.1, 1.0, max(n, 1))


def _row(digest: str, question: Question) -> tuple[object, ...]:
    if isinstance(question, Place):
        slot = question.slot
        content = (question.text, None, slot.start, slot.end, list(slot.choices))
        return (QUESTIONS_FORMAT, digest, *content)
    if isinstance(question, str):
        return QUESTIONS_FORMAT, digest, question, None, None, None, None
    return QUESTIONS_FORMAT, digest, None, list(question), None, None, None


def _question(
    text: str | None,
    tokens: list[int | None] | None,
    start: int | None,
    end: int | None,
    choices: list[str | None] | None,
) -> Question | None:
    """A question from its row; None if the row is none."""
    place = (start, end, choices)
    if tokens is not None:
        fits = text is None and place == (None, None, None) and None not in tokens
        return tuple(t for t in tokens if t is not None) if fits else None
    if text is None or place == (None, None, None):
        return text
    if start is None or end is None or not choices or None in choices:
        return None
    if not 0 <= start <= end <= len(text):
        return None
    return Place(text, ChoiceSlot(start, end, tuple(c for c in choices if c is not None)))
