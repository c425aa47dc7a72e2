"""Marking and restoring: every byte comes back, and nothing but the key decides."""

import csv
import io
import json
import random
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput, VerificationError
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed, mark_texts, original_texts, restore
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier, starts_with_vowel_sound
from bookplate.watermark.lexicon.lexicon import SCHEMA, SHIPPED_TABLE
from bookplate.watermark.manifest import Manifest, digest_of
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.selection import find_slots
from bookplate.watermark.tables import Edit, apply_edits, read_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
OTHER_KEY = MarkingKey(bytes(range(200, 232)), b"s" * 32)
BY_TYPE = Marking(unit=Unit.TYPE)
BY_RECORD = Marking(unit=Unit.RECORD, ghosts=3)
MARKINGS = pytest.mark.parametrize("marking", [BY_TYPE, BY_RECORD], ids=["type", "record"])
FORMATS = pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
CORPORA = [
    path
    for name in ("movie_reviews.parquet", "state_union.parquet")
    if (path := Path(__file__).parents[2].resolve().parent / "shared" / "corpora" / name).is_file()
]

SURE = "They worked profitably, and the couple were prospering."
KEY = next(  # one that changes SURE by type
    key
    for key in (MarkingKey(bytes(range(i, i + 32)), b"s" * 32) for i in range(100))
    if mark_texts([SURE], key, BY_TYPE, candidates=BROAD).records[0].release_edits()
)
HOSTILE = [
    "",
    " ",
    "\n",
    SURE,
    SURE,
    SURE.replace(" ", "\r\n"),
    SURE.replace(" ", "\t"),
    SURE.replace(" ", "  "),
    SURE.replace(" ", "\u00a0"),
    SURE.replace(" ", "\u3000"),
    f"{SURE}\r{SURE}\n\r{SURE}\u2028{SURE}\x0b\x0c\x1c{SURE}\x85{SURE}",
    "profitably\u0301 profitably\u200b \u200bprofitably profitably\u200d \ufeffprofitably profitably.",
    "\U0001f600 profitably \U0001f468\u200d\U0001f469\u200d\U0001f467 profitably e\u0301 profitably",
    "\u202eprofitably\u202c \u05e9\u05dc\u05d5\u05dd profitably \u0645\u0631 profitably \u2067x\u2069",
    "```\nprofitably\n```\n" + SURE,
    SURE + "\n\n```python\nprofitably = 1\n\nprofitably",
    ">>> profitably\nprofitably\n\n" + SURE,
    "`profitably` ``profitably`` `profitably " + SURE,
    "See https://profitably.example/profitably?a=profitably, me@profitably.org. " + SURE,
    'Quotes "profitably", ""profitably"", \\ \\n \\u0041 / \\/ , ; \' profitably',
    "\0\x01\x1f\x7f profitably \ud7ff\ue000\uffff\U0010ffff",
    "PROFITABLY Profitably pRofitably profitably. Profitably",
    "a profitably an profitably a\n          profitably",
    "=1+1, @x, -profitably, +profitably",
    "word " * 200_000 + "profitably",
    "x" * 1_000_000 + " profitably",
]


def write_source(path, texts):
    """A file in the format of its ending, with more columns than the texts."""
    match path.suffix:
        case ".parquet":
            columns = {
                "n": range(len(texts)),
                "text": texts,
                "l": [[i, None] for i in range(len(texts))],
            }
            pl.DataFrame(columns).write_parquet(path)
        case ".jsonl":
            lines = [
                json.dumps({"n": i, "text": text, "x": "caf\u00e9"}, ensure_ascii=bool(i % 2))
                for i, text in enumerate(texts)
            ]
            path.write_bytes("\n".join(lines).encode())
        case ".csv":
            buffer = io.StringIO(newline="")
            csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([
                ("n", "text"),
                *((i, text) for i, text in enumerate(texts)),
            ])
            path.write_bytes(buffer.getvalue().encode())
    return path


def marked(folder, source, key=KEY, marking=BY_TYPE, **options):
    """Embed and return the released file and the manifest."""
    embed(source, folder / "out", key, marking, **{"candidates": BROAD, **options})
    return folder / "out" / "release" / source.name, folder / "out" / "private" / "manifest.parquet"


