"""The forward passes of a causal language model: what it says of tokens at positions, in chunks.

Logits are never held for a whole batch. The transformer's last hidden states are; the output layer
is applied to the positions that are asked for, in chunks. Only where a model does more to its logits
than that (soft caps, a bias) are they held, and batches are smaller for it.

Where memory does not suffice, the batch is halved, and so are all later ones.
"""

import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....errors import InvalidInput
from .batching import batches
from .devices import first_line

__all__ = ["MemoryShortError", "Moments", "Network", "Positions", "moments_of"]

TOKENS_PER_BATCH = 8192
_LOGITS_PER_CHUNK = 1 << 24  # 64 MiB of float32
_BLOCK = 1024  # words
_LEAST = -200.0  # in float32 e^-200 is 0
_HELD_LOGITS = 1 << 28  # 1 GiB of float32

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class MemoryShortError(Exception):
    """A batch did not fit."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Tokens that are to be scored: for each its row, the position before it, and itself."""

    rows: Tensor
    columns: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Moments:
    """What a model says of tokens at positions, in nats; shapes (n,).

    Attributes:
        logprobs: Log-probability of the token.
        mean: Expectation of log p(v) over the vocabulary, v drawn from the model; None if not asked for.
        sd: Standard deviation of the same.
    """

    logprobs: NDArray[np.float64]
    mean: NDArray[np.float64] | None = None
    sd: NDArray[np.float64] | None = None


