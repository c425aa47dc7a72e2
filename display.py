"""Foreign text made fit to be shown: names of files, models and rows are not ours."""

import unicodedata

__all__ = ["counted", "visible"]

# Controls, formats (bidi, zero width), lone surrogates, private use, unassigned, line separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """`text` with every character that shows nothing, or reorders others, as `<U+202E>`.

    Args:
        text: Any string, also one with lone surrogates.

    Returns:
        Printable text, encodable as UTF-8.
    """
    return "".join(
        f"<U+{ord(c):04X}>" if unicodedata.category(c) in _INVISIBLE else c for c in text
    )


def counted(number: int, one: str, many: str = "") -> str:
    """A number with the word for what it counts: `1 entry`, `2,000 entries`.

    Args:
        number: How many.
        one: The word for one.
        many: The word for any other number; default: `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
