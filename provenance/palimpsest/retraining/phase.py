"""What was trained on after a checkpoint, and the orders in which it is trained on again."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import InsufficientEvidence, InvalidInput
from ..transcript import Content, TranscriptSource
from ..transcript.layout import sequences_in
from .checkpoint import Checkpoint

__all__ = ["LastPhase", "PhaseRows", "Tally", "tally_of"]

_FRAME_ROWS = 256  # few, because rows are unpacked to be checked
_DIGESTS = 1 << 256

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many sequences, and the sum of their SHA-256 modulo 2^256: the same for any order of them."""

    count: int = 0
    digest: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, (self.digest + other.digest) % _DIGESTS)


def tally_of(sequences: Iterable[Tokens]) -> Tally:
    """The tally of token sequences."""
    count = digest = 0
    for tokens in sequences:
        found = hashlib.sha256(tokens.astype("<i8").tobytes()).digest()
        count, digest = count + 1, (digest + int.from_bytes(found, "big")) % _DIGESTS
    return Tally(count, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPhase:
    """All sequences after a checkpoint, in their true order.

    Attributes:
        first_step: The step that follows the checkpoint; steps count from 0.
        n_steps: Steps.
        per_step: Sequences of each step; the last one may have fewer.
        sequences: Token ids of each sequence.
        epochs: Bounds of the epochs among the sequences, from 0 to their number, shape (n_epochs + 1,).
    """

    first_step: int
    n_steps: int
    per_step: int
    sequences: tuple[Tokens, ...]
    epochs: tuple[int, ...]

    @property
    def end(self) -> int:
        """The number of steps of the whole training up to the end of this phase."""
        return self.first_step + self.n_steps

    def digest(self) -> str:
        """SHA-256 of the sequences in their true order; of nothing that could be written in other ways."""
        digest = hashlib.sha256()
        for tokens in self.sequences:
            digest.update(len(tokens).to_bytes(8, "little") + tokens.astype("<i8").tobytes())
        return digest.hexdigest()

    @classmethod
    def read(cls, source: TranscriptSource, checkpoint: Checkpoint) -> "LastPhase":
        """Read what followed a checkpoint; nothing else is kept in memory.

        Args:
            source: A transcript of tokens whose steps count from 0. Rows may come in any order.
            checkpoint: The checkpoint.

        Raises:
            InvalidInput: If the transcript holds no tokens, ends before the checkpoint, counts from 1,
                leaves out a step, or its steps differ in their number of sequences.
            InsufficientEvidence: If there is no order to change.
        """
        _refuse_without_tokens(source)
        outline = source.outline()
        if outline.first_step == 1:
            raise InvalidInput(
                f"{source.path}: its steps begin with 1", "count steps from 0, as the recorder does"
            )
        if not outline.n_rows or outline.last_step < checkpoint.step:
            raise InvalidInput(
                f"{source.path}: ends with step {outline.last_step:,}, and the checkpoint was made after "
                f"{checkpoint.step:,} steps: nothing is left to train on",
                "take an earlier checkpoint, or the transcript of the whole training",
            )
        steps, sequences = _late_rows(source, checkpoint.step)
        numbers, counts = np.unique(steps, return_counts=True)
        _refuse_gaps(source, numbers, checkpoint.step)
        per_step = _per_step(source, numbers, counts)
        phase = cls(
            first_step=checkpoint.step,
            n_steps=len(numbers),
            per_step=per_step,
            sequences=sequences,
            epochs=_epochs(checkpoint, len(numbers), per_step, len(sequences)),
        )
        if max(np.diff(phase.epochs)) <= per_step:
            raise InsufficientEvidence(
                f"{source.path}: too few steps follow the checkpoint to be put in another order",
                "take an earlier checkpoint",
            )
        return phase

    def order(self, number: int, seed: int) -> NDArray[np.int64]:
        """An order of the sequences: their places in the true order, shape (n,).

        Args:
            number: 0 for the true order, else which of the fresh ones. Each is a uniform permutation
                within each epoch, as the true one was drawn.
            seed: Seed of the fresh ones.
        """
        places = np.arange(len(self.sequences))
        if number:
            generator = np.random.default_rng([seed, number])
            for begin, end in zip(self.epochs, self.epochs[1:], strict=False):
                generator.shuffle(places[begin:end])
        return places


class PhaseRows:
    """The dataset of one run, in the order in which it must be read.

    It has the length of the whole training, so that a Trainer that resumes at a checkpoint finds its place,
    but what came before the checkpoint is not there and may not be asked for.

    Args:
        phase: The sequences.
        order: Their places in the true order, in the order of this run, shape (n,).
    """

    def __init__(self, phase: LastPhase, order: NDArray[np.int64]) -> None:
        self.phase = phase
        self._order = order
        self._before = phase.first_step * phase.per_step

    def __len__(self) -> int:
        return self._before + len(self._order)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if index < self._before:
            raise InvalidInput(
                f"the Trainer asked for sequence {index:,}, which came before the checkpoint",
                "it must read its dataset in order, and skip what was trained on already",
            )
        tokens: list[int] = self._tokens(index).tolist()
        return {"input_ids": tokens}

    def expected(self, step: int) -> Tally:
        """The tally of the sequences of a step."""
        begin = step * self.phase.per_step
        end = min(begin + self.phase.per_step, len(self))
        return tally_of(self._tokens(index) for index in range(begin, end))

    def _tokens(self, index: int) -> Tokens:
        place = int(self._order[index - self._before])
        return self.phase.sequences[place]


def _refuse_without_tokens(source: TranscriptSource) -> None:
    if source.content is Content.TEXT:
        raise InvalidInput(
            f"{source.path}: holds texts, and the model was trained on token ids",
            "give a transcript of tokens",
        )
    if source.content is Content.DIGEST:
        raise InvalidInput(
            f"{source.path}: holds digests of its sequences only, and nothing can be trained on these",
            "give the transcript itself",
        )


def _late_rows(
    source: TranscriptSource, first_step: int
) -> tuple[NDArray[np.int64], tuple[Tokens, ...]]:
    """Steps and sequences of all rows from a step on, in the true order."""
    steps: list[NDArray[np.int64]] = []
    positions: list[NDArray[np.int64]] = []
    sequences: list[Tokens] = []
    start = 0
    for frame in source.frames(_FRAME_ROWS):
        late = np.flatnonzero(frame["step"].to_numpy() >= first_step)
        chosen, rows = frame[late], late + start
        start += frame.height
        if not late.size:
            continue
        steps.append(chosen["step"].to_numpy())
        positions.append(chosen["position"].to_numpy() if source.layout.has_position else rows)
        try:
            sequences += [
                np.array(tokens, dtype=np.int32)
                for tokens in sequences_in(chosen["tokens"], source.path, rows)
            ]
        except OverflowError:
            raise InvalidInput(f"{source.path}: holds token ids of 2**31 or more") from None
    found = np.concatenate(steps)
    in_order = np.lexsort((np.concatenate(positions), found))
    return found[in_order], tuple(sequences[i] for i in in_order)


def _refuse_gaps(source: TranscriptSource, numbers: NDArray[np.int64], first_step: int) -> None:
    expected = np.arange(first_step, first_step + len(numbers))
    if (wrong := numbers != expected).any():
        raise InvalidInput(
            f"{source.path}: step {expected[wrong][0]:,} is missing",
            "the last phase can only be repeated if all of it was recorded",
        )


def _per_step(
    source: TranscriptSource, numbers: NDArray[np.int64], counts: NDArray[np.int64]
) -> int:
    """Sequences of each step but the last, which may have fewer."""
    per_step = int(counts[0])
    unlike = counts != per_step
    unlike[-1] = counts[-1] > per_step
    if unlike.any():
        raise InvalidInput(
            f"{source.path}: step {numbers[unlike][0]:,} has {counts[unlike][0]:,} sequences, step "
            f"{numbers[0]:,} has {per_step:,}",
            "the last phase can only be repeated with one batch size; take a later checkpoint",
        )
    return per_step


def _epochs(checkpoint: Checkpoint, n_steps: int, per_step: int, n: int) -> tuple[int, ...]:
    """Bounds of the epochs among the sequences: an order that was drawn for each must not mix them."""
    if checkpoint.per_epoch is None:
        return (0, n)
    first = checkpoint.step
    ends = range(
        (first // checkpoint.per_epoch + 1) * checkpoint.per_epoch,
        first + n_steps,
        checkpoint.per_epoch,
    )
    return (0, *((end - first) * per_step for end in ends), n)
