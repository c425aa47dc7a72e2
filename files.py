"""Files are written whole or not at all, and named by their digest."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InvalidInput

__all__ = ["canonical_json", "new_file", "new_folder", "read_json", "sha256_of_file"]

_CHUNK = 1 << 20


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(data: Any) -> bytes:
    """One byte sequence per value: sorted keys, no spaces, UTF-8, no NaN (RFC 8785)."""
    import rfc8785

    return rfc8785.dumps(data)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: File to read.
        what: What the file should be, for the error message, e.g. "release.json".

    Returns:
        The object.

    Raises:
        InvalidInput: If the file cannot be read or holds no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: cannot be read as {what}: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: expected {what}, a JSON object, got {type(data).__name__}")
    return data


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise InvalidInput(f"{path}: already exists", "choose another name, or move it away first")


def _parent_of(path: Path) -> Path:
    parent = path.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{parent}: cannot be made: {error.strerror}") from error
    return parent


@contextmanager
def new_file(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, renamed to `path` if the block ends well, else removed.

    Raises:
        InvalidInput: If `path` exists already; nothing is ever overwritten.
    """
    _refuse_existing(path)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=path.suffix, dir=_parent_of(path)
    )
    os.close(handle)
    staged = Path(name)
    try:
        yield staged
        # A hard link, unlike a rename, fails if somebody made `path` meanwhile.
        try:
            os.link(staged, path)
        except FileExistsError:
            _refuse_existing(path)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A temporary folder beside `path`, renamed to `path` if the block ends well, else removed.

    Raises:
        InvalidInput: If `path` exists already; nothing is ever overwritten.
    """
    _refuse_existing(path)
    staged = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=_parent_of(path)))
    try:
        yield staged
        staged.chmod(0o777 & ~_umask())
        _refuse_existing(path)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
