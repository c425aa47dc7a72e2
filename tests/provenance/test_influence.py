"""Curvature and influence scores, held against dense linear algebra and loops over autograd."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.files import unfinished_path
from bookplate.provenance.influence import (
    ClassificationTask,
    Cutting,
    Damping,
    Factors,
    FactorSettings,
    Fisher,
    Precision,
    RegressionTask,
    Strategy,
    TokenSequence,
    TokenTask,
    Wanted,
    fit_factors,
    influence_scores,
    tracked_modules,
    windows,
)
from bookplate.provenance.influence.capture import at_rest, backward
from bookplate.provenance.influence.curvature.covariances import Covariance
from bookplate.provenance.influence.curvature.moments import example_gradients
from bookplate.provenance.influence.directions import ThinDirections, WholeDirections, truncated
from bookplate.provenance.influence.heads import ending_at_head, plain_head
from bookplate.provenance.influence.tasks import Batch, _inverse_cdf
from scipy import stats
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from influence_models import gpt_neox, scores_with, some_sequences

EVERYTHING = Wanted(by_token=True, by_module=True, self_influence=True)

pytestmark = pytest.mark.usefixtures("one_thread")


MLP_NAMES = (".mlp.", ".fc1.", ".fc2.")


def matrices_of(model):
    """Slow twin of the tracked layers: weight and bias of every MLP layer, oriented (n_out, n_in)."""
    parameters = dict(model.named_parameters())
    names = [
        n.removesuffix(".weight")
        for n in parameters
        if any(part in n for part in MLP_NAMES) and "weight" in n
    ]
    return {n: (parameters[f"{n}.weight"], parameters[f"{n}.bias"]) for n in names}


def gradients_by_autograd(model, sequence):
    """Gradient of the summed loss in every MLP layer, (n_out, n_in + 1), by plain autograd."""
    model.zero_grad()
    tokens = torch.tensor([sequence.tokens])
    logprobs = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
    losses = -logprobs[torch.arange(tokens.shape[1] - 1), tokens[0, 1:]]
    losses[sequence.first_scored - 1 :].sum().backward()
    found = {}
    for name, (weight, bias) in matrices_of(model).items():
        turned = (
            weight.grad.T
            if isinstance(model.get_submodule(name), nn.Module)
            and (type(model.get_submodule(name)).__name__ == "Conv1D")
            else weight.grad
        )
        found[name] = torch.cat([turned, bias.grad[:, None]], 1).double()
    model.zero_grad(set_to_none=True)
    return found


def covariances_by_loop(model, sequences):
    """Slow twin of A and S of the first MLP layer, one sequence at a time, empirical Fisher."""
    name = next(iter(matrices_of(model)))
    layer = model.get_submodule(name)
    inputs, outputs = [], []
    keep = [
        layer.register_forward_hook(
            lambda m, args, out: (
                (inputs.append(args[0].detach()), out.retain_grad(), outputs.append(out))[0]
                and None
            )
        )
    ]
    a, s, n = 0, 0, 0
    for sequence in sequences:
        inputs.clear(), outputs.clear()
        tokens = torch.tensor([sequence.tokens])
        logits = model(input_ids=tokens[:, :-1]).logits[0].log_softmax(-1)
        (-logits[torch.arange(tokens.shape[1] - 1), tokens[0, 1:]].sum()).backward()
        rows = torch.cat(
            [inputs[0].view(tokens.shape[1] - 1, -1), torch.ones(tokens.shape[1] - 1, 1)], 1
        ).double()
        gradients = outputs[0].grad.view(len(rows), -1).double()
        a, s, n = a + rows.T @ rows, s + gradients.T @ gradients, n + len(rows)
    for handle in keep:
        handle.remove()
    model.zero_grad(set_to_none=True)
    return name, a / n, s / n


def dense_scores(model, factors, queries, candidates, damping):
    """Slow twin of scores: eigenvalues by autograd in the factors' own bases, dense throughout."""
    wanted = [gradients_by_autograd(model, q) for q in queries]
    found = [gradients_by_autograd(model, c) for c in candidates]
    total = np.zeros((len(queries), len(candidates)))
    for name, layer in factors.layers.items():
        values = layer.eigenvalues
        values = torch.ones_like(found[0][name]) if values is None else values.double()
        extra = 0 if layer.eigenvalues is None else damping * values.mean()
        for q, c in itertools.product(range(len(queries)), range(len(candidates))):
            left, right = turned(layer, wanted[q][name]), turned(layer, found[c][name])
            total[q, c] += float((left * right / (values + extra)).sum())
    return total / factors.data.n_examples


