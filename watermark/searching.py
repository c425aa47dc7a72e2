"""Searching a dataset for the passages of a release, in this process or on the machines of a cluster.

What is found in one text does not depend on what else is searched. So a dataset can be searched piece by
piece anywhere, and what the pieces show added up: the sums are whole numbers, and the alignment is the
one that a single process finds, bit by bit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alignment import Aligner, Alignment
from .audited import AuditedDataset
from .evidence import Evidence
from .leak import aligner_of, blind_records
from .piecework import Engine, refuse_missing_engine

__all__ = ["Shown", "SummingAligner", "search"]

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What some texts show of the originals; small where they show little.

    Attributes:
        words: Positions, in all originals in a row, of the words where a found shingle begins; ascending.
        columns: Which choices, of all slots' in a row, were shown.
        counts: How often each of these was shown, shape of `columns`.
        records: Indices of the records of which a part was found.
        n_texts_of: In how many texts each of these was found, shape of `records`.
        n_texts: Texts that were searched.
        n_texts_found: Texts in which a part of some record was found.
        n_other: See `Alignment`.
    """

    words: Integers
    columns: Integers
    counts: Integers
    records: Integers
    n_texts_of: Integers
    n_texts: int
    n_texts_found: int
    n_other: int


class SummingAligner(Aligner):
    """An aligner whose finds in several lots of texts can be added up; see `Aligner`."""

    def shown(self, texts: Iterable[str]) -> Shown:
        """Look one lot of texts up.

        Args:
            texts: The texts.
        """
        found = self.align(texts)
        counts = np.concatenate([np.zeros(0, np.int64), *found.counts])
        columns, records = np.flatnonzero(counts), np.flatnonzero(found.n_texts_of)
        return Shown(
            words=np.flatnonzero(self._found_w),
            columns=columns,
            counts=counts[columns],
            records=records,
            n_texts_of=found.n_texts_of[records],
            n_texts=found.n_texts,
            n_texts_found=found.n_texts_found,
            n_other=found.n_other,
        )

    def total(self, lots: Iterable[Shown]) -> Alignment:
        """What several lots of texts show together: `align` of all their texts.

        Args:
            lots: What each shows, in any order; each text is in one of them.
        """
        found_w = np.zeros(self._slot_of_w.size, dtype=bool)
        counts = np.zeros(self._first_column[-1], dtype=np.int64)
        n_texts_of = np.zeros(len(self._digests), dtype=np.int64)
        n_texts = n_found = n_other = 0
        for lot in lots:
            found_w[lot.words] = True
            counts[lot.columns] += lot.counts  # each column once: nothing is lost
            n_texts_of[lot.records] += lot.n_texts_of
            n_texts += lot.n_texts
            n_found += lot.n_texts_found
            n_other += lot.n_other
        return Alignment(
            records=self._digests,
            first_slot=self._first_slot,
            counts=tuple(np.split(counts, self._first_column[1:-1])) if counts.size else (),
            words_found=self._coverage(found_w),
            n_texts_of=n_texts_of,
            n_texts=n_texts,
            n_texts_found=n_found,
            n_other=n_other,
        )

    def _coverage(self, found_w: NDArray[np.bool_]) -> NDArray[np.float64]:
        self._found_w = found_w  # shares of records cannot be added up
        return super()._coverage(found_w)


def search(
    evidence: Evidence,
    dataset: AuditedDataset,
    *,
    workers: int = 1,
    engine: Engine = Engine.LOCAL,
    progress: Callable[[int], object] = lambda rows: None,
) -> Alignment:
    """Look the texts of a dataset up in a release.

    Args:
        evidence: Manifest and texts of the release.
        dataset: The texts under audit.
        workers: With `Engine.RAY`: how many pieces are searched at a time; the local engine is this process.
        engine: Whose processes search; what they find is the same.
        progress: Called after each piece with the number of texts so far.

    Returns:
        What `leak_test` takes.

    Raises:
        InsufficientEvidence: If no record with slots is present.
        InvalidInput: If the dataset is not what it should be, or the engine is not installed.
        Interrupted: If the cluster cannot be reached, was lost, or has another version of Bookplate.
    """
    refuse_missing_engine(engine)
    if engine is Engine.LOCAL:
        return aligner_of(evidence).align(dataset.texts(progress))
    from .ray_engine import align_on_ray  # ray is an extra

    aligner = SummingAligner(blind_records(evidence))
    return align_on_ray(aligner, dataset, workers=workers, progress=progress)
