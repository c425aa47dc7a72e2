"""Released files are held against release.json: other bytes are reported, other texts refused."""

import json
import shutil

import pytest
from bookplate.errors import VerificationError
from bookplate.watermark.embed import embed
from bookplate.watermark.evidence import load_evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.marking import Marking

KEY = MarkingKey(b"k" * 32, b"s" * 32)


@pytest.fixture
def release(tmp_path, english):
    """The folder of a release of two files, whose rows have another column."""
    source = tmp_path / "source"
    (source / "b").mkdir(parents=True)
    for start, name in enumerate(("a.jsonl", "b/c.jsonl")):
        rows = [{"text": t, "licence": "ours"} for t in english[start:60:2]]
        (source / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    embed(source, tmp_path / "out", KEY, Marking())
    return tmp_path / "out" / "release"


def evidence_of(release, released=None):
    manifest = release.parent / "private" / "manifest.parquet"
    return load_evidence(manifest, key=KEY, released=released)


def test_the_files_of_a_release_give_no_warning(release):
    evidence = evidence_of(release)
    assert evidence.warnings == ()
    assert [i.name for i in evidence.inputs] == [
        "manifest.parquet",
        "release.json",
        "a.jsonl",
        "b/c.jsonl",
    ]
    assert evidence_of(release, release).warnings == ()


def test_each_record_has_its_place(release):
    evidence = evidence_of(release)
    assert set(evidence.places) == set(evidence.originals)
    records = evidence.manifest.by_original()
    for digest, (name, row) in evidence.places.items():
        line = (release / name).read_text().splitlines()[row - 1]
        assert len(json.loads(line)["text"]) == len(evidence.originals[digest]) + sum(
            len(s.released) - len(s.original) for s in records[digest].slots
        )


def test_other_columns_are_reported_and_other_texts_refused(release):
    path = release / "b" / "c.jsonl"
    content = path.read_text()
    path.write_text(content.replace('"ours"', '"theirs"'))
    (warning,) = evidence_of(release).warnings
    assert warning.startswith("b/c.jsonl is not byte for byte the released file, though its texts")
    path.write_text(content.replace("the", "teh", 1))
    with pytest.raises(VerificationError, match="is not a released text of this manifest"):
        evidence_of(release)


def test_missing_rows_are_counted(release):
    path = release / "a.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    changed, missing = evidence_of(release).warnings
    assert changed.startswith("a.jsonl is not byte for byte")
    assert missing.startswith("2 of 60 records of the manifest are in none of the files at hand")


def test_named_files_are_compared_with_those_of_the_release(release, tmp_path):
    """By their digests, as the caller may have renamed them."""
    renamed = tmp_path / "mine.jsonl"
    shutil.copy(release / "a.jsonl", renamed)
    (missing,) = evidence_of(release, renamed).warnings
    assert missing.startswith("30 of 60 records")
    renamed.write_text(renamed.read_text() + "\n")
    strange, missing = evidence_of(release, renamed).warnings
    assert strange.startswith("mine.jsonl: not byte for byte a file that release.json lists")


def test_names_in_warnings_are_fit_to_be_shown(release, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5):
        path = folder / f"\x1b[31m{number}.jsonl"
        path.write_text((release / "a.jsonl").read_text() + "\n")
    strange, _ = evidence_of(release, folder).warnings
    assert strange.startswith("<U+001B>[31m0.jsonl, ")
    assert "and 2 more files: not byte for byte" in strange
