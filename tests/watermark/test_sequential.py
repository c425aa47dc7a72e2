"""Detection query by query: it stops early on the guilty, seldom on the innocent, and keeps its budget."""

import hashlib

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.sequential import detect_sequentially
from scipy.stats import binom

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
BY_TYPE = Marking()
BY_SLOT = Marking(unit=Unit.SLOT)
BY_RECORD = Marking(unit=Unit.RECORD, ghosts=5)


def key_of(number):
    return MarkingKey(hashlib.sha256(b"key %d" % number).digest(), b"s" * 32)


def noise(*parts):
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8]) / 2**63 - 1


class Taste:
    """Scores by a fixed whim and a bonus; counts what it was asked."""

    def __init__(self, name="suspect", bonus=lambda text, start, word: 0.0):
        self.identity = Input(name=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        self.name, self.bonus, self.asked = name, bonus, 0

    def token_logprobs(self, sequences):
        self.asked += len(sequences)
        return [np.array([noise(self.name, text) + self.bonus(text, 0, "")]) for text in sequences]

    def choice_logprobs(self, texts, slots):
        self.asked += sum(len(s.choices) for places in slots for s in places)
        return [
            [
                np.array([noise(self.name, c) + self.bonus(text, s.start, c) for c in s.choices])
                for s in places
            ]
            for text, places in zip(texts, slots, strict=True)
        ]


@pytest.fixture(scope="module")
def texts(english):
    return english[:400]


def evidence_of(texts, key, marking):
    manifest = mark_texts(texts, key, marking, candidates=BROAD)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


def released_words(evidence):
    return {s.released for r in evidence.manifest.records for s in r.slots}


def knows_words(evidence):
    words = released_words(evidence)
    return Taste("guilty", lambda text, start, word: 1.5 * (word in words))


def test_it_stops_early_on_a_model_that_knows(texts):
    evidence = evidence_of(texts, key_of(1), BY_SLOT)
    released = {
        (evidence.originals[r.record], s.start): s.released
        for r in evidence.manifest.records
        for s in r.slots
    }
    guilty = Taste("guilty", lambda text, start, word: 1.5 * (released[text, start] == word))
    result = detect_sequentially(evidence, guilty, alpha=1e-3)
    assert result.reached
    assert result.finding.log10_p <= -3
    assert result.n_scored < result.n_scored_in_all / 3
    assert result.n_scored <= guilty.asked <= result.n_scored + 16 * 5
    assert result.finding.e_value.log10_e >= 3


def test_by_type_all_slots_of_a_type_are_one_unit(texts):
    evidence = evidence_of(texts, key_of(1), BY_TYPE)
    n_types = len({s.unit for r in evidence.manifest.records for s in r.slots})
    result = detect_sequentially(evidence, Taste(), alpha=1e-9)
    assert not result.reached
    assert result.finding.n == n_types
    assert result.n_scored == result.n_scored_in_all


def test_by_record_whole_texts_are_ranked(texts):
    evidence = evidence_of(texts[:150], key_of(1), BY_RECORD)
    from bookplate.watermark.tables import apply_edits

    known = {
        apply_edits(evidence.originals[r.record], r.release_edits()) for r in evidence.marked()
    }
    guilty = Taste("guilty", lambda text, start, word: 1.0 * (text in known))
    result = detect_sequentially(evidence, guilty, alpha=1e-2)
    assert result.reached
    assert result.finding.unit == "records"
    assert result.n_scored < result.n_scored_in_all


def test_an_innocent_model_seldom_reaches_the_level(texts):
    base = evidence_of(texts[:100], key_of(0), BY_TYPE)
    reached = 0
    for number in range(100):
        manifest = base.manifest.redrawn(key_of(number))
        evidence = Evidence(manifest=manifest, originals=base.originals)
        reached += detect_sequentially(evidence, Taste(), alpha=0.1).reached
    assert reached <= binom.ppf(1 - 1e-6, 100, 0.1)


def test_the_order_of_asking_does_not_depend_on_the_draws(texts):
    asked = []

    class Listens(Taste):
        def choice_logprobs(self, texts, slots):
            asked.append([(t, p[0].start) for t, p in zip(texts, slots, strict=True)])
            return super().choice_logprobs(texts, slots)

    base = evidence_of(texts[:100], key_of(0), BY_TYPE)
    for number in (1, 2):
        manifest = base.manifest.redrawn(key_of(number))
        evidence = Evidence(manifest=manifest, originals=base.originals)
        detect_sequentially(evidence, Listens(), alpha=1e-9)
    half = len(asked) // 2
    assert asked[:half] == asked[half:]


def test_references_take_out_shared_taste(texts):
    """The suspect's own taste is small, what it shares with the reference is large."""
    evidence = evidence_of(texts, key_of(1), BY_TYPE)
    words = released_words(evidence)

    def shared(text, start, word):
        return 10 * noise("shared", word)

    guilty = Taste("guilty", lambda *at: shared(*at) + 1.0 * (at[2] in words))
    alone = detect_sequentially(evidence, guilty, alpha=1e-9)
    reference = Taste("reference", shared)
    together = detect_sequentially(evidence, guilty, alpha=1e-9, references=[reference])
    assert together.finding.log10_p < alone.finding.log10_p - 1
    assert [i.name for i in together.finding.inputs] == ["guilty", "reference"]


def test_the_budget_is_kept(texts):
    evidence = evidence_of(texts, key_of(1), BY_TYPE)
    result = detect_sequentially(evidence, knows_words(evidence), alpha=1e-300, budget=500)
    assert 0 < result.n_scored <= 500
    assert not result.reached
    with pytest.raises(InsufficientEvidence, match="within the budget"):
        detect_sequentially(evidence, Taste(), alpha=0.01, budget=1)


def test_refusals(texts):
    evidence = evidence_of(texts[:60], key_of(1), BY_TYPE)
    for wrong in ({"alpha": 0.0}, {"alpha": 0.01, "budget": 0}):
        with pytest.raises(InvalidInput, match=next(reversed(wrong))):
            detect_sequentially(evidence, Taste(), **wrong)
    with pytest.raises(InvalidInput, match="same model"):
        detect_sequentially(evidence, Taste(), alpha=0.1, references=[Taste()])
    published = evidence_of(texts[:60], key_of(1), Marking(mode=Mode.LEXIMARK))
    with pytest.raises(InvalidInput, match="no key draws anything"):
        detect_sequentially(published, Taste(), alpha=0.1)
