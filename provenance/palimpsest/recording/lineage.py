"""Which recorded steps made the model: attempts that went on from each other's checkpoints."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput, VerificationError
from .folder import Attempt, RecordingFolder
from .journal import StepRecord, journal_records

__all__ = ["Recorded", "Span", "StepSequences", "lineage_of", "recorded_in"]

_MOST_APART = 4  # steps: gradients are exchanged in each, and two may be on their way to a journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The steps that one attempt has in the history of the model.

    Attributes:
        attempt: The attempt.
        stop: The step at which the next attempt took over, or that the model ends before; None if it is
            what the last attempt came to.
    """

    attempt: Attempt
    stop: int | None


@dataclass(frozen=True, slots=True)
class StepSequences:
    """What all ranks trained on in one optimizer step.

    Attributes:
        step: Optimizer steps made before it.
        sequences: Token ids, in order of micro-batch, rank, and row.
    """

    step: int
    sequences: list[NDArray[np.unsignedinteger]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the journals of one attempt hold of its span.

    Attributes:
        span: The span.
        first: First step.
        stop: The step after the last that all ranks recorded.
        n_sequences: Sequences.
        n_tokens: Tokens.
        ended: Whether training ended by itself, as far as all ranks know.
    """

    span: Span
    first: int
    stop: int
    n_sequences: int
    n_tokens: int
    ended: bool


def lineage_of(
    attempts: Sequence[Attempt], last: int | None = None, stop: int | None = None
) -> list[Span]:
    """The history of the model, earliest first.

    What an attempt recorded from the step on at which the next one took over did not make the model.

    Args:
        attempts: All attempts.
        last: Number of the attempt that made the model; default: the newest.
        stop: Optimizer steps that the model has made; default: all that were recorded.

    Raises:
        InvalidInput: If there is no such attempt, or nothing of its history.
    """
    by_number = {attempt.number: attempt for attempt in attempts}
    if not by_number:
        raise InvalidInput("nothing has been recorded", "train with the recorder first")
    number: int | None = max(by_number) if last is None else last
    spans: list[Span] = []
    while number is not None:
        if number not in by_number:
            raise InvalidInput(f"start {number} is not in this recording")
        attempt = by_number[number]
        if stop is None or attempt.first_step < stop:
            spans.append(Span(attempt=attempt, stop=stop))
            stop = attempt.first_step
        number = attempt.parent
    if not spans:
        raise InvalidInput(f"no step before {stop} has been recorded", "name a later one")
    return spans[::-1]


def recorded_in(
    folder: RecordingFolder, span: Span, take: Callable[[StepSequences], object] = lambda _: None
) -> Recorded:
    """Go through the journals of a span, all ranks side by side, holding one step at a time.

    Args:
        folder: The recording.
        span: The span.
        take: Called with each step.

    Returns:
        How far it goes: the steps that every rank has.

    Raises:
        VerificationError: If ranks disagree on the steps or on the end, a journal skips a step, is malformed,
            or is of a rank that did not train.
    """
    attempt = span.attempt
    streams = _streams(folder, attempt)
    expected, n_sequences, n_tokens, ended = attempt.first_step, 0, 0, False
    while span.stop is None or expected < span.stop:
        records = [next(stream, None) for stream in streams.values()]
        whole = [record for record in records if record is not None]
        if len(whole) < len(records):
            _refuse_uneven(folder, attempt, records, streams)
            break
        if any(record.step != expected for record in whole):
            found = ", ".join(str(record.step) for record in whole)
            raise VerificationError(
                f"{folder.path}: start {attempt.number}: expected step {expected} of every rank, found "
                f"{found}",
                "journals of different trainings were mixed, or one was altered",
            )
        if any(record.is_end for record in whole):
            ended = all(record.is_end for record in whole)
            break
        step = StepSequences(expected, _in_order(whole))
        take(step)
        n_sequences += len(step.sequences)
        n_tokens += sum(map(len, step.sequences))
        expected += 1
    return Recorded(
        span=span,
        first=attempt.first_step,
        stop=expected,
        n_sequences=n_sequences,
        n_tokens=n_tokens,
        ended=ended,
    )


def _streams(folder: RecordingFolder, attempt: Attempt) -> dict[int, Iterator[StepRecord]]:
    """The journals by rank, and nothing for the first that has none: one is enough to end the steps.

    The number of ranks is only what a file says; what is not there costs no time.
    """
    here = folder.recorded_ranks(attempt)
    streams = {rank: journal_records(folder.journal(attempt.number, rank)) for rank in here}
    if len(here) < attempt.world_size:  # killed before it began
        streams[next(rank for rank in range(attempt.world_size) if rank not in streams)] = iter(())
    return dict(sorted(streams.items()))


def _refuse_uneven(
    folder: RecordingFolder,
    attempt: Attempt,
    records: Sequence[StepRecord | None],
    streams: Mapping[int, Iterator[StepRecord]],
) -> None:
    """Ranks take their steps together: where one ends, the others may be few steps ahead, no more."""
    for (rank, stream), record in zip(streams.items(), records, strict=True):
        ahead = [record, *islice(stream, _MOST_APART)] if record is not None else []
        if len(ahead) > _MOST_APART or any(later is not None and later.is_end for later in ahead):
            raise VerificationError(
                f"{folder.path}: start {attempt.number}: rank {rank} went on after the journal of rank "
                f"{list(streams)[records.index(None)]} ends",
                "a journal is missing or was cut short: bring the journals of all machines together",
            )


def _in_order(records: Sequence[StepRecord]) -> list[NDArray[np.unsignedinteger]]:
    """By micro-batch, then rank, then row: ranks work on their first micro-batches at the same time."""
    sequences: list[NDArray[np.unsignedinteger]] = []
    for record in records:
        ends = np.cumsum(record.lengths, dtype=np.int64)
        sequences += np.split(record.tokens, ends[:-1]) if len(ends) else []
    micro = np.concatenate([record.micro for record in records])
    return [sequences[i] for i in np.argsort(micro, kind="stable")]
