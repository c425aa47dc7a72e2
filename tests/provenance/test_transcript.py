"""Transcripts on disk: shards, streaming, samples drawn before loading, digests, refusals."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import (
    Content,
    Sample,
    Sampling,
    Transcript,
    TranscriptSource,
    order_test,
    sequence_digest,
)
from bookplate.provenance.palimpsest.sampling import drawn_places
from bookplate.provenance.palimpsest.transcript import tables
from bookplate.stats import Input, SpearmanMethod
from scipy.stats import binom

SOURCE = Input(name="t", sha256="0" * 64)


def rows_of(n, per_step=4):
    return pl.DataFrame({
        "step": [i // per_step for i in range(n)],
        "position": [i % per_step for i in range(n)],
        "tokens": [[i, i + 1, i % 3] for i in range(n)],
    })


@pytest.fixture
def shards(tmp_path):
    """200 rows in three files; names sort as the rows do."""
    folder, frame = tmp_path / "shards", rows_of(200)
    folder.mkdir()
    for name, part in [("0", frame[:70]), ("1", frame[70:71]), ("2", frame[71:])]:
        part.write_parquet(folder / f"{name}.parquet")
    return folder


# ---- files and shards -----------------------------------------------------------------------------


def test_shards_read_as_one_file(shards, tmp_path):
    rows_of(200).write_parquet(tmp_path / "one.parquet")
    one, many = Transcript.read(tmp_path / "one.parquet"), Transcript.read(shards)
    assert many.steps.tolist() == one.steps.tolist() == rows_of(200)["step"].to_list()
    assert many.sequences == one.sequences
    assert many.description == ""
    assert many.source.name == "shards"


def test_the_identity_of_a_folder_is_that_of_all_its_shards(shards):
    before = TranscriptSource.open(shards).identity()
    assert TranscriptSource.open(shards).identity() == before
    (shards / ".hidden.parquet").write_bytes(b"no shard")
    assert TranscriptSource.open(shards).identity() == before
    (shards / "1.parquet").rename(shards / "3.parquet")
    assert TranscriptSource.open(shards).identity() != before


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_frames_hold_every_row_once(tmp_path, suffix, monkeypatch):
    path, frame = tmp_path / f"t.{suffix}", rows_of(100)
    if suffix == "parquet":
        frame.write_parquet(path, row_group_size=17)
        monkeypatch.setattr(tables, "_BLOCK_ROWS", 60)
    else:
        frame.write_ndjson(path)
    source = TranscriptSource.open(path)
    frames = list(source.frames(30))
    assert [part.height for part in frames] == [30, 30, 30, 10]
    assert pl.concat(frames).equals(frame)
    assert source.content is Content.TOKENS
    assert source.draw().contents == tuple(map(tuple, frame["tokens"].to_list()))


def test_outline_counts_and_knows_the_order(shards, tmp_path):
    outline = TranscriptSource.open(shards).outline()
    assert (outline.n_rows, outline.first_step, outline.last_step) == (200, 0, 49)
    assert outline.in_order
    frame = rows_of(60)
    for name, mixed in [
        ("steps", frame.reverse()),
        ("positions", frame.with_columns(position=3 - pl.col("position"))),
        ("last", pl.concat([frame[1:], frame[:1]])),
    ]:
        mixed.write_parquet(tmp_path / f"{name}.parquet")
        assert not TranscriptSource.open(tmp_path / f"{name}.parquet").outline().in_order


def test_shards_must_be_alike(shards, tmp_path):
    rows_of(5).drop("position").write_parquet(shards / "9.parquet")
    with pytest.raises(InvalidInput, match=r"9\.parquet: its columns are not those of 0"):
        Transcript.read(shards)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"holds no \.parquet file"):
        Transcript.read(tmp_path / "empty")


def test_an_error_names_the_shard_and_its_row(shards):
    frame = rows_of(40)
    tokens = [[1, 2]] * 39 + [[-1, 2]]
    frame.with_columns(tokens=pl.Series(tokens)).write_parquet(shards / "9.parquet")
    with pytest.raises(InvalidInput, match=r"9\.parquet: row 40: expected at least two"):
        Transcript.read(shards)
    frame.with_columns(step=pl.Series([0] * 7 + [-1] * 33)).write_parquet(shards / "9.parquet")
    with pytest.raises(InvalidInput, match=r"9\.parquet: row 8: 'step' is negative"):
        Transcript.read(shards)


def test_json_lines_that_change_their_types_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    good = [{"step": i, "text": "a b"} for i in range(1 << 13)]
    for bad, message in [
        ({"step": 0.5, "text": "a"}, "integer column 'step', got Float64"),
        ({"step": 1, "text": 7}, "expected a column 'text'"),
        ({"step": 1}, "no 'text'"),
    ]:
        path.write_text("".join(json.dumps(row) + "\n" for row in [*good, bad]))
        with pytest.raises(InvalidInput, match=message):
            Transcript.read(path)


HUGE = [(2**32, pl.Int64), (2**32, pl.UInt64), (2**63, pl.UInt64), (2**64 - 1, pl.UInt64)]


@pytest.mark.parametrize(("token", "dtype"), HUGE)
def test_token_ids_beyond_32_bits_are_refused(token, dtype, tmp_path, disclosure):
    """Digests take them as signed 64-bit integers, and would give two sequences one digest."""
    path, digests = tmp_path / "t.parquet", disclosure[0]
    frame = rows_of(60).with_columns(salt=pl.lit("00" * 16))
    for last in (2**32 - 1, token):
        ids = pl.Series([*frame["tokens"].to_list()[:-1], [3, last]], dtype=pl.List(dtype))
        frame.with_columns(tokens=ids).write_parquet(path)
        if last < 2**32:
            assert Transcript.read(path).sequences[-1] == (3, last)
            continue
        for call in (
            lambda: Transcript.read(path),
            lambda: Transcript.read(digests, disclosed=path),
        ):
            with pytest.raises(InvalidInput, match=r"t\.parquet: row 60: .* below 2\*\*32"):
                call()


@pytest.mark.parametrize("token", [2**32, 2**63, 2**70])
def test_json_lines_with_token_ids_beyond_32_bits_are_refused(token, tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [*rows_of(40).to_dicts(), {"step": 40, "position": 0, "tokens": [3, token]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InvalidInput, match=r"t\.jsonl: (row 41|column 'tokens')") as caught:
        Transcript.read(path)
    assert "below 2**32" in str(caught.value) + caught.value.hint


# ---- samples --------------------------------------------------------------------------------------


def places(steps, size, sampling, seed=1):
    return drawn_places(np.asarray(steps), Sample(size=size, sampling=sampling, seed=seed))


@pytest.mark.parametrize("sampling", Sampling)
def test_a_sample_has_its_size_and_no_row_twice(sampling):
    drawn = places(np.arange(1_000) // 7, 101, sampling)
    assert len(set(drawn.tolist())) == 101
    assert (np.diff(drawn) > 0).all()
    assert places(np.arange(40), 50, sampling).tolist() == list(range(40))
    assert places(np.arange(1_000), 101, sampling, seed=1).tolist() != (
        places(np.arange(1_000) // 7, 101, sampling, seed=2).tolist()
    )


def test_strata_are_even_over_the_order():
    steps = np.random.default_rng(0).permutation(1_000)
    drawn = np.sort(steps[places(steps, 40, Sampling.STRATIFIED)])
    assert (drawn // 25).tolist() == list(range(40))


def test_extremes_are_the_two_ends():
    steps = np.random.default_rng(0).permutation(1_000)
    drawn = steps[places(steps, 41, Sampling.EXTREMES)]
    assert sorted(drawn) == [*range(20), *range(979, 1_000)]


@pytest.mark.parametrize("sampling", Sampling)
def test_the_test_stays_exact_on_a_sample(sampling):
    """Scores rise with the row, as in a sorted dataset; orders are random, so no one is guilty.

    Ties of a step broken by the row number would choose low rows early and high rows late, and accuse
    nearly always. The bound fails by chance once in a million.
    """
    rng, n_runs = np.random.default_rng(7), 300
    scores = np.arange(60.0)
    rejected = 0
    for seed in range(n_runs):
        steps = rng.permutation(60) // 20
        drawn = places(steps, 30, sampling, seed)
        order = Transcript(steps=steps[drawn], sequences=((1, 2),) * 30, source=SOURCE)
        finding = order_test(order, scores[drawn], [], seed=1, method=SpearmanMethod.T)
        rejected += finding.p_value <= 0.05
    assert rejected <= binom.ppf(1 - 1e-6, n_runs, 0.05)


@pytest.mark.parametrize("sampling", Sampling)
def test_rows_in_any_order_give_the_same_sample(sampling, shards, tmp_path):
    sample = Sample(size=50, sampling=sampling, seed=3)
    rows_of(200).sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "mixed.parquet")
    in_order, mixed = (Transcript.read(p, sample) for p in (shards, tmp_path / "mixed.parquet"))
    assert set(mixed.sequences) == set(in_order.sequences)
    assert dict(zip(mixed.sequences, mixed.steps.tolist(), strict=True)) == dict(
        zip(in_order.sequences, in_order.steps.tolist(), strict=True)
    )


def test_only_the_sample_is_loaded(tmp_path):
    """A malformed row outside of it is never looked at; within it, its row is named."""
    frame, sample = rows_of(200), Sample(size=40, sampling=Sampling.EXTREMES, seed=1)
    tokens = frame["tokens"].to_list()
    for row in (100, 3):
        tokens[row] = [1]
        frame.with_columns(tokens=pl.Series(tokens)).write_parquet(tmp_path / f"{row}.parquet")
    transcript = Transcript.read(tmp_path / "100.parquet", sample)
    assert transcript.steps.tolist() == [i // 4 for i in [*range(20), *range(180, 200)]]
    with pytest.raises(InvalidInput, match="row 4"):
        Transcript.read(tmp_path / "3.parquet", sample)


def test_the_description_says_how_the_sample_was_drawn(shards):
    sample = Sample(size=40, sampling=Sampling.STRATIFIED, seed=9)
    said = Transcript.read(shards, sample).description
    assert said.startswith("40 of 200 sequences were used, drawn evenly")
    assert "seed 9" in said
    assert "All 200" in Transcript.read(shards, Sample(size=500, seed=1)).description


def test_samples_are_checked():
    with pytest.raises(InvalidInput, match="at least 30"):
        Sample(size=29, seed=1)
    with pytest.raises(InvalidInput, match="seed"):
        Sample(size=30, seed=-1)


# ---- digests --------------------------------------------------------------------------------------


@pytest.fixture
def disclosure(tmp_path):
    """Digests of 60 sequences, and what opens them."""
    frame = rows_of(60)
    salts = [bytes([i]) * 16 for i in range(60)]
    sequences = frame["tokens"].to_list()
    digests = [sequence_digest(s, salt) for s, salt in zip(sequences, salts, strict=True)]
    path = tmp_path / "digests.parquet"
    frame.drop("tokens").with_columns(digest=pl.Series(digests)).write_parquet(path)
    opened = pl.DataFrame({"tokens": sequences, "salt": [salt.hex() for salt in salts]})
    return path, opened.sample(fraction=1, shuffle=True, seed=1)


def test_digests_cannot_be_asked_about(disclosure, tmp_path):
    with pytest.raises(InvalidInput, match="digests of its sequences only"):
        Transcript.read(disclosure[0])
    rows_of(40).write_parquet(tmp_path / "whole.parquet")
    with pytest.raises(InvalidInput, match="holds its sequences itself"):
        Transcript.read(tmp_path / "whole.parquet", disclosed=tmp_path / "whole.parquet")


def test_disclosed_sequences_are_joined_by_digest(disclosure, tmp_path):
    path, opened = disclosure
    opened.write_ndjson(tmp_path / "opened.jsonl")
    transcript = Transcript.read(path, disclosed=tmp_path / "opened.jsonl")
    assert [list(s) for s in transcript.sequences] == rows_of(60)["tokens"].to_list()
    assert transcript.disclosure.name == "opened.jsonl"


def test_a_drawn_sequence_cannot_be_withheld(disclosure, tmp_path):
    path, opened = disclosure
    sample = Sample(size=30, sampling=Sampling.STRATIFIED, seed=1)
    opened.filter(pl.col("tokens").list.first() != 59).write_parquet(tmp_path / "o.parquet")
    with pytest.raises(InvalidInput, match="lacks 1 of the 60"):
        Transcript.read(path, disclosed=tmp_path / "o.parquet")
    wanted = TranscriptSource.open(path).draw(sample).contents
    kept = [
        sequence_digest(tokens, bytes.fromhex(salt)) in wanted for tokens, salt in opened.rows()
    ]
    opened.filter(pl.Series(kept)).write_parquet(tmp_path / "o.parquet")
    assert len(Transcript.read(path, sample, disclosed=tmp_path / "o.parquet").sequences) == 30


def test_another_salt_opens_nothing(disclosure, tmp_path):
    path, opened = disclosure
    opened.with_columns(salt=pl.lit("00" * 16)).write_parquet(tmp_path / "o.parquet")
    with pytest.raises(InvalidInput, match="lacks 59 of the 60"):
        Transcript.read(path, disclosed=tmp_path / "o.parquet")
    for salt in ("00", "zz" * 16):
        opened.with_columns(salt=pl.lit(salt)).write_parquet(tmp_path / "o.parquet")
        with pytest.raises(InvalidInput, match="row 1: expected a salt of 16 bytes"):
            Transcript.read(path, disclosed=tmp_path / "o.parquet")
    opened.drop("salt").write_parquet(tmp_path / "o.parquet")
    with pytest.raises(InvalidInput, match="expected columns 'salt'"):
        Transcript.read(path, disclosed=tmp_path / "o.parquet")


def test_malformed_digests_are_refused(disclosure, tmp_path):
    path = tmp_path / "bad.parquet"
    frame = pl.read_parquet(disclosure[0])
    frame.with_columns(digest=pl.lit("AB" * 32)).write_parquet(path)
    with pytest.raises(InvalidInput, match="row 1: expected a digest"):
        Transcript.read(path, disclosed=path)


def test_a_digest_is_the_hash_its_description_says():
    """SHA-256 by hand; a text and its tokens have different digests."""
    salt = bytes(range(16))
    by_hand = hashlib.sha256(b"bookplate sequence/1" + salt + b"t" + b"\7" + b"\0" * 7).hexdigest()
    assert sequence_digest([7], salt) == by_hand == sequence_digest(np.array([7], "u2"), salt)
    by_hand = hashlib.sha256(b"bookplate sequence/1" + salt + b"s\xc3\xa9").hexdigest()
    assert sequence_digest("é", salt) == by_hand
    with pytest.raises(InvalidInput, match="16 bytes"):
        sequence_digest("a", b"")


# ---- sequences ------------------------------------------------------------------------------------


def test_too_little_is_refused(tmp_path):
    for n, per_step, message in [(29, 1, "too few"), (40, 50, "same step")]:
        rows_of(n, per_step).write_parquet(tmp_path / "t.parquet")
        with pytest.raises(InsufficientEvidence, match=message):
            Transcript.read(tmp_path / "t.parquet")
