"""What is fitted on and scored: examples, the model's outputs for them, and gradients of their losses.

Gradients are taken at the outputs, in closed form, so that no graph of the loss is ever held. A loss is
summed over what is scored in an example, never averaged: influence is about what training sees.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InvalidInput
from .sequences import TokenSequence

__all__ = ["Batch", "ClassificationTask", "RegressionTask", "Task", "TokenTask"]

_ELEMENTS_AT_ONCE = 1 << 22  # of logits: 16 MiB of float32
_RUN = 256  # tokens whose probabilities are summed first when one is drawn


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples, as the model takes them.

    Attributes:
        rows: Which examples these are; B of them.
        inputs: Token ids, shape (B, T), padded at the right; or features, shape (B, d).
        targets: What the loss compares outputs with: shape (B, T) or (B, ...).
        scored: Which outputs the loss counts, shape (B, T); None for all.
        real: Which positions are not padding and come no later than the last scored one, shape (B, T);
            None for all.
    """

    rows: tuple[int, ...]
    inputs: Tensor
    targets: Tensor
    scored: Tensor | None = None
    real: Tensor | None = None


class Task(ABC):
    """Examples, and how a model's loss on them is differentiated."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of all examples, in their order."""

    def length(self, row: int) -> int:
        """Positions of an example."""
        return 1

    def name(self, row: int) -> str:
        """What errors call an example."""
        return f"example {row}"

    def positions(self, batch: Batch) -> int | None:
        """Positions that every layer works on, padding counted; None if layers need not agree on that."""
        return None

    @abstractmethod
    def batch(self, rows: Sequence[int], device: torch.device) -> Batch:
        """Some examples on a device."""

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the model says, in a graph."""
        result: Tensor = model(batch.inputs)
        return result

    @abstractmethod
    def gradient(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Gradient of the summed loss with the data's targets, in the outputs; same shape."""

    @abstractmethod
    def sampled_gradient(self, outputs: Tensor, batch: Batch, seed: int) -> Tensor:
        """The same with targets drawn from the model's own distribution (the true Fisher).

        A draw depends on seed, example and position only, never on the batch.
        """


def _stream(seed: int, row: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed & 0xFFFFFFFFFFFFFFFF, row]))


