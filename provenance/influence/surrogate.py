r"""Guess influence from the text, to choose which documents to score exactly next.

After MATES (Yu et al. 2024, arXiv 2406.06046), where a small model learns measured influence and ranks the
rest of a corpus. There the small model is a fine-tuned BERT; here it is a ridge regression on hashed words,
length and optional embeddings, solved in closed form: seconds, no GPU, the same answer everywhere.

What is learnt is the normal score of a document's rank in influence, Phi^-1((rank - 1/2) / n): influence is
heavy-tailed, and squares of influence itself would be those of a few documents.

Notation: n documents, P features, Q queries; X centred features (n, P), y centred targets, lam the penalty;
s_j, u_j eigenvalues and left singular vectors of X; c_j = u_j' y.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, sparse, special
from scipy.stats import rankdata

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Effect
from ...stats.checks import finite_vector, positive_count, seed_of
from .features import Document, Embed, FeatureMap, RawFeatures, batched, read_documents

__all__ = ["Surrogate", "fit_surrogate"]

_FEWEST = 50  # documents
_LARGEST_SYSTEM = 8_192  # side of a dense matrix: 0.5 GB, and minutes for each fold
_PENALTIES = 33
_CONFIDENCE = 0.95
_Z = 1.959963984540054
_NEGLIGIBLE = 1e-10  # of the largest eigenvalue


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """A regression of influence on what a document looks like.

    Attributes:
        queries: Names of the queries.
        feature_map: Scales of the features.
        buckets: Buckets that words are hashed into.
        weights: Shape (P, Q).
        intercepts: Shape (Q,).
        penalties: lam of each query, chosen by generalised cross-validation; shape (Q,).
        held_out: Per query, Spearman's correlation of influence with what was predicted without the document.
        warnings: Queries for which it guesses no better than chance, and the like.
        embed: Gives the embeddings, if there are any.
    """

    queries: tuple[str, ...]
    feature_map: FeatureMap
    buckets: int
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    penalties: NDArray[np.float64]
    held_out: tuple[Effect, ...]
    warnings: tuple[str, ...] = ()
    embed: Embed | None = field(default=None, repr=False)

    def predict(self, documents: Sequence[Document]) -> NDArray[np.float64]:
        """Predicted normal scores, shape (Q, n): higher is more influential; not nats."""
        raw = read_documents(documents, buckets=self.buckets, embed=self.embed)
        return _predicted(self.feature_map.of(raw), self.weights, self.intercepts)

    def stream(
        self, documents: Iterable[Document], *, batch: int = 1_024
    ) -> Iterator[NDArray[np.float64]]:
        """`predict` for a corpus of any size: one array of shape (Q, at most `batch`) after the other."""
        for part in batched(documents, batch):
            yield self.predict(part)


def fit_surrogate(
    documents: Sequence[Document],
    influence: ArrayLike,
    *,
    seed: int,
    queries: Sequence[str] | None = None,
    at_random: ArrayLike | None = None,
    embed: Embed | None = None,
    buckets: int = 2**14,
    folds: int = 5,
) -> Surrogate:
    """Learn influence from documents that were scored, and measure how well it can be guessed.

    For the measure, the documents are cut into folds; equal documents share one. Each fold is predicted by a
    surrogate fitted on the others, scales and penalty included, and ranked by itself.

    Args:
        documents: Scored documents, as texts or token ids; at least 50.
        influence: Their influence, shape (Q, n) or (n,).
        seed: Seed of the folds, in [0, 2**64).
        queries: Names of the queries.
        at_random: Mask of the documents that were chosen at random, shape (n,). Only these count in the
            measure, which then holds for the corpus; default all.
        embed: Gives an embedding of each of several documents, shape (n, E).
        buckets: Buckets for words. The smaller of n and the number of features must be at most 8,192.
        folds: Number of folds, at least 2.

    Returns:
        The surrogate fitted on all documents. Near copies of one text in several folds make `held_out` too
        high.

    Raises:
        InvalidInput: If an argument is malformed.
        InsufficientEvidence: If there are fewer than 50 documents, or fewer than 10 per fold to measure on.
    """
    targets = _influence(influence, len(documents))
    names = tuple(queries or (f"query {q + 1}" for q in range(len(targets))))
    if len(names) != len(targets):
        raise InvalidInput(f"queries: expected {len(targets)} names, got {len(names)}")
    measured = _mask(at_random, len(documents))
    raw = read_documents(documents, buckets=buckets, embed=embed)
    fold = _folds(raw, positive_count("folds", folds), seed)
    least = min(int((measured & (fold == f)).sum()) for f in range(folds)) if folds > 1 else 0
    if least < 10:
        raise InsufficientEvidence(
            f"expected at least two folds with 10 different random documents each, got {least} in one",
            "score more documents at random, or use fewer folds",
        )
    guessed = np.empty_like(targets)
    for f in range(folds):
        training, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        part = FeatureMap.fit(raw.rows(training))
        weights, intercepts, _ = _ridge(
            part.of(raw.rows(training)), _normal_scores(targets[:, training])
        )
        guessed[:, test] = _predicted(part.of(raw.rows(test)), weights, intercepts)
    feature_map = FeatureMap.fit(raw)
    weights, intercepts, penalties = _ridge(feature_map.of(raw), _normal_scores(targets))
    held_out = tuple(
        _held_out(g[measured], t[measured], fold[measured])
        for g, t in zip(guessed, targets, strict=True)
    )
    return Surrogate(
        queries=names,
        feature_map=feature_map,
        buckets=buckets,
        weights=weights,
        intercepts=intercepts,
        penalties=penalties,
        held_out=held_out,
        warnings=_warnings(names, held_out, at_random is None),
        embed=embed,
    )


# ---- check ----------------------------------------------------------------------------------------


def _influence(influence: ArrayLike, n: int) -> NDArray[np.float64]:
    try:
        rows = np.atleast_2d(np.asarray(influence, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"influence: expected a table of numbers ({error})") from error
    if rows.ndim != 2 or rows.shape[1] != n:
        raise InvalidInput(f"influence: expected shape (Q, {n}), got {rows.shape}")
    for q, row in enumerate(rows):
        finite_vector(f"influence[{q}]", row)
    if n < _FEWEST:
        raise InsufficientEvidence(
            f"expected at least {_FEWEST} scored documents, got {n}", "score more documents"
        )
    return rows


def _mask(mask: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(n, dtype=np.bool_)
    known = np.asarray(mask)
    if known.dtype != np.bool_ or known.shape != (n,):
        raise InvalidInput(
            f"at_random: expected {n} truth values, got {known.dtype} of shape {known.shape}"
        )
    return known


# ---- compute --------------------------------------------------------------------------------------


def _normal_scores(x: NDArray[np.float64]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = special.ndtri((rankdata(x, axis=-1) - 0.5) / x.shape[-1])
    return scores


def _folds(raw: RawFeatures, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each document; equal documents share one."""
    counts = raw.counts
    keys = [
        counts.indices[a:b].tobytes() + counts.data[a:b].tobytes()
        for a, b in zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
    ]
    codes: dict[bytes, int] = {}
    kind = np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)
    rng = np.random.default_rng(int(seed_of(seed)))
    return (rng.permutation(len(codes)) % folds)[kind]


