"""Published transcripts: one mean loss per training sequence and model, in columns `loss_<model>`.

Such files come with the code of arXiv 2510.19796: `index`, the place in the training order, `tokens`, and
the losses. A mean per sequence is all that the palimpsest query looks at, and too little for anything else.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....display import visible
from ....errors import InvalidInput
from ....files import canonical_json, sha256_of_file
from ....stats import Input
from ..base import ChoiceSlot
from .files import read_frame, refuse_row

__all__ = ["LOSS_PREFIX", "RecordedLosses"]

LOSS_PREFIX = "loss_"
_ROUNDING = 1e-3  # nats by which a loss may be below 0 in low precision
_TOO_LITTLE = "one loss per sequence serves the palimpsest query alone: ask for recorded answers"


class RecordedLosses:
    """A model by its mean loss on each of some sequences of token ids.

    Attributes:
        identity: The column, and SHA-256 over the file's digest and the column's name.
        source: The file.
        tells_means_only: Always true: nothing is known of single tokens.
    """

    tells_means_only = True

    def __init__(self, path: Path, column: str, losses: dict[bytes, float], source: Input) -> None:
        named = canonical_json({"file": source.sha256, "column": column})
        self.identity = Input(
            name=f"{visible(column)} of {source.name}", sha256=hashlib.sha256(named).hexdigest()
        )
        self.source = source
        self._path, self._losses = path, losses

    @classmethod
    def read(cls, path: Path, column: str) -> "RecordedLosses":
        """Read one column of losses.

        Args:
            path: A parquet file with `tokens`, lists of integers, and the column.
            column: Mean loss per token of each sequence but its first, in nats.

        Raises:
            InvalidInput: If the file has no such columns, or a row is malformed; names the row.
        """
        frame = read_frame(path, "a transcript with losses")
        kinds = {"tokens": frame.schema.get("tokens"), column: frame.schema.get(column)}
        inner = getattr(kinds["tokens"], "inner", None)
        if not isinstance(kinds["tokens"], pl.List) or not _is_integer(inner):
            raise InvalidInput(
                f"{path}: expected a column 'tokens' of lists of integers, got {kinds['tokens']}"
            )
        if not column.startswith(LOSS_PREFIX) or kinds[column] not in {pl.Float32, pl.Float64}:
            present = [name for name in frame.columns if name.startswith(LOSS_PREFIX)]
            raise InvalidInput(
                f"{path}: has no column of losses '{visible(column)}'",
                f"it has {', '.join(map(visible, present)) or 'none'}",
            )
        losses: dict[bytes, float] = {}
        first: dict[bytes, int] = {}
        for row, (tokens, loss) in enumerate(frame.select("tokens", column).iter_rows(), 1):
            if tokens is None or None in tokens or len(tokens) < 2:
                refuse_row(path, row, "expected at least two token ids, none missing")
            if loss is None or not np.isfinite(loss):
                refuse_row(path, row, f"'{visible(column)}' is no number")
            if loss < -_ROUNDING:
                refuse_row(path, row, f"'{visible(column)}' is below 0, so it is no loss")
            name = _digest(tokens)
            if losses.setdefault(name, loss) != loss:
                refuse_row(path, row, f"has the tokens of row {first[name]} and another loss")
            first.setdefault(name, row)
        source = Input(name=visible(path.name), sha256=sha256_of_file(path))
        return cls(path, column, losses, source)

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`: every token of a sequence gets the mean, so the mean is right.

        Raises:
            InvalidInput: If a sequence is a text, or is not in the file.
        """
        found = []
        for number, sequence in enumerate(sequences, 1):
            if isinstance(sequence, str):
                raise InvalidInput(f"{self._path}: holds no scores of texts", _TOO_LITTLE)
            loss = self._losses.get(_digest(sequence))
            if loss is None:
                raise InvalidInput(
                    f"{self._path}: sequence {number} of {len(sequences)} is not in it",
                    "the transcript must hold sequences of this very file",
                )
            found.append(np.full(len(sequence) - 1, -loss))
        return found

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`.

        Raises:
            InvalidInput: Always: there is nothing to tell words apart by.
        """
        raise InvalidInput(
            f"{self._path}: holds no scores of words, which {sum(map(len, slots)):,} places in "
            f"{len(texts):,} texts need",
            _TOO_LITTLE,
        )


def _is_integer(dtype: pl.DataType | type[pl.DataType] | None) -> bool:
    return dtype is not None and pl.Series(dtype=dtype).dtype.is_integer()


def _digest(tokens: Sequence[int]) -> bytes:
    return hashlib.sha256(np.asarray(tokens, dtype=np.int64).tobytes()).digest()
