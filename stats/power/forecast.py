r"""How many records or sequences a test needs: the probability that it finds an effect of a given size.

Each function answers for one test of this package as it is called by default, p-value method
included: where the test draws 99,999 patterns and turns to a bound below 1e-5, so does the answer
here. `simulation.simulate_power` runs the tests themselves and is the twin of every formula.

Notation: n units; alpha the level, ln alpha its natural logarithm; Phi the standard normal
distribution function; phi its density; z(alpha) = -Phi^-1(alpha); B draws of a resampling test.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ...errors import InvalidInput
from ..checks import one_of, positive_count
from ..findings import Alternative
from .formulas import MOST_ENUMERATED_PAIRS, MOST_ENUMERATED_SIGNS, sign_flip_power, spearman_power
from .levels import level_text, log10_level, power_text

__all__ = [
    "PowerForecast",
    "PowerTest",
    "forecast_power",
    "power_choice",
    "power_paired",
    "power_spearman",
    "sample_size",
]

MAX_UNITS = 10**12
_LN10 = math.log(10)


class PowerTest(StrEnum):
    """The tests whose power is known here."""

    PAIRED = "paired"
    SPEARMAN = "spearman"
    CHOICE = "choice"


_LEAST_UNITS = {PowerTest.PAIRED: 2, PowerTest.SPEARMAN: 4, PowerTest.CHOICE: 1}
_FIRST_RESAMPLED = {
    PowerTest.PAIRED: MOST_ENUMERATED_SIGNS + 1,
    PowerTest.SPEARMAN: MOST_ENUMERATED_PAIRS + 1,
    PowerTest.CHOICE: MOST_ENUMERATED_SIGNS + 1,
}
_UNITS = {
    PowerTest.PAIRED: "pairs",
    PowerTest.SPEARMAN: "pairs",
    PowerTest.CHOICE: "units",
}
_EFFECTS = {
    PowerTest.PAIRED: "mean difference, in standard deviations of the differences",
    PowerTest.SPEARMAN: "Spearman correlation in the population",
    PowerTest.CHOICE: "mean advantage of the released choice over its unit's average, in standard "
    "deviations of that advantage over units",
}
_CONDITIONS = {
    PowerTest.PAIRED: "the mean difference is {} standard deviations of the differences",
    PowerTest.SPEARMAN: "the Spearman correlation is {}",
    PowerTest.CHOICE: "the released choice's mean advantage is {} standard deviations of that advantage",
}
_METHODS = {
    PowerTest.PAIRED: "normal law of the signed root of the sign-flip test's log-likelihood ratio",
    PowerTest.SPEARMAN: "Fisher z with Bonett-Wright variance",
    PowerTest.CHOICE: "normal law of the signed root of the sign-flip test's log-likelihood ratio",
}
_ASSUMPTIONS = {
    PowerTest.PAIRED: (
        "The pairs are independent of each other.",
        "The differences follow one normal distribution.",
    ),
    PowerTest.SPEARMAN: (
        "The pairs are independent of each other.",
        "The two quantities, each on some scale of its own, are jointly normal; no ties.",
    ),
    PowerTest.CHOICE: (
        "The units' draws are independent of each other.",
        "Each unit has two choices and weight 1.",
        "The released choices' advantages follow one normal distribution over units.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerForecast:
    """How likely a test is to reach a level, if the effect is as large as stated.

    Attributes:
        test: Which test.
        n: Number of exchangeable units.
        unit: What they are.
        effect: Size of the effect, in the sense of `effect_name`.
        effect_name: What is measured, with its unit.
        log10_alpha: Decimal logarithm of the level, since 1e-400 is no float.
        power: Probability that the test's p-value is at most the level, in [0, 1].
        alternative: Direction of the test.
        method: How the power was computed.
        assumptions: What it rests on.
        warnings: Where the formula is rough.
    """

    test: PowerTest
    n: int
    unit: str
    effect: float
    effect_name: str
    log10_alpha: float
    power: float
    alternative: Alternative
    method: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """The forecast as one sentence."""
        condition = _CONDITIONS[self.test].format(f"{self.effect:g}")
        return (
            f"{self.n:,} {self.unit} give p <= {level_text(self.log10_alpha)} with probability "
            f"{power_text(self.power)}, if {condition}."
        )

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON."""
        return asdict(self)


