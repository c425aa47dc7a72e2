"""Where the files of a .zip lie, read so strictly that no two programs can see two archives in it.

Source: APPNOTE.TXT 6.3 (PKWARE), sections 4.3 and 4.4. An archive names each file twice, before its data
and in the directory at its end, and programs differ in which they believe, in how they look for the
directory, and in what they skip. Here the whole file must be accounted for: entries from byte 0, each
beginning where the one before ended, the directory behind the last, and nothing after its end record.
"""

import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ...display import visible
from ...errors import VerificationError
from ..custody.file_names import check_name, check_names

__all__ = ["DEFLATED", "STORED", "ZipEntry", "entries_of"]

STORED, DEFLATED = 0, 8
MOST_ENTRIES = 10_000
_LARGEST_DIRECTORY = 16 << 20
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_BEYOND_32, _BEYOND_16 = 0xFFFFFFFF, 0xFFFF  # "see the zip64 record"
_ENCRYPTED, _STREAMED, _UTF8 = 1 << 0, 1 << 3, 1 << 11
_NEWEST = 63  # the version of APPNOTE.TXT, times ten: programs refuse what needs a later one
_LEVELS = 0b110  # how hard deflate tried
_FLAGS = _STREAMED | _UTF8 | _LEVELS
_DIRECTORY_ATTRIBUTE, _REPARSE_ATTRIBUTE = 0x10, 0x400
# Times and owners, by Info-ZIP and Windows. Others may hold other names, sizes or keys.
_EXTRAS = frozenset({0x5455, 0x7875, 0x7855, 0x5855, 0x000A})


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One file of an archive.

    Attributes:
        name: Its path; `check_names` let it pass.
        method: `STORED` or `DEFLATED`.
        crc: CRC-32 of the file, as stated.
        packed: Bytes in the archive.
        size: Bytes of the file, as stated.
        begin: Where its data begin.
    """

    name: str
    method: int
    crc: int
    packed: int
    size: int
    begin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """An entry of the directory at the end."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.raw_name.endswith(b"/")

    @property
    def shown(self) -> str:
        return repr(visible(self.raw_name[:200].decode("utf-8", "backslashreplace")))


def entries_of(file: BinaryIO, length: int) -> list[ZipEntry]:
    """The files of an archive, in the order of their names; nothing is unpacked.

    1. The file ends with one end record, without comment, parts or zip64.
    2. The directory ends there; its entries are neither encrypted, links, nor packed unusually.
    3. Names are UTF-8, fit for every system, and each there once.
    4. Entries and directory follow each other without gap or overlap, from byte 0.
    5. Before its data, each entry says of itself what the directory says of it.

    Args:
        file: The archive, seekable.
        length: Its length in bytes.

    Raises:
        VerificationError: If one of these fails.
    """
    count, begin, directory = _directory(file, length)  # 1
    listed = list(_listed(directory, count))  # 2
    _check_names(listed)  # 3
    found = []
    expected = 0
    for entry in sorted(listed, key=lambda item: item.offset):  # 4, 5
        if entry.offset != expected:
            raise VerificationError(
                f"{entry.shown}: does not begin where the entry before it ends"
                if expected
                else f"{entry.offset} bytes before the first file, which no entry accounts for"
            )
        data = _data_begin(file, entry)
        expected = data + entry.packed + _descriptor_length(file, entry, data + entry.packed)
        if not entry.is_folder:
            found.append(
                ZipEntry(
                    name=entry.raw_name.decode("utf-8"),
                    method=entry.method,
                    crc=entry.crc,
                    packed=entry.packed,
                    size=entry.size,
                    begin=data,
                )
            )
    if expected != begin:
        raise VerificationError("between its last file and its directory lies something else")
    return sorted(found, key=lambda item: item.name)


def _directory(file: BinaryIO, length: int) -> tuple[int, int, bytes]:
    """Number of entries, and where the directory begins, with its bytes."""
    if length < _END.size:
        raise VerificationError("no zip archive: too short")
    mark, disk, first, here, count, size, begin, comment = _END.unpack(
        _read(file, length - _END.size, _END.size)
    )
    if mark != b"PK\x05\x06" or comment:
        raise VerificationError(
            "no zip archive, or something follows its end, such as a comment",
            "pack the folder again",
        )
    if _BEYOND_16 in {disk, first, here, count} or _BEYOND_32 in {size, begin}:
        raise VerificationError("a zip64 archive; no bundle needs to be so large")
    if disk or first or here != count:
        raise VerificationError("a part of an archive of several parts")
    if count > MOST_ENTRIES:
        raise VerificationError(f"{count} entries, more than the {MOST_ENTRIES} allowed")
    if begin + size != length - _END.size or size > _LARGEST_DIRECTORY:
        raise VerificationError("its directory does not lie where its end record says")
    return count, begin, _read(file, begin, size)


def _listed(directory: bytes, count: int) -> Iterator[_Listed]:
    at = 0
    for _ in range(count):
        if len(directory) < at + _CENTRAL.size:
            raise VerificationError("its directory is cut short")
        fields = _CENTRAL.unpack_from(directory, at)
        mark, _, needed, flags, method, _, _, crc, packed, size, n_name, n_extra = fields[:12]
        n_comment, disk, _, attributes, offset = fields[12:]
        name_at = at + _CENTRAL.size
        at = name_at + n_name + n_extra + n_comment
        if mark != b"PK\x01\x02" or len(directory) < at:
            raise VerificationError("its directory is malformed")
        entry = _Listed(
            raw_name=directory[name_at : name_at + n_name],
            flags=flags,
            method=method,
            crc=crc,
            packed=packed,
            size=size,
            offset=offset,
        )
        _check_version(entry, needed)
        _check_listed(entry, disk, attributes)
        _check_extra(entry, directory[name_at + n_name : name_at + n_name + n_extra])
        if n_comment:
            raise VerificationError(f"{entry.shown}: with a comment")
        yield entry
    if at != len(directory):
        raise VerificationError("its directory is longer than its number of entries says")


