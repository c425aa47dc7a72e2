"""Sequences in batches and windows, by tokens."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["batches", "fresh_scores", "window_starts"]

_Item = TypeVar("_Item")


def batches(
    items: Sequence[_Item], length: Callable[[_Item], int], most: Callable[[], int]
) -> Iterator[list[_Item]]:
    """Batches of items of like length, the longest first.

    Args:
        items: What is to be batched.
        length: Tokens of an item.
        most: Tokens that a batch may be padded to; asked anew for each batch, as it may shrink.

    Yields:
        Batches within the limit, or of a single item.
    """
    waiting = sorted(items, key=length, reverse=True)
    begin = 0
    while begin < len(waiting):
        n = max(most() // max(length(waiting[begin]), 1), 1)
        yield waiting[begin : begin + n]
        begin += n


def window_starts(length: int, context: int, stride: int) -> range:
    """Starts of windows of `context` tokens, `stride` apart, that cover `length` tokens."""
    if length <= context:
        return range(1)
    return range(0, -(-(length - context) // stride) * stride + 1, stride)


def fresh_scores(begin: int, context: int, stride: int) -> int:
    """How many scores of a window an earlier one gave with more of the past in view.

    A window of tokens t0, t1, ... scores t1, t2, ...; the first `context - stride` tokens of all
    windows but the first lay in the window before.
    """
    return 0 if begin == 0 else context - stride - 1
