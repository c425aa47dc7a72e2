"""Seeing to it that a Trainer starts from the weights of its checkpoint.

It loads them by their names in memory, and passes over names that it does not find. Where transformers saves
a weight under another name, as version 5 does for the last layer of GPT-NeoX, that weight would keep its
random first values, and the training would go on from another model.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from ....errors import InvalidInput
from ...suspect.local.devices import first_line

if TYPE_CHECKING:
    from transformers import Trainer

__all__ = ["load_all_weights"]


def load_all_weights(trainer: "Trainer") -> None:
    """Make a trainer load every weight of a checkpoint that it resumes from.

    Raises:
        InvalidInput: In `Trainer.train`, if a weight of the checkpoint has no place in the model.
    """
    by_name = trainer._load_from_checkpoint

    def load(folder: str, model: Any = None) -> None:
        target = trainer.model if model is None else model
        try:
            by_name(folder, *(() if model is None else (model,)))
        except RuntimeError as error:  # shapes differ
            raise _other_model(folder, error) from error
        if _names_in(Path(folder)) - set(target.state_dict()):
            _load_as_saved(target, folder)

    trainer._load_from_checkpoint = load


def _names_in(folder: Path) -> set[str]:
    """Names of all weights of a model; none where a Trainer has its own way, as for adapters."""
    found: set[str] = set()
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= set(file.keys())
    return found


def _load_as_saved(model: Any, folder: str) -> None:
    """Load a checkpoint as `from_pretrained` does, which knows the names that `save_pretrained` gives."""
    try:
        saved = type(model).from_pretrained(folder, use_safetensors=True, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())
    except Exception as error:  # transformers raises whatever its backends raise
        raise _other_model(folder, error) from error


def _other_model(folder: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{folder}: its weights are not those of the trainer's model: {first_line(error)}",
        "make the trainer with the model that was trained",
    )
