"""The folder of the runs: what job it is of, which runs are finished, and where one goes on.

It holds `job.json`, a folder per finished run, `true` and `order-1` to `order-K`, and `unfinished/` with the
Trainer's own checkpoints. What a job is made of is fixed when its first run begins.
"""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....display import visible
from ....errors import InvalidInput
from ....files import canonical_json, file_locks, new_file, new_folder, read_json, sha256_of_file
from ....stats import Input
from .checkpoint import TRAINING_ARGS

__all__ = ["MOST_ORDERS", "FinishedRuns", "RunFolders", "finished_runs"]

MOST_ORDERS = 100_000  # nobody trains that many; a damaged file may say anything

_JOB, _LOCK, _UNFINISHED = "job.json", ".lock", "unfinished"
_FORMAT = 2
_STAGED = ".bookplate-"  # how `new_folder` begins the names of what is not whole
_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template.jinja",
)


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where the runs of one job lie.

    Attributes:
        folder: The folder of all.
        orders: How many other orders there are, K.
    """

    folder: Path
    orders: int

    def name(self, number: int) -> str:
        """What run `number` is called; 0 is the one in the true order."""
        return f"order-{number:0{len(str(self.orders))}}" if number else "true"

    def run(self, number: int) -> Path:
        """Where a finished run lies."""
        return self.folder / self.name(number)

    def work(self, number: int) -> Path:
        """Where a Trainer keeps its checkpoints until its run is finished."""
        return self.folder / _UNFINISHED / self.name(number)

    def begin(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Write down what the job is; refuse another one, unless nothing has come of that yet.

        Returns:
            The whole job.

        Raises:
            InvalidInput: If the folder holds the runs of another job, or something else.
        """
        whole = {"format": _FORMAT, "orders": self.orders, **job}
        wanted = canonical_json(whole)
        path = self.folder / _JOB
        if not path.exists() or (path.read_bytes() != wanted and not self._has_begun()):
            self._refuse_foreign()
            path.unlink(missing_ok=True)  # of a call whose settings did not even reach a checkpoint
            with new_file(path) as staged:
                staged.write_bytes(wanted)
        elif path.read_bytes() != wanted:
            known = read_json(path, "job.json")
            differs = [k for k in whole if canonical_json(known.get(k)) != canonical_json(whole[k])]
            raise InvalidInput(
                f"{self.folder}: holds runs of another job; what differs: {', '.join(differs)}",
                "all runs must be made alike: repeat that call, or choose another folder",
            )
        return whole

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes out; the system lets go if we are killed.

        Raises:
            InvalidInput: If another process is at work here, or the folder cannot be made.
        """
        fcntl = file_locks()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidInput(f"{self.folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InvalidInput(
                f"{self.folder}: another process is training here", "wait until it has ended"
            ) from None
        try:
            yield
        finally:
            os.close(handle)

    def last_checkpoint(self, number: int, mark: str, *, end: int) -> Path | None:
        """The latest checkpoint of an unfinished run that was written whole, and leaves a step to make.

        Args:
            number: The run.
            mark: Name of the file that is there only in a whole checkpoint.
            end: Steps of the whole training: a Trainer that resumes there would train on.
        """
        found = {
            int(name): path.parent
            for path in self.work(number).glob(f"checkpoint-*/{mark}")
            if (name := path.parent.name.removeprefix("checkpoint-")).isdecimal()
            and int(name) < end
        }
        return found[max(found)] if found else None

    def publish(self, number: int, model: Path, tokenizer: Path) -> None:
        """Make a finished run's folder of the model that was saved; what else the run needed goes.

        Args:
            number: The run.
            model: Folder of the model, on the same file system.
            tokenizer: Folder to take a tokenizer from, unless there is one beside the model.
        """
        with new_folder(self.run(number)) as staged:
            for path in model.iterdir():
                if path.name != TRAINING_ARGS:
                    path.rename(staged / path.name)
            if not (staged / "tokenizer_config.json").exists():
                for path in (path for pattern in _TOKENIZER for path in tokenizer.glob(pattern)):
                    if path.is_file() and not (staged / path.name).exists():
                        shutil.copyfile(path, staged / path.name)
        shutil.rmtree(self.work(number), ignore_errors=True)

    def clear(self) -> None:
        """Remove what only unfinished runs need, and what killed ones have left."""
        for path in (self.folder / _UNFINISHED, *self.folder.glob(f"{_STAGED}*")):
            shutil.rmtree(path, ignore_errors=True)

    def _has_begun(self) -> bool:
        """Whether a run is finished, or has a checkpoint."""
        return bool(self._others()) or any((self.folder / _UNFINISHED).glob("*/checkpoint-*"))

    def _refuse_foreign(self) -> None:
        if found := self._others():
            raise InvalidInput(
                f"{self.folder}: holds {found[0]}, which is of no retraining", "choose a new folder"
            )

    def _others(self) -> list[str]:
        """What lies here but the files that a job begins with."""
        ours = (_LOCK, _UNFINISHED, _JOB)
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in ours)
        return [name for name in names if not name.startswith(_STAGED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRuns:
    """What a folder of runs holds.

    Attributes:
        true: The run in the true order.
        others: Those in the others.
        job: Name and digest of `job.json`, which names checkpoint, transcript and seed.
        doubts: Why the true order may not have been drawn as the others were; see `doubts_about`.
    """

    true: Path
    others: tuple[Path, ...]
    job: Input
    doubts: tuple[str, ...]


def finished_runs(folder: Path) -> FinishedRuns:
    """The run in the true order, those in the others, and what is known of them.

    Args:
        folder: What `retrain` filled.

    Raises:
        InvalidInput: If it holds no runs, or not all of them: which ones are counted must not be chosen.
    """
    job = read_json(folder / _JOB, "the job of a retraining")
    orders, doubts = job.get("orders"), job.get("doubts")
    if (
        job.get("format") != _FORMAT
        or not isinstance(orders, int)
        or not isinstance(doubts, list)
        or isinstance(orders, bool)
        or not 1 <= orders <= MOST_ORDERS
    ):
        raise InvalidInput(f"{folder / _JOB}: of another version, or damaged")
    runs = RunFolders(folder, orders)
    missing = [runs.name(n) for n in range(orders + 1) if not runs.run(n).is_dir()]
    if missing:
        raise InvalidInput(
            f"{folder}: {len(missing)} of {orders + 1} runs are not finished, {missing[0]} among them",
            "repeat 'bookplate palimpsest retrain'",
        )
    return FinishedRuns(
        true=runs.run(0),
        others=tuple(runs.run(n) for n in range(1, orders + 1)),
        job=Input(name=_JOB, sha256=sha256_of_file(folder / _JOB)),
        doubts=tuple(visible(str(doubt)) for doubt in doubts),
    )