def assert_restored(folder, source, released, manifest):
    back = folder / f"back{source.suffix}"
    assert restore(released, manifest, back) == len(read_table(source).texts)
    if source.suffix == ".parquet":
        original, restored = pl.read_parquet(source), pl.read_parquet(back)
        assert restored.schema == original.schema
        assert restored.equals(original, null_equal=True)
    else:
        assert back.read_bytes() == source.read_bytes()


@FORMATS
@MARKINGS
def test_hostile_text_comes_back_byte_for_byte(tmp_path, ending, marking):
    source = write_source(tmp_path / f"data{ending}", HOSTILE)
    released, manifest = marked(tmp_path, source, marking=marking)
    assert released.read_bytes() != source.read_bytes()
    assert_restored(tmp_path, source, released, manifest)


@MARKINGS
def test_real_english_comes_back_and_changes_only_in_its_slots(tmp_path, english, marking):
    source = write_source(tmp_path / "data.jsonl", english)
    released, path = marked(tmp_path, source, marking=marking)
    assert_restored(tmp_path, source, released, path)
    records = Manifest.read(path).by_original()
    changed = 0
    for original, text in zip(english, read_table(released).texts, strict=True):
        edits = records[digest_of(original)].release_edits()
        changed += len(edits)
        assert apply_edits(original, edits) == text
        old, new = re.split(r"(\s+)", original), re.split(r"(\s+)", text)
        assert old[1::2] == new[1::2]
        differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(differing) == len(edits)
        assert all(
            re.sub(r"[a-z]+", "", a, flags=re.I) == re.sub(r"[a-z]+", "", b, flags=re.I)
            for a, b in differing
        )
        for edit in edits:
            before, after = original[edit.start : edit.end], edit.replacement
            assert before.isalpha()
            assert after.isalpha()
            assert before[0].isupper() == after[0].isupper()
            article = re.search(
                r"(?<!\w)(an?)\s+$", original[max(edit.start - 60, 0) : edit.start], re.I
            )
            if article:
                assert starts_with_vowel_sound(after) == starts_with_vowel_sound(before)
    assert changed > 1_000


@pytest.mark.parametrize("source", ["docstrings", *CORPORA], ids=lambda source: Path(source).name)
def test_whole_corpora_come_back_from_parquet(tmp_path, english, source):
    """The shared corpora where they are at hand, and docstrings anywhere."""
    if source == "docstrings":
        source = write_source(tmp_path / "docstrings.parquet", english)
    marking = BY_RECORD if source.stat().st_size < 1_000_000 else BY_TYPE
    released, manifest = marked(tmp_path, source, marking=marking)
    assert_restored(tmp_path, source, released, manifest)


FORMS = sorted(set(pl.read_parquet(SHIPPED_TABLE)["form"]))[::7]
JUNK = [
    *[" ", "  ", "\n", "\r\n", "\r", "\t", "\n\n", "\u00a0", "\u2028", "\x85", "\0", "\ufeff", "\u200b"],
    *[". ", ".", ",", "! ", "(", ")", '"', '""', "'", "`", "``", "```", "```\n", "~~~", ">>> ", "In [1]: "],
    *["::\n\n    ", "<b>", "<", ">", "$", "\\", "\\u0041", "/", "a ", "an ", "e.g. ", "Mr. ", "- ", "{}"],
    *["[]", "\u0301", "\u202e", "\U0001f600", "\u00e9", "http://x.y/", "me@x.org", "1,234.5"],
]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from(FORMS).map(lambda word: f" {word} "),
    st.sampled_from(FORMS).map(lambda word: f" {word.capitalize()} "),
    st.sampled_from(FORMS),
    st.sampled_from(JUNK),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
TEXTS = st.lists(st.lists(PIECES, max_size=25).map("".join), max_size=5).map(
    lambda texts: [SURE, *texts]
)
MARKING = st.sampled_from([BY_TYPE, BY_RECORD, Marking(unit=Unit.SLOT)])


def round_trip(name, content, marking):
    """Mark and restore one file of these bytes."""
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        (folder / name).write_bytes(content)
        thirds = len(content) // 3 + 1
        released, manifest = marked(folder, folder / name, marking=marking, piece_bytes=thirds)
        assert_restored(folder, folder / name, released, manifest)
        return read_table(released).texts


