"""What an attack is: texts in, texts out, and from which row each of them came."""

import hashlib
import operator
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import InvalidInput

__all__ = ["Attack", "Attacked", "TextAttack", "checked_share", "checked_texts", "random_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """Texts after an attack.

    Attributes:
        texts: What is left, in its new order.
        rows: For each of these texts the row, from 0, of the input it came from; None for a text
            that the attacker added.
    """

    texts: tuple[str, ...]
    rows: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.rows):
            raise InvalidInput(
                f"expected a row for each of {len(self.texts)} texts, got {self.rows}"
            )


class Attack(Protocol):
    """Anything done to a dataset after its release; the same texts and seed give the same result."""

    def __call__(self, texts: Sequence[str], *, seed: int) -> Attacked:
        """Attack a dataset.

        Args:
            texts: The released texts.
            seed: Decides every random draw of the attack.
        """


class TextAttack(ABC):
    """An attack on each text by itself, so that rows stay where they are.

    What happens to a text depends on the seed and on the text alone, not on its row or on the other
    texts: equal texts meet the same fate.
    """

    def __call__(self, texts: Sequence[str], *, seed: int) -> Attacked:
        """Attack each text; see `Attack`.

        Raises:
            InvalidInput: If `texts` is a single string or the seed is no whole number.
        """
        rows = checked_texts(texts)
        attacked = {text: self.on_text(text, seed=seed) for text in dict.fromkeys(rows)}
        return Attacked(texts=tuple(attacked[text] for text in rows), rows=tuple(range(len(rows))))

    @abstractmethod
    def on_text(self, text: str, *, seed: int) -> str:
        """One text after the attack.

        Args:
            text: Any text.
            seed: Decides every random draw.
        """


def checked_texts(texts: Sequence[str]) -> Sequence[str]:
    """The texts, if they are a sequence of texts.

    Raises:
        InvalidInput: If they are a single string, which is a sequence of letters.
    """
    if isinstance(texts, str):
        raise InvalidInput("expected a list of texts, got one string", "put it in a list")
    return texts


def checked_share(name: str, share: float) -> None:
    """Refuse what is no share.

    Raises:
        InvalidInput: If the share is not within (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidInput(f"expected a {name} above 0 and at most 1, got {share}")


def random_for(purpose: str, seed: int, text: str) -> random.Random:
    """Random numbers that depend on the seed and the text alone.

    Args:
        purpose: Keeps the draws of different attacks apart.
        seed: The caller's seed.
        text: The text to be attacked; lone surrogates are no obstacle.

    Raises:
        InvalidInput: If the seed is no whole number.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise InvalidInput(f"expected a whole number as seed, got {seed!r}") from None
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    # Reproducible, not secret: an attack has nothing to hide.
    return random.Random(f"{purpose} {number} {digest}")  # ruff: ignore[suspicious-non-cryptographic-random-usage]
