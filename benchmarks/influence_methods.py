"""Every way to rank documents that the influence benchmarks compare, as one table of numbers each."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from bookplate.provenance.influence.curvature import FactorSettings, Strategy, fit_factors
from bookplate.provenance.influence.modules import MLP_MODULES
from bookplate.provenance.influence.scores import influence_scores
from bookplate.provenance.influence.sequences import TokenSequence
from bookplate.provenance.influence.tfidf import DocumentList, FilterSettings, tfidf_filter
from numpy.typing import NDArray
from torch import nn

__all__ = ["METHODS", "interval", "lexical"]

Data = Sequence[TokenSequence]
_Floats = NDArray[np.float64]
Method = Callable[[nn.Module, Data, Data], _Floats]
ATTENTION = ("*.attention.*", "*.attn.*")


def influence(
    model: nn.Module,
    queries: Data,
    documents: Data,
    strategy: Strategy,
    modules: tuple[str, ...] = MLP_MODULES,
) -> _Floats:
    """Scores of documents that the model was trained on, which curvature is fitted on too, shape (Q, C)."""
    settings = FactorSettings(strategy=strategy, modules=modules)
    factors = fit_factors(model, documents, settings=settings)
    return influence_scores(model, factors, queries, documents).pairwise


def lexical(queries: Data, documents: Data) -> _Floats:
    """TF-IDF scores of all documents, shape (Q, C)."""
    settings = FilterSettings(k=len(documents), n_random=0, n_bottom=0)
    found = tfidf_filter(DocumentList(documents), queries, seed=0, settings=settings)
    scores = np.zeros((len(queries), len(documents)))
    for row, chosen in zip(scores, found.queries, strict=True):
        row[chosen.top.positions] = chosen.top.scores
    return scores


METHODS: Mapping[str, Method] = {
    **{s.value: partial(influence, strategy=s) for s in reversed(Strategy)},
    "ekfac, attention too": partial(
        influence, strategy=Strategy.EKFAC, modules=(*MLP_MODULES, *ATTENTION)
    ),
    "TF-IDF alone": lambda model, queries, documents: lexical(queries, documents),
}


def interval(values: _Floats, draws: int = 10_000) -> str:
    """The mean over queries, with the interval that 95 % of bootstrapped means fall in."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (draws, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"
