"""What goes into linear layers, and the gradient at what comes out of them.

The gradient of a layer's weights is the sum over positions of output gradient times input; all that influence
needs is made of these two. So the backward pass forms no weight gradient at all: parameters are frozen, and
the graph begins at the output of the first tracked layer.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InvalidInput
from .modules import TrackedModule
from .tasks import Batch, Task, TokenTask

__all__ = ["Consumer", "at_rest", "backward", "outputs_of", "refuse_mixing"]

# Called once for each tracked module, in the order of the backward pass, with the module's number, its
# inputs, shape (B, T, n_in), and the loss's gradient at its outputs, shape (B, T, n_out).
Consumer = Callable[[int, Tensor, Tensor], None]


@contextmanager
def at_rest(model: nn.Module) -> Generator[None]:
    """The model in evaluation mode with all parameters frozen; as it was, afterwards."""
    training = {module: module.training for module in model.modules()}
    learning = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
        for module, mode in training.items():
            module.training = mode


def backward(
    model: nn.Module,
    modules: Sequence[TrackedModule],
    task: Task,
    batch: Batch,
    gradient: Callable[[Tensor], Tensor],
    consume: Consumer,
) -> None:
    """One forward and backward pass; each layer's pair is handed over, then forgotten.

    Args:
        model: The model, at rest.
        modules: Layers to listen at.
        task: How the model is called.
        batch: Examples.
        gradient: From outputs to the loss's gradient in them.
        consume: Takes the pairs.

    Raises:
        InvalidInput: If a layer is used twice in a pass or not on (examples, positions, features), or outputs
            or gradients are not finite.
    """
    listening = _Listening(modules, consume, (len(batch.rows), task.positions(batch)))
    with torch.enable_grad(), listening:
        outputs = outputs_of(model, task, batch)
        torch.autograd.backward(outputs, gradient(outputs))
    listening.refuse_silence()


def refuse_mixing(model: nn.Module, modules: Sequence[TrackedModule], task: Task) -> None:
    """Refuse a language model that sees later tokens, which may be padding, or mixes up positions.

    Two sequences that differ in their last token alone are read: whatever goes into a layer before it must
    be the same in both.

    Args:
        model: The model, at rest.
        modules: Layers to look at.
        task: How the model is called; only tasks of tokens are tried.

    Raises:
        InvalidInput: If something is not the same.
    """
    if not isinstance(task, TokenTask):
        return
    batch = task.probe(next(model.parameters()).device)
    if task.positions(batch) < 2:
        return
    listening = _Listening(modules, lambda *pair: None, (len(batch.rows), task.positions(batch)))
    with torch.no_grad(), listening:
        outputs_of(model, task, batch)
        for number, tracked in enumerate(modules):
            if (inputs := listening.inputs.get(number)) is None:
                continue  # `backward` says so
            one, other = inputs[:, :-1]
            off = float((one - other).abs().max())
            if off > max(1e-4, 4 * torch.finfo(one.dtype).eps) * float(one.abs().max()):
                raise InvalidInput(
                    f"{tracked.name}: what it reads at a token depends on later tokens",
                    "only models that read from left to right can be asked",
                )


def outputs_of(model: nn.Module, task: Task, batch: Batch) -> Tensor:
    """The model's outputs.

    Raises:
        InvalidInput: If they are not finite.
    """
    outputs = task.outputs(model, batch)
    if not _all_finite(outputs.detach()):
        line = int((~torch.isfinite(outputs)).flatten(1).any(1).nonzero()[0])
        raise InvalidInput(
            f"{task.name(batch.rows[line])}: the model's outputs are not finite (NaN or infinite)",
            "use another precision (bfloat16 or float32), or mend the weights",
        )
    return outputs


def _all_finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite; a sum is quick and tells, unless it overflows itself."""
    wide = torch.float64 if values.dtype == torch.float64 else torch.float32
    return bool(torch.isfinite(values.sum(dtype=wide))) or bool(torch.isfinite(values).all())


class _Listening:
    """Hooks on layers for one pass; `shape` is that of a batch, (B, T), T as `Task.positions` says."""

    def __init__(
        self, modules: Sequence[TrackedModule], consume: Consumer, shape: tuple[int, int | None]
    ) -> None:
        self._modules, self._consume, self._shape = modules, consume, shape
        self.inputs: dict[int, Tensor] = {}
        self._heard: set[int] = set()
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        self._handles = [
            # Before other hooks, which may change what comes out.
            tracked.module.register_forward_hook(self._hook(number), prepend=True)
            for number, tracked in enumerate(self._modules)
        ]

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self.inputs.clear()

    def _hook(self, number: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        name = self._modules[number].name

        def after_forward(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if number in self.inputs:
                raise InvalidInput(
                    f"{name}: is used more than once in a forward pass", "leave it out of --modules"
                )
            inputs = args[0].detach()
            self.inputs[number] = _with_positions(inputs, name, self._shape)
            if not torch.is_grad_enabled():
                return output
            if not output.requires_grad:
                # The graph begins here. Nothing before it is needed; the copy may be changed in place.
                output = output.detach().requires_grad_().clone()
            output.register_hook(lambda grad: self._hear(number, grad))  # type: ignore[no-untyped-call]
            return output

        return after_forward

    def _hear(self, number: int, gradient: Tensor) -> None:
        name = self._modules[number].name
        inputs = self.inputs.pop(number)
        self._heard.add(number)
        gradient = _with_positions(gradient.detach(), name, self._shape)
        if not _all_finite(gradient):
            raise InvalidInput(
                f"{name}: gradients are not finite (NaN or infinite)",
                "use another precision (bfloat16 or float32), or mend the weights",
            )
        with torch.no_grad():
            self._consume(number, inputs, gradient)

    def refuse_silence(self) -> None:
        """Refuse layers that played no part.

        Raises:
            InvalidInput: If a layer got no gradient.
        """
        for number, tracked in enumerate(self._modules):
            if number not in self._heard:
                raise InvalidInput(
                    f"{tracked.name}: the loss does not depend on it", "leave it out of --modules"
                )


def _with_positions(values: Tensor, name: str, shape: tuple[int, int | None]) -> Tensor:
    """Shape (B, T, features), T = 1 where there are no positions; OPT, say, works on (B T, features)."""
    n_rows, n_positions = shape
    if values.ndim == 2 and len(values) == n_rows * (n_positions or 1):
        values = values.reshape(n_rows, n_positions or 1, values.shape[1])
    found = tuple(values.shape)
    if values.ndim != 3 or found[0] != n_rows or n_positions not in {None, found[1]}:
        raise InvalidInput(
            f"{name}: works on shape {found}, not on (examples, positions, features), so whose gradient is "
            "whose cannot be told",
            "leave it out of --modules",
        )
    return values
