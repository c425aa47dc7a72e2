"""Pieces of text as markup: what comes from outside is made visible and escaped, once and here."""

import math

from markupsafe import Markup

from ..findings import Effect
from .wording import bounded, e_text, effect_text, grouped, odds_text, p_text, visible

__all__ = [
    "MISSING",
    "datum",
    "day",
    "digest",
    "e_number",
    "effect_number",
    "or_missing",
    "p_number",
    "percent_up",
    "probability",
    "shown_alpha",
]

MISSING = Markup('<span class="soft">not stated</span>')


def datum(text: str) -> Markup:
    """A string from outside: visible, escaped, and unable to reorder the text around it."""
    return Markup("<bdi>{}</bdi>").format(bounded(text))


def or_missing(text: str) -> Markup:
    """A string from outside, or that it is missing."""
    return datum(text) if text else MISSING


def digest(sha256: str) -> Markup:
    """A digest in groups of four, or that it is missing."""
    if not sha256:
        return MISSING
    groups = Markup("").join(Markup("<span>{}</span>").format(visible(g)) for g in grouped(sha256))
    return Markup('<code class="digest">{}</code>').format(groups)


def p_number(log10_p: float) -> Markup:
    """A p-value, with its odds where it is small."""
    number = Markup('<span class="number">{}</span>').format(p_text(log10_p))
    odds = odds_text(log10_p)
    return number + Markup(' <span class="odds">({})</span>').format(odds) if odds else number


def e_number(log10_e: float) -> Markup:
    """An e-value."""
    return Markup('<span class="number">{}</span>').format(e_text(log10_e))


def effect_number(effect: Effect) -> Markup:
    """An effect with its interval."""
    value, low, high = effect_text(effect)
    return Markup(
        '<span class="number">{}</span> <span class="interval">({} % interval {} to {})</span>'
    ).format(value, f"{100 * effect.confidence:g}", low, high)


def probability(value: float) -> str:
    """A power or a lower bound, rounded downwards to two decimals; one below 0.01 says so."""
    floor = math.floor(value * 100 + 1e-9) / 100
    return f"{floor:.2f}" if floor > 0 or value == 0 else "less than 0.01"


def percent_up(rate: float) -> str:
    """An upper bound in per cent with two decimals, rounded upwards."""
    return f"{math.ceil(rate * 10_000 - 1e-9) / 100:.2f} %"


def shown_alpha(alpha: float) -> str:
    """A threshold as it was fixed, in the digits it was written with."""
    return f"{alpha:g}" if math.isclose(float(f"{alpha:g}"), alpha, rel_tol=1e-12) else repr(alpha)


def day(at: str) -> str:
    """The date of a time like 2026-01-31T09:30:00Z."""
    return at[:10]
