"""Finding the passages of a dataset in other texts, and which words stand in its slots there.

Nothing here knows which choice was released: a `BlindRecord` does not hold it. So whatever is found,
by whatever rule, is a function of public text and of the substitution table only. `leak` builds its
exact test on that.

Words are compared without capitals, punctuation, spacing and Unicode variants, and all words that can
stand for one another count as the same word, so that every variant of a passage is found equally well.
A passage is found through its shingles (runs of five words); each slot within a found shingle
is read off there. So order, truncation, merging, splitting and edits elsewhere do not matter.

Notation: R records, S slots, W words of all originals in a row, L words per shingle.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from .folded_words import folded_words, parts_of

__all__ = ["Aligner", "Alignment", "BlindRecord"]

_SHINGLE = 5  # L; shorter ones meet by chance, longer ones break at each edit
_SUPPORT = 4  # matching shingles a text must share with a record: 8 words in a row, or more apart
_BLOCK = 256  # words; support is counted in blocks, so that a long text gathers none by chance
_MOST_PLACES = 64  # a shingle in more places than this does not tell where a passage is from
_BATCH = 2_000_000  # characters that are compared at a time; bounds the memory
_MOST_MATCHES = 500_000  # that are weighed at a time, as one shingle may match in 64 places

_UNKNOWN = 0  # a word that no original holds, or the border between two texts
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplication loses no bit

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BlindRecord:
    """An original text and its slots, without the draws of the key.

    Attributes:
        record: SHA-256 of the text.
        pieces: The text before, between and behind the slots' words; one more than slots.
        choices: What may stand in each slot; the original word comes first.
    """

    record: str
    pieces: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.choices) + 1:
            raise InvalidInput(
                f"record {self.record[:16]}: expected one piece more than slots, got "
                f"{len(self.pieces)} and {len(self.choices)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Which slots other texts show, and with which words; the same whatever key drew the choices.

    Attributes:
        records: Digest of each record, shape (R,), in the order given to `Aligner`.
        first_slot: Slots of record r are `first_slot[r]` to `first_slot[r + 1]`, shape (R + 1,).
        counts: Per slot how often each of its choices was shown, shape (k_s,).
        words_found: Per record the share of its shingles that were found, in [0, 1].
        n_texts_of: Per record the number of texts in which a part of it was found.
        n_texts: Texts that were searched.
        n_texts_found: Texts in which a part of some record was found.
        n_other: Words in slots that are none of the slot's choices, though substitutes of one.
    """

    records: tuple[str, ...]
    first_slot: Integers
    counts: tuple[Integers, ...]
    words_found: NDArray[np.float64]
    n_texts_of: Integers
    n_texts: int
    n_texts_found: int
    n_other: int


