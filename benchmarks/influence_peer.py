"""The same influence by kronfluence 1.0.1, asked in the way of its own examples.

Imported only where kronfluence is installed (`make bench-influence`).
"""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from bookplate.provenance.influence.modules import MLP_MODULES, tracked_modules
from bookplate.provenance.influence.sequences import TokenSequence
from kronfluence import Analyzer, FactorArguments, ScoreArguments, Task, prepare_model
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers.pytorch_utils import Conv1D

__all__ = ["Peer", "with_linear"]

Batch = dict[str, Tensor]
NOT_SCORED = -100


class Rows(Dataset):
    """Inputs and targets of sequences of one length; the last token is only a target."""

    def __init__(self, sequences: Sequence[TokenSequence]) -> None:
        tokens = torch.tensor([sequence.tokens for sequence in sequences])
        self._inputs, self._targets = tokens[:, :-1], tokens[:, 1:].clone()
        for line, sequence in zip(self._targets, sequences, strict=True):
            line[: sequence.first_scored - 1] = NOT_SCORED

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, row: int) -> Batch:
        return {"input_ids": self._inputs[row], "labels": self._targets[row]}


class NextToken(Task):
    """Summed next-token loss in nats of the MLP layers' weights."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = list(modules)

    def compute_train_loss(self, batch: Batch, model: nn.Module, sample: bool = False) -> Tensor:
        logits = model(input_ids=batch["input_ids"]).logits.flatten(0, 1).float()
        targets = batch["labels"].flatten()
        if sample:
            with torch.no_grad():
                targets = torch.multinomial(logits.softmax(-1), 1).flatten()
        return functional.cross_entropy(logits, targets, reduction="sum", ignore_index=NOT_SCORED)

    def compute_measurement(self, batch: Batch, model: nn.Module) -> Tensor:
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        return self._modules


def with_linear(model: nn.Module) -> nn.Module:
    """A copy whose Conv1D layers are nn.Linear, as kronfluence needs them."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Conv1D):
                linear = nn.Linear(*child.weight.shape)
                linear.weight.data = child.weight.data.T.contiguous()
                linear.bias.data = child.bias.data.clone()
                setattr(parent, name, linear)
    return model


class Peer:
    """kronfluence on one model.

    Args:
        model: As Bookplate takes it; a copy is worked on.
        sequences: What factors are fitted on and what is scored.
        queries: What is asked about.
        folder: Where kronfluence writes.
        batch: Sequences per batch.
    """

    def __init__(
        self,
        model: nn.Module,
        sequences: Sequence[TokenSequence],
        queries: Sequence[TokenSequence],
        folder: Path,
        batch: int,
    ) -> None:
        logging.disable(logging.WARNING)
        own = with_linear(model)
        task = NextToken([tracked.name for tracked in tracked_modules(own, MLP_MODULES)])
        self.analyzer = Analyzer(
            "benchmark",
            prepare_model(own, task),
            task,
            cpu=True,
            disable_tqdm=True,
            output_dir=str(folder),
        )
        self._data, self._queries, self._batch = Rows(sequences), Rows(queries), batch
        self._n_queries = len(queries)

    def covariances(self, strategy: str, *, empirical: bool) -> None:
        """The first stage; it does nothing for strategies without bases."""
        self.analyzer.fit_covariance_matrices(
            strategy, self._data, self._batch, factor_args=_factors(strategy, empirical)
        )

    def eigenvectors(self, strategy: str, *, empirical: bool) -> None:
        """The second."""
        self.analyzer.perform_eigendecomposition(
            strategy, factor_args=_factors(strategy, empirical)
        )

    def moments(self, strategy: str, *, empirical: bool) -> None:
        """The third, which kronfluence calls Lambda."""
        self.analyzer.fit_lambda_matrices(
            strategy, self._data, self._batch, factor_args=_factors(strategy, empirical)
        )

    def fit(self, strategy: str, *, empirical: bool) -> None:
        """All three."""
        for stage in (self.covariances, self.eigenvectors, self.moments):
            stage(strategy, empirical=empirical)

    def eigenvalues(self, strategy: str) -> Tensor:
        """Those of all layers by name, before damping."""
        factors = self.analyzer.load_lambda_matrices(strategy)
        count = factors["num_lambda_processed"]
        return torch.cat([
            (values / count[name]).flatten()
            for name, values in sorted(factors["lambda_matrix"].items())
        ])

    def pairwise(self, strategy: str, rank: int | None = None) -> Tensor:
        """Scores of each query with each sequence, shape (Q, C)."""
        name = f"{strategy}-{rank}"
        self.analyzer.compute_pairwise_scores(
            name,
            strategy,
            self._queries,
            self._data,
            per_device_query_batch_size=self._n_queries,
            per_device_train_batch_size=self._batch,
            score_args=_scores(query_gradient_low_rank=rank, use_full_svd=True),
        )
        return self.analyzer.load_pairwise_scores(name)["all_modules"]

    def own(self, strategy: str) -> Tensor:
        """Self-influence, shape (C,)."""
        self.analyzer.compute_self_scores(
            strategy, strategy, self._data, self._batch, score_args=_scores()
        )
        return self.analyzer.load_self_scores(strategy)["all_modules"]


def _factors(strategy: str, empirical: bool) -> FactorArguments:
    return FactorArguments(strategy=strategy, use_empirical_fisher=empirical)


def _scores(**options: Any) -> ScoreArguments:
    # None is kronfluence's word for 0.1 times a layer's mean eigenvalue.
    return ScoreArguments(damping_factor=None, **options)
