"""The manifest and release.json: they come back, bind each other, and refuse every altered field."""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed, mark_texts
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import Manifest
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.release import Release

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(bytes(range(32)), b"s" * 32)
BY_TYPE = Marking(unit=Unit.TYPE)
BY_RECORD = Marking(unit=Unit.RECORD, ghosts=3)
TEXTS = [
    "They worked profitably, and the couple were prospering.",
    "A slogan is profitably remembered. Profitably!",
    "12 34",
]


@pytest.fixture(params=[BY_TYPE, BY_RECORD], ids=["type", "record"])
def manifest(request):
    return mark_texts(TEXTS, KEY, request.param, ids=["a", "b", "c"], candidates=BROAD)


@pytest.fixture
def path(tmp_path, manifest):
    manifest.write(tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


def test_it_comes_back_and_is_written_alike(tmp_path, manifest, path):
    again = Manifest.read(path)
    assert again == manifest
    assert again.commitment() == manifest.commitment()
    again.write(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_it_holds_no_text_but_the_words(path):
    content = json.dumps(pl.read_parquet(path).to_dicts())
    assert "profitably" in content
    assert "remembered" not in content
    assert KEY.secret.hex() not in content


def test_names_of_files_come_back_whatever_their_bytes(tmp_path, manifest):
    files = (("a b/\u00e9.csv", 2), (os.fsdecode(b'\xff\n".csv'), 1))
    replace(manifest, files=files).write(tmp_path / "manifest.parquet")
    again = Manifest.read(tmp_path / "manifest.parquet")
    assert again.files == files
    assert again.first_row_of(tmp_path / "elsewhere" / files[0][0]) == 0
    assert again.first_row_of(tmp_path / files[1][0]) == 2
    assert again.first_row_of(tmp_path / "other.csv") is None
    assert manifest.first_row_of(tmp_path / "other.csv") == 0


def test_a_name_that_ends_like_another_is_not_guessed(manifest):
    several = replace(manifest, files=(("a.csv", 2), ("sub/a.csv", 1)))
    assert several.first_row_of(Path("/release/a.csv")) == 0
    assert several.first_row_of(Path("/release/sub/a.csv")) is None


# Keys.


def test_the_key_that_marked_it_is_recognised(manifest):
    manifest.check_key(KEY)


@pytest.mark.parametrize(
    "other", [MarkingKey(b"o" * 32, b"s" * 32), MarkingKey(KEY.secret, b"o" * 32)]
)
def test_another_key_is_refused(manifest, other):
    with pytest.raises(VerificationError, match="did not mark this release"):
        manifest.check_key(other)


def with_slot(manifest, **changes):
    """The manifest with the first slot of its first record that has one changed."""
    number = next(i for i, record in enumerate(manifest.records) if record.slots)
    record = manifest.records[number]
    slots = (replace(record.slots[0], **changes), *record.slots[1:])
    records = list(manifest.records)
    records[number] = replace(record, slots=slots)
    return replace(manifest, records=tuple(records))


def first_slot(manifest):
    return next(record.slots[0] for record in manifest.records if record.slots)


def test_an_altered_choice_is_refused(manifest):
    slot = first_slot(manifest)
    altered = with_slot(manifest, choice=(slot.choice + 1) % len(slot.choices))
    with pytest.raises(VerificationError, match="slot 1: the choice is not the key's draw"):
        altered.check_key(KEY)


def test_an_altered_ghost_or_unit_is_refused():
    manifest = mark_texts(TEXTS, KEY, BY_RECORD, candidates=BROAD)
    slot = first_slot(manifest)
    ghosts = ((slot.ghosts[0] + 1) % len(slot.choices), *slot.ghosts[1:])
    for altered in (
        with_slot(manifest, ghosts=ghosts),
        with_slot(manifest, choices=slot.choices * 7),
    ):
        with pytest.raises(VerificationError, match="not the key's draw"):
            altered.check_key(KEY)


def test_every_altered_field_alters_the_commitment(manifest):
    slot = first_slot(manifest)
    others = [
        with_slot(manifest, start=slot.start + 1),
        with_slot(manifest, end=slot.end + 1),
        with_slot(manifest, choices=(*slot.choices, "x")),
        with_slot(manifest, choice=slot.choice + 1),
        with_slot(manifest, ghosts=(*slot.ghosts, 0)),
        with_slot(manifest, unit="x"),
        with_slot(manifest, surprisals=(*slot.surprisals, 1.0)),
        replace(manifest, salts=("0" * 32, *manifest.salts[1:])),
        replace(manifest, records=manifest.records[1:], salts=manifest.salts[1:]),
        replace(manifest, records=manifest.records[::-1]),
        *[
            replace(
                manifest, records=(replace(manifest.records[0], **change), *manifest.records[1:])
            )
            for change in (
                {"record": "0" * 64},
                {"released": "0" * 64},
                {"ids": ("z",)},
                {"slots": ()},
            )
            if getattr(manifest.records[0], next(iter(change))) != next(iter(change.values()))
        ],
    ]
    roots = {other.commitment() for other in others}
    assert len(roots) >= len(others) - 1  # the first record may be the one without slots
    assert manifest.commitment() not in roots


# Damaged files: one field at a time.


def rewritten(path, change_rows=None, change_header=None, schema=None):
    """The file with its rows or its header changed."""
    metadata = pl.read_parquet_metadata(path)["bookplate"]
    frame = pl.read_parquet(path)
    rows, header = frame.to_dicts(), json.loads(metadata)
    if change_rows:
        rows = change_rows(rows) or rows
    if change_header:
        header = change_header(header) or header
    frame = pl.DataFrame(rows, schema=schema or frame.schema)
    frame.write_parquet(path, metadata={"bookplate": json.dumps(header)})
    return path


def slot_of(rows):
    return next(row["slots"][0] for row in rows if row["slots"])


ROW_DAMAGE = {
    "record is null": lambda rows: rows[0].update(record=None),
    "record is short": lambda rows: rows[0].update(record="ab"),
    "record is no hex": lambda rows: rows[0].update(record="g" * 64),
    "record is upper case": lambda rows: rows[0].update(record="A" * 64),
    "released is null": lambda rows: rows[0].update(released=None),
    "released is short": lambda rows: rows[0].update(released="ab"),
    "ids are null": lambda rows: rows[0].update(ids=None),
    "an id is null": lambda rows: rows[0].update(ids=[None]),
    "rows are null": lambda rows: rows[0].update(rows=None),
    "a row is null": lambda rows: rows[0].update(rows=[None]),
    "slots are null": lambda rows: rows[0].update(slots=None),
    "a slot is null": lambda rows: rows[0].update(slots=[None]),
    "salt is null": lambda rows: rows[0].update(salt=None),
    "salt is short": lambda rows: rows[0].update(salt="ab"),
    "a record appears twice": lambda rows: [rows[0], *rows],
    "records out of order": lambda rows: rows[::-1],
    "slots out of order": lambda rows: next(r for r in rows if len(r["slots"]) > 1)["slots"].reverse(),
    "slots overlap": lambda rows: next(r for r in rows if r["slots"])["slots"].append(slot_of(rows)),
    **{
        f"{name} is null": lambda rows, name=name: slot_of(rows).update({name: None})
        for name in ["start", "end", "original", "choices", "choice", "ghosts", "unit", "surprisals"]
    },
    "start is negative": lambda rows: slot_of(rows).update(start=-1, end=len(slot_of(rows)["original"]) - 1),
    "slot is too long": lambda rows: slot_of(rows).update(end=slot_of(rows)["end"] + 1),
    "slot ends before it starts": lambda rows: slot_of(rows).update(end=0, start=5),
    "a unit of another name": lambda rows: slot_of(rows).update(unit=slot_of(rows)["unit"] + "~7"),
    "one word twice": lambda rows: slot_of(rows).update(
        choices=[slot_of(rows)["original"]] * len(slot_of(rows)["choices"])
    ),
    "a surprisal is no number": lambda rows: slot_of(rows).update(
        surprisals=[float("nan")] * len(slot_of(rows)["surprisals"])
    ),
    "original is another word": lambda rows: slot_of(rows).update(original="fruitless"),
    "choices are none": lambda rows: slot_of(rows).update(choices=[], surprisals=[]),
    "choices are one": lambda rows: slot_of(rows).update(
        choices=slot_of(rows)["choices"][:1], surprisals=[1.0], choice=0
    ),
    "a choice is null": lambda rows: slot_of(rows)["choices"].__setitem__(1, None),
    "choice is beyond": lambda rows: slot_of(rows).update(choice=99),
    "choice is negative": lambda rows: slot_of(rows).update(choice=-1),
    "ghosts are too many": lambda rows: slot_of(rows)["ghosts"].append(0),
    "surprisals are too few": lambda rows: slot_of(rows)["surprisals"].pop() and None,
    "a surprisal is null": lambda rows: slot_of(rows)["surprisals"].__setitem__(0, None),
}  # fmt: skip


@pytest.mark.parametrize("damage", ROW_DAMAGE.values(), ids=ROW_DAMAGE)
def test_a_damaged_row_is_refused(path, damage):
    with pytest.raises(InvalidInput, match="not a manifest of this version") as caught:
        Manifest.read(rewritten(path, change_rows=damage))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


HEADER_DAMAGE = {
    "another format": lambda h: h.update(format="bookplate-manifest/2"),
    "more fields": lambda h: h.update(more=1),
    "no object": lambda h: ["format"],
    "a number": lambda h: 7,
    **{f"no {name}": lambda h, name=name: h.pop(name) and None for name in ["format", "marking"]},
    "no source": lambda h: h.pop("candidates") and None,
    "source is text": lambda h: h.update(candidates="ab"),
    "source is null": lambda h: h.update(candidates=None),
    "bad table": lambda h: h["candidates"]["inputs"][0].update(sha256="ab"),
    "a list among the settings": lambda h: h["candidates"]["settings"].update(tier=["broad"]),
    "more about the source": lambda h: h["candidates"].update(more=1),
    "dataset is null": lambda h: h.update(dataset=None),
    "bad commitment": lambda h: h.update(key_commitment="ab" * 31),
    "number as commitment": lambda h: h.update(key_commitment=7),
    "marking is null": lambda h: h.update(marking=None),
    "marking is a list": lambda h: h.update(marking=["type"]),
    "marking lacks ghosts": lambda h: h["marking"].pop("ghosts") and None,
    "marking has more": lambda h: h["marking"].update(more=1),
    "unknown unit": lambda h: h["marking"].update(unit="shard"),
    "unit is a list": lambda h: h["marking"].update(unit=[]),
    "ghosts as text": lambda h: h["marking"].update(ghosts="0"),
    "ghosts as fraction": lambda h: h["marking"].update(ghosts=0.5),
    "ghosts as boolean": lambda h: h["marking"].update(ghosts=False),
    "files are none": lambda h: h.update(files=None),
    "a file is a name": lambda h: h.update(files=["a"]),
    "a file without rows": lambda h: h.update(files=[['"a"']]),
    "a file with fewer than no rows": lambda h: h.update(files=[['"a"', -1]]),
    "a file's name is no JSON": lambda h: h.update(files=[["a", 1]]),
    "a file's name is a number": lambda h: h.update(files=[["7", 1]]),
    "other ghosts": lambda h: h["marking"].update(ghosts=h["marking"]["ghosts"] + 1),
    "negative ghosts": lambda h: h["marking"].update(ghosts=-1),
}


@pytest.mark.parametrize("damage", HEADER_DAMAGE.values(), ids=HEADER_DAMAGE)
def test_a_damaged_header_is_refused(path, damage):
    with pytest.raises(InvalidInput, match="not a manifest of this version"):
        Manifest.read(rewritten(path, change_header=damage))


def test_other_files_are_refused(tmp_path, path):
    frame = pl.read_parquet(path)
    other = tmp_path / "other.parquet"
    frame.write_parquet(other)
    with pytest.raises(InvalidInput, match="metadata lack the marking parameters"):
        Manifest.read(other)
    frame.write_parquet(other, metadata={"bookplate": "not json"})
    with pytest.raises(InvalidInput, match="not a manifest of this version"):
        Manifest.read(other)
    other.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput, match="cannot be read as parquet"):
        Manifest.read(other)
    other.write_text("no parquet")
    with pytest.raises(InvalidInput, match="cannot be read as parquet"):
        Manifest.read(other)
    for missing in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(InvalidInput, match="no such file"):
            Manifest.read(missing)


def test_another_schema_is_refused(path):
    schema = {**pl.read_parquet_schema(path), "more": pl.Int64}
    with pytest.raises(InvalidInput, match="its columns are"):
        Manifest.read(rewritten(path, schema=schema))


# Parameters.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ghosts": 5}, "ghosts belong to the unit 'record'"),
        ({"ghosts": -1}, "ghosts belong to the unit 'record'"),
        ({"unit": Unit.RECORD}, "needs 1 to 999 ghosts, got 0"),
        ({"unit": Unit.RECORD, "ghosts": 1_000}, "needs 1 to 999 ghosts"),
    ],
)
def test_marking_that_makes_no_sense_cannot_exist(parameters, message):
    with pytest.raises(InvalidInput, match=message):
        Marking(**parameters)


