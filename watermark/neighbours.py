"""Texts that differ from a text in a few words, for the neighbourhood score of `provenance.membership`.

Mattern et al. (2023), arXiv 2305.18462, take the likeliest single-word replacements of a masked language
model. Here the substitution table takes its place: no model is needed, and a word without an entry
never changes.
"""

import random
from collections.abc import Iterable

from ..errors import InvalidInput
from .attacks.attack import random_for
from .lexicon import Lexicon, Tier
from .selection import all_slots
from .tables import Edit, apply_edits

__all__ = ["neighbours"]


def neighbours(
    text: str,
    *,
    count: int = 10,
    words: int = 1,
    seed: int = 0,
    lexicon: Lexicon | None = None,
) -> list[str]:
    """Draw texts that differ from a text in a few words.

    They depend on the text, the table, the seed and the numbers only: two sets of texts that are
    exchangeable stay so with their neighbours.

    Args:
        text: The text.
        count: Most neighbours.
        words: Words that each neighbour changes; fewer where the table reaches fewer.
        seed: Seed of the draws.
        lexicon: The substitution table; default: the shipped one, broad tier, as these texts are not
            published.

    Returns:
        Distinct texts, none of them the text itself; all there are if they are fewer than `count`
        and one word is changed. Empty where the table reaches no word.

    Raises:
        InvalidInput: If a number is below 1.
    """
    if count < 1 or words < 1:
        raise InvalidInput(f"expected at least 1 neighbour and 1 word, got {count} and {words}")
    slots = all_slots(text, Lexicon.shipped(Tier.BROAD) if lexicon is None else lexicon)
    edits = [[Edit(slot.start, slot.end, choice) for choice in slot.choices[1:]] for slot in slots]
    changeable = [choices for choices in edits if choices]
    if not changeable:
        return []
    rng = random_for("neighbours", seed, text)
    if words == 1:
        every = [edit for choices in changeable for edit in choices]
        drawn: Iterable[list[Edit]] = ([edit] for edit in rng.sample(every, min(count, len(every))))
    else:
        drawn = (_some(changeable, words, rng) for _ in range(count))
    found = dict.fromkeys(apply_edits(text, edits) for edits in drawn)
    found.pop(text, None)  # a substitute that only differs in capitals the text takes back
    return list(found)


def _some(changeable: list[list[Edit]], words: int, rng: random.Random) -> list[Edit]:
    places = sorted(rng.sample(range(len(changeable)), min(words, len(changeable))))
    return [rng.choice(changeable[place]) for place in places]
