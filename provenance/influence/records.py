"""Runs on disk, and lists of what to score next."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ...errors import InvalidInput
from ...files import new_file, read_json, sha256_of_file
from ...stats import Input
from .choosing import NextCandidates

__all__ = [
    "FORMAT",
    "PAGE",
    "RECORD",
    "SCORES",
    "VERSION",
    "FinishedRun",
    "read_next",
    "read_run",
    "write_next",
]

SCORES, PAGE, RECORD = "scores.parquet", "index.html", "run.json"
FORMAT, VERSION = "bookplate influence run", 1


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run on disk.

    Attributes:
        table: What `scores.parquet` holds.
        record: What `run.json` holds.
        inputs: Digests of both.
    """

    table: pl.DataFrame
    record: Mapping[str, Any]
    inputs: tuple[Input, ...]


def read_run(folder: Path) -> FinishedRun:
    """A run's scores, held against its record.

    Raises:
        InvalidInput: If the folder holds no run of this version, or the scores were changed.
    """
    record = read_json(folder / RECORD, "the record of an influence run")
    if record.get("format") != FORMAT or record.get("version") != VERSION:
        raise InvalidInput(
            f"{folder / RECORD}: expected '{FORMAT}' version {VERSION}",
            "give the folder that 'bookplate influence score' made",
        )
    path = folder / SCORES
    try:
        digest = sha256_of_file(path)
        files = record["files"]
        if not isinstance(files, dict) or digest != files.get(SCORES):
            raise InvalidInput(f"{path}: has changed since it was written", "score again")
        with path.open("rb") as file:
            table = pl.read_parquet(file)
    except (OSError, KeyError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}", "score again") from error
    inputs = (
        Input(name=f"{folder.name}/{RECORD}", sha256=sha256_of_file(folder / RECORD)),
        Input(name=f"{folder.name}/{SCORES}", sha256=digest),
    )
    return FinishedRun(table, record, inputs)


def write_next(path: Path, chosen: NextCandidates) -> None:
    """Write which documents are to be scored next: a parquet file with columns id and why.

    Raises:
        InvalidInput: If it exists already, or cannot be written.
    """
    ids = [*chosen.greedy, *chosen.explored]
    why = ["predicted"] * len(chosen.greedy) + ["explored"] * len(chosen.explored)
    with new_file(path) as staged, staged.open("wb") as file:
        pl.DataFrame({"id": ids, "why": why}).write_parquet(file)


def read_next(path: Path) -> dict[str, str]:
    """Why each of some documents is to be scored, by id.

    Raises:
        InvalidInput: If the file is not what `write_next` wrote.
    """
    try:
        with path.open("rb") as file:
            table = pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InvalidInput(f"{path}: cannot be read: {str(error).partition(chr(10))[0]}") from error
    if table.schema != pl.Schema({"id": pl.String, "why": pl.String}) or not table.height:
        raise InvalidInput(
            f"{path}: expected columns id and why, both texts",
            "give the file that 'bookplate influence next' made",
        )
    return dict(zip(table["id"].to_list(), table["why"].to_list(), strict=True))
