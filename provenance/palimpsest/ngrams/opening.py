"""Opening an index: nothing in it is believed before it is checked."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput, VerificationError
from ....files import hexadecimal, read_json, sha256_of_file
from ....stats import Input
from ..repeats import DIGEST_BYTES
from .building import (
    CONTENTS,
    DIGESTS,
    FORMAT,
    HEADER,
    LENGTHS,
    STEPS,
    VERSION,
    Engine,
    engine_files,
    shard_name,
)
from .infini import InfiniIndex
from .matching import Index
from .suffixes import SuffixIndex, open_shard
from .table import SequenceTable

__all__ = ["open_index"]


def open_index(folder: Path) -> Index:
    """Open an index that `build_index` made.

    1. We know its format and version.  2. Every file has the digest that its header states.
    3. Counts, lengths and rows agree with each other.
    Not checked: whether it is the index of the transcript that it names; build it anew to see.

    Args:
        folder: Its folder.

    Returns:
        The index; its files are mapped, not read, as far as they are large.

    Raises:
        InvalidInput: If the folder is no index of this version, or needs a package that is not there.
        VerificationError: If a file was altered, is not there, or contradicts another.
    """
    header = read_json(folder / HEADER, "the header of an n-gram index")
    stated = (header.get("format"), header.get("version"))
    if stated != (FORMAT, VERSION):  # 1
        raise InvalidInput(
            f"{folder}: is no n-gram index of this version", "build it anew from the transcript"
        )
    try:
        return _opened(folder, header)
    except InvalidInput:
        raise
    except (KeyError, TypeError, ValueError, OSError, OverflowError) as error:
        raise VerificationError(f"{folder / HEADER}: is damaged: {error}") from error


def _opened(folder: Path, header: dict[str, Any]) -> Index:
    engine = Engine(header["engine"])
    sizes = [_count(shard["sequences"]) for shard in header["shards"]]
    shards = [folder / shard_name(number) for number in range(len(sizes))]
    if not shards:
        raise VerificationError(f"{folder}: has no shards")
    wanted = {STEPS, CONTENTS} | {
        f"{path.name}/{name}"
        for path in shards
        for name in (DIGESTS, LENGTHS, *engine_files(engine))
    }
    if set(header["files"]) != wanted:
        raise VerificationError(f"{folder / HEADER}: does not name the files of an index")
    for name in sorted(wanted):  # 2
        if not (folder / name).is_file() or sha256_of_file(folder / name) != header["files"][name]:
            raise VerificationError(
                f"{folder / name}: is not the file that was written", "build the index anew"
            )
    sized = list(zip(shards, sizes, strict=True))
    lengths = [_numbers(path / LENGTHS, n) for path, n in sized]
    table = SequenceTable(
        steps=_numbers(folder / STEPS, _count(header["rows"])),
        contents=_numbers(folder / CONTENTS, _count(header["rows"])),
        digests=np.concatenate([_bytes(path / DIGESTS, n) for path, n in sized]),
        lengths=np.concatenate(lengths),
        largest_id=_count(header["largest_id"] + 1) - 1,
        source=_input(header["source"]),
        tokenizer=_input(header["tokenizer"]),
    )
    _refuse_contradictions(folder, table)  # 3
    firsts = [int(first) for first in np.concatenate([[0], np.cumsum(sizes)[:-1]])]
    if engine is Engine.INFINI_GRAM:
        return InfiniIndex(table, shards, firsts)
    opened = [open_shard(*shard) for shard in zip(shards, lengths, firsts, strict=True)]
    return SuffixIndex(table, opened)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**62:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _input(value: dict[str, Any]) -> Input:
    return Input(name=value["name"], sha256=hexadecimal(64, value["sha256"], "SHA-256"))


def _numbers(path: Path, n: int) -> NDArray[np.int64]:
    numbers = np.fromfile(path, "<i8")
    if numbers.size != n or path.stat().st_size != 8 * n:
        raise VerificationError(f"{path}: expected {n} numbers")
    return numbers.astype(np.int64)


def _bytes(path: Path, n: int) -> NDArray[np.uint8]:
    content = np.fromfile(path, np.uint8)
    if content.size != n * DIGEST_BYTES:
        raise VerificationError(f"{path}: expected {n} digests")
    return content.reshape(n, DIGEST_BYTES)


def _refuse_contradictions(folder: Path, table: SequenceTable) -> None:
    n = len(table.digests)
    if table.lengths.min() < 1 or table.lengths.max() >= 2**31:
        raise VerificationError(f"{folder}: a sequence has no tokens, or too many")
    if table.contents.min() < 0 or table.contents.max() >= n:
        raise VerificationError(f"{folder / CONTENTS}: names sequences that are not there")
    if np.bincount(table.contents, minlength=n).min() < 1:
        raise VerificationError(f"{folder / CONTENTS}: a sequence is in no row")
    if len(np.unique(table.digests, axis=0)) != n:
        raise VerificationError(f"{folder}: a sequence is there twice")
