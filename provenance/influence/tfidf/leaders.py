"""The best of a stream, in bounded memory, the same whatever the order of the stream."""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Leaders"]

_FEWEST_PENDING = 1 << 12


class Leaders:
    """The k documents of the highest value for each query; of equal values those of the lowest key.

    Keys are distinct, so that the result is one and the same for any order of the documents. It holds at most
    2 (k + 4,096) documents per query, besides those of one batch, of 24 bytes each.

    Args:
        k: Documents to keep for each query.
        n_queries: Number of queries.
        above: Values that are no higher than this are not kept.
        device: Where values are compared.
    """

    def __init__(
        self, k: int, n_queries: int, *, above: float = -np.inf, device: torch.device | str = "cpu"
    ) -> None:
        self._k = k
        self._device = device
        self._kept = [_nothing() for _ in range(n_queries)]
        self._pending: list[list[_Entries]] = [[] for _ in range(n_queries)]
        self._n_pending = np.zeros(n_queries, dtype=np.int64)
        # To be kept, a document must beat this value, or equal it with a lower key.
        self._bar = np.full(n_queries, above)
        self._key_at_bar = np.full(n_queries, np.iinfo(np.int64).min)

    def offer(
        self, values: torch.Tensor, keys: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> None:
        """Look at some documents.

        Args:
            values: Shape (B, Q), on the device.
            keys: Shape (B,), none that was seen before.
            positions: Shape (B,).
        """
        if self._k == 0 or not positions.size:
            return
        bar = torch.from_numpy(self._bar).to(self._device)
        key_at_bar = torch.from_numpy(self._key_at_bar).to(self._device)
        better = torch.from_numpy(keys).to(self._device)[:, None] < key_at_bar
        passing = (values > bar) | ((values == bar) & better)
        queries, rows = passing.T.nonzero(as_tuple=True)  # sorted by query
        found, chosen = values[rows, queries].cpu().numpy(), rows.cpu().numpy()
        bounds = np.searchsorted(queries.cpu().numpy(), np.arange(len(self._kept) + 1))
        for query, (low, high) in enumerate(pairwise(bounds.tolist())):
            if low < high:
                here = chosen[low:high]
                self._add(query, (found[low:high], keys[here], positions[here]))

    def best(self, query: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values and positions of the best, from the best on."""
        self._settle(query)
        values, keys, positions = self._kept[query]
        order = np.lexsort((keys, -values))
        return values[order], positions[order]

    def _add(self, query: int, entries: "_Entries") -> None:
        self._pending[query].append(entries)
        self._n_pending[query] += entries[0].size
        if self._n_pending[query] >= max(self._k, _FEWEST_PENDING):
            self._settle(query)

    def _settle(self, query: int) -> None:
        parts = [self._kept[query], *self._pending[query]]
        values, keys, positions = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows = _best_rows(values, keys, self._k)
        self._kept[query] = values[rows], keys[rows], positions[rows]
        self._pending[query].clear()
        self._n_pending[query] = 0
        if 0 < self._k == rows.size:
            bar = values[rows].min()
            self._bar[query] = bar
            self._key_at_bar[query] = keys[rows][values[rows] == bar].max()


_Entries = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def _nothing() -> _Entries:
    none = np.zeros(0, dtype=np.int64)
    return np.zeros(0), none, none


def _best_rows(values: NDArray[np.float64], keys: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Rows of the k highest values; of those that equal the lowest of them, the lowest keys."""
    if values.size <= k:
        return np.arange(values.size)
    bar = np.partition(values, values.size - k)[values.size - k]
    above, level = np.flatnonzero(values > bar), np.flatnonzero(values == bar)
    return np.concatenate([above, level[np.argsort(keys[level])[: k - above.size]]])
