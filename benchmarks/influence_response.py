"""Influence against the proximal Bregman response function (Bae et al. 2022, arXiv 2209.05364).

The objective that influence linearises: stay near the trained model's outputs on the training data (in
Bregman divergence) and near its weights (in squared distance, times the damping), while one example's loss
gets the weight 1/N more. It is solved here for one training example after the other; what it does to the
queries' log-probability is the response. The divergence of squared error is half the squared difference of
outputs; that of cross-entropy is KL(trained || new).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import statsmodels.datasets
import torch
from bookplate.provenance.influence.curvature import (
    Factors,
    FactorSettings,
    Precision,
    Strategy,
    fit_factors,
)
from bookplate.provenance.influence.modules import tracked_modules
from bookplate.provenance.influence.scores import influence_scores
from bookplate.provenance.influence.sequences import TokenSequence
from bookplate.provenance.influence.tasks import RegressionTask, Task, TokenTask
from influence_methods import interval
from influence_models import LIBRARIES, trained
from influence_retraining import HELD_OUT, TUNING, Retraining
from numpy.typing import NDArray
from timing import table
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["responses"]

_Floats = NDArray[np.float64]
DAMPING = 0.1
ROWS, ROW_QUERIES, ROW_POINTS = 1_000, 20, 60  # of the regressor: N, queries, points of more weight
WIDTH, STEPS = 16, 500
SEQUENCES, POINTS = 64, 10  # of the language model
AT_ONCE = 32  # sequences
ITERATIONS = 150
CLOSE = 1e-4  # of the gradient at the start, that is left at the end


@dataclass(frozen=True)
class Case:
    """A trained model in float64, its data, and its losses as plain functions.

    Attributes:
        name: What tables call it.
        model: The model; only the weights of the layers named are moved.
        patterns: Names of these layers.
        data: What it was trained on, N examples.
        queries: What is asked about.
        losses: Loss of each example of a task under the model, summed over its outputs; shape (examples,).
        divergence: Mean over the training data of the Bregman divergence from the trained model, in parts
            that add up.
        points: Which training examples get more weight.
    """

    name: str
    model: nn.Module
    patterns: tuple[str, ...]
    data: Task
    queries: Task
    losses: Callable[[Task, Sequence[int]], Tensor]
    divergence: Callable[[], Iterator[Tensor]]
    points: Sequence[int]

    def factors(self, strategy: Strategy) -> Factors:
        """Curvature."""
        settings = FactorSettings(
            strategy=strategy,
            modules=self.patterns,
            product_precision=Precision.FLOAT64,
            sum_precision=Precision.FLOAT64,
            kept_precision=Precision.FLOAT64,
        )
        return fit_factors(self.model, self.data, settings=settings)

    def influence(self, strategy: Strategy) -> _Floats:
        """Scores of the points, shape (queries, points)."""
        factors = self.factors(strategy)
        scores = influence_scores(
            self.model, factors, self.queries, self.data, precision=Precision.FLOAT64
        )
        return scores.pairwise[:, self.points]

    @cached_property
    def damping(self) -> list[tuple[nn.Parameter, float]]:
        """Each weight that moves, with the damping of its layer by EK-FAC's mean eigenvalue."""
        layers = self.factors(Strategy.EKFAC).layers
        found = []
        for tracked in tracked_modules(self.model, self.patterns):
            values = layers[tracked.name].eigenvalues
            assert values is not None
            found += [(p, DAMPING * float(values.mean())) for p in tracked.module.parameters()]
        return found

    def measured(self) -> tuple[_Floats, float]:
        """Responses, shape (queries, points), and the largest share of the first gradient that is left."""
        every = range(len(self.queries))
        with torch.no_grad():
            before = -self.losses(self.queries, every)
        responses, left = [], 0.0
        for point in self.points:
            with _Moving(self.model, [p for p, _ in self.damping]) as start:
                left = max(left, self._solve(point, start))
                with torch.no_grad():
                    responses.append((-self.losses(self.queries, every) - before).numpy())
        return np.stack(responses, 1), left

    def _solve(self, point: int, start: Sequence[Tensor]) -> float:
        """Minimise the proximal Bregman objective; returns the share of the first gradient that is left."""
        weights = [p for p, _ in self.damping]
        norms: list[float] = []
        # L-BFGS stops at absolute sizes, and steps by the gradient's: all is scaled to a gradient of 1.
        scale = 1.0

        def closure() -> float:
            for weight in weights:
                weight.grad = None
            distance = [
                0.5 * lam * (weight - before).square().sum()
                for (weight, lam), before in zip(self.damping, start, strict=True)
            ]
            total = torch.stack(distance).sum() + self.losses(self.data, [point])[0] / len(
                self.data
            )
            (scale * total).backward()
            value = float(total.detach())
            for part in self.divergence():
                (scale * part).backward()
                value += float(part.detach())
            norms.append(float(torch.cat([w.grad.flatten() for w in weights]).norm()))
            return scale * value

        closure()
        scale = 1 / norms.pop()
        torch.optim.LBFGS(
            weights,
            max_iter=ITERATIONS,
            history_size=30,
            tolerance_grad=CLOSE / 10,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        ).step(closure)
        return min(norms)


