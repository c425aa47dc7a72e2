"""YAML that means one thing to every reader, and knows the line of each value.

What makes two readers disagree, or a small file large, is refused: keys that occur twice, anchors and
aliases, tags, merge keys, several documents, NaN and infinities, deep nesting. Plain words mean what YAML
1.2 says: `true` and `false` are the only booleans, dates are text, and `010`, `1_000` and `12:30` are text.
"""

import math
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from ...display import visible
from ...errors import InvalidInput

__all__ = ["LARGEST", "Document", "Place", "read_yaml"]

LARGEST = 1 << 20  # bytes of a file
_DEEPEST = 16
_MOST_VALUES = 100_000  # keys among them; some seconds to read
_LARGEST_INTEGER = 2**53 - 1  # beyond it a double, and so JavaScript, sees another number
_LONGEST_NUMBER = 40  # characters

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_CONSTANTS: Mapping[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document.

    Attributes:
        data: Its mapping: dict, list, str, int, float, bool and None.
        lines: Line, from 1, of each value, by the keys and places that lead to it.
        name: What the file is called in messages.
    """

    data: dict[str, Any]
    lines: Mapping[Place, int]
    name: str

    def line(self, place: Place) -> int:
        """The line of a value; of what is not there, the line of what should hold it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, place: Place, message: str, hint: str = "") -> InvalidInput:
        """What is wrong at a place, with its line."""
        return InvalidInput(f"{self.name}, line {self.line(place)}: {message}", hint)


def read_yaml(data: bytes, name: str) -> Document:
    """Read one document whose top is a mapping.

    Args:
        data: The file's bytes, UTF-8.
        name: What to call the file in messages.

    Returns:
        The document.

    Raises:
        InvalidInput: If it is anything else, see the module's docstring; the message names the line.
    """
    name = visible(name[:200])
    if len(data) > LARGEST:
        raise InvalidInput(f"{name}: {len(data):,} bytes, more than the {LARGEST:,} allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}, line {line}: no UTF-8 at byte {error.start}") from None
    with _readable(name, text):
        return _Builder(name).document(text)


@contextmanager
def _readable(name: str, text: str) -> Generator[None]:
    """What PyYAML raises, as one line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        what = error.problem or error.context or "not understood"
        raise InvalidInput(f"{name}, line {line}: no YAML: {visible(what[:200])}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"character {error.character:#x} is not allowed"
        raise InvalidInput(f"{name}, line {line}: no YAML: {what}") from None
    except (yaml.YAMLError, ValueError, LookupError, OverflowError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{name}: no YAML: {visible(str(error)[:200])}") from None


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read."""

    value: dict[str, Any] | list[Any]
    place: Place
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """From events to values: a stack in place of recursion, so that depth is counted before it hurts."""

    name: str
    lines: dict[Place, int] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    top: Any = None
    n_values: int = 0

    def document(self, text: str) -> Document:
        documents = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(line, "a second document: expected one")
                if event.version is not None or event.tags:
                    raise self._refused(line, "directives (%YAML, %TAG) are not allowed")
            elif isinstance(event, yaml.AliasEvent):
                raise self._refused(line, "an alias (*name): write the value out")
            elif isinstance(event, yaml.NodeEvent):
                self._node(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.stack.pop()
        if not isinstance(self.top, dict):
            raise self._refused(1, "expected a mapping of fields to values")
        return Document(self.top, self.lines, self.name)

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        self.n_values += 1
        if self.n_values > _MOST_VALUES:
            raise self._refused(line, f"more than {_MOST_VALUES:,} values")
        if event.anchor is not None:
            raise self._refused(line, "an anchor (&name): write the value out where it is used")
        if getattr(event, "tag", None) is not None:
            raise self._refused(line, "a tag (!name): only plain values are allowed")
        holder = self.stack[-1] if self.stack else None
        if isinstance(event, yaml.ScalarEvent):
            if holder is not None and isinstance(holder.value, dict) and holder.key is None:
                holder.key = self._key(event.value, holder, line)
            else:
                value = event.value if event.style else self._plain(event.value, line)
                if isinstance(value, str):
                    self._check_text(value, line)
                self._put(value, line)
            return
        if holder is not None and isinstance(holder.value, dict) and holder.key is None:
            raise self._refused(line, "a list or mapping as a key")
        if len(self.stack) >= _DEEPEST:
            raise self._refused(line, f"nested more than {_DEEPEST} levels deep")
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open(value, self._put(value, line)))

    def _key(self, key: str, holder: _Open, line: int) -> str:
        if key == "<<":
            raise self._refused(line, "a merge key (<<): write the values out")
        self._check_text(key, line)
        if key in holder.value:
            raise self._refused(line, f"the key {visible(key[:80])!r} occurs twice")
        self.lines[*holder.place, key] = line
        return key

    def _put(self, value: Any, line: int) -> Place:
        """Put a value where it belongs; returns the place."""
        if not self.stack:
            self.top = value
            return ()
        holder = self.stack[-1]
        if isinstance(holder.value, list):
            place: Place = (*holder.place, len(holder.value))
            holder.value.append(value)
            self.lines[place] = line
            return place
        key, holder.key = holder.key, None
        if key is None:
            raise self._refused(line, "a value without a key")
        holder.value[key] = value
        return (*holder.place, key)

    def _plain(self, text: str, line: int) -> str | int | float | bool | None:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _NOT_FINITE.fullmatch(text):
            raise self._refused(line, f"{text} is not a finite number")
        is_integer = _INTEGER.fullmatch(text) is not None
        if not is_integer and not _FLOAT.fullmatch(text):
            return text
        if re.match(r"[-+]?0[0-9]", text):
            return text  # 010 is eight to one reader and ten to another
        if len(text) > _LONGEST_NUMBER:
            raise self._refused(line, "a number of too many digits")
        if is_integer:
            whole = int(text)
            if abs(whole) > _LARGEST_INTEGER:
                raise self._refused(line, f"{text} is beyond 2**53 - 1, which readers would round")
            return whole
        number = float(text)
        if not math.isfinite(number):
            raise self._refused(line, f"{text} is too large for a number")
        return number

    def _check_text(self, text: str, line: int) -> None:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise self._refused(line, "half of a surrogate pair in a text") from None

    def _refused(self, line: int, what: str) -> InvalidInput:
        return InvalidInput(f"{self.name}, line {line}: {visible(what)}")
