"""From null sums to a p-value: enumeration, Monte Carlo, sequential stopping; shared by the sum tests.

Notation: B draws at most, b of them reach the observed value, h stops the drawing, l draws made.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from . import tails
from .checks import one_of, positive_count, seed_of
from .findings import Alternative, NullHistogram
from .workings import Scalar

__all__ = ["Plan", "ResamplingMethod", "Tail", "drawn_tail", "enumerated_tail", "null_histogram"]

_LOG2_MAX_ENUMERATED = 20
_HISTOGRAM_BINS = 61
_FIRST_BATCH = 256


class ResamplingMethod(StrEnum):
    """How the null distribution is obtained; AUTO enumerates up to 2**20 outcomes."""

    AUTO = "auto"
    EXACT = "exact"
    MONTE_CARLO = "monte-carlo"


@dataclass(frozen=True, slots=True)
class Plan:
    """The checked options of a resampling test.

    Attributes:
        alternative: Direction of the test.
        method: See `ResamplingMethod`.
        seed: Key of the random numbers.
        n_resamples: B.
        stop_after: h, or None to make all B draws.
    """

    alternative: Alternative
    method: ResamplingMethod
    seed: np.uint64
    n_resamples: int
    stop_after: int | None

    @classmethod
    def of(
        cls,
        alternative: Alternative,
        method: ResamplingMethod,
        seed: int,
        n_resamples: int,
        stop_after: int | None,
    ) -> "Plan":
        """All errors in these options are raised in here."""
        method = one_of("method", ResamplingMethod, method)
        n_resamples = positive_count("n_resamples", n_resamples)
        if stop_after is not None:
            stop_after = positive_count("stop_after", stop_after)
            if stop_after > n_resamples:
                raise InvalidInput(
                    f"stop_after: expected at most n_resamples = {n_resamples}, got {stop_after}"
                )
            if method is ResamplingMethod.EXACT:
                raise InvalidInput("stop_after: enumeration draws nothing that could be stopped")
        return cls(
            alternative=one_of("alternative", Alternative, alternative),
            method=method,
            seed=seed_of(seed),
            n_resamples=n_resamples,
            stop_after=stop_after,
        )

    @property
    def sign(self) -> float:
        """Values times this make large sums speak for the alternative (in size, for TWO_SIDED)."""
        return -1.0 if self.alternative is Alternative.LESS else 1.0

    @property
    def settings(self) -> dict[str, Scalar]:
        """The same options for a `Working`."""
        return {
            "alternative": self.alternative.value,
            "method": self.method.value,
            "seed": int(self.seed),
            "n_resamples": self.n_resamples,
            "stop_after": self.stop_after,
        }

    @property
    def two_sided(self) -> bool:
        """Whether the size of a sum counts, and not its sign."""
        return self.alternative is Alternative.TWO_SIDED

    def enumerates(self, log2_outcomes: float) -> bool:
        """Whether all outcomes are to be enumerated.

        Args:
            log2_outcomes: Binary logarithm of their number.

        Raises:
            InvalidInput: If EXACT was asked for and there are too many.
        """
        feasible = log2_outcomes <= _LOG2_MAX_ENUMERATED + 1e-9
        if self.method is ResamplingMethod.EXACT and not feasible:
            raise InvalidInput(
                f"method: exact enumeration of 2**{log2_outcomes:.1f} outcomes is not feasible",
                f"use monte-carlo, or at most 2**{_LOG2_MAX_ENUMERATED} outcomes",
            )
        return feasible and self.method is not ResamplingMethod.MONTE_CARLO


@dataclass(frozen=True, slots=True)
class Tail:
    """What resampling gives.

    Attributes:
        log10_p: Decimal logarithm of the p-value.
        method: How it was computed, for people.
        null: The sums under the null hypothesis, those that were made.
        seed: Seed of the draws, or None where all outcomes were enumerated.
    """

    log10_p: float
    method: str
    null: NDArray[np.float64]
    seed: int | None


def enumerated_tail(plan: Plan, null: NDArray[np.float64], observed: float, scale: float) -> Tail:
    """The exact tail: the share of all outcomes, the observed one among them, that reach it.

    Args:
        plan: The options; only the direction counts here.
        null: The sum of every outcome, times `plan.sign`.
        observed: The observed sum, times `plan.sign`, computed as the null sums are.
        scale: Sums closer than 1e-10 of it are ties, which count against the claim.
    """
    exceeding = _count(plan, null, observed, scale)
    return Tail(math.log10(exceeding / null.size), "exact", null, None)


def drawn_tail(
    plan: Plan,
    draw: Callable[[int, int], NDArray[np.float64]],
    observed: float,
    scale: float,
    log10_bound: Callable[[], float],
) -> Tail:
    """The Monte-Carlo tail, stopped early where asked, with a tail bound below its floor.

    Without stopping p = (1 + b) / (1 + B) (Phipson & Smyth 2010, equation 2). With `stop_after` = h
    the draws end with the h-th that reaches the observed value, and p = h / l; where B draws bring
    fewer than h, p = (1 + b) / (1 + B) (Besag & Clifford 1991, section 2).

    Args:
        plan: The options.
        draw: Takes (first, count) and gives that many sums times `plan.sign`; draw i is always the same.
        observed: As for `enumerated_tail`.
        scale: As for `enumerated_tail`.
        log10_bound: Gives log10 of an upper bound on P(T >= observed) under the null hypothesis, on
            P(|T| >= |observed|) for TWO_SIDED. Used where no draw reaches the value, if it is below
            the floor 1 / (1 + B).
    """
    # Why p = h/l is valid: p <= h/l says that at most h - 1 of the first l - 1 draws reach the
    # observed value, that is, that it ranks among the h largest of l exchangeable values, ties
    # counted against it: probability at most h/l. The other values of p are of the usual kind.
    #
    # Why the combination with the bound is valid: every p above is at least 1/(1+B), so for alpha >=
    # 1/(1+B) the combined p rejects exactly when the Monte-Carlo p does (b = 0 rejects either way):
    # probability <= alpha. For alpha < 1/(1+B) it rejects only if the bound at the observed t is
    # <= alpha. The bound is a function of t that is never below the tail G(t) = P(T >= t), and
    # P(G(T) <= alpha) <= alpha for any law of T. The same holds with |T| for T.
    n, h = plan.n_resamples, plan.stop_after
    null = draw(0, n) if h is None else _until(plan, draw, observed, scale, h)
    exceeding = _count(plan, null, observed, scale)
    seed = int(plan.seed)
    if h is not None and exceeding == h:
        how = (
            f"monte-carlo stopped at draw {null.size} of at most B={n}, the {h}. to reach the value"
        )
        return Tail(math.log10(h / null.size), f"{how} (Besag & Clifford 1991)", null, seed)
    log10_p, how = tails.monte_carlo_log10_p(exceeding, n), f"monte-carlo B={n}"
    if h is not None:
        how += f", as fewer than stop_after={h} draws reached the value (Besag & Clifford 1991)"
    if exceeding == 0:
        bound = log10_bound()
        if bound < log10_p:
            log10_p = bound
            how = f"chernoff-bound, as none of B={n} draws reached the value"
    return Tail(log10_p, how, null, seed)


def null_histogram(null: NDArray[np.float64], observed: float, label: str) -> NullHistogram:
    """The picture of a null distribution around 0.

    Args:
        null: Values of the statistic under the null hypothesis.
        observed: The observed value.
        label: What the statistic is, with its unit.
    """
    reach = max(float(np.abs(null).max()), 1e-9)
    counts, edges = np.histogram(null, bins=_HISTOGRAM_BINS, range=(-reach, reach))
    return NullHistogram(
        label=label,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        observed=observed,
    )


def _until(
    plan: Plan,
    draw: Callable[[int, int], NDArray[np.float64]],
    observed: float,
    scale: float,
    h: int,
) -> NDArray[np.float64]:
    """The draws up to and with the h-th that reaches the observed value, or all B."""
    batches: list[NDArray[np.float64]] = []
    made = found = 0
    while made < plan.n_resamples:
        size = min(max(_FIRST_BATCH, made), plan.n_resamples - made)  # doubles what there is
        batch = draw(made, size)
        reached = np.flatnonzero(_reaches(plan, batch, observed, scale))
        if found + reached.size >= h:
            batches.append(batch[: reached[h - found - 1] + 1])
            break
        batches.append(batch)
        found += reached.size
        made += size
    return np.concatenate(batches)


def _count(plan: Plan, null: NDArray[np.float64], observed: float, scale: float) -> int:
    return int(np.count_nonzero(_reaches(plan, null, observed, scale)))


def _reaches(
    plan: Plan, null: NDArray[np.float64], observed: float, scale: float
) -> NDArray[np.bool_]:
    """Which sums reach the observed one; up to rounding equal ones do, and count against the claim."""
    if plan.two_sided:
        return np.abs(null) >= abs(observed) - tails.RELATIVE_TIE * scale
    return null >= observed - tails.RELATIVE_TIE * scale
