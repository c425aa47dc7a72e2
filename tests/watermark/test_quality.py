"""The quality report counts what was done, shows it side by side, and does not obey hostile text."""

import hashlib
import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Input, power_choice
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.quality import assess, render_quality
from bookplate.watermark.selection import sentence_ends
from bookplate.watermark.tables import apply_edits

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(b"k" * 32, b"s" * 32)
SAID = {
    "title": "release",
    "created": "2026-11-21T12:00:00Z",
    "command": "bookplate watermark quality",
}


class Reader:
    """Each word costs a fixed number of nats."""

    identity = Input(name="reader", sha256="0" * 64)

    def token_logprobs(self, sequences):
        return [
            np.array([-1 - hashlib.sha256(w.encode()).digest()[0] / 64 for w in text.split()])
            for text in sequences
        ]


def evidence_of(texts, **marking):
    manifest = mark_texts(texts, KEY, Marking(**marking), candidates=BROAD)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


@pytest.fixture(scope="module")
def evidence(english):
    return evidence_of(english[:200])


@pytest.fixture(scope="module")
def quality(evidence):
    return assess(evidence, seed=1, model=Reader())


def test_counts_are_those_of_the_manifest(quality, evidence):
    slots = [slot for record in evidence.manifest.records for slot in record.slots]
    changed = [slot for slot in slots if slot.choice != 0]
    assert (quality.n_slots, quality.n_changed) == (len(slots), len(changed))
    assert quality.n_records == len(evidence.originals) == 200
    words = sum(len(re.findall(r"[^\W\d_]+", text)) for text in evidence.originals.values())
    assert quality.n_words == words
    assert quality.changed_share == pytest.approx(len(changed) / words)
    assert sum(k * n for k, n in enumerate(quality.edits_per_sentence)) == len(changed)
    assert sum(n for _, _, n in quality.pairs) <= len(changed)


def test_sentences_are_counted_once():
    """Three sentences, of which one has a word of the table."""
    found = assess(evidence_of(["It fell quickly. It rained! What then?", "go quickly"]), seed=1)
    assert sum(found.edits_per_sentence) == 4


def test_an_example_is_the_release_with_the_original_beside_it(quality, evidence):
    by_record = evidence.manifest.by_original()
    assert len(quality.examples) == 50
    for e in quality.examples:
        original = evidence.originals[e.record]
        released = apply_edits(original, by_record[e.record].release_edits())
        assert e.before + e.released + e.after in released
        assert e.original in original
        assert e.original != e.released


def test_the_rise_is_per_replaced_word(quality, evidence):
    changed = [r for r in evidence.manifest.records if r.release_edits()]
    reader, rise, edits = Reader(), 0.0, 0
    for record in changed:
        original = evidence.originals[record.record]
        released = apply_edits(original, record.release_edits())
        before, after = reader.token_logprobs([original, released])
        rise += before.sum() - after.sum()
        edits += len(record.release_edits())
    assert quality.perplexity.n == len(changed)
    assert quality.perplexity.change == pytest.approx(rise / edits)
    assert quality.perplexity.low < quality.perplexity.change < quality.perplexity.high


def test_the_forecast_is_that_of_the_power_formula(quality):
    forecast = quality.forecast
    assert list(forecast.units) == sorted(forecast.units)
    for effective, units, power in zip(
        forecast.effective, forecast.units, forecast.power, strict=True
    ):
        assert effective <= units
        assert power == power_choice(int(effective), 0.3, alpha=1e-3).power
    assert power_choice(forecast.needed, 0.3, alpha=1e-3).power >= 0.9


def test_smaller_units_are_more(english, quality):
    by_slot = assess(evidence_of(english[:200], unit=Unit.SLOT), seed=1).forecast
    assert by_slot.units[-1] == quality.n_slots
    assert by_slot.effective[-1] == pytest.approx(by_slot.units[-1])
    assert assess(evidence_of(english[:50], mode=Mode.LEXIMARK), seed=1).forecast is None
    by_record = evidence_of(english[:50], unit=Unit.RECORD, ghosts=2)
    assert assess(by_record, seed=1).forecast is None


def test_the_same_seed_gives_the_same_report(evidence, quality):
    assert assess(evidence, seed=1, model=Reader()) == quality
    assert assess(evidence, seed=2, model=Reader()).examples != quality.examples
    assert json.loads(json.dumps(quality.to_dict()))["n_records"] == 200


def test_hostile_text_is_shown_and_not_obeyed():
    text = "</bdi><script>alert(1)</script> he ran quickly \x1b[31m \u202e \x00 {{ 7 * 191 }} sad."
    page = render_quality(assess(evidence_of([text, "go quickly"]), seed=1), **SAID)
    assert "<script" not in page
    assert "1337" not in page
    assert not set("\x1b\u202e\x00") & set(page)


def test_the_page_stands_alone(quality):
    page = render_quality(quality, **SAID)
    assert not re.search(r"<[^>]*(?<!-)http(?!-equiv)", page)
    assert "private" in page
    assert "Table 2" in page
    assert page == render_quality(quality, **SAID)


def test_refusals(evidence):
    for wrong in ({"n_examples": -1}, {"most_records": 1}, {"effect": 0.0}, {"effect": np.inf}):
        with pytest.raises(InvalidInput, match="expected examples"):
            assess(evidence, seed=1, **wrong)
    with pytest.raises(InsufficientEvidence, match="no record is present"):
        assess(replace(evidence, originals={}), seed=1)


class Spelling:
    """A sentence encoder that counts letters."""

    identity = Input(name="letters", sha256="0" * 64)

    def token_ids(self, sentences):
        return [tuple(map(ord, sentence.lower())) for sentence in sentences]

    def sentence_vectors(self, rows):
        counts = np.array([[row.count(c) for c in range(97, 123)] for row in rows], dtype=float)
        return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


def test_changed_sentences_are_compared_whole_with_their_originals(evidence):
    found = assess(evidence, seed=1, encoder=Spelling(), most_records=10**6).similarity
    cosines = []
    for record in evidence.manifest.records:
        original = evidence.originals[record.record]
        released = apply_edits(original, record.release_edits())
        shift, borders = 0, [0, *sentence_ends(original), len(original)]
        for begin, end in pairwise(borders):
            edits = [e for e in record.release_edits() if begin <= e.start < end]
            grown = sum(len(e.replacement) - (e.end - e.start) for e in edits)
            if edits:
                one = original[begin:end].strip()
                other = released[begin + shift : end + shift + grown].strip()
                a, b = Spelling().sentence_vectors(Spelling().token_ids([one, other]))
                cosines.append(float(a.astype(float) @ b.astype(float)))
            shift += grown
    assert found.n == len(cosines) > 100
    assert found.mean == pytest.approx(np.mean(cosines))
    assert found.low == pytest.approx(np.quantile(cosines, 0.05))
    assert found.n_below == sum(c < 0.8 for c in cosines)
    page = render_quality(assess(evidence, seed=1, encoder=Spelling()), **SAID)
    assert "letters" in page
    assert "Cosine with the original" in page


def test_without_changed_sentences_there_is_no_similarity():
    found = assess(evidence_of(["He ran quickly."], mode=Mode.KEYED), seed=1, encoder=Spelling())
    assert (found.similarity is None) == (found.n_changed == 0)
