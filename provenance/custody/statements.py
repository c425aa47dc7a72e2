"""What a signature says: these files with these digests, and this about them (in-toto Statement v1).

Source: github.com/in-toto/attestation, spec/v1/statement.md. Narrower, as its spec allows a predicate to
be: unknown fields are refused, subjects are sorted and have a SHA-256 and nothing else, and the statement
is in canonical form (RFC 8785). Files are compared by name and digest; what lies in the folder and is not
a subject is refused, but for names that the caller lists, such as the envelope itself.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rfc8785 import CanonicalizationError

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import canonical_json, hexadecimal
from .file_names import check_names
from .strict_json import canonical_object, fields_of

__all__ = ["Statement", "check", "check_digests", "file_digests", "statement_over"]

_TYPE = "https://in-toto.io/Statement/v1"
_VERSIONED = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,300}/v[1-9][0-9]{0,3}", re.ASCII)
_LARGEST = 32 << 20  # bytes of a statement
_MOST_FILES = 100_000
_CHUNK = 1 << 20
_WHAT = "the statement"
# Windows has the last alone; it makes no links or pipes without being asked.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement: true only as far as its signer is believed.

    Attributes:
        subjects: SHA-256 of each file, 64 hexadecimal digits, by its path in the folder.
        predicate_type: URI that says how to read the predicate; it ends in its version.
        predicate: What is said about the files; all numbers in it are finite.
    """

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, Any]

    @classmethod
    def read(cls, payload: bytes, predicate_types: Collection[str]) -> "Statement":
        """Parse what `Envelope.verify` returned.

        Args:
            payload: The bytes that were signed.
            predicate_types: Which kinds and versions the caller can read.

        Raises:
            VerificationError: If it is no canonical statement, names files unfit for other systems, or
                is of another predicate type.
        """
        found = canonical_object(payload, _WHAT, limit=_LARGEST)
        names = {"_type": str, "predicate": dict, "predicateType": str, "subject": list}
        kind, predicate, predicate_type, subject = fields_of(found, names, _WHAT)
        if kind != _TYPE:
            raise VerificationError(f"{_WHAT}: not an in-toto Statement v1")
        if predicate_type not in predicate_types:
            raise VerificationError(
                f"{_WHAT}: of type {visible(predicate_type[:200])!r}, which is not known here",
                "a newer version of this tool may read it",
            )
        return cls(_subjects(subject), predicate_type, predicate)

    def signed_bytes(self, folder: Path, name: str, *, limit: int = 256 << 20) -> bytes:
        """The bytes of one file, if they are those that were signed.

        Who parses these, and does not open the file again, parses what was verified.

        Args:
            folder: Where the file lies.
            name: Its path there.
            limit: Most bytes to read.

        Raises:
            VerificationError: If the file is no subject, missing, too large or other than it was signed.
        """
        if name not in self.subjects:
            raise VerificationError(f"{visible(name[:200])!r}: not signed for")
        with _opened(folder, name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise VerificationError(f"{visible(name)}: more than the {limit} bytes allowed")
        _compare(name, self.subjects[name], hashlib.sha256(data).hexdigest())
        return data


def statement_over(
    folder: Path,
    predicate: Mapping[str, Any],
    predicate_type: str,
    *,
    outside: Collection[str] = (),
) -> bytes:
    """A statement about all files of a folder, to be signed as it is.

    Args:
        folder: Whose files to name.
        predicate: What to say about them: JSON with finite numbers, integers within 2**53 - 1.
        predicate_type: URI of the form of the predicate; ends in `/v` and its version.
        outside: Paths that are not signed for, e.g. that of the envelope.

    Returns:
        Canonical JSON.

    Raises:
        InvalidInput: If the predicate or its type cannot be signed, or the folder holds no file, a
            link, or names unfit for other systems.
    """
    if not _VERSIONED.fullmatch(predicate_type):
        raise InvalidInput(f"predicate type {predicate_type!r}: expected a URI that ends in /v1")
    try:
        digests = {n: d for n, d in file_digests(folder).items() if n not in outside}
        subject = [{"digest": {"sha256": digests[name]}, "name": name} for name in sorted(digests)]
        statement = {"_type": _TYPE, "predicateType": predicate_type, "subject": subject}
        payload = canonical_json({**statement, "predicate": dict(predicate)})
        Statement.read(payload, [predicate_type])  # whatever is signed can be read
    except (VerificationError, CanonicalizationError, RecursionError) as error:
        raise InvalidInput(f"{visible(str(folder))}: cannot be signed for: {error}") from error
    return payload


def check(statement: Statement, folder: Path, *, outside: Collection[str] = ()) -> None:
    """Refuse a folder that is not, file by file, the one signed for.

    1. Nothing but files and folders lies there, under names that mean one file on every system.
    2. Every subject is there.
    3. Every file is a subject, or is listed in `outside`.
    4. Every subject has its digest.

    Args:
        statement: What was signed.
        folder: What came.
        outside: Exactly those paths that may lie there unsigned; they need not.

    Raises:
        VerificationError: If one of these fails.
        InvalidInput: If there is no such folder.
    """
    if both := statement.subjects.keys() & set(outside):
        raise VerificationError(f"{visible(min(both))}: signed for, though it should lie outside")
    digests = file_digests(folder)  # 1
    check_digests(statement, {n: d for n, d in digests.items() if n not in outside})


def check_digests(statement: Statement, digests: Mapping[str, str]) -> None:
    """Steps 2 to 4 of `check`, for files that do not lie in a folder.

    Raises:
        VerificationError: If the files are not those signed for.
    """
    for name in sorted(statement.subjects.keys() - digests.keys()):  # 2
        raise VerificationError(f"{visible(name)}: signed for, but missing")
    for name in sorted(digests.keys() - statement.subjects.keys()):  # 3
        raise VerificationError(f"{visible(name)}: not signed for")
    for name, digest in statement.subjects.items():  # 4
        _compare(name, digest, digests[name])


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder and below, by its path; links are not followed.

    Raises:
        VerificationError: If there is anything but files and folders, or a name that `check_name`
            refuses.
        InvalidInput: If there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{visible(str(folder))}: no folder")
    names = sorted(_files_below(folder))
    check_names(names)
    return {name: _digest(folder, name) for name in names}


def _files_below(folder: Path) -> list[str]:
    """Paths of all files, relative, with `/`; refuses whatever is neither file nor folder."""
    names: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name + "/")
                    elif entry.is_file(follow_symlinks=False):
                        names.append(name)
                    else:
                        kind = (
                            "a symbolic link" if entry.is_symlink() else "neither file nor folder"
                        )
                        raise VerificationError(f"{visible(name[:200])}: {kind}")
        except OSError as error:
            raise VerificationError(
                f"{visible(prefix[:200] or '.')}: cannot be read: {error.strerror}"
            ) from error
        if len(names) + len(pending) > _MOST_FILES:
            raise VerificationError(f"more than {_MOST_FILES} files and folders")
    return names