class Aligner:
    """An index of original texts, in which other texts are looked up.

    Memory is about 40 bytes per word of the originals.

    Args:
        records: The originals, in an order that does not depend on the key.
    """

    def __init__(self, records: Sequence[BlindRecord]) -> None:
        self._digests = tuple(record.record for record in records)
        choices = [choice for record in records for choice in record.choices]
        self._first_slot = np.cumsum([0, *(len(record.choices) for record in records)])
        self._raw_ids: dict[str, int] = {}
        words, slots, owners = self._words_of(records)
        self._slot_of_w, self._record_of_w = slots, owners
        group_of = self._groups(choices)
        # Fixed random numbers per word: a collision of two shingles would be blind to the key, too.
        mix = np.random.default_rng(0).integers(2**64, size=group_of.size, dtype=np.uint64)
        self._mix_of = mix[group_of]
        self._index(words)
        self._choice_columns(choices)

    def align(self, texts: Iterable[str]) -> Alignment:
        """Look texts up.

        What is found does not depend on the order of the texts. Memory does not grow with their number; it
        grows with the longest of them.

        Args:
            texts: Texts of any kind; read once, in batches.
        """
        found_w = np.zeros(self._slot_of_w.size, dtype=bool)
        counts = np.zeros(self._first_column[-1], dtype=np.int64)
        n_texts_of = np.zeros(len(self._digests), dtype=np.int64)
        n_texts = n_found = n_other = 0
        for batch in _batches(texts):
            n_texts += len(batch)
            ids, text_of, block_of = self._tokens(batch)
            pairs = []  # (text, record), each as one number
            claims = _Claims(int(self._first_slot[-1]))
            for matches, end in self._matches(ids, block_of):
                found_w[matches.o] = True
                owners = self._record_of_w[matches.o]
                pairs.append(_distinct(text_of[matches.p] * len(self._digests) + owners))
                at, slots = claims.settle(matches, self._slot_of_w, end)
                columns = self._columns(slots, ids[at])
                n_other += int((columns < 0).sum())
                counts += np.bincount(columns[columns >= 0], minlength=counts.size)
            if pairs:
                texts_found, owners = np.divmod(
                    _distinct(np.concatenate(pairs)), len(self._digests)
                )
                n_texts_of += np.bincount(owners, minlength=n_texts_of.size)
                n_found += _distinct(texts_found).size
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

    def _words_of(self, records: Sequence[BlindRecord]) -> tuple[Integers, Integers, Integers]:
        """Ids of all words in a row, a border behind each record; the slot (or -1) and record of each."""
        ids: list[int] = []
        slots: list[int] = []
        owners: list[int] = []
        slot = 0
        for owner, record in enumerate(records):
            before = len(ids)
            for piece, choices in zip(record.pieces, record.choices, strict=False):
                between = [self._learn(word) for word in folded_words(piece)]
                ids += [*between, self._learn(_word(choices[0]))]
                slots += [-1] * len(between) + [slot]
                slot += 1
            rest = [*(self._learn(word) for word in folded_words(record.pieces[-1])), _UNKNOWN]
            ids += rest
            slots += [-1] * len(rest)
            owners += [owner] * (len(ids) - before)
        return np.array(ids, np.int64), np.array(slots, np.int64), np.array(owners, np.int64)

    def _learn(self, word: str) -> int:
        return self._raw_ids.setdefault(word, len(self._raw_ids) + 1)

    def _groups(self, choices: Sequence[tuple[str, ...]]) -> Integers:
        """For each word id the least id among all words it can be exchanged for, step by step."""
        sets = {
            tuple(self._learn(_word(choice)) for choice in words)
            for words in dict.fromkeys(choices)
        }
        parent = list(range(len(self._raw_ids) + 1))

        def root(word: int) -> int:
            while parent[word] != word:
                parent[word] = word = parent[parent[word]]
            return word

        for members in sets:
            roots = [root(word) for word in members]
            for word in roots:
                parent[word] = min(roots)
        return np.array([root(word) for word in range(len(parent))], dtype=np.int64)

    def _index(self, words: Integers) -> None:
        """Distinct shingles, sorted by hash, with their places; those in too many places are left out."""
        hashes, at = self._shingles(words)
        order = np.argsort(hashes, kind="stable")
        self._places = at[order]
        keys, first, counts = np.unique(hashes[order], return_index=True, return_counts=True)
        kept = counts <= _MOST_PLACES
        self._keys, self._first, self._counts = keys[kept], first[kept], counts[kept]
        indexed = np.zeros(words.size, dtype=bool)
        indexed[self._places[_ranges(self._first, self._counts)]] = True
        n_records = len(self._digests)
        self._n_shingles = np.bincount(self._record_of_w[indexed], minlength=n_records)
        # A record too short for the support must be found whole.
        self._needed = np.clip(self._n_shingles, 1, _SUPPORT)

    def _choice_columns(self, choices: Sequence[tuple[str, ...]]) -> None:
        """Sorted (slot, word) pairs with the column of `counts` that each belongs to."""
        self._first_column = np.cumsum([0, *(len(words) for words in choices)])
        n = len(self._raw_ids) + 1
        pairs = [
            slot * n + self._raw_ids[_word(word)]
            for slot, words in enumerate(choices)
            for word in words
        ]
        self._column_of = np.argsort(np.array(pairs, dtype=np.int64), kind="stable")
        self._pairs = np.array(pairs, dtype=np.int64)[self._column_of]

    def _shingles(self, ids: Integers) -> tuple[NDArray[np.uint64], Integers]:
        """Hash of each shingle without unknown words, and the position of its first word."""
        n = ids.size - _SHINGLE + 1
        if n < 1:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        unknown = np.concatenate([[0], np.cumsum(ids == _UNKNOWN)])
        at = np.flatnonzero(unknown[_SHINGLE:] == unknown[:-_SHINGLE])
        mixed = self._mix_of[ids]
        hashes = np.zeros(at.size, dtype=np.uint64)
        for j in range(_SHINGLE):
            hashes = hashes * _MULTIPLIER + mixed[at + j]  # modulo 2**64
        return hashes, at

    def _tokens(self, batch: Sequence[str]) -> tuple[Integers, Integers, Integers]:
        """Word ids of the texts in a row with a border behind each; text and block of each word."""
        known = self._raw_ids.get
        ids: list[int] = []
        lengths = np.zeros(len(batch), dtype=np.int64)
        for index, text in enumerate(batch):
            before = len(ids)
            for part in parts_of(text):
                ids += [known(word, _UNKNOWN) for word in folded_words(part)]
            ids.append(_UNKNOWN)
            lengths[index] = len(ids) - before
        text_of = np.repeat(np.arange(lengths.size), lengths)
        within = _ranges(np.zeros_like(lengths), lengths)
        return np.array(ids, dtype=np.int64), text_of, np.cumsum(within % _BLOCK == 0) - 1

    def _matches(self, ids: Integers, block_of: Integers) -> Iterator[tuple["_Matches", int]]:
        """Matching shingles with enough support, some blocks at a time.

        Yields:
            Matches, and the position where the next ones begin.
        """
        if not self._keys.size:
            return
        hashes, at = self._shingles(ids)
        key = np.minimum(np.searchsorted(self._keys, hashes), self._keys.size - 1)
        hit = self._keys[key] == hashes
        key, at = key[hit], at[hit]
        blocks = block_of[at]
        n_records = len(self._digests)
        for start, stop in _runs(blocks, self._counts[key]):
            k = key[start:stop]
            p = np.repeat(at[start:stop], self._counts[k])
            o = self._places[_ranges(self._first[k], self._counts[k])]
            owner = self._record_of_w[o]
            distinct = _distinct(
                p * n_records + owner
            )  # a phrase that a record repeats counts once
            pairs, counts = np.unique(
                block_of[distinct // n_records] * n_records + distinct % n_records,
                return_counts=True,
            )
            support = counts[np.searchsorted(pairs, block_of[p] * n_records + owner)]
            kept = support >= self._needed[owner]
            end = int(at[stop]) if stop < at.size else ids.size
            yield _Matches(p[kept], o[kept], support[kept]), end

    def _columns(self, slots: Integers, ids: Integers) -> Integers:
        """Column of `counts` for each slot and the word shown there; -1 for a word that is no choice."""
        if not self._pairs.size:
            return np.full(slots.shape, -1, dtype=np.int64)
        wanted = slots * (len(self._raw_ids) + 1) + ids
        place = np.minimum(np.searchsorted(self._pairs, wanted), self._pairs.size - 1)
        return np.where(self._pairs[place] == wanted, self._column_of[place], -1)

    def _coverage(self, found_w: NDArray[np.bool_]) -> NDArray[np.float64]:
        n_found = np.bincount(self._record_of_w[found_w], minlength=len(self._digests))
        return n_found / np.maximum(self._n_shingles, 1)


@dataclass(frozen=True, slots=True)
class _Matches:
    """Shingles of the texts that are shingles of originals.

    Attributes:
        p: Position of the first word in the texts, ascending.
        o: Position of the first word in the originals.
        support: Number of shingles that its block shares with its record.
    """

    p: Integers
    o: Integers
    support: Integers


class _Claims:
    """Which slot each position of the texts shows.

    Near-duplicate originals claim the same position: the one whose record has most support in the
    block of the first shingle gets it, then the one with most matching shingles there, then the first.

    Args:
        n_slots: S.
    """

    def __init__(self, n_slots: int) -> None:
        self._n_slots = n_slots
        none = np.zeros(0, dtype=np.int64)
        self._waiting = (none, none, none)  # positions that later matches may claim as well

    def settle(self, matches: _Matches, slot_of_w: Integers, end: int) -> tuple[Integers, Integers]:
        """Add matches; later ones begin at `end` or behind it.

        Returns:
            Positions before `end` that show a slot, each once in all, and the slot.
        """
        at = (matches.p[:, None] + np.arange(_SHINGLE)).ravel()
        slots = slot_of_w[matches.o[:, None] + np.arange(_SHINGLE)].ravel()
        shown = slots >= 0
        entries = at[shown], slots[shown], np.repeat(matches.support, _SHINGLE)[shown]
        # Those that waited come first, as their shingles do in the text.
        at, slots, support = map(np.concatenate, zip(self._waiting, entries, strict=True))
        later = at >= end
        self._waiting = at[later], slots[later], support[later]
        at, slots, support = at[~later], slots[~later], support[~later]
        claims, first, votes = np.unique(
            at * self._n_slots + slots, return_index=True, return_counts=True
        )
        at, slots, support = at[first], slots[first], support[first]
        order = np.lexsort((slots, -votes, -support, at))
        at, slots = at[order], slots[order]
        best = np.concatenate([[True], at[1:] != at[:-1]]) if claims.size else np.zeros(0, bool)
        return at[best], slots[best]


def _runs(blocks: Integers, n_matches: Integers) -> Iterator[tuple[int, int]]:
    """Start and end of runs of whole blocks with about `_MOST_MATCHES` matches, at least one block each.

    Args:
        blocks: Block of each shingle, ascending.
        n_matches: Number of matches of each.
    """
    ends = np.flatnonzero(np.diff(blocks, append=-1)) + 1
    totals = np.cumsum(n_matches)[ends - 1]
    done = first = start = 0
    while first < ends.size:
        enough = int(np.searchsorted(totals, done + _MOST_MATCHES, side="right"))
        last = max(enough - 1, first)
        yield start, int(ends[last])
        start, done, first = int(ends[last]), int(totals[last]), last + 1


def _distinct(numbers: Integers) -> Integers:
    """Each number once, ascending; many times faster than the hash table of `np.unique`."""
    ordered = np.sort(numbers)
    return (
        ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if ordered.size else ordered
    )


def _word(choice: str) -> str:
    """A choice as `folded_words` would find it; one of several words is never found."""
    return " ".join(folded_words(choice))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ranges(first: Integers, lengths: Integers) -> Integers:
    """The numbers first[i] to first[i] + lengths[i] - 1 of every i, in a row."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    numbers: Integers = np.arange(total) + np.repeat(first - (ends - lengths), lengths)
    return numbers
