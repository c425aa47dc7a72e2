"""Where datasets come from and who marks them, as the command line says it."""

import pytest
from bookplate.files import Interrupted
from bookplate.watermark.embed import EmbedSummary
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.piecework import Engine

SUMMARY = EmbedSummary(rows=1, records=1, marked_records=1, slots=1, units=1, edited_words=1)


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    """What the library is called with."""
    MarkingKey(b"k" * 32, b"s" * 32).save(tmp_path / "key")
    calls = []

    def embed(source, *arguments, **options):
        calls.append({"source": source, **options})
        return SUMMARY

    monkeypatch.setattr("bookplate.watermark.embed.embed", embed)
    return calls


def test_an_address_keeps_its_slashes(run, embedded):
    code, _, err = run("watermark", "embed", "s3://bucket/a//*.parquet", "out", "--key", "key")
    assert (code, err) == (0, "")
    assert embedded[0]["source"] == "s3://bucket/a//*.parquet"
    assert embedded[0]["engine"] is Engine.LOCAL


def test_the_engine_is_handed_on(run, embedded):
    assert run("watermark", "embed", "a", "out", "--key", "key", "--engine", "ray")[0] == 0
    assert embedded[0]["engine"] is Engine.RAY
    code, _, err = run("watermark", "embed", "a", "out", "--key", "key", "--engine", "dask")
    assert code == 2
    assert "--engine" in err


def test_lost_workers_are_no_bad_input(run, embedded, monkeypatch):
    """EX_TEMPFAIL: a script may call the same command again."""

    def lost(*arguments, **options):
        raise Interrupted("a worker was killed", "go on")

    monkeypatch.setattr("bookplate.watermark.embed.embed", lost)
    outcome = run("watermark", "embed", "a", "out", "--key", "key")
    assert outcome == (75, "", "error: a worker was killed; go on\n")


def test_a_scheme_that_nobody_reads_is_one_line(run, tmp_path):
    MarkingKey(b"k" * 32, b"s" * 32).save(tmp_path / "key")
    code, out, err = run("watermark", "embed", "ftp://host/a.parquet", "out", "--key", "key")
    assert (code, out) == (2, "")
    assert err.startswith("error: ftp://host/a.parquet: cannot read from ftp://")
    assert err.count("\n") == 1
