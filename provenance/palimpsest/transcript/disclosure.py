"""Sequences that a claimant shows later, matched with the digests of a transcript."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....errors import InvalidInput
from .digests import SALT_BYTES, sequence_digest
from .layout import Content, sequences_in
from .tables import frames_of, schema_of

__all__ = ["disclosed_sequences"]

_FRAME_ROWS = 1 << 13


def disclosed_sequences(path: Path) -> dict[str, str | tuple[int, ...]]:
    """The sequence behind each digest.

    Args:
        path: A `.parquet` or `.jsonl` file with the columns `salt` (16 bytes, or 32 hexadecimal digits)
            and `tokens` or `text`; a sealed shard is one.

    Returns:
        Every sequence of the file under its `sequence_digest`.

    Raises:
        InvalidInput: If the file cannot be read, lacks a column, or a salt is malformed.
    """
    schema = schema_of(path)
    content = next((c for c in (Content.TOKENS, Content.TEXT) if c in schema), None)
    if "salt" not in schema or content is None:
        raise InvalidInput(
            f"{path}: expected columns 'salt' and 'tokens' or 'text'",
            f"the columns are {', '.join(schema)}",
        )
    sequences: dict[str, str | tuple[int, ...]] = {}
    first_row = 0
    for frame in frames_of(path, ["salt", content], _FRAME_ROWS):
        rows = np.arange(first_row, first_row + frame.height)
        found: Sequence[str | tuple[int, ...]] = sequences_in(frame[content], path, rows)
        for row, salt, sequence in zip(rows, frame["salt"], found, strict=True):
            sequences[sequence_digest(sequence, _salt(salt, path, int(row) + 1))] = sequence
        first_row += frame.height
    return sequences


def _salt(value: object, path: Path, row: int) -> bytes:
    try:
        salt = bytes.fromhex(value) if isinstance(value, str) else value
        if isinstance(salt, bytes) and len(salt) == SALT_BYTES:
            return salt
    except ValueError:
        pass
    raise InvalidInput(
        f"{path}: row {row}: expected a salt of {SALT_BYTES} bytes, or as many pairs of hexadecimal digits"
    )
