"""The public description of a release: what is published beside the marked files."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..errors import InvalidInput
from ..files import hexadecimal, read_json
from ..provenance.custody import MerkleCommitment
from .marking import Marking
from .source_identity import SourceIdentity

__all__ = ["RELEASE_NAME", "Release", "stays_below"]

RELEASE_NAME = "release.json"
_FORMAT = "bookplate-release/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The public description of a release: binds key and manifest, reveals neither.

    Attributes:
        marking: How the dataset was marked.
        candidates: What said which words may stand for which.
        key_commitment: Salted commitment to the key.
        manifest: Merkle commitment to the manifest's rows.
        files: Name and SHA-256 of each released file; names are paths below the release, with `/`.
    """

    marking: Marking
    candidates: SourceIdentity
    key_commitment: str
    manifest: MerkleCommitment
    files: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write as readable JSON, the same bytes for the same release."""
        data = {"format": _FORMAT, **asdict(self), "candidates": self.candidates.as_dict()}
        path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Release":
        """Read what `write` wrote.

        Raises:
            InvalidInput: If the file is no release description of this version.
        """
        data = read_json(path, "release.json")
        expected = {"format", *(field.name for field in fields(cls))}
        try:
            if set(data) != expected or data["format"] != _FORMAT:
                raise InvalidInput(f"expected {_FORMAT} with {sorted(expected)}")
            return cls(
                marking=Marking.from_dict(data["marking"]),
                candidates=SourceIdentity.from_dict(data["candidates"]),
                key_commitment=hexadecimal(64, data["key_commitment"], "key commitment"),
                manifest=_merkle(data["manifest"]),
                files=_files(data["files"]),
            )
        except ValueError as error:
            raise InvalidInput(f"{path}: not a release.json of this version: {error}") from error


def _merkle(data: object) -> MerkleCommitment:
    if not isinstance(data, dict) or set(data) != {"root", "leaf_count"}:
        raise ValueError(f"{data!r:.80} is no commitment to a manifest")
    if type(data["leaf_count"]) is not int or data["leaf_count"] < 0:
        raise ValueError(f"{data['leaf_count']!r:.80} is no leaf count")
    return MerkleCommitment(hexadecimal(64, data["root"], "Merkle root"), data["leaf_count"])


def _files(data: object) -> dict[str, str]:
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{data!r:.80} does not list the released files")
    for name, digest in data.items():
        if not stays_below(name):
            raise ValueError(f"{name!r:.80} is no path below the release")
        hexadecimal(64, digest, f"digest of {name!r:.80}")
    return data


def stays_below(name: str) -> bool:
    """Whether a name is a plain relative path, whatever the system it is read on."""
    parts = name.split("/")
    return (
        all(part not in {"", ".", ".."} for part in parts)
        and not any(character in name for character in "\\\0")
        and re.match(r"[A-Za-z]:", name) is None
    )
