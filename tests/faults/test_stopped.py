"""kill -9, Ctrl-C and SIGTERM at random moments: the same command goes on, or begins anew."""

import os
import signal
import time

import pytest

from .harness import Ground, draws, note, one_clear_line, staged, state

pytestmark = pytest.mark.faults

STOPPED = {"int": 130, "term": 143}


@pytest.mark.parametrize("round", range(2))
def test_kill_9(ground, round):
    rng = draws("kill", ground.case.name, round)
    for _ in range(2):
        at = rng.randint(1, ground.case.moments)
        note(f"killed at moment {at} of {ground.case.moments}")
        assert ground.run(at=at, do="kill").code in {-9, 0, 2}  # a second run has fewer moments
        ground.refuse_partial()
    ground.complete()


@pytest.mark.parametrize("round", range(2))
@pytest.mark.parametrize("by", STOPPED)
def test_a_signal(ground, by, round):
    rng = draws(by, ground.case.name, round)
    at = rng.randint(1, ground.case.moments)
    note(f"{by} at moment {at} of {ground.case.moments}")
    ended = ground.run(at=at, do=by)
    if ground.case.name == "record":  # a loop of the user's own, which handles no signals
        assert ended.code in {0, 130, -15}
    elif ended.code:  # it may have been too late to stop it
        one_clear_line(ended, STOPPED[by], 75)
    if ended.code != -15:
        assert not staged(ground.folder), "temporary files were left behind"
    ground.refuse_partial()
    ground.complete()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_answer_is_paid_for_twice(built, server, tmp_path, nursery, number):
    """But for the one that was under way."""
    ground = Ground(built("detect"), tmp_path / "ground", nursery)
    server.requests.clear()
    most = draws("answers", number).randint(2, 40)
    process = ground.start()
    while len(server.requests) < most and state(process) != "Z":
        time.sleep(0.001)
    os.kill(process, number)
    ended = ground.ended(process)
    note(f"stopped at request {len(server.requests)}, exit code {ended.code}")
    ground.refuse_partial()
    ground.complete()
    assert sum(times - 1 for times in server.asked().values()) <= 1


@pytest.mark.parametrize("round", range(4))
def test_kill_9_at_any_time(ground, round):
    """Not at a moment of ours, but between them: in the middle of whatever it is at."""
    rng = draws("time", ground.case.name, round)
    after = rng.uniform(0, 1.2 * ground.case.seconds)
    note(f"killed after {after:.3f} s")
    process = ground.start()
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    ground.ended(process)
    ground.refuse_partial()
    ground.complete()
