"""Second moments of what goes into a layer, and of the gradients at what comes out.

In the notation of Grosse et al. (arXiv 2308.03296, equations 17 to 19): A = E[a a^T] over positions, a the
inputs with a 1 for the bias, and S = E[g g^T], g the gradient of the loss at the outputs.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..modules import TrackedModule

__all__ = ["Covariance", "block_bounds", "covariances_of"]

_TILE = 256  # below it, half a matrix costs as much as the whole


def block_bounds(n: int, blocks: int) -> tuple[tuple[int, int], ...]:
    """Begin and end of `blocks` parts of n columns, which differ by one column at most."""
    blocks = min(blocks, n)
    cuts = [n * i // blocks for i in range(blocks + 1)]
    return tuple(itertools.pairwise(cuts))


@dataclass(slots=True)
class Covariance:
    """A sum of outer products, of which only the lower triangles of diagonal blocks are kept.

    Attributes:
        bounds: Columns of each block.
        totals: For each block the sum, shape (b, b); above the diagonal it means nothing.
    """

    bounds: tuple[tuple[int, int], ...]
    totals: list[Tensor]

    @classmethod
    def zeros(
        cls, columns: int, blocks: int, dtype: torch.dtype, device: torch.device
    ) -> "Covariance":
        """The sum of nothing."""
        bounds = block_bounds(columns, blocks)
        totals = [
            torch.zeros(end - begin, end - begin, dtype=dtype, device=device)
            for begin, end in bounds
        ]
        return cls(bounds, totals)

    def add(self, rows: Tensor, *, constant: bool = False) -> None:
        """Add the outer products of rows.

        Args:
            rows: Shape (n, columns), or one column fewer if `constant`.
            constant: Whether a last column of ones is to be thought of.
        """
        for (begin, end), total in zip(self.bounds, self.totals, strict=True):
            part = rows[:, begin:end]
            _add_lower_gram(total[: part.shape[1], : part.shape[1]], part)
            if constant and end == self.bounds[-1][1]:
                total[-1, :-1] += part.sum(0)
                total[-1, -1] += len(rows)

    def means(self, n: int) -> Iterator[Tensor]:
        """Mean outer product of n rows for each block, shape (b, b), float64, symmetric."""
        for total in self.totals:
            lower = total.double().tril()
            yield (lower + lower.tril(-1).T) / n


def _add_lower_gram(total: Tensor, rows: Tensor) -> None:
    """Add rows^T rows to a total, on and below the diagonal: half the work of the whole product."""
    for begin in range(0, len(total), _TILE):
        end = min(begin + _TILE, len(total))
        left, right = rows[:, begin:end].T, rows[:, :end]
        if total.dtype == rows.dtype:
            total[begin:end, :end].addmm_(left, right)
        else:
            total[begin:end, :end] += left @ right


def covariances_of(
    module: TrackedModule, blocks: int, dtype: torch.dtype, device: torch.device
) -> tuple[Covariance, Covariance]:
    """Empty covariances of a layer's inputs and of its output gradients."""
    return (
        Covariance.zeros(module.columns, blocks, dtype, device),
        Covariance.zeros(module.n_out, blocks, dtype, device),
    )
