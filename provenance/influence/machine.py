"""How much memory and disk this machine has free."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import InvalidInput

__all__ = ["Machine", "free_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to be had.

    Attributes:
        memory: Bytes that are free where the model runs.
        host_memory: Bytes of the machine's own memory that are free; None if the model runs in it, or if
            nobody knows.
        disk: Bytes that are free where factors are written; None if nobody knows.
    """

    memory: int
    host_memory: int | None = None
    disk: int | None = None

    @classmethod
    def here(cls, device: torch.device, folder: Path | None = None) -> "Machine":
        """This one, right now.

        Raises:
            InvalidInput: If it does not say how much memory is free.
        """
        disk = None if folder is None else shutil.disk_usage(_existing(folder)).free
        if device.type == "cuda":
            return cls(
                memory=torch.cuda.mem_get_info(device)[0], host_memory=free_memory(), disk=disk
            )
        memory = free_memory()
        if memory is None:
            raise InvalidInput(
                "this system does not say how much memory is free", "say it with --memory"
            )
        return cls(memory=memory, disk=disk)


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def free_memory(
    meminfo: Path = Path("/proc/meminfo"), control_group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes that could be had without swapping (Linux), a container's limit considered; or None."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    try:
        limit, used = (
            (control_group / name).read_text(encoding="utf-8").strip()
            for name in ("memory.max", "memory.current")
        )
        free.extend([] if limit == "max" else [max(int(limit) - int(used), 0)])
    except OSError:
        pass  # no control group, or another version of them
    return min(free, default=None)