def _check_listed(entry: _Listed, disk: int, attributes: int) -> None:
    if entry.flags & _ENCRYPTED:
        raise VerificationError(f"{entry.shown}: encrypted")
    if entry.flags & ~_FLAGS:
        raise VerificationError(f"{entry.shown}: with flags {entry.flags:#x} that are not known")
    if entry.method not in {STORED, DEFLATED}:
        raise VerificationError(f"{entry.shown}: packed by method {entry.method}, not known here")
    if disk or _BEYOND_32 in {entry.packed, entry.size, entry.offset}:
        raise VerificationError(f"{entry.shown}: in another part, or beyond 4 GiB")
    kind = stat.S_IFMT(attributes >> 16)
    if stat.S_ISLNK(attributes >> 16) or attributes & _REPARSE_ATTRIBUTE:
        raise VerificationError(f"{entry.shown}: a symbolic link")
    if kind not in {0, stat.S_IFDIR if entry.is_folder else stat.S_IFREG}:
        raise VerificationError(f"{entry.shown}: neither file nor folder")
    if attributes & _DIRECTORY_ATTRIBUTE and not entry.is_folder:
        raise VerificationError(f"{entry.shown}: a folder by its attributes, a file by its name")
    if entry.is_folder and (entry.packed or entry.size or entry.flags & _STREAMED):
        raise VerificationError(f"{entry.shown}: a folder with contents of its own")
    if entry.method == STORED and entry.packed != entry.size:
        raise VerificationError(f"{entry.shown}: stored as it is, but of two sizes")


def _check_version(entry: _Listed, needed: int) -> None:
    if needed > _NEWEST:
        raise VerificationError(f"{entry.shown}: needs a program of zip version {needed / 10:g}")


def _check_extra(entry: _Listed, extra: bytes) -> None:
    """Only fields that cannot change what the entry is; 2 bytes id, 2 bytes length each."""
    at = 0
    while at < len(extra):
        if len(extra) < at + 4:
            raise VerificationError(f"{entry.shown}: a malformed extra field")
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind not in _EXTRAS:
            raise VerificationError(f"{entry.shown}: an extra field {kind:#06x}, not known here")
        at += 4 + size
    if at != len(extra):
        raise VerificationError(f"{entry.shown}: a malformed extra field")


def _check_names(listed: list[_Listed]) -> None:
    names = []
    for entry in listed:
        try:
            name = entry.raw_name.decode("utf-8" if entry.flags & _UTF8 else "ascii")
        except UnicodeDecodeError:
            raise VerificationError(f"{entry.shown}: a name that is not in UTF-8") from None
        names.append(name)
    files = [name for name in names if not name.endswith("/")]
    folders = [name.removesuffix("/") for name in names if name.endswith("/")]
    for name in (*files, *folders):
        check_name(name)
    if len(set(folders)) < len(folders):
        raise VerificationError("a folder is named twice")
    parents = {name[: at.start()] for name in names for at in re.finditer(r"/", name[:-1])}
    check_names([*files, *(n for n in folders if n not in parents)])  # empty ones take a name, too
    if not files:
        raise VerificationError("holds no file")


def _data_begin(file: BinaryIO, entry: _Listed) -> int:
    """Where an entry's data begin, once its own header agrees with the directory."""
    header = _LOCAL.unpack(_read(file, entry.offset, _LOCAL.size))
    mark, needed, flags, method, _, _, crc, packed, size, *lengths = header
    n_name, n_extra = map(int, lengths)
    if mark != b"PK\x03\x04":
        raise VerificationError(f"{entry.shown}: no entry where the directory says")
    tail = _read(file, entry.offset + _LOCAL.size, n_name + n_extra)
    if tail[:n_name] != entry.raw_name:
        raise VerificationError(f"{entry.shown}: called otherwise in its own header")
    stated = (entry.crc, entry.packed, entry.size)
    may_be = {stated, (0, 0, 0)} if entry.flags & _STREAMED else {stated}
    if (flags, method) != (entry.flags, entry.method) or (crc, packed, size) not in may_be:
        raise VerificationError(f"{entry.shown}: described otherwise in its own header")
    _check_version(entry, needed)
    _check_extra(entry, tail[n_name:])
    return entry.offset + _LOCAL.size + n_name + n_extra


def _descriptor_length(file: BinaryIO, entry: _Listed, at: int) -> int:
    """Length of the record that follows data written as a stream, and that repeats the directory."""
    if not entry.flags & _STREAMED:
        return 0
    numbers = struct.pack("<3L", entry.crc, entry.packed, entry.size)
    marked = b"PK\x07\x08" + numbers
    found = _read(file, at, len(marked), short=True)
    if found == marked:
        return len(marked)
    if found[: len(numbers)] == numbers:
        return len(numbers)
    raise VerificationError(f"{entry.shown}: described otherwise behind its data")


def _read(file: BinaryIO, at: int, length: int, *, short: bool = False) -> bytes:
    file.seek(at)
    data = file.read(length)
    if len(data) < length and not short:
        raise VerificationError("the archive is cut short")
    return data
