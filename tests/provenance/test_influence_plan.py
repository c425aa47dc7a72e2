"""What influence is said to need, against what it takes, and what is refused."""

import gc
import json
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import typer
from bookplate.cli.influence_plan_command import bytes_of, register
from bookplate.errors import InvalidInput
from bookplate.provenance.influence import (
    Cutting,
    Factors,
    FactorSettings,
    Strategy,
    TokenSequence,
    Wanted,
    fit_factors,
    influence_scores,
)
from bookplate.provenance.influence import forecast as forecasting
from bookplate.provenance.influence.curvature import LayerFactors
from bookplate.provenance.influence.machine import free_memory
from bookplate.provenance.influence.plan import Amount, Machine, plan
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM
from typer.testing import CliRunner

N, LENGTH, N_QUERIES = 16, 33, 5
CUTTING = Cutting(batch_positions=8 * (LENGTH - 1))
STAGES = ["covariances", "eigenvectors", "second moments", "queries", "candidates"]
PLENTY = Machine(memory=1 << 50)


def gpt_neox():
    config = GPTNeoXConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    return GPTNeoXForCausalLM(config).eval()


def gpt2():
    config = GPT2Config(
        vocab_size=300, n_embd=64, n_layer=1, n_head=4, n_positions=64, bos_token_id=0
    )
    return GPT2LMHeadModel(config).eval()


def some(n, prefix, least=LENGTH):
    lengths = torch.linspace(LENGTH, least, n).int().tolist()
    return [
        TokenSequence(f"{prefix}{i}", tuple(j % 300 for j in range(length)))
        for i, length in enumerate(lengths)
    ]


def planned(model, **changes):
    what = {
        "fitted": Amount.equal(N, LENGTH),
        "candidates": Amount.equal(N, LENGTH),
        "queries": Amount.equal(N_QUERIES, LENGTH),
        "cutting": CUTTING,
        "machine": PLENTY,
        "probe": False,
    }
    return plan(model, **(what | changes))


def memory(found):
    return {stage.name: stage.memory for stage in found.stages}


@pytest.fixture
def exact(monkeypatch):
    """Tensors only: nothing for libraries and allocators."""
    monkeypatch.setattr(forecasting, "_LIBRARIES", {})
    monkeypatch.setattr(forecasting, "_SLACK", {"cpu": 1.0})


def allocated(action):
    """Peak bytes that torch's allocator gave out in each stage of a real run."""
    marks = []

    def progress(name, *_):
        torch.empty(len(name) + (1 << 12) + 1, dtype=torch.int8)  # shows in the profile
        if not marks or marks[-1] != name:
            marks.append(name)
            with torch.profiler.record_function(f"stage {name}"):
                pass

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        action(progress)
    events = sorted(profiled.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    total, now, peaks = 0, None, {}
    for event in events:
        if event.name().startswith("stage "):
            now = event.name().removeprefix("stage ")
        elif event.name() == "[memory]":
            total += event.nbytes()
        if now is not None:
            peaks[now] = max(peaks.get(now, 0), total)
    return peaks


class Allocated(Mapping):
    """Layers from a disk in memory that torch allocates, where the profile sees them."""

    def __init__(self, layers):
        self.layers = {name: layer.as_tensors() for name, layer in layers.items()}

    def __getitem__(self, name):
        kept = self.layers[name].items()
        return LayerFactors.of_tensors({key: tensor.clone() for key, tensor in kept})

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)


@pytest.mark.parametrize(
    ("make", "strategy", "rank", "wanted", "least"),
    [
        (gpt_neox, Strategy.EKFAC, None, Wanted(), LENGTH),
        (gpt_neox, Strategy.EKFAC, 4, Wanted(by_token=True, self_influence=True), 20),
        (gpt2, Strategy.DIAGONAL, None, Wanted(by_module=True), LENGTH),
        (gpt2, Strategy.KFAC, 4, Wanted(), LENGTH),
    ],
)
@pytest.mark.usefixtures("exact")
def test_memory_is_what_torch_allocates(make, strategy, rank, wanted, least, tmp_path):
    model, settings = make(), FactorSettings(strategy=strategy)
    data, queries = some(N, "d", least), some(N_QUERIES, "q", least)

    fit_factors(model, data, tmp_path / "f", settings=settings, cutting=CUTTING)
    factors = Factors.read(tmp_path / "f")
    factors = replace(factors, layers=Allocated(factors.layers))

    def run(progress):
        fit_factors(model, data, settings=settings, cutting=CUTTING, progress=progress)
        gc.collect()  # scores are taken by a process of their own
        influence_scores(
            model,
            factors,
            queries,
            data,
            query_rank=rank,
            wanted=wanted,
            batch_positions=CUTTING.batch_positions,
            progress=progress,
        )

    found = planned(
        model,
        fitted=Amount.of(data),
        candidates=Amount.of(data),
        queries=Amount.of(queries),
        settings=settings,
        query_rank=rank,
        wanted=wanted,
    )
    measured, said = allocated(run), memory(found)
    assert list(said)[1:] == [stage for stage in STAGES if stage in measured]
    for stage, peak in measured.items():
        assert 0.95 < said[stage] / peak < 1.15, (stage, said, measured)


