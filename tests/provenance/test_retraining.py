"""The retrained last phase: the same training again, other orders, kills, processes, and refusals."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import typer
from bookplate.cli.reshuffle_commands import register
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.files import sha256_of_file
from bookplate.provenance.palimpsest import Transcript, TranscriptSource
from bookplate.provenance.palimpsest.retraining import (
    Checkpoint,
    LastPhase,
    PhaseRows,
    finished_runs,
    retrain,
)
from bookplate.provenance.palimpsest.retraining.folders import RunFolders
from bookplate.provenance.palimpsest.retraining.likeness import (
    distance,
    refuse_unlike,
    told_of_released,
)
from bookplate.provenance.palimpsest.retraining.phase import tally_of
from bookplate.provenance.palimpsest.retraining.settings import (
    collate,
    refuse_settings,
    trainer_of,
)
from bookplate.stats import Input
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from typer.testing import CliRunner

SIZE = {
    "vocab_size": 60,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 64,
    "hidden_dropout": 0.1,  # draws from the random state, which must be restored
}
TRAINING = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 0.02,
    "seed": 5,
    "use_cpu": True,
}
QUIET = {"report_to": [], "disable_tqdm": True, "logging_strategy": "no"}
CHECKPOINT, STEPS, BATCH = 3, 7, 4


def model(**size):
    torch.manual_seed(0)
    return GPTNeoXForCausalLM(GPTNeoXConfig(**{**SIZE, **size}))


def trainer(rows, folder, callbacks=(), hidden_dropout=0.1, **arguments):
    args = TrainingArguments(
        output_dir=str(folder), **QUIET, **{"save_steps": 2, **TRAINING, **arguments}
    )
    return Trainer(
        model=model(hidden_dropout=hidden_dropout),
        args=args,
        train_dataset=rows,
        data_collator=collate,
        callbacks=list(callbacks),
    )


def sequences(n, length=6):
    generator = np.random.default_rng(1)
    return [generator.integers(60, size=length).tolist() for _ in range(n)]


def write(path, rows, batch=BATCH):
    Transcript.write(path, [i // batch for i in range(len(rows))], rows)
    return path


class Unshuffled(Trainer):
    """The claimant's training: its order was drawn before."""

    def _get_train_sampler(self, *args):
        return torch.utils.data.SequentialSampler(self.train_dataset)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """An uninterrupted training with a checkpoint on the way, and its transcript."""
    folder = tmp_path_factory.mktemp("training")
    rows = sequences(STEPS * BATCH - 1)  # the last step has one less
    args = TrainingArguments(
        output_dir=str(folder), **QUIET, **TRAINING, save_steps=CHECKPOINT, num_train_epochs=1
    )
    job = Unshuffled(
        model=model(),
        args=args,
        train_dataset=[{"input_ids": row} for row in rows],
        data_collator=collate,
    )
    job.train()
    job.save_model(str(folder / "released"))
    write(folder / "transcript.parquet", rows)
    return folder


@pytest.fixture
def checkpoint(training):
    return training / f"checkpoint-{CHECKPOINT}"


def again(training, out, make_trainer=trainer, orders=2, seed=1, **options):
    return retrain(
        training / f"checkpoint-{CHECKPOINT}",
        training / "transcript.parquet",
        out,
        make_trainer,
        orders=orders,
        seed=seed,
        **options,
    )


@pytest.fixture(scope="module")
def runs(training, tmp_path_factory):
    """All runs, made without any trouble."""
    out = tmp_path_factory.mktemp("runs") / "out"
    return again(training, out)


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# ---- the same training again --------------------------------------------------------------------


def test_the_true_order_gives_the_released_model_bit_for_bit(training, runs):
    assert same(runs[0], training / "released")


