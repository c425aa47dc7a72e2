"""Words for the strength of evidence, from e-values and never from 1/p.

An e-value has expectation at most 1 under the null hypothesis, so a band whose lower edge is E0 is
reached with probability at most 1/E0 if the claim is false (Markov). The bands have the shape of the
verbal scale of forensic guidelines (ENFSI 2015) but are our own: they speak of evidence against
independence, not of likelihood ratios between two stories.
"""

import math

from ..errors import InvalidInput

__all__ = ["VERBAL_SCALE", "calibrated_log10_e", "verbal_strength"]

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
