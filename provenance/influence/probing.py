"""How fast this machine is: measured in a moment, or assumed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from .capture import at_rest, backward
from .forecast import Forecast
from .modules import TrackedModule
from .rehearsal import Work
from .tasks import Task

__all__ = ["Rates", "assumed", "measured"]

_OPERATIONS_OF_A_PROBE = 2e12  # which a laptop does within a minute
_PROBED_TOKENS = {"cpu": 512, "cuda": 8_192}
_SIDE, _EIGEN_SIDE, _ELEMENTS = 1_024, 384, 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is done in a second.

    Attributes:
        operations: Of `Work`.
        traffic: Likewise.
        eigen: Likewise.
        singular: Likewise.
        position_seconds: Seconds of a position's way through the model and back; None if it was not measured.
        based_on: Where these numbers are from, for people.
    """

    operations: float
    traffic: float
    eigen: float
    singular: float
    position_seconds: float | None
    based_on: str

    def seconds(self, stage: Forecast) -> float:
        """What a stage takes."""
        passes = (
            stage.positions * self.position_seconds
            if self.position_seconds is not None
            else self._of(stage.pass_work.times(stage.positions))
        )
        return passes + self._of(stage.work)

    def _of(self, work: Work) -> float:
        return (
            work.operations / self.operations
            + work.traffic / self.traffic
            + work.eigen / self.eigen
            + work.singular / self.singular
        )


def assumed(device: torch.device) -> Rates:
    """Rates of a common machine of its kind."""
    threads = torch.get_num_threads()
    scale, unit = (threads, f"{threads} CPU threads") if device.type == "cpu" else (1_000, "a GPU")
    return Rates(
        operations=3e10 * scale,
        traffic=2e9 * scale if device.type == "cpu" else 5e11,
        eigen=2e9 * scale if device.type == "cpu" else 2e10,
        singular=5e8 * scale if device.type == "cpu" else 2e9,
        position_seconds=None,
        based_on=f"{3e10 * scale:.0e} operations a second, assumed of {unit}; nothing was measured",
    )


def measured(
    device: torch.device,
    precision: torch.dtype,
    model: nn.Module | None,
    modules: Sequence[TrackedModule],
    task: Task,
) -> Rates:
    """Rates of this machine, right now.

    Args:
        device: Where is computed.
        precision: Of products.
        model: The model with its weights, for one batch; None if they are not here.
        modules: Its layers.
        task: Sequences of the length that is planned for, of which as many are taken as that takes.
    """
    left, right = (torch.rand(_SIDE, _SIDE, device=device).to(precision) for _ in range(2))
    operations = 2 * _SIDE**3 / _seconds(lambda: left @ right, device)
    one, two = (torch.rand(_ELEMENTS, device=device) for _ in range(2))
    traffic = one.nbytes / _seconds(lambda: one.addcmul_(two, two), device)
    square = torch.rand(_EIGEN_SIDE, _EIGEN_SIDE, device=device, dtype=torch.float64)
    square = square + square.T
    eigen = _EIGEN_SIDE**3 / _seconds(lambda: torch.linalg.eigh(square), device)
    single = square.float()
    singular = _EIGEN_SIDE**3 / _seconds(lambda: torch.linalg.svd(single), device)
    position_seconds, based_on = None, "products measured on this machine just now, passes counted"
    if model is not None:
        rows = _rows_of_probe(model, task, device)
        n = sum(task.length(row) for row in rows)
        seconds = _seconds(partial(_pass, model, modules, task, rows, device), device)
        position_seconds = seconds / n
        based_on = f"measured on this machine just now, on {n:,} tokens"
    return Rates(
        operations=operations,
        traffic=traffic,
        eigen=eigen,
        singular=singular,
        position_seconds=position_seconds,
        based_on=based_on,
    )


def _rows_of_probe(model: nn.Module, task: Task, device: torch.device) -> range:
    """One sequence at least; more, if they are short and the model is small."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    limit = min(_PROBED_TOKENS.get(device.type, 512), _OPERATIONS_OF_A_PROBE / (4 * weights))
    return range(max(min(int(limit / task.length(0)), len(task)), 1))


def _pass(
    model: nn.Module,
    modules: Sequence[TrackedModule],
    task: Task,
    rows: Sequence[int],
    device: torch.device,
) -> None:
    batch = task.batch(rows, device)
    with at_rest(model):
        backward(model, modules, task, batch, partial(task.gradient, batch=batch), lambda *_: None)


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    """The shorter of two times; a first one, which warms up, is not counted."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - began)
    return max(min(found[1:]), 1e-9)
