"""Merkle trees: one public hash that binds a private list, of which single rows can be shown later.

Source: RFC 9162 section 2.1 (RFC 6962): leaf = SHA-256(0x00 || data), node = SHA-256(0x01 || left ||
right), split at the largest power of two below n. A proof can also verify under another tree size,
so a commitment is root and leaf count together.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MerkleCommitment", "commit"]


@dataclass(frozen=True, slots=True)
class MerkleCommitment:
    """A commitment to a list of byte strings.

    Attributes:
        root: Root hash, 64 hexadecimal digits.
        leaf_count: Length of the list.
    """

    root: str
    leaf_count: int


def commit(leaves: Iterable[bytes]) -> MerkleCommitment:
    """Commit to a list, in one pass and with memory logarithmic in its length.

    Args:
        leaves: The data of each leaf. Guessable data must be salted by the caller.

    Returns:
        Root and leaf count; the root of no leaves is SHA-256 of the empty string.
    """
    # Complete subtrees of descending size, as (height, hash): the binary digits of the count so far.
    stack: list[tuple[int, bytes]] = []
    count = 0
    for leaf in leaves:
        height, node = 0, hashlib.sha256(b"\x00" + leaf).digest()
        while stack and stack[-1][0] == height:
            node = _join(stack.pop()[1], node)
            height += 1
        stack.append((height, node))
        count += 1
    if not stack:
        return MerkleCommitment(hashlib.sha256(b"").hexdigest(), 0)
    root = stack.pop()[1]
    while stack:
        root = _join(stack.pop()[1], root)
    return MerkleCommitment(root.hex(), count)


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
