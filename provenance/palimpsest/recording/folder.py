"""Where a recording lies.

FOLDER/commitments.json             public
FOLDER/private/opening.json         seed and salts, mode 0600
FOLDER/private/attempts/00001.json  every start of the training: from which step, going on from which start
FOLDER/private/journals/            what each rank trained on: attempt-00001-rank-00000.journal
FOLDER/private/transcript/          once sealed: shards of `step`, `position`, `tokens`, `salt`
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ....errors import InvalidInput, VerificationError
from ....files import new_file, read_json
from .commitments import Commitments, Opening

__all__ = ["Attempt", "RecordingFolder"]

_MOST_STEPS, _MOST_RANKS = 2**53 - 1, 2**20  # JSON has no larger integers; nobody trains with more


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of the training.

    Attributes:
        number: From 1.
        first_step: Optimizer steps that the model had made when it began.
        parent: The attempt whose checkpoint it went on from; None if it began with none of this recording.
        world_size: Ranks that trained.
    """

    number: int
    first_step: int
    parent: int | None
    world_size: int

    def __post_init__(self) -> None:
        parent = 0 if self.parent is None else self.parent
        for name, value, least, most in [
            ("number", self.number, 1, _MOST_STEPS),
            ("first_step", self.first_step, 0, _MOST_STEPS),
            ("world_size", self.world_size, 1, _MOST_RANKS),
            ("parent", parent, 0 if self.parent is None else 1, _MOST_STEPS),
        ]:
            if type(value) is not int or not least <= value <= most:
                raise InvalidInput(
                    f"'{name}' is {value!r}, expected an integer from {least} to {most}"
                )
        if parent >= self.number:
            raise InvalidInput(f"'parent' is {parent}, expected an earlier start")

    def as_dict(self) -> dict[str, int | None]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RecordingFolder:
    """Names and contents of a recording's files."""

    path: Path

    @property
    def commitments(self) -> Path:
        """The public file."""
        return self.path / "commitments.json"

    @property
    def opening(self) -> Path:
        """The secrets."""
        return self.path / "private" / "opening.json"

    @property
    def transcript(self) -> Path:
        """The sealed transcript."""
        return self.path / "private" / "transcript"

    def journal(self, attempt: int, rank: int) -> Path:
        """What one rank recorded in one attempt."""
        name = f"attempt-{attempt:05}-rank-{rank:05}.journal"
        return self.path / "private" / "journals" / name

    def lock(self, rank: int) -> Path:
        """What keeps a second process from recording as the same rank."""
        return self.path / "private" / "journals" / f"rank-{rank:05}.lock"

    def recorded_ranks(self, attempt: Attempt) -> list[int]:
        """Ranks whose journals of an attempt are here, ascending.

        Raises:
            VerificationError: If there is a journal of a rank that did not train.
        """
        pattern = self.journal(attempt.number, 0).name.replace("00000.journal", "*.journal")
        ranks = []
        for path in (self.path / "private" / "journals").glob(pattern):
            rank = path.stem.rpartition("-")[2]
            if rank.isdecimal() and path == self.journal(attempt.number, int(rank)):
                ranks.append(int(rank))
        if max(ranks, default=0) >= attempt.world_size:
            raise VerificationError(
                f"{self.path}: start {attempt.number}: there is a journal of rank {max(ranks)}, but "
                f"only {attempt.world_size} trained",
                "recordings were mixed, or the file of the start was altered",
            )
        return sorted(ranks)

    def create(self, seed: int, order: str) -> None:
        """Make a folder that commits to a shuffle seed; one that was killed half-way is gone on with.

        Raises:
            InvalidInput: If there is a recording already, or one of another seed was begun, or the seed is
                none.
        """
        if self.opening.exists() and not self.exists():
            opening = Opening.read(self.opening)
            if (opening.seed, opening.order) != (seed, order):
                raise InvalidInput(
                    f"{self.path}: a recording of another seed or order was begun here",
                    "begin in another folder",
                )
        else:
            opening = Opening.generate(seed, order)
            self.make_private_folders()
            opening.save(self.opening)
        Commitments.to(opening).write(self.commitments)

    def make_private_folders(self) -> None:
        """Make what a rank writes into; only its owner can look inside.

        Raises:
            InvalidInput: If they cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "private").mkdir(mode=0o700, exist_ok=True)
            for name in ("attempts", "journals"):
                (self.path / "private" / name).mkdir(exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot be written: {error.strerror}") from error

    def exists(self) -> bool:
        """Whether there is a recording: secrets, and the commitment to them unless that was lost since."""
        begun = self.commitments.exists() or any(self._attempts.glob("*.json"))
        return begun and self.opening.exists()

    def is_sealed(self) -> bool:
        """Whether the transcript has been made."""
        return self.transcript.exists()

    def refuse_missing(self) -> None:
        """Refuse a folder that holds no recording."""
        if not self.exists():
            raise InvalidInput(
                f"{self.path}: holds no recording", "begin one with 'bookplate palimpsest record'"
            )

    def attempts(self) -> list[Attempt]:
        """Every start of the training, in order.

        Raises:
            InvalidInput: If a file is damaged.
        """
        return [_attempt(path) for path in sorted(self._attempts.glob("*.json"))]

    def begin_attempt(self, first_step: int, parent: int | None, world_size: int) -> Attempt:
        """Write down a new start.

        Args:
            first_step: See `Attempt`.
            parent: See `Attempt`.
            world_size: See `Attempt`.

        Raises:
            InvalidInput: If the recording has been sealed, a number is out of range, or there is no such
                parent.
        """
        if self.is_sealed():
            raise InvalidInput(
                f"{self.path}: this recording has been sealed", "record further training elsewhere"
            )
        numbers = [attempt.number for attempt in self.attempts()]
        if parent is not None and parent not in numbers:
            raise InvalidInput(
                f"{self.path}: the checkpoint is of start {parent} of this recording, which is not here",
                "name the folder that it was recorded in",
            )
        number = max(numbers, default=0) + 1
        attempt = Attempt(
            number=number, first_step=first_step, parent=parent, world_size=world_size
        )
        with new_file(self._attempts / f"{number:05}.json", private=True) as staged:
            staged.write_text(json.dumps(attempt.as_dict()) + "\n", encoding="ascii")
        return attempt

    @property
    def _attempts(self) -> Path:
        return self.path / "private" / "attempts"


def _attempt(path: Path) -> Attempt:
    data = read_json(path, "the start of a training")
    try:
        attempt = Attempt(**data)
    except (TypeError, InvalidInput) as error:
        raise InvalidInput(f"{path}: not the start of a training: {error}") from error
    if path.stem != f"{attempt.number:05}":
        raise InvalidInput(
            f"{path}: not the start of a training: holds number {attempt.number}",
            "give the file its name back",
        )
    return attempt
