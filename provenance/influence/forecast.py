"""What each stage of influence would hold in memory and on disk, and compute, by rehearsal.

One batch is rehearsed: the next hold no more. Of layers worked on in parts, those parts are rehearsed that
can need most: the first, whose passes are the longest; the last, beside which all other factors lie; and the
one with the most weights.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from .amounts import Amount
from .capture import at_rest, backward
from .curvature import Cutting, Factors, FactorSettings, LayerFactors, Strategy
from .curvature.bases import Basis
from .curvature.checkpoints import Checkpoints
from .curvature.covariances import block_bounds, covariances_of
from .curvature.factors import DataFacts
from .curvature.fitting import Stages, parts_of
from .directions import Directions
from .heads import plain_head
from .modules import TrackedModule, tracked_modules
from .rehearsal import Meter, Work, n_bytes, rehearsing
from .scores import Queries, Wanted
from .tasks import TokenTask
from .workers import Workers

__all__ = ["Forecast", "Job", "fit_forecasts", "loading_forecast", "score_forecasts"]

_QUERIES_REHEARSED = 4
_CHANGE_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "logits_scale")
_META, _CPU = torch.device("meta"), torch.device("cpu")
_BYTES_PER_TOKEN = 40  # of a Python integer in a tuple
# What the libraries of numeric code take beside tensors, at first use: buffers of threads, code that is read.
_LIBRARIES = {"cpu": 40 << 20, "cuda": 160 << 20}
_SLACK = {"cpu": 1.15, "cuda": 1.1}  # what allocators waste


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        model: The model; its weights may lie on the meta device.
        device: Where it will run.
        dtype: Precision of its weights; None for that which they have.
        fitted: What factors are fitted on.
        candidates: What is scored.
        queries: What is asked about, at once.
        settings: The approximation.
        cutting: Batches, here of queries and candidates too, and parts.
        query_rank: See `influence_scores`.
        wanted: Likewise.
        kept: Whether factors and what is summed so far are written to disk.
    """

    model: nn.Module
    device: torch.device
    dtype: torch.dtype | None
    fitted: Amount
    candidates: Amount
    queries: Amount
    settings: FactorSettings
    cutting: Cutting
    query_rank: int | None
    wanted: Wanted
    kept: bool

    @property
    def stand_in(self) -> torch.device:
        """Where it is rehearsed: a GPU that is not here cannot even seem to be used."""
        missing = self.device.type == "cuda" and not torch.cuda.is_available()
        return _CPU if missing else self.device

    def modules(self) -> tuple[TrackedModule, ...]:
        """The layers."""
        return tracked_modules(self.model, self.settings.modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one stage takes.

    Attributes:
        name: As progress calls it.
        memory: Bytes where the model runs, above the loaded model; but for loading, which is the model.
        host_memory: Bytes of the machine's own memory, if the model runs elsewhere.
        disk: Bytes of files while it runs.
        positions: Positions that go through the model, forward and backward.
        pass_work: What one such position takes.
        work: What is computed beside.
    """

    name: str
    memory: int
    host_memory: int = 0
    disk: int = 0
    positions: int = 0
    pass_work: Work = dataclasses.field(default_factory=Work)
    work: Work = dataclasses.field(default_factory=Work)


def loading_forecast(job: Job) -> Forecast:
    """The weights, and the tokens of all sequences."""
    tensors = {id(t): t for t in (*job.model.parameters(), *job.model.buffers())}
    weights = sum(
        t.numel() * (job.dtype.itemsize if _changes(t, job.dtype) and job.dtype else t.itemsize)
        for t in tensors.values()
    )
    amounts = (job.fitted, job.candidates, job.queries)
    tokens = _BYTES_PER_TOKEN * sum(amount.tokens for amount in amounts)
    on_cpu = job.device.type == "cpu"
    return Forecast(
        name="load",
        memory=weights + (tokens if on_cpu else 0),
        host_memory=0 if on_cpu else tokens,
    )


def _changes(tensor: Tensor, dtype: torch.dtype | None) -> bool:
    return dtype is not None and tensor.is_floating_point()


def fit_forecasts(job: Job) -> tuple[Forecast, ...]:
    """The stages of `fit_factors`."""
    parts = parts_of(job.modules(), job.cutting.module_parts)
    heaviest = max(range(len(parts)), key=lambda i: sum(tracked.size for tracked in parts[i]))
    rehearsed = sorted({0, heaviest, len(parts) - 1})
    meters = [_rehearse_fit(job, parts, number) for number in rehearsed]
    share = len(parts) / len(rehearsed)
    batch = job.fitted.rows(job.cutting.batch_positions) * (job.fitted.longest - 1)
    positions = job.fitted.positions * len(parts)
    pass_work = meters[0].work("pass").times(1 / batch)
    result = []
    for stage in _fit_stages(job.settings):
        on_data = stage != "eigenvectors"
        works = [m.work(stage) - (m.work("pass") if on_data else Work()) for m in meters]
        scale = share * (job.fitted.positions / batch if on_data else 1)
        files = _files(job, parts, stage)
        result.append(
            Forecast(
                name=stage,
                memory=_bytes_with_margin(
                    job, max(m.peak(stage, job.stand_in.type) for m in meters)
                ),
                host_memory=0 if job.device.type == "cpu" else files.written,
                disk=files.there if job.kept else 0,
                positions=positions if on_data else 0,
                pass_work=pass_work,
                work=sum(works, Work()).times(scale),
            )
        )
    return tuple(result)


def _fit_stages(settings: FactorSettings) -> list[str]:
    stages = ["covariances", "eigenvectors"] if settings.needs_bases else []
    return [*stages, "second moments"] if settings.needs_moments else stages


def _bytes_with_margin(job: Job, n: int) -> int:
    kind = job.device.type
    return int(n * _SLACK.get(kind, 1.1)) + _LIBRARIES.get(kind, 0)


def _rehearse_fit(job: Job, parts: Sequence[Sequence[TrackedModule]], number: int) -> Meter:
    """Fit the layers of one part beside the factors of those before it."""
    simple = _has_plain_head(job)
    with rehearsing(job.model, job.stand_in, job.dtype) as (model, meter):
        every = tracked_modules(model, job.settings.modules)
        task = job.fitted.batch(
            job.cutting.batch_positions, plain_head(model, every) if simple else None
        )
        n_positions = sum(task.length(row) for row in range(len(task)))
        modules = parts_of(every, len(parts))[number]
        before = [
            _layer_factors(tracked, job.settings, job.stand_in)
            for part in parts[:number]
            for tracked in part
        ]
        meter.stage("pass")
        _one_pass(model, modules, task, job.stand_in)
        meter.stage("")
        with at_rest(model):
            Stages(
                model,
                modules,
                task,
                DataFacts(len(task), n_positions, ""),
                job.settings,
                Cutting(batch_positions=job.cutting.batch_positions),
                Workers(),
                Checkpoints(None, Workers()),
                meter.stage,
            ).run(0)
        del before
    return meter


def _has_plain_head(job: Job) -> bool:
    """Whether logits are never held as a whole; a model without weights is judged by its configuration."""
    if not next(job.model.parameters()).is_meta:
        return plain_head(job.model, job.modules()) is not None
    config = job.model.config.get_text_config()  # type: ignore[operator, union-attr]
    return all(getattr(config, name, None) in {None, 1.0} for name in _CHANGE_LOGITS)


def _one_pass(
    model: nn.Module, modules: Sequence[TrackedModule], task: TokenTask, device: torch.device
) -> None:
    """Forward and backward over a whole task, of which nothing is kept."""
    batch = task.batch(range(len(task)), device)
    with at_rest(model):
        backward(model, modules, task, batch, partial(task.gradient, batch=batch), lambda *_: None)


def _layer_factors(
    tracked: TrackedModule, settings: FactorSettings, device: torch.device
) -> LayerFactors:
    """Factors of a layer's shape."""
    dtype, bases = settings.kept_precision.torch, None
    if settings.needs_bases:
        bases = (
            Basis.zeros(block_bounds(tracked.columns, settings.blocks), dtype, device),
            Basis.zeros(block_bounds(tracked.n_out, settings.blocks), dtype, device),
        )
    values = None
    if settings.strategy is not Strategy.IDENTITY:
        values = torch.zeros(tracked.n_out, tracked.columns, dtype=dtype, device=device)
    return LayerFactors(bases, values)


@dataclass(frozen=True, slots=True)
class _Files:
    there: int
    written: int


def _files(job: Job, parts: Sequence[Sequence[TrackedModule]], stage: str) -> _Files:
    """Bytes on disk in a stage of the last part, and those of the file that is written in it."""
    settings = job.settings
    twice = (
        2 if job.cutting.data_parts > 1 else 1
    )  # a sum is written beside the one that it replaces

    def covariances(some: Sequence[TrackedModule]) -> int:
        dtype = settings.sum_precision.torch
        pairs = [covariances_of(tracked, settings.blocks, dtype, _META) for tracked in some]
        return sum(n_bytes(c.totals) for pair in pairs for c in pair)

    def layers(some: Sequence[TrackedModule], *, of_bases: bool = False) -> int:
        found = [_layer_factors(tracked, settings, _META) for tracked in some]
        if of_bases:
            found = [LayerFactors(layer.bases, None) for layer in found]
        return sum(n_bytes(layer.as_tensors().values()) for layer in found)

    def moments(some: Sequence[TrackedModule]) -> int:
        weights = sum(tracked.size for tracked in some)
        return weights * settings.sum_precision.torch.itemsize if settings.needs_moments else 0

    *earlier, last = parts
    bases = layers(last, of_bases=True)
    before = sum(layers(p) + layers(p, of_bases=True) + moments(p) for p in earlier)
    if stage == "covariances":
        return _Files(before + twice * covariances(last), covariances(last))
    if stage == "eigenvectors":
        more = layers(last) if not settings.needs_moments else 0
        return _Files(before + max(covariances(last) + bases, bases + more), max(bases, more))
    at_end = max(moments(last) * twice, moments(last) + layers(last))
    return _Files(before + bases + at_end, max(moments(last), layers(last)))


def score_forecasts(job: Job) -> tuple[Forecast, ...]:
    """Queries and candidates of `influence_scores`, with factors that were read from disk."""
    rehearsed = min(job.queries.n, max(_QUERIES_REHEARSED, _rows(job.queries, job)))
    meter, growth = _rehearse_scores(job, rehearsed)
    modules = job.modules()
    factors = sum(
        n_bytes(_layer_factors(tracked, job.settings, _META).as_tensors().values())
        for tracked in modules
    )
    tables = _tables(job, len(modules))
    on_cpu = job.device.type == "cpu"
    result = []
    for stage, amount, rows, more, aside in (
        ("queries", job.queries, rehearsed, growth, 0),
        ("candidates", job.candidates, _rows(job.candidates, job), 0, tables),
    ):
        width = amount.longest - 1
        pass_work = meter.work(f"pass of {stage}").times(1 / (_rows(amount, job) * width))
        memory = meter.peak(stage, job.stand_in.type) + more + (aside if on_cpu else 0)
        result.append(
            Forecast(
                name=stage,
                memory=_bytes_with_margin(job, memory),
                host_memory=0 if on_cpu else factors + aside,
                disk=factors if job.kept else 0,
                positions=amount.positions,
                pass_work=pass_work,
                work=(meter.work(stage) - pass_work.times(rows * width)).times(amount.n / rows),
            )
        )
    return tuple(result)


def _rehearse_scores(job: Job, n_queries: int) -> tuple[Meter, int]:
    """Take some queries' gradients and score a batch of candidates against all queries.

    Returns:
        What was counted, and the bytes that the other queries add.
    """
    positions, simple = job.cutting.batch_positions, _has_plain_head(job)
    with rehearsing(job.model, job.stand_in, job.dtype) as (model, meter):
        modules = tracked_modules(model, job.settings.modules)
        head = plain_head(model, modules) if simple else None
        for stage, amount in (("queries", job.queries), ("candidates", job.candidates)):
            meter.stage(f"pass of {stage}")
            _one_pass(model, modules, amount.batch(positions, head), job.stand_in)
        meter.stage("queries")
        facts = DataFacts(job.fitted.n, job.fitted.positions, "")
        layers = _ImaginedLayers(modules, job.settings)
        asked = Queries.prepare(
            model,
            _Imagined(job.settings, facts, "", layers),
            job.queries.some(n_queries, head),
            rank=job.query_rank,
            precision=job.settings.product_precision,
            batch_positions=positions,
            progress=meter.stage,
        )
        by_layer = [_direction_bytes(direction) for direction in asked.directions]
        # Each further query adds its matrices, and those of a layer once more while they are stacked.
        growth = (sum(by_layer) + max(by_layer)) * (job.queries.n - n_queries) // n_queries
        meter.stage("")
        asked = replace(
            asked,
            names=tuple(map(str, range(job.queries.n))),
            directions=[_more(direction, job.queries.n) for direction in asked.directions],
        )
        meter.stage("candidates")
        asked.scores(
            job.candidates.batch(positions, head),
            wanted=job.wanted,
            batch_positions=positions,
            progress=meter.stage,
        )
    return meter, growth


def _rows(amount: Amount, job: Job) -> int:
    return amount.rows(job.cutting.batch_positions)


class _ImaginedLayers(Mapping[str, LayerFactors]):
    """Layers as they come from a disk: each time anew."""

    def __init__(self, modules: Sequence[TrackedModule], settings: FactorSettings) -> None:
        self._modules = {tracked.name: tracked for tracked in modules}
        self._settings = settings

    def __getitem__(self, name: str) -> LayerFactors:
        return _layer_factors(self._modules[name], self._settings, _CPU)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class _Imagined(Factors):
    """Factors whose model has no weights that could be digested."""

    def modules_of(self, model: nn.Module) -> tuple[TrackedModule, ...]:
        return tracked_modules(model, self.settings.modules)


def _matrices(direction: Directions) -> dict[str, Tensor]:
    fields = dataclasses.fields(direction)  # type: ignore[arg-type]
    return {f.name: v for f in fields if isinstance(v := getattr(direction, f.name), Tensor)}


def _direction_bytes(direction: Directions) -> int:
    return n_bytes(_matrices(direction).values())


def _more(direction: Directions, n: int) -> Directions:
    """The same for n queries."""
    larger = {name: t.new_empty((n, *t.shape[1:])) for name, t in _matrices(direction).items()}
    return replace(direction, **larger)  # type: ignore[type-var]


def _tables(job: Job, n_modules: int) -> int:
    """Bytes of the tables of scores, which are summed, scaled and gathered: four of each."""
    pairs = job.queries.n * job.candidates.n
    wanted = job.wanted
    by_token = 4 * job.queries.n * job.candidates.tokens if wanted.by_token else 0
    by_module = 4 * pairs * n_modules if wanted.by_module else 0
    return 4 * (8 * pairs + by_module) + by_token
