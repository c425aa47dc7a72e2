"""How like each other models are: those that are ranked, and the true run and the model that was released."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from ....display import visible
from ....errors import InvalidInput, reason_of
from ....files import sha256_of_file
from .folders import FinishedRuns

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["distance", "refuse_unlike", "told_of_released"]

_TOKENIZER = "tokenizer.json"
_LEAST_SHARED = 0.9  # of a run's numbers; versions of transformers name a layer or two differently
_FAR = 0.5  # of the distance to the nearest other order


def refuse_unlike(folders: Sequence[Path]) -> None:
    """Refuse to rank models that differ in more than what they learnt.

    A larger model, or one of another precision or tokenizer, finds every text more likely than others do.

    Args:
        folders: Model folders; whatever is missing in them is left to who loads them.

    Raises:
        InvalidInput: If names, shapes or types of the weights differ, or the tokenizers.
    """
    first, *others = folders
    shapes, tokenizer = _shapes(first), _tokenizer(first)
    for folder in others:
        if _shapes(folder) != shapes:
            raise InvalidInput(
                f"{folder}: its weights have other names, shapes or types than those of {first}",
                "compare runs of one training, saved in one way",
            )
        if _tokenizer(folder) != tokenizer:
            raise InvalidInput(
                f"{folder}: its {_TOKENIZER} is not that of {first}",
                "lay one and the same tokenizer beside all models",
            )


def told_of_released(released: Path, runs: FinishedRuns) -> str:
    """How near the true run's weights come to those of the model that was released, in words.

    Args:
        released: The model's folder.
        runs: The runs.

    Raises:
        InvalidInput: If it is a model of another kind.
    """
    own = distance(runs.true, released)
    nearest = min(distance(other, released) for other in runs.others)
    name = visible(released.name)
    if own == 0:
        return f"The weights of the true run are those of the released model {name}, bit for bit."
    told = (
        f"{own:.3g} from those of the released model {name}, those of the nearest run in another order "
        f"{nearest:.3g} (Euclidean distance)."
    )
    if not own <= _FAR * nearest:  # also if one is no number
        return (
            f"THE TRUE RUN IS NOT THE RELEASED MODEL: its weights lie {told} Transcript, checkpoint or "
            "settings are not those of its training."
        )
    return f"The weights of the true run lie {told}"


def distance(run: Path, released: Path) -> float:
    """Euclidean distance of a run's weights from another model's, rounded to the latter's type.

    Raises:
        InvalidInput: If a folder cannot be read, or most weights of the run are not in the other.
    """
    there = _shapes(released)
    total = shared = 0
    square = 0.0
    for (name, ours), theirs in _pairs(run, released):
        total += ours.numel()
        if theirs is None:
            continue
        if theirs.shape != ours.shape:
            raise InvalidInput(
                f"{released}: {visible(name)} has shape {there[name][0]}, that of {run} {tuple(ours.shape)}",
                "name the model that the training ended with",
            )
        shared += ours.numel()
        difference = ours.to(theirs.dtype).double() - theirs.double()
        square += float((difference * difference).sum())
    if shared < _LEAST_SHARED * total or not total:
        raise InvalidInput(
            f"{released}: lacks most of the weights of {run}",
            "name the model that the training ended with",
        )
    return math.sqrt(square)


def _pairs(run: Path, released: Path) -> "Iterator[tuple[tuple[str, Tensor], Tensor | None]]":
    """Each weight of a run, and the other model's of that name; one at a time in memory."""
    with ExitStack() as stack:
        try:
            theirs = [stack.enter_context(safe_open(p, framework="pt")) for p in _files(released)]
            ours = [stack.enter_context(safe_open(p, framework="pt")) for p in _files(run)]
            place = {name: file for file in theirs for name in file.keys()}
            for file in ours:
                for name in file.keys():
                    there = place.get(name)
                    yield (
                        (name, file.get_tensor(name)),
                        None if there is None else there.get_tensor(name),
                    )
        except (SafetensorError, OSError) as error:
            raise InvalidInput(
                f"{released} or {run}: cannot be read: {reason_of(error)}"
            ) from error


def _shapes(folder: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of each weight; nothing is loaded."""
    found = {}
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():
                    view = file.get_slice(name)
                    found[name] = (tuple(view.get_shape()), str(view.get_dtype()))
        except (SafetensorError, OSError) as error:
            raise InvalidInput(f"{path}: cannot be read: {reason_of(error)}") from error
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _tokenizer(folder: Path) -> str:
    path = folder / _TOKENIZER
    return sha256_of_file(path) if path.is_file() else ""
