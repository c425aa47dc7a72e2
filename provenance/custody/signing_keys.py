"""Ed25519 keys: a secret that signs, and the public half by which anybody checks."""

import hashlib
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import new_file
from .ed25519_points import why_no_key

__all__ = ["PublicKey", "SigningKey"]

_RAW_BYTES = 32
_LARGEST_FILE = 1 << 16

_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # of an Ed25519 key, RFC 8410


class PublicKey:
    """An Ed25519 public key that an honest signer can have; whose it is, no key can say.

    Args:
        raw: Its 32 bytes.

    Raises:
        VerificationError: If these are no key, or one under which signatures mean nothing.
    """

    __slots__ = ("_key", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _RAW_BYTES:
            raise VerificationError(f"a public key has {_RAW_BYTES} bytes, not {len(raw)}")
        if reason := why_no_key(raw):
            raise VerificationError(f"public key {raw.hex()}: {reason}")
        self.raw = bytes(raw)
        self._key = Ed25519PublicKey.from_public_bytes(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey(keyid={self.keyid[:16]}...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    @classmethod
    def from_pem(cls, pem: bytes) -> "PublicKey":
        """Read SubjectPublicKeyInfo in PEM, as `to_pem` and openssl write it.

        Raises:
            VerificationError: If it is no Ed25519 public key.
        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise VerificationError("not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise VerificationError(f"expected an Ed25519 public key, got {type(key).__name__}")
        return cls(key.public_bytes_raw())

    @classmethod
    def read(cls, path: Path) -> "PublicKey":
        """Read a PEM file; see `from_pem`.

        Raises:
            InvalidInput: If the file cannot be read.
            VerificationError: If it holds no Ed25519 public key.
        """
        pem = _small_file(path)
        try:
            return cls.from_pem(pem)
        except VerificationError as error:
            raise VerificationError(f"{visible(str(path))}: {error}") from None

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, for `openssl pkeyutl -verify -rawin -pubin`."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def keyid(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, 64 hexadecimal digits: to compare by other means.

        `openssl pkey -pubin -outform DER | sha256sum` prints it too.
        """
        return hashlib.sha256(_SPKI_PREFIX + self.raw).hexdigest()

    def check(self, signature: bytes, message: bytes) -> None:
        """Refuse a signature that this key did not make over these bytes.

        Raises:
            VerificationError: If it did not.
        """
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise VerificationError(
                f"the signature was not made by key {self.keyid} over these bytes"
            ) from None


class SigningKey:
    """A secret Ed25519 key. It is never shown, copied by `pickle`, compared or hashed by its secret."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey(keyid={self.public.keyid[:16]}...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not to be pickled")

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key from the operating system's random numbers."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read what `save` wrote, or any unencrypted Ed25519 key in PKCS#8 PEM.

        Raises:
            InvalidInput: If the file holds none; its contents are not repeated.
        """
        pem = _small_file(path)
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None  # no `from`: the error below must not carry the secret into a traceback
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput(
                f"{visible(str(path))}: not an unencrypted Ed25519 key in PEM",
                "make one with 'bookplate key new --signing'",
            )
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key, PKCS#8 in PEM, to a new file that only its owner can read (mode 0600).

        Raises:
            InvalidInput: If the file exists.
        """
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with new_file(path, private=True) as staged:
            staged.write_bytes(pem)

    def signature(self, message: bytes) -> bytes:
        """The signature over some bytes, 64 bytes; see `envelopes.sign` for what to sign."""
        return self._key.sign(message)


def _small_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"{visible(str(path))}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise InvalidInput(f"{visible(str(path))}: too large for a key")
    return data