def turned(layer, gradient):
    if layer.bases is None:
        return gradient
    inputs, outputs = (torch.block_diag(*basis.blocks).double() for basis in layer.bases)
    return outputs.T @ gradient @ inputs


@pytest.mark.parametrize("strategy", list(Strategy))
def test_scores_equal_loops_over_autograd(model, strategy):
    data, queries = some_sequences(12), some_sequences(3, 1, first_scored=4, prefix="q")
    settings = FactorSettings(strategy=strategy, fisher=Fisher.EMPIRICAL)
    factors = fit_factors(model, data, settings=settings)
    found = influence_scores(model, factors, queries, data[:6], damping=Damping(factor=0.3))
    expected = dense_scores(model, factors, queries, data[:6], 0.3)
    assert found.pairwise == pytest.approx(expected, rel=2e-4, abs=2e-6 * np.abs(expected).max())
    assert found.queries == ("q0", "q1", "q2")
    assert found.candidates == tuple(f"d{i}" for i in range(6))


def test_covariances_equal_loops_over_autograd(model):
    data = some_sequences(9)
    factors = fit_factors(model, data, settings=FactorSettings(fisher=Fisher.EMPIRICAL))
    name, a, s = covariances_by_loop(model, data)
    for basis, expected in zip(factors.layers[name].bases, (a, s), strict=True):
        q = basis.blocks[0].double()
        assert (q @ torch.diag(basis.eigenvalues) @ q.T).numpy() == pytest.approx(
            expected.numpy(), abs=1e-5 * float(expected.abs().max())
        )
        assert (q.T @ q).numpy() == pytest.approx(np.eye(len(q)), abs=1e-6)


def test_second_moments_equal_loops_over_autograd(model):
    data = some_sequences(9)
    for strategy in (Strategy.DIAGONAL, Strategy.EKFAC):
        settings = FactorSettings(strategy=strategy, fisher=Fisher.EMPIRICAL)
        factors = fit_factors(model, data, settings=settings)
        every = [gradients_by_autograd(model, sequence) for sequence in data]
        for name, layer in factors.layers.items():
            squares = [turned(layer, gradients[name]).square() for gradients in every]
            expected = torch.stack(squares).mean(0).numpy()
            assert layer.eigenvalues.numpy() == pytest.approx(
                expected, rel=1e-3, abs=1e-5 * expected.max()
            )
            # No basis changes the trace: the mean squared norm of the gradients.
            norms = [gradients[name].square().sum() for gradients in every]
            assert float(layer.eigenvalues.sum()) == pytest.approx(float(np.mean(norms)), rel=1e-4)


class Crossed(RegressionTask):
    """Independent tokens: every combination of inputs and residuals at two positions."""

    def __init__(self, inputs, residuals):
        choices = list(itertools.product(range(len(inputs)), range(len(residuals))))
        pairs = list(itertools.product(choices, choices))
        x = torch.stack([torch.stack([inputs[i], inputs[j]]) for (i, _), (j, _) in pairs])
        self.residuals = torch.stack([
            torch.stack([residuals[r], residuals[s]]) for (_, r), (_, s) in pairs
        ])
        super().__init__(x, self.residuals)

    def length(self, row):
        return 2

    def gradient(self, outputs, batch):
        return self.residuals[list(batch.rows)]


