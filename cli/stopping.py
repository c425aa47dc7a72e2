"""How a command ends that is stopped from outside, or that runs out of memory or of disk."""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ..errors import BookplateError, causes_of, ran_out_of
from .output import print_error

__all__ = ["shortage", "stoppable"]

_BY_CTRL_C = 128 + signal.SIGINT
_BY_SIGTERM = 128 + signal.SIGTERM
_TORCHRUN = "TORCHELASTIC_RUN_ID"
_AGAIN = "the same command goes on with what was kept, or begins anew"


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which then does what Ctrl-C does."""


@contextmanager
def stoppable() -> Generator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with one line and exit code 143; Ctrl-C gives 130."""
    found: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        found.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off what cleans up
        raise _Terminated

    # Who ignores it, or handles it, did so on purpose. torchrun ends processes by it that wait for each other
    # outside of Python, where nothing can be raised.
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and _TORCHRUN not in os.environ
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        _end(_BY_SIGTERM if found else _BY_CTRL_C)
    except SystemExit as done:
        if done.code != _BY_CTRL_C:  # typer's own for Ctrl-C
            raise
        _end(_BY_SIGTERM if found else _BY_CTRL_C)
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(code: int) -> None:
    by = "Ctrl-C" if code == _BY_CTRL_C else "SIGTERM"
    print_error(f"stopped by {by}: nothing half-written is left", _AGAIN)
    sys.exit(code)


def shortage(error: BaseException) -> tuple[str, str] | None:
    """What ran out, and what to do; None if the error is another.

    What the error holds on to is let go of first, so that there is memory to say so.

    Args:
        error: What was raised, perhaps because of something else.
    """
    lacks = ran_out_of(error)
    if not lacks:
        return None
    for cause in causes_of(error):
        cause.__traceback__ = None
    if lacks == "disk":
        return _said(error, "the disk is full"), f"make room; {_AGAIN}"
    return _said(error, "memory ran out"), f"free some, or ask for less at once; {_AGAIN}"


def _said(error: BaseException, otherwise: str) -> str:
    """Where it happened, and what the system says, so far as the error tells."""
    if isinstance(error, BookplateError):
        return f"{error}: {otherwise}"
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{place}{error.strerror}"
    return otherwise
