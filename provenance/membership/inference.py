"""Dataset inference: do a model's scores set a dataset apart from texts held out of it?

Source: Maini et al. (2024), arXiv 2406.06443. As there, a linear mix of membership scores is learnt on
one half of both sets and tested on the other. Where we depart from it, for a p-value that holds:

- Everything is learnt on the first halves, both sets together: scale, outlier bounds, weights. The
  authors clip and scale each set by itself, after which the sets are no longer exchangeable.
- Weights are not negative. All scores point towards membership, so a suspect set that a model finds
  *less* likely can never count as evidence.
- The test permutes the second halves between the sets (`two_sample_test`); it holds for finite samples.
- The sets are refused where a classifier tells them apart by their words, or where they share texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Alternative, Effect, Finding, roc, two_sample_test
from ...stats.checks import seed_of
from ..suspect import TokenReader
from .bag_of_words import SameDistribution, same_distribution
from .duplicates import near_duplicates
from .table import ScoreTable, score_texts

__all__ = ["DatasetInference", "Mix", "dataset_inference", "inference_test"]

_FEWEST = 20  # texts of a set
_CLIPPED = 0.025  # of the texts on either side
_RIDGE = 0.1  # of a score's variance
_SHORTEST_FOUND = 40  # characters; a shorter text may stand in a prefix by chance

_ASSUMPTIONS = (
    "The held-out texts come from the same distribution as the texts under test, independently, e.g. by "
    "a random split before publication; and the model was not trained on them. If they differ in "
    "source, topic, time, format or editing, the p-value means nothing, and an innocent model will "
    "be accused. The check by their words cannot prove that they do not.",
    "The texts are independent of each other: chapters of one book, or versions of one page, are not.",
    "To be trained on copies of the texts, or on long quotations, is to be trained on them.",
    "Seed, scores and references were chosen before the model was asked.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A weighted sum of standardised scores, learnt on the first halves.

    Attributes:
        names: The scores.
        weights: Weight of each, not negative.
        low: Values below are raised to this one.
        high: Values above are lowered to this one.
        centre: Mean of each score; also stands for a missing value.
        scale: Standard deviation of each score; 1 where it does not vary.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(
        cls, names: Sequence[str], suspect: NDArray[np.float64], held_out: NDArray[np.float64]
    ) -> Self:
        r"""Non-negative ridge regression of the set (+1 suspect, -1 held out), each set weighing the same.

        .. math:: \min_{w \ge 0} \; \tfrac1N \sum_i c_i (y_i - x_i^\top w)^2 + 0.1 \lVert w \rVert^2

        Args:
            names: The scores.
            suspect: Scores of texts of the suspect set, shape (n, d); NaN where missing.
            held_out: Scores of held-out texts, shape (m, d).
        """
        both = np.concatenate([suspect, held_out])
        both = np.where(np.isfinite(both), both, np.nan)
        known = np.where(np.isfinite(both).any(axis=0), both, 0.0)  # a column without any value
        low, high = np.nanquantile(known, [_CLIPPED, 1 - _CLIPPED], axis=0)
        clipped = np.clip(known, low, high)
        centre, spread = np.nanmean(clipped, axis=0), np.nanstd(clipped, axis=0)
        scale = np.where(spread > 1e-12 * np.maximum(np.abs(centre), 1e-300), spread, 1.0)
        unweighted = cls(
            names=tuple(names),
            weights=np.ones(len(names)),
            low=low,
            high=high,
            centre=centre,
            scale=scale,
        )
        x = unweighted.standardised(both)
        n, m = len(suspect), len(held_out)
        y = np.repeat([1.0, -1.0], [n, m])
        root = np.sqrt(np.repeat([0.5 / n, 0.5 / m], [n, m]))
        x = x - 0.5 * (x[:n].mean(axis=0) + x[n:].mean(axis=0))  # the intercept
        ridge = np.sqrt(_RIDGE) * np.eye(len(names))
        weights, _ = nnls(
            np.concatenate([root[:, None] * x, ridge]),
            np.concatenate([root * y, np.zeros(len(names))]),
        )
        return cls(
            names=tuple(names), weights=weights, low=low, high=high, centre=centre, scale=scale
        )

    def standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores clipped and standardised, missing ones at the mean; shape (n, d)."""
        return np.nan_to_num((np.clip(values, self.low, self.high) - self.centre) / self.scale)

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mix of each text's scores, shape (n,)."""
        return self.standardised(values) @ self.weights


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInference:
    """The outcome of dataset inference.

    Attributes:
        finding: The test on the second halves.
        auroc: How well the mix tells the second halves apart.
        mix: What was learnt on the first halves.
        check: Whether words tell the two sets apart; None where only scores were given.
        scores: The scores of the suspect set, then of the held-out set; None likewise.
    """

    finding: Finding
    auroc: Effect
    mix: Mix
    check: SameDistribution | None = None
    scores: ScoreTable | None = None

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each score in the mix."""
        return dict(zip(self.mix.names, self.mix.weights.tolist(), strict=True))


def dataset_inference(
    texts: Sequence[str],
    held_out: Sequence[str],
    suspect: TokenReader,
    *,
    seed: int,
    force: bool = False,
    **scoring: Any,
) -> DatasetInference:
    """Test whether a model was trained on texts, given texts of the same distribution that it never saw.

    Args:
        texts: The texts under test, at least 20.
        held_out: Texts held out from the same distribution, at least 20.
        suspect: The model under audit.
        seed: Seed of the split, the check and the permutations; choose it before.
        force: Go on although the check tells the sets apart; the finding then warns of it.
        scoring: What else `score_texts` takes. Neighbours are those of the texts, then of the
            held-out texts. The prefix and the corpus of frequencies must be in neither set.

    Returns:
        The outcome; its finding counts texts of the second halves.

    Raises:
        InvalidInput: If texts are the same or nearly so, or an argument is malformed.
        InsufficientEvidence: If the sets are too small, hold a text without a token, or can be told apart by
            their words.
    """
    _refuse_few(len(texts), len(held_out))
    _refuse_duplicates(texts, held_out)
    _refuse_reuse([*texts, *held_out], scoring)
    check = same_distribution(texts, held_out, seed=seed)
    if not check.accepts and not force:
        raise InsufficientEvidence(
            f"the held-out texts are not like the texts under test: {check.sentence}",
            "hold texts out by a random split of one set; any model would look guilty with these",
        )
    table = score_texts([*texts, *held_out], suspect, **scoring)
    empty = np.flatnonzero(table.frame["tokens"].to_numpy() == 0)
    if empty.size:
        raise InsufficientEvidence(
            f"{_place(int(empty[0]), len(texts))} has no token that can be scored", "leave it out"
        )
    values = table.values()
    outcome = inference_test(
        values[: len(texts)], values[len(texts) :], names=table.names, seed=seed
    )
    name, warnings = outcome.finding.name, outcome.finding.warnings
    if not check.accepts:
        name = f"{name} (FORCED: the sets differ, p is no evidence)"
        warnings = (
            f"FORCED: {check.sentence}. The p-value is no evidence of training.",
            *warnings,
        )
    refuted = () if check.accepts else (warnings[0],)
    finding = outcome.finding.about(
        name=name,
        question=f"Was {suspect.identity.name} trained on these texts, rather than on none of both sets?",
        inputs=table.inputs,
        warnings=(
            *warnings,
            *(f"{score} was left out: {why}." for score, why in table.left_out.items()),
        ),
        refuted=refuted,
    )
    return DatasetInference(
        finding=finding, auroc=outcome.auroc, mix=outcome.mix, check=check, scores=table
    )


def inference_test(
    suspect: NDArray[np.float64],
    held_out: NDArray[np.float64],
    *,
    names: Sequence[str],
    seed: int,
    n_resamples: int = 99_999,
) -> DatasetInference:
    """`dataset_inference` on scores that are already there; nothing checks that the texts are alike.

    Null hypothesis: given the first halves, the second halves are exchangeable between the sets. The mix
    is then a fixed function of a text, and its values are exchangeable too.

    Args:
        suspect: Scores of the texts under test, shape (n, d), higher for members; NaN where missing.
        held_out: Scores of the held-out texts, shape (m, d).
        names: The d scores.
        seed: Seed of the split and the permutations.
        n_resamples: See `two_sample_test`.

    Returns:
        The outcome, without a check.

    Raises:
        InvalidInput: If the shapes do not fit.
        InsufficientEvidence: If a set has fewer than 20 texts.
    """
    suspect, held_out = np.asarray(suspect, np.float64), np.asarray(held_out, np.float64)
    d = len(names)
    if (
        d == 0
        or suspect.ndim != 2
        or held_out.ndim != 2
        or {suspect.shape[1], held_out.shape[1]} != {d}
    ):
        raise InvalidInput(
            f"expected scores of shape (n, {d}) and (m, {d}), got {suspect.shape} and {held_out.shape}"
        )
    _refuse_few(len(suspect), len(held_out))
    rng = np.random.default_rng([int(seed_of(seed)), 2])
    first, second = zip(_halves(len(suspect), rng), _halves(len(held_out), rng), strict=True)
    mix = Mix.fit(names, suspect[first[0]], held_out[first[1]])
    ours, theirs = mix.of(suspect[second[0]]), mix.of(held_out[second[1]])
    finding = two_sample_test(
        ours, theirs, alternative=Alternative.GREATER, seed=seed, n_resamples=n_resamples
    )
    labels = np.repeat([1, 0], [ours.size, theirs.size])
    told_apart = roc(labels, np.concatenate([ours, theirs]), higher_means=1)
    no_score = (
        ()
        if mix.weights.any()
        else ("On the first halves no score spoke for membership: the mix is 0 and p is 1.",)
    )
    places = [*second[0].tolist(), *(second[1] + len(suspect)).tolist()]
    finding = finding.named([_place(place, len(suspect)) for place in places]).about(
        name="dataset inference",
        question="Do a model's membership scores set these texts apart from held-out ones?",
        null="Texts under test and held-out texts are exchangeable: the model treats both alike, and both "
        "come from one distribution.",
        unit=f"texts of the second halves ({ours.size} under test, {theirs.size} held out)",
        assumptions=_ASSUMPTIONS,
        warnings=(*no_score, *finding.warnings),
        seed=seed,
    )
    return DatasetInference(finding=finding, auroc=told_apart.auroc, mix=mix)


def _halves(n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = rng.permutation(n)
    return order[: n // 2], order[n // 2 :]


def _refuse_few(n: int, m: int) -> None:
    if min(n, m) < _FEWEST:
        raise InsufficientEvidence(
            f"expected at least {_FEWEST} texts under test and as many held out, got {n} and {m}",
            "bring more texts",
        )


def _refuse_duplicates(texts: Sequence[str], held_out: Sequence[str]) -> None:
    found = near_duplicates([*texts, *held_out])
    if not found:
        return
    n = len(texts)
    across = [pair for pair in found if pair[0] < n <= pair[1]]
    first, second = (across or found)[0]
    more = f", and {len(found) - 1:,} more pairs" if len(found) > 1 else ""
    raise InvalidInput(
        f"{_place(first, n)} and {_place(second, n)} are the same, or nearly{more}",
        "the test needs independent texts: keep one of each, and none in both sets",
    )


def _refuse_reuse(texts: Sequence[str], scoring: Mapping[str, Any]) -> None:
    """Refuse texts of the sets in what the scores are measured against: it would favour one set."""
    known = {text.strip() for text in texts}
    prefix = scoring.get("prefix") or ""
    if any(len(text) >= _SHORTEST_FOUND and text in prefix for text in known):
        raise InvalidInput("the prefix holds a text of one of the two sets", "take other texts")
    if any(text.strip() in known for text in scoring.get("frequency_texts") or ()):
        raise InvalidInput(
            "the corpus of token frequencies holds a text of one of the two sets",
            "take other texts",
        )


def _place(index: int, n_texts: int) -> str:
    if index < n_texts:
        return f"text {index + 1} under test"
    return f"held-out text {index - n_texts + 1}"
