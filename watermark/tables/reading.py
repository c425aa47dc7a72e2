"""Finding the files of a dataset, and reading a whole one."""

import re
from pathlib import Path

from ...errors import InvalidInput
from .pieces import ENDINGS, Format, Kind, Piece, format_of
from .spliced import SplicedTable
from .streams import read_blocks
from .table import Columns, Place, TextTable

__all__ = ["dataset_files", "read_table", "refuse_empty", "table_file"]


def read_table(path: Path, *, text_column: str = "text", id_column: str | None = None) -> TextTable:
    """Read a whole table of texts.

    Args:
        path: A `.parquet`, `.jsonl` or `.csv` file (UTF-8), the latter two also `.gz` or `.zst`.
        text_column: Name of the column or key that holds the text.
        id_column: Name of the column or key that identifies a row; None if there is none. An id
            that is no string is taken as it is written.

    Returns:
        The table; it has at least one row.

    Raises:
        InvalidInput: If the file is missing, unreadable, not UTF-8, empty, lacks a column, or
            holds a missing text or a lone surrogate; the message names file and row.
    """
    known = table_file(path)
    content = b""
    if known.kind is not Kind.PARQUET:
        content = b"".join(read_blocks(path, known.compression))
    table = Piece(known.kind, Place(path), Columns(text_column, id_column), content).read()
    refuse_empty(path, len(table.texts))
    if isinstance(table, SplicedTable):
        table.compression = known.compression
    return table


def table_file(path: Path) -> Format:
    """The format of a file that is there.

    Raises:
        InvalidInput: If it is a folder, is not there, or has none of our endings.
    """
    if path.is_dir():
        raise InvalidInput(f"{path}: is a folder", "name one file in it")
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    return format_of(path)


def dataset_files(source: Path, *, but: str = "") -> dict[str, Path]:
    """The files of a dataset by their names below it, in the order of these names.

    Args:
        source: A file, or a folder of files, also in folders within it. What is hidden is left out.
        but: Name of a file at the top of the folder that is none of the dataset's.

    Returns:
        Path of each file; at least one. A single file goes by its own name.

    Raises:
        InvalidInput: If a file is not there or has none of our endings, a name could not be published,
            or the folder holds none.
    """
    if not source.is_dir():
        table_file(source)
        found = {source.name: source}
    else:
        every = list(source.rglob("*"))
        for path in every:  # which are not looked into
            if path.is_symlink() and path.is_dir():
                raise InvalidInput(
                    f"{path}: is a link to a folder", "copy the folder there, or name it by itself"
                )
        names = {path: path.relative_to(source) for path in every if path.is_file()}
        found = {
            name.as_posix(): path
            for path, name in names.items()
            if not any(part.startswith(".") for part in name.parts) and name.as_posix() != but
        }
        if not found:
            raise InvalidInput(
                f"{source}: holds no dataset files", f"their names end in {', '.join(ENDINGS)}"
            )
    for name, path in found.items():
        format_of(path)
        if "\\" in name or re.match(r"[A-Za-z]:", name):
            raise InvalidInput(
                f"{path}: a name like this means another place on some systems", "rename the file"
            )
    return dict(sorted(found.items()))


def refuse_empty(path: Path, n_rows: int) -> None:
    """Check that a file has rows.

    Raises:
        InvalidInput: If it has none.
    """
    if n_rows == 0:
        raise InvalidInput(f"{path}: the dataset is empty", "give a file with at least one row")
