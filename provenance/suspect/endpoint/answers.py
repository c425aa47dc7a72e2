"""What endpoints answered, kept in a file so that no question is paid for twice."""

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ....errors import InvalidInput
from ....files import file_locks

__all__ = ["AnswerStore", "default_store"]

_log = logging.getLogger(__name__)
_WAIT = 60.0  # seconds for another process to finish writing
_AT_ONCE = 500  # questions looked up by one statement; SQLite takes at least 999
_INSERT = "INSERT OR IGNORE INTO kept VALUES (?, ?)"
_TABLE = "CREATE TABLE IF NOT EXISTS kept (question TEXT PRIMARY KEY, answer TEXT NOT NULL)"


class AnswerStore:
    """Questions and their answers, in an SQLite file that several processes may use.

    A question is kept as its SHA-256. The answers may hold the texts that were asked about, so the file
    is for its owner's eyes only (mode 0600).

    Args:
        path: The file; made when the first answer comes.
        with_folder: Whether its folder is made too, for its owner's eyes only; else it has to exist.
    """

    def __init__(self, path: Path, *, with_folder: bool = False) -> None:
        self._path = path
        self._with_folder = with_folder
        self._held: sqlite3.Connection | None = None  # while `alone`

    def read(self, questions: Iterable[str]) -> dict[str, Any]:
        """The answers to those questions that have one.

        Raises:
            InvalidInput: If the file is none of ours.
        """
        asked = {_digest(question): question for question in questions}
        digests = list(asked)
        if not self._path.is_dir() and (not self._path.exists() or not self._path.stat().st_size):
            return {}
        found: dict[str, Any] = {}
        with self._open() as base:
            for first in range(0, len(digests), _AT_ONCE):
                part = digests[first : first + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = base.execute(
                    f"SELECT question, answer FROM kept WHERE question IN ({marks})",  # ruff: ignore[hardcoded-sql-expression] only question marks
                    part,
                )
                found |= {asked[digest]: json.loads(answer) for digest, answer in rows}
        return found

    def add(self, answers: Iterable[tuple[str, Any]]) -> None:
        """Keep answers; where another process was first, its answer stays.

        Raises:
            InvalidInput: If the file cannot be written, or is none of ours.
        """
        rows = [(_digest(question), json.dumps(answer)) for question, answer in answers]
        if self._held is not None:
            with self._held as base:
                base.executemany(_INSERT, rows)
            return
        self._make()
        with self._open() as base, base:
            base.executemany(_INSERT, rows)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold a lock that only one process, or thread, can hold; the system lets go of it if we are killed.

        Who looks up, asks and adds under it asks nothing that another is asking just now.

        Raises:
            InvalidInput: If the lock cannot be made beside the file.
        """
        fcntl = file_locks()
        with self._writable():
            self._make_folder()
            handle = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.warning("%s: another process is asking; waiting for it", self._path)
                fcntl.flock(handle, fcntl.LOCK_EX)
            self._make()
            with self._open() as base:
                # Each answer is then safe from a kill at once, and from a power cut soon, without
                # waiting for the disk every time.
                base.execute("PRAGMA journal_mode=WAL")
                base.execute("PRAGMA synchronous=NORMAL")
                self._held = base
                yield
        finally:
            self._held = None
            os.close(handle)

    def _make(self) -> None:
        with self._writable():
            self._make_folder()
            self._path.touch(mode=0o600, exist_ok=True)
        with self._open() as base, base:
            base.execute(_TABLE)

    def _make_folder(self) -> None:
        if self._with_folder:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _writable(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InvalidInput(
                f"{self._path}: cannot be written: {error.strerror}",
                "name a file for the answers in a folder that exists",
            ) from error

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._path, timeout=_WAIT, check_same_thread=False)
            ) as base:
                yield base
        except sqlite3.OperationalError as error:  # not of the file's contents, but of its place
            raise InvalidInput(
                f"{self._path}: cannot be read or written: {error}",
                "mend that; every answer that came before is kept",
            ) from error
        except (sqlite3.Error, json.JSONDecodeError) as error:
            raise InvalidInput(
                f"{self._path}: not a file of answers: {error}", "name a new file"
            ) from error


def default_store() -> AnswerStore:
    """The user's own store, in their cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return AnswerStore(base / "bookplate" / "answers.sqlite", with_folder=True)


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()
