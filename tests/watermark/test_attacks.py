"""Attacks: what each really does to texts, by its law; refusals; and speed on hostile text."""

import math
import random
import re
import sys
import time
import unicodedata

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.attacks import (
    ATTACKS,
    DILUTIONS,
    Attacked,
    Dilute,
    DropNearDuplicates,
    DropRepeats,
    DropSentences,
    InformedAttack,
    LowerCase,
    NormaliseSpace,
    NormaliseUnicode,
    Resubstitute,
    ShareOf,
    ShuffleSentences,
    Truncate,
    Whole,
    Wording,
)
from bookplate.watermark.attacks.sentences import sentence_spans
from bookplate.watermark.attacks.substitution import _read_both_ways
from bookplate.watermark.lexicon import Lexicon
from bookplate.watermark.lexicon.lexicon import SCHEMA
from bookplate.watermark.selection import find_slots
from scipy.stats import binom, chi2

# form: (surprisal, substitutes with theirs). "giant" may stand for two words.
TABLE = {
    "big": (10.0, {"giant": 14.0, "sizable": 15.0}),
    "great": (9.0, {"giant": 14.0}),
    "glad": (13.0, {"joyful": 15.0}),
}
GROUP_OF = {
    "big": {"big", "giant", "sizable"},
    "sizable": {"big", "giant", "sizable"},
    "great": {"great", "giant"},
    "giant": {"big", "great", "giant", "sizable"},
    "glad": {"glad", "joyful"},
    "joyful": {"glad", "joyful"},
}
ROWS_STAY = [name for name in ATTACKS if not name.startswith("drop-") or "sentences" in name]


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory):
    rows = [
        (form, other, "strict", form, "a", bits, other_bits)
        for form, (bits, others) in TABLE.items()
        for other, other_bits in others.items()
    ]
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    return Lexicon.read(path)


def words_of(text):
    return re.findall(r"\w+|\W+", text)


# --- substitution


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("of", list(ShareOf))
def test_the_share_of_words_is_replaced_where_the_table_reaches(share, of, lexicon):
    """Short texts show the random rounding: the count has the right mean and is never one off."""
    texts = [f"t{i} " + "x big y glad zzz of giant " * (1 + i % 3) for i in range(2_000)]
    attack = Resubstitute(share=share, of=of, lexicon=lexicon)
    replaced, expected = 0, 0.0
    for text, after in zip(texts, attack(texts, seed=1).texts, strict=True):
        before, now = words_of(text), words_of(after)
        changed = [(a, b) for a, b in zip(before, now, strict=True) if a != b]
        assert all(b in GROUP_OF[a] for a, b in changed)
        reached = sum(word in GROUP_OF for word in before)
        all_words = sum(word.isalpha() for word in before)
        n = min(share * (all_words if of is ShareOf.ALL else reached), reached)
        assert math.floor(n) <= len(changed) <= math.ceil(n)
        replaced += len(changed)
        expected += n
    # Each text's rounding adds a variance of at most 1/4; five standard deviations.
    assert abs(replaced - expected) <= 5 * math.sqrt(len(texts) / 4)


def test_every_other_word_of_the_group_is_as_likely(lexicon):
    texts = [f"giant {i}" for i in range(6_000)]
    after = Resubstitute(share=1, lexicon=lexicon)(texts, seed=2).texts
    counts = [sum(text.startswith(word) for text in after) for word in ("big", "great", "sizable")]
    assert sum(counts) == len(texts)
    assert sum((n - 2_000) ** 2 / 2_000 for n in counts) < chi2.isf(1e-6, 2)


def test_which_words_are_replaced_is_uniform(lexicon):
    """One of three words: each place is hit a third of the time."""
    texts = [f"glad glad glad {i}" for i in range(6_000)]
    after = Resubstitute(share=1 / 3 + 1e-12, lexicon=lexicon)(texts, seed=3).texts
    places = [[word == "joyful" for word in text.split()[:3]].index(True) for text in after]
    assert sum((places.count(place) - 2_000) ** 2 / 2_000 for place in range(3)) < chi2.isf(1e-6, 2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("glad", "joyful"),
        ("Glad", "Joyful"),
        ("GLAD", "JOYFUL"),
        ("(glad's)\r\n", "(joyful's)\r\n"),
    ],
)
def test_capitals_and_surroundings_stay(before, after, lexicon):
    attack = Resubstitute(share=1, lexicon=lexicon)
    assert attack.on_text(before, seed=1) == after
    assert attack.on_text(f"\t {before}\u00a0 x", seed=1) == f"\t {after}\u00a0 x"


