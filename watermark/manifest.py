"""The private table of every slot and choice, and the public description of a release.

A manifest has one row per distinct record: `record` (SHA-256 of the original text), `released`
(SHA-256 of the released text), `ids`, `salt`, and `slots`. It holds no text but the replaced words;
with it a released text becomes the original again, byte for byte. Rows are sorted by record, so the
manifest does not depend on the order of the dataset.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InvalidInput, VerificationError
from ..files import canonical_json, read_json
from ..provenance.custody import MerkleCommitment, commit
from ..tables import Edit, apply_edits
from .keys import Drawer, MarkingKey
from .lexicon import Tier

__all__ = ["Manifest", "MarkedRecord", "MarkedSlot", "Marking", "Release", "Unit", "digest_of"]

_MANIFEST_FORMAT = "bookplate-manifest/1"
_RELEASE_FORMAT = "bookplate-release/1"
_METADATA_KEY = "bookplate"


class Unit(StrEnum):
    """What one draw of the key decides."""

    TYPE = "type"  # a word type: one choice for the whole dataset
    RECORD = "record"  # every slot of every record, with ghosts to compare whole records


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """How a dataset is marked.

    Attributes:
        unit: What one draw decides.
        tier: Tier of the substitution table.
        per_sentence: Most slots per sentence (K).
        ghosts: Unpublished variants per record (M); 0 unless the unit is the record.
    """

    unit: Unit = Unit.TYPE
    tier: Tier = Tier.STRICT
    per_sentence: int = 5
    ghosts: int = 0

    def __post_init__(self) -> None:
        if self.per_sentence < 1:
            raise InvalidInput(f"expected at least 1 word per sentence, got {self.per_sentence}")
        if self.unit is Unit.TYPE and self.ghosts:
            raise InvalidInput("ghosts belong to the unit 'record'; by type the test needs none")
        if self.unit is Unit.RECORD and not 1 <= self.ghosts <= 999:
            raise InvalidInput(
                f"the unit 'record' needs 1 to 999 ghosts, got {self.ghosts}", "19 is a good number"
            )

    def draw(
        self, drawer: Drawer, record: str, index: int, word: str, n_choices: int
    ) -> tuple[int, ...]:
        """The released choice of a slot, then each ghost's.

        Args:
            drawer: The key's source of choices.
            record: SHA-256 of the original text, so that equal texts get equal marks.
            index: Which slot of the record.
            word: The slot's word type.
            n_choices: How many choices the slot has.

        Returns:
            Indices in [0, n_choices), one more than there are ghosts.
        """
        if self.unit is Unit.TYPE:
            return (drawer.draw(n_choices, "type", word),)
        return tuple(
            drawer.draw(n_choices, "record", record, str(index), str(variant))
            for variant in range(self.ghosts + 1)
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Marking":
        """Read what `dataclasses.asdict` wrote.

        Raises:
            InvalidInput: If a field is missing, unknown or out of range.
        """
        try:
            return cls(**{**data, "unit": Unit(data["unit"]), "tier": Tier(data["tier"])})
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidInput(f"unknown marking parameters: {error}") from error


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
    """

    marking: Marking
    lexicon_sha256: str
    key_commitment: str
    records: tuple[MarkedRecord, ...]
    salts: tuple[str, ...]

    @classmethod
    def create(
        cls, marking: Marking, lexicon_sha256: str, key: MarkingKey, records: Sequence[MarkedRecord]
    ) -> "Manifest":
        """Sort and salt the records of one release."""
        ordered = tuple(sorted(records, key=lambda record: record.record))
        salt = key.row_salter()
        return cls(
            marking=marking,
            lexicon_sha256=lexicon_sha256,
            key_commitment=key.commitment,
            records=ordered,
            salts=tuple(salt(record.record).hex() for record in ordered),
        )

    def commitment(self) -> MerkleCommitment:
        """Merkle commitment whose leaves are the salted rows, in order.

        Row numbers are left out: they depend on the order of the dataset, which is not committed to.
        """
        return commit(
            canonical_json({"salt": salt, "row": _row(record, rows=False)})
            for record, salt in zip(self.records, self.salts, strict=True)
        )

    def write(self, path: Path) -> None:
        """Write the manifest as parquet."""
        rows = [
            {**_row(record), "salt": salt}
            for record, salt in zip(self.records, self.salts, strict=True)
        ]
        header = {
            "format": _MANIFEST_FORMAT,
            "marking": asdict(self.marking),
            "lexicon_sha256": self.lexicon_sha256,
            "key_commitment": self.key_commitment,
        }
        metadata = {_METADATA_KEY: canonical_json(header).decode()}
        pl.DataFrame(rows, schema=_SCHEMA).write_parquet(path, metadata=metadata)

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
        except (pl.exceptions.PolarsError, OSError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{path}: not a manifest of this version: {error}",
                "give the private/manifest.parquet of a release",
            ) from error

    @classmethod
    def _parsed(cls, path: Path) -> "Manifest":
        header = json.loads(pl.read_parquet_metadata(path)[_METADATA_KEY])
        frame = pl.read_parquet(path, glob=False)
        if header["format"] != _MANIFEST_FORMAT or frame.schema != _SCHEMA:
            raise ValueError(f"format {header['format']!r} with columns {frame.columns}")
        return cls(
            marking=Marking.from_dict(header["marking"]),
            lexicon_sha256=header["lexicon_sha256"],
            key_commitment=header["key_commitment"],
            records=tuple(_record(row) for row in frame.iter_rows(named=True)),
            salts=tuple(frame["salt"].to_list()),
        )

    def by_original(self) -> dict[str, MarkedRecord]:
        """Each record by the digest of its original text."""
        return {record.record: record for record in self.records}

    def match(self, texts: Sequence[str], where: str) -> Iterator[MarkedRecord]:
        """The record of each released text.

        Args:
            texts: Released texts, in any order.
            where: Name of their file, for error messages.

        Yields:
            For each text its record.

        Raises:
            VerificationError: If a text is not in this release.
        """
        known: dict[str, list[MarkedRecord]] = {}
        for record in self.records:
            known.setdefault(record.released, []).append(record)
        for row, text in enumerate(texts):
            candidates = known.get(digest_of(text), [])
            if len(candidates) > 1:
                candidates = [c for c in candidates if row in c.rows]
            if len(candidates) != 1:
                raise VerificationError(
                    f"{where}: row {row + 1} is not a released text of this manifest",
                    "manifest and released file belong to different releases, or the text was edited",
                )
            yield candidates[0]

    def check_key(self, key: MarkingKey) -> None:
        """Check that a key is the one that drew these choices.

        Raises:
            VerificationError: If it is another key, or a choice is not the one it draws.
        """
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
_SCHEMA = pl.Schema([
    ("record", pl.String()),
    ("released", pl.String()),
    ("ids", pl.List(pl.String)),
    ("rows", pl.List(pl.Int64)),
    ("slots", pl.List(_SLOT_TYPE)),
    ("salt", pl.String()),
])


