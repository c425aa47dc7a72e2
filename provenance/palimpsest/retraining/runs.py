"""Making the runs, one after the other."""

import gc
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....errors import InvalidInput
from ....files import canonical_json
from ..recording.ranks import Rank
from ..transcript import TranscriptSource
from .checkpoint import Checkpoint
from .doubts import doubts_about
from .folders import MOST_ORDERS, RunFolders
from .phase import LastPhase, PhaseRows

if TYPE_CHECKING:
    from transformers import Trainer

__all__ = ["MakeTrainer", "retrain"]

_CHOSEN = (
    "The seed of the other orders was chosen by whoever made the runs: nothing shows that no others were "
    "tried before."
)

MakeTrainer = Callable[[PhaseRows, Path], "Trainer"]

# What a Trainer calls things, how often it speaks and saves: nothing that decides the weights.
_IRRELEVANT = ("output_dir", "run_name", "local_rank", "disable_tqdm", "report_to", "project")
_IRRELEVANT_PREFIXES = ("logging_", "save_", "eval_", "hub_", "push_to_", "log_", "trackio_")


def retrain(
    checkpoint: Path,
    transcript: Path,
    out: Path,
    make_trainer: MakeTrainer,
    *,
    orders: int = 19,
    seed: int | None = None,
    tokenizer: Path | None = None,
    progress: Callable[[str], object] = lambda words: None,
) -> tuple[Path, ...]:
    """Train what followed a checkpoint again, in the true order and in K others.

    Each run starts from the checkpoint's weights, optimizer, schedule and random state, and differs from the
    others in nothing but the order of the sequences, which is checked while it trains. The run in the
    true order is made anew as well: a model that was trained elsewhere, on other hardware, may differ from
    all of them alike. Several processes (torchrun) must all make this call. Called again after a kill or
    an error it skips what is finished, and goes on from the last checkpoint of what is not.

    Args:
        checkpoint: Folder `checkpoint-N` of a Trainer, with safetensors weights.
        transcript: Transcript of tokens, of at least the steps after the checkpoint; steps count from 0.
        out: Folder for the runs.
        make_trainer: Called with the dataset, whose items are `{"input_ids": [...]}`, and the folder for the
            Trainer's checkpoints, its `output_dir`; gives a new `transformers.Trainer` with the
            training's own arguments, model and collator (`settings.collate` is one). It must not shuffle,
            and have the number of sequences per step that the transcript has. Unless it sets
            `max_steps`, the checkpoint says how many steps the training had.
        orders: How many other orders, K. The p-value cannot fall below 1 / (K + 1).
        seed: Seed of the orders. By default it follows from the sequences, the step they begin with, and K:
            who wants to try another must take another checkpoint or K. One that was chosen is told of in
            every finding.
        tokenizer: Folder whose tokenizer is laid beside each model; default: the checkpoint's.
        progress: Called with a few words when a run begins.

    Returns:
        The folders of the runs, the one in the true order first.

    Raises:
        InvalidInput: If checkpoint, transcript, trainer and folder do not fit each other, or the model was
            trained on something else than the run's sequences in their order.
        InsufficientEvidence: If there is no order to change.
    """
    refuse_other_orders(orders)
    if seed is not None and not 0 <= seed < 2**53:
        raise InvalidInput(f"expected a seed in [0, 2**53), got {seed}")
    start, source = Checkpoint.read(checkpoint), TranscriptSource.open(transcript)
    phase = LastPhase.read(source, start)
    folders, rank = RunFolders(out, orders), Rank.own()
    doubts = [*doubts_about(phase), *([] if seed is None else [_CHOSEN])]
    for doubt in doubts:
        progress(doubt)
    inputs: dict[str, object] = {
        "checkpoint": start.digest(),
        "transcript": source.identity().sha256,
    }
    if seed is None:
        seed = _seed_of(phase, orders)
    inputs |= {"seed": seed, "doubts": doubts}
    finished = [folders.run(number).is_dir() for number in range(orders + 1)]
    # If none is left, one trainer is made all the same, to see that the job is this one.
    left = [number for number, done in enumerate(finished) if not done] or [0]
    with folders.locked() if rank.number == 0 else nullcontext():
        for number in left:
            progress(f"training {folders.name(number)}")
            rows = PhaseRows(phase, phase.order(number, seed))
            trainer = make_trainer(rows, folders.work(number))
            refuse_other_training(trainer, start, phase, folders.work(number))
            job = {**inputs, "arguments": _arguments(trainer)}
            rank.agree(partial(folders.begin, job))
            if not finished[number]:
                _run(trainer, rows, start, folders, number, tokenizer or checkpoint)
            del trainer
            gc.collect()  # a Trainer and its model refer to each other
        if rank.number == 0:
            folders.clear()
    return tuple(folders.run(number) for number in range(orders + 1))


