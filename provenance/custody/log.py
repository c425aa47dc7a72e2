"""Who ran what, when: lines that each hold the hash of the line before, so that none can be changed.

Each line is an object in canonical JSON (RFC 8785) with the SHA-256 of the line before it, without its
line feed; the first holds 64 zeros. The hash of the last line, the *head*, binds the whole log: put it
into a signed statement or under a timestamp. Without a head kept elsewhere, the last lines could be
cut off, or the whole log be written anew; and the times are those of the writer's own clock, which is
no proof of time.

**A line that was cut short**, by `kill -9` or a full disk, is never removed. The next entry is preceded
by one that says so (`interrupted`) and whose hash covers the fragment, so history is kept to the byte.
Unreadable lines are accepted at that one place only.
"""

import hashlib
import itertools
import os
import re
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rfc8785 import CanonicalizationError

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import canonical_json, file_locks, hexadecimal
from .redaction import REDACTED, is_secret_name, redact, redacted_text
from .strict_json import canonical_object, fields_of

__all__ = ["LogEntry", "VerifiedLog", "append", "verify", "verify_bytes"]

_FORMAT = "bookplate-custody/1"
_BEGINNING = "0" * 64
_START = b'{"action":'  # of every entry, its names being sorted
_INTERRUPTED = "interrupted"
_LONGEST_LINE = 1 << 20
_LARGEST = 256 << 20
_PATIENCE = 10.0  # seconds to wait for another process's entry
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_FIELDS: dict[str, type] = {
    "action": str,
    "command": list,
    "details": dict,
    "format": str,
    "number": int,
    "previous": str,
    "time": str,
    "who": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line.

    Attributes:
        number: Its place among the lines, fragments included, from 1.
        time: By the clock of the machine that wrote it, UTC.
        who: Who acted, as they called themselves.
        action: What was done, e.g. `acquired`, `queried`, `signed`; `interrupted` is the log's own.
        command: The command line, secrets redacted.
        details: JSON: digests of what was used and made, and the like.
        sha256: Hash of the line: what the next line, or a statement, holds.
    """

    number: int
    time: datetime
    who: str
    action: str
    command: tuple[str, ...]
    details: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose chain holds.

    Attributes:
        entries: All entries in order.
        head: Hash of the last line; 64 zeros if there is none.
        fragments: Numbers of the lines that were cut short, each declared by the entry after it.
        unfinished: Whether the last line was cut short, and no entry after it says so yet.
        lines: How many lines there are, fragments included.
        set_back: Numbers of entries that bear an earlier time than the entry before.
    """

    entries: tuple[LogEntry, ...]
    head: str
    fragments: tuple[int, ...]
    unfinished: bool
    lines: int
    set_back: tuple[int, ...]


def append(
    path: Path,
    action: str,
    *,
    who: str,
    command: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
) -> LogEntry:
    """Add an entry; once this returns, it survives the machine.

    Args:
        path: The log; made, readable by its owner only, if there is none.
        action: What was done, in one or a few words.
        who: Who did it.
        command: Command line, redacted here; see `redact`.
        details: JSON; values under telling names, and texts that look like tokens, are redacted.

    Returns:
        The entry.

    Raises:
        InvalidInput: If the entry is no JSON, too long or called `interrupted`, or the log cannot be
            written.
        VerificationError: If the log there does not verify; nothing is added to it.
    """
    if action == _INTERRUPTED or not action or not who:
        raise InvalidInput(f"a log entry needs who, and an action other than {_INTERRUPTED!r}")
    try:
        fields = {
            "action": redacted_text(action),
            "command": redact(command),
            "details": _redacted(dict(details or {})),
            "who": redacted_text(who),
        }
    except RecursionError:
        raise InvalidInput("cannot be logged: details nested too deeply") from None
    with _locked(path) as handle:
        data = _whole(handle, path)
        if (tail := _written_last(data)) is None:
            log = _verified(data, str(path))
            tail = _Tail(log.lines, log.head, log.unfinished)
        number, previous = tail.lines + 1, tail.head
        added = b"" if data.endswith(b"\n") or not data else b"\n"
        if tail.unfinished:
            note = {"action": _INTERRUPTED, "command": [], "details": {"line": tail.lines}}
            line = _line({**note, "who": fields["who"]}, number, previous)
            added += line + b"\n"
            number, previous = number + 1, _sha256(line)
        line = _line(fields, number, previous)
        added += line + b"\n"
        _write(handle, added, path)
        _remember(data + added, _Tail(number, _sha256(line), unfinished=False))
    return _entry(line, "the new entry")


@dataclass(frozen=True, slots=True)
class _Tail:
    """What the next entry follows."""

    lines: int
    head: str
    unfinished: bool


# SHA-256 of the whole log as this process verified it and then wrote it, with its end: a thousand entries in
# a row need not verify each other a thousand times. Bytes that differ in anything are verified anew.
_last: dict[bytes, _Tail] = {}


def _written_last(data: bytes) -> _Tail | None:
    return _last.get(hashlib.sha256(data).digest())


def _remember(data: bytes, tail: _Tail) -> None:
    _last.clear()
    _last[hashlib.sha256(data).digest()] = tail


def verify(path: Path, *, head: str = "") -> VerifiedLog:
    """Check that no line was changed, added within, moved or taken out.

    1. Every line is an entry, or was cut short and the entry after says so.
    2. Every entry has its number, and the hash of the line before.
    3. If `head` is given, it is the hash of a line: the log is that one, or has grown since.

    Not checked: whether the times are true, and, without `head`, whether last lines were cut off.

    Args:
        path: The log.
        head: Hash kept elsewhere, e.g. in a signed statement.

    Raises:
        VerificationError: If one of these fails.
        InvalidInput: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidInput(f"{visible(str(path))}: cannot be read: {error.strerror}") from error
    log = _verified(data, str(path))
    if head and head not in {_BEGINNING, *map(_sha256, data.split(b"\n"))}:
        raise VerificationError(
            f"{visible(str(path))}: not the log of head {visible(head[:80])}, or its last lines were cut off"
        )
    return log


def verify_bytes(data: bytes, where: str) -> VerifiedLog:
    """`verify` for a log that lies in no file of its own.

    Args:
        data: The log.
        where: What to call it in messages.

    Raises:
        VerificationError: As for `verify`.
    """
    return _verified(data, where)


def _verified(data: bytes, where: str) -> VerifiedLog:
    where = visible(where)
    if len(data) > _LARGEST:
        raise VerificationError(f"{where}: more than {_LARGEST} bytes")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()  # nothing follows the last line feed
    _refuse_other_text(lines, where)
    entries: list[LogEntry] = []
    fragments: list[int] = []
    undeclared: list[int] = []
    previous = _BEGINNING
    for number, line in enumerate(lines, start=1):
        entry = _entry_or_none(line, where, number, previous)
        if entry is None:
            undeclared.append(number)
        else:
            if undeclared and entry.action != _INTERRUPTED:
                raise VerificationError(f"{where}, line {undeclared[0]}: no entry of a custody log")
            if entry.action == _INTERRUPTED and not undeclared:
                raise VerificationError(
                    f"{where}, line {number}: declares a fragment that is not there"
                )
            fragments += undeclared
            undeclared.clear()
            entries.append(entry)
        previous = _sha256(line)
    set_back = [b.number for a, b in itertools.pairwise(entries) if b.time < a.time]
    return VerifiedLog(
        tuple(entries), previous, tuple(fragments), bool(undeclared), len(lines), tuple(set_back)
    )


def _refuse_other_text(lines: Sequence[bytes], where: str) -> None:
    """A file that never was a log must not pass for one whose only line was cut short."""
    if lines and not (lines[0].startswith(_START) or _START.startswith(lines[0])):
        raise VerificationError(f"{where}, line 1: no entry of a custody log")


def _entry_or_none(line: bytes, where: str, number: int, previous: str) -> LogEntry | None:
    """The entry in a line; None if the line is a fragment.

    A whole entry that does not belong here is no fragment: nobody's crash writes one.

    Raises:
        VerificationError: If it is one, or JSON of another kind.
    """
    try:
        found = canonical_object(line, where, limit=_LONGEST_LINE)
    except VerificationError:
        return None
    entry = _entry(line, f"{where}, line {number}")
    if entry.number != number:
        raise VerificationError(f"{where}, line {number}: numbered {entry.number}")
    if found["previous"] != previous:
        raise VerificationError(
            f"{where}, line {number}: does not follow the line before, which was altered or moved"
        )
    return entry


def _entry(line: bytes, where: str) -> LogEntry:
    found = canonical_object(line, where, limit=_LONGEST_LINE)
    action, command, details, kind, number, previous, when, who = fields_of(found, _FIELDS, where)
    if kind != _FORMAT:
        raise VerificationError(f"{where}: format {visible(kind[:80])!r} is not known here")
    try:
        hexadecimal(64, previous, "hash of a line")
        moment = datetime.fromisoformat(when)
    except ValueError as error:
        raise VerificationError(f"{where}: {visible(str(error)[:200])}") from None
    if not _TIME.fullmatch(when):
        raise VerificationError(f"{where}: {visible(when[:80])!r} is no time in UTC")
    if not all(isinstance(argument, str) for argument in command):
        raise VerificationError(f"{where}: a command line that is no list of strings")
    return LogEntry(
        number=number,
        time=moment,
        who=who,
        action=action,
        command=tuple(command),
        details=details,
        sha256=_sha256(line),
    )


def _line(fields: Mapping[str, Any], number: int, previous: str) -> bytes:
    """One entry as canonical JSON, without its line feed.

    Raises:
        InvalidInput: If it could not be read again.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    try:
        line = canonical_json({
            **fields,
            "format": _FORMAT,
            "number": number,
            "previous": previous,
            "time": now,
        })
        _entry(line, "the new entry")
    except (CanonicalizationError, VerificationError, RecursionError) as error:
        raise InvalidInput(f"cannot be logged: {error}") from error
    return line


def _redacted(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {redacted_text(str(key)): _redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, str):
        return REDACTED if is_secret_name(name) else redacted_text(value)
    if isinstance(value, list | tuple):
        return [_redacted(item, name) for item in value]
    return value


@contextmanager
def _locked(path: Path) -> Generator[int]:
    """The log, open for reading and appending, ours alone; the system lets go of it if we are killed."""
    file_locks()  # the flags below are POSIX's too; a log can be verified without
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        raise InvalidInput(f"{visible(str(path))}: cannot be opened: {error.strerror}") from error
    try:
        _take_lock(handle, path)
        yield handle
    finally:
        os.close(handle)


def _take_lock(handle: int, path: Path) -> None:
    fcntl = file_locks()
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise InvalidInput(
                    f"{visible(str(path))}: another process holds the log",
                    "see what it waits for, and try again",
                ) from None
            time.sleep(0.01)


def _whole(handle: int, path: Path) -> bytes:
    size = os.fstat(handle).st_size
    if size > _LARGEST:
        raise VerificationError(f"{visible(str(path))}: more than {_LARGEST} bytes")
    parts: list[bytes] = []
    while part := os.pread(handle, 1 << 20, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)


def _write(handle: int, data: bytes, path: Path) -> None:
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
        folder = os.open(path.parent, os.O_RDONLY)  # the name of a new log must survive, too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InvalidInput(
            f"{visible(str(path))}: cannot be written: {error.strerror}",
            "make room; a line that was cut short stays, and the next entry says so",
        ) from error


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
