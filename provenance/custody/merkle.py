"""Merkle trees: one public hash that binds a private list, of which single rows can be shown later.

Source: RFC 9162 section 2.1 (RFC 6962): leaf = SHA-256(0x00 || data), node = SHA-256(0x01 || left ||
right), split at the largest power of two below n. A proof can also verify under another tree size,
so a commitment is root and leaf count together. Proofs of inclusion: section 2.1.3.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ...errors import InvalidInput, VerificationError
from ...files import canonical_json, hexadecimal

__all__ = [
    "MerkleCommitment",
    "MerkleTree",
    "commit",
    "leaf_hash",
    "prove",
    "prove_hashes",
    "verify_inclusion",
]

_FORMAT = "bookplate-commitment/1"
_DIGITS = 64
_MOST_LEAVES = 2**53 - 1  # what JSON can hold; a proof is never longer than 53 hashes


@dataclass(frozen=True, slots=True)
class MerkleCommitment:
    """A commitment to a list of byte strings.

    Attributes:
        root: Root hash, 64 hexadecimal digits.
        leaf_count: Length of the list.
    """

    root: str
    leaf_count: int

    def to_bytes(self) -> bytes:
        """Root and leaf count as one message, canonical JSON: what a timestamp or a signature binds."""
        data = {"format": _FORMAT, "leafCount": self.leaf_count, "root": self.root}
        return canonical_json(data)


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


def prove(leaves: Iterable[bytes], indices: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Proofs that single leaves belong to `commit(leaves)`, all from one pass over the list.

    A proof shows nothing of other leaves but hashes; guessable leaves must have been salted.

    Args:
        leaves: All of them, in the order of the commitment; 32 bytes each are kept.
        indices: Which to prove, counted from 0.

    Returns:
        By index, the hashes beside the path from the leaf to the root, the lowest first, as
        hexadecimal digits; see `verify_inclusion`.

    Raises:
        InvalidInput: If there is no such leaf.
    """
    return prove_hashes([leaf_hash(leaf) for leaf in leaves], indices)


def prove_hashes(hashes: Sequence[bytes], indices: Collection[int]) -> dict[int, tuple[str, ...]]:
    """`prove`, from each leaf's `leaf_hash`."""
    for index in indices:
        if not 0 <= index < len(hashes):
            raise InvalidInput(f"leaf {index}: there are {len(hashes)} leaves, counted from 0")
    paths: dict[int, list[str]] = {index: [] for index in indices}
    level, height = list(hashes), 0
    # Joining neighbours upwards, a last one without a neighbour kept as it is, gives the RFC's tree.
    while len(level) > 1:
        for index, path in paths.items():
            sibling = (index >> height) ^ 1
            if sibling < len(level):
                path.append(level[sibling].hex())
        last = level[-1:] if len(level) % 2 else []
        level = [_join(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + last
        height += 1
    return {index: tuple(path) for index, path in paths.items()}


def verify_inclusion(
    commitment: MerkleCommitment, index: int, leaf: bytes, proof: Sequence[str]
) -> None:
    """Refuse a leaf that is not at this place of the committed list.

    The algorithm of RFC 9162, section 2.1.3.2, by its steps.

    Args:
        commitment: Root and leaf count, both from one trusted source: the same hashes can also prove
            another index in a tree of another size.
        index: The leaf's place, counted from 0.
        leaf: Its data, not its hash.
        proof: What `prove` gave.

    Raises:
        VerificationError: If the commitment or the proof is malformed, the index lies beyond the list,
            the proof is too long or too short, or it leads to another root.
    """
    root, hashes = _bytes_of(commitment, index, proof)
    fn, sn, node = index, commitment.leaf_count - 1, leaf_hash(leaf)  # 2, 3
    for hashed in hashes:  # 4
        if sn == 0:
            raise VerificationError(_wrong_length(index, commitment, proof))
        if fn & 1 or fn == sn:
            node = _join(hashed, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = _join(node, hashed)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:  # 5
        raise VerificationError(_wrong_length(index, commitment, proof))
    if node != root:
        raise VerificationError(
            f"leaf {index} is not what was committed to: its proof leads to another root"
        )


def _bytes_of(
    commitment: MerkleCommitment, index: int, proof: Sequence[str]
) -> tuple[bytes, list[bytes]]:
    """Root and proof as bytes, once everything has the form it must have."""
    count = commitment.leaf_count
    if type(count) is not int or not 0 <= count <= _MOST_LEAVES:
        raise VerificationError(f"a Merkle commitment cannot be to {count!r} leaves")
    if type(index) is not int or not 0 <= index < count:  # step 1 of the RFC
        raise VerificationError(f"leaf {index!r} lies beyond the {count} leaves committed to")
    try:
        root = hexadecimal(_DIGITS, commitment.root, "Merkle root")
        hashes = [hexadecimal(_DIGITS, item, "hash of a Merkle proof") for item in proof]
    except ValueError as error:
        raise VerificationError(str(error)) from None
    return bytes.fromhex(root), [bytes.fromhex(item) for item in hashes]


def _wrong_length(index: int, commitment: MerkleCommitment, proof: Sequence[str]) -> str:
    count = commitment.leaf_count
    return f"a proof of {len(proof)} hashes cannot be one of leaf {index} among {count}"


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
