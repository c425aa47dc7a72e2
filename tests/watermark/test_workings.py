"""The p-values of marks repeat from their workings, which hold choices and digests, but no texts."""

import hashlib

import numpy as np
import pytest
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.stats import Input, disagreements
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.completion import completion_test
from bookplate.watermark.detect import detect, detect_recipients
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.leak import leak
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.leximark import leximark_test
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.sequential import detect_sequentially
from bookplate.watermark.tables import apply_edits

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(hashlib.sha256(b"key").digest(), b"s" * 32)
MARKINGS = {
    "type": Marking(),
    "shard": Marking(unit=Unit.SHARD, shards=3),
    "slot": Marking(unit=Unit.SLOT),
    "record": Marking(unit=Unit.RECORD, ghosts=3),
}
EVERY = pytest.mark.parametrize("marking", MARKINGS.values(), ids=MARKINGS.keys())
BY_WORD = pytest.mark.parametrize(
    "marking", [MARKINGS[name] for name in ("type", "shard", "slot")], ids=["type", "shard", "slot"]
)


class Whim:
    """A suspect of a fixed whim, which answers at random."""

    def __init__(self, name="suspect", words=()):
        self.identity = Input(name=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        self.name, self.words = name, sorted(words)

    def _of(self, text):
        digest = hashlib.sha256(f"{self.name} {text}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**63 - 1

    def token_logprobs(self, sequences):
        return [np.array([self._of(text)] * 3) for text in sequences]

    def choice_logprobs(self, texts, slots):
        return [[np.array([self._of(c) for c in s.choices]) for s in places] for places in slots]

    def complete(self, prompts, *, n_samples, max_new_tokens, seed):
        rng = np.random.default_rng(seed)
        return [list(rng.choice(self.words, n_samples)) for _ in prompts]


@pytest.fixture(scope="module")
def texts(english):
    return english[:40]


def evidence_of(texts, marking):
    manifest = mark_texts(texts, KEY, marking, candidates=BROAD)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


def released_texts(evidence):
    return [apply_edits(evidence.originals[r.record], r.release_edits()) for r in evidence.marked()]


def check(finding, folder, *, beside=()):
    """The working of a finding, by way of a file; it repeats, and no text is in it."""
    write_exhibit(finding.working, folder / "T01.parquet")
    working = read_exhibit(folder / "T01.parquet")
    found = disagreements(finding, working.repeat())
    assert (found.core, found.beside) == ((), beside)
    assert all(len(label) < 100 for label in (*working.names, *working.choices))
    return working


def drawn(working):
    """Released choice of each unit, by the unit's name."""
    rows = np.flatnonzero(working.columns["chosen"])
    return {working.names[row]: working.choices[row] for row in rows}


def released_choices(evidence):
    name_of = evidence.manifest.marking.unit_name
    return {
        name_of(r.record, i, s.unit): s.released.lower()
        for r in evidence.marked()
        for i, s in enumerate(r.slots)
    }


@BY_WORD
def test_detection_by_word_repeats_and_names_what_was_drawn(texts, marking, tmp_path):
    evidence = evidence_of(texts, marking)
    working = check(detect(evidence, Whim(), references=[Whim("other")], seed=1), tmp_path)
    assert "reference_1" in working.columns  # the first one is how frequent words are
    expected = released_choices(evidence)
    assert drawn(working)
    assert all(word.lower() == expected[name] for name, word in drawn(working).items())


def test_detection_by_record_repeats_and_names_records(texts, tmp_path):
    evidence = evidence_of(texts, MARKINGS["record"])
    working = check(detect(evidence, Whim(), references=[Whim("other")], seed=1), tmp_path)
    assert working.test == "ghost"
    assert set(working.names) == {record.record for record in evidence.marked()}


def test_each_recipients_copy_repeats(texts, tmp_path):
    evidence = evidence_of(texts, MARKINGS["type"])
    for name, finding in detect_recipients(
        evidence, Whim(), key=KEY, recipients=["alice", "bob"], seed=1
    ):
        (tmp_path / name).mkdir()
        check(finding, tmp_path / name)


@EVERY
def test_detection_query_by_query_repeats(texts, marking, tmp_path):
    evidence = evidence_of(texts, marking)
    finding = detect_sequentially(evidence, Whim(), alpha=0.01, references=[Whim("other")]).finding
    working = check(finding, tmp_path)
    assert len(set(working.names)) == finding.n


@EVERY
def test_the_leak_test_repeats_but_for_its_own_effect(texts, marking, tmp_path):
    """Its effect is a share of slots, which is no function of the scores."""
    evidence = evidence_of(texts, marking)
    finding = leak(evidence, released_texts(evidence), seed=1).finding
    working = check(finding, tmp_path, beside=("effect",))
    expected = released_choices(evidence)
    assert all(word.lower() == expected[name] for name, word in drawn(working).items())


@BY_WORD
def test_the_completion_test_repeats(texts, marking, tmp_path):
    evidence = evidence_of(texts, marking)
    words = {word for r in evidence.marked() for s in r.slots for word in s.choices}
    finding = completion_test(evidence, Whim(words=words), seed=1, n_samples=200, per_unit=1)
    working = check(finding, tmp_path)
    expected = released_choices(evidence)
    assert all(word.lower() == expected[name] for name, word in drawn(working).items())


def test_the_published_comparison_repeats(texts, tmp_path):
    working = check(leximark_test(texts[:20], texts[20:], Whim()).finding, tmp_path)
    assert working.columns["from_a"].sum() == 20
    assert working.names == ()
