"""The page of commands, from the tree of the command line itself."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from bookplate.cli.main import app

__all__ = ["commands_page"]

_INTRODUCTION = """# Commands

Made from the program itself when these pages are built. `bookplate COMMAND --help` says the same.

Every command has `--json`. `bookplate --debug COMMAND` shows the traceback of an error. Exit codes: 0 done; 1
something was checked and does not hold; 2 bad input or usage; 70 a bug of ours; 75 interrupted, or no
room on the disk or in memory: the same command goes on; 130 Ctrl-C; 143 SIGTERM.
"""


def commands_page() -> str:
    """All commands with their arguments and options, as Markdown."""
    parts = [_INTRODUCTION]
    for path, command in _commands(typer.main.get_command(app), ("bookplate",)):
        if not command.hidden:
            parts.append(_described(path, command))
    return "\n".join(parts)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _commands(child, (*path, name))
        else:
            yield (*path, name), child


def _described(path: Sequence[str], command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts
    ]
    usage = " ".join([*path, *map(_place, arguments)])
    lines = [
        f"## {' '.join(path)}",
        "",
        "```text",
        usage + (" [OPTIONS]" if options else ""),
        "```",
        "",
    ]
    lines += [_text(command.help or ""), ""]
    context = command.context_class(command)
    lines += _table("argument", [(_code(p.name or ""), p) for p in arguments], context)
    lines += _table("option", [(_names(p), p) for p in options], context)
    return "\n".join(lines)


def _place(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


def _names(option: Any) -> str:
    return " ".join(_code(name) for name in (*option.opts, *option.secondary_opts))


def _table(what: str, rows: Sequence[tuple[str, Any]], context: Any) -> list[str]:
    if not rows:
        return []
    lines = [f"| {what} | value | what it is | default |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {_value(p, context)} | {_cell(p.help or '')} | {_default(p)} |"
        for name, p in rows
    ]
    return [*lines, ""]


def _value(parameter: Any, context: Any) -> str:
    """The words that it takes, or what kind of value; nothing for a flag."""
    shown = parameter.display_type(context).strip("<>")
    return "" if shown == "bool" else _cell(shown.replace("|", ", "))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value == "" or value is False or callable(value):
        return ""
    return _code(str(getattr(value, "value", value)))


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("\n", " ")


def _text(text: str) -> str:
    """Help is plain text: what Markdown would read as its own is escaped."""
    for sign in "*_<[":
        text = text.replace(sign, "\\" + sign)
    return text.replace("\b", "").strip()
