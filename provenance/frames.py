"""polars on files that strangers wrote: what it cannot read is one line that names the file."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl

from ..display import visible
from ..errors import InvalidInput

__all__ = ["UNREADABLE", "readable", "scanned"]

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_LONGEST = (
    300  # characters of what polars says; a column's name, which it quotes, may have a megabyte
)


@contextmanager
def readable(path: Path, what: str, hint: str = "") -> Generator[None]:
    """Turn what polars raises while it reads a file into one line.

    Args:
        path: The file.
        what: What it should be, such as "parquet".
        hint: What to do about it.

    Raises:
        InvalidInput: If it cannot be read.
    """
    try:
        yield
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(
            f"{path}: cannot be read as {what}: {visible(reason[:_LONGEST])}", hint
        ) from error


def scanned(file: IO[bytes]) -> pl.LazyFrame:
    """A parquet file that is open, to be read in part: as it is, whatever its name may mean to polars."""
    return pl.scan_parquet(file, glob=False, hive_partitioning=False)
