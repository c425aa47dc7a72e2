"""What is said of a released dataset: by its owner, and by its files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from ...display import visible
from ...errors import InvalidInput
from ...files import sha256_of_file
from ..tables import Columns, pieces_of
from ..tables.csv_rows import csv_header
from ..tables.pieces import Kind, format_of
from ..tables.streams import Compression, read_blocks
from ..tables.table import Place

__all__ = ["Column", "Described", "DescribedFile", "file_at", "one_line", "paragraphs_of"]

_MEDIA_TYPES = {
    Kind.PARQUET: "application/x-parquet",  # as readers of Croissant know it
    Kind.JSON_LINES: "application/jsonlines",
    Kind.CSV: "text/csv",
}
_PACKED_TYPES = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}
_ADDRESS = re.compile(r"https?://[!#-;=?-\[\]_a-z~]{1,2000}", re.ASCII)
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,99}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_LONGEST_TEXT = 100_000
_HEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name.
        data_type: `sc:Text`, `sc:Integer`, `sc:Float`, `sc:Boolean`, `sc:Date` or `sc:DateTime`.
    """

    name: str
    data_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedFile:
    """One published file.

    Attributes:
        name: Path below the release, with `/`.
        sha256: Its digest.
        size: Its bytes.
        media_type: MIME type.
        rows: How many rows it has.
        columns: Those of simple types; empty if it is not described column by column.
    """

    name: str
    sha256: str
    size: int
    media_type: str
    rows: int = 0
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the owner says of a dataset.

    Attributes:
        name: Its title.
        description: In a few sentences; a blank line begins a paragraph.
        license: SPDX identifier, such as CC-BY-4.0, or an address.
        url: Where the dataset is described.
        creator: Who made it.
        person: Whether that is a person, not an organisation.
        published: When, as 2030-01-31.
        version: Which version.
        languages: Codes such as `en` (ISO 639-1, or 639-3).
        tags: Whatever the dataset should be found by.

    Raises:
        InvalidInput: If one of them is empty, or not of its form.
    """

    name: str
    description: str
    license: str
    url: str
    creator: str
    published: str
    person: bool = False
    version: str = "1.0.0"
    languages: tuple[str, ...] = ("en",)
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, text in (
            ("name", self.name),
            ("description", self.description),
            ("creator", self.creator),
            ("version", self.version),
        ):
            _refuse_unfit_text(what, text)
        for address in (self.url, *([self.license] if _is_address(self.license) else [])):
            if not _ADDRESS.fullmatch(address):
                raise InvalidInput(f"{visible(address[:200])!r}: expected an http or https address")
        if not _is_address(self.license) and not _SPDX.fullmatch(self.license):
            raise InvalidInput(
                f"license {visible(self.license[:200])!r}: expected an SPDX identifier, or an address",
                "such as CC-BY-4.0; https://spdx.org/licenses/ lists them",
            )
        if not _DATE.fullmatch(self.published) or not _is_date(self.published):
            raise InvalidInput(
                f"published {visible(self.published[:80])!r}: expected a date, as 2030-01-31"
            )
        for language in self.languages:
            if not _LANGUAGE.fullmatch(language):
                raise InvalidInput(
                    f"language {visible(language[:80])!r}: expected a code such as en"
                )
        for tag in self.tags:
            _refuse_unfit_text("tag", tag)

    @property
    def license_url(self) -> str:
        """Address of the license."""
        if _is_address(self.license):
            return self.license
        return f"https://spdx.org/licenses/{self.license}.html"


def file_at(path: Path, name: str, text_column: str) -> DescribedFile:
    """A released file, described by what is in it.

    Args:
        path: Where it lies.
        name: Its name below the release.
        text_column: Column of the texts.

    Raises:
        InvalidInput: If it cannot be read as a dataset.
    """
    known = format_of(path)
    rows = sum(
        len(piece.texts()) if piece.n_rows is None else piece.n_rows
        for piece in pieces_of(path, Columns(text_column))
    )
    return DescribedFile(
        name=name,
        sha256=sha256_of_file(path),
        size=path.stat().st_size,
        media_type=_PACKED_TYPES.get(known.compression, _MEDIA_TYPES[known.kind]),
        rows=rows,
        columns=_columns_of(path),
    )


def one_line(text: str) -> str:
    """Foreign text as one line of characters that can be seen."""
    return visible(" ".join(text.split()))


def paragraphs_of(text: str) -> list[str]:
    """Foreign text as paragraphs, one line each."""
    return [line for part in re.split(r"\n\s*\n", text) if (line := one_line(part))]


def _columns_of(path: Path) -> tuple[Column, ...]:
    """Columns of simple types; none of a compressed text file, which readers would have to unpack.

    Of JSON lines, the first megabyte says which types there are.
    """
    known = format_of(path)
    if known.kind is Kind.PARQUET:
        with path.open("rb") as file:
            types = {name: _type_of(dtype) for name, dtype in pl.read_parquet_schema(file).items()}
    elif known.compression is not Compression.NONE:
        return ()
    elif known.kind is Kind.CSV:
        types = dict.fromkeys(csv_header(_head_of(path), Place(path)), "sc:Text")
    else:
        types = _types_in(_head_of(path))
    return tuple(Column(name, kind) for name, kind in types.items() if kind)


def _head_of(path: Path) -> str:
    """Whole lines from the start of a text file."""
    head = next(read_blocks(path, Compression.NONE, _HEAD), b"")
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]
    return whole.decode("utf-8", errors="replace").removeprefix("\ufeff")


def _type_of(dtype: pl.DataType) -> str:
    """Croissant's type of a column; empty if it has no simple one."""
    if dtype.is_integer():
        return "sc:Integer"
    if dtype.is_float():
        return "sc:Float"
    simple = {
        pl.String: "sc:Text",
        pl.Categorical: "sc:Text",
        pl.Boolean: "sc:Boolean",
        pl.Date: "sc:Date",
        pl.Datetime: "sc:DateTime",
    }
    return simple.get(dtype.base_type(), "")


def _types_in(lines: str) -> dict[str, str]:
    """Types of the keys of some JSON lines; a key that is missing, null or mixed somewhere has none."""
    kinds: dict[str, set[type]] = {}
    count: dict[str, int] = {}
    rows = [json.loads(line) for line in lines.split("\n") if line.strip()]
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(type(value))
            count[name] = count.get(name, 0) + 1
    return {name: _json_type(kinds[name]) if count[name] == len(rows) else "" for name in kinds}


def _json_type(kinds: set[type]) -> str:
    if kinds == {int, float}:
        return "sc:Float"
    names: Mapping[Any, str] = {
        str: "sc:Text",
        bool: "sc:Boolean",
        int: "sc:Integer",
        float: "sc:Float",
    }
    return names.get(next(iter(kinds)), "") if len(kinds) == 1 else ""


def _refuse_unfit_text(what: str, text: str) -> None:
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"{what}: expected 1 to {_LONGEST_TEXT:,} characters, got {len(text):,}")


def _is_address(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
