"""Orthonormal bases of a layer's inputs or outputs, in diagonal blocks, and what is turned into them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....errors import InvalidInput

__all__ = ["Basis", "eigenbasis"]


@dataclass(frozen=True, slots=True)
class Basis:
    """Eigenvectors of a covariance.

    Attributes:
        blocks: Eigenvectors of each diagonal block as columns, shape (b, b).
        eigenvalues: Of the covariance, in the order of the columns, shape (sum of b,), float64, never
            negative.
    """

    blocks: tuple[Tensor, ...]
    eigenvalues: Tensor

    @classmethod
    def zeros(
        cls, bounds: Sequence[tuple[int, int]], dtype: torch.dtype, device: torch.device
    ) -> "Basis":
        """Room for a basis whose blocks have these bounds."""
        blocks = [
            torch.zeros(end - begin, end - begin, dtype=dtype, device=device)
            for begin, end in bounds
        ]
        return cls(tuple(blocks), torch.zeros(bounds[-1][1], dtype=torch.float64, device=device))

    def fill(self, other: "Basis") -> None:
        """Take over another's numbers, in place and in our precision."""
        for mine, its in zip(self.blocks, other.blocks, strict=True):
            mine.copy_(its)
        self.eigenvalues.copy_(other.eigenvalues)

    @property
    def columns(self) -> int:
        """Dimensions."""
        return len(self.eigenvalues)

    def turned(self, rows: Tensor, *, constant: bool = False) -> Tensor:
        """Rows in the basis: rows @ Q.

        Args:
            rows: Shape (..., columns), or one column fewer if `constant`.
            constant: Whether a last column of ones is to be thought of.

        Returns:
            Shape (..., columns).
        """
        parts, begin = [], 0
        for block in self.blocks:
            part = rows[..., begin : begin + len(block)]
            turned = part @ block[: part.shape[-1]]
            if part.shape[-1] < len(block):
                turned += block[-1]
            parts.append(turned)
            begin += len(block)
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def turned_back(self, rows: Tensor) -> Tensor:
        """Rows out of the basis: rows @ Q^T; shape (..., columns) both."""
        parts, begin = [], 0
        for block in self.blocks:
            parts.append(rows[..., begin : begin + len(block)] @ block.T)
            begin += len(block)
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Basis":
        """On another device, in another precision."""
        return Basis(
            tuple(block.to(device, dtype) for block in self.blocks), self.eigenvalues.to(device)
        )


def eigenbasis(means: Iterable[Tensor], name: str) -> Basis:
    """Eigenvectors of a symmetric matrix in diagonal blocks.

    Args:
        means: Blocks, shape (b, b), float64.
        name: What errors call the matrix.

    Returns:
        Eigenvectors and eigenvalues in float64, ascending in each block. Of each vector's two signs that is
        taken which makes its largest component positive; negative eigenvalues, which rounding leaves, are 0.

    Raises:
        InvalidInput: If the matrix holds NaN or infinity.
    """
    vectors, values = [], []
    for mean in means:
        if not torch.isfinite(mean).all():
            raise InvalidInput(
                f"{name}: covariances are not finite (NaN or infinite)",
                "use another precision (bfloat16 or float32), or mend the weights",
            )
        found, columns = torch.linalg.eigh(mean)
        largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))
        vectors.append(columns * largest.sign())
        values.append(found.clamp(min=0))
    return Basis(tuple(vectors), torch.cat(values))
