"""What was committed to beforehand, and who testifies to the time: copied into a bundle as published."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...provenance.bundle.layout import AUDIT
from ...provenance.bundle.predicate import Commitment
from ...provenance.custody import AuthorityChain
from ...stats.report import TimelineEvent
from .registering import Registered

__all__ = ["EXISTED", "Committed", "Stamp", "committed_by", "names_of_commitments"]

_LARGEST = 64 << 20
_LARGEST_STAMP = 1 << 20
_REGISTRATION = "The registration of this audit"
_DATASET, _ORDER = "The commitment to the dataset {}", "The commitment to the order {}"
EXISTED = "{} existed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A timestamp, and what it testifies to.

    Attributes:
        name: Its path in the bundle.
        content: Its bytes.
        at: When what it is over existed, RFC 3339 in UTC; empty if no authority at hand confirms it.
        authority: Who testifies; empty likewise.
    """

    name: str
    content: bytes
    at: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A published commitment, or the audit file itself.

    Attributes:
        name: Its path in the bundle.
        what: What it is, in words.
        content: Its bytes.
        stamps: Timestamps over it.
    """

    name: str
    what: str
    content: bytes
    stamps: tuple[Stamp, ...]

    def commitment(self) -> Commitment:
        """What the predicate says of it."""
        tree = _tree_of(self.content)
        return Commitment(
            name=self.name,
            sha256=hashlib.sha256(self.content).hexdigest(),
            root=str(tree.get("root", "")),
            leaf_count=int(tree.get("leaf_count", 0)),
        )

    def events(self) -> Iterator[TimelineEvent]:
        """The proven times."""
        for stamp in self.stamps:
            if stamp.at:
                yield TimelineEvent(
                    at=stamp.at,
                    what=EXISTED.format(self.what),
                    proof=f"RFC 3161 timestamp of {visible(stamp.authority)} ({stamp.name})",
                )

    def unconfirmed(self) -> list[str]:
        """Timestamps that no authority at hand confirms."""
        return [stamp.name for stamp in self.stamps if not stamp.at]


def committed_by(
    registered: Registered, chains: Sequence[AuthorityChain]
) -> tuple[Committed, tuple[Committed, ...]]:
    """The audit file with its timestamps, and every commitment that the audit names.

    Args:
        registered: The audit.
        chains: Authorities whose word counts, from whoever runs the audit.

    Raises:
        InvalidInput: If a file is missing or too large.
        VerificationError: If a timestamp is not over what it is named for, though its authority is at hand.
    """
    audit = registered.audit
    own = _committed(
        registered,
        AUDIT,
        _REGISTRATION,
        registered.data,
        audit.timestamps,
        chains,
    )
    found = []
    for name, dataset in audit.datasets.items():
        path = registered.commitment_of(name)
        if path is not None:
            found.append((name, _DATASET.format(name), path, dataset.timestamps))
        elif dataset.timestamps:
            raise InvalidInput(
                f"datasets.{name}: has timestamps, but no commitment that they are over"
            )
    for name, transcript in audit.transcripts.items():
        if transcript.commitments is not None:
            path = registered.resolved(transcript.commitments)
            found.append((name, _ORDER.format(name), path, transcript.timestamps))
        elif transcript.timestamps:
            raise InvalidInput(
                f"transcripts.{name}: has timestamps, but no commitments that they are over"
            )
    return own, tuple(
        _committed(registered, _name_of(name), what, _read(path, _LARGEST), stamps, chains)
        for name, what, path, stamps in found
    )


def names_of_commitments(registered: Registered) -> Mapping[str, str]:
    """What the audit file and each commitment that it may name are called, by their path in a bundle.

    Args:
        registered: The audit; nothing that it names need be at hand.
    """
    audit = registered.audit
    called = {_name_of(name): _DATASET.format(name) for name in audit.datasets}
    called |= {_name_of(name): _ORDER.format(name) for name in audit.transcripts}
    return {**called, AUDIT: _REGISTRATION}


def _name_of(material: str) -> str:
    return f"commitments/{material}.json"


def _committed(
    registered: Registered,
    name: str,
    what: str,
    content: bytes,
    stamps: Sequence[str],
    chains: Sequence[AuthorityChain],
) -> Committed:
    base = name.rpartition("/")[2]
    return Committed(
        name=name,
        what=what,
        content=content,
        stamps=tuple(
            _stamp(f"commitments/{base}.{number}.tsr", registered.resolved(path), content, chains)
            for number, path in enumerate(stamps, 1)
        ),
    )


def _stamp(name: str, path: Path, message: bytes, chains: Sequence[AuthorityChain]) -> Stamp:
    answer = _read(path, _LARGEST_STAMP)
    refusals = []
    for chain in chains:
        try:
            told = chain.verify(answer, message)
        except VerificationError as error:
            refusals.append(str(error))
            continue
        at = told.latest.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Stamp(name=name, content=answer, at=at, authority=told.authority)
    if refusals and len(chains) == 1:
        # With one authority named, a refusal is about this stamp; with several it may be another's.
        raise VerificationError(
            f"{visible(str(path))}: {refusals[0]}",
            "it is over other bytes, or of another authority than --tsa-roots names",
        )
    return Stamp(name=name, content=answer)


def _tree_of(content: bytes) -> dict[str, Any]:
    """The Merkle commitment in a release.json or commitments.json; both were read strictly before."""
    data = json.loads(content)
    tree = data.get("manifest") or data.get("transcript") if isinstance(data, dict) else None
    return tree if isinstance(tree, dict) else {}


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise InvalidInput(f"{visible(str(path))}: cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise InvalidInput(f"{visible(str(path))}: more than {limit} bytes")
    return content
