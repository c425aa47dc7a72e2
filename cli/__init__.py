"""The command line: a thin coat of parsing and printing over the library.

`main` is the `bookplate` command. Nothing heavy is imported before a command runs, so `--help` is
immediate. Exit codes: 0 done, 1 a verification found against, 2 bad input or usage, 70 a bug.
"""

from .main import main

__all__ = ["main"]
