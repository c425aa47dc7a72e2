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
from .checks import finite_vector, one_of
from .findings import LOG10_E, Alternative, Effect, Finding, Statistic, Trend, Validity
from .montecarlo import Plan, ResamplingMethod, Tail, drawn_tail, enumerated_tail
from .permutation_bound import permutation_log10_p
from .projection import power_of_two, residual
from .ranking import Ranked, ranked_pair
from .workings import Working

__all__ = ["SpearmanMethod", "spearman_test"]

_MIN_PAIRS = 4
_MAX_ENUMERATED_PAIRS = 9
_MIN_PAIRS_FOR_T = 500
# The fourth cumulants of rho sqrt(n) are (k_a k_b - 6)/n by permutation, k the excess kurtoses of the
# ranks, and -6/n by t: ln p by t is too low by about k_a k_b / 24 n rho**4, 0.06 n rho**4 without
# ties. AUTO trusts t to this error of ln p.
_UNTIED_KURTOSIS = -1.2
_LARGEST_ERROR_OF_T = 0.05
# Share of the variance of untied ranks from which on a side counts as practically untied: 100 evenly
# filled values have it, and no value has more than 5 % of the units. Where neither side is, sums take
# few values or are skewed, and t may be far too small: with 22 % ones against five ones among 500,
# by a factor of 47.
_PRACTICALLY_UNTIED = 0.9999
_MAX_TREND_BINS = 16
_MIN_PER_TREND_BIN = 8
_RELATIVE_CONSTANT = 1e-12
_LARGE_EXPONENT = 400


class SpearmanMethod(StrEnum):
    """How p is computed.

    AUTO enumerates up to 9 pairs and permutes below 500. Beyond, it uses t in the centre and the
    permutation bound far out, unless both quantities have ties to speak of, for which t may be far
    off: then it permutes, however long that takes.
    """

    AUTO = "auto"
    EXACT = "exact"
    PERMUTATION = "permutation"
    T = "t"


def spearman_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    alternative: Alternative,
    seed: int,
    covariates: Sequence[ArrayLike] = (),
    method: SpearmanMethod = SpearmanMethod.AUTO,
    n_resamples: int = 9_999,
    stop_after: int | None = None,
) -> Finding:
    r"""Test Spearman's rank correlation of x with y, or with y's residual on covariates.

    Covariates are regressed out of y by least squares with an intercept, and the residual is
    ranked. The null hypothesis permutes x against (y, covariates) held together, so the p-value
    by enumeration or permutation stays valid for any covariates that do not depend on x.

    By permutation, p = (1 + b) / (1 + B), b the draws that reach rho. Where none does, an upper bound
    on the permutation distribution's own tail (`permutation_bound`) replaces the floor 1 / (1 + B) if
    it is smaller; `montecarlo.drawn_tail` proves that the combination is valid. So even 1e-400 holds
    for any finite sample.

    By `t`, p is the tail of Student's t with n - 2 degrees at rho sqrt((n - 2) / (1 - rho**2)),
    in logarithms: right far below the smallest float, and never below the probability of the least
    likely assignment (1/n! without ties). It approximates the permutation distribution: well near
    its centre if at least one side is untied; far out it is too small, ln p by about 0.06 n rho**4
    (more as rho nears 1). Therefore AUTO leaves it where that error reaches 0.05, and takes the smaller
    of the permutation bound and t's p at that place. Asked for by name, `t` is used throughout, and
    a warning says how far off it is.

    Args:
        x: First quantity, e.g. the training step, shape (n,), n >= 4.
        y: Second quantity, e.g. log-likelihood in nats, shape (n,).
        alternative: GREATER, LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the permutations, in [0, 2**64).
        covariates: Vectors of shape (n,) that do not depend on x; at most n - 4, none constant.
        method: See `SpearmanMethod`.
        n_resamples: Number B of permutations.
        stop_after: Stop permuting once so many draws have reached the observed value (Besag &
            Clifford 1991); None makes all B draws. Without effect where AUTO does not permute.

    Returns:
        A finding whose statistic and effect are rho; its interval is Fisher's z with the variance
        (1 + rho**2 / 2) / (n - 3) of Bonett & Wright (2000).

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    method = one_of("method", SpearmanMethod, method)
    if method is SpearmanMethod.T and stop_after is not None:
        raise InvalidInput("stop_after: t draws nothing that could be stopped")
    resampling = ResamplingMethod.EXACT if method is SpearmanMethod.EXACT else ResamplingMethod.AUTO
    plan = Plan.of(alternative, resampling, seed, n_resamples, stop_after)
    first, second, columns = _checked(x, y, covariates)
    response = _response(second, columns)
    working = Working(
        test="spearman",
        columns={"x": first, "y": second, **{f"covariate_{c}": v for c, v in enumerate(columns)}},
        settings={**plan.settings, "method": method.value},
    )
    a, b = ranked_pair(first, response)
    chosen = _chosen_method(method, a, b)
    given = len(columns)
    if a.squares == 0 or b.squares == 0:
        which = "x" if a.squares == 0 else "y, after covariates," if given else "y"
        tied = _finding(first, response, a, 0.0, _Outcome(0.0, "exact"), plan, given)
        warning = f"All values of {which} are tied: p is 1."
        return tied.about(warnings=(warning,), working=working)
    rho = _correlation(a, b)
    if chosen is SpearmanMethod.T:
        trusted = method is SpearmanMethod.AUTO
        outcome = _beyond_permuting(a, b, rho, plan) if trusted else _by_t(a, b, rho, plan)
    else:
        tail = _permutation_tail(a, b, plan, enumerates=chosen is SpearmanMethod.EXACT)
        outcome = _Outcome(tail.log10_p, tail.method, seed=tail.seed)
    return _finding(first, response, a, rho, outcome, plan, given).about(working=working)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one way to compute p gives."""

    log10_p: float
    method: str
    valid: Validity = Validity.FINITE_SAMPLE
    warnings: tuple[str, ...] = ()
    seed: int | None = None


