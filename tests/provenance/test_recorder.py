"""The recorder: what it writes is what the model's forward got, token by token, in every setting."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.palimpsest.recording import Rank, Recorder, inspect_recording, seal
from transformers import TrainerCallback

CHILD = Path(__file__).with_name("training_child.py")


def loaded(path):
    spec = importlib.util.spec_from_file_location("training_child", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = loaded(CHILD)
TRAINING = {"num_train_epochs": 2, "dataloader_pin_memory": False}


def batch(*sequences):
    return child.padded([list(sequence) for sequence in sequences])


def take(recorder, *sequences):
    recorder.add(batch(*sequences)["input_ids"], batch(*sequences)["attention_mask"])


def small_model():
    return child.Witness(child.GPTNeoXConfig(**child.SIZE))


# ---- the trainer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"gradient_accumulation_steps": 3},  # ten batches: the last step has one
        {"dataloader_num_workers": 2},
        {"eval_strategy": "steps", "eval_steps": 2},
    ],
    ids=["plain", "accumulation", "workers", "evaluation"],
)
def test_the_transcript_is_what_forward_got(setting, tmp_path, sealed):
    with Recorder(tmp_path / "run", seed=5) as taker:
        job = child.trainer(tmp_path / "out", taker, **TRAINING, **setting)
        job.train()
    assert len(job.model.seen) == 80
    assert sealed(tmp_path / "run") == job.model.seen
    assert inspect_recording(tmp_path / "run").ended


def test_activations_that_are_computed_again_are_no_second_training(tmp_path, sealed):
    model = small_model()
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # older versions
    next(getattr(model, name) for name in names if hasattr(model, name))()
    with Recorder(str(tmp_path / "run"), seed=5) as taker:
        child.trainer(tmp_path / "out", taker, model, **TRAINING).train()
    assert sealed(tmp_path / "run") == model.seen


class Trouble(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_substep_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise RuntimeError("trouble")


def failed(job, step):
    """Train until an exception within this step."""
    job.add_callback(Trouble(step))
    with pytest.raises(RuntimeError, match="trouble"):
        job.train()
    return job.model


@pytest.mark.parametrize("again", ["same recorder", "new recorder", "forgotten recorder"])
def test_a_resumed_run_supersedes_what_came_after_its_checkpoint(again, tmp_path, sealed):
    """Checkpoints are of steps 3 and 6; the first training fails in step 7, of 10."""
    options = {**TRAINING, "gradient_accumulation_steps": 2}
    taker = Recorder(tmp_path / "run", seed=5)
    model = failed(child.trainer(tmp_path / "out", taker, **options), 7)
    first = [line for line in model.seen if line[0] < 6]
    assert len(model.seen) > len(first) + 8
    model.seen = []
    if again == "new recorder":
        taker.close()
    if again != "same recorder":  # a forgotten one still watches the model
        taker = Recorder(tmp_path / "run")
    job = child.trainer(tmp_path / "out", taker, model, **options)
    job.train(resume_from_checkpoint=True)
    assert model.seen[0][0] == 6
    assert sealed(tmp_path / "run") == first + model.seen
    summary = inspect_recording(tmp_path / "run")
    assert (summary.n_attempts, len(summary.parts), summary.stop) == (2, 2, 10)


def test_the_history_is_that_of_the_checkpoint_not_of_the_clock(tmp_path, sealed):
    """A training from the first checkpoint that came to nothing takes nothing from the second's history."""
    options = {**TRAINING, "max_steps": 8}
    with Recorder(tmp_path / "run", seed=5) as taker:
        model = failed(
            child.trainer(tmp_path / "out", taker, gradient_accumulation_steps=2, **options), 7
        )
        first = [line for line in model.seen if line[0] < 6]
        checkpoints = [str(tmp_path / "out" / f"checkpoint-{step}") for step in (3, 6)]
        other = child.trainer(
            tmp_path / "other", taker, gradient_accumulation_steps=2, **options, save_strategy="no"
        )
        other.add_callback(Trouble(4))
        with pytest.raises(RuntimeError, match="trouble"):
            other.train(resume_from_checkpoint=checkpoints[0])
        job = child.trainer(tmp_path / "out", taker, gradient_accumulation_steps=2, **options)
        job.train(resume_from_checkpoint=checkpoints[1])
    assert [part.span.attempt.number for part in inspect_recording(tmp_path / "run").parts] == [
        1,
        3,
    ]
    assert sealed(tmp_path / "run") == first + job.model.seen


def run_child(*arguments, command=(sys.executable,)):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, CHILD, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


