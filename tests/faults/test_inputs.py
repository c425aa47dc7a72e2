"""Inputs that vanish or change while a command reads them, or before it is taken up again."""

import os
import random
import shutil

import pytest

from .harness import draws, note, one_clear_line, staged

pytestmark = pytest.mark.faults

CHANGES = ("unlink", "truncate", "replace")


def altered(path):
    """Beside a file, another of the same kind: with lines, rows or bytes that are not the same."""
    import polars as pl

    other = path.with_name(f"{path.name}.other")
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        frame.reverse().write_parquet(other)
    elif path.suffix in {".jsonl", ".csv"}:
        first, *lines = path.read_text().splitlines(keepends=True)
        random.Random(1).shuffle(lines)
        other.write_text("".join([first, *lines[1:]]))
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        other.write_bytes(data)
    return other


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("round", range(3))
def test_while_it_runs(ground, change, round):
    """What comes out is of the one input or of the other, never of both."""
    if not ground.case.inputs:
        pytest.skip("its input is the loop itself")
    rng = draws(change, ground.case.name, round)
    name = rng.choice(ground.case.inputs)
    path = ground.folder / name
    aside = ground.folder.parent / "aside"
    aside.mkdir()
    other = altered(path).rename(aside / path.name)
    at = rng.randint(1, ground.case.moments)
    note(f"{change} of {name} at moment {at} of {ground.case.moments}")
    ended = ground.run(at=at, do=change, path=str(path), by=str(other))
    assert not staged(ground.folder)
    if ended.code not in {0, 1}:
        one_clear_line(ended, 2, 75)
        for final in ground.case.finals:
            assert not os.path.lexists(ground.folder / final)
        return
    if ground.case.name == "audit":
        return told_by_audit(ground)
    ground.finish()
    made = ground.case.product(ground.folder)
    if made != ground.case.reference:
        assert change != "unlink"
        assert made == anew(ground), "the output is of neither input"


def told_by_audit(ground):
    """Every test has its outcome or says why not; what is there is what an undisturbed run finds."""
    made, due = ground.case.product(ground.folder), ground.case.reference
    changed = [entry for entry in made["entries"] if entry not in due["entries"]]
    missing = {test["test"] for test in made["not_run"]}
    note(f"not run: {made['not_run']}")
    if changed:  # corrected for as many tests as were registered, in any case
        for entry in changed:
            (other,) = (e for e in due["entries"] if e["test"] == entry["test"])
            assert entry["finding"]["statistic"] == other["finding"]["statistic"] or missing
    assert len(made["entries"]) + len(missing) == len(due["entries"])


def anew(ground):
    """What an undisturbed run makes of the inputs as they are now."""
    for name in (*ground.case.finals, *ground.case.undo):
        (ground.folder / name).rename(ground.folder / f"{name}.first")
        if (ground.case.template / name).exists():
            shutil.copy2(ground.case.template / name, ground.folder / name)
    ended = ground.run()
    assert ended.code == 0, ended.err
    ground.finish()
    return ground.case.product(ground.folder)


@pytest.mark.parametrize("round", range(2))
def test_between_a_kill_and_the_next_run(ground, round):
    """Work that was done on another input is not gone on with."""
    if not ground.case.is_resumable or ground.case.name in {"record", "seal"}:
        pytest.skip("keeps nothing that depends on its input")
    rng = draws("changed input", ground.case.name, round)
    at = rng.randint(ground.case.moments // 2, ground.case.moments - 2)
    name = rng.choice(ground.case.inputs)
    path = ground.folder / name
    note(f"killed at moment {at} of {ground.case.moments}, {name} changes")
    assert ground.run(at=at, do="kill").code == -9
    started = any(ground.folder.rglob(".bookplate-unfinished-*/job.json"))
    other = altered(path)
    before = path.stat()
    whole = other.read_bytes()
    kept = path.read_bytes()
    path.write_bytes(whole)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    other.unlink()
    ended = ground.run()
    if any((ground.folder / final).exists() for final in ground.case.finals) and ended.code:
        ground.refuse_partial()  # it was killed after its end
    elif ended.code:
        line = one_clear_line(ended, 2)
        assert "chang" in line or "no longer the one registered" in line
        path.write_bytes(kept)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        ground.complete()
    elif ground.case.name == "audit":
        told_by_audit(ground)
    else:
        assert not started or len(whole) == len(kept), "went on with another input"
        made = ground.case.product(ground.folder)
        assert made in (ground.case.reference, anew(ground))