def power_paired(
    n: int,
    effect: float,
    *,
    alpha: float | None = None,
    log10_alpha: float | None = None,
    alternative: Alternative,
) -> PowerForecast:
    r"""Power of `paired_test` for n normal differences.

    Given its size, a difference d of mean delta and standard deviation 1 has the sign + with odds
    exp(2 delta d) : 1. Against fair signs its log-likelihood ratio therefore is

    .. math:: a = \delta d - \log\cosh(\delta d), \quad \mu = E a, \quad \sigma^2 = \operatorname{Var} a,
        \quad \kappa = E[d^2 / \cosh^2(\delta d)]

    and the saddlepoint of the sign-flip distribution lies at lambda = delta: its Chernoff bound is
    exp(-w**2 / 2), w**2 / 2 = max_lambda [lambda sum d - sum log cosh(lambda d)], and its tail is
    Phi(-w*) with w* = w + ln(u / w) / w, u = lambda sqrt(K''(lambda)) (Lugannani & Rice 1980;
    Robinson 1982 for permutation tests). A second-order expansion of w about its mean gives, with
    m = sqrt(2 n mu), v = sigma**2 / (2 mu) and r = delta sqrt(kappa / (2 mu)),

    .. math:: E w \approx m + \frac{1 - v}{2 m}, \quad E w^* \approx E w + \frac{\ln r}{m}, \quad
        \operatorname{Var} w \approx v

    and both are nearly normal. The test's exact p is at most alpha if w* >= z(alpha); its Chernoff
    bound, which it takes below 1e-5 from 21 differences on, if w >= sqrt(-2 ln alpha). For small
    effects this is Phi(delta sqrt(n) - z(alpha)). The expansion is ours; the noncentral t
    distribution, which ignores that only signs are drawn, is nearly as near to simulation for effects
    up to 0.5, but off by up to 0.2 at effects of 1.2 to 1.5, and unreliable in SciPy for large n.

    What is discrete is taken into account: alpha is rounded down to what 2**n patterns or B draws
    can give; below 2**-n (2**(1 - n) for TWO_SIDED) the power is exactly 0, and where all signs are
    needed it is exactly Phi(delta)**n.

    Measured against 2,000 simulations each (standard error 0.01): within 0.03 for n >= 12 and
    effects up to 1.5; rough (up to 0.15, mostly too low) for larger effects near the least p that
    n pairs can give.

    Args:
        n: Number of pairs, at least 2, at most 1e12.
        effect: Mean difference divided by the standard deviation of the differences.
        alpha: Level, in (0, 1); or else
        log10_alpha: its decimal logarithm, for levels below the smallest float.
        alternative: GREATER, LESS or TWO_SIDED.

    Raises:
        InvalidInput: If an argument is malformed, or not exactly one of the two levels is given.
    """
    level = log10_level(alpha, log10_alpha)
    return forecast_power(PowerTest.PAIRED, n, effect, log10_alpha=level, alternative=alternative)


def power_choice(
    n: int,
    effect: float,
    *,
    alpha: float | None = None,
    log10_alpha: float | None = None,
    alternative: Alternative = Alternative.GREATER,
) -> PowerForecast:
    """Power of `choice_test` for n units of two choices each, such as word types.

    With two choices the released one lies above its unit's average by d, half the difference of the
    two scores, and the other one as far below: redrawing the choices flips the signs of the d. So
    this is `power_paired` for the d, and the effect is mean(d) / sd(d) over units. Units with more
    choices or unequal weights: take the effect from a pilot (`pilot.pilot_effect`), which uses
    the test's own z.

    n counts what one key draw decides (by default word types, not records): more records
    help through a larger effect per type and through rarer words, which is for a pilot to measure.

    Args:
        n: Number of units, at least 1, at most 1e12.
        effect: See above.
        alpha: As for `power_paired`.
        log10_alpha: As for `power_paired`.
        alternative: GREATER (the released choice is favoured) or LESS.

    Raises:
        InvalidInput: If an argument is malformed, or TWO_SIDED is asked for.
    """
    level = log10_level(alpha, log10_alpha)
    return forecast_power(PowerTest.CHOICE, n, effect, log10_alpha=level, alternative=alternative)


