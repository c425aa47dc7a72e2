"""Words for the strength of evidence, from e-values and never from 1/p.

An e-value has expectation at most 1 under the null hypothesis, so a band whose lower edge is E0 is
reached with probability at most 1/E0 if the claim is false (Markov). The bands have the shape of the
verbal scale of forensic guidelines (ENFSI 2015) but are our own: they speak of evidence against
independence, not of likelihood ratios between two stories.
"""

import math
from dataclasses import dataclass

from ..errors import InvalidInput
from .findings import EValue, Finding

__all__ = [
    "VERBAL_SCALE",
    "Strength",
    "calibrated_log10_e",
    "e_value_of",
    "verbal_scale",
    "verbal_strength",
]

# (log10 of the lower edge, word); an e-value on an edge belongs to the band below it.
VERBAL_SCALE: tuple[tuple[float, str], ...] = (
    (6.0, "extremely strong"),
    (4.0, "very strong"),
    (3.0, "strong"),
    (2.0, "moderately strong"),
    (1.0, "moderate"),
    (math.log10(2), "weak"),
)


def calibrated_log10_e(log10_p: float) -> float:
    r"""Decimal logarithm of the e-value (1 - p + p ln p) / (p (ln p)^2) of a p-value.

    The mean over kappa in (0, 1) of the calibrators kappa p^(kappa - 1): Vovk & Wang (2021),
    "E-values: calibration, combination and applications".

    Args:
        log10_p: Decimal logarithm of a p-value, in (-inf, 0].

    Returns:
        log10 of the e-value; about -0.301 (e = 1/2) at p = 1.

    Raises:
        InvalidInput: If `log10_p` is outside (-inf, 0].
    """
    if not -math.inf < log10_p <= 0:
        raise InvalidInput(f"expected log10_p in (-inf, 0], got {log10_p}")
    ln_p = log10_p * math.log(10)
    if ln_p > -1e-3:  # the formula is 0/0 at p = 1; its series is 1/2 - ln(p)/6 + ln(p)^2/24 - ...
        return math.log10(0.5 - ln_p / 6 + ln_p**2 / 24)
    p = math.exp(ln_p)
    return math.log10(1 - p + p * ln_p) - log10_p - 2 * math.log10(-ln_p)


def verbal_strength(log10_e: float) -> str:
    """The word for an e-value: `none`, `weak`, ..., `extremely strong`.

    Below the first edge (e <= 2) the word is `none`, meaning no evidence against independence; it
    never means evidence of innocence.

    Args:
        log10_e: Decimal logarithm of an e-value, in [-inf, inf).

    Returns:
        The word of the band; an e-value on an edge belongs to the band below it.

    Raises:
        InvalidInput: If `log10_e` is NaN or infinite.
    """
    if not log10_e < math.inf:
        raise InvalidInput(f"expected log10_e in [-inf, inf), got {log10_e}")
    for edge, word in VERBAL_SCALE:
        if log10_e > edge:
            return word
    return "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How strong the evidence against independence is, in a word and as the number behind it.

    Attributes:
        word: See `verbal_strength`.
        e_value: The e-value that the word stands for, and where it comes from.
    """

    word: str
    e_value: EValue

    @property
    def chance(self) -> float:
        """Bound on the probability of this word, or a stronger one, if the claim is false; at most 1."""
        edges = {word: 10**-log10_edge for log10_edge, word in VERBAL_SCALE}
        return edges.get(self.word, 1.0)


def e_value_of(finding: Finding) -> EValue:
    """The e-value of a finding: of its own bet where it has one, else calibrated from its p-value.

    Which of the two it is follows from the test and never from the outcome: the larger of two
    e-values is none.
    """
    if finding.e_value is not None:
        return finding.e_value
    return EValue(
        log10_e=calibrated_log10_e(finding.log10_p),
        method="calibrated from the p-value (Vovk & Wang 2021)",
    )


def verbal_scale(finding: Finding) -> Strength:
    """How strong the evidence of one finding is, if it is the only one that was looked for.

    In an audit of several tests use `report.AuditReport`, which corrects for their number. `none`
    means that no evidence was found, not that there is evidence of absence.

    Args:
        finding: The outcome of one test.

    Returns:
        The word with its e-value.
    """
    e_value = e_value_of(finding)
    return Strength(word=verbal_strength(e_value.log10_e), e_value=e_value)
