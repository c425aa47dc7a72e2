"""False alarms of both tests on really trained innocent models, over keys and orders drawn afresh.

Needs the folder that `make demo` wrote: python benchmarks/controls.py [bookplate-demo]
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest import Transcript, mean_logprobs, order_test
from bookplate.provenance.suspect import open_suspect
from bookplate.watermark.detect import unit_test
from bookplate.watermark.evidence import load_evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.scoring import score_units
from scipy.stats import binom
from timing import table

RUNS = 2_000
LEVELS = (0.5, 0.05, 0.01)
REFERENCE = "neighbour"


def other_keys(folder: Path, model: str) -> list[float]:
    """The watermark test with other keys; the scores stay, as they do not depend on the key."""
    evidence = load_evidence(folder / "marked" / "private" / "manifest.parquet")
    scores = score_units(evidence, open_suspect(str(folder / "models" / model)))
    reference = score_units(evidence, open_suspect(str(folder / "models" / REFERENCE)))
    marking, p_values = evidence.manifest.marking, []
    for run in range(RUNS):
        drawer = MarkingKey.generate().drawer()
        chosen = [
            marking.draw(drawer, "", 0, w, v.size)[0]
            for w, v in zip(scores.names, scores.values, strict=True)
        ]
        fresh = replace(scores, chosen=np.array(chosen))
        p_values.append(unit_test(fresh, [reference], seed=run, n_resamples=9_999).p_value)
    return p_values


def other_orders(folder: Path, model: str) -> list[float]:
    """The order test with other orders."""
    transcript = Transcript.read(folder / "transcript.parquet")
    scores = mean_logprobs(transcript, open_suspect(str(folder / "models" / model)))
    reference = mean_logprobs(transcript, open_suspect(str(folder / "models" / REFERENCE)))
    rng, p_values = np.random.default_rng(), []
    for run in range(RUNS):
        order = replace(transcript, steps=rng.permutation(transcript.steps))
        p_values.append(order_test(order, scores, [reference], seed=run).p_value)
    return p_values


def main() -> None:
    quiet_libraries()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "bookplate-demo")
    rows = []
    for test, draw in (("keyed watermark", other_keys), ("palimpsest query", other_orders)):
        for model in ("innocent", "stranger"):
            p_values = np.array(draw(folder, model))
            counts = [f"{(p_values <= level).sum()}" for level in LEVELS]
            rows.append([test, model, *counts])
    bounds = [
        f"{binom.ppf(5e-7, RUNS, level):.0f} to {binom.isf(5e-7, RUNS, level):.0f}"
        for level in LEVELS
    ]
    rows.append(["allowed by chance (1 - 1e-6)", "", *bounds])
    heading = ["test", "innocent model", *(f"p <= {level}" for level in LEVELS)]
    title = f"False alarms over {RUNS:,} fresh keys or orders each"
    table(title, heading, rows, ["torch", "transformers", "numpy"])


if __name__ == "__main__":
    main()