def test_other_orders_give_other_models(training, runs):
    assert not same(runs[1], runs[0])
    assert not same(runs[1], runs[2])
    found = finished_runs(runs[0].parent)
    assert (found.true, *found.others) == runs
    assert found.job == Input(
        name="job.json", sha256=sha256_of_file(found.true.parent / "job.json")
    )
    (doubt,) = found.doubts
    assert "seed of the other orders was chosen" in doubt
    assert visible(runs[0].parent) == ["job.json", "order-1", "order-2", "true"]
    assert not list(runs[0].parent.rglob("training_args.bin"))


class Order(TrainerCallback):
    """Keeps what each step got, by its own means."""

    def __init__(self, rows, kept):
        self.rows, self.kept = rows, kept

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.kept[args.output_dir] = got = []
        forward = model.forward

        def kept_forward(*args, input_ids=None, **rest):
            got.extend(map(tuple, input_ids.tolist()))
            return forward(*args, input_ids=input_ids, **rest)

        model.forward = kept_forward


def test_orders_differ_after_the_checkpoint_only_and_hold_the_same_sequences(training, tmp_path):
    kept = {}
    again(training, tmp_path / "out", lambda rows, to: trainer(rows, to, [Order(rows, kept)]))
    late = [tuple(row) for row in sequences(STEPS * BATCH - 1)[CHECKPOINT * BATCH :]]
    true, *others = kept.values()
    assert true == late
    assert all(sorted(other) == sorted(late) and other != late for other in others)
    assert others[0] != others[1]


def test_a_second_call_trains_nothing(training, runs):
    kept = {}
    done = again(training, runs[0].parent, lambda rows, to: trainer(rows, to, [Order(rows, kept)]))
    assert done == runs
    assert not kept
    assert visible(runs[0].parent) == ["job.json", "order-1", "order-2", "true"]


def test_settings_of_a_file_make_the_same_runs(training, runs, checkpoint, tmp_path):
    found = again(training, tmp_path / "out", trainer_of(checkpoint, TRAINING, "args.json"))
    assert all(same(one, other) for one, other in zip(found, runs, strict=True))


# ---- trouble on the way -------------------------------------------------------------------------


class Trouble(TrainerCallback):
    """An exception at a step, once it has begun."""

    def __init__(self, step):
        self.step = step

    def on_substep_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise RuntimeError("trouble")


def test_a_run_that_failed_goes_on_from_its_own_checkpoint(training, runs, tmp_path):
    """Trouble in step 5 of the first other order, whose own checkpoint is of step 4."""

    def troubled(rows, to):
        return trainer(rows, to, [Trouble(5)] if to.name == "order-1" else [])

    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="trouble"):
        again(training, out, troubled)
    assert visible(out) == ["job.json", "true", "unfinished"]
    with pytest.raises(InvalidInput, match="2 of 3 runs are not finished, order-1"):
        finished_runs(out)
    torn = out / "unfinished" / "order-1" / "checkpoint-6"  # killed while it was written
    torn.mkdir()
    kept = {}
    found = again(training, out, lambda rows, to: trainer(rows, to, [Order(rows, kept)]))
    assert [len(got) for got in kept.values()] == [11, 15]  # from step 4, and from step 3
    assert all(same(one, other) for one, other in zip(found, runs, strict=True))


@pytest.mark.parametrize("change", ["seed", "orders", "arguments", "transcript"])
def test_another_job_in_the_same_folder_is_refused(change, training, runs, tmp_path):
    options = {"seed": {"seed": 2}, "orders": {"orders": 3}}.get(change, {})
    make = partial(trainer, learning_rate=0.03) if change == "arguments" else trainer
    path = training / "transcript.parquet"
    if change == "transcript":
        path = write(tmp_path / "t.parquet", sequences(STEPS * BATCH))
    with pytest.raises(InvalidInput, match=f"another job; what differs: {change}"):
        retrain(
            training / f"checkpoint-{CHECKPOINT}",
            path,
            runs[0].parent,
            make,
            **{"orders": 2, "seed": 1, **options},
        )


