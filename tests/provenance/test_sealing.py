"""Recordings sealed, published and verified; the command line."""

import json
import re
from dataclasses import replace

import polars as pl
import pytest
import typer
from bookplate.cli import recording_commands
from bookplate.cli.transcript_options import OrderRead
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.palimpsest import Transcript
from bookplate.provenance.palimpsest.recording import (
    NOT_CHECKED,
    Commitments,
    Opening,
    Recorder,
    check_committed,
    inspect_recording,
    rows,
    seal,
    transcript_commitment,
    verify_recording,
    write_digests,
)
from bookplate.provenance.palimpsest.recording.folder import RecordingFolder
from typer.testing import CliRunner


@pytest.fixture
def run_folder(tmp_path):
    with Recorder(tmp_path / "run", seed=424_242, order="torch.randperm") as taker:
        taker.start()
        for step in range(20):
            taker.add([[step, 1, 2], [step, 3, 0]], [[1, 1, 1], [1, 1, 0]])
            taker.step()
        taker.end()
    return tmp_path / "run"


def test_the_transcript_is_ready_for_the_tests(run_folder):
    with pytest.raises(InvalidInput, match="holds no") as caught:
        Transcript.read(run_folder)
    assert "must be sealed first" in caught.value.hint
    seal(run_folder)
    transcript = Transcript.read(run_folder / "private" / "transcript")
    assert transcript.steps.tolist() == [i // 2 for i in range(40)]
    assert transcript.sequences[:2] == ((0, 1, 2), (0, 3))
    whole = Transcript.read(run_folder)  # a sealed recording may be named as it is
    assert whole.sequences == transcript.sequences
    assert (whole.source.name, whole.source.sha256) == ("run", transcript.source.sha256)


def test_nothing_secret_is_published(run_folder):
    seal(run_folder)
    public = (run_folder / "commitments.json").read_text()
    opening = Opening.read(run_folder / "private" / "opening.json")
    assert set(json.loads(public)) == {"format", "seed_commitment", "order", "transcript"}
    for secret in ("424242", opening.seed_salt.hex(), opening.row_key.hex()):
        assert secret not in public
        assert secret not in repr(opening)
    assert [path.name for path in run_folder.iterdir() if path.name != "private"] == [
        "commitments.json"
    ]
    assert (run_folder / "private").stat().st_mode & 0o777 == 0o700
    for name in ("opening.json", "journals/attempt-00001-rank-00000.journal"):
        assert (run_folder / "private" / name).stat().st_mode & 0o777 == 0o600


def test_the_seed_is_committed_to_before_training(tmp_path):
    Recorder(tmp_path / "run", seed=5, order="torch.randperm")
    before = Commitments.read(tmp_path / "run" / "commitments.json")
    opening = Opening.read(tmp_path / "run" / "private" / "opening.json")
    assert before.transcript is None
    assert before.seed_commitment == opening.seed_commitment
    for other in ({"seed": 6}, {"order": "by hand"}, {"seed_salt": b"0" * 32}):
        assert replace(opening, **other).seed_commitment != before.seed_commitment
    assert Opening.generate(5, "torch.randperm").seed_commitment != before.seed_commitment


def test_shards_of_any_size_give_one_commitment(run_folder, monkeypatch):
    monkeypatch.setattr(rows, "_SHARD_TOKENS", 13)
    tree = seal(run_folder).commitments.transcript
    shards = sorted((run_folder / "private" / "transcript").iterdir())
    assert len(shards) == 7  # fifteen tokens each, of a hundred
    pl.concat([pl.read_parquet(path) for path in shards]).write_parquet(run_folder / "one.parquet")
    assert transcript_commitment(run_folder / "one.parquet") == tree


def altered(change):
    def alter(folder):
        path = folder / "private" / "transcript" / "000000.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    return alter


def other_seed(folder):
    path = folder / "private" / "opening.json"
    path.write_text(path.read_text().replace("424242", "424243"))


ALTERATIONS = {
    "token": altered(
        lambda f: f.with_columns(
            tokens=pl.when(pl.col("step") == 7).then(pl.lit([9, 9])).otherwise("tokens")
        )
    ),
    "step": altered(lambda f: f.with_columns(step=pl.col("step") + 1)),
    "position": altered(lambda f: f.with_columns(position=1 - pl.col("position"))),
    "salt": altered(lambda f: f.with_columns(salt=pl.lit(b"0" * 16))),
    "row left out": altered(lambda f: f[:-1]),
    "rows swapped": altered(lambda f: pl.concat([f[1:2], f[:1], f[2:]])),
    "row doubled": altered(lambda f: pl.concat([f, f[-1:]])),
    "seed": other_seed,
}


@pytest.mark.parametrize("case", ALTERATIONS)
def test_every_alteration_is_noticed(case, run_folder):
    seal(run_folder)
    verify_recording(run_folder)
    ALTERATIONS[case](run_folder)
    with pytest.raises(VerificationError, match="seed" if case == "seed" else "not the transcript"):
        verify_recording(run_folder)


def test_what_was_published_counts(run_folder, tmp_path, sealed):
    """Altering the folder's own commitments as well deceives nobody who has the published ones."""
    published = tmp_path / "published.json"
    published.write_bytes((run_folder / "commitments.json").read_bytes())
    with pytest.raises(VerificationError, match="does not commit to a transcript"):
        verify_recording(run_folder, published=published)
    seal(run_folder)
    published.write_bytes((run_folder / "commitments.json").read_bytes())
    ALTERATIONS["step"](run_folder)
    own = Commitments.read(run_folder / "commitments.json")
    tree = transcript_commitment(run_folder / "private" / "transcript")
    own.sealed(tree).write(run_folder / "commitments.json")
    verify_recording(run_folder)
    with pytest.raises(VerificationError, match="not the transcript"):
        verify_recording(run_folder, published=published)


def test_a_transcript_alone_is_held_against_what_was_published(run_folder, tmp_path):
    transcript = run_folder / "private" / "transcript"
    published = tmp_path / "published.json"
    published.write_bytes((run_folder / "commitments.json").read_bytes())
    seal(run_folder)
    with pytest.raises(VerificationError, match="does not commit to a transcript"):
        OrderRead(committed=published).read(transcript, 0)
    published.write_bytes((run_folder / "commitments.json").read_bytes())
    write_digests(transcript, tmp_path / "digests")
    assert check_committed(tmp_path / "digests", published) == Commitments.read(published)
    assert len(OrderRead(committed=published).read(transcript, 0).steps) == 40
    ALTERATIONS["step"](run_folder)
    with pytest.raises(
        VerificationError, match=r"not the transcript that published\.json commits to"
    ):
        OrderRead(committed=published).read(transcript, 0)


def test_malformed_files_are_refused_without_their_secrets(run_folder):
    path = run_folder / "private" / "opening.json"
    secret = json.loads(path.read_text())["row_key"]
    path.write_text(path.read_text().replace(secret, secret + "x"))
    with pytest.raises(InvalidInput, match="not a bookplate-recording-opening/1 file") as caught:
        seal(run_folder)
    assert secret not in str(caught.value)
    for text in (
        "[]",
        "{}",
        '{"format": "bookplate-recording/1", "order": "", "seed_commitment": 1}',
    ):
        (run_folder / "commitments.json").write_text(text)
        with pytest.raises(InvalidInput, match=r"commitments\.json"):
            Commitments.read(run_folder / "commitments.json")
    attempt = run_folder / "private" / "attempts" / "00001.json"
    for parent in (1, -1, "1"):
        attempt.write_text(
            json.dumps({"number": 1, "first_step": 0, "parent": parent, "world_size": 1})
        )
        with pytest.raises(InvalidInput, match="not the start of a training"):
            inspect_recording(run_folder)


@pytest.mark.parametrize("order", ["a\ud800b", "\udfff", 7, None])
def test_words_that_cannot_be_committed_to_leave_nothing_half_sealed(order, run_folder, tmp_path):
    path = run_folder / "private" / "opening.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "order": order}))
    with pytest.raises(InvalidInput, match="not a bookplate-recording-opening/1 file"):
        seal(run_folder)
    names = {"opening.json", "attempts", "journals"}
    assert {entry.name for entry in (run_folder / "private").iterdir()} == names
    with pytest.raises(InvalidInput, match="words on the order"):
        RecordingFolder(tmp_path / "new").create(5, order)
    assert not (tmp_path / "new").exists()
    public = run_folder / "commitments.json"
    public.write_text(json.dumps({**json.loads(public.read_text()), "order": order}))
    with pytest.raises(InvalidInput, match=r"commitments\.json: .*words on the order"):
        Commitments.read(public)


@pytest.mark.parametrize("change", ["seed", "order", "published"])
def test_sealing_does_not_replace_the_commitment_from_before_training(change, run_folder):
    """A seed or order chosen after training must not get a commitment that looks older."""
    path = run_folder / "private" / "opening.json"
    secrets = json.loads(path.read_text())
    if change == "published":
        Commitments.to(Opening.generate(1, "torch.randperm")).write(run_folder / "commitments.json")
    else:
        path.write_text(json.dumps(secrets | {change: {"seed": 7, "order": "else"}[change]}))
    before = (run_folder / "commitments.json").read_bytes()
    with pytest.raises(VerificationError, match=r"does not open the commitment .* commitments"):
        seal(run_folder)
    assert (run_folder / "commitments.json").read_bytes() == before
    assert not (run_folder / "private" / "transcript").exists()


def test_sealing_needs_the_commitment_from_before_training(run_folder):
    (run_folder / "commitments.json").unlink()
    with pytest.raises(InvalidInput, match=r"commitments\.json: cannot be read"):
        seal(run_folder)


def test_nothing_is_sealed_without_a_commitment_to_the_seed(run_folder, monkeypatch):
    def refuse(opening):
        raise InvalidInput("no commitment")

    monkeypatch.setattr(Commitments, "to", refuse)
    with pytest.raises(InvalidInput, match="no commitment"):
        seal(run_folder)
    assert not (run_folder / "private" / "transcript").exists()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [([1, 2**32], r"below 2\*\*32"), ([1, 2**63], r"below 2\*\*32"), ([1, None], "none neg")],
)
def test_token_ids_that_digests_would_wrap_are_refused(tokens, message, run_folder):
    seal(run_folder)
    path = run_folder / "private" / "transcript" / "000000.parquet"
    frame = pl.read_parquet(path)
    changed = pl.Series([*frame["tokens"].to_list()[:-1], tokens], dtype=pl.List(pl.UInt64))
    frame.with_columns(tokens=changed).write_parquet(path)
    with pytest.raises(InvalidInput, match=f"row 40: expected .*{message}"):
        verify_recording(run_folder)


