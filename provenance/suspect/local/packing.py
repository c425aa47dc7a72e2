"""Many places of a text in one row of tokens: a window of the text, and behind it the choices.

Each choice sees the text before its place and itself, by an attention mask and positions of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .alignment import AlignedSlot
from .batching import window_starts

__all__ = ["Branch", "PackedRow", "masked_inputs", "packed_rows", "single_rows"]


@dataclass(frozen=True, slots=True)
class Branch:
    """One choice of one slot as it lies in a packed row.

    Attributes:
        slot: Index of the slot within its text.
        choice: Index of the choice within its slot.
        context: Number of tokens of the row's text before the choice.
        tokens: Tokens of the choice.
        first: Index in the row of the first appended token.
    """

    slot: int
    choice: int
    context: int
    tokens: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True)
class PackedRow:
    """A window of a text followed by branches, each of which sees only its own context and itself."""

    text: int
    window: tuple[int, ...]
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        """Tokens of the row; a choice's last token is scored and need not be read."""
        return len(self.window) + sum(len(b.tokens) - 1 for b in self.branches)

    @property
    def is_single(self) -> bool:
        """Whether it is a plain sequence that needs no mask of our own."""
        return len(self.branches) == 1 and self.branches[0].context == len(self.window)


def packed_rows(
    text: int, tokens: Sequence[int], places: Sequence[AlignedSlot], *, reach: int
) -> Iterator[PackedRow]:
    """Windows of one text, each with the branches of the places it gives most context to.

    Args:
        text: Index of the text.
        tokens: Its tokens.
        places: Its places.
        reach: Most tokens that a place and its context may span.
    """
    usable = [(index, place) for index, place in enumerate(places) if place.context > 0]
    if not usable:
        return
    longest = max(len(choice) for _, place in usable for choice in place.choices)
    reach = max(reach - longest, 2)
    for begin in window_starts(usable[-1][1].context, reach, reach // 2):
        first = begin + (0 if begin == 0 else reach // 2)
        mine = [(i, p) for i, p in usable if first < p.context <= begin + reach]
        if begin == 0:
            mine = [(i, p) for i, p in usable if p.context <= reach]
        if not mine:
            continue
        window = tuple(tokens[begin : max(place.context for _, place in mine)])
        branches: list[Branch] = []
        position = len(window)
        for index, place in mine:
            for choice, choice_tokens in enumerate(place.choices):
                if position + len(choice_tokens) > 2 * reach and branches:
                    yield PackedRow(text, window, tuple(branches))
                    branches, position = [], len(window)
                branches.append(
                    Branch(index, choice, place.context - begin, choice_tokens, position)
                )
                position += len(choice_tokens) - 1
        yield PackedRow(text, window, tuple(branches))


def single_rows(row: PackedRow) -> Iterator[PackedRow]:
    """A row for each branch, a plain sequence that ends with it."""
    for branch in row.branches:
        alone = replace(branch, first=branch.context)
        yield PackedRow(row.text, row.window[: branch.context], (alone,))


def masked_inputs(rows: Sequence[PackedRow], dtype: torch.dtype) -> dict[str, Tensor]:
    """Tokens, positions and the additive mask of a batch of packed rows."""
    width = max(row.length for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    sees = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
    for line, row in enumerate(rows):
        n = len(row.window)
        ids[line, :n] = torch.tensor(row.window)
        positions[line, :n] = torch.arange(n)
        sees[line, :n, :n] = torch.ones(n, n, dtype=torch.bool).tril()
        for branch in row.branches:
            m = len(branch.tokens) - 1
            here = slice(branch.first, branch.first + m)
            ids[line, here] = torch.tensor(branch.tokens[:-1], dtype=torch.long)
            positions[line, here] = torch.arange(branch.context, branch.context + m)
            sees[line, here, : branch.context] = True
            sees[line, here, here] = torch.ones(m, m, dtype=torch.bool).tril()
    blocked = torch.finfo(dtype).min
    mask = torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, blocked)
    return {"input_ids": ids, "attention_mask": mask[:, None], "position_ids": positions}
