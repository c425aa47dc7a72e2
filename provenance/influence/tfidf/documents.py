"""A corpus that does not fit in memory, as batches of token ids that can be read again and again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ..sequences import TokenSequence

if TYPE_CHECKING:
    import polars as pl

    from ...palimpsest.ngrams import Tokenizer
    from .filtered import Filtered

__all__ = ["DocumentBatch", "DocumentFiles", "DocumentList", "DocumentSource", "candidates_of"]

_ROWS = 1 << 14  # documents of a batch


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents that follow one another in the corpus.

    Attributes:
        first: Position of the first in the corpus, counted from 0.
        tokens: Token ids of all, one document after the other, none negative.
        offsets: Document d owns `tokens[offsets[d]:offsets[d + 1]]`, shape (B + 1,); it may own none.

    Raises:
        InvalidInput: If the arrays do not fit together, or an id is negative.
    """

    first: int
    tokens: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.tokens.dtype != np.int64 or self.offsets.dtype != np.int64:
            raise InvalidInput(
                f"batch at document {self.first:,}: expected tokens and offsets of int64, got "
                f"{self.tokens.dtype} and {self.offsets.dtype}"
            )
        fits = (
            self.first >= 0
            and self.tokens.ndim == self.offsets.ndim == 1
            and self.offsets.size > 0
            and self.offsets[0] == 0
            and self.offsets[-1] == self.tokens.size
            and bool((np.diff(self.offsets) >= 0).all())
        )
        if not fits:
            raise InvalidInput(
                f"batch at document {self.first:,}: offsets must rise from 0 to the number of tokens"
            )
        if self.tokens.size and self.tokens.min() < 0:
            raise InvalidInput(f"batch at document {self.first:,}: a token id is negative")

    def __len__(self) -> int:
        return self.offsets.size - 1


class DocumentSource(Protocol):
    """A corpus. Its batches may come in any order; each document belongs to one, every time it is read."""

    def __iter__(self) -> Iterator[DocumentBatch]:
        """Read the corpus from its start."""

    def ids(self, positions: NDArray[np.int64]) -> list[str]:
        """Ids of the documents at these positions, which ascend."""


class DocumentList:
    """Documents in memory.

    Args:
        documents: One sequence for each document.
        batch_size: Documents of a batch.
    """

    def __init__(self, documents: Sequence[TokenSequence], batch_size: int = _ROWS) -> None:
        self._documents = documents
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[DocumentBatch]:
        for first in range(0, len(self._documents), self._batch_size):
            rows = self._documents[first : first + self._batch_size]
            yield _joined(first, [np.array(row.tokens, dtype=np.int64) for row in rows])

    def ids(self, positions: NDArray[np.int64]) -> list[str]:
        """Ids of the documents at these positions."""
        return [self._documents[position].id for position in positions.tolist()]


class DocumentFiles:
    """Documents in parquet or JSON lines, one a row, read some 64 MB at a time.

    A document without tokens (null, or an empty list or text) keeps its position.

    Args:
        paths: Files, in the order of the corpus. A parquet file's row groups are decoded whole.
        column: Column of token ids (lists of integers), or of texts if there is a tokenizer.
        id_column: Column of ids; None calls a document by its position.
        tokenizer: What gives texts ids; `palimpsest.ngrams.WordTokenizer` for plain words.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        column: str,
        *,
        id_column: str | None = None,
        tokenizer: "Tokenizer | None" = None,
    ) -> None:
        self._paths = tuple(paths)
        self._column = column
        self._id_column = id_column
        self._tokenizer = tokenizer

    def __iter__(self) -> Iterator[DocumentBatch]:
        for first, frame, path in self._frames(self._column):
            rows = frame[self._column]
            if self._tokenizer is not None:
                yield _joined(first, self._tokenizer.encode(_texts(rows, path)))
            else:
                yield DocumentBatch(first, *_flat(rows, path))

    def ids(self, positions: NDArray[np.int64]) -> list[str]:
        """Ids of the documents at these positions; reads the column of ids only."""
        if self._id_column is None:
            return [str(position) for position in positions.tolist()]
        found: list[str] = []
        for first, frame, _ in self._frames(self._id_column):
            low, high = np.searchsorted(positions, (first, first + frame.height))
            rows = positions[low:high] - first
            found += [str(value) for value in frame[self._id_column].gather(rows).to_list()]
        return found

    def _frames(self, column: str) -> Iterator[tuple[int, "pl.DataFrame", Path]]:
        from ...palimpsest.transcript.tables import frames_of, schema_of

        first = 0
        for path in self._paths:
            if column not in schema_of(path):
                raise InvalidInput(f"{path}: has no column '{column}'")
            for frame in frames_of(path, [column], _ROWS):
                yield first, frame, path
                first += frame.height


def candidates_of(documents: DocumentSource, filtered: "Filtered") -> list[TokenSequence]:
    """The documents that a filter chose for any query, each once, in the order of their positions.

    Reads the corpus once more. Those of a single token, whose loss has nothing to stand on, are left out; the
    default settings choose none. Longer ones than the model's context are for `windows` to cut.

    Args:
        documents: The corpus that was filtered.
        filtered: The result.

    Raises:
        InvalidInput: If two of them have the same id.
    """
    positions = filtered.positions()
    names = dict(zip(positions.tolist(), filtered.ids(), strict=True))
    repeated = [name for name, n in Counter(names.values()).items() if n > 1]
    if repeated:
        raise InvalidInput(
            f"documents: {len(repeated):,} ids are those of several documents, e.g. '{repeated[0]}'",
            "give each an id of its own, or leave out the column of ids",
        )
    found: list[tuple[int, TokenSequence]] = []
    for batch in documents:
        low, high = np.searchsorted(positions, (batch.first, batch.first + len(batch)))
        for position in positions[low:high].tolist():
            row = position - batch.first
            tokens = batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]
            if tokens.size > 1:
                found.append((position, TokenSequence(names[position], tuple(tokens.tolist()))))
    return [sequence for _, sequence in sorted(found, key=lambda pair: pair[0])]


def _joined(first: int, rows: Sequence[NDArray[np.int64]]) -> DocumentBatch:
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([row.size for row in rows], out=offsets[1:])
    return DocumentBatch(first, np.concatenate([*rows, np.zeros(0, dtype=np.int64)]), offsets)


def _texts(rows: "pl.Series", path: Path) -> list[str]:
    import polars as pl

    if rows.dtype not in {pl.String, pl.Null}:
        raise InvalidInput(f"{path}: expected texts in column '{rows.name}', got {rows.dtype}")
    return [text or "" for text in rows.to_list()]


def _flat(rows: "pl.Series", path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import polars as pl

    inner = getattr(rows.dtype, "inner", None)
    if rows.dtype == pl.Null or inner == pl.Null:  # only documents without tokens, in JSON
        rows, inner = rows.cast(pl.List(pl.Int64)), pl.Int64()
    if inner is None or not inner.is_integer():
        raise InvalidInput(
            f"{path}: expected lists of integers in column '{rows.name}', got {rows.dtype}",
            "name a tokenizer if it holds texts",
        )
    lengths = rows.list.len().fill_null(0).to_numpy()
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    values = rows.filter(lengths > 0).explode()
    if values.null_count():
        raise InvalidInput(f"{path}: a list in column '{rows.name}' holds a null")
    return values.cast(pl.Int64).to_numpy(), offsets
