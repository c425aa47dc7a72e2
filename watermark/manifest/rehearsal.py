"""A stranger's manifest is first read by a process of its own, because polars ends the process over some."""

import os
import subprocess  # ruff: ignore[suspicious-subprocess-import]  (it runs this interpreter alone)
import sys
from pathlib import Path

from ...errors import VerificationError

__all__ = ["rehearse"]

_READ = (
    "import sys, polars as pl\n"
    "with open(sys.argv[1], 'rb') as file: pl.read_parquet_metadata(file)\n"
    "with open(sys.argv[1], 'rb') as file: pl.read_parquet(file)\n"
)
_LONGEST = 600.0  # seconds


def rehearse(path: Path) -> None:
    """Refuse a file over which polars ends its process; what polars refuses itself is left to it.

    polars 2.1 asks for memory as damaged pages say (2**61 bytes), and no error can be caught then. It takes
    as long as polars needs to start, and to read the file once more.

    Args:
        path: A parquet file.

    Raises:
        VerificationError: If reading it ends a process by a signal, or does not end.
    """
    command = [sys.executable, "-I", "-c", _READ, os.fspath(path.absolute())]
    try:
        ended = subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true]  (our own words)
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_LONGEST
        ).returncode
    except subprocess.TimeoutExpired:
        ended = None
    if ended not in {0, 1}:  # 1: an error that polars raises here, too
        raise VerificationError(
            f"{path}: damaged, or made to end whatever reads it",
            "ask for the manifest again, and for its SHA-256",
        )
