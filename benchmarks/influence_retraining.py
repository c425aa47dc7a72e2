"""The linear datamodelling score (Park et al. 2023, arXiv 2303.14186): does influence predict retraining?

A base model is fine-tuned on random halves of the documents, several times each. A method's prediction for
a half is the sum of its documents' scores; the score of the method is the rank correlation of prediction and
log-probability of a query over the halves, averaged over queries.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np
import torch
from bookplate.provenance.influence.sequences import TokenSequence
from influence_models import Recipe, Shape, Texts, base_model, logprobs, trained
from numpy.typing import NDArray
from scipy.stats import spearmanr
from transformers import PreTrainedModel

__all__ = ["Retraining", "datamodelling_scores", "near_duplicate"]

LENGTH = 64  # tokens of a document
PROMPT = 16  # tokens of a query that are context
DOCUMENTS = 512
HELD_OUT, NEAR_DUPLICATES = 32, 8
SHAPE = Shape(layers=2, width=64, vocabulary=2_048, context=LENGTH)
BASE = Recipe(epochs=1, learning_rate=3e-3, batch=16)
TUNING = Recipe(epochs=3, learning_rate=1e-3)

_Floats = NDArray[np.float64]


def near_duplicate(tokens: Sequence[int], vocabulary: int, seed: int) -> list[int]:
    """A document of which a tenth of the tokens is replaced by random ones."""
    rng = np.random.default_rng(seed)
    changed = np.array(tokens)
    places = rng.choice(len(changed), len(changed) // 10, replace=False)
    changed[places] = rng.integers(1, vocabulary, len(places))
    return changed.tolist()


@dataclass(frozen=True)
class Retraining:
    """Documents, queries, and what models that read random halves of the documents say of the queries.

    Attributes:
        texts: Where the documents come from, and the cache.
        subsets: Number of random halves.
        seeds: Retrainings of each half, in different orders.
    """

    texts: Texts
    subsets: int
    seeds: int

    @cached_property
    def base(self) -> PreTrainedModel:
        """The model that every retraining starts from."""
        return base_model(self.texts, SHAPE, BASE)

    @cached_property
    def documents(self) -> list[TokenSequence]:
        """The training documents."""
        found = self.texts.documents(LENGTH)[:DOCUMENTS]
        return [TokenSequence(f"document {i}", tuple(ids)) for i, ids in enumerate(found)]

    @cached_property
    def queries(self) -> list[TokenSequence]:
        """Texts that nobody read, then near duplicates of the first documents; loss after a prompt."""
        held_out = self.texts.documents(LENGTH)[DOCUMENTS : DOCUMENTS + HELD_OUT]
        near = [
            near_duplicate(document.tokens, SHAPE.vocabulary, seed)
            for seed, document in enumerate(self.documents[:NEAR_DUPLICATES])
        ]
        return [
            TokenSequence(f"query {i}", tuple(ids), PROMPT)
            for i, ids in enumerate([*held_out, *near])
        ]

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model that read all documents, which influence is computed on."""
        return trained(self.base, [d.tokens for d in self.documents], TUNING, seed=0)

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Which documents a half holds, shape (subsets, documents)."""
        rng = np.random.default_rng(1)
        ranks = rng.permuted(np.tile(np.arange(DOCUMENTS), (self.subsets, 1)), axis=1)
        return ranks < DOCUMENTS // 2

    @cached_property
    def outcomes(self) -> _Floats:
        """Log-probability of each query after each retraining, shape (seeds, subsets, queries)."""
        return np.stack([
            np.stack([self._outcome(subset, seed) for subset in range(self.subsets)])
            for seed in range(self.seeds)
        ])

    def _outcome(self, subset: int, seed: int) -> _Floats:
        folder = self.texts.cache / f"retrained-{TUNING.epochs}-{TUNING.learning_rate}"
        kept = folder / f"{seed}-{subset}.npy"
        if not kept.exists():
            began = time.perf_counter()
            tokens = [d.tokens for d in compress(self.documents, self.members[subset])]
            model = trained(self.base, tokens, TUNING, seed=1_000 * (seed + 1) + subset)
            folder.mkdir(parents=True, exist_ok=True)
            np.save(kept, logprobs(model, self.queries))
            seconds = time.perf_counter() - began
            print(f"retrained: seed {seed}, subset {subset}, {seconds:.1f} s", file=sys.stderr)
        return np.load(kept)


def datamodelling_scores(scores: _Floats, members: NDArray[np.bool_], outcomes: _Floats) -> _Floats:
    """Rank correlation, per query, of summed influence with the mean outcome over seeds.

    Args:
        scores: Influence, shape (queries, documents).
        members: Shape (subsets, documents).
        outcomes: Shape (seeds, subsets, queries).

    Returns:
        Shape (queries,).
    """
    predicted, measured = scores @ members.T, outcomes.mean(0).T
    return correlations(predicted, measured)


def noise_ceiling(outcomes: _Floats) -> _Floats:
    """What a method that predicts the mean outcome without error would score, shape (queries,).

    The correlation r of two halves of the seeds with each other gives the reliability of the mean over all
    seeds, 2 r / (1 + r) (Spearman and Brown); its root bounds the correlation of anything with that mean.
    """
    splits = list(_halves(len(outcomes)))
    r = np.mean(
        [correlations(outcomes[a].mean(0).T, outcomes[b].mean(0).T) for a, b in splits], axis=0
    )
    r = np.clip(r, 0, None)
    return np.sqrt(2 * r / (1 + r))


def correlations(x: _Floats, y: _Floats) -> _Floats:
    """Spearman correlation of each row of x with the same row of y."""
    return np.array([spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])


def _halves(n: int) -> Iterator[tuple[list[int], list[int]]]:
    """Splits of n seeds into two equal parts (of an odd number, one seed is left out)."""
    half = n // 2
    for shift in range(max(n // 2, 1)):
        order = np.roll(np.arange(n), shift).tolist()
        yield order[0 : 2 * half : 2], order[1 : 2 * half : 2]


def main() -> None:
    """Only retrain, for instance while something else is written."""
    from pathlib import Path

    torch.set_num_threads(1)
    lab = Retraining(Texts(Path(sys.argv[1]), SHAPE.vocabulary), int(sys.argv[2]), int(sys.argv[3]))
    print(lab.outcomes.shape, noise_ceiling(lab.outcomes).mean())


if __name__ == "__main__":
    main()
