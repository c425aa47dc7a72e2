"""Who held what, when: evidence that its owner, too, cannot change without being noticed.

In the order of a case:

- `beacons`, with `promises`: before release, a marking key that nobody can have chosen;
- `merkle`: commit to a private table by one public hash, and later show single rows of it;
- `timestamps`: have an outside authority testify when a commitment existed (RFC 3161);
- `log`: who ran what, when, each line bound to the line before;
- `statements`: these files with these digests, and what is said about them (in-toto);
- `envelopes`, with `signing_keys`: signed, so that the bytes verified are the bytes parsed (DSSE).

Everything checks offline. What a hash, a time and a signature cannot show: that what was written was
true. `VerificationError` is evidence that does not hold, `InvalidInput` a call that cannot be made.
"""

from .beacons import Beacon, BeaconedSecret
from .envelopes import Envelope, sign
from .merkle import MerkleCommitment, MerkleTree, commit, leaf_hash, prove, verify_inclusion
from .promises import KeyDraw, KeyPromise, verify_draw
from .signing_keys import PublicKey, SigningKey
from .statements import Statement, statement_over
from .timestamps import AuthorityChain, Timestamp, TimestampRequest

__all__ = [
    "AuthorityChain",
    "Beacon",
    "BeaconedSecret",
    "Envelope",
    "KeyDraw",
    "KeyPromise",
    "MerkleCommitment",
    "MerkleTree",
    "PublicKey",
    "SigningKey",
    "Statement",
    "Timestamp",
    "TimestampRequest",
    "commit",
    "leaf_hash",
    "prove",
    "sign",
    "statement_over",
    "verify_draw",
    "verify_inclusion",
]
