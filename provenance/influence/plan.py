"""What influence will need on this machine, by stage, before anything runs.

Memory is what tensors hold at once, and what allocators and libraries are known to add. A process may keep
what an earlier stage has freed: a later one then seems to need more than its own, but never more than the
most that was planned so far.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import InvalidInput
from .amounts import Amount
from .curvature import Cutting, FactorSettings
from .forecast import Forecast, Job, fit_forecasts, loading_forecast, score_forecasts
from .heads import plain_head
from .machine import Machine
from .probing import Rates, assumed, measured
from .remedies import FITTING, LOADING, SCORING, WITH, remedy
from .scores import Wanted

__all__ = ["Amount", "Machine", "Plan", "StagePlan", "plan"]

_Forecasts = Callable[[Job], tuple[Forecast, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """What one stage is expected to take.

    Attributes:
        name: The stage.
        memory: Bytes where the model runs; for all stages but loading those above the loaded model.
        host_memory: Bytes of the machine's own memory, if the model runs elsewhere; else 0.
        disk: Bytes of files.
        seconds: Time; for loading None, as that depends on where the weights lie.
    """

    name: str
    memory: int
    host_memory: int
    disk: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What influence will need, and whether it is there.

    Attributes:
        stages: In the order in which they run.
        machine: What there is.
        loaded: Whether the model is in memory already, and so in what the machine has no more.
        time_based_on: Where the times are from, for people.
        job: What was planned for.
        forecasts: What the stages are made from.
    """

    stages: tuple[StagePlan, ...]
    machine: Machine
    loaded: bool
    time_based_on: str
    job: Job = field(repr=False)
    forecasts: tuple[Forecast, ...] = field(repr=False)

    @property
    def needed(self) -> Machine:
        """The most that is needed at once."""
        return _needed(self.stages, loaded=self.loaded)

    @property
    def unfit(self) -> StagePlan | None:
        """The first stage that does not fit; None if all do."""
        for stage in self.stages:
            if not _fits(_needed(self._until(stage), loaded=self.loaded), self.machine):
                return stage
        return None

    def _until(self, stage: StagePlan) -> tuple[StagePlan, ...]:
        return (self.stages[0], stage) if stage is not self.stages[0] else (stage,)

    def refuse_unfit(self) -> None:
        """Refuse what cannot fit.

        Raises:
            InvalidInput: If a stage needs more than there is; it says which option would make all fit, by
                planning again with it, and what it then needs.
        """
        stage = self.unfit
        if stage is None:
            return
        needed = _needed(self._until(stage), loaded=self.loaded)
        raise InvalidInput(
            f"{stage.name} will not fit: {_shortage(needed, self.machine)}", self._advice()
        )

    def _advice(self) -> str:
        """What makes all fit: first for the model, then for fitting, then for scoring beside that."""
        rehearsed, job = _Stages(), self.job
        said: dict[str, str] = {}  # a later value of an option takes the place of an earlier one
        for stages, changes in (
            (rehearsed.load, LOADING),
            (rehearsed.fit, FITTING),
            (rehearsed.score, SCORING),
        ):

            def needed(job: Job, stages: _Forecasts = stages) -> Machine:
                return self._needed_by(job, (loading_forecast(job), *stages(job)))

            def fits(job: Job) -> bool:
                return _fits(needed(job), self.machine)

            if fits(job):
                continue
            found = remedy(job, changes, fits)
            if found is None:
                return "no option makes it fit: use fewer --modules, a smaller model or a larger machine"
            job = found.job
            needs = f" (which needs {_gib(needed(job).memory)})"
            parts = found.option.split(WITH)
            said |= {part.split()[0]: part for part in parts[:-1]}
            said[parts[-1].split()[0]] = parts[-1] + needs
        return f"use {' and '.join(said.values())}"

    def _needed_by(self, job: Job, stages: tuple[Forecast, ...]) -> Machine:
        """What a changed job needs; a model that is here makes room for itself in another precision."""
        same = job.dtype == self.job.dtype
        needed = _needed(stages, loaded=self.loaded and same)
        if same or not self.loaded:
            return needed
        room = next(iter(self.stages)).memory
        return replace(needed, memory=max(needed.memory - room, 0))

    def timed_with(self, model: nn.Module) -> "Plan":
        """The same with times from a small batch through the model, now that it is loaded."""
        job = replace(self.job, model=model, dtype=None)
        rates = _rates(job, loaded=True)
        stages = zip(self.stages, self.forecasts, strict=True)
        timed = tuple(replace(row, seconds=_seconds(forecast, rates)) for row, forecast in stages)
        return replace(self, stages=timed, time_based_on=rates.based_on)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        unfit = self.unfit
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "needed": asdict(self.needed),
            "available": asdict(self.machine),
            "model_loaded": self.loaded,
            "time_based_on": self.time_based_on,
            "fits": unfit is None,
            "first_unfit_stage": None if unfit is None else unfit.name,
        }


def _needed(stages: Iterable[StagePlan | Forecast], *, loaded: bool) -> Machine:
    load, *others = stages
    most = {
        name: max((getattr(stage, name) for stage in others), default=0)
        for name in ("memory", "host_memory", "disk")
    }
    if not loaded:
        most["memory"] += load.memory
        most["host_memory"] += load.host_memory
    return Machine(**most)


def _fits(needed: Machine, there: Machine) -> bool:
    return not any(wanted > held for _, wanted, held in _compared(needed, there))


def _compared(needed: Machine, there: Machine) -> list[tuple[str, int, int]]:
    pairs = [
        ("of memory", needed.memory, there.memory),
        ("of the machine's own memory", needed.host_memory, there.host_memory),
        ("on disk", needed.disk, there.disk),
    ]
    return [(what, n or 0, held) for what, n, held in pairs if held is not None]


