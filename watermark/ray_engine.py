"""Marking pieces on the machines of a Ray cluster (extra `[ray]`).

A few pieces per worker are on their way at any time. Each is a task of Ray core, which carries its rows
and returns its finished part as bytes; this process writes these into the folder of parts, as the local
engine would. So nodes need no common disk, what is done survives a kill here, and pieces lost with a
node are marked again by Ray on another.

Why tasks and not Ray Data: it reads files into Arrow blocks, so that the bytes of JSON lines and CSV
could not be kept; it writes a file per block, in an order of its own; it cannot take up a run that
was killed; and it would ask for pyarrow and pandas. What it adds, scheduling of readers and writers
with back-pressure, is the bounded queue in `piecework`.

The key travels to the workers. They need the same version of Bookplate, and models of candidate
sources under the same paths.
"""

import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import ray

from .. import __version__
from ..errors import BookplateError
from ..files import Interrupted
from .piecework import Begin, Job, Part, mark_piece
from .tables import Piece

__all__ = ["ray_workers"]

_RETRIES = 3  # of a piece whose worker was lost
_HINT = "the same command goes on where it stopped"


@contextmanager
def ray_workers(job: Job, workers: int) -> Generator[Begin]:
    """Workers of a Ray cluster.

    It is the one that the caller has connected to by `ray.init`; else that of the environment variable
    RAY_ADDRESS; else one that is started on this machine, open to nobody else, and ends with the block.

    Args:
        job: How to mark.
        workers: How many pieces are marked at a time; the processors of a cluster that is started.

    Yields:
        A function that begins to mark a piece.

    Raises:
        Interrupted: If the cluster cannot be reached, was lost, or has another version of Bookplate.
    """
    try:
        with _cluster(workers, job.parts.parent):
            shared = ray.put(job)
            mark = ray.remote(num_cpus=1, max_retries=_RETRIES)(_mark)

            def begin(piece: Piece, stem: Path) -> Callable[[], Part]:
                # In a list, so that Ray does not unpack the job for every piece.
                answer = mark.remote([shared], piece.packed())
                return lambda: _received(ray.get(answer), stem)

            yield begin
    except ray.exceptions.RayTaskError as error:
        if "failed to import" in str(error):
            raise Interrupted(
                "the Ray workers have no Bookplate",
                f"install bookplate {__version__} on every node; {_HINT}",
            ) from error
        raise error.cause from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise Interrupted(
            f"Ray workers or their cluster were lost: {type(error).__name__}",
            f"{_HINT}; what is done lies in {job.parts.parent}, and is private",
        ) from error
    except _OtherVersion as error:
        raise Interrupted(
            f"the Ray workers run bookplate {error}, this is {__version__}",
            f"install one version on every node; {_HINT}",
        ) from error


class _OtherVersion(Exception):
    """No BookplateError: the piece must not be marked here instead."""


@dataclass(frozen=True, slots=True)
class _Marked:
    """What a worker sends back."""

    version: str
    part: Part
    files: tuple[bytes, ...]


def _files_of(part: Part) -> tuple[Path, ...]:
    return part.released, part.manifest, part.digests


def _received(answer: "_Marked | BookplateError", stem: Path) -> Part:
    """Write a part that came from a worker."""
    if isinstance(answer, BookplateError):
        raise answer
    if answer.version != __version__:
        raise _OtherVersion(answer.version)
    part = replace(answer.part, stem=stem)
    for path, content in zip(_files_of(part), answer.files, strict=True):
        path.write_bytes(content)
    part.finish()
    return part


# On a worker.


def _mark(shared: list[Any], piece: Piece) -> "_Marked | BookplateError":
    """Mark a piece. Errors of its rows are returned: raised ones would come back in Ray's clothes."""
    with tempfile.TemporaryDirectory(prefix="bookplate-") as folder:  # mode 0700
        try:
            part = mark_piece(piece, Path(folder) / "part", _job_of(shared[0]))
        except BookplateError as error:
            return error
        return _Marked(__version__, part, tuple(path.read_bytes() for path in _files_of(part)))


_jobs: dict[str, Job] = {}  # of this worker: the latest one alone


def _job_of(reference: Any) -> Job:
    if reference.hex() not in _jobs:
        job = ray.get(reference)
        _jobs.clear()
        _jobs[reference.hex()] = job
    return _jobs[reference.hex()]


# The cluster.


@contextmanager
def _cluster(workers: int, work: Path) -> Generator[None]:
    address = os.environ.get("RAY_ADDRESS", "local") or "local"
    if ray.is_initialized():
        yield
    elif address != "local":
        _refuse_unreachable(address)
        with _connected(address=address):
            yield
    else:
        with _private_folder(work / "ray") as folder, _environment(_alone_in(folder)):
            options = {"num_cpus": workers, "include_dashboard": False}
            # Ray opens its folder to all: a private one lies around it.
            with _connected(address="local", _temp_dir=str(folder / "r"), **options):
                yield


def _refuse_unreachable(address: str) -> None:
    """Ray itself would try for more than a minute."""
    found = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address)
    if found is None:  # "auto", or for Ray to judge
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=10).close()
    except OSError as error:
        raise Interrupted(
            f"Ray at '{address}' cannot be reached: {error.strerror or error}",
            f"start the cluster, or unset RAY_ADDRESS for one on this machine; {_HINT}",
        ) from error


@contextmanager
def _connected(**options: Any) -> Generator[None]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(log_to_driver=False, configure_logging=False, **options)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise Interrupted(
            f"Ray at '{options['address']}' cannot be used: {reason}", f"{_HINT}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _alone_in(folder: Path) -> dict[str, str]:
    """Settings of a cluster of our own: it obeys nobody without the token, and tells nobody."""
    return {
        # Ray asks for a token unless RAY_AUTH_MODE says otherwise; without this one it would leave one
        # in the home folder.
        "RAY_AUTH_TOKEN": _token(),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning
        "TMPDIR": str(folder),  # for parts in the making
    }


@cache  # Ray reads it once in a process
def _token() -> str:
    return secrets.token_hex(32)


@contextmanager
def _private_folder(link: Path) -> Generator[Path]:
    """A folder with a short path, as sockets need, that only we can read.

    It is found by a link, so that the next run can remove it if this one is killed.
    """
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix="bookplate-"))
    link.symlink_to(folder)
    try:
        yield folder
    finally:
        link.unlink()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    """Variables for the processes started within the block; what Ray sets itself goes again, too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