def test_files_are_as_large_as_planned(tmp_path):
    model = gpt_neox()
    found = planned(model, folder=tmp_path)
    fit_factors(model, some(N, "d"), tmp_path / "factors", cutting=CUTTING)
    size = sum(path.stat().st_size for path in (tmp_path / "factors").glob("*.safetensors"))
    assert found.stages[-1].disk == pytest.approx(size, rel=0.02)
    assert found.needed.disk > 1.9 * size  # sums beside the factors, while they are made


def test_weights_are_not_needed():
    model = gpt_neox()
    with torch.device("meta"):
        shape = gpt_neox()
    here, elsewhere = planned(model), planned(shape)
    assert memory(here) == memory(elsewhere)
    assert (here.loaded, elsewhere.loaded) == (True, False)
    weights = sum(p.nbytes for p in model.parameters())
    assert elsewhere.needed.memory >= here.needed.memory + weights


def test_the_model_and_later_work_stay_as_they_are():
    model = gpt_neox()
    before = [p.clone() for p in model.parameters()]
    planned(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.requires_grad and type(p.data) is torch.Tensor for p in model.parameters())
    assert torch.ones(2).numpy().tolist() == [1, 1]
    assert not hasattr(torch._subclasses.FakeTensor.__dict__, "numpy")


@pytest.mark.usefixtures("exact")
def test_options_need_less():
    model = gpt_neox()
    whole = memory(planned(model))
    less = {
        "covariances": {"cutting": Cutting(batch_positions=LENGTH)},
        "second moments": {"cutting": Cutting(batch_positions=8 * (LENGTH - 1), module_parts=2)},
        "eigenvectors": {"settings": FactorSettings(blocks=4)},
        "queries": {"query_rank": 4},
        "candidates": {"queries": Amount.equal(1, LENGTH)},
        "load": {"dtype": torch.bfloat16},
    }
    for stage, change in less.items():
        assert memory(planned(model, **change))[stage] < whole[stage], stage


@pytest.mark.usefixtures("exact")
def test_many_queries_are_counted_though_few_are_rehearsed(monkeypatch):
    model = gpt_neox()
    few = memory(planned(model, queries=Amount.equal(40, LENGTH)))
    monkeypatch.setattr(forecasting, "_QUERIES_REHEARSED", 40)
    every = memory(planned(model, queries=Amount.equal(40, LENGTH)))
    assert few["candidates"] == every["candidates"]
    assert 1 <= few["queries"] / every["queries"] < 1.3


def test_the_strategy_decides_the_stages():
    model = gpt_neox()
    for strategy, stages in [
        (Strategy.IDENTITY, ["load", *STAGES[3:]]),
        (Strategy.KFAC, ["load", *STAGES[:2], *STAGES[3:]]),
    ]:
        found = planned(model, settings=FactorSettings(strategy=strategy))
        assert [stage.name for stage in found.stages] == stages


def test_what_fits_is_not_refused():
    found = planned(gpt_neox())
    found.refuse_unfit()
    assert found.unfit is None
    assert found.as_json()["fits"]


@pytest.mark.usefixtures("exact")
def test_smaller_batches_are_named_and_are_enough():
    model = gpt_neox()
    most = planned(model).needed.memory
    tight = Machine(memory=int(0.9 * most))
    with pytest.raises(InvalidInput, match=r"^(covariances|candidates) will not fit") as refused:
        planned(model, machine=tight).refuse_unfit()
    assert refused.value.hint.startswith("use --batch-tokens ")
    positions = int(refused.value.hint.split()[2])
    assert planned(model, machine=tight, cutting=Cutting(batch_positions=positions)).unfit is None
    assert planned(model, machine=tight, cutting=Cutting(batch_positions=2 * positions)).unfit


