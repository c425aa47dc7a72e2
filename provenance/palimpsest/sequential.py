"""The query test step by step: stop asking a model as soon as the e-value is enough."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Alternative, Finding, SignEProcess
from ..suspect import Suspect, hearsay_of, inputs_of, refuse_same_model
from .exchangeability import neighbours_alike
from .query import ORDER_ASSUMPTIONS, Asked, files_of, fixed_beforehand, prepared, reference_doubts
from .scoring import WHOLE, Window, tokenizer_doubts, window_means
from .transcript import Transcript

__all__ = ["SequentialOrder", "query_sequentially"]

_PAIRS_PER_QUERY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialOrder:
    """The outcome of a query test that stopped when it knew enough.

    Attributes:
        finding: The test; the unit is the pair of an early and a late sequence.
        n_scored: Sequences the suspect was asked about.
        n_sequences: Sequences it could have been asked about.
        reached: Whether the level was reached.
    """

    finding: Finding
    n_scored: int
    n_sequences: int
    reached: bool


def query_sequentially(
    transcript: Transcript,
    suspect: Suspect,
    *,
    alpha: float,
    seed: int,
    references: Sequence[Suspect] = (),
    window: Window = WHOLE,
    budget: int | None = None,
) -> SequentialOrder:
    """Compare early with late sequences, pair by pair, until the evidence suffices.

    The first sequence is paired with the last, the second with the last but one, and so on: pairs that lie
    furthest apart, which show most, are asked about first. Fed to `SignEProcess` is the late one's mean
    log-probability minus the early one's. Given which two sequences make a pair and at which two steps, an
    order drawn at random puts either of them first with probability 1/2, whatever the other pairs show;
    so the differences are symmetric under the null hypothesis, and stopping at any time is allowed.
    Sequences of one step are ordered by chance beforehand.

    Args:
        transcript: See `query_test`.
        suspect: The model under audit.
        alpha: Level of the decision, in (0, 1), fixed beforehand.
        seed: Seed of the draws among equal steps, and of the order of the questions.
        references: Models trained without this order; their mean is subtracted.
        window: See `query_test`.
        budget: Stop before more sequences than this have been asked about; None: no limit.

    Returns:
        The finding and what it cost.

    Raises:
        InvalidInput: If an argument is malformed, a model is named twice, or a reference prefers early
            sequences.
        InsufficientEvidence: If too few sequences can be scored, or the budget allows no pair.
    """
    refuse_same_model(suspect, references)
    if budget is not None and budget < 2:
        raise InvalidInput(f"budget: expected at least 2 sequences, got {budget}")
    asked = prepared(transcript, window)
    process = SignEProcess(alternative=Alternative.GREATER, alpha=alpha)
    told = _Told(asked, suspect, references, window)
    rng = np.random.default_rng(seed)
    names: list[str] = []
    for early, late in _batches(_pairs(asked.transcript.steps, rng), budget):
        # Asked in random order: neither place nor time of a question tells which half it is of.
        told.ask(rng.permutation(np.concatenate([early, late])))
        process.extend(told.scores[late] - told.scores[early])
        names += (f"{asked.names[a]} {asked.names[b]}" for a, b in zip(early, late, strict=True))
        if process.rejected:
            break
    if process.n == 0:
        raise InsufficientEvidence("no two sequences have different steps within the budget")
    finding = process.finding().named(names)
    known = told.rows
    steps = asked.transcript.steps[known]
    alike = neighbours_alike(steps, asked.rows[known], told.scores[known])
    doubts = [
        *alike,
        *reference_doubts(steps, references, [own[known] for own in told.of_references], seed),
        *tokenizer_doubts(asked.transcript, suspect),
    ]
    return SequentialOrder(
        finding=finding.about(
            name="sequential palimpsest query",
            question=f"Was {suspect.identity.name} derived from the model of this training run?",
            unit="pairs of an early and a late training sequence",
            assumptions=(
                *(ORDER_ASSUMPTIONS if references else ORDER_ASSUMPTIONS[:1]),
                *finding.assumptions,
                *fixed_beforehand(transcript, window),
            ),
            warnings=(*finding.warnings, *asked.notes, *doubts, *hearsay_of(suspect, *references)),
            refuted=(*asked.refuted, *alike),
            inputs=(*files_of(transcript), *inputs_of(suspect, *references)),
        ),
        n_scored=known.size,
        n_sequences=len(asked.transcript.sequences),
        reached=process.rejected,
    )


class _Told:
    """What the models said so far, by sequence; NaN where they were not asked."""

    def __init__(
        self, asked: Asked, suspect: Suspect, references: Sequence[Suspect], window: Window
    ) -> None:
        self._asked, self._models, self._window = asked, (suspect, *references), window
        self._scores = np.full((len(self._models), asked.rows.size), np.nan)

    def ask(self, rows: NDArray[np.int64]) -> None:
        """Ask all models about some sequences."""
        transcript = self._asked.transcript
        sequences = [transcript.sequences[row] for row in rows]
        for own, model in zip(self._scores, self._models, strict=True):
            own[rows] = window_means(sequences, model, self._window, name=transcript.source.name)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Those that were asked about."""
        return np.flatnonzero(~np.isnan(self._scores[0]))

    @property
    def of_references(self) -> NDArray[np.float64]:
        """The references' scores, shape (references, n)."""
        return self._scores[1:]

    @property
    def scores(self) -> NDArray[np.float64]:
        """The suspect's, minus the mean of the references', shape (n,)."""
        own: NDArray[np.float64] = self._scores[0]
        return own - self.of_references.mean(axis=0) if len(self.of_references) else own


def _pairs(
    steps: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the early and of the late sequence of each pair, the furthest apart first."""
    order = np.lexsort((rng.random(steps.size), steps))
    half = steps.size // 2
    early, late = order[:half], order[::-1][:half]
    apart = steps[early] < steps[late]
    return early[apart], late[apart]


def _batches(
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]], budget: int | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    early, late = pairs
    most = early.size if budget is None else min(early.size, budget // 2)
    for first in range(0, most, _PAIRS_PER_QUERY):
        end = min(first + _PAIRS_PER_QUERY, most)
        yield early[first:end], late[first:end]
