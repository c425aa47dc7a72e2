"""What influence scores are, as a table of numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["InfluenceScores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluenceScores:
    """Influence of candidates (rows of training data) on queries (behaviours of the model).

    A score is the change of the query's log-probability, in nats, to first order, if the candidate's
    weight in the training objective went from 1/N to 2/N (N = `training_size`). Positive: reading the
    candidate once more would make the query's completion more likely.

    Trust the order of scores more than their size. EK-FAC inverts the curvature layer by layer, as if each
    had to take up the change alone, so scores come out too large: in small regressors of three layers about
    2 to 4 times, where the undivided Gauss-Newton matrix was right.

    Attributes:
        queries: Ids of the queries; Q of them.
        candidates: Ids of the candidates; C of them.
        pairwise: Scores, shape (Q, C), nats.
        training_size: N, the sequences that the model was trained on.
        modules: Names of the modules whose weights are considered; M of them.
        by_module: The part of each module, shape (Q, C, M), summing to `pairwise`; None if not asked for.
        by_token: For each candidate the part of each of its tokens' positions, shape (Q, T_c), summing to
            `pairwise`; None if not asked for.
        self_influence: The candidates' influence on themselves, shape (C,), nats, never negative; None if not
            asked for.
    """

    queries: tuple[str, ...]
    candidates: tuple[str, ...]
    pairwise: NDArray[np.float64]
    training_size: int
    modules: tuple[str, ...]
    by_module: NDArray[np.float32] | None = None
    by_token: tuple[NDArray[np.float32], ...] | None = None
    self_influence: NDArray[np.float64] | None = None
