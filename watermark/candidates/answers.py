"""What an endpoint answered, kept in a file so that no question is asked twice."""

import json
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path

from ...errors import InvalidInput

__all__ = ["Answers"]

_WAIT = 60.0  # seconds for another process to finish writing


class Answers:
    """Questions and the words answered, in an SQLite file that several processes may use.

    Args:
        path: The file; made, for its owner's eyes only, when the first answer comes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, questions: Iterable[str]) -> dict[str, list[str]]:
        """The answers to those questions that have one.

        Raises:
            InvalidInput: If the file is none of ours.
        """
        asked = list(dict.fromkeys(questions))
        if not self._path.exists():
            return {}
        found: dict[str, list[str]] = {}
        with self._open() as base:
            for question in asked:
                row = base.execute(
                    "SELECT words FROM answers WHERE question = ?", (question,)
                ).fetchone()
                if row is not None:
                    found[question] = json.loads(row[0])
        return found

    def add(self, answers: Iterable[tuple[str, list[str]]]) -> None:
        """Keep answers; where another process was first, its answer stays.

        Raises:
            InvalidInput: If the file cannot be written, or is none of ours.
        """
        rows = [(question, json.dumps(words)) for question, words in answers]
        self._make()
        with self._open() as base, base:
            base.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)

    def _make(self) -> None:
        try:
            self._path.touch(mode=0o600, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"{self._path}: cannot be written: {error.strerror}",
                "name a file in a folder that exists",
            ) from error
        with self._open() as base, base:
            base.execute(
                "CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, words TEXT NOT NULL)"
            )

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection, None, None]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT)) as base:
                yield base
        except sqlite3.Error as error:
            raise InvalidInput(
                f"{self._path}: not a file of answers: {error}", "name a new file"
            ) from error
