"""The work folder of an audit: each test's outcome is kept as soon as it is there, and never made again.

    job.json                the registration that everything in it belongs to
    results/TEST.SUBJECT/   what came of one test: outcome.json, exhibit.parquet, files
    attempts/               failures that were tried again, with their number
    acquired.json           what was opened, with its digest when it was first opened
    spent.json              requests, tokens and seconds so far

It is bound to the SHA-256 of the audit file. Each result's digest stands in the custody log, too.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidInput, VerificationError
from ...files import file_locks, hexadecimal, new_folder
from ...provenance.bundle.exhibits import read_exhibit, write_exhibit
from ...stats import Finding, Input
from ...stats.report.strict_json import strict_json
from ..reporting import Attachment

__all__ = ["Kept", "Spent", "WorkFolder", "refuse_other_registration"]

_FORMAT = "bookplate-audit-work/2"
_JOB, _LOCK, _RESULTS, _ATTEMPTS = "job.json", "lock", "results", "attempts"
_OUTCOME, _EXHIBIT = "outcome.json", "exhibit.parquet"
_ACQUIRED, _SPENT = "acquired.json", "spent.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What came of one test of one subject, suspect or control.

    Attributes:
        test: Id, `TEST.SUBJECT`.
        started: RFC 3339 in UTC.
        finished: Likewise.
        finding: With its working; None where there is no result.
        reason: Why there is no result; empty if there is one.
        failed_assumption: Which assumption the data refute.
        examined: What the test took.
        attachments: Further files.
    """

    test: str
    started: str
    finished: str
    finding: Finding | None = None
    reason: str = ""
    failed_assumption: str = ""
    examined: tuple[Input, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(slots=True)
class Spent:
    """What the audit cost so far."""

    queries: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class WorkFolder:
    """A work folder that is ours alone while `opened` lasts.

    Attributes:
        path: The folder.
        acquired: Digest of everything that was opened, by the names of the audit file.
        spent: What it cost.
    """

    path: Path
    acquired: dict[str, str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    @classmethod
    @contextmanager
    def opened(cls, path: Path, pre_registration: str) -> "Generator[WorkFolder]":
        """Open a work folder, or make one.

        Raises:
            InvalidInput: If it belongs to another registration, or another process works in it.
        """
        with _locked(path):
            _bind(path, pre_registration)
            for name in (_RESULTS, _ATTEMPTS):
                (path / name).mkdir(exist_ok=True)
            acquired, spent = _read(path / _ACQUIRED), _read(path / _SPENT)
            yield cls(path, dict(acquired), Spent(**spent))

    def names(self) -> list[str]:
        """Ids of the tests that are done, or failed."""
        return sorted(p.name for p in (self.path / _RESULTS).iterdir() if _is_result(p))

    def digest(self, test: str) -> str:
        """SHA-256 of a kept outcome, which names the digests of all files of it."""
        return hashlib.sha256((self.path / _RESULTS / test / _OUTCOME).read_bytes()).hexdigest()

    def keep(self, kept: Kept) -> None:
        """Keep an outcome: all of it or nothing.

        Raises:
            InvalidInput: If there is one already, or its numbers are too many for an exhibit.
        """
        with new_folder(self.path / _RESULTS / kept.test) as folder:
            data: dict[str, Any] = {
                "format": _FORMAT,
                "test": kept.test,
                "started": kept.started,
                "finished": kept.finished,
                "finding": None if kept.finding is None else kept.finding.to_dict(),
                "reason": kept.reason,
                "failed_assumption": kept.failed_assumption,
                "examined": [asdict(item) for item in kept.examined],
                "exhibit": "",
                "attachments": [],
            }
            if kept.finding is not None and kept.finding.working is not None:
                write_exhibit(kept.finding.working, folder / _EXHIBIT)
                data["exhibit"] = _sha256((folder / _EXHIBIT).read_bytes())
            for number, attachment in enumerate(kept.attachments):
                (folder / str(number)).write_bytes(attachment.content)
                data["attachments"].append({
                    "name": attachment.name,
                    "description": attachment.description,
                    "sha256": _sha256(attachment.content),
                })
            text = json.dumps(data, ensure_ascii=True, allow_nan=False, sort_keys=True)
            (folder / _OUTCOME).write_text(text, encoding="ascii")

    def set_aside(self, test: str) -> int:
        """Move a failure out of the way, so that the test can be tried again; returns its number."""
        number = 1 + sum(p.name.startswith(f"{test}@") for p in (self.path / _ATTEMPTS).iterdir())
        (self.path / _RESULTS / test).rename(self.path / _ATTEMPTS / f"{test}@{number}")
        return number

    def digests_set_aside(self, test: str) -> set[str]:
        """SHA-256 of the failures of a test that were set aside."""
        folders = (p for p in (self.path / _ATTEMPTS).iterdir() if p.name.startswith(f"{test}@"))
        return {_sha256((p / _OUTCOME).read_bytes()) for p in folders if _is_result(p)}

    def load(self, test: str, *, expected: str = "") -> Kept:
        """Read a kept outcome.

        Args:
            test: Its id.
            expected: Its digest in the custody log; empty if none stands there.

        Raises:
            VerificationError: If it was altered since.
        """
        folder = self.path / _RESULTS / test
        data = (folder / _OUTCOME).read_bytes()
        if expected and _sha256(data) != expected:
            raise _altered(folder)
        try:
            found = strict_json(data)
            if (found.pop("format"), found["test"]) != (_FORMAT, test):
                raise _altered(folder)
            finding = None if found["finding"] is None else Finding.from_dict(found["finding"])
            if finding is not None and found["exhibit"]:
                exhibit = _held(folder / _EXHIBIT, found["exhibit"])
                finding = finding.about(working=read_exhibit(exhibit))
            del found["exhibit"], found["finding"]
            attachments = [
                Attachment(
                    item["name"],
                    _held(folder / str(number), item["sha256"]),
                    item["description"],
                )
                for number, item in enumerate(found.pop("attachments"))
            ]
            examined = tuple(Input(**item) for item in found.pop("examined"))
            return Kept(**found, finding=finding, examined=examined, attachments=tuple(attachments))
        except (KeyError, TypeError, InvalidInput, OSError) as error:
            raise _altered(folder) from error

    def save(self) -> None:
        """Write down what was acquired and spent."""
        _write(self.path / _ACQUIRED, self.acquired)
        _write(self.path / _SPENT, asdict(self.spent))


def _is_result(path: Path) -> bool:
    return not path.name.startswith(".") and (path / _OUTCOME).is_file()


def _altered(folder: Path) -> VerificationError:
    return VerificationError(
        f"{folder}: is not the outcome that was kept",
        "what a test gave must not be changed; the custody log holds its digest",
    )


def _held(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    if _sha256(data) != sha256:
        raise _altered(path.parent)
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        return strict_json(path.read_bytes())
    except (OSError, InvalidInput) as error:
        raise VerificationError(f"{path}: was altered: {error}") from error


def _write(path: Path, data: Mapping[str, Any]) -> None:
    staged = path.with_name(f"{path.name}.new")
    staged.write_text(json.dumps(data, sort_keys=True), encoding="ascii")
    staged.replace(path)


def _bind(path: Path, pre_registration: str) -> None:
    """Bind the folder to a registration, or refuse another one."""
    refuse_other_registration(path, pre_registration)
    if not (path / _JOB).exists():
        _write(path / _JOB, {"format": _FORMAT, "pre_registration": pre_registration})


def refuse_other_registration(path: Path, pre_registration: str) -> None:
    """Refuse a work folder that belongs to another registration; one that is not there fits any.

    Args:
        path: The work folder; it is only read.
        pre_registration: SHA-256 of the audit file, hexadecimal.

    Raises:
        InvalidInput: If the audit file is no longer the one registered.
        VerificationError: If what the folder says of it was altered.
    """
    job = path / _JOB
    if not os.path.exists(job):  # also where the folder cannot be read: `opened` says why
        return
    found = _read(job)
    try:
        known = hexadecimal(64, found.get("pre_registration"), "SHA-256")
        if found.get("format") != _FORMAT:
            raise ValueError("of another format")
    except ValueError as error:
        raise VerificationError(f"{job}: was altered: {error}") from None
    if known != pre_registration:
        raise InvalidInput(
            f"the audit file is no longer the one registered: its SHA-256 was {known} and is "
            f"{pre_registration}",
            "bring back the file as it was, or register the new one under another file name, so that both "
            "show",
        )


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Make the folder if need be, private, and hold its lock; the system lets go if we are killed."""
    fcntl = file_locks()
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if path.is_symlink() or found.st_uid != os.geteuid():
            raise InvalidInput(f"{path}: is not ours", "remove it, or name another with --work")
        handle = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for staged in (path / _RESULTS).glob(".bookplate-*"):
            shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed
        yield
    except BlockingIOError:
        raise InvalidInput(
            f"{path}: another process is at work there", "wait until it has ended"
        ) from None
    finally:
        os.close(handle)
