"""A bundle as it came, a folder or a .zip, read without trusting any of it.

Nothing is unpacked to disk. A .zip is inflated in memory piece by piece, and what it says of sizes is
counted, not believed.
"""

import hashlib
import os
import stat
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ..custody.statements import Statement, file_digests
from .zip_layout import STORED, ZipEntry, entries_of

__all__ = ["LARGEST_BUNDLE", "LARGEST_RATIO", "OpenBundle", "open_bundle"]

LARGEST_BUNDLE = 4 << 30  # bytes of all files together
LARGEST_RATIO = 200  # of a file to what it is packed into: deflate goes to 1,032, reports to 40
SMALL = 1 << 20  # bytes of a file that no ratio makes dangerous
_CHUNK = 1 << 18


class OpenBundle(Protocol):
    """Files by their names, whatever they lie in."""

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of all files, sorted, with `/`."""
        ...

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of every file, 64 hexadecimal digits, by its path.

        Raises:
            VerificationError: If a file cannot be read whole.
        """
        ...

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of one file.

        Args:
            name: Its path.
            limit: Most bytes to read.

        Raises:
            VerificationError: If there is no such file, it is larger, or it has changed since
                `digests` looked.
        """
        ...


@contextmanager
def open_bundle(path: Path) -> Generator[OpenBundle]:
    """Open a bundle, a folder or a .zip of one.

    Args:
        path: Where it lies.

    Yields:
        Its files.

    Raises:
        InvalidInput: If there is nothing of the kind.
        VerificationError: If it holds links, pipes, names that mean different files on different
            systems, or is an archive that two programs could read differently.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    with _regular(path) as file:
        yield _Archive(file, os.fstat(file.fileno()).st_size)


def _regular(path: Path) -> BinaryIO:
    """A file for reading; no pipe, at which one would wait for ever."""
    where = visible(str(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidInput(f"{where}: neither a folder nor a file")
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{where}: cannot be read: {error.strerror}") from None


class _Folder:
    """A bundle that is a folder; what was hashed is what is read."""

    def __init__(self, path: Path) -> None:
        _refuse_large(path)
        self._path = path
        self._digests = file_digests(path)
        self.names = tuple(self._digests)

    def digests(self) -> Mapping[str, str]:
        return self._digests

    def read(self, name: str, limit: int) -> bytes:
        return Statement(self._digests, "", {}).signed_bytes(self._path, name, limit=limit)


def _refuse_large(path: Path) -> None:
    """Refuse what would take for ever to hash, such as a file that is all hole."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError as error:
                raise VerificationError(
                    f"{visible(name[:200])}: cannot be read: {error.strerror}"
                ) from None
            if total > LARGEST_BUNDLE:
                raise VerificationError(f"more than {LARGEST_BUNDLE} bytes")


class _Archive:
    """A bundle that is a .zip."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._entries = {entry.name: entry for entry in entries_of(file, length)}
        self._digests: dict[str, str] | None = None
        self.names = tuple(self._entries)
        for entry in self._entries.values():
            if entry.size > SMALL and entry.size > LARGEST_RATIO * entry.packed:
                raise VerificationError(
                    f"{visible(entry.name)}: {entry.size} bytes packed into {entry.packed}; "
                    "more than a bundle's files shrink, as in an archive made to fill a disk"
                )
        if sum(entry.size for entry in self._entries.values()) > LARGEST_BUNDLE:
            raise VerificationError(f"unpacked, more than {LARGEST_BUNDLE} bytes")

    def digests(self) -> Mapping[str, str]:
        if self._digests is None:
            self._digests = {name: self._digest(entry) for name, entry in self._entries.items()}
        return self._digests

    def read(self, name: str, limit: int) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise VerificationError(f"{visible(name[:200])}: missing")
        if entry.size > limit:
            raise VerificationError(f"{visible(name)}: more than the {limit} bytes allowed")
        data = b"".join(_contents(self._file, entry))
        if hashlib.sha256(data).hexdigest() != self.digests()[name]:
            raise VerificationError(f"{visible(name)}: has changed while it was being read")
        return data

    def _digest(self, entry: ZipEntry) -> str:
        digest = hashlib.sha256()
        for piece in _contents(self._file, entry):
            digest.update(piece)
        return digest.hexdigest()


def _contents(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """A file of an archive, piece by piece; never more than the size it states.

    Raises:
        VerificationError: If it is not exactly what is stated of it.
    """
    where = visible(entry.name)
    size, crc = 0, 0
    try:
        for piece in _unpacked(file, entry):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            if size > entry.size:
                raise VerificationError(f"{where}: larger than the {entry.size} bytes stated")
            yield piece
    except zlib.error:
        raise VerificationError(f"{where}: cannot be unpacked") from None
    if size != entry.size:
        raise VerificationError(f"{where}: {size} bytes, not the {entry.size} stated")
    if crc != entry.crc:
        raise VerificationError(f"{where}: its CRC-32 is not the one stated")


def _unpacked(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    inflater = None if entry.method == STORED else zlib.decompressobj(-zlib.MAX_WBITS)
    done = 0
    while done < entry.packed:
        file.seek(entry.begin + done)  # each time: another file may be read in between
        piece = file.read(min(_CHUNK, entry.packed - done))
        if not piece:
            raise VerificationError(f"{visible(entry.name)}: the archive is cut short")
        done += len(piece)
        if inflater is None:
            yield piece
            continue
        while piece:
            yield inflater.decompress(piece, _CHUNK)
            piece = inflater.unconsumed_tail
        if inflater.unused_data or (inflater.eof and done < entry.packed):
            raise VerificationError(f"{visible(entry.name)}: something follows its packed data")
    if inflater is not None:
        while not inflater.eof:
            rest = inflater.decompress(b"", _CHUNK)
            if not rest:
                raise VerificationError(f"{visible(entry.name)}: its packed data are cut short")
            yield rest
