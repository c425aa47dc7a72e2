"""Influence of candidates on queries: one pass over the candidates for all queries at once.

The influence of a training sequence z on a query's log-probability f is, to first order in its weight
(Grosse et al., arXiv 2308.03296, equations 3 to 5 and 12),

    (1 / N) grad L_query^T (G + lambda I)^-1 grad L_z

where L is the summed loss in nats, f = -L_query, G the Gauss-Newton matrix of the mean loss of a sequence,
and 1 / N the weight of one sequence in the training objective, the mean of N of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import InvalidInput
from ..suspect.local.batching import batches
from .capture import Consumer, at_rest, backward, refuse_mixing
from .curvature.factors import Damping, Factors, LayerFactors
from .curvature.fitting import Progress
from .curvature.moments import example_gradients
from .curvature.settings import Precision
from .directions import Directions, ThinDirections, WholeDirections, truncated
from .heads import ending_at_head, task_of
from .modules import TrackedModule
from .results import InfluenceScores
from .sequences import TokenSequence
from .tasks import Batch, Task
from .workers import Workers

__all__ = ["Queries", "Wanted", "influence_scores"]

_Curvature = tuple[LayerFactors, Tensor | None]  # bases, and damped eigenvalues in them


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is computed beside the score of each pair.

    Attributes:
        by_token: The part of each token.
        by_module: The part of each layer.
        self_influence: The candidates' influence on themselves.
    """

    by_token: bool = False
    by_module: bool = False
    self_influence: bool = False


def influence_scores(
    model: nn.Module,
    factors: Factors,
    queries: Task | Sequence[TokenSequence],
    candidates: Task | Sequence[TokenSequence],
    *,
    damping: Damping | None = None,
    query_rank: int | None = None,
    wanted: Wanted | None = None,
    training_size: int | None = None,
    precision: Precision = Precision.FLOAT32,
    batch_positions: int = 4096,
    progress: Progress = lambda what, done, total: None,
) -> InfluenceScores:
    """Score every candidate against every query.

    Args:
        model: The model that the factors were fitted on.
        factors: Its curvature.
        queries: Prompts with completions; the loss of the completion is what counts (`first_scored`).
        candidates: Training sequences.
        damping: What is added to the curvature.
        query_rank: Rank that the queries' preconditioned gradients are cut down to (32 in Grosse et al.,
            section 3.2.2); None keeps them whole.
        wanted: What else is computed.
        training_size: N, the sequences that the model was trained on; by default as many as the factors were
            fitted on.
        precision: Of products of activations and gradients.
        batch_positions: Positions that a batch may be padded to.
        progress: Told how far it is.

    Returns:
        The scores; under torchrun the same on every process.

    Raises:
        InvalidInput: If the factors are of another model, there are no queries or no candidates, one of them
            is longer than the model's context, or a number is not finite.
    """
    asked = Queries.prepare(
        model,
        factors,
        queries,
        damping=damping,
        rank=query_rank,
        training_size=training_size,
        precision=precision,
        batch_positions=batch_positions,
        progress=progress,
    )
    return asked.scores(
        candidates, wanted=wanted, batch_positions=batch_positions, progress=progress
    )


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries whose gradients are taken and preconditioned, ready to meet any number of candidates.

    Attributes:
        model: The model.
        modules: Its layers.
        names: Ids of the queries.
        directions: For each layer what is multiplied with candidates' gradients.
        factors: Curvature, which candidates meet again only in their influence on themselves: until then
            what lies on disk may stay there.
        damping: What is added to it.
        training_size: N.
        precision: Of the products.
    """

    model: nn.Module
    modules: Sequence[TrackedModule]
    names: tuple[str, ...]
    directions: Sequence[Directions]
    factors: Factors
    damping: Damping
    training_size: int
    precision: Precision

    @classmethod
    def prepare(
        cls,
        model: nn.Module,
        factors: Factors,
        queries: Task | Sequence[TokenSequence],
        *,
        damping: Damping | None = None,
        rank: int | None = None,
        training_size: int | None = None,
        precision: Precision = Precision.FLOAT32,
        batch_positions: int = 4096,
        progress: Progress = lambda what, done, total: None,
    ) -> "Queries":
        """Take the queries' gradients; see `influence_scores` for the arguments and errors."""
        damping = Damping() if damping is None else damping
        size = factors.data.n_examples if training_size is None else training_size
        if size < 1 or (rank is not None and rank < 1):
            raise InvalidInput(
                f"expected a training size and a rank of at least 1, got {size} and {rank}"
            )
        with Workers.here().together():
            task = task_of(queries, model, "query")
            modules = factors.modules_of(model)
            task = ending_at_head(task, model, modules)
            device, dtype = next(model.parameters()).device, precision.torch
            curvature = _curvature(modules, factors, damping, device, dtype)
            gathering = _Gathering(modules, curvature, rank)
            with at_rest(model):
                refuse_mixing(model, modules, task)
                for rows in batches(range(len(task)), task.length, lambda: batch_positions):
                    progress("queries", gathering.done, len(task))
                    batch = task.batch(rows, device)
                    backward(
                        model,
                        modules,
                        task,
                        batch,
                        partial(task.gradient, batch=batch),
                        gathering.consumer(batch, dtype),
                    )
                    gathering.done += len(rows)
        progress("queries", len(task), len(task))
        return cls(
            model,
            modules,
            _names(task),
            gathering.directions(),
            factors,
            damping,
            size,
            precision,
        )

    def scores(
        self,
        candidates: Task | Sequence[TokenSequence],
        *,
        wanted: Wanted | None = None,
        batch_positions: int = 4096,
        progress: Progress = lambda what, done, total: None,
    ) -> InfluenceScores:
        """Score candidates; see `influence_scores` for the arguments and errors."""
        wanted = Wanted() if wanted is None else wanted
        workers, device = Workers.here(), next(self.model.parameters()).device
        with workers.together():
            task = task_of(candidates, self.model, "candidate")
            task = ending_at_head(task, self.model, self.modules)
        sums = _Sums(self, task, wanted)
        every = list(batches(range(len(task)), task.length, lambda: batch_positions))
        done = 0
        with workers.together(), at_rest(self.model):
            for rows in workers.share(every):
                progress("candidates", done, len(task))
                batch = task.batch(rows, device)
                backward(
                    self.model,
                    self.modules,
                    task,
                    batch,
                    partial(task.gradient, batch=batch),
                    sums.consumer(batch),
                )
                sums.close(batch)
                done += len(rows)
        progress("candidates", len(task), len(task))
        return sums.result(workers)


