"""Preconditioned query gradients of one layer, and their products with candidates' gradients.

A candidate's gradient is G = sum over positions of g a^T, shape (n_out, columns), and its score with a query
is the inner product <P, G>, where P is the query's gradient times the inverse curvature. There are several
ways to the same number; the one with the fewest multiplications is taken.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .curvature.moments import example_gradients, with_constant

__all__ = ["Directions", "ThinDirections", "WholeDirections", "truncated"]

_AT_ONCE = (
    8  # examples whose gradients are held at once: P is read from memory that much less often
)
_EXACT_WIDTH = 2_048  # wider matrices are decomposed by random projection
_OVERSAMPLING, _POWER_ITERATIONS = 16, 4


class Directions(ABC):
    """One matrix P per query, shape (Q, n_out, columns)."""

    bias: bool

    def products(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Inner products with the gradients of examples.

        Args:
            inputs: Shape (B, T, n_in).
            gradients: Shape (B, T, n_out).

        Returns:
            Shape (Q, B).
        """
        by_position, by_example = self._costs(gradients.shape[1])
        if by_position <= by_example:
            return self.products_by_position(inputs, gradients).sum(2)
        found = example_gradients(inputs, gradients, None, bias=self.bias, at_once=_AT_ONCE)
        return torch.cat([self._products_with(some) for _, some in found], 1)

    @abstractmethod
    def products_by_position(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """The part of each position in `products`; shape (Q, B, T), summing to them over positions."""

    @abstractmethod
    def _products_with(self, gradients: Tensor) -> Tensor:
        """Inner products with gradients that were formed, shape (b, n_out, columns); shape (Q, b)."""

    @abstractmethod
    def _costs(self, n_positions: int) -> tuple[int, int]:
        """Multiplications per example: position by position, and with its gradient formed."""


@dataclass(frozen=True, slots=True)
class WholeDirections(Directions):
    """Matrices kept as they are.

    Attributes:
        matrices: Shape (Q, n_out, columns).
        bias: Whether the last column belongs to a bias.
    """

    matrices: Tensor
    bias: bool

    def products_by_position(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """See `Directions`."""
        inputs = with_constant(inputs, self.bias)
        return torch.stack([((inputs @ p.T) * gradients).sum(2) for p in self.matrices])

    def _products_with(self, gradients: Tensor) -> Tensor:
        return self.matrices.flatten(1) @ gradients.flatten(1).T

    def _costs(self, n_positions: int) -> tuple[int, int]:
        n_queries, n_out, columns = self.matrices.shape
        size = n_out * columns
        return n_queries * n_positions * size, (n_positions + n_queries) * size


@dataclass(frozen=True, slots=True)
class ThinDirections(Directions):
    """Matrices kept as products of two thin ones: P = left @ right^T.

    Attributes:
        left: Shape (Q, n_out, r).
        right: Shape (Q, columns, r).
        bias: Whether the last column belongs to a bias.
    """

    left: Tensor
    right: Tensor
    bias: bool

    def products_by_position(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """See `Directions`."""
        inputs = with_constant(inputs, self.bias)
        both = (inputs @ _side_by_side(self.right)).mul_(gradients @ _side_by_side(self.left))
        parted = both.reshape(*both.shape[:2], len(self.left), -1)
        return parted.sum(3).permute(2, 0, 1)

    def _products_with(self, gradients: Tensor) -> Tensor:
        summed = (gradients @ _side_by_side(self.right) * _side_by_side(self.left)).sum(1)
        return summed.reshape(len(summed), len(self.left), -1).sum(2).T

    def _costs(self, n_positions: int) -> tuple[int, int]:
        n_queries, n_out, rank = self.left.shape
        columns = self.right.shape[1]
        thin = n_queries * rank
        by_position = n_positions * thin * (n_out + columns + 1)
        by_example = n_positions * n_out * columns + n_out * thin * (columns + 1)
        return by_position, by_example


def _side_by_side(matrices: Tensor) -> Tensor:
    """Matrices of shape (Q, n, r) as one of shape (n, Q r)."""
    return matrices.permute(1, 0, 2).flatten(1)


def truncated(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best approximation of a matrix by a product of two thin ones.

    Args:
        matrix: Shape (n, m).
        rank: Columns of the thin matrices; at most min(n, m) are used.

    Returns:
        Left, shape (n, r), and right, shape (m, r). By singular value decomposition, which for matrices wider
        than 2,048 both ways is a randomised one (Halko et al. 2011, arXiv 0909.4061) from a fixed seed.
    """
    rank = min(rank, *matrix.shape)
    if min(matrix.shape) <= _EXACT_WIDTH:
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        v = vh.T
    else:
        devices: Sequence[torch.device] = [matrix.device] if matrix.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            width = min(rank + _OVERSAMPLING, *matrix.shape)
            u, s, v = torch.svd_lowrank(matrix, width, _POWER_ITERATIONS)
    return u[:, :rank] * s[:rank], v[:, :rank].contiguous()