@pytest.mark.parametrize("strategy", [Strategy.KFAC, Strategy.EKFAC])
@pytest.mark.parametrize("bias", [True, False])
def test_one_layer_with_independent_tokens_gives_the_exact_inverse(strategy, bias):
    torch.manual_seed(3)
    inputs = torch.randn(5, 3, dtype=torch.float64)
    residuals = torch.randn(4, 2, dtype=torch.float64)
    residuals -= residuals.mean(0)  # of mean zero, as gradients of sampled targets are
    layer = nn.Linear(3, 2, bias=bias).double()
    task = Crossed(inputs, residuals)
    settings = FactorSettings(
        strategy=strategy,
        fisher=Fisher.EMPIRICAL,
        modules=("*",),
        product_precision=Precision.FLOAT64,
        sum_precision=Precision.FLOAT64,
        kept_precision=Precision.FLOAT64,
    )
    # A Linear at the top has an empty name, which "*" matches.
    factors = fit_factors(layer, task, settings=settings)
    lam = 0.07
    found = influence_scores(
        layer,
        factors,
        task,
        task,
        damping=Damping(absolute=lam),
        precision=Precision.FLOAT64,
        wanted=Wanted(self_influence=True),
    )
    ones = torch.ones(*task.inputs.shape[:2], bias, dtype=torch.float64)
    rows = torch.cat([task.inputs, ones], 2)
    gradients = torch.einsum("nto,nti->noi", task.residuals, rows).flatten(1)
    dense = gradients.T @ gradients / len(task) + lam * torch.eye(
        gradients.shape[1], dtype=torch.float64
    )
    expected = gradients @ torch.linalg.solve(dense, gradients.T) / len(task)
    assert found.pairwise == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-11)
    assert found.self_influence == pytest.approx(expected.diagonal().numpy(), rel=1e-9)


def test_a_score_is_the_change_in_nats_when_a_row_counts_twice():
    """Least squares, refitted with one row twice: prediction and truth agree in sign, size and unit."""
    torch.manual_seed(0)
    n, d = 800, 4
    x = torch.randn(n, d, dtype=torch.float64)
    y = x @ torch.randn(d, 1, dtype=torch.float64) + torch.randn(n, 1, dtype=torch.float64)
    weights = torch.linalg.lstsq(x, y).solution
    layer = nn.Linear(d, 1, bias=False).double()
    layer.weight.data = weights.T.clone()
    settings = FactorSettings(modules=("*",), sum_precision=Precision.FLOAT64)
    factors = fit_factors(layer, RegressionTask(x, y), settings=settings)
    queries = RegressionTask(torch.randn(5, d).double(), torch.randn(5, 1).double())
    found = influence_scores(
        layer, factors, queries, RegressionTask(x[:40], y[:40]), damping=Damping(absolute=1e-9)
    )
    truth = np.zeros((5, 40))
    before = -0.5 * (queries.inputs @ weights - queries.targets).square().sum(1)
    for row in range(40):
        twice = torch.linalg.lstsq(
            torch.cat([x, x[row : row + 1]]), torch.cat([y, y[row : row + 1]])
        )
        after = -0.5 * (queries.inputs @ twice.solution - queries.targets).square().sum(1)
        truth[:, row] = (after - before).numpy()
    slope, _, r, *_ = stats.linregress(truth.ravel(), found.pairwise.ravel())
    assert r > 0.999
    assert slope == pytest.approx(1, abs=0.1)  # targets are drawn: S is 1 to within sqrt(2 / 800)


def test_batches_padding_and_parts_change_nothing(model):
    data = some_sequences(20)
    whole = fit_factors(model, data)
    reference = scores_with(model, whole, wanted=EVERYTHING)
    scale = np.abs(reference.pairwise).max()
    for cutting in (
        Cutting(batch_positions=1),
        Cutting(batch_positions=40, data_parts=3),
        Cutting(module_parts=4),
        Cutting(batch_positions=100, data_parts=30, module_parts=99),
    ):
        factors = fit_factors(model, data, cutting=cutting)
        found = scores_with(
            model, factors, wanted=EVERYTHING, batch_positions=cutting.batch_positions
        )
        assert found.pairwise == pytest.approx(reference.pairwise, abs=1e-4 * scale)
        assert found.self_influence == pytest.approx(reference.self_influence, rel=1e-3)
        for mine, its in zip(found.by_token, reference.by_token, strict=True):
            assert mine == pytest.approx(its, abs=1e-4 * scale)


def test_parts_sum_to_the_whole(model):
    found = scores_with(model, fit_factors(model, some_sequences(20)), wanted=EVERYTHING)
    close = {"abs": 1e-5 * np.abs(found.pairwise).max()}
    assert found.by_module.sum(2) == pytest.approx(found.pairwise, **close)
    by_token = np.stack([tokens.sum(1) for tokens in found.by_token], 1)
    assert by_token == pytest.approx(found.pairwise, **close)
    lengths = [len(s.tokens) for s in some_sequences(14, 2)]
    assert [tokens.shape for tokens in found.by_token] == [(3, n) for n in lengths]
    assert all((tokens[:, -1] == 0).all() for tokens in found.by_token)


