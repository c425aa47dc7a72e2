"""The reshuffle test: does a text prefer my model as I trained it to the same model trained in other orders?

From a checkpoint, the last phase of training is run again K times on the same data in fresh random orders
(`retraining`), or checkpoints of such parallel runs are at hand. A text that was made without the true order
cannot tell it from the others. Source: arXiv 2510.19796, phi_obs^shuff.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Alternative, Finding, rank_test
from ..suspect import LikelihoodReader, hearsay_of, inputs_of, which_model

__all__ = [
    "Preference",
    "ReshuffleResult",
    "preferences",
    "refuse_same_run",
    "reshuffle_statistics",
    "reshuffle_test",
]

_FEWEST_FOR_Z = 4  # other runs below which a standard deviation says nothing


class Preference(StrEnum):
    """How a run's liking of a text is put into one number; fixed before the text is scored."""

    MIXTURE = "mixture"
    """Mean over tokens of log (1/2 + 1/2 p / mean p over the runs): the likelihood ratio, in nats per
    token, of a text half of whose tokens are the run's own. A token that a run finds impossible costs it
    no more than log 2, so a few of them cannot outweigh what a derivative kept."""
    MEAN = "mean"
    """Mean log-probability per token, in nats: arXiv 2510.19796."""


_TOLD = {
    Preference.MIXTURE: "log (1/2 + 1/2 p / mean p of the runs), averaged over the tokens",
    Preference.MEAN: "log-probability per token",
}