def _curvature(
    modules: Sequence[TrackedModule],
    factors: Factors,
    damping: Damping,
    device: torch.device,
    dtype: torch.dtype,
) -> list[_Curvature]:
    """For each layer its bases, and its damped eigenvalues."""
    found = []
    for tracked in modules:
        layer = factors.layers[tracked.name]
        values = layer.damped(damping, tracked.name)
        bases = LayerFactors(layer.bases, None).to(device, dtype)
        found.append((bases, None if values is None else values.to(device, dtype)))
    return found


def _names(task: Task) -> tuple[str, ...]:
    sequences = getattr(task, "sequences", None)
    if sequences is None:
        return tuple(str(row) for row in range(len(task)))
    return tuple(sequence.id for sequence in sequences)


class _Gathering:
    """Preconditioned gradients of queries, layer by layer."""

    def __init__(
        self,
        modules: Sequence[TrackedModule],
        curvature: Sequence[_Curvature],
        rank: int | None,
    ) -> None:
        self._modules, self._curvature, self._rank = modules, curvature, rank
        self._found: list[dict[int, tuple[Tensor, ...]]] = [{} for _ in modules]
        self.done = 0

    def consumer(self, batch: Batch, dtype: torch.dtype) -> Consumer:
        def consume(number: int, inputs: Tensor, gradients: Tensor) -> None:
            layer, damped = self._curvature[number]
            bias = self._modules[number].has_bias
            for some, found in example_gradients(
                inputs.to(dtype), gradients.to(dtype), layer.bases, bias=bias
            ):
                solved = layer.turned_back(found if damped is None else found / damped)
                for row, matrix in zip(batch.rows[some], solved, strict=True):
                    self._found[number][row] = self._kept(matrix)

        return consume

    def _kept(self, matrix: Tensor) -> tuple[Tensor, ...]:
        if self._rank is None:
            return (matrix.clone(),)
        wide = matrix if matrix.dtype == torch.float64 else matrix.float()
        left, right = truncated(wide, self._rank)
        return left.to(matrix.dtype), right.to(matrix.dtype)

    def directions(self) -> list[Directions]:
        """For each layer the matrices of all queries."""
        result: list[Directions] = []
        for tracked, found in zip(self._modules, self._found, strict=True):
            by_query = [found.pop(row) for row in sorted(found)]
            parts = [torch.stack(tensors) for tensors in zip(*by_query, strict=True)]
            if self._rank is None:
                result.append(WholeDirections(parts[0], tracked.has_bias))
            else:
                result.append(ThinDirections(parts[0], parts[1], tracked.has_bias))
        return result


