"""The query test: does a suspect's likelihood of my training sequences follow my training order?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Alternative, Finding, Input, SpearmanMethod, Trend, spearman_test
from ..suspect import Suspect, hearsay_of, inputs_of, refuse_same_model
from .covariates import Covariate, covariate_values
from .exchangeability import content_in_order, neighbours_alike
from .repeats import content_digests, digest_names, units_of
from .sampling import FEWEST
from .scoring import (
    WHOLE,
    Window,
    mean_logprobs,
    scored_rows,
    tokenizer_doubts,
)
from .transcript import Transcript

__all__ = [
    "ORDER_ASSUMPTIONS",
    "Asked",
    "QueryStatistic",
    "files_of",
    "fixed_beforehand",
    "order_test",
    "prepared",
    "query_test",
    "reference_doubts",
]

_ORDER_ASSUMPTION = (
    "The training order of the sequences was drawn at random, each sequence by itself, and the suspect, if "
    "innocent, was made without it: it neither shares the claimant's checkpoint nor was trained in the same "
    "order for another reason. The transcript was written down before the suspect was seen."
)
_SHUFFLE_ASSUMPTION = (
    "The references were not trained in this order; none is an earlier checkpoint of the run."
)
ORDER_ASSUMPTIONS = (_ORDER_ASSUMPTION, _SHUFFLE_ASSUMPTION)
# Levels of a reference's own test: refused, where it prefers early sequences, or only pointed out.
_SPOILT_REFERENCE, _DOUBTFUL_REFERENCE = 1e-4, 1e-2


class QueryStatistic(StrEnum):
    """What is correlated with the training step."""

    LIKELIHOOD = "likelihood"  # the suspect's mean log-probability alone
    DIFFERENCE = "difference"  # minus the mean over the references
    RESIDUAL = "residual"  # after regressing it on the references and covariates


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The sequences that a test asks about.

    Attributes:
        transcript: These sequences alone, each once, sorted by content.
        rows: Row of each in the transcript that was given, or of the first of equal ones, shape (n,).
        names: Digest of each one's content, in hexadecimal.
        notes: What was left out and why, and what speaks against a random order, for findings to say.
        refuted: Of these what speaks against a random order.
    """

    transcript: Transcript
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    refuted: tuple[str, ...] = ()


def query_test(
    transcript: Transcript,
    suspect: Suspect,
    *,
    seed: int,
    references: Sequence[Suspect] = (),
    statistic: QueryStatistic | None = None,
    covariates: Sequence[Covariate] | None = None,
    window: Window = WHOLE,
) -> Finding:
    """Test whether a model derives from the run that a transcript records.

    A sequence that occurs several times counts once, see `units_of`; rows in any order give the same finding.

    Args:
        transcript: Sequences of the claimant's run with their steps.
        suspect: The model under audit.
        seed: Seed of the permutations and of other draws, where there are any.
        references: Models trained without this order, best on the same kind of data.
        statistic: Default: RESIDUAL if there are references or covariates, else LIKELIHOOD.
        covariates: What else RESIDUAL regresses out; default: the length, where there are references.
        window: Which tokens of each sequence count; see `PUBLISHED_WINDOW`.

    Returns:
        A finding; the unit is the training sequence.

    Raises:
        InvalidInput: If the statistic does not fit the references, a model is named twice, or a reference
            prefers early sequences.
        InsufficientEvidence: If too few sequences can be scored.
    """
    _fitting(statistic, len(references), covariates)
    refuse_same_model(suspect, references)
    asked = prepared(transcript, window)
    scores = mean_logprobs(asked.transcript, suspect, window)
    others = [mean_logprobs(asked.transcript, reference, window) for reference in references]
    finding = order_test(
        asked.transcript, scores, others, seed=seed, statistic=statistic, covariates=covariates
    )
    steps = asked.transcript.steps
    alike = neighbours_alike(steps, asked.rows, scores)
    doubts = [
        *alike,
        *reference_doubts(steps, references, others, seed),
        *tokenizer_doubts(asked.transcript, suspect),
    ]
    return finding.named(asked.names).about(
        question=f"Was {suspect.identity.name} derived from the model of this training run?",
        inputs=(*files_of(transcript), *inputs_of(suspect, *references)),
        assumptions=(*finding.assumptions, *fixed_beforehand(transcript, window)),
        warnings=(
            *finding.warnings,
            *asked.notes,
            *doubts,
            *hearsay_of(suspect, *references),
        ),
        refuted=(*asked.refuted, *alike),
    )