def test_digests_are_read_as_digests_only(run_folder, tmp_path):
    seal(run_folder)
    write_digests(run_folder / "private" / "transcript", tmp_path / "digests")
    frame = pl.read_parquet(tmp_path / "digests")
    for digest in ("zz", None):
        changed = pl.Series([*frame["digest"].to_list()[:-1], digest], dtype=pl.String)
        frame.with_columns(digest=changed).write_parquet(tmp_path / "bad.parquet")
        with pytest.raises(InvalidInput, match="row 40"):
            transcript_commitment(tmp_path / "bad.parquet")


def test_sealing_that_was_killed_is_taken_up_again(run_folder):
    before = (run_folder / "commitments.json").read_bytes()
    tree = seal(run_folder).commitments.transcript
    with pytest.raises(InvalidInput, match="sealed already"):
        seal(run_folder)
    with pytest.raises(InvalidInput, match="has been sealed"):
        Recorder(run_folder).start(20)
    (run_folder / "commitments.json").write_bytes(before)
    assert seal(run_folder).commitments.transcript == tree


def test_digests_stand_for_the_transcript(run_folder, tmp_path):
    tree = seal(run_folder).commitments.transcript
    transcript = run_folder / "private" / "transcript"
    assert write_digests(transcript, tmp_path / "digests") == tree
    frame = pl.read_parquet(tmp_path / "digests")
    assert frame.columns == ["step", "position", "digest"]
    joined = Transcript.read(tmp_path / "digests", disclosed=transcript / "000000.parquet")
    assert joined.sequences == Transcript.read(transcript).sequences
    frame.drop("position").write_parquet(tmp_path / "no.parquet")
    with pytest.raises(InvalidInput, match="not a sealed transcript"):
        transcript_commitment(tmp_path / "no.parquet")


