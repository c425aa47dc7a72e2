r"""The sign-flip test: are paired differences centred on zero, or do they lean one way?

Null hypothesis: the differences are independent and each is symmetric about 0; so, given their
sizes, every pattern of signs is equally likely. Nothing else is assumed: no normality, no common
spread.

Notation: n differences d_i; T = sum_i d_i, t its observed value; s_i fair random signs.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from . import resampling_kernels, tails
from .checks import finite_vector
from .findings import LOG10_E, Alternative, Effect, Finding, NullHistogram, Statistic, Validity
from .montecarlo import (
    Plan,
    ResamplingMethod,
    Tail,
    drawn_tail,
    enumerated_tail,
    null_histogram,
)
from .projection import power_of_two
from .workings import Working

__all__ = ["paired_test"]

_MIN_PAIRS = 2


def paired_test(
    differences: ArrayLike,
    *,
    alternative: Alternative,
    seed: int,
    method: ResamplingMethod = ResamplingMethod.AUTO,
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> Finding:
    r"""Test whether paired differences are symmetric about zero, by flipping their signs.

    The p-value is P(sum_i s_i d_i >= t); P(... <= t) for LESS; for TWO_SIDED P(|sum_i s_i d_i| >= |t|),
    which is twice the smaller side (at most 1), as the null distribution is symmetric. It is exact by
    enumeration up to 2**20 outcomes (20 differences that are not 0), otherwise Monte Carlo,
    (1 + b) / (1 + B). Where no draw reaches t, the Chernoff bound

    .. math:: P(T \ge t) \le \min_{\lambda > 0} \exp\Bigl(\sum_i \log\cosh(\lambda d_i) - \lambda t\Bigr)

    (doubled for TWO_SIDED) replaces the floor 1 / (1 + B) if it is smaller, and `method` says so;
    `montecarlo.drawn_tail` proves that the combination is valid. Sums closer than 1e-10 of sum |d|
    count as ties, and ties count against the claim. Differences of 0 count as pairs but say nothing.

    A small p speaks against symmetry about 0, not only against a mean of 0: skewed differences of
    mean 0 are no null data.

    Args:
        differences: One difference per pair, shape (n,), n >= 2.
        alternative: GREATER (differences lean above 0), LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the Monte-Carlo draws, in [0, 2**64).
        method: See `ResamplingMethod`.
        n_resamples: Number B of Monte-Carlo draws.
        stop_after: Stop drawing once so many draws have reached the observed value (Besag & Clifford
            1991); None makes all B draws. Enumeration, where AUTO chooses it, needs no draws.

    Returns:
        A finding whose statistic is z = t / sqrt(sum d**2), the sum over its standard deviation under
        the null hypothesis, and whose effect is the mean difference, in the unit of `differences`.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    plan = Plan.of(alternative, method, seed, n_resamples, stop_after)
    d = finite_vector("differences", differences)
    if d.size < _MIN_PAIRS:
        raise InvalidInput(f"differences: expected at least {_MIN_PAIRS} pairs, got {d.size}")
    working = Working(test="paired", columns={"difference": d}, settings=plan.settings)
    scaled = np.ldexp(d, -power_of_two(d))  # neither 1e300 nor 1e-300 is lost when squared
    telling = plan.sign * scaled[scaled != 0]
    enumerates = plan.enumerates(telling.size)
    if telling.size == 0:
        finding = _finding(d, plan, z=0.0, log10_p=0.0, method="exact", seed=None, figure=None)
        return finding.about(warnings=("All differences are 0: p is 1.",), working=working)
    tail, observed = _tail(telling, plan, enumerates)
    deviation = math.sqrt(float(telling @ telling))
    z = plan.sign * observed / deviation
    return _finding(
        d,
        plan,
        z=z,
        log10_p=tail.log10_p,
        method=tail.method,
        seed=tail.seed,
        figure=null_histogram(
            plan.sign * tail.null / deviation, z, "Standardised sum of differences (z)"
        ),
    ).about(working=working)


def _tail(telling: NDArray[np.float64], plan: Plan, enumerates: bool) -> tuple[Tail, float]:
    """The tail of sum s_i d_i at t, and t; the differences are oriented, none of them 0."""
    scale = float(np.abs(telling).sum())
    if enumerates:
        null = resampling_kernels.all_sign_sums(telling)
        observed = float(null[-1])  # all signs as they are
        return enumerated_tail(plan, null, observed, scale), observed
    observed = resampling_kernels.plain_sum(telling)

    def draw(first: int, count: int) -> NDArray[np.float64]:
        return resampling_kernels.drawn_sign_sums(telling, plan.seed, first, count)

    def bound() -> float:
        return _log10_bound(telling, observed, two_sided=plan.two_sided)

    return drawn_tail(plan, draw, observed, scale, bound), observed


def _log10_bound(telling: NDArray[np.float64], t: float, *, two_sided: bool) -> float:
    """Chernoff's bound on P(T >= t), or on P(|T| >= |t|) = 2 P(T >= |t|), t not 0."""
    choices = np.column_stack((telling, -telling)).ravel()  # a sign is a choice between d and -d
    starts = np.arange(0, choices.size + 1, 2, dtype=np.int64)
    if not two_sided:
        return tails.chernoff_log10_p(choices, starts, t)
    return min(tails.chernoff_log10_p(choices, starts, abs(t)) + math.log(2) * LOG10_E, 0.0)


def _finding(
    d: NDArray[np.float64],
    plan: Plan,
    *,
    z: float,
    log10_p: float,
    method: str,
    seed: int | None,
    figure: NullHistogram | None,
) -> Finding:
    direction = {
        Alternative.GREATER: "above 0",
        Alternative.LESS: "below 0",
        Alternative.TWO_SIDED: "to one side of 0",
    }[plan.alternative]
    n_zero = int(np.count_nonzero(d == 0))
    return Finding(
        name="paired test",
        question=f"Do the paired differences lean {direction}?",
        null="The differences are independent and each is symmetric about 0: given their sizes, "
        "every pattern of signs is equally likely.",
        alternative=plan.alternative,
        statistic=Statistic(name="z, standardised sum of differences", value=z),
        log10_p=log10_p,
        method=method,
        valid=Validity.FINITE_SAMPLE,
        n=d.size,
        unit="pairs",
        effect=_mean_difference(d),
        assumptions=(
            "Without an effect, each difference is as likely to be x as -x.",
            "The pairs are independent of each other.",
        ),
        warnings=(f"{n_zero} of {d.size} differences are 0 and say nothing.",) if n_zero else (),
        seed=seed,
        figure=figure,
    )


def _mean_difference(d: NDArray[np.float64]) -> Effect:
    exponent = power_of_two(d)
    scaled = np.ldexp(d, -exponent)
    mean = float(scaled.mean())
    half_width = float(special.stdtrit(d.size - 1, 0.975) * scaled.std(ddof=1) / math.sqrt(d.size))

    def in_unit(value: float) -> float:
        return float(np.ldexp(value, exponent))

    return Effect(
        name="mean difference, in the unit of the differences",
        value=in_unit(mean),
        low=in_unit(mean - half_width),
        high=in_unit(mean + half_width),
        confidence=0.95,
        interval="Student t over pairs, as if the pairs were a sample of many",
    )
