"""Baseline marks: exchangeable variants, byte-exact restoring, and the test that is valid for each."""

import math
import random
import unicodedata
from collections import Counter

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.baselines import (
    LOOK_ALIKES,
    TRIGGER_WORDS,
    Alphabet,
    LookAlikes,
    Pattern,
    Place,
    RandomSequence,
    Scope,
    SentenceTrigger,
    baseline_test,
    restoring_edits,
)
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.tables import apply_edits
from scipy.stats import binom, chi2

BASELINES = [
    kind(scope=scope, **options)
    for scope in Scope
    for kind, options in [
        (RandomSequence, {}),
        (RandomSequence, {"alphabet": Alphabet.ASCII, "length": 8, "place": Place.BORDER}),
        (LookAlikes, {}),
        (LookAlikes, {"pattern": Pattern.WORD}),
        (SentenceTrigger, {}),
        (SentenceTrigger, {"place": Place.START, "share": 0.5}),
    ]
]
TEXTS = [
    "",
    " ",
    "One sentence without a stop",
    "One. Two!\r\n\r\nThree? ",
    "p\u0430p has a look-alike before marking",
    "\u0301\0\x1f \u202e \U0001f600",
    "same words same words. Some more words.",
]
every_baseline = pytest.mark.parametrize("baseline", BASELINES, ids=repr)


def drawer_of(number):
    """A key made from a number, so that the tests repeat."""
    data = random.Random(number).randbytes(64)
    return MarkingKey(data[:32], data[32:]).drawer()


@pytest.fixture(scope="module")
def drawer():
    return drawer_of(1)


@every_baseline
def test_the_original_comes_back_byte_for_byte(baseline, drawer, english):
    for text in TEXTS + english[:50]:
        edits = baseline.edits(text, drawer, 4)
        variants = baseline.variants(text, drawer, 4)
        assert len(edits) == len(variants) == 5
        assert [apply_edits(text, e) for e in edits] == variants
        for e, variant in zip(edits, variants, strict=True):
            assert apply_edits(variant, restoring_edits(e, text)) == text


@every_baseline
def test_variants_depend_on_key_and_text_alone(baseline, english):
    texts = english[:40]
    ours, again, theirs = (
        [baseline.variants(text, drawer_of(key), 3) for text in texts] for key in (1, 1, 2)
    )
    assert ours == again
    assert ours != theirs
    assert baseline.dataset_variants(texts, drawer_of(1), 3) == [
        list(v) for v in zip(*ours, strict=True)
    ]
    more = [baseline.variants(text, drawer_of(1), 6)[:4] for text in texts]
    assert more == ours


@every_baseline
def test_scope_says_whether_texts_share_their_draws(baseline, drawer):
    """By dataset, what is added to one text is what is added to another; by record it is not."""
    one, two = "acehiop ACEHI", "acehiop ACEHI "
    first, second = (baseline.edits(text, drawer, 40) for text in (one, two))
    told = [[[new.strip() for _, _, new in e] for e in edits] for edits in (first, second)]
    both = [(a, b) for a, b in zip(*told, strict=True) if a and b]
    if getattr(baseline, "share", 1) < 1:
        return  # one of the two may have no sentence
    assert both
    assert all(a == b for a, b in both) == (baseline.scope is Scope.DATASET)


def feature(baseline, text, edits):
    """A number from 0 to 7 that tells variants apart and is uniform under the rule."""
    if isinstance(baseline, LookAlikes):
        replaced = {text[start] for start, _, _ in edits}
        return sum(1 << i for i, letter in enumerate("ace") if letter in replaced)
    ((_, _, new),) = edits
    if isinstance(baseline, RandomSequence):
        return baseline.alphabet.index(new.strip()[2]) % 8
    return TRIGGER_WORDS[0].index(new.split()[1]) % 8


@pytest.mark.parametrize(
    "baseline",
    [
        kind(scope=scope, **options)
        for scope in Scope
        for kind, options in [
            (RandomSequence, {}),
            (LookAlikes, {}),
            (LookAlikes, {"pattern": Pattern.WORD}),
            (SentenceTrigger, {}),
        ]
    ],
    ids=repr,
)
def test_variants_are_exchangeable(baseline):
    """Every variant has the uniform distribution of the rule, and any two are independent.

    By record over texts, by dataset over keys; each chi-square bound fails once in a million.
    """
    n, n_ghosts = 4_000, 2
    table = np.zeros((n_ghosts + 1, 8))
    pairs = np.zeros((8, 8))
    for i in range(n):
        text = f"ace {i}"
        drawer = drawer_of(0) if baseline.scope is Scope.RECORD else drawer_of(i)
        told = [feature(baseline, text, e) for e in baseline.edits(text, drawer, n_ghosts)]
        for variant, value in enumerate(told):
            table[variant, value] += 1
        pairs[told[0], told[1]] += 1
    assert np.all(((table - n / 8) ** 2 / (n / 8)).sum(axis=1) < chi2.isf(1e-6, 7))
    assert ((pairs - n / 64) ** 2 / (n / 64)).sum() < chi2.isf(1e-6, 63)


