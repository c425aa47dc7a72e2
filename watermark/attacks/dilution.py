"""Dilution: the released texts become a small part of a larger training set."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidInput
from .attack import Attacked, checked_share, checked_texts, random_for

__all__ = ["Dilute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dilute:
    """Mix the released texts with texts that carry no mark, all in random order.

    Attributes:
        marked_share: Share of the released texts among all texts (not characters), in (0, 1].
    """

    marked_share: float

    def __post_init__(self) -> None:
        checked_share("share of marked texts", self.marked_share)

    def needed(self, n_marked: int) -> int:
        """How many unmarked texts belong to so many marked ones."""
        return round(n_marked * (1 / self.marked_share - 1))

    def __call__(self, texts: Sequence[str], unmarked: Sequence[str], *, seed: int) -> Attacked:
        """Mix the texts with as many others as the share asks for, drawn without replacement.

        Args:
            texts: The released texts; all of them stay.
            unmarked: Where the others are drawn from.
            seed: Decides draw and order.

        Raises:
            InvalidInput: If there are too few unmarked texts.
        """
        n, pool = self.needed(len(checked_texts(texts))), checked_texts(unmarked)
        if len(pool) < n:
            raise InvalidInput(
                f"expected at least {n} unmarked texts for a marked share of {self.marked_share:.3g}, "
                f"got {len(pool)}",
                "give more of them, or mark fewer texts",
            )
        rng = random_for("dilute", seed, "")
        rows: list[int | None] = [*range(len(texts)), *[None] * n]
        mixed = list(zip([*texts, *rng.sample(pool, n)], rows, strict=True))
        rng.shuffle(mixed)
        return Attacked(texts=tuple(t for t, _ in mixed), rows=tuple(r for _, r in mixed))