@pytest.mark.parametrize("marking", [BY_TYPE, BY_RECORD, Marking()])
def test_marking_comes_back_from_json(marking):
    assert Marking.from_dict(json.loads(json.dumps(asdict(marking)))) == marking


# release.json.


@pytest.fixture
def release(tmp_path):
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    embed(tmp_path / "data.jsonl", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)
    return tmp_path / "out" / "release" / "release.json"


def test_release_binds_key_manifest_table_and_files(release):
    manifest = Manifest.read(release.parents[1] / "private" / "manifest.parquet")
    public = Release.read(release)
    assert public.manifest == manifest.commitment()
    assert public.key_commitment == KEY.commitment
    assert public.candidates == manifest.candidates == BROAD.identity
    assert public.marking == manifest.marking == BY_TYPE
    content = (release.parent / "data.jsonl").read_bytes()
    assert public.files == {"data.jsonl": hashlib.sha256(content).hexdigest()}


def test_release_reveals_neither_key_nor_words(release):
    content = release.read_text()
    for secret in (KEY.secret.hex(), KEY.salt.hex(), "profitably", "fruitfully"):
        assert secret not in content


def test_released_files_may_lie_in_folders(release):
    data = json.loads(release.read_text())
    data["files"] = {"a/b/c.csv": "ab" * 32, "..hidden..csv": "ab" * 32}
    release.write_text(json.dumps(data))
    assert Release.read(release).files == data["files"]


