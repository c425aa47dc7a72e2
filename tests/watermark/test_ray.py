"""Ray gives the same bytes and bits, keeps the key to itself, and loses nothing with a worker."""

import json
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bookplate.cli import main
from bookplate.errors import InvalidInput
from bookplate.files import Interrupted, unfinished_path
from bookplate.provenance.suspect import ChoiceSlot
from bookplate.provenance.suspect.local import Loading, TransformersSuspect
from bookplate.watermark.audited import AuditedDataset
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import Engine, embed
from bookplate.watermark.evidence import load_evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.searching import search

ray = pytest.importorskip("ray")
ray_engine = pytest.importorskip("bookplate.watermark.ray_engine")
scoring = pytest.importorskip("bookplate.provenance.suspect.local.sharded")

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


# Searching.


@pytest.fixture(scope="module")
def evidence(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("release") / "out"
    mark(source, out)
    return load_evidence(out / "private" / "manifest.parquet")


def test_a_dataset_of_every_format_is_searched_alike(source, evidence, monkeypatch):
    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 20)
    local = AuditedDataset(source, piece_bytes=3_000)
    expected = search(evidence, local)
    assert expected.n_texts_found > 100
    for workers in (1, 3):
        dataset, told = AuditedDataset(source, piece_bytes=3_000), []
        found = search(evidence, dataset, engine=Engine.RAY, workers=workers, progress=told.append)
        for name in expected.__slots__:
            np.testing.assert_equal(getattr(found, name), getattr(expected, name), name)
        assert dataset.files == local.files
        assert told == sorted(told)
        assert told[-1] == expected.n_texts


def test_a_bad_row_of_a_searched_dataset_is_named(tmp_path, evidence):
    rows = [b'{"text": "They worked profitably."}'] * 1_199
    (tmp_path / "data.jsonl").write_bytes(b"\n".join([*rows, b'{"text": 7}', *rows]))
    dataset = AuditedDataset(tmp_path / "data.jsonl", piece_bytes=9_000)
    with pytest.raises(InvalidInput, match="line 1200: expected 'text' to be a string"):
        search(evidence, dataset, engine=Engine.RAY)
    with pytest.raises(InvalidInput, match="have not been read to the end"):
        dataset.files  # ruff: ignore[useless-expression]


def test_an_empty_dataset_is_refused(tmp_path, evidence):
    (tmp_path / "data.csv").write_text("text\n")
    with pytest.raises(InvalidInput, match="the dataset is empty"):
        search(evidence, AuditedDataset(tmp_path / "data.csv"), engine=Engine.RAY)


