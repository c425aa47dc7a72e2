"""Runs on disk, and lists of what to score next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ...errors import InvalidInput, reason_of
from ...files import new_file, read_json, sha256_of_file
from ...stats import Input
from .choosing import NextCandidates
from .corpus import Corpus

__all__ = [
    "FORMAT",
    "PAGE",
    "RECORD",
    "SCORES",
    "VERSION",
    "FinishedRun",
    "read_next",
    "read_run",
    "refuse_mixed",
    "write_next",
]

SCORES, PAGE, RECORD = "scores.parquet", "index.html", "run.json"
FORMAT, VERSION = "bookplate influence run", 1

_COLUMNS = {
    "query": pl.String,
    "document": pl.String,
    "influence": pl.Float64,
    "tokens": pl.Int64,
    "source": pl.String,
    "stratum": pl.String,
}
_DECISIVE = (
    "weights_sha256",
    "dtype",
    "factors",
    "fitted_on",
    "queries",
    "length",
    "damping",
    "query_rank",
    "training_size",
)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run on disk.

    Attributes:
        table: What `scores.parquet` holds.
        record: What `run.json` holds.
        inputs: Digests of both.

    Every query has a row for every document, in one order.
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
        raise InvalidInput(f"{path}: cannot be read: {reason_of(error)}", "score again") from error
    _refuse_incomplete(record, table, folder)
    name = folder.resolve().name
    inputs = (
        Input(name=f"{name}/{RECORD}", sha256=sha256_of_file(folder / RECORD)),
        Input(name=f"{name}/{SCORES}", sha256=digest),
    )
    return FinishedRun(table, record, inputs)


def _refuse_incomplete(record: Mapping[str, Any], table: pl.DataFrame, folder: Path) -> None:
    """The record does not vouch for itself: what others rely on is looked at."""
    model, corpus = record.get("model"), record.get("corpus")
    told = (
        isinstance(model, dict) and isinstance(model.get("name"), str) and isinstance(corpus, dict)
    )
    if not told or any(table.schema.get(name) != kind for name, kind in _COLUMNS.items()):
        raise InvalidInput(f"{folder}: its record or its scores lack something", "score again")
    queries = table["query"].unique(maintain_order=True)
    n = table.height // max(len(queries), 1)
    names = table["document"].head(n)
    whole = (
        n > 0
        and names.n_unique() == n
        and table["query"].to_list() == [query for query in queries for _ in range(n)]
        and table["document"].to_list() == names.to_list() * len(queries)
        and bool(table["influence"].is_finite().all())
    )
    if not whole:
        raise InvalidInput(
            f"{folder / SCORES}: does not hold each query with each document", "score again"
        )


def refuse_mixed(runs: Sequence[FinishedRun], corpus: Corpus) -> None:
    """Refuse runs whose scores cannot stand beside each other, or that are of other documents.

    Args:
        runs: The runs.
        corpus: Where their documents should be.

    Raises:
        InvalidInput: If two differ in what decides a score, or names mean other documents in the corpus.
    """
    first = runs[0].record
    for run in runs:
        other = [key for key in _DECISIVE if run.record.get(key) != first.get(key)]
        if run.record["model"].get("sha256") != first["model"].get(
            "sha256"
        ):  # the tokenizer's, too
            other.append("model")
        if other:
            raise InvalidInput(
                f"--run: {run.inputs[0].name} and {runs[0].inputs[0].name} differ in {', '.join(other)}: "
                "their scores cannot be compared",
                "score with the same model, factors, queries and options",
            )
        held = run.record["corpus"]
        if (held.get("column"), held.get("id_column")) != (corpus.column, corpus.id_column):
            raise InvalidInput(
                f"{run.inputs[0].name}: its documents were read from column {held.get('column')!r} and "
                f"named by {held.get('id_column')!r}, not {corpus.column!r} and {corpus.id_column!r}",
                "give the texts, and the columns, that were scored",
            )
        if corpus.id_column is None and held.get("files") != corpus.digests():
            raise InvalidInput(
                f"{corpus.path}: is not what {run.inputs[0].name} scored, and its documents have only their "
                "positions for names",
                "give the same texts, or score and choose with --id-column",
            )


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
    if (
        table["id"].null_count()
        or table["why"].null_count()
        or table["id"].n_unique() < table.height
    ):
        raise InvalidInput(f"{path}: an id is missing, or there twice", "name each document once")
    return dict(zip(table["id"].to_list(), table["why"].to_list(), strict=True))
