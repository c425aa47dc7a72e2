"""After training: the transcript of what made the model, and the public commitment to it."""

from dataclasses import dataclass
from pathlib import Path

from ....errors import InvalidInput, VerificationError
from ....files import new_folder
from ...custody import MerkleCommitment
from .commitments import Commitments, Opening
from .folder import RecordingFolder
from .lineage import Recorded, lineage_of, recorded_in
from .rows import ShardWriter, digest_frames, transcript_commitment

__all__ = [
    "NOT_CHECKED",
    "Summary",
    "check_committed",
    "inspect_recording",
    "seal",
    "verify_recording",
    "write_digests",
]

# What `verify_recording` leaves open; the command says it, so that nobody takes more from it than it gives.
NOT_CHECKED = (
    "whether the recorded order follows from the committed seed: shuffle anew by the words on the order",
    "whether a model was trained on this: the order tests ask the model",
    "when the commitments were published: whoever kept them knows",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a recording holds.

    Attributes:
        commitments: What is, or may be, published of it.
        n_attempts: Starts of the training, those that were superseded among them.
        parts: What makes up the model's history, earliest first.
        gaps: First and last step of each stretch of the history that was not recorded.
    """

    commitments: Commitments
    n_attempts: int
    parts: tuple[Recorded, ...]
    gaps: tuple[tuple[int, int], ...]

    @property
    def n_sequences(self) -> int:
        """Sequences of the history."""
        return sum(part.n_sequences for part in self.parts)

    @property
    def n_tokens(self) -> int:
        """Tokens of the history."""
        return sum(part.n_tokens for part in self.parts)

    @property
    def first_step(self) -> int:
        """First step: not 0 where the training began before the recording."""
        return self.parts[0].first

    @property
    def stop(self) -> int:
        """The step after the last."""
        return self.parts[-1].stop

    @property
    def ended(self) -> bool:
        """Whether training came to its end by itself, or the number of steps was named.

        If not, the last steps may have come after the last checkpoint, and made no model.
        """
        return self.parts[-1].ended or self.parts[-1].span.stop is not None


def inspect_recording(
    folder: Path, *, attempt: int | None = None, stop: int | None = None
) -> Summary:
    """Go through a recording without changing it.

    Args:
        folder: The recording.
        attempt: The start of the training that made the model; default: the last.
        stop: Optimizer steps that the model has made, if it is of a checkpoint before the end.

    Raises:
        InvalidInput: If there is no recording, or nothing in it.
        VerificationError: If its journals contradict each other.
    """
    where = RecordingFolder(folder)
    where.refuse_missing()
    spans = lineage_of(where.attempts(), attempt, stop)
    return _summary(where, tuple(recorded_in(where, span) for span in spans))


def seal(
    folder: Path, *, attempt: int | None = None, stop: int | None = None, with_gaps: bool = False
) -> Summary:
    """Make the transcript of a recording, and commit to it in `commitments.json`.

    Steps that some rank did not record whole are left out; unless training was killed after its last
    checkpoint, there are none. The journals stay; they may be removed afterwards.

    Args:
        folder: The recording. Nothing may be recording there.
        attempt: See `inspect_recording`.
        stop: See `inspect_recording`.
        with_gaps: Whether to make a transcript even if steps of the history were not recorded.

    Raises:
        InvalidInput: If there is no recording, nothing in it, or it has been sealed.
        VerificationError: If its journals contradict each other, there are gaps, or the secrets do not open
            the commitment from before training, which would be lost.
    """
    where = RecordingFolder(folder)
    where.refuse_missing()
    before = Commitments.read(where.commitments)
    if where.is_sealed() and before.transcript is not None:
        raise InvalidInput(f"{folder}: has been sealed already")
    spans = lineage_of(where.attempts(), attempt, stop)
    opening = Opening.read(where.opening)
    commitments = Commitments.to(opening)  # whatever this refuses must leave no transcript behind
    _refuse_other_seed(where, before, commitments, where.commitments)
    if where.is_sealed():  # killed between its last two steps
        parts = tuple(recorded_in(where, span) for span in spans)
        tree = transcript_commitment(where.transcript)
    else:
        with new_folder(where.transcript) as staged:
            writer = ShardWriter(staged, opening)
            parts = tuple(
                recorded_in(where, span, lambda s: writer.write(s.step, s.sequences))
                for span in spans
            )
            _refuse_holes(folder, parts, with_gaps=with_gaps)
            tree = writer.close()
    commitments.sealed(tree).write(where.commitments)
    return _summary(where, parts)


def verify_recording(folder: Path, *, published: Path | None = None) -> Commitments:
    """Hold a sealed recording against its commitments.

    1. The commitments are well-formed, and made after training.
    2. Steps, positions, tokens and salts of the transcript give the Merkle root and the number of rows.
    3. Seed, salt and words on the order open the commitment to the seed.
    Not checked is what `NOT_CHECKED` lists: whether the order follows from the seed, whether a model was
    trained on this, and when the commitments were published.

    Args:
        folder: The recording.
        published: The `commitments.json` that was published; without it, the folder's own is taken, which
            shows no more than that nothing was damaged.

    Returns:
        The commitments.

    Raises:
        InvalidInput: If a file cannot be read.
        VerificationError: If one of these does not hold.
    """
    where = RecordingFolder(folder)
    where.refuse_missing()
    path = where.commitments if published is None else published
    commitments = _read_sealed(path)  # 1
    _refuse_other_rows(where.transcript, commitments, path)  # 2
    _refuse_other_seed(where, commitments, Commitments.to(Opening.read(where.opening)), path)  # 3
    return commitments


def check_committed(transcript: Path, published: Path) -> Commitments:
    """Hold a transcript against the commitment that was published, without its secrets.

    Args:
        transcript: A sealed transcript, or the digests that were made of it.
        published: The `commitments.json` from after training.

    Returns:
        The commitments.

    Raises:
        InvalidInput: If a file cannot be read, or the transcript is not a sealed one.
        VerificationError: If it is not the one committed to.
    """
    commitments = _read_sealed(published)
    _refuse_other_rows(transcript, commitments, published)
    return commitments


def write_digests(transcript: Path, out: Path) -> MerkleCommitment:
    """Make a transcript of digests, which may be published or handed over without the sequences.

    Whoever holds it can draw a sample; the claimant then discloses these sequences with their salts.

    Args:
        transcript: A sealed transcript.
        out: Folder to make.

    Returns:
        The commitment to its rows: that of the transcript.

    Raises:
        InvalidInput: If the transcript is not sealed, or `out` exists.
    """
    with new_folder(out) as staged:
        for number, frame in enumerate(digest_frames(transcript)):
            with (staged / f"{number:06}.parquet").open("wb") as file:
                frame.write_parquet(file)
        return transcript_commitment(staged)


def _read_sealed(path: Path) -> Commitments:
    commitments = Commitments.read(path)
    if commitments.transcript is None:
        raise VerificationError(
            f"{path}: does not commit to a transcript", "seal the recording first"
        )
    return commitments


def _refuse_other_rows(transcript: Path, commitments: Commitments, path: Path) -> None:
    if transcript_commitment(transcript) != commitments.transcript:
        raise VerificationError(
            f"{transcript}: is not the transcript that {path.name} commits to",
            "it was altered, or belongs to something else",
        )


def _summary(where: RecordingFolder, parts: tuple[Recorded, ...]) -> Summary:
    return Summary(
        commitments=Commitments.read(where.commitments),
        n_attempts=len(where.attempts()),
        parts=parts,
        gaps=tuple(_gaps(parts)),
    )


def _refuse_other_seed(
    where: RecordingFolder, known: Commitments, opened: Commitments, path: Path
) -> None:
    """Refuse secrets that do not open the commitment to seed and words on the order in a file."""
    if (opened.seed_commitment, opened.order) != (known.seed_commitment, known.order):
        raise VerificationError(
            f"{where.opening}: does not open the commitment to the seed in {path.name}",
            "one of them was altered, or belongs to something else",
        )


def _gaps(parts: tuple[Recorded, ...]) -> list[tuple[int, int]]:
    stops = [(part.stop, part.span.stop) for part in parts]
    return [(found, stop - 1) for found, stop in stops if stop is not None and found < stop]


def _refuse_holes(folder: Path, parts: tuple[Recorded, ...], *, with_gaps: bool) -> None:
    if not any(part.n_sequences for part in parts):
        raise InvalidInput(f"{folder}: no whole step was recorded", "there is nothing to seal")
    if (gaps := _gaps(parts)) and not with_gaps:
        first, last = gaps[0]
        raise VerificationError(
            f"{folder}: steps {first} to {last} made the model, but were not recorded by every rank",
            "bring the journals of all machines together, or seal with gaps",
        )
