"""Merkle trees: one public hash that binds a private list, of which single rows can be shown later.

Source: RFC 9162 section 2.1 (RFC 6962): leaf = SHA-256(0x00 || data), node = SHA-256(0x01 || left ||
right), split at the largest power of two below n. A proof can also verify under another tree size,
so a commitment is root and leaf count together.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MerkleCommitment", "MerkleTree", "commit", "leaf_hash"]


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
    tree = MerkleTree()
    tree.extend(map(leaf_hash, leaves))
    return tree.commitment()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf's data, 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


class MerkleTree:
    """A commitment in the making, for leaves that come bit by bit or were hashed elsewhere."""

    def __init__(self) -> None:
        # Complete subtrees of descending size, as (height, hash): the binary digits of the count so far.
        self._subtrees: list[tuple[int, bytes]] = []
        self._count = 0

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Add leaves, each given by its `leaf_hash`."""
        subtrees = self._subtrees
        for leaf in hashes:
            height, node = 0, leaf
            while subtrees and subtrees[-1][0] == height:
                node = _join(subtrees.pop()[1], node)
                height += 1
            subtrees.append((height, node))
            self._count += 1

    def commitment(self) -> MerkleCommitment:
        """The commitment to the leaves so far; more may follow."""
        if not self._subtrees:
            return MerkleCommitment(hashlib.sha256(b"").hexdigest(), 0)
        hashes = [node for _, node in self._subtrees]
        root = hashes.pop()
        while hashes:
            root = _join(hashes.pop(), root)
        return MerkleCommitment(root.hex(), self._count)


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
