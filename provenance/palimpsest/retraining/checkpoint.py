"""A checkpoint of `transformers.Trainer`, looked at without loading it."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from ....errors import InvalidInput
from ....files import read_json, sha256_of_file

__all__ = ["TRAINING_ARGS", "Checkpoint"]

TRAINING_ARGS = "training_args.bin"  # a pickle, which could run code: never read, never kept
_STATE = "trainer_state.json"
_MOST_STEPS = 2**53 - 1  # JSON has no larger integers
_NEARLY = 1e-6  # epochs are written as rounded fractions


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says of itself.

    Attributes:
        folder: Where it lies.
        step: Optimizer steps that were made; the next one has this number in a transcript.
        planned: Optimizer steps of the whole training, on which a learning rate schedule may depend.
        per_epoch: Optimizer steps of an epoch; None if the state does not tell.
    """

    folder: Path
    step: int
    planned: int
    per_epoch: int | None

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint":
        """Look at a checkpoint; nothing but its JSON state is read.

        Raises:
            InvalidInput: If it is none, has pickled weights, or lacks the optimizer's or scheduler's state.
        """
        if not (folder / _STATE).is_file():
            raise InvalidInput(
                f"{folder}: no checkpoint of transformers.Trainer ({_STATE} is missing)",
                "name a folder checkpoint-N",
            )
        if not any(folder.glob("*.safetensors")):
            raise InvalidInput(
                f"{folder}: no weights in safetensors; pickled ones could run hostile code",
                "save the checkpoint in safetensors",
            )
        has_optimizer = any(folder.glob("*optimizer*")) or any(folder.glob("global_step*"))
        if not has_optimizer or not (folder / "scheduler.pt").is_file():
            raise InvalidInput(
                f"{folder}: the state of the optimizer or of the scheduler is missing",
                "the training cannot go on from weights alone; save without save_only_model",
            )
        state = read_json(folder / _STATE, "the state of a Trainer")
        step, planned = (_positive(state.get(name), name, folder) for name in _COUNTS)
        return cls(
            folder=folder,
            step=step,
            planned=planned,
            per_epoch=_per_epoch(step, state.get("epoch")),
        )

    def digest(self) -> str:
        """SHA-256 over names and digests of all its files but the pickled arguments; reads every byte."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            if path.name != TRAINING_ARGS:
                name = path.relative_to(self.folder).as_posix()
                digest.update(f"{sha256_of_file(path)}  {name}\n".encode())
        return digest.hexdigest()


_COUNTS = ("global_step", "max_steps")


def _per_epoch(step: int, epoch: object) -> int | None:
    """Steps of an epoch, of which the last may be a short one, from a step and its place in epochs."""
    if not isinstance(epoch, int | float) or not 0 < epoch < math.inf:
        return None
    return math.ceil(step / epoch - _NEARLY)


def _positive(value: object, name: str, folder: Path) -> int:
    if type(value) is not int or not 0 < value <= _MOST_STEPS:
        raise InvalidInput(
            f"{folder / _STATE}: expected '{name}' from 1 to 2**53 - 1, got {value!r}"
        )
    return value
