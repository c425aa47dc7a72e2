"""What a recorder leaves behind: batches, journals, and the history that made a model."""

import json
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.palimpsest.recording import (
    Recorder,
    inspect_recording,
    recorder,
    seal,
)
from bookplate.provenance.palimpsest.recording import journal as journals
from bookplate.provenance.palimpsest.recording.batches import PendingRows, rows_of
from bookplate.provenance.palimpsest.recording.folder import RecordingFolder
from bookplate.provenance.palimpsest.recording.journal import JournalWriter, journal_records

# ---- batches --------------------------------------------------------------------------------------


def test_padding_is_taken_off_wherever_it_stands():
    ids = [[0, 0, 7, 8], [1, 2, 0, 0], [3, 0, 5, 0], [4, 0, 0, 0], [0, 0, 0, 0]]
    mask = [[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    for convert in (lambda x: x, np.array, torch.tensor):
        found = rows_of(convert(ids), convert(mask))
        assert found.tokens.tolist() == [7, 8, 1, 2, 3, 5]  # one token alone trains nothing
        assert found.lengths.tolist() == [2, 2, 2]
    assert rows_of(np.array(ids), None).lengths.tolist() == [4] * 5


def test_token_ids_are_kept_narrow_and_whole():
    for largest, dtype in [(65_535, "u2"), (65_536, "u4"), (2**32 - 1, "u4")]:
        found = rows_of(torch.tensor([[0, largest]]), None).tokens
        assert found.tolist() == [0, largest]
        assert found.dtype == dtype


def test_malformed_batches_are_refused():
    for ids, mask, message in [
        ([1, 2], None, r"shape \(batch, length\), got \(2,\)"),
        ([[1, -100]], None, "0 or more, got -100"),
        ([[1, 2**32]], None, r"below 2\*\*32, got 4294967296"),
        ([[1, 2]], [[1]], r"shape \(1, 2\), got \(1, 1\)"),
        ([[1, 2]], [[[1, 1]]], "attention mask"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            rows_of(np.array(ids), None if mask is None else np.array(mask))


class Event:
    """Like CUDA's: something that is on its way."""

    def __init__(self):
        self.here, self.waited = False, False

    def query(self):
        return self.here

    def synchronize(self):
        self.waited = True


def test_tokens_on_their_way_are_waited_for_before_a_checkpoint_only(tmp_path, monkeypatch, sealed):
    events = [Event() for _ in range(6)]
    on_way = iter(events)
    monkeypatch.setattr(recorder, "copied", lambda ids, mask: PendingRows(ids, mask, next(on_way)))
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        for step in range(5):
            taker.add(torch.tensor([[step, step]]))
            taker.step()
            assert [event.waited for event in events] == [i < step - 1 for i in range(6)]
        events[3].here = True
        taker.flush()
        assert all(event.waited for event in events[:5])
    assert sealed(tmp_path / "run") == [(i, [i, i]) for i in range(5)]


def test_a_long_training_uses_no_more_memory(tmp_path):
    ids = torch.arange(4_000).reshape(8, 500)
    with Recorder(tmp_path / "run", seed=5) as taker:
        taker.start()
        held = []
        tracemalloc.start()
        for _ in range(2):
            for _ in range(200):
                taker.add(ids)
                taker.step()
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] - held[0] < 8_000  # less than one batch


# ---- journals and their history -------------------------------------------------------------------


def steps_of(path):
    return [(r.step, r.tokens.tolist(), r.is_end) for r in journal_records(path)]


def test_a_journal_cut_anywhere_keeps_its_whole_records(tmp_path):
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    ends = []
    for step in range(3):
        writer.write(step, [rows_of(np.array([[step, 70_000 * step, 2]]), None)] * (step + 1))
        ends.append(path.stat().st_size)
    writer.end(3)
    writer.close()
    whole, data = steps_of(path), path.read_bytes()
    assert [step for step, *_ in whole] == [0, 1, 2, 3]
    assert whole[-1][2]
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert steps_of(path) == whole[: sum(end <= size for end in ends)], size
        path.write_bytes(data[:size] + bytes(len(data) - size))  # the machine went down
        if size in {0, *ends}:
            assert steps_of(path) == whole[: sum(end <= size for end in ends)]


def test_an_altered_journal_is_refused(tmp_path):
    """Every byte counts: no change of one makes another history, or a shorter one."""
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    for step in range(3):
        writer.write(step, [rows_of(np.array([[step, 2]]), None)])
    writer.end(3)
    writer.close()
    data = path.read_bytes()
    for place in range(len(data) - 24):
        path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        with pytest.raises(VerificationError, match="was altered"):
            steps_of(path)


def body_of(rows, width=2, tokens=b"", step=0):
    """A record's body, by hand: (micro-batch, length) of each row."""
    micro, lengths = zip(*rows, strict=True)
    places = struct.pack(f"<{2 * len(rows)}I", *micro, *lengths)
    return struct.pack("<qIB", step, len(rows), width) + places + tokens


MALFORMED = {
    "empty": b"",
    "short": b"12345",
    "end without its sign": struct.pack("<q", 1),
    "width 3": body_of([(0, 2)], 3, bytes(6)),
    "width 8": body_of([(0, 2)], 8, bytes(16)),
    "too many rows": struct.pack("<qIB", 0, 2**32 - 1, 2) + bytes(20),
    "odd byte": body_of([(0, 2)], 2, bytes(5)),
    "9 tokens stated, 1 there": body_of([(0, 9)], 2, bytes(2)),
    "2 tokens stated, 3 there": body_of([(0, 2)], 2, bytes(6)),
    "1 token": body_of([(0, 1)], 2, bytes(2)),
    "micro-batches mixed": body_of([(1, 2), (0, 2)], 2, bytes(8)),
    "negative step": body_of([(0, 2)], 2, bytes(4), step=-1),
}


@pytest.mark.parametrize("case", [None, *MALFORMED])
def test_a_checksum_makes_no_record_of_a_malformed_body(case, tmp_path):
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    writer.write(0, [rows_of(np.array([[1, 2]]), None)])
    writer.close()
    start = path.stat().st_size
    body = body_of([(0, 2)], tokens=bytes(4), step=1) if case is None else MALFORMED[case]
    head = struct.pack("<4sQI", b"BPJ1", len(body), zlib.crc32(body))
    path.write_bytes(path.read_bytes() + head + body)
    if case is None:
        assert steps_of(path) == [(0, [1, 2], False), (1, [0, 0], False)]
        return
    with pytest.raises(VerificationError, match=f"journal: the record at byte {start} is malf"):
        steps_of(path)


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    path, write = tmp_path / "journal", journals.os.write
    writer = JournalWriter(path)
    batch = rows_of(np.array([[1, 2, 3]]), None)
    writer.write(0, [batch])

    def full(handle, data):
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(handle, data[:30])

    monkeypatch.setattr(journals.os, "write", full)
    with pytest.raises(InvalidInput, match="cannot be written: No space left"):
        writer.write(1, [batch])
    monkeypatch.setattr(journals.os, "write", lambda handle, data: write(handle, data[:7]))
    writer.write(1, [batch])
    assert [step for step, *_ in steps_of(path)] == [0, 1]


@pytest.fixture
def two_ranks(tmp_path):
    """Writes journals of two ranks; each step has two micro-batches."""
    folder = RecordingFolder(tmp_path / "run")
    folder.create(5, "")

    def write(first, counts, parent=None, ended=False):
        attempt = folder.begin_attempt(first, parent, 2).number
        for rank, count in enumerate(counts):
            writer = JournalWriter(folder.journal(attempt, rank))
            for step in range(first, first + count):
                writer.write(
                    step, [rows_of(np.array([[attempt, step, m, rank]]), None) for m in (0, 1)]
                )
            if ended:
                writer.end(first + count)
            writer.close()
        return attempt

    return folder, write


def test_ranks_side_by_side(two_ranks, sealed):
    folder, write = two_ranks
    write(0, (2, 2), ended=True)
    assert sealed(folder.path) == [
        (step, [1, step, micro, rank]) for step in (0, 1) for micro in (0, 1) for rank in (0, 1)
    ]


def test_a_step_that_one_rank_did_not_finish_is_left_out(two_ranks, sealed):
    folder, write = two_ranks
    write(0, (3, 2))
    assert [step for step, _ in sealed(folder.path)] == [0] * 4 + [1] * 4


def test_a_history_with_gaps_is_refused(two_ranks, sealed):
    folder, write = two_ranks
    write(0, (5, 3))
    write(4, (2, 2), parent=1, ended=True)
    assert inspect_recording(folder.path).gaps == ((3, 3),)
    with pytest.raises(VerificationError, match="steps 3 to 3 made the model"):
        seal(folder.path)
    assert not folder.transcript.exists()
    steps = [step for step, _ in sealed(folder.path, with_gaps=True)]
    assert sorted(set(steps)) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("ended", [True, False])
def test_a_journal_that_is_missing_is_noticed(ended, two_ranks):
    """Also one of a training that began anew; ranks that were killed are few steps apart."""
    folder, write = two_ranks
    write(0, (2, 2))
    write(1, (5, 5), parent=1, ended=ended)
    folder.journal(2, 1).unlink()
    with pytest.raises(VerificationError, match="rank 0 went on after the journal of rank 1 ends"):
        inspect_recording(folder.path)


def altered_start(folder, **changes):
    path = folder.path / "private" / "attempts" / "00001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("world_size", value) for value in (10**12, 2**20 + 1, 0, -3, 1.0, "2", True, None)],
        *[("first_step", value) for value in (-5, 2**53, 0.5, None)],
        *[("number", value) for value in (0, -1, 2, "1")],
        ("parent", 0),
    ],
)
def test_a_start_with_impossible_numbers_is_refused(name, value, two_ranks):
    folder, write = two_ranks
    write(0, (2, 2), ended=True)
    altered_start(folder, **{name: value})
    with pytest.raises(InvalidInput, match=rf"00001\.json: not the start of a training: .*{name}"):
        inspect_recording(folder.path)


def test_no_start_with_impossible_numbers_is_written(two_ranks):
    folder, _ = two_ranks
    for first, ranks in [(-5, 2), (0, 0), (0, 2**20 + 1)]:
        with pytest.raises(InvalidInput, match="expected an integer from"):
            folder.begin_attempt(first, None, ranks)
    assert folder.attempts() == []


def test_ranks_are_not_counted_where_no_journals_are(two_ranks, monkeypatch):
    """A million ranks that a file states cost no look at a million journals."""
    folder, write = two_ranks
    write(0, (2, 2))
    altered_start(folder, world_size=2**20)
    looks = []
    names = RecordingFolder.journal
    monkeypatch.setattr(
        RecordingFolder, "journal", lambda *place: looks.append(place) or names(*place)
    )
    assert inspect_recording(folder.path).n_sequences == 0
    assert 0 < len(looks) < 10
    altered_start(folder, world_size=1)
    with pytest.raises(VerificationError, match="a journal of rank 1, but only 1 trained"):
        inspect_recording(folder.path)


def test_journals_that_were_mixed_are_refused(two_ranks):
    folder, write = two_ranks
    write(0, (2, 2), ended=True)
    write(7, (1, 1))
    folder.journal(2, 0).write_bytes(folder.journal(1, 0).read_bytes())
    with pytest.raises(VerificationError, match="expected step 7 of every rank, found 0, 7"):
        inspect_recording(folder.path)


def test_another_attempt_may_have_made_the_model(two_ranks, sealed):
    folder, write = two_ranks
    write(0, (4, 4), ended=True)
    write(2, (1, 1), parent=1)
    assert [row[0] for _, row in sealed(folder.path, attempt=1)] == [1] * 16


def test_a_model_of_an_earlier_checkpoint_has_an_earlier_end(two_ranks, sealed):
    folder, write = two_ranks
    write(0, (4, 4))
    write(2, (4, 4), parent=1, ended=True)
    for stop, attempts in [(1, {1}), (2, {1}), (3, {1, 2}), (6, {1, 2})]:
        summary = inspect_recording(folder.path, stop=stop)
        assert (summary.stop, summary.ended) == (stop, True)
        assert {part.span.attempt.number for part in summary.parts} == attempts
    assert inspect_recording(folder.path, stop=8).gaps == ((6, 7),)
    with pytest.raises(InvalidInput, match="no step before 0"):
        inspect_recording(folder.path, stop=0)
    assert [row[:2] for _, row in sealed(folder.path, stop=3)[-5:]] == [[1, 1], *[[2, 2]] * 4]


@pytest.mark.parametrize("seed", range(20))
def test_lineage_is_its_slow_twin(seed, tmp_path, sealed):
    """Random trees of attempts, against following the weights: each step remembers who made it."""
    rng = random.Random(seed)
    taker = Recorder(tmp_path / "run", seed=5)
    checkpoints = [(0, None, [])]
    for attempt in range(1, 7):
        step, state, history = rng.choice(checkpoints)
        taker.start(step, checkpoint=state)
        history = list(history)
        for at in range(step, step + rng.randrange(1, 5)):
            taker.add([[attempt, at]])
            taker.step()
            history.append((at, [attempt, at]))
            if rng.random() < 0.5:
                checkpoints.append((at + 1, taker.state_dict(), list(history)))
    taker.close()
    assert sealed(tmp_path / "run") == history