class TokenTask(Task):
    """A causal language model's next-token loss, in nats, summed over the scored tokens of a sequence.

    The last token is only a target: nothing is predicted from it. Padding stands at the right, where no real
    token of a causal model sees it, so no attention mask is needed.

    Args:
        sequences: What is read.
        what: What errors call a sequence, e.g. "query".
        head: The model's output layer, if logits are what it makes of the last hidden states and nothing
            more. The graph then ends at these, and logits are only ever held for some positions.

    Raises:
        InvalidInput: If there are none, or one has nothing to score.
    """

    def __init__(
        self,
        sequences: Sequence[TokenSequence],
        what: str = "sequence",
        head: nn.Linear | None = None,
    ) -> None:
        if not sequences:
            raise InvalidInput(f"expected at least one {what}, got none")
        self.sequences = sequences
        self.what, self._head = what, head
        for row, sequence in enumerate(sequences):
            if not 1 <= sequence.first_scored < len(sequence.tokens):
                raise InvalidInput(
                    f"{self.name(row)}: {len(sequence.tokens)} tokens, of which none is scored",
                    "give at least two tokens, or a completion after the prompt",
                )

    def __len__(self) -> int:
        return len(self.sequences)

    def digest(self) -> str:
        """See `Task`."""
        digest = hashlib.sha256()
        for sequence in self.sequences:
            tokens = " ".join(map(str, sequence.tokens))
            digest.update(f"{sequence.first_scored} {tokens}\n".encode())
        return digest.hexdigest()

    def length(self, row: int) -> int:
        """Positions that predict a token."""
        return len(self.sequences[row].tokens) - 1

    def name(self, row: int) -> str:
        """See `Task`."""
        return f"{self.what} {self.sequences[row].id!r}"

    def check(self, model: Any) -> None:
        """Refuse sequences that the model cannot read.

        Raises:
            InvalidInput: If one is longer than the model's context, or holds a token that it does not have.
        """
        try:
            config = model.config.get_text_config()
            vocabulary = len(model.get_input_embeddings().weight)
        except AttributeError as error:
            raise InvalidInput(
                f"expected a causal language model of transformers, got {type(model).__name__}",
                "give the model itself, not what wraps it; other models need a Task",
            ) from error
        if getattr(model.config, "is_encoder_decoder", False):
            raise InvalidInput(
                f"{type(model).__name__}: has an encoder and a decoder",
                "only models that read from left to right can be asked",
            )
        context = getattr(config, "max_position_embeddings", None) or 0
        for row, sequence in enumerate(self.sequences):
            if context > 0 and len(sequence.tokens) - 1 > context:
                raise InvalidInput(
                    f"{self.name(row)}: {len(sequence.tokens):,} tokens; the model's context is {context:,}",
                    "shorten it, or cut it into windows",
                )
            if not 0 <= min(sequence.tokens) <= max(sequence.tokens) < vocabulary:
                raise InvalidInput(
                    f"{self.name(row)}: holds a token that the model does not have (it has {vocabulary:,})",
                    "use the model's own tokenizer",
                )

    def batch(self, rows: Sequence[int], device: torch.device) -> Batch:
        """See `Task`."""
        some = [self.sequences[row] for row in rows]
        width = max(len(sequence.tokens) for sequence in some)
        tokens = np.zeros((len(some), width), np.int64)
        place = np.arange(1, width)
        lengths = np.array([len(sequence.tokens) for sequence in some])[:, None]
        first = np.array([sequence.first_scored for sequence in some])[:, None]
        for line, sequence in zip(tokens, some, strict=True):
            line[: len(sequence.tokens)] = sequence.tokens
        real = place < lengths
        scored = real & (place >= first)
        padded = torch.from_numpy(tokens).to(device)
        return Batch(
            tuple(rows),
            padded[:, :-1],
            padded[:, 1:],
            None if scored.all() else torch.from_numpy(scored).to(device),
            None if real.all() else torch.from_numpy(real).to(device),
        )

    def probe(self, device: torch.device) -> Batch:
        """Two sequences of up to six tokens that differ in the last one alone."""
        longest = max(self.sequences, key=lambda sequence: len(sequence.tokens))
        tokens = longest.tokens[:7]
        other = min(set(longest.tokens) - {tokens[-2]}, default=1 if tokens[-2] == 0 else 0)
        pair = (tokens, (*tokens[:-2], other, tokens[-1]))
        task = TokenTask([TokenSequence(longest.id, some) for some in pair], self.what)
        return task.batch([0, 1], device)

    def positions(self, batch: Batch) -> int:
        """See `Task`."""
        return batch.inputs.shape[1]

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits, shape (B, T, vocabulary); with a head the last hidden states, shape (B, T, width)."""
        if self._head is not None:
            base: Any = model.base_model
            states: Tensor = base(input_ids=batch.inputs, use_cache=False).last_hidden_state
            return states
        logits: Tensor = model(input_ids=batch.inputs, use_cache=False).logits
        return logits

    def gradient(self, outputs: Tensor, batch: Batch) -> Tensor:
        """See `Task`."""
        return self._gradient(outputs, batch, batch.targets)

    def sampled_gradient(self, outputs: Tensor, batch: Batch, seed: int) -> Tensor:
        """See `Task`."""
        width = batch.inputs.shape[1]
        uniform = np.stack([_stream(seed, row).random(width) for row in batch.rows])
        return self._gradient(outputs, batch, torch.from_numpy(uniform).to(outputs.device))

    def _gradient(self, outputs: Tensor, batch: Batch, targets: Tensor) -> Tensor:
        if self._head is None:
            return _softmax_gradient(outputs, batch, targets)
        states, flat = outputs.detach().flatten(0, 1), targets.flatten()
        gradient = torch.empty_like(states)
        at_once = max(_ELEMENTS_AT_ONCE // self._head.out_features, 1)
        with torch.no_grad():
            for begin in range(0, len(states), at_once):
                some = slice(begin, begin + at_once)
                logits = self._head(states[some])
                if not torch.isfinite(logits.sum(dtype=torch.float32)):
                    self._refuse_not_finite(logits, begin // outputs.shape[1], batch)
                at_logits = _probability_gradient(logits, flat[some]).to(logits.dtype)
                gradient[some] = at_logits @ self._head.weight
        result = gradient.view_as(outputs)
        return result if batch.scored is None else result * batch.scored[..., None]

    def _refuse_not_finite(self, logits: Tensor, line: int, batch: Batch) -> None:
        if torch.isfinite(logits).all():
            return  # only their sum is infinite
        raise InvalidInput(
            f"{self.name(batch.rows[line])} or one near it: the model's outputs are not finite (NaN or "
            "infinite)",
            "use another precision (bfloat16 or float32), or mend the weights",
        )


def _probability_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """The same for rows of logits, shape (n, V), and targets of shape (n,); float32."""
    probability = torch.softmax(logits.float(), -1)
    drawn = targets.is_floating_point()
    chosen = _inverse_cdf(probability, targets) if drawn else targets
    return probability.scatter_add_(1, chosen[:, None], -torch.ones_like(probability[:, :1]))


def _softmax_gradient(logits: Tensor, batch: Batch, targets: Tensor) -> Tensor:
    """softmax(logits) minus the target's indicator, zero where nothing is scored; same shape as logits.

    Integer targets are the tokens themselves; real ones in [0, 1) are drawn by: the token in whose interval
    of the cumulated probabilities they fall.
    """
    detached = logits.detach()
    gradient = torch.empty_like(detached)
    flat, result = detached.flatten(0, -2), gradient.flatten(0, -2)
    targets = targets.flatten()
    at_once = max(_ELEMENTS_AT_ONCE // flat.shape[1], 1)
    for begin in range(0, len(flat), at_once):
        some = slice(begin, begin + at_once)
        result[some] = _probability_gradient(flat[some], targets[some])
    if batch.scored is not None:
        gradient *= batch.scored[..., None]
    return gradient


def _inverse_cdf(probability: Tensor, uniform: Tensor) -> Tensor:
    """Draw a token from each row of probabilities, shape (n, V), by a number in [0, 1) of float64.

    First a run of tokens is drawn, then a token of it, both by sums in float64: in float32, cumulated
    probabilities near 1 lie 6e-8 apart, which is more than most tokens of a large vocabulary have.
    """
    size = probability.shape[1]
    run = min(_RUN, size)
    whole = size // run * run
    sums = probability[:, :whole].reshape(len(probability), -1, run).sum(2)
    sums = torch.cat([sums, probability[:, whole:].sum(1, keepdim=True)], 1)
    chosen, rest = _place(sums, uniform[:, None] * sums.sum(1, keepdim=True, dtype=torch.float64))
    columns = chosen * run + torch.arange(run, device=chosen.device)
    inside = probability.gather(1, columns.clamp(max=size - 1)) * (columns < size)
    return (chosen * run + _place(inside, rest)[0])[:, 0]


def _place(parts: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the parts of a sum a number falls into, and how far, shapes (n, 1); never one of size 0."""
    cumulated = parts.cumsum(1, dtype=torch.float64)
    # Rounding may put the number at the end, or past it; there, an empty part might follow.
    wanted = torch.minimum(wanted, cumulated[:, -1:] * (1 - 2**-52))
    found = torch.searchsorted(cumulated, wanted, right=True)
    before = (cumulated - parts).gather(1, found)
    return found, (wanted - before).clamp_(min=0)


