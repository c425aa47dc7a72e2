"""Signed bytes in a DSSE envelope: what was signed is what is verified, and what is parsed.

Source: DSSE 1.0 (github.com/secure-systems-lab/dsse, envelope.md and protocol.md). The signature is over

    PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body      (lengths in bytes)

so neither the payload nor its type can be exchanged, and no canonical form is relied on. Narrower than
DSSE, so that an envelope has one reading: exactly one signature, no unknown fields, the standard base64
alphabet only, and a key id that is that of the signing key.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import canonical_json
from .signing_keys import PublicKey, SigningKey
from .strict_json import fields_of, strict_object

__all__ = ["IN_TOTO", "Envelope", "pre_authentication_encoding", "sign"]

IN_TOTO = "application/vnd.in-toto+json"  # payload type of an in-toto Statement
_LARGEST = 64 << 20  # bytes of an envelope
_SIGNATURE_BYTES = 64
_WHAT = "the envelope"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Bytes with a signature that nobody has checked yet.

    Attributes:
        unverified_payload: What is said to be signed; `verify` returns it once it is known to be.
        payload_type: Media type of the payload.
        keyid: Who is said to have signed: a hint for choosing a key, and no reason to trust one.
        signature: 64 bytes.
    """

    unverified_payload: bytes = field(repr=False)
    payload_type: str
    keyid: str
    signature: bytes = field(repr=False)

    @classmethod
    def read(cls, data: bytes) -> "Envelope":
        """Parse an envelope strictly.

        Args:
            data: The bytes of its file.

        Raises:
            VerificationError: If it is too large, is no strict JSON, has unknown or missing fields, not
                exactly one signature, or base64 in any but its one canonical form.
        """
        found = strict_object(data, _WHAT, limit=_LARGEST)
        names = {"payload": str, "payloadType": str, "signatures": list}
        payload, payload_type, signatures = fields_of(found, names, _WHAT)
        if len(signatures) != 1:
            raise VerificationError(f"{_WHAT}: expected one signature, got {len(signatures)}")
        keyid, sig = fields_of(signatures[0], {"keyid": str, "sig": str}, "the signature")
        signature = _unbase64(sig, "the signature")
        if len(signature) != _SIGNATURE_BYTES:
            raise VerificationError(
                f"the signature: expected {_SIGNATURE_BYTES} bytes, got {len(signature)}"
            )
        return cls(_unbase64(payload, "the payload"), payload_type, keyid, signature)

    def to_bytes(self) -> bytes:
        """The envelope as canonical JSON; `read` gives it back."""
        signature = {"keyid": self.keyid, "sig": _base64(self.signature)}
        envelope: dict[str, Any] = {
            "payload": _base64(self.unverified_payload),
            "payloadType": self.payload_type,
            "signatures": [signature],
        }
        return canonical_json(envelope)

    def verify(self, key: PublicKey, payload_type: str = IN_TOTO) -> bytes:
        """The payload, byte for byte as it was signed.

        1. The payload is of the type that the caller can read.
        2. `key` signed this type and these bytes.
        3. The envelope names that key.

        Not checked: whose key it is. It must come from outside, never from beside the envelope.

        Args:
            key: The key to trust.
            payload_type: The only type to accept.

        Returns:
            What to parse.

        Raises:
            VerificationError: If one of these fails.
        """
        if self.payload_type != payload_type:  # 1
            raise VerificationError(
                f"{_WHAT}: payload type {visible(self.payload_type[:80])!r}, expected {payload_type!r}"
            )
        encoded = pre_authentication_encoding(self.payload_type, self.unverified_payload)
        try:
            key.check(self.signature, encoded)  # 2
        except VerificationError as error:
            if self.keyid != key.keyid:
                raise VerificationError(
                    f"{error}; {_WHAT} names another key, {visible(self.keyid[:80])!r}",
                    "get the signer's public key from the signer, not from the bundle",
                ) from None
            raise
        if self.keyid != key.keyid:  # 3
            raise VerificationError(
                f"{_WHAT}: signed by key {key.keyid}, but names {visible(self.keyid[:80])!r}"
            )
        return self.unverified_payload


def sign(key: SigningKey, payload: bytes, payload_type: str = IN_TOTO) -> Envelope:
    """Sign some bytes.

    Args:
        key: The secret key.
        payload: What to sign; it is kept as it is.
        payload_type: Its media type.

    Returns:
        The envelope.

    Raises:
        InvalidInput: If the payload is too large to be read again, or the type is not ASCII.
    """
    if not payload_type or not payload_type.isascii() or not payload_type.isprintable():
        raise InvalidInput(f"expected a media type, got {visible(payload_type[:80])!r}")
    if len(payload) > _LARGEST // 2:
        raise InvalidInput(f"a payload of {len(payload)} bytes; at most {_LARGEST // 2} are signed")
    signature = key.signature(pre_authentication_encoding(payload_type, payload))
    return Envelope(payload, payload_type, key.public.keyid, signature)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of DSSE: the bytes that are signed; one sequence per pair of type and payload."""
    encoded = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(encoded), encoded, len(payload), payload)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError(f"{what}: no base64 of the standard alphabet") from None
    if _base64(data) != text:  # the last digit may hold bits that decoding drops
        raise VerificationError(f"{what}: not the canonical base64 of its bytes")
    return data
