"""Spearman's test: do two quantities rise together?

Null hypothesis: given y and all covariates, every assignment of the x values to the units is
equally likely. A training order drawn at random satisfies this for any model trained without it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from . import kernels, tails
from .checks import finite_vector, one_of, positive_count, seed_of
from .findings import LOG10_E, Alternative, Effect, Finding, Statistic, Trend, Validity
from .projection import power_of_two, residual

__all__ = ["SpearmanMethod", "ranks", "spearman_test"]

_MIN_PAIRS = 4
_MAX_ENUMERATED_PAIRS = 9
_MIN_PAIRS_FOR_T = 500
# Share of the variance of untied ranks below which a side counts as heavily tied. At 0.5 the larger
# of two values has 79 % of the units; above it, no unit lies more than about 2 deviations out.
_HEAVILY_TIED = 0.5
_MAX_TREND_BINS = 16
_MIN_PER_TREND_BIN = 8
_RELATIVE_CONSTANT = 1e-12


class SpearmanMethod(StrEnum):
    """How p is computed.

    AUTO enumerates up to 9 pairs, permutes below 500, and uses t beyond, unless both quantities are
    so heavily tied that t would be far off: then it permutes, however long that takes.
    """

    AUTO = "auto"
    EXACT = "exact"
    PERMUTATION = "permutation"
    T = "t"


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Ranks of one quantity, fit for inner products.

    Attributes:
        unit: Centred ranks of length 1, so that an inner product is rho; all 0 if all are tied.
        evenness: Their variance as a share of that of untied ranks, in [0, 1].
        log_ties: Log of the number of permutations that leave the ranks unchanged.
    """

    unit: NDArray[np.float64]
    evenness: float
    log_ties: float


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
    in logarithms: right far below the smallest float, and never below the probability of the least
    likely assignment (1/n! without ties). It approximates the permutation distribution: well near
    its centre; far out it is too small. The fourth cumulants of rho sqrt(n) are -4.56/n by permutation
    and -6/n by t, so ln p is too low by about 0.06 n rho**4 (more as rho nears 1); from a factor of 2
    on, a warning says so.

    Args:
        x: First quantity, e.g. the training step, shape (n,), n >= 4.
        y: Second quantity, e.g. log-likelihood in nats, shape (n,).
        alternative: GREATER, LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the permutations, in [0, 2**64).
        covariates: Vectors of shape (n,) that do not depend on x; at most n - 4, none constant.
        method: See `SpearmanMethod`.
        n_resamples: Number B of permutations.

    Returns:
        A finding whose statistic and effect are rho; its interval is Fisher's z with the variance
        (1 + rho**2 / 2) / (n - 3) of Bonett & Wright (2000).

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    alternative = one_of("alternative", Alternative, alternative)
    method = one_of("method", SpearmanMethod, method)
    first, response = _checked(x, y, covariates)
    key = seed_of(seed)
    n_resamples = positive_count("n_resamples", n_resamples)
    a, b = _ranked(first), _ranked(response)
    chosen = _chosen_method(method, first.size, a, b)
    given = len(covariates)
    if a.evenness == 0 or b.evenness == 0:
        which = "x" if a.evenness == 0 else "y, after covariates," if given else "y"
        return _finding(first, response, 0.0, 0.0, "exact", alternative, None, given).about(
            warnings=(f"All values of {which} are tied: p is 1.",)
        )
    rho = kernels.dot(a.unit, b.unit)
    warnings: tuple[str, ...] = ()
    if chosen is SpearmanMethod.T:
        log10_p = _t_log10_p(a, b, rho, alternative)
        warnings = _t_warnings(a, b, rho)
        how = "t"
    elif chosen is SpearmanMethod.EXACT:
        null = kernels.all_permuted_dots(a.unit, b.unit, math.factorial(first.size))
        log10_p = math.log10(_count(null, rho, alternative) / null.size)
        how = "exact"
    else:
        null = kernels.permuted_dots(a.unit, b.unit, key, n_resamples)
        log10_p = tails.monte_carlo_log10_p(_count(null, rho, alternative), n_resamples)
        how = f"monte-carlo B={n_resamples}"
    used_seed = int(key) if chosen is SpearmanMethod.PERMUTATION else None
    finding = _finding(first, response, rho, log10_p, how, alternative, used_seed, given)
    return finding.about(warnings=warnings)


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
        raise InvalidInput(
            f"covariates: {len(columns)} are too many for {first.size} pairs",
            f"at most n - {_MIN_PAIRS} leave anything to rank",
        )
    return first, _response(second, columns)


