"""Tables of texts: parquet, JSON lines and CSV, read with their texts and written back with edits.

JSON lines and CSV, also compressed by gzip or zstd, are edited in place: outside the replaced words
every byte stays as it was, other columns, spacing, quoting and line ends included. In a compressed
file this holds for what it unpacks to. Parquet keeps every other column with its type.

`read_table` takes a whole file into memory; `pieces_of` and `join` take one of any size bit by bit.
"""

from .edits import Edit, apply_edits
from .pieces import ENDINGS, PIECE_BYTES, Format, Kind, Piece, format_of, join, pieces_of
from .reading import dataset_files, read_table, refuse_empty, table_file
from .table import Columns, Place, TextTable

__all__ = [
    "ENDINGS",
    "PIECE_BYTES",
    "Columns",
    "Edit",
    "Format",
    "Kind",
    "Piece",
    "Place",
    "TextTable",
    "apply_edits",
    "dataset_files",
    "format_of",
    "join",
    "pieces_of",
    "read_table",
    "refuse_empty",
    "table_file",
]