class Network:
    """A causal language model without its tokenizer.

    Args:
        model: A model of transformers.
        name: What errors call it.

    Attributes:
        vocabulary: Number of tokens it has embeddings for.
        has_plain_head: Whether logits are the output layer applied to the last hidden states.

    Raises:
        InvalidInput: If it sees later tokens.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model = model.eval()
        self.config = model.config.get_text_config()
        self.device: torch.device = next(model.parameters()).device
        self.vocabulary: int = model.get_input_embeddings().num_embeddings
        self._name = name
        self._refuse_foresight()
        self.has_plain_head = self._head_is_plain()
        self._budget = TOKENS_PER_BATCH
        if not self.has_plain_head:
            self._budget = min(self._budget, self.most_held)

    @property
    def most_held(self) -> int:
        """Tokens whose logits may be held at once."""
        return max(_HELD_LOGITS // self.vocabulary, 512)

    def in_batches(
        self,
        items: Sequence[_Item],
        length: Callable[[_Item], int],
        work: Callable[[list[_Item]], _Result],
    ) -> Iterator[tuple[list[_Item], _Result]]:
        """Do work batch by batch; a batch that does not fit into memory is halved, and all later ones.

        Args:
            items: What is worked on.
            length: Tokens of an item.
            work: Works on a batch.

        Yields:
            Batches with their results, those of long items first.

        Raises:
            InvalidInput: If a single item does not fit.
        """
        for batch in batches(items, length, lambda: self._budget):
            waiting = [batch]
            while waiting:
                part = waiting.pop()
                try:
                    result = work(part)
                except MemoryShortError as error:
                    if len(part) == 1:
                        raise InvalidInput(
                            f"{self._name}: {length(part[0])} tokens at once do not fit into memory",
                            "use a shorter context, a smaller dtype or another device",
                        ) from error
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
                    self._shrink(len(part) * length(part[0]) // 2)
                    continue
                yield part, result

    def _shrink(self, tokens: int) -> None:
        self._budget = max(min(self._budget // 2, tokens), 1)
        _log.warning("memory is short: batches of %d tokens from now on", self._budget)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def hidden_states(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Last hidden states of rows of tokens, padded on the right; or logits, see the module.

        No mask is needed: a causal model sees nothing of what comes after, and attention is faster so.
        """
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for line, row in enumerate(rows):
            ids[line, : len(row)] = torch.tensor(row)
        return self.forward(input_ids=ids)

    @torch.inference_mode()
    def forward(self, **inputs: Tensor) -> Tensor:
        """Last hidden states, or logits where the output layer is not a plain matrix product.

        Raises:
            InvalidInput: If the model cannot take such inputs.
            MemoryShortError: If they do not fit into memory; `in_batches` deals with it.
        """
        placed = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        try:
            if self.has_plain_head:
                states: Tensor = self.model.base_model(**placed, use_cache=False).last_hidden_state
                return states
            logits: Tensor = self.model(**placed, use_cache=False).logits
        except Exception as error:  # models raise whatever their backends raise
            if _is_memory_short(error):
                raise MemoryShortError from error
            raise InvalidInput(
                f"{self._name}: cannot score {inputs['input_ids'].shape[1]} tokens at once: "
                f"{first_line(error)}",
                "it takes fewer than its configuration says",
            ) from error
        return logits

    @torch.inference_mode()
    def moments(self, hidden: Tensor, wanted: Positions, *, spread: bool = False) -> Moments:
        """What the model says of tokens, the output layer applied chunk by chunk.

        Args:
            hidden: What `forward` gave.
            wanted: The tokens.
            spread: Whether mean and sd over the vocabulary are wanted; takes about twice as long.

        Raises:
            InvalidInput: If a log-probability is not finite.
            MemoryShortError: If a chunk does not fit into memory; `in_batches` deals with it.
        """
        step = max(1, _LOGITS_PER_CHUNK // self.vocabulary)
        parts = [np.empty((3 if spread else 1, 0))]
        for begin in range(0, len(wanted.targets), step):
            chunk = slice(begin, begin + step)
            with _memory_watched():
                states = hidden[wanted.rows[chunk], wanted.columns[chunk]]
                targets = wanted.targets[chunk].to(self.device)
                parts.append(self._of_chunk(states, targets, spread).cpu().double().numpy())
        found = np.concatenate(parts, axis=1)
        if not np.isfinite(found).all():
            raise InvalidInput(
                f"{self._name}: gives log-probabilities that are not finite",
                "its weights are damaged, or overflow: ask for an intact copy, or use float32",
            )
        return Moments(found[0], *((found[1], found[2]) if spread else ()))

    def _of_chunk(self, states: Tensor, targets: Tensor, spread: bool) -> Tensor:
        """Log-probabilities of the targets and, if wanted, mean and sd; shape (1 or 3, n)."""
        head = self.model.get_output_embeddings()
        if not self.has_plain_head:
            return moments_of([states.float()], targets, spread=spread)
        if self.device.type != "cpu" or not isinstance(head, torch.nn.Linear):
            return moments_of([head(states).float()], targets, spread=spread)
        # Words in blocks whose logits stay in the processor's cache: twice as fast as all at once.
        biases = itertools.repeat(None) if head.bias is None else torch.split(head.bias, _BLOCK)
        blocks = (
            torch.nn.functional.linear(states, weight, bias).float()
            for weight, bias in zip(torch.split(head.weight, _BLOCK), biases, strict=False)
        )
        return moments_of(blocks, targets, spread=spread)

    @torch.inference_mode()
    def _refuse_foresight(self) -> None:
        """Refuse a model that sees later tokens, as BERT does: its scores are no likelihoods."""
        ids = torch.arange(8, device=self.device)[None] % self.vocabulary
        other = ids.clone()
        other[0, -1] = self.vocabulary - 1
        one, two = (self.model(input_ids=i, use_cache=False).logits[0, :-1] for i in (ids, other))
        tolerance = 1e-3 if one.dtype is torch.float32 else 5e-2
        if not torch.allclose(one, two, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise InvalidInput(
                f"{self._name}: a token's score depends on the tokens after it",
                "only causal language models can be examined",
            )

    @torch.inference_mode()
    def _head_is_plain(self) -> bool:
        """Whether logits are the output layer applied to the last hidden states (no soft-capping)."""
        head = self.model.get_output_embeddings()
        if head is None:
            return False
        ids = torch.arange(4, device=self.device)[None] % head.weight.shape[0]
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = self.model(input_ids=ids, use_cache=False).logits
        direct = head(hidden)
        tolerance = 1e-4 if logits.dtype is torch.float32 else 5e-2
        return direct.shape == logits.shape and bool(
            torch.allclose(direct.float(), logits.float(), atol=tolerance)
        )


def moments_of(blocks: Iterable[Tensor], targets: Tensor, *, spread: bool) -> Tensor:
    """What logits, given in blocks of the vocabulary, say of tokens.

    Source of the moments: Zhang et al. (2024), arXiv 2404.02936, section 4.

    Args:
        blocks: Logits of consecutive words, shapes (n, block); overwritten.
        targets: A token for each row, shape (n,).
        spread: Whether moments are wanted.

    Returns:
        Shape (1, n): log-probabilities of the targets; with `spread` shape (3, n): also the mean of
        log p(v) over the vocabulary, v drawn from p, and its standard deviation.
    """
    top = torch.full(targets.shape, -torch.inf, device=targets.device)
    own = torch.zeros_like(top)
    # Sums over words of e^(x - top), times 1, x - top and (x - top)^2.
    sums = torch.zeros(3 if spread else 1, len(targets), device=targets.device)
    begin = 0
    for x in blocks:
        inside = (targets >= begin) & (targets < begin + x.shape[1])
        own = torch.where(
            inside, x.gather(1, (targets - begin).clamp(0, x.shape[1] - 1)[:, None])[:, 0], own
        )
        begin += x.shape[1]
        higher = torch.maximum(top, x.amax(1))
        if torch.isneginf(higher).any():  # nothing yet but words that are ruled out
            higher = higher.clamp(min=torch.finfo(x.dtype).min)
        sums = _moved(sums, top - higher)
        top = higher
        x -= top[:, None]
        if not spread:
            sums[0] += x.exp_().sum(1)
            continue
        p = x.exp()
        x.clamp_(min=_LEAST)  # a word that is ruled out: e^x is 0, and 0 times -inf would be none
        sums += torch.stack([p.sum(1), (p * x).sum(1), (p * x.square_()).sum(1)])
    log_total = sums[0].log()
    logprobs = own - top - log_total
    if not spread:
        return logprobs[None]
    mean, square = sums[1] / sums[0], sums[2] / sums[0]
    return torch.stack([logprobs, mean - log_total, (square - mean**2).clamp(min=0).sqrt()])


def _moved(sums: Tensor, by: Tensor) -> Tensor:
    """The sums, with x - top now smaller by `-by`: (x + b)^k expanded, times e^b."""
    scale = by.exp()
    by = torch.where(scale > 0, by, 0.0)
    if len(sums) == 1:
        return sums * scale
    s0, s1, s2 = sums
    return torch.stack([s0, s1 + by * s0, s2 + 2 * by * s1 + by**2 * s0]) * scale


@contextmanager
def _memory_watched() -> Generator[None, None, None]:
    try:
        yield
    except RuntimeError as error:
        if _is_memory_short(error):
            raise MemoryShortError from error
        raise


def _is_memory_short(error: BaseException) -> bool:
    """Whether an error says so; on the CPU torch has no type of its own for it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in str(error) or "not enough memory" in str(error))
    )
