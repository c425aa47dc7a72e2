r"""Tests of secret random choices: is the released choice scored higher than its alternatives?

Null hypothesis: given all scores, each unit's released choice is uniform among its choices and
independent of the other units', because a key the scored model never saw drew it. Nothing is
assumed about the model, the text or the distribution of the scores.

Notation: unit u has choices i = 1..k_u with scores s_ui; c_u is the released one; a_u its weight;
x_ui = a_u (s_ui - mean_i s_ui); T = sum_u x_{u c_u}, and t the observed value of T.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from . import kernels, tails
from .checks import finite_vector, number_in, ragged, table
from .findings import (
    LOG10_E,
    Alternative,
    Effect,
    EValue,
    Finding,
    NullHistogram,
    Statistic,
    Validity,
)
from .montecarlo import (
    Plan,
    ResamplingMethod,
    Tail,
    drawn_tail,
    enumerated_tail,
    null_histogram,
)
from .projection import power_of_two, residual
from .workings import Working

__all__ = ["DEFAULT_BET", "choice_test", "ghost_test"]

DEFAULT_BET = 4.0  # gains above z = 2; beats the calibrated p-value from z = 2.5 to 6.6
_LARGEST_BET = 100.0
_RELATIVE_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class _Centred:
    """Weighted, centred scores: unit u owns `values[starts[u]:starts[u + 1]]`, which sum to 0.

    Values and weights are scaled by powers of two, which rounds nothing, so that neither 1e300 nor
    1e-300 is lost when squared.

    Attributes:
        values: x, up to the scale; the largest magnitude lies in [1/2, 1), or all are 0.
        starts: See above.
        chosen: c, the index of the released choice of each unit.
        weights: a, up to a scale.
        exponent: values * 2**exponent / weights is in the unit of the scores.
        after: What was regressed out, for people; empty if nothing was.
        given: The columns of the working: all that was given, as it was.
    """

    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weights: NDArray[np.float64]
    exponent: int
    after: str
    given: dict[str, NDArray[Any]]

    @property
    def n_units(self) -> int:
        return self.chosen.size

    @property
    def log2_outcomes(self) -> float:
        return float(np.log2(np.diff(self.starts)).sum())

    def null_deviation(self) -> float:
        """Standard deviation of T under the null hypothesis; no estimate, as the draws are uniform."""
        per_unit = np.add.reduceat(self.values**2, self.starts[:-1]) / np.diff(self.starts)
        return math.sqrt(float(per_unit.sum()))

    def n_tied(self) -> int:
        """Units whose choices all have one score; T does not depend on what was drawn there."""
        return int(
            np.count_nonzero(np.maximum.reduceat(np.abs(self.values), self.starts[:-1]) == 0)
        )


def choice_test(
    values: Sequence[ArrayLike],
    chosen: ArrayLike,
    *,
    seed: int,
    references: Sequence[Sequence[ArrayLike]] = (),
    weights: ArrayLike | None = None,
    alternative: Alternative = Alternative.GREATER,
    bet: float = DEFAULT_BET,
    method: ResamplingMethod = ResamplingMethod.AUTO,
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> Finding:
    r"""Test whether released choices score higher (or lower) than a uniform draw would.

    The p-value is P(T >= t), or P(T <= t) for LESS, when every unit's choice is redrawn uniformly;
    with two choices these are sign flips. It is exact by enumeration up to 2**20 outcomes, otherwise
    Monte Carlo, (1 + b) / (1 + B), b the number of draws that reach t. Where none does, the Chernoff
    bound on the same tail probability (never above Hoeffding's) replaces the floor 1 / (1 + B) if it
    is smaller, and `method` says so; `montecarlo.drawn_tail` proves that the combination is valid.
    Sums closer than 1e-10 of sum |x| count as ties, and ties count against the claim.

    References are scores of the same choices by models that never saw the release. Their weighted
    centred scores are regressed out of x by least squares. The fit uses all choices of each unit
    alike and never which one was released, so the p-value keeps its meaning; what it removes is
    the part of the scores that is linear in the references'. A reference that did see the release
    keeps the p-value valid but hides the effect.

    Beside the p-value stands an e-value, the outcome of a bet of size lambda, in z (-z for LESS):

    .. math:: e = \frac{\exp(\lambda z)}{E_0 \exp(\lambda z)}, \quad
        E_0 \exp(\lambda z) = \prod_u \frac1{k_u} \sum_i \exp(\lambda x_{ui} / \sigma)

    sigma the standard deviation of T under the null hypothesis. As that hypothesis fixes the law of
    T, e is a likelihood ratio against one alternative: choices drawn with probabilities
    proportional to exp(lambda x / sigma). For many units it is about exp(lambda z - lambda**2 / 2).

    Args:
        values: Per unit u the scores of all its choices, shape (k_u,), k_u >= 2; larger means more
            likely, e.g. in nats.
        chosen: Index of the released choice of each unit, shape (U,).
        seed: Seed of the Monte-Carlo draws, in [0, 2**64).
        references: For each reference model, scores of the same shape as `values`.
        weights: Positive weight a_u of each unit, shape (U,); default 1. Must not depend on `chosen`.
        alternative: GREATER (the released choice is favoured) or LESS.
        bet: lambda of the e-value, positive, at most 100, fixed before the data are seen. It gains most
            where z is near it; at the default of 4, z = 6 gives e = 9 million, and z = 2 loses.
        method: See `ResamplingMethod`.
        n_resamples: Number B of Monte-Carlo draws.
        stop_after: Stop drawing once so many draws have reached the observed value (Besag & Clifford
            1991); None makes all B draws. Enumeration, where AUTO chooses it, needs no draws.

    Returns:
        A finding whose statistic is z = T / sd(T under the null), negative where the released choices
        score lower, and whose effect is the weighted mean advantage of the released choice over its
        unit's average, T / sum_u a_u, in the unit of `values`.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    plan = Plan.of(alternative, method, seed, n_resamples, stop_after)
    if plan.two_sided:
        raise InvalidInput(
            "alternative: choose GREATER or LESS; a mark is looked for in one direction"
        )
    bet = number_in("bet", bet, 0.0, _LARGEST_BET)
    centred = _centre(values, chosen, references, weights)
    enumerates = plan.enumerates(centred.log2_outcomes)
    working = Working(test="choice", columns=centred.given, settings={**plan.settings, "bet": bet})
    deviation = centred.null_deviation()
    if deviation == 0:
        return _tied(centred, plan, bet).about(working=working)
    towards = plan.sign * centred.values  # large sums of these speak for the alternative
    observed = kernels.choice_sum(towards, centred.starts, centred.chosen)
    tail = _tail(towards, centred, plan, observed, enumerates)
    z = plan.sign * observed / deviation
    return _finding(
        centred,
        plan,
        z=z,
        log10_p=tail.log10_p,
        method=tail.method,
        seed=tail.seed,
        e_value=_e_value(towards / deviation, centred.starts, observed / deviation, bet),
        figure=null_histogram(
            plan.sign * tail.null / deviation, z, "Standardised sum of choice advantages (z)"
        ),
    ).about(working=working)


def ghost_test(
    scores: ArrayLike,
    *,
    seed: int,
    references: Sequence[ArrayLike] = (),
    weights: ArrayLike | None = None,
    alternative: Alternative = Alternative.GREATER,
    bet: float = DEFAULT_BET,
    method: ResamplingMethod = ResamplingMethod.AUTO,
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> Finding:
    """Test whether the released variant of each record outscores its unpublished ghosts.

    Null hypothesis: within each record the released variant and its M ghosts, all drawn by one
    rule, are exchangeable given the scores; so which of the M + 1 is called released is uniform.
    That is `choice_test` with M + 1 choices per unit, of which column 0 was released; like it, the
    p-value needs the records' draws to be independent of each other.

    Args:
        scores: Score of each variant, shape (N, M + 1), M >= 1; column 0 is the released one.
        seed: See `choice_test`.
        references: For each reference model, scores of the same shape.
        weights: See `choice_test`.
        alternative: See `choice_test`.
        bet: See `choice_test`.
        method: See `choice_test`.
        n_resamples: See `choice_test`.
        stop_after: See `choice_test`.

    Returns:
        A finding; the unit is the record.

    Raises:
        InvalidInput: If an argument is malformed.
    """
    rows = table("scores", scores)
    others = [table(f"references[{r}]", reference) for r, reference in enumerate(references)]
    for r, other in enumerate(others):
        if other.shape != rows.shape:
            raise InvalidInput(
                f"references[{r}]: expected the shape of scores, {rows.shape}, got {other.shape}"
            )
    finding = choice_test(
        list(rows),
        np.zeros(len(rows), dtype=np.int64),
        seed=seed,
        references=[list(other) for other in others],
        weights=weights,
        alternative=alternative,
        bet=bet,
        method=method,
        n_resamples=n_resamples,
        stop_after=stop_after,
    )
    direction = "lower" if finding.alternative is Alternative.LESS else "higher"
    return finding.about(
        name="ghost test",
        working=None if finding.working is None else replace(finding.working, test="ghost"),
        question=f"Is the released variant of each record scored {direction} than its unpublished ghosts?",
        null="Within each record, released variant and ghosts are exchangeable given the scores, "
        "independently of the other records.",
        unit="records",
        assumptions=(
            "Released variant and ghosts were drawn by one rule with a key the model never saw.",
            "Each record's draw is independent of the other records'.",
        ),
    )


def _centre(
    values: Sequence[ArrayLike],
    chosen: ArrayLike,
    references: Sequence[Sequence[ArrayLike]],
    weights: ArrayLike | None,
) -> _Centred:
    """All errors in the data of `choice_test` are raised in here."""
    flat, starts = ragged("values", values)
    sizes = np.diff(starts)
    picks = _picks(chosen, sizes)
    scale = np.ones(sizes.size) if weights is None else finite_vector("weights", weights)
    if scale.shape != sizes.shape:
        raise InvalidInput(f"weights: expected shape {sizes.shape}, got {scale.shape}")
    if (scale <= 0).any():
        u = int(np.flatnonzero(scale <= 0)[0])
        raise InvalidInput(f"weights[{u}]: expected a positive weight, got {scale[u]}")
    given: dict[str, NDArray[Any]] = {
        "unit": np.repeat(np.arange(sizes.size), sizes),
        "value": flat,
        "chosen": np.zeros(flat.size, dtype=np.bool_),
        "weight": np.repeat(scale, sizes),
    }
    given["chosen"][starts[:-1] + picks] = True
    scale = np.ldexp(scale, -power_of_two(scale))
    centred, exponent = _weighted_centred(flat, starts, scale)
    others = []
    for r, reference in enumerate(references):
        other, other_starts = ragged(f"references[{r}]", reference)
        if not np.array_equal(other_starts, starts):
            raise InvalidInput(f"references[{r}]: expected the same units and choices as values")
        others.append(_weighted_centred(other, other_starts, scale)[0])
        given[f"reference_{r}"] = other
    if others:
        centred = _residuals(centred, np.column_stack(others), starts)
    rest = power_of_two(centred)
    return _Centred(
        values=np.ldexp(centred, -rest),
        starts=starts,
        chosen=picks,
        weights=scale,
        exponent=exponent + rest,
        after=f" after {len(others)} reference{'s' * (len(others) > 1)}" if others else "",
        given=given,
    )


def _picks(chosen: ArrayLike, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    try:
        picks = np.asarray(chosen)
    except ValueError as error:
        raise InvalidInput(f"chosen: expected {sizes.size} integers ({error})") from error
    if picks.shape != sizes.shape or picks.dtype.kind not in "iu":
        raise InvalidInput(
            f"chosen: expected {sizes.size} integers, got shape {picks.shape} of {picks.dtype}"
        )
    outside = np.flatnonzero((picks < 0) | (picks >= sizes))
    if outside.size:
        u = int(outside[0])
        raise InvalidInput(f"chosen[{u}]: expected an index in [0, {sizes[u]}), got {picks[u]}")
    return picks.astype(np.int64)


def _weighted_centred(
    flat: NDArray[np.float64], starts: NDArray[np.int64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Return (x, e): a_u (s_ui - mean_i s_ui) is x 2**e, and |x| is below 2."""
    exponent = power_of_two(flat)
    scaled = np.ldexp(flat, -exponent)
    first, sizes = starts[:-1], np.diff(starts)
    deviations = scaled - np.repeat(np.add.reduceat(scaled, first) / sizes, sizes)
    # Choices equal up to rounding are ties, so that a unit of ties is seen to say nothing.
    spread = np.maximum.reduceat(scaled, first) - np.minimum.reduceat(scaled, first)
    tied = spread <= _RELATIVE_TIE * np.maximum.reduceat(np.abs(scaled), first)
    return deviations * np.repeat(np.where(tied, 0.0, scale), sizes), exponent


def _residuals(
    x: NDArray[np.float64], others: NDArray[np.float64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Least squares with rows scaled by 1/sqrt(k_u), which minimises the null variance of T."""
    row_scale = 1 / np.sqrt(np.repeat(np.diff(starts), np.diff(starts)))
    columns = np.ldexp(others, [-power_of_two(column) for column in others.T])
    rest: NDArray[np.float64] = residual(x * row_scale, columns * row_scale[:, None]) / row_scale
    return rest


def _tail(
    towards: NDArray[np.float64], centred: _Centred, plan: Plan, observed: float, enumerates: bool
) -> Tail:
    """P(T >= observed), with values oriented towards the alternative."""
    scale, starts = float(np.abs(towards).sum()), centred.starts
    if enumerates:
        n_outcomes = round(2**centred.log2_outcomes)
        null = kernels.all_choice_sums(towards, starts, n_outcomes)
        return enumerated_tail(plan, null, observed, scale)

    def draw(first: int, count: int) -> NDArray[np.float64]:
        return kernels.drawn_choice_sums(towards, starts, plan.seed, first, count)

    def bound() -> float:
        return tails.chernoff_log10_p(towards, starts, observed)

    return drawn_tail(plan, draw, observed, scale, bound)


def _e_value(
    towards: NDArray[np.float64], starts: NDArray[np.int64], z: float, bet: float
) -> EValue:
    """exp(bet z) / E0 exp(bet z), with x / sigma oriented towards the alternative."""
    first, sizes = starts[:-1], np.diff(starts)
    tops = np.maximum.reduceat(towards, first)
    below_top = np.exp(bet * (towards - np.repeat(tops, sizes)))  # neither overflows nor all vanish
    cumulants = bet * tops + np.log(np.add.reduceat(below_top, first) / sizes)
    return EValue(
        log10_e=(bet * z - float(cumulants.sum())) * LOG10_E,
        method=f"bet of size lambda = {bet:g}, fixed beforehand: exp(lambda z) over its mean under the null",
    )


def _tied(centred: _Centred, plan: Plan, bet: float) -> Finding:
    return _finding(
        centred,
        plan,
        z=0.0,
        log10_p=0.0,
        method="exact",
        seed=None,
        e_value=_e_value(centred.values, centred.starts, 0.0, bet),
        figure=None,
    ).about(warnings=(f"All choices of every unit have the same score{centred.after}: p is 1.",))


def _finding(
    centred: _Centred,
    plan: Plan,
    *,
    z: float,
    log10_p: float,
    method: str,
    seed: int | None,
    e_value: EValue,
    figure: NullHistogram | None,
) -> Finding:
    n_tied = centred.n_tied()
    return Finding(
        name="choice test",
        question="Are the released choices scored higher than a uniform draw would be?"
        if plan.alternative is Alternative.GREATER
        else "Are the released choices scored lower than a uniform draw would be?",
        null="Given all scores, each unit's released choice is a uniform draw from its choices, "
        "independent of the other units'.",
        alternative=plan.alternative,
        statistic=Statistic(name="z, standardised sum of choice advantages", value=z),
        log10_p=log10_p,
        method=method,
        valid=Validity.FINITE_SAMPLE,
        n=centred.n_units,
        unit="units",
        effect=_mean_advantage(centred),
        assumptions=("The key that drew the choices is independent of the model under test.",),
        warnings=(f"{n_tied} of {centred.n_units} units have tied choices and say nothing.",)
        if n_tied
        else (),
        e_value=e_value,
        seed=seed,
        figure=figure,
    )


def _mean_advantage(centred: _Centred) -> Effect:
    """Weighted mean over units of the released choice's advantage: T / sum_u a_u."""
    advantage = centred.values[centred.starts[:-1] + centred.chosen]
    total, n = float(centred.weights.sum()), centred.n_units
    mean = float(advantage.sum()) / total
    if n == 1:
        low, high = float(centred.values.min()) / total, float(centred.values.max()) / total
        interval = "range of the one unit's choices, as one unit gives no standard error"
    else:
        squares = float(((advantage - centred.weights * mean) ** 2).sum())
        half_width = float(special.stdtrit(n - 1, 0.975)) * math.sqrt(squares * n / (n - 1)) / total
        low, high = mean - half_width, mean + half_width
        interval = "Student t over units, as if the units were a sample of many"

    def in_score_units(value: float) -> float:
        return float(np.ldexp(value, centred.exponent))

    return Effect(
        name=f"mean advantage of the released choice{centred.after}, in the unit of the scores",
        value=in_score_units(mean),
        low=in_score_units(low),
        high=in_score_units(high),
        confidence=0.95,
        interval=interval,
    )