@pytest.mark.usefixtures("exact")
def test_options_are_named_together_if_none_is_enough():
    model = gpt_neox()
    with pytest.raises(InvalidInput) as refused:
        planned(model, machine=Machine(memory=1_600_000)).refuse_unfit()
    hint = refused.value.hint
    assert "--batch-tokens" in hint
    assert "which needs" in hint
    assert hint.count("--") + hint.count("at once") >= 2


def test_when_nothing_helps_it_says_so():
    with torch.device("meta"):
        shape = gpt_neox()
    with pytest.raises(InvalidInput, match=r"^load will not fit: it needs .* 0 MiB are free") as no:
        planned(shape, machine=Machine(memory=9)).refuse_unfit()
    assert no.value.hint.startswith("no option makes it fit")


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    machine = Machine(memory=1 << 50, disk=1 << 10)
    monkeypatch.setattr(sys.modules[plan.__module__], "remedy", lambda *_: None)
    with pytest.raises(InvalidInput, match=r"^covariances will not fit: .* on disk"):
        planned(gpt_neox(), folder=tmp_path, machine=machine).refuse_unfit()


def test_a_gpu_that_is_not_here_can_be_planned_for():
    found = planned(gpt_neox(), device=torch.device("cuda"))
    assert found.stages[-1].host_memory > 0
    assert "assumed" in found.time_based_on


def test_times_are_measured():
    found = planned(gpt_neox(), probe=True)
    assert "measured on this machine just now" in found.time_based_on
    seconds = {stage.name: stage.seconds for stage in found.stages}
    assert seconds.pop("load") is None
    assert all(0 < value < 60 for value in seconds.values())


def test_times_grow_with_the_data():
    once, longer = planned(gpt_neox()), planned(gpt_neox(), fitted=Amount.equal(10 * N, LENGTH))
    ratio = longer.stages[1].seconds / once.stages[1].seconds
    assert ratio == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": FactorSettings(modules=("nothing",))}, "no linear layer"),
        ({"fitted": Amount.equal(3, 1)}, "fitted: expected sequences of at least 2 tokens"),
        ({"candidates": Amount.of([])}, "candidates: expected sequences"),
        ({"queries": Amount.equal(1, 99)}, "queries: 99 tokens; the model's context is 64"),
        ({"query_rank": 0}, "query rank: expected at least 1, got 0"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InvalidInput, match=message):
        planned(gpt_neox(), **change)


def test_free_memory_heeds_the_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable:  800 kB\n")
    assert free_memory(meminfo, tmp_path) == 800 << 10
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("100000\n")
    assert free_memory(meminfo, tmp_path) == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(meminfo, tmp_path) == 800 << 10
    assert free_memory(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    ("text", "n"),
    [("16GiB", 16 << 30), ("512 MiB", 512 << 20), ("1.5G", 3 << 29), ("2GB", 2 * 10**9), ("7", 7)],
)
def test_sizes(text, n):
    assert bytes_of(text, "--memory") == n


def test_no_size():
    with pytest.raises(InvalidInput, match="--memory: expected a size such as 16GiB, got 'much'"):
        bytes_of("much", "--memory")


@pytest.fixture
def run(tmp_path):
    gpt_neox().config.save_pretrained(tmp_path)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    arguments = ["plan", str(tmp_path / "config.json"), "--sequences", "50", "--candidates", "50"]
    arguments += ["--no-probe", "--out", str(tmp_path), "--device", "cpu"]
    return lambda *more: CliRunner().invoke(app, [*arguments, *more])


def test_the_command_prints_a_table(run):
    done = run("--memory", "16GiB")
    assert done.exception is None, done.exception
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["stage", "memory", "disk", "time"]
    assert [line.split("  ")[0] for line in lines[1:7]] == ["load", *STAGES]


def test_the_command_prints_json(run):
    found = json.loads(run("--json", "--query-rank", "4").stdout)
    assert [stage["name"] for stage in found["stages"]] == ["load", *STAGES]
    assert found["available"]["disk"] > 0


def test_the_command_refuses(run):
    done = run("--memory", "100KiB")
    assert isinstance(done.exception, InvalidInput)
    assert "load will not fit" in str(done.exception)
    assert "covariances" in done.stdout  # the table is printed all the same
