r"""The second pass: the score of every document for every query, and which documents are kept.

.. math:: \mathrm{score}(Q, D) = \sum_{t \in Q} \frac{(k_1 + 1) [t \in D]}{k_1 + [t \in D]} \, \mathrm{IDF}(t)
    = \sum_{t \in Q \cap D} n_t(Q) \, \mathrm{IDF}(t)

Source: Grosse et al. 2023, section 3.2.1, with k_1 = 1.5. As [t in D], the presence of a term, is 0 or 1, the
fraction is 0 or 1 for every k_1, which is therefore no setting. The first sum runs over the tokens of the
query: a term that occurs n_t times in it counts n_t times. Lengths do not enter: the paper's
sequences were all of one length. Give windows of one length where documents are not, or long ones come first.

Departures: terms are hashed, see `FilterSettings`; pairs of tokens can be terms too; weights are rounded to
multiples of 2**-30 nats, so that every sum is exact and scores, hence ties, are the same for any batch, any
order and any device.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....stats.checks import seed_of
from ..sequences import TokenSequence
from . import kernels
from .documents import DocumentBatch, DocumentSource
from .filtered import Chosen, Filtered, Members
from .frequencies import DocumentFrequencies, Progress, Tally, document_frequencies
from .leaders import Leaders
from .settings import FilterSettings
from .sparse import binary_rows

__all__ = ["tfidf_filter"]

_DEFAULT = FilterSettings()
_UNIT = 2.0**-30
_LARGEST = 2.0**22  # sums of multiples of the unit below twice this are exact in float64
_CELLS = 1 << 22  # scores that are held at a time
_KEYS = 1 << 20  # positions whose random keys are held at a time
_SAMPLE, _BOTTOM = 0, 1  # purposes of random keys


def tfidf_filter(
    documents: DocumentSource,
    queries: Sequence[TokenSequence],
    *,
    seed: int,
    settings: FilterSettings = _DEFAULT,
    device: torch.device | str = "cpu",
    frequencies: DocumentFrequencies | None = None,
) -> Filtered:
    """Choose for each query the documents that are worth scoring exactly.

    Reads the corpus twice, or once if its `frequencies` are known. The result is a function of the corpus,
    the queries, the settings and the seed: not of batches, their order or the device.

    Top: the k documents of the highest score above 0; of equal ones those that come first. Random: a
    sample of n_random positions of the whole corpus, every subset equally likely, less those in the top and
    those that are too short. Bottom: the lowest scores among all others; of equal ones, such as 0, a
    random choice, so that it does not favour the start of the corpus. Documents of fewer tokens than
    `settings.fewest` are in none of them.

    Why the random stratum stands for what the filter left out: the sample is drawn without a look at scores
    or texts. Given how many of its members lie outside the top, every set of so many documents outside is
    equally likely to be those. So they are a simple random sample of the n_outside documents that are not in
    the top, each drawn with `Chosen.probability`, for each query by itself.

    Memory: 16 bytes per bucket; one batch; for Q queries that have U distinct terms 8 U Q bytes of
    weights, some 24 (2 k + 8,192) Q bytes for the best so far, and about 150 MB for scores.

    Args:
        documents: The corpus.
        queries: Prompts with completions; all of their tokens count.
        seed: Of the random sample and the ties of the bottom, in [0, 2**64).
        settings: What is kept.
        device: Where scores are computed and compared; one that has float64.
        frequencies: What `document_frequencies` gave for this corpus and these settings.

    Raises:
        InvalidInput: If there are no queries, one has no token or its id twice, every document is too short,
            or the corpus is another one when it is read again.
    """
    _refuse_bad(queries)
    words = seed_of(seed)
    if frequencies is None:
        frequencies = document_frequencies(documents, settings)
    _refuse_other(frequencies, settings)
    sample = _random_positions(settings.n_random, frequencies.read.n_documents, words)
    slots, weights = _weights(queries, frequencies, settings)
    strata = _Strata(len(queries), settings, sample, words, device)
    progress = Progress(settings.fewest)
    on_device = torch.from_numpy(weights).to(device)
    for batch in progress.follow(documents):
        for piece in _pieces(batch, max(1, _CELLS // len(queries))):
            pointers, columns = kernels.present_slots(
                piece.tokens, piece.offsets, settings.bits, settings.longest, slots, len(weights)
            )
            scores = binary_rows(pointers, columns, len(weights), device) @ on_device
            rows = np.flatnonzero(np.diff(piece.offsets) >= settings.fewest)
            strata.offer(scores[torch.from_numpy(rows).to(device)], piece.first + rows)
    read = progress.tally()
    if read != frequencies.read:
        raise InvalidInput(
            f"documents: {read.n_documents:,} with {read.n_tokens:,} tokens were read, but "
            f"{frequencies.read.n_documents:,} with {frequencies.read.n_tokens:,} when terms were counted",
            "give the same corpus, and let nobody write to it meanwhile",
        )
    return _named(strata, documents, queries, read, settings, seed)


def _refuse_bad(queries: Sequence[TokenSequence]) -> None:
    if not queries:
        raise InvalidInput("queries: there are none")
    seen = set()
    for query in queries:
        if not query.tokens:
            raise InvalidInput(f"query '{query.id}': has no tokens")
        if min(query.tokens) < 0:
            raise InvalidInput(f"query '{query.id}': a token id is negative")
        if query.id in seen:
            raise InvalidInput(f"query '{query.id}': two queries have this id")
        seen.add(query.id)


def _refuse_other(frequencies: DocumentFrequencies, settings: FilterSettings) -> None:
    counted = (frequencies.counts.size, frequencies.longest, frequencies.fewest)
    wanted = (settings.n_buckets, settings.longest, settings.fewest)
    if counted != wanted:
        raise InvalidInput(
            f"frequencies: expected n_buckets, longest and fewest {wanted}, got {counted}",
            "count again, with these settings",
        )


def _random_positions(n: int, n_documents: int, seed: np.uint64) -> NDArray[np.int64]:
    """The positions of the n smallest random keys, ascending: every subset equally likely.

    They depend on the seed and the size of the corpus only. (Equal keys, which chance in 63 bits hardly
    ever gives, would let the earlier position in.)
    """
    kept = kept_keys = np.zeros(0, dtype=np.int64)
    for first in range(0, n_documents, _KEYS):
        more = np.arange(first, min(first + _KEYS, n_documents))
        kept = np.concatenate([kept, more])
        kept_keys = np.concatenate([kept_keys, kernels.random_keys(more, seed, _SAMPLE)])
        rows = np.argsort(kept_keys, kind="stable")[:n]
        kept, kept_keys = kept[rows], kept_keys[rows]
    return np.sort(kept)


def _weights(
    queries: Sequence[TokenSequence], frequencies: DocumentFrequencies, settings: FilterSettings
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Column of each bucket, -1 for those of no query, and the weights of the columns, shape (U, Q)."""
    terms = []
    for query in queries:
        tokens = np.array(query.tokens, dtype=np.int64)
        buckets = kernels.buckets_of(tokens, settings.bits, settings.longest)
        terms.append(np.unique(buckets, return_counts=True))
    distinct = np.unique(np.concatenate([buckets for buckets, _ in terms]))
    slots = np.full(settings.n_buckets, -1, dtype=np.int32)
    slots[distinct] = np.arange(distinct.size, dtype=np.int32)
    units = np.maximum(np.rint(frequencies.idf(distinct) / _UNIT), 1.0)
    weights = np.zeros((distinct.size, len(queries)))
    for number, (query, (buckets, counts)) in enumerate(zip(queries, terms, strict=True)):
        weights[slots[buckets], number] = counts * units[slots[buckets]] * _UNIT
        if weights[:, number].sum() > _LARGEST:
            raise InvalidInput(f"query '{query.id}': {len(query.tokens):,} tokens are too many")
    return slots, weights