@settings(deadline=None, max_examples=60)
@given(TEXTS, MARKING)
def test_any_parquet_comes_back(texts, marking):
    buffer = io.BytesIO()
    pl.DataFrame({"text": texts, "other": texts[::-1]}).write_parquet(buffer)
    round_trip("data.parquet", buffer.getvalue(), marking)


@settings(deadline=None, max_examples=60)
@given(TEXTS, MARKING, st.data())
def test_any_jsonl_comes_back(texts, marking, data):
    """Every way to write a character but the plain letters, any spacing, line ends, and a mark of order."""
    rng = data.draw(st.randoms(use_true_random=False))

    def written(character):
        styles = [json.dumps(character, ensure_ascii=False)[1:-1]]
        if not (character.isascii() and character.isalpha()):
            units = character.encode("utf-16-be")
            escaped = [f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)]
            styles += ["".join(escaped), "".join(e[:2] + e[2:].upper() for e in escaped)]
            styles += ["\\/"] * (character == "/")
        return rng.choice(styles)

    lines = [rng.choice(["", "\ufeff"])]
    for number, text in enumerate(texts):
        space = rng.choice(["", " ", "\t "])
        value = '"' + "".join(map(written, text)) + '"'
        members = [
            f'"text"{space}:{space}{value}',
            f'"n":{number}',
            '"o":{"text":"profitably\\u00e9"}',
        ]
        rng.shuffle(members)
        blank = rng.choice(["", "\n", " \r\n"])
        lines.append("{" + f"{space},".join(members) + "}" + rng.choice(["\n", "\r\n"]) + blank)
    content = "".join(lines)
    if rng.random() < 0.5:
        content = content.rstrip()
    released = round_trip("data.jsonl", content.encode(), marking)
    assert len(released) == len(texts)


@settings(deadline=None, max_examples=60)
@given(TEXTS, MARKING, st.data())
def test_any_csv_comes_back(texts, marking, data):
    """Quoted or not, line by line, with any line end, blank lines, and a mark of order."""
    rng = data.draw(st.randoms(use_true_random=False))

    def written(value):
        plain = not any(c in value for c in ',"\r\n')
        return value if plain and rng.random() < 0.5 else '"' + value.replace('"', '""') + '"'

    content = rng.choice(["", "\ufeff"])
    for number, text in [("n", "text"), *enumerate(texts)]:
        content += f"{written(str(number))},{written(text)}" + rng.choice([
            "\n",
            "\r\n",
            "\r",
            "\n\n",
        ])
    if rng.random() < 0.5:
        content = content.rstrip("\r\n")
    assert len(round_trip("data.csv", content.encode(), marking)) == len(texts)


