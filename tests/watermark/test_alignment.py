"""The aligner does what a slow twin does, whatever the order, the batches and the cuts."""

import hashlib
import random
import re
from collections import Counter

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.alignment import Aligner, BlindRecord, _Claims
from bookplate.watermark.attacks import DropSentences, Resubstitute, ShuffleSentences
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.folded_words import folded_words, parts_of
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.leak import aligner_of
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking
from bookplate.watermark.tables import apply_edits

KEY = MarkingKey(hashlib.sha256(b"key 13").digest(), b"s" * 32)


class SlowAligner:
    """Shingles in dictionaries, one text after the other."""

    def __init__(self, records):
        self.records = records
        self.group = {}
        for record in records:
            for choices in record.choices:
                members = {c.lower() for c in choices}
                for word in list(members):
                    members |= self.group.get(word, set())
                for word in members:
                    self.group[word] = members
        self.places, self.words = {}, []
        slot = 0
        for r, record in enumerate(records):
            row = []
            for piece, choices in zip(record.pieces, [*record.choices, None], strict=True):
                row += [(word, None) for word in self.split(piece)]
                if choices:
                    row.append((choices[0].lower(), slot))
                    slot += 1
            self.words.append(row)
            for i, shingle in self.shingles([word for word, _ in row]):
                self.places.setdefault(shingle, []).append((r, i))
        self.places = {s: p for s, p in self.places.items() if len(p) <= 64}
        self.n_shingles = Counter(r for places in self.places.values() for r, _ in places)
        self.choices = [[c.lower() for c in choices] for r in records for choices in r.choices]

    @staticmethod
    def split(text):
        return re.findall(r"[a-z0-9]+", text.lower())

    def shingles(self, words):
        same = [min(self.group.get(word, {word})) for word in words]
        return [(i, tuple(same[i : i + 5])) for i in range(len(same) - 4)]

    def align(self, texts):
        counts = [[0] * len(choices) for choices in self.choices]
        found, in_texts = set(), Counter()
        for text in texts:
            words, records = self.split(text), set()
            matches = [
                (i, r, o) for i, s in self.shingles(words) for r, o in self.places.get(s, [])
            ]
            support = Counter((i // 256, r) for i, r in {(i, r) for i, r, _ in matches})
            claims = {}
            for i, r, o in matches:
                if support[i // 256, r] < min(4, self.n_shingles[r]):
                    continue
                records.add(r)
                found.add((r, o))
                for j in range(5):
                    slot = self.words[r][o + j][1]
                    if slot is not None:
                        votes = claims.setdefault(i + j, {})
                        first, n = votes.get(slot, (support[i // 256, r], 0))
                        votes[slot] = (first, n + 1)
            for place, votes in claims.items():
                slot = min(votes, key=lambda slot: (-votes[slot][0], -votes[slot][1], slot))
                if words[place] in self.choices[slot]:
                    counts[slot][self.choices[slot].index(words[place])] += 1
            in_texts.update(records)
        shares = Counter(r for r, _ in found)
        return counts, in_texts, {r: n / self.n_shingles[r] for r, n in shares.items()}


def blind(record, original):
    edges = [0, *(x for s in record.slots for x in (s.start, s.end)), len(original)]
    pieces = tuple(original[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
    return BlindRecord(record.record, pieces, tuple(s.choices for s in record.slots))


@pytest.fixture(scope="module")
def evidence(english):
    texts = [text for text in english[:250] if text.isascii()]
    broad = LexiconSource(Lexicon.shipped(Tier.BROAD))
    manifest = mark_texts(texts, KEY, Marking(), candidates=broad)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


@pytest.fixture(scope="module")
def released(evidence):
    return [
        apply_edits(evidence.originals[r.record], r.release_edits())
        for r in evidence.manifest.records
    ]


@pytest.fixture(scope="module")
def aligner(evidence):
    return aligner_of(evidence)


def same(one, two):
    assert all(np.array_equal(a, b) for a, b in zip(one.counts, two.counts, strict=True))
    assert np.array_equal(one.n_texts_of, two.n_texts_of)
    assert np.array_equal(one.words_found, two.words_found)
    assert (one.n_texts, one.n_texts_found) == (two.n_texts, two.n_texts_found)
    assert one.n_other == two.n_other


def one_long_text(texts):
    return ["\n".join(random.Random(1).sample(texts, len(texts)))]


ATTACKS = {
    "sentences shuffled": lambda texts: list(ShuffleSentences()(texts, seed=1).texts),
    "sentences dropped": lambda texts: list(DropSentences(share=0.3)(texts, seed=1).texts),
    "words replaced": lambda texts: list(Resubstitute(share=0.5)(texts, seed=1).texts),
    "one long text": one_long_text,
}


@pytest.mark.parametrize(
    ("attack", "most_matches"), [("one long text", 1), *((attack, 500_000) for attack in ATTACKS)]
)
def test_the_aligner_does_what_its_description_says(
    english, evidence, released, attack, most_matches, monkeypatch
):
    """Beside the attack, unmarked texts of the same kind, which share phrases with the release.

    With one match at a time, every block of words is weighed on its own.
    """
    monkeypatch.setattr("bookplate.watermark.alignment._MOST_MATCHES", most_matches)
    records = [blind(r, evidence.originals[r.record]) for r in evidence.marked()]
    stolen = ATTACKS[attack](released) + [text for text in english[400:500] if text.isascii()]
    found = Aligner(records).align(stolen)
    counts, in_texts, shares = SlowAligner(records).align(stolen)
    assert [list(c) for c in found.counts] == counts
    assert found.n_texts_of.tolist() == [in_texts[r] for r in range(len(records))]
    expected = [shares.get(r, 0) for r in range(len(records))]
    assert found.words_found == pytest.approx(expected)


def test_batches_make_no_difference(monkeypatch, aligner, released):
    whole = aligner.align(released)
    monkeypatch.setattr("bookplate.watermark.alignment._BATCH", 500)
    same(whole, aligner.align(iter(released)))


def test_the_order_of_the_texts_makes_no_difference(aligner, released):
    same(aligner.align(released), aligner.align(random.Random(2).sample(released, len(released))))


def test_cuts_of_a_long_text_make_no_difference(monkeypatch, aligner, released):
    long = one_long_text(released)
    whole = aligner.align(long)
    monkeypatch.setattr("bookplate.watermark.folded_words._LONG", 100)
    same(whole, aligner.align(long))


def test_parts_of_a_text_have_its_words(monkeypatch):
    monkeypatch.setattr("bookplate.watermark.folded_words._LONG", 1)
    rng = random.Random(3)
    for _ in range(300):
        text = "".join(rng.choices("aE\u0301\u0327ß Σ \nfi\u00ad\u3000ｶﾞ\u200d_3", k=30))
        parts = list(parts_of(text))
        assert "".join(parts) == text
        assert [word for part in parts for word in folded_words(part)] == folded_words(text)


def test_memory_does_not_explode_on_what_all_records_share(monkeypatch):
    """Every run of words in 60 places: 2 million matches, of which few are weighed at a time."""
    words = "permission is hereby granted to any person to deal in this large work without limit".split()
    before, after = " ".join(words).split("large")
    records = [
        BlindRecord(f"{i:064x}", (before, f"{after} number{i}"), (("large", "big"),))
        for i in range(60)
    ]
    sizes = []

    class Watched(_Claims):
        def settle(self, matches, slot_of_w, end):
            sizes.append(matches.p.size)
            return super().settle(matches, slot_of_w, end)

    monkeypatch.setattr("bookplate.watermark.alignment._Claims", Watched)
    monkeypatch.setattr("bookplate.watermark.alignment._MOST_MATCHES", 50_000)
    found = Aligner(records).align([" ".join(words * 2_000)])
    assert sum(int(c.sum()) for c in found.counts) == 2_000
    assert max(sizes) <= 50_000 < sum(sizes)


def test_a_blind_record_needs_a_piece_around_each_slot():
    with pytest.raises(InvalidInput, match="one piece more than slots, got 1 and 1"):
        BlindRecord("0" * 64, ("a",), (("big", "large"),))
