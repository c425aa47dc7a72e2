"""Datasets of any size: the same bytes however they are cut, shared out, interrupted or laid out in files."""

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import zstandard
from bookplate.errors import InsufficientEvidence, InvalidInput, VerificationError
from bookplate.files import Interrupted, canonical_json, sha256_of_file, unfinished_path
from bookplate.provenance.custody import leaf_hash
from bookplate.watermark import merging, piecework
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed, mark_texts, restore
from bookplate.watermark.evidence import load_evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.lexicon.lexicon import SCHEMA
from bookplate.watermark.manifest import Manifest, digest_of, leaf_of
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.release import Release
from bookplate.watermark.tables import Columns, pieces_of, read_table
from bookplate.watermark.tables.parquet import described

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
BY_TYPE = Marking()
MARKINGS = [
    BY_TYPE,
    Marking(unit=Unit.SHARD, shards=5),
    Marking(unit=Unit.RECORD, ghosts=3),
]
ENDINGS = [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst"]
SURE = "They worked profitably, and the couple were prospering."
KEY = next(  # one that changes SURE by type
    key
    for key in (MarkingKey(bytes(range(i, i + 32)), b"s" * 32) for i in range(100))
    if mark_texts([SURE], key, BY_TYPE, candidates=BROAD).records[0].release_edits()
)


def everything(folder):
    """Every file below a folder, with what it holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_source(path, texts, ids=None):
    """A dataset with an id column, in the format of its name."""
    frame = pl.DataFrame({"id": ids or [f"id {i}" for i in range(len(texts))], "text": texts})
    content = io.BytesIO()
    kind = path.name.split(".")[1]
    if kind == "parquet":
        frame.write_parquet(content)
    elif kind == "csv":
        frame.write_csv(content, quote_style="always")
    else:
        frame.write_ndjson(content)
    packers = {".gz": gzip.compress, ".zst": zstandard.compress}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packers.get(path.suffix, bytes)(content.getvalue()))
    return path


def unpacked(path):
    unpackers = {
        ".gz": gzip.decompress,
        ".zst": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
    }
    return unpackers.get(path.suffix, bytes)(path.read_bytes())


@pytest.fixture
def repeated(english):
    """Texts of which some come again, near and far."""
    return [*english[:30], *english[:5], *english[20:50], *english[:3]]


# However it is cut.


@pytest.mark.parametrize(
    ("ending", "marking"),
    [
        *((ending, BY_TYPE) for ending in ENDINGS),
        *((".jsonl", marking) for marking in MARKINGS[1:]),
    ],
)
def test_it_is_the_release_that_the_whole_table_would_give(tmp_path, repeated, ending, marking):
    """The slow twin reads, marks and writes everything at once; pieces of any size give its bytes."""
    source = write_source(tmp_path / f"data{ending}", repeated)
    table = read_table(source, id_column="id")
    twin = mark_texts(table.texts, KEY, marking, ids=table.ids, candidates=BROAD)
    by_original = twin.by_original()
    twin.write(tmp_path / "manifest.parquet")
    edits = [by_original[digest_of(text)].release_edits() for text in table.texts]
    table.write(tmp_path / f"twin{ending}", edits)
    runs = []
    for size in (1_500, 9_000, 10**9):
        out = tmp_path / f"out{size}"
        embed(source, out, KEY, marking, id_column="id", piece_bytes=size, candidates=BROAD)
        runs.append(everything(out))
    assert runs[0] == runs[1] == runs[2]
    assert runs[0]["private/manifest.parquet"] == (tmp_path / "manifest.parquet").read_bytes()
    released = tmp_path / "out1500" / "release" / f"data{ending}"
    if ending == ".parquet":
        assert pl.read_parquet(released).equals(pl.read_parquet(tmp_path / "twin.parquet"))
    else:
        assert unpacked(released) == unpacked(tmp_path / f"twin{ending}") != unpacked(source)
    assert Release.read(released.with_name("release.json")).manifest == twin.commitment()
    back = tmp_path / f"back{ending}"
    assert restore(released, tmp_path / "out1500" / "private" / "manifest.parquet", back) == len(
        repeated
    )
    if ending == ".parquet":
        assert pl.read_parquet(back).equals(pl.read_parquet(source))
    else:
        assert unpacked(back) == unpacked(source)


def test_buckets_passes_and_merges_of_any_size_give_the_same_manifest(
    tmp_path, repeated, monkeypatch
):
    source = write_source(tmp_path / "data.jsonl", repeated)
    embed(
        source, tmp_path / "one", KEY, BY_TYPE, id_column="id", piece_bytes=9_000, candidates=BROAD
    )
    monkeypatch.setattr(merging, "_BUCKET_WEIGHT", 20)
    monkeypatch.setattr(merging, "_PASS_ROWS", 7)
    monkeypatch.setattr(merging, "_FAN_IN", 2)
    monkeypatch.setattr(merging, "_RUN_ROWS", 3)
    levels, real = [], merging._merged_run
    monkeypatch.setattr(
        merging, "_merged_run", lambda *of: levels.append(of[1].parent.name) or real(*of)
    )
    embed(
        source, tmp_path / "two", KEY, BY_TYPE, id_column="id", piece_bytes=4_000, candidates=BROAD
    )
    assert set(levels) >= {"0", "1", "2"}
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_what_is_private_is_so_wherever_it_is_moved(tmp_path):
    embed(
        write_source(tmp_path / "a.csv", [SURE]), tmp_path / "out", KEY, BY_TYPE, candidates=BROAD
    )
    private = tmp_path / "out" / "private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "manifest.parquet").stat().st_mode & 0o777 == 0o600


def test_parquet_keeps_types_and_metadata_over_many_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 7)
    n = 50
    frame = pl.DataFrame({
        "text": [f"{SURE} {i}" for i in range(n)],
        "cat": pl.Series([f"c{i % 5}" for i in range(n)], dtype=pl.Categorical),
        "enum": pl.Series(["a", "b"] * (n // 2), dtype=pl.Enum(["b", "a"])),
        "when": pl.Series(range(n)).cast(pl.Datetime("ms", "Europe/Berlin")),
        "deep": [{"l": [{"k": i}] * (i % 3)} for i in range(n)],
        "none": pl.Series([None] * n, dtype=pl.Int8),
    })
    frame.write_parquet(
        tmp_path / "data.parquet", metadata={"huggingface": "{}"}, row_group_size=13
    )
    source = pl.read_parquet(tmp_path / "data.parquet")
    embed(tmp_path / "data.parquet", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)
    released = tmp_path / "out" / "release" / "data.parquet"
    out = pl.read_parquet(released)
    assert out.schema == source.schema
    assert out.drop("text").equals(source.drop("text"))
    assert out["text"].to_list() != source["text"].to_list()
    assert pl.read_parquet_metadata(released)["huggingface"] == "{}"


def test_the_schema_that_a_source_describes_itself_by_is_kept_only_if_true():
    """`ARROW:schema` is what pyarrow takes types and features from."""
    frame = pl.DataFrame({"text": ["a"], "took": pl.Series([1], dtype=pl.Duration("ms"))})

    def said_by(frame):
        content = io.BytesIO()
        frame.write_parquet(content)
        return pl.read_parquet_metadata(io.BytesIO(content.getvalue()))

    true, false = said_by(frame), said_by(frame.cast({"took": pl.Duration("us")}))
    assert described({**true, "x": "y"}, frame) == {**true, "x": "y"}
    assert described({**false, "x": "y"}, frame) == {"x": "y"}
    assert described(true, frame.with_columns(took=pl.lit(None, pl.Duration("ms")))) == {}
    assert described({"ARROW:schema": "rubbish"}, frame) == {}
    deep = frame.select("text", deep=pl.struct(a=pl.concat_list("took")))
    assert described(said_by(deep), deep) == said_by(deep)
    assert described(said_by(deep), deep.with_columns(deep=pl.lit(None, deep["deep"].dtype))) == {}


# However it is shared out.


def test_workers_change_no_byte(tmp_path, repeated):
    source = tmp_path / "data"
    write_source(source / "a.jsonl", repeated[:40])
    write_source(source / "b.parquet", repeated[40:])
    for workers in (1, 2):
        told = []
        embed(
            source,
            tmp_path / f"{workers}",
            KEY,
            BY_TYPE,
            workers=workers,
            piece_bytes=9_000,
            progress=told.append,
            candidates=BROAD,
        )
        assert told == sorted(set(told))
        assert told[-1] == len(repeated)
    assert everything(tmp_path / "1") == everything(tmp_path / "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "data"]


BAD_ROWS = {
    ".jsonl": (b'{"text": 7}\n', "line 1200: expected 'text' to be a string"),
    ".csv": (b'"x"\n', "row 1200: expected 2 fields, got 1"),
    ".jsonl.gz": (b'{"text": "\\ud800"}\n', "row 1200: lone surrogate"),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ending", BAD_ROWS)
def test_a_bad_row_far_down_is_named_and_nothing_stays(tmp_path, ending, workers):
    row, message = BAD_ROWS[ending]
    good = write_source(tmp_path / f"data{ending}", [SURE] * 1_199)
    rows = unpacked(good)
    content = rows + row + rows[-6_000:].partition(b"\n")[2] + b"\xff\n"
    good.write_bytes(gzip.compress(content) if good.suffix == ".gz" else content)
    with pytest.raises(InvalidInput, match=message):
        embed(
            good,
            tmp_path / "deep" / "out",
            KEY,
            BY_TYPE,
            workers=workers,
            piece_bytes=5_000,
            candidates=BROAD,
        )
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


def test_a_missing_text_in_a_later_row_group_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 10)
    pl.DataFrame({"text": [SURE] * 35 + [None]}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(InvalidInput, match=r"data\.parquet: row 36: 'text' is missing"):
        embed(tmp_path / "data.parquet", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path, english, ending):
    source = write_source(tmp_path / f"data{ending}", english[:50])
    source.write_bytes(source.read_bytes()[:-12])
    with pytest.raises(InvalidInput, match=r"cannot be read as (gzip|zstd)"):
        embed(source, tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)
    source.write_bytes(b"rubbish")
    with pytest.raises(InvalidInput, match=r"cannot be read as (gzip|zstd)"):
        read_table(source)


def test_several_zstd_frames_are_one_file(tmp_path):
    lines = [json.dumps({"text": f"{SURE} {i}"}).encode() + b"\n" for i in range(5)]
    (tmp_path / "data.jsonl.zst").write_bytes(b"".join(map(zstandard.compress, lines)))
    assert len(read_table(tmp_path / "data.jsonl.zst").texts) == 5


# Cutting.


def test_pieces_of_json_lines_end_with_lines(tmp_path):
    content = b'\xef\xbb\xbf{"text": "a"}\n\n \r\n{"text": "b"}\r\n{"text": "\xc3\xa9"}'
    (tmp_path / "data.jsonl").write_bytes(content)
    found = list(pieces_of(tmp_path / "data.jsonl", Columns(), 1))
    assert b"".join(piece.content for piece in found) == content
    assert [text for piece in found for text in piece.read().texts] == ["a", "b", "\u00e9"]
    assert all(piece.content.endswith(b"\n") for piece in found[:-1])


CSV_CONTENTS = [
    'id,text\r\n1,"a\r\n""b"",\n"\r\n2,c\r\n\r\n3,""\r\n',
    'id,text\r1,a\r2,"b\rc"\r3,""""\r',
    "\ufeff\n\nid,text\n1,a\n\n2,b",
    "text\na\n\nb\n",
    'text\n"a"\n"b\nc"',
]