@pytest.mark.parametrize(
    "text", ["glad_x", "glad2", "2glad", "glad\u0301", "gladly", "\u00e9glad", "glad\u00e9"]
)
def test_parts_of_words_are_not_replaced(text, lexicon):
    assert Resubstitute(share=1, lexicon=lexicon).on_text(text, seed=1) == text


def test_the_informed_attacker_redraws_every_slot_uniformly(lexicon):
    texts = [f"It is giant {i}." for i in range(8_000)]
    after = InformedAttack(wording=Wording.REDRAWN, lexicon=lexicon)(texts, seed=4).texts
    counts = {word: sum(f" {word} " in text for text in after) for word in GROUP_OF["giant"]}
    assert sum(counts.values()) == len(texts)
    assert sum((n - 2_000) ** 2 / 2_000 for n in counts.values()) < chi2.isf(1e-6, 3)


def test_the_informed_attacker_puts_back_the_most_frequent_word(lexicon):
    attack = InformedAttack(wording=Wording.MOST_FREQUENT, lexicon=lexicon)
    text = "Joyful that it is sizable, they were giant. `giant`"
    assert attack.on_text(text, seed=1) == "Glad that it is big, they were great. `giant`"


def test_the_informed_attacker_keeps_to_the_limit_per_sentence(lexicon):
    attack = InformedAttack(wording=Wording.MOST_FREQUENT, per_sentence=1, lexicon=lexicon)
    assert attack.on_text("joyful and giant. giant", seed=1) == "glad and giant. great"


@pytest.mark.parametrize("per_sentence", [5, None])
def test_the_informed_attacker_finds_the_slots_in_the_released_text(per_sentence, english):
    """Of the marker's slots, whatever was released, nearly all are among those it rewrites."""
    table, rng = Lexicon.shipped(), random.Random(1)
    attack = InformedAttack(wording=Wording.MOST_FREQUENT, per_sentence=per_sentence)
    n_slots = n_back = 0
    changed = []
    for text in english[:400]:
        slots = find_slots(text, table, per_sentence=5)
        released, places, end = "", [], 0
        for slot in slots:
            released += text[end : slot.start]
            places.append(len(released))
            released += rng.choice(slot.choices[1:])
            end = slot.end
        released += text[end:]
        found = find_slots(
            released, _read_both_ways(table), per_sentence=per_sentence or sys.maxsize
        )
        n_slots += len(slots)
        n_back += len({slot.start for slot in found} & set(places))
        if slots:
            changed.append(attack.on_text(released, seed=1) != released)
    assert n_slots > 100
    assert np.mean(changed) > 0.5  # the rest held the most frequent word already
    assert n_back >= 0.97 * n_slots


# --- layout


HOSTILE = {
    "nothing": "",
    "no words": " .,; \n\t",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\x9f",
    "lone combining marks": "\u0301\u0323\u0301 \u0301",
    "lone surrogate": "glad \ud800 big. So",
    "unseen between letter and mark": "a\u200b\u0301 \u202ee\u202c\u0323",
    "compatibility": "\ufb01ne \u2033 \u2011 \u00b4 \uff07 \u2026 \u3000 \u0130 \u1e9b\u0323 \uac00\u11a8",
    "quotes and dashes": "“It’s” ‘a’ «b» – c — d − e",
    "line ends": " a \r\n\r\n\r\n b\r c \u2028 d\x0b\x0c e \n \n\n f\t\t g ",
}
IDEMPOTENT = [LowerCase(), NormaliseUnicode(), NormaliseSpace(), NormaliseSpace(keep_lines=True)]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("attack", IDEMPOTENT, ids=repr)
def test_normalising_twice_is_normalising_once(attack, text, english):
    for each in (text, text + english[0]):
        once = attack.on_text(each, seed=0)
        assert attack.on_text(once, seed=0) == once


@pytest.mark.parametrize("attack", IDEMPOTENT, ids=repr)
def test_normalising_is_idempotent_on_random_characters(attack):
    rng = random.Random(1)
    odd = [
        c
        for c in map(chr, range(0x3100))
        if unicodedata.normalize("NFKC", f"{c}\u0301") != f"{c}\u0301"
    ]
    odd += [c for c in map(chr, range(0x3100)) if unicodedata.combining(c) or c.isspace()]
    for _ in range(2_000):
        once = attack.on_text("".join(rng.choices(odd, k=12)), seed=0)
        assert attack.on_text(once, seed=0) == once


