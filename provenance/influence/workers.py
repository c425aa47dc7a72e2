"""Several processes that share the examples among them, as torchrun starts them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, distributed

__all__ = ["Workers"]

_Item = TypeVar("_Item")


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

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give all what rank 0 holds, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

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
