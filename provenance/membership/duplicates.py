"""Texts that are the same, or nearly: they are not independent units of a test.

Each text is a set of shingles: runs of eight words without case, or the whole text where it is
shorter. Of each set the 64 smallest hashes are kept (Broder 1997), which is a random sample of it.
"""

import hashlib
import heapq
import re
from collections import defaultdict
from collections.abc import Sequence

__all__ = ["near_duplicates", "without_near_duplicates"]

_WORD = re.compile(r"\w+|[^\w\s]")
_SHINGLE = 8
_SKETCH = 64
_ALIKE = 0.5  # of the shingles of the text with fewer
_MOST_SHARED = (
    200  # a shingle of more texts than that is boilerplate; all pairs of them would be too many
)


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of texts of which half of the shorter one's shingles, as far as sampled, are in the other.

    Copies are always found. Near copies are found by a sample, so one near the threshold may be missed;
    a passage that is contained in a much longer text is found only by luck. Of many texts with the
    same opening or licence, each is compared with some of the others.

    Args:
        texts: The texts.

    Returns:
        Pairs of indices, the smaller first, ascending.
    """
    sketches = [_sketch(text) for text in texts]
    holders: dict[int, list[int]] = defaultdict(list)
    pairs: set[tuple[int, int]] = set()
    for index, sketch in enumerate(sketches):
        shared: dict[int, int] = defaultdict(int)
        for shingle in sketch:
            for other in holders[shingle][:_MOST_SHARED]:
                shared[other] += 1
            holders[shingle].append(index)
        for other, n in shared.items():
            if n >= _ALIKE * min(len(sketch), len(sketches[other])):
                pairs.add((other, index))
    return sorted(pairs)


def without_near_duplicates(texts: Sequence[str]) -> list[int]:
    """Indices of the texts that are left when of near duplicates the first is kept, ascending."""
    later = {second for _, second in near_duplicates(texts)}
    return [index for index in range(len(texts)) if index not in later]


def _sketch(text: str) -> list[int]:
    words = _WORD.findall(text.casefold())
    runs = {" ".join(words[i : i + _SHINGLE]) for i in range(max(len(words) - _SHINGLE + 1, 1))}
    return heapq.nsmallest(_SKETCH, map(_hashed, runs))


def _hashed(run: str) -> int:
    digest = hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
