"""Refusals shared by the tests: one clear error naming the argument and the first offending index."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput

MAX_SEED = 2**64 - 1


def finite_vector(name: str, data: ArrayLike) -> NDArray[np.float64]:
    """`data` as a float64 vector.

    Raises:
        InvalidInput: If it is not numeric, not one-dimensional, or holds NaN or infinity.
    """
    try:
        vector = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name}: expected numbers, got {type(data).__name__} ({error})"
        ) from error
    if vector.ndim != 1:
        raise InvalidInput(f"{name}: expected one dimension, got shape {vector.shape}")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InvalidInput(
            f"{name}: value {vector[bad[0]]} at index {bad[0]} is not finite",
            "leave out units without a score before the test, by a rule that does not look at the outcome",
        )
    return np.ascontiguousarray(vector)


def ragged(name: str, data: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vectors of unequal lengths as (values, starts): unit u owns `values[starts[u]:starts[u + 1]]`.

    Raises:
        InvalidInput: If a unit is no finite vector or has fewer than two choices, or none is given.
    """
    if len(data) == 0:
        raise InvalidInput(f"{name}: expected at least one unit, got none")
    vectors = [finite_vector(f"{name}[{u}]", unit) for u, unit in enumerate(data)]
    sizes = np.array([vector.size for vector in vectors], dtype=np.int64)
    lonely = np.flatnonzero(sizes < 2)
    if lonely.size:
        raise InvalidInput(
            f"{name}[{lonely[0]}]: expected at least two choices, got {sizes[lonely[0]]}",
            "a unit with one choice says nothing: leave it out",
        )
    starts = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return np.concatenate(vectors), starts


def seed_of(seed: int) -> np.uint64:
    """`seed` as 64 bits.

    Raises:
        InvalidInput: If it is no integer in [0, 2**64).
    """
    if not isinstance(seed, int | np.integer) or not 0 <= int(seed) <= MAX_SEED:
        raise InvalidInput(f"seed: expected an integer in [0, 2**64), got {seed!r}")
    return np.uint64(seed)


def positive_count(name: str, count: int) -> int:
    """`count` itself.

    Raises:
        InvalidInput: If it is not a positive integer.
    """
    if not isinstance(count, int | np.integer) or count < 1:
        raise InvalidInput(f"{name}: expected a positive integer, got {count!r}")
    return int(count)
