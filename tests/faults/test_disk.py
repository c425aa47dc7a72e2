"""A full disk, and one that cannot be written to: one clear line, nothing half-written, nothing lost."""

import os
import subprocess
from contextlib import contextmanager

import pytest

from .harness import Ground, draws, note, one_clear_line, staged

pytestmark = pytest.mark.faults

LARGE = "512m"
NOBODY = 65534


def mount(*words):
    return subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)


@contextmanager
def disk(folder):
    """A small file system of its own."""
    folder.mkdir()
    made = mount("-t", "tmpfs", "-o", f"size={LARGE},mode=777", "tmpfs", folder)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def on_disk(case, tmp_path, nursery):
    with disk(tmp_path / "disk") as folder:
        yield Ground(case, folder, nursery)


def used(folder):
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def resize(folder, size):
    done = mount("-o", f"remount,size={size}", folder)
    assert done.returncode == 0, done.stderr


PAGE = 4096


@pytest.fixture
def need(on_disk):
    """Bytes that an undisturbed run adds, at its end; it needs more on its way."""
    before = used(on_disk.folder)
    names = set(on_disk.folder.rglob("*"))
    assert on_disk.run().code == 0
    grown = used(on_disk.folder) - before
    for path in sorted(set(on_disk.folder.rglob("*")) - names, reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    # What was there may have been changed: a journal of answers, a custody log.
    fresh = Ground(on_disk.case, on_disk.folder, on_disk.nursery)
    return fresh, grown


@pytest.mark.parametrize("round", range(3))
def test_a_full_disk(need, round):
    ground, grown = need
    rng = draws("full disk", ground.case.name, round)
    room = rng.randrange(0, max(grown, PAGE), PAGE)
    note(f"room for {room} of {grown} bytes")
    resize(ground.folder, used(ground.folder) + room)
    ended = ground.run()
    if ended.code:
        line = one_clear_line(ended, 2, 75)
        assert "No space left" in line or "full" in line or "disk I/O error" in line
        assert "room" in line or ended.code == 2
    assert not staged(ground.folder)
    resize(ground.folder, LARGE)
    ground.refuse_partial()
    ground.complete()


def test_a_disk_that_can_only_be_read(on_disk):
    remounted = mount("-o", "remount,ro", on_disk.folder)
    assert remounted.returncode == 0, remounted.stderr
    line = one_clear_line(on_disk.run(), 2)
    assert "Read-only file system" in line or "readonly" in line
    mount("-o", "remount,rw", on_disk.folder)
    on_disk.complete()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as somebody else")
def test_a_folder_of_somebody_else(ground):
    """Its inputs can be read, nothing can be written."""
    for path in [*ground.folder.parents][:2]:
        path.chmod(0o755)
    subprocess.run(["chmod", "-R", "a+rX", ground.folder], check=True)
    line = one_clear_line(ground.run(user=NOBODY), 2)
    assert "Permission denied" in line or "not ours" in line or "unable to open" in line
    ground.complete()
