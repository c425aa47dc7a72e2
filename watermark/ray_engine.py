"""Work on the machines of a Ray cluster (extra `[ray]`): marking a dataset, and searching one.

A few pieces per worker are on their way at any time. Each is a task of Ray core, which carries its rows
and returns its finished part as bytes, or what it found; this process writes parts into their folder, as
the local engine would. So nodes need no common disk, what is done survives a kill here, and pieces lost
with a node are done again by Ray on another.

Why tasks and not Ray Data: it reads files into Arrow blocks, so that the bytes of JSON lines and CSV
could not be kept; it writes a file per block, in an order of its own; it cannot take up a run that
was killed; and it would ask for pyarrow and pandas. What it adds, scheduling of readers and writers
with back-pressure, is the bounded queue in `piecework`.

The key travels to the workers that mark, the originals' words to those that search. They need the same
version of Bookplate, and models of candidate sources under the same paths.
"""

import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import ray

from .. import __version__
from ..errors import BookplateError
from ..files import Interrupted
from .alignment import Alignment
from .audited import AuditedDataset
from .piecework import Begin, Job, Part, mark_piece
from .searching import Shown, SummingAligner
from .tables import Piece

__all__ = ["align_on_ray", "ray_cluster", "ray_workers"]

_RETRIES = 3  # of a piece whose worker was lost
_AHEAD = 2  # pieces that wait for each worker that searches, so that none is idle
_HINT = "the same command goes on where it stopped"
_AGAIN = "give the same command again"

_Task = Callable[[Any, Any], Any]  # what is the same for all, and what is not


@contextmanager
def ray_workers(job: Job, workers: int) -> Generator[Begin]:
    """Workers that mark pieces; see `ray_cluster` for where.

    Args:
        job: How to mark.
        workers: How many pieces are marked at a time; the processors of a cluster that is started.

    Yields:
        A function that begins to mark a piece.

    Raises:
        Interrupted: If the cluster cannot be reached, was lost, or has another version of Bookplate.
    """
    work = job.parts.parent
    lost = f"{_HINT}; what is done lies in {work}, and is private"
    with ray_cluster(workers, work, hint=_HINT, hint_if_lost=lost):
        answer = _asking(_mark, job)

        def begin(piece: Piece, stem: Path) -> Callable[[], Part]:
            wait = answer(piece.packed())
            return lambda: _received(wait(), stem)

        yield begin


def align_on_ray(
    aligner: SummingAligner,
    dataset: AuditedDataset,
    *,
    workers: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> Alignment:
    """Look the texts of a dataset up on a Ray cluster: the alignment that one process would find.

    Args:
        aligner: The index; each worker gets a copy.
        dataset: The texts under audit, read in this process.
        workers: How many pieces are searched at a time; the processors of a cluster that is started.
        progress: Called after each piece with the number of texts so far.

    Raises:
        InvalidInput: If the dataset is not what it should be, as `AuditedDataset.texts` says.
        Interrupted: If the cluster cannot be reached, was lost, or has another version of Bookplate.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bookplate-") as work,
        ray_cluster(workers, Path(work), hint=_AGAIN),
    ):
        answer = _asking(_search, aligner)

        def settled(piece: Piece, wait: Callable[[], Shown]) -> Shown:
            try:
                shown = wait()
            except BookplateError:
                # The worker did not know how many rows come before; here we do, and can name the row.
                shown = _search(aligner, dataset.placed(piece))
            progress(dataset.count(piece, shown.n_texts))
            return shown

        def lots() -> Iterator[Shown]:
            waiting: deque[tuple[Piece, Callable[[], Shown]]] = deque()
            for piece in dataset.pieces():
                waiting.append((piece, answer(piece.packed())))
                if len(waiting) > workers * (1 + _AHEAD):
                    yield settled(*waiting.popleft())
            while waiting:
                yield settled(*waiting.popleft())

        alignment = aligner.total(lots())
    dataset.refuse_empty()
    return alignment


@contextmanager
def ray_cluster(
    workers: int, work: Path, *, hint: str = _AGAIN, hint_if_lost: str = ""
) -> Generator[None]:
    """A Ray cluster that this process is connected to.

    It is the one that the caller has connected to by `ray.init`; else that of the environment variable
    RAY_ADDRESS; else one that is started on this machine, open to nobody else, and ends with the block.

    Args:
        workers: The processors of a cluster that is started.
        work: Folder for a link to the cluster's own folder.
        hint: What to do if the cluster cannot be used.
        hint_if_lost: What to do if it was lost; default: the same.

    Raises:
        Interrupted: If the cluster cannot be reached, was lost, or has another version of Bookplate.
    """
    try:
        with _cluster(workers, work, hint):
            yield
    except ray.exceptions.RayTaskError as error:
        if "failed to import" in str(error):
            raise Interrupted(
                "the Ray workers have no Bookplate",
                f"install bookplate {__version__} on every node; {hint}",
            ) from error
        raise error.cause from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise Interrupted(
            f"Ray workers or their cluster were lost: {type(error).__name__}", hint_if_lost or hint
        ) from error
    except _OtherVersion as error:
        raise Interrupted(
            f"the Ray workers run bookplate {error}, this is {__version__}",
            f"install one version on every node; {hint}",
        ) from error


class _OtherVersion(Exception):
    """No BookplateError: the piece must not be worked on here instead."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a worker sends back."""

    version: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Marked:
    """A part, and what is in its files."""

    part: Part
    files: tuple[bytes, ...]


def _asking(task: _Task, shared: Any) -> Callable[[Piece], Callable[[], Any]]:
    """Begins a task on some worker for one piece, and gives a function that waits for its answer."""
    reference = ray.put(shared)
    remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_answer)

    def begin(piece: Piece) -> Callable[[], Any]:
        # In a list, so that Ray does not unpack what is shared for every piece.
        answer = remote.remote(task, [reference], piece)
        return lambda: _value_of(ray.get(answer))

    return begin


