"""A clock that jumps, and dates of files that lie: nothing depends on time that only moves forward."""

import os
import time

import pytest
from bookplate.provenance.custody import log as custody

from .harness import draws, note, one_clear_line

pytestmark = pytest.mark.faults


JUMPS = (-31_536_000, -86_400, -3, 7_200)  # seconds


@pytest.mark.parametrize("jump", JUMPS)
def test_the_clock_is_set_while_it_runs(ground, jump):
    rng = draws("clock", ground.case.name, jump)
    at = rng.randint(1, ground.case.moments)
    note(f"set by {jump} s at moment {at} of {ground.case.moments}")
    ended = ground.run(clock=jump, set_at=at)
    if ground.case.name == "audit" and ended.code:
        # Whoever verified it would read that it was made before it was registered.
        assert "set it right; the same command goes on" in one_clear_line(ended, 75)
        assert custody.verify(ground.folder / "custody.jsonl").set_back
        return ground.complete()
    assert ended.code == 0, ended.err
    ground.finish()
    assert ground.case.product(ground.folder) == ground.case.reference


def test_the_clock_is_set_before_a_killed_run_is_taken_up_again(ground):
    rng = draws("clock and kill", ground.case.name)
    at = rng.randint(1, ground.case.moments)
    note(f"killed at moment {at} of {ground.case.moments}")
    ground.run(at=at, do="kill", clock=-86_400, set_at=0)
    for path in ground.folder.rglob(".bookplate-*"):
        os.utime(path, (0, rng.choice((0, time.time() + 10**8))))
    ground.refuse_partial()
    ground.complete()


@pytest.mark.parametrize("seconds", [0, 4_000_000_000], ids=["1970", "2096"])
def test_files_of_the_past_and_of_the_future(ground, seconds):
    for path in ground.folder.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (seconds, seconds))
    ground.complete()
