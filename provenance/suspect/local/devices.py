"""Where a model runs."""

import torch

from ....errors import InvalidInput

__all__ = ["device_named", "first_line"]


def device_named(name: str) -> torch.device:
    """A device of torch by its name.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, ..., or `auto` for the accelerator if there is one.

    Raises:
        InvalidInput: If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidInput(
            f"device '{name}' cannot be used here: {first_line(error)}", "try cpu"
        ) from error


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