def _seed_of(phase: LastPhase, orders: int) -> int:
    """The seed that follows from what is trained on, and from K: more orders, once seen, cannot be added."""
    said = {"sequences": phase.digest(), "first_step": phase.first_step, "orders": orders}
    found = hashlib.sha256(b"bookplate orders of a reshuffle" + canonical_json(said))
    return int.from_bytes(found.digest()[:6])  # 48 bits, exact as a JSON number


def _run(
    trainer: "Trainer",
    rows: PhaseRows,
    start: Checkpoint,
    folders: RunFolders,
    number: int,
    tokenizer: Path,
) -> None:
    """Train one run to its end, and publish it."""
    from torch.utils.data import SequentialSampler

    from .weights import load_all_weights
    from .witness import COMPLETE, OrderWitness, wait_for_all

    load_all_weights(trainer)
    trainer._get_train_sampler = lambda *_: SequentialSampler(rows)
    trainer.add_callback(OrderWitness(rows))
    own = folders.last_checkpoint(number, COMPLETE, end=rows.phase.end)
    last = own or start.folder
    trainer.train(resume_from_checkpoint=str(last))
    if trainer.state.global_step != rows.phase.end:
        raise InvalidInput(
            f"{folders.name(number)}: training ended after step {trainer.state.global_step:,} of "
            f"{rows.phase.end:,}",
            "no callback may end it early",
        )
    model = folders.work(number) / "model"
    is_first = trainer.is_world_process_zero()
    if is_first:
        shutil.rmtree(model, ignore_errors=True)
    wait_for_all()
    trainer.save_model(str(model))
    wait_for_all()
    if is_first:
        folders.publish(number, model, tokenizer)
    wait_for_all()


def refuse_other_orders(orders: int) -> None:
    """Refuse a number of other orders that makes no test.

    Raises:
        InvalidInput: If it is none.
    """
    if not 1 <= orders <= MOST_ORDERS:
        raise InvalidInput(f"expected 1 to {MOST_ORDERS:,} other orders, got {orders}")


def refuse_other_training(
    trainer: "Trainer", start: Checkpoint, phase: LastPhase, work: Path
) -> None:
    """Refuse a trainer that would not repeat the training; tell it how long that was."""
    args = trainer.args
    if Path(args.output_dir).resolve() != work.resolve():
        raise InvalidInput(
            f"the trainer's output_dir is {args.output_dir}", "use the folder that is handed over"
        )
    for name in ("ignore_data_skip", "load_best_model_at_end", "auto_find_batch_size"):
        if getattr(args, name, False):
            raise InvalidInput(
                f"the trainer has {name}: its runs would not be alike", "leave it out"
            )
    if not getattr(args, "save_safetensors", True):
        raise InvalidInput("the trainer saves pickled weights", "leave save_safetensors on")
    if args.n_gpu > 1:
        raise InvalidInput(
            f"{args.n_gpu} GPUs in one process cannot be watched", "use torchrun, a process per GPU"
        )
    sizes = (args.per_device_train_batch_size, args.gradient_accumulation_steps, args.world_size)
    batch, accumulation, processes = sizes
    if batch * accumulation * processes != phase.per_step:
        raise InvalidInput(
            f"a step of the transcript has {phase.per_step:,} sequences, one of the trainer {batch} x "
            f"{accumulation} x {processes} (batch size, accumulation, processes)",
            "set them as they were in training; only their product counts",
        )
    if processes > 1 and len(phase.sequences) % phase.per_step:
        raise InvalidInput(
            "the last step has fewer sequences than the others; several processes cannot share them",
            "train in one process, or end the transcript one step earlier",
        )
    if args.max_steps <= 0:
        args.max_steps = start.planned
    if args.max_steps < phase.end:
        raise InvalidInput(
            f"the transcript has {phase.end:,} steps, the training was planned for {args.max_steps:,}",
            "set max_steps to the number that the training had in the end",
        )


def _arguments(trainer: "Trainer") -> Mapping[str, Any]:
    """What decides the weights beside the data, as JSON."""
    args = trainer.args
    told = {
        name: value
        for name, value in args.to_dict().items()
        if name not in _IRRELEVANT and not name.startswith(_IRRELEVANT_PREFIXES)
    }
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    told |= {"processes": args.world_size, "device": _device(args.device), **versions}
    try:
        plain: Mapping[str, Any] = json.loads(json.dumps(told, default=str, allow_nan=False))
    except ValueError as error:
        raise InvalidInput("the trainer's arguments hold a number that is none") from error
    return plain


def _device(device: Any) -> str:
    """What computes: runs that are rounded in different ways must not be compared."""
    import torch

    if device.type != "cuda":
        return str(device.type)
    return f"cuda: {torch.cuda.get_device_name(device)}"
