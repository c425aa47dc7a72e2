"""From a pilot study's finding to the effect that a larger study can expect."""

import math
from dataclasses import dataclass

from scipy import special

from ...errors import InsufficientEvidence, InvalidInput
from ..findings import Alternative, Finding
from .forecast import PowerTest

__all__ = ["PilotEffect", "pilot_effect"]

_SMALL_EFFECT = 0.5  # up to here more than two choices make no difference that matters
_TESTS = {
    "z, standardised sum of differences": PowerTest.PAIRED,
    "z, standardised sum of choice advantages": PowerTest.CHOICE,
    "Spearman rho": PowerTest.SPEARMAN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotEffect:
    """The effect that a pilot found, in the unit of the `power_...` functions.

    Attributes:
        test: Which test the pilot was.
        n: Number of units in the pilot.
        unit: What they were.
        alternative: Direction of the pilot's test.
        effect: The estimate.
        low: Lower end of a 95 % interval.
        high: Upper end.
    """

    test: PowerTest
    n: int
    unit: str
    alternative: Alternative
    effect: float
    low: float
    high: float

    @property
    def weakest(self) -> float | None:
        """The end of the interval nearest to no effect, or None if that end is no effect."""
        towards = math.copysign(1.0, self.effect)
        end = self.low if towards > 0 else self.high
        return end if end * towards > 0 else None

    @property
    def strongest(self) -> float:
        """The other end."""
        return self.high if self.effect > 0 else self.low


def pilot_effect(finding: Finding) -> PilotEffect:
    r"""The effect of a paired, choice or Spearman test, with an interval.

    Sign-flip tests report z = sum d / sqrt(sum d**2), so that mean(d) / sd(d), sd with divisor n, is
    e = z / sqrt(n - z**2); its standard error is taken as sqrt((1 + e**2 / 2) / n), the large-sample
    value for normal d. For choices among more than two, or of unequal weights, this holds to first order
    only; where the effect is not small either, the pilot is refused. Spearman's rho and its interval
    are the finding's own.

    The interval tells of chance in the pilot only, not of whether a larger study is like it.

    Args:
        finding: What `paired_test`, `choice_test`, `ghost_test` or `spearman_test` returned, also under
            a name of its own.

    Raises:
        InvalidInput: If the finding is of another test.
        InsufficientEvidence: If all units agree wholly, or there are too few, or more than two choices
            per unit make a large effect: no effect size follows.
    """
    test = _TESTS.get(finding.statistic.name)
    if test is None:
        raise InvalidInput(
            f"a pilot with the statistic '{finding.statistic.name}' has no power formula here",
            "use a finding of a paired, choice or Spearman test",
        )
    n, value = finding.n, finding.statistic.value
    if test is PowerTest.SPEARMAN:
        effect, low, high = value, finding.effect.low, finding.effect.high
        whole = abs(value) >= 1
    else:
        whole = n < 2 or value * value >= n * (1 - 1e-9)
        effect = 0.0 if whole else value / math.sqrt(n - value * value)
        if test is PowerTest.CHOICE and abs(effect) > _SMALL_EFFECT and not _is_sign_flip(finding):
            raise InsufficientEvidence(
                f"this pilot's units have more than two choices, or weights, and an effect of {effect:.2f}: "
                "no formula here fits it",
                "plan by simulation, or take the effect from a pilot of two choices per unit",
            )
        half_width = 1.96 * math.sqrt((1 + effect * effect / 2) / n)
        low, high = effect - half_width, effect + half_width
    if whole:
        raise InsufficientEvidence(
            f"a pilot of {n} {finding.unit} that agree wholly says nothing about the size of the effect",
            "give --effect, or use a larger pilot",
        )
    return PilotEffect(
        test=test,
        n=n,
        unit=finding.unit,
        alternative=finding.alternative,
        effect=effect,
        low=low,
        high=high,
    )


def _is_sign_flip(finding: Finding) -> bool:
    """Whether z = sum d / sqrt(sum d**2) for the mean and standard deviation that the finding reports.

    With two choices of weight 1 it is; with more, or weights, hardly ever.
    """
    n, effect = finding.n, finding.effect
    deviation = (effect.high - effect.low) / 2 / float(special.stdtrit(n - 1, 0.975)) * math.sqrt(n)
    square = effect.value**2 + deviation**2 * (n - 1) / n
    expected = n * effect.value / math.sqrt(n * square) if square > 0 else 0.0
    return math.isclose(abs(expected), abs(finding.statistic.value), rel_tol=1e-6)
