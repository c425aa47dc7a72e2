"""The substitution table: its rules on a tiny WordNet, and the laws of the shipped one."""

import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.candidates.opposites import SHIPPED_LIST, build_opposites
from bookplate.watermark.lexicon import Lexicon, Tier, starts_with_vowel_sound
from bookplate.watermark.lexicon.build import build_lexicon, write_lexicon
from bookplate.watermark.lexicon.contexts import Context, written_contexts
from bookplate.watermark.lexicon.lexicon import REVIEW, SCHEMA, SHIPPED_TABLE
from bookplate.watermark.lexicon.reviewed import REFUSED
from bookplate.watermark.lexicon.variants import same_word, spelling
from bookplate.watermark.lexicon.vocabulary import BANNED, FUNCTION_WORDS, TECHNICAL

WORDNETS = [folder for folder in [Path("/usr/share/wordnet")] if folder.is_dir()]

FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
SENSE_KEY = {"n": "1:00:00::", "v": "2:00:00::", "a": "3:00:00::", "r": "4:00:00::"}

# Part of speech, {word: SemCor count}, pointers, frames, gloss; a word's senses in this order.
SYNSETS = [
    ("n", {"slang": 1}, [], [], "informal language"),
    ("v", {"forgive": 40, "pardon": 5}, [], ["08 00"], "stop blaming"),
    (
        "v",
        {"quarrel": 6, "bicker": 3},
        [],
        ["08 01", "02 00"],
        "argue; only the first takes an object",
    ),
    ("n", {"vigor": 5, "vigour": 3, "vitality": 2}, [], [], "active strength"),
    ("n", {"rug": 50, "carpet": 20, "mat": 2}, [(";u", 0, "0300")], [], "a floor covering"),
    ("n", {"couch": 12, "sofa": 20}, [], [], "a seat"),
    ("n", {"couch": 60}, [], [], "a bed of soil"),
    ("n", {"painter": 9, "limner": 0}, [], [], "far rarer than the word itself"),
    ("a", {"awake(p)": 9, "sleepless": 5}, [], [], "not asleep"),
    ("a", {"eager": 9, "keen": 4}, [], [], "full of desire"),
    ("a", {"calm": 8, "tranquil": 5}, [], [], "without unrest"),
    ("n", {"calm": 1}, [], [], "a time without wind"),
    ("a", {"shiny": 9, "glossy": 4}, [], [], "reflecting light"),
    ("n", {"shiny": 1, "sequin": 1}, [], [], "never so, but it keeps the word from being sure"),
    ("a", {"bottle-green": 1}, [], [], "a phrase"),
    ("r", {"secretly": 90, "covertly": 50}, [], [], "unseen"),
    ("r", {"very": 90, "extremely": 20}, [], [], "to a high degree"),
    ("n", {"matrix": 9, "lattice": 5}, [], [], "an array"),
    ("n", {"tensor": 9, "multivector": 9}, [], [], "(mathematics) of many components"),
]


@pytest.fixture
def wordnet(tmp_path):
    """A folder in WordNet's own format that holds `SYNSETS`."""
    lines = {(kind, pos): [] for kind in ("data", "index") for pos in FILES}
    senses, counts = {}, []
    for number, (pos, words, pointers, frames, gloss) in enumerate(SYNSETS):
        lines["data", pos].append(data_line(number, pos, words, pointers, frames, gloss))
        for word, count in words.items():
            offsets = senses.setdefault((word.partition("(")[0], pos), [])
            offsets.append(f"{number:08}")
            key = f"{word.partition('(')[0]}%{SENSE_KEY[pos]}"
            counts.append(f"{key} {len(offsets)} {count}")
    for (word, pos), offsets in sorted(senses.items()):
        head = f"{word} {pos} {len(offsets)} 0 {len(offsets)} 0"
        lines["index", pos].append(f"{head} {' '.join(offsets)}  ")
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for (kind, pos), content in lines.items():
        text = "\n".join(["  1 This software and database is provided", *content])
        (folder / f"{kind}.{FILES[pos]}").write_text(f"{text}\n")
    (folder / "cntlist.rev").write_text("\n".join(counts) + "\n")
    return folder


