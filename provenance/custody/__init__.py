"""Who held what, when: `merkle` commits to a private table before release."""

from .merkle import MerkleCommitment, MerkleTree, commit, leaf_hash

__all__ = ["MerkleCommitment", "MerkleTree", "commit", "leaf_hash"]