def prepared(transcript: Transcript, window: Window) -> Asked:
    """The sequences that can be scored, each once; chosen without a look at any score.

    Args:
        transcript: The sequences.
        window: Which tokens are scored.

    Raises:
        InsufficientEvidence: If fewer than 30 are left, or only one step.
    """
    rows = scored_rows(transcript, window)
    notes = []
    if short := len(transcript.sequences) - rows.size:
        notes.append(
            f"{short:,} sequences that are too short to be scored ({window}) were left out."
        )
    numbers: dict[str | tuple[int, ...], int] = {}
    contents = np.array([
        numbers.setdefault(transcript.sequences[row], len(numbers)) for row in rows
    ])
    distinct = list(numbers)
    if len(distinct) < FEWEST:
        raise InsufficientEvidence(
            f"{transcript.source.name}: only {len(distinct)} distinct sequences can be scored",
            f"an order test needs at least {FEWEST}; some thousands are usual",
        )
    digests = content_digests(distinct)
    units = units_of(
        transcript.steps[rows],
        contents,
        digests,
        is_sample=bool(transcript.description),
    )
    if units.note:
        notes.append(units.note)
    sequences = tuple(distinct[number] for number in units.sequences)
    properties = {c.value: covariate_values(c, sequences) for c in Covariate}
    refuted = content_in_order(units.steps, properties)
    _, first = np.unique(contents, return_index=True)
    return Asked(
        transcript=replace(transcript, steps=units.steps, sequences=sequences),
        rows=rows[first][units.sequences],
        names=digest_names(digests[units.sequences]),
        notes=(*notes, *refuted),
        refuted=tuple(refuted),
    )


def fixed_beforehand(transcript: Transcript, window: Window) -> tuple[str, ...]:
    """What was chosen before any score was seen, for the finding to say."""
    sample = (transcript.description,) if transcript.description else ()
    return (*sample, f"Scored were {window}, as fixed beforehand.")


def files_of(transcript: Transcript) -> tuple[Input, ...]:
    """What a finding names of a transcript."""
    disclosure = transcript.disclosure
    return (transcript.source, *(() if disclosure is None else (disclosure,)))


def reference_doubts(
    steps: NDArray[np.int64],
    references: Sequence[Suspect],
    scores: Sequence[NDArray[np.float64]],
    seed: int,
) -> list[str]:
    """Warnings about references that follow the order themselves.

    Args:
        steps: Training step of each sequence, shape (n,).
        references: The references.
        scores: Their scores, each of shape (n,).
        seed: See `query_test`.

    Raises:
        InvalidInput: If one prefers early sequences, as an earlier checkpoint of the run does: what is left
            after it would rise with the order, whoever the suspect is.
    """
    doubts = []
    for reference, own in zip(references, scores, strict=True):
        name = reference.identity.name
        alone = spearman_test(steps, own, alternative=Alternative.TWO_SIDED, seed=seed)
        if alone.log10_p > np.log10(_DOUBTFUL_REFERENCE):
            continue
        if alone.effect.value > 0:
            doubts.append(
                f"Reference {name} follows the training order itself (p = {alone.p_text}): if it was trained "
                "in this order too, it hides what the test looks for."
            )
            continue
        if alone.log10_p <= np.log10(_SPOILT_REFERENCE):
            raise InvalidInput(
                f"reference {name} prefers early sequences (p = {alone.p_text}), as an earlier checkpoint of "
                "the run does: beside it every innocent model looks guilty",
                "name a reference that was trained without this order",
            )
        doubts.append(
            f"Reference {name} seems to prefer early sequences (p = {alone.p_text}): if it is an earlier "
            "checkpoint of the run, p is too small."
        )
    return doubts


