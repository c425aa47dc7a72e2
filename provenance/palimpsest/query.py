"""The query test: does a suspect's likelihood of my training sequences follow my training order?"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Alternative, Finding, SpearmanMethod, Trend, spearman_test
from ..suspect import Suspect, hearsay_of, inputs_of, refuse_same_model
from .transcript import Transcript

__all__ = ["QueryStatistic", "mean_logprobs", "order_test", "query_test"]

_ORDER_ASSUMPTION = (
    "The training order was drawn at random, and the suspect, if innocent, was made without it: it "
    "neither shares the claimant's checkpoint nor was trained in the same order for another reason."
)
_SHUFFLE_ASSUMPTION = "The references were not trained in this order either."


class QueryStatistic(StrEnum):
    """What is correlated with the training step."""

    LIKELIHOOD = "likelihood"  # the suspect's mean log-probability alone
    DIFFERENCE = "difference"  # minus the mean over the references
    RESIDUAL = "residual"  # after regressing it on the references and the length


def query_test(
    transcript: Transcript,
    suspect: Suspect,
    *,
    seed: int,
    references: Sequence[Suspect] = (),
    statistic: QueryStatistic | None = None,
) -> Finding:
    """Test whether a model derives from the run that a transcript records.

    Args:
        transcript: Sequences of the claimant's run with their steps.
        suspect: The model under audit.
        seed: Seed of the permutations, where there are any.
        references: Models trained without this order, best on the same kind of data.
        statistic: Default: RESIDUAL if there are references, else LIKELIHOOD.

    Returns:
        A finding; the unit is the training sequence.

    Raises:
        InvalidInput: If the statistic does not fit the references, a model is named twice, or a
            sequence cannot be scored.
        InsufficientEvidence: If a sequence has no token that can be scored.
    """
    _fitting(statistic, len(references))
    refuse_same_model(suspect, references)
    scores = mean_logprobs(transcript, suspect)
    others = [mean_logprobs(transcript, reference) for reference in references]
    finding = order_test(transcript, scores, others, seed=seed, statistic=statistic)
    return finding.about(
        question=f"Was {suspect.identity.name} derived from the model of this training run?",
        inputs=(transcript.source, *inputs_of(suspect, *references)),
        warnings=(*finding.warnings, *hearsay_of(suspect, *references)),
    )


def order_test(
    transcript: Transcript,
    scores: NDArray[np.float64],
    references: Sequence[NDArray[np.float64]],
    *,
    seed: int,
    statistic: QueryStatistic | None = None,
    method: SpearmanMethod = SpearmanMethod.AUTO,
) -> Finding:
    """`query_test` on scores that are already there.

    Source: arXiv 2510.19796, the statistics phi_query and, with DIFFERENCE, phi_query^ref. RESIDUAL is
    ours: any covariate that does not depend on the order may be regressed out, and the test stays valid.

    Args:
        transcript: The training order.
        scores: Mean log-probability per token of each sequence under the suspect, shape (n,), nats.
        references: The same under each reference.
        seed: See `query_test`.
        statistic: See `query_test`.
        method: See `spearman_test`.

    Returns:
        A finding.

    Raises:
        InvalidInput: If the statistic does not fit the references.
    """
    chosen = _fitting(statistic, len(references))
    response, covariates = scores, []
    if chosen is QueryStatistic.DIFFERENCE:
        response = scores - np.mean(references, axis=0)
    elif chosen is QueryStatistic.RESIDUAL:
        covariates = [*references, *_lengths(transcript)]
    finding = spearman_test(
        transcript.steps,
        response,
        alternative=Alternative.GREATER,  # later sequences are remembered better
        covariates=covariates,
        seed=seed,
        method=method,
    )
    label = {
        QueryStatistic.LIKELIHOOD: "Log-probability per token, nats",
        QueryStatistic.DIFFERENCE: "Log-probability per token minus references, nats",
        QueryStatistic.RESIDUAL: "Log-probability per token after references, nats",
    }[chosen]
    figure = finding.figure
    if isinstance(figure, Trend):
        figure = Trend(
            x_label="Training step",
            y_label=label,
            x=figure.x,
            y=figure.y,
            low=figure.low,
            high=figure.high,
        )
    return finding.about(
        name=f"palimpsest query ({chosen})",
        null="The training order is independent of the suspect's and the references' likelihoods: every "
        "order of the sequences was equally likely.",
        unit="training sequences",
        assumptions=(_ORDER_ASSUMPTION, *((_SHUFFLE_ASSUMPTION,) if references else ())),
        figure=figure,
    )


def _fitting(statistic: QueryStatistic | None, n_references: int) -> QueryStatistic:
    chosen = statistic or (QueryStatistic.RESIDUAL if n_references else QueryStatistic.LIKELIHOOD)
    if (chosen is QueryStatistic.LIKELIHOOD) == bool(n_references):
        raise InvalidInput(
            f"statistic '{chosen}' and {n_references} references do not go together",
            "likelihood takes no reference; difference and residual need at least one",
        )
    return chosen


def mean_logprobs(transcript: Transcript, suspect: Suspect) -> NDArray[np.float64]:
    """Mean log-probability per token of each sequence, shape (n,), in nats.

    Raises:
        InsufficientEvidence: If a sequence has no token that can be scored.
    """
    scores = suspect.token_logprobs(transcript.sequences)
    for row, score in enumerate(scores, 1):
        if score.size == 0:
            raise InsufficientEvidence(
                f"{transcript.source.name}: row {row} has no token with one before it",
                "leave out sequences of a single token",
            )
    return np.array([score.mean() for score in scores])


def _lengths(transcript: Transcript) -> list[NDArray[np.float64]]:
    """Lengths as a covariate, unless all are alike."""
    lengths = np.array([len(sequence) for sequence in transcript.sequences], dtype=np.float64)
    return [lengths] if np.ptp(lengths) > 0 else []
