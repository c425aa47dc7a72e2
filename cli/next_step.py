"""What the reader of an error can do next, where the error itself does not say."""

import os
from collections.abc import Sequence
from typing import Any

__all__ = ["next_step"]


def next_step(error: BaseException, words: Sequence[str]) -> str:
    """The hint of an error, or one that follows from its cause, or where to look.

    Args:
        error: What was raised.
        words: The command line, without its first word.
    """
    hint = getattr(error, "hint", "")
    if hint:
        return str(hint)
    return _about_the_file(error) or f"'{_asked(words)} --help' says what it takes"


def _about_the_file(error: BaseException) -> str:
    """For an error of the system, which may have been translated on its way."""
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(cause, FileNotFoundError) or str(error).endswith("no such file"):
        return f"check its name; a name without a leading / is looked for in {os.getcwd()}"
    if isinstance(cause, IsADirectoryError):
        return "name a file, not a folder"
    if isinstance(cause, NotADirectoryError):
        return "name a folder, not a file"
    if isinstance(cause, PermissionError):
        return "ask whoever owns it for access, or name another place"
    if isinstance(cause, OSError) and cause.errno is not None:
        return "mend that, then run the same command again"
    return ""


def _asked(words: Sequence[str]) -> str:
    """The command among the words of a command line, such as `bookplate watermark embed`."""
    from .main import app

    found = ["bookplate"]
    command = _tree_of(app)
    for word in words:
        below = getattr(command, "commands", {})
        if word in below:
            command = below[word]
            found.append(word)
        elif not word.startswith("-"):
            break
    return " ".join(found)


def _tree_of(app: Any) -> Any:
    import typer

    return typer.main.get_command(app)
