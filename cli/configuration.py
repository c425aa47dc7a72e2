"""Defaults of options from `bookplate.toml` and the environment.

Command line > environment > file > the command's own default. A table of the file is a command, a key one of
its options by its long name: `[watermark.detect]`, `device = "cuda"`. A variable is the same in capitals:
`BOOKPLATE_WATERMARK_DETECT_DEVICE`. `configurable.py` says which option may come from where: a file that
merely lies in the working folder may be a stranger's.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, reason_of
from .configurable import Place, place_of, reads_none
from .output import print_note
from .settings_file import DEEPEST, line_of, read_settings

__all__ = ["FILE", "FILE_VARIABLE", "Setting", "Settings", "applied", "current", "defaults_of"]

FILE = "bookplate.toml"
FILE_VARIABLE = "BOOKPLATE_CONFIG"
_PREFIX = "BOOKPLATE_"
_SHOWN_BY = "'bookplate config' shows what applies"
_LONGEST = 4096  # characters of one value
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_Commands = Mapping[tuple[str, ...], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """One option that has another default than its command gives it.

    Attributes:
        command: The words of the command, such as `("watermark", "detect")`.
        option: Long name without dashes.
        parameter: Name that the command line's parser gives it.
        value: What is to be parsed as if it had been typed.
        source: Where it stands: `bookplate.toml, line 3`, or the name of a variable.
        negative: Long name without dashes that says no to a flag, such as `no-probe`; empty if there is none.
    """

    command: tuple[str, ...]
    option: str
    parameter: str
    value: Any
    source: str
    negative: str = ""

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        if isinstance(self.value, bool):
            name = self.option if self.value else self.negative
            return [f"--{name}"] if name else []  # without a word for no, it is the default
        values = self.value if isinstance(self.value, list) else [self.value]
        return [word for value in values for word in (f"--{self.option}", str(value))]


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them, the stronger ones only.

    Attributes:
        file: The file that was read, or None.
        found: One setting for each option at most.
    """

    file: Path | None
    found: tuple[Setting, ...]

    @classmethod
    def read(cls, tree: Any, environment: Mapping[str, str], folder: Path) -> "Settings":
        """What applies.

        Args:
            tree: The whole command, as the parser has it.
            environment: Environment variables.
            folder: Where `bookplate.toml` may lie, unless BOOKPLATE_CONFIG names another file.

        Raises:
            InvalidInput: If the file cannot be read, or something in it or in the environment names no
                option, may not be set there, does not fit it, or is a secret.
        """
        file = _file_of(environment, folder)
        is_named = bool(environment.get(FILE_VARIABLE))
        commands = dict(_commands_of(tree))
        strong = list(_of_environment(commands, environment))
        taken = {(s.command, s.option) for s in strong}
        weak = [] if file is None else _of_file(commands, file, is_named=is_named)
        return cls(file, (*strong, *(s for s in weak if (s.command, s.option) not in taken)))

    def default_map(self) -> dict[str, Any]:
        """As the parser takes them: nested by command."""
        nested: dict[str, Any] = {}
        for setting in self.found:
            place = nested
            for word in setting.command:
                place = place.setdefault(word, {})
            place[setting.parameter] = setting.value
        return nested

    def of(self, command: Sequence[str]) -> tuple[Setting, ...]:
        """Those of one command."""
        return tuple(setting for setting in self.found if setting.command == tuple(command))


@dataclass
class _Process:
    """The settings of this process: reports repeat them where they are written."""

    settings: Settings = Settings(None, ())


_process = _Process()