def power_spearman(
    n: int,
    rho: float,
    *,
    alpha: float | None = None,
    log10_alpha: float | None = None,
    alternative: Alternative,
) -> PowerForecast:
    r"""Power of `spearman_test` (method AUTO) for n pairs from a bivariate normal distribution.

    Fisher's z = atanh(rho_hat) is taken as normal with mean atanh(rho) and variance
    (1 + rho**2 / 2) / (n - 3) (Bonett & Wright 2000), and compared with atanh(r_c), r_c the least
    correlation whose p is at most alpha. In logarithms throughout, with Wallace's (1959) normal
    deviate of Student's t, nu = n - 2,

    .. math:: w(r) = \frac{8 \nu + 1}{8 \nu + 3} \sqrt{-\nu \ln(1 - r^2)}

    - by t (n >= 500, near the centre): w(r_c) = z(alpha);
    - by permutation or enumeration: ln p is that of t plus 0.06 n r**4 (see `spearman_test`), and
      alpha is rounded down to what B = 9,999 permutations, or n!, can give;
    - by the permutation bound (below alpha = 1e-4 for n < 500, and far out for n >= 500):
      w**2 / 2 - 0.06 n r**4 - r (0.93 ln n - 0.9) = -ln alpha. The last term is fitted to
      `permutation_bound` on untied ranks of 20 to 1,000,000 values.

    Below 1 / n! (2 / n! for TWO_SIDED) the power is exactly 0. The Pearson correlation that belongs to
    rho is 2 sin(pi rho / 6) (Pearson 1907).

    Measured against 200 to 1,000 simulations each (standard error 0.016 to 0.035): within 0.04 for
    n >= 30 and |rho| <= 0.6; for rho = 0.8 or n < 30 too high by up to 0.12, for n < 10 by up to 0.2. A
    warning says so.

    Args:
        n: Number of pairs, at least 4, at most 1e12.
        rho: Spearman correlation in the population, in (-1, 1).
        alpha: As for `power_paired`.
        log10_alpha: As for `power_paired`.
        alternative: GREATER, LESS or TWO_SIDED.

    Raises:
        InvalidInput: If an argument is malformed.
    """
    level = log10_level(alpha, log10_alpha)
    return forecast_power(PowerTest.SPEARMAN, n, rho, log10_alpha=level, alternative=alternative)


def sample_size(
    test: PowerTest,
    effect: float,
    *,
    alpha: float | None = None,
    log10_alpha: float | None = None,
    power: float = 0.9,
    alternative: Alternative,
) -> PowerForecast:
    """The fewest units with which a test reaches the level with the power asked for.

    From this number on the power stays as large as asked for (if that is 0.3 or more: for huge effects
    the formula dips once, near the least n that can reach the level); the number below it fails.

    Args:
        test: Which test.
        effect: As for the `power_...` function of this test; in the direction that is tested.
        alpha: Level, in (0, 1); or else
        log10_alpha: its decimal logarithm.
        power: Probability to reach the level, above alpha and below 1.
        alternative: Direction of the test.

    Returns:
        The forecast for that number, with the power it really gives.

    Raises:
        InvalidInput: If an argument is malformed, the effect is 0 or lies the other way, or more than
            1e12 units would be needed.
    """
    test = one_of("test", PowerTest, test)
    alternative = _direction(test, alternative)
    effect = _effect(test, effect)
    level = log10_level(alpha, log10_alpha)
    if not 0 < power < 1 or math.log10(power) <= level:
        raise InvalidInput(f"power: expected a number above alpha and below 1, got {power}")
    towards = -effect if alternative is Alternative.LESS else effect
    if towards == 0 or (towards < 0 and alternative is not Alternative.TWO_SIDED):
        raise InvalidInput(
            f"effect: {effect:g} is never found by a test for '{alternative}'",
            "give an effect in the direction that is tested",
        )

    def suffices(n: int) -> bool:
        return _power(test, n, effect, level, alternative) >= power

    n = _first(suffices, _FIRST_RESAMPLED[test])
    if n is None:
        raise InvalidInput(
            f"effect: {effect:g} needs more than {MAX_UNITS:,} {_UNITS[test]} "
            f"for p <= {level_text(level)} with power {power:g}"
        )
    # Below, powers go up and down with the steps of an exact p: one by one, down to the first failure.
    while n > _LEAST_UNITS[test] and suffices(n - 1):
        n -= 1
    return forecast_power(test, n, effect, log10_alpha=level, alternative=alternative)


