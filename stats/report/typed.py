"""One check that a dataclass holds what its annotations say, as reports are untrusted files."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ...errors import InvalidInput

__all__ = ["require_types"]


def require_types(instance: Any) -> None:
    """Check every field of a dataclass, and of the dataclasses in it, against its annotation.

    Knows what reports are made of: str, int, finite float, None, enums, unions, `tuple[X, ...]`,
    `Mapping[str, str]` and dataclasses.

    Args:
        instance: A dataclass instance.

    Raises:
        InvalidInput: If a field holds another type, NaN or an infinity; the message names it.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        if not field.compare:
            continue  # a working, which is no part of what a report says, and checks itself
        where = f"{type(instance).__name__}.{field.name}"
        _require(getattr(instance, field.name), hints[field.name], where)


def _require(value: Any, hint: Any, where: str) -> None:
    if not _has_type(value, hint):
        raise InvalidInput(
            f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r:.80}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{where}: expected a finite number, got {value}")
    if is_dataclass(value):
        require_types(value)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            _require(item, get_args(hint)[0], f"{where}[{i}]")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _require(name, str, f"{where}, key")
            _require(item, str, f"{where}[{name!r}]")


def _has_type(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_has_type(value, option) for option in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return isinstance(value, kind)
    return isinstance(value, NoneType if kind is None else kind)
