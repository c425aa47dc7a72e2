"""From words at character positions to tokens: which tokens does each choice put after which context?

A choice is scored as log p(text before the place + choice) minus log p(the tokens all choices of the
place share), both tokenised by the model's own tokenizer, so that nothing is assumed about how it
treats spaces. Choices of several tokens are scored whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..base import ChoiceSlot

__all__ = ["AlignedSlot", "align_slots"]

# Long texts are not tokenised anew for every choice: only this many characters before the place are,
# from a token that starts at white space. If the tokens then do not meet the text's own, all are.
_LOCAL_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class AlignedSlot:
    """A place in tokens.

    Attributes:
        context: Number of tokens that all choices share; 0 if there is nothing to start from.
        choices: The further tokens of each choice, at least one each.
    """

    context: int
    choices: tuple[tuple[int, ...], ...]


def align_slots(
    tokenizer: Any,
    texts: Sequence[str],
    slots: Sequence[Sequence[ChoiceSlot]],
    *,
    start_token: int | None,
) -> list[tuple[list[int], list[AlignedSlot]]]:
    """Tokens of each text, and its places in terms of them.

    Args:
        tokenizer: A fast tokenizer (with character offsets).
        texts: The texts.
        slots: For each text its places.
        start_token: Token put before each text, or None.

    Returns:
        Per text its tokens (with the start token) and its aligned places.
    """
    if not texts:
        return []
    encoded = tokenizer(
        list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    plans = [
        _plan(text, offsets, slot)
        for text, offsets, places in zip(texts, encoded["offset_mapping"], slots, strict=True)
        for slot in places
    ]
    pieces = iter(_tokenise(tokenizer, [piece for _, texts_ in plans for piece in texts_]))
    queue = iter(plans)
    result = []
    for text, tokens, places in zip(texts, encoded["input_ids"], slots, strict=True):
        aligned = []
        for slot in places:
            first, variants = next(queue)
            local = [next(pieces) for _ in variants]
            place = _meet(tokens, first, local)
            if place is None:
                whole = _tokenise(
                    tokenizer, [text[: slot.start] + choice for choice in slot.choices]
                )
                place = _split(tokens, 0, whole)
            aligned.append(place if start_token is None else _shifted(place))
        result.append((tokens if start_token is None else [start_token, *tokens], aligned))
    return result


def _plan(text: str, offsets: Sequence[tuple[int, int]], slot: ChoiceSlot) -> tuple[int, list[str]]:
    """The token to tokenise from, and the local text of each choice."""
    low, high = 0, len(offsets)
    limit = max(slot.start - _LOCAL_CHARACTERS, 0)
    while low < high:  # first token that starts at or after the limit
        middle = (low + high) // 2
        if offsets[middle][0] < limit:
            low = middle + 1
        else:
            high = middle
    while 0 < low < len(offsets) and not _starts_at_space(text, offsets, low):
        low -= 1
    first = low if low < len(offsets) and offsets[low][0] <= slot.start else 0
    begin = _begin(text, offsets, first)
    return first, [text[begin : slot.start] + choice for choice in slot.choices]


def _begin(text: str, offsets: Sequence[tuple[int, int]], token: int) -> int:
    """Where a token begins; offsets of some tokenizers leave out the space before a word."""
    if token == 0:
        return 0
    begin = offsets[token][0]
    previous_end = offsets[token - 1][1]
    return previous_end if text[previous_end:begin].isspace() else begin


def _starts_at_space(text: str, offsets: Sequence[tuple[int, int]], token: int) -> bool:
    begin = _begin(text, offsets, token)
    return text[begin : begin + 1].isspace() and not text[max(begin - 1, 0) : begin].isspace()


def _meet(tokens: Sequence[int], first: int, local: Sequence[Sequence[int]]) -> AlignedSlot | None:
    """The place by local tokens, or None if they do not meet the text's own tokens."""
    place = _split(tokens, first, local)
    return place if first == 0 or place.context > first else None


def _split(tokens: Sequence[int], first: int, choices: Sequence[Sequence[int]]) -> AlignedSlot:
    """Common tokens (with the text and each other) from `first` on; at least one is left per choice."""
    most = min(*(len(choice) - 1 for choice in choices), len(tokens) - first)
    shared = 0
    while shared < most and all(choice[shared] == tokens[first + shared] for choice in choices):
        shared += 1
    return AlignedSlot(first + shared, tuple(tuple(choice[shared:]) for choice in choices))


def _shifted(place: AlignedSlot) -> AlignedSlot:
    return AlignedSlot(place.context + 1, place.choices)


def _tokenise(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return ids