def test_unicode_becomes_plain():
    attack = NormaliseUnicode()
    assert (
        attack.on_text("“It\u2019s” \ufb01ne\u00ad \u2013 a\u200bb\u00a0c", seed=0)
        == '"It\'s" fine - ab c'
    )
    assert attack.on_text("p\u0430p", seed=0) == "p\u0430p"  # a look-alike is another letter


@pytest.mark.parametrize("n", [1, 31, 32, 40, 200])
def test_long_runs_of_marks_are_normalised_as_unicode_says(n):
    """The fast path against Python's own, which is quadratic here."""
    rng = random.Random(n)
    marks = "\u0301\u0323\u0308\u0327\u0345\u0344\u0f73\u0f71\uff9e\u3099\u20ac\u4e00\u00a8\u1e9b"
    for _ in range(100):
        text = "e" + "".join(rng.choices(marks, k=n)) + rng.choice(["", "a", "\uff76"])
        assert NormaliseUnicode().on_text(text, seed=0) == unicodedata.normalize("NFKC", text)


def test_white_space_becomes_plain():
    text = "  a\t b \r\n\r\n\r\n\r\n c\rd\u00a0e \n"
    assert NormaliseSpace().on_text(text, seed=0) == "a b c d e"
    assert NormaliseSpace(keep_lines=True).on_text(text, seed=0) == "a b\n\n c\nd e"


@pytest.mark.parametrize(("share", "kept"), [(0.1, 3), (0.5, 15), (0.51, 16), (1.0, 30), (1e-6, 1)])
def test_truncation_keeps_the_beginning(share, kept):
    text = "\u0301" + "abcdefgh\r\n" * 2 + "abcdefgh\n"
    assert Truncate(share=share).on_text(text, seed=0) == text[:kept]
    assert Truncate(characters=kept).on_text(text, seed=0) == text[:kept]
    assert Truncate(share=share).on_text("", seed=0) == ""


# --- sentences


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_sentences_are_dropped_at_the_rate_asked_for(share):
    sentences = [f"This is no. {i} of them." for i in range(20)]
    texts = [f"{i} x! " + "  ".join(sentences) for i in range(300)]
    n = sum(len(sentence_spans(text)) for text in texts)
    kept = sum(
        len(sentence_spans(text)) for text in DropSentences(share=share)(texts, seed=1).texts
    )
    assert binom.ppf(1e-6, n, 1 - share) <= kept <= binom.ppf(1 - 1e-6, n, 1 - share)


def test_what_is_left_keeps_order_and_bytes():
    text = " One.  Two!\r\n\r\nThree? \u201cFour.\u201d Five"
    sentences = ["One.", "Two!", "Three?", "\u201cFour.\u201d", "Five"]
    assert [text[a:b] for a, b in sentence_spans(text)] == sentences
    for seed in range(200):
        left = DropSentences(share=0.6).on_text(text, seed=seed)
        kept = [s for s in sentences if s in left]
        assert kept
        assert [left[a:b] for a, b in sentence_spans(left)] == kept
        assert re.fullmatch(r"\s*".join(map(re.escape, ["", *kept, ""])), left)


def test_shuffling_moves_sentences_and_nothing_else():
    text = " One.  Two!\r\n\r\nThree? "
    seen = set()
    for seed in range(2_000):
        after = ShuffleSentences().on_text(text, seed=seed)
        words = after.split()
        assert sorted(words) == ["One.", "Three?", "Two!"]
        assert re.sub(r"\S+", "", after) == re.sub(r"\S+", "", text)
        seen.add(tuple(words))
    assert len(seen) == 6


# --- duplicates


def slow_ngrams(text, n):
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def slow_repeats(texts, n):
    seen, kept = set(), []
    for row, text in enumerate(texts):
        grams = set(slow_ngrams(text, n))
        if not grams & seen:
            kept.append(row)
            seen |= grams
    return tuple(kept)


def slow_near(texts, n, threshold):
    kept = []
    sets = []
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())
        grams = set(slow_ngrams(text, n)) or ({tuple(words)} if words else set())
        if all(len(grams & other) / len(grams | other) < threshold for other in sets if grams):
            kept.append(row)
            sets.append(grams)
    return tuple(kept)


