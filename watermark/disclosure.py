"""Rows of a manifest shown to others, who check them against the published Merkle root.

Two ways: a few rows with proofs of inclusion, from which nothing of the others can be told, as each
row has a salt of its own; and all rows as an exhibit, from which the root is computed anew. Neither
holds any text but the replaced words.

The exhibit is JSON lines, compressed by gzip, and no parquet: each line is, to the byte, what is hashed,
and a hostile file is read by nothing but zlib and json. (polars 2.1 ends the whole process over a damaged
parquet file.)
"""

import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import polars as pl

from ..display import visible
from ..errors import InvalidInput, VerificationError
from ..files import hexadecimal, new_file
from ..provenance.custody import MerkleCommitment, MerkleTree, leaf_hash, verify_inclusion
from ..provenance.custody.merkle import prove_hashes
from ..provenance.custody.strict_json import fields_of, strict_object
from ..provenance.frames import readable, scanned
from .manifest import (
    MANIFEST_ROWS,
    ROW_SCHEMA,
    Manifest,
    ManifestHeader,
    MarkedRecord,
    leaf_data,
    leaf_of,
    parse_record,
)
from .manifest.header import METADATA_KEY
from .release import Release
from .tables.parquet import metadata_of
from .tables.streams import Compression, write_blocks

__all__ = [
    "Disclosure",
    "UnitChoice",
    "check_disclosure",
    "check_rows",
    "disclose",
    "write_rows_exhibit",
]

_DISCLOSURE = "bookplate-disclosure/1"
_LARGEST_DISCLOSURE = 64 << 20
_LONGEST_LINE = 64 << 20
_BLOCK = 1 << 20
_MOST_EXPANSION = 200  # of gzip; the most repetitive rows that can be marked reach 20
_SHORTEST_PREFIX = 8

_FIELDS: dict[str, type] = {"format": str, "leafCount": int, "root": str, "rows": list}
_PROVED_ROW: dict[str, type] = {"index": int, "proof": list, "row": dict, "salt": str}
_LEAF: dict[str, type] = {"row": dict, "salt": str}
_ROW: dict[str, type] = {"ids": list, "record": str, "released": str, "slots": list}
_SLOT: dict[str, type] = {
    "choice": int,
    "choices": list,
    "end": int,
    "ghosts": list,
    "original": str,
    "start": int,
    "surprisals": list,
    "unit": str,
}
_LISTS: dict[str, tuple[type, ...]] = {
    "choices": (str,),
    "ghosts": (int,),
    "ids": (str,),
    "proof": (str,),
    "surprisals": (int, float),
}


