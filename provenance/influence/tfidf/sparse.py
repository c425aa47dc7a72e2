"""Binary sparse matrices for torch."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["binary_rows"]


def binary_rows(
    pointers: NDArray[np.int64],
    columns: NDArray[np.int32],
    n_columns: int,
    device: torch.device | str,
) -> torch.Tensor:
    """A CSR matrix of ones, float64.

    Args:
        pointers: Row r has ones at `columns[pointers[r]:pointers[r + 1]]`, shape (R + 1,).
        columns: Column indices, distinct within a row.
        n_columns: Width.
        device: Where it goes.
    """
    with warnings.catch_warnings():
        # Products of CSR matrices with dense ones are what torch calls beta; nothing else is used of it.
        warnings.filterwarnings("ignore", "Sparse (CSR|invariant)", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(pointers).to(device),
            torch.from_numpy(columns.astype(np.int64)).to(device),
            torch.ones(columns.size, dtype=torch.float64, device=device),
            (pointers.size - 1, n_columns),
            check_invariants=False,
        )