@MARKINGS
@FORMATS
def test_same_key_and_input_give_the_same_bytes(tmp_path, english, marking, ending):
    source = write_source(tmp_path / f"data{ending}", english[:60])
    for run in ("one", "two"):
        embed(source, tmp_path / run, KEY, marking, id_column="n", candidates=BROAD)
    files = sorted(
        p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()
    )
    names = [str(name) for name in files]
    assert names == ["private/manifest.parquet", f"release/data{ending}", "release/release.json"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@MARKINGS
def test_the_order_of_the_records_does_not_matter(tmp_path, english, marking):
    """Each record's released text, the manifest's bytes and its root are those of the shuffled dataset."""
    texts = [*english[:150], *english[:20]]
    ids = [f"id {i}" for i in range(len(texts))]
    order = list(range(len(texts)))
    random.Random(8).shuffle(order)
    released, roots, manifests = {}, set(), set()
    for run, rows in (("one", range(len(texts))), ("two", order)):
        frame = pl.DataFrame({"text": [texts[i] for i in rows], "id": [ids[i] for i in rows]})
        (tmp_path / run).mkdir()
        frame.write_parquet(tmp_path / run / "data.parquet")
        path, manifest = marked(
            tmp_path / run, tmp_path / run / "data.parquet", marking=marking, id_column="id"
        )
        out = pl.read_parquet(path)
        released[run] = dict(zip(out["id"], out["text"], strict=True))
        roots.add(json.dumps(json.loads((path.parent / "release.json").read_text())["manifest"]))
        manifests.add(manifest.read_bytes())
    assert released["one"] == released["two"]
    assert len(roots) == len(manifests) == 1


@MARKINGS
def test_equal_texts_get_equal_marks_and_one_row(english, marking):
    texts = [*english[:30], *english[:30], *english[:10]]
    manifest = mark_texts(
        texts, KEY, marking, ids=[str(i) for i in range(len(texts))], candidates=BROAD
    )
    assert len(manifest.records) == 30
    assert manifest.records == tuple(sorted(manifest.records, key=lambda r: r.record))
    assert manifest.by_original()[digest_of(english[0])].ids == ("0", "30", "60")
    alone = mark_texts(english[:30], KEY, marking, candidates=BROAD)
    assert [r.slots for r in alone.records] == [r.slots for r in manifest.records]


def test_by_type_a_word_has_one_choice_for_the_whole_dataset(english):
    slots = [
        s for r in mark_texts(english, KEY, BY_TYPE, candidates=BROAD).records for s in r.slots
    ]
    choices = {(s.unit, len(s.choices)): set() for s in slots}
    for slot in slots:
        choices[slot.unit, len(slot.choices)].add(slot.choice)
    assert len(choices) > 100
    assert all(len(chosen) == 1 for chosen in choices.values())


@MARKINGS
def test_another_key_makes_other_choices_in_the_same_slots(english, marking):
    one, two = (
        mark_texts(english[:200], key, marking, candidates=BROAD) for key in (KEY, OTHER_KEY)
    )
    pairs = [
        (a, b)
        for r, s in zip(one.records, two.records, strict=True)
        for a, b in zip(r.slots, s.slots, strict=True)
    ]
    assert all(
        (a.start, a.end, a.choices, a.unit) == (b.start, b.end, b.choices, b.unit) for a, b in pairs
    )
    assert 0.2 < sum(a.choice != b.choice for a, b in pairs) / len(pairs) < 0.9


def test_ghosts_are_variants_of_the_same_slots(english):
    manifest = mark_texts(english[:50], KEY, BY_RECORD, candidates=BROAD)
    texts = {digest_of(text): text for text in english[:50]}
    for record in manifest.records:
        original = texts[record.record]
        ghosts = record.ghost_texts(original)
        assert len(ghosts) == (3 if record.slots else 0)
        for number, ghost in enumerate(ghosts):
            edits = [Edit(s.start, s.end, s.choices[s.ghosts[number]]) for s in record.slots]
            assert ghost == apply_edits(original, edits)


def test_a_summary_counts_what_the_manifest_holds(tmp_path, english):
    source = write_source(tmp_path / "data.jsonl", [*english[:40], *english[:5], ""])
    summary = embed(source, tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)
    records = Manifest.read(tmp_path / "out" / "private" / "manifest.parquet").records
    slots = [s for r in records for s in r.slots]
    assert (summary.rows, summary.records) == (46, 41)
    assert summary.marked_records == sum(bool(r.slots) for r in records)
    assert summary.slots == len(slots)
    assert summary.units == len({s.unit for s in slots})
    assert summary.edited_words == sum(s.choice != 0 for s in slots) > 0


# Two originals that become the same released text.


@pytest.fixture(scope="module")
def colliding(tmp_path_factory):
    """A table that turns quick into swift, and a key that draws swift."""
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    rows = [("quick", "swift", "strict", "quick", "a", 10.0, 12.0)]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    lexicon = Lexicon.read(path)
    keys = (MarkingKey(bytes([i]) * 32, b"s" * 32) for i in range(99))
    key = next(key for key in keys if key.drawer().draw(2, "type", "quick") == 1)
    return lexicon, key


COLLIDING = ["be swift", "other quick", "be quick", "be quick", "be swift", "none"]


def rewritten(released, rows):
    """The released file with only these rows, in this order."""
    path = released.with_name(f"moved{released.suffix}")
    head, *lines = released.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([head, *(lines[i] for i in rows)]))
    return path