_ASSUMPTIONS = (
    "All runs differ in nothing but the order of the last phase's data, each order, the true one too, was "
    "drawn at random, and the true one was fixed before the others.",
    "The text, if innocent, was made without a model that was trained in the true order.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReshuffleResult:
    """The outcome of the reshuffle test.

    Attributes:
        finding: The exact rank test; the unit is the training run.
        statistics: Nats per token by which each run is ranked, after the controls; shape (K + 1,), the true
            run first.
        z: (true - mean of the others) / (sd of the others sqrt(1 + 1 / K)); NaN for K < 4.
        log10_p_normal: Its tail of Student's t with K - 1 degrees: an approximation that would hold if runs
            differed normally; NaN for K < 4.
        n_tokens: Tokens of the text.
    """

    finding: Finding
    statistics: NDArray[np.float64]
    z: float
    log10_p_normal: float
    n_tokens: int

    @property
    def approximation(self) -> str:
        """Z and its p in words that do not promise more than they hold; empty where there is no z."""
        if np.isnan(self.z):
            return ""
        return (
            f"z = {self.z:.2f}: if runs differed normally, p would be about 10^{self.log10_p_normal:.1f}. An "
            "approximation; the p-value above is exact."
        )


def reshuffle_test(
    texts: Sequence[str],
    true_run: LikelihoodReader,
    other_runs: Sequence[LikelihoodReader],
    *,
    controls: Sequence[str] = (),
    preference: Preference = Preference.MIXTURE,
    name: str = "",
) -> ReshuffleResult:
    """Test whether texts descend from the run that was trained in the true order.

    Args:
        texts: The texts under audit, e.g. what a suspect model wrote.
        true_run: The claimant's model: trained in the true order, best by the same code as the others.
        other_runs: The same training with the last phase in other orders; K of them allow p >= 1 / (K + 1).
        controls: Texts of the same kind that nobody doubts are innocent, written before or without the
            model. How well each run models them is regressed out: a run that got better or worse on
            everything says nothing about the order.
        preference: What the runs are ranked by. Either treats all runs alike, so either is exact.
        name: What to call the texts.

    Returns:
        The result.

    Raises:
        InvalidInput: If there is no other run, a run is given twice, or a text is a control too.
        InsufficientEvidence: If the texts hold no token that can be scored.
    """
    if not other_runs:
        raise InvalidInput("expected at least one run in another order, got none")
    if both := set(texts) & set(controls):
        raise InvalidInput(f"{len(both)} texts are under audit and controls at once")
    runs = (true_run, *other_runs)
    refuse_same_run(runs)
    told = _told(texts, runs, "the texts")
    innocent = preferences(_told(controls, runs, "the controls"), preference) if controls else None
    statistics = reshuffle_statistics(preferences(told, preference), innocent)
    finding = rank_test(
        float(statistics[0]), statistics[1:], alternative=Alternative.GREATER
    ).named([run.identity.name for run in runs])  # texts of a descendant prefer the true run
    z, log10_p = _normal(statistics)
    result = ReshuffleResult(
        finding=finding,
        statistics=statistics,
        z=z,
        log10_p_normal=log10_p,
        n_tokens=told.shape[1],
    )
    ranked = f"What ranks the runs was fixed before the texts were scored: {_TOLD[preference]}."
    regressed = f"The runs' liking of {len(controls):,} control texts was regressed out."
    return replace(
        result,
        finding=finding.about(
            name="palimpsest reshuffle",
            question=f"Do the texts{f' of {name}' if name else ''} descend from the model trained in the "
            "true order?",
            null="The run in the true order and those in other orders are exchangeable, given the texts.",
            unit="training runs",
            assumptions=(*_ASSUMPTIONS, ranked, *((regressed,) if controls else ())),
            warnings=(
                *finding.warnings,
                f"With {len(other_runs)} other orders p cannot fall below {1 / (len(other_runs) + 1):.2g}.",
                *((result.approximation,) if result.approximation else ()),
                *hearsay_of(*runs),
            ),
            inputs=inputs_of(*runs),
        ),
    )


def preferences(logprobs: NDArray[np.float64], preference: Preference) -> NDArray[np.float64]:
    """One number for each run, in nats per token.

    Args:
        logprobs: Log-probability of each token under each run, shape (K + 1, tokens), in nats; finite.
        preference: Which number.

    Returns:
        Shape (K + 1,). Runs that are exchanged exchange their numbers.
    """
    if preference is Preference.MEAN:
        return np.asarray(logprobs.mean(axis=1))
    # Mean of the probabilities, from the largest: exp alone would make 0 / 0 of a token no run expects.
    most = logprobs.max(axis=0)
    mean = most + np.log(np.exp(logprobs - most).mean(axis=0))
    return np.asarray((np.logaddexp(0.0, logprobs - mean) - np.log(2)).mean(axis=1))


def reshuffle_statistics(
    scores: NDArray[np.float64], controls: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """What the runs are ranked by.

    Args:
        scores: What each run makes of the texts, as `preferences` gives it, shape (K + 1,).
        controls: The same of the controls; regressed out by least squares over all runs, which treats the
            true one like any other, so that exchangeable runs stay exchangeable.

    Returns:
        Shape (K + 1,).
    """
    if controls is None or np.ptp(controls) == 0:
        return scores
    centred = controls - controls.mean()
    slope = float(centred @ (scores - scores.mean())) / float(centred @ centred)
    # Better on all texts alike: one for one. Few runs cannot tell a slope; then they are not asked.
    return np.asarray(scores - (slope if scores.size > 2 * _FEWEST_FOR_Z else 1.0) * centred)


def refuse_same_run(runs: Sequence[LikelihoodReader]) -> None:
    """Refuse runs that are one model: an order that counts twice is no other order.

    Raises:
        InvalidInput: If two are the same files, or the same model of one endpoint.
    """
    seen: dict[str, str] = {}
    for run in runs:
        name, which = run.identity.name, which_model(run)
        if which in seen:
            raise InvalidInput(
                f"the runs {seen[which]} and {name} are the same model", "name each run once"
            )
        seen[which] = name


def _told(texts: Sequence[str], runs: Sequence[LikelihoodReader], what: str) -> NDArray[np.float64]:
    """Log-probability of every token of all texts in each run, shape (K + 1, tokens)."""
    told = [run.token_logprobs(texts) for run in runs]
    counts = {tuple(scores.size for scores in of_run) for of_run in told}
    if not any(map(sum, counts)):
        raise InsufficientEvidence(f"{what} hold no token that can be scored")
    if len(counts) > 1:
        raise InvalidInput(
            f"the runs cut {what} into different numbers of tokens", "give runs of one tokenizer"
        )
    logprobs = np.array([np.concatenate(of_run) for of_run in told], dtype=np.float64)
    if (broken := ~np.isfinite(logprobs).all(axis=1)).any():
        raise InvalidInput(
            f"{runs[int(broken.argmax())].identity.name}: finds {what} impossible, or cannot tell",
            "its training may have diverged; no run may be left out, so make all of them anew",
        )
    return logprobs


def _normal(statistics: NDArray[np.float64]) -> tuple[float, float]:
    others = statistics[1:]
    if others.size < _FEWEST_FOR_Z or np.ptp(others) == 0:
        return float("nan"), float("nan")
    z = (statistics[0] - others.mean()) / (others.std(ddof=1) * np.sqrt(1 + 1 / others.size))
    return float(z), float(stats.t.logsf(z, others.size - 1) / np.log(10))
