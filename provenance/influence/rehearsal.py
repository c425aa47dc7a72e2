"""Work rehearsed on tensors that have shapes but no numbers: what it would hold in memory, and compute.

The rehearsal runs the very functions that do the work, so it cannot forget a tensor that they make. What
happens inside of one operation is not seen; where that is much (decompositions), it is added.
"""

import copy
import math
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoConfig, AutoModelForCausalLM

from ...errors import InvalidInput
from ...files import read_json
from ..suspect.local.devices import first_line

__all__ = ["Meter", "Work", "model_without_weights", "n_bytes", "rehearsing"]

aten = torch.ops.aten
_IN_PLACE = ("add_.", "addcmul_.", "addmm_.", "copy_.", "div_.", "mul_.", "zero_.")


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed.

    Attributes:
        operations: Floating-point operations of matrix products and the like.
        traffic: Bytes that all other operations write.
        eigen: Sum of n^3 over eigendecompositions.
        singular: Sum of n m min(n, m) over singular value decompositions.
    """

    operations: float = 0.0
    traffic: float = 0.0
    eigen: float = 0.0
    singular: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Work") -> "Work":
        return Work(*(max(a - b, 0) for a, b in zip(astuple(self), astuple(other), strict=True)))

    def times(self, factor: float) -> "Work":
        """All of it, so many times."""
        return Work(*(factor * value for value in astuple(self)))


@dataclass(slots=True)
class _Stage:
    counts: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, how_much: float) -> None:
        self.counts[what] = self.counts.get(what, 0.0) + how_much


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts bytes of tensors that are alive, by type of device, and what is computed, by stage."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live: dict[str, int] = {}
        self._known: dict[int, Any] = {}
        self._stages: dict[str, _Stage] = {"": _Stage()}
        self._now = self._stages[""]

    def stage(self, name: str, *_: object) -> None:
        """What follows belongs to this stage; may be handed over as `Progress`."""
        self._now = self._stages.setdefault(name, _Stage())
        for device in self._live:
            self._note(device)

    def peak(self, stage: str, device: str) -> int:
        """Bytes that were alive at once in a stage, at most."""
        found = self._stages.get(stage)
        return 0 if found is None else found.peaks.get(device, 0)

    def work(self, stage: str) -> Work:
        """What was computed in a stage."""
        found = self._stages.get(stage)
        return Work() if found is None else Work(**found.counts)

    def disregard(self, tensors: Iterable[Tensor]) -> None:
        """Do not count these, nor views of them."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._known[storage._cdata] = storage

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = {} if kwargs is None else kwargs
        if func is aten._local_scalar_dense.default:
            # Somebody wants a number: whether all is finite, whether a sum is positive. It is.
            return True if args[0].dtype == torch.bool else 1.0
        if func in {aten.allclose.default, aten.equal.default}:
            return True
        if func is aten.index.Tensor and args[1][0].dtype == torch.bool:
            # How many are picked is a number, too: all of them at most.
            result = args[0].new_empty((args[1][0].numel(), *args[0].shape[args[1][0].ndim :]))
        elif func.__name__.startswith(_IN_PLACE):
            result = args[0]  # nothing new, so that nothing need be called
        else:
            result = func(*args, **kwargs)
        fresh = sum(self._meet(t) for t in tree_leaves(result) if isinstance(t, Tensor))
        self._count(func, args, kwargs, result, fresh)
        return result

    def _meet(self, tensor: Tensor) -> int:
        """Begin to count a tensor's bytes, unless that has begun; how many they are."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return 0
        n_bytes, device = storage.nbytes(), tensor.device.type
        self._live[device] = self._live.get(device, 0) + n_bytes
        self._note(device)
        self._known[key] = weakref.ref(storage, self._parting(key, device, n_bytes))
        return n_bytes

    def _parting(self, key: int, device: str, n_bytes: int) -> Callable[[object], None]:
        def gone(_: object) -> None:
            self._live[device] -= n_bytes
            self._known.pop(key, None)

        return gone

    def _note(self, device: str, extra: int = 0) -> None:
        peaks = self._now.peaks
        peaks[device] = max(peaks.get(device, 0), self._live[device] + extra)

    def _count(
        self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any, fresh: int
    ) -> None:
        if func is aten._linalg_eigh.default:
            n = args[0].shape[-1]
            # syevd of LAPACK, and its like on a GPU, works on 2 n^2 numbers more.
            self._note(args[0].device.type, 2 * args[0].nbytes)
            self._now.count("eigen", n**3)
        elif func is aten._linalg_svd.default:
            *_, n, m = args[0].shape
            # gesdd of LAPACK works on a copy and 4 min(n, m)^2 numbers more.
            more = args[0].nbytes + 4 * min(n, m) ** 2 * args[0].element_size()
            self._note(args[0].device.type, more)
            self._now.count("singular", n * m * min(n, m))
        elif func is aten.cumsum.default and kwargs.get("dtype") not in {None, args[0].dtype}:
            self._note(result.device.type, result.nbytes)  # what is summed, in the wider type
            self._now.count("traffic", 2 * fresh)
        elif torch.Tag.pointwise in func.tags:
            self._note_casts(args, result)
            self._now.count("traffic", fresh or n_bytes([result]))
        elif func is aten.addmm_.default:
            self._now.count("operations", 2 * args[1].numel() * args[2].shape[1])
        elif func._overloadpacket in flop_registry:
            operations = flop_registry[func._overloadpacket](*args, **kwargs, out_val=result)
            self._now.count("operations", operations)
        elif fresh:
            self._now.count("traffic", fresh)
        elif func._schema.is_mutable and isinstance(args[0], Tensor):
            self._now.count("traffic", args[0].numel() * args[0].element_size())

    def _note_casts(self, operands: Any, result: Any) -> None:
        """On a CPU, operands of another type than the result's are copied first."""
        if not isinstance(result, Tensor) or result.device.type != "cpu":
            return
        others = [
            operand
            for operand in operands
            if isinstance(operand, Tensor) and operand.ndim and operand.dtype != result.dtype
        ]
        if others and result.is_floating_point():
            self._note("cpu", result.itemsize * sum(other.numel() for other in others))


