"""The layers whose weights influence is computed over."""

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ...errors import InvalidInput

__all__ = ["MLP_MODULES", "TrackedModule", "tracked_modules", "weights_digest"]

# What transformers calls the two or three linear layers of its MLPs; attention and embeddings are left out,
# as in section 3.1 of arXiv 2308.03296.
MLP_MODULES = (
    "*.mlp.*",
    "*.ffn.*",
    "*.feed_forward.*",
    "*.ff.*",
    "*.fc1",
    "*.fc2",
    "*.DenseReluDense.*",
    "*.block_sparse_moe.*",
)


@dataclass(frozen=True, slots=True)
class TrackedModule:
    """A linear layer: outputs = weights @ inputs (+ bias).

    Weights and their gradients are treated as one matrix of shape (n_out, n_in + bias): the bias is the
    weight of an input that is always 1 (homogeneous coordinate, Grosse et al. section 2.2).

    Attributes:
        name: Dotted name within the model.
        module: An `nn.Linear`, or a `Conv1D` of transformers.
        n_in: Inputs, the homogeneous coordinate not counted.
        n_out: Outputs.
        has_bias: Whether there is a bias.
    """

    name: str
    module: nn.Module
    n_in: int
    n_out: int
    has_bias: bool

    @property
    def columns(self) -> int:
        """Columns of the matrix of weights: inputs, and one for the bias."""
        return self.n_in + self.has_bias

    @property
    def size(self) -> int:
        """Weights of the layer."""
        return self.n_out * self.columns


def tracked_modules(
    model: nn.Module, patterns: Sequence[str] = MLP_MODULES
) -> tuple[TrackedModule, ...]:
    """The linear layers whose dotted name matches one of the patterns.

    Args:
        model: Any module.
        patterns: Shell patterns (`*`, `?`, `[...]`); a name is matched with and without a leading dot, so
            that `*.mlp.*` finds `mlp.0` at the top as well.

    Returns:
        In the order in which the model names them.

    Raises:
        InvalidInput: If no linear layer matches.
    """
    found, others = [], []
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, Conv1D)):
            continue
        if any(fnmatch.fnmatchcase(form, p) for form in (name, f".{name}") for p in patterns):
            found.append(_tracked(name, module))
        else:
            others.append(name)
    if not found:
        linear = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        raise InvalidInput(
            f"no linear layer of this model matches {', '.join(patterns)}",
            f"name some with --modules; its linear layers: {linear}"
            if others
            else "only nn.Linear and Conv1D can be used, and the model has none",
        )
    return tuple(found)


def _tracked(name: str, module: nn.Linear | Conv1D) -> TrackedModule:
    shape = tuple(module.weight.shape)
    n_out, n_in = shape if isinstance(module, nn.Linear) else shape[::-1]
    return TrackedModule(name, module, n_in, n_out, module.bias is not None)


def weights_digest(modules: Sequence[TrackedModule]) -> str:
    """SHA-256 over names and weights of layers, which factors of another model give away."""
    digest = hashlib.sha256()
    for tracked in modules:
        for part, tensor in sorted(tracked.module.state_dict().items()):
            digest.update(f"{tracked.name}.{part} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            digest.update(
                tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
            )
    return digest.hexdigest()
