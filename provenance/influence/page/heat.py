"""A document as a heat map: each token coloured by its part of the influence.

Colour is never alone: a positive part has a solid line under it, a negative one a dotted line, thicker for
larger parts; each coloured token has its number as title; and the strongest are listed in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ....stats.report.wording import visible
from .wording import LINE_BREAK, Unit, one_line, shortened

__all__ = ["LEVELS", "HeatMap", "StrongToken", "heat_map", "level_edges", "text_window"]

LEVELS = 5  # depths of colour of each sign; each stands for twice the influence of the one before
_LONGEST_TOKEN = 80  # characters; a token of more is cut
_STRONGEST = 3  # tokens of each sign listed in words


@dataclass(frozen=True, slots=True)
class StrongToken:
    """One of a document's strongest tokens, in words.

    Attributes:
        text: The token, visible.
        position: Its position in the document, from 1.
        influence: Its part, with its unit.
    """

    text: str
    position: int
    influence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A document, drawn.

    Attributes:
        markup: Its text, with coloured tokens.
        before: Tokens before it that are not drawn.
        after: Tokens after it that are not drawn.
        strongest: Its strongest tokens, positive ones first; empty without parts.
        total: Sum of the parts of all its tokens, with its unit; empty without parts.
    """

    markup: Markup
    before: int
    after: int
    strongest: tuple[StrongToken, ...] = ()
    total: str = ""


def level_edges(largest: float) -> list[float]:
    """Sizes at which the levels begin, ascending, then the largest; below the first there is no colour."""
    return [largest / 2.0**k for k in range(LEVELS, -1, -1)]


def heat_map(
    tokens: Sequence[str],
    influence: NDArray[np.float32] | None,
    *,
    largest: float,
    unit: Unit,
    most: int,
) -> HeatMap:
    """Draw a document.

    Args:
        tokens: Its text in tokens; T of them.
        influence: Their parts, shape (T,), nats; None if unknown, which leaves the text plain.
        largest: Size of the part that gets the deepest colour, the same for all documents of a query.
        unit: Unit of the numbers.
        most: Tokens to draw; of a longer document the stretch with the most influence is drawn.
    """
    begin = text_window(influence, len(tokens), most)
    end = min(begin + most, len(tokens))
    after = len(tokens) - end
    if influence is None:
        text = "".join(map(_token_text, tokens[begin:end]))
        return HeatMap(markup=escape(text), before=begin, after=after)
    levels = _levels(influence[begin:end], largest)
    # One string per token, by hand: a page may hold a hundred thousand of them.
    drawn = [
        _token(text, int(level), float(part), unit)
        for text, level, part in zip(
            tokens[begin:end], levels, influence[begin:end].tolist(), strict=True
        )
    ]
    return HeatMap(
        markup=Markup("".join(drawn)),  # ruff: ignore[unsafe-markup-use]  (escaped token by token)
        before=begin,
        after=after,
        strongest=tuple(_strongest(tokens, influence, unit)),
        total=unit.text(float(influence.sum(dtype=np.float64))),
    )


def text_window(influence: NDArray[np.float32] | None, n_tokens: int, most: int) -> int:
    """Where the stretch of `most` tokens begins that holds the most influence of either sign."""
    if n_tokens <= most or influence is None:
        return 0
    sums = np.concatenate(([0.0], np.cumsum(np.abs(influence), dtype=np.float64)))
    return int(np.argmax(sums[most:] - sums[:-most]))


def _levels(influence: NDArray[np.float32], largest: float) -> NDArray[np.int64]:
    """Signed level of each part: 0 is not coloured, +-LEVELS are the deepest."""
    if not largest > 0:
        return np.zeros(influence.shape, dtype=np.int64)
    depths = np.searchsorted(level_edges(largest)[:-1], np.abs(influence), side="right")
    return np.asarray(np.sign(influence) * depths, dtype=np.int64)


def _token(text: str, level: int, part: float, unit: Unit) -> str:
    shown = str(escape(_token_text(text)))
    if level == 0:
        return shown
    kind = f"p{level}" if level > 0 else f"m{-level}"
    return f'<i class={kind} title="{unit.text(part)}">{shown}</i>'


def _token_text(token: str) -> str:
    """A token, visible, with its line breaks as signs and one real break behind them."""
    cut = token[:_LONGEST_TOKEN] + "…" * (len(token) > _LONGEST_TOKEN)
    before, sign, after = one_line(cut).rpartition(LINE_BREAK)
    return f"{visible(before)}{sign}\n{visible(after)}" if sign else visible(after)


def _strongest(
    tokens: Sequence[str], influence: NDArray[np.float32], unit: Unit
) -> list[StrongToken]:
    order = np.argsort(-np.abs(influence), kind="stable")
    found = []
    for sign in (1, -1):
        alike = [int(t) for t in order[: 64 * _STRONGEST] if sign * influence[t] > 0]
        found += [
            StrongToken(shortened(one_line(tokens[t]), 40), t + 1, unit.text(float(influence[t])))
            for t in alike[:_STRONGEST]
        ]
    return found