def _digest(folder: Path, name: str) -> str:
    digest = hashlib.sha256()
    with _opened(folder, name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _opened(folder: Path, name: str) -> BinaryIO:
    """A file for reading; refuses what became a link, or a pipe to wait at, since it was listed."""
    try:
        handle = os.open(folder / name, _FLAGS)
    except OSError as error:
        raise VerificationError(f"{visible(name)}: cannot be read: {error.strerror}") from error
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise VerificationError(f"{visible(name)}: no file")
    return file


def _subjects(found: list[Any]) -> dict[str, str]:
    """Digests by name, sorted."""
    if not 0 < len(found) <= _MOST_FILES:
        raise VerificationError(f"{_WHAT}: names {len(found)} files, expected 1 to {_MOST_FILES}")
    pairs = [_subject(item) for item in found]
    names = [name for name, _ in pairs]
    check_names(names)
    if names != sorted(names):
        raise VerificationError(f"{_WHAT}: its files are not in the order of their names")
    return dict(pairs)


def _subject(found: Any) -> tuple[str, str]:
    name, digests = fields_of(found, {"name": str, "digest": dict}, "a subject")
    (digest,) = fields_of(digests, {"sha256": str}, "the digest of a subject")
    try:
        return name, hexadecimal(64, digest, "SHA-256 digest")
    except ValueError as error:
        raise VerificationError(f"{visible(name[:200])}: {visible(str(error)[:200])}") from None


def _compare(name: str, expected: str, found: str) -> None:
    if found != expected:
        raise VerificationError(
            f"{visible(name)}: was altered: SHA-256 {found}, but signed for {expected}"
        )
