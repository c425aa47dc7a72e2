"""All marked records of one release: committed to, written, read, and matched with texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import polars as pl

from ...errors import InvalidInput, VerificationError
from ...files import hexadecimal
from ...provenance.custody import MerkleCommitment, MerkleTree
from ...provenance.frames import readable
from ..keys import Drawer, MarkingKey
from ..marking import Marking
from ..source_identity import SourceIdentity
from .header import MANIFEST_ROWS, METADATA_KEY, ManifestHeader, write_rows
from .records import MarkedRecord, digest_of
from .rows import ROW_SCHEMA, leaf_of, parse_record, rows_frame

__all__ = ["Manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All marked records of one release, sorted by record.

    Attributes:
        marking: How the dataset was marked.
        candidates: What said which words may stand for which.
        key_commitment: Public commitment to the key that drew the choices.
        records: One entry per distinct text.
        salts: One salt per record, hexadecimal.
        dataset: Which of the owner's datasets this is; empty where the key serves one alone.
        recipient: Whose copy this is; empty where there is one copy for all. The key that drew the
            choices is `MarkingKey.for_copy` of the owner's.
        files: Name and number of rows of each released file, in order, if there are several; row
            numbers count through all of them.
    """

    marking: Marking
    candidates: SourceIdentity
    key_commitment: str
    records: tuple[MarkedRecord, ...]
    salts: tuple[str, ...]
    dataset: str = ""
    recipient: str = ""
    files: tuple[tuple[str, int], ...] = ()

    @classmethod
    def create(
        cls,
        marking: Marking,
        candidates: SourceIdentity,
        key: MarkingKey,
        records: Sequence[MarkedRecord],
        *,
        dataset: str = "",
        recipient: str = "",
    ) -> "Manifest":
        """Sort and salt the records of one release; `key` is the one that drew them."""
        ordered = tuple(sorted(records, key=lambda record: record.record))
        salt = key.row_salter()
        return cls(
            marking=marking,
            candidates=candidates,
            key_commitment=key.commitment,
            records=ordered,
            salts=tuple(salt(record.record).hex() for record in ordered),
            dataset=dataset,
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
    def header(self) -> ManifestHeader:
        """What holds for all records."""
        return ManifestHeader(
            marking=self.marking,
            candidates=self.candidates,
            key_commitment=self.key_commitment,
            dataset=self.dataset,
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
        hint = "give the private/manifest.parquet of a release"
        with readable(path, "parquet", hint):
            try:
                return cls._parsed(path)
            except ValueError as error:
                raise InvalidInput(
                    f"{path}: not a manifest of this version: {error}", hint
                ) from error

    @classmethod
    def _parsed(cls, path: Path) -> "Manifest":
        with path.open("rb") as file:
            metadata = pl.read_parquet_metadata(file).get(METADATA_KEY)
        if metadata is None:
            raise ValueError("its parquet metadata lack the marking parameters")
        with path.open("rb") as file:
            frame = pl.read_parquet(file)
        header = ManifestHeader.parse(metadata)
        if frame.schema != ROW_SCHEMA:
            raise ValueError(f"its columns are {frame.columns!s:.200}")
        records = tuple(
            parse_record(row, header.marking.ghosts) for row in frame.iter_rows(named=True)
        )
        if any(a.record >= b.record for a, b in pairwise(records)):
            raise ValueError("its records are not in order")
        return cls(
            marking=header.marking,
            candidates=header.candidates,
            key_commitment=header.key_commitment,
            records=records,
            salts=tuple(hexadecimal(32, salt, "salt") for salt in frame["salt"]),
            dataset=header.dataset,
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
            key: The owner's key, the dataset's sub-key, or that of this copy.

        Raises:
            VerificationError: If it is another key, or a choice is not the one it draws.
        """
        ways = (("", ""), (self.dataset, self.recipient), ("", self.recipient))
        keys = (key.for_copy(*way) for way in ways)
        key = next((k for k in keys if k.commitment == self.key_commitment), key)
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
