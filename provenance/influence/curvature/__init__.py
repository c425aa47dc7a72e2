"""The Gauss-Newton matrix of a model's layers, approximated so that it can be inverted.

`fit_factors` measures it on a sample of the training data, as `FactorSettings` say, and keeps `Factors`;
`Damping` says what is added before it is inverted.
"""

from .factors import Damping, Factors, LayerFactors
from .fitting import Cutting, Progress, fit_factors
from .settings import FactorSettings, Fisher, Precision, Strategy

__all__ = [
    "Cutting",
    "Damping",
    "FactorSettings",
    "Factors",
    "Fisher",
    "LayerFactors",
    "Precision",
    "Progress",
    "Strategy",
    "fit_factors",
]
