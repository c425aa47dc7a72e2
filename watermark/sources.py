"""Where a dataset comes from: files on this machine, or something that is brought here as files."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from ..errors import InvalidInput
from .release import RELEASE_NAME, stays_below
from .tables import Columns, dataset_files

__all__ = ["LocalFiles", "Source", "brought", "refuse_names", "source_of"]


class Source(Protocol):
    """A dataset that can be had as files; one that exists has at least one."""

    def check(self, columns: Columns) -> None:
        """Refuse what can be seen to be wrong before anything is brought here.

        Raises:
            InvalidInput: If a column is not there.
        """

    def identity(self) -> list[list[str | int]]:
        """What tells this dataset from others, and from other versions of itself, as JSON."""

    def files(self, folder: Path) -> dict[str, Path]:
        """The files by their names in the release, in the order of these.

        Args:
            folder: Private folder for files that are not on this machine. What is there already, from
                a run that was killed, is not brought again.

        Raises:
            Interrupted: If they cannot be brought at present.
        """

    def origin(self, name: str) -> str:
        """What the owner calls a file, for messages."""


def source_of(source: "Path | str | Source") -> Source:
    """The source that a path, an address or a source means.

    Raises:
        InvalidInput: If it cannot be found.
    """
    if isinstance(source, str):
        if "://" in source:
            from .remote import RemoteFiles

            return RemoteFiles(source)
        source = Path(source)
    return LocalFiles(source) if isinstance(source, Path) else source


class LocalFiles:
    """Files on this machine; see `dataset_files`."""

    def __init__(self, path: Path) -> None:
        self._files = dataset_files(path)
        for name, file in self._files.items():
            if name.split("/")[0] == RELEASE_NAME:
                raise InvalidInput(
                    f"{file}: {RELEASE_NAME} is the name of a file of ours", "rename it"
                )

    def check(self, columns: Columns) -> None:
        """See `Source.check`; the pieces are looked at soon enough."""

    def identity(self) -> list[list[str | int]]:
        """Name, size and time of change of each file."""
        found = [(name, path.stat()) for name, path in self._files.items()]
        return [[json.dumps(name), at.st_size, str(at.st_mtime_ns)] for name, at in found]

    def files(self, folder: Path) -> dict[str, Path]:
        """See `Source.files`."""
        del folder  # nothing has to be brought
        return self._files

    def origin(self, name: str) -> str:
        """See `Source.origin`."""
        return str(self._files[name])


def refuse_names(names: Iterable[str], where: str) -> None:
    """Check the names that files would be released under.

    Raises:
        InvalidInput: If one leads elsewhere on some system, or is that of a file of ours.
    """
    for name in names:
        hidden = any(part.startswith(".") for part in name.split("/"))
        if hidden or not stays_below(name) or name.split("/")[0] == RELEASE_NAME:
            raise InvalidInput(f"{where}: cannot release a file named {name!r}", "rename it")


def brought(
    folder: Path, names: Iterable[str], bring: Callable[[str, Path], None]
) -> dict[str, Path]:
    """Bring files into a folder, each whole or not at all.

    Args:
        folder: Where to; what is there already is not brought again.
        names: Names of the files below it.
        bring: Writes the file of this name to this path.

    Returns:
        Path of each file, in the order of the names.
    """
    files = {name: folder / name for name in sorted(names)}
    for name, path in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged = folder / ".new"
            bring(name, staged)
            staged.replace(path)
    return files