def forecast_power(
    test: PowerTest, n: int, effect: float, *, log10_alpha: float, alternative: Alternative
) -> PowerForecast:
    """The power of a test given by name; see the `power_...` function of this test.

    Raises:
        InvalidInput: If an argument is malformed.
    """
    test = one_of("test", PowerTest, test)
    alternative = _direction(test, alternative)
    effect = _effect(test, effect)
    level = log10_level(None, log10_alpha)
    n = _units(test, n)
    return PowerForecast(
        test=test,
        n=n,
        unit=_UNITS[test],
        effect=effect,
        effect_name=_EFFECTS[test],
        log10_alpha=level,
        power=_power(test, n, effect, level, alternative),
        alternative=alternative,
        method=_METHODS[test],
        assumptions=_ASSUMPTIONS[test],
        warnings=_warnings(test, n, effect),
    )


def _units(test: PowerTest, n: int) -> int:
    n = positive_count("n", n)
    least = _LEAST_UNITS[test]
    if not least <= n <= MAX_UNITS:
        raise InvalidInput(f"n: expected {least} to {MAX_UNITS:,} {_UNITS[test]}, got {n:,}")
    return n


def _effect(test: PowerTest, effect: float) -> float:
    if not isinstance(effect, int | float | np.number) or not math.isfinite(effect):
        raise InvalidInput(f"effect: expected a finite number, got {effect!r}")
    if test is PowerTest.SPEARMAN and not -1 < effect < 1:
        raise InvalidInput(f"effect: expected a Spearman correlation in (-1, 1), got {effect}")
    return float(effect)


def _direction(test: PowerTest, alternative: Alternative) -> Alternative:
    alternative = one_of("alternative", Alternative, alternative)
    if test is PowerTest.CHOICE and alternative is Alternative.TWO_SIDED:
        raise InvalidInput(
            "alternative: choose GREATER or LESS; a mark is looked for in one direction"
        )
    return alternative


def _warnings(test: PowerTest, n: int, effect: float) -> tuple[str, ...]:
    if test is PowerTest.SPEARMAN:
        rough = n < 30 or abs(effect) > 0.6
    else:
        rough = n < 12 or abs(effect) > 1.5
    if not rough:
        return ()
    return (
        "So few units, or so large an effect, are beyond what the formula was checked for: it may be "
        "off by 0.1 or more. Simulate.",
    )


def _first(suffices: Callable[[int], bool], start: int) -> int | None:
    """The least n >= start that suffices, if more always do; None if MAX_UNITS do not."""
    low, high = start - 1, start
    while not suffices(high):
        if high == MAX_UNITS:
            return None
        low, high = high, min(2 * high, MAX_UNITS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _power(
    test: PowerTest, n: int, effect: float, log10_alpha: float, alternative: Alternative
) -> float:
    ln_alpha = log10_alpha * _LN10
    one_sided = spearman_power if test is PowerTest.SPEARMAN else sign_flip_power
    if alternative is Alternative.TWO_SIDED:
        # p is twice the smaller tail, and only one of the tails can be that small.
        each = ln_alpha - math.log(2)
        return min(one_sided(n, effect, each, 2) + one_sided(n, -effect, each, 2), 1.0)
    return one_sided(n, -effect if alternative is Alternative.LESS else effect, ln_alpha, 1)