def test_a_sequences_influence_on_itself_is_its_self_influence(model):
    factors, some = fit_factors(model, some_sequences(20)), some_sequences(6, 2)
    found = influence_scores(model, factors, some, some, wanted=EVERYTHING)
    assert found.pairwise.diagonal() == pytest.approx(found.self_influence, rel=1e-4)
    assert found.pairwise == pytest.approx(found.pairwise.T, rel=1e-3, abs=1e-6)


def test_training_size_sets_the_unit(model):
    factors = fit_factors(model, some_sequences(20))
    one, other = (scores_with(model, factors, training_size=n) for n in (20, 2000))
    assert one.pairwise == pytest.approx(100 * other.pairwise)
    assert other.training_size == 2000
    assert scores_with(model, factors).training_size == 20


def test_full_rank_changes_nothing_and_low_rank_little(model):
    factors = fit_factors(model, some_sequences(20))
    whole = scores_with(model, factors, wanted=EVERYTHING)
    for rank, least in ((99, 1 - 1e-9), (6, 0.9)):
        thin = scores_with(model, factors, query_rank=rank, wanted=EVERYTHING)
        assert np.corrcoef(whole.pairwise.ravel(), thin.pairwise.ravel())[0, 1] > least
        assert thin.by_module.sum(2) == pytest.approx(thin.pairwise, abs=1e-5)


