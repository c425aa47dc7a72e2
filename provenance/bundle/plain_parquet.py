"""The plainest parquet there is, written by ourselves: the same columns give the same bytes, for ever.

One row group, one page per column, no compression, no dictionary, nothing that may be missing. Every
reader of parquet opens it. It is not written by a library for two reasons: a library's next version packs
the same numbers differently; and no library at hand can be trusted with a hostile file (polars 2.1 ends
the whole process over a mutated one). What has one form only need not be parsed to be checked: whoever
reads it writes it again and compares.

Source: parquet.thrift of https://github.com/apache/parquet-format, in Thrift's compact protocol; numbers
of fields and enumerations are from there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["FOOTER_END", "MAGIC", "PlainColumn", "page_header", "plain_parquet"]

MAGIC = b"PAR1"
FOOTER_END = 4 + len(MAGIC)  # bytes after the footer: its length, and MAGIC
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12  # types of the compact protocol
_PHYSICAL = {"bool": 0, "int64": 2, "float64": 5, "string": 6}
_PLAIN, _RLE, _REQUIRED, _UTF8 = 0, 3, 0, 0
_CREATED_BY = b"bookplate plain parquet 1"


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """One column.

    Attributes:
        name: Its name.
        kind: bool, int64, float64 or string.
        body: Its values in parquet's encoding PLAIN: little-endian; bools as bits, the first one lowest;
            strings as UTF-8 after their length of 4 bytes.
    """

    name: str
    kind: str
    body: bytes


def plain_parquet(
    columns: Sequence[PlainColumn], n_rows: int, metadata: tuple[str, bytes]
) -> bytes:
    """The bytes of a parquet file.

    Args:
        columns: At least one.
        n_rows: Values of each, positive.
        metadata: A key and a value, which stand in the footer as they are.
    """
    pages, chunks, offset = [], [], len(MAGIC)
    for column in columns:
        header = page_header(len(column.body), n_rows)
        pages += [header, column.body]
        chunks.append(_chunk(column, n_rows, offset, len(header)))
        offset += len(header) + len(column.body)
    footer = _struct(
        (1, _I32, _whole(1)),  # version
        (2, _LIST, _list(_STRUCT, [_root(len(columns)), *map(_element, columns)])),
        (3, _I64, _whole(n_rows)),
        (4, _LIST, _list(_STRUCT, [_row_group(chunks, n_rows, offset - len(MAGIC))])),
        (5, _LIST, _list(_STRUCT, [_key_value(*metadata)])),
        (6, _BINARY, _binary(_CREATED_BY)),
    )
    return b"".join([MAGIC, *pages, footer, len(footer).to_bytes(4, "little"), MAGIC])


def page_header(size: int, n_rows: int) -> bytes:
    """What stands before the body of a column of so many bytes."""
    data_page = _struct(
        (1, _I32, _whole(n_rows)),
        (2, _I32, _whole(_PLAIN)),
        (3, _I32, _whole(_RLE)),  # of levels, of which required columns have none
        (4, _I32, _whole(_RLE)),
    )
    return _struct(
        (1, _I32, _whole(0)),  # a data page
        (2, _I32, _whole(size)),
        (3, _I32, _whole(size)),
        (5, _STRUCT, data_page),
    )


def _root(n_columns: int) -> bytes:
    return _struct((4, _BINARY, _binary(b"schema")), (5, _I32, _whole(n_columns)))


def _element(column: PlainColumn) -> bytes:
    text = [(6, _I32, _whole(_UTF8))] if column.kind == "string" else []
    return _struct(
        (1, _I32, _whole(_PHYSICAL[column.kind])),
        (3, _I32, _whole(_REQUIRED)),
        (4, _BINARY, _binary(column.name.encode("utf-8"))),
        *text,
    )


def _row_group(chunks: Sequence[bytes], n_rows: int, size: int) -> bytes:
    return _struct(
        (1, _LIST, _list(_STRUCT, chunks)), (2, _I64, _whole(size)), (3, _I64, _whole(n_rows))
    )


def _chunk(column: PlainColumn, n_rows: int, offset: int, header_size: int) -> bytes:
    size = _whole(header_size + len(column.body))
    described = _struct(
        (1, _I32, _whole(_PHYSICAL[column.kind])),
        (2, _LIST, _list(_I32, [_whole(_PLAIN)])),
        (3, _LIST, _list(_BINARY, [_binary(column.name.encode("utf-8"))])),
        (4, _I32, _whole(0)),  # no compression
        (5, _I64, _whole(n_rows)),
        (6, _I64, size),
        (7, _I64, size),
        (9, _I64, _whole(offset)),
    )
    return _struct((2, _I64, _whole(0)), (3, _STRUCT, described))


def _key_value(key: str, value: bytes) -> bytes:
    return _struct((1, _BINARY, _binary(key.encode("utf-8"))), (2, _BINARY, _binary(value)))


# ---- Thrift's compact protocol --------------------------------------------------------------------


def _struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Fields of (number, type, value), ascending by number, in steps of at most 15."""
    written, last = [], 0
    for number, kind, value in fields:
        written += [bytes([(number - last) << 4 | kind]), value]
        last = number
    return b"".join([*written, b"\0"])


def _list(kind: int, items: Iterable[bytes]) -> bytes:
    items = list(items)
    size = len(items)
    start = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + _varint(size)
    return start + b"".join(items)


def _binary(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _whole(value: int) -> bytes:
    """A whole number that is not negative, in zigzag form."""
    return _varint(2 * value)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
