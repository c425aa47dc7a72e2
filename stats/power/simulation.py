"""Power by running the test itself on synthetic data: the twin of the formulas in `forecast`."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import special

from ...errors import InvalidInput
from ..checks import positive_count, seed_of
from ..choices import choice_test
from ..correlation import spearman_test
from ..findings import Alternative, Finding
from ..paired import paired_test
from .forecast import PowerForecast, PowerTest, forecast_power
from .levels import log10_level

__all__ = ["SimulatedPower", "simulate_power"]

_CONFIDENCE = 0.95
_MOST_UNITS = 10**8  # some gigabytes
_MOST_WORK = 10**12  # units times draws times data sets: about an hour
_DRAWS = {PowerTest.PAIRED: 99_999, PowerTest.CHOICE: 99_999, PowerTest.SPEARMAN: 9_999}
_UNDRAWN = {PowerTest.PAIRED: range(21), PowerTest.CHOICE: range(21)}
_FIRST_BY_T = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPower:
    """How often a test reached a level on synthetic data.

    Attributes:
        test: Which test.
        n: Number of units per data set.
        effect: Size of the effect that was planted, as for the `power_...` functions.
        log10_alpha: Decimal logarithm of the level.
        alternative: Direction of the test.
        n_datasets: How many data sets were drawn.
        n_reached: In how many of them p was at most the level.
        power: Their share.
        low: Lower end of the Clopper-Pearson interval of the power.
        high: Upper end.
        confidence: Coverage of the interval, at least.
        seed: Seed of data and tests.
    """

    test: PowerTest
    n: int
    effect: float
    log10_alpha: float
    alternative: Alternative
    n_datasets: int
    n_reached: int
    power: float
    low: float
    high: float
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON."""
        return asdict(self)


def simulate_power(
    test: PowerTest,
    n: int,
    effect: float,
    *,
    alpha: float | None = None,
    log10_alpha: float | None = None,
    alternative: Alternative,
    seed: int,
    n_datasets: int = 1_000,
) -> SimulatedPower:
    """Draw normal data with an effect, run the test, and count how often p <= alpha.

    Data set i depends on the seed and i only, so a longer run repeats a shorter one. The tests run as by
    default, with their own draws. (NumPy may change its normal generator between versions; then the
    data change, not their law.)

    Args:
        test: PAIRED: n differences with mean `effect` and standard deviation 1. CHOICE: n units whose
            released choice lies above the unit's mean by such a number. SPEARMAN: n pairs, bivariate
            normal with Pearson correlation 2 sin(pi effect / 6).
        n: Number of units per data set.
        effect: See `test`.
        alpha: Level, in (0, 1); or else
        log10_alpha: its decimal logarithm.
        alternative: Direction of the test.
        seed: In [0, 2**64).
        n_datasets: How many data sets; the standard error is at most 0.5 / sqrt(n_datasets).

    Raises:
        InvalidInput: If an argument is malformed, or the simulation would take many hours.
    """
    level = log10_level(alpha, log10_alpha)
    # Every other refusal is the formula's.
    asked = forecast_power(test, n, effect, log10_alpha=level, alternative=alternative)
    key = int(seed_of(seed))
    n_datasets = positive_count("n_datasets", n_datasets)
    _refuse_endless(asked, n_datasets)
    reached = 0
    for index in range(n_datasets):
        finding = _one(asked.test, asked.n, asked.effect, asked.alternative, key, index)
        reached += finding.log10_p <= level * (1 - 1e-12)  # p = alpha, up to rounding, counts
    tail = (1 - _CONFIDENCE) / 2
    low = special.betaincinv(reached, n_datasets - reached + 1, tail) if reached else 0.0
    missed = n_datasets - reached
    high = special.betaincinv(reached + 1, missed, 1 - tail) if missed else 1.0
    return SimulatedPower(
        test=asked.test,
        n=asked.n,
        effect=asked.effect,
        log10_alpha=level,
        alternative=asked.alternative,
        n_datasets=n_datasets,
        n_reached=reached,
        power=reached / n_datasets,
        low=float(low),
        high=float(high),
        confidence=_CONFIDENCE,
        seed=key,
    )


def _refuse_endless(asked: PowerForecast, n_datasets: int) -> None:
    by_t = asked.test is PowerTest.SPEARMAN and asked.n >= _FIRST_BY_T
    draws = 1 if by_t or asked.n in _UNDRAWN.get(asked.test, ()) else _DRAWS[asked.test]
    if asked.n > _MOST_UNITS or asked.n * draws * n_datasets > _MOST_WORK:
        raise InvalidInput(
            f"a simulation of {n_datasets:,} data sets of {asked.n:,} units would take hours",
            "ask for fewer data sets, or rely on the formula",
        )


def _one(
    test: PowerTest, n: int, effect: float, alternative: Alternative, seed: int, index: int
) -> Finding:
    rng = np.random.default_rng([seed, index])
    draws = int(rng.integers(2**63))  # the test's own seed
    if test is PowerTest.SPEARMAN:
        r = 2 * math.sin(math.pi * effect / 6)
        x, noise = rng.standard_normal((2, n))
        y = r * x + math.sqrt((1 - r) * (1 + r)) * noise
        return spearman_test(x, y, alternative=alternative, seed=draws)
    d = rng.normal(effect, 1.0, n)
    if test is PowerTest.PAIRED:
        return paired_test(d, alternative=alternative, seed=draws)
    scores = np.column_stack((d, -d))
    return choice_test(
        list(scores), np.zeros(n, dtype=np.int64), alternative=alternative, seed=draws
    )