@pytest.mark.parametrize("content", CSV_CONTENTS)
@pytest.mark.parametrize("block", [1, 2, 3, 5, 8, 13])
def test_pieces_of_csv_end_with_rows(tmp_path, content, block):
    """Wherever a block of the file ends, the rows are those of the whole."""
    (tmp_path / "data.csv").write_bytes(content.encode())
    whole = read_table(tmp_path / "data.csv")
    found = list(pieces_of(tmp_path / "data.csv", Columns(), block))
    assert b"".join(piece.content for piece in found) == content.encode()
    assert [text for piece in found for text in piece.read().texts] == whole.texts
    assert len(found) > 1 or block > 8


def test_a_row_without_an_end_is_refused_before_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.tables.pieces._LONGEST_ROW", 1 << 21)
    (tmp_path / "data.csv").write_bytes(b'text\n"open' + b"a\n" * (1 << 22))
    with pytest.raises(InvalidInput, match="a row is longer than 2 MiB"):
        embed(tmp_path / "data.csv", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)


# Folders.


@pytest.fixture
def folder(tmp_path, english):
    """A dataset of several files, and its release."""
    source = tmp_path / "data"
    write_source(source / "b.jsonl", english[:20])
    write_source(source / "sub" / "a.csv.gz", english[20:30])
    write_source(source / "sub" / "c.parquet", english[25:40])
    (source / ".hidden").mkdir()
    (source / ".hidden" / "notes.txt").write_text("not of the dataset")
    summary = embed(source, tmp_path / "out", KEY, BY_TYPE, id_column="id", candidates=BROAD)
    assert (summary.rows, summary.records) == (45, 40)
    return source