def _row(record: MarkedRecord, *, rows: bool = True) -> dict[str, Any]:
    row: dict[str, Any] = {
        "record": record.record,
        "released": record.released,
        "ids": list(record.ids),
        "slots": [
            {
                "start": s.start,
                "end": s.end,
                "original": s.original,
                "choices": list(s.choices),
                "choice": s.choice,
                "ghosts": list(s.ghosts),
                "unit": s.unit,
                "surprisals": list(s.surprisals),
            }
            for s in record.slots
        ],
    }
    return {**row, "rows": list(record.rows)} if rows else row


def _record(row: Mapping[str, Any]) -> MarkedRecord:
    slots = tuple(_slot(slot) for slot in row["slots"])
    return MarkedRecord(
        row["record"], row["released"], slots, tuple(row["ids"]), tuple(row["rows"])
    )


def _slot(data: Mapping[str, Any]) -> MarkedSlot:
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
    if slot.original != data["original"] or slot.end - slot.start != len(slot.original):
        raise ValueError("a slot does not hold its original")
    return slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The public description of a release: binds key and manifest, reveals neither.

    Attributes:
        marking: How the dataset was marked.
        lexicon_sha256: Digest of the substitution table.
        key_commitment: Salted commitment to the key.
        manifest: Merkle commitment to the manifest's rows.
        files: Name and SHA-256 of each released file.
    """

    marking: Marking
    lexicon_sha256: str
    key_commitment: str
    manifest: MerkleCommitment
    files: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write as readable JSON, the same bytes for the same release."""
        data = {"format": _RELEASE_FORMAT, **asdict(self)}
        path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Release":
        """Read what `write` wrote.

        Raises:
            InvalidInput: If the file is no release description of this version.
        """
        data = read_json(path, "release.json")
        try:
            if data.pop("format") != _RELEASE_FORMAT:
                raise InvalidInput(f"{path}: a format this version does not know")
            data["marking"] = Marking.from_dict(data["marking"])
            data["manifest"] = MerkleCommitment(**data["manifest"])
            return cls(**data)
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"{path}: not a release.json of this version: {error}") from error
