"""What lots of texts show, added up, is what all of them show."""

import random
from dataclasses import fields

import numpy as np
import pytest
from bookplate.cli import main
from bookplate.errors import InvalidInput
from bookplate.watermark.alignment import Aligner, BlindRecord
from bookplate.watermark.audited import AuditedDataset
from bookplate.watermark.embed import Engine, mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.leak import aligner_of, blind_records
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking
from bookplate.watermark.searching import SummingAligner, search
from bookplate.watermark.tables import apply_edits

KEY = MarkingKey(b"k" * 32, b"s" * 32)


def same(one, other):
    """Every number, bit by bit."""
    for field in fields(one):
        np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name), field.name)
    return True


@pytest.fixture(scope="module")
def evidence(english):
    manifest = mark_texts(english[:80], KEY, Marking())
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in english[:80]})


@pytest.fixture(scope="module")
def theirs(evidence, english):
    """Copies, some twice and run together, originals, and other texts."""
    copies = [
        apply_edits(evidence.originals[r.record], r.release_edits())
        for r in evidence.manifest.records[:50]
    ]
    texts = [*copies, *copies[:9], " ".join(copies[9:14]), *english[60:120], ""]
    random.Random(4).shuffle(texts)
    return texts


@pytest.mark.parametrize("n_lots", [1, 2, 7, 200])
def test_lots_add_up_to_the_whole(n_lots, evidence, theirs):
    whole = aligner_of(evidence).align(theirs)
    assert whole.n_texts_found > 50
    assert whole.n_other >= 0
    aligner = SummingAligner(blind_records(evidence))
    lots = [aligner.shown(theirs[i::n_lots]) for i in range(n_lots)]
    random.Random(1).shuffle(lots)
    assert same(aligner.total(lots), whole)
    assert same(aligner.align(theirs), whole)


def test_a_lot_that_shows_little_is_small(evidence):
    lot = SummingAligner(blind_records(evidence)).shown(["Nothing of the kind."] * 3)
    assert lot.n_texts == 3
    assert not any(map(np.size, (lot.words, lot.columns, lot.counts, lot.records, lot.n_texts_of)))


def test_originals_without_slots_add_up():
    words = "one of a kind and no word of it can be exchanged for any other at all"
    records = [BlindRecord("0" * 64, (words,), ())]
    aligner = SummingAligner(records)
    lots = [aligner.shown([text]) for text in (words, "else")]
    assert same(aligner.total(lots), Aligner(records).align([words, "else"]))


def test_the_local_engine_searches_here(tmp_path, evidence, theirs):
    from polars import DataFrame

    DataFrame({"text": theirs}).write_csv(tmp_path / "theirs.csv")
    dataset, told = AuditedDataset(tmp_path / "theirs.csv", piece_bytes=5_000), []
    found = search(evidence, dataset, progress=told.append)
    assert same(found, aligner_of(evidence).align(theirs))
    assert told == sorted(told)
    assert told[-1] == dataset.files[0].n_texts == len(theirs)


def test_a_missing_ray_is_one_line(tmp_path, evidence, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.piecework.find_spec", lambda name: None)
    (tmp_path / "a.jsonl").write_text('{"text": "b"}\n')
    with pytest.raises(InvalidInput, match="needs the package ray") as caught:
        search(evidence, AuditedDataset(tmp_path / "a.jsonl"), engine=Engine.RAY)
    assert caught.value.hint == "pip install 'bookplate[ray]'"


@pytest.mark.parametrize(
    "arguments",
    [["watermark", "leak", "m", "t"], ["membership", "score", "t", "--suspect", "s"]],
    ids=lambda arguments: arguments[1],
)
def test_commands_refuse_what_does_not_fit(arguments, monkeypatch, capsys):
    def said(*more):
        monkeypatch.setattr("sys.argv", ["bookplate", *arguments, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "--workers goes with --engine ray" in said("--workers", "2")
    monkeypatch.setattr("bookplate.watermark.piecework.find_spec", lambda name: None)
    assert "needs the package ray" in said("--engine", "ray")
