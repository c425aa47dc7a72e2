"""Answers that somebody else computed: a model told of by its log-probabilities alone.

Whoever holds the weights answers a questions file (`recording`); whoever holds the evidence reads the
answers. What the answers are worth rests on who gave them: the digest of the model is what they say it is.

Columns of an answers file: `format`; `question`, the digest of what was asked (`questions`); `logprobs`, in
nats, one per token that counts or one per choice, the choices sorted, null where nothing precedes a place;
`tokens`, as the tokenizer writes them, `mean` and `sd` over the vocabulary, null where not recorded;
`model` and `model_sha256`, the same in all rows.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....display import visible
from ....errors import InvalidInput
from ....files import sha256_of_file
from ....stats import Input
from ..base import ChoiceSlot, Suspect, TokenTable
from .files import read_columns, read_frame, refuse_format, refuse_row
from .losses import LOSS_PREFIX, RecordedLosses
from .questions import Place, Question, digest_of

__all__ = ["ANSWERS_FORMAT", "ANSWERS_SCHEMA", "RecordedSuspect", "open_recorded"]

ANSWERS_FORMAT = "bookplate-answers-1"
ANSWERS_SCHEMA = pl.Schema({
    "format": pl.String(),
    "question": pl.String(),
    "logprobs": pl.List(pl.Float64),
    "tokens": pl.List(pl.String),
    "mean": pl.List(pl.Float64),
    "sd": pl.List(pl.Float64),
    "model": pl.String(),
    "model_sha256": pl.String(),
})
_ROUNDING = 1e-3  # nats by which a log-probability may be above 0 in low precision
_MOST_IN_ALL = 1.1  # of probability, as sixteen bits round
_LEAST_LOGPROB = -1e5  # nats of a word, of whatever length
_LONGEST_NAME = 200
_SHOWN = 40  # characters of a question in an error
_DIGEST = "^[0-9a-f]{64}$"


def open_recorded(name: str) -> Suspect:
    """What was recorded of a model: an answers file, or `file.parquet#loss_model` of a published transcript.

    Args:
        name: Path of a parquet file; after a `#` the column of losses.

    Returns:
        The suspect. One made of losses serves the palimpsest query alone.

    Raises:
        InvalidInput: If the file is neither, is malformed, or holds several columns and none is named.
    """
    file, _, column = (name, "", "") if name.endswith(".parquet") else name.rpartition("#")
    path = Path(file)
    names = read_frame(path, "recorded answers").columns
    if column:
        return RecordedLosses.read(path, column)
    losses = [name for name in names if name.startswith(LOSS_PREFIX)]
    if "question" in names or not losses:
        return RecordedSuspect.read(path)
    if len(losses) > 1:
        raise InvalidInput(
            f"{path}: holds the losses of {len(losses)} models",
            f"name one of them, such as {path.name}#{visible(losses[0])}",
        )
    return RecordedLosses.read(path, losses[0])


class RecordedSuspect:
    """A model by its recorded answers.

    Attributes:
        identity: Name and digest of the model, as recorded by whoever answered.
        source: The answers file.
    """

    def __init__(self, frame: pl.DataFrame, path: Path, source: Input) -> None:
        self.identity = Input(name=frame["model"][0], sha256=frame["model_sha256"][0])
        self.source = source
        self._path = path
        self._frame = frame
        self._row_of = {digest: row for row, digest in enumerate(frame["question"])}

    @classmethod
    def read(cls, path: Path) -> "RecordedSuspect":
        """Read an answers file.

        Raises:
            InvalidInput: If it is none, or a row is malformed or contradicts another; names the row.
        """
        frame = read_columns(path, ANSWERS_SCHEMA, "expected the answers to a questions file")
        refuse_format(frame, path, ANSWERS_FORMAT)
        refuse_malformed(frame, path)
        return cls(frame, path, Input(name=visible(path.name), sha256=sha256_of_file(path)))

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`.

        Raises:
            InvalidInput: If an answer is missing, or has a wrong length.
        """
        questions = [s if isinstance(s, str) else tuple(map(int, s)) for s in sequences]
        found = []
        for question, row in zip(questions, self._rows(questions), strict=True):
            values = self._values("logprobs", row)
            if values is None:
                refuse_row(self._path, row + 1, "holds no log-probabilities")
            if not isinstance(question, str):
                self._refuse_length(row, values.size, max(len(question) - 1, 0), "token ids")
            found.append(values)
        return found

    def token_tables(self, texts: Sequence[str]) -> list[TokenTable]:
        """See `TokenReader.token_tables`. Raises as `token_logprobs`."""
        rows = self._rows(texts)
        return [
            TokenTable(
                tokens=self._tokens(row) or (),
                logprobs=logprobs,
                mean=self._values("mean", row),
                sd=self._values("sd", row),
            )
            for row, logprobs in zip(rows, self.token_logprobs(texts), strict=True)
        ]

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TokenReader.tokens`.

        Raises:
            InvalidInput: If an answer is missing, or was recorded without its tokens.
        """
        found = []
        for row in self._rows(texts):
            tokens = self._tokens(row)
            if tokens is None:
                raise InvalidInput(
                    f"{self._path}: row {row + 1}: was recorded without its tokens",
                    "ask for answers with tokens",
                )
            found.append(tokens)
        return found

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`. Raises as `token_logprobs`."""
        flat = [(text, slot) for text, own in zip(texts, slots, strict=True) for slot in own]
        places = [Place.of(text, slot) for text, slot in flat]
        rows = iter(zip(places, self._rows(places), strict=True))
        return [[self._choices(slot, *next(rows)) for slot in own] for own in slots]

    def _choices(self, slot: ChoiceSlot, place: Place, row: int) -> NDArray[np.float64]:
        values = self._values("logprobs", row)
        if values is None:
            # Whoever could leave out places at will could choose the outcome.
            if place.text[: slot.start].strip():
                refuse_row(
                    self._path, row + 1, "holds no log-probabilities of a place within a text"
                )
            return np.full(len(slot.choices), np.nan)
        self._refuse_length(row, values.size, len(place.slot.choices), "choices")
        if _is_impossible(place.slot.choices, values):
            refuse_row(
                self._path, row + 1, "gives choices that exclude each other more than 1 in all"
            )
        of_choice = dict(zip(place.slot.choices, values, strict=True))
        return np.array([of_choice[choice] for choice in slot.choices])

    def _rows(self, questions: Sequence[Question]) -> list[int]:
        """The row of each question, from 0.

        Raises:
            InvalidInput: If one has no answer.
        """
        rows = [self._row_of.get(digest_of(question), -1) for question in questions]
        missing = [q for q, row in zip(questions, rows, strict=True) if row < 0]
        if missing:
            raise InvalidInput(
                f"{self._path}: {len(missing):,} of {len(rows):,} questions have no answer, the first "
                f"about {_shown(missing[0])}",
                "have the questions of this very test answered",
            )
        return rows

    def _tokens(self, row: int) -> tuple[str, ...] | None:
        tokens = self._frame["tokens"][row]
        return None if tokens is None else tuple(tokens)

    def _values(self, column: str, row: int) -> NDArray[np.float64] | None:
        values = self._frame[column][row]
        return None if values is None else np.array(values.to_numpy(), dtype=np.float64)

    def _refuse_length(self, row: int, n: int, expected: int, what: str) -> None:
        if n != expected:
            refuse_row(
                self._path,
                row + 1,
                f"holds {n} log-probabilities, expected {expected} for its {what}",
            )


def refuse_malformed(frame: pl.DataFrame, path: Path) -> None:
    """Refuse answers that cannot be what they claim to be.

    Raises:
        InvalidInput: For the first row that cannot; names it.
    """
    for name in ("question", "model", "model_sha256"):
        _refuse(frame[name].is_null(), path, f"'{name}' is missing")
    for name in ("question", "model_sha256"):
        _refuse(~frame[name].str.contains(_DIGEST), path, f"'{name}' is no SHA-256")
    for name in ("model", "model_sha256"):
        _refuse(frame[name] != frame[name][0], path, f"'{name}' is not that of the first row")
    for name in ("logprobs", "mean", "sd"):
        wrong = frame[name].list.eval(pl.element().is_null() | ~pl.element().is_finite())
        _refuse(wrong.list.any(), path, f"'{name}' holds something that is no number")
    _refuse(
        ~frame["model"].str.len_chars().is_between(1, _LONGEST_NAME), path, "'model' is no name"
    )
    below = frame["logprobs"].list.min() < _LEAST_LOGPROB
    _refuse(below, path, f"'logprobs' holds one below {_LEAST_LOGPROB:g}")
    for name in ("logprobs", "mean"):
        above = frame[name].list.max() > _ROUNDING
        _refuse(above, path, f"'{name}' holds a log-probability above 0")
    _refuse(frame["sd"].list.min() < 0, path, "'sd' holds a negative number")
    lengths = frame["logprobs"].list.len()
    for name in ("tokens", "mean", "sd"):
        other = frame[name].list.len() != lengths
        _refuse(other, path, f"'{name}' and 'logprobs' are not equally long")
    _refuse(
        frame["tokens"].list.eval(pl.element().is_null()).list.any(), path, "a token is missing"
    )
    _refuse(frame["mean"].is_null() != frame["sd"].is_null(), path, "has one of 'mean' and 'sd'")
    _refuse_contradictions(frame, path)


def _is_impossible(choices: Sequence[str], values: NDArray[np.float64]) -> bool:
    """Whether words of which none begins another are given more than all probability there is."""
    begins = any(a != b and b.startswith(a) for a in choices for b in choices)
    return not begins and float(np.exp(np.minimum(values, 0)).sum()) > _MOST_IN_ALL


def _refuse_contradictions(frame: pl.DataFrame, path: Path) -> None:
    """Two answers to one question may stand in a file only if they are the same."""
    repeated = frame.with_row_index("row").filter(pl.col("question").is_duplicated())
    first: dict[str, tuple[int, Any]] = {}
    for row, _, question, *values in repeated.iter_rows():
        before, kept = first.setdefault(question, (row, values))
        if values != kept:
            refuse_row(path, row + 1, f"answers the question of row {before + 1} in another way")


def _refuse(wrong: pl.Series, path: Path, what: str) -> None:
    rows: Iterable[int] = wrong.fill_null(value=False).arg_true()
    for row in rows:
        refuse_row(path, row + 1, what)


def _shown(question: Question) -> str:
    """A question, for one line."""
    if isinstance(question, Place):
        words = ", ".join(question.slot.choices)
        return f"{visible(words)!r:.{_SHOWN}} at character {question.slot.start} of {_shown(question.text)}"
    if isinstance(question, str):
        short = question if len(question) <= _SHOWN else f"{question[:_SHOWN]}..."
        return f"the text '{visible(short)}'"
    return f"the {len(question)} token ids {', '.join(map(str, question[:4]))}, ..."