@pytest.mark.parametrize("come_of_it", ["true", "unfinished/true/checkpoint-4"])
def test_a_job_of_which_nothing_came_does_not_bind_the_folder(come_of_it, tmp_path):
    """Settings that were refused may be mended; what runs were made with may not change."""
    folders = RunFolders(tmp_path, 1)
    folders.begin({"rate": 1})
    (tmp_path / "unfinished" / "true").mkdir(parents=True)
    assert folders.begin({"rate": 2})["rate"] == 2
    (tmp_path / come_of_it).mkdir(parents=True)
    assert folders.begin({"rate": 2})["rate"] == 2
    with pytest.raises(InvalidInput, match="another job; what differs: rate"):
        folders.begin({"rate": 3})


def test_a_checkpoint_from_which_no_step_is_left_is_passed_over(tmp_path):
    folders = RunFolders(tmp_path, 2)
    for name in ("4", "7", "new"):
        (folders.work(1) / f"checkpoint-{name}").mkdir(parents=True)
        (folders.work(1) / f"checkpoint-{name}" / "mark").touch()
    assert folders.last_checkpoint(1, "mark", end=8).name == "checkpoint-7"
    assert folders.last_checkpoint(1, "mark", end=7).name == "checkpoint-4"
    assert folders.last_checkpoint(1, "mark", end=4) is None


def test_a_lock_tells_its_own_trouble_from_that_of_the_work(tmp_path):
    def work():
        with RunFolders(tmp_path, 1).locked():
            raise BlockingIOError("of the work")

    with pytest.raises(BlockingIOError, match="of the work"):
        work()


@pytest.mark.parametrize(
    "change",
    [{"orders": -1}, {"orders": True}, {"orders": 10**12}, {"format": 1}, {"doubts": "none"}],
)
def test_a_damaged_job_is_refused(change, runs, tmp_path):
    job = json.loads((runs[0].parent / "job.json").read_text())
    assert job["arguments"]["device"] == "cpu"  # another device would round in its own way
    (tmp_path / "job.json").write_text(json.dumps(job | change))
    with pytest.raises(InvalidInput, match="of another version, or damaged"):
        finished_runs(tmp_path)


def test_two_calls_at_once_are_refused(training, tmp_path):
    def second(rows, to):
        return again(training, tmp_path / "out")

    with pytest.raises(InvalidInput, match="another process is training here"):
        again(training, tmp_path / "out", second)


def test_a_folder_of_something_else_is_refused(training, tmp_path):
    (tmp_path / "out" / "true").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="holds true, which is of no retraining"):
        again(training, tmp_path / "out")


@pytest.mark.slow
def test_two_processes_make_the_runs_that_one_makes(training, tmp_path):
    """But for rounding, which Adam makes more of."""
    path = write(tmp_path / "t.parquet", sequences(STEPS * BATCH))
    checkpoint = training / f"checkpoint-{CHECKPOINT}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}  # as torchrun sets them
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(checkpoint), str(path), str(tmp_path / "two")],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.DEVNULL,
        )
        for rank in "01"
    ]
    plain = partial(trainer, hidden_dropout=0.0)
    retrain(checkpoint, path, tmp_path / "one", plain, orders=1, seed=1)
    assert [process.wait(timeout=240) for process in ranks] == [0, 0]
    assert visible(tmp_path / "two") == visible(tmp_path / "one") == ["job.json", "order-1", "true"]
    for name in ("true", "order-1"):
        two, one = weights(tmp_path / "two" / name), weights(tmp_path / "one" / name)
        assert all(torch.allclose(two[k], one[k], atol=1e-4) for k in one)


# ---- what is refused ----------------------------------------------------------------------------


def read(path, checkpoint):
    return LastPhase.read(TranscriptSource.open(path), Checkpoint.read(checkpoint))


def frame(steps, tokens=None):
    tokens = sequences(len(steps)) if tokens is None else tokens
    return pl.DataFrame({"step": steps, "tokens": tokens})


