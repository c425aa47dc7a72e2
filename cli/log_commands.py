"""`bookplate log`: a custody log, whose lines cannot be changed without being noticed."""

import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from ..files import sha256_of_file
from .options import AsJson
from .output import print_json, print_note, print_rows, print_table
from .verdicts import may_not_hold

if TYPE_CHECKING:
    from ..provenance.custody.log import LogEntry, VerifiedLog

app = typer.Typer(help="Who did what, when: a hash-chained custody log.", no_args_is_help=True)

_MOST_NAMES = 3
_DIGEST_SHOWN = 16

_LogFile = Annotated[Path, typer.Argument(help="The log, such as custody.jsonl.")]


class Action(StrEnum):
    """What is done with evidence, in the words of ISO/IEC 27037 and, for the last three, 27042."""

    IDENTIFICATION = "identification"
    COLLECTION = "collection"
    ACQUISITION = "acquisition"
    PRESERVATION = "preservation"
    ANALYSIS = "analysis"
    INTERPRETATION = "interpretation"
    REPORTING = "reporting"


@app.callback()
def group() -> None:
    """Who did what, when: a hash-chained custody log."""


@app.command("add")
def add(
    log: _LogFile,
    action: Annotated[Action, typer.Argument(help="What was done; words of ISO/IEC 27037/27042.")],
    who: Annotated[str, typer.Option(help="Who did it: name and role.")],
    file: Annotated[
        list[Path] | None,
        typer.Option(help="File whose SHA-256 is entered; may be repeated."),
    ] = None,
    note: Annotated[str, typer.Option(help="What, where from, why; in a few words.")] = "",
    ran: Annotated[
        str, typer.Option(help="The command line that did it; tokens in it are redacted.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Add an entry. The log is made if there is none; no line is ever changed or removed."""
    from ..provenance.custody.log import append

    details: dict[str, Any] = {"files": [_described(path) for path in file or []]}
    if note:
        details["note"] = note
    with may_not_hold(as_json=as_json):
        entry = append(log, action.value, who=who, command=_words(ran), details=details)
    if as_json:
        print_json(_as_json(entry))
    else:
        print_rows([
            ("entry", f"{entry.number}, {entry.action}"),
            ("files", str(len(details["files"]))),
            ("head", entry.sha256),
        ])


@app.command("verify")
def verify(
    log: _LogFile,
    head: Annotated[
        str, typer.Option(help="Head kept elsewhere; the log must hold it, or have grown since.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check that no line was changed, moved, added within or taken out. Exit 1 if one was."""
    with may_not_hold(as_json=as_json):
        found = _verified(log, head)
    if as_json:
        print_json({"holds": True, **_summary(found)})
        return
    print_rows([("entries", str(len(found.entries))), ("head", found.head)])
    _print_oddities(found)
    print_note(
        "Not checked: the times, which are those of the writer's clock"
        + ("." if head else "; and without --head, whether last lines were cut off.")
    )


@app.command("show")
def show(log: _LogFile, as_json: AsJson = False) -> None:
    """List the entries, once the chain is verified. Exit 1 if it does not hold."""
    with may_not_hold(as_json=as_json):
        found = _verified(log, "")
    if as_json:
        print_json({**_summary(found), "log": list(map(_as_json, found.entries))})
        return
    print_table(
        ("no.", "time (own clock)", "who", "action", "what"),
        [
            (
                str(entry.number),
                entry.time.strftime("%Y-%m-%d %H:%M:%SZ"),
                entry.who,
                entry.action,
                _what(entry),
            )
            for entry in found.entries
        ],
    )
    print_rows([("head", found.head)])
    _print_oddities(found)


def _verified(log: Path, head: str) -> "VerifiedLog":
    from ..provenance.custody.log import verify as verify_log

    return verify_log(log, head=head)


def _described(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidInput(f"--file {path}: no such file")
    return {"name": str(path), "sha256": sha256_of_file(path), "bytes": path.stat().st_size}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"--ran: no command line: {error}") from None


def _what(entry: "LogEntry") -> str:
    """The note of an entry, its files, or whatever else it tells."""
    parts = []
    note, files = entry.details.get("note"), entry.details.get("files")
    if isinstance(note, str):
        parts.append(note)
    if isinstance(files, list):
        parts += [_file_text(item) for item in files[:_MOST_NAMES]]
        parts += [f"and {len(files) - _MOST_NAMES} more"] if len(files) > _MOST_NAMES else []
    if entry.command:
        parts.append(shlex.join(entry.command))
    return "; ".join(parts) or ", ".join(f"{key}: {value}" for key, value in entry.details.items())


def _file_text(item: object) -> str:
    if isinstance(item, Mapping):
        return f"{item.get('name')} {str(item.get('sha256'))[:_DIGEST_SHOWN]}"
    return str(item)


def _as_json(entry: "LogEntry") -> dict[str, Any]:
    return {
        "number": entry.number,
        "time": entry.time.isoformat(),
        "who": entry.who,
        "action": entry.action,
        "command": list(entry.command),
        "details": dict(entry.details),
        "sha256": entry.sha256,
    }


def _summary(found: "VerifiedLog") -> dict[str, Any]:
    return {
        "entries": len(found.entries),
        "head": found.head,
        "fragments": list(found.fragments),
        "unfinished": found.unfinished,
        "set_back": list(found.set_back),
    }


def _print_oddities(found: "VerifiedLog") -> None:
    for lines, what in (
        (found.fragments, "was cut short, and the entry after it says so"),
        (found.set_back, "bears an earlier time than the entry before: a clock was set back"),
    ):
        _print_oddity(lines, what)
    if found.unfinished:
        print_note(f"Line {found.lines} was cut short; the next entry will say so.")


def _print_oddity(lines: Sequence[int], what: str) -> None:
    """One line on standard error for each line of the log that is odd."""
    for number in lines:
        print_note(f"Line {number} {what}.")
