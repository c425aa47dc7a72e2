r"""Tests of secret random choices: is the released choice scored higher than its alternatives?

Null hypothesis: given all scores, each unit's released choice is uniform among its choices and
independent of the other units', because a key the scored model never saw drew it. Nothing is
assumed about the model, the text or the distribution of the scores.

Notation: unit u has choices i = 1..k_u with scores s_ui; c_u is the released one; a_u its weight;
x_ui = a_u (s_ui - mean_i s_ui); T = sum_u x_{u c_u}.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from . import kernels, tails
from .checks import finite_vector, positive_count, ragged, seed_of
from .findings import Alternative, Effect, Finding, NullHistogram, Statistic, Validity

__all__ = ["ChoiceMethod", "choice_test", "ghost_test"]

_MAX_ENUMERATED = 2**17
_HISTOGRAM_BINS = 61


class ChoiceMethod(StrEnum):
    """How the null distribution is obtained; AUTO enumerates up to 131,072 outcomes."""

    AUTO = "auto"
    EXACT = "exact"
    MONTE_CARLO = "monte-carlo"


@dataclass(frozen=True, slots=True)
class _Centred:
    """Weighted, centred scores: unit u owns `values[starts[u]:starts[u + 1]]`, which sum to 0."""

    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weights: NDArray[np.float64]

    @property
    def n_units(self) -> int:
        return self.chosen.size

    @property
    def log2_outcomes(self) -> float:
        return float(np.log2(np.diff(self.starts)).sum())

    def null_deviation(self) -> float:
        """Standard deviation of T under the null hypothesis; exact, as the draws are uniform."""
        per_unit = np.add.reduceat(self.values**2, self.starts[:-1]) / np.diff(self.starts)
        return math.sqrt(float(per_unit.sum()))


def choice_test(
    values: Sequence[ArrayLike],
    chosen: ArrayLike,
    *,
    seed: int,
    references: Sequence[Sequence[ArrayLike]] = (),
    weights: ArrayLike | None = None,
    alternative: Alternative = Alternative.GREATER,
    method: ChoiceMethod = ChoiceMethod.AUTO,
    n_resamples: int = 99_999,
) -> Finding:
    r"""Test whether released choices score higher (or lower) than a uniform draw would.

    The p-value is P(T >= t) when every unit's choice is redrawn uniformly; with two choices these
    are sign flips. It is exact by enumeration where that is feasible, otherwise Monte Carlo,
    (1 + b) / (1 + B). Where no draw reaches t (b = 0), the Chernoff bound on the same tail
    probability (never above Hoeffding's) replaces the floor 1 / (1 + B) if it is smaller, and
    `method` says so.

    References are scores of the same choices by models that never saw the release. Their weighted
    centred scores are regressed out of x by least squares. The fit uses all choices of each unit
    alike and never which one was released, so the p-value keeps its meaning; what it removes is
    the part of the scores that any model shares.

    Args:
        values: Per unit u the scores of all its choices, shape (k_u,), k_u >= 2; larger means more
            likely, e.g. in nats.
        chosen: Index of the released choice of each unit, shape (U,).
        seed: Seed of the Monte-Carlo draws, in [0, 2**64).
        references: For each reference model, scores of the same shape as `values`.
        weights: Positive weight a_u of each unit, shape (U,); default 1. Must not depend on `chosen`.
        alternative: GREATER (the released choice is favoured) or LESS.
        method: See `ChoiceMethod`.
        n_resamples: Number B of Monte-Carlo draws.

    Returns:
        A finding whose statistic is z = T / sd(T under the null), whose effect is the weighted mean
        advantage of the released choice over its unit's average, in the unit of `values`.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    # Why the combined p is valid: for alpha >= 1/(1+B) it rejects exactly when the Monte-Carlo p
    # does (b = 0 rejects either way), which happens with probability <= alpha (Phipson & Smyth
    # 2010). For alpha < 1/(1+B) it rejects only if the bound, never below the true tail probability
    # of the observed t, is <= alpha, which again happens with probability <= alpha.
    centred = _centre(values, chosen, references, weights, alternative)
    key = seed_of(seed)
    n_resamples = positive_count("n_resamples", n_resamples)
    if centred.null_deviation() == 0:
        return _tied(centred, alternative, seed)
    exact = _enumerates(centred, method)
    if exact:
        n_outcomes = round(2**centred.log2_outcomes)
        null = kernels.all_choice_sums(centred.values, centred.starts, n_outcomes)
    else:
        null = kernels.drawn_choice_sums(centred.values, centred.starts, key, n_resamples)
    observed = kernels.choice_sum(centred.values, centred.starts, centred.chosen)
    exceeding = tails.count_exceeding(null, observed, float(np.abs(centred.values).sum()))
    if exact:
        log10_p, how = math.log10(exceeding) - math.log10(null.size), "exact"
    else:
        log10_p, how = (
            tails.monte_carlo_log10_p(exceeding, n_resamples),
            f"monte-carlo B={n_resamples}",
        )
        bound = tails.chernoff_log10_p(centred.values, centred.starts, observed)
        if exceeding == 0 and bound < log10_p:
            log10_p, how = (
                bound,
                f"chernoff-bound, as none of B={n_resamples} draws reached the value",
            )
    return _finding(
        centred,
        alternative,
        z=observed / centred.null_deviation(),
        log10_p=min(log10_p, 0.0),
        method=how,
        seed=None if exact else seed,
        figure=_histogram(null / centred.null_deviation(), observed / centred.null_deviation()),
    )


def ghost_test(
    scores: ArrayLike,
    *,
    seed: int,
    references: Sequence[ArrayLike] = (),
    weights: ArrayLike | None = None,
    alternative: Alternative = Alternative.GREATER,
    method: ChoiceMethod = ChoiceMethod.AUTO,
    n_resamples: int = 99_999,
) -> Finding:
    """Test whether the released variant of each record outscores its unpublished ghosts.

    Null hypothesis: within each record the released variant and its M ghosts, all drawn by one
    rule, are exchangeable given the scores; so which of the M + 1 is called released is uniform.
    That is `choice_test` with M + 1 choices per unit, of which column 0 was released.

    Args:
        scores: Score of each variant, shape (N, M + 1), M >= 1; column 0 is the released one.
        seed: See `choice_test`.
        references: For each reference model, scores of the same shape.
        weights: See `choice_test`.
        alternative: See `choice_test`.
        method: See `choice_test`.
        n_resamples: See `choice_test`.

    Returns:
        A finding; the unit is the record.

    Raises:
        InvalidInput: If an argument is malformed.
    """
    table = _matrix("scores", scores)
    others = [_matrix(f"references[{r}]", reference) for r, reference in enumerate(references)]
    finding = choice_test(
        list(table),
        np.zeros(len(table), dtype=np.int64),
        seed=seed,
        references=[list(other) for other in others],
        weights=weights,
        alternative=alternative,
        method=method,
        n_resamples=n_resamples,
    )
    return finding.about(
        name="ghost test",
        question="Is the released variant of each record scored higher than its unpublished ghosts?",
        null="Within each record, released variant and ghosts are exchangeable given the scores.",
        unit="records",
        assumptions=(
            "Released variant and ghosts were drawn by one rule with a key the model never saw.",
        ),
    )


def _matrix(name: str, data: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(data, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InvalidInput(f"{name}: expected shape (N, M + 1) with M >= 1, got {table.shape}")
    return table


def _centre(
    values: Sequence[ArrayLike],
    chosen: ArrayLike,
    references: Sequence[Sequence[ArrayLike]],
    weights: ArrayLike | None,
    alternative: Alternative,
) -> _Centred:
    """All input errors of `choice_test` are raised in here."""
    if alternative is Alternative.TWO_SIDED:
        raise InvalidInput(
            "alternative: choose GREATER or LESS; a mark is looked for in one direction"
        )
    flat, starts = ragged("values", values)
    sizes = np.diff(starts)
    picks = np.asarray(chosen)
    if picks.shape != sizes.shape or not np.issubdtype(picks.dtype, np.integer):
        raise InvalidInput(
            f"chosen: expected {sizes.size} integers, got shape {picks.shape} of {picks.dtype}"
        )
    outside = np.flatnonzero((picks < 0) | (picks >= sizes))
    if outside.size:
        u = int(outside[0])
        raise InvalidInput(f"chosen[{u}]: expected an index in [0, {sizes[u]}), got {picks[u]}")
    scale = np.ones(sizes.size) if weights is None else finite_vector("weights", weights)
    if scale.shape != sizes.shape:
        raise InvalidInput(f"weights: expected shape {sizes.shape}, got {scale.shape}")
    if (scale <= 0).any():
        u = int(np.flatnonzero(scale <= 0)[0])
        raise InvalidInput(f"weights[{u}]: expected a positive weight, got {scale[u]}")
    centred = _weighted_centred(flat, starts, scale)
    if references:
        others = []
        for r, reference in enumerate(references):
            other, other_starts = ragged(f"references[{r}]", reference)
            if not np.array_equal(other_starts, starts):
                raise InvalidInput(
                    f"references[{r}]: expected the same units and choices as values"
                )
            others.append(_weighted_centred(other, other_starts, scale))
        centred = _residuals(centred, np.column_stack(others), starts)
    if alternative is Alternative.LESS:
        centred = -centred
    return _Centred(centred, starts, picks.astype(np.int64), scale)


def _weighted_centred(
    flat: NDArray[np.float64], starts: NDArray[np.int64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    sizes = np.diff(starts)
    means = np.add.reduceat(flat, starts[:-1]) / sizes
    result: NDArray[np.float64] = (flat - np.repeat(means, sizes)) * np.repeat(scale, sizes)
    # Values equal up to rounding are ties: their difference must not become a signal.
    result[np.abs(result) <= 1e-12 * np.abs(flat * np.repeat(scale, sizes))] = 0.0
    return result


def _residuals(
    x: NDArray[np.float64], others: NDArray[np.float64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Least squares with rows scaled by 1/sqrt(k_u), which minimises the null variance of T."""
    row_scale = 1 / np.sqrt(np.repeat(np.diff(starts), np.diff(starts)))
    slopes, *_ = np.linalg.lstsq(others * row_scale[:, None], x * row_scale, rcond=None)
    result: NDArray[np.float64] = x - others @ slopes
    return result


def _enumerates(centred: _Centred, method: ChoiceMethod) -> bool:
    feasible = centred.log2_outcomes <= math.log2(_MAX_ENUMERATED) + 1e-9
    if method is ChoiceMethod.EXACT and not feasible:
        raise InvalidInput(
            f"method: exact enumeration of 2**{centred.log2_outcomes:.0f} outcomes is not feasible",
            f"use monte-carlo, or at most {_MAX_ENUMERATED} outcomes",
        )
    return feasible and method is not ChoiceMethod.MONTE_CARLO


def _histogram(null: NDArray[np.float64], observed: float) -> NullHistogram:
    reach = max(float(np.abs(null).max()), 1e-9)
    counts, edges = np.histogram(null, bins=_HISTOGRAM_BINS, range=(-reach, reach))
    return NullHistogram(
        label="Standardised sum of choice advantages (z)",
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        observed=observed,
    )


def _tied(centred: _Centred, alternative: Alternative, seed: int) -> Finding:
    finding = _finding(
        centred, alternative, z=0.0, log10_p=0.0, method="exact", seed=seed, figure=None
    )
    return finding.about(warnings=("All choices of every unit have the same score: p is 1.",))


def _finding(
    centred: _Centred,
    alternative: Alternative,
    *,
    z: float,
    log10_p: float,
    method: str,
    seed: int | None,
    figure: NullHistogram | None,
) -> Finding:
    return Finding(
        name="choice test",
        question="Are the released choices scored higher than a uniform draw would be?"
        if alternative is Alternative.GREATER
        else "Are the released choices scored lower than a uniform draw would be?",
        null="Given all scores, each unit's released choice is a uniform draw from its choices, "
        "independent of the other units'.",
        alternative=alternative,
        statistic=Statistic(name="z, standardised sum of choice advantages", value=z),
        log10_p=log10_p,
        method=method,
        valid=Validity.FINITE_SAMPLE,
        n=centred.n_units,
        unit="units",
        effect=_mean_advantage(centred, alternative),
        assumptions=("The key that drew the choices is independent of the model under test.",),
        seed=seed,
        figure=figure,
    )


def _mean_advantage(centred: _Centred, alternative: Alternative) -> Effect:
    """Weighted mean over units of the released choice's advantage, with a normal interval."""
    sign = -1.0 if alternative is Alternative.LESS else 1.0
    advantage = sign * centred.values[centred.starts[:-1] + centred.chosen]
    total = float(centred.weights.sum())
    mean = float(advantage.sum()) / total
    deviation = math.sqrt(float(((advantage - centred.weights * mean) ** 2).sum())) / total
    return Effect(
        name="mean advantage of the released choice, nats",
        value=mean,
        low=mean - 1.96 * deviation,
        high=mean + 1.96 * deviation,
        confidence=0.95,
        interval="normal approximation over units",
    )
