"""The secret key: it draws every choice, and its commitment can be published before release."""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..display import visible
from ..errors import InvalidInput
from ..files import new_file, read_json

__all__ = ["Drawer", "MarkingKey"]

_FORMAT = "bookplate-key/1"
_SECRET_BYTES = 32
_LONGEST_NAME = 200
_UNIT_SEPARATOR = b"\x1f"  # cannot occur in a word, a digest or a number


@dataclass(frozen=True, slots=True, repr=False)
class MarkingKey:
    """A secret from which all choices of one claimant are drawn.

    Attributes:
        secret: 32 random bytes; never shown.
        salt: 32 random bytes that blind the public commitment.
    """

    secret: bytes
    salt: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != _SECRET_BYTES or len(self.salt) != _SECRET_BYTES:
            raise InvalidInput(f"expected {_SECRET_BYTES} bytes each of secret and salt")

    def __repr__(self) -> str:
        return f"MarkingKey(commitment={self.commitment[:16]}...)"

    @classmethod
    def generate(cls) -> "MarkingKey":
        """A fresh key from the operating system's random numbers."""
        return cls(secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def read(cls, path: Path) -> "MarkingKey":
        """Read a key file.

        Args:
            path: A file that `save` wrote.

        Returns:
            The key.

        Raises:
            InvalidInput: If the file is no key file; its contents are not repeated.
        """
        data = read_json(path, "a key file")
        if data.get("format") == _FORMAT:
            try:
                return cls(bytes.fromhex(data["secret"]), bytes.fromhex(data["salt"]))
            except (KeyError, TypeError, ValueError):
                pass  # the error below must not carry the secret into a --debug traceback
        raise InvalidInput(f"{path}: not a {_FORMAT} file", "make one with 'bookplate key new'")

    def save(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read (mode 0600).

        Args:
            path: Where to write.

        Raises:
            InvalidInput: If the file exists.
        """
        text = f'{{"format": "{_FORMAT}", "secret": "{self.secret.hex()}", "salt": "{self.salt.hex()}"}}\n'
        with new_file(path, private=True) as staged:
            staged.write_text(text, encoding="ascii")

    @property
    def commitment(self) -> str:
        """SHA-256 over salt and secret, 64 hexadecimal digits: binds the key and reveals nothing."""
        return hashlib.sha256(b"bookplate key commitment/1" + self.salt + self.secret).hexdigest()

    def drawer(self) -> "Drawer":
        """The source of this key's choices."""
        return Drawer(self._derived(b"draw"))

    def for_dataset(self, name: str) -> "MarkingKey":
        """The sub-key of one of several datasets, so that each gets choices of its own.

        With the same choices in two datasets, a model that learnt them from one would testify to
        the other.

        Args:
            name: The dataset; see `for_recipient`.

        Raises:
            InvalidInput: As for `for_recipient`.
        """
        return self._named("dataset", name)

    def for_recipient(self, name: str) -> "MarkingKey":
        """The sub-key of one recipient of the dataset, so that each gets choices of its own.

        It is derived by HKDF-SHA256 (RFC 5869): who knows one recipient's key learns nothing of the
        owner's or of another's.

        Args:
            name: Who gets this copy; every character counts.

        Raises:
            InvalidInput: If the name is empty, longer than 200 characters, has white space at an end
                or holds characters that cannot be seen.
        """
        return self._named("recipient", name)

    def for_copy(self, dataset: str, recipient: str) -> "MarkingKey":
        """The key that draws the choices of one copy of one dataset; an empty name takes no step."""
        key = self.for_dataset(dataset) if dataset else self
        return key.for_recipient(recipient) if recipient else key

    def _named(self, kind: str, name: str) -> "MarkingKey":
        if not 0 < len(name) <= _LONGEST_NAME or name != name.strip() or not name.isprintable():
            raise InvalidInput(
                f"{kind} {visible(name)!r}: expected 1 to {_LONGEST_NAME} visible characters, no white "
                "space at the ends"
            )
        # Composed, as file names may be decomposed.
        encoded = unicodedata.normalize("NFC", name).encode("utf-8")
        return MarkingKey(
            self._derived(f"{kind} secret ".encode() + encoded),
            self._derived(f"{kind} salt ".encode() + encoded),
        )

    def row_salter(self) -> Callable[[str], bytes]:
        """The salt of each manifest row, 16 bytes: opening one row gives away no other."""
        key = self._derived(b"row salt")
        return lambda record: hmac.digest(key, record.encode(), "sha256")[:16]

    def _derived(self, purpose: bytes) -> bytes:
        hkdf = HKDF(hashes.SHA256(), length=32, salt=None, info=b"bookplate/1 " + purpose)
        return hkdf.derive(self.secret)


class Drawer:
    """Uniform choices as a pure function of the key and the name of a unit."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def draw(self, n_choices: int, *unit: str) -> int:
        """An index in [0, n_choices), drawn by HMAC-SHA256 of the unit's name.

        128 bits modulo n leave a bias below n / 2**128, which no test can see.
        """
        name = _UNIT_SEPARATOR.join(part.encode("utf-8") for part in unit)
        return int.from_bytes(hmac.digest(self._key, name, "sha256")[:16]) % n_choices
