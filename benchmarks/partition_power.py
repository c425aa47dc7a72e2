"""How much text the partition test needs: tiny models trained here, and what they write.

python benchmarks/partition_power.py [--sequences 4000] [--tokens 200000] [--work DIR]

One base model is trained on sequences in a drawn order; then a derivative fine-tuned from it on other
text, and two strangers: one trained on the same sequences in another order, one on other text. Each
writes text (temperature 1), which is cut into pieces of every size; the table shows how often a
piece gives p < 1e-3, and the smallest size for which at least half of the pieces do. With --null N, false
alarms too: N pieces of each stranger's text, each under an order drawn anew.
Models and texts are kept in the work folder and taken from there again.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from bookplate.cli.demo.corpus import cached_docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest.covariates import Covariate
from bookplate.provenance.palimpsest.ngrams import Index, MatchRule, build_index, open_index
from bookplate.provenance.palimpsest.partition import partition_test_of_tokens
from bookplate.stats import Input
from numpy.typing import NDArray
from scipy.stats import binom
from timing import table
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

PACKAGES = ("numpy", "scipy", "torch", "pandas", "statsmodels", "transformers")
SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
MOST_PIECES = 10
LEVEL = -3.0  # log10 of the p-value that counts as found
PIECE = 100  # tokens that are written at a time
AT_ONCE = 128
NOTHING = Input(name="benchmark", sha256="0" * 64)


@dataclass(frozen=True)
class Lab:
    """Where models and their texts lie, and how large everything is."""

    work: Path
    tokenizer: PreTrainedTokenizerFast
    size: ModelSize
    batch: int

    def model(self, name: str, sequences: NDArray[np.int64], start: str | None = None) -> Path:
        """A model of this name, trained unless it is there."""
        folder = self.work / name
        if not folder.exists():
            began = time.perf_counter()
            rate = 3e-3 if start is None else 1e-3
            train(
                folder,
                self.tokenizer,
                sequences.tolist(),
                size=self.size,
                recipe=Recipe(batch=self.batch, learning_rate=rate, seed=len(name)),
                start_from=None if start is None else self.work / start,
            )
            print(f"{name}: {len(sequences):,} sequences, {time.perf_counter() - began:.0f} s")
        return folder

    def text(self, name: str, n_tokens: int) -> NDArray[np.int64]:
        """What a model writes, shape (pieces, PIECE)."""
        path = self.work / f"{name}-{n_tokens}.npy"
        if not path.exists():
            written = written_by(self.work / name, n_tokens, self.tokenizer.eos_token_id)
            np.save(path, written)
        return np.load(path)


def written_by(folder: Path, n_tokens: int, start: int) -> NDArray[np.int64]:
    """Text drawn from a model, shape (pieces, PIECE)."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = torch.full((AT_ONCE, 1), start)
    pieces: list[NDArray[np.int64]] = []
    with torch.inference_mode():
        while sum(piece.size for piece in pieces) < n_tokens:
            drawn = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                min_new_tokens=PIECE,
                max_new_tokens=PIECE,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                use_cache=True,
                pad_token_id=start,
            )
            pieces.append(drawn[:, 1:].numpy())
    return np.concatenate(pieces)[: n_tokens // PIECE]


def p_values(
    index: Index, text: NDArray[np.int64], rule: MatchRule, covariates: Sequence[Covariate]
) -> Mapping[int, list[float]]:
    """log10 p of disjoint pieces of a text, by their size in tokens."""
    found: dict[int, list[float]] = {}
    for size in SIZES:
        rows = size // PIECE
        begins = list(range(0, len(text) - rows + 1, rows))[:MOST_PIECES]
        if begins:
            found[size] = [
                partition_test_of_tokens(
                    index,
                    list(text[begin : begin + rows]),
                    seed=1,
                    rule=rule,
                    covariates=covariates,
                ).finding.log10_p
                for begin in begins
            ]
    return found


def false_alarms(
    index: Index, texts: Mapping[str, NDArray[np.int64]], runs: int, size: int
) -> list[list[str]]:
    """Pieces of innocent texts, each under an order drawn anew: alarms, and what chance allows."""
    rng = np.random.default_rng(9)
    rows = []
    for name, text in texts.items():
        logs = []
        for _ in range(runs):
            begin = int(rng.integers(0, len(text) - size // PIECE + 1))
            drawn = index.with_steps(rng.permutation(index.table.steps))
            piece = list(text[begin : begin + size // PIECE])
            logs.append(partition_test_of_tokens(drawn, piece, seed=1).finding.log10_p)
        for level in (0.05, 0.01):
            found = int((np.array(logs) <= np.log10(level)).sum())
            low, high = binom.interval(0.999, runs, level)
            rows.append([name, str(runs), f"{level}", str(found), f"{low:.0f} to {high:.0f}"])
    return rows


def lines(name: str, found: Mapping[int, list[float]]) -> list[list[str]]:
    """A row per size."""
    return [
        [
            name,
            f"{size:,}",
            str(len(logs)),
            f"{statistics.median(logs):.1f}",
            f"{sum(log <= LEVEL for log in logs)} of {len(logs)}",
        ]
        for size, logs in found.items()
    ]


def needed(found: Mapping[int, list[float]]) -> str:
    """The smallest size from which on at least half of the pieces give p < 1e-3."""
    enough = None
    for size, logs in sorted(found.items(), reverse=True):
        if statistics.median(logs) > LEVEL:
            break
        enough = size
    return "none of these sizes" if enough is None else f"{enough:,} tokens"


def main() -> None:
    """Train, write, test, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=4_000)
    parser.add_argument("--length", type=int, default=64, help="tokens per sequence")
    parser.add_argument("--vocabulary", type=int, default=2_000)
    parser.add_argument("--tokens", type=int, default=200_000, help="tokens written by each model")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--shortest", type=int, default=MatchRule().shortest)
    parser.add_argument("--most-occurrences", type=int, default=MatchRule().most_occurrences)
    parser.add_argument("--rarity", action="store_true", help="regress rarity out as well")
    parser.add_argument("--null", type=int, default=0, help="false alarms: runs per stranger")
    parser.add_argument("--null-tokens", type=int, default=1_000, help="tokens of each of them")
    parser.add_argument("--work", type=Path, help="folder to keep models and texts in")
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        run(options, Path(scratch))


def run(options: argparse.Namespace, scratch: Path) -> None:
    """The benchmark, in a folder that is removed afterwards unless one was named."""
    work = options.work or scratch
    work.mkdir(parents=True, exist_ok=True)
    texts = [text for name in PACKAGES for text in cached_docstrings(name, work / "cache")]
    random.Random(1).shuffle(texts)
    tokenizer = tokenizer_of(texts[:2_000], options.vocabulary)
    every = np.array(packed(tokenizer, texts, options.length))
    n = options.sequences
    if len(every) < 5 * n // 2:
        sys.exit(f"--sequences: the text that is here gives at most {2 * len(every) // 5:,}")
    # Each sequence is drawn by itself, so that pieces of one document do not stay together.
    every = every[np.random.default_rng(1).permutation(len(every))]
    own, tuning, other = every[:n], every[n : n + n // 2], every[n + n // 2 : 2 * n + n // 2]
    size = ModelSize(layers=options.layers, width=options.width, context=2 * PIECE)
    lab = Lab(work, tokenizer, size, options.batch)
    lab.model("base", own)
    lab.model("derivative", tuning, start="base")
    lab.model("same-data-other-order", own[np.random.default_rng(2).permutation(n)])
    lab.model("stranger", other)
    build_index(
        scratch / "index",
        [(np.arange(n) // options.batch, list(own))],
        source=NOTHING,
        tokenizer=NOTHING,
    )
    index = open_index(scratch / "index")
    rule = MatchRule(shortest=options.shortest, most_occurrences=options.most_occurrences)
    covariates = [Covariate.LENGTH, *([Covariate.RARITY] if options.rarity else [])]
    rows, answers = [], []
    for name in ("base", "derivative", "same-data-other-order", "stranger"):
        found = p_values(index, lab.text(name, options.tokens), rule, covariates)
        rows += lines(name, found)
        answers.append([name, needed(found)])
    title = (
        f"Partition test, {n:,} sequences of {options.length} tokens, batches of {options.batch}"
    )
    print(f"\n{rule}")
    heading = ("text by", "tokens", "pieces", "median log10 p", "p < 1e-3")
    table(title, heading, rows, ("numpy", "torch"))
    table(
        "Tokens needed", ("text by", "half of the pieces give p < 1e-3 from"), answers, ("torch",)
    )
    if options.null:
        innocent = {
            name: lab.text(name, options.tokens) for name in ("same-data-other-order", "stranger")
        }
        table(
            f"False alarms, {options.null_tokens:,} tokens",
            ("text by", "runs", "level", "alarms", "99.9 % of chance"),
            false_alarms(index, innocent, options.null, options.null_tokens),
            ("numpy",),
        )


if __name__ == "__main__":
    main()
