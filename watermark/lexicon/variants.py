"""Tells two spellings, or two suffixes, of one word from two words."""

import re

__all__ = ["same_word", "spelling"]

# Applied in order to both words; equal results mean one word. British to American, then endings.
_NORMAL = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"is(e[drs]?|ing|ation|ations|able)$", r"iz\1"),
        (r"ys(e[drs]?|ing)$", r"yz\1"),
        (r"our", "or"),
        (r"ae|oe", "e"),
        (r"ph", "f"),
        (r"(?<=[^aeiou])re$", "er"),
        (r"ogue", "og"),
        (r"ence$", "ense"),
        (r"^sk", "sc"),
        (r"que$", "k"),
        (r"ck?|k|q", "k"),
        (r"ement", "ment"),
        (r"y", "i"),
        (r"ei", "ai"),
        (r"(.)\1", r"\1"),
        (r"wards$", "ward"),
    )
)


def same_word(a: str, b: str) -> bool:
    """Return whether two words are one word in two spellings, or two derivations of one stem.

    Args:
        a: A lower-case word.
        b: Another.
    """
    return _is_cut(a, b) or spelling(a) == spelling(b) or _near(a, b) or _long_common_start(a, b)


def _is_cut(a: str, b: str) -> bool:
    """Return whether one word is the start of the other, as in exam(ination)."""
    return a.startswith(b) or b.startswith(a)


def spelling(word: str) -> str:
    """Return a key, itself no word, that the British and American spellings of a word share.

    Args:
        word: A lower-case word.
    """
    for pattern, text in _NORMAL:
        word = pattern.sub(text, word)
    return word


def _near(a: str, b: str) -> bool:
    """Return whether one edit, or swap of neighbours, separates words of five letters or more."""
    if min(len(a), len(b)) < 5 or abs(len(a) - len(b)) > 1:
        return False
    start = _common_start(a, b)
    rest_a, rest_b = a[start:], b[start:]
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


def _long_common_start(a: str, b: str) -> bool:
    start = _common_start(a, b)
    return start >= 4 and start >= 0.6 * max(len(a), len(b))


def _common_start(a: str, b: str) -> int:
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