def _pieces(batch: DocumentBatch, n_rows: int) -> Iterator[DocumentBatch]:
    """The documents of a batch, so many at a time."""
    for low in range(0, len(batch), n_rows):
        bounds = batch.offsets[low : low + n_rows + 1]
        tokens = batch.tokens[bounds[0] : bounds[-1]]
        yield DocumentBatch(batch.first + low, tokens, bounds - bounds[0])


class _Strata:
    """What is kept so far for each query."""

    def __init__(
        self,
        n_queries: int,
        settings: FilterSettings,
        sample: NDArray[np.int64],
        seed: np.uint64,
        device: torch.device | str,
    ) -> None:
        self._sample, self._seed, self._n_bottom = sample, seed, settings.n_bottom
        self._found = np.zeros(sample.size, dtype=bool)
        self._scores = np.zeros((sample.size, n_queries))
        self._top = Leaders(settings.k, n_queries, above=0.0, device=device)
        # As many more as may turn out to be in the sample.
        spare = sample.size if settings.n_bottom else 0
        self._lowest = Leaders(settings.n_bottom + spare, n_queries, device=device)

    def offer(self, scores: torch.Tensor, positions: NDArray[np.int64]) -> None:
        """Look at documents and their scores, shape (B, Q)."""
        if not positions.size:
            return
        self._top.offer(scores, positions, positions)
        if self._n_bottom:
            keys = kernels.random_keys(positions, self._seed, _BOTTOM)
            self._lowest.offer(-scores, keys, positions)
        low, high = np.searchsorted(self._sample, (positions[0], positions[-1] + 1))
        wanted, places = np.arange(low, high), np.searchsorted(positions, self._sample[low:high])
        there = positions[places] == self._sample[low:high]
        self._found[wanted[there]] = True
        self._scores[wanted[there]] = scores[torch.from_numpy(places[there])].cpu().numpy()

    def of(self, query: int) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Positions and scores of the top, the random and the bottom stratum of a query."""
        scores, positions = self._top.best(query)
        apart = self._found & ~np.isin(self._sample, positions)
        sampled = self._sample[apart]
        lowest, candidates = self._lowest.best(query)
        free = ~np.isin(candidates, np.concatenate([positions, sampled]))
        rows = np.flatnonzero(free)[: self._n_bottom]
        return [
            (positions, scores),
            (sampled, self._scores[apart, query]),
            (candidates[rows], -lowest[rows]),
        ]


def _named(
    strata: _Strata,
    documents: DocumentSource,
    queries: Sequence[TokenSequence],
    read: Tally,
    settings: FilterSettings,
    seed: int,
) -> Filtered:
    found = [strata.of(number) for number in range(len(queries))]
    positions = np.unique(np.concatenate([part for parts in found for part, _ in parts]))
    names = np.array(documents.ids(positions), dtype=object)

    def members(part: NDArray[np.int64], scores: NDArray[np.float64]) -> Members:
        ids = tuple(names[np.searchsorted(positions, part)].tolist())
        return Members(positions=part, ids=ids, scores=scores)

    chosen = []
    for query, parts in zip(queries, found, strict=True):
        top, random, bottom = (members(*part) for part in parts)
        n_outside = read.n_documents - read.n_short - len(top)
        chosen.append(
            Chosen(query=query.id, top=top, random=random, bottom=bottom, n_outside=n_outside)
        )
    return Filtered(
        queries=tuple(chosen),
        n_documents=read.n_documents,
        n_short=read.n_short,
        settings=settings,
        seed=seed,
    )