def _value_of(answer: "_Answer | BookplateError") -> Any:
    if isinstance(answer, BookplateError):
        raise answer
    if answer.version != __version__:
        raise _OtherVersion(answer.version)
    return answer.value


def _files_of(part: Part) -> tuple[Path, ...]:
    return part.released, part.manifest, part.digests


def _received(marked: _Marked, stem: Path) -> Part:
    """Write a part that came from a worker."""
    part = replace(marked.part, stem=stem)
    for path, content in zip(_files_of(part), marked.files, strict=True):
        path.write_bytes(content)
    part.finish()
    return part


# On a worker.


def _answer(task: _Task, shared: list[Any], piece: Piece) -> "_Answer | BookplateError":
    """Do a task. Errors of its rows are returned: raised ones would come back in Ray's clothes."""
    try:
        return _Answer(__version__, task(_fetched(shared[0]), piece))
    except BookplateError as error:
        return error


def _mark(job: Job, piece: Piece) -> _Marked:
    with tempfile.TemporaryDirectory(prefix="bookplate-") as folder:  # mode 0700
        part = mark_piece(piece, Path(folder) / "part", job)
        return _Marked(part, tuple(path.read_bytes() for path in _files_of(part)))


def _search(aligner: SummingAligner, piece: Piece) -> Shown:
    return aligner.shown(piece.texts())


_shared: dict[str, Any] = {}  # of this worker: the latest one alone


def _fetched(reference: Any) -> Any:
    if reference.hex() not in _shared:
        value = ray.get(reference)
        _shared.clear()
        _shared[reference.hex()] = value
    return _shared[reference.hex()]


# The cluster.


@contextmanager
def _cluster(workers: int, work: Path, hint: str = _AGAIN) -> Generator[None]:
    address = os.environ.get("RAY_ADDRESS", "local") or "local"
    if ray.is_initialized():
        yield
    elif address != "local":
        _refuse_unreachable(address, hint)
        with _connected(hint, address=address):
            yield
    else:
        with _private_folder(work / "ray") as folder, _environment(_alone_in(folder)):
            options = {"num_cpus": workers, "include_dashboard": False}
            # Ray opens its folder to all: a private one lies around it.
            with _connected(hint, address="local", _temp_dir=str(folder / "r"), **options):
                yield


def _refuse_unreachable(address: str, hint: str) -> None:
    """Ray itself would try for more than a minute."""
    found = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address)
    if found is None:  # "auto", or for Ray to judge
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=10).close()
    except OSError as error:
        raise Interrupted(
            f"Ray at '{address}' cannot be reached: {error.strerror or error}",
            f"start the cluster, or unset RAY_ADDRESS for one on this machine; {hint}",
        ) from error


@contextmanager
def _connected(hint: str, **options: Any) -> Generator[None]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(log_to_driver=False, configure_logging=False, **options)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise Interrupted(
            f"Ray at '{options['address']}' cannot be used: {reason}", hint
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
