"""The query test on tiny models: rho by reference and by what was done to the model, and false alarms.

    OMP_NUM_THREADS=1 python benchmarks/palimpsest.py [--cache DIR] [--sequences 16000]

Trains some ten GPT-NeoX models on docstrings of installed packages and keeps them, with their scores, in the
cache. Sequences needed: the fewest (on a grid whose steps are a fifth) from which on the median p-value over
20 random subsets of the transcript stays below 0.001.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from bookplate.cli.demo.corpus import cached_docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest import Covariate, Transcript, mean_logprobs, order_test
from bookplate.provenance.suspect import open_suspect
from bookplate.provenance.suspect.local.loading import Dtype, Loading
from bookplate.stats import Finding, Input, SpearmanMethod
from numpy.typing import NDArray
from scipy.stats import binom
from timing import table
from torch.nn import functional
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

PACKAGES = ("scipy", "numpy", "statsmodels", "torch", "transformers")
LENGTH = 64  # tokens of a sequence
SIZE = ModelSize(context=128)
RECIPE = Recipe(batch=8)
TUNING = replace(RECIPE, learning_rate=1e-3)
LEVEL = 1e-3
SUBSETS = 20
FRESH = 2_000  # fresh orders per stranger
FRESH_SEQUENCES = 1_000
LIBRARIES = ["torch", "transformers", "tokenizers", "numpy", "bitsandbytes"]
TEXT = (Covariate.LENGTH, Covariate.ZLIB, Covariate.RARITY)

_Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Lab:
    """Models by name, trained when first asked for."""

    cache: Path
    n: int

    @cached_property
    def sequences(self) -> list[list[int]]:
        """All sequences, shuffled once: what follows takes parts that share none."""
        texts = self.texts(PACKAGES)
        random.Random(0).shuffle(texts)
        found = packed(self.tokenizer, texts, LENGTH)
        distinct = [list(s) for s in dict.fromkeys(map(tuple, found))]
        random.Random(1).shuffle(distinct)
        return distinct

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """One tokenizer for all models."""
        return tokenizer_of(self.texts(PACKAGES[:2]), 2_048)

    def texts(self, packages: Sequence[str]) -> list[str]:
        """Docstrings of some packages."""
        return [text for package in packages for text in cached_docstrings(package, self.cache)]

    def part(self, number: int, seed: int, share: float = 1.0) -> list[list[int]]:
        """A part of the sequences in an order drawn by the seed; part 0 is the claimant's."""
        begin = number * self.n
        some = self.sequences[begin : begin + self.n]
        if len(some) < self.n:
            raise SystemExit(f"too few sequences for part {number}: {len(self.sequences):,}")
        random.Random(seed).shuffle(some)
        return some[: int(share * self.n)]

    def model(self, name: str) -> Path:
        """The folder of a model."""
        folder = self.cache / f"{name}-{self.n}"
        if not folder.exists():
            print(f"training {name}", file=sys.stderr)
            MODELS[name](self, folder)
        return folder

    def trained(
        self,
        folder: Path,
        sequences: Sequence[Sequence[int]],
        seed: int,
        start_from: Path | None = None,
    ) -> None:
        """Train a model."""
        recipe = replace(TUNING if start_from else RECIPE, seed=seed)
        with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
            train(
                folder, self.tokenizer, sequences, size=SIZE, recipe=recipe, start_from=start_from
            )

    def transcript(self) -> Transcript:
        """The claimant's order."""
        sequences = self.part(0, 0)
        steps = np.arange(self.n) // RECIPE.batch
        source = Input(name="transcript", sha256="0" * 64)
        return Transcript(steps=steps, sequences=tuple(map(tuple, sequences)), source=source)

    def scores(self, name: str) -> _Scores:
        """Mean log-probability of each of the claimant's sequences; "NAME in int8" is a model so loaded."""
        folder = self.model(name.removesuffix(" in int8"))
        dtype = Dtype.INT8 if name.endswith(" in int8") else Dtype.FLOAT32
        kept = folder / f"scores-{dtype}.npy"
        if not kept.exists():
            suspect = open_suspect(str(folder), loading=Loading(device="cpu", dtype=dtype))
            np.save(kept, mean_logprobs(self.transcript(), suspect))
        return np.load(kept)


