"""Files are written whole or not at all, and named by their digest."""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BookplateError, InvalidInput, causes_of, ran_out_of, reason_of

__all__ = [
    "Interrupted",
    "Unfinished",
    "canonical_json",
    "file_locks",
    "hexadecimal",
    "new_file",
    "new_folder",
    "read_json",
    "resumable_folder",
    "sha256_of_file",
    "unfinished_path",
]

_CHUNK = 1 << 20
_STAGED = ".bookplate-"  # start of the names of unfinished files


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hexadecimal(digits: int, value: object, what: str) -> str:
    """`value` itself, if it is a string of so many lower-case hexadecimal digits.

    Raises:
        ValueError: If it is not; the message calls it `what`.
    """
    if not isinstance(value, str) or re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is None:
        raise ValueError(f"{value!r:.80} is no {what}")
    return value


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
        raise InvalidInput(f"{path}: cannot be read as {what}: {reason_of(error)}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: expected {what}, a JSON object, got {type(data).__name__}")
    return data


@contextmanager
def new_file(path: Path, *, private: bool = False) -> Generator[Path]:
    """A temporary path beside `path`, renamed to `path` if the block ends well, else removed.

    Args:
        path: File to make; folders that it needs are made, and go again if the block fails.
        private: Whether only its owner may read the file (mode 0600); else the umask decides.

    Yields:
        Where to write; this file has mode 0600 from the start.

    Raises:
        InvalidInput: If `path` exists already, as nothing is ever overwritten, or cannot be made.
    """
    _refuse_existing(path)
    with _parent_of(path) as parent:
        with _cannot_be_written(path):
            handle, name = tempfile.mkstemp(prefix=_STAGED, dir=parent)
        os.close(handle)
        staged = Path(name)
        try:
            yield staged
            staged.chmod(0o600 if private else 0o666 & ~_umask())
            with _cannot_be_written(path):
                _rename_new(staged, path)
        finally:
            staged.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A temporary folder beside `path`, renamed to `path` if the block ends well, else removed.

    Args:
        path: Folder to make; folders that it needs are made, and go again if the block fails.

    Yields:
        Where to write.

    Raises:
        InvalidInput: If `path` exists already, as nothing is ever overwritten, or cannot be made.
    """
    _refuse_existing(path)
    with _parent_of(path) as parent:
        with _cannot_be_written(path):
            staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=parent))
        try:
            yield staged
            staged.chmod(0o777 & ~_umask())
            _refuse_existing(path)
            with _cannot_be_written(path):
                staged.rename(path)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


class Interrupted(BookplateError):
    """Work stopped for no fault of its input: the same call goes on where it stopped."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A place to work on a folder that is not done yet.

    Attributes:
        whole: What the folder will hold; empty at the start of every run.
        parts: Whatever should be there again if the process is killed.
    """

    whole: Path
    parts: Path


def unfinished_path(path: Path) -> Path:
    """Where `resumable_folder` works: a hidden folder beside `path`; its name has a fixed length."""
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f"{_STAGED}unfinished-{name}")


@contextmanager
def resumable_folder(path: Path, job: Any) -> Generator[Unfinished]:
    """Like `new_folder`, but a run that was killed can be taken up again.

    Work goes on in `unfinished_path(path)`, which only its owner can read (mode 0700). It is removed
    when the block ends well, or because of its input. It stays after `kill -9` and, if there are parts in
    it, after whatever else ends the block: Ctrl-C, `Interrupted`, a full disk, too little memory, a file
    that cannot be read now, a bug. The same call then finds its parts again.

    Args:
        path: Folder to make; folders that it needs are made, and go again if the block fails.
        job: What is being done, as JSON: parts are only found again by the same job.

    Yields:
        Where to write.

    Raises:
        InvalidInput: If `path` exists already or cannot be made, another job was left unfinished
            there, or another process is at work there.
        KeyboardInterrupt: If the block raises it.
        Interrupted: Likewise.
    """
    work = unfinished_path(path)
    try:
        _refuse_existing(path)
    except InvalidInput:
        if os.path.exists(work / _FINISHED):  # killed between its last two steps
            _clear(work)
        raise
    with _parent_of(path), _locked(work, path):
        try:
            _same_job(work, path, canonical_json(job))
            unfinished = Unfinished(work / "whole", work / "parts")
            (work / _FINISHED).unlink(missing_ok=True)
            shutil.rmtree(unfinished.whole, ignore_errors=True)
            unfinished.whole.mkdir()
            unfinished.parts.mkdir(exist_ok=True)
            yield unfinished
            unfinished.whole.chmod(0o777 & ~_umask())
            _refuse_existing(path)
            (work / _FINISHED).touch()
            with _cannot_be_written(path):
                unfinished.whole.rename(path)
            _clear(work)
        except _OtherJob as error:
            raise InvalidInput(*error.args) from None
        except BaseException as error:
            is_done = (work / _FINISHED).exists() and not (work / "whole").exists()
            shutil.rmtree(work / "whole", ignore_errors=True)
            if is_done or _is_about_the_input(error) or not _holds_parts(work):
                _clear(work)
            raise


_FINISHED, _JOB, _LOCK = "finished", "job.json", "lock"


def _is_about_the_input(error: BaseException) -> bool:
    """Whether the same call would fail alike; a disk may have room, or a file be back, the next time."""
    if not isinstance(error, BookplateError) or isinstance(error, Interrupted):
        return False
    of_the_system = any(isinstance(cause, OSError) for cause in causes_of(error))
    return not of_the_system and not ran_out_of(error)


def _holds_parts(work: Path) -> bool:
    parts = work / "parts"
    return parts.is_dir() and any(parts.iterdir())


def _clear(work: Path) -> None:
    """Remove a folder of work; the mark that it is finished goes last, lest a kill leave the rest."""
    with suppress(OSError):
        for path in work.iterdir():
            if path.name != _FINISHED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(work, ignore_errors=True)


class _OtherJob(Exception):
    """The work of another job must not be removed."""


def _same_job(work: Path, path: Path, job: bytes) -> None:
    recorded = work / _JOB
    if not recorded.exists():
        staged = work / f"{_JOB}.new"
        staged.write_bytes(job)
        staged.replace(recorded)
    elif recorded.read_bytes() != job:
        raise _OtherJob(
            f"{path}: a run with other arguments, or of a source that has changed since, was not finished",
            f"repeat that call, or remove {work}, which holds private data, to start afresh",
        )


def _refuse_foreign(work: Path) -> None:
    """Private data must not go where somebody else laid a folder, or a link, in wait."""
    found = work.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise InvalidInput(f"{work}: is not ours", "remove it, or choose another place")


@contextmanager
def _locked(work: Path, path: Path) -> Generator[None]:
    """Make a folder if need be, and hold its lock; the system lets go of it if we are killed."""
    fcntl = file_locks()
    with _cannot_be_written(path):
        work.mkdir(mode=0o700, exist_ok=True)
        _refuse_foreign(work)
        work.chmod(0o700)
        handle = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still_there(handle, work / _LOCK):  # whoever held it has just removed it
            raise BlockingIOError
    except BlockingIOError:
        os.close(handle)
        raise InvalidInput(
            f"{path}: another process is making it", "wait until it has ended"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _is_still_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def file_locks() -> Any:
    """The module `fcntl`: locks that the system lets go of when their holder dies.

    Raises:
        InvalidInput: If the system has none: Windows.
    """
    try:
        import fcntl
    except ImportError:
        raise InvalidInput(
            "this needs locks of files as Linux and macOS have them",
            "on Windows, run it in WSL; 'bookplate report verify' works everywhere",
        ) from None
    return fcntl


def _refuse_existing(path: Path) -> None:
    with _cannot_be_written(path):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
    raise _exists(path)


def _exists(path: Path) -> InvalidInput:
    return InvalidInput(f"{path}: already exists", "choose another name, or move it away first")


@contextmanager
def _cannot_be_written(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _parent_of(path: Path) -> Generator[Path]:
    """The folder of `path`, made if need be; what was made goes again if the block fails."""
    parent = path.parent
    missing: list[Path] = []
    try:
        with _cannot_be_written(parent):
            missing += [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
        yield parent
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # never made, or somebody put something in
                folder.rmdir()
        raise


def _rename_new(staged: Path, path: Path) -> None:
    """Rename a file; unlike `os.replace`, never over a file that somebody made meanwhile."""
    try:
        os.link(staged, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without hard links: take the name, then fill it
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise _exists(path) from None
        staged.replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