def related_texts(rng, n):
    """Random texts over few words, many of them made from earlier ones."""
    texts = []
    for _ in range(n):
        words = [rng.choice("abcdefgh") for _ in range(rng.randrange(0, 25))]
        if texts and rng.random() < 0.6:
            words = rng.choice(texts).split()
            for _ in range(rng.randrange(4)):
                if words:
                    words[rng.randrange(len(words))] = rng.choice("abcdefghXYZ")
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_repeats_are_those_of_the_definition(n):
    rng = random.Random(n)
    for _ in range(20):
        texts = related_texts(rng, 40)
        attacked = DropRepeats(words=n)(texts, seed=0)
        assert attacked.rows == slow_repeats(texts, n)
        assert attacked.texts == tuple(texts[row] for row in attacked.rows)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_near_duplicates_are_those_of_the_definition(n, threshold):
    rng = random.Random(n)
    for _ in range(20):
        texts = related_texts(rng, 40)
        attacked = DropNearDuplicates(words=n, threshold=threshold)(texts, seed=0)
        assert attacked.rows == slow_near(texts, n, threshold)
        assert attacked.texts == tuple(texts[row] for row in attacked.rows)


def test_repeated_passages_are_cut_out_up_to_the_next_word():
    texts = [
        "Zero. One two three four.",
        "Yes: (one) TWO, three!  four five?",
        "one two three four.",
        "one two three",
    ]
    attacked = DropRepeats(words=4, whole=Whole.PASSAGE)(texts, seed=0)
    assert attacked.texts == (texts[0], "Yes: (five?", texts[3])
    assert attacked.rows == (0, 1, 3)


def test_after_cutting_passages_no_ngram_of_the_rest_was_met_before():
    """Except across a cut, where words meet that did not before."""
    rng = random.Random(3)
    texts = [" ".join(str(rng.randrange(6)) for _ in range(30)) for _ in range(60)]
    n = 4
    seen = set()
    attacked = DropRepeats(words=n, whole=Whole.PASSAGE)(texts, seed=0)
    left = dict(zip(attacked.rows, attacked.texts, strict=True))
    for row, text in enumerate(texts):
        grams = slow_ngrams(text, n)
        covered = {j for i, gram in enumerate(grams) if gram in seen for j in range(i, i + n)}
        rest = [word for j, word in enumerate(text.split()) if j not in covered]
        assert left.get(row, "").split() == rest
        seen |= set(grams)


def test_planted_near_duplicates_among_ten_thousand_texts_are_found_and_no_others():
    rng = random.Random(5)
    vocabulary = [f"w{i}" for i in range(3_000)]
    header = " ".join(rng.choices(vocabulary, k=30))  # shared by all: similar in part is not near
    texts = [f"{header} {' '.join(rng.choices(vocabulary, k=120))}" for _ in range(9_500)]
    planted = []
    for row in rng.sample(range(9_500), 500):
        words = texts[row].split()
        words[rng.randrange(40, 140)] = "other"  # 5 of 146 n-grams change: similarity 141 / 151
        planted.append(" ".join(words).upper())
    begin = time.process_time()
    attacked = DropNearDuplicates()(texts + planted, seed=0)
    assert time.process_time() - begin < 15  # takes 2 s; all pairs would take minutes
    assert attacked.rows == tuple(range(9_500))
    assert DropRepeats(words=5)(texts, seed=0).rows == (0,)


def test_identical_texts_are_quickly_one():
    begin = time.process_time()
    assert DropNearDuplicates()(["a b c d e f g h"] * 20_000, seed=0).rows == (0,)
    assert time.process_time() - begin < 10


# --- dilution


@pytest.mark.parametrize("share", [1.0, 0.3, 0.1, 0.03])
def test_dilution_reaches_the_marked_share(share):
    texts, unmarked = [f"m{i}" for i in range(50)], [f"u{i}" for i in range(2_000)]
    attack = Dilute(marked_share=share)
    attacked = attack(texts, unmarked, seed=1)
    assert len(attacked.texts) == 50 + attack.needed(50)
    assert abs(50 / len(attacked.texts) - share) < 0.001
    rows = [row for row in attacked.rows if row is not None]
    assert sorted(rows) == list(range(50))
    assert share == 1 or rows != list(range(50))
    others = [t for t, row in zip(attacked.texts, attacked.rows, strict=True) if row is None]
    assert len(set(others)) == len(others)
    assert set(others) <= set(unmarked)
    assert all(
        texts[r] == t for t, r in zip(attacked.texts, attacked.rows, strict=True) if r is not None
    )
    assert attack(texts, unmarked, seed=1) == attacked
    assert attack(texts, unmarked, seed=2) != attacked


