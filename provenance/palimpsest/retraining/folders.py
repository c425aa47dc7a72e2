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

from ....errors import InvalidInput
from ....files import canonical_json, new_file, new_folder, read_json
from .checkpoint import TRAINING_ARGS

__all__ = ["RunFolders", "finished_runs"]

_JOB, _LOCK, _UNFINISHED = "job.json", ".lock", "unfinished"
_FORMAT = 1
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
        """Write down what the job is; refuse another one.

        Returns:
            The whole job.

        Raises:
            InvalidInput: If the folder holds the runs of another job, or something else.
        """
        whole = {"format": _FORMAT, "orders": self.orders, **job}
        wanted = canonical_json(whole)
        path = self.folder / _JOB
        if not path.exists():
            self._refuse_foreign()
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
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidInput(f"{self.folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise InvalidInput(
                f"{self.folder}: another process is training here", "wait until it has ended"
            ) from None
        finally:
            os.close(handle)

    def last_checkpoint(self, number: int, mark: str) -> Path | None:
        """The latest checkpoint of an unfinished run that was written to its end.

        Args:
            number: The run.
            mark: Name of the file that is there only in such a checkpoint.
        """
        found = {
            int(path.parent.name.removeprefix("checkpoint-")): path.parent
            for path in self.work(number).glob(f"checkpoint-*/{mark}")
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

    def _refuse_foreign(self) -> None:
        ours = (_LOCK, _UNFINISHED)
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in ours)
        if found := [name for name in names if not name.startswith(_STAGED)]:
            raise InvalidInput(
                f"{self.folder}: holds {found[0]}, which is of no retraining", "choose a new folder"
            )


def finished_runs(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """The run in the true order, and those in the others.

    Args:
        folder: What `retrain` filled.

    Raises:
        InvalidInput: If it holds no runs, or not all of them: which ones are counted must not be chosen.
    """
    job = read_json(folder / _JOB, "the job of a retraining")
    orders = job.get("orders")
    if job.get("format") != _FORMAT or not isinstance(orders, int):
        raise InvalidInput(f"{folder / _JOB}: of another version, or damaged")
    runs = RunFolders(folder, orders)
    missing = [runs.name(n) for n in range(orders + 1) if not runs.run(n).is_dir()]
    if missing:
        raise InvalidInput(
            f"{folder}: {len(missing)} of {orders + 1} runs are not finished, {missing[0]} among them",
            "repeat 'bookplate palimpsest retrain'",
        )
    return runs.run(0), tuple(runs.run(n) for n in range(1, orders + 1))
