"""The private table of every slot and choice of a release.

A manifest has one row per distinct record: `record` (SHA-256 of the original text), `released`
(SHA-256 of the released text), `ids`, `salt`, and `slots`. It holds no text but the replaced words;
with it a released text becomes the original again, byte for byte. Rows are sorted by record, so the
manifest does not depend on the order of the dataset.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import InvalidInput, VerificationError
from ..files import canonical_json, hexadecimal
from ..provenance.custody import MerkleCommitment, MerkleTree, leaf_hash
from .keys import Drawer, MarkingKey
from .marking import Marking
from .tables import Edit, apply_edits
from .tables.parquet import write_frames

__all__ = [
    "MANIFEST_ROWS",
    "ROW_SCHEMA",
    "Manifest",
    "ManifestHeader",
    "MarkedRecord",
    "MarkedSlot",
    "digest_of",
    "leaf_of",
    "parse_record",
    "rows_frame",
    "write_rows",
]

_FORMAT = "bookplate-manifest/1"
_METADATA_KEY = "bookplate"
MANIFEST_ROWS = 4_096  # fixed, so that a manifest's bytes follow from its rows alone


@dataclass(frozen=True, slots=True)
class MarkedSlot:
    """A slot with its draws.

    Attributes:
        start: First character in the original text (code points).
        end: End, exclusive.
        choices: What may stand there; the original comes first.
        choice: Index of the released choice.
        ghosts: Index of each ghost's choice; empty by type.
        unit: The word type.
        surprisals: -log2 of each choice's frequency, in bits.
    """

    start: int
    end: int
    choices: tuple[str, ...]
    choice: int
    ghosts: tuple[int, ...]
    unit: str
    surprisals: tuple[float, ...]

    @property
    def original(self) -> str:
        """The word as it stood."""
        return self.choices[0]

    @property
    def released(self) -> str:
        """The word as it is published."""
        return self.choices[self.choice]


@dataclass(frozen=True, slots=True)
class MarkedRecord:
    """A distinct text and its slots.

    Attributes:
        record: SHA-256 of the original text (UTF-8), hexadecimal.
        released: SHA-256 of the released text.
        slots: Slots in the order of the text.
        ids: The dataset's own ids of this text, sorted; empty if it has none.
        rows: Row numbers of this text in the dataset, from 0; kept only where another record
            happens to have the same released text.
    """

    record: str
    released: str
    slots: tuple[MarkedSlot, ...]
    ids: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    def release_edits(self) -> list[Edit]:
        """What turns the original into the released text."""
        return [Edit(s.start, s.end, s.released) for s in self.slots if s.choice != 0]

    def restore_edits(self) -> list[Edit]:
        """What turns the released text into the original."""
        edits, shift = [], 0
        for slot in self.slots:
            if slot.choice != 0:
                start = slot.start + shift
                edits.append(Edit(start, start + len(slot.released), slot.original))
                shift += len(slot.released) - len(slot.original)
        return edits

    def ghost_texts(self, original: str) -> list[str]:
        """The full text of each ghost."""
        n_ghosts = len(self.slots[0].ghosts) if self.slots else 0
        return [
            apply_edits(
                original, [Edit(s.start, s.end, s.choices[s.ghosts[g]]) for s in self.slots]
            )
            for g in range(n_ghosts)
        ]


def digest_of(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, hexadecimal: the default id of a record."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All marked records of one release, sorted by record.

    Attributes:
        marking: How the dataset was marked.
        lexicon_sha256: Digest of the substitution table.
        key_commitment: Public commitment to the key that drew the choices.
        records: One entry per distinct text.
        salts: One salt per record, hexadecimal.
        recipient: Whose copy this is; empty where there is one copy for all. The key that drew the
            choices then is the owner's, else `MarkingKey.for_recipient` of it.
        files: Name and number of rows of each released file, in order, if there are several; row
            numbers count through all of them.
    """

    marking: Marking
    lexicon_sha256: str
    key_commitment: str
    records: tuple[MarkedRecord, ...]
    salts: tuple[str, ...]
    recipient: str = ""
    files: tuple[tuple[str, int], ...] = ()

    @classmethod
    def create(
        cls,
        marking: Marking,
        lexicon_sha256: str,
        key: MarkingKey,
        records: Sequence[MarkedRecord],
        *,
        recipient: str = "",
    ) -> "Manifest":
        """Sort and salt the records of one release; `key` is the one that drew them."""
        ordered = tuple(sorted(records, key=lambda record: record.record))
        salt = key.row_salter()
        return cls(
            marking=marking,
            lexicon_sha256=lexicon_sha256,
            key_commitment=key.commitment,
            records=ordered,
            salts=tuple(salt(record.record).hex() for record in ordered),
            recipient=recipient,
        )

    def commitment(self) -> MerkleCommitment:
        """Merkle commitment whose leaves are the salted rows, in order.

        Row numbers are left out: they depend on the order of the dataset, which is not committed to.
        """
        tree = MerkleTree()
        tree.extend(map(leaf_of, self.records, self.salts))
        return tree.commitment()

    def write(self, path: Path) -> None:
        """Write the manifest as parquet."""
        frame = rows_frame(self.records, self.salts)
        starts = range(0, max(frame.height, 1), MANIFEST_ROWS)
        write_rows(path, (frame.slice(start, MANIFEST_ROWS) for start in starts), self.header)

    @property
    def header(self) -> "ManifestHeader":
        """What holds for all records."""
        return ManifestHeader(
            marking=self.marking,
            lexicon_sha256=self.lexicon_sha256,
            key_commitment=self.key_commitment,
            recipient=self.recipient,
            files=self.files,
        )

    def first_row_of(self, file: Path) -> int | None:
        """Rows of the release before those of a released file; None if this cannot be told."""
        if not self.files:
            return 0
        tail = file.resolve().parts
        found, first_row = [], 0
        for name, n_rows in self.files:
            parts = tuple(name.split("/"))
            if tail[-len(parts) :] == parts:
                found.append(first_row)
            first_row += n_rows
        return found[0] if len(found) == 1 else None

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Args:
            path: A file that `write` wrote.

        Returns:
            The manifest.

        Raises:
            InvalidInput: If the file is no manifest of this version.
        """
        if not path.is_file():
            raise InvalidInput(f"{path}: no such file", "a manifest lies in the folder private/")
        try:
            return cls._parsed(path)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise InvalidInput(
                f"{path}: cannot be read as parquet: {str(error).partition(chr(10))[0]}",
                "give the private/manifest.parquet of a release",
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"{path}: not a manifest of this version: {error}",
                "give the private/manifest.parquet of a release",
            ) from error

    @classmethod
    def _parsed(cls, path: Path) -> "Manifest":
        with path.open("rb") as file:
            metadata = pl.read_parquet_metadata(file).get(_METADATA_KEY)
        if metadata is None:
            raise ValueError("its parquet metadata lack the marking parameters")
        with path.open("rb") as file:
            frame = pl.read_parquet(file)
        header = ManifestHeader.parse(metadata)
        if frame.schema != ROW_SCHEMA:
            raise ValueError(f"its columns are {frame.columns}")
        records = tuple(
            parse_record(row, header.marking.ghosts) for row in frame.iter_rows(named=True)
        )
        if any(a.record >= b.record for a, b in pairwise(records)):
            raise ValueError("its records are not in order")
        return cls(
            marking=header.marking,
            lexicon_sha256=header.lexicon_sha256,
            key_commitment=header.key_commitment,
            records=records,
            salts=tuple(hexadecimal(32, salt, "salt") for salt in frame["salt"]),
            recipient=header.recipient,
            files=header.files,
        )

    def redrawn(self, key: MarkingKey, *, recipient: str = "") -> "Manifest":
        """The same slots with another key's choices, for tests.

        The digests of the released texts, which are not known, are left empty.
        """
        drawer = key.drawer()
        return replace(
            self,
            key_commitment=key.commitment,
            recipient=recipient,
            records=tuple(_redrawn(record, self.marking, drawer) for record in self.records),
        )

    def by_original(self) -> dict[str, MarkedRecord]:
        """Each record by the digest of its original text."""
        return {record.record: record for record in self.records}

    def match(
        self,
        texts: Sequence[str],
        where: str,
        *,
        ids: Sequence[str] | None = None,
        first_row: int | None = 0,
    ) -> Iterator[MarkedRecord]:
        """The record of each released text; see `match_digests`.

        Args:
            texts: Released texts, in any order; rows may be missing.
            where: Name of their file, for error messages.
            ids: The dataset's own id of each text, or None.
            first_row: Rows of the release before them; None if unknown.

        Returns:
            For each text its record.
        """
        digests = [digest_of(text) for text in texts]
        return self.match_digests(digests, where, ids=ids, first_row=first_row)

    def match_digests(
        self,
        digests: Sequence[str],
        where: str,
        *,
        ids: Sequence[str] | None = None,
        first_row: int | None = 0,
    ) -> Iterator[MarkedRecord]:
        """The record of each released text, by the texts' digests.

        Where several originals became the same text, ids tell them apart, or else their rows if these
        are where they were.

        Args:
            digests: `digest_of` of released texts, in any order; rows may be missing.
            where: Name of their file, for error messages.
            ids: The dataset's own id of each text, or None.
            first_row: Rows of the release before them; None if unknown.

        Yields:
            For each text its record.

        Raises:
            VerificationError: If a text is not in this release, or could be one of several records.
        """
        known: dict[str, list[MarkedRecord]] = {}
        for record in self.records:
            known.setdefault(record.released, []).append(record)
        rows_of: dict[str, list[int]] = {}
        for row, digest in enumerate(digests):
            if len(known.get(digest, ())) > 1:
                rows_of.setdefault(digest, []).append(row)
        owners: dict[int, MarkedRecord] = {}
        for digest, rows in rows_of.items():
            owners |= _owners(known[digest], rows, len(digests), ids, first_row)
        for row, digest in enumerate(digests):
            if digest not in known:
                raise VerificationError(
                    f"{where}: row {row + 1} is not a released text of this manifest",
                    "manifest and released file belong to different releases, or the text was edited",
                )
            if digest in rows_of and row not in owners:
                raise VerificationError(
                    f"{where}: row {row + 1} could be one of several originals, as rows were moved",
                    "give the rows in the order of the release, or name the id column it was made with",
                )
            yield owners[row] if row in owners else known[digest][0]

    def check_key(self, key: MarkingKey) -> None:
        """Check that a key is the one that drew these choices.

        Args:
            key: The owner's key, or the recipient's own.

        Raises:
            VerificationError: If it is another key, or a choice is not the one it draws.
        """
        if self.recipient and key.commitment != self.key_commitment:
            key = key.for_recipient(self.recipient)
        if key.commitment != self.key_commitment:
            raise VerificationError(
                "this key did not mark this release (its commitment differs)",
                "give the key file that was used for 'watermark embed'",
            )
        drawer = key.drawer()
        for record in self.records:
            for index, slot in enumerate(record.slots):
                n = len(slot.choices)
                drawn = self.marking.draw(drawer, record.record, index, slot.unit, n)
                if drawn != (slot.choice, *slot.ghosts):
                    raise VerificationError(
                        f"record {record.record[:16]}, slot {index + 1}: the choice is not the key's draw",
                        "the manifest was altered",
                    )


def _redrawn(record: MarkedRecord, marking: Marking, drawer: Drawer) -> MarkedRecord:
    slots = []
    for index, slot in enumerate(record.slots):
        drawn = marking.draw(drawer, record.record, index, slot.unit, len(slot.choices))
        slots.append(replace(slot, choice=drawn[0], ghosts=drawn[1:]))
    return replace(record, released="", slots=tuple(slots))


def _owners(
    records: Sequence[MarkedRecord],
    rows: Sequence[int],
    n_rows: int,
    ids: Sequence[str] | None,
    first_row: int | None,
) -> dict[int, MarkedRecord]:
    """Which of several records with one released text each row holds, as far as this can be told."""
    by_id: dict[str, list[MarkedRecord]] = {}
    for record in records:
        for name in record.ids:
            by_id.setdefault(name, []).append(record)
    first = 0 if first_row is None else first_row
    by_row = {
        row - first: record
        for record in records
        for row in record.rows
        if first_row is not None and first <= row < first + n_rows
    }
    in_place = sorted(by_row) == list(rows)
    owners = {}
    for row in rows:
        named = [] if ids is None else by_id.get(ids[row], [])
        if len(named) == 1:
            owners[row] = named[0]
        elif in_place:
            owners[row] = by_row[row]
    return owners


_HEADER = {"format", "marking", "lexicon_sha256", "key_commitment", "recipient"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestHeader:
    """What holds for all records of a manifest; see `Manifest` for the attributes."""

    marking: Marking
    lexicon_sha256: str
    key_commitment: str
    recipient: str = ""
    files: tuple[tuple[str, int], ...] = ()

    def metadata(self) -> dict[str, str]:
        """The header as metadata of a parquet file."""
        header: dict[str, Any] = {
            "format": _FORMAT,
            "marking": asdict(self.marking),
            "lexicon_sha256": self.lexicon_sha256,
            "key_commitment": self.key_commitment,
            "recipient": self.recipient,
        }
        if self.files:
            # Names may hold bytes that are no text: ASCII JSON can write them, RFC 8785 cannot.
            header["files"] = [[json.dumps(name), n_rows] for name, n_rows in self.files]
        return {_METADATA_KEY: canonical_json(header).decode()}

    @classmethod
    def parse(cls, metadata: str) -> "ManifestHeader":
        """Read what `metadata` wrote.

        Raises:
            ValueError: If it is no header of this version.
        """
        header = json.loads(metadata)
        if not isinstance(header, dict) or set(header) - {"files"} != _HEADER:
            raise ValueError(f"its header is {header!r}")
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']!r}")
        return cls(
            marking=Marking.from_dict(header["marking"]),
            lexicon_sha256=hexadecimal(64, header["lexicon_sha256"], "digest of the table"),
            key_commitment=hexadecimal(64, header["key_commitment"], "key commitment"),
            recipient=_name(header["recipient"]),
            files=_files(header.get("files", [])),
        )


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


def write_rows(path: Path, frames: Iterable[pl.DataFrame], header: ManifestHeader) -> None:
    """Write a manifest file of rows in order, `MANIFEST_ROWS` to a frame."""
    write_frames(path, frames, header.metadata())


def leaf_of(record: MarkedRecord, salt: str) -> bytes:
    """Hash of a salted row, a leaf of the commitment.

    The row is canonical JSON (RFC 8785) without its row numbers, which depend on the order of the
    dataset. It is put together here from parts that recur, as the general encoder would take longer
    than the marking; a test compares the two.
    """
    ids = ",".join(map(_json_text, record.ids))
    slots = ",".join(map(_slot_json, record.slots))
    return leaf_hash(
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
    return slot


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")
    return value


def _files(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} does not list the released files")
    files = []
    for entry in value:
        match entry:
            case [str(name), int(n_rows)] if n_rows >= 0 and name.isascii():
                files.append((_name(json.loads(name)), n_rows))
            case _:
                raise ValueError(f"{entry!r} is no name and number of rows")
    return tuple(files)


def _refuse_nulls(data: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if data[name] is None or None in data[name]:
            raise ValueError(f"'{name}' is missing or holds a missing value")