# --- all of them


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_a_function_of_texts_and_seed(name, english):
    texts = [*english[:60], *english[:5], *HOSTILE.values(), *["\udcff x"] * 2]
    attack = ATTACKS[name]
    attacked = attack(texts, seed=7)
    assert attack(texts, seed=7) == attacked
    assert attack([], seed=7) == Attacked(texts=(), rows=())
    if name in ROWS_STAY:
        assert attacked.rows == tuple(range(len(texts)))
        backwards = attack(texts[::-1], seed=7)
        assert backwards.texts == attacked.texts[::-1]
        assert all(
            after or not text.strip() for text, after in zip(texts, attacked.texts, strict=True)
        )
    else:
        assert all(isinstance(row, int) for row in attacked.rows)
        assert list(attacked.rows) == sorted(set(attacked.rows))


@pytest.mark.parametrize(
    "name",
    [n for n in ATTACKS if n.startswith(("resub", "informed-redraw", "drop-sent", "shuffle"))],
)
def test_another_seed_attacks_otherwise(name, english):
    assert ATTACKS[name](english[:200], seed=1) != ATTACKS[name](english[:200], seed=2)


@pytest.mark.parametrize("name", [n for n in ATTACKS if n.startswith(("resub", "informed"))])
def test_substitution_changes_words_only(name, english):
    texts = english[:200]
    attacked = ATTACKS[name](texts, seed=1).texts
    for text, after in zip(texts, attacked, strict=True):
        between = re.compile(r"[A-Za-z]+")
        assert between.sub("w", text) == between.sub("w", after)
    assert attacked != tuple(texts)


MEGABYTE = 1_000_000
SAME_WORK = {n for n in ATTACKS if "30" in n or "50" in n.partition("truncate")[0]}
LIMIT = 3  # CPU seconds; the slowest takes 1.2, and quadratic work would take minutes
UNITS = [
    "x",
    "\u0301",
    "\u0301\u0323",
    "\0",
    " ",
    "\r\n",
    "a.b.",
    ". ",
    "’—",
    "\uff9e\u0323",
    "\x1c\x85",
    "漢",
]


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_hostile_megabyte_is_attacked_in_linear_time(unit):
    text = f"be glad {unit * (MEGABYTE // len(unit))} big"
    for name in sorted(set(ATTACKS) - SAME_WORK):
        begin = time.process_time()
        ATTACKS[name]([text], seed=1)
        assert time.process_time() - begin < LIMIT, name


def test_a_million_characters_without_spaces_take_less_than_a_second():
    text = "x" * MEGABYTE
    for name, attack in ATTACKS.items():
        begin = time.process_time()
        assert attack([text], seed=1).texts in {(text,), (text[:500],), (text[:500_000],)}
        assert time.process_time() - begin < 1, name


REFUSED = {
    "no share": lambda: Resubstitute(share=0),
    "negative share": lambda: Resubstitute(share=-0.1),
    "more than all": lambda: Resubstitute(share=1.1),
    "share is no number": lambda: Resubstitute(share=math.nan),
    "unknown base": lambda: Resubstitute(share=0.1, of="most"),
    "unknown wording": lambda: InformedAttack(wording="best"),
    "no slots": lambda: InformedAttack(wording=Wording.REDRAWN, per_sentence=0),
    "drop nothing": lambda: DropSentences(share=0),
    "drop everything": lambda: DropSentences(share=1),
    "no length": Truncate,
    "two lengths": lambda: Truncate(characters=3, share=0.5),
    "nothing left": lambda: Truncate(characters=0),
    "no share of text": lambda: Truncate(share=0.0),
    "no words in n-gram": lambda: DropRepeats(words=0),
    "unknown whole": lambda: DropRepeats(whole="page"),
    "no words in shingle": lambda: DropNearDuplicates(words=0),
    "no similarity": lambda: DropNearDuplicates(threshold=0),
    "no marked share": lambda: Dilute(marked_share=0),
    "too few unmarked": lambda: Dilute(marked_share=0.1)(["a"], ["b"] * 8, seed=1),
    "one string": lambda: LowerCase()("text", seed=1),
    "one string to compare": lambda: DropRepeats()("text", seed=1),
    "one string for near": lambda: DropNearDuplicates()("text", seed=1),
    "one string to dilute": lambda: Dilute(marked_share=1)("text", [], seed=1),
    "no seed": lambda: ShuffleSentences()(["text"], seed=None),
    "half a seed": lambda: Resubstitute(share=0.1)(["text"], seed=0.5),
    "rows and texts differ": lambda: Attacked(texts=("a",), rows=()),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_wrong_call_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_the_names_of_the_standard_settings_say_their_parameters():
    assert ATTACKS["resubstitute-30"] == Resubstitute(share=0.3)
    assert {name: a.marked_share for name, a in DILUTIONS.items()} == {
        "dilute-to-30": 0.3,
        "dilute-to-10": 0.1,
        "dilute-to-3": 0.03,
    }
