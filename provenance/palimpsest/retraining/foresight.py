"""What retraining will take, before it begins: steps counted as the runs count them, time from one batch."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..transcript import TranscriptSource
from .checkpoint import Checkpoint
from .folders import RunFolders
from .phase import LastPhase, PhaseRows
from .runs import MakeTrainer, refuse_other_orders, refuse_other_training

if TYPE_CHECKING:
    from transformers import Trainer

__all__ = ["Outlook", "outlook"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a retraining will take.

    Attributes:
        runs: Runs in all, the one in the true order among them.
        finished: Those that are there already.
        steps: Steps of one run.
        sequences: Sequences of one run.
        tokens: Their tokens.
        batch_seconds: What one batch took here, forwards and backwards.
        batches_per_step: Batches of one step on this process.
    """

    runs: int
    finished: int
    steps: int
    sequences: int
    tokens: int
    batch_seconds: float
    batches_per_step: int

    @property
    def seconds(self) -> float:
        """Estimate for all runs that are left; optimizer steps, saving and evaluation come on top."""
        left = self.runs - self.finished
        return left * self.steps * self.batches_per_step * self.batch_seconds


def outlook(
    checkpoint: Path, transcript: Path, out: Path, make_trainer: MakeTrainer, *, orders: int
) -> Outlook:
    """Look at a retraining without beginning it.

    One batch is tried; nothing is written but to a temporary folder. For the arguments, and what is raised,
    see `retrain`.
    """
    refuse_other_orders(orders)
    start, source = Checkpoint.read(checkpoint), TranscriptSource.open(transcript)
    phase = LastPhase.read(source, start)
    folders = RunFolders(out, orders)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        trainer = make_trainer(PhaseRows(phase, phase.order(0, 0)), work)
        refuse_other_training(trainer, start, phase, work)
        seconds = _seconds_of_a_batch(trainer, phase)
    return Outlook(
        runs=orders + 1,
        finished=sum(folders.run(number).is_dir() for number in range(orders + 1)),
        steps=phase.n_steps,
        sequences=len(phase.sequences),
        tokens=sum(map(len, phase.sequences)),
        batch_seconds=seconds,
        batches_per_step=int(trainer.args.gradient_accumulation_steps),
    )


def _seconds_of_a_batch(trainer: "Trainer", phase: LastPhase) -> float:
    """The second of two: the first warms up."""
    import torch

    size = trainer.args.per_device_train_batch_size
    first = phase.first_step * phase.per_step  # what came before it is not at hand
    last = min(first + size, first + len(phase.sequences))
    rows = [trainer.train_dataset[index] for index in range(first, last)]
    model = trainer.model.to(trainer.args.device).train()
    batch = {
        name: value.to(trainer.args.device) for name, value in trainer.data_collator(rows).items()
    }
    took = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        model(**batch).loss.backward()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took = time.perf_counter() - begin
        model.zero_grad()
    return took
