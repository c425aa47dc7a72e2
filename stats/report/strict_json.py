"""JSON read strictly, and compared: a report is an untrusted file."""

import json
import math
from typing import Any, NoReturn

from ...errors import InvalidInput
from .wording import visible

__all__ = ["difference", "strict_json"]


def strict_json(data: bytes) -> dict[str, Any]:
    """Read one JSON object in UTF-8, without duplicate keys, NaN, infinities or deep nesting.

    Raises:
        InvalidInput: If the bytes are anything else.
    """
    try:
        fields = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except InvalidInput:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON in UTF-8: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidInput(f"expected a JSON object, got {type(fields).__name__}")
    return fields


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()  # counting each name would take hours over a hostile file
        for name, _ in pairs:
            if name in seen:
                raise InvalidInput(f"key {name!r:.80} appears twice")
            seen.add(name)
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is no JSON number")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidInput(f"{digits} is too large for a number")
    return value


def difference(expected: Any, got: Any, where: str) -> str:
    """The first place where two JSON values differ, in words; empty if nowhere."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in sorted(expected.keys() ^ got.keys()):
            return f"{where}.{visible(name[:80])}: {'unknown' if name in got else 'missing'} field"
        pairs = [(f"{where}.{name:.80}", expected[name], got[name]) for name in sorted(got)]
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = [
            (f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(expected, got, strict=True))
        ]
    elif _same_value(expected, got):
        return ""
    else:
        return f"{where}: expected {expected!r:.80}, got {got!r:.80}"
    return next((text for at, a, b in pairs if (text := difference(a, b, at))), "")


def _same_value(expected: Any, got: Any) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(expected, got, rel_tol=1e-10)
    return type(expected) is type(got) and bool(expected == got)
