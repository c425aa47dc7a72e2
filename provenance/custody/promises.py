"""The public side of a key that nobody can have chosen; `beacons` holds the argument and the secret side.

- `key-promise.json`, published and timestamped before the round: the commitment to the secret, and which
  round of which beacon, with what else was fixed, will make the key.
- `key-draw.json`, published afterwards: the beacon's value, and the commitment to the key that it made.

**What the two show.** As long as the secret is kept, anybody can check that the promise was made before
the beacon's value was known, and that the value is the beacon's. That the key is the one which follows
from the promise *stands as claimed*: it can be checked once the secret is opened, see
`watermark.drawn_keys`. Who opens it opens the key with all that it marked; so make one promise for each
dataset that may have to be opened on its own.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import hexadecimal, new_file
from .beacons import Beacon, BeaconedSecret, scheduled
from .strict_json import fields_of, strict_object

__all__ = ["KeyDraw", "KeyPromise", "parse_beacon", "verify_draw"]

_PROMISE, _DRAW, _BEACON = "bookplate-key-promise/1", "bookplate-key-draw/1", "bookplate-beacon/1"
_PROMISE_FIELDS: dict[str, type] = {
    "commitment": str,
    "fixed": str,
    "format": str,
    "round": int,
    "source": str,
}
_DRAW_FIELDS: dict[str, type] = {
    "beacon": dict,
    "format": str,
    "keyCommitment": str,
    "promise": dict,
}
_BEACON_FIELDS: dict[str, type] = {
    "format": str,
    "publishedAt": str,
    "round": int,
    "source": str,
    "value": str,
}
_LARGEST = 1 << 16
_NIST_VERSION = re.compile(r"(?:Version )?([0-9]{1,3}\.[0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPromise:
    """What is published before the beacon's value is known.

    Attributes:
        commitment: `BeaconedSecret.commitment`.
        source: Which beacon; see `Beacon`.
        round: Which round.
        fixed: SHA-256 of what must not be chosen once the key is known; empty if nothing is.
    """

    commitment: str
    source: str
    round: int
    fixed: str = ""

    @classmethod
    def of(cls, secret: BeaconedSecret) -> "KeyPromise":
        """The public side of a secret."""
        return cls(
            commitment=secret.commitment,
            source=secret.source,
            round=secret.round,
            fixed=secret.fixed,
        )

    @property
    def known_at(self) -> datetime | None:
        """When the key can be known at the earliest, UTC; None if the source's schedule is not known."""
        return scheduled(self.source, self.round)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "commitment": self.commitment,
            "fixed": self.fixed,
            "format": _PROMISE,
            "round": self.round,
            "source": self.source,
        }

    def to_bytes(self) -> bytes:
        """The file to publish, readable JSON; a timestamp is of these very bytes."""
        return _readable(self.as_dict())

    @classmethod
    def parse(cls, data: bytes, what: str = "the key promise") -> "KeyPromise":
        """Read what `to_bytes` gave.

        Raises:
            VerificationError: If it is no promise of this version.
        """
        return cls._of_json(strict_object(data, what, limit=_LARGEST), what)

    @classmethod
    def _of_json(cls, found: Any, what: str) -> "KeyPromise":
        commitment, fixed, kind, round_, source = fields_of(found, _PROMISE_FIELDS, what)
        _check_format(kind, _PROMISE, what)
        try:
            hexadecimal(64, commitment, "commitment to a secret")
            if fixed:
                hexadecimal(64, fixed, "SHA-256 digest of what is fixed")
            # A beacon that cannot be is no source; any value will do to ask.
            Beacon(source, round_, bytes(32), scheduled(source, round_) or datetime.now(UTC))
        except ValueError as error:
            raise VerificationError(f"{what}: {visible(str(error)[:200])}") from None
        return cls(commitment=commitment, source=source, round=round_, fixed=fixed)

    @classmethod
    def read(cls, path: Path) -> "KeyPromise":
        """Read a file; see `parse`.

        Raises:
            InvalidInput: If it cannot be read.
        """
        return cls.parse(_small_file(path), visible(str(path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDraw:
    """What is published once the key is made.

    Attributes:
        promise: The promise, repeated.
        beacon: The value that came of the round.
        key_commitment: `MarkingKey.commitment` of the key.
    """

    promise: KeyPromise
    beacon: Beacon
    key_commitment: str

    def to_bytes(self) -> bytes:
        """The file to publish, readable JSON."""
        return _readable({
            "beacon": {
                "format": _BEACON,
                "publishedAt": self.beacon.published_at.astimezone(UTC).isoformat(),
                "round": self.beacon.round,
                "source": self.beacon.source,
                "value": self.beacon.value.hex(),
            },
            "format": _DRAW,
            "keyCommitment": self.key_commitment,
            "promise": self.promise.as_dict(),
        })

    @classmethod
    def parse(cls, data: bytes, what: str = "the key draw") -> "KeyDraw":
        """Read what `to_bytes` gave.

        Raises:
            VerificationError: If it is no draw of this version.
        """
        found = strict_object(data, what, limit=_LARGEST)
        beacon, kind, key_commitment, promise = fields_of(found, _DRAW_FIELDS, what)
        _check_format(kind, _DRAW, what)
        try:
            hexadecimal(64, key_commitment, "key commitment")
        except ValueError as error:
            raise VerificationError(f"{what}: {visible(str(error)[:200])}") from None
        return cls(
            promise=KeyPromise._of_json(promise, what),
            beacon=_own_beacon(beacon, what),
            key_commitment=key_commitment,
        )

    @classmethod
    def read(cls, path: Path) -> "KeyDraw":
        """Read a file; see `parse`.

        Raises:
            InvalidInput: If it cannot be read.
        """
        return cls.parse(_small_file(path), visible(str(path)))

    def write(self, path: Path) -> None:
        """Write to a new file, see `new_file`."""
        with new_file(path) as staged:
            staged.write_bytes(self.to_bytes())


def verify_draw(
    draw: KeyDraw, promise: KeyPromise, *, committed_at: datetime, beacon: Beacon
) -> None:
    """Refuse a key whose making does not fit what was promised; the secret is not needed.

    1. The draw is of this promise, and of the round that it names.
    2. The beacon's value is the one that whoever checks has looked up.
    3. The promise was proven to exist before that value was published.

    Not checked: that the key follows from promise and value (`watermark.drawn_keys.verify_opened`), and
    how many other promises there are.

    Args:
        draw: What was published after the round.
        promise: What was published, and timestamped, before it.
        committed_at: `Timestamp.latest` of an outside authority over the bytes of the promise.
        beacon: The value, looked up by whoever checks.

    Raises:
        VerificationError: If one of these fails.
        InvalidInput: If `committed_at` has no time zone.
    """
    if committed_at.tzinfo is None:
        raise InvalidInput("the time of a promise needs its time zone")
    if draw.promise != promise:  # 1
        raise VerificationError("the key was drawn for another promise")
    if (draw.beacon.source, draw.beacon.round) != (promise.source, promise.round):
        raise VerificationError(
            f"the key was drawn with round {draw.beacon.round} of {draw.beacon.source}, but promised for "
            f"round {promise.round} of {promise.source}"
        )
    if draw.beacon != beacon:  # 2
        raise VerificationError("the key was drawn with another value than the beacon published")
    if committed_at >= beacon.published_at:  # 3
        raise VerificationError(
            f"the promise is proven only for {committed_at.isoformat()}, when the beacon's value of "
            f"{beacon.published_at.isoformat()} was public: the key may have been chosen"
        )


def parse_beacon(data: bytes, source: str, what: str = "the beacon's value") -> Beacon:
    """A beacon's value as the beacon's own server gives it.

    Three forms are read: drand's answer to `/<chain hash>/public/<round>` (`round`, `signature`,
    `randomness`), which does not name its chain; NIST's `pulse`; and ours, as in `key-draw.json`. Of
    drand's, the randomness must be the SHA-256 of the signature; the signature itself is not checked.

    Args:
        data: JSON.
        source: Which beacon was promised.
        what: Its name, for messages.

    Raises:
        VerificationError: If it is none of these, or contradicts itself.
    """
    found = strict_object(data, what, limit=_LARGEST)
    if "pulse" in found:
        return _nist_pulse(found["pulse"], what)
    if "signature" in found:
        return _drand_round(found, source, what)
    return _own_beacon(found, what)


def _own_beacon(found: Any, what: str) -> Beacon:
    kind, published_at, round_, source, value = fields_of(found, _BEACON_FIELDS, what)
    _check_format(kind, _BEACON, what)
    return _beacon(source, round_, value, published_at, what)


def _drand_round(found: dict[str, Any], source: str, what: str) -> Beacon:
    round_, signature = found.get("round"), found.get("signature")
    try:
        randomness = hashlib.sha256(bytes.fromhex(signature or "")).hexdigest()
    except (TypeError, ValueError):
        raise VerificationError(f"{what}: a signature that is not hexadecimal") from None
    if found.get("randomness", randomness) != randomness:
        raise VerificationError(f"{what}: its randomness is not the SHA-256 of its signature")
    if type(round_) is not int:
        raise VerificationError(f"{what}: a round that is no whole number")
    try:
        published_at = scheduled(source, round_)
    except InvalidInput as error:
        raise VerificationError(f"{what}: {error}") from None
    if published_at is None:
        raise VerificationError(
            f"{what}: an answer of drand, but promised was {visible(source[:100])}",
            "of other chains than drand's main ones, write the value in Bookplate's own form, with its time",
        )
    return _beacon(source, round_, randomness, published_at.isoformat(), what)


def _nist_pulse(pulse: Any, what: str) -> Beacon:
    if not isinstance(pulse, dict):
        raise VerificationError(f"{what}: its pulse is no JSON object")
    texts = [pulse.get(name) for name in ("version", "timeStamp", "outputValue")]
    numbers = [pulse.get(name) for name in ("chainIndex", "pulseIndex")]
    if not all(isinstance(text, str) for text in texts) or not all(type(n) is int for n in numbers):
        raise VerificationError(f"{what}: its pulse lacks a field")
    version, time, value = map(str, texts)
    known = _NIST_VERSION.fullmatch(version)
    if known is None:
        raise VerificationError(f"{what}: a pulse of version {visible(version[:80])!r}")
    source = f"nist:{known[1]}:chain-{numbers[0]}"
    return _beacon(source, numbers[1], value.lower(), time, what)


def _beacon(source: str, round_: Any, value: str, published_at: str, what: str) -> Beacon:
    try:
        hexadecimal(len(value), value, "hexadecimal value")
        return Beacon(source, round_, bytes.fromhex(value), datetime.fromisoformat(published_at))
    except ValueError as error:  # InvalidInput is one
        raise VerificationError(f"{what}: {visible(str(error)[:200])}") from None


def _check_format(kind: str, expected: str, what: str) -> None:
    if kind != expected:
        raise VerificationError(f"{what}: format {visible(kind[:80])!r}, expected {expected}")


def _readable(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode("ascii")


def _small_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidInput(f"{visible(str(path))}: cannot be read: {error.strerror}") from None