@pytest.mark.parametrize("shape", [(3, 1, 4, 5), (1, 7, 4, 5), (6, 9, 4, 5), (20, 2, 9, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_all_ways_of_contracting_agree(shape, bias):
    n_queries, n_positions, n_out, n_in = shape
    torch.manual_seed(1)
    left = torch.randn(n_queries, n_out, 2, dtype=torch.float64)
    right = torch.randn(n_queries, n_in + bias, 2, dtype=torch.float64)
    matrices = left @ right.mT
    inputs = torch.randn(17, n_positions, n_in, dtype=torch.float64)
    gradients = torch.randn(17, n_positions, n_out, dtype=torch.float64)
    rows = torch.cat([inputs, torch.ones(17, n_positions, bias, dtype=torch.float64)], 2)
    expected = torch.einsum("qoi,bto,bti->qbt", matrices, gradients, rows)
    for directions in (WholeDirections(matrices, bias), ThinDirections(left, right, bias)):
        by_position = directions.products_by_position(inputs, gradients)
        torch.testing.assert_close(by_position, expected)
        torch.testing.assert_close(directions.products(inputs, gradients), expected.sum(2))
        formed = next(example_gradients(inputs, gradients, None, bias=bias, at_once=17))[1]
        torch.testing.assert_close(directions._products_with(formed), expected.sum(2))


def test_truncation_is_the_best_of_its_rank():
    torch.manual_seed(0)
    matrix = torch.randn(9, 6)
    for rank in (1, 3, 6, 40):
        left, right = truncated(matrix, rank)
        assert left.shape[1] == right.shape[1] == min(rank, 6)
        rest = torch.linalg.svdvals(matrix)[rank:].square().sum().sqrt()
        assert float((matrix - left @ right.T).norm()) == pytest.approx(float(rest), abs=1e-5)


def test_wide_matrices_are_truncated_at_random_yet_the_same_each_time(monkeypatch):
    from bookplate.provenance.influence import directions

    monkeypatch.setattr(directions, "_EXACT_WIDTH", 10)
    torch.manual_seed(0)
    matrix = torch.randn(60, 12) @ torch.diag(0.5 ** torch.arange(12)) @ torch.randn(12, 50)
    before = torch.random.get_rng_state()
    one, two = truncated(matrix, 4), truncated(matrix, 4)
    assert torch.equal(one[0], two[0])
    assert torch.equal(torch.random.get_rng_state(), before)
    rest = torch.linalg.svdvals(matrix)[4:].square().sum().sqrt()
    assert float((matrix - one[0] @ one[1].T).norm()) == pytest.approx(float(rest), rel=0.01)


@pytest.mark.parametrize("columns", [1, 5, 300, 700])
@pytest.mark.parametrize("blocks", [1, 3])
def test_covariance_equals_the_plain_product(columns, blocks):
    torch.manual_seed(0)
    rows = torch.randn(40, columns, dtype=torch.float64)
    for constant in (False, True):
        width = columns + constant
        covariance = Covariance.zeros(width, blocks, torch.float64, torch.device("cpu"))
        covariance.add(rows[:25], constant=constant)
        covariance.add(rows[25:], constant=constant)
        full = torch.cat([rows, torch.ones(40, constant, dtype=torch.float64)], 1)
        expected = full.T @ full / 40
        for (begin, end), mean in zip(covariance.bounds, covariance.means(40), strict=True):
            torch.testing.assert_close(mean, expected[begin:end, begin:end])
        assert covariance.bounds[0][0] == 0
        assert covariance.bounds[-1][1] == width


@pytest.mark.parametrize("n_positions", [1, 6, 40])
@pytest.mark.parametrize("blocks", [1, 2])
def test_turning_before_or_after_summing_is_the_same(n_positions, blocks):
    torch.manual_seed(0)
    task = RegressionTask(torch.randn(30, 8), torch.randn(30, 11))
    settings = FactorSettings(modules=("*",), blocks=blocks)
    layer = fit_factors(nn.Linear(8, 11), task, settings=settings).layers[""]
    inputs, gradients = torch.randn(5, n_positions, 8), torch.randn(5, n_positions, 11)
    rows = torch.cat([inputs, torch.ones(5, n_positions, 1)], 2)
    a, s = (torch.block_diag(*basis.blocks) for basis in layer.bases)
    expected = s.T @ (gradients.mT @ rows) @ a
    for at_once in (1, 2, 5):
        found = example_gradients(inputs, gradients, layer.bases, bias=True, at_once=at_once)
        together = torch.cat([part.clone() for _, part in found])
        torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        layer.turned_back(expected), gradients.mT @ rows, rtol=1e-4, atol=1e-4
    )


def test_blocks_cut_the_covariances(model):
    data = some_sequences(20)
    settings = FactorSettings(blocks=3, fisher=Fisher.EMPIRICAL)
    factors = fit_factors(model, data, settings=settings)
    name, a, s = covariances_by_loop(model, data)
    for basis, whole in zip(factors.layers[name].bases, (a, s), strict=True):
        assert len(basis.blocks) == 3
        begin = 0
        for block in basis.blocks:
            end = begin + len(block)
            values = torch.diag(basis.eigenvalues[begin:end])
            expected = whole[begin:end, begin:end].numpy()
            found = (block.double() @ values @ block.double().T).numpy()
            assert found == pytest.approx(expected, abs=1e-5 * float(whole.abs().max()))
            begin = end
        assert begin == len(whole)
    whole = scores_with(model, fit_factors(model, data)).pairwise.ravel()
    assert np.corrcoef(whole, scores_with(model, factors).pairwise.ravel())[0, 1] > 0.8


def test_drawn_targets_follow_the_model_and_not_the_batch():
    torch.manual_seed(0)
    sequences = [TokenSequence(str(i), tuple([1] * 40)) for i in range(200)]
    task = TokenTask(sequences)
    logits = torch.tensor([2.0, 0.5, -1.0, 0.0])
    expected = logits.double().softmax(0).numpy()

    def drawn(rows):
        batch = task.batch(rows, torch.device("cpu"))
        outputs = logits.expand(len(rows), 39, 4)
        indicator = logits.softmax(0) - task.sampled_gradient(outputs, batch, seed=5)
        return indicator.argmax(-1)

    every = drawn(range(200))
    counts = np.bincount(every.ravel(), minlength=4)
    assert stats.chisquare(counts, expected * counts.sum()).pvalue > 1e-4
    assert torch.equal(every[50:53], drawn([50, 51, 52]))
    assert torch.equal(every[[7]], drawn([7]))
    assert not torch.equal(every[0], every[1])


def test_sampled_classes_and_errors_follow_their_distributions():
    x = torch.zeros(4000, 2)
    logits = torch.tensor([1.0, 0.0, -1.0]).expand(4000, 3)
    batch = Batch(tuple(range(4000)), x, torch.zeros(4000, dtype=torch.long))
    task = ClassificationTask(x, torch.zeros(4000, dtype=torch.long))
    mean = task.sampled_gradient(logits, batch, 0).mean(0)
    assert mean.numpy() == pytest.approx(np.zeros(3), abs=0.03)  # the score has mean zero
    first = task.gradient(logits, batch)[0].numpy()
    assert first == pytest.approx(logits[0].softmax(0).numpy() - [1, 0, 0])
    errors = RegressionTask(x, torch.zeros(4000)).sampled_gradient(torch.ones(4000), batch, 0)
    assert float(errors.mean()) == pytest.approx(0, abs=0.06)
    assert float(errors.var()) == pytest.approx(1, abs=0.08)


def test_the_model_is_left_as_it_was(model):
    model.train()
    next(model.parameters()).requires_grad_(False)
    learning = [p.requires_grad for p in model.parameters()]
    factors = fit_factors(model, some_sequences(5))
    scores_with(model, factors)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == learning
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_that_work_in_place_and_start_the_graph():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    task = RegressionTask(torch.randn(8, 3), torch.randn(8, 2))
    heard = {}
    with at_rest(net):
        batch = task.batch(range(8), torch.device("cpu"))
        modules = tracked_modules(net, ["*"])
        backward(
            net,
            modules,
            task,
            batch,
            lambda out: task.gradient(out, batch),
            lambda number, a, g: heard.__setitem__(number, g[:, 0].T @ a[:, 0]),
        )
    loss = 0.5 * (net(task.inputs) - task.targets).square().sum()
    loss.backward()
    torch.testing.assert_close(heard[0], net[0].weight.grad)
    torch.testing.assert_close(heard[1], net[2].weight.grad)


def test_ending_at_the_head_changes_nothing(model):
    modules, sequences = tracked_modules(model), some_sequences(9, first_scored=3)
    task = TokenTask(sequences)
    short = ending_at_head(task, model, modules)
    assert plain_head(model, modules) is model.get_output_embeddings()
    batch = task.batch(range(9), torch.device("cpu"))
    for seed in (None, 4):
        heard = {}
        for name, asked in (("logits", task), ("head", short)):

            def gradient(outputs, asked=asked, seed=seed):
                if seed is None:
                    return asked.gradient(outputs, batch)
                return asked.sampled_gradient(outputs, batch, seed)

            with at_rest(model):
                pairs = heard[name] = {}
                backward(
                    model, modules, asked, batch, gradient,
                    lambda number, a, g, pairs=pairs: pairs.__setitem__(number, g),
                )  # fmt: skip
        for number, found in heard["logits"].items():
            torch.testing.assert_close(heard["head"][number], found, rtol=1e-4, atol=1e-6)


def test_heads_that_do_more_or_are_listened_at_are_left_to_the_model():
    model = gpt_neox()
    assert plain_head(model, tracked_modules(model, ["*"])) is None
    model.get_output_embeddings().register_forward_hook(lambda module, args, out: out)
    assert plain_head(model, tracked_modules(model)) is None

    class Capped(type(model)):
        def forward(self, *args, **options):
            out = super().forward(*args, **options)
            out.logits = 5 * torch.tanh(out.logits / 5)
            return out

    model = gpt_neox()
    model.__class__ = Capped
    assert plain_head(model, tracked_modules(model)) is None


def test_default_layers_are_those_of_the_mlps(model):
    names = [tracked.name for tracked in tracked_modules(model)]
    assert len(names) == 4
    assert all(any(part in f"{name}." for part in MLP_NAMES) for name in names)
    every = [tracked.name for tracked in tracked_modules(model, ["*"])]
    assert len(every) > 8
    sizes = {(t.n_in, t.n_out, t.columns, t.size) for t in tracked_modules(model)}
    assert sizes == {(12, 20, 13, 260), (20, 12, 21, 252)}


def test_factors_are_kept_and_read(model, tmp_path):
    settings = FactorSettings(blocks=2, seed=9)
    cutting = Cutting(module_parts=2)
    factors = fit_factors(
        model, some_sequences(20), tmp_path / "factors", settings=settings, cutting=cutting
    )
    again = Factors.read(tmp_path / "factors")
    assert again.settings == settings
    assert again.data == factors.data
    assert again.data.n_examples == 20
    found, expected = scores_with(model, again), scores_with(model, factors)
    assert (found.pairwise == expected.pairwise).all()
    with pytest.raises(InvalidInput, match="already exists"):
        fit_factors(model, some_sequences(20), tmp_path / "factors")


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy_survives_the_disk(strategy, tmp_path):
    model = gpt_neox()
    settings = FactorSettings(strategy=strategy, kept_precision=Precision.BFLOAT16)
    factors = fit_factors(model, some_sequences(12), tmp_path / "f", settings=settings)
    found = scores_with(model, Factors.read(tmp_path / "f"))
    assert found.pairwise == pytest.approx(scores_with(model, factors).pairwise, rel=1e-6)
    fine = fit_factors(model, some_sequences(12), settings=FactorSettings(strategy=strategy))
    both = scores_with(model, fine).pairwise.ravel(), found.pairwise.ravel()
    assert np.corrcoef(*both)[0, 1] > 0.98


class Stopper:
    """Stops a fit at the n-th report of progress, as Ctrl-C does; counts what was computed."""

    def __init__(self, at=None):
        self.at, self.passes = at, 0

    def __call__(self, what, done, total):
        self.passes += what != "eigenvectors" and done < total
        if self.at is not None and self.passes == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [3, 6, 9])
def test_a_stopped_fit_goes_on_to_the_same_bits(at, tmp_path):
    model, data = gpt_neox(), some_sequences(24)
    cutting = Cutting(batch_positions=60, data_parts=3)
    whole = Stopper()
    fit_factors(model, data, tmp_path / "whole", cutting=cutting, progress=whole)
    with pytest.raises(KeyboardInterrupt):
        fit_factors(model, data, tmp_path / "parts", cutting=cutting, progress=Stopper(at))
    rest = Stopper()
    fit_factors(model, data, tmp_path / "parts", cutting=cutting, progress=rest)
    for file in sorted((tmp_path / "whole").iterdir()):
        assert file.read_bytes() == (tmp_path / "parts" / file.name).read_bytes()
    assert rest.passes < whole.passes or at < 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts", "whole"]


def test_an_unfinished_fit_is_not_taken_up_with_other_settings(tmp_path):
    model, data = gpt_neox(), some_sequences(24)
    cutting = Cutting(batch_positions=60, data_parts=3)
    with pytest.raises(KeyboardInterrupt):
        fit_factors(model, data, tmp_path / "f", cutting=cutting, progress=Stopper(8))
    for change in (
        {"settings": FactorSettings(seed=1), "cutting": cutting},
        {"cutting": Cutting(batch_positions=30, data_parts=3)},
    ):
        with pytest.raises(InvalidInput, match="other arguments"):
            fit_factors(model, data, tmp_path / "f", **change)
    with pytest.raises(InvalidInput, match="other arguments"):
        fit_factors(model, some_sequences(24, 5), tmp_path / "f", cutting=cutting)


def test_two_processes_give_the_result_of_one(tmp_path):
    child = Path(__file__).with_name("influence_models.py")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
    }
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            str(child),
            str(tmp_path),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    model = gpt_neox()
    factors = fit_factors(model, some_sequences(30))
    alone = influence_scores(
        model,
        factors,
        some_sequences(3, 1, first_scored=3, prefix="q"),
        some_sequences(20, 2),
        wanted=EVERYTHING,
    )
    together = [np.load(tmp_path / f"scores-{rank}.npz") for rank in (0, 1)]
    scale = np.abs(alone.pairwise).max()
    for found in together:
        assert found["pairwise"] == pytest.approx(alone.pairwise, abs=1e-4 * scale)
        assert found["by_module"] == pytest.approx(alone.by_module, abs=1e-4 * scale)
        assert found["own"] == pytest.approx(alone.self_influence, rel=1e-3)
        expected = np.concatenate(alone.by_token, axis=1)
        assert found["tokens"] == pytest.approx(expected, abs=1e-4 * scale)
    assert (together[0]["pairwise"] == together[1]["pairwise"]).all()
    # One that fails takes the other along: nobody waits for ever.
    first, second = (json.loads((tmp_path / f"errors-{rank}.json").read_text()) for rank in (0, 1))
    assert [first[0].split(": ")[-1], first[1:]] == [
        "already exists",
        [
            "process 1: MemoryError: full",
            "bad",
            "process 1: odd",
            "the processes were given different models, data or settings",
            "expected at least one query, got none",
        ],
    ]
    assert second == [
        f"process 0: {first[0]}",
        "full",
        "process 0: ValueError: bad",
        "odd",
        first[4],
        f"process 0: {first[5]}",
    ]
    assert not (tmp_path / "x").exists()
    Factors.read(tmp_path / "factors").modules_of(model)


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 700, 1024])
def test_draws_are_those_of_the_cumulated_distribution(size):
    torch.manual_seed(size)
    probability = (3 * torch.randn(400, size)).softmax(1)
    uniform = torch.rand(400, dtype=torch.float64)
    cumulated = probability.double().cumsum(1)
    wanted = uniform[:, None] * cumulated[:, -1:]
    expected = torch.searchsorted(cumulated, wanted, right=True)[:, 0]
    assert (_inverse_cdf(probability, uniform) == expected).float().mean() > 0.99
    assert torch.equal(
        _inverse_cdf(probability, uniform)[:9], _inverse_cdf(probability[:9], uniform[:9])
    )


