"""Who held what, when: `merkle` commits to a private table before release."""

from .merkle import MerkleCommitment, commit

__all__ = ["MerkleCommitment", "commit"]
