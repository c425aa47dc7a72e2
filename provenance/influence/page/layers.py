"""Influence by layer: modules grouped by the first number in their name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LayerInfluence", "by_layer", "layer_of"]

_MOST_OTHERS = 12  # modules without a number that are told apart
_NUMBER = re.compile(r"(?:^|\.)(\d{1,9})(?=\.|$)")


@dataclass(frozen=True, slots=True)
class LayerInfluence:
    """What passed through the weights of one layer, in nats.

    Attributes:
        name: Number of the layer, or the name of a module without one.
        n_modules: Modules in it.
        positive: Sum over the documents to which it gives a positive part.
        negative: Sum over the others, never positive.
    """

    name: str
    n_modules: int
    positive: float
    negative: float

    @property
    def net(self) -> float:
        """Both parts together."""
        return self.positive + self.negative


def layer_of(module: str) -> str:
    """Number of a module's layer: `transformer.h.3.mlp.c_fc` is in 3; without a number, its own name."""
    found = _NUMBER.search(module)
    return str(int(found[1])) if found else module


def by_layer(modules: Sequence[str], parts: NDArray[np.float32]) -> list[LayerInfluence]:
    """Sum the documents' parts within each layer.

    Args:
        modules: Names of the modules; M of them.
        parts: Each document's part through each module, shape (D, M), nats.

    Returns:
        Layers in the order of their numbers, then modules without one in their own order, or all of these
        as "other" if they are many. Parts are summed
        over a layer's modules before their sign is looked at; all layers sum to the sum of `parts`.
    """
    columns: dict[str, list[int]] = {}
    for m, module in enumerate(modules):
        columns.setdefault(layer_of(module), []).append(m)
    if sum(not name.isdecimal() for name in columns) > _MOST_OTHERS:
        columns = _others_merged(columns)
    numbered = sorted((name for name in columns if name.isdecimal()), key=int)
    others = [name for name in columns if not name.isdecimal()]
    return [_summed(name, columns[name], parts) for name in (*numbered, *others)]


def _others_merged(columns: dict[str, list[int]]) -> dict[str, list[int]]:
    merged = {name: found for name, found in columns.items() if name.isdecimal()}
    merged["other"] = [m for name, found in columns.items() if not name.isdecimal() for m in found]
    return merged


def _summed(name: str, columns: list[int], parts: NDArray[np.float32]) -> LayerInfluence:
    sums = parts[:, columns].sum(axis=1, dtype=np.float64)
    return LayerInfluence(
        name,
        len(columns),
        positive=float(sums[sums > 0].sum()),
        negative=float(sums[sums < 0].sum()),
    )
