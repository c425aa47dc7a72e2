"""Defaults of options from `bookplate.toml` and the environment.

Command line > environment > file > the command's own default. A table of the file is a command, a key one of
its options by its long name: `[watermark.detect]`, `device = "cuda"`. A variable is the same in capitals:
`BOOKPLATE_WATERMARK_DETECT_DEVICE`. Arguments are never taken from there: what is examined stands on the
command line.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, reason_of
from .output import print_note

__all__ = ["FILE", "FILE_VARIABLE", "Setting", "Settings", "applied", "current", "defaults_of"]

FILE = "bookplate.toml"
FILE_VARIABLE = "BOOKPLATE_CONFIG"
_PREFIX = "BOOKPLATE_"
_SHOWN_BY = "'bookplate config' shows what applies"
_LARGEST = 1 << 20  # bytes of a file of settings
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"\s*\[+\s*([^\]]*?)\s*\]+")

# What a registered audit tests, and whether a failure is tried again, is for AUDIT.yaml and for who types
# the command. So is everything of `report verify`: whom to trust is decided each time.
_ONLY = {"audit": {"who", "template", "tsa-roots", "json"}, "report verify": {"json"}}
_NEVER = {"help", "force", "retry", "register", "dry-run"}  # said for one run, or not at all


@dataclass(frozen=True, slots=True)
class Setting:
    """One option that has another default than its command gives it.

    Attributes:
        command: The words of the command, such as `("watermark", "detect")`.
        option: Long name without dashes.
        parameter: Name that the command line's parser gives it.
        value: What is to be parsed as if it had been typed.
        source: Where it stands: `bookplate.toml, line 3`, or the name of a variable.
    """

    command: tuple[str, ...]
    option: str
    parameter: str
    value: Any
    source: str

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        if isinstance(self.value, bool):
            return [f"--{self.option}"] if self.value else []
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
                option, does not fit it, or is a secret.
        """
        file = _file_of(environment, folder)
        commands = dict(_commands_of(tree))
        strong = list(_of_environment(commands, environment))
        taken = {(s.command, s.option) for s in strong}
        weak = [] if file is None else _of_file(commands, file)
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
        InvalidInput: As for `Settings.read`; not where only help is asked for, or a shell completes a line.
    """
    is_completing = any(n.startswith("_") and n.endswith("_COMPLETE") for n in os.environ)
    if is_completing or not words or not {"--help", "--version"}.isdisjoint(words):
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
        if _is_of(setting.command, words) and f"--{setting.option}" not in typed
    ]


def _note_applied(words: Sequence[str]) -> None:
    """Say which options come from elsewhere: nothing that decides a result may be hidden."""
    by_source: dict[str, list[str]] = {}
    for setting in applied(words):
        by_source.setdefault(setting.source.partition(",")[0], []).append(shlex.join(setting.words))
    for source, said in by_source.items():
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
        return Path(named)
    file = folder / FILE
    return Path(FILE) if file.is_file() else None


def _of_environment(
    commands: Mapping[tuple[str, ...], Mapping[str, Any]], environment: Mapping[str, str]
) -> Iterator[Setting]:
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
        parameter = commands[command][option]
        value: Any = text
        if parameter.is_flag:
            value = _truth(variable, text)
        elif parameter.multiple:
            value = shlex.split(text)
        yield _setting(command, option, parameter, value, variable)


def _of_file(commands: Mapping[tuple[str, ...], Mapping[str, Any]], file: Path) -> list[Setting]:
    try:
        data = file.read_bytes()
        if len(data) > _LARGEST:
            raise InvalidInput(f"{file}: more than {_LARGEST:,} bytes")
        text = data.decode("utf-8")
        tables = tomllib.loads(text)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"{file}: cannot be read as TOML: {reason_of(error)}", "mend it, or move it away"
        ) from error
    found = []
    for path, value in _leaves(tables, (), commands):
        command, option = path[:-1], path[-1]
        where = f"{file}, line {_line_of(text, path)}"
        parameter = commands.get(command, {}).get(option)
        if parameter is None:
            raise InvalidInput(f"{where}: {_unknown(commands, path)}", _SHOWN_BY)
        found.append(_setting(command, option, parameter, _typed(value, parameter, where), where))
    return found


def _leaves(
    table: Mapping[str, Any], path: tuple[str, ...], commands: Mapping[tuple[str, ...], Any]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and path not in commands:
            yield from _leaves(value, (*path, key), commands)
        else:
            yield (*path, key), value


def _unknown(commands: Mapping[tuple[str, ...], Mapping[str, Any]], path: Sequence[str]) -> str:
    *command, option = path
    if tuple(command) in commands:
        near = commands[tuple(command)]
        spelt = option.replace("_", "-")
        meant = f"; '{spelt}' is one" if spelt in near else ""
        return f"'bookplate {' '.join(command)}' has no option '{option}' to be set here{meant}"
    return (
        f"'{'.'.join(path)}' is no option of a command; expected a table such as [watermark.detect]"
    )


def _typed(value: Any, parameter: Any, where: str) -> Any:
    """A value of TOML as the parser takes it.

    Raises:
        InvalidInput: If the option takes no such value.
    """
    scalar = isinstance(value, str | int | float)
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise InvalidInput(f"{where}: expected true or false, got {value!r:.40}")
        return value
    if parameter.multiple:
        if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
            raise InvalidInput(f"{where}: may be given several times: expected a list", "[...]")
        return [str(item) for item in value]
    if not scalar or isinstance(value, bool):
        raise InvalidInput(f"{where}: expected one text or number, got {value!r:.40}")
    return str(value)


def _truth(variable: str, text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise InvalidInput(f"{variable}: expected 1 or 0, got {text!r:.40}")
    return known[text.lower()]


def _setting(
    command: tuple[str, ...], option: str, parameter: Any, value: Any, source: str
) -> Setting:
    for text in value if isinstance(value, list) else [value]:
        _refuse_secret(option, str(text), source)
    return Setting(command, option, parameter.name, value, source)


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
    """Every command with its options that may be set, by their long names without dashes."""
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
    only = _ONLY.get(" ".join(path), options.keys())
    yield path, {name: p for name, p in options.items() if name in only and name not in _NEVER}


def _capitals(name: str) -> str:
    return name.upper().replace("-", "_")


def _variable_of(command: Sequence[str], option: str) -> str:
    return _PREFIX + "_".join(map(_capitals, (*command, option)))


def _line_of(text: str, path: Sequence[str]) -> int:
    """The line of a key, found by its looks: the parser of TOML does not tell."""
    table: list[str] = []
    nearest = 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
        else:
            key = line.partition("=")[0]
            named = [*table, *(part.strip().strip("\"'") for part in key.split("."))]
            if "=" in line and named == list(path[: len(named)]):
                return number
        if table and table == list(path[: len(table)]):
            nearest = number if header else nearest
    return nearest
