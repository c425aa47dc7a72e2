"""Which reference to take and how many sequences to ask about, measured on a model that is known to descend.

The claimant's own model, or a fine-tune of it, stands in for the suspect. The suspect itself is not asked: a
reference chosen by what it does to the suspect's p-value would spoil that p-value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidInput
from ...stats import Alternative
from ...stats.power import PilotEffect, PowerTest, pilot_effect, sample_size
from ..suspect import Suspect, refuse_same_model
from .covariates import Covariate
from .query import order_test, prepared
from .scoring import WHOLE, Window, mean_logprobs
from .transcript import Transcript

__all__ = ["Option", "advise"]

_COVARIATES: tuple[tuple[Covariate, ...], ...] = (
    (),
    (Covariate.LENGTH,),
    (Covariate.LENGTH, Covariate.ZLIB, Covariate.RARITY),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to make the query test, tried on the claimant's own model.

    Attributes:
        references: Names of the references.
        covariates: What else is regressed out.
        pilot: Spearman's rho with its 95 % interval.
        needed: Sequences for the level with the power asked for at that rho; None if more than 1e12, or if
            rho is not above 0.
        needed_at_worst: The same at the weak end of the interval.
    """

    references: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    pilot: PilotEffect
    needed: int | None
    needed_at_worst: int | None


def advise(
    transcript: Transcript,
    own_model: Suspect,
    *,
    seed: int,
    references: Sequence[Suspect] = (),
    window: Window = WHOLE,
    alpha: float = 1e-3,
    power: float = 0.9,
) -> list[Option]:
    """Try every way to make the query test on a model that descends from the run.

    Ways: without a reference, with each alone and with all together, each with several covariates. A
    suspect that was trained further shows less than the claimant's own model: try a fine-tune of it too.

    Args:
        transcript: A part of the transcript, e.g. a random `Sample` of some hundred sequences.
        own_model: The claimant's model, or one known to descend from it.
        seed: See `query_test`.
        references: Models that may serve as references.
        window: See `query_test`.
        alpha: Level to be reached.
        power: Probability to reach it.

    Returns:
        The options, the one that needs fewest sequences first.

    Raises:
        InvalidInput: If a model is named twice, or alpha or power is none.
        InsufficientEvidence: If too few sequences can be scored.
    """
    if not 0 < alpha < power < 1:
        raise InvalidInput(f"expected 0 < alpha < power < 1, got {alpha} and {power}")
    refuse_same_model(own_model, references)
    order = prepared(transcript, window).transcript
    scores = mean_logprobs(order, own_model, window)
    others = [mean_logprobs(order, reference, window) for reference in references]
    groups = [(), *((i,) for i in range(len(others)))]
    if len(others) > 1:
        groups.append(tuple(range(len(others))))
    options = []
    for group in groups:
        for covariates in _COVARIATES:
            finding = order_test(
                order, scores, [others[i] for i in group], seed=seed, covariates=covariates
            )
            pilot = pilot_effect(finding)
            options.append(
                Option(
                    references=tuple(references[i].identity.name for i in group),
                    covariates=covariates,
                    pilot=pilot,
                    needed=_needed(pilot.effect, alpha, power),
                    needed_at_worst=_needed(pilot.weakest, alpha, power),
                )
            )
    return sorted(options, key=lambda option: -option.pilot.effect)


def _needed(rho: float | None, alpha: float, power: float) -> int | None:
    if rho is None or rho <= 0:
        return None
    try:
        forecast = sample_size(
            PowerTest.SPEARMAN, rho, alpha=alpha, power=power, alternative=Alternative.GREATER
        )
    except InvalidInput:  # more than 1e12
        return None
    return forecast.n