def _zeros(tensor: Tensor) -> Any:
    """The array of numpy that stands for a tensor without numbers."""
    return np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


@contextmanager
def rehearsing(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None = None
) -> Generator[tuple[nn.Module, Meter]]:
    """In this block every new tensor has a shape and a device, but no memory and no numbers.

    Args:
        model: Any model, which may itself lie on the meta device.
        device: Where the copy of it seems to lie.
        dtype: Precision of the copy's real weights; None for that of each.

    Yields:
        A copy of the model, whose weights are not counted, and what counts all else.
    """
    meter = Meter()
    with _with_arrays(), FakeTensorMode(allow_non_fake_inputs=True):
        copied = _without_numbers(model, device, dtype)
        meter.disregard((*copied.parameters(), *copied.buffers()))
        with meter:
            yield copied, meter


@contextmanager
def _with_arrays() -> Generator[None]:
    """Let tensors without numbers, which refuse it otherwise, be turned into arrays."""
    type.__setattr__(FakeTensor, "numpy", _zeros)
    try:
        yield
    finally:
        type.__delattr__(FakeTensor, "numpy")


def _without_numbers(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None
) -> nn.Module:
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        held: Tensor = torch.empty(tensor.shape, dtype=kind, device=device)
        if isinstance(tensor, nn.Parameter):
            held = nn.Parameter(held, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = held
    return copy.deepcopy(model, memo)


def model_without_weights(path: Path) -> nn.Module:
    """A causal language model on the meta device, by its configuration alone.

    Args:
        path: Folder with config.json, or such a file.

    Raises:
        InvalidInput: If there is none, or it describes no causal language model.
    """
    if not path.exists():
        raise InvalidInput(
            f"{path}: no such folder", "give a model folder, or a config.json; the hub is not asked"
        )
    file = path / "config.json" if path.is_dir() else path
    read_json(file, "a model's configuration")
    try:
        config = AutoConfig.from_pretrained(file, trust_remote_code=False)
        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parts raise
        raise InvalidInput(
            f"{file}: describes no causal language model: {first_line(error)}",
            "give the config.json of a model that transformers knows",
        ) from error
    return model


def n_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, those on the meta device as if they had any."""
    return sum(math.prod(t.shape) * t.element_size() for t in tensors)
