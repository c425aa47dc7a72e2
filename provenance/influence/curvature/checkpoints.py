"""Sums over the data, kept after each part so that a killed run goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..workers import Workers

__all__ = ["Checkpoints"]


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Named sets of tensors; only the leading process reads and writes.

    Attributes:
        folder: Where they lie; None keeps nothing.
        workers: Who work together.
    """

    folder: Path | None
    workers: Workers

    def restore(self, name: str, tensors: Mapping[str, Tensor]) -> int:
        """Fill tensors of the leader with what was kept.

        Returns:
            The number that it was kept with, on every process; 0 if nothing was.
        """
        done = 0
        with self.workers.together():
            if self.folder is not None and (path := self.folder / _file(name)).exists():
                with safe_open(path, framework="pt") as file:
                    done = int(file.metadata()["done"])
                    for key, tensor in tensors.items():
                        tensor.copy_(file.get_tensor(key))
        return self.workers.from_leader(done)

    def keep(self, name: str, tensors: Mapping[str, Tensor], done: int) -> None:
        """Keep what the leader holds, in the place of what was kept before."""
        with self.workers.together():
            if self.folder is None:
                return
            path = self.folder / _file(name)
            staged = path.with_suffix(".new")
            held = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
            save_file(held, staged, metadata={"done": str(done)})
            staged.replace(path)

    def drop(self, name: str) -> None:
        """Forget what is not needed any more."""
        if self.folder is not None:
            (self.folder / _file(name)).unlink(missing_ok=True)


def _file(name: str) -> str:
    return f"{name}.safetensors"
