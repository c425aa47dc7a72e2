"""Documents of a corpus on disk: read, drawn from, cut into sequences."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import InvalidInput, reason_of
from ...files import sha256_of_file
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
        found = tuple(
            sorted(p for p in self.path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        )
        if not found:
            raise InvalidInput(f"{self.path}: holds no .parquet or .jsonl file")
        return found

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each file, by its place in the folder.

        Raises:
            InvalidInput: If a file cannot be read.
        """
        root = self.path if self.path.is_dir() else self.path.parent
        try:
            return {p.relative_to(root).as_posix(): sha256_of_file(p) for p in self.files()}
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot be read: {reason_of(error)}") from error

    def documents(self) -> DocumentFiles:
        """The documents, batch by batch."""
        return _NamedFiles(self)

    def column_at(self, positions: NDArray[np.int64], column: str) -> list[str | None]:
        """Another column's values, as texts, at ascending positions; None where there is none.

        Raises:
            InvalidInput: If a file has no such column, or there are fewer documents.
        """
        found: list[str | None] = []
        for first, values in self._values(column):
            low, high = np.searchsorted(positions, (first, first + len(values)))
            found += [values[row] for row in (positions[low:high] - first).tolist()]
        if len(found) != positions.size:
            raise InvalidInput(
                f"{self.path}: has fewer documents than when it was read before",
                "let nobody write to it meanwhile",
            )
        return found

    def positions_of(self, names: Collection[str]) -> NDArray[np.int64]:
        """Where documents of these names are, ascending; nothing for a name that is not there.

        Args:
            names: Ids, a set or a mapping.

        Raises:
            InvalidInput: If two documents have one of them.
        """
        if self.id_column is None:
            n = self.n_documents()
            digits = (name for name in names if name.isdecimal() and len(name) <= len(str(n)))
            numbers = (int(name) for name in digits if str(int(name)) == name)
            return np.array(sorted(number for number in numbers if number < n), np.int64)
        found: list[int] = []
        times: Counter[str] = Counter()
        for first, values in self._values(self.id_column):
            for row, name in enumerate(values):
                if name is not None and name in names:
                    found.append(first + row)
                    times[name] += 1
        if repeated := [name for name, n in times.items() if n > 1]:
            raise InvalidInput(
                f"{self.path}: several documents are called {repeated[0]!r}",
                "give each an id of its own, or leave out --id-column",
            )
        return np.array(found, np.int64)

    def n_documents(self) -> int:
        """How many there are, short ones included."""
        files = self.files()
        return sum(f.height for path in files for f in frames_of(path, [self.column], _ROWS))

    def _values(self, column: str) -> Iterator[tuple[int, list[str | None]]]:
        """Position of the first row, and rows of a column as texts."""
        first = 0
        for path in self.files():
            _refuse_missing(path, [column])
            for frame in frames_of(path, [column], _ROWS):
                rows = frame[column].to_list()
                yield first, [None if value is None else str(value) for value in rows]
                first += len(rows)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Ids and texts, one after the other; documents without text are left out.

        Raises:
            InvalidInput: If a column is missing, or holds no texts.
        """
        columns = [self.column] if self.id_column is None else [self.column, self.id_column]
        position = 0
        for path in self.files():
            _refuse_missing(path, columns)
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


class _NamedFiles(DocumentFiles):
    """A corpus's files, of which no document may be without a name."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(
            corpus.files(), corpus.column, id_column=corpus.id_column, tokenizer=corpus.tokenizer
        )
        self._corpus = corpus

    def ids(self, positions: NDArray[np.int64]) -> list[str]:
        """Ids of the documents at these positions; reads the column of ids only.

        Raises:
            InvalidInput: If one of them has none.
        """
        if self._corpus.id_column is None:
            return super().ids(positions)
        names = self._corpus.column_at(positions, self._corpus.id_column)
        found = [name for name in names if name is not None]
        if len(found) < len(names):
            raise InvalidInput(
                f"{self._corpus.path}: the document at row {positions[names.index(None)] + 1:,} has no id in "
                f"column '{self._corpus.id_column}'",
                "give each an id of its own, or leave out --id-column",
            )
        return found


def _refuse_missing(path: Path, columns: Sequence[str]) -> None:
    found = list(schema_of(path))
    if not found:
        raise InvalidInput(f"{path}: is empty", "give a file with at least one row")
    if missing := [name for name in columns if name not in found]:
        raise InvalidInput(
            f"{path}: has no column '{missing[0]}'", f"its columns are {', '.join(found)}"
        )
