"""File names that mean the same file on every system, so that nothing signed can be taken for another."""

import unicodedata
from collections.abc import Iterable

from ...display import visible
from ...errors import VerificationError

__all__ = ["check_name", "check_names"]

_LONGEST_PART, _LONGEST_NAME, _DEEPEST = 255, 1_000, 16  # bytes, bytes, parts
_FORBIDDEN = frozenset('\\:*?"<>|')  # to Windows: folders, drives, streams, wildcards
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{i}" for port in ("com", "lpt") for i in range(10)}
)


def check_names(names: Iterable[str]) -> None:
    """Refuse names that cannot lie in one folder on every system.

    Args:
        names: Paths of files, each once.

    Raises:
        VerificationError: If `check_name` refuses one, a name occurs twice, two differ in case or in
            the way their letters are composed, or one is both file and folder.
    """
    spelled: dict[str, str] = {}  # each path and folder as a careless file system sees it
    files: set[str] = set()
    folders: set[str] = set()
    for name in names:
        check_name(name)
        if name in files:
            raise VerificationError(f"{_shown(name)}: named twice")
        files.add(name)
        parts = name.split("/")
        paths = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        folders.update(paths[:-1])
        for path in paths:
            other = spelled.setdefault(_folded(path), path)
            if other != path:
                raise VerificationError(
                    f"{_shown(path)} and {_shown(other)}: one file where case is not told apart"
                )
    for name in sorted(files & folders):
        raise VerificationError(f"{_shown(name)}: both a file and a folder")


def check_name(name: str) -> None:
    """Refuse a name that leads out of its folder, or is another name to another system.

    Args:
        name: A relative path with `/` between its parts.

    Raises:
        VerificationError: If it is absolute or too long, has empty parts, `.` or `..`, backslashes or
            other characters with a meaning to Windows, characters that show nothing, letters that are
            not composed (NFC), white space or dots at the ends of parts, or names a device.
    """
    reason = _why_not(name)
    if reason:
        raise VerificationError(f"{_shown(name)}: {reason}")


def _why_not(name: str) -> str:
    parts = name.split("/")
    if visible(name) != name:
        return "a name with characters that show nothing"
    if len(name.encode("utf-8")) > _LONGEST_NAME or len(parts) > _DEEPEST:
        return "a name that is too long, or too many folders deep"
    if ".." in parts:
        return "a path that leads out of its folder"
    if "" in parts or "." in parts:
        return "not a relative path in its shortest form"
    if _FORBIDDEN & set(name):
        return "a name with a character that has a meaning of its own on other systems"
    if not unicodedata.is_normalized("NFC", name):
        return "a name whose letters are not composed (Unicode NFC)"
    return next(filter(None, map(_why_no_part, parts)), "")


def _why_no_part(part: str) -> str:
    if len(part.encode("utf-8")) > _LONGEST_PART:
        return "a name that is too long"
    if part != part.strip() or part.endswith("."):
        return "a name with white space at its ends, or a dot at its end"
    if part.partition(".")[0].casefold() in _DEVICES:
        return "the name of a device on Windows"
    return ""


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _shown(name: str) -> str:
    return repr(visible(name[:200]))
