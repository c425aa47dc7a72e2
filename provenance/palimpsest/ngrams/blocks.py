"""The rows of a transcript as an index takes them: in blocks, as token ids."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from ....errors import InvalidInput
from ..transcript import Content, Transcript, TranscriptSource
from ..transcript.layout import sequences_in
from .building import Block
from .tokenising import Tokenizer

__all__ = ["blocks_of"]

_ROWS = 4_096


def blocks_of(transcript: Transcript | TranscriptSource, tokenizer: Tokenizer) -> Iterator[Block]:
    """All rows of a transcript; one on disk is read bit by bit.

    Args:
        transcript: Of token ids, which are taken as they are, or of text, which is tokenised.
        tokenizer: What tokenises it.

    Raises:
        InvalidInput: If it is a sample, holds digests, or a row is malformed or has no token.
    """
    if isinstance(transcript, Transcript):
        yield from _of_memory(transcript, tokenizer)
        return
    if transcript.content is Content.DIGEST:
        raise InvalidInput(
            f"{transcript.path}: holds digests of its sequences only",
            "name the file of sequences and salts that the claimant disclosed",
        )
    row = 0
    for frame in transcript.frames(_ROWS):
        sequences = _ids_in(frame[transcript.content], transcript, row, tokenizer)
        yield frame["step"].to_numpy(), sequences
        row += frame.height


def _of_memory(transcript: Transcript, tokenizer: Tokenizer) -> Iterator[Block]:
    if transcript.description:
        raise InvalidInput(
            f"{transcript.source.name}: only a sample of it was loaded",
            "index the whole transcript",
        )
    for begin in range(0, len(transcript.sequences), _ROWS):
        rows = transcript.sequences[begin : begin + _ROWS]
        texts = [row for row in rows if isinstance(row, str)]
        if texts and len(texts) < len(rows):
            raise InvalidInput(f"{transcript.source.name}: holds texts and token ids")
        steps = transcript.steps[begin : begin + len(rows)]
        yield steps, _encoded(texts, tokenizer) if texts else [np.array(row) for row in rows]


def _ids_in(
    column: pl.Series, source: TranscriptSource, row: int, tokenizer: Tokenizer
) -> list[ArrayLike]:
    if source.content is Content.TOKENS and (quick := _cut(column)) is not None:
        return quick
    rows = np.arange(row, row + len(column))
    checked = sequences_in(column, source.path, rows)  # says which row is malformed
    texts = [sequence for sequence in checked if isinstance(sequence, str)]
    return _encoded(texts, tokenizer) if texts else [np.array(ids) for ids in checked]


def _cut(column: pl.Series) -> list[ArrayLike] | None:
    """Lists of ids, without a Python object for each; None unless all are well formed."""
    if column.null_count():
        return None
    lengths = column.list.len().to_numpy()
    if not lengths.size or lengths.min() < 2:
        return None
    flat = column.explode()
    if flat.null_count() or not flat.dtype.is_integer():
        return None
    return list(np.split(flat.to_numpy(), np.cumsum(lengths)[:-1]))


def _encoded(texts: list[str], tokenizer: Tokenizer) -> list[ArrayLike]:
    return list(tokenizer.encode(texts))
