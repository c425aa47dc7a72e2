"""Files appear whole or not at all, never over another, and leave nothing behind."""

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from bookplate import files
from bookplate.errors import InvalidInput
from bookplate.files import (
    Interrupted,
    canonical_json,
    new_file,
    new_folder,
    read_json,
    resumable_folder,
    sha256_of_file,
    unfinished_path,
)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def fill(staged, content="new"):  # in a file, or a file in a folder
    if staged.is_dir():
        (staged / "sub").mkdir()
        (staged / "sub" / "file").write_text(content)
    else:
        staged.write_text(content)


def make(new, target, then):
    """Make a file or folder, and do something before it is done."""
    with new(target) as staged:
        fill(staged)
        then()


def raise_(error):
    raise error


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_nothing_shows_before_the_end_and_nothing_else_after(tmp_path, new):
    target = tmp_path / "a" / "b" / "out.csv"
    with new(target) as staged:
        fill(staged)
        assert not target.exists()
    assert target.exists()
    expected = ["a", "a/b", "a/b/out.csv"]
    assert everything(tmp_path) == expected + ["a/b/out.csv/sub", "a/b/out.csv/sub/file"] * (
        new is new_folder
    )


@pytest.mark.parametrize("new", [new_file, new_folder])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_block_that_fails_leaves_nothing_not_even_folders(tmp_path, new, error):
    (tmp_path / "here").mkdir()
    with pytest.raises(error):
        make(new, tmp_path / "here" / "made" / "deep" / "out", then=lambda: raise_(error))
    assert everything(tmp_path) == ["here"]


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_folders_that_somebody_else_uses_by_then_stay(tmp_path, new):

    def others():
        (tmp_path / "made" / "other").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        make(new, tmp_path / "made" / "deep" / "out", then=others)
    assert everything(tmp_path) == ["made", "made/other"]


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path):
    """/dev/full takes no byte: the disk is full."""
    with pytest.raises(OSError, match="No space left"):
        make(new_file, tmp_path / "out", then=lambda: Path("/dev/full").write_bytes(b"other half"))
    assert everything(tmp_path) == []


@pytest.mark.parametrize("new", [new_file, new_folder])
@pytest.mark.parametrize("kind", ["file", "folder", "full folder", "link", "dangling link", "loop"])
def test_what_exists_is_refused_and_kept(tmp_path, new, kind):
    target = tmp_path / "out"
    match kind:
        case "file":
            target.write_text("old")
        case "folder":
            target.mkdir()
        case "full folder":
            target.mkdir()
            (target / "old").touch()
        case "link":
            (tmp_path / "real").write_text("old")
            target.symlink_to("real")
        case "dangling link":
            target.symlink_to("nowhere")
        case "loop":
            target.symlink_to("out")
    before = everything(tmp_path)
    with pytest.raises(InvalidInput, match="already exists"), new(target):
        raise AssertionError("the block must not run")
    assert everything(tmp_path) == before
    assert kind != "file" or target.read_text() == "old"


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_what_somebody_made_meanwhile_is_kept(tmp_path, new):
    target = tmp_path / "out"
    with pytest.raises(InvalidInput, match="already exists"):
        make(new, target, then=lambda: target.write_text("theirs"))
    assert everything(tmp_path) == ["out"]
    assert target.read_text() == "theirs"


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_file_systems_without_hard_links_will_do(tmp_path, monkeypatch, code):
    def no_link(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "link", no_link)
    with new_file(tmp_path / "out") as staged:
        fill(staged)
    assert (tmp_path / "out").read_text() == "new"
    other = tmp_path / "other"
    with pytest.raises(InvalidInput, match="already exists"):
        make(new_file, other, then=lambda: other.write_text("theirs"))
    assert (tmp_path / "other").read_text() == "theirs"
    assert everything(tmp_path) == ["other", "out"]


@pytest.mark.usefixtures("umask")
def test_the_umask_decides_who_may_read_unless_a_file_is_private(tmp_path):
    with new_file(tmp_path / "public") as staged:
        assert stat.S_IMODE(staged.stat().st_mode) == 0o600
    with new_file(tmp_path / "private", private=True) as staged:
        assert stat.S_IMODE(staged.stat().st_mode) == 0o600
    with new_folder(tmp_path / "folder") as staged:
        assert stat.S_IMODE(staged.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"public": 0o640, "private": 0o600, "folder": 0o750}


