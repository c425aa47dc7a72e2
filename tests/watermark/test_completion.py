"""The completion test with made-up models: what counts as an answer, exactness, power, refusals."""

import hashlib

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.completion import completion_test, count_answers
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Mode, Unit
from scipy.stats import binom

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
BY_TYPE = Marking()


def key_of(number):
    return MarkingKey(hashlib.sha256(b"key %d" % number).digest(), b"s" * 32)


def evidence_of(texts, key, marking=BY_TYPE):
    manifest = mark_texts(texts, key, marking, candidates=BROAD)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


class Answers:
    """Continues every prompt by a word drawn from a distribution over the choices at that place."""

    def __init__(self, evidence, favoured=frozenset(), silent=0.3, shape=" {}, and so on"):
        self.identity = Input(name="suspect", sha256="0" * 64)
        self.favoured, self.silent, self.shape = favoured, silent, shape
        self.choices = {
            evidence.originals[r.record][: s.start].rstrip(): s.choices
            for r in evidence.manifest.records
            for s in r.slots
        }
        self.prompts = []

    def complete(self, prompts, *, n_samples, max_new_tokens, seed):
        rng = np.random.default_rng(seed)
        self.prompts += prompts
        return [[self.one(self.choices[p], rng) for _ in range(n_samples)] for p in prompts]

    def one(self, choices, rng):
        if rng.random() < self.silent:
            return " something else"
        weights = np.array([3.0 if c.lower() in self.favoured else 1.0 for c in choices])
        return self.shape.format(rng.choice(choices, p=weights / weights.sum()))


def released_words(evidence):
    return {s.released.lower() for r in evidence.manifest.records for s in r.slots}


@pytest.fixture(scope="module")
def texts(english):
    return english[:200]


def test_a_model_that_answers_with_the_released_words_is_found(texts):
    evidence = evidence_of(texts, key_of(1))
    guilty = Answers(evidence, released_words(evidence))
    finding = completion_test(evidence, guilty, seed=1)
    assert finding.log10_p < -4
    assert finding.valid == "finite-sample"
    assert any("answers are one of the choices" in warning for warning in finding.warnings)


def test_an_innocent_model_is_seldom_accused(texts):
    """Over many keys; the model's answers are the same each time. Fails by chance once in a million."""
    base = evidence_of(texts[:30], key_of(0))
    suspect = Answers(base)
    p = []
    for number in range(100):
        manifest = base.manifest.redrawn(key_of(number))
        evidence = Evidence(manifest=manifest, originals=base.originals)
        p.append(completion_test(evidence, suspect, seed=7).p_value)
    for level in (0.05, 0.2, 0.5):
        assert np.sum(np.array(p) <= level) <= binom.ppf(1 - 1e-6, len(p), level)


def test_only_original_text_is_shown_and_its_end_is_bare(texts):
    evidence = evidence_of(texts, key_of(2))
    suspect = Answers(evidence)
    count_answers(evidence, suspect, seed=1)
    originals = list(evidence.originals.values())
    assert suspect.prompts
    for prompt in suspect.prompts[:50]:
        assert prompt == prompt.rstrip()
        assert any(text.startswith(prompt) for text in originals)


def test_counts_are_their_definition(texts):
    evidence = evidence_of(texts, key_of(3))
    suspect = Answers(evidence, silent=0.5)
    found = count_answers(evidence, suspect, seed=5, n_samples=3, per_unit=4)
    slots = {}
    for record in evidence.marked():
        for slot in record.slots:
            slots.setdefault(slot.unit, []).append(slot)
    assert found.n_asked == 3 * len(suspect.prompts)
    for name, counts, chosen in zip(found.names, found.counts, found.chosen, strict=True):
        assert counts.size == len(slots[name][0].choices)
        assert 0 < counts.sum() <= 3 * min(len(slots[name]), 4)
        assert chosen == slots[name][0].choice


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        (" {}", True),
        ("{}.", True),
        ("\n\n{} x", True),
        (" {}x", False),
        (' "{}"', False),
        ("", False),
    ],
)
def test_the_first_word_of_an_answer_counts(texts, shape, counts):
    evidence = evidence_of(texts[:60], key_of(3))
    found = count_answers(evidence, Answers(evidence, silent=0, shape=shape), seed=1)
    assert bool(found.names) == counts


def test_capitals_of_an_answer_do_not_matter(texts):
    evidence = evidence_of(texts[:60], key_of(3))

    class Shouts(Answers):
        def one(self, choices, rng):
            return super().one(choices, rng).upper()

    plain, loud = Answers(evidence), Shouts(evidence)
    one, two = (count_answers(evidence, suspect, seed=1) for suspect in (plain, loud))
    assert [c.tolist() for c in one.counts] == [c.tolist() for c in two.counts]


def test_refusals(texts):
    evidence = evidence_of(texts[:60], key_of(1))
    with pytest.raises(InsufficientEvidence, match="answers is one of the choices"):
        completion_test(evidence, Answers(evidence, silent=1.0), seed=1)
    for marking, message in (
        (Marking(unit=Unit.RECORD, ghosts=3), "answers are counted per word"),
        (Marking(mode=Mode.LEXIMARK), "no key draws anything"),
    ):
        other = evidence_of(texts[:60], key_of(1), marking)
        with pytest.raises(InvalidInput, match=message):
            completion_test(other, Answers(evidence), seed=1)