def data_line(number, pos, words, pointers, frames, gloss):
    listed = " ".join(f"{word} 0" for word in words)
    linked = "".join(f" {symbol} {to:08} n {ends}" for symbol, to, ends in pointers)
    framed = f" {len(frames):02} " + " ".join(f"+ {frame}" for frame in frames) if frames else ""
    head = f"{number:08} 00 {pos} {len(words):02x} {listed} {len(pointers):03}{linked}{framed}"
    return f"{head} | {gloss}  "


@pytest.fixture
def pairs(wordnet):
    """(form, substitute) -> tier, of the table built from `SYNSETS`."""
    return {(form, other): tier for form, other, tier, *_ in build_lexicon(wordnet).iter_rows()}


@pytest.fixture(scope="module")
def shipped():
    return pl.read_parquet(SHIPPED_TABLE)


def test_a_form_meets_the_same_inflection_of_its_substitute(pairs):
    verbs = {pair for pair in pairs if pair[0] in {"forgive", "forgives", "forgave", "forgiven"}}
    assert verbs == {
        ("forgive", "pardon"),
        ("forgives", "pardons"),
        ("forgave", "pardoned"),
        ("forgiven", "pardoned"),
    }
    assert ("rugs", "carpets") in pairs


def test_one_string_for_two_tags_needs_one_substitute_for_both(pairs):
    """ "pardoned" is past tense and participle, and "forgive" has two forms for these."""
    assert ("pardons", "forgives") in pairs
    assert not [pair for pair in pairs if pair[0] == "pardoned"]


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        (("vigor", "vitality"), ("vigor", "vigour")),  # a mere spelling
        (("rug", "carpet"), ("rug", "mat")),  # marked as slang
        (("eager", "keen"), ("awake", "sleepless")),  # only after the noun
        (("bicker", "quarrel"), ("quarrel", "bicker")),  # no object
        (("forgive", "pardon"), ("sofa", "couch")),  # means something else too
        (("rug", "carpet"), ("painter", "limner")),  # too rare
        (("secretly", "covertly"), ("very", "extremely")),  # a function word
        (("vigor", "vitality"), ("matrix", "lattice")),  # a technical term
        (("vigor", "vitality"), ("tensor", "multivector")),  # a term by its gloss
    ],
)
def test_each_rule_refuses_its_own_pair_and_no_more(pairs, kept, refused):
    assert kept in pairs
    assert refused not in pairs


def test_dominance_decides_the_tier_of_what_nobody_read(pairs):
    """Each sense counts half more: calm is 8.5 / 10 adjective, shiny 9.5 / 11, eager all."""
    assert pairs["eager", "keen"] == "standard"
    assert pairs["calm", "tranquil"] == "broad"
    assert pairs["shiny", "glossy"] == "broad"


def test_the_strict_tier_is_what_a_reader_accepted(wordnet):
    table = build_lexicon(wordnet)
    assert table.filter(pl.col("tier") == "strict")["reviewed"].all()
    assert not table.filter(pl.col("form") == "eager")["reviewed"].any()
    rows = table.filter(pl.col("form") == "permits").select("substitute", "context").rows()
    assert rows == [("allows", written_contexts()["permits"])]


def test_two_builds_give_the_same_bytes(wordnet, tmp_path):
    files = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for file in files:
        write_lexicon(build_lexicon(wordnet), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.glob("*.part")) == []


def test_the_written_table_is_the_one_that_is_read(wordnet, tmp_path):
    path = tmp_path / "table.parquet"
    write_lexicon(build_lexicon(wordnet), path)
    lexicon = Lexicon.read(path, Tier.STANDARD)
    assert lexicon.choices("keen") == ("keen", "eager")
    assert lexicon.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wordnet_without_counts_is_refused(wordnet):
    (wordnet / "cntlist.rev").unlink()
    with pytest.raises(InvalidInput, match=r"cntlist\.rev"):
        build_lexicon(wordnet)