class UnitChoice(NamedTuple):
    """What the key decided for one unit.

    Attributes:
        choices: What might have been released, in small letters; the original comes first.
        choice: Index of what was released.
        n_slots: Its places in the rows.
        n_first: How many of them are the first of their text, so that there may be nothing before them.
        least: The smallest surprisal of each choice among its places, in bits.
        most: The largest. For a word of the table both are the same.
    """

    choices: tuple[str, ...]
    choice: int
    n_slots: int = 1
    n_first: int = 0
    least: tuple[float, ...] = ()
    most: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Rows that were found to be under a commitment.

    Attributes:
        records: The rows.
        indices: Their places among the leaves.
        commitment: Root and leaf count they were held against.
    """

    records: tuple[MarkedRecord, ...]
    indices: tuple[int, ...]
    commitment: MerkleCommitment


# A few rows, with proofs.


def disclose(manifest: Manifest, names: Sequence[str]) -> bytes:
    """Rows with their salts and proofs of inclusion, readable JSON.

    Args:
        manifest: The private manifest.
        names: Which records: each by the dataset's own id, or by the SHA-256 of its original text, of
            which 8 digits will do if no other begins so.

    Raises:
        InvalidInput: If a name is that of no record, or of several, or none is given.
    """
    indices = sorted({_index_of(manifest, name) for name in names})
    if not indices:
        raise InvalidInput("no record was named")
    leaves = list(map(leaf_of, manifest.records, manifest.salts))
    tree = MerkleTree()
    tree.extend(leaves)
    commitment, proofs = tree.commitment(), prove_hashes(leaves, indices)
    data = {
        "format": _DISCLOSURE,
        "leafCount": commitment.leaf_count,
        "root": commitment.root,
        "rows": [
            {
                "index": index,
                "proof": list(proofs[index]),
                **json.loads(leaf_data(manifest.records[index], manifest.salts[index])),
            }
            for index in indices
        ],
    }
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode("ascii")


def check_disclosure(data: bytes, release: Release, what: str = "the disclosure") -> Disclosure:
    """Refuse rows that are not under the root that was published.

    Args:
        data: What `disclose` gave.
        release: The published release.json.
        what: Name of the file, for messages.

    Returns:
        The rows. Whoever has a text can see whether it is meant: `record` and `released` are the
        SHA-256 of the original and the released text.

    Raises:
        VerificationError: If it is no disclosure of this version, or a row or its proof does not fit.
    """
    found = strict_object(data, what, limit=_LARGEST_DISCLOSURE)
    kind, leaf_count, root, rows = fields_of(found, _FIELDS, what)
    if kind != _DISCLOSURE:
        raise VerificationError(f"{what}: format {visible(kind[:80])!r}, expected {_DISCLOSURE}")
    if MerkleCommitment(root, leaf_count) != release.manifest:
        raise VerificationError(
            f"{what}: is of another manifest than the one that release.json commits to"
        )
    if not rows:
        raise VerificationError(f"{what}: discloses no row")
    records, indices = [], []
    for number, item in enumerate(rows, 1):
        where = f"{what}: row {number}"
        index, proof, row, salt = fields_of(item, _PROVED_ROW, where)
        _check_lists(item, where)
        record = _record_of(row, salt, release.marking.ghosts, where)
        try:
            verify_inclusion(release.manifest, index, leaf_data(record, salt), proof)
        except VerificationError as error:
            raise VerificationError(f"{where}: {error}") from None
        records.append(record)
        indices.append(index)
    if len(set(indices)) < len(indices):
        raise VerificationError(f"{what}: discloses a row twice")
    return Disclosure(tuple(records), tuple(indices), release.manifest)


def _index_of(manifest: Manifest, name: str) -> int:
    """The place of one record."""
    found = [i for i, record in enumerate(manifest.records) if name in record.ids]
    if not found and len(name) >= _SHORTEST_PREFIX:
        found = [i for i, r in enumerate(manifest.records) if r.record.startswith(name)]
    if len(found) != 1:
        raise InvalidInput(
            f"record {visible(name[:200])!r}: "
            + (f"{len(found)} records are called so" if found else "no record is called so"),
            "name the dataset's own id, or the SHA-256 of the original text",
        )
    return found[0]


def _record_of(row: Any, salt: str, n_ghosts: int, where: str) -> MarkedRecord:
    """A row of a disclosure, with every check that a row of a manifest gets."""
    fields_of(row, _ROW, where)
    _check_lists(row, where)
    for slot in row["slots"]:
        fields_of(slot, _SLOT, where)
        _check_lists(slot, where)
    try:
        hexadecimal(32, salt, "salt")
        return parse_record({**row, "rows": []}, n_ghosts)
    except ValueError as error:
        raise VerificationError(f"{where}: {visible(str(error)[:200])}") from None


def _check_lists(found: Mapping[str, Any], where: str) -> None:
    for name, kinds in _LISTS.items():
        if any(type(value) not in kinds for value in found.get(name, ())):
            raise VerificationError(f"{where}: '{name}' holds a value of another type")


# All rows, as an exhibit.


def write_rows_exhibit(manifest: Path, path: Path) -> None:
    """All rows of a manifest as an exhibit, in memory that does not grow with it.

    Left out is what the root does not bind: row numbers, and the names of dataset, recipient and files.
    The same rows give the same bytes.

    Args:
        manifest: The private manifest.
        path: File to write, such as `rows.jsonl.gz`.

    Raises:
        InvalidInput: If the manifest cannot be read, or `path` exists.
    """
    with new_file(path) as staged:
        write_blocks(staged, _lines_of(manifest), Compression.GZIP)


def check_rows(rows: Path | bytes, release: Release) -> dict[str, UnitChoice]:
    """The committed choice of every unit, from rows that are exactly those committed to.

    The Merkle root is computed anew from all rows. Memory grows with the number of units, not of rows.

    Args:
        rows: What `write_rows_exhibit` wrote: the file, or its bytes.
        release: The published release.json.

    Returns:
        By `Marking.unit_name`. Where the unit is the record, a name is that of a slot.

    Raises:
        VerificationError: If the rows are not those committed to, or contradict each other.
        InvalidInput: If the file cannot be read.
    """
    if isinstance(rows, bytes):
        return _checked(io.BytesIO(rows), release)
    try:
        with rows.open("rb") as file:
            return _checked(file, release)
    except OSError as error:
        raise InvalidInput(f"{visible(str(rows))}: cannot be read: {error.strerror}") from None


def _checked(file: BinaryIO, release: Release) -> dict[str, UnitChoice]:
    tree, units, count, before = MerkleTree(), dict[str, UnitChoice](), 0, ""
    for count, line in enumerate(_lines_in(file), 1):
        if count > release.manifest.leaf_count:
            break
        record = _record_in(line, release.marking.ghosts, f"row {count}")
        if record.record <= before:
            raise VerificationError(f"row {count}: not in order, or there twice")
        before = record.record
        tree.extend([leaf_hash(line)])
        _add_units(units, record, release)
    if count != release.manifest.leaf_count:
        few = "fewer" if count < release.manifest.leaf_count else "more"
        raise VerificationError(
            f"{few} rows than the {release.manifest.leaf_count:,} that release.json commits to"
        )
    if tree.commitment() != release.manifest:
        raise VerificationError(
            "the rows are not those that release.json commits to: their Merkle root is another"
        )
    return units


def _record_in(line: bytes, n_ghosts: int, where: str) -> MarkedRecord:
    """The row in a line, which must be the one way to write it: what is read is what is hashed."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise VerificationError(f"{where}: no JSON") from None
    row, salt = fields_of(found, _LEAF, where)
    record = _record_of(row, salt, n_ghosts, where)
    try:
        again = leaf_data(record, salt)
    except ValueError:  # no canonical form: NaN, or half of a surrogate pair
        again = b""
    if again != line:
        raise VerificationError(f"{where}: not in the canonical form of RFC 8785")
    return record


