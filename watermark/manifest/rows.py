"""The rows of a manifest: as a table, as leaves of its commitment, and read back with every check."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
import polars as pl

from ...files import canonical_json, hexadecimal
from ...provenance.custody import leaf_hash
from ..marking import type_name
from .records import MarkedRecord, MarkedSlot

__all__ = ["ROW_SCHEMA", "leaf_data", "leaf_of", "parse_record", "rows_frame"]

_SLOT_TYPE = pl.Struct([
    pl.Field("start", pl.Int64),
    pl.Field("end", pl.Int64),
    pl.Field("original", pl.String),
    pl.Field("choices", pl.List(pl.String)),
    pl.Field("choice", pl.Int64),
    pl.Field("ghosts", pl.List(pl.Int64)),
    pl.Field("unit", pl.String),
    pl.Field("surprisals", pl.List(pl.Float64)),
])
ROW_SCHEMA = pl.Schema([
    ("record", pl.String()),
    ("released", pl.String()),
    ("ids", pl.List(pl.String)),
    ("rows", pl.List(pl.Int64)),
    ("slots", pl.List(_SLOT_TYPE)),
    ("salt", pl.String()),
])


def rows_frame(records: Sequence[MarkedRecord], salts: Sequence[str]) -> pl.DataFrame:
    """The rows of a manifest as a table of `ROW_SCHEMA`.

    Built column by column: polars takes rows as dictionaries ten times as slowly.
    """
    slots = [slot for record in records for slot in record.slots]
    fields = pl.DataFrame(
        {
            "start": [s.start for s in slots],
            "end": [s.end for s in slots],
            "original": [s.original for s in slots],
            "choices": _lists([s.choices for s in slots], pl.String()),
            "choice": [s.choice for s in slots],
            "ghosts": _lists([s.ghosts for s in slots], pl.Int64()),
            "unit": [s.unit for s in slots],
            "surprisals": _lists([s.surprisals for s in slots], pl.Float64()),
        },
        schema={field.name: field.dtype for field in _SLOT_TYPE.fields},
    )
    columns = {
        "record": [r.record for r in records],
        "released": [r.released for r in records],
        "ids": _lists([r.ids for r in records], pl.String()),
        "rows": _lists([r.rows for r in records], pl.Int64()),
        "slots": _grouped(fields.to_struct(), [len(r.slots) for r in records]),
        "salt": salts,
    }
    return pl.DataFrame(columns, schema=ROW_SCHEMA)


def _lists(values: Sequence[Sequence[Any]], inner: pl.DataType) -> pl.Series:
    """A column of lists; polars takes a sequence of sequences one by one, which is slow."""
    flat = pl.Series(list(chain.from_iterable(values)), dtype=inner)
    return _grouped(flat, [len(value) for value in values])


def _grouped(flat: pl.Series, lengths: Sequence[int]) -> pl.Series:
    """A column of lists of these lengths."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    lists = (
        pl
        .DataFrame({"owner": owners, "value": flat}, schema_overrides={"owner": pl.Int64})
        .group_by("owner", maintain_order=True)
        .agg("value")
    )
    every = pl.DataFrame({"owner": pl.int_range(len(lengths), eager=True)})
    joined = every.join(lists, on="owner", how="left", maintain_order="left")
    return joined["value"].fill_null(pl.Series([[]], dtype=pl.List(flat.dtype)))


def leaf_of(record: MarkedRecord, salt: str) -> bytes:
    """Hash of a salted row, a leaf of the commitment."""
    return leaf_hash(leaf_data(record, salt))


def leaf_data(record: MarkedRecord, salt: str) -> bytes:
    """A salted row as it is hashed.

    The row is canonical JSON (RFC 8785) without its row numbers, which depend on the order of the
    dataset. It is put together here from parts that recur, as the general encoder would take longer
    than the marking; a test compares the two.
    """
    ids = ",".join(map(_json_text, record.ids))
    slots = ",".join(map(_slot_json, record.slots))
    return (
        f'{{"row":{{"ids":[{ids}],"record":"{record.record}","released":"{record.released}",'
        f'"slots":[{slots}]}},"salt":"{salt}"}}'.encode()
    )


def _slot_json(slot: MarkedSlot) -> str:
    choices, surprisals = _word_json(slot.choices, slot.surprisals)
    return (
        f'{{"choice":{slot.choice},"choices":{choices},"end":{slot.end},'
        f'"ghosts":[{",".join(map(str, slot.ghosts))}],"original":{_json_text(slot.original)},'
        f'"start":{slot.start},"surprisals":{surprisals},"unit":{_json_text(slot.unit)}}}'
    )


@lru_cache(maxsize=1 << 14)
def _word_json(choices: tuple[str, ...], surprisals: tuple[float, ...]) -> tuple[str, str]:
    return canonical_json(list(choices)).decode(), canonical_json(list(surprisals)).decode()


@lru_cache(maxsize=1 << 14)
def _json_text(text: str) -> str:
    return canonical_json(text).decode()


def parse_record(row: Mapping[str, Any], n_ghosts: int) -> MarkedRecord:
    """Read a row of `ROW_SCHEMA`.

    Raises:
        ValueError: If it is no record with so many ghosts.
    """
    name = hexadecimal(64, row["record"], "digest of a record")
    try:
        _refuse_nulls(row, ("ids", "rows", "slots"))
        record = MarkedRecord(
            name,
            hexadecimal(64, row["released"], "digest of a released text"),
            tuple(_slot(slot, n_ghosts) for slot in row["slots"]),
            tuple(row["ids"]),
            tuple(row["rows"]),
        )
        if any(a.end > b.start for a, b in pairwise(record.slots)):
            raise ValueError("its slots overlap")
    except ValueError as error:
        raise ValueError(f"record {name[:16]}: {error}") from error
    return record


def _slot(data: Mapping[str, Any], n_ghosts: int) -> MarkedSlot:
    if data is None:
        raise ValueError("a slot is missing")
    _refuse_nulls(data, ("choices", "ghosts", "surprisals"))
    _refuse_nulls({"slot": list(data.values())}, ("slot",))
    slot = MarkedSlot(
        data["start"],
        data["end"],
        tuple(data["choices"]),
        data["choice"],
        tuple(data["ghosts"]),
        data["unit"],
        tuple(data["surprisals"]),
    )
    n = len(slot.choices)
    if n < 2 or not all(0 <= c < n for c in (slot.choice, *slot.ghosts)):
        raise ValueError("a choice lies outside its slot")
    if len(slot.ghosts) != n_ghosts or len(slot.surprisals) != n:
        raise ValueError("a slot has too few or too many ghosts or surprisals")
    if slot.start < 0 or slot.end - slot.start != len(slot.original) or not slot.original:
        raise ValueError("a slot is not as long as its word")
    if slot.original != data["original"]:
        raise ValueError("a slot does not hold its original")
    if slot.unit != type_name(
        slot.choices
    ):  # a free name could be ground until its draw is the wanted one
        raise ValueError("a slot's unit is not named by its choices")
    if len({choice.lower() for choice in slot.choices}) < n:
        raise ValueError("two choices of a slot are one word")
    if not all(map(math.isfinite, slot.surprisals)):
        raise ValueError("a surprisal is no number")
    return slot


def _refuse_nulls(data: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if data[name] is None or None in data[name]:
            raise ValueError(f"'{name}' is missing or holds a missing value")