@pytest.mark.slow
@pytest.mark.parametrize("folder", WORDNETS)
def test_the_shipped_table_is_what_the_build_makes(folder, tmp_path):
    rebuilt = tmp_path / "lexicon.parquet"
    write_lexicon(build_lexicon(folder), rebuilt)
    assert rebuilt.read_bytes() == SHIPPED_TABLE.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("folder", WORDNETS)
def test_the_shipped_opposites_are_what_the_build_makes(folder, tmp_path):
    rebuilt = tmp_path / "opposites.txt"
    build_opposites(folder, rebuilt)
    assert rebuilt.read_bytes() == SHIPPED_LIST.read_bytes()


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("vigor", "vigour", True),
        ("analyze", "analyse", True),
        ("gray", "grey", True),
        ("judgment", "judgement", True),
        ("traveled", "travelled", True),
        ("organization", "organisation", True),
        ("geologic", "geological", True),
        ("center", "centre", True),
        ("esthetic", "aesthetic", True),
        ("exam", "examination", True),
        ("illness", "sickness", False),
        ("huge", "immense", False),
        ("begin", "commence", False),
        ("provided", "supplied", False),
        ("ponder", "wonder", True),  # one letter apart: the price of catching "phoney"
        ("big", "huge", False),
    ],
)
def test_spelling_variants_are_told_from_synonyms(left, right, same):
    assert same_word(left, right) is same_word(right, left) is same


def test_good_pairs_are_shipped():
    lexicon = Lexicon.shipped()
    assert lexicon.choices("often") == ("often", "frequently")
    assert "supplied" in lexicon.choices("provided")
    assert "started" in lexicon.choices("began")
    assert "typically" in lexicon.choices("usually")
    assert "productively" in Lexicon.shipped(Tier.STANDARD).choices("profitably")


def test_accepted_pairs_go_both_ways():
    lexicon = Lexicon.shipped()
    assert lexicon.choices("allowed") == ("allowed", "permitted")
    assert lexicon.choices("permitted") == ("permitted", "allowed")


def test_what_readers_complained_of_is_not_shipped(shipped):
    found = set(shipped.select("form", "substitute").iter_rows())
    for pair in BAD.split():
        word, other = pair.split("/")
        assert not found & {(word, other), (other, word)}


BAD = """ask/inquire spite/venom lobby/foyer swift/fleet proceeds/continues hazardous/risky
cursed/blasphemed comic/laughable imagery/imagination illegitimate/outlawed mischievous/pixilated
recommended/advocated examples/instances usage/utilization financial/fiscal"""


def test_ambiguous_forms_are_not_shipped(shipped):
    ambiguous = {"left", "saw", "building", "bank", "found", "course", "mike", "compelling"}
    assert ambiguous.isdisjoint(shipped["form"])


def test_an_inflected_form_that_is_a_word_of_its_own_needs_a_reader(shipped):
    assert {"proceeds", "cursed"}.isdisjoint(shipped["form"])


@pytest.mark.parametrize("column", ["form", "substitute"])
def test_function_words_are_not_shipped_but_where_a_reader_accepted_them(shipped, column):
    assert FUNCTION_WORDS.isdisjoint(shipped.filter(~pl.col("reviewed"))[column])


def test_no_vulgar_word_and_no_refused_pair_is_shipped(shipped):
    assert BANNED.isdisjoint(shipped["substitute"])
    unread = shipped.filter(~pl.col("reviewed"))
    assert REFUSED.isdisjoint(unread.select("form", "substitute").iter_rows())


def test_a_technical_term_changes_only_in_its_contexts(shipped):
    assert {"matrix", "array", "kernel", "function", "index", "argument"} <= TECHNICAL
    terms = shipped.filter(pl.col("form").is_in(list(TECHNICAL)))
    assert terms["reviewed"].all()
    assert (terms["context"] != "").all()


