"""Whether "a" or "an" goes before a word, told from its spelling; None where spelling misleads."""

import re

__all__ = ["starts_with_vowel_sound"]

# Patterns are tried in this order, each on the whole lower-case word; the first match decides.
# A letter group with exceptions ends in a None rule, so a word nobody thought of is left alone.
_RULES: tuple[tuple[str, bool | None], ...] = (
    (r".*[^a-z].*", None),
    (r"[^aeiouy]*", None),  # an abbreviation may be spelled out: "an SQL query", "a SQL query"
    # h: silent in four families, and unsettled where the first syllable is unstressed.
    (r"(honest|heir|honou?r).*", True),
    (r"hour(s|ly|long|glass|glasses)?", True),
    (r"(hour|herb|histor|homage|hotel|habitu|hallucin|hyster|hilar|homolog|homoge|hono).*", None),
    (r"h[aeiouy].*", False),
    (r"h.*", None),
    # eu, ew: always a "y" sound.
    (r"(eu|ewe).*", False),
    # u: "y" before one consonant and a vowel, open before two consonants; un- is mixed.
    (r"uni(m[pm]|n[fghijstv]|d[ei]|ronic|llus|mag).*", True),
    (r"uni(t|on|f|v|q|c|sex|son|lat|mod|dir|verb|axial|pol|corn|que).*", False),
    (r"un(ani|ary).*", False),
    (
        r"un(abl|acc|aff|al|ann|ans|ant|app|arm|ass|att|auth|av|aw|e[adlmnqrstvx]|o[bcfprw]|us|ut).*",
        True,
    ),
    (r"un[bcdfghjklmnpqrstvwy].*", True),
    (r"u([lmpbgrst])\1.*|up.*|u[lmr][bcdfghkmnpt].*|us[h].*|ut[m].*|ug[lh].*", True),
    (r"u(b|s|t|r|k)(i|e|a|u|o).*", False),
    (r"u.*", None),
    # o: "w" in the one family.
    (r"(one|ones|once|oneself|oneness|onetime|onesie)", False),
    (r"onerous.*", True),
    (r"(one|onc|oui|oua|oaxa).*", None),
    (r"[aeio].*", True),
    (r"y[aeiou].*", False),
    (r"[yx].*", None),
    (r"[a-z].*", False),
)

_COMPILED = tuple((re.compile(pattern), answer) for pattern, answer in _RULES)


def starts_with_vowel_sound(word: str) -> bool | None:
    """Say whether a word takes "an".

    Args:
        word: One word, in any case. All capitals are read as an abbreviation: no answer.

    Returns:
        True for "an", False for "a", None when the spelling does not settle it.
    """
    if len(word) > 1 and word.isupper():
        return None
    lower = word.lower()
    return next((answer for pattern, answer in _COMPILED if pattern.fullmatch(lower)), None)