def test_release_comes_back_and_is_written_alike(tmp_path, release):
    Release.read(release).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == release.read_bytes()


RELEASE_DAMAGE = {
    "another format": lambda d: d.update(format="bookplate-release/2"),
    "more fields": lambda d: d.update(more=1),
    **{
        f"no {name}": lambda d, name=name: d.pop(name) and None
        for name in ["format", "marking", "candidates", "key_commitment", "manifest", "files"]
    },
    "bad table": lambda d: d["candidates"]["inputs"][0].update(sha256=""),
    "bad commitment": lambda d: d.update(key_commitment=[]),
    "marking is null": lambda d: d.update(marking=None),
    "manifest is text": lambda d: d.update(manifest="ab" * 32),
    "manifest lacks its count": lambda d: d["manifest"].pop("leaf_count") and None,
    "count is text": lambda d: d["manifest"].update(leaf_count="3"),
    "count is negative": lambda d: d["manifest"].update(leaf_count=-1),
    "root is short": lambda d: d["manifest"].update(root="ab"),
    "files is a list": lambda d: d.update(files=["data.jsonl"]),
    "files is empty": lambda d: d.update(files={}),
    "file elsewhere": lambda d: d.update(files={"../private/data.jsonl": "ab" * 32}),
    "absolute file": lambda d: d.update(files={"/etc/passwd": "ab" * 32}),
    "file without name": lambda d: d.update(files={"": "ab" * 32}),
    "parent on the way": lambda d: d.update(files={"a/../../b.csv": "ab" * 32}),
    "here on the way": lambda d: d.update(files={"a/./b.csv": "ab" * 32}),
    "two slashes": lambda d: d.update(files={"a//b.csv": "ab" * 32}),
    "a folder": lambda d: d.update(files={"a/": "ab" * 32}),
    "backslash": lambda d: d.update(files={"..\\b.csv": "ab" * 32}),
    "a drive": lambda d: d.update(files={"C:b.csv": "ab" * 32}),
    "a name with an end": lambda d: d.update(files={"b.csv\0": "ab" * 32}),
    "parent as file": lambda d: d.update(files={"..": "ab" * 32}),
    "digest is null": lambda d: d.update(files={"data.jsonl": None}),
    "an array": lambda d: [d],
}


@pytest.mark.parametrize("damage", RELEASE_DAMAGE.values(), ids=RELEASE_DAMAGE)
def test_a_damaged_release_is_refused(release, damage):
    data = json.loads(release.read_text())
    release.write_text(json.dumps(damage(data) or data))
    with pytest.raises(InvalidInput, match=r"release\.json") as caught:
        Release.read(release)
    assert str(caught.value).startswith(str(release))
