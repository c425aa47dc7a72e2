"""The errors Bookplate raises on purpose, split by what the reader does next."""

__all__ = ["BookplateError", "InsufficientEvidence", "InvalidInput", "VerificationError"]


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
