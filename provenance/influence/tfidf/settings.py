"""What the filter keeps, and how it hashes terms."""

from dataclasses import dataclass

from ....errors import InvalidInput

__all__ = ["FilterSettings"]

_MOST_BUCKETS = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """How many documents are kept for each query, and what a term is.

    Terms are hashed into buckets; terms of one bucket count as one. A token whose id is below `n_buckets` has
    the bucket of that number to itself among single tokens, so that a model's vocabulary is filtered without
    collisions at the default settings. Otherwise, with V distinct terms in the corpus, a term shares its
    bucket with probability about 1 - exp(-V / n_buckets). A shared bucket occurs in at least as many
    documents as each of its terms: the term then weighs less than it should, never more, and documents that
    hold only the other term get its weight.

    Attributes:
        k: Documents of the highest score kept for each query.
        n_random: Size of the random sample of the corpus, one for all queries.
        n_bottom: Documents of the lowest score kept for each query.
        n_buckets: A power of two, at most 2**28. Takes 16 bytes each; pairs want 2**24 or more.
        fewest: Documents of fewer tokens take no part: they are neither counted, nor scored, nor drawn. 2 for
            a model's tokens, as a single one has no loss and so no influence; 1 where tokens are words.
        longest: 1 for single tokens as in the paper, 2 for pairs of neighbours too.

    Raises:
        InvalidInput: If a value is out of range.
    """

    k: int = 10_000
    n_random: int = 1_000
    n_bottom: int = 100
    n_buckets: int = 1 << 20
    fewest: int = 2
    longest: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidInput(f"k: expected at least 1 document per query, got {self.k}")
        if self.fewest < 1:
            raise InvalidInput(f"fewest: expected at least 1 token, got {self.fewest}")
        for name in ("n_random", "n_bottom"):
            if getattr(self, name) < 0:
                raise InvalidInput(
                    f"{name}: expected no negative number, got {getattr(self, name)}"
                )
        if not 2 <= self.n_buckets <= _MOST_BUCKETS or self.n_buckets & (self.n_buckets - 1):
            raise InvalidInput(
                f"n_buckets: expected a power of two from 2 to 2**28, got {self.n_buckets}"
            )
        if self.longest not in {1, 2}:
            raise InvalidInput(f"longest: expected terms of 1 or 2 tokens, got {self.longest}")

    @property
    def bits(self) -> int:
        """Binary logarithm of `n_buckets`."""
        return self.n_buckets.bit_length() - 1
