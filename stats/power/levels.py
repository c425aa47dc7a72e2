"""Levels and powers: how they are given, and how they read."""

import math

from ...errors import InvalidInput

__all__ = ["level_text", "log10_level", "power_text"]


def log10_level(alpha: float | None, log10_alpha: float | None) -> float:
    """The decimal logarithm of a level given in one of two ways.

    Args:
        alpha: The level, in (0, 1), or None.
        log10_alpha: Its decimal logarithm, below 0, or None.

    Raises:
        InvalidInput: If not exactly one is given, or it is no level.
    """
    if (alpha is None) == (log10_alpha is None):
        raise InvalidInput("alpha: give either alpha or log10_alpha")
    if alpha is not None:
        if not 0 < alpha < 1:
            raise InvalidInput(f"alpha: expected a number in (0, 1), got {alpha}")
        return math.log10(alpha)
    assert log10_alpha is not None  # ruff: ignore[assert]
    if not -1e15 < log10_alpha < 0:
        raise InvalidInput(f"log10_alpha: expected a number in (-1e15, 0), got {log10_alpha}")
    return float(log10_alpha)


def level_text(log10_alpha: float) -> str:
    """A level for people, for any exponent, to three digits: `0.05`, `1e-06`, `2.5e-400`."""
    if log10_alpha >= -4:
        return f"{10**log10_alpha:.3g}"
    exponent = math.floor(log10_alpha + 1e-12 * abs(log10_alpha))
    mantissa = f"{10 ** (log10_alpha - exponent):.3g}"
    if mantissa == "10":
        mantissa, exponent = "1", exponent + 1
    return f"{mantissa}e{exponent:+03d}"


def power_text(power: float) -> str:
    """Two decimals, more towards 0 and 1, so that what is not certain never reads as certain."""
    if power in {0.0, 1.0}:
        return f"{power:.0f}"
    if power < 0.0001:
        return "below 0.0001"
    if power > 0.9999:
        return "above 0.9999"
    near = min(power, 1 - power)
    return f"{power:.{2 if near >= 0.1 else 3 if near >= 0.001 else 4}f}"
