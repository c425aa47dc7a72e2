"""Fitting curvature: passes over the data, in parts that a killed run takes up again.

1. Covariances of inputs and output gradients (kfac, ekfac): one pass.
2. Their eigenvectors.
3. Second moments of gradients in the eigenbasis (ekfac) or entry by entry (diagonal): one more pass.

The data may be cut into parts; what is summed so far is kept when one is done. The layers may be cut too:
only those of one part are in memory, for one more pair of passes each. Under torchrun every process takes its
share of the batches.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ....errors import InvalidInput
from ...suspect.local.batching import batches
from ..capture import Consumer, at_rest, backward, refuse_mixing
from ..heads import ending_at_head, task_of
from ..modules import TrackedModule, tracked_modules, weights_digest
from ..sequences import TokenSequence
from ..tasks import Batch, Task
from ..workers import Workers
from .bases import Basis, eigenbasis
from .checkpoints import Checkpoints
from .covariances import Covariance, covariances_of
from .factors import DataFacts, Factors, LayerFactors, save_header, save_layers
from .moments import add_squares, example_gradients
from .settings import FactorSettings, Fisher, Strategy

__all__ = ["Cutting", "Progress", "Stages", "fit_factors", "parts_of"]

# Called with what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], object]

_Pair = tuple[Covariance, Covariance]
_Bases = tuple[Basis, Basis]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """How the work is cut up; factors do not depend on it, but for rounding.

    Attributes:
        batch_positions: Positions that a batch may be padded to.
        data_parts: Parts of the data; what is summed is kept on disk when one is done.
        module_parts: Parts of the layers that are worked on one after the other.

    Raises:
        InvalidInput: If one is below 1.
    """

    batch_positions: int = 4096
    data_parts: int = 1
    module_parts: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_positions", "data_parts", "module_parts"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name}: expected at least 1, got {getattr(self, name)}")


def fit_factors(
    model: nn.Module,
    data: Task | Sequence[TokenSequence],
    folder: Path | None = None,
    *,
    settings: FactorSettings | None = None,
    cutting: Cutting | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Factors:
    """Fit the curvature of a model's layers.

    Args:
        model: A causal language model of transformers; any module, if `data` is a task.
        data: A sample of what the model was trained on, as it was cut in training.
        folder: Where the factors are kept, a new folder; the same call takes up a run that was killed.
            None keeps them in memory.
        settings: The approximation.
        cutting: Batches and parts.
        progress: Told how far it is.

    Returns:
        The factors; under torchrun the same on every process.

    Raises:
        InvalidInput: If no layer matches, the data do not fit the model, outputs or gradients are not
            finite, or the folder exists.
    """
    settings = FactorSettings() if settings is None else settings
    cutting = Cutting() if cutting is None else cutting
    workers = Workers.here()
    with workers.together():
        task = task_of(data, model)
        modules = tracked_modules(model, settings.modules)
        facts, digest = _facts(task), weights_digest(model, modules)
        task = ending_at_head(task, model, modules)
    job = {
        "settings": settings.as_json(),
        "data": [facts.n_examples, facts.n_positions, facts.sha256],
        "model": digest,
        "cutting": asdict(cutting),
    }
    _refuse_unlike(workers, job)
    with workers.together(), workers.new_folder(folder, job) as (whole, parts), at_rest(model):
        with workers.together():
            refuse_mixing(model, modules, task)
        layers: dict[str, LayerFactors] = {}
        for number, some in enumerate(parts_of(modules, cutting.module_parts)):
            stages = Stages(
                model,
                some,
                task,
                facts,
                settings,
                cutting,
                workers,
                Checkpoints(parts, workers),
                progress,
            )
            fitted = stages.run(number)
            layers |= fitted
            if whole is not None:
                file = whole / f"layers-{number:05}.safetensors"
                save_layers(file, fitted, settings.kept_precision.torch)
        if whole is not None:
            save_header(whole, settings, facts, digest, list(layers))
    # All are here: nobody looks into the folder before it is whole.
    return Factors(settings, facts, digest, layers)


def _refuse_unlike(workers: Workers, job: object) -> None:
    if any(other != job for other in workers.gather(job)):
        raise InvalidInput(
            "the processes were given different models, data or settings",
            "start all of them with the same arguments, on the same files",
        )


def _facts(task: Task) -> DataFacts:
    n_positions = sum(task.length(row) for row in range(len(task)))
    return DataFacts(len(task), n_positions, task.digest())


def parts_of(modules: Sequence[TrackedModule], parts: int) -> Sequence[Sequence[TrackedModule]]:
    """Layers that are worked on one after the other, in at most so many parts."""
    n = min(parts, len(modules))
    cuts = [len(modules) * i // n for i in range(n + 1)]
    return [modules[begin:end] for begin, end in itertools.pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a fit for some layers; `plan` rehearses them."""

    model: nn.Module
    modules: Sequence[TrackedModule]
    task: Task
    facts: DataFacts
    settings: FactorSettings
    cutting: Cutting
    workers: Workers
    checkpoints: Checkpoints
    progress: Progress

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def run(self, number: int) -> dict[str, LayerFactors]:
        """Factors of the layers; sums are kept under the part's number."""
        settings = self.settings
        bases: Sequence[_Bases | None] = [None] * len(self.modules)
        if settings.needs_bases:
            bases = self._bases(f"covariances-{number}", f"bases-{number}")
        values: Sequence[Tensor | None] = [None] * len(self.modules)
        if settings.needs_moments:
            values = self._moments(f"moments-{number}", bases)
        elif settings.strategy is Strategy.KFAC:
            values = [self._products(pair) for pair in bases if pair is not None]
        return {
            tracked.name: LayerFactors(pair, found)
            for tracked, pair, found in zip(self.modules, bases, values, strict=True)
        }

    def _products(self, bases: _Bases) -> Tensor:
        """KFAC's eigenvalues, shape (n_out, columns): products of both covariances' eigenvalues.

        Covariances are means over positions. Were the positions of an example independent, the gradient
        summed over T of them would have T times the second moment.
        """
        inputs, outputs = (basis.eigenvalues for basis in bases)
        values = torch.outer(outputs, inputs) * (self.facts.n_positions / self.facts.n_examples)
        return values.to(self.settings.kept_precision.torch)

    def _bases(self, sums: str, result: str) -> list[_Bases]:
        """Eigenvectors of each layer's covariances; found once, and kept."""
        empty = [self._empty_bases(tracked) for tracked in self.modules]
        tensors = _named(LayerFactors(pair, None).as_tensors() for pair in empty)
        if not self.checkpoints.restore(result, tensors):
            self._eigenvectors(self._covariances(sums), empty)
            self.checkpoints.keep(result, tensors, 1)
            self.checkpoints.drop(sums)
        else:
            self.workers.broadcast(tensors.values())
        return empty

    def _eigenvectors(self, pairs: Sequence[_Pair], into: Sequence[_Bases]) -> None:
        """Each layer's are found by one process, and used by all: another's might differ in sign or order."""
        workers, n = self.workers, len(pairs)
        owners = [number % workers.size for number in range(n)]
        workers.broadcast(t for pair in pairs for c in pair for t in c.totals)
        with workers.together():
            for number, (tracked, pair, bases) in enumerate(
                zip(self.modules, pairs, into, strict=True)
            ):
                self.progress("eigenvectors", number, n)
                if owners[number] == workers.rank:
                    self._decompose(tracked, pair, bases)
                for covariance in pair:
                    covariance.totals.clear()
        for owner, bases in zip(owners, into, strict=True):
            workers.broadcast(LayerFactors(bases, None).as_tensors().values(), owner)
        self.progress("eigenvectors", n, n)

    def _empty_bases(self, tracked: TrackedModule) -> _Bases:
        settings, device = self.settings, self.device
        return tuple(  # type: ignore[return-value]
            Basis.zeros(covariance.bounds, settings.kept_precision.torch, device)
            for covariance in covariances_of(
                tracked, settings.blocks, torch.float32, torch.device("meta")
            )
        )

    def _decompose(self, tracked: TrackedModule, pair: _Pair, into: _Bases) -> None:
        for covariance, basis in zip(pair, into, strict=True):
            basis.fill(eigenbasis(covariance.means(self.facts.n_positions), tracked.name))

    def _covariances(self, name: str) -> list[_Pair]:
        settings = self.settings
        precision = settings.product_precision.torch
        pairs = [
            covariances_of(tracked, settings.blocks, settings.sum_precision.torch, self.device)
            for tracked in self.modules
        ]

        def consumer(batch: Batch) -> Consumer:
            def consume(number: int, inputs: Tensor, gradients: Tensor) -> None:
                of_inputs, of_outputs = pairs[number]
                constant = self.modules[number].has_bias
                of_inputs.add(_real(inputs, batch).to(precision), constant=constant)
                of_outputs.add(_real(gradients, batch).to(precision))

            return consume

        tensors = _named(
            {
                f"{side}.{block}": total
                for side, c in enumerate(pair)
                for block, total in enumerate(c.totals)
            }
            for pair in pairs
        )
        self._sum_over_data(name, "covariances", tensors, consumer)
        return pairs

    def _moments(self, name: str, bases: Sequence[_Bases | None]) -> list[Tensor]:
        """Mean squares of the entries of examples' gradients, in the bases; shapes (n_out, columns)."""
        settings = self.settings
        precision = settings.product_precision.torch
        turning = [
            None
            if pair is None
            else (pair[0].to(self.device, precision), pair[1].to(self.device, precision))
            for pair in bases
        ]
        totals = [
            torch.zeros(
                tracked.n_out,
                tracked.columns,
                dtype=settings.sum_precision.torch,
                device=self.device,
            )
            for tracked in self.modules
        ]

        def consumer(batch: Batch) -> Consumer:
            def consume(number: int, inputs: Tensor, gradients: Tensor) -> None:
                found = example_gradients(
                    inputs.to(precision),
                    gradients.to(precision),
                    turning[number],
                    bias=self.modules[number].has_bias,
                )
                for _, some in found:
                    add_squares(totals[number], some)

            return consume

        tensors = _named({"": total} for total in totals)
        self._sum_over_data(name, "second moments", tensors, consumer)
        self.workers.broadcast(totals)
        self._refuse_unbounded(totals)
        return [
            total.div_(self.facts.n_examples).to(settings.kept_precision.torch) for total in totals
        ]

    def _refuse_unbounded(self, totals: Sequence[Tensor]) -> None:
        for tracked, total in zip(self.modules, totals, strict=True):
            if not torch.isfinite(total).all():
                raise InvalidInput(
                    f"{tracked.name}: second moments are not finite (NaN or infinite)",
                    "use another precision (bfloat16 or float32), or mend the weights",
                )

    def _sum_over_data(
        self,
        name: str,
        what: str,
        tensors: Mapping[str, Tensor],
        consumer: Callable[[Batch], Consumer],
    ) -> None:
        """Fill tensors, which are zeros, with sums over the data; the leader has them."""
        every = list(
            batches(range(len(self.task)), self.task.length, lambda: self.cutting.batch_positions)
        )
        n_parts = self.cutting.data_parts
        begin = self.checkpoints.restore(name, tensors)
        done = sum(len(rows) for part in range(begin) for rows in every[part::n_parts])
        for part in range(begin, n_parts):
            with self.workers.together():
                for rows in self.workers.share(every[part::n_parts]):
                    self.progress(what, done, len(self.task))
                    batch = self.task.batch(rows, self.device)
                    backward(
                        self.model,
                        self.modules,
                        self.task,
                        batch,
                        self._gradient(batch),
                        consumer(batch),
                    )
                    done += len(rows)
            self.workers.to_leader(tensors.values())
            self.checkpoints.keep(name, tensors, part + 1)
        self.progress(what, len(self.task), len(self.task))

    def _gradient(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        if self.settings.fisher is Fisher.EMPIRICAL:
            return lambda outputs: self.task.gradient(outputs, batch)
        return lambda outputs: self.task.sampled_gradient(outputs, batch, self.settings.seed)


def _named(groups: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of several layers under names that tell them apart."""
    return {f"{number}:{key}": t for number, group in enumerate(groups) for key, t in group.items()}


def _real(values: Tensor, batch: Batch) -> Tensor:
    """Positions that are not padding, shape (n, features)."""
    return values.flatten(0, 1) if batch.real is None else values[batch.real]
