r"""Could two sets of texts come from one distribution? Asked of a bag-of-words classifier.

The classifier is naive Bayes over what occurs in a text: words with their case, punctuation, white
space, its length, its first and last words. It is cross-fitted in five folds: each text is judged by
word counts of the other folds. The statistic is the AUROC within a fold, averaged over the folds.

Its null distribution is that of the same statistic when the set labels are permuted and the
classifier is trained anew. If the texts are exchangeable between the sets, so are the observed and the
permuted statistics, and p = (1 + b) / (1 + B) is valid whatever the classifier does (Phipson & Smyth
2010). Drawing stops early once 20 draws reached the observed value, which only raises p (Besag &
Clifford 1991).

Notation: n texts, D features, F folds; X of shape (n, D) is 1 where a feature occurs in a text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

from ...errors import InsufficientEvidence
from ...stats import Alternative, Finding, Statistic, rank_test
from ...stats.checks import seed_of

__all__ = ["SameDistribution", "same_distribution"]

_FOLDS = 5
_DRAWS = 199
_STOP_AFTER = 20
_FEWEST = 10  # texts of a set
_ALPHA = 0.05  # strict on purpose: a wrong refusal costs a test, a wrong pass an accusation
_ENDS = 3  # words
_PIECE = re.compile(r"\w+|[^\w\s]|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SameDistribution:
    """What the classifier found.

    Attributes:
        finding: The test; a small p speaks against one distribution.
        auroc: How well it told the sets apart, cross-fitted; 1/2 is not at all.
        alpha: Level at which the sets count as different.
    """

    finding: Finding
    auroc: float
    alpha: float = _ALPHA

    @property
    def accepts(self) -> bool:
        """Whether the sets were not told apart; that does not prove that they are alike."""
        return not self.finding.rejects(self.alpha)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        verb = "could not tell" if self.accepts else "can tell"
        return (
            f"a bag-of-words classifier {verb} the two sets apart (AUROC {self.auroc:.3f}, "
            f"p = {self.finding.p_text}, refused at {self.alpha:g})"
        )


def same_distribution(one: Sequence[str], other: Sequence[str], *, seed: int) -> SameDistribution:
    """Test whether a bag-of-words classifier tells two sets of texts apart.

    Null hypothesis: the texts are exchangeable between the sets. It is rejected at 0.05; random
    halves of one set are wrongly refused at that rate. What words do not show it cannot see: that
    the sets were not told apart is no proof that they come from one distribution.

    Args:
        one: Texts of one set, at least 10.
        other: Texts of the other set, at least 10.
        seed: Seed of folds and permutations.

    Returns:
        The outcome.

    Raises:
        InsufficientEvidence: If a set is too small.
    """
    if min(len(one), len(other)) < _FEWEST:
        raise InsufficientEvidence(
            f"expected at least {_FEWEST} texts in each set to compare their words, got {len(one)} "
            f"and {len(other)}",
            "bring more texts",
        )
    occurs = _occurrences([*one, *other])
    labels = np.repeat([True, False], [len(one), len(other)])
    rng = np.random.default_rng([int(seed_of(seed)), 1])
    folds = rng.permutation(np.arange(labels.size) % _FOLDS)  # knows nothing of the labels
    classifier = _Classifier(occurs, folds)
    observed = classifier.auroc(labels)
    null: list[float] = []
    reached = 0
    while len(null) < _DRAWS and reached < _STOP_AFTER:
        null.append(classifier.auroc(rng.permutation(labels)))
        reached += null[-1] >= observed
    finding = rank_test(observed, null, alternative=Alternative.GREATER).about(
        name="same-distribution check",
        question="Can a bag-of-words classifier tell the two sets of texts apart?",
        null="The texts are exchangeable between the two sets.",
        statistic=Statistic(name="AUROC of naive Bayes, cross-fitted", value=observed),
        method=f"monte-carlo, {len(null)} permutations of the sets, trained anew at each",
        n=int(labels.size),
        unit="texts",
        assumptions=("The texts of a set are independent of each other.",),
        seed=seed,
        working=None,  # the AUROCs' ranks would repeat p, but not the AUROCs: these need the texts
    )
    return SameDistribution(finding=finding, auroc=observed)


class _Classifier:
    """Naive Bayes for any labels over fixed texts and folds."""

    def __init__(self, occurs: "sparse.csr_array", folds: NDArray[np.int64]) -> None:
        self._occurs = occurs
        self._by_feature = occurs.T.tocsr()
        self._folds = folds
        self._trains = (folds[:, None] != np.arange(_FOLDS)).astype(np.float64)  # (n, F)
        self._all = self._by_feature @ self._trains  # (D, F): texts with a feature
        self._sizes = np.maximum(occurs.sum(axis=1), 1.0)
        self._members = [np.flatnonzero(folds == fold) for fold in range(_FOLDS)]

    def auroc(self, labels: NDArray[np.bool_]) -> float:
        """Mean over the folds of the AUROC of texts judged by the other folds; 1/2 for a fold of one set."""
        ours = self._by_feature @ (self._trains * labels[:, None])
        theirs = self._all - ours
        weights = _log_shares(ours) - _log_shares(theirs)
        scores = (self._occurs @ weights)[np.arange(labels.size), self._folds] / self._sizes
        return float(np.mean([_auroc(scores[m], labels[m]) for m in self._members]))


def _log_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of each feature's share of a class, with Laplace's correction, per fold."""
    shares: NDArray[np.float64] = np.log(counts + 1) - np.log(counts.sum(axis=0) + len(counts))
    return shares


def _auroc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    m = int(labels.sum())
    n = labels.size - m
    if m == 0 or n == 0:
        return 0.5
    return float((rankdata(scores)[labels].sum() - m * (m + 1) / 2) / (m * n))


def _occurrences(texts: Sequence[str]) -> "sparse.csr_array":
    """Which features occur in which texts, shape (n, D); of features that at least two texts have."""
    columns: dict[str, int] = {}
    ends, found = [0], []
    for text in texts:
        found += [columns.setdefault(feature, len(columns)) for feature in set(_features(text))]
        ends.append(len(found))
    occurs = sparse.csr_array(
        (np.ones(len(found)), np.array(found, dtype=np.int64), np.array(ends)),
        shape=(len(texts), len(columns)),
    )
    shared = np.flatnonzero(occurs.sum(axis=0) >= 2)  # at least whether a text ends in space
    kept: sparse.csr_array = occurs[:, shared]
    return kept


def _features(text: str) -> Iterator[str]:
    pieces = [piece for piece in _PIECE.findall(text) if piece != " "]
    yield from pieces
    words = [piece for piece in pieces if not piece.isspace()]
    yield from (f"first {word}" for word in words[:_ENDS])
    yield from (f"last {word}" for word in words[-_ENDS:])
    yield f"ends in space {text != text.rstrip()}"
    yield f"length {int(4 * np.log2(len(text) + 1))}"
