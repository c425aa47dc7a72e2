"""Marking keys that nobody can have chosen.

A claimant who may choose a key can try millions, and keep one that happens to suit a model built long
before. So the key is made from two things:

    key = HKDF-SHA256(secret, salt = value of a public beacon, info = all that was committed to)

**Why it cannot be ground.** The claimant commits, by a hash with an outside timestamp t0, to the secret,
*to the source and round of the beacon*, and to whatever else could be tried out (`fixed`). The beacon
publishes its value at t1 > t0, and nobody knew it before. At t0 the claimant therefore chose among keys
without knowing any of them: each trial costs one published commitment, and at t1 one key is left. As a
function of a fresh random value, HKDF then gives a key that is independent of every model of before t1
(HMAC-SHA256 taken as a random function, as in RFC 5869's analysis). The secret keeps the key private,
though the beacon is public.

**What stays open.**

- *Withholding*: who commits to N secrets, or to N rounds, and shows one, had N tries. Count the published
  commitments of the claimant; "even had N been prepared" multiplies p by N.
- *Choosing the text afterwards*: at t1 the key is known to the claimant, who could then choose documents,
  a substitution table or settings to suit it. Commit to their digest with `fixed`; if it is empty, only
  the key is protected.
- *Trust* in the timestamp's authority (t0), and in the beacon's operators (that none told the value
  early, or made it to order). drand needs a threshold of its members to collude; the NIST beacon is one
  party. The BLS signature of a drand round is not checked here: look the value up in public archives.
- Models built after t1 by somebody who knew the secret.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import canonical_json, hexadecimal, new_file
from .strict_json import fields_of, strict_object

__all__ = [
    "DRAND_DEFAULT",
    "DRAND_QUICKNET",
    "Beacon",
    "BeaconedSecret",
    "check",
    "first_round_at",
    "scheduled",
]

_FORMAT = "bookplate-beaconed-secret/1"
_SECRET_BYTES = 32
_SHORTEST_VALUE, _LONGEST_VALUE = 32, 64  # bytes: drand's randomness, NIST's outputValue
_SOURCE = re.compile(r"[!-~]{1,200}", re.ASCII)
_LARGEST_ROUND = 2**53 - 1
_LARGEST_FILE = 1 << 16

DRAND_QUICKNET = "drand:52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
DRAND_DEFAULT = "drand:8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce"

# Time of round 1 in seconds since 1970, and seconds from round to round; from `/info` of each chain.
_SCHEDULES = {DRAND_QUICKNET: (1_692_803_367, 3), DRAND_DEFAULT: (1_595_431_050, 30)}


@dataclass(frozen=True, slots=True)
class Beacon:
    """One published value of a public beacon.

    Attributes:
        source: Which beacon: `drand:` and its chain hash, or any name without spaces, e.g.
            `nist:2.0:chain-2`.
        round: Its round, or pulse index.
        value: What it published, 32 to 64 bytes.
        published_at: When, in UTC; of drand's two main chains this must be the time of that round.
    """

    source: str
    round: int
    value: bytes
    published_at: datetime

    def __post_init__(self) -> None:
        _check_round(self.source, self.round)
        if not _SHORTEST_VALUE <= len(self.value) <= _LONGEST_VALUE:
            raise InvalidInput(
                f"a beacon value of {len(self.value)} bytes, expected {_SHORTEST_VALUE} to {_LONGEST_VALUE}"
            )
        if self.published_at.tzinfo is None:
            raise InvalidInput("the time of a beacon needs its time zone")
        expected = scheduled(self.source, self.round)
        if expected is not None and self.published_at != expected:
            raise InvalidInput(
                f"round {self.round} of {self.source} was published at {expected.isoformat()}, "
                f"not {self.published_at.isoformat()}"
            )


def scheduled(source: str, round_: int) -> datetime | None:
    """When a round of one of drand's two main chains is published, in UTC; None for other sources."""
    if source not in _SCHEDULES:
        return None
    first, period = _SCHEDULES[source]
    try:
        return datetime.fromtimestamp(first, UTC) + timedelta(seconds=(round_ - 1) * period)
    except OverflowError:
        raise InvalidInput(f"round {round_}: beyond the year 9999") from None


