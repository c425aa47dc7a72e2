"""The errors Bookplate raises on purpose, split by what the reader does next."""

import errno
from collections.abc import Iterator

__all__ = [
    "BookplateError",
    "InsufficientEvidence",
    "InvalidInput",
    "VerificationError",
    "causes_of",
    "ran_out_of",
    "reason_of",
]


class BookplateError(Exception):
    """Root of every error raised on purpose; the command line prints it as one line.

    Args:
        message: What is wrong and where (file, row, argument).
        hint: What the reader can do next; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidInput(BookplateError, ValueError):
    """The call or its input is wrong: mend it and call again."""


class InsufficientEvidence(BookplateError):
    """The call is right, but the data support no conclusion, not even a negative one."""


class VerificationError(BookplateError):
    """A file is not what it claims to be: it was altered, or belongs to something else."""


def reason_of(error: Exception) -> str:
    """An error in words, without the number and the path that the system's own errors repeat."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came of, and so on; what was left out with `from None` is left out."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        context = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or context


_NO_DISK = {errno.ENOSPC, errno.EDQUOT}
_NO_MEMORY = {errno.ENOMEM}
# Libraries raise errors of their own for it. A thread that cannot be started lacks memory for its stack.
_SAID_OF_DISK = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_SAID_OF_MEMORY = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
    "can't start new thread",
)
_NO_THREAD = (
    "Resource temporarily unavailable"  # said by Rust; the system says it of locks that are held
)


def ran_out_of(error: BaseException) -> str:
    """What the machine had too little of: "disk", "memory", or an empty string if the error is another.

    Args:
        error: What was raised, perhaps because of something else.
    """
    for cause in causes_of(error):
        said, number = str(cause), getattr(cause, "errno", None)
        if number in _NO_DISK or any(words in said for words in _SAID_OF_DISK):
            return "disk"
        if isinstance(cause, MemoryError) or number in _NO_MEMORY:
            return "memory"
        if any(words in said for words in _SAID_OF_MEMORY):
            return "memory"
        if _NO_THREAD in said and not isinstance(cause, OSError):
            return "memory"
    return ""
