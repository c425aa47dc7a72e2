"""Seeing to it that a model is trained on what it should be, step by step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ....errors import InvalidInput
from ..recording.batches import PendingRows, Rows, copied
from ..recording.watching import watch
from .phase import PhaseRows, Tally, tally_of

__all__ = ["COMPLETE", "OrderWitness", "wait_for_all"]

COMPLETE = "bookplate-complete"  # lies in a checkpoint that all processes have finished


class OrderWitness(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Compares what the model gets with the order of the run, and ends the training with it.

    Args:
        rows: The dataset of the run.

    Raises:
        InvalidInput: In `Trainer.train`, after the first step whose sequences are not those it should have.
    """

    def __init__(self, rows: PhaseRows) -> None:
        self._rows = rows
        self._got: list[Rows | PendingRows] = []
        self._end: Callable[[], None] = lambda: None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch the model; save as often as the trainer was told, not as often as the checkpoint's did."""
        state.compute_steps(args, state.max_steps)
        self._got = []
        self._end = watch(kwargs["model"], lambda ids, mask: self._got.append(copied(ids, mask)))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the step; stop after the last, whatever the schedule had planned."""
        step = state.global_step - 1
        got = _of_all_ranks(self._tally())
        if got != (expected := self._rows.expected(step)):
            self._end()
            raise InvalidInput(
                f"step {step:,}: the model got {got.count:,} sequences that are not the "
                f"{expected.count:,} of this order",
                "the trainer must read its dataset in order, change no token, and tell padding by the "
                "attention mask",
            )
        if state.global_step >= self._rows.phase.end:
            control.should_training_stop = True
            control.should_save = False  # the model itself is saved

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Mark the checkpoint, once every process has written its part."""
        wait_for_all()
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and not args.save_only_model and checkpoint.is_dir():
            (checkpoint / COMPLETE).touch()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let go of the model."""
        self._end()

    def _tally(self) -> Tally:
        arrived = [part.rows() if isinstance(part, PendingRows) else part for part in self._got]
        self._got = []
        tally = Tally()
        for rows in arrived:
            begin = 0
            for length in rows.lengths.tolist():
                tally += tally_of([rows.tokens[begin : begin + length]])
                begin += length
        return tally


def wait_for_all() -> None:
    """Come together with the other processes, if there are any."""
    if _several():
        distributed.barrier()


def _several() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


def _of_all_ranks(own: Tally) -> Tally:
    if not _several():
        return own
    parts: list[Tally] = [own] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return sum(parts, Tally())
