"""What holds for all records of a manifest: its header, kept as metadata of the parquet file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ...files import canonical_json, hexadecimal
from ..marking import Marking
from ..source_identity import SourceIdentity
from ..tables.parquet import write_frames

__all__ = ["MANIFEST_ROWS", "METADATA_KEY", "ManifestHeader", "write_rows"]

_FORMAT = "bookplate-manifest/1"
METADATA_KEY = "bookplate"
MANIFEST_ROWS = 4_096  # fixed, so that a manifest's bytes follow from its rows alone

_HEADER = {"format", "marking", "candidates", "key_commitment", "dataset", "recipient"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestHeader:
    """What holds for all records of a manifest; see `Manifest` for the attributes."""

    marking: Marking
    candidates: SourceIdentity
    key_commitment: str
    dataset: str = ""
    recipient: str = ""
    files: tuple[tuple[str, int], ...] = ()

    def metadata(self) -> dict[str, str]:
        """The header as metadata of a parquet file."""
        header: dict[str, Any] = {
            "format": _FORMAT,
            "marking": asdict(self.marking),
            "candidates": self.candidates.as_dict(),
            "key_commitment": self.key_commitment,
            "dataset": self.dataset,
            "recipient": self.recipient,
        }
        if self.files:
            # Names may hold bytes that are no text: ASCII JSON can write them, RFC 8785 cannot.
            header["files"] = [[json.dumps(name), n_rows] for name, n_rows in self.files]
        return {METADATA_KEY: canonical_json(header).decode()}

    @classmethod
    def parse(cls, metadata: str) -> "ManifestHeader":
        """Read what `metadata` wrote.

        Raises:
            ValueError: If it is no header of this version.
        """
        header = json.loads(metadata)
        if not isinstance(header, dict) or set(header) - {"files"} != _HEADER:
            raise ValueError(f"its header is {header!r:.200}")
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']!r:.80}")
        return cls(
            marking=Marking.from_dict(header["marking"]),
            candidates=SourceIdentity.from_dict(header["candidates"]),
            key_commitment=hexadecimal(64, header["key_commitment"], "key commitment"),
            dataset=_name(header["dataset"]),
            recipient=_name(header["recipient"]),
            files=_files(header.get("files", [])),
        )


def write_rows(path: Path, frames: Iterable[pl.DataFrame], header: ManifestHeader) -> None:
    """Write a manifest file of rows in order, `MANIFEST_ROWS` to a frame."""
    write_frames(path, frames, header.metadata())


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is no name")
    return value


def _files(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.80} does not list the released files")
    files = []
    for entry in value:
        match entry:
            case [str(name), int(n_rows)] if n_rows >= 0 and name.isascii():
                files.append((_name(json.loads(name)), n_rows))
            case _:
                raise ValueError(f"{entry!r:.80} is no name and number of rows")
    return tuple(files)
