"""What is published of a recording, and what opens it.

`commitments.json` binds the shuffle seed before training and every sequence with its place after it, and
gives away neither. `opening.json` holds seed and salts; it is private (mode 0600).
"""

import hashlib
import hmac
import json
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ....errors import InvalidInput
from ....files import canonical_json, hexadecimal, new_file, read_json
from ...custody import MerkleCommitment

__all__ = ["Commitments", "Opening"]

_PUBLIC, _PRIVATE = "bookplate-recording/1", "bookplate-recording-opening/1"
_SECRET_BYTES = 32
_LARGEST_SEED = 2**53 - 1  # canonical JSON has no larger integers


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """The secrets of one recording.

    Attributes:
        seed: The seed of the shuffle, in [0, 2**53).
        order: How the seed gives the order, in words; this is published.
        seed_salt: 32 random bytes; seeds are guessable, so the commitment to one is salted.
        row_key: 32 random bytes that the salt of every row is drawn from.
    """

    seed: int
    order: str
    seed_salt: bytes
    row_key: bytes

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed <= _LARGEST_SEED:
            raise InvalidInput(f"expected a shuffle seed in [0, 2**53), got {self.seed!r}")
        _refuse_no_text(self.order)
        if len(self.seed_salt) != _SECRET_BYTES or len(self.row_key) != _SECRET_BYTES:
            raise InvalidInput(f"expected {_SECRET_BYTES} bytes each of seed salt and row key")

    def __repr__(self) -> str:
        return f"Opening(seed_commitment={self.seed_commitment[:16]}...)"

    @classmethod
    def generate(cls, seed: int, order: str) -> "Opening":
        """Fresh salts for a seed."""
        salt, key = (secrets.token_bytes(_SECRET_BYTES) for _ in range(2))
        return cls(seed, order, salt, key)

    @classmethod
    def read(cls, path: Path) -> "Opening":
        """Read what `save` wrote.

        Raises:
            InvalidInput: If the file is none; its contents are not repeated.
        """
        data = read_json(path, "the opening of a recording")
        if data.get("format") == _PRIVATE:
            try:
                salt, key = (bytes.fromhex(data[name]) for name in ("seed_salt", "row_key"))
                return cls(data["seed"], data["order"], salt, key)
            except (KeyError, TypeError, ValueError):
                pass  # the error below must not carry the secrets into a --debug traceback
        raise InvalidInput(f"{path}: not a {_PRIVATE} file")

    def save(self, path: Path) -> None:
        """Write to a new file that only its owner can read."""
        data = {
            "format": _PRIVATE,
            "seed": self.seed,
            "order": self.order,
            "seed_salt": self.seed_salt.hex(),
            "row_key": self.row_key.hex(),
        }
        with new_file(path, private=True) as staged:
            staged.write_text(json.dumps(data) + "\n", encoding="utf-8")

    @property
    def seed_commitment(self) -> str:
        """SHA-256 over salt, seed and the words on the order, 64 hexadecimal digits."""
        statement = canonical_json({"order": self.order, "seed": self.seed})
        prefix = b"bookplate shuffle seed commitment/1"
        return hashlib.sha256(prefix + self.seed_salt + statement).hexdigest()

    def row_salt(self, step: int, position: int) -> bytes:
        """The salt of one row, 16 bytes: disclosing one row gives away no other."""
        return hmac.digest(self.row_key, f"{step}:{position}".encode(), "sha256")[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitments:
    """The public side of a recording; `commitments.json` may be published before and after training.

    Attributes:
        seed_commitment: See `Opening.seed_commitment`.
        order: How the seed gives the order, in words.
        transcript: Merkle commitment to the rows of the sealed transcript; None before that.
    """

    seed_commitment: str
    order: str
    transcript: MerkleCommitment | None = None

    @classmethod
    def to(cls, opening: Opening) -> "Commitments":
        """The commitment to a seed."""
        return cls(seed_commitment=opening.seed_commitment, order=opening.order)

    def sealed(self, transcript: MerkleCommitment) -> "Commitments":
        """With the commitment to the transcript."""
        return replace(self, transcript=transcript)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        tree = self.transcript
        return {
            "format": _PUBLIC,
            "seed_commitment": self.seed_commitment,
            "order": self.order,
            "transcript": tree and {"root": tree.root, "leaf_count": tree.leaf_count},
        }

    def write(self, path: Path) -> None:
        """Write readable JSON, whole or not at all, over the commitment from before training."""
        text = json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n"
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".bookplate-", delete=False
        ) as staged:
            staged.write(text)
        Path(staged.name).chmod(0o644)
        Path(staged.name).replace(path)

    @classmethod
    def read(cls, path: Path) -> "Commitments":
        """Read what `write` wrote.

        Raises:
            InvalidInput: If the file is none.
        """
        data = read_json(path, "the commitments of a recording")
        try:
            if data.get("format") != _PUBLIC:
                raise InvalidInput(f"expected {_PUBLIC}")
            _refuse_no_text(data["order"])
            return cls(
                seed_commitment=hexadecimal(64, data["seed_commitment"], "seed commitment"),
                order=data["order"],
                transcript=_merkle(data["transcript"]),
            )
        except (KeyError, ValueError) as error:
            raise InvalidInput(f"{path}: not a {_PUBLIC} file: {error}") from error


def _refuse_no_text(order: object) -> None:
    """Canonical JSON has no lone surrogates, so nothing could be committed to."""
    if not isinstance(order, str) or any("\ud800" <= letter <= "\udfff" for letter in order):
        raise InvalidInput(f"expected words on the order in valid Unicode, got {order!r}")


def _merkle(data: Mapping[str, Any] | None) -> MerkleCommitment | None:
    if data is None:
        return None
    if not isinstance(data, dict) or type(data.get("leaf_count")) is not int:
        raise ValueError(f"{data!r} is no commitment to a transcript")
    return MerkleCommitment(hexadecimal(64, data.get("root"), "Merkle root"), data["leaf_count"])
