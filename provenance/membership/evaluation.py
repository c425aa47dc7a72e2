"""How well do the scores tell known members from known non-members?"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InvalidInput
from ...stats import RocResult, roc
from .table import ScoreTable

__all__ = ["SHIFT_WARNING", "separation"]

SHIFT_WARNING = (
    "These figures say nothing about membership if members and non-members come from different "
    "distributions, e.g. of other years or sources: then any model tells them apart (arXiv 2409.19798). "
    "They are no evidence that a model was trained on a text."
)


def separation(table: ScoreTable, labels: ArrayLike) -> Mapping[str, RocResult]:
    """AUROC with its interval, and the true-positive rates at 0.1, 1 and 5 % false positives, per score.

    Args:
        table: The scores.
        labels: 1 for a member and 0 for a non-member, shape (n_texts,), at least two of each.

    Returns:
        Per column of scores what `roc` says of it; a text without the score is left out and counted
        in a warning. Each carries `SHIFT_WARNING`.

    Raises:
        InvalidInput: If the labels do not fit, or a score is left with fewer than two texts of a class.
    """
    kinds = np.asarray(labels)
    if kinds.shape != (table.frame.height,):
        raise InvalidInput(
            f"expected one label for each of {table.frame.height} texts, got shape {kinds.shape}"
        )
    found = {}
    for name, values in zip(table.names, table.values().T, strict=True):
        known = np.isfinite(values)
        for label in (0, 1):
            if np.count_nonzero(kinds[known] == label) < 2:
                raise InvalidInput(
                    f"{name}: fewer than two texts with label {label} have this score",
                    "label more texts, or leave this score out",
                )
        result = roc(kinds[known], values[known], higher_means=1)
        gap = int(np.count_nonzero(~known))
        missing = (f"{gap} texts that cannot have this score were left out.",) if gap else ()
        found[name] = replace(result, warnings=(*result.warnings, *missing, SHIFT_WARNING))
    return found