@pytest.mark.parametrize("scope", list(Scope))
def test_an_innocent_scorer_rejects_at_the_nominal_rate(scope):
    """Scores that know nothing of the key but have strong tastes: look-alikes cost, vowels please."""
    texts = [f"text number {i} of a cheap dataset" for i in range(12)]
    baseline = LookAlikes(scope=scope)
    n, rejections = 400, 0
    for key in range(n):
        variants = baseline.dataset_variants(texts, drawer_of(key), 19)
        scores = [
            [3.0 * v.count("a") - 0.1 * sum(map(ord, v)) for v in row]
            for row in zip(*variants, strict=True)
        ]
        rejections += baseline_test(scope, scores, seed=key).log10_p <= math.log10(0.05)
    assert rejections <= binom.ppf(1 - 1e-6, n, 0.05)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scorer_that_knows_the_release_is_found(scope):
    texts = [f"text number {i} of a cheap dataset" for i in range(30)]
    variants = RandomSequence(scope=scope).dataset_variants(texts, drawer_of(1), 99)
    released = set(variants[0])
    scores = [[float(v in released) for v in row] for row in zip(*variants, strict=True)]
    finding = baseline_test(scope, scores, seed=1)
    if scope is Scope.DATASET:
        assert finding.log10_p == pytest.approx(-2)
        assert finding.n == 100
    else:
        assert finding.log10_p < -10
        assert finding.n == len(texts)


def test_a_random_sequence_is_of_its_alphabet_length_and_place(drawer):
    text = "One. Two! Three?"
    end = RandomSequence(scope=Scope.RECORD, length=12).variants(text, drawer, 3)
    assert all(
        v.startswith(f"{text} ") and set(v[17:]) <= set(Alphabet.HEX) and len(v) == 29 for v in end
    )
    start = RandomSequence(
        scope=Scope.RECORD, length=12, place=Place.START, alphabet=Alphabet.ASCII
    )
    assert all(v.endswith(f" {text}") and len(v) == 29 for v in start.variants(text, drawer, 3))
    assert [len(v) for v in start.variants("", drawer, 3)] == [12] * 4


def test_borders_are_drawn_alike_and_never_split_a_sentence(drawer):
    counts = Counter()
    for i in range(2_000):
        text = f"One {i}. Two! Three?"
        edits = SentenceTrigger(scope=Scope.RECORD).edits(text, drawer, 2)
        (place,) = {e[0].start for e in edits}
        counts[place - len(str(i)) * (place > 0)] += 1
    assert set(counts) == {0, 5, 10, 17}
    assert sum((c - 500) ** 2 / 500 for c in counts.values()) < chi2.isf(1e-6, 3)


def test_a_share_of_the_texts_gets_a_sentence(drawer):
    baseline = SentenceTrigger(scope=Scope.DATASET, share=0.2)
    variants = [baseline.variants(f"text {i}", drawer, 2) for i in range(5_000)]
    marked = [len(set(v)) > 1 for v in variants]
    assert all(
        m or v == [f"text {i}"] * 3 for i, (m, v) in enumerate(zip(marked, variants, strict=True))
    )
    assert binom.ppf(1e-6, 5_000, 0.2) <= sum(marked) <= binom.ppf(1 - 1e-6, 5_000, 0.2)


def test_look_alikes_are_single_letters_of_another_alphabet():
    for old, new in LOOK_ALIKES.items():
        assert old.isascii()
        assert unicodedata.name(new).startswith("CYRILLIC")
        assert unicodedata.normalize("NFKC", new) == new
        assert old.isupper() == new.isupper()
    assert len(set(LOOK_ALIKES.values())) == len(LOOK_ALIKES)


def test_coins_hold_for_all_words_or_for_one(drawer):
    letters = LookAlikes(scope=Scope.DATASET).variants("ace ace eca", drawer, 20)
    assert all(v[:3] == v[4:7] == v[:7:-1] for v in letters)
    words = LookAlikes(scope=Scope.DATASET, pattern=Pattern.WORD).variants(
        "ace ace eca", drawer, 20
    )
    assert all(v[:3] == v[4:7] for v in words)
    assert any(v[:3] != v[:7:-1] for v in words)


def test_trigger_words_make_as_many_sentences_as_promised():
    assert [len(set(words)) for words in TRIGGER_WORDS] == [32] * 5


REFUSED = {
    "no ghosts": lambda d: RandomSequence(scope=Scope.RECORD).variants("a", d, 0),
    "no ghosts of letters": lambda d: LookAlikes(scope=Scope.RECORD).edits("a", d, 0),
    "no ghosts of words": lambda d: LookAlikes(scope=Scope.RECORD, pattern=Pattern.WORD).edits(
        "a", d, 0
    ),
    "no ghosts of sentences": lambda d: SentenceTrigger(scope=Scope.RECORD, share=0.01).edits(
        "a", d, 0
    ),
    "no ghost datasets": lambda d: LookAlikes(scope=Scope.DATASET).dataset_variants([], d, 0),
    "one string": lambda d: LookAlikes(scope=Scope.DATASET).dataset_variants("text", d, 1),
    "no length": lambda _: RandomSequence(scope=Scope.RECORD, length=0),
    "unknown scope": lambda _: RandomSequence(scope="page"),
    "unknown alphabet": lambda _: RandomSequence(scope=Scope.RECORD, alphabet="abc"),
    "unknown place": lambda _: SentenceTrigger(scope=Scope.RECORD, place="end"),
    "unknown pattern": lambda _: LookAlikes(scope=Scope.RECORD, pattern="letter"),
    "no share": lambda _: SentenceTrigger(scope=Scope.RECORD, share=0),
    "share above one": lambda _: SentenceTrigger(scope=Scope.RECORD, share=1.5),
    "test of unknown scope": lambda _: baseline_test("page", [[1.0, 2.0]], seed=1),
    "a vector of scores": lambda _: baseline_test(Scope.DATASET, [1.0, 2.0], seed=1),
    "no ghost scores": lambda _: baseline_test(Scope.DATASET, [[1.0]], seed=1),
    "scores that are no numbers": lambda _: baseline_test(Scope.DATASET, [[math.nan, 1.0]], seed=1),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_wrong_call_is_refused(call, drawer):
    with pytest.raises(InvalidInput):
        call(drawer)