def test_a_folder_becomes_a_folder(tmp_path, folder):
    release = Release.read(tmp_path / "out" / "release" / "release.json")
    assert list(release.files) == ["b.jsonl", "sub/a.csv.gz", "sub/c.parquet"]
    for name, digest in release.files.items():
        assert sha256_of_file(tmp_path / "out" / "release" / name) == digest
    manifest = Manifest.read(tmp_path / "out" / "private" / "manifest.parquet")
    assert manifest.files == (("b.jsonl", 20), ("sub/a.csv.gz", 10), ("sub/c.parquet", 15))
    evidence = load_evidence(tmp_path / "out" / "private" / "manifest.parquet", key=KEY)
    assert len(evidence.originals) == 40
    assert not evidence.warnings


def test_a_folder_comes_back(tmp_path, folder):
    manifest = tmp_path / "out" / "private" / "manifest.parquet"
    assert restore(tmp_path / "out" / "release", manifest, tmp_path / "back") == 45
    for name in ("b.jsonl", "sub/a.csv.gz"):
        assert unpacked(tmp_path / "back" / name) == unpacked(folder / name)
    assert pl.read_parquet(tmp_path / "back" / "sub" / "c.parquet").equals(
        pl.read_parquet(folder / "sub" / "c.parquet")
    )
    one = tmp_path / "out" / "release" / "sub" / "a.csv.gz"
    assert restore(one, manifest, tmp_path / "one.csv.gz") == 10
    assert unpacked(tmp_path / "one.csv.gz") == unpacked(folder / "sub" / "a.csv.gz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes.txt", "cannot tell the format from '.txt'"),
        ("back\\slash.csv", "means another place on some systems"),
        ("c:drive.csv", "means another place on some systems"),
        ("empty.jsonl", r"empty\.jsonl: the dataset is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, name, message):
    write_source(tmp_path / "data" / "z.jsonl", [SURE])
    (tmp_path / "data" / name).touch()
    with pytest.raises(InvalidInput, match=message):
        embed(tmp_path / "data", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_without_files_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InvalidInput, match="holds no dataset files"):
        embed(tmp_path / "data", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)


def test_a_folder_without_a_slot_is_insufficient(tmp_path):
    write_source(tmp_path / "data" / "a.jsonl", ["1 2", "3"])
    write_source(tmp_path / "data" / "b.jsonl", ["4"])
    with pytest.raises(InsufficientEvidence, match="none of the 3 texts"):
        embed(tmp_path / "data", tmp_path / "out", KEY, BY_TYPE, candidates=BROAD)


@pytest.fixture(scope="module")
def colliding(tmp_path_factory):
    """A table that turns quick into swift, and a key that draws swift."""
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    rows = [("quick", "swift", "strict", "quick", "a", 10.0, 12.0)]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path)
    keys = (MarkingKey(bytes([i]) * 32, b"s" * 32) for i in range(99))
    key = next(key for key in keys if key.drawer().draw(2, "type", "quick") == 1)
    return Lexicon.read(path), key


