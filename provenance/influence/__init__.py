"""Which training documents caused this behaviour? EK-FAC influence functions, arXiv 2308.03296.

`fit_factors` measures the curvature of a model's loss on a sample of its training data; `influence_scores`
says by how many nats a query's log-probability would change if a training sequence counted twice.
`TokenSequence` is what both read, `windows` cuts documents into such.
"""

from .curvature import (
    Cutting,
    Damping,
    Factors,
    FactorSettings,
    Fisher,
    LayerFactors,
    Precision,
    Progress,
    Strategy,
    fit_factors,
)
from .modules import MLP_MODULES, TrackedModule, tracked_modules
from .results import InfluenceScores
from .scores import Queries, Wanted, influence_scores
from .sequences import TokenSequence, windows
from .tasks import ClassificationTask, RegressionTask, Task, TokenTask

__all__ = [
    "MLP_MODULES",
    "ClassificationTask",
    "Cutting",
    "Damping",
    "FactorSettings",
    "Factors",
    "Fisher",
    "InfluenceScores",
    "LayerFactors",
    "Precision",
    "Progress",
    "Queries",
    "RegressionTask",
    "Strategy",
    "Task",
    "TokenSequence",
    "TokenTask",
    "TrackedModule",
    "Wanted",
    "fit_factors",
    "influence_scores",
    "tracked_modules",
    "windows",
]
