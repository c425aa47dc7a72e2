"""Reading parquet files that strangers wrote: every refusal is one line that names the file and the row."""

from pathlib import Path
from typing import NoReturn

import polars as pl

from ....display import visible
from ....errors import InvalidInput
from ...frames import readable

__all__ = ["read_columns", "read_frame", "refuse_format", "refuse_row"]


def read_frame(path: Path, what: str) -> pl.DataFrame:
    """All of a parquet file.

    Raises:
        InvalidInput: If it cannot be read.
    """
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file", f"expected {what}")
    # Opened here, as polars cannot take a path that is not UTF-8.
    with readable(path, what), path.open("rb") as file:
        return pl.read_parquet(file)


def read_columns(path: Path, schema: pl.Schema, what: str) -> pl.DataFrame:
    """The columns of a schema, of exactly these types and in this order.

    Raises:
        InvalidInput: If a column is missing or of another type.
    """
    frame = read_frame(path, what)
    for name, wanted in schema.items():
        found = frame.schema.get(name)
        if found != wanted:
            has = "there is none" if found is None else f"it holds {found}"
            raise InvalidInput(f"{path}: expected a column '{name}' of {wanted}, but {has}", what)
    return frame.select(list(schema))


def refuse_format(frame: pl.DataFrame, path: Path, expected: str) -> None:
    """Refuse a file of another format, or of a later version of ours.

    Raises:
        InvalidInput: If a row says so.
    """
    wrong = frame["format"].ne_missing(expected)
    if frame.height == 0:
        raise InvalidInput(f"{path}: holds no rows", f"expected the format {expected}")
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        found = visible(str(frame["format"][row])[:40])
        refuse_row(path, row + 1, f"has the format '{found}', expected '{expected}'")


def refuse_row(path: Path, row: int, what: str) -> NoReturn:
    """Refuse a row, counted from 1.

    Raises:
        InvalidInput: Always.
    """
    raise InvalidInput(f"{path}: row {row}: {what}", "ask for an intact file")
