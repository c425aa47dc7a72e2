"""The published mode: deterministic, rarest substitutes, two sets of texts compared."""

import hashlib

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.detect import detect
from bookplate.watermark.embed import mark_text, mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.leximark import leximark_test, refuse_unfit_sets, released_texts
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.selection import Budget, rarest_within, to_the_rarest

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
RARER = LexiconSource(Lexicon.shipped(Tier.BROAD), rarer_only=True)
PUBLISHED = Marking(mode=Mode.LEXIMARK)
KEY, OTHER_KEY = (MarkingKey(bytes([i]) * 32, b"s" * 32) for i in (1, 2))


class Remembers:
    """A suspect that finds the texts it knows a little likelier."""

    def __init__(self, known=(), bonus=0.3):
        self.identity = Input(name="suspect", sha256="0" * 64)
        self.known, self.bonus = set(known), bonus

    def token_logprobs(self, sequences):
        scores = []
        for text in sequences:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
            tokens = np.random.default_rng(seed).normal(-4, 2, size=len(text.split()))
            scores.append(tokens + self.bonus * (text in self.known))
        return scores


@pytest.fixture(scope="module")
def evidence(english):
    texts = english[:200]
    manifest = mark_texts(texts, KEY, PUBLISHED, candidates=RARER)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


@pytest.fixture(scope="module")
def held_out(english):
    texts = english[200:400]
    manifest = mark_texts(texts, KEY, PUBLISHED, candidates=RARER)
    return released_texts(
        Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})
    )


def test_every_word_becomes_its_rarest_substitute(evidence):
    lexicon = Lexicon.shipped(Tier.BROAD)
    slots = [slot for record in evidence.manifest.records for slot in record.slots]
    assert len(slots) > 100
    for slot in slots:
        choices = lexicon.choices(slot.original.lower())
        rarest = max(choices, key=lexicon.surprisal)
        assert slot.released.lower() == rarest
        assert slot.surprisals[1] > slot.surprisals[0]
        assert (len(slot.choices), slot.choice) == (2, 1)


def test_the_key_changes_nothing(english):
    for text, slots in zip(english[:50], RARER.slots(english[:50]), strict=True):
        one, two = (mark_text(text, slots, k.drawer(), PUBLISHED) for k in (KEY, OTHER_KEY))
        assert one == two


def test_released_texts_that_are_known_are_found(evidence, held_out):
    known = released_texts(evidence)
    result = leximark_test(known, held_out, Remembers(known))
    assert result.finding.log10_p < -3
    assert result.roc.auroc.low > 0.5
    assert [point.target_fpr for point in result.roc.at_fpr] == [0.05, 0.01]
    assert any("one distribution" in text for text in result.finding.assumptions)
    assert any("assumes both sets" in text for text in result.finding.warnings)
    assert result.finding.n == len(known) + len(set(held_out))


def test_what_nobody_knows_is_not_found(evidence, held_out):
    result = leximark_test(released_texts(evidence), held_out, Remembers())
    assert result.finding.p_value > 0.001
    assert result.roc.auroc.low < 0.5 < result.roc.auroc.high


def test_each_distinct_text_counts_once(evidence, held_out):
    known = released_texts(evidence)
    once = leximark_test(known, held_out, Remembers(known)).finding
    assert leximark_test(known * 3, held_out * 2, Remembers(known)).finding == once


def test_refusals(evidence, held_out):
    known = released_texts(evidence)
    with pytest.raises(InvalidInput, match="1 of the held-back texts are among the released"):
        leximark_test(known, [*held_out, known[0]], Remembers())
    with pytest.raises(InsufficientEvidence, match="only 1 held-back texts could be scored"):
        leximark_test(known, held_out[:1], Remembers())
    with pytest.raises(InvalidInput, match="no key draws anything"):
        detect(evidence, Remembers(), seed=1)
    with pytest.raises(InvalidInput, match="it has no unit 'slot'"):
        Marking(mode=Mode.LEXIMARK, unit=Unit.SLOT)


def test_texts_that_were_not_marked_alike_are_refused(evidence, held_out, english):
    """Any model tells marked from unmarked texts; an innocent one would be accused."""
    refuse_unfit_sets(evidence, held_out)
    with pytest.raises(InvalidInput, match="more held-back than released texts have words"):
        refuse_unfit_sets(evidence, english[200:400])
    keyed = mark_texts(english[:60], KEY, Marking(), candidates=BROAD)
    other = Evidence(manifest=keyed, originals={digest_of(text): text for text in english[:60]})
    with pytest.raises(InvalidInput, match="was marked with a key"):
        refuse_unfit_sets(other, held_out)


def test_recipients_of_one_text_cannot_be_told_apart(english):
    with pytest.raises(InvalidInput, match="nobody could be traced"):
        mark_texts(english[:60], KEY, PUBLISHED, recipient="Alice", candidates=BROAD)


def test_the_rarest_are_taken_among_the_words_that_have_a_rarer_substitute(english):
    """A word that could only become more frequent does not use up a place of its sentence."""
    one = Budget(per_sentence=1)
    table = Lexicon.shipped(Tier.BROAD)
    source = LexiconSource(table, budget=one, rarer_only=True)
    (slots,) = source.slots(["She commenced the big movie."])
    free = LexiconSource(table, budget=Budget(per_sentence=None)).slots(english[:200])
    for text, found, every in zip(english[:200], source.slots(english[:200]), free, strict=True):
        rarer = to_the_rarest(every)
        assert [s.start for s in found] == [
            s.start for s in rarest_within(one, text, rarer, lambda s: s.surprisals[0])
        ]
        assert all(min(s.surprisals[1:]) > s.surprisals[0] for s in found)
    assert {s.word for s in slots} <= {"big", "movie", "commenced"}
