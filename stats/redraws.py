"""The same test with its randomness drawn anew: a case where the null hypothesis holds by construction.

A test of `stats` is calibrated by what was drawn: the key's choices, the training order, which set a value
belongs to. Drawn anew, independently of the scores, the p-value is one of an innocent case with these very
scores, ties and outliers; many of them show how often the test errs on this data.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .workings import Working

__all__ = ["redrawn", "redrawn_p_values"]

_RESAMPLES = 999  # of one control: its p-value is looked at with two digits

_Columns = dict[str, NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]]


def redrawn(working: Working, rng: np.random.Generator) -> Working:
    """The same numbers under another draw.

    Choices, and variants of a record: another one of each unit was released, uniformly. Two quantities: x is
    permuted. Two sets: membership is permuted, within strata if there are any. Differences: signs are drawn.
    One among others: another one was observed, uniformly.

    Args:
        working: What a test was given.
        rng: Where the draw comes from.
    """
    columns: _Columns = dict(working.columns)
    _DRAWS[working.test](working, columns, rng)
    # Names and choices say what the rows were; what is drawn anew is not theirs.
    return replace(working, columns=columns, names=(), choices=())


def redrawn_p_values(working: Working, n: int, seed: int) -> tuple[float, ...]:
    """The p-values of a test under other draws; about uniform, or larger, if the test is right.

    Args:
        working: What the test was given.
        n: How many draws.
        seed: Seed of the draws, in [0, 2**64).

    Returns:
        p-values in (0, 1], Monte-Carlo ones from at most 999 draws each.
    """
    settings = dict(working.settings)
    if isinstance(settings.get("n_resamples"), int):
        settings["n_resamples"] = min(int(settings["n_resamples"] or 0), _RESAMPLES)
    light = replace(working, settings=settings)
    rng = np.random.default_rng(seed)
    return tuple(redrawn(light, rng).repeat().p_value for _ in range(n))


def _draw_choices(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    starts = working.unit_starts()
    sizes = np.diff(starts, append=working.n_rows)
    chosen = np.zeros(working.n_rows, dtype=np.bool_)
    chosen[starts + rng.integers(0, sizes)] = True
    columns["chosen"] = chosen


def _draw_variants(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    """The released variant stands first in its record: so the rows of each record change places."""
    order = np.lexsort((rng.random(working.n_rows), columns["unit"]))
    for name in columns:
        if name == "value" or name.startswith("reference_"):
            columns[name] = columns[name][order]


def _permute_order(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    columns["x"] = rng.permutation(columns["x"])


def _permute_sets(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    strata = columns.get("stratum", np.zeros(working.n_rows, dtype=np.int64))
    from_a = columns["from_a"].copy()
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        from_a[rows] = rng.permutation(from_a[rows])
    columns["from_a"] = from_a


def _draw_signs(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    columns["difference"] = columns["difference"] * rng.choice((-1.0, 1.0), working.n_rows)


def _draw_observed(working: Working, columns: _Columns, rng: np.random.Generator) -> None:
    columns["observed"] = np.arange(working.n_rows) == rng.integers(0, working.n_rows)


_DRAWS: Mapping[str, Callable[[Working, _Columns, np.random.Generator], None]] = {
    "choice": _draw_choices,
    "ghost": _draw_variants,
    "spearman": _permute_order,
    "paired": _draw_signs,
    "two-sample": _permute_sets,
    "stratified": _permute_sets,
    "welch": _permute_sets,
    "rank": _draw_observed,
    "sign e-process": _draw_signs,
    "rank e-process": _draw_variants,
}