def test_no_spelling_variant_is_shipped(shipped):
    unread = shipped.filter(~pl.col("reviewed")).select("lemma", "substitute").iter_rows()
    assert [pair for pair in unread if same_word(*pair)] == []
    accepted = shipped.filter("reviewed").select("form", "substitute").iter_rows()
    assert [pair for pair in accepted if spelling(pair[0]) == spelling(pair[1])] == []


def test_shipped_participles_keep_their_ending(shipped):
    gerunds = shipped.filter(pl.col("pos") == "v", pl.col("form").str.ends_with("ing"))
    gerunds = gerunds.filter(pl.col("form") != pl.col("lemma"))
    assert gerunds.height > 100
    assert gerunds["substitute"].str.ends_with("ing").all()


def test_the_shipped_table_is_flat_sorted_and_small(shipped):
    assert shipped.schema == {**SCHEMA, **REVIEW}
    assert shipped.equals(shipped.unique(["form", "substitute"]).sort("form", "substitute"))
    assert SHIPPED_TABLE.stat().st_size < 3_000_000


def test_tiers_nest(shipped):
    strict, standard, broad = map(Lexicon.shipped, Tier)
    assert len(strict) < len(standard) < len(broad)
    for form in set(shipped["form"]):
        assert set(strict.choices(form)) <= set(standard.choices(form)) <= set(broad.choices(form))


@pytest.mark.parametrize("tier", Tier)
def test_choices_are_the_word_then_rarer_or_accepted_words_in_order(shipped, tier):
    lexicon = Lexicon.shipped(tier)
    accepted = set(shipped.filter("reviewed").select("form", "substitute").iter_rows())
    assert list(lexicon.entries()) == [lexicon.choices(form) for form in sorted(lexicon.forms)]
    for form, *others in lexicon.entries():
        assert lexicon.choices(form) == (form, *sorted(set(others)))
        assert others
        assert all(
            lexicon.surprisal(other) > lexicon.surprisal(form) or (form, other) in accepted
            for other in others
        )


def test_other_entries_make_another_lexicon_of_the_same_table():
    lexicon = Lexicon.shipped()
    other = lexicon.with_entries({"often": ("often",), "began": ("began", "often", "started")})
    assert list(other.entries()) == [("began", "often", "started"), ("often",)]
    assert other.sha256 == lexicon.sha256
    assert other.context("allow") is lexicon.context("allow")
    with pytest.raises(InvalidInput, match="first of its choices"):
        lexicon.with_entries({"often": ("began", "often")})
    with pytest.raises(InvalidInput, match="'zzz'"):
        lexicon.with_entries({"often": ("often", "zzz")})


def test_every_context_belongs_to_a_shipped_form(shipped):
    """A misspelt form would protect nothing."""
    assert set(written_contexts()) <= set(shipped["form"])


def test_a_context_says_beside_which_words_a_form_may_change():
    context = Context.read("next a an; prev! to")
    assert context.admits_before("a")
    assert not context.admits_before("the")
    assert context.admits_after("the")
    assert not context.admits_after("to")
    assert context.looks_ahead
    assert context.looks_back
    assert not Context.read("prev to").looks_ahead


@pytest.mark.parametrize("rules", ["", "next", "after a", "next a; "])
def test_a_context_that_cannot_be_read_is_refused(rules):
    with pytest.raises(ValueError, match="expected a rule"):
        Context.read(rules)


def test_an_unknown_word_has_no_choice_and_no_surprisal():
    lexicon = Lexicon.shipped()
    assert lexicon.choices("the") == ()
    assert "the" not in lexicon
    with pytest.raises(InvalidInput, match="'the'"):
        lexicon.surprisal("the")


def test_the_shipped_table_is_read_once_per_tier():
    assert Lexicon.shipped(Tier.BROAD) is Lexicon.shipped(Tier.BROAD)
    assert Lexicon.shipped(Tier.BROAD) is not Lexicon.shipped(Tier.STRICT)


