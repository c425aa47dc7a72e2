"""Numbers and hostile text, made fit to be read. Rounding never favours the claim."""

import math
from functools import lru_cache

from ...display import visible
from ..findings import Effect, format_p

__all__ = [
    "MINUS",
    "bounded",
    "decimal",
    "e_text",
    "effect_text",
    "grouped",
    "odds_text",
    "p_text",
    "visible",
]

MINUS = "\N{MINUS SIGN}"

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ODDS_BELOW_LOG10_P = -2.0
_NAMED_POWERS = ((12, "trillion"), (9, "billion"), (6, "million"))
_LARGEST_NAMED_LOG10 = 15.0
_MOST_PLACES = 30
_LONGEST = 1_000_000  # characters
_LARGEST_PLAIN_LOG10_E = 6.0  # the last band begins here; more digits would say nothing


@lru_cache(maxsize=64)  # a page says the same names again and again, and is written twice
def bounded(text: str) -> str:
    """Foreign text made visible, and cut where it is longer than any honest name or sentence."""
    if len(text) <= _LONGEST:
        return visible(text)
    return (
        f"{visible(text[:_LONGEST])}… [cut here: {len(text):,} characters; all are in report.json]"
    )


def p_text(log10_p: float) -> str:
    """Return a p-value like `0.0312`, or in powers of ten, rounded upwards; never 0."""
    digits = format_p(log10_p)
    if "e" not in digits:
        return digits
    mantissa, exponent = digits.split("e")
    return _in_powers_of_ten(mantissa, int(exponent))


def odds_text(log10_p: float) -> str:
    """Return `about 1 in 320 million`, rounded towards 1 in 1; empty for p >= 0.01."""
    if log10_p >= _ODDS_BELOW_LOG10_P:
        return ""
    size = -log10_p
    if size >= _LARGEST_NAMED_LOG10:
        return f"about 1 in 10{_superscript(math.floor(size))}"
    odds = _two_digits_down(size)
    for power, name in _NAMED_POWERS:
        if odds >= 10**power:
            return f"about 1 in {odds / 10**power:.3g} {name}"
    return f"about 1 in {odds:,}"


def e_text(log10_e: float) -> str:
    """Return an e-value with two significant digits, rounded downwards; a lost bet is `< 0.01`."""
    if log10_e >= _LARGEST_PLAIN_LOG10_E:
        exponent = math.floor(log10_e)
        mantissa = math.floor(10 ** (log10_e - exponent) * 10 + 1e-9) / 10
        return _in_powers_of_ten(f"{mantissa:.1f}", exponent)
    if log10_e >= 1:
        return f"{_two_digits_down(log10_e):,}"
    if log10_e < -2:
        return "< 0.01"
    return f"{math.floor(10**log10_e * 100 + 1e-9) / 100:.2f}"


def decimal(value: float, places: int) -> str:
    """Return a number with a true minus sign, and none before zero."""
    text = f"{value:,.{places}f}"
    unsigned = text.lstrip("-")
    return unsigned if text == unsigned or not unsigned.strip("0.") else MINUS + unsigned


def effect_text(effect: Effect) -> tuple[str, str, str]:
    """Return value and ends of the interval, with as many decimals as its width supports."""
    half_width = (effect.high - effect.low) / 2
    size = half_width if half_width > 0 else abs(effect.value)
    places = 1 - math.floor(math.log10(size)) if size > 0 else 0
    places = min(max(places, 0), _MOST_PLACES)
    return (
        decimal(effect.value, places),
        decimal(effect.low, places),
        decimal(effect.high, places),
    )


def grouped(digest: str) -> list[str]:
    """Return a digest in groups of four, the way people compare them."""
    return [digest[i : i + 4] for i in range(0, len(digest), 4)]


def _in_powers_of_ten(mantissa: str, exponent: int) -> str:
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{_superscript(exponent)}"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(_SUPERSCRIPTS)


def _two_digits_down(log10_size: float) -> int:
    exponent = max(math.floor(log10_size) - 1, 0)
    return math.floor(math.pow(10, log10_size - exponent) + 1e-9) * int(math.pow(10, exponent))