FULL = [i // BATCH for i in range(STEPS * BATCH)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame(FULL[: CHECKPOINT * BATCH]), "nothing is left to train on"),
        (frame([s + 1 for s in FULL]), "its steps begin with 1"),
        (frame([s for s in FULL if s != 4]), "step 4 is missing"),
        (frame(FULL[:20] + FULL[21:]), r"step 5 has 3 sequences, step 3 has 4"),
        (frame([*FULL, 6]), r"step 6 has 5 sequences, step 3 has 4"),
        (frame(FULL).select("step", text=pl.lit("words")), "holds texts"),
        (frame(FULL).select("step", digest=pl.lit("0" * 64)), "digests of its sequences only"),
        (frame(FULL, [[1, -1]] * len(FULL)), "at least two token ids"),
        (frame(FULL, [[1, 2**31]] * len(FULL)), r"2\*\*31 or more"),
    ],
    ids=["late", "from-1", "gap", "short", "long", "text", "digest", "negative", "wide"],
)
def test_a_transcript_that_does_not_fit_is_refused(rows, message, checkpoint, tmp_path):
    rows.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path / "t.parquet", checkpoint)


def test_a_single_step_has_no_order(checkpoint, tmp_path):
    frame(FULL[: (CHECKPOINT + 1) * BATCH]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InsufficientEvidence, match="too few steps"):
        read(tmp_path / "t.parquet", checkpoint)


def test_rows_in_any_order_are_the_same_phase(checkpoint, tmp_path):
    rows = frame(FULL).with_columns(position=pl.int_range(pl.len()).over("step"))
    rows.write_parquet(tmp_path / "t.parquet")
    rows.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "u.parquet")
    one, other = (read(tmp_path / name, checkpoint) for name in ("t.parquet", "u.parquet"))
    assert [s.tolist() for s in one.sequences] == [s.tolist() for s in other.sequences]
    assert [s.tolist() for s in one.sequences] == sequences(len(FULL))[CHECKPOINT * BATCH :]


