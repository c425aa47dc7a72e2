"""Memory runs out at random moments: one clear line, or an end by the system; never half an output."""

import pytest

from .harness import draws, note, one_clear_line

pytestmark = pytest.mark.faults

SPARE = (0, 2 << 20, 16 << 20)  # bytes that can still be had


@pytest.mark.parametrize("round", range(4))
def test_memory_runs_out(ground, round):
    rng = draws("memory", ground.case.name, round)
    at, spare = rng.randint(1, ground.case.moments), rng.choice(SPARE)
    note(f"{spare} bytes left at moment {at} of {ground.case.moments}")
    process = ground.start(at=at, do="memory", spare=spare)
    # Polars waits for ever for a thread that could not be started; then somebody has to kill it.
    ended = ground.ended(process, seconds=20, may_hang=True)
    ground.refuse_partial()
    if ended.code > 0:
        one_clear_line(ended, 2, 75)
    ground.complete()
