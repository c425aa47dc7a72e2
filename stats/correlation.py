"""Spearman's test: do two quantities rise together?

Null hypothesis: given y and all covariates, every assignment of the x values to the units is
equally likely. A training order drawn at random satisfies this for any model trained without it.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from . import kernels, tails
from .checks import finite_vector, positive_count, seed_of
from .findings import Alternative, Effect, Finding, Statistic, Trend, Validity

__all__ = ["SpearmanMethod", "ranks", "spearman_test"]

_MIN_PAIRS = 4
_MAX_ENUMERATED_PAIRS = 9
_MIN_PAIRS_FOR_T = 500
_TREND_BINS = 16


class SpearmanMethod(StrEnum):
    """How p is computed; AUTO enumerates up to 9 pairs, permutes below 500, and uses t beyond."""

    AUTO = "auto"
    EXACT = "exact"
    PERMUTATION = "permutation"
    T = "t"


def ranks(x: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1 to n, ties given their average.

    Args:
        x: Finite values, shape (n,).

    Returns:
        Ranks, shape (n,).

    Raises:
        InvalidInput: If x is not a finite vector.
    """
    vector = finite_vector("x", x)
    return kernels.average_ranks(vector, np.argsort(vector))


def spearman_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    alternative: Alternative,
    seed: int,
    covariates: Sequence[ArrayLike] = (),
    method: SpearmanMethod = SpearmanMethod.AUTO,
    n_resamples: int = 9_999,
) -> Finding:
    r"""Test Spearman's rank correlation of x with y, or with y's residual on covariates.

    Covariates are regressed out of y by least squares with an intercept, and the residual is
    ranked. The null hypothesis permutes x against (y, covariates) held together, so the p-value
    by enumeration or permutation stays exact for any covariates that do not depend on x.

    By `t`, p is the tail of Student's t with n - 2 degrees at rho sqrt((n - 2) / (1 - rho**2)),
    in logarithms: right far below the smallest float.

    Args:
        x: First quantity, e.g. the training step, shape (n,), n >= 4.
        y: Second quantity, e.g. log-likelihood in nats, shape (n,).
        alternative: GREATER, LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the permutations, in [0, 2**64).
        covariates: Vectors of shape (n,) that do not depend on x.
        method: See `SpearmanMethod`.
        n_resamples: Number B of permutations.

    Returns:
        A finding whose statistic and effect are rho; its interval is Fisher's z with the variance
        (1 + rho**2 / 2) / (n - 3) of Bonett & Wright (2000).

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    first, residual = _checked(x, y, covariates)
    key = seed_of(seed)
    n_resamples = positive_count("n_resamples", n_resamples)
    chosen = _chosen_method(method, first.size)
    a, b = _unit_ranks(first), _unit_ranks(residual)
    if a is None or b is None:
        which = "x" if a is None else "y (after covariates)"
        return _finding(first, residual, 0.0, 0.0, "exact", alternative, None, covariates).about(
            warnings=(f"All values of {which} are tied: p is 1.",)
        )
    rho = kernels.dot(a, b)
    if chosen is SpearmanMethod.T:
        log10_p = _both_sides(
            alternative,
            tails.student_t_log10_sf(min(max(rho, -1.0), 1.0), first.size),
            tails.student_t_log10_sf(min(max(-rho, -1.0), 1.0), first.size),
        )
        how = "t"
    elif chosen is SpearmanMethod.EXACT:
        null = kernels.all_permuted_dots(a, b, math.factorial(first.size))
        log10_p = math.log10(_count(null, rho, alternative)) - math.log10(null.size)
        how = "exact"
    else:
        null = kernels.permuted_dots(a, b, key, n_resamples)
        log10_p = tails.monte_carlo_log10_p(_count(null, rho, alternative), n_resamples)
        how = f"monte-carlo B={n_resamples}"
    used_seed = seed if chosen is SpearmanMethod.PERMUTATION else None
    return _finding(first, residual, rho, log10_p, how, alternative, used_seed, covariates)


def _checked(
    x: ArrayLike, y: ArrayLike, covariates: Sequence[ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = finite_vector("x", x), finite_vector("y", y)
    if first.size != second.size:
        raise InvalidInput(f"expected x and y of one length, got {first.size} and {second.size}")
    if first.size < _MIN_PAIRS:
        raise InvalidInput(f"x: expected at least {_MIN_PAIRS} pairs, got {first.size}")
    columns = [finite_vector(f"covariates[{c}]", column) for c, column in enumerate(covariates)]
    for c, column in enumerate(columns):
        if column.size != first.size:
            raise InvalidInput(f"covariates[{c}]: expected length {first.size}, got {column.size}")
    if first.size < len(columns) + _MIN_PAIRS:
        raise InvalidInput(f"covariates: {len(columns)} are too many for {first.size} pairs")
    return first, _residual(second, columns)


def _residual(y: NDArray[np.float64], columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    if not columns:
        return y
    # Centred and scaled first: raw lengths beside log-probabilities would cost digits.
    design = np.column_stack([(c - c.mean()) / (c.std() or 1.0) for c in columns])
    centred = y - y.mean()
    slopes, *_ = np.linalg.lstsq(design, centred, rcond=None)
    residual: NDArray[np.float64] = centred - design @ slopes
    # What is left of a perfectly explained y is rounding noise, not a signal to rank.
    residual[np.abs(residual) <= 1e-12 * np.abs(y).max()] = 0.0
    return residual


def _unit_ranks(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Centred ranks of unit length, so that an inner product is rho; None if all are tied."""
    centred = kernels.average_ranks(x, np.argsort(x)) - (x.size + 1) / 2
    norm = float(np.linalg.norm(centred))
    return centred / norm if norm > 0 else None


