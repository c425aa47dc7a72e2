"""Token ids of a batch, copied off the model's device, padding taken off. Importing this imports no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....errors import InvalidInput

__all__ = ["FEWEST_TOKENS", "PendingRows", "Rows", "copied", "rows_of"]

FEWEST_TOKENS = 2  # a single token is predicted from nothing and predicts nothing


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences of different lengths, laid end to end.

    Attributes:
        tokens: Token ids as unsigned integers, as narrow as they go, shape (sum of lengths,).
        lengths: Tokens of each sequence, shape (n,).
    """

    tokens: NDArray[np.unsignedinteger]
    lengths: NDArray[np.uint32]


@dataclass(slots=True)
class PendingRows:
    """A batch on its way from an accelerator.

    Attributes:
        ids: Token ids in pinned memory, shape (batch, length).
        mask: The attention mask, or None.
        arrival: CUDA event after the copies.
    """

    ids: Any
    mask: Any
    arrival: Any

    def arrived(self) -> bool:
        """Whether `rows` would not have to wait."""
        return bool(self.arrival.query())

    def rows(self) -> Rows:
        """The sequences, once they are here."""
        self.arrival.synchronize()
        return rows_of(self.ids, self.mask)


def copied(ids: Any, mask: Any) -> Rows | PendingRows:
    """Copy a batch, so that its tensors may be changed afterwards.

    From a CUDA device the copy is asynchronous: waiting for it would keep the processor from queueing
    work ahead.

    Args:
        ids: Token ids, shape (batch, length): tensor, array or lists.
        mask: What the model attends to: non-zero where a token is no padding, same shape; or None.

    Raises:
        InvalidInput: If the shapes are others, or a token is negative or beyond 32 bits.
    """
    if getattr(getattr(ids, "device", None), "type", "") != "cuda":
        return rows_of(ids, mask)
    import torch

    _check_shapes(ids.shape, None if mask is None else mask.shape)
    on_host = torch.empty(ids.shape, dtype=ids.dtype, pin_memory=True)
    on_host.copy_(ids.detach(), non_blocking=True)
    if mask is not None:
        narrow = mask.detach() != 0
        mask = torch.empty(narrow.shape, dtype=narrow.dtype, pin_memory=True)
        mask.copy_(narrow, non_blocking=True)
    arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrival.record(torch.cuda.current_stream(ids.device))
    return PendingRows(on_host, mask, arrival)


def rows_of(ids: Any, mask: Any) -> Rows:
    """The sequences of a batch, without padding, and without those of fewer than two tokens.

    Args:
        ids: See `copied`.
        mask: See `copied`. Wherever padding stands, the tokens that are kept stay in order.

    Raises:
        InvalidInput: As for `copied`.
    """
    tokens_bt = _array(ids)
    kept_bt = None if mask is None else _array(mask) != 0
    _check_shapes(tokens_bt.shape, None if kept_bt is None else kept_bt.shape)
    if kept_bt is None:
        lengths = np.full(tokens_bt.shape[0], tokens_bt.shape[1], dtype=np.uint32)
    else:
        lengths = kept_bt.sum(axis=1, dtype=np.uint32)
    if (lengths < FEWEST_TOKENS).any():
        long = lengths >= FEWEST_TOKENS
        tokens_bt, lengths = tokens_bt[long], lengths[long]
        kept_bt = None if kept_bt is None else kept_bt[long]
    return Rows(_narrow(tokens_bt.ravel() if kept_bt is None else tokens_bt[kept_bt]), lengths)


def _narrow(tokens: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """A copy in the narrower type of 2 or 4 bytes; transcripts hold no larger ids."""
    if not tokens.size:
        return np.zeros(0, dtype=np.uint16)
    if tokens.min() < 0:
        raise InvalidInput(
            f"expected token ids of 0 or more, got {tokens.min()}",
            "padding must be told by the attention mask",
        )
    for dtype in (np.uint16, np.uint32):
        if tokens.max() <= np.iinfo(dtype).max:
            return tokens.astype(dtype)
    raise InvalidInput(f"expected token ids below 2**32, got {tokens.max()}")


def _array(values: Any) -> NDArray[Any]:
    """Tensors of any device, arrays and lists."""
    if hasattr(values, "detach"):
        return np.asarray(values.detach().cpu().numpy())
    array: ArrayLike = values
    return np.asarray(array)


def _check_shapes(ids: tuple[int, ...], mask: tuple[int, ...] | None) -> None:
    if len(ids) != 2:
        raise InvalidInput(f"expected token ids of shape (batch, length), got {tuple(ids)}")
    if mask is not None and tuple(mask) != tuple(ids):
        raise InvalidInput(
            f"expected an attention mask of the token ids' shape {tuple(ids)}, got {tuple(mask)}",
            "hand over the mask that tells padding from tokens",
        )
