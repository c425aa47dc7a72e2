"""Timestamps by outside authorities (RFC 3161): proof that some bytes existed at a time.

A request holds only the SHA-256 of the message. The authority's answer is a file to keep: it can be
checked offline, for ever, by whoever trusts the authority's root certificate.

The signature and the chain of certificates are checked by `rfc3161-client` (OpenSSL's PKCS #7, at the
time in the token). What it leaves out is checked here: that the signing certificate is for timestamps
*only*, is not one of two of the same name, and that the imprint is SHA-256. Not checked: revocation, which
would need the network, and the signed attribute ESSCertID, as the certificate is found by issuer and
serial number and must bear the key that signed.
"""

import hashlib
import re
import secrets
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...display import visible
from ...errors import InvalidInput, VerificationError
from .der import element, with_sorted_certificates

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

__all__ = ["AuthorityChain", "Timestamp", "TimestampRequest", "check_answer", "send"]

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_LARGEST_ANSWER = 1 << 20
_LARGEST_CHAIN = 1 << 20
_GRANTED = 0
_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


_REQUEST = re.compile(  # what `TimestampRequest.to_bytes` writes
    rb"\x30.\x02\x01\x01\x30.\x30.\x06\x09.{9}\x05\x00\x04\x20(?P<digest>.{32})"
    rb"\x02.(?P<nonce>.{1,9})\x01\x01\xff",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TimestampRequest:
    """What to send to an authority.

    Attributes:
        message_sha256: SHA-256 of the message, 32 bytes.
        nonce: A random number that the answer repeats, so that it cannot be an older one.
    """

    message_sha256: bytes
    nonce: int

    def __post_init__(self) -> None:
        if len(self.message_sha256) != hashlib.sha256().digest_size or not 0 <= self.nonce < 2**64:
            raise InvalidInput("a timestamp request needs a SHA-256 and a nonce of 64 bits")

    @classmethod
    def of(cls, message: bytes) -> "TimestampRequest":
        """A request for some bytes, with a fresh nonce."""
        return cls(hashlib.sha256(message).digest(), secrets.randbits(64))

    @classmethod
    def from_bytes(cls, data: bytes) -> "TimestampRequest":
        """Read what `to_bytes` gave, or `openssl ts -query -sha256 -cert`.

        Raises:
            InvalidInput: If it is no such request, e.g. one without a nonce.
        """
        if found := _REQUEST.fullmatch(data):
            try:
                request = cls(found["digest"], int.from_bytes(found["nonce"]))
            except InvalidInput:
                pass
            else:
                if request.to_bytes() == data:
                    return request
        raise InvalidInput(
            "no timestamp request by SHA-256 that has a nonce and asks for the certificate"
        )

    def to_bytes(self) -> bytes:
        """DER of TimeStampReq, which asks for the certificate, too (RFC 3161, section 2.4.1)."""
        algorithm = element(0x30, bytes.fromhex("0609608648016503040201") + b"\x05\x00")
        imprint = element(0x30, algorithm + element(0x04, self.message_sha256))
        nonce = self.nonce.to_bytes(self.nonce.bit_length() // 8 + 1)  # a leading bit for the sign
        version, certificate_wanted = b"\x02\x01\x01", b"\x01\x01\xff"
        return element(0x30, version + imprint + element(0x02, nonce) + certificate_wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """What an authority testified.

    Attributes:
        time: When the message existed, UTC.
        accuracy: By how much that may be off; None if the authority does not say.
        authority: Subject of the certificate that signed, RFC 4514; foreign text.
        certificate_sha256: Fingerprint of that certificate, 64 hexadecimal digits.
        policy: Object identifier of the authority's policy.
        serial_number: The authority's own number of this timestamp.
    """

    time: datetime
    accuracy: timedelta | None
    authority: str
    certificate_sha256: str
    policy: str
    serial_number: int

    @property
    def latest(self) -> datetime:
        """The latest time that it may mean, for "existed before"."""
        return self.time + (self.accuracy or timedelta(0))


@dataclass(frozen=True, slots=True)
class AuthorityChain:
    """Whom the one who checks trusts for times. Never taken from the bundle that is being checked.

    Attributes:
        roots: Certificates signed by themselves.
        intermediates: Others, of use if the token does not bring them.
    """

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        if not self.roots:
            raise InvalidInput(
                "no root certificate: checking against nothing would prove nothing",
                "get the authority's root certificate from the authority",
            )

    @classmethod
    def from_pem(cls, pem: bytes) -> "AuthorityChain":
        """Certificates in PEM, in any order.

        Raises:
            InvalidInput: If there is none, or none that is signed by itself.
        """
        try:
            with _malformed_is_refused():
                found = dict.fromkeys(x509.load_pem_x509_certificates(pem))
                roots = tuple(item for item in found if item.issuer == item.subject)
        except VerificationError:
            raise InvalidInput("no certificates in PEM") from None
        return cls(roots, tuple(item for item in found if item not in roots))

    @classmethod
    def read(cls, path: Path) -> "AuthorityChain":
        """Read a PEM file; see `from_pem`.

        Raises:
            InvalidInput: If it cannot be read, or as for `from_pem`.
        """
        try:
            with path.open("rb") as file:
                pem = file.read(_LARGEST_CHAIN)
        except OSError as error:
            raise InvalidInput(f"{visible(str(path))}: cannot be read: {error.strerror}") from None
        try:
            return cls.from_pem(pem)
        except InvalidInput as error:
            raise InvalidInput(f"{visible(str(path))}: {error}", error.hint) from None

    def verify(self, answer: bytes, message: bytes, *, nonce: int | None = None) -> Timestamp:
        """When an authority of this chain saw a message.

        1. The answer is one TimeStampResp, nothing after it, with a timestamp granted.
        2. It is about the SHA-256 of this message, and repeats the nonce.
        3. One certificate is named as the signer's; it is for timestamps only, critically, and was valid
           at the time in the token.
        4. It signed the token, and a trusted root stands behind it at that time.

        Args:
            answer: DER, as the authority sent it.
            message: What was stamped.
            nonce: That of the request; None if the request was not kept.

        Raises:
            VerificationError: If one of these fails.
        """
        found = _parsed(answer)  # 1
        with _malformed_is_refused():
            _check_subject(found, hashlib.sha256(message).digest(), nonce)  # 2
            signer = self._signer(found)  # 3
            self._check_signature(found, message)  # 4
            return _testimony(found, signer)

    def _signer(self, found: "TimeStampResponse") -> x509.Certificate:
        infos = found.signed_data.signer_infos
        if len(infos) != 1:
            raise VerificationError(f"the timestamp has {len(infos)} signers, expected one")
        named = next(iter(infos))
        brought = [x509.load_der_x509_certificate(item) for item in found.signed_data.certificates]
        matching = {
            item
            for item in (*brought, *self.roots, *self.intermediates)
            if item.issuer == named.issuer and item.serial_number == named.serial_number
        }
        if len(matching) != 1 or not matching <= set(brought):
            raise VerificationError(
                f"the timestamp brings {len(matching & set(brought))} certificates of its signer, "
                "expected one"
            )
        (signer,) = matching
        _check_purpose(signer)
        _check_validity(signer, _utc(found.tst_info.gen_time))
        return signer

    def _check_signature(self, found: "TimeStampResponse", message: bytes) -> None:
        import rfc3161_client

        # The signer's own certificate is not handed over: it would be trusted for being there.
        verifier = rfc3161_client.VerifierBuilder(
            roots=list(self.roots), intermediates=list(self.intermediates)
        ).build()
        try:
            verifier.verify_message(found, message)
        except rfc3161_client.VerificationError as error:
            raise VerificationError(
                f"the timestamp's signature or chain of certificates does not hold: {_brief(error)}",
                "check against the root certificate of the authority that gave it",
            ) from None


def check_answer(answer: bytes, message_sha256: bytes, *, nonce: int | None = None) -> datetime:
    """Refuse an answer that is not about a message; who gave it is not checked.

    It keeps a useless file from being put away. Proof is `AuthorityChain.verify`.

    Args:
        answer: DER, as the authority sent it.
        message_sha256: SHA-256 of what was to be stamped, 32 bytes.
        nonce: That of the request; None if the request was not kept.

    Returns:
        The time that it claims, UTC.

    Raises:
        VerificationError: If it is no timestamp, of another message, or answers another request.
    """
    found = _parsed(answer)
    with _malformed_is_refused():
        _check_subject(found, message_sha256, nonce)
        return _utc(found.tst_info.gen_time)


def send(request: TimestampRequest, url: str, *, timeout: float = 30.0) -> bytes:
    """Ask an authority over HTTP (RFC 3161, section 3.4).

    Args:
        request: What to ask; the authority learns the hash, and when it was asked.
        url: The authority.
        timeout: Seconds to wait for each step.

    Returns:
        The answer, not checked yet; see `AuthorityChain.verify`.

    Raises:
        VerificationError: If something other than a timestamp answers.
        InvalidInput: If it cannot be reached.
    """
    import httpx

    headers = {"Content-Type": "application/timestamp-query"}
    try:
        with httpx.stream(
            "POST", url, content=request.to_bytes(), headers=headers, timeout=timeout
        ) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if response.status_code != 200 or kind != "application/timestamp-reply":
                raise VerificationError(
                    f"{visible(url)}: answered {response.status_code} {visible(kind[:80])!r}, no timestamp"
                )
            answer = b""
            for chunk in response.iter_bytes():
                answer += chunk
                if len(answer) > _LARGEST_ANSWER:
                    raise VerificationError(f"{visible(url)}: more than {_LARGEST_ANSWER} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidInput(f"{visible(url)}: cannot be reached: {_brief(error)}") from error
    return answer


@contextmanager
def _malformed_is_refused() -> Generator[None]:
    """Both libraries read certificates and tokens piece by piece, and each piece may be rubbish."""
    try:
        with warnings.catch_warnings():  # of odd certificates: what counts is whether they hold
            warnings.simplefilter("ignore")
            yield
    except _MALFORMED as error:
        raise VerificationError(f"malformed inside: {_brief(error)}") from None


def _parsed(answer: bytes) -> "TimeStampResponse":
    import rfc3161_client

    if len(answer) > _LARGEST_ANSWER:
        raise VerificationError(f"the timestamp: {len(answer)} bytes, more than {_LARGEST_ANSWER}")
    try:
        found = rfc3161_client.decode_timestamp_response(with_sorted_certificates(answer))
        status = found.status
    except ValueError as error:
        raise VerificationError(f"no timestamp, or bytes after it: {_brief(error)}") from None
    if status != _GRANTED:
        raise VerificationError(f"the authority granted no timestamp: status {status}")
    return found


def _check_subject(found: "TimeStampResponse", sha256: bytes, nonce: int | None) -> None:
    imprint = found.tst_info.message_imprint
    if imprint.hash_algorithm != _SHA256:
        raise VerificationError("the timestamp is not about a SHA-256")
    if imprint.message != sha256:
        raise VerificationError("the timestamp is of another message")
    if nonce is not None and found.tst_info.nonce != nonce:
        raise VerificationError("the timestamp answers another request: its nonce differs")


def _check_purpose(signer: x509.Certificate) -> None:
    """RFC 3161, section 2.3: the extended key usage is critical, and timeStamping alone."""
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise VerificationError("the signer's certificate is not one for timestamps") from None
    if list(usage.value) != [_TIME_STAMPING]:
        raise VerificationError("the signer's certificate is not for timestamps alone")
    if not usage.critical:
        raise VerificationError(
            "the signer's certificate is not bound to timestamps (not critical)"
        )


def _check_validity(signer: x509.Certificate, time: datetime) -> None:
    begin, end = signer.not_valid_before_utc, signer.not_valid_after_utc
    if not begin <= time <= end:
        raise VerificationError(
            f"the timestamp of {time.isoformat()} lies outside the validity of its certificate, "
            f"{begin.isoformat()} to {end.isoformat()}"
        )


def _testimony(found: "TimeStampResponse", signer: x509.Certificate) -> Timestamp:
    said = found.tst_info
    accuracy = said.accuracy
    return Timestamp(
        time=_utc(said.gen_time),
        accuracy=None
        if accuracy is None
        else timedelta(
            seconds=accuracy.seconds or 0,
            milliseconds=accuracy.millis or 0,
            microseconds=accuracy.micros or 0,
        ),
        authority=visible(signer.subject.rfc4514_string()),
        certificate_sha256=hashlib.sha256(signer.public_bytes(Encoding.DER)).hexdigest(),
        policy=said.policy.dotted_string,
        serial_number=said.serial_number,
    )


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _brief(error: Exception) -> str:
    return visible(str(error)[:200])