# ---- the command line -----------------------------------------------------------------------------


def test_commands(tmp_path, run_folder):
    app = typer.Typer()
    recording_commands.register(app)

    def run(*arguments):
        done = CliRunner().invoke(app, list(map(str, arguments)))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done

    said = run("record", tmp_path / "new", "--seed", 77, "--order", "by hand")
    assert "Publish commitments.json now" in said.stderr
    assert Commitments.read(tmp_path / "new" / "commitments.json").order == "by hand"
    assert "77" not in said.stdout.replace(
        Commitments.read(tmp_path / "new" / "commitments.json").seed_commitment, ""
    ).replace(str(tmp_path), "")
    with pytest.raises(InvalidInput, match="holds a recording already"):
        run("record", tmp_path / "new", "--seed", 77)
    assert re.search(r"steps +0 to 19", run("inspect", run_folder).stdout)
    data = json.loads(run("seal", run_folder, "--json").stdout)
    assert (data["sequences"], data["tokens"], data["ended"]) == (40, 100, True)
    assert data["commitments"]["transcript"]["leaf_count"] == 40
    said = run("verify", run_folder).stderr
    assert "name the --published ones" in said
    assert "Not checked: whether the recorded order follows from the committed seed" in said
    assert all(question in said for question in NOT_CHECKED)
    run("verify", run_folder, "--published", run_folder / "commitments.json")
    out = run("digests", run_folder / "private" / "transcript", "--out", tmp_path / "d").stdout
    assert data["commitments"]["transcript"]["root"] in out