def _response(y: NDArray[np.float64], columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """y, or its least-squares residual (with an intercept) on the columns, in the unit of y."""
    if not columns:
        return y
    design = np.empty((y.size, len(columns)))
    for c, column in enumerate(columns):
        # Scaled by a power of two before anything is squared or summed: 1e300 is a legal covariate.
        scaled = np.ldexp(column, -power_of_two(column))
        if np.ptp(scaled) <= _RELATIVE_CONSTANT:
            raise InvalidInput(
                f"covariates[{c}]: all values are {column[0]}",
                "a constant explains nothing: leave it out",
            )
        design[:, c] = scaled - scaled.mean()
    exponent = power_of_two(y)
    scaled = np.ldexp(y, -exponent)
    rest = residual(scaled - scaled.mean(), design)
    # Rounding is relative to y itself, however small its variation.
    rest[np.abs(rest) <= _RELATIVE_CONSTANT] = 0.0
    return np.ldexp(rest, exponent)


def _ranked(x: NDArray[np.float64]) -> _Ranked:
    n = x.size
    positions = kernels.average_ranks(x, np.argsort(x))
    sizes = np.bincount(np.rint(2 * positions).astype(np.int64))  # 2 * an average rank is whole
    centred = positions - (n + 1) / 2
    squares = float(centred @ centred)
    return _Ranked(
        unit=centred / math.sqrt(squares) if squares > 0 else centred,
        evenness=squares / ((float(n) ** 3 - n) / 12),
        log_ties=float(special.gammaln(sizes[sizes > 1] + 1.0).sum()),
    )


def _chosen_method(method: SpearmanMethod, n: int, a: _Ranked, b: _Ranked) -> SpearmanMethod:
    if method is SpearmanMethod.EXACT and n > _MAX_ENUMERATED_PAIRS:
        raise InvalidInput(f"method: exact enumeration needs n <= {_MAX_ENUMERATED_PAIRS}, got {n}")
    if method is not SpearmanMethod.AUTO:
        return method
    if n <= _MAX_ENUMERATED_PAIRS:
        return SpearmanMethod.EXACT
    if n < _MIN_PAIRS_FOR_T or _heavily_tied(a, b):
        return SpearmanMethod.PERMUTATION
    return SpearmanMethod.T


def _heavily_tied(a: _Ranked, b: _Ranked) -> bool:
    """Both sides: then a few coincidences make a large rho, far more often than t allows for."""
    return max(a.evenness, b.evenness) < _HEAVILY_TIED


def _t_log10_p(a: _Ranked, b: _Ranked, rho: float, alternative: Alternative) -> float:
    n, inside = a.unit.size, min(max(rho, -1.0), 1.0)
    log10_p = _both_sides(
        alternative,
        tails.student_t_log10_sf(inside, n),
        tails.student_t_log10_sf(-inside, n),
    )
    # Each arrangement of the ranks arises from at least so many of the n! permutations.
    least = max(a.log_ties, b.log_ties) - float(special.gammaln(n + 1))
    return min(max(log10_p, least * LOG10_E), 0.0)


def _t_warnings(a: _Ranked, b: _Ranked, rho: float) -> tuple[str, ...]:
    n = a.unit.size
    warnings = []
    if n < _MIN_PAIRS_FOR_T:
        warnings.append(f"Student's t was asked for with only {n} pairs; permutation is exact.")
    if _heavily_tied(a, b):
        warnings.append(
            "Both quantities are heavily tied: Student's t may be far too small a p; permute instead."
        )
    excess = 0.06 * n * rho**4
    if excess > math.log(2):
        warnings.append(
            "So far out in the tail Student's t is too small a p: log10 p by about "
            f"{excess * LOG10_E:.1f} or more."
        )
    return tuple(warnings)


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
    response: NDArray[np.float64],
    rho: float,
    log10_p: float,
    method: str,
    alternative: Alternative,
    seed: int | None,
    n_covariates: int,
) -> Finding:
    rho = min(max(rho, -1.0), 1.0)
    given = f" given {n_covariates} covariate{'s' * (n_covariates > 1)}" if n_covariates else ""
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
        assumptions=(
            "The x values were assigned to the units at random, by a draw that neither y nor the "
            "covariates depend on.",
        ),
        seed=seed,
        figure=_trend(x, response, "y after covariates" if n_covariates else "y"),
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


def _trend(x: NDArray[np.float64], response: NDArray[np.float64], y_label: str) -> Trend:
    n_bins = min(max(x.size // _MIN_PER_TREND_BIN, 2), _MAX_TREND_BINS)
    groups = np.array_split(np.argsort(x, kind="stable"), n_bins)
    exponent = power_of_two(response)
    scaled = np.ldexp(response, -exponent)  # squares of 1e300 would overflow
    means = np.array([scaled[g].mean() for g in groups])
    errors = np.array([scaled[g].std(ddof=1) / math.sqrt(g.size) for g in groups])
    return Trend(
        x_label="x",
        y_label=y_label,
        x=tuple(float(x[g].mean()) for g in groups),
        y=tuple(np.ldexp(means, exponent).tolist()),
        low=tuple(np.ldexp(means - 1.96 * errors, exponent).tolist()),
        high=tuple(np.ldexp(means + 1.96 * errors, exponent).tolist()),
    )
