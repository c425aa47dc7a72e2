"""Power against the published method: how many records does each mark need to be found at p < 0.01?

    OMP_NUM_THREADS=1 python benchmarks/watermark_power.py CORPUS.parquet [--cache DIR] [--kept]

Trains small language models from scratch, about a hundred by default, and keeps them in the cache:
half a minute each on one idle core. `--kept` trains none and reports those that are there. Innocent
models read other texts of the same corpus (`other`) or the unmarked originals of the marked records
(`originals`), which is the hard case: they know the texts and not the marks.

Records needed: the fewest records (on a grid whose steps are a fifth) from which on the median p-value
over 40 random subsets of the records stays below 0.01, all records being scored once.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
import torch
from bookplate.cli.output import quiet_libraries
from bookplate.stats import Alternative, welch_test
from bookplate.watermark.detect import unit_test
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.scoring import UnitScores
from numpy.typing import NDArray
from power_cases import (
    BY_RECORD,
    DEFAULT,
    DILUTIONS,
    KEYED,
    LEVEL,
    PUBLISHED,
    REFERENCE,
    Bench,
    Case,
    Make,
    attacked_cases,
    diluted_cases,
    main_cases,
)
from power_models import Lab, NotTrained, Pools, Remembered, SlotTable, Way
from scipy.stats import binom
from timing import table

FRESH = 2_000  # fresh keys or splits on innocent models
ALARM_LEVELS = (0.05, 0.01)
CHARACTERS_PER_TOKEN = 3.1
PACKAGES = ["torch", "transformers", "tokenizers", "numpy"]


def made(seeds: int, cases: Callable[[int], Iterator[tuple[str, Make]]]) -> dict[str, list[Case]]:
    """The cases of all seeds by name, as far as their models are kept or may be trained."""
    found: dict[str, list[Case]] = {}
    for seed in range(seeds):
        for name, make in cases(seed):
            with suppress(NotTrained):
                found.setdefault(name, []).append(make())
                print(f"{name}, seed {seed}", file=sys.stderr)
    return {name: cases for name, cases in found.items() if cases}


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Median and range."""
    middle = form(sorted(values)[len(values) // 2])  # the larger of two: the worse
    return middle if len(values) == 1 else f"{middle} ({form(min(values))} to {form(max(values))})"


def row(
    name: str, cases: list[Case], threshold: Callable[[int], float] = lambda n: LEVEL
) -> list[str]:
    """Name, seeds, records, records needed, p from all records."""

    def needed(n: float) -> str:
        return f"{n:.0f}" if n < np.inf else f"> {cases[0].n}"

    return [
        name,
        str(len(cases)),
        str(cases[0].n),
        spread([case.needed(threshold) for case in cases], needed),
        spread([case.median_p(case.n) for case in cases], "{:.1e}".format),
    ]


def false_alarms(bench: Bench, way: Way, models: Sequence[Path], with_reference: bool) -> list[str]:
    """How often a fresh key is found in innocent models, at each of `ALARM_LEVELS`."""
    evidence, texts = bench.evidence(way, 0), bench.lab.pools.owned
    everything = np.arange(len(texts))
    log10_p: list[float] = []

    def units(model: Path) -> UnitScores:
        return SlotTable.of(evidence, texts, Remembered(model)).units(everything)

    references = [units(bench.reference())] if with_reference else []
    for number, model in enumerate(models):
        found = units(model)
        for run in range(number, FRESH, len(models)):
            drawer = MarkingKey.generate().drawer()
            draws = {
                n: drawer.draw(v.size, n) for n, v in zip(found.names, found.values, strict=True)
            }
            fresh = replace(found, chosen=found.chosen_from(draws))
            log10_p.append(unit_test(fresh, references, seed=run, n_resamples=999).log10_p)
    return [str(int((np.array(log10_p) <= np.log10(level)).sum())) for level in ALARM_LEVELS]


def welch_alarms(bench: Bench, models: dict[str, list[Path]]) -> list[list[str]]:
    """What the published comparison says of innocent models, by how its sets were chosen."""
    rng, rows = np.random.default_rng(0), []
    splits: dict[str, dict[str, list[float]]] = {}

    def p(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return welch_test(a, b, alternative=Alternative.GREATER).p_value

    for kind, kept in models.items():
        for model in kept:
            members, others = (bench.likelihoods(model, held_back) for held_back in (False, True))
            found = splits.setdefault(kind, {})
            for _ in range(FRESH // len(kept)):
                some = rng.permutation(members.size)[: members.size // 2]
                rest = rng.permutation(others.size)[: some.size]
                found.setdefault("at random", []).append(p(members[some], others[rest]))
            if kind == "other":
                both = np.concatenate((members, others))
                order = np.argsort(bench.positions())
                first, second = np.array_split(both[order], 2)
                found.setdefault("by order in the file", []).append(p(first, second))
                found.setdefault("by order, the other way", []).append(p(second, first))
    for kind, found in splits.items():
        for split, values in found.items():
            share = f"{np.mean(np.array(values) <= LEVEL):.3f} of {len(values):,}"
            rows.append([kind, split, share, spread(values, "{:.1e}".format)])
    return rows


def report(bench: Bench, seeds: int, parts: Sequence[str]) -> None:
    innocents: dict[str, list[Path]] = {}
    for kind in ("other", "originals"):
        for seed in range(seeds):
            with suppress(NotTrained):
                model = bench.innocent(kind, seed)
                innocents.setdefault(kind, []).append(model)
    heading = [
        "method",
        "seeds",
        "records",
        f"records needed for p < {LEVEL}",
        "p from all records",
    ]
    if "main" in parts:
        found = made(seeds, lambda seed: main_cases(bench, seed))
        rows = [row(name, cases) for name, cases in found.items()]
        for kind, models in innocents.items():
            if PUBLISHED in found:
                cases = [bench.leximark(model) for model in models]
                name = f"{PUBLISHED}, equal false alarms: {kind}"
                rows.append(row(name, found[PUBLISHED], equal_alarms(cases)))
        table("Records needed, only marked records read", heading, rows, PACKAGES)
    if "dilution" in parts:
        rows = [
            [f"{share:.0%}", *row(name, cases)]
            for share in DILUTIONS
            for name, cases in made(
                seeds, lambda seed, share=share: diluted_cases(bench, seed, share)
            ).items()
        ]
        table("Dilution", ["share of the text", *heading], rows, PACKAGES)
    if "attacks" in parts:
        found = made(seeds, lambda seed: attacked_cases(bench, seed))
        rows = [row(name, cases) for name, cases in found.items()]
        table(f"{DEFAULT}{REFERENCE}, after attacks", ["attack", *heading[1:]], rows, PACKAGES)
    if "innocent" in parts:
        rows = [
            [name + suffix, kind, *false_alarms(bench, way, models, bool(suffix))]
            for name, way in {**KEYED, "keyed, slot, strict": BY_RECORD}.items()
            for suffix in ("", REFERENCE)
            for kind, models in innocents.items()
        ]
        bounds = [
            f"{binom.ppf(5e-7, FRESH, level):.0f} to {binom.isf(5e-7, FRESH, level):.0f}"
            for level in ALARM_LEVELS
        ]
        rows.append(["allowed by chance (1 - 1e-6)", "", *bounds])
        heading = ["method", "innocent models read", *(f"p <= {level}" for level in ALARM_LEVELS)]
        table(f"Fresh keys on innocent models, {FRESH:,} each", heading, rows, PACKAGES)
        heading = ["innocent models read", "sets split", f"share of p <= {LEVEL}", "p"]
        table(f"{PUBLISHED} on innocent models", heading, welch_alarms(bench, innocents), PACKAGES)


def equal_alarms(innocents: Sequence[Case]) -> Callable[[int], float]:
    """The p-value below which 1 % of the innocent models' lie, or 0.01 if that is less."""

    @cache
    def threshold(n: int) -> float:
        found = [p for case in innocents for p in case.some_p(n)]
        return min(LEVEL, float(np.quantile(found, LEVEL)))

    return threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="a parquet file with a column 'text'")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--cache", type=Path, default=Path("power-models"))
    parser.add_argument("--kept", action="store_true", help="train nothing")
    parser.add_argument("--parts", nargs="*", default=["main", "dilution", "attacks", "innocent"])
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    texts = pl.read_parquet(arguments.corpus)["text"].to_list()
    pools = Pools.deal(texts, int(arguments.tokens * CHARACTERS_PER_TOKEN))
    lab = Lab(arguments.cache, pools, arguments.tokens, trains=not arguments.kept)
    report(Bench(lab), arguments.seeds, arguments.parts)


if __name__ == "__main__":
    main()
