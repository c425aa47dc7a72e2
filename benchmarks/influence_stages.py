"""Time or peak memory of each stage, by one tool in one process; prints JSON.

    python benchmarks/influence_stages.py TOOL MODEL DATA BATCH time|memory

Processor time is measured between two bare forward and backward passes over the same data, which it is given
as a multiple of. Memory is the highest resident set while fitting and scoring, above what was resident
before.
"""

import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from bookplate.provenance.influence.curvature import Cutting, Factors, FactorSettings, fit_factors
from bookplate.provenance.influence.scores import influence_scores
from bookplate.provenance.influence.sequences import TokenSequence
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

if TYPE_CHECKING:
    from influence_peer import Peer

STAGES = ("covariances", "eigenvectors", "second moments", "scores")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Data = Sequence[TokenSequence]
# Prepares a tool on model, sequences, queries, folder and batch size; the result fits and scores.
Tool = Callable[[nn.Module, Data, Data, Path, int], Callable[[], dict[str, float]]]


def bare(model: nn.Module, sequences: Data, batch: int) -> float:
    """Processor seconds of a forward and backward pass over all sequences, with all gradients."""
    tokens = torch.tensor([sequence.tokens for sequence in sequences])
    model.train()
    began = time.process_time()
    for some in tokens.split(batch):
        logits = model(input_ids=some[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), some[:, 1:].flatten())
        model.zero_grad(set_to_none=True)
        loss.backward()
    seconds = time.process_time() - began
    model.zero_grad(set_to_none=True)
    model.eval()
    return seconds


def by_bookplate(
    model: nn.Module, sequences: Data, queries: Data, folder: Path, batch: int
) -> dict[str, float]:
    """Seconds by stage; factors go through the disk, as in a run by command line."""
    positions, begins = batch * (len(sequences[0].tokens) - 1), {}

    def progress(what: str, done: int, total: int) -> None:
        begins.setdefault(what, time.process_time())

    fit_factors(
        model,
        sequences,
        folder / "factors",
        settings=FactorSettings(),
        cutting=Cutting(batch_positions=positions),
        progress=progress,
    )
    fitted = time.process_time()
    influence_scores(
        model,
        Factors.read(folder / "factors"),
        queries,
        sequences,
        batch_positions=positions,
    )
    marks = [*(begins[stage] for stage in STAGES[:3]), fitted, time.process_time()]
    spans = zip(STAGES, pairwise(marks), strict=True)
    return {stage: end - begin for stage, (begin, end) in spans}


def by_kronfluence(
    model: nn.Module, sequences: Data, queries: Data, folder: Path, batch: int
) -> Callable[[], dict[str, float]]:
    """Seconds by stage; its copy of the model is no part of them, nor of the peak."""
    from influence_peer import Peer

    return partial(_stages_of, Peer(model, sequences, queries, folder, batch))


def _stages_of(peer: "Peer") -> dict[str, float]:
    stages = [
        lambda: peer.covariances("ekfac", empirical=False),
        lambda: peer.eigenvectors("ekfac", empirical=False),
        lambda: peer.moments("ekfac", empirical=False),
        lambda: peer.pairwise("ekfac"),
    ]
    seconds = {}
    for name, stage in zip(STAGES, stages, strict=True):
        began = time.process_time()
        stage()
        seconds[name] = time.process_time() - began
    return seconds


def main() -> None:
    tool_name, model_path, data_path, batch, measure = sys.argv[1:]
    if tool_name == "kronfluence":
        importlib.import_module("influence_peer")  # its libraries are no part of the peak
    tools: dict[str, Tool] = {
        "bookplate": lambda *arguments: partial(by_bookplate, *arguments),
        "kronfluence": by_kronfluence,
    }
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    data = json.loads(Path(data_path).read_text())
    sequences, queries = (
        [TokenSequence(*row) for row in data[part]] for part in ("sequences", "queries")
    )
    with TemporaryDirectory() as folder:
        run = tools[tool_name](model, sequences, queries, Path(folder), int(batch))
        if measure == "memory":
            print(json.dumps({"mib": peak(run)}))
            return
        bare(model, sequences[: len(sequences) // 4], int(batch))  # warm
        before = bare(model, sequences, int(batch))
        seconds = run()
        after = bare(model, sequences, int(batch))
    print(json.dumps({"bare": mean([before, after]), **seconds}))


def peak(action: Callable[[], object]) -> float:
    """MiB that the resident set grew by at most, during an action (Linux)."""
    _CLEAR.write_text("5")  # the high-water mark falls to what is resident now
    before = _resident("VmRSS")
    action()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
