"""Contrast of colours, as WCAG 2.2 computes it: nothing on a page may be too pale to read."""

__all__ = ["LEAST_CONTRAST", "contrast"]

LEAST_CONTRAST = 4.5  # for text, WCAG 1.4.3


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, from 1 to 21.

    Args:
        one: As `#rrggbb`.
        other: As `#rrggbb`.
    """
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
