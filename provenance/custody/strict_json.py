"""JSON that means one thing to every reader: what `json.loads` lets pass is refused here.

Two readers of `{"p": 0.9, "p": 1e-9}` may see two numbers, and `1e999` is infinity to one and an error
to the other. Evidence must not depend on who reads it.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from ...display import visible
from ...errors import VerificationError
from ...files import canonical_json

__all__ = ["canonical_object", "fields_of", "strict_object"]

_DEEPEST = 64
_LARGEST_INTEGER = 2**53 - 1  # beyond it a double, and so JavaScript, sees another number


def strict_object(data: bytes, what: str, *, limit: int) -> dict[str, Any]:
    """The JSON object in some bytes.

    Args:
        data: UTF-8 without a byte order mark.
        what: What it should be, for messages, e.g. "the statement".
        limit: Most bytes to look at.

    Returns:
        The object; every number in it is finite, every string well-formed.

    Raises:
        VerificationError: If it is too long or nested too deeply, is no JSON object, or holds a key
            twice, NaN, an infinity, an integer beyond 2**53 - 1 or half of a surrogate pair.
    """
    if len(data) > limit:
        raise VerificationError(f"{what}: {len(data)} bytes, more than the {limit} allowed")
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{what}: no strict JSON: {visible(_brief(error))}") from None
    if not isinstance(found, dict):
        raise VerificationError(f"{what}: expected a JSON object, got {type(found).__name__}")
    _check_values(found, what)
    return found


def canonical_object(data: bytes, what: str, *, limit: int) -> dict[str, Any]:
    """`strict_object` of bytes that must be its canonical form (RFC 8785).

    Raises:
        VerificationError: As for `strict_object`, or if the same object has another canonical form.
    """
    found = strict_object(data, what, limit=limit)
    if canonical_json(found) != data:
        raise VerificationError(f"{what}: not in the canonical form of RFC 8785")
    return found


def fields_of(found: Any, names: Mapping[str, type], what: str) -> list[Any]:
    """The values of an object that must have exactly these fields, in the order of `names`.

    Raises:
        VerificationError: If it is no object, or a field is missing, unknown or of another type.
    """
    if not isinstance(found, dict):
        raise VerificationError(f"{what}: expected a JSON object, got {type(found).__name__}")
    for name in found.keys() - names.keys():
        raise VerificationError(f"{what}: unknown field {visible(name[:80])!r}")
    for name, kind in names.items():
        if name not in found:
            raise VerificationError(f"{what}: field {name!r} is missing")
        if type(found[name]) is not kind:
            raise VerificationError(
                f"{what}: field {name!r} is of type {type(found[name]).__name__}, not {kind.__name__}"
            )
    return [found[name] for name in names]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name[:80]!r} occurs twice")
            seen.add(name)
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _brief(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 at byte {error.start}"  # the error itself would repeat all bytes
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _check_values(found: dict[str, Any], what: str) -> None:
    """Refuse what parsed but has no agreed meaning; without recursion, as depth is hostile too."""
    level: list[Any] = [found]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            else:
                _check_scalar(value, what)
        if not below:
            return
        level = below
    raise VerificationError(f"{what}: nested more than {_DEEPEST} levels deep")


def _check_scalar(value: object, what: str) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise VerificationError(f"{what}: half of a surrogate pair in a string") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise VerificationError(f"{what}: a number that is not finite")
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise VerificationError(f"{what}: an integer beyond 2**53 - 1, which readers would round")
