"""Influence against kronfluence 1.0.1: the same scores, and what they cost.

    make bench-influence
    OMP_NUM_THREADS=1 python benchmarks/influence_kronfluence.py [--cache DIR] [--rounds 3] [--batch 16]

One GPT-NeoX and one GPT-2 (3 layers, width 256, 4,096 tokens, briefly trained on docstrings), 256
sequences of 128 tokens, 8 queries whose second half counts, MLP layers only. Scores are compared with
empirical Fisher, whose labels are not drawn, and damping of 0.1 times each layer's mean eigenvalue. Time and
memory are measured with sampled labels, each tool in processes of its own, in turn.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.influence.curvature import (
    Cutting,
    Factors,
    FactorSettings,
    Fisher,
    Strategy,
    fit_factors,
)
from bookplate.provenance.influence.scores import Wanted, influence_scores
from bookplate.provenance.influence.sequences import TokenSequence
from influence_models import Recipe, Shape, Texts, base_model
from influence_peer import Peer
from influence_stages import STAGES
from numpy.typing import ArrayLike
from timing import table
from transformers import PreTrainedModel

LENGTH, SEQUENCES, QUERIES = 128, 256, 8
ARCHITECTURES = {"gpt_neox": "GPT-NeoX", "gpt2": "GPT-2"}
RECIPE = Recipe(epochs=1, learning_rate=1e-3)
READ = 2_000  # sequences that the models are trained on
RANK = 32
MOST_TIME, MOST_MEMORY = 0.35, 0.7
LIBRARIES = ["torch", "transformers", "kronfluence", "numpy"]


@dataclass(frozen=True)
class Lab:
    """Models and data of the comparison."""

    texts: Texts
    batch: int

    @cached_property
    def _documents(self) -> list[list[int]]:
        return self.texts.documents(LENGTH)

    @cached_property
    def sequences(self) -> list[TokenSequence]:
        """What factors are fitted on and what is scored."""
        return [
            TokenSequence(f"s{i}", tuple(ids)) for i, ids in enumerate(self._documents[:SEQUENCES])
        ]

    @cached_property
    def queries(self) -> list[TokenSequence]:
        """Other texts; the loss of the second half counts."""
        found = self._documents[SEQUENCES : SEQUENCES + QUERIES]
        return [TokenSequence(f"q{i}", tuple(ids), LENGTH // 2) for i, ids in enumerate(found)]

    def model(self, architecture: str) -> PreTrainedModel:
        """A model of one architecture."""
        shape = Shape(
            layers=3,
            width=256,
            vocabulary=self.texts.vocabulary,
            context=LENGTH,
            architecture=architecture,
        )
        return base_model(self.texts, shape, RECIPE, n=READ)


@dataclass(frozen=True)
class Ours:
    """Bookplate on the same model, with its scores on kronfluence's scale."""

    lab: Lab
    model: PreTrainedModel
    strategy: Strategy

    @cached_property
    def factors(self) -> Factors:
        """Factors with empirical Fisher."""
        settings = FactorSettings(strategy=self.strategy, fisher=Fisher.EMPIRICAL)
        cutting = Cutting(batch_positions=self.lab.batch * LENGTH)
        return fit_factors(self.model, self.lab.sequences, settings=settings, cutting=cutting)

    @property
    def _unit(self) -> float:
        """What kronfluence leaves out: 1/N, and in kfac's eigenvalues the positions of a sequence."""
        return SEQUENCES * (LENGTH - 1 if self.strategy is Strategy.KFAC else 1)

    def scores(self, rank: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Pairwise and self-influence."""
        found = influence_scores(
            self.model,
            self.factors,
            self.lab.queries,
            self.lab.sequences,
            query_rank=rank,
            wanted=Wanted(self_influence=rank is None),
        )
        own = None if found.self_influence is None else found.self_influence * self._unit
        return found.pairwise * self._unit, own

    @property
    def eigenvalues(self) -> torch.Tensor:
        """Of all layers by name, before damping."""
        values = [layer.eigenvalues for _, layer in sorted(self.factors.layers.items())]
        return torch.cat([v.flatten() for v in values if v is not None])


def agreement(ours: ArrayLike, theirs: ArrayLike) -> str:
    """Pearson correlation, and the largest difference relative to the root mean square."""
    a, b = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    worst = np.abs(a - b).max() / np.sqrt((b**2).mean())
    return f"{np.corrcoef(a, b)[0, 1]:.7f} ({worst:.0e})"


def right(lab: Lab, folder: Path) -> None:
    """Table of agreement."""
    rows = []
    for architecture, name in ARCHITECTURES.items():
        model = lab.model(architecture)
        peer = Peer(model, lab.sequences, lab.queries, folder / architecture, lab.batch)
        for strategy in Strategy:
            ours = Ours(lab, model, strategy)
            peer.fit(strategy.value, empirical=True)
            whole, own = ours.scores()
            thin, _ = ours.scores(RANK)
            cells = ["-"]
            if ours.factors.settings.needs_moments:
                cells = [agreement(ours.eigenvalues, peer.eigenvalues(strategy.value))]
            cells += [
                agreement(whole, peer.pairwise(strategy.value)),
                agreement(own, peer.own(strategy.value)),
                agreement(thin, peer.pairwise(strategy.value, RANK)),
                agreement(thin, whole),
            ]
            rows.append([name, strategy.value, *cells])
    heading = ["model", "strategy", "eigenvalues", "pairwise", "self", f"rank {RANK}"]
    heading.append(f"our rank {RANK} against whole")
    title = "Pearson with kronfluence (largest difference, in root mean squares)"
    table(title, heading, rows, LIBRARIES)


def child(tool: str, model: Path, data: Path, batch: int, measure: str) -> dict[str, float]:
    """What a process of its own measures."""
    script = Path(__file__).with_name("influence_stages.py")
    command = [sys.executable, str(script), tool, str(model), str(data), str(batch), measure]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def fast(lab: Lab, architecture: str, rounds: int, folder: Path) -> None:
    """Table of time and memory for one architecture."""
    model, data = folder / f"{architecture}-model", folder / f"{architecture}.json"
    lab.model(architecture).save_pretrained(model)
    parts = {"sequences": lab.sequences, "queries": lab.queries}
    data.write_text(
        json.dumps({
            part: [(s.id, s.tokens, s.first_scored) for s in found] for part, found in parts.items()
        })
    )
    tools = ("kronfluence", "bookplate")
    times: dict[str, list[dict[str, float]]] = {tool: [] for tool in tools}
    memory: dict[str, list[float]] = {tool: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            times[tool].append(child(tool, model, data, lab.batch, "time"))
            memory[tool].append(child(tool, model, data, lab.batch, "memory")["mib"])
    medians = {tool: _multiples(found) for tool, found in times.items()}
    rows = [
        [stage, *(f"{medians[tool][stage]:.2f}" for tool in tools), _ratio(medians, stage)]
        for stage in (*STAGES, "total")
    ]
    peaks = {tool: {"peak": median(found)} for tool, found in memory.items()}
    rows.append([
        "peak above the loaded model, MiB",
        *(f"{peaks[tool]['peak']:.0f}" for tool in tools),
        _ratio(peaks, "peak"),
    ])
    tokens = SEQUENCES * (LENGTH - 1)
    passed = median(found["bare"] for found in times["bookplate"])
    rows.append([f"(a bare pass: {passed:.1f} s, {tokens / passed:,.0f} tokens/s)", "", "", ""])
    rows.append(["(promised ratios)", "", "", f"time {MOST_TIME}, memory {MOST_MEMORY}"])
    title = f"Cost on {ARCHITECTURES[architecture]}, multiples of a bare forward and backward pass, one core"
    table(title, ["stage", *tools, "ratio"], rows, LIBRARIES)


def _multiples(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Median over rounds of each stage's share of that round's bare pass."""
    totals = [sum(one[stage] for stage in STAGES) / one["bare"] for one in found]
    return {
        **{stage: median(one[stage] / one["bare"] for one in found) for stage in STAGES},
        "total": median(totals),
    }


def _ratio(medians: dict[str, dict[str, float]], key: str) -> str:
    return f"{medians['bookplate'][key] / medians['kronfluence'][key]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("influence-models"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", choices=("right", "fast"))
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    lab = Lab(Texts(arguments.cache, vocabulary=4_096), arguments.batch)
    with TemporaryDirectory() as folder:
        if arguments.only != "fast":
            right(lab, Path(folder))
        if arguments.only != "right":
            for architecture in ARCHITECTURES:
                fast(lab, architecture, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