def order_test(
    transcript: Transcript,
    scores: NDArray[np.float64],
    references: Sequence[NDArray[np.float64]],
    *,
    seed: int,
    statistic: QueryStatistic | None = None,
    covariates: Sequence[Covariate] | None = None,
    method: SpearmanMethod = SpearmanMethod.AUTO,
) -> Finding:
    """`query_test` on scores that are already there.

    Source: arXiv 2510.19796, the statistics phi_query and, with DIFFERENCE, phi_query^ref. RESIDUAL is
    ours: any covariate that does not depend on the order may be regressed out, and the test stays valid.

    Args:
        transcript: The training order; no sequence may occur twice.
        scores: Mean log-probability per token of each sequence under the suspect, shape (n,), nats.
        references: The same under each reference.
        seed: See `query_test`.
        statistic: See `query_test`.
        covariates: See `query_test`; those that are alike for all sequences are left out.
        method: See `spearman_test`.

    Returns:
        A finding.

    Raises:
        InvalidInput: If the statistic does not fit the references.
    """
    chosen, regressed = _fitting(statistic, len(references), covariates)
    response, known = scores, list[NDArray[np.float64]]()
    if chosen is QueryStatistic.DIFFERENCE:
        response = scores - np.mean(references, axis=0)
    elif chosen is QueryStatistic.RESIDUAL:
        values = [covariate_values(covariate, transcript.sequences) for covariate in regressed]
        known = [*references, *(v for v in values if np.ptp(v) > 0)]
        regressed = tuple(c for c, v in zip(regressed, values, strict=True) if np.ptp(v) > 0)
    finding = spearman_test(
        transcript.steps,
        response,
        alternative=Alternative.GREATER,  # later sequences are remembered better
        covariates=known,
        seed=seed,
        method=method,
    )
    explained = " and ".join([*(["references"] if references else []), *map(str, regressed)])
    after = {
        QueryStatistic.LIKELIHOOD: "",
        QueryStatistic.DIFFERENCE: " minus references",
        QueryStatistic.RESIDUAL: f" after {explained or 'nothing, as no covariate varies'}",
    }[chosen]
    fixed = (
        f"Correlated with the step is the log-probability per token{after}, as fixed beforehand."
    )
    figure = finding.figure
    if isinstance(figure, Trend):
        figure = replace(
            figure, x_label="Training step", y_label=f"Log-probability per token{after}, nats"
        )
    return finding.about(
        name=f"palimpsest query ({chosen})",
        null="The training order is independent of the suspect's and the references' likelihoods: every "
        "order of the sequences was equally likely.",
        unit="training sequences",
        assumptions=(*(ORDER_ASSUMPTIONS if references else ORDER_ASSUMPTIONS[:1]), fixed),
        figure=figure,
    )


def _fitting(
    statistic: QueryStatistic | None, n_references: int, covariates: Sequence[Covariate] | None
) -> tuple[QueryStatistic, tuple[Covariate, ...]]:
    """The statistic and the covariates, where they were left open too."""
    residual = bool(n_references or covariates)
    chosen = statistic or (QueryStatistic.RESIDUAL if residual else QueryStatistic.LIKELIHOOD)
    fits = {
        QueryStatistic.LIKELIHOOD: not residual,
        QueryStatistic.DIFFERENCE: bool(n_references) and not covariates,
        QueryStatistic.RESIDUAL: residual,
    }
    if not fits[chosen]:
        given = len(covariates or ())
        raise InvalidInput(
            f"statistic '{chosen}', {n_references} references and {given} covariates do not go together",
            "likelihood takes neither; difference needs a reference and takes no covariate; residual needs "
            "one of either",
        )
    if chosen is not QueryStatistic.RESIDUAL:
        return chosen, ()
    default = (Covariate.LENGTH,) if n_references else ()
    return chosen, tuple(dict.fromkeys(default if covariates is None else covariates))