def _add_units(units: dict[str, UnitChoice], record: MarkedRecord, release: Release) -> None:
    for index, slot in enumerate(record.slots):
        name = release.marking.unit_name(record.record, index, slot.unit)
        choices, first = tuple(map(str.lower, slot.choices)), int(index == 0)
        bits = tuple(map(float, slot.surprisals))
        known = units.get(name, UnitChoice(choices, slot.choice, 0, 0, bits, bits))
        units[name] = known._replace(
            n_slots=known.n_slots + 1,
            n_first=known.n_first + first,
            least=tuple(map(min, known.least, bits)),
            most=tuple(map(max, known.most, bits)),
        )
        if known[:2] != (choices, slot.choice):
            raise VerificationError(
                f"unit {visible(name[:200])!r} has two different choices among the rows"
            )


def _lines_of(manifest: Path) -> Iterator[bytes]:
    """The rows of a manifest, each as it is hashed."""
    hint = "give the private/manifest.parquet of a release"
    try:
        header = ManifestHeader.parse(metadata_of(manifest).get(METADATA_KEY, ""))
        with readable(manifest, "parquet", hint), manifest.open("rb") as file:
            scan = scanned(file)
            if scan.collect_schema() != ROW_SCHEMA:
                raise InvalidInput(f"{manifest}: not a manifest: its columns are others", hint)
            count = int(scan.select(pl.len()).collect().item())
            for start in range(0, count, MANIFEST_ROWS):
                for row in scan.slice(start, MANIFEST_ROWS).collect().iter_rows(named=True):
                    record = parse_record(row, header.marking.ghosts)
                    yield leaf_data(record, hexadecimal(32, row["salt"], "salt")) + b"\n"
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"{manifest}: not a manifest of this version: {error}", hint) from None


def _lines_in(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a gzip file, without their line feeds."""
    rest = b""
    for block in _unpacked(file):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            raise VerificationError(f"a row of more than {_LONGEST_LINE} bytes")
    if rest:
        raise VerificationError("the rows are cut off")


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a gzip file of one member, nothing after it, in blocks."""
    packed, unpacked = 0, 0
    member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        while not member.eof:
            data = member.unconsumed_tail or file.read(_BLOCK)
            packed += 0 if member.unconsumed_tail else len(data)
            block = member.decompress(data, _BLOCK)
            if not data and not block:
                raise VerificationError("the rows are cut off")
            unpacked += len(block)
            if unpacked > _MOST_EXPANSION * packed + _BLOCK:
                raise VerificationError("the rows unpack to more than rows can")
            yield block
    except zlib.error as error:
        raise VerificationError(f"the rows cannot be read as gzip: {error}") from None
    if member.unused_data or file.read(1):
        raise VerificationError("something follows the rows")
