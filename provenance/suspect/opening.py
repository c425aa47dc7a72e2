"""From what the user names to a suspect."""

from pathlib import Path

from ...errors import InvalidInput
from .base import Suspect

__all__ = ["open_suspect"]


def open_suspect(name: str, *, device: str = "auto") -> Suspect:
    """Reach a model by a folder of weights or by the name of a public model.

    Args:
        name: Path of a folder with safetensors weights, or `owner/model` on the Hugging Face hub.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto` (the first GPU there is, else the CPU).

    Returns:
        The suspect.

    Raises:
        InvalidInput: If there is no such model, its weights are missing or pickled, or it asks to
            run code of its own.
    """
    if name.startswith(("http://", "https://")) or name.endswith(".parquet"):
        raise InvalidInput(
            f"{name}: this version reaches models by their weights only",
            "give a folder with safetensors weights, or owner/model on the Hugging Face hub",
        )
    from .local import TransformersSuspect

    path = Path(name)
    if not path.exists() and (name.count("/") != 1 or name.startswith(("/", ".", "~"))):
        raise InvalidInput(
            f"{name}: no such folder", "give a model folder, or owner/model on the hub"
        )
    return TransformersSuspect.open(name, device=device)