def test_a_lexicon_is_frozen():
    with pytest.raises(AttributeError):
        Lexicon.shipped().tier = Tier.BROAD


ROW = ("big", "large", "strict", "big", "a", 10.0, 11.0)


def table(**columns):
    frame = pl.DataFrame([ROW], schema=SCHEMA, orient="row")
    return frame.with_columns(**columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop("substitute"), "'substitute'"),
        (table(form_surprisal=pl.lit("10")), "'form_surprisal'"),
        (table(form=pl.lit(None, pl.String)), "empty cells"),
        (table(tier=pl.lit("lax")), "lax"),
    ],
)
def test_a_malformed_table_is_refused(frame, message, tmp_path):
    path = tmp_path / "table.parquet"
    frame.write_parquet(path)
    with pytest.raises(InvalidInput, match=message) as caught:
        Lexicon.read(path)
    assert str(path) in str(caught.value)
    assert "lexicon build" in caught.value.hint


def test_a_table_may_name_accepted_pairs_and_contexts(tmp_path):
    path = tmp_path / "table.parquet"
    frequent = table(form=pl.lit("large"), substitute=pl.lit("big"), substitute_surprisal=9.0)
    frame = pl.concat([table(), frequent]).with_columns(reviewed=True, context=pl.lit("next! deal"))
    frame.write_parquet(path)
    lexicon = Lexicon.read(path)
    assert lexicon.choices("large") == ("large", "big")
    assert lexicon.context("big") == Context.read("next! deal")
    frame.with_columns(context=pl.lit("beside deal")).write_parquet(path)
    with pytest.raises(InvalidInput, match=r"'context'.*beside deal"):
        Lexicon.read(path)
    frame.with_columns(reviewed=pl.lit("yes")).write_parquet(path)
    with pytest.raises(InvalidInput, match="'reviewed'"):
        Lexicon.read(path)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    with pytest.raises(InvalidInput, match="cannot read"):
        Lexicon.read(path)
    path.write_text("form,substitute\n")
    with pytest.raises(InvalidInput, match="parquet"):
        Lexicon.read(path)


def test_an_unknown_tier_is_refused():
    with pytest.raises(InvalidInput, match="lax"):
        Lexicon.read(SHIPPED_TABLE, "lax")


def test_a_more_frequent_substitute_is_in_the_file_but_no_choice(tmp_path):
    path = tmp_path / "table.parquet"
    pl.concat([table(), table(substitute=pl.lit("huge"), substitute_surprisal=9.0)]).write_parquet(
        path
    )
    assert Lexicon.read(path).choices("big") == ("big", "large")


def test_the_marker_needs_none_of_the_libraries_that_made_the_table():
    code = (
        "import sys, bookplate.watermark.lexicon.lexicon as module; module.Lexicon.shipped();"
        "sys.exit(bool({'nltk', 'wordfreq', 'lemminflect'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


AN = """apple onion ulcer hour hourly honest honour heir umbrella under update unable unequal
unusual uninteresting unimportant unidentified ultimate utter urban usher onerous
unopened upheaval"""
A = """zebra yellow house hot use user usual utility uniform union unique unilateral unanimous unary
university european euphemism eulogy ewe one once oneself ubiquitous uranium usurp"""
UNCERTAIN = "historic herb hotel html SQL NASA yttrium xylophone ouija x naïve"


@pytest.mark.parametrize(
    ("words", "answer"), [(AN.split(), True), (A.split(), False), (UNCERTAIN.split(), None)]
)
def test_the_article_follows_the_sound(words, answer):
    assert {word: starts_with_vowel_sound(word) for word in words} == dict.fromkeys(words, answer)


def test_the_licence_holds_the_notices_that_must_travel():
    text = SHIPPED_TABLE.with_name("WORDNET-LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in text
    assert "creativecommons.org/licenses/by-sa/4.0" in text
    for source in ("SUBTLEX", "OpenSubtitles", "Google", "Leeds", "Wikipedia", "ParaCrawl"):
        assert source in text