def test_tokens_of_no_probability_are_never_drawn():
    for size in (6, 900):
        probability = torch.zeros(4, size)
        probability[:, 1], probability[:, 3] = 0.3, 0.6  # rounding: the total is not 1
        uniform = torch.tensor([0.0, 0.3, 0.4, 1 - 2**-53], dtype=torch.float64)
        assert _inverse_cdf(probability, uniform).tolist() == [1, 1, 3, 3]


def test_rare_tokens_of_a_large_vocabulary_are_drawn():
    """Each of 150,000 has probability 1e-8, far below what float32 can add to 0.9985."""
    size = 150_000
    probability = torch.full((1, size), 1e-8)
    probability[0, 0] = 1 - 1e-8 * (size - 1)
    at = torch.arange(1, size, 1000)
    total = float(probability.double().sum())
    uniform = (float(probability[0, 0]) + 1e-8 * (at - 0.5).double()) / total
    drawn = torch.cat([_inverse_cdf(probability, u[None]) for u in uniform])
    assert (drawn - at).abs().max() <= 2


def test_nearly_full_rank_of_a_wide_matrix(monkeypatch):
    from bookplate.provenance.influence import directions

    monkeypatch.setattr(directions, "_EXACT_WIDTH", 10)
    matrix = torch.randn(20, 30)
    left, right = truncated(matrix, 18)
    assert float((matrix - left @ right.T).norm()) < float(matrix.norm())


