"""The columns of a transcript, and every refusal of malformed ones."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import InvalidInput

__all__ = ["Content", "Layout", "layout_of", "refuse_malformed", "sequences_in", "steps_in"]

_DIGEST = "^[0-9a-f]{64}$"
_TOO_LARGE = 2**32  # token ids are below it: no vocabulary comes near


class Content(StrEnum):
    """What a transcript holds of each sequence: the name of the column."""

    TOKENS = "tokens"
    TEXT = "text"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a transcript are read.

    Attributes:
        order: Column of the training step: `step`, or `index` in published transcripts.
        content: What stands for the sequences.
        has_position: Whether there is a column `position`, the place within the step.
    """

    order: str
    content: Content
    has_position: bool


def layout_of(schema: pl.Schema, path: Path) -> Layout:
    """Find the columns of a transcript.

    Raises:
        InvalidInput: If one is missing or has the wrong type.
    """
    order = "index" if "index" in schema and "step" not in schema else "step"
    has_position = "position" in schema
    for name in (order, *(["position"] if has_position else [])):
        dtype = schema.get(name)
        if dtype is None or not dtype.is_integer():
            raise InvalidInput(
                f"{path}: expected an integer column '{name}', got {dtype}",
                f"the columns are {', '.join(schema)}",
            )
    return Layout(order, _content_of(schema, path), has_position)


def _content_of(schema: pl.Schema, path: Path) -> Content:
    if (dtype := schema.get(Content.TOKENS)) is not None:
        inner = dtype.inner if isinstance(dtype, pl.List) else None
        if inner is None or not pl.Series(dtype=inner).dtype.is_integer():
            raise InvalidInput(
                f"{path}: column 'tokens': expected lists of integers, got {dtype}",
                "token ids are integers below 2**32",  # in JSON lines, larger ones come as strings
            )
        return Content.TOKENS
    for content in (Content.TEXT, Content.DIGEST):
        if schema.get(content) == pl.String:
            return content
    raise InvalidInput(
        f"{path}: expected a column 'text' of strings or 'tokens' of integer lists, or 'digest'",
        f"the columns are {', '.join(schema)}",
    )


def steps_in(column: pl.Series, path: Path, first_row: int) -> NDArray[np.int64]:
    """A column of steps or positions.

    Raises:
        InvalidInput: If one is missing, negative or beyond 64 bits; names its row.
    """
    _refuse_missing(column, path, first_row)
    if not column.dtype.is_integer():  # JSON lines may change their types on the way
        raise InvalidInput(
            f"{path}: expected an integer column '{column.name}', got {column.dtype}"
        )
    values = column.cast(pl.Int64, strict=False)
    if values.null_count():
        raise InvalidInput(f"{path}: column '{column.name}': expected integers below 2**63")
    steps = values.to_numpy()
    if len(steps) and steps.min() < 0:
        row = first_row + int((steps < 0).argmax()) + 1
        raise InvalidInput(f"{path}: row {row}: '{column.name}' is negative")
    return steps


def sequences_in(
    column: pl.Series, path: Path, rows: NDArray[np.int64]
) -> list[str] | list[tuple[int, ...]]:
    """The sequences, or digests, of some rows.

    Args:
        column: The column `tokens`, `text` or `digest`.
        path: For the error message.
        rows: Number of each row, from 0, for the error message.

    Raises:
        InvalidInput: If one is missing, empty or malformed, or a token id is 2**32 or more; names its row.
    """
    refuse_malformed(column, path, rows)
    if column.name == Content.TOKENS:
        return [tuple(ids) for ids in column.to_list()]
    texts: list[str] = column.to_list()
    return texts


def refuse_malformed(column: pl.Series, path: Path, rows: NDArray[np.int64]) -> None:
    """Refuse what `sequences_in` refuses, without taking the sequences out.

    Raises:
        InvalidInput: As for `sequences_in`.
    """
    _refuse_where(column.is_null(), path, rows, f"'{column.name}' is missing")
    content = _content_of(pl.Schema({column.name: column.dtype}), path)
    if content is Content.TOKENS:
        _refuse_malformed_tokens(column, path, rows)
    elif content is Content.DIGEST:
        malformed = ~column.str.contains(_DIGEST)
        _refuse_where(malformed, path, rows, "expected a digest of 64 hexadecimal digits")
    else:
        empty = pl.Series([not text.strip() for text in column], dtype=pl.Boolean)
        _refuse_where(empty, path, rows, "the text is empty", "leave empty sequences out")


def _refuse_malformed_tokens(column: pl.Series, path: Path, rows: NDArray[np.int64]) -> None:
    # As floats, integers of any type and size compare with the bounds, which floats hold exactly.
    smallest, largest = (ids.cast(pl.Float64) for ids in (column.list.min(), column.list.max()))
    n_tokens = column.list.len()
    malformed = (n_tokens < 2) | (column.list.drop_nulls().list.len() < n_tokens) | (smallest < 0)
    expected = "expected at least two token ids, none negative or missing"
    _refuse_where(malformed, path, rows, expected)
    _refuse_where(largest >= _TOO_LARGE, path, rows, "expected token ids below 2**32")


def _refuse_where(
    bad: pl.Series, path: Path, rows: NDArray[np.int64], message: str, hint: str = ""
) -> None:
    if bad.any():
        row = rows[int(bad.arg_max() or 0)] + 1
        raise InvalidInput(f"{path}: row {row}: {message}", hint)


def _refuse_missing(column: pl.Series, path: Path, first_row: int) -> None:
    if column.null_count():
        row = first_row + int(column.is_null().arg_max() or 0) + 1
        raise InvalidInput(f"{path}: row {row}: '{column.name}' is missing")
