"""The numbers behind one p-value as a file that any reader of parquet opens.

One row per number, columns as `stats.Working` names them, then `name` and `choice` where it is known what
the rows are. The test and its settings stand in the file's metadata, under `bookplate`, as canonical JSON.

An exhibit holds no text, no model and no key. It does tell what it is evidence of: one of a watermark
names the words that were drawn, so whoever has it can take the mark out of texts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import canonical_json, new_file
from ...stats.workings import LONGEST_LABEL, Scalar, Working
from ..custody.strict_json import canonical_object, fields_of
from .plain_parquet import FOOTER_END, MAGIC, PlainColumn, page_header, plain_parquet

__all__ = ["LARGEST_EXHIBIT", "read_exhibit", "write_exhibit"]

LARGEST_EXHIBIT = 1 << 30  # bytes
_FORMAT = "bookplate-exhibit/1"
_KEY = "bookplate"
_NAME, _CHOICE = "name", "choice"
# What a verifier can be asked to hold, and to compute: minutes, not days.
_MOST_ROWS = 10_000_000
_MOST_COLUMNS = 1_000
_MOST_NUMBERS = 100_000_000
_MOST_DRAWS = 10_000_000
_MOST_DRAWN_NUMBERS = 10**12
_LONGEST_STRING = 4 * LONGEST_LABEL  # bytes
_LARGEST_FOOTER = 1 << 20  # bytes
_DTYPES = {"int64": np.dtype("<i8"), "float64": np.dtype("<f8")}
_REALS = ("alpha", "bet")  # settings that canonical JSON may write like integers

_Header = tuple[str, dict[str, Scalar], int, list[tuple[str, str, int]]]


def write_exhibit(working: Working, path: Path) -> None:
    """Write what a p-value was computed from; the same working gives the same bytes.

    Args:
        working: A finding's working.
        path: File to make.

    Raises:
        InvalidInput: If the file exists, or it is more than `read_exhibit` would read.
    """
    if excess := _excess(working.n_rows, len(working.columns), working.settings):
        raise InvalidInput(f"{path}: {excess}", "test a sample, or draw less often")
    data = _encoded(working)
    if len(data) > LARGEST_EXHIBIT:
        raise InvalidInput(f"{path}: {len(data)} bytes, more than an exhibit may have")
    with new_file(path) as staged:
        staged.write_bytes(data)


def read_exhibit(source: bytes | Path, what: str = "the exhibit") -> Working:
    """Read what `write_exhibit` wrote, from a file that nobody vouches for.

    An exhibit has one form only. It is taken apart where that form says, written again, and the bytes are
    compared: so nothing in it means one thing here and another to another reader of parquet.

    Args:
        source: The file, or its bytes.
        what: What to call it in messages.

    Returns:
        A working, whole and of a known test; whether it is that of a finding, `Working.repeat` shows.

    Raises:
        VerificationError: If it cannot be read, is larger than a verifier can be asked to work through, or
            is no working in this version's form.
    """
    what = visible(what)
    data = _bytes_of(source, what)
    try:
        test, settings, n_rows, layout = _header(data, what)
        if excess := _excess(n_rows, len(layout), settings):
            raise VerificationError(f"{what}: {excess}")
        columns = _decoded(data, n_rows, layout, what)
        labels = {name: tuple(columns.pop(name, ())) for name in (_NAME, _CHOICE)}
        working = Working(
            test=test,
            columns=columns,
            settings=settings,
            names=labels[_NAME],
            choices=labels[_CHOICE],
        )
    except InvalidInput as error:
        raise VerificationError(f"{what}: {visible(str(error))}") from error
    if _encoded(working) != data:
        raise VerificationError(f"{what}: not in the one form that an exhibit has")
    return working


# ---- write ----------------------------------------------------------------------------------------


def _encoded(working: Working) -> bytes:
    columns = [_encoded_column(name, column) for name, column in working.columns.items()]
    for name, labels in ((_NAME, working.names), (_CHOICE, working.choices)):
        if labels:
            columns.append(PlainColumn(name, "string", _encoded_strings(labels)))
    header = {
        "columns": [[column.name, column.kind, len(column.body)] for column in columns],
        "format": _FORMAT,
        "rows": working.n_rows,
        "settings": _written(working.settings),
        "test": working.test,
    }
    return plain_parquet(columns, working.n_rows, (_KEY, canonical_json(header)))


def _encoded_column(name: str, column: NDArray[Any]) -> PlainColumn:
    if column.dtype == np.bool_:
        return PlainColumn(name, "bool", np.packbits(column, bitorder="little").tobytes())
    kind = column.dtype.name
    return PlainColumn(name, kind, column.astype(_DTYPES[kind], copy=False).tobytes())


def _encoded_strings(strings: tuple[str, ...]) -> bytes:
    told = [string.encode("utf-8") for string in strings]
    return b"".join(part for one in told for part in (len(one).to_bytes(4, "little"), one))


def _written(settings: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Settings for JSON; a seed, which may be beyond 2**53, as 16 hexadecimal digits."""
    seed = settings.get("seed")
    return {**settings, "seed": f"{seed:016x}"} if seed is not None else dict(settings)