@pytest.mark.parametrize("size", [1, 10**6])
def test_originals_of_several_files_that_become_one_text_come_back_each(tmp_path, colliding, size):
    """The rows of one file alone would fit the other file's originals: names tell them apart."""
    lexicon, key = colliding
    files = {"a.jsonl": ["be quick", "be swift", "x"], "b.jsonl": ["be swift", "be quick", "y"]}
    for name, texts in files.items():
        write_source(tmp_path / "data" / name, texts)
    embed(
        tmp_path / "data",
        tmp_path / "out",
        key,
        Marking(),
        candidates=LexiconSource(lexicon),
        piece_bytes=size,
    )
    manifest, release = (
        tmp_path / "out" / "private" / "manifest.parquet",
        tmp_path / "out" / "release",
    )
    assert sorted(r.rows for r in Manifest.read(manifest).records) == [(), (), (0, 4), (1, 3)]
    restore(release, manifest, tmp_path / "back")
    restore(release / "b.jsonl", manifest, tmp_path / "b.jsonl")
    assert everything(tmp_path / "back") == everything(tmp_path / "data")
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "data" / "b.jsonl").read_bytes()
    renamed = (release / "b.jsonl").rename(tmp_path / "other.jsonl")
    with pytest.raises(VerificationError, match="could be one of several originals"):
        restore(renamed, manifest, tmp_path / "c.jsonl")
    assert len(load_evidence_of(manifest, release / "a.jsonl").originals) == 3