def test_a_fit_killed_at_any_moment_goes_on_to_the_same_bits(tmp_path):
    """What a kill leaves behind is what lies on disk: a picture of it is taken at each report."""
    data, cutting = some_sequences(24), Cutting(batch_positions=60, data_parts=3, module_parts=2)
    whole, n = tmp_path / "factors", 0

    def photograph(what, done, total):
        nonlocal n
        n += 1
        shutil.copytree(unfinished_path(whole), unfinished_path(tmp_path / f"{n}" / "factors"))

    fit_factors(gpt_neox(), data, whole, cutting=cutting, progress=photograph)
    passes = []
    for moment in range(1, n + 1):
        rest, again = Stopper(), tmp_path / f"{moment}" / "factors"
        fit_factors(gpt_neox(), data, again, cutting=cutting, progress=rest)
        for file in sorted(whole.iterdir()):
            assert file.read_bytes() == (again / file.name).read_bytes()
        passes.append(rest.passes)
    assert passes == sorted(passes, reverse=True)
    assert passes[0] > passes[-1] == 0


def test_windows_cut_documents_as_training_does():
    cut = list(windows("doc", range(10), 4))
    assert [w.tokens for w in cut] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert {w.id for w in cut} == {"doc"}
    assert [w.tokens for w in windows("doc", range(9), 4)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert list(windows("doc", [], 4)) == []
    assert cut[0].n_scored == 3


def test_hooks_of_others_come_after_ours(model):
    """What a hook makes of a layer's output is not the layer's output."""
    data, queries = some_sequences(12), some_sequences(3, 1, first_scored=4, prefix="q")
    for name in matrices_of(model):
        model.get_submodule(name).register_forward_hook(lambda m, args, out: out * 0.5)
    factors = fit_factors(model, data, settings=FactorSettings(fisher=Fisher.EMPIRICAL))
    found = influence_scores(model, factors, queries, data[:6], damping=Damping(factor=0.3))
    expected = dense_scores(model, factors, queries, data[:6], 0.3)
    assert found.pairwise == pytest.approx(expected, rel=2e-4, abs=2e-6 * np.abs(expected).max())
