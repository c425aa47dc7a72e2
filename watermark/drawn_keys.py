"""The marking key that a promise and a beacon's value leave, and its check once the secret is opened.

`provenance.custody.promises` holds what is public of it, `provenance.custody.beacons` why nobody can have
chosen the key.
"""

from datetime import datetime

from ..errors import VerificationError
from ..provenance.custody.beacons import Beacon, BeaconedSecret, check
from ..provenance.custody.promises import KeyDraw, KeyPromise, verify_draw
from .keys import MarkingKey

__all__ = ["draw_key", "verify_opened"]


def draw_key(secret: BeaconedSecret, beacon: Beacon) -> tuple[MarkingKey, KeyDraw]:
    """The marking key, and what to publish of its making.

    Args:
        secret: What was committed to before the round.
        beacon: The value of that round.

    Raises:
        InvalidInput: If it is another round, or another beacon.
    """
    key = MarkingKey(secret.derive(beacon), secret.derive_salt(beacon))
    promise = KeyPromise.of(secret)
    return key, KeyDraw(promise=promise, beacon=beacon, key_commitment=key.commitment)


def verify_opened(
    draw: KeyDraw,
    promise: KeyPromise,
    opened: BeaconedSecret,
    *,
    committed_at: datetime,
    beacon: Beacon,
) -> MarkingKey:
    """Refuse a key that does not follow from the opened secret; see `verify_draw` for the rest.

    Args:
        draw: What was published after the round.
        promise: What was published, and timestamped, before it.
        opened: The secret, as its owner opens it.
        committed_at: `Timestamp.latest` of an outside authority over the bytes of the promise.
        beacon: The value, looked up by whoever checks.

    Returns:
        The key: `for_copy` gives those of its datasets and recipients, whose commitments stand in their
        release.json.

    Raises:
        VerificationError: If something does not fit.
    """
    verify_draw(draw, promise, committed_at=committed_at, beacon=beacon)
    if KeyPromise.of(opened) != promise:
        raise VerificationError("the opened secret, round or source is not what was committed to")
    key, _ = draw_key(opened, beacon)
    check(promise.commitment, opened, beacon, key.secret, committed_at=committed_at)
    if key.commitment != draw.key_commitment:
        raise VerificationError("the key does not follow from the opened secret and the beacon")
    return key