def defaults_of(tree: Any, words: Sequence[str]) -> dict[str, Any]:
    """Read what applies to a command line, say so, and hand it over as the parser takes it.

    Args:
        tree: The whole command, as the parser has it.
        words: The command line, without its first word.

    Raises:
        InvalidInput: As for `Settings.read`; not where only help is asked for, a shell completes a line, or
            a stranger checks evidence.
    """
    is_completing = any(n.startswith("_") and n.endswith("_COMPLETE") for n in os.environ)
    is_asking = not words or not {"--help", "--version"}.isdisjoint(words)
    if is_completing or is_asking or reads_none(words):
        _process.settings = Settings(None, ())
    else:
        _process.settings = Settings.read(tree, os.environ, Path.cwd())
    _note_applied(words)
    return _process.settings.default_map()


def current() -> Settings:
    """The settings of this process."""
    return _process.settings


def applied(words: Sequence[str]) -> list[Setting]:
    """The settings that a command line does not override.

    Args:
        words: The command line, without its first word.
    """
    typed = {word.partition("=")[0] for word in words}
    return [
        setting
        for setting in _process.settings.found
        if _is_of(setting.command, words)
        and typed.isdisjoint({f"--{setting.option}", f"--{setting.negative}"})
    ]


def _note_applied(words: Sequence[str]) -> None:
    """Say which options come from elsewhere: nothing that decides a result may be hidden."""
    by_source: dict[str, list[str]] = {}
    for setting in applied(words):
        by_source.setdefault(setting.source.partition(", line ")[0], []).append(
            shlex.join(setting.words)
        )
    for source, said in by_source.items():
        if any(said):
            print_note(f"from {source}: {' '.join(filter(None, said))}")


