"""What a mark with ghosts is, how it is undone, and which test is valid for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InvalidInput
from ...stats import Alternative, Finding, ghost_test, rank_test
from ..keys import Drawer
from ..manifest import digest_of
from ..tables import Edit, apply_edits

__all__ = [
    "DRAWS",
    "Baseline",
    "Scope",
    "baseline_test",
    "check_choices",
    "restoring_edits",
    "variant_numbers",
]

DRAWS = "baseline"  # first part of the name of each draw: none is one of `marking`


class Scope(StrEnum):
    """What one draw of the key decides, which is the unit of the test."""

    RECORD = "record"  # a text, by its digest: equal texts are one unit
    DATASET = "dataset"  # all texts under this key


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(ABC):
    """A mark with ghosts.

    Attributes:
        scope: What one draw decides; it names the valid test.
    """

    scope: Scope

    @abstractmethod
    def edits(self, text: str, drawer: Drawer, n_ghosts: int) -> list[tuple[Edit, ...]]:
        """The edits that make the variants of a text.

        Args:
            text: The original text.
            drawer: The key's source of draws.
            n_ghosts: Number of ghosts M, at least 1.

        Returns:
            Edits of the released variant, then of each ghost; ascending, without overlap.

        Raises:
            InvalidInput: If there is no ghost.
        """

    def variants(self, text: str, drawer: Drawer, n_ghosts: int) -> list[str]:
        """The released variant of a text, then its ghosts; arguments as for `edits`.

        Raises:
            InvalidInput: If there is no ghost.
        """
        return [apply_edits(text, edits) for edits in self.edits(text, drawer, n_ghosts)]

    def dataset_variants(
        self, texts: Sequence[str], drawer: Drawer, n_ghosts: int
    ) -> list[list[str]]:
        """The released dataset, then its ghost datasets, each with one text per row.

        Args:
            texts: The original texts.
            drawer: The key's source of draws.
            n_ghosts: Number of ghosts M, at least 1; 99 or more if the scope is the dataset.

        Returns:
            M + 1 lists of the length of `texts`.

        Raises:
            InvalidInput: If there is no ghost, or `texts` is a single string.
        """
        if isinstance(texts, str):
            raise InvalidInput("expected a list of texts, got one string", "put it in a list")
        numbers = variant_numbers(n_ghosts)
        rows = [self.variants(text, drawer, n_ghosts) for text in texts]
        return [[row[variant] for row in rows] for variant in numbers]

    def _unit(self, text: str) -> str:
        return digest_of(text) if self.scope is Scope.RECORD else "dataset"


def restoring_edits(edits: Sequence[Edit], text: str) -> tuple[Edit, ...]:
    """The edits that turn a variant back into its original.

    Args:
        edits: The edits that made the variant.
        text: The original text, from which the replaced characters are kept.

    Returns:
        Edits such that `apply_edits(apply_edits(text, edits), restoring) == text`.
    """
    shift, restoring = 0, []
    for start, end, new in edits:
        restoring.append(Edit(start + shift, start + shift + len(new), text[start:end]))
        shift += len(new) - (end - start)
    return tuple(restoring)


def baseline_test(scope: Scope, scores: ArrayLike, *, seed: int) -> Finding:
    """Test whether the released variant stands out, by the test that is valid for the scope.

    Args:
        scope: The baseline's scope.
        scores: Log-likelihood of each variant, or any score that is higher for texts a model knows, of
            each *distinct* text; shape (N, M + 1), column 0 the released one.
        seed: Seed of `ghost_test`, if it resamples.

    Returns:
        For RECORD the `ghost_test`, N units; for DATASET the `rank_test` of the column sums, one unit
        among M + 1, with p at least 1 / (M + 1).

    Raises:
        InvalidInput: If the scope is unknown or the scores are no such matrix.
    """
    if scope is Scope.RECORD:
        return ghost_test(scores, seed=seed)
    if scope is not Scope.DATASET:
        raise InvalidInput(f"expected one of {[*map(str, Scope)]}, got {scope!r}")
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] < 2:
        raise InvalidInput(f"expected scores of shape (N, M + 1), M >= 1, got {matrix.shape}")
    released, *ghosts = matrix.sum(axis=0)
    return rank_test(float(released), ghosts, alternative=Alternative.GREATER)


def check_choices(baseline: Baseline, **kinds: type[StrEnum]) -> None:
    """Refuse a field that is not of its kind.

    Raises:
        InvalidInput: If there is one.
    """
    for name, kind in kinds.items():
        if not isinstance(value := getattr(baseline, name), kind):
            raise InvalidInput(f"expected a {kind.__name__} as {name}, got {value!r}")


def variant_numbers(n_ghosts: int) -> range:
    """Numbers of the variants; 0 is released.

    Raises:
        InvalidInput: If there is no ghost.
    """
    if n_ghosts < 1:
        raise InvalidInput(f"expected at least 1 ghost, got {n_ghosts}")
    return range(n_ghosts + 1)