@pytest.mark.parametrize("new", [new_file, new_folder, lambda path: resumable_folder(path, {})])
@pytest.mark.parametrize(
    "name", ["a file/out", "a file/deep/out", "dangling/out", "n" * 300, "n" * 300 + "/out"]
)
def test_places_that_cannot_be_made_are_refused(tmp_path, new, name):
    (tmp_path / "a file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    before = everything(tmp_path)
    with (
        pytest.raises(InvalidInput, match=r"cannot be written|already exists"),
        new(tmp_path / name),
    ):
        raise AssertionError("the block must not run")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_a_long_name_that_the_disk_allows_is_allowed(tmp_path, new):
    with new(tmp_path / ("n" * 255)):
        pass
    assert everything(tmp_path) == ["n" * 255]


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_a_link_as_parent_is_followed(tmp_path, new):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new(tmp_path / "link" / "out") as staged:
        fill(staged)
    assert (tmp_path / "real" / "out").exists()


def test_a_relative_name_needs_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_file(Path("out")) as staged:
        fill(staged)
    assert everything(tmp_path) == ["out"]


def test_sha256_of_more_than_one_chunk(tmp_path):
    import hashlib

    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_canonical_json_is_one_byte_sequence_per_value():
    assert (
        canonical_json({"b": [1.0, "\u00e9"], "a": None}) == '{"a":null,"b":[1,"\u00e9"]}'.encode()
    )


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b"1" * 5_000, b"[" * 100_000, b'"text"']
)
def test_what_is_no_json_object_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"release\.json"):
        read_json(tmp_path / "file", "release.json")


# Folders that can be taken up again.


def resumable(target, error=None, *, job=None, part="part"):
    """Work on a folder: one part, then the whole, then maybe an error."""
    with resumable_folder(target, job or {"a": 1}) as unfinished:
        before = everything(unfinished.parts)
        assert everything(unfinished.whole) == []
        (unfinished.parts / part).touch()
        fill(unfinished.whole)
        if error is not None:
            raise error
    return before


@pytest.mark.usefixtures("umask")
def test_a_resumable_folder_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "a" / "out"
    assert resumable(target) == []
    assert everything(tmp_path) == ["a", "a/out", "a/out/sub", "a/out/sub/file"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o750


def because_of(cause):
    """Bad input, as the system tells it."""
    error = InvalidInput("cannot be read")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error", [InvalidInput("no"), because_of(ValueError("no number"))], ids=str
)
def test_bad_input_leaves_nothing_to_take_up(tmp_path, error):
    with pytest.raises(InvalidInput):
        resumable(tmp_path / "made" / "out", error)
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        Interrupted("stop"),
        SystemExit(3),
        MemoryError(),
        OSError(28, "No space left on device"),
        because_of(FileNotFoundError()),
        ValueError("a bug"),
    ],
    ids=repr,
)
def test_whatever_else_goes_wrong_keeps_the_parts(tmp_path, error):
    target = tmp_path / "made" / "out"
    with pytest.raises(type(error)):
        resumable(target, error)
    assert not (unfinished_path(target) / "whole").exists()
    assert stat.S_IMODE(unfinished_path(target).stat().st_mode) == 0o700
    assert resumable(target) == ["part"]
    assert everything(tmp_path / "made") == ["out", "out/sub", "out/sub/file"]


def test_what_a_kill_after_the_last_step_left_is_removed(tmp_path, monkeypatch):
    """Wherever it came while the work was being removed."""
    target = tmp_path / "out"
    real, most = files.shutil.rmtree, [0]

    def cut_short(path, **options):
        most[0] -= 1
        if most[0] < 0:
            raise KeyboardInterrupt
        real(path, **options)

    for calls in range(4):
        most[0] = calls + 1  # one is made at the beginning
        monkeypatch.setattr(files.shutil, "rmtree", cut_short)
        with suppress(KeyboardInterrupt):
            resumable(target)
        monkeypatch.undo()
        with pytest.raises(InvalidInput, match="already exists"):
            resumable(target)
        assert everything(tmp_path) == ["out", "out/sub", "out/sub/file"]
        shutil.rmtree(target)


def test_a_lock_that_its_holder_has_just_removed_is_no_lock(tmp_path, monkeypatch):
    target, real = tmp_path / "out", files._is_still_there

    def removed_meanwhile(handle, path):
        path.unlink()
        return real(handle, path)

    monkeypatch.setattr(files, "_is_still_there", removed_meanwhile)
    with pytest.raises(InvalidInput, match="another process"):
        resumable(target)


def test_an_interruption_before_any_part_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), resumable_folder(tmp_path / "deep" / "out", {}):
        raise KeyboardInterrupt
    assert everything(tmp_path) == []


def test_the_parts_of_another_job_are_neither_used_nor_lost(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        resumable(target, KeyboardInterrupt())
    with pytest.raises(InvalidInput, match="with other arguments") as caught:
        resumable(target, job={"a": 2})
    assert str(unfinished_path(target)) in caught.value.hint
    assert resumable(target) == ["part"]


def test_the_names_of_unfinished_folders_are_short_and_tell_targets_apart(tmp_path):
    names = {unfinished_path(tmp_path / name).name for name in ("a", "b", "n" * 255, "\udcff")}
    assert len(names) == 4
    assert all(name.startswith(".bookplate-unfinished-") and len(name) < 40 for name in names)


def test_a_resumable_folder_is_not_put_over_what_somebody_made_meanwhile(tmp_path):
    target = tmp_path / "out"

    def make_anyway():
        with resumable_folder(target, {}):
            target.mkdir()

    with pytest.raises(InvalidInput, match="already exists"):
        make_anyway()
    assert everything(tmp_path) == ["out"]