def _shortage(needed: Machine, there: Machine) -> str:
    return ", ".join(
        f"it needs {_gib(wanted)} {what}, {_gib(held)} are free"
        for what, wanted, held in _compared(needed, there)
        if wanted > held
    )


def _gib(n: int | None) -> str:
    n = n or 0
    return f"{n / (1 << 30):,.1f} GiB" if n >= 1 << 30 else f"{n / (1 << 20):,.0f} MiB"


class _Stages:
    """Forecasts of jobs, each rehearsed once."""

    def __init__(self) -> None:
        self._fit = lru_cache(None)(fit_forecasts)
        self._score = lru_cache(None)(score_forecasts)

    def load(self, job: Job) -> tuple[Forecast, ...]:
        """Nothing beside the model."""
        return ()

    def fit(self, job: Job) -> tuple[Forecast, ...]:
        """Whatever is asked later makes no difference."""
        one = Amount.equal(1, 2)
        return self._fit(
            replace(job, candidates=one, queries=one, query_rank=None, wanted=Wanted())
        )

    def score(self, job: Job) -> tuple[Forecast, ...]:
        """However factors were fitted makes no difference."""
        return self._score(
            replace(job, cutting=Cutting(batch_positions=job.cutting.batch_positions))
        )

    def __call__(self, job: Job) -> tuple[Forecast, ...]:
        return loading_forecast(job), *self.fit(job), *self.score(job)


def plan(
    model: nn.Module,
    *,
    fitted: Amount,
    candidates: Amount,
    queries: Amount,
    settings: FactorSettings | None = None,
    cutting: Cutting | None = None,
    query_rank: int | None = None,
    wanted: Wanted | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    folder: Path | None = None,
    machine: Machine | None = None,
    probe: bool = True,
) -> Plan:
    """What fitting factors and scoring candidates will need; nothing of it runs.

    The work is rehearsed on tensors without numbers, so that the model's weights may lie on the meta device.

    Args:
        model: A causal language model of transformers.
        fitted: What factors are fitted on.
        candidates: What is scored.
        queries: What is asked about, at once.
        settings: See `fit_factors`.
        cutting: Likewise; candidates and queries are batched alike.
        query_rank: See `influence_scores`.
        wanted: Likewise.
        device: Where the model will run; by default where it is, or the CPU if it is nowhere.
        dtype: Precision of its weights, if it is to be loaded in another.
        folder: Where factors will be kept; None keeps them in memory.
        machine: What there is; by default what is free on this one.
        probe: Whether a small batch is timed; else, speed is assumed.

    Returns:
        The plan; `refuse_unfit` it before the work begins.

    Raises:
        InvalidInput: If no layer matches, an amount is empty, a sequence is longer than the model's context,
            or the model cannot be rehearsed.
    """
    held = next(model.parameters()).device
    loaded = held.type != "meta" and device in {None, held} and dtype is None
    if device is None:
        device = held if loaded else torch.device("cpu")
    job = Job(
        model=model,
        device=device,
        dtype=dtype,
        fitted=fitted,
        candidates=candidates,
        queries=queries,
        settings=FactorSettings() if settings is None else settings,
        cutting=Cutting() if cutting is None else cutting,
        query_rank=query_rank,
        wanted=Wanted() if wanted is None else wanted,
        kept=folder is not None,
    )
    _refuse(job)
    machine = Machine.here(device, folder) if machine is None else machine
    try:
        stages = _Stages()(job)
    except (RuntimeError, NotImplementedError, TypeError) as error:  # of a model's own code
        raise InvalidInput(
            f"this model cannot be planned for: {str(error).splitlines()[0]}",
            "try with few documents, and watch the memory",
        ) from error
    fits = _fits(_needed(stages, loaded=loaded), machine)
    rates = _rates(job, loaded=loaded) if probe and fits else assumed(device)
    return Plan(
        stages=tuple(_with_time(stage, rates) for stage in stages),
        machine=machine,
        loaded=loaded,
        time_based_on=rates.based_on,
        job=job,
        forecasts=stages,
    )


def _refuse(job: Job) -> None:
    job.modules()
    if job.query_rank is not None and job.query_rank < 1:
        raise InvalidInput(f"query rank: expected at least 1, got {job.query_rank}")
    config = getattr(job.model, "config", None)
    context = None if config is None else config.get_text_config()
    context = getattr(context, "max_position_embeddings", None)
    for name in ("fitted", "candidates", "queries"):
        amount: Amount = getattr(job, name)
        if amount.n < 1 or amount.longest < 2:
            raise InvalidInput(
                f"{name}: expected sequences of at least 2 tokens, got {amount.n} of {amount.longest}"
            )
        if context is not None and amount.longest - 1 > context:
            raise InvalidInput(
                f"{name}: {amount.longest:,} tokens; the model's context is {context:,}",
                "plan for shorter sequences",
            )


def _rates(job: Job, *, loaded: bool) -> Rates:
    if job.device.type == "cuda" and not torch.cuda.is_available():
        return assumed(job.device)
    modules = job.modules()
    head = plain_head(job.model, modules) if loaded else None
    return measured(
        job.device,
        job.settings.product_precision.torch,
        job.model if loaded else None,
        modules,
        job.fitted.batch(job.cutting.batch_positions, head),
    )


def _with_time(stage: Forecast, rates: Rates) -> StagePlan:
    return StagePlan(
        name=stage.name,
        memory=stage.memory,
        host_memory=stage.host_memory,
        disk=stage.disk,
        seconds=_seconds(stage, rates),
    )


def _seconds(stage: Forecast, rates: Rates) -> float | None:
    return None if stage.name == "load" else rates.seconds(stage)