class _Sums:
    """Scores of candidates, filled batch by batch and layer by layer."""

    def __init__(self, queries: Queries, task: Task, wanted: Wanted) -> None:
        self._queries, self._task, self._wanted = queries, task, wanted
        n_queries, n = len(queries.names), len(task)
        n_modules = len(queries.modules)
        self._pairwise = np.zeros((n_queries, n))
        self._by_module = (
            np.zeros((n_queries, n, n_modules), np.float32) if wanted.by_module else None
        )
        self._self = np.zeros(n) if wanted.self_influence else None
        device = next(queries.model.parameters()).device
        self._curvature = (
            _curvature(
                queries.modules, queries.factors, queries.damping, device, queries.precision.torch
            )
            if wanted.self_influence
            else []
        )
        self._by_token: dict[int, NDArray[np.float32]] = {}
        self._positions: Tensor | None = None

    def consumer(self, batch: Batch) -> Consumer:
        rows, dtype = list(batch.rows), self._queries.precision.torch

        def consume(number: int, inputs: Tensor, gradients: Tensor) -> None:
            inputs, gradients = inputs.to(dtype), gradients.to(dtype)
            directions = self._queries.directions[number]
            if self._wanted.by_token:
                by_position = directions.products_by_position(inputs, gradients).float()
                self._positions = (
                    by_position if self._positions is None else self._positions + by_position
                )
                found = by_position.sum(2)
            else:
                found = directions.products(inputs, gradients)
            values = found.double().cpu().numpy()
            self._pairwise[:, rows] += values
            if self._by_module is not None:
                self._by_module[:, rows, number] = values
            if self._self is not None:
                self._self[rows] += self._own(number, inputs, gradients)

        return consume

    def _own(self, number: int, inputs: Tensor, gradients: Tensor) -> NDArray[np.float64]:
        """Influence of examples on themselves in one layer, shape (B,)."""
        layer, damped = self._curvature[number]
        bias = self._queries.modules[number].has_bias
        result = gradients.new_empty(len(gradients))
        for some, found in example_gradients(inputs, gradients, layer.bases, bias=bias):
            squares = found.square()
            result[some] = (squares if damped is None else squares / damped).flatten(1).sum(1)
        return result.double().cpu().numpy()

    def close(self, batch: Batch) -> None:
        """Take what belongs to a batch as a whole; refuse numbers that are not finite."""
        bad = ~np.isfinite(self._pairwise[:, list(batch.rows)]).all(0)
        if bad.any():
            raise InvalidInput(
                f"{self._task.name(batch.rows[int(np.flatnonzero(bad)[0])])}: its scores are not finite (NaN "
                "or infinite)",
                "use another precision (bfloat16 or float32)",
            )
        if self._positions is None:
            return
        values = self._scaled(self._positions.cpu().numpy())
        for line, row in enumerate(batch.rows):
            self._by_token[row] = _of_tokens(values[:, line], self._task.length(row))
        self._positions = None

    def result(self, workers: Workers) -> InfluenceScores:
        """The scores of all candidates, those of other processes included."""
        every = workers.gather((self._pairwise, self._by_module, self._self, self._by_token))
        pairwise, by_module, own, by_token = zip(*every, strict=True)
        tokens = {row: found for part in by_token for row, found in part.items()}
        modules = _sum(by_module)
        return InfluenceScores(
            queries=self._queries.names,
            candidates=_names(self._task),
            pairwise=self._scaled(np.sum(pairwise, axis=0)),
            training_size=self._queries.training_size,
            modules=tuple(tracked.name for tracked in self._queries.modules),
            by_module=None if modules is None else self._scaled(modules).astype(np.float32),
            by_token=tuple(tokens[row] for row in sorted(tokens)) if tokens else None,
            self_influence=None if (found := _sum(own)) is None else self._scaled(found),
        )

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        return values / self._queries.training_size


def _sum(parts: Iterable[NDArray[Any] | None]) -> NDArray[Any] | None:
    held = [part for part in parts if part is not None]
    return np.sum(held, axis=0) if held else None


def _of_tokens(values: NDArray[Any], length: int) -> NDArray[np.float32]:
    """Parts by position as parts by token, shape (Q, length + 1): the last token is read by nobody."""
    return np.pad(values[:, :length], ((0, 0), (0, 1))).astype(np.float32)
