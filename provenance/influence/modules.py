"""The layers whose weights influence is computed over."""

import fnmatch
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ...errors import InvalidInput

__all__ = ["MLP_MODULES", "TrackedModule", "tracked_modules", "weights_digest"]

# What transformers calls the two or three linear layers of its MLPs; attention and embeddings are left out,
# as in section 3.1 of arXiv 2308.03296. Matrices of a LoRA adapter inside these layers match as well; for the
# adapter alone, name `*.lora_A.*` and `*.lora_B.*`.
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
        InvalidInput: If no linear layer matches, or the fused weights of several experts do.
    """
    _refuse_fused(model, patterns)
    found, others = [], []
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, Conv1D)):
            continue
        if _matches(name, patterns):
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


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(form, p) for form in (name, f".{name}") for p in patterns)


def _refuse_fused(model: nn.Module, patterns: Sequence[str]) -> None:
    """Refuse to leave out, without a word, weights that were asked for.

    A mixture of experts keeps the weights of all experts in one tensor, which is no linear layer.

    Raises:
        InvalidInput: If a pattern matches such a tensor.
    """
    for owner, module in model.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            continue
        for part, weights in module.named_parameters(owner, recurse=False):
            if weights.ndim == 3 and _matches(part, patterns):
                raise InvalidInput(
                    f"{part}: holds the weights of {len(weights)} experts in one, which cannot be used",
                    "name linear layers with --modules that leave the experts out",
                )


def _tracked(name: str, module: nn.Linear | Conv1D) -> TrackedModule:
    if isinstance(module, nn.Linear):  # its weights may be packed: 4 bits, say
        n_out, n_in = module.out_features, module.in_features
    else:
        n_in, n_out = module.weight.shape
    return TrackedModule(name, module, n_in, n_out, module.bias is not None)


def weights_digest(model: nn.Module, modules: Sequence[TrackedModule]) -> str:
    """SHA-256 over a model's weights and the names of the layers, which factors of another model give away.

    All weights count, not only the layers': gradients depend on every one.

    Raises:
        InvalidInput: If the weights are not in memory.
    """
    kept = model.state_dict(keep_vars=True)
    tensors = {
        name: tensor.detach()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if name in kept
    }
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise InvalidInput(
                f"{name}: its weights are not in memory", "load the whole model on one device"
            )
    digest = hashlib.sha256("".join(f"{tracked.name}\0" for tracked in modules).encode())
    with ThreadPoolExecutor(4) as pool:
        for name, held in zip(tensors, pool.map(_tensor_digest, tensors.values()), strict=True):
            digest.update(f"{name}\0{held}\n".encode())
    return digest.hexdigest()


def _tensor_digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}\0".encode())
    digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
