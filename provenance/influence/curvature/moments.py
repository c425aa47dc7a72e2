"""Gradients of whole examples, and the second moments of their entries.

The gradient of a layer's weights for one example is G = sum over positions of g a^T. In EK-FAC it is turned
into the eigenbases first, Q_S^T G Q_A, and the mean square of each entry is the eigenvalue that belongs to
it (Grosse et al., equation 20). Turning may come before the sum over positions or after it: whichever is
less.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .bases import Basis

__all__ = ["add_squares", "example_gradients", "with_constant"]

_ELEMENTS_AT_ONCE = 1 << 24  # of gradients on an accelerator: 64 MiB of float32


def _turned_pair(
    inputs: Tensor, gradients: Tensor, bases: tuple[Basis, Basis] | None, *, bias: bool
) -> tuple[Tensor, Tensor, tuple[Basis | None, Basis | None]]:
    """Inputs and output gradients, each turned into its basis if that is less work here than later.

    Args:
        inputs: Shape (B, T, n_in).
        gradients: Shape (B, T, n_out).
        bases: Of inputs (with the bias's coordinate) and of output gradients, or None.
        bias: Whether there is a bias.

    Returns:
        Inputs of shape (B, T, n_in + bias), gradients, and the bases that the summed gradient is still
        to be turned into.
    """
    if bases is None:
        return with_constant(inputs, bias), gradients, (None, None)
    for_inputs, for_outputs = bases
    n_positions, n_out, n_in = inputs.shape[1], gradients.shape[2], for_inputs.columns
    # Turning T rows of length n costs T n^2; turning the sum costs n^2 times its other dimension.
    late_inputs, late_outputs = n_positions > n_out, n_positions > n_in
    inputs = (
        with_constant(inputs, bias) if late_inputs else for_inputs.turned(inputs, constant=bias)
    )
    gradients = gradients if late_outputs else for_outputs.turned(gradients)
    return (
        inputs,
        gradients,
        (for_inputs if late_inputs else None, for_outputs if late_outputs else None),
    )


def with_constant(inputs: Tensor, bias: bool) -> Tensor:
    """Inputs with a last feature of ones if there is a bias."""
    return torch.cat([inputs, torch.ones_like(inputs[..., :1])], -1) if bias else inputs


def example_gradients(
    inputs: Tensor,
    gradients: Tensor,
    bases: tuple[Basis, Basis] | None,
    *,
    bias: bool,
    at_once: int = 1,
) -> Iterator[tuple[slice, Tensor]]:
    """Gradients of the weights, some examples at a time.

    Args:
        inputs: Shape (B, T, n_in).
        gradients: Shape (B, T, n_out).
        bases: What the gradient is turned into, or None for none.
        bias: Whether there is a bias.
        at_once: Examples at a time on a CPU, whose caches like one matrix; an accelerator likes many.

    Yields:
        Which examples, and their gradients, shape (b, n_out, n_in + bias); overwritten by the next.
    """
    inputs, gradients, (for_inputs, for_outputs) = _turned_pair(inputs, gradients, bases, bias=bias)
    left = gradients.transpose(1, 2)
    n_examples, size = len(inputs), left.shape[1] * inputs.shape[2]
    if inputs.device.type != "cpu":
        at_once = max(_ELEMENTS_AT_ONCE // size, 1)
    for begin in range(0, n_examples, at_once):
        some = slice(begin, min(begin + at_once, n_examples))
        result = torch.bmm(left[some], inputs[some])
        if for_inputs is not None:
            result = for_inputs.turned(result)
        if for_outputs is not None:
            result = for_outputs.turned(result.transpose(1, 2)).transpose(1, 2)
        yield some, result


def add_squares(total: Tensor, gradients: Tensor) -> None:
    """Add the squares of gradients, shape (b, n_out, columns), to a total of shape (n_out, columns)."""
    if len(gradients) == 1 and total.dtype == gradients.dtype:
        total.addcmul_(gradients[0], gradients[0])
    else:
        total += gradients.square().sum(0)
