"""Reading `bookplate.toml`, which may be a stranger's: small files only, and never a traceback."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, reason_of

__all__ = ["DEEPEST", "line_of", "read_settings"]

DEEPEST = 4  # words of a command and its option, and one to spare
_LARGEST = 1 << 16  # bytes: one sets a few hundred options at most
_WIDEST = 4096  # characters of a line: the parser takes quadratic time for a long name with dots
_MEND = "mend it, or move it away"


def read_settings(file: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """The tables of a file of settings, and the lines where they and their keys stand.

    Args:
        file: The file; no more of it is read than one may hold.

    Raises:
        InvalidInput: If it cannot be read, is too large or too wide, or is no TOML.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise InvalidInput(f"{file}: more than {_LARGEST:,} bytes", "move it away")
        text = data.decode("utf-8")
        if max(map(len, text.split("\n"))) > _WIDEST:
            raise InvalidInput(f"{file}: a line of more than {_WIDEST:,} characters", _MEND)
        return tomllib.loads(text), _lines_of(text)
    except RecursionError as error:
        raise InvalidInput(f"{file}: cannot be read as TOML: nested too deeply", _MEND) from error
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{file}: cannot be read as TOML: {reason_of(error)}", _MEND) from error


def line_of(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """The line of a key, or of the nearest table around it.

    Args:
        lines: As `read_settings` returns them.
        path: The words of the table, and the key.
    """
    around = (lines.get(path[:length]) for length in range(len(path), 0, -1))
    return next((line for line in around if line is not None), 1)


def _lines_of(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and key, found by its looks: the parser of TOML does not tell."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        looks = line.strip()
        if looks.startswith("["):
            table = _parts(looks.lstrip("[").partition("]")[0])
            lines.setdefault(table, number)
        elif "=" in looks:
            lines.setdefault((*table, *_parts(looks.partition("=")[0])), number)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    """The words of a name with dots; of a long one, those that can matter."""
    return tuple(part.strip().strip("\"'") for part in dotted.split(".", DEEPEST)[:DEEPEST])