def _ridge(
    x: sparse.csr_array, targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r"""Ridge regression with an intercept that is not penalised, one penalty per query.

    .. math:: w = (X^\top X + \lambda I)^{-1} X^\top y = X^\top (X X^\top + \lambda I)^{-1} y

    by one eigendecomposition of the smaller of the two matrices, for all queries and penalties.

    Args:
        x: Features, not centred, shape (n, P).
        targets: Shape (Q, n).

    Returns:
        Weights (P, Q), intercepts (Q,) and penalties (Q,).

    Raises:
        InvalidInput: If both sides exceed 8,192.
    """
    n, p = x.shape
    if min(n, p) > _LARGEST_SYSTEM:
        raise InvalidInput(
            f"the smaller of {n} documents and {p} features exceeds {_LARGEST_SYSTEM}",
            "use at most 4,096 buckets, or fewer documents",
        )
    centre = np.asarray(x.mean(axis=0)).ravel()
    y = (targets - targets.mean(axis=1, keepdims=True)).T
    if n <= p:
        shift = x @ centre
        gram = (x @ x.T).toarray() - shift[:, None] - shift + centre @ centre
        s, u = linalg.eigh(gram)
        kept = s > _NEGLIGIBLE * max(s[-1], 1e-300)
        s, c = s[kept], u[:, kept].T @ y
        penalties = _penalties(s, c, y)
        # X need not be centred here: u_j is orthogonal to 1, so the centre would meet weights of sum 0.
        weights = x.T @ (u[:, kept] @ (c / (s[:, None] + penalties)))
    else:
        s, v = linalg.eigh((x.T @ x).toarray() - n * np.outer(centre, centre))
        kept = s > _NEGLIGIBLE * max(s[-1], 1e-300)
        s, projected = s[kept], v[:, kept].T @ (x.T @ y)
        penalties = _penalties(s, projected / np.sqrt(s)[:, None], y)
        weights = v[:, kept] @ (projected / (s[:, None] + penalties))
    return weights, targets.mean(axis=1) - centre @ weights, penalties


def _penalties(
    s: NDArray[np.float64], c: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Penalty of each query with the least error of generalised cross-validation.

    .. math:: \frac{\lVert y - \hat y \rVert^2 / n}{(1 - (1 + \sum_j \frac{s_j}{s_j + \lambda}) / n)^2},

    which is leave-one-out with the leverages averaged (Golub, Heath & Wahba 1979); the 1 is the intercept's.

    Args:
        s: Positive eigenvalues, shape (J,).
        c: Shape (J, Q).
        y: Shape (n, Q).
    """
    n = len(y)
    if not s.size:  # no feature varies
        return np.ones(y.shape[1])
    typical = s.sum() / n
    grid = np.geomspace(1e-3 * typical, 10 * s.sum(), _PENALTIES)
    kept = s / (s + grid[:, None])  # (G, J)
    rest = np.maximum((y * y).sum(axis=0) - (c * c).sum(axis=0), 0.0)
    errors = ((1 - kept) ** 2) @ (c * c) + rest  # (G, Q)
    spare = 1 - (1 + kept.sum(axis=1)) / n
    best: NDArray[np.int64] = (errors / spare[:, None] ** 2).argmin(axis=0)
    return grid[best]


def _predicted(
    x: sparse.csr_array, weights: NDArray[np.float64], intercepts: NDArray[np.float64]
) -> NDArray[np.float64]:
    predicted: NDArray[np.float64] = (x @ weights + intercepts).T
    return predicted


# ---- explain --------------------------------------------------------------------------------------


def _held_out(
    guessed: NDArray[np.float64], influence: NDArray[np.float64], fold: NDArray[np.int64]
) -> Effect:
    """Mean of the folds' Spearman correlations, weighted by their sizes.

    The folds' predictions are not independent: a linear smoother guesses i from j by the same number as j
    from i, so that under independence of text and influence the products of a pair come twice. That doubles
    the variance (simulated: 1.6 times), and the interval allows for it; where correlation is high it is too
    wide.
    """
    total, n, n_folds = 0.0, guessed.size, 0
    for f in np.unique(fold):
        g, t = rankdata(guessed[fold == f]), rankdata(influence[fold == f])
        g, t = g - g.mean(), t - t.mean()
        length = math.sqrt(float((g @ g) * (t @ t)))
        total += g.size * (float(g @ t) / length if length else 0.0)
        n_folds += 1
    rho = total / n
    z = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    half_width = _Z * math.sqrt(2 * (1 + rho * rho / 2) / max(n - 3 * n_folds, 1))
    return Effect(
        name="Spearman correlation of predicted with exact influence, held-out documents",
        value=rho,
        low=math.tanh(z - half_width),
        high=math.tanh(z + half_width),
        confidence=_CONFIDENCE,
        interval="Fisher z with twice the Bonett-Wright variance, for pairs of folds that predict each other",
    )


def _warnings(
    names: Sequence[str], held_out: Sequence[Effect], all_measured: bool
) -> tuple[str, ...]:
    useless = [name for name, rho in zip(names, held_out, strict=True) if rho.low <= 0]
    texts = []
    if useless:
        texts.append(
            f"For {len(useless)} of {len(names)} queries, e.g. {useless[0]!r}, the surrogate does not beat "
            "chance on held-out documents: what it ranks high is no better than a random choice."
        )
    if all_measured:
        texts.append(
            "Held-out correlations hold for documents like those given; if they were not drawn at random "
            "from the corpus, say which were (at_random)."
        )
    return tuple(texts)
