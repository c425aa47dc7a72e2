"""The `bookplate` command: its tree of subcommands, and the one place that maps errors to exit codes."""

import os
import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import BookplateError
from ..files import Interrupted
from . import (
    audit_command,
    config_command,
    demo_command,
    influence_commands,
    key_commands,
    lexicon_commands,
    log_commands,
    membership_commands,
    palimpsest_commands,
    power_commands,
    report_commands,
    timestamp_commands,
    watermark_commands,
)
from .configuration import defaults_of
from .next_step import next_step
from .output import print_error
from .stopping import shortage, stoppable

__all__ = ["app", "main"]

EXIT_BAD_INPUT = 2
EXIT_BUG = 70  # EX_SOFTWARE
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: the same command goes on

app = typer.Typer(
    help="Prove where a language model's training data, or the model itself, came from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(key_commands.app, name="key")
app.add_typer(watermark_commands.app, name="watermark")
app.add_typer(palimpsest_commands.app, name="palimpsest")
app.add_typer(influence_commands.app, name="influence")
app.add_typer(membership_commands.app, name="membership")
app.add_typer(lexicon_commands.app, name="lexicon")
app.add_typer(timestamp_commands.app, name="timestamp")
app.add_typer(log_commands.app, name="log")
app.add_typer(report_commands.app, name="report")
app.command("audit")(audit_command.audit)
app.command("power")(power_commands.power)
app.command("demo")(demo_command.demo)
app.command("config")(config_command.config)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bookplate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options that go before the subcommand."""
    # Both act elsewhere: the version in its callback, --debug in `main`, which must know it even
    # when parsing fails.
    del version, debug


def main() -> None:
    """Run the command line; every error is one line unless --debug is given."""
    try:
        with stoppable():
            tree = typer.main.get_command(app)
            tree(default_map=defaults_of(tree, sys.argv[1:]))
    except BaseException as error:  # polars' panics are no Exception
        if "--debug" in sys.argv[1:] or isinstance(error, SystemExit):
            raise
        if (short := shortage(error)) is not None:
            print_error(*short)
            sys.exit(EXIT_INTERRUPTED)
        if isinstance(error, BookplateError):
            print_error(str(error), next_step(error, sys.argv[1:]))
            sys.exit(EXIT_INTERRUPTED if isinstance(error, Interrupted) else EXIT_BAD_INPUT)
        if isinstance(error, OSError):  # the disk is full, a folder is closed to us
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            print_error(f"{place}{error.strerror or error}", next_step(error, sys.argv[1:]))
            sys.exit(EXIT_BAD_INPUT)
        print_error(
            f"this is a bug: {type(error).__name__}: {error}",
            "run again with --debug and report it",
        )
        sys.exit(EXIT_BUG)