class _Moving:
    """Lets some weights move, all others being frozen, and puts them back."""

    def __init__(self, model: nn.Module, weights: Sequence[nn.Parameter]) -> None:
        self._model, self._weights = model, weights
        self._start = [weight.detach().clone() for weight in weights]

    def __enter__(self) -> list[Tensor]:
        self._model.requires_grad_(False)
        for weight in self._weights:
            weight.requires_grad_(True)
        return self._start

    def __exit__(self, *error: object) -> None:
        with torch.no_grad():
            for weight, start in zip(self._weights, self._start, strict=True):
                weight.copy_(start)
                weight.grad = None


def regressor() -> Case:
    """A network of two hidden layers on visits to doctors (statsmodels' randhie)."""
    loaded = statsmodels.datasets.randhie.load_pandas()
    x, y = loaded.exog.to_numpy(float), np.log1p(loaded.endog.to_numpy(float))[:, None]
    order = np.random.default_rng(0).permutation(len(x))[: ROWS + ROW_QUERIES]
    x, y = (torch.from_numpy((v - v.mean(0)) / v.std(0))[order] for v in (x, y))
    data, queries = RegressionTask(x[:ROWS], y[:ROWS]), RegressionTask(x[ROWS:], y[ROWS:])
    torch.manual_seed(0)
    widths = (x.shape[1], WIDTH, WIDTH, 1)
    linear = [nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths)]
    model = nn.Sequential(linear[0], nn.Tanh(), linear[1], nn.Tanh(), linear[2]).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        functional.mse_loss(model(data.inputs), data.targets).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = model(data.inputs)

    def losses(task: RegressionTask, rows: Sequence[int]) -> Tensor:
        some = list(rows)
        return 0.5 * (model(task.inputs[some]) - task.targets[some]).square().sum(1)

    def divergence() -> Iterator[Tensor]:
        yield 0.5 * (model(data.inputs) - outputs).square().sum() / ROWS

    return Case("regressor", model, ("*",), data, queries, losses, divergence, range(ROW_POINTS))


def exact(case: Case, *, by_layer: bool) -> _Floats:
    """Influence of the points by the Gauss-Newton matrix itself, or by its blocks of each layer."""
    layers = [tracked.module for tracked in tracked_modules(case.model, case.patterns)]
    case.model.requires_grad_(True)
    weights = [list(layer.parameters()) for layer in layers] if by_layer else None
    lam = {id(weight): damping for weight, damping in case.damping}
    total = np.zeros((len(case.queries), len(case.points)))
    for group in weights or [[weight for weight, _ in case.damping]]:
        of_data, of_queries = (_jacobian(case.model, t, group) for t in (case.data, case.queries))
        damping = torch.cat([torch.full_like(w, lam[id(w)]).flatten() for w in group])
        curvature = of_data.T @ of_data / len(of_data) + torch.diag(damping)
        asked, given = (
            (case.model(task.inputs).detach() - task.targets) * jacobian
            for task, jacobian in ((case.queries, of_queries), (case.data, of_data))
        )
        solved = torch.linalg.solve(curvature, given[list(case.points)].T)
        total += (asked @ solved / len(of_data)).numpy()
    return total


