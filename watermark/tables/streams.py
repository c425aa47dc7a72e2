"""Files as streams of bytes, compressed or not, with memory that does not depend on their size.

A compressed stream is the same for the same bytes, however they were cut into blocks before.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import zstandard

from ...errors import InvalidInput

__all__ = ["Compression", "read_blocks", "write_blocks"]

_BLOCK = 1 << 20
_ZSTD_INPUT = 1 << 14  # a block of so few bytes unpacks to some hundred MB at the very worst
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


class Compression(StrEnum):
    """How a text file is compressed; the value is the end of its name."""

    NONE = ""
    GZIP = ".gz"
    ZSTD = ".zst"


def read_blocks(path: Path, compression: Compression, size: int = _BLOCK) -> Iterator[bytes]:
    """The uncompressed bytes of a file, block by block.

    Args:
        path: The file.
        compression: How it is compressed.
        size: Most bytes of a block.

    Yields:
        Blocks that are not empty.

    Raises:
        InvalidInput: If the file cannot be read, or is damaged or cut off.
    """
    readers = {Compression.NONE: _plain, Compression.GZIP: _gzip, Compression.ZSTD: _zstd}
    try:
        yield from readers[compression](path, size)
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError) as error:
        what = {Compression.GZIP: "gzip", Compression.ZSTD: "zstd"}[compression]
        raise InvalidInput(
            f"{path}: cannot be read as {what}: {error}", "the file is damaged or cut off"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error


def _plain(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def _gzip(path: Path, size: int) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        while block := file.read(size):
            yield block


def _zstd(path: Path, size: int) -> Iterator[bytes]:
    """One frame after another; unlike zstandard's own reader, a frame that is cut off is noticed."""
    frame = None
    with path.open("rb") as file:
        while block := file.read(_ZSTD_INPUT):
            while block:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                content = frame.decompress(block)
                for start in range(0, len(content), size):
                    yield content[start : start + size]
                block = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the file ends within a frame")


def write_blocks(path: Path, blocks: Iterable[bytes], compression: Compression) -> None:
    """Write a file.

    Args:
        path: File to write.
        blocks: Its uncompressed bytes. The file does not depend on how they are cut: compressors get
            them in blocks of one size.
        compression: How to compress; no name and no time go into the file.
    """
    with path.open("wb") as file:
        if compression is Compression.NONE:
            file.writelines(blocks)
        elif compression is Compression.GZIP:
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                for block in _even(blocks):
                    packed.write(block)
        else:
            packer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
            for block in _even(blocks):
                file.write(packer.compress(block))
            file.write(packer.flush())


def _even(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, but for the last."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        whole = len(waiting) // _BLOCK * _BLOCK
        for start in range(0, whole, _BLOCK):
            yield bytes(waiting[start : start + _BLOCK])
        del waiting[:whole]
    yield bytes(waiting)