def first_round_at(source: str, time: datetime) -> int:
    """The first round of one of drand's two main chains that is not published before a time.

    Raises:
        InvalidInput: If the source is another, whose schedule is not known here.
    """
    if source not in _SCHEDULES:
        raise InvalidInput(f"{visible(source[:100])}: its schedule is not known", "name the round")
    first, period = _SCHEDULES[source]
    elapsed = time - datetime.fromtimestamp(first, UTC)
    return max(1, 1 - (-elapsed // timedelta(seconds=period)))


@dataclass(frozen=True, slots=True, repr=False)
class BeaconedSecret:
    """A secret to commit to before a named round of a beacon; see the module for the argument.

    Attributes:
        secret: 32 random bytes; never shown before they are opened in court.
        salt: 32 random bytes that blind the commitment.
        source: Which beacon, as in `Beacon`; fixed beforehand, as a choice among later rounds would be
            a choice among keys.
        round: Which round.
        fixed: SHA-256 of whatever else must not be chosen once the key is known (source data, table,
            settings), 64 hexadecimal digits; empty if nothing is.
    """

    secret: bytes
    salt: bytes
    source: str
    round: int
    fixed: str = ""

    def __post_init__(self) -> None:
        if len(self.secret) != _SECRET_BYTES or len(self.salt) != _SECRET_BYTES:
            raise InvalidInput(f"expected {_SECRET_BYTES} bytes each of secret and salt")
        _check_round(self.source, self.round)
        if self.fixed:
            try:
                hexadecimal(64, self.fixed, "SHA-256 digest of what is fixed")
            except ValueError as error:
                raise InvalidInput(visible(str(error)[:200])) from None

    def __repr__(self) -> str:
        return f"BeaconedSecret(commitment={self.commitment[:16]}..., round={self.round})"

    @classmethod
    def generate(cls, source: str, round_: int, *, fixed: str = "") -> "BeaconedSecret":
        """A fresh secret for a round that lies in the future; see the attributes."""
        salt = secrets.token_bytes(_SECRET_BYTES)
        return cls(secrets.token_bytes(_SECRET_BYTES), salt, source, round_, fixed)

    @classmethod
    def read(cls, path: Path) -> "BeaconedSecret":
        """Read what `save` wrote.

        Raises:
            InvalidInput: If the file is none; its contents are not repeated.
        """
        try:
            with path.open("rb") as file:
                return cls._parsed(file.read(_LARGEST_FILE + 1))
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        except (VerificationError, ValueError):
            reason = f"not a {_FORMAT} file"  # the error below must not carry the secret
        raise InvalidInput(f"{visible(str(path))}: {reason}")

    @classmethod
    def _parsed(cls, data: bytes) -> "BeaconedSecret":
        names = {
            "format": str,
            "secret": str,
            "salt": str,
            "source": str,
            "round": int,
            "fixed": str,
        }
        found = strict_object(data, "the secret", limit=_LARGEST_FILE)
        kind, secret, salt, source, round_, fixed = fields_of(found, names, "the secret")
        if kind != _FORMAT:
            raise ValueError(kind)
        return cls(bytes.fromhex(secret), bytes.fromhex(salt), source, round_, fixed)

    def save(self, path: Path) -> None:
        """Write to a new file that only its owner can read (mode 0600).

        Raises:
            InvalidInput: If the file exists.
        """
        data = {
            "format": _FORMAT,
            "secret": self.secret.hex(),
            "salt": self.salt.hex(),
            "source": self.source,
            "round": self.round,
            "fixed": self.fixed,
        }
        with new_file(path, private=True) as staged:
            staged.write_bytes(canonical_json(data) + b"\n")

    @property
    def commitment(self) -> str:
        """64 hexadecimal digits to be timestamped now: bind secret, source, round and `fixed`."""
        committed = canonical_json({
            "source": self.source,
            "round": self.round,
            "fixed": self.fixed,
        })
        prefix = b"bookplate beaconed secret commitment/1"
        return hashlib.sha256(prefix + self.salt + self.secret + committed).hexdigest()

    def derive(self, beacon: Beacon) -> bytes:
        """The marking key's secret.

        Args:
            beacon: The value of the round that was committed to.

        Returns:
            32 bytes for `MarkingKey`; its salt draws nothing, see `derive_salt`.

        Raises:
            InvalidInput: If it is another round, or another beacon.
        """
        return self._from(beacon, "bookplate marking key of a beacon/1 ")

    def derive_salt(self, beacon: Beacon) -> bytes:
        """What blinds the commitment to the derived key: who opens this secret opens that, too.

        Args:
            beacon: As for `derive`.

        Returns:
            32 bytes, which tell nothing of the key.

        Raises:
            InvalidInput: As for `derive`.
        """
        return self._from(beacon, "bookplate salt of a beacon's key/1 ")

    def _from(self, beacon: Beacon, purpose: str) -> bytes:
        if (beacon.source, beacon.round) != (self.source, self.round):
            raise InvalidInput(
                f"round {beacon.round} of {beacon.source}, but committed to round {self.round} of "
                f"{self.source}",
                "a round chosen afterwards would be a key chosen afterwards",
            )
        info = purpose.encode() + canonical_json({
            "commitment": self.commitment,
            "valueBytes": len(beacon.value),
        })
        return HKDF(hashes.SHA256(), length=32, salt=beacon.value, info=info).derive(self.secret)


def check(
    commitment: str,
    opened: BeaconedSecret,
    beacon: Beacon,
    derived: bytes,
    *,
    committed_at: datetime,
) -> None:
    """Refuse a key that is not the one which a commitment and a later beacon value leave.

    1. The commitment was proven to exist before the beacon's value was published.
    2. The opened secret, source, round and `fixed` are what was committed to.
    3. The beacon's value is of that source and round.
    4. They give this key.

    Not checked: that the beacon published this value then, and how many other commitments there are.

    Args:
        commitment: As it was timestamped.
        opened: What the claimant discloses.
        beacon: The public value, looked up by whoever checks.
        derived: The key that was used.
        committed_at: The latest time at which the commitment can have been made, proven from outside:
            `Timestamp.latest`. One's own clock proves nothing.

    Raises:
        VerificationError: If one of these fails.
        InvalidInput: If `committed_at` has no time zone.
    """
    if committed_at.tzinfo is None:
        raise InvalidInput("the time of a commitment needs its time zone")
    if committed_at >= beacon.published_at:  # 1
        raise VerificationError(
            f"the commitment is proven only for {committed_at.isoformat()}, when the beacon's value of "
            f"{beacon.published_at.isoformat()} was public: the key may have been chosen"
        )
    if opened.commitment != commitment:  # 2
        raise VerificationError("the opened secret, round or source is not what was committed to")
    try:
        expected = opened.derive(beacon)  # 3
    except InvalidInput as error:
        raise VerificationError(str(error)) from None
    if expected != derived:  # 4
        raise VerificationError("the key does not follow from the opened secret and the beacon")


def _check_round(source: str, round_: int) -> None:
    if not _SOURCE.fullmatch(source):
        raise InvalidInput(
            f"beacon source {visible(source[:80])!r}: expected visible ASCII, no spaces"
        )
    if type(round_) is not int or not 0 < round_ <= _LARGEST_ROUND:
        raise InvalidInput(f"a beacon's round is a whole number from 1, not {round_!r}")