class RegressionTask(Task):
    """Half the squared error, summed over outputs: Gaussian targets of variance 1.

    Args:
        inputs: Shape (n, d).
        targets: Shape (n,) or (n, k), as the model's outputs.
    """

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        if len(inputs) == 0 or len(inputs) != len(targets):
            raise InvalidInput(
                f"expected as many targets as inputs, got {len(targets)} of {len(inputs)}"
            )
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def digest(self) -> str:
        """See `Task`."""
        digest = hashlib.sha256()
        for tensor in (self.inputs, self.targets):
            held = tensor.detach().cpu().contiguous()
            digest.update(f"{held.dtype} {tuple(held.shape)}\0".encode())
            digest.update(held.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def batch(self, rows: Sequence[int], device: torch.device) -> Batch:
        """See `Task`."""
        some = list(rows)
        return Batch(tuple(some), self.inputs[some].to(device), self.targets[some].to(device))

    def gradient(self, outputs: Tensor, batch: Batch) -> Tensor:
        """See `Task`."""
        return outputs.detach() - batch.targets.view_as(outputs)

    def sampled_gradient(self, outputs: Tensor, batch: Batch, seed: int) -> Tensor:
        """See `Task`."""
        shape = outputs.shape[1:]
        noise = np.stack([_stream(seed, row).standard_normal(shape) for row in batch.rows])
        return torch.from_numpy(noise).to(outputs)


class ClassificationTask(RegressionTask):
    """Cross-entropy in nats; outputs are logits, shape (n, k).

    Args:
        inputs: Shape (n, d).
        targets: Class numbers from 0, shape (n,), of an integer type.

    Raises:
        InvalidInput: If the targets are no integers.
    """

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        super().__init__(inputs, targets)
        if targets.is_floating_point() or targets.is_complex() or targets.ndim != 1:
            raise InvalidInput(
                f"expected class numbers of shape (n,), got {targets.dtype} of shape {tuple(targets.shape)}",
                "give integers",
            )
        self.targets = targets.long()

    def gradient(self, outputs: Tensor, batch: Batch) -> Tensor:
        """See `Task`."""
        return _softmax_gradient(outputs, batch, batch.targets)

    def sampled_gradient(self, outputs: Tensor, batch: Batch, seed: int) -> Tensor:
        """See `Task`."""
        uniform = np.array([_stream(seed, row).random() for row in batch.rows])
        return _softmax_gradient(outputs, batch, torch.from_numpy(uniform).to(outputs.device))