def _checked(
    x: ArrayLike, y: ArrayLike, covariates: Sequence[ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[NDArray[np.float64]]]:
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
    return first, second, columns


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


def _chosen_method(method: SpearmanMethod, a: Ranked, b: Ranked) -> SpearmanMethod:
    if method is SpearmanMethod.EXACT and a.n > _MAX_ENUMERATED_PAIRS:
        raise InvalidInput(
            f"method: exact enumeration needs n <= {_MAX_ENUMERATED_PAIRS}, got {a.n}"
        )
    if method is not SpearmanMethod.AUTO:
        return method
    if a.n <= _MAX_ENUMERATED_PAIRS:
        return SpearmanMethod.EXACT
    if a.n < _MIN_PAIRS_FOR_T or _both_tied(a, b):
        return SpearmanMethod.PERMUTATION
    return SpearmanMethod.T


def _both_tied(a: Ranked, b: Ranked) -> bool:
    """Whether both sides have ties to speak of: then t may be far off, also near the centre."""
    return max(a.evenness, b.evenness) < _PRACTICALLY_UNTIED


def _quartic(a: Ranked, b: Ranked) -> float:
    """By how much ln p by t is too low, divided by n rho**4."""
    return max(_kurtosis(a) * _kurtosis(b), 0.0) / 24


def _kurtosis(a: Ranked) -> float:
    """Excess kurtosis of the ranks."""
    if a.log_ties == 0:
        return _UNTIED_KURTOSIS
    squares = np.square(a.centred)
    return a.n * float(squares @ squares) / a.squares**2 - 3


def _correlation(a: Ranked, b: Ranked) -> float:
    rho = kernels.dot(a.centred, b.centred) / math.sqrt(a.squares * b.squares)
    return min(max(rho, -1.0), 1.0)


def _permutation_tail(a: Ranked, b: Ranked, plan: Plan, *, enumerates: bool) -> Tail:
    x, y = plan.sign * a.unit(), b.unit()
    observed = kernels.dot(x, y)
    if enumerates:
        null = kernels.all_permuted_dots(x, y, math.factorial(a.n))
        return enumerated_tail(plan, null, observed, 1.0)

    def draw(first: int, count: int) -> NDArray[np.float64]:
        return kernels.permuted_dots(x, y, plan.seed, first, count)

    def bound() -> float:
        return _log10_bound(a, b, plan.sign * observed, plan)

    return drawn_tail(plan, draw, observed, 1.0, bound)


def _log10_bound(a: Ranked, b: Ranked, rho: float, plan: Plan) -> float:
    """An upper bound on the probability that a permutation goes as far as rho, on both sides if asked."""
    scale = math.sqrt(a.n)
    x, y = scale * a.unit(), scale * b.unit()
    t = a.n * (abs(rho) if plan.two_sided else plan.sign * rho)
    t -= tails.RELATIVE_TIE * a.n
    bound = permutation_log10_p(plan.sign * x, y, t)
    if plan.two_sided:
        bound = float(np.logaddexp(bound / LOG10_E, permutation_log10_p(-x, y, t) / LOG10_E))
        bound *= LOG10_E
    return min(max(bound, _least_log10_p(a, b)), 0.0)


def _by_t(a: Ranked, b: Ranked, rho: float, plan: Plan) -> _Outcome:
    warnings = []
    if a.n < _MIN_PAIRS_FOR_T:
        warnings.append(f"Student's t was asked for with only {a.n} pairs; permutation is exact.")
    if _both_tied(a, b):
        warnings.append(
            "Both quantities are tied: Student's t may be far too small a p; permute instead."
        )
    excess = _quartic(a, b) * a.n * rho**4
    if excess > math.log(2):
        warnings.append(
            "So far out in the tail Student's t is too small a p: log10 p by about "
            f"{excess * LOG10_E:.1f} or more."
        )
    log10_p = max(_t_log10_p(rho, a.n, plan), _least_log10_p(a, b))
    return _Outcome(min(log10_p, 0.0), "t", Validity.ASYMPTOTIC, tuple(warnings))


def _beyond_permuting(a: Ranked, b: Ranked, rho: float, plan: Plan) -> _Outcome:
    """P-value where AUTO does not permute: by t in the centre, by the permutation bound far out.

    Far out p = min(bound, t's p at the border), so p never rises with rho. Where it is the bound,
    it is valid for a finite sample: being below t's p at the border, p <= alpha there happens only
    if the bound is <= alpha, whatever t is worth in the centre.
    """
    quartic = _quartic(a, b)
    border = (_LARGEST_ERROR_OF_T / (quartic * a.n)) ** 0.25 if quartic > 0 else 1.0
    if (abs(rho) if plan.two_sided else plan.sign * rho) <= border:
        return _Outcome(_t_log10_p(rho, a.n, plan), "t", Validity.ASYMPTOTIC)
    at_border = _t_log10_p(border if plan.sign > 0 else -border, a.n, plan)
    bound = _log10_bound(a, b, rho, plan)
    if bound <= at_border:
        return _Outcome(bound, "chernoff-bound on the permutation distribution")
    how = f"t at |rho| = {border:.3f}, beyond which it would be too small a p"
    return _Outcome(at_border, how, Validity.ASYMPTOTIC)


def _least_log10_p(a: Ranked, b: Ranked) -> float:
    """Each arrangement of the ranks arises from at least so large a share of the n! permutations."""
    return (max(a.log_ties, b.log_ties) - float(special.gammaln(a.n + 1))) * LOG10_E


def _t_log10_p(rho: float, n: int, plan: Plan) -> float:
    greater, less = tails.student_t_log10_sf(rho, n), tails.student_t_log10_sf(-rho, n)
    if plan.two_sided:
        return min(min(greater, less) + math.log10(2), 0.0)
    return less if plan.alternative is Alternative.LESS else greater


def _finding(
    x: NDArray[np.float64],
    response: NDArray[np.float64],
    a: Ranked,
    rho: float,
    outcome: _Outcome,
    plan: Plan,
    n_covariates: int,
) -> Finding:
    given = f" given {n_covariates} covariate{'s' * (n_covariates > 1)}" if n_covariates else ""
    direction = {
        Alternative.GREATER: "Does y rise with x",
        Alternative.LESS: "Does y fall with x",
        Alternative.TWO_SIDED: "Does y rise or fall with x",
    }[plan.alternative]
    return Finding(
        name="Spearman test",
        question=f"{direction}{given}?",
        null="Every assignment of the x values to the units is equally likely, whatever y and the "
        "covariates are.",
        alternative=plan.alternative,
        statistic=Statistic(name="Spearman rho", value=rho),
        log10_p=outcome.log10_p,
        method=outcome.method,
        valid=outcome.valid,
        n=x.size,
        unit="pairs",
        effect=_rho_interval(rho, x.size),
        assumptions=(
            "The x values were assigned to the units at random, by a draw that neither y nor the "
            "covariates depend on.",
        ),
        warnings=outcome.warnings,
        seed=outcome.seed,
        figure=_trend(x, response, a, "y after covariates" if n_covariates else "y"),
    )


def _rho_interval(rho: float, n: int) -> Effect:
    # At |rho| = 1 Fisher's z is infinite: the interval is that of the next lower value, which a swap
    # of two neighbours gives, and reaches up to the estimate.
    nearly = 1 - 12 / (float(n) ** 3 - n)
    inside = min(max(rho, -nearly), nearly)
    half_width = 1.96 * math.sqrt((1 + inside * inside / 2) / (n - 3))
    return Effect(
        name="Spearman rho",
        value=rho,
        low=min(math.tanh(math.atanh(inside) - half_width), rho),
        high=max(math.tanh(math.atanh(inside) + half_width), rho),
        confidence=0.95,
        interval="Fisher z with Bonett-Wright variance",
    )


def _trend(x: NDArray[np.float64], response: NDArray[np.float64], a: Ranked, y_label: str) -> Trend:
    edges = _bin_edges(x, a)
    sizes = np.diff(edges)
    place = _places(a)
    (xs, x_exponent), (ys, exponent) = _squarable(x), _squarable(response)
    x_sums, _ = kernels.binned_moments(place, xs, edges)
    sums, squares = kernels.binned_moments(place, ys, edges)
    means, errors = sums / sizes, np.sqrt(squares / np.maximum(sizes - 1, 1) / sizes)
    return Trend(
        x_label="x",
        y_label=y_label,
        x=tuple(np.ldexp(x_sums / sizes, x_exponent).tolist()),
        y=tuple(np.ldexp(means, exponent).tolist()),
        low=tuple(np.ldexp(means - 1.96 * errors, exponent).tolist()),
        high=tuple(np.ldexp(means + 1.96 * errors, exponent).tolist()),
    )


def _bin_edges(x: NDArray[np.float64], a: Ranked) -> NDArray[np.int64]:
    """Borders of bins of about one size, which split no ties: the figure would show the file's order."""
    n_bins = min(max(a.n // _MIN_PER_TREND_BIN, 2), _MAX_TREND_BINS)
    sizes = a.n // n_bins + (np.arange(n_bins) < a.n % n_bins)
    edges = np.concatenate([[0], np.cumsum(sizes)])
    if a.log_ties > 0:
        ascending = x[a.order]
        edges[1:] = np.searchsorted(ascending, ascending[edges[1:] - 1], side="right")
        edges = np.unique(edges)
    if edges.size > 2 and edges[-1] - edges[-2] < 2:  # one value has no spread
        edges = np.delete(edges, -2)
    return edges.astype(np.int64)


def _squarable(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """(y, e) with x = y * 2**e, so that sums of squares of y neither overflow nor vanish."""
    exponent = power_of_two(x)
    return (x, 0) if abs(exponent) < _LARGE_EXPONENT else (np.ldexp(x, -exponent), exponent)


def _places(a: Ranked) -> NDArray[np.float64]:
    """Place of each unit by x, 0..n-1."""
    if a.log_ties == 0:
        return a.centred + (a.n - 1) / 2
    places = np.empty(a.n)
    places[a.order] = np.arange(a.n)
    return places
