"""Documents of a corpus on disk: read, drawn from, cut into sequences."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import InvalidInput
from ..palimpsest.ngrams import ModelTokenizer, Tokenizer
from ..palimpsest.transcript.tables import SUFFIXES, frames_of, schema_of
from .sequences import TokenSequence, windows
from .tfidf import DocumentFiles

__all__ = ["Corpus", "DrawnSequences"]

_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class DrawnSequences:
    """Sequences of a corpus.

    Attributes:
        sequences: Those that were drawn, in the corpus's order.
        n_all: How many there are.
        n_documents: Documents that they were cut from.
        n_short: Documents of fewer than two tokens, which have no loss.
    """

    sequences: tuple[TokenSequence, ...]
    n_all: int
    n_documents: int
    n_short: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents in a `.parquet` or `.jsonl` file, or a folder of such files, and how they are read.

    Attributes:
        path: The file or folder.
        column: Column of texts, or of token ids.
        id_column: Column of ids; None calls a document by its position, from 0.
        tokenizer: What gives texts ids; None if they hold token ids.
    """

    path: Path
    column: str = "text"
    id_column: str | None = None
    tokenizer: Tokenizer | None = None

    @classmethod
    def of_texts(cls, path: Path, column: str, id_column: str | None, model: str) -> "Corpus":
        """Texts that are read with a model's tokenizer.

        Args:
            path: The file or folder.
            column: Column of texts.
            id_column: Column of ids, or None.
            model: Folder, or `owner/model` on the hub.
        """
        return cls(path, column, id_column, ModelTokenizer(model))

    def files(self) -> tuple[Path, ...]:
        """The files, by name.

        Raises:
            InvalidInput: If there are none.
        """
        if not self.path.is_dir():
            return (self.path,)
        found = tuple(sorted(p for p in self.path.rglob("*") if p.suffix in SUFFIXES))
        if not found:
            raise InvalidInput(f"{self.path}: holds no .parquet or .jsonl file")
        return found

    def documents(self) -> DocumentFiles:
        """The documents, batch by batch."""
        return DocumentFiles(
            self.files(), self.column, id_column=self.id_column, tokenizer=self.tokenizer
        )

    def column_at(self, positions: NDArray[np.int64], column: str) -> list[str]:
        """Another column's values, as texts, at ascending positions."""
        return DocumentFiles(self.files(), self.column, id_column=column).ids(positions)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Ids and texts, one after the other; documents without text are left out.

        Raises:
            InvalidInput: If a column is missing, or holds no texts.
        """
        columns = [self.column] if self.id_column is None else [self.column, self.id_column]
        position = 0
        for path in self.files():
            if missing := [name for name in columns if name not in schema_of(path)]:
                raise InvalidInput(f"{path}: has no column '{missing[0]}'")
            for frame in frames_of(path, columns, _ROWS):
                texts = frame[self.column]
                if texts.dtype not in {pl.String, pl.Null}:
                    raise InvalidInput(
                        f"{path}: expected texts in column '{self.column}', got {texts.dtype}"
                    )
                names = None if self.id_column is None else frame[self.id_column]
                for row, text in enumerate(texts):
                    if text:
                        yield str(position + row if names is None else names[row]), text
                position += frame.height

    def draw(self, n: int, length: int, seed: int) -> DrawnSequences:
        """At most n sequences, every choice of n equally likely.

        Which are drawn depends on their number and the seed only.

        Args:
            n: How many.
            length: Tokens of a sequence, as the model was trained.
            seed: Seed of the draw.

        Raises:
            InvalidInput: If there is no sequence of two tokens, or a number makes no sense.
        """
        if n < 1 or length < 2:
            raise InvalidInput(
                f"expected at least 1 sequence of at least 2 tokens, got {n} of {length}"
            )
        rng = np.random.Generator(np.random.Philox(seed))
        held: list[tuple[int, TokenSequence]] = []
        n_all = n_documents = n_short = 0
        for batch in self.documents():
            for row in range(len(batch)):
                n_documents += 1
                tokens = batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]
                n_short += tokens.size < 2
                for sequence in windows(str(batch.first + row), tokens.tolist(), length):
                    # Vitter's algorithm R: a sequence takes a place with probability n / (how many so far).
                    place = n_all if n_all < n else int(rng.integers(n_all + 1))
                    if place < n:
                        held[place : place + 1] = [(n_all, sequence)]
                    n_all += 1
        if not held:
            raise InvalidInput(f"{self.path}: holds no document of two tokens or more")
        return DrawnSequences(
            tuple(sequence for _, sequence in sorted(held, key=lambda pair: pair[0])),
            n_all,
            n_documents,
            n_short,
        )