def load_evidence_of(manifest, released):
    (released.parent / "release.json").unlink()
    return load_evidence(manifest, released=released)


# Leaves.


def test_a_leaf_is_the_hash_of_canonical_json(english):
    """The general encoder is the slow twin; ids and words may hold any character."""
    texts = [*english[:40], SURE]
    for marking in MARKINGS:
        manifest = mark_texts(
            texts, KEY, marking, ids=[f'"\\\n\x01\u2028 {i}' for i in range(41)], candidates=BROAD
        )
        for record, salt in zip(manifest.records, manifest.salts, strict=True):
            slots = [
                {
                    "start": s.start,
                    "end": s.end,
                    "original": s.original,
                    "choices": list(s.choices),
                    "choice": s.choice,
                    "ghosts": list(s.ghosts),
                    "unit": s.unit,
                    "surprisals": list(s.surprisals),
                }
                for s in record.slots
            ]
            row = {
                "record": record.record,
                "released": record.released,
                "ids": list(record.ids),
                "slots": slots,
            }
            assert leaf_of(record, salt) == leaf_hash(canonical_json({"salt": salt, "row": row}))
            assert leaf_of(replace(record, ids=()), salt) != leaf_of(record, salt)


# However it is interrupted.

RUN = """
import sys
from pathlib import Path
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking

if __name__ == "__main__":
    source, out, workers = sys.argv[1:]
    key = MarkingKey(bytes.fromhex("SECRET"), b"s" * 32)
    how = {"candidates": LexiconSource(Lexicon.shipped(Tier.BROAD)), "piece_bytes": 9_000}
    embed(Path(source), Path(out), key, Marking(), id_column="id", workers=int(workers), **how)
""".replace("SECRET", KEY.secret.hex())