def answer_of(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["bookplate", *map(str, arguments), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in {0, 1}
    return json.loads(capsys.readouterr().out)


def test_the_leak_command_answers_alike(tmp_path, source, capsys, monkeypatch):
    mark(source, tmp_path / "out")
    manifest = tmp_path / "out" / "private" / "manifest.parquet"
    command = ("watermark", "leak", manifest, tmp_path / "out" / "release", "--seed", 3)
    local, there = (
        answer_of(capsys, monkeypatch, *command, *more)
        for more in ((), ("--engine", "ray", "--workers", 2))
    )
    assert local == there
    assert "coverage" in local


# Scoring.


@pytest.fixture(scope="module")
def model(tiny_model):
    """On the processor, as the workers are."""
    return TransformersSuspect.open(str(tiny_model), Loading(device="cpu"), context=64)


@pytest.fixture
def small_batches(monkeypatch, model):
    monkeypatch.setattr(model._network, "_budget", 700)


def on_ray(model, folder):
    return scoring.Opened(model, str(folder), Loading(device="cpu"))


def test_every_kind_of_score_is_the_same_bit_by_bit(english, model, tiny_model, small_batches):
    """With long texts, which go in windows, and places that share a row of tokens."""
    texts = [*english[:25], "", "a", english[3]]
    slots = [
        [ChoiceSlot(i, i + 4, (text[i : i + 4], "word", "other one")) for i in range(9, 900, 90)]
        if len(text) > 1_000
        else []
        for text in texts
    ]
    rows = [list(range(k, 90)) for k in range(0, 80, 7)]
    with scoring.sharded([on_ray(model, tiny_model)] * 2, 2) as (shared, again):
        told = []
        shared.on_progress = lambda done, total, seconds: told.append((done, total))
        for one, other in zip(shared.token_tables(texts), model.token_tables(texts), strict=True):
            assert one.tokens == other.tokens
            for name in ("logprobs", "mean", "sd"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert len(told) > 9
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
        for sequences in (texts, rows):
            one, other = (m.token_logprobs(sequences) for m in (again, model))
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert shared._obeys_masks()
        for one, other in zip(
            shared.choice_logprobs(texts, slots), model.choice_logprobs(texts, slots), strict=True
        ):
            np.testing.assert_equal(one, other)
        asked = {"n_samples": 2, "max_new_tokens": 3, "seed": 1}
        assert shared.complete(["a"], **asked) == model.complete(["a"], **asked)


def test_a_batch_too_large_for_a_worker_is_halved(model, english, monkeypatch, small_batches):
    """As it is without a cluster; later batches are small at once."""
    sizes = []

    class Small:
        at_once = 1

        def moments(self, inputs, wanted, *, spread):
            sizes.append(inputs["input_ids"].numel())
            if sizes[-1] > 300:
                raise scoring.MemoryShortError
            return model._network.moments(model._network.forward(**inputs), wanted, spread=spread)

    found = scoring.ShardedSuspect(model, Small()).token_logprobs(english[:12])
    for one, other in zip(found, model.token_logprobs(english[:12]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert max(sizes[-5:]) <= 300
    assert sum(size > 300 for size in sizes) < 6


def test_a_lost_worker_is_begun_anew(model, tiny_model, english, small_batches):
    with scoring.sharded([on_ray(model, tiny_model)], 1) as (shared,):
        ray.kill(next(iter(shared._network._share._free.queue)), no_restart=False)
        found = shared.token_logprobs(english[:3])
    for one, other in zip(found, model.token_logprobs(english[:3]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_broken_model_is_one_line_from_there_too(tmp_path, model):
    with (
        pytest.raises(InvalidInput, match="no-such-folder"),
        scoring.sharded([on_ray(model, tmp_path / "no-such-folder")], 1),
    ):
        pass


def about(**changes):
    return scoring._About(**{
        "version": scoring.__version__,
        "digests": ("d",),
        "computes": "c",
        **changes,
    })


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([about(version="99")], "run bookplate 99"),
        ([about(), about(digests=("e",))], "other weights on a Ray worker"),
        ([about(), about(computes="k")], "compute differently: c; k"),
    ],
    ids=["version", "weights", "processors"],
)
def test_workers_that_differ_are_refused(told, message, model):
    opened = scoring.Opened(model, "name", Loading())
    told = [
        scoring.replace(a, digests=(model.identity.sha256,)) if a.digests == ("d",) else a
        for a in told
    ]
    scoring._refuse_unlike([opened], told[:-1])
    with pytest.raises(Interrupted, match=message):
        scoring._refuse_unlike([opened], told)


def test_more_workers_than_processors_are_refused(model, tiny_model):
    with (
        pytest.raises(InvalidInput, match="has 2 processors for 3 workers"),
        scoring.sharded([on_ray(model, tiny_model)], 3),
    ):
        pass


def test_models_for_several_devices_are_refused(model):
    other = scoring.Opened(model, "name", Loading(device="cuda"))
    with (
        pytest.raises(InvalidInput, match="models for one device, got 2"),
        scoring.sharded([on_ray(model, "name"), other], 1),
    ):
        pass


def test_the_score_command_answers_alike(
    tmp_path, tiny_model, other_model, english, capsys, monkeypatch
):
    pl.DataFrame({"text": english[:9]}).write_csv(tmp_path / "texts.csv")
    command = ("membership", "score", tmp_path / "texts.csv", "--suspect", tiny_model)
    command = (*command, "--reference", other_model, "--device", "cpu", "--out")
    for name, more in (("local", ()), ("ray", ("--engine", "ray", "--workers", 2))):
        answer_of(capsys, monkeypatch, *command, tmp_path / f"{name}.csv", *more)
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_only_weights_can_be_shared_out(tmp_path, capsys, monkeypatch):
    (tmp_path / "t.jsonl").write_text('{"text": "b"}\n')
    command = ["membership", "score", str(tmp_path / "t.jsonl"), "--engine", "ray", "--suspect"]
    monkeypatch.setattr("sys.argv", ["bookplate", *command, "http://127.0.0.1:9/v1#m"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "needs models by their weights" in capsys.readouterr().err


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
