"""Regressing covariates out by least squares, shared by the tests, without ranking rounding noise."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["power_of_two", "residual"]

# A direction of the columns, or a rest of y, this small beside the whole is rounding noise.
_RELATIVE_RANK = 1e-10
_RELATIVE_NOISE = 1e-12


def power_of_two(x: NDArray[np.float64]) -> int:
    """The e with max |x| in [2**(e-1), 2**e); 0 if x is all zero. Scaling by 2**-e rounds nothing."""
    return int(np.frexp(np.abs(x).max())[1])


def residual(y: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract from y its least-squares fit on the columns, without an intercept.

    Projects twice onto an orthonormal basis of the columns ("twice is enough", Kahan and Parlett),
    so that collinear columns, or columns of very different size, cost no digits of y. Entries
    below 1e-12 of the largest |y| become 0: where the columns explain y perfectly, what is left would
    otherwise be a tiny copy of y, and a test of ranks or of standardised sums would not see that it is tiny.

    Args:
        y: Shape (n,), of magnitude near 1.
        columns: Shape (n, c), each of magnitude near 1.

    Returns:
        Shape (n,).
    """
    norms = np.linalg.norm(columns, axis=0)
    basis, sizes, _ = np.linalg.svd(columns / np.where(norms > 0, norms, 1), full_matrices=False)
    basis = basis[:, sizes > _RELATIVE_RANK * sizes[0]]
    rest: NDArray[np.float64] = y - basis @ (basis.T @ y)
    rest -= basis @ (basis.T @ rest)
    rest[np.abs(rest) <= _RELATIVE_NOISE * np.abs(y).max()] = 0.0
    return rest