class Truncating:
    """A dataset that changes one sequence on its way."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        item = self.rows[index]
        return {"input_ids": item["input_ids"][:5] * 1 + [0]} if index == 20 else item


def test_a_model_that_gets_something_else_is_noticed_at_once(training, tmp_path):
    with pytest.raises(InvalidInput, match="step 5: the model got 4 sequences that are not the 4"):
        again(training, tmp_path / "out", lambda rows, to: trainer(Truncating(rows), to))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_device_train_batch_size": 3}, r"has 4 sequences, one of the trainer 3 x 2 x 1"),
        ({"max_steps": 5}, "has 7 steps, the training was planned for 5"),
        ({"ignore_data_skip": True}, "ignore_data_skip"),
        ({"max_grad_norm": float("nan")}, "a number that is none"),
    ],
)
def test_a_trainer_that_does_not_fit_is_refused(arguments, message, training, tmp_path):
    with pytest.raises(InvalidInput, match=message):
        again(training, tmp_path / "out", lambda rows, to: trainer(rows, to, **arguments))
    assert not (tmp_path / "out" / "job.json").exists()


@pytest.mark.parametrize("options", [{"orders": 0}, {"orders": 10**9}, {"seed": 2**53}])
def test_numbers_that_cannot_be_written_down_are_refused(options, training, tmp_path):
    with pytest.raises(InvalidInput, match=r"expected (1 to 100,000 other orders|a seed in)"):
        again(training, tmp_path / "out", **options)


@pytest.mark.parametrize("damaged", ["optimizer.pt", "rng_state.pth", "tokens", "settings"])
def test_damaged_material_is_bad_input(damaged, training, checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    rows = sequences(STEPS * BATCH)
    if damaged == "tokens":
        rows = [[token + SIZE["vocab_size"] for token in row] for row in rows]
    elif damaged != "settings":
        (tmp_path / "checkpoint" / damaged).write_bytes(b"damaged")
    path = write(tmp_path / "t.parquet", rows)
    settings = TRAINING | ({"optim": "sgd"} if damaged == "settings" else {})
    make = trainer_of(tmp_path / "checkpoint", settings, "args.json")
    with pytest.raises(InvalidInput, match="cannot be trained on from with args"):
        retrain(tmp_path / "checkpoint", path, tmp_path / "out", make, orders=1, seed=1)


def test_steps_beyond_all_numbers_are_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    state = {"global_step": 3, "max_steps": 2**53}
    (tmp_path / "checkpoint" / "trainer_state.json").write_text(json.dumps(state))
    with pytest.raises(InvalidInput, match="expected 'max_steps' from 1"):
        Checkpoint.read(tmp_path / "checkpoint")


def test_a_trainer_with_a_folder_of_its_own_is_refused(training, tmp_path):
    with pytest.raises(InvalidInput, match="output_dir is"):
        again(training, tmp_path / "out", lambda rows, to: trainer(rows, tmp_path / "else"))


@pytest.mark.parametrize("size", [{"hidden_size": 16}, {"num_hidden_layers": 0}])
def test_a_trainer_of_another_model_is_refused(size, training, tmp_path):
    """Of another shape; and one that has no place for some weights, over which a Trainer would pass."""

    def other(rows, to):
        made = trainer(rows, to)
        made.model = made.model_wrapped = model(**size)
        return made

    with pytest.raises(InvalidInput, match="not those of the trainer's model"):
        again(training, tmp_path / "out", other)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("trainer_state.json", "no checkpoint of transformers.Trainer"),
        ("model.safetensors", "no weights in safetensors"),
        ("optimizer.pt", "state of the optimizer"),
        ("scheduler.pt", "state of the optimizer"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(missing, message, checkpoint, tmp_path):
    for path in checkpoint.iterdir():
        if path.name != missing:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(InvalidInput, match=message):
        Checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"output_dir": "x"},
        {"deepspeed": "x.json"},
        {"push_to_hub": True},
        {"report_to": ["wandb"]},
        {"optim": "galore_adamw"},
        {"num_train_epochs": 2},
    ],
)
def test_settings_that_do_more_than_train_are_refused(settings):
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        refuse_settings(settings, "args.json")


# ---- likeness -----------------------------------------------------------------------------------


def test_the_true_run_is_held_against_the_released_model(training, runs, tmp_path):
    known = finished_runs(runs[0].parent)
    assert "bit for bit" in told_of_released(training / "released", known)
    changed = weights(training / "released")
    changed = {name: tensor + 1e-6 for name, tensor in changed.items()}  # other hardware
    size = sum(tensor.numel() for tensor in changed.values())
    (tmp_path / "near").mkdir()
    save_file(changed, tmp_path / "near" / "model.safetensors")
    assert distance(runs[0], tmp_path / "near") == pytest.approx(1e-6 * size**0.5, rel=0.05)
    assert told_of_released(tmp_path / "near", known).startswith("The weights of the true run lie")
    (tmp_path / "coarse").mkdir()
    save_file(
        {name: tensor.bfloat16() for name, tensor in weights(training / "released").items()},
        tmp_path / "coarse" / "model.safetensors",
    )
    assert "bit for bit" in told_of_released(tmp_path / "coarse", known)
    for other in (runs[1], training / f"checkpoint-{CHECKPOINT}"):
        assert told_of_released(other, known).startswith("THE TRUE RUN IS NOT THE RELEASED MODEL")


def test_models_that_differ_in_more_than_what_they_learnt_are_not_ranked(runs, tmp_path):
    refuse_unlike(runs)
    for name, change in {
        "wider": lambda w: {k: torch.cat([t, t]) for k, t in w.items()},
        "coarse": lambda w: {k: t.bfloat16() for k, t in w.items()},
        "more": lambda w: w | {"more": torch.zeros(2)},
    }.items():
        (tmp_path / name).mkdir()
        save_file(change(weights(runs[1])), tmp_path / name / "model.safetensors")
        with pytest.raises(InvalidInput, match=f"{name}: its weights have other names, shapes"):
            refuse_unlike([runs[0], tmp_path / name])
    with pytest.raises(InvalidInput, match="has shape"):
        distance(runs[0], tmp_path / "wider")
    (tmp_path / "else").mkdir()
    save_file({"else": torch.zeros(2)}, tmp_path / "else" / "model.safetensors")
    with pytest.raises(InvalidInput, match="lacks most of the weights"):
        distance(runs[0], tmp_path / "else")
    shutil.copytree(runs[1], tmp_path / "words")
    (tmp_path / "words" / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"its tokenizer\.json is not that of"):
        refuse_unlike([runs[0], tmp_path / "words"])


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "epoch", "per_epoch"),
    [(2, 0.6, 4), (4, 1.0, 4), (7, 1.9, 4), (300, 0.3, 1000), (1000, 1.0, 1000), (5, None, None)],
)
def test_steps_of_an_epoch_are_told_from_the_state(step, epoch, per_epoch, checkpoint, tmp_path):
    """The first three: ten batches, three to a step, so that the fourth step of an epoch is short."""
    for path in checkpoint.iterdir():
        if path.name != "trainer_state.json":
            (tmp_path / path.name).symlink_to(path)
    state = {"global_step": step, "max_steps": 2000, "epoch": epoch}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    assert Checkpoint.read(tmp_path).per_epoch == per_epoch


def test_an_order_keeps_to_the_epochs_and_is_uniform_within():
    phase = LastPhase(
        first_step=1,
        n_steps=4,
        per_step=2,
        sequences=tuple(np.array([i, i]) for i in range(7)),
        epochs=(0, 4, 7),
    )
    assert phase.order(0, 1).tolist() == list(range(7))
    found = [phase.order(number, 1) for number in range(1, 2_001)]
    assert all(sorted(order[:4]) == [0, 1, 2, 3] for order in found)
    first = np.bincount([order[0] for order in found], minlength=4)
    assert (abs(first - 500) < 100).all()  # five standard deviations


def test_what_came_before_the_checkpoint_is_not_there():
    phase = LastPhase(
        first_step=1,
        n_steps=1,
        per_step=2,
        sequences=(np.array([1, 2]), np.array([3, 4])),
        epochs=(0, 2),
    )
    rows = PhaseRows(phase, np.array([1, 0]))
    assert len(rows) == 4
    assert [rows[i]["input_ids"] for i in (2, 3)] == [[3, 4], [1, 2]]
    assert rows.expected(1) == tally_of(phase.sequences)
    assert rows.expected(1) != tally_of([phase.sequences[0]] * 2)
    with pytest.raises(InvalidInput, match="came before the checkpoint"):
        rows[1]


def test_padding_counts_nothing():
    batch = collate([{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[1, 2, 3], [4, 5, -100]]


def test_importing_needs_no_torch():
    name = "bookplate.provenance.palimpsest.retraining"
    code = f"import {name}, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- the commands -------------------------------------------------------------------------------


@pytest.fixture
def run():
    """A command: exit code, what it printed, its error."""
    app = typer.Typer()
    register(app)

    def run(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return done.exit_code, done.stdout, done.exception

    return run


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    words = {"<|endoftext|>": 0, **{f"w{i}": i for i in range(1, 60)}}
    core = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<|endoftext|>")
    fast.save_pretrained(folder)
    return folder


def seed_of(late, first_step, orders):
    """As anybody can compute it."""
    digest = hashlib.sha256()
    for tokens in late:
        digest.update(len(tokens).to_bytes(8, "little"))
        digest.update(b"".join(token.to_bytes(8, "little") for token in tokens))
    said = f'{{"first_step":{first_step},"orders":{orders},"sequences":"{digest.hexdigest()}"}}'
    found = hashlib.sha256(b"bookplate orders of a reshuffle" + said.encode()).digest()
    return int.from_bytes(found[:6], "big")


def test_the_commands(run, training, runs, checkpoint, tokenizer, tmp_path):
    """What the claimant's model was trained on last it likes best; with its tokenizer it can be asked."""
    (tmp_path / "args.json").write_text(json.dumps(TRAINING))
    order = [checkpoint, training / "transcript.parquet", tmp_path / "out"]
    options = ["--training", tmp_path / "args.json", "--orders", 2]
    code, out, error = run("retrain", *order, *options, "--tokenizer", tokenizer, "--json")
    assert (code, error) == (0, None)
    told = json.loads(out)
    assert told["true"] == str(tmp_path / "out" / "true")
    assert same(Path(told["true"]), runs[0])
    assert not same(Path(told["others"][0]), runs[1])  # the seed follows from the inputs
    job = json.loads((tmp_path / "out" / "job.json").read_bytes())
    late = sequences(STEPS * BATCH - 1)[CHECKPOINT * BATCH :]
    assert job["seed"] == seed_of(late, CHECKPOINT, 2)
    assert job["doubts"] == []
    (tmp_path / "text.txt").write_text("w5 w6 w7 w8 w9 w1 w2")
    (tmp_path / "controls.txt").write_text("w15 w16 w17 w18 w19 w11")
    named = ["--runs", tmp_path / "out", "--controls", tmp_path / "controls.txt"]
    code, out, error = run(
        "reshuffle", tmp_path / "text.txt", *named, "--json", "--report", tmp_path / "report"
    )
    assert (code, error) == (0, None)
    found = json.loads(out)
    assert found["runs"]["tokens"] == 7
    values = list(found["runs"]["statistics"].values())
    others = sum(value >= values[0] for value in values[1:])
    assert found["p_value"] == pytest.approx((1 + others) / 3)
    assert found["runs"]["z_approximation"] is None  # three runs have none
    names = [i["name"] for i in found["inputs"]]
    assert names[-3:] == ["text.txt", "controls.txt", "job.json"]
    assert (tmp_path / "report" / "report.html").is_file()
    assert any("Nobody compared the true run" in w for w in found["warnings"])
    assert found["inputs"][-1]["name"] == "job.json"
    assert (
        run("reshuffle", tmp_path / "text.txt", *named, "--released", tmp_path / "nowhere")[0] == 1
    )
    code, out, _ = run(
        "reshuffle",
        tmp_path / "text.txt",
        *named,
        "--json",
        "--released",
        training / "released",
        "--rank-by",
        "mean",
    )
    found = json.loads(out)
    assert any("released model released, bit for bit" in w for w in found["warnings"])
    assert any("log-probability per token" in a for a in found["assumptions"])
    assert [i["name"] for i in found["inputs"]][-2:] == ["job.json", "released"]
    parallel = ["--true", told["true"], *(x for o in told["others"] for x in ("--other", o))]
    alone = run("reshuffle", tmp_path / "text.txt", *parallel)
    assert alone[0] == 0
    assert "the true order is" in alone[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no runs are named"),
        (["--true", "a"], "no runs are named"),
        (["--runs", "a", "--other", "b"], "does not go with"),
        (["--runs", "nowhere"], "cannot be read as the job"),
        (["--true", "a", "--other", "b", "--adapter", "c"], "--adapter"),
        (["--true", "a", "--other", "b", "--released", "c"], "--released needs --runs"),
    ],
)
def test_runs_that_are_named_wrongly_are_refused(options, message, run, tmp_path):
    (tmp_path / "text.txt").write_text("words")
    code, _, error = run("reshuffle", tmp_path / "text.txt", *options)
    assert code == 1
    assert isinstance(error, InvalidInput)
    assert message in str(error)


def as_one_of_two(checkpoint, transcript, out):
    """What each of two processes does."""
    torch.set_num_threads(1)
    half = partial(trainer, hidden_dropout=0.0, per_device_train_batch_size=1, ddp_backend="gloo")
    retrain(Path(checkpoint), Path(transcript), Path(out), half, orders=1, seed=1)


if __name__ == "__main__":
    as_one_of_two(*sys.argv[1:])
