"""The record of a training run: which sequence was trained on at which step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...files import sha256_of_file
from ...stats import Input

__all__ = ["Transcript"]

_FEWEST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Training sequences with their place in the order.

    Attributes:
        steps: Training step of each sequence, shape (n,); sequences of one batch share a step.
        sequences: Each sequence as text or as token ids of the model's tokenizer.
        source: The file it was read from.
    """

    steps: NDArray[np.int64]
    sequences: tuple[str | tuple[int, ...], ...]
    source: Input

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.sequences):
            raise InvalidInput(
                f"expected one step per sequence, got {len(self.steps)} and {len(self.sequences)}"
            )
        if len(self.sequences) < _FEWEST:
            raise InsufficientEvidence(
                f"{self.source.name}: {len(self.sequences)} sequences are too few",
                f"an order test needs at least {_FEWEST}; some thousands are usual",
            )
        if len(np.unique(self.steps)) < 2:
            raise InsufficientEvidence(
                f"{self.source.name}: all sequences have the same step, so there is no order to test"
            )

    @classmethod
    def read(cls, path: Path) -> "Transcript":
        """Read a transcript.

        Args:
            path: A `.parquet` or `.jsonl` file with the columns `step` (integer; `index` in published
                transcripts) and either `text` (string) or `tokens` (list of integers). Rows may come
                in any order.

        Returns:
            The transcript.

        Raises:
            InvalidInput: If the file cannot be read or lacks a column; names file and row.
            InsufficientEvidence: If it holds too few sequences, or only one step.
        """
        frame = _read_frame(path)
        steps = _steps(frame, path)
        sequences: Sequence[str | tuple[int, ...]]
        if "tokens" in frame.columns:
            sequences = _tokens(frame, path)
        elif frame.schema.get("text") == pl.String:
            sequences = _texts(frame, path)
        else:
            raise InvalidInput(
                f"{path}: expected a column 'text' of strings or 'tokens' of integer lists",
                f"the columns are {', '.join(frame.columns)}",
            )
        source = Input(name=path.name, sha256=sha256_of_file(path))
        return cls(steps=steps, sequences=tuple(sequences), source=source)

    @staticmethod
    def write(path: Path, steps: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:
        """Write a transcript of token sequences as parquet.

        Args:
            path: File to write.
            steps: Training step of each sequence.
            tokens: Token ids of each sequence.
        """
        schema = pl.Schema([("step", pl.Int64()), ("tokens", pl.List(pl.Int64))])
        rows = {"step": list(steps), "tokens": [list(ids) for ids in tokens]}
        pl.DataFrame(rows, schema=schema).write_parquet(path)


def _read_frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    try:
        with path.open("rb") as file:  # polars cannot take a path that is not UTF-8
            if path.suffix == ".parquet":
                return pl.read_parquet(file)
            if path.suffix == ".jsonl":
                return pl.read_ndjson(file, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"{path}: cannot be read as {path.suffix[1:]}: {reason}") from error
    raise InvalidInput(f"{path}: expected a .parquet or .jsonl transcript, got '{path.suffix}'")


def _steps(frame: pl.DataFrame, path: Path) -> NDArray[np.int64]:
    name = "step" if "step" in frame.columns or "index" not in frame.columns else "index"
    dtype = frame.schema.get(name)
    if dtype is None or not dtype.is_integer():
        raise InvalidInput(
            f"{path}: expected an integer column '{name}', got {dtype}",
            f"the columns are {', '.join(frame.columns)}",
        )
    _refuse_missing(frame[name], path)
    steps = frame[name].cast(pl.Int64, strict=False)
    if steps.null_count():
        raise InvalidInput(f"{path}: column '{name}': expected integers below 2**63")
    return steps.to_numpy()


def _tokens(frame: pl.DataFrame, path: Path) -> list[tuple[int, ...]]:
    dtype = frame.schema["tokens"]
    if not (
        isinstance(dtype, pl.List)
        and dtype.inner is not None
        and pl.Series(dtype=dtype.inner).dtype.is_integer()
    ):
        raise InvalidInput(f"{path}: column 'tokens': expected lists of integers, got {dtype}")
    _refuse_missing(frame["tokens"], path)
    sequences = [tuple(ids) for ids in frame["tokens"].to_list()]
    for row, ids in enumerate(sequences, 1):
        if len(ids) < 2 or None in ids or min(ids) < 0:
            raise InvalidInput(
                f"{path}: row {row}: expected at least two token ids, none negative or missing"
            )
    return sequences


def _texts(frame: pl.DataFrame, path: Path) -> list[str]:
    _refuse_missing(frame["text"], path)
    texts: list[str] = frame["text"].to_list()
    for row, text in enumerate(texts, 1):
        if not text.strip():
            raise InvalidInput(f"{path}: row {row}: the text is empty", "leave empty sequences out")
    return texts


def _refuse_missing(column: pl.Series, path: Path) -> None:
    if column.null_count():
        row = int(column.is_null().arg_max() or 0) + 1
        raise InvalidInput(f"{path}: row {row}: '{column.name}' is missing")