def distil(lab: Lab, folder: Path) -> None:
    """A fresh model that learns the base's distribution on texts that the base never read."""
    teacher = GPTNeoXForCausalLM.from_pretrained(lab.model("base")).eval()
    lab.trained(folder.with_name(folder.name + "-seed"), lab.part(5, 5)[: RECIPE.batch], 55)
    student = GPTNeoXForCausalLM.from_pretrained(folder.with_name(folder.name + "-seed"))
    optimizer = torch.optim.AdamW(student.parameters(), lr=RECIPE.learning_rate)
    data = torch.tensor(lab.part(5, 5))
    for batch in data.split(RECIPE.batch):
        with torch.inference_mode():
            wanted = teacher(input_ids=batch).logits.log_softmax(-1)
        said = student(input_ids=batch).logits.log_softmax(-1)
        loss = (
            functional
            .kl_div(said, wanted.clone(), log_target=True, reduction="none")
            .sum(-1)
            .mean()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
    student.save_pretrained(folder)
    lab.tokenizer.save_pretrained(folder)


def average(lab: Lab, folder: Path, share: float) -> None:
    """The base's weights, averaged with a stranger's that began at the same weights."""
    base = GPTNeoXForCausalLM.from_pretrained(lab.model("base"))
    other = GPTNeoXForCausalLM.from_pretrained(lab.model("same data, other order"))
    with torch.no_grad():
        for mine, theirs in zip(base.parameters(), other.parameters(), strict=True):
            mine.mul_(share).add_(theirs, alpha=1 - share)
    base.save_pretrained(folder)
    lab.tokenizer.save_pretrained(folder)


# Part 0 is the claimant's, 1 and 2 are other data, 3 to 5 what descendants read.
MODELS: dict[str, Callable[[Lab, Path], None]] = {
    "base": lambda lab, folder: lab.trained(folder, lab.part(0, 0), 0),
    "fine-tuned": lambda lab, folder: lab.trained(
        folder, lab.part(3, 3, 0.5), 0, lab.model("base")
    ),
    "further fine-tuned": lambda lab, folder: lab.trained(
        folder, lab.part(4, 4, 0.5), 0, lab.model("fine-tuned")
    ),
    "distilled": distil,
    "averaged 3 : 1 with a stranger": lambda lab, folder: average(lab, folder, 0.75),
    "averaged 1 : 1 with a stranger": lambda lab, folder: average(lab, folder, 0.5),
    "same data, other order": lambda lab, folder: lab.trained(folder, lab.part(0, 100), 0),
    "same data, a third order": lambda lab, folder: lab.trained(folder, lab.part(0, 101), 1),
    "other data": lambda lab, folder: lab.trained(folder, lab.part(1, 1), 2),
    "other data again": lambda lab, folder: lab.trained(folder, lab.part(2, 2), 3),
}
DESCENDANTS = [
    "base",
    "base in int8",
    "fine-tuned",
    "further fine-tuned",
    "distilled",
    "averaged 3 : 1 with a stranger",
    "averaged 1 : 1 with a stranger",
]
STRANGERS = ["same data, a third order", "other data again"]
SAME, OTHER = "same data, other order", "other data"
WAYS: dict[str, tuple[list[str], tuple[Covariate, ...]]] = {
    "alone": ([], ()),
    "text covariates": ([], TEXT),
    "other data": ([OTHER], ()),
    "same data": ([SAME], ()),
    "both": ([SAME, OTHER], ()),
    "both and text": ([SAME, OTHER], TEXT),
}


class Case:
    """One suspect tested in one way, on any of the first sequences."""

    def __init__(self, lab: Lab, suspect: str, way: str) -> None:
        self.transcript, self.scores = lab.transcript(), lab.scores(suspect)
        references, self.covariates = WAYS[way]
        self.references = [lab.scores(name) for name in references]

    def test(
        self, rows: NDArray[np.int64], method: SpearmanMethod = SpearmanMethod.AUTO
    ) -> Finding:
        """The finding on some sequences."""
        order = replace(
            self.transcript,
            steps=self.transcript.steps[rows],
            sequences=tuple(self.transcript.sequences[row] for row in rows),
        )
        return order_test(
            order,
            self.scores[rows],
            [scores[rows] for scores in self.references],
            seed=1,
            covariates=self.covariates,
            method=method,
        )

    def median_log10_p(self, n: int) -> float:
        """The median over random subsets."""
        rng = np.random.default_rng(n)
        every = len(self.scores)
        rounds = SUBSETS if n < every else 1
        found = [
            self.test(np.sort(rng.permutation(every)[:n]), SpearmanMethod.T).log10_p
            for _ in range(rounds)
        ]
        return float(np.median(found))

    def needed(self) -> str:
        """The fewest sequences from which on the median p stays below the level."""
        every, found = len(self.scores), None
        for n in reversed(list(sizes(every))):
            if self.median_log10_p(n) >= np.log10(LEVEL):
                break
            found = n
        return f"> {every:,}" if found is None else f"{found:,}"


def sizes(most: int) -> Iterator[int]:
    steps = np.unique(np.round(30 * 1.2 ** np.arange(40))).astype(int)
    yield from (int(n) for n in steps if n < most)
    yield most


def pattern(lab: Lab) -> None:
    @cache
    def case(suspect: str, way: str) -> Case:
        return Case(lab, suspect, way)

    everything = np.arange(lab.n)
    rows, needed = [], []
    for suspect in [*DESCENDANTS, *STRANGERS]:
        findings = {way: case(suspect, way).test(everything) for way in WAYS}
        rows.append([suspect, *(f"{found.effect.value:.3f}" for found in findings.values())])
        if suspect in STRANGERS:
            cells = [f"p = {found.p_text}" for found in findings.values()]
        else:
            cells = [case(suspect, way).needed() for way in WAYS]
        needed.append([suspect, *cells])
    table(f"rho, n = {lab.n:,}, by what is regressed out", ["suspect", *WAYS], rows, LIBRARIES)
    table(f"Sequences needed for p < {LEVEL}", ["suspect", *WAYS], needed, LIBRARIES)
    by_n = []
    for suspect in ("base", "fine-tuned"):
        for n in (500, 1_000, 2_000, 4_000, 8_000, 16_000):
            if n <= lab.n:
                p = [f"{case(suspect, way).median_log10_p(n):.1f}" for way in WAYS]
                by_n.append([suspect, f"{n:,}", *p])
    table("Median log10 p by number of sequences", ["suspect", "n", *WAYS], by_n, LIBRARIES)


def false_alarms(lab: Lab) -> None:
    rows = []
    for suspect in STRANGERS:
        for way in ("alone", "same data", "both and text"):
            found, rng = Case(lab, suspect, way), np.random.default_rng(5)
            log10_p = []
            for _ in range(FRESH):
                some = rng.permutation(lab.n)[:FRESH_SEQUENCES]
                found.transcript = replace(
                    found.transcript, steps=rng.permutation(found.transcript.steps)
                )
                log10_p.append(found.test(some, SpearmanMethod.T).log10_p)
            counts = [(np.array(log10_p) <= np.log10(level)).sum() for level in (0.05, 0.01)]
            rows.append([suspect, way, *map(str, counts)])
    bounds = [
        f"{binom.ppf(5e-7, FRESH, level):.0f} to {binom.isf(5e-7, FRESH, level):.0f}"
        for level in (0.05, 0.01)
    ]
    rows.append(["allowed by chance (1 - 1e-6)", "", *bounds])
    heading = ["stranger", "regressed out", "p <= 0.05", "p <= 0.01"]
    table(f"False alarms: {FRESH:,} fresh orders each", heading, rows, LIBRARIES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=16_000)
    parser.add_argument("--cache", type=Path, default=Path("palimpsest-models"))
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    lab = Lab(arguments.cache, arguments.sequences)
    pattern(lab)
    false_alarms(lab)


if __name__ == "__main__":
    main()