def _jacobian(model: nn.Module, task: RegressionTask, weights: Sequence[nn.Parameter]) -> Tensor:
    """Gradient of each output in some weights, shape (examples, weights)."""
    outputs = model(task.inputs).flatten()
    gradients = [torch.autograd.grad(output, weights, retain_graph=True) for output in outputs]
    return torch.stack([torch.cat([g.flatten() for g in each]) for each in gradients])


def language_model(lab: Retraining) -> Case:
    """The base, trained on some of the documents; MLP layers. The first points have near duplicates."""
    documents = lab.documents[:SEQUENCES]
    model = trained(lab.base, [d.tokens for d in documents], TUNING, seed=0).double()
    data = TokenTask(documents)
    queries = TokenTask([*lab.queries[:HELD_OUT:2], *lab.queries[HELD_OUT:]])
    with torch.no_grad():
        logits = [model(input_ids=ids[:, :-1]).logits for ids in _batches(documents)]
    known = [(z.softmax(-1), z.logsumexp(-1).sum() - (z.softmax(-1) * z).sum()) for z in logits]

    def losses(task: TokenTask, rows: Sequence[int]) -> Tensor:
        sequences = [task.sequences[row] for row in rows]
        tokens = torch.tensor([s.tokens for s in sequences])
        first = torch.tensor([[s.first_scored] for s in sequences])
        logits = model(input_ids=tokens[:, :-1]).logits
        each = functional.cross_entropy(logits.mT, tokens[:, 1:], reduction="none")
        return (each * (torch.arange(1, tokens.shape[1]) >= first)).sum(1)

    def divergence() -> Iterator[Tensor]:
        for ids, (p, entropy) in zip(_batches(documents), known, strict=True):
            now = model(input_ids=ids[:, :-1]).logits
            yield (now.logsumexp(-1).sum() - (p * now).sum() - entropy) / len(documents)

    return Case(
        "language model", model, ("*.mlp.*",), data, queries, losses, divergence, range(POINTS)
    )


def _batches(documents: Sequence[TokenSequence]) -> Iterator[Tensor]:
    yield from torch.tensor([d.tokens for d in documents]).split(AT_ONCE)


def compared(predicted: _Floats, measured: _Floats, *, no_unit: bool) -> list[str]:
    """Correlation over points, averaged over queries; over all pairs; and the slope through 0."""
    by_query = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted, measured, strict=True)]
    pooled = np.corrcoef(predicted.ravel(), measured.ravel())[0, 1]
    slope = (predicted * measured).sum() / (predicted**2).sum()
    return [interval(np.array(by_query)), f"{pooled:.3f}", "-" if no_unit else f"{slope:.2f}"]


def responses(lab: Retraining) -> None:
    """Table of correlations with the response, over training examples and averaged over queries."""
    rows = []
    for case in (regressor(), language_model(lab)):
        measured, left = case.measured()
        about = [case.name, f"{measured.shape[1]} x {measured.shape[0]}", f"{left:.0e}"]
        predictions = {s.value: case.influence(s) for s in reversed(Strategy)}
        if case.name == "regressor":
            predictions["Gauss-Newton itself, by layer"] = exact(case, by_layer=True)
            predictions["Gauss-Newton itself"] = exact(case, by_layer=False)
        rows += [
            [*about, method, *compared(predicted, measured, no_unit=method == Strategy.IDENTITY)]
            for method, predicted in predictions.items()
        ]
    heading = ["model", "points x queries", "gradient left", "method", "Pearson by query", "pooled"]
    heading.append("response / influence")
    table("Influence against the proximal Bregman response", heading, rows, LIBRARIES)
