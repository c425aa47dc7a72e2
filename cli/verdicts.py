"""Exit code 1: the command worked, and what it checked does not hold."""

from collections.abc import Generator
from contextlib import contextmanager

import typer

from ..errors import VerificationError
from .output import print_error, print_json

__all__ = ["EXIT_DOES_NOT_HOLD", "may_not_hold"]

EXIT_DOES_NOT_HOLD = 1


@contextmanager
def may_not_hold(*, as_json: bool) -> Generator[None]:
    """End with exit code 1, and the reason on one line, if what the block checks does not hold."""
    try:
        yield
    except VerificationError as error:
        if as_json:
            print_json({"holds": False, "reason": str(error)})
        print_error(str(error), error.hint)
        raise typer.Exit(EXIT_DOES_NOT_HOLD) from None
