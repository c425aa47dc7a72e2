"""Ray marks the same bytes, keeps the key to itself, and loses nothing with a worker."""

import os
import stat
import tempfile
from pathlib import Path

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.files import Interrupted, unfinished_path
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import Engine, embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking, Mode, Unit

ray = pytest.importorskip("ray")
ray_engine = pytest.importorskip("bookplate.watermark.ray_engine")

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(b"k" * 32, b"s" * 32)
MARKINGS = [
    Marking(),
    Marking(unit=Unit.SHARD, shards=5),
    Marking(unit=Unit.SLOT),
    Marking(unit=Unit.RECORD, ghosts=3),
    Marking(mode=Mode.LEXIMARK),
]


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def mark(source, out, engine=Engine.LOCAL, marking=MARKINGS[0], candidates=BROAD, **options):
    options = {"id_column": "id", "piece_bytes": 9_000, **options}
    embed(source, out, KEY, marking, candidates=candidates, engine=engine, **options)
    return everything(out)


@pytest.fixture(scope="module")
def source(tmp_path_factory, english):
    """A dataset of every kind of file, in several pieces each."""
    folder = tmp_path_factory.mktemp("ray") / "data"
    folder.mkdir()
    texts = [*english[:60], *english[:9]]
    frame = pl.DataFrame({"id": [f"id {i}" for i in range(len(texts))], "text": texts})
    frame.write_ndjson(folder / "a.jsonl")
    frame.write_csv(folder / "b.csv")
    more = frame.with_columns(
        pl.Series("cat", ["x", "y", "z"] * 23, dtype=pl.Categorical),
        pl.Series("when", range(69)).cast(pl.Datetime("ms", "Europe/Berlin")),
        pl.Series("deep", [{"l": [{"k": i}] * (i % 3)} for i in range(69)]),
    )
    more.write_parquet(folder / "c.parquet", metadata={"huggingface": "{}"}, row_group_size=13)
    return folder


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A cluster as `ray_workers` starts one; it stays for all tests, as a caller's own would."""
    work = tmp_path_factory.mktemp("work")
    with tempfile.TemporaryFile() as shown:
        before, token = dict(os.environ), Path.home() / ".ray" / "auth_token"
        had_token = token.exists()
        real = os.dup(1), os.dup(2)
        os.dup2(shown.fileno(), 1)
        os.dup2(shown.fileno(), 2)
        try:
            with ray_engine._cluster(2, work):
                yield (work / "ray").readlink()
        finally:
            for handle, number in zip(real, (1, 2), strict=True):
                os.dup2(handle, number)
                os.close(handle)
        shown.seek(0)
        assert shown.read() == b""
    assert dict(os.environ) == before
    assert token.exists() == had_token
    assert not list(work.iterdir())
    assert not ray.is_initialized()


def test_the_cluster_is_open_to_nobody_else(cluster):
    """Ray lets anybody who knows its ports run code, and leaves its folder open, unless told."""
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ray.cluster_resources()["CPU"] == 2


@pytest.mark.parametrize("marking", MARKINGS, ids=lambda m: f"{m.mode} {m.unit}")
def test_every_mode_and_format_gives_the_bytes_of_the_local_engine(
    tmp_path, source, marking, monkeypatch
):
    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 20)
    for workers in (1, 3):
        mark(source, tmp_path / f"{workers}", Engine.RAY, marking, workers=workers)
    local = mark(source, tmp_path / "local", marking=marking)
    assert everything(tmp_path / "1") == everything(tmp_path / "3") == local
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "local"]


def test_a_bad_row_far_down_is_named(tmp_path):
    """As the local engine names it, which knows how many rows come before a piece."""
    rows = [b'{"text": "They worked profitably."}'] * 1_199
    (tmp_path / "data.jsonl").write_bytes(b"\n".join([*rows, b'{"text": 7}', *rows]))
    with pytest.raises(InvalidInput, match="line 1200: expected 'text' to be a string"):
        mark(tmp_path / "data.jsonl", tmp_path / "out", Engine.RAY, id_column=None)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


class Deadly(LexiconSource):
    """Kills its worker, as often as there are lives in a folder."""

    def __init__(self, lexicon, lives):
        super().__init__(lexicon)
        self.lives = lives

    def slots(self, texts):
        for life in self.lives.iterdir():
            life.unlink()
            os._exit(1)
        return super().slots(texts)


class Broken(LexiconSource):
    """Has a bug."""

    def slots(self, texts):
        raise ZeroDivisionError("by zero")


@pytest.fixture
def lives(tmp_path):
    folder = tmp_path / "lives"
    folder.mkdir()
    return folder


def test_pieces_of_a_lost_worker_are_marked_by_another(tmp_path, source, lives):
    (lives / "one").touch()
    deadly = Deadly(Lexicon.shipped(Tier.BROAD), lives)
    marked = mark(source, tmp_path / "out", Engine.RAY, candidates=deadly, workers=2)
    assert not list(lives.iterdir())
    assert marked == mark(source, tmp_path / "local")


def test_workers_that_die_and_die_are_no_bug_and_lose_nothing(tmp_path, source, lives, monkeypatch):
    monkeypatch.setattr(ray_engine, "_RETRIES", 0)
    real, out = ray_engine._received, tmp_path / "out"

    def received(answer, stem):
        (lives / "one").touch()
        return real(answer, stem)

    monkeypatch.setattr(ray_engine, "_received", received)
    deadly = Deadly(Lexicon.shipped(Tier.BROAD), lives)
    with pytest.raises(Interrupted, match="were lost: WorkerCrashedError"):
        mark(source, out, Engine.RAY, candidates=deadly)
    for life in lives.iterdir():
        life.unlink()
    assert list((unfinished_path(out) / "parts").glob("*.json"))
    assert mark(source, out, Engine.RAY) == mark(source, tmp_path / "local")


def test_a_bug_stays_a_bug(tmp_path, source):
    with pytest.raises(ZeroDivisionError):
        mark(source, tmp_path / "out", Engine.RAY, candidates=Broken())


def test_workers_of_another_version_are_refused(tmp_path, source, monkeypatch):
    """Their marks might differ; the part is not marked here instead, where nobody would notice."""
    monkeypatch.setattr(ray_engine, "__version__", "99")
    with pytest.raises(Interrupted, match=r"run bookplate 0\..*, this is 99"):
        mark(source, tmp_path / "out", Engine.RAY)


# Without a cluster.


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def test_a_cluster_that_is_not_there_is_one_line(tmp_path, source, monkeypatch, alone):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(Interrupted, match=r"Ray at '127\.0\.0\.1:1' cannot be reached"):
        mark(source, tmp_path / "out", Engine.RAY)


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / "left"
    left.mkdir()
    (tmp_path / "ray").symlink_to(left)
    with ray_engine._private_folder(tmp_path / "ray") as folder:
        assert not left.exists()
        assert len(str(folder)) < 40  # a socket's path has 107 bytes, of which Ray needs 60
    assert not folder.exists()
    assert not list(tmp_path.iterdir())


def test_a_missing_ray_is_one_line(tmp_path, source, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.piecework.find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="needs the package ray") as caught:
        mark(source, tmp_path / "out", Engine.RAY)
    assert caught.value.hint == "pip install 'bookplate[ray]'"
    assert not list(tmp_path.iterdir())