def _is_of(command: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a command line is of a command; only options of the whole program may stand before it."""
    named = [word for word in words if not word.startswith("-")]
    return tuple(named[: len(command)]) == tuple(command)


# ---- the two sources -------------------------------------------------------------------------------


def _file_of(environment: Mapping[str, str], folder: Path) -> Path | None:
    if named := environment.get(FILE_VARIABLE):
        if not Path(named).is_file():
            raise InvalidInput(
                f"{FILE_VARIABLE}={named}: no such file", "name another, or unset the variable"
            )
        if not Path(named).is_absolute():  # else it would be another, a stranger's, in each folder
            raise InvalidInput(f"{FILE_VARIABLE}={named}: expected a full path", "begin it with /")
        return Path(named)
    file = folder / FILE
    return Path(FILE) if file.is_file() else None


def _of_environment(commands: _Commands, environment: Mapping[str, str]) -> Iterator[Setting]:
    names = {
        _variable_of(command, option): (command, option)
        for command, options in commands.items()
        for option in options
    }
    starts = tuple({f"{_PREFIX}{_capitals(command[0])}_" for command in commands})
    for variable, text in environment.items():
        if variable not in names:
            if variable.startswith(starts):
                raise InvalidInput(
                    f"{variable}: names no option of 'bookplate'",
                    "unset it; a name is BOOKPLATE_COMMAND_OPTION in capitals",
                )
            continue
        command, option = names[variable]
        _refuse_place(command, option, variable, is_named=True)
        parameter = commands[command][option]
        value: Any = text
        if parameter.is_flag:
            value = _truth(variable, text)
        elif parameter.multiple:
            value = _split(variable, text)
        yield _setting(command, option, parameter, value, variable)


def _of_file(commands: _Commands, file: Path, *, is_named: bool) -> list[Setting]:
    tables, lines = read_settings(file)
    found = []
    for path, value in _leaves(tables, (), commands):
        command, option = path[:-1], path[-1]
        where = f"{file}, line {line_of(lines, path)}"
        parameter = commands.get(command, {}).get(option)
        if parameter is None:
            raise InvalidInput(f"{where}: {_unknown(commands, path)}", _SHOWN_BY)
        _refuse_place(command, option, where, is_named=is_named)
        found.append(_setting(command, option, parameter, _typed(value, parameter, where), where))
    return found


def _refuse_place(command: Sequence[str], option: str, where: str, *, is_named: bool) -> None:
    """Refuse what may not be set there.

    Raises:
        InvalidInput: If it may not.
    """
    place = place_of(command, option)
    if place is Place.NOWHERE:
        raise InvalidInput(
            f"{where}: '{option}' of 'bookplate {' '.join(command)}' is given on the command line each time",
            "remove it there",
        )
    if place is Place.NAMED and not is_named:
        raise InvalidInput(
            f"{where}: '{option}' may not come from a file that merely lies in the folder: it says what is "
            "examined, opened or sent",
            f"if the file is yours, name it: {FILE_VARIABLE}=/full/path/{FILE}",
        )


def _leaves(
    table: Mapping[str, Any], path: tuple[str, ...], commands: _Commands
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        below = (*path, key)
        if isinstance(value, dict) and path not in commands and len(below) < DEEPEST:
            yield from _leaves(value, below, commands)
        else:
            yield below, value


def _unknown(commands: _Commands, path: Sequence[str]) -> str:
    *command, option = path
    if tuple(command) in commands:
        near = commands[tuple(command)]
        spelt = option.replace("_", "-")
        meant = f"; '{spelt}' is one" if spelt in near else ""
        return f"'bookplate {' '.join(command)}' has no option '{option:.40}'{meant}"
    named = ".".join(path)
    return f"'{named:.80}' is no option of a command; expected a table such as [watermark.detect]"


def _typed(value: Any, parameter: Any, where: str) -> Any:
    """A value of TOML as the parser takes it.

    Raises:
        InvalidInput: If the option takes no such value.
    """
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise InvalidInput(f"{where}: expected true or false")
        return value
    if parameter.multiple:
        if not isinstance(value, list) or not all(map(_is_one, value)):
            raise InvalidInput(f"{where}: may be given several times: expected a list", "[...]")
        return [str(item) for item in value]
    if not _is_one(value):
        raise InvalidInput(f"{where}: expected one text or number")
    return str(value)


def _is_one(value: object) -> bool:
    """Whether it is a text or a number that can be written as one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return (
            value.bit_length() <= 64
        )  # longer ones in hexadecimal have no decimal digits in Python
    return isinstance(value, str | float)


def _split(variable: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(
            f"{variable}: cannot be split into words: {reason_of(error)}", "quote it as in a shell"
        ) from error


def _truth(variable: str, text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise InvalidInput(f"{variable}: expected 1 or 0, got {text!r:.40}")
    return known[text.lower()]


def _setting(
    command: tuple[str, ...], option: str, parameter: Any, value: Any, source: str
) -> Setting:
    for item in value if isinstance(value, list) else [value]:
        text = str(item)
        if len(text) > _LONGEST or "\0" in text:
            raise InvalidInput(f"{source}: the value of '{option}' is too long or no text")
        _refuse_secret(option, text, source)
    negative = next((no[2:] for no in parameter.secondary_opts if no.startswith("--")), "")
    return Setting(command, option, parameter.name, value, source, negative)


def _refuse_secret(option: str, text: str, source: str) -> None:
    """Reports repeat settings, and files of settings are shared: no secret may come in this way."""
    from ..provenance.custody.redaction import redacted_text

    no_variable = option.endswith("-variable") and not _VARIABLE.fullmatch(text)
    if no_variable or redacted_text(text) != text:
        what = "names no environment variable" if no_variable else "looks like a secret"
        raise InvalidInput(
            f"{source}: the value of '{option}' {what}; no secret belongs there",
            "put the token into an environment variable of your own, and name that: token-variable",
        )


# ---- names -----------------------------------------------------------------------------------------


def _commands_of(
    command: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every command with its options, by their long names without dashes."""
    below = getattr(command, "commands", None)
    if below is not None:
        for name, part in below.items():
            yield from _commands_of(part, (*path, name))
        return
    options = {
        long[2:]: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for long in parameter.opts
        if long.startswith("--")
    }
    yield path, options


def _capitals(name: str) -> str:
    return name.upper().replace("-", "_")


def _variable_of(command: Sequence[str], option: str) -> str:
    return _PREFIX + "_".join(map(_capitals, (*command, option)))