def witnessed(folder, rank=0):
    lines = (folder / f"witness-{rank}.jsonl").read_text().splitlines()
    return [tuple(json.loads(line)) for line in lines]


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_by_kill_9(tmp_path, sealed):
    done = run_child(tmp_path, "--kill-at", 8)
    assert done.returncode == -9, done.stderr
    before = witnessed(tmp_path)
    assert max(before)[0] == 8
    summary = inspect_recording(tmp_path / "run")
    assert (summary.stop, summary.ended) == (8, False)  # the step it died in moved no weight
    options = {**TRAINING, "gradient_accumulation_steps": 2}
    with Recorder(tmp_path / "run") as taker:
        job = child.trainer(tmp_path / "out", taker, **options)
        job.train(resume_from_checkpoint=True)
    expected = [line for line in before if line[0] < 6] + job.model.seen
    assert len(expected) == 80
    assert sealed(tmp_path / "run") == expected


@pytest.mark.slow
def test_ranks_are_merged_in_order(tmp_path, sealed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    done = run_child(tmp_path, command=(sys.executable, *launch))
    assert done.returncode == 0, done.stderr
    seen = [witnessed(tmp_path, rank) for rank in (0, 1)]
    expected = []
    for step in range(1 + max(seen[0])[0]):
        ranks = [[tokens for at, tokens in lines if at == step] for lines in seen]
        for micro in range(0, max(map(len, ranks)), 4):  # four sequences per micro-batch
            expected += [(step, row) for lines in ranks for row in lines[micro : micro + 4]]
    assert sum(map(len, seen)) == len(expected) == 80
    assert not {str(row) for _, row in seen[0][:20]} & {str(row) for _, row in seen[1][:20]}
    assert sealed(tmp_path / "run") == expected


def test_splitting_a_sequence_over_devices_is_refused(tmp_path):
    with Recorder(tmp_path / "run", seed=5) as taker:
        job = child.trainer(tmp_path / "out", taker, **TRAINING)
        job.model._tp_size = 2
        with pytest.raises(InvalidInput, match="splits a sequence or a model"):
            job.train()


@pytest.mark.parametrize("seeds", [{"seed": 6}, {"seed": 5, "data_seed": 6}])
def test_a_shuffle_by_another_seed_is_refused(seeds, tmp_path):
    """The commitment would bind nothing; whoever draws the order otherwise says so in words."""
    with Recorder(tmp_path / "run", seed=5) as taker:
        job = child.trainer(tmp_path / "out", taker, **TRAINING, **seeds)
        with pytest.raises(InvalidInput, match="another seed than was committed"):
            job.train()
    with Recorder(tmp_path / "told", seed=5, order="by a sampler of ours") as taker:
        child.trainer(tmp_path / "out", taker, max_steps=1, **TRAINING, **seeds).train()


def test_a_model_that_is_not_seen_is_refused_at_once(tmp_path):
    with Recorder(tmp_path / "run", seed=5) as taker:
        job = child.trainer(tmp_path / "out", taker, **TRAINING)
        job.compute_loss = lambda model, inputs, **_: model.forward(**inputs).loss
        with pytest.raises(InvalidInput, match="step 0 was made without a sequence"):
            job.train()


# ---- loops of one's own ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["wrap", "watch"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_is_recorded(way, workers, tmp_path, sealed):
    """Two epochs, accumulation over two batches; the last batch of an epoch is fetched but not used."""
    model = small_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(
        child.sequences(36),
        batch_size=4,
        shuffle=True,
        collate_fn=child.padded,
        num_workers=workers,
    )
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        taker.follow(optimizer)
        batches = taker.wrap(loader) if way == "wrap" else loader
        if way == "watch":
            taker.watch(model)
        assert len(batches) == 9
        assert batches.batch_size == 4
        for _ in range(2):
            for number, inputs in enumerate(batches):
                if number == 8:
                    taker.discard()
                    break
                model(**inputs).loss.backward()
                seen = list(model.seen)
                with torch.no_grad():
                    model(**inputs)  # looking is no training
                model.seen = seen
                if number % 2:
                    optimizer.step()
                    model.at_step += 1
        taker.end()
    assert len(model.seen) == 64
    assert sealed(tmp_path / "run") == model.seen


@pytest.mark.parametrize("watched", ["before", "after"])
def test_a_compiled_model_is_recorded(watched, tmp_path, sealed):
    model = child.GPTNeoXForCausalLM(child.GPTNeoXConfig(**child.SIZE)).train()
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        if watched == "before":
            taker.watch(model)
        compiled = torch.compile(model, backend="eager")
        if watched == "after":
            taker.watch(model)
        for step in range(3):
            compiled(**batch([step, 1, 2], [step, 3, 4])).loss.backward()
            taker.step()
    expected = [(step, row) for step in range(3) for row in ([step, 1, 2], [step, 3, 4])]
    assert sealed(tmp_path / "run") == expected


def test_batches_that_no_step_followed_are_left_out(tmp_path, sealed):
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        take(taker, [1, 2], [3, 4])
        taker.step()
        take(taker, [5, 6])
    assert sealed(tmp_path / "run") == [(0, [1, 2]), (0, [3, 4])]


def test_a_batch_may_be_changed_after_it_was_taken_down(tmp_path, sealed):
    ids = torch.tensor([[1, 2, 3]])
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        taker.add(ids)
        ids.zero_()
        taker.step()
    assert sealed(tmp_path / "run") == [(0, [1, 2, 3])]


def test_a_model_is_watched_by_the_last_one_only(tmp_path):
    """What a training that failed left behind must not fill memory beside the next."""
    model = small_model().train()
    forgotten, taker = (Recorder(tmp_path / name, seed=5) for name in ("a", "b"))
    for each in (forgotten, taker):
        each.start()
        each.watch(model)
    model(**batch([1, 2]))
    taker.step()
    with pytest.raises(InvalidInput, match="without a sequence"):
        forgotten.step()
    forgotten.close()
    model(**batch([3, 4]))
    taker.step()
    taker.close()
    model(**batch([5, 6]))


def test_a_checkpoint_state_names_its_training(tmp_path, sealed):
    """As for the trainer: start 3 goes on from start 1, of which it has the state."""
    taker = Recorder(tmp_path / "run", seed=5)
    taker.start()
    for step in range(4):
        take(taker, [step, 100])
        taker.step()
    state = taker.state_dict()
    taker.start(1)
    take(taker, [1, 200])
    taker.step()
    taker.start(3, checkpoint=state)
    take(taker, [3, 300])
    taker.step()
    taker.close()
    assert sealed(tmp_path / "run") == [*((i, [i, 100]) for i in range(3)), (3, [3, 300])]
    assert "5" not in json.dumps(state["attempt"])


def test_without_a_state_the_newest_training_goes_on(tmp_path, sealed):
    taker = Recorder(tmp_path / "run", seed=5)
    for first in (0, 2, 1):
        taker.start(first)
        for step in range(first, 4):
            take(taker, [step, first])
            taker.step()
    taker.close()
    assert sealed(tmp_path / "run") == [(0, [0, 0]), *((i, [i, 1]) for i in (1, 2, 3))]


def test_training_may_have_begun_elsewhere(tmp_path, sealed):
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start(100, checkpoint={"recording": "another", "attempt": 7})
        take(taker, [1, 2])
        taker.step()
    assert sealed(tmp_path / "run") == [(100, [1, 2])]
    assert inspect_recording(tmp_path / "run").first_step == 100


def test_misuse_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="without the shuffle seed"):
        Recorder(tmp_path / "run")
    with pytest.raises(InvalidInput, match="shuffle seed in"):
        Recorder(tmp_path / "run", seed=2**53)
    taker = Recorder(tmp_path / "run", seed=5)
    for act in (taker.step, taker.end, taker.state_dict, lambda: take(taker, [1, 2])):
        with pytest.raises(InvalidInput, match="has not been started"):
            act()
    with pytest.raises(InvalidInput, match="another seed"):
        Recorder(tmp_path / "run", seed=6)
    with pytest.raises(InvalidInput, match="nothing has been recorded"):
        seal(tmp_path / "run")
    taker.start()
    with pytest.raises(InvalidInput, match="without a sequence"):
        taker.step()
    with pytest.raises(InvalidInput, match="is a tuple"):
        next(iter(taker.wrap([(1, 2)])))
    with pytest.raises(InvalidInput, match="no 'input_ids'"):
        next(iter(taker.wrap([{"x": 1}])))
    with pytest.raises(InvalidInput, match="start 9 is not in"):
        inspect_recording(tmp_path / "run", attempt=9)
    taker.close()
    with pytest.raises(InvalidInput, match="no whole step"):
        seal(tmp_path / "run")
    with pytest.raises(InvalidInput, match="holds no recording"):
        inspect_recording(tmp_path / "none")
    with pytest.raises(InvalidInput, match="no process group"):
        Recorder(tmp_path / "run", rank=Rank(0, 2)).start()
    with pytest.raises(InvalidInput, match="below the world size"):
        Rank(2, 2)


def test_a_second_process_is_refused(tmp_path):
    taker = Recorder(tmp_path / "run", seed=5)
    taker.start()
    take(taker, [1, 2])
    taker.step()
    taker.close()
    lock = tmp_path / "run" / "private" / "journals" / "rank-00000.lock"
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX)"
    code = f"{hold}; print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(InvalidInput, match="another process is recording"):
            taker.start(1)
    finally:
        other.kill()
        other.communicate()
    # What was refused is no start: it would be the newest, and pass for what made the model.
    assert inspect_recording(tmp_path / "run").n_attempts == 1
    taker.start(1)
    taker.close()


def test_a_recording_that_was_killed_while_it_was_begun_is_gone_on_with(tmp_path):
    Recorder(tmp_path / "run", seed=5)
    commitments, opening = (
        tmp_path / "run" / name for name in ("commitments.json", "private/opening.json")
    )
    before, secret = commitments.read_bytes(), opening.read_bytes()
    commitments.unlink()
    with pytest.raises(InvalidInput, match="another seed"):
        Recorder(tmp_path / "run", seed=6)
    Recorder(tmp_path / "run", seed=5)
    assert (commitments.read_bytes(), opening.read_bytes()) == (before, secret)
