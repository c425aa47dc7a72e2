"""The dataset under audit: files of any format, in any cut and order, give one and the same answer."""

import gzip
import json
import random

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.files import sha256_of_file
from bookplate.watermark.audited import AuditedDataset
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.leak import aligner_of, leak_test
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking
from bookplate.watermark.tables import apply_edits

KEY = MarkingKey(b"k" * 32, b"s" * 32)


@pytest.fixture(scope="module")
def evidence(english):
    texts = english[:200]
    manifest = mark_texts(texts, KEY, Marking())
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


@pytest.fixture(scope="module")
def theirs(evidence, english):
    """Some of the release, some originals, and other texts."""
    marked = [
        apply_edits(evidence.originals[r.record], r.release_edits())
        for r in evidence.manifest.records[:150]
    ]
    texts = marked + english[100:200] + english[300:350]
    random.Random(4).shuffle(texts)
    return texts


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"n": range(len(texts)), "text": texts})
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)


def found_in(source, aligner, evidence, **options):
    dataset = AuditedDataset(source, **options)
    result = leak_test(evidence, aligner.align(dataset.texts()), seed=1)
    return dataset, (result.finding, result.records, result.n_texts, result.n_texts_found)


def test_files_their_order_and_cuts_make_no_difference(tmp_path, evidence, theirs):
    aligner = aligner_of(evidence)
    whole = tmp_path / "whole.jsonl"
    write(whole, theirs)
    dataset, expected = found_in(whole, aligner, evidence)
    assert [(f.name, f.n_texts) for f in dataset.files] == [("whole.jsonl", len(theirs))]
    assert expected[0].log10_p < -3
    for names in (["a.parquet", "b/c.csv", "d.jsonl.gz"], ["z.csv", "y.jsonl", "x/w.parquet"]):
        folder = tmp_path / names[0]
        for start, name in enumerate(names):
            write(folder / name, theirs[start::3])
        for piece_bytes in (1_000, 100_000):
            dataset, found = found_in(folder, aligner, evidence, piece_bytes=piece_bytes)
            assert found == expected
        assert [f.name for f in dataset.files] == sorted(names)
        assert dataset.is_folder
        for file in dataset.files:
            assert file.sha256 == sha256_of_file(folder / file.name)
        assert sum(f.n_texts for f in dataset.files) == len(theirs)


def test_texts_are_read_as_they_are_asked_for(tmp_path):
    """What is wrong in the last piece is not noticed before it is reached."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "good"}\n' * 1_000 + '{"text": 5}\n')
    seen = []
    dataset = AuditedDataset(path, piece_bytes=1_700)
    texts = dataset.texts(seen.append)
    assert next(texts) == "good"
    assert not seen
    with pytest.raises(InvalidInput, match="have not been read to the end"):
        _ = dataset.files
    with pytest.raises(InvalidInput, match=r"data\.jsonl: line 1001"):
        list(texts)
    assert seen == [100 * n for n in range(1, 11)]


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text\none\ntwo\n")
    texts = AuditedDataset(path).texts()
    next(texts)
    path.write_text("text\none\nthree\n")
    with pytest.raises(InvalidInput, match="changed while it was read"):
        list(texts)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": "text\n"}, "the dataset is empty"),
        ({"a.csv": "body\nx\n"}, "no column 'text'"),
        ({"a.csv": "text\nx\n", "read.me": "x"}, "cannot tell the format"),
        ({}, "holds no dataset files"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=message):
        list(AuditedDataset(tmp_path).texts())


def test_an_empty_file_among_others_is_listed(tmp_path):
    (tmp_path / "a.csv").write_text("text\n")
    (tmp_path / "b.csv").write_text("text\nx\n")
    dataset = AuditedDataset(tmp_path)
    assert list(dataset.texts()) == ["x"]
    assert [(f.name, f.n_texts) for f in dataset.files] == [("a.csv", 0), ("b.csv", 1)]
