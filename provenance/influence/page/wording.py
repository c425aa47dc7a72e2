"""Influence in words: numbers with their unit, and foreign text that is visible and of bounded length."""

import math
from dataclasses import dataclass

from ....stats.report.wording import MINUS, decimal, visible

__all__ = ["LINE_BREAK", "TAB", "Unit", "one_line", "shortened", "unit_for"]

LINE_BREAK = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
TAB = "\N{RIGHTWARDS ARROW TO BAR}"

_PREFIXES = {0: "", -3: "m", -6: "µ", -9: "n", -12: "p", -15: "f"}
_FRACTIONS = {
    0: "the natural unit of log-probability",
    -3: "a thousandth of a nat",
    -6: "a millionth of a nat",
    -9: "a thousand-millionth of a nat",
    -12: "10⁻¹² nat",
    -15: "10⁻¹⁵ nat",
}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DIGITS = 3  # significant ones


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of all influence on a page: nat, mnat, µnat and so on.

    Attributes:
        exponent: Power of ten of one unit, in nats; 0 or a negative multiple of 3 down to -15.
    """

    exponent: int

    @property
    def name(self) -> str:
        """Its symbol."""
        return f"{_PREFIXES[self.exponent]}nat"

    @property
    def words(self) -> str:
        """What one unit is."""
        return _FRACTIONS[self.exponent]

    def number(self, nats: float) -> str:
        """A number of nats in this unit, without the unit: signed, three significant digits."""
        value = float(nats) / 10.0**self.exponent
        size = abs(value)
        sign = MINUS if value < 0 else "+"
        if size == 0:
            return "0"
        if not 1e-3 <= size < 1e6:
            mantissa, exponent = f"{size:.{_DIGITS - 1}e}".split("e")
            power = str(int(exponent)).translate(_SUPERSCRIPTS)
            return f"{sign}{mantissa} \N{MULTIPLICATION SIGN} 10{power}"
        places = max(_DIGITS - 1 - math.floor(math.log10(size)), 0)
        return sign + decimal(size, places)

    def text(self, nats: float) -> str:
        """A number of nats in this unit, with it."""
        return f"{self.number(nats)} {self.name}"


def unit_for(largest: float) -> Unit:
    """The unit in which the largest size on a page has one to three digits before its point."""
    if not largest > 0:
        return Unit(0)
    exponent = 3 * math.floor(math.log10(largest) / 3)
    return Unit(min(max(exponent, min(_PREFIXES)), 0))


def shortened(text: str, most: int) -> str:
    """`text`, visible; of a longer one its beginning and how long it is.

    Args:
        text: Any string, of any length.
        most: Characters of it to show.
    """
    if len(text) <= most:
        return visible(text)
    return f"{visible(text[:most])}… ({len(text):,} characters)"


def one_line(text: str) -> str:
    """`text` with its line breaks and tabs as signs; the rest is as it was."""
    return text.replace("\r\n", LINE_BREAK).replace("\n", LINE_BREAK).replace("\t", TAB)