def started(tmp_path, source, out, workers):
    script = tmp_path / "script.py"
    script.write_text(RUN)
    return subprocess.Popen(
        [sys.executable, script, source, out, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)


def parts_of(out):
    return list((unfinished_path(out) / "parts").glob("*.json"))


@pytest.fixture(scope="module")
def done_once(tmp_path_factory, english):
    """A dataset of two files, and what a run makes of it that nothing interrupts."""
    folder = tmp_path_factory.mktemp("many")
    write_source(folder / "data" / "a.jsonl", english[:150])
    write_source(folder / "data" / "b.csv", english[140:220])
    embed(
        folder / "data",
        folder / "whole",
        KEY,
        BY_TYPE,
        id_column="id",
        piece_bytes=9_000,
        candidates=BROAD,
    )
    return folder / "data", everything(folder / "whole")


@pytest.fixture
def many(tmp_path, done_once):
    return shutil.copytree(done_once[0], tmp_path / "data")


@pytest.fixture
def whole(done_once):
    return done_once[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_is_taken_up_again(tmp_path, many, workers, whole):
    """kill -9 to the parent at two random moments; its workers go too, the parts stay and are used."""
    out = tmp_path / "out"
    total = sum(1 for path in many.iterdir() for _ in pieces_of(path, Columns(), 9_000))
    for moment in sorted(random.Random(workers).sample(range(2, total - 1), 2)):
        process = started(tmp_path, many, out, workers)
        wait_until(lambda moment=moment: len(parts_of(out)) >= moment)
        family = family_of(process.pid)
        for member in family:
            for secret in (KEY.secret, KEY.secret.hex().encode()):
                assert not any(secret in told(member, name) for name in ("cmdline", "environ"))
        process.kill()
        process.communicate()
        assert not out.exists()
        assert unfinished_path(out).stat().st_mode & 0o777 == 0o700
        wait_until(lambda family=family: not any(is_alive(member) for member in family))
    kept = {path: path.stat().st_mtime_ns for path in parts_of(out)}
    assert kept
    untouched = {}

    class Watched(piecework.Part):
        def finish(self):
            untouched.update({p: p.stat().st_mtime_ns == at for p, at in kept.items()})
            super().finish()

    monkey = pytest.MonkeyPatch()
    monkey.setattr(piecework, "Part", Watched)
    try:
        embed(many, out, KEY, BY_TYPE, id_column="id", piece_bytes=9_000, candidates=BROAD)
    finally:
        monkey.undo()
    assert all(untouched.values())
    assert everything(out) == whole
    assert not unfinished_path(out).exists()


def family_of(pid):
    """A process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def told(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def interrupted_after(monkeypatch, n, error=KeyboardInterrupt):
    """Make the n-th piece fail."""
    done = []
    real = piecework.mark_piece

    def mark_piece(*arguments):
        done.append(1)
        if len(done) > n:
            raise error
        return real(*arguments)

    monkeypatch.setattr(piecework, "mark_piece", mark_piece)


def run(many, out, **changes):
    options = {"id_column": "id", "piece_bytes": 9_000, "candidates": BROAD, **changes}
    return embed(many, out, KEY, options.pop("marking", BY_TYPE), **options)


@pytest.fixture
def stopped(tmp_path, many, monkeypatch):
    """A run that was stopped by Ctrl-C after five pieces."""
    with monkeypatch.context() as patch:
        interrupted_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(many, tmp_path / "out")
    assert len(parts_of(tmp_path / "out")) == 5
    return tmp_path / "out"


def test_after_ctrl_c_the_same_call_goes_on(tmp_path, many, stopped, whole):
    run(many, stopped)
    assert everything(stopped) == whole
    assert not unfinished_path(stopped).exists()


def test_a_part_that_was_not_finished_is_done_anew(tmp_path, many, stopped, whole):
    parts = unfinished_path(stopped) / "parts"
    (parts / "00000002.json").unlink()
    (parts / "00000002.released").write_bytes(b"half")
    (parts / "00000003.parquet").rename(parts / "gone")  # as if killed before the summary
    (parts / "00000003.json").unlink()
    run(many, stopped)
    assert everything(stopped) == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"marking": Marking(unit=Unit.SLOT)},
        {"candidates": LexiconSource()},
        {"id_column": None},
        {"piece_bytes": 8_999},
        {"recipient": "Ann"},
    ],
)
def test_other_arguments_are_refused_and_the_work_is_kept(many, stopped, changes):
    with pytest.raises(InvalidInput, match="was not finished") as caught:
        run(many, stopped, **changes)
    assert str(unfinished_path(stopped)) in caught.value.hint
    assert len(parts_of(stopped)) == 5


def test_a_source_that_has_changed_is_refused(many, stopped):
    (many / "b.csv").write_bytes((many / "b.csv").read_bytes() + b'"id x","more"\n')
    with pytest.raises(InvalidInput, match="of a source that has changed since"):
        run(many, stopped)


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, many):
    """Pieces before and after the change would be of two versions, and the manifest of neither."""

    def append(rows):
        with (many / "b.csv").open("a") as file:
            file.write('"id x","more"\n')

    with pytest.raises(InvalidInput, match="has changed while it was read"):
        run(many, tmp_path / "out", progress=append)
    assert not (tmp_path / "out").exists()


def test_a_source_that_has_changed_behind_its_date_is_marked_anew(tmp_path, many, stopped):
    """Same length, same time: the bytes of each piece still tell."""
    path, found = many / "a.jsonl", (many / "a.jsonl").stat()
    path.write_bytes(path.read_bytes().replace(b"id 1", b"ID 1"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    run(many, stopped)
    run(many, tmp_path / "afresh")
    assert everything(stopped) == everything(tmp_path / "afresh")


def test_two_runs_do_not_share_a_place(tmp_path, many, whole):
    process = started(tmp_path, many, tmp_path / "out", 1)
    wait_until(lambda: parts_of(tmp_path / "out"))
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(InvalidInput, match="another process is making it"):
            run(many, tmp_path / "out")
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate()
    assert everything(tmp_path / "out") == whole


def test_a_run_killed_at_its_very_end_leaves_nothing_private(tmp_path, many):
    run(many, tmp_path / "out")
    work = unfinished_path(tmp_path / "out")
    work.mkdir()
    (work / "finished").touch()
    with pytest.raises(InvalidInput, match="already exists"):
        run(many, tmp_path / "out")
    assert not work.exists()


def test_a_folder_laid_in_wait_is_refused(tmp_path, many):
    (tmp_path / "theirs").mkdir()
    unfinished_path(tmp_path / "out").symlink_to("theirs")
    with pytest.raises(InvalidInput, match="is not ours"):
        run(many, tmp_path / "out")
    assert not list((tmp_path / "theirs").iterdir())


def test_a_worker_that_is_killed_is_no_bug_and_loses_nothing(tmp_path, many, monkeypatch, whole):
    real = piecework._settled

    def settled(piece, stem, *arguments):
        if stem.name == "00000004":
            os.kill(family_of(os.getpid())[-1], signal.SIGKILL)
        return real(piece, stem, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(piecework, "_settled", settled)
        with pytest.raises(Interrupted, match="a worker process was killed"):
            run(many, tmp_path / "out", workers=2)
    assert parts_of(tmp_path / "out")
    run(many, tmp_path / "out")
    assert everything(tmp_path / "out") == whole


@pytest.mark.parametrize("options", [{"workers": 0}, {"piece_bytes": 0}])
def test_no_workers_do_no_work(tmp_path, options):
    with pytest.raises(InvalidInput, match="at least 1 worker"):
        embed(
            write_source(tmp_path / "a.csv", [SURE]),
            tmp_path / "out",
            KEY,
            BY_TYPE,
            **options,
            candidates=BROAD,
        )


def test_what_would_be_left_out_in_silence_is_refused(tmp_path):
    """A link to a folder is not looked into, and release.json is ours."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jsonl").write_text('{"text": "go quickly"}\n')
    (tmp_path / "elsewhere").mkdir()
    (source / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="is a link to a folder"):
        embed(source, tmp_path / "out", KEY, Marking(), candidates=BROAD)
    (source / "link").unlink()
    (source / "release.json").mkdir()
    (source / "release.json" / "b.jsonl").write_text('{"text": "go quickly"}\n')
    with pytest.raises(InvalidInput, match=r"release\.json is the name of a file of ours"):
        embed(source, tmp_path / "out", KEY, Marking(), candidates=BROAD)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "source"]
