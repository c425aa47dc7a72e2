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
from .tasks import Batch, Task

__all__ = ["Consumer", "at_rest", "backward", "outputs_of"]

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
    listening = _Listening(modules, consume, len(batch.rows))
    with torch.enable_grad(), listening:
        outputs = outputs_of(model, task, batch)
        torch.autograd.backward(outputs, gradient(outputs))
    listening.refuse_silence()


def outputs_of(model: nn.Module, task: Task, batch: Batch) -> Tensor:
    """The model's outputs.

    Raises:
        InvalidInput: If they are not finite.
    """
    outputs = task.outputs(model, batch)
    if not torch.isfinite(outputs.detach().sum()) and not torch.isfinite(outputs).all():
        line = int((~torch.isfinite(outputs)).flatten(1).any(1).nonzero()[0])
        raise InvalidInput(
            f"{task.name(batch.rows[line])}: the model's outputs are not finite (NaN or infinite)",
            "use another precision (bfloat16 or float32), or mend the weights",
        )
    return outputs


class _Listening:
    """Hooks on layers for one pass."""

    def __init__(self, modules: Sequence[TrackedModule], consume: Consumer, n_rows: int) -> None:
        self._modules, self._consume, self._n_rows = modules, consume, n_rows
        self._inputs: dict[int, Tensor] = {}
        self._heard: set[int] = set()
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        self._handles = [
            tracked.module.register_forward_hook(self._hook(number))
            for number, tracked in enumerate(self._modules)
        ]

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._inputs.clear()

    def _hook(self, number: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        name = self._modules[number].name

        def after_forward(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if number in self._inputs:
                raise InvalidInput(
                    f"{name}: is used more than once in a forward pass", "leave it out of --modules"
                )
            inputs = args[0].detach()
            self._inputs[number] = _with_positions(inputs, name, self._n_rows)
            if not output.requires_grad:
                # The graph begins here. Nothing before it is needed; the copy may be changed in place.
                output = output.detach().requires_grad_().clone()
            output.register_hook(lambda grad: self._hear(number, grad))  # type: ignore[no-untyped-call]
            return output

        return after_forward

    def _hear(self, number: int, gradient: Tensor) -> None:
        name = self._modules[number].name
        inputs = self._inputs.pop(number)
        self._heard.add(number)
        gradient = _with_positions(gradient.detach(), name, self._n_rows)
        if not torch.isfinite(gradient.sum()):
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


def _with_positions(values: Tensor, name: str, n_rows: int) -> Tensor:
    """Shape (B, T, features), T = 1 where there are no positions."""
    if values.ndim == 2:
        values = values[:, None]
    if values.ndim != 3 or values.shape[0] != n_rows:
        raise InvalidInput(
            f"{name}: works on shape {tuple(values.shape)}, not on (examples, positions, features), so "
            "whose gradient is whose cannot be told",
            "leave it out of --modules",
        )
    return values