def _chosen_method(method: SpearmanMethod, n: int) -> SpearmanMethod:
    if method is SpearmanMethod.EXACT and n > _MAX_ENUMERATED_PAIRS:
        raise InvalidInput(f"method: exact enumeration needs n <= {_MAX_ENUMERATED_PAIRS}, got {n}")
    if method is not SpearmanMethod.AUTO:
        return method
    if n <= _MAX_ENUMERATED_PAIRS:
        return SpearmanMethod.EXACT
    return SpearmanMethod.PERMUTATION if n < _MIN_PAIRS_FOR_T else SpearmanMethod.T


def _both_sides(alternative: Alternative, log10_greater: float, log10_less: float) -> float:
    if alternative is Alternative.GREATER:
        return log10_greater
    if alternative is Alternative.LESS:
        return log10_less
    return min(min(log10_greater, log10_less) + math.log10(2), 0.0)


def _count(null: NDArray[np.float64], rho: float, alternative: Alternative) -> int:
    if alternative is Alternative.GREATER:
        return tails.count_exceeding(null, rho, 1.0)
    if alternative is Alternative.LESS:
        return tails.count_exceeding(-null, -rho, 1.0)
    return tails.count_exceeding(np.abs(null), abs(rho), 1.0)


def _finding(
    x: NDArray[np.float64],
    residual: NDArray[np.float64],
    rho: float,
    log10_p: float,
    method: str,
    alternative: Alternative,
    seed: int | None,
    covariates: Sequence[ArrayLike],
) -> Finding:
    given = f" given {len(covariates)} covariates" if covariates else ""
    direction = {
        Alternative.GREATER: "Does y rise with x",
        Alternative.LESS: "Does y fall with x",
        Alternative.TWO_SIDED: "Does y rise or fall with x",
    }[alternative]
    return Finding(
        name="Spearman test",
        question=f"{direction}{given}?",
        null="Every assignment of the x values to the units is equally likely, whatever y and the "
        "covariates are.",
        alternative=alternative,
        statistic=Statistic(name="Spearman rho", value=rho),
        log10_p=log10_p,
        method=method,
        valid=Validity.ASYMPTOTIC if method == "t" else Validity.FINITE_SAMPLE,
        n=x.size,
        unit="pairs",
        effect=_rho_interval(rho, x.size),
        seed=seed,
        figure=_trend(x, residual),
    )


def _rho_interval(rho: float, n: int) -> Effect:
    inside = min(max(rho, -1 + 1e-15), 1 - 1e-15)
    half_width = 1.96 * math.sqrt((1 + rho * rho / 2) / (n - 3))
    return Effect(
        name="Spearman rho",
        value=rho,
        low=math.tanh(math.atanh(inside) - half_width),
        high=math.tanh(math.atanh(inside) + half_width),
        confidence=0.95,
        interval="Fisher z with Bonett-Wright variance",
    )


def _trend(x: NDArray[np.float64], residual: NDArray[np.float64]) -> Trend:
    groups = np.array_split(np.argsort(x, kind="stable"), min(_TREND_BINS, x.size))
    means = np.array([residual[g].mean() for g in groups])
    errors = np.array([
        residual[g].std(ddof=1) / math.sqrt(g.size) if g.size > 1 else 0.0 for g in groups
    ])
    return Trend(
        x_label="x",
        y_label="y",
        x=tuple(float(x[g].mean()) for g in groups),
        y=tuple(means.tolist()),
        low=tuple((means - 1.96 * errors).tolist()),
        high=tuple((means + 1.96 * errors).tolist()),
    )
