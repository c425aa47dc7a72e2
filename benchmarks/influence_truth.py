"""Does influence tell the truth? Retraining, the proximal Bregman response, planted facts.

    OMP_NUM_THREADS=1 python benchmarks/influence_truth.py [--cache DIR] [--subsets 64] [--seeds 4]

Some 260 retrainings of a tiny GPT-NeoX (2 layers, width 64), a few seconds each, which are kept in the
cache and taken up again; then minutes for the rest. Published marks of the linear datamodelling score: EK-FAC
0.44 to 0.47 on GPT-2 and WikiText-2, identity 0.12.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from bookplate.cli.output import quiet_libraries
from influence_methods import METHODS, interval
from influence_models import LIBRARIES, Texts
from influence_planted import DECOYS, PLACES, Planting
from influence_response import responses
from influence_retraining import (
    HELD_OUT,
    SHAPE,
    Retraining,
    datamodelling_scores,
    noise_ceiling,
)
from timing import table


def retrainings(lab: Retraining) -> None:
    """Table of linear datamodelling scores."""
    rows = []
    for name, method in METHODS.items():
        scores = method(lab.model, lab.queries, lab.documents)
        found = datamodelling_scores(scores, lab.members, lab.outcomes)
        rows.append([name, *map(interval, (found, found[:HELD_OUT], found[HELD_OUT:]))])
    ceiling = noise_ceiling(lab.outcomes)
    parts = (ceiling, ceiling[:HELD_OUT], ceiling[HELD_OUT:])
    rows.append(["(noise ceiling)", *map(interval, parts)])
    title = f"Linear datamodelling score, {lab.subsets} halves of 512 documents, {lab.seeds} retrainings each"
    heading = ["method", "all 40 queries", "32 held-out texts", "8 near duplicates"]
    table(title, heading, rows, LIBRARIES)


def planted(lab: Retraining) -> None:
    """Table of planted facts."""
    rows = [row for kind in DECOYS for row in Planting(lab, kind).rows()]
    title = f"{len(PLACES)} planted facts among 512 documents: plants in the first place, in the first 10"
    heading = ["decoys", "the fact", "log-probability", *METHODS]
    table(title, heading, rows, LIBRARIES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("influence-models"))
    parser.add_argument("--subsets", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--only", choices=("retraining", "response", "planted"))
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    lab = Retraining(Texts(arguments.cache, SHAPE.vocabulary), arguments.subsets, arguments.seeds)
    parts = {
        "retraining": lambda: retrainings(lab),
        "response": lambda: responses(lab),
        "planted": lambda: planted(lab),
    }
    for name, part in parts.items():
        if arguments.only in {None, name}:
            part()


if __name__ == "__main__":
    main()
