"""What influence refuses: models, layers, numbers and settings that would give wrong scores."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.influence import (
    ClassificationTask,
    Cutting,
    Damping,
    Factors,
    FactorSettings,
    Fisher,
    LayerFactors,
    RegressionTask,
    Strategy,
    TokenSequence,
    fit_factors,
    influence_scores,
    tracked_modules,
)
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from influence_models import VOCABULARY, gpt2, gpt_neox, scores_with, some_sequences

pytestmark = pytest.mark.usefixtures("one_thread")


def test_factors_of_another_model_are_refused(tmp_path):
    model = gpt_neox()
    factors = fit_factors(model, some_sequences(8), tmp_path / "f")
    with torch.no_grad():
        model.gpt_neox.layers[1].mlp.dense_4h_to_h.bias[0] += 1e-3
    for held in (factors, Factors.read(tmp_path / "f")):
        with pytest.raises(InvalidInput, match="another model, or on other weights"):
            scores_with(model, held)
    with pytest.raises(InvalidInput, match="another model"):
        scores_with(gpt2(), factors)


def test_all_weights_tell_models_apart_and_not_the_layers_alone(model):
    factors = fit_factors(model, some_sequences(8))
    with torch.no_grad():
        model.get_input_embeddings().weight[1, 1] += 1e-3
    with pytest.raises(InvalidInput, match="another model, or on other weights"):
        scores_with(model, factors)


def test_damaged_factors_are_refused(tmp_path):
    fit_factors(gpt_neox(), some_sequences(8), tmp_path / "f")
    header, layers = tmp_path / "f" / "factors.json", tmp_path / "f" / "layers-00000.safetensors"
    good = json.loads(header.read_text())
    for change, message in (
        ({"version": 2}, "version 1, got"),
        ({"layers": 3}, "damaged"),
        ({"settings": {}}, "damaged"),
        ({"files": {"../x": "0" * 64}}, "outside its folder"),
        ({"model_sha256": "xyz"}, "damaged"),
        ({"layers": ["unknown"], "data": None}, "damaged"),
    ):
        header.write_text(json.dumps(good | change))
        with pytest.raises(InvalidInput, match=message):
            Factors.read(tmp_path / "f")
    header.write_text(json.dumps(good))
    data = bytearray(layers.read_bytes())
    data[-1] ^= 1
    layers.write_bytes(data)
    with pytest.raises(InvalidInput, match="has changed since"):
        Factors.read(tmp_path / "f")
    layers.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        Factors.read(tmp_path / "f")
    with pytest.raises(InvalidInput, match="cannot be read"):
        Factors.read(tmp_path / "nothing")


def test_models_without_matching_layers_are_refused(model):
    with pytest.raises(
        InvalidInput, match=r"no linear layer of this model matches \*\.nothing"
    ) as caught:
        fit_factors(model, some_sequences(3), settings=FactorSettings(modules=("*.nothing",)))
    assert "its linear layers:" in caught.value.hint
    with pytest.raises(InvalidInput, match="no linear layer") as caught:
        tracked_modules(nn.Sequential(nn.ReLU()))
    assert "the model has none" in caught.value.hint


def test_numbers_that_are_not_finite_are_refused(model):
    some = some_sequences(6)
    with torch.no_grad():
        model.get_output_embeddings().weight[3, 0] = float("nan")
    with pytest.raises(InvalidInput, match=r"sequence 'd.*outputs are not finite"):
        fit_factors(model, some)


def test_outputs_that_are_not_finite_are_refused_when_scoring(model):
    some = some_sequences(6)
    factors = fit_factors(model, some)
    model.get_output_embeddings().register_forward_hook(lambda m, args, out: out * float("nan"))
    with pytest.raises(InvalidInput, match=r"query 'd.*outputs are not finite"):
        influence_scores(model, factors, some, some)


def test_gradients_that_are_not_finite_are_refused():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    task = RegressionTask(torch.randn(8, 3), torch.randn(8, 2))
    task.gradient = lambda outputs, batch: torch.full_like(outputs, float("inf"))
    with pytest.raises(InvalidInput, match="gradients are not finite"):
        fit_factors(net, task, settings=FactorSettings(modules=("*",), fisher=Fisher.EMPIRICAL))


def test_unfit_sequences_are_refused(model):
    factors, some = fit_factors(model, some_sequences(6)), some_sequences(3)
    long = TokenSequence("long", tuple([1] * 26))
    for queries, candidates, message in (
        ([], some, "at least one query, got none"),
        (some, [], "at least one candidate, got none"),
        ([long], some, "query 'long': 26 tokens; the model's context is 24"),
        (some, [long], "candidate 'long': 26 tokens"),
        ([TokenSequence("q", (1,))], some, "none is scored"),
        ([TokenSequence("q", (1, 2), 2)], some, "none is scored"),
        ([TokenSequence("q", (1, VOCABULARY))], some, "a token that the model does not have"),
        ([TokenSequence("q", (1, -1))], some, "a token that the model does not have"),
    ):
        with pytest.raises(InvalidInput, match=message):
            influence_scores(model, factors, queries, candidates)
    assert influence_scores(model, factors, [TokenSequence("q", (1,) * 25)], some)
    with pytest.raises(InvalidInput, match="at least one sequence"):
        fit_factors(model, [])


def test_settings_that_make_no_sense_are_refused(model):
    for make, message in (
        (lambda: FactorSettings(blocks=0), "blocks"),
        (lambda: FactorSettings(seed=-1), "seed"),
        (lambda: FactorSettings(strategy="shampoo"), "expected identity, diagonal, kfac, ekfac"),
        (lambda: FactorSettings(modules=()), "modules"),
        (lambda: Cutting(data_parts=0), "data_parts"),
        (lambda: Damping(factor=-0.1), "damping factor"),
        (lambda: Damping(absolute=float("nan")), "damping absolute"),
    ):
        with pytest.raises(InvalidInput, match=message):
            make()
    factors = fit_factors(model, some_sequences(3))
    for options in ({"query_rank": 0}, {"training_size": 0}):
        with pytest.raises(InvalidInput, match="at least 1"):
            scores_with(model, factors, **options)


def test_plain_names_of_choices_are_understood():
    assert FactorSettings(strategy="kfac", fisher="empirical") == FactorSettings(
        strategy=Strategy.KFAC, fisher=Fisher.EMPIRICAL
    )
    assert FactorSettings(fisher="empirical").fisher is Fisher.EMPIRICAL


def test_curvature_of_nothing_needs_damping():
    net = nn.Linear(2, 1)
    task = RegressionTask(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 1))
    factors = fit_factors(net, task, settings=FactorSettings(modules=("*",)))
    with pytest.raises(InvalidInput, match="eigenvalue of 0"):
        influence_scores(net, factors, task, task, damping=Damping(factor=0))
    influence_scores(net, factors, task, task)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Linear(3, 3)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.mlp(self.mlp(x))


class Unused(Twice):
    def forward(self, x):
        return self.mlp(x)


class Mixed(Twice):
    def forward(self, x):
        return self.mlp(torch.cat([x, x])).view(2, len(x), 3).sum(0)


@pytest.mark.parametrize(
    ("kind", "patterns", "message"),
    [
        (Twice, ("mlp",), "used more than once"),
        (Unused, ("*",), "unused: the loss does not depend"),
        (Mixed, ("mlp",), "whose gradient is whose"),
    ],
)
def test_layers_that_cannot_be_tracked_are_refused(kind, patterns, message):
    task = RegressionTask(torch.randn(4, 3), torch.randn(4, 3))
    with pytest.raises(InvalidInput, match=message):
        fit_factors(kind(), task, settings=FactorSettings(modules=patterns))


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 3)
        self.mlp = nn.Module()
        self.mlp.shared = nn.Linear(3, 3)
        self.mlp.experts = nn.Module()
        self.mlp.experts.up = nn.Parameter(torch.zeros(4, 3, 3))
        self.mlp.conv = nn.Conv1d(3, 3, 2)


def test_experts_are_not_left_out_without_a_word():
    with pytest.raises(InvalidInput, match=r"mlp.experts.up: holds the weights of 4 experts"):
        tracked_modules(Experts())
    names = [tracked.name for tracked in tracked_modules(Experts(), ["*.shared", "dense"])]
    assert names == ["dense", "mlp.shared"]


class SeesAll(nn.Module):
    """Each position reads the mean of all, padding and what is to be told included."""

    def __init__(self):
        super().__init__()
        self.model = gpt_neox()
        self.config = self.model.config
        self.get_input_embeddings = self.model.get_input_embeddings
        self.model.gpt_neox.embed_in.register_forward_hook(
            lambda m, args, out: out + out.mean(1, keepdim=True)
        )

    def forward(self, **given):
        return self.model(**given)


def test_models_that_see_later_tokens_are_refused():
    model, data = SeesAll(), some_sequences(6)
    with pytest.raises(InvalidInput, match=r"mlp.*at a token depends on later tokens"):
        fit_factors(model, data)
    model.config.is_encoder_decoder = True
    with pytest.raises(InvalidInput, match="has an encoder and a decoder"):
        fit_factors(model, data)
    fit_factors(SeesAll(), [TokenSequence("short", (1, 2))])  # nothing is later, nothing padded


def test_what_is_no_language_model_is_refused():
    with pytest.raises(InvalidInput, match="expected a causal language model of transformers"):
        fit_factors(nn.Sequential(nn.Linear(2, 2)), some_sequences(2))
    with pytest.raises(InvalidInput, match="weights are not in memory"):
        fit_factors(gpt_neox().to("meta"), some_sequences(2))


def test_large_gradients_in_float16_are_not_taken_for_infinite():
    net = nn.Linear(3, 300).half()
    task = RegressionTask(torch.ones(8, 3).half(), torch.full((8, 300), -500.0).half())
    settings = FactorSettings(modules=("*",), fisher=Fisher.EMPIRICAL)
    values = fit_factors(net, task, settings=settings).layers[""].eigenvalues
    assert torch.isfinite(values).all()


def test_squares_that_overflow_are_refused():
    net = nn.Linear(3, 2)
    task = RegressionTask(torch.ones(8, 3), torch.full((8, 2), 1e22))
    settings = FactorSettings(strategy=Strategy.DIAGONAL, modules=("*",), fisher=Fisher.EMPIRICAL)
    with pytest.raises(InvalidInput, match="second moments are not finite"):
        fit_factors(net, task, settings=settings)
    layer = LayerFactors(None, torch.tensor([[1.0, float("inf")]]))
    with pytest.raises(InvalidInput, match="layer: its curvature is not finite"):
        layer.damped(Damping(), "layer")


def test_a_little_damping_is_not_rounded_away():
    layer = LayerFactors(None, torch.tensor([[1.0, 0.0]]).bfloat16())
    damped = layer.damped(Damping(absolute=1e-4), "layer")
    assert damped.numpy() == pytest.approx(np.array([[1.0001, 1e-4]]), rel=1e-5)


def test_sums_in_bfloat16_are_refused():
    with pytest.raises(InvalidInput, match="sums over many examples are lost"):
        FactorSettings(sum_precision="bfloat16")


def test_classes_are_integers():
    """Real numbers would be taken for draws."""
    with pytest.raises(InvalidInput, match="expected class numbers"):
        ClassificationTask(torch.zeros(2, 3), torch.tensor([0.0, 1.0]))
