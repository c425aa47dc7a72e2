"""Several processes that share the examples among them, as torchrun starts them."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, distributed

from ...errors import BookplateError, InvalidInput
from ...files import Interrupted, resumable_folder

__all__ = ["Workers"]

_Item = TypeVar("_Item")

_KNOWN = "_known_to_all"  # set on an error that every process raises


@dataclass(frozen=True, slots=True)
class _Failure:
    """What went wrong on one process, in words, as it is told to the others."""

    message: str
    hint: str
    is_input: bool

    @classmethod
    def of(cls, error: Exception | None) -> "_Failure | None":
        if error is None:
            return None
        if isinstance(error, BookplateError):
            return cls(str(error), error.hint, isinstance(error, InvalidInput))
        return cls(f"{type(error).__name__}: {error}", "", False)


def _fail_as_one(failures: Sequence[_Failure | None], own: Exception | None) -> None:
    """Raise our own error, or else the first of another's."""
    if not any(failures):
        return
    if own is None:
        rank, first = next((r, f) for r, f in enumerate(failures) if f is not None)
        kind = InvalidInput if first.is_input else Interrupted
        own = kind(f"process {rank}: {first.message}", first.hint)
    setattr(own, _KNOWN, True)
    raise own


@dataclass(frozen=True, slots=True)
class Workers:
    """This process among those that work together; alone without a process group.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> "Workers":
        """What torch's default process group says; call `torch.distributed.init_process_group` before."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    @contextmanager
    def together(self) -> Generator[None]:
        """A block that fails on all if it fails on one; else the others would wait for that one for ever.

        All enter and leave it together. Such blocks may be nested: what failed on all leaves the outer ones
        at once, and a failure outside an inner one is told to those who wait at its end.

        Raises:
            InvalidInput: If our input, or another's, is wrong.
            Interrupted: If another failed in another way.
        """
        if self.size == 1:
            yield
            return
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if getattr(error, _KNOWN, False):
                raise
            failure = error
        _fail_as_one(self.gather(_Failure.of(failure)), failure)

    def share(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The part that falls to this one."""
        return items[self.rank :: self.size]

    def to_leader(self, tensors: Iterable[Tensor]) -> None:
        """Add up in place what all hold; afterwards rank 0 holds the sums, all others zeros."""
        if self.size == 1:
            return
        for tensor in tensors:
            distributed.reduce(tensor, dst=0)
            if not self.leads:
                tensor.zero_()

    @contextmanager
    def new_folder(
        self, folder: Path | None, job: Any
    ) -> Generator[tuple[Path | None, Path | None]]:
        """`files.resumable_folder` for all: where the result goes, and where parts are kept.

        Only rank 0 is told the places, and makes the folder when all leave the block.

        Args:
            folder: Folder to make, or None for none.
            job: What is being done, as JSON.
        """
        with ExitStack() as stack:
            with self.together():
                unfinished = (
                    stack.enter_context(resumable_folder(folder, job))
                    if folder is not None and self.leads
                    else None
                )
            yield (None, None) if unfinished is None else (unfinished.whole, unfinished.parts)

    def broadcast(self, tensors: Iterable[Tensor], source: int = 0) -> None:
        """Give all what one of them holds, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=source)

    def gather(self, value: _Item) -> list[_Item]:
        """What each has, by rank, given to all."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def from_leader(self, value: _Item) -> _Item:
        """What rank 0 has, given to all."""
        if self.size == 1:
            return value
        message: list[Any] = [value]
        distributed.broadcast_object_list(message, src=0)
        found: _Item = message[0]
        return found
