"""Refusals shared by the tests: one clear error naming the argument and the first offending index."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput

MAX_SEED = 2**64 - 1
MAX_MAGNITUDE = 1e300  # below it a mean, a difference and an interval cannot overflow

_Choice = TypeVar("_Choice", bound=StrEnum)


def finite_vector(name: str, data: ArrayLike) -> NDArray[np.float64]:
    """`data` as a float64 vector.

    Raises:
        InvalidInput: If it is not numeric, not one-dimensional, or holds NaN, infinity or a number
            beyond 1e300.
    """
    vector = _floats(name, data)
    if vector.ndim != 1:
        raise InvalidInput(f"{name}: expected one dimension, got shape {vector.shape}")
    bad = _first_bad(vector)
    if bad is not None:
        raise InvalidInput(*_not_a_score(name, vector[bad], bad))
    return np.ascontiguousarray(vector)


def finite_sample(name: str, data: ArrayLike, least: int) -> NDArray[np.float64]:
    """`finite_vector` of at least so many values.

    Raises:
        InvalidInput: If it is none, or has fewer values.
    """
    vector = finite_vector(name, data)
    if vector.size < least:
        raise InvalidInput(
            f"{name}: expected at least {least} value{'s' * (least > 1)}, got {vector.size}"
        )
    return vector


def ragged(name: str, data: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vectors of unequal lengths as (values, starts): unit u owns `values[starts[u]:starts[u + 1]]`.

    Raises:
        InvalidInput: If a unit is no finite vector or has fewer than two choices, or none is given.
    """
    try:
        n_units = len(data)
    except TypeError as error:
        raise InvalidInput(
            f"{name}: expected one vector per unit, got {type(data).__name__}"
        ) from error
    if n_units == 0:
        raise InvalidInput(f"{name}: expected at least one unit, got none")
    vectors = [_floats(f"{name}[{u}]", unit) for u, unit in enumerate(data)]
    for u, vector in enumerate(vectors):
        if vector.ndim != 1:
            raise InvalidInput(f"{name}[{u}]: expected one dimension, got shape {vector.shape}")
        if vector.size < 2:
            raise InvalidInput(
                f"{name}[{u}]: expected at least two choices, got {vector.size}",
                "a unit with one choice says nothing: leave it out",
            )
    starts = np.zeros(n_units + 1, dtype=np.int64)
    np.cumsum([vector.size for vector in vectors], out=starts[1:])
    values = np.concatenate(vectors)
    bad = _first_bad(values)
    if bad is not None:
        u = int(np.searchsorted(starts, bad, side="right")) - 1
        raise InvalidInput(*_not_a_score(f"{name}[{u}]", values[bad], bad - int(starts[u])))
    return values, starts


def table(name: str, data: ArrayLike) -> NDArray[np.float64]:
    """`data` as a float64 table of shape (N, M + 1) with N >= 1 and M >= 1.

    Raises:
        InvalidInput: If it is not numeric, of another shape, or holds NaN, infinity or a number
            beyond 1e300.
    """
    rows = _floats(name, data)
    if rows.ndim != 2 or rows.shape[0] < 1 or rows.shape[1] < 2:
        raise InvalidInput(
            f"{name}: expected shape (N, M + 1) with N >= 1 and M >= 1, got {rows.shape}"
        )
    bad = _first_bad(rows.ravel())
    if bad is not None:
        row, column = divmod(bad, rows.shape[1])
        raise InvalidInput(*_not_a_score(f"{name}[{row}]", rows[row, column], column))
    return rows


def seed_of(seed: int) -> np.uint64:
    """`seed` as 64 bits.

    Raises:
        InvalidInput: If it is no integer in [0, 2**64); a truth value is none.
    """
    if not _is_integer(seed) or not 0 <= int(seed) <= MAX_SEED:
        raise InvalidInput(f"seed: expected an integer in [0, 2**64), got {seed!r}")
    return np.uint64(seed)


def positive_count(name: str, count: int) -> int:
    """`count` itself.

    Raises:
        InvalidInput: If it is not a positive integer.
    """
    if not _is_integer(count) or count < 1:
        raise InvalidInput(f"{name}: expected a positive integer, got {count!r}")
    return int(count)


def number_in(name: str, value: float, low: float, high: float) -> float:
    """`value` itself, as a float.

    Raises:
        InvalidInput: If it is not a number in (low, high]; a truth value is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidInput(f"{name}: expected a number, got {value!r}")
    if not low < value <= high:  # NaN compares false
        raise InvalidInput(f"{name}: expected a number in ({low:g}, {high:g}], got {value!r}")
    return float(value)


def one_of(name: str, kind: type[_Choice], value: _Choice) -> _Choice:
    """The member of a closed choice, also where its plain string was given.

    Raises:
        InvalidInput: If there is no such member. (A misspelt direction must never select another.)
    """
    try:
        return kind(value)
    except ValueError as error:
        allowed = ", ".join(repr(member.value) for member in kind)
        raise InvalidInput(f"{name}: expected one of {allowed}, got {value!r}") from error


def _floats(name: str, data: ArrayLike) -> NDArray[np.float64]:
    if isinstance(data, np.ma.MaskedArray):
        raise InvalidInput(f"{name}: got a masked array", "leave out masked units before the test")
    try:
        array = np.asarray(data)
        if array.dtype.kind not in "biufO":  # complex, text and dates would convert in silence
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{name}: expected numbers, got {type(data).__name__} ({error})"
        ) from error


def _first_bad(vector: NDArray[np.float64]) -> int | None:
    bad = ~(np.abs(vector) <= MAX_MAGNITUDE)  # NaN compares false
    return int(bad.argmax()) if bad.any() else None


def _not_a_score(name: str, value: float, index: int) -> tuple[str, str]:
    if np.isfinite(value):
        return f"{name}: value {value} at index {index} is beyond 1e300", ""
    return (
        f"{name}: value {value} at index {index} is not finite",
        "leave out units without a score before the test, by a rule that does not look at the outcome",
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
