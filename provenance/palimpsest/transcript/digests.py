"""Digests that stand for sequences until the claimant discloses them.

Each sequence has a salt of its own, so that a digest tells nothing of a text that can be guessed, and
disclosing one sequence gives away no other.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput

__all__ = ["SALT_BYTES", "sequence_digest"]

SALT_BYTES = 16
_PREFIX = b"bookplate sequence/1"


def sequence_digest(sequence: str | Sequence[int] | NDArray[np.integer], salt: bytes) -> str:
    """Salted SHA-256 of a sequence, 64 hexadecimal digits.

    The hash is over the words `bookplate sequence/1`, the salt, and `s` with the text in UTF-8 or `t` with
    the token ids as little-endian 64-bit integers.

    Args:
        sequence: A text, or token ids.
        salt: 16 bytes.

    Raises:
        InvalidInput: If the salt has another length.
    """
    if len(salt) != SALT_BYTES:
        raise InvalidInput(f"expected a salt of {SALT_BYTES} bytes, got {len(salt)}")
    if isinstance(sequence, str):
        content = b"s" + sequence.encode("utf-8")
    else:
        content = b"t" + np.asarray(sequence, dtype="<i8").tobytes()
    return hashlib.sha256(_PREFIX + salt + content).hexdigest()
