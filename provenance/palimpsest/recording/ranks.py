"""Which of several training processes this is, and what they agree on."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....errors import InvalidInput
from ....files import file_locks

__all__ = ["Rank", "RankLock"]


@dataclass(frozen=True, slots=True)
class Rank:
    """One of several processes that train one model on different data.

    Attributes:
        number: From 0.
        world_size: How many there are.
    """

    number: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.world_size:
            raise InvalidInput(
                f"expected a rank below the world size, got {self.number} of {self.world_size}"
            )

    @classmethod
    def own(cls) -> "Rank":
        """As torchrun sets it in the environment; the only one without it."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def agree(self, decide: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What rank 0 decides, told to all; every rank must call this.

        Raises:
            InvalidInput: If there are several ranks and no process group, or rank 0 cannot decide.
        """
        if self.world_size == 1:
            return decide()
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            raise InvalidInput(
                f"{self.world_size} ranks record, but torch has no process group to let them agree",
                "call torch.distributed.init_process_group first",
            )
        message: list[dict[str, Any]] = [{}]
        failure: BaseException | None = None
        if self.number == 0:
            try:
                message = [{"decision": decide()}]
            except BaseException as error:  # ruff: ignore[blind-except] - raised below
                message, failure = [{"error": str(error)}], error
        distributed.broadcast_object_list(message, src=0)
        if failure is not None:
            raise failure
        if "error" in message[0]:
            raise InvalidInput(f"rank 0 cannot record: {message[0]['error']}")
        decision: dict[str, Any] = message[0]["decision"]
        return decision


class RankLock:
    """Keeps a second process from recording as the same rank; the system lets go if we are killed.

    It is a lock of the process: worker processes of a data loader do not inherit it, and cannot hold it
    when their parent is gone.
    """

    def __init__(self, path: Path) -> None:
        fcntl = file_locks()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise InvalidInput(
                f"{path.parent}: another process is recording here as the same rank",
                "wait until it has ended, or record into another folder",
            ) from None

    def release(self) -> None:
        """Let go."""
        with suppress(OSError):
            os.close(self._handle)