# ---- read -----------------------------------------------------------------------------------------


def _bytes_of(source: bytes | Path, what: str) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with source.open("rb") as file:
                data = file.read(LARGEST_EXHIBIT + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise VerificationError(f"{what}: cannot be read: {reason}") from error
    if len(data) > LARGEST_EXHIBIT:
        raise VerificationError(f"{what}: more than {LARGEST_EXHIBIT} bytes")
    return data


def _header(data: bytes, what: str) -> _Header:
    """What the metadata say: test, settings, rows, and of each column name, kind and bytes."""
    end = len(data) - FOOTER_END
    size = int.from_bytes(data[max(end, 0) : end + 4], "little")
    footer = data[max(end - size, 0) : max(end, 0)]
    if not (data.startswith(MAGIC) and data.endswith(MAGIC)) or size > _LARGEST_FOOTER:
        raise VerificationError(f"{what}: no parquet file of an exhibit")
    begin = footer.find(b'{"columns":[[')
    if begin < 0 or (stop := footer.rfind(b"}") + 1) <= begin:
        raise VerificationError(f"{what}: its metadata do not say of which test it is")
    found = canonical_object(footer[begin:stop], what, limit=_LARGEST_FOOTER)
    if found.get("format") != _FORMAT:
        raise VerificationError(
            f"{what}: expected format {_FORMAT!r}, got {visible(repr(found.get('format'))[:80])}"
        )
    kinds = {"columns": list, "format": str, "rows": int, "settings": dict, "test": str}
    columns, _, n_rows, settings, test = fields_of(found, kinds, what)
    if n_rows < 1 or len(columns) > _MOST_COLUMNS:
        raise VerificationError(f"{what}: {n_rows} rows of {len(columns)} columns are no exhibit")
    for column in columns:
        if not isinstance(column, list) or [type(part) for part in column] != [str, str, int]:
            raise VerificationError(f"{what}: a column without name, kind and size")
    return test, _read_settings(settings), n_rows, [(n, kind, size) for n, kind, size in columns]


def _read_settings(settings: dict[str, Any]) -> dict[str, Scalar]:
    read = {n: float(v) if n in _REALS and type(v) is int else v for n, v in settings.items()}
    if "seed" in read:
        seed = read["seed"]
        if not isinstance(seed, str) or len(seed) != 16 or set(seed) - set("0123456789abcdef"):
            raise InvalidInput("settings: expected a seed of 16 hexadecimal digits")
        read["seed"] = int(seed, 16)
    return read


def _excess(n_rows: int, n_columns: int, settings: Mapping[str, Scalar]) -> str:
    """What is too much to hold or to compute; empty if nothing is."""
    if n_rows > _MOST_ROWS or n_rows * n_columns > _MOST_NUMBERS or n_columns > _MOST_COLUMNS:
        return f"{n_rows:,} rows of {n_columns:,} columns are more than an exhibit may have"
    draws = settings.get("n_resamples")
    if isinstance(draws, int) and (draws > _MOST_DRAWS or n_rows * draws > _MOST_DRAWN_NUMBERS):
        return f"{draws:,} draws for {n_rows:,} rows are more than can be repeated"
    return ""


def _decoded(
    data: bytes, n_rows: int, layout: list[tuple[str, str, int]], what: str
) -> dict[str, Any]:
    """Columns by name; strings as lists."""
    columns: dict[str, Any] = {}
    offset = len(MAGIC)
    for name, kind, size in layout:
        sizes = {"bool": (n_rows + 7) // 8, "int64": 8 * n_rows, "float64": 8 * n_rows}
        if name in columns or (kind == "string") != (name in {_NAME, _CHOICE}):
            raise VerificationError(f"{what}: a column that exhibits do not have, or twice")
        if size < 0 or sizes.get(kind, size) != size or kind not in {*sizes, "string"}:
            raise VerificationError(f"{what}: a column whose size is not that of its rows")
        offset += len(page_header(size, n_rows))
        body = data[offset : offset + size]
        offset += size
        if len(body) < size:
            raise VerificationError(f"{what}: cut short")
        columns[name] = _decoded_column(kind, body, n_rows, what)
    return columns


def _decoded_column(kind: str, body: bytes, n_rows: int, what: str) -> Any:
    if kind == "string":
        return _decoded_strings(body, n_rows, what)
    if kind == "bool":
        bits = np.unpackbits(np.frombuffer(body, np.uint8), count=n_rows, bitorder="little")
        return bits.astype(np.bool_)
    return np.frombuffer(body, _DTYPES[kind]).astype(kind)  # a copy in the machine's own order


def _decoded_strings(body: bytes, n_rows: int, what: str) -> list[str]:
    strings, offset = [], 0
    for _ in range(n_rows):
        size = int.from_bytes(body[offset : offset + 4], "little")
        if size > _LONGEST_STRING or offset + 4 + size > len(body):
            raise VerificationError(f"{what}: a string that is too long or cut short")
        try:
            strings.append(body[offset + 4 : offset + 4 + size].decode("utf-8"))
        except UnicodeDecodeError:
            raise VerificationError(f"{what}: a string that is no UTF-8") from None
        offset += 4 + size
    return strings