@FORMATS
def test_originals_that_become_one_text_come_back_each(tmp_path, colliding, ending):
    lexicon, key = colliding
    source = write_source(tmp_path / f"data{ending}", COLLIDING)
    released, manifest = marked(tmp_path, source, key, Marking(), candidates=LexiconSource(lexicon))
    assert read_table(released).texts == [
        "be swift", "other swift", "be swift", "be swift", "be swift", "none"
    ]  # fmt: skip
    assert_restored(tmp_path, source, released, manifest)


@pytest.fixture
def collision(tmp_path, colliding):
    lexicon, key = colliding
    source = tmp_path / "data.csv"
    source.write_text("\n".join(["id,text", *(f"{i},{text}" for i, text in enumerate(COLLIDING))]))
    return source, *marked(
        tmp_path, source, key, Marking(), candidates=LexiconSource(lexicon), id_column="id"
    )


@pytest.mark.parametrize("rows", [[5, 4, 3, 2, 1, 0], [2, 0], [3], [1, 5], [4, 1, 3, 0, 2, 5]])
def test_ids_tell_them_apart_wherever_their_rows_are(tmp_path, collision, rows):
    source, released, manifest = collision
    moved = rewritten(released, rows)
    restore(moved, manifest, tmp_path / "back.csv", id_column="id")
    assert (tmp_path / "back.csv").read_bytes() == rewritten(source, rows).read_bytes()


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [0, 1, 2], [0], [1, 5], [0, 5, 2, 3, 4, 1]])
def test_without_ids_rows_do_while_they_are_in_place(tmp_path, collision, rows):
    source, released, manifest = collision
    moved = rewritten(released, rows)
    restore(moved, manifest, tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_bytes() == rewritten(source, rows).read_bytes()


@pytest.mark.parametrize("rows", [[1, 0, 2, 3, 4, 5], [2, 3, 4], [0, 2, 3, 4, 5]])
def test_without_ids_moved_rows_are_refused_rather_than_guessed(tmp_path, collision, rows):
    _, released, manifest = collision
    with pytest.raises(VerificationError, match="could be one of several originals"):
        restore(rewritten(released, rows), manifest, tmp_path / "back.csv")
    assert not (tmp_path / "back.csv").exists()


def test_rows_are_not_committed_to(colliding):
    """The commitment of a shuffled dataset is the same even where rows had to be kept."""
    lexicon, key = colliding
    one, two = (
        mark_texts(texts, key, Marking(), candidates=LexiconSource(lexicon))
        for texts in (COLLIDING, COLLIDING[::-1])
    )
    assert one.records != two.records
    assert one.commitment() == two.commitment()


def test_a_released_text_may_also_be_an_original(english):
    """A dataset that holds its own release: whatever collides, every text is found again."""
    manifest = mark_texts(english[:100], KEY, BY_TYPE, candidates=BROAD)
    by_text = manifest.by_original()
    released = [
        apply_edits(text, by_text[digest_of(text)].release_edits()) for text in english[:100]
    ]
    both = [*english[:100], *released]
    again = mark_texts(both, KEY, BY_TYPE, candidates=BROAD).by_original()
    texts = [apply_edits(text, again[digest_of(text)].release_edits()) for text in both]
    records = mark_texts(both, KEY, BY_TYPE, candidates=BROAD).match(texts, "memory")
    assert [apply_edits(t, r.restore_edits()) for t, r in zip(texts, records, strict=True)] == both


# Refusals.


def test_rows_may_be_moved_or_missing(tmp_path, english):
    source = write_source(tmp_path / "data.jsonl", english[:20])
    released, manifest = marked(tmp_path, source)
    lines = released.read_bytes().split(b"\n")
    released.write_bytes(b"\n".join([lines[7], lines[3]]))
    assert restore(released, manifest, tmp_path / "back.jsonl") == 2
    assert read_table(tmp_path / "back.jsonl").texts == [english[7], english[3]]


def test_an_edited_text_is_refused_and_nothing_is_written(tmp_path):
    source = write_source(tmp_path / "data.csv", [SURE, SURE + " More."])
    released, manifest = marked(tmp_path, source)
    released.write_bytes(released.read_bytes().replace(b"More", b"Less"))
    with pytest.raises(VerificationError, match="row 2 is not a released text of this manifest"):
        restore(released, manifest, tmp_path / "back.csv")
    assert not (tmp_path / "back.csv").exists()


def test_a_manifest_with_altered_slots_does_not_restore_wrongly(tmp_path):
    source = write_source(tmp_path / "data.csv", [SURE])
    released, path = marked(tmp_path, source, next_key_that_edits(SURE))
    manifest = Manifest.read(path)
    (record,) = manifest.records
    slots = tuple(replace(s, start=s.start + 1, end=s.end + 1) for s in record.slots)
    replace(manifest, records=(replace(record, slots=slots),)).write(tmp_path / "altered.parquet")
    with pytest.raises(VerificationError, match="does not give the original"):
        restore(released, tmp_path / "altered.parquet", tmp_path / "back.csv")


def next_key_that_edits(text):
    keys = (MarkingKey(bytes([i]) * 32, b"s" * 32) for i in range(99))
    return next(
        k
        for k in keys
        if mark_texts([text], k, BY_TYPE, candidates=BROAD).records[0].release_edits()
    )


def test_a_text_that_is_not_of_the_release_is_refused():
    manifest = mark_texts([SURE], KEY, BY_TYPE, candidates=BROAD)
    with pytest.raises(VerificationError, match="somewhere: row 1 is not a released text"):
        original_texts(manifest, ["another text"], "somewhere")


@pytest.mark.parametrize("texts", [["", " "], ["12 34"], ["```\nprofitably"], ["PROFITABLY"]])
def test_texts_without_a_slot_are_insufficient(texts):
    with pytest.raises(InsufficientEvidence, match="nothing would be marked"):
        mark_texts(texts, KEY, BY_TYPE, candidates=BROAD)


def test_restoring_into_another_format_is_refused(tmp_path):
    released, manifest = marked(tmp_path, write_source(tmp_path / "data.csv", [SURE]))
    with pytest.raises(InvalidInput, match=r"expected the ending \.csv"):
        restore(released, manifest, tmp_path / "back.jsonl")


def test_a_word_spelt_with_escapes_leaves_no_output(tmp_path):
    key = next_key_that_edits("be profitably.")
    source = tmp_path / "data.jsonl"
    source.write_text(r'{"text": "be \u0070rofitably."}')
    with pytest.raises(
        InvalidInput, match=r"data\.jsonl: row 1: the word 'profitably' is spelt with escapes"
    ):
        embed(source, tmp_path / "out", key, BY_TYPE, candidates=BROAD)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_the_private_folder_is_its_owners_alone(tmp_path):
    marked(tmp_path, write_source(tmp_path / "data.csv", [SURE]))
    assert (tmp_path / "out" / "private").stat().st_mode & 0o777 == 0o700


def test_slots_of_the_manifest_are_those_of_the_selection(english):
    lexicon = Lexicon.shipped(Tier.BROAD)
    by_text = mark_texts(english[:50], KEY, BY_TYPE, candidates=BROAD).by_original()
    for text in english[:50]:
        slots = find_slots(text, lexicon, per_sentence=5)
        assert [(s.start, s.end, s.choices) for s in by_text[digest_of(text)].slots] == [
            (s.start, s.end, s.choices) for s in slots
        ]


def test_each_dataset_has_choices_of_its_own(english):
    """A model that learnt one dataset says nothing of another, though one key marked both."""
    one, two = (
        mark_texts(english[:300], KEY, BY_TYPE, candidates=BROAD, dataset=name)
        for name in ("one", "two")
    )
    one.check_key(KEY)
    one.check_key(KEY.for_dataset("one"))
    with pytest.raises(VerificationError, match="did not mark this release"):
        replace(one, dataset="two").check_key(KEY)
    copy = mark_texts(english[:9], KEY, BY_TYPE, candidates=BROAD, dataset="one", recipient="Alice")
    for key in (KEY, KEY.for_dataset("one"), KEY.for_copy("one", "Alice")):
        copy.check_key(key)
    first, second = (
        {s.unit: s.choice for r in manifest.records for s in r.slots} for manifest in (one, two)
    )
    agreeing = sum(first[unit] == second[unit] for unit in first)
    assert agreeing < binom.isf(1e-6, len(first), 0.5)
