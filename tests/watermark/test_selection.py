"""Which words may change: laws on a small table made for the purpose, and speed on hostile text."""

import random
import time

import polars as pl
import pytest
from bookplate.watermark.lexicon import Lexicon
from bookplate.watermark.lexicon.lexicon import REVIEW, SCHEMA
from bookplate.watermark.selection import find_slots

# word: (surprisal, substitutes); each substitute is one bit rarer than the word.
WORDS = {
    "big": (10.0, ("enormous",)),
    "old": (10.5, ("ancient",)),
    "quick": (12.0, ("rapid", "swift")),
    "start": (9.0, ("commence",)),
    "help": (9.5, ("succour",)),
    "glad": (13.0, ("joyful",)),
    "sad": (13.0, ("sorrowful",)),
    "brave": (14.0, ("valiant",)),
}


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory):
    rows = [
        (word, other, "strict", word, "a", bits, bits + 1)
        for word, (bits, others) in WORDS.items()
        for other in others
    ]
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    return Lexicon.read(path)


def found(text, lexicon, per_sentence=5):
    return [text[s.start : s.end] for s in find_slots(text, lexicon, per_sentence=per_sentence)]


def test_a_slot_names_its_word_choices_and_surprisals(lexicon):
    (slot,) = find_slots("He was (quick).", lexicon, per_sentence=5)
    assert (slot.start, slot.end, slot.word) == (8, 13, "quick")
    assert slot.choices == ("quick", "rapid", "swift")
    assert slot.surprisals == (12.0, 13.0, 13.0)


PROTECTED = [
    "see `quick` there",
    "see ``quick`` there",
    "see `a quick\nfox` there",
    "```\nquick\n```",
    "```python\nx\n\n quick \n```",
    "```\na\n```python\n quick \n```",  # a line with words closes no fence
    "````\n```\n quick \n````",
    "~~~\nquick\n~~~",
    "  ```\n  quick\n\n  quick\n  ```",
    "> ```\n> quick\n> ```",
    "- ```\n  quick\n\n  quick\n  ```",
    "1. ```\n   quick\n\n   quick\n   ```",
    "<pre>\n quick \n\n quick \n</pre>",
    "<code> quick </code>",
    "<script type='x'> quick </script>",
    "<a title = quick >x</a>",
    "$ quick + 1 $",
    "https://example.org/quick and quick.example.org and /quick/",
    "quick@example.org <quick@example.org>",
    "quick.py quick_ _quick quick-fix quick's quick2 2quick x=quick #quick **quick**",
    "QUICK qUick QuicK",
    "they saw Quick there",
    "Mr. Quick and Dr. Quick, e.g. Quick, U.S. Quick, at 5 p.m. Quick, J. Quick, Acme Inc. Quick",
    "a list: Quick",
    ">>> quick\nquick\nquick",
    "  >>> x\n  ... quick\n  quick",
    "... quick",
    "In [1]: quick\nquick",
    "quick\u0301 quick\u200b quick\u200d quick\U0001f600 \u202equick\u202c quick\ufe0f",
    "na\u00efve\u00e9quick quickl\u00f6s",
]


