"""Two runs on one output: one of them makes it whole, the other says why it does not."""

import os
import signal
import time

import pytest

from .harness import draws, leftovers, note, one_clear_line, staged, state

pytestmark = pytest.mark.faults


def stopped(process):
    """Wait until a process stands still, or has ended; says whether it stands still."""
    while (found := state(process)) not in "TZ":
        time.sleep(0.005)
    return found == "T"


@pytest.mark.parametrize("round", range(3))
def test_one_stands_still_while_another_comes(ground, round):
    rng = draws("two runs", ground.case.name, round)
    at = rng.randint(1, ground.case.moments)
    note(f"the first stands still at moment {at} of {ground.case.moments}")
    first = ground.start(at=at, do="stop")
    stood = stopped(first)
    second = ground.run() if stood and not holds_answers(ground) else None
    os.kill(first, signal.SIGCONT)
    runs = [ground.ended(first), *([second] if second else [])]
    judge(ground, runs)


def test_both_begin_at_once(ground):
    both = [ground.start(), ground.start()]
    judge(ground, [ground.ended(process) for process in both])


def holds_answers(ground):
    """Who asks an endpoint waits for another that asks: for ever, if that one stands still."""
    return ground.case.name == "detect"


def judge(ground, runs):
    assert {run.code for run in runs} <= {0, 1, 2}
    for run in runs:
        if run.code == 2:
            one_clear_line(run, 2)
    assert any(run.code == 0 for run in runs)
    ground.finish()
    assert ground.case.product(ground.folder) == ground.case.reference
    assert not leftovers(ground.folder)
    assert not staged(ground.folder)