@pytest.mark.parametrize("text", PROTECTED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_code_addresses_names_and_numbers_are_left_alone(text, line_end, lexicon):
    """And the prose behind them is not: protection ends where the code ends."""
    before, after = "It was brave.\n\n", "\n\nIt is glad."
    whole = (before + text + after).replace("\n", line_end)
    assert found(whole, lexicon) == ["brave", "glad"]


CODE_LINES = [
    "accumulate += the quick value",
    "total, rest = quick or old",
    "x[i].y //= quick",
    "name := quick",
    "print(quick , old )",
    "    foo.bar( quick ,",
    "run( quick );  # an old one",
    "def f( quick , old ):",
    "async def f( quick ):",
    "class Quick( quick ):",
    "from quick import quick as old , sad",
    "@decorated quick",
    "$ rm quick",
    "| quick | old |",
    "quick | old | sad",
    "quick   1   2",
    "quick\t1\told",
    "for quick in old :",
    "if quick == old :",
    "while ( quick ) {",
    "so x += quick here",
    "( quick ) -> old",
]


@pytest.mark.parametrize("line", CODE_LINES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_that_look_like_code_or_tables_are_left_alone(line, line_end, lexicon):
    whole = f"It was brave.\n{line}\nIt is glad.".replace("\n", line_end)
    assert found(whole, lexicon) == ["brave", "glad"]


@pytest.mark.parametrize(
    "line",
    [
        "the quick one (a fox) is there",
        "AR(p) models are quick to fit",
        "for example: quick ones",
        "if the following holds, be quick",
        "class of quick methods",
        "import is quick here",
        "It costs $ 5 to be quick.",
        "quick   ones",
        "one = two in a quick way, " + "and so on " * 20,
    ],
)
def test_prose_that_starts_like_code_is_prose(line, lexicon):
    assert found(f"\n{line}\n", lexicon) == ["quick"]


@pytest.fixture(scope="module")
def phrases(tmp_path_factory):
    rules = {"brave": "next the", "quick": "next! fox . #", "glad": "prev so .", "sad": "prev! so"}
    rows = [
        (word, f"{word}ish", "strict", word, "a", 10.0, 11.0, False, rule)
        for word, rule in rules.items()
    ]
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pl.DataFrame(rows, schema={**SCHEMA, **REVIEW}, orient="row").write_parquet(path)
    return Lexicon.read(path)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("admitted", "left_alone"),
    [
        ("brave the, brave\nthe, brave The", "brave; brave then; brave (the; brave"),
        ("be quick foxes", "quick fox, quick Fox! quick. quick, fox, quick (fox quick 5"),
        ("so glad, So glad; it. glad. (glad", "sorry glad; soglad glad 5 glad"),
        ("sorry sad, so, sad", "so sad, so\nsad, “so sad"),
    ],
)
def test_a_phrase_keeps_its_word(admitted, left_alone, line_end, phrases):
    words = [word.strip(".,;(") for word in admitted.split() if word.strip(".,;(") in phrases]
    assert found(admitted.replace("\n", line_end), phrases) == words
    assert found(left_alone.replace("\n", line_end), phrases) == []


def test_a_blank_line_ends_a_phrase(phrases):
    assert found("x brave\n\nthe", phrases) == []
    assert found("so\n\nsad", phrases) == ["sad"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_literal_blocks_are_left_alone(line_end, lexicon):
    text = (
        "Be quick::\n\n    quick a::\n\n        quick\n\n    quick\n\nBe glad.\n\n"
        "  Deeper::\n\n  sad at the margin\n\n::\n\n\tquick\n\nBe brave."
    )
    # "quick::" itself touches the colons, which are ordinary punctuation.
    expected = ["quick", "glad", "sad", "brave"]
    assert found(text.replace("\n", line_end), lexicon) == expected


@pytest.mark.parametrize(
    "text", ["```\nquick\n\nquick", "~~~ a\n quick", "<pre> quick \n\n quick "]
)
def test_code_that_is_never_closed_reaches_to_the_end(text, lexicon):
    assert found("It was brave.\n\n" + text, lexicon) == ["brave"]


def test_what_only_looks_like_code_is_prose(lexicon):
    assert found("an unclosed ` tick, be quick", lexicon) == ["quick"]
    assert found("```inline``` and quick", lexicon) == ["quick"]
    assert found("`one`\n\nbe quick `two`", lexicon) == ["quick"]
    assert found("3 < 4, quick, 5 \n> 4", lexicon) == ["quick"]


@pytest.mark.parametrize(
    "text",
    [
        "\t{}\t",
        "\u00a0{}\u00a0",
        "  {}  ",
        "({})",
        "“{}”",
        "‘{}’,",
        '"{}."',
        "[{}]",
        "'{}'?!",
        "{}...",
    ],
)
def test_space_and_ordinary_punctuation_may_touch_a_word(text, lexicon):
    assert found("be" + " " + text.format("quick"), lexicon) == ["quick"]


@pytest.mark.parametrize(
    "text",
    ["Quick", "So. Quick", "So? (Quick", 'He said "so." Quick', "Title\n\nQuick", "So.\r\nQuick"],
)
def test_a_capital_that_opens_a_sentence_is_kept(text, lexicon):
    (slot,) = find_slots(text, lexicon, per_sentence=5)
    assert slot.choices == ("Quick", "Rapid", "Swift")
    assert slot.word == "quick"


@pytest.mark.parametrize(
    "before",
    [
        "a ",
        "A ",
        "an ",
        "a\n",
        "a\n            ",
        "a (",
        "time\u2014a ",
        'a "',
        "a\u00a0",
        "a" + " " * 150,
    ],
)
def test_after_an_article_only_words_of_one_article_are_exchanged(before, lexicon):
    """big -> enormous would need another article; old -> ancient and quick -> rapid would not."""
    assert found(f"It is {before}big", lexicon) == []
    if len(before) < 100:
        assert found(f"It is {before}old", lexicon) == ["old"]
        assert found(f"It is {before}quick", lexicon) == ["quick"]


@pytest.mark.parametrize("before", ["the ", "ma ", "Dana ", "a very ", "an, ", "", "  "])
def test_without_an_article_any_choice_fits(before, lexicon):
    assert found(f"{before}big", lexicon) == ["big"]


def test_the_rarest_words_of_each_sentence_are_kept_the_earlier_one_of_a_tie(lexicon):
    text = "start help sad quick glad brave. big glad old\n\nhelp start big"
    assert found(text, lexicon, 1) == ["brave", "glad", "big"]
    assert found(text, lexicon, 2) == ["sad", "brave", "glad", "old", "help", "big"]
    assert found(text, lexicon, 3) == [
        "sad",
        "glad",
        "brave",
        "big",
        "glad",
        "old",
        "help",
        "start",
        "big",
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [". ", "! ", "?) ", '."\n', "...\n", "\n\n", "\n \t\n"])
def test_sentences_end_at_stops_and_blank_lines(between, line_end, lexicon):
    text = f"be quick{between}be glad".replace("\n", line_end)
    assert found(text, lexicon, 1) == ["quick", "glad"]


@pytest.mark.parametrize(
    "between", [", ", " e.g. ", " i.e. ", " vs. ", " Mr. ", " Fig. ", " U.S. ", " p. ", "\n", "; "]
)
def test_abbreviations_and_line_breaks_do_not_end_sentences(between, lexicon):
    assert found(f"be quick{between}be glad", lexicon, 1) == ["glad"]


def test_at_most_k_per_sentence_and_none_rarer_left_out(lexicon):
    """The slow twin, written from the definition, on sentences that need no judgement."""
    rng = random.Random(3)
    sentences = [[rng.choice(list(WORDS)) for _ in range(rng.randrange(1, 12))] for _ in range(300)]
    text = " ".join(f"It is {' '.join(words)}." for words in sentences)
    for k in (1, 2, 5):
        expected = []
        for words in sentences:
            order = sorted(range(len(words)), key=lambda i: (-WORDS[words[i]][0], i))
            expected += [words[i] for i in sorted(order[:k])]
        assert found(text, lexicon, k) == expected


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_do_not_matter(line_end, english):
    lexicon = Lexicon.shipped()
    for text in english[:300]:
        assert "\r" not in text
        slots = find_slots(text, lexicon, per_sentence=2)
        other = find_slots(text.replace("\n", line_end), lexicon, per_sentence=2)
        assert [(s.word, s.choices) for s in slots] == [(s.word, s.choices) for s in other]


MEGABYTE = 1_000_000
LIMIT = 4  # CPU seconds; the slowest takes 1.1, and quadratic work would take minutes
HOSTILE = {
    **{repr(c): c for c in "`(.a<\n$ \r\t':"},
    **{
        repr(c): c
        for c in [
            "`` ` ", "` ", "``\n\n", "``` a\n", "a::\n", "::\n ", ":: ", "> ", ">>> ", "... \n", "\r\n", '"(',
            ". ", "A. ", "<a ", "~~~\n", "In [", "`\n    ", "quick ", "(quick", "<pre ", "- ", "1. ",
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_megabyte_is_read_in_linear_time(unit, lexicon):
    """A word on either side makes sure that nothing is skipped."""
    text = f"be glad {unit * (MEGABYTE // len(unit))} sad"
    begin = time.process_time()
    slots = find_slots(text, lexicon, per_sentence=5)
    assert time.process_time() - begin < LIMIT
    assert slots[0].word == "glad"


@pytest.mark.parametrize(
    "text",
    [
        "".join(" " * depth + "::\n" for depth in range(600)) + "\n" * 800_000,
        " ".join("`" * k for k in range(1_400, 0, -1)),
        "<pre>" * 200_000,
        "```\n" + "``` a\n" * 160_000,
    ],
    ids=[
        "nested literal blocks",
        "ticks in descending number",
        "nested pre",
        "fences that do not close",
    ],
)
def test_nested_hostility_is_read_in_linear_time(text, lexicon):
    begin = time.process_time()
    slots = find_slots(f"be glad\n\n{text}", lexicon, per_sentence=5)
    assert time.process_time() - begin < LIMIT
    assert slots[0].word == "glad"
