"""Speed and memory of the partition test's index: building it, and matching a text by back-off.

python benchmarks/partition.py [--tokens 50000000] [--suspect 100000] [--words real] [--engine infini-gram]

The transcript is synthetic: `zipf` draws ids from Zipf's law, in which long k-grams never repeat;
`real` lays docstrings of installed packages end to end again and again, each time with one token in
five redrawn, so that long k-grams are found and back-off goes deep. The text is a part of the
transcript with one token in ten redrawn. The time to draw tokens is taken off that of building. On the
first sequences everything is compared with brute force.
"""

import argparse
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.cli.demo.corpus import docstrings
from bookplate.provenance.palimpsest.ngrams import (
    Block,
    Engine,
    MatchRule,
    WordTokenizer,
    build_index,
    joined,
    open_index,
)
from bookplate.stats import Input
from numpy.typing import NDArray
from timing import table

VOCABULARY = 50_000
ROWS_OF_BLOCK = 4_096
COMPARED = 2_000  # sequences that brute force is tried on
MIB = 2**20
NOTHING = Input(name="benchmark", sha256="0" * 64)


def zipf(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Token ids whose rank r has a probability in proportion to 1 / (r + 1)."""
    share = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    return np.searchsorted(share / share[-1], rng.random(n))


class Transcript:
    """Rows that are drawn as they are read, the same each time."""

    def __init__(self, words: str, n_tokens: int, length: int) -> None:
        self.n_rows = n_tokens // length
        self.length = length
        self.text: NDArray[np.int64] | None = None
        if words == "real":
            ids = np.concatenate(WordTokenizer().encode(docstrings("torch")))
            self.text = np.unique(ids, return_inverse=True)[1].astype(np.int64)

    def blocks(self) -> Iterator[Block]:
        """Steps and sequences."""
        rng = np.random.default_rng(1)
        for begin in range(0, self.n_rows, ROWS_OF_BLOCK):
            rows = min(ROWS_OF_BLOCK, self.n_rows - begin)
            ids = zipf(rng, rows * self.length)
            if self.text is not None:
                places = (begin * self.length + np.arange(ids.size)) % self.text.size
                ids = np.where(rng.random(ids.size) < 0.2, ids, self.text[places])
            yield np.arange(begin, begin + rows), list(ids.reshape(rows, self.length))

    def suspect(self, n_tokens: int) -> list[NDArray[np.int64]]:
        """Parts of the transcript with errors."""
        rng = np.random.default_rng(2)
        rows: list[NDArray[np.int64]] = []
        wanted = max(n_tokens // self.length, 1)
        every = max(self.n_rows // wanted, 1)
        for steps, block in self.blocks():
            for step, row in zip(np.asarray(steps).tolist(), block, strict=True):
                if step % every == 0:
                    wrong = rng.random(self.length) < 0.1
                    rows.append(np.where(wrong, zipf(rng, self.length), np.asarray(row)))
        return rows[:wanted]


def brute_force(
    rows: list[NDArray[np.int64]], texts: list[NDArray[np.int64]], rule: MatchRule
) -> list[float]:
    """Scores of distinct rows, by the definition."""
    where: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        ids = row.tolist()
        for k in range(rule.shortest, rule.longest + 1):
            for start in range(len(ids) - k + 1):
                where[*ids[start : start + k]].append(number)
    scores = [0.0] * len(rows)
    for text in texts:
        ids = text.tolist()
        for place in range(len(ids)):
            for k in range(min(rule.longest, len(ids) - place), rule.shortest - 1, -1):
                found = where.get(tuple(ids[place : place + k]))
                if found:
                    if len(found) <= rule.most_occurrences:
                        for number in found:
                            scores[number] += 1 / len(found)
                    break
    return scores


def peak() -> float:
    """Most memory that was resident so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def agrees(transcript: Transcript, folder: Path, engine: Engine) -> bool:
    """Whether the index and brute force give the same scores on the first sequences."""
    steps, rows = next(transcript.blocks())
    ids = [np.asarray(row) for row in rows[:COMPARED]]
    build_index(
        folder,
        [(np.asarray(steps)[: len(ids)], ids)],
        source=NOTHING,
        tokenizer=NOTHING,
        engine=engine,
        shard_tokens=50_000,
    )
    rule = MatchRule()
    texts = transcript.suspect(5_000)
    distinct = [np.array(row) for row in dict.fromkeys(tuple(row.tolist()) for row in ids)]
    scores = open_index(folder).match(joined(texts), rule).scores.tolist()
    return scores == brute_force(distinct, texts, rule)


def main() -> None:
    """Build, match, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=50_000_000)
    parser.add_argument("--suspect", type=int, default=100_000, help="tokens of the text")
    parser.add_argument("--length", type=int, default=128, help="tokens per sequence")
    parser.add_argument("--words", choices=["zipf", "real"], default="zipf")
    parser.add_argument("--engine", type=Engine, choices=list(Engine), default=Engine.SUFFIX_ARRAY)
    parser.add_argument("--folder", type=Path, help="where to keep the index")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        run(options, Path(scratch))


def run(options: argparse.Namespace, scratch: Path) -> None:
    """The benchmark, in a folder that is removed afterwards unless one was named."""
    transcript = Transcript(options.words, options.tokens, options.length)
    steps, rows = next(transcript.blocks())
    build_index(
        scratch / "warm", [(steps, rows)], source=NOTHING, tokenizer=NOTHING, engine=options.engine
    )
    warm = open_index(scratch / "warm")
    warm.match(joined([np.asarray(rows[0])]), MatchRule())  # compiles the kernels
    before = peak()
    start = time.perf_counter()
    for _ in transcript.blocks():
        pass
    drawing = time.perf_counter() - start
    folder = options.folder or scratch / "index"
    start = time.perf_counter()
    build_index(
        folder, transcript.blocks(), source=NOTHING, tokenizer=NOTHING, engine=options.engine
    )
    building = time.perf_counter() - start - drawing
    built = peak()
    start = time.perf_counter()
    index = open_index(folder)
    opening = time.perf_counter() - start
    query = joined(transcript.suspect(options.suspect))
    start = time.perf_counter()
    matches = index.match(query, MatchRule())
    matching = time.perf_counter() - start
    matched = peak()
    same = agrees(transcript, scratch / "small", options.engine)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    n_tokens = int(index.table.lengths.sum())
    lengths = ", ".join(f"{k}: {n:,}" for k, n in enumerate(matches.by_length.tolist()) if n)
    table(
        f"k-gram index ({options.engine}), {options.words}: {n_tokens:,} tokens in "
        f"{len(index.table.lengths):,} sequences",
        ("what", "seconds", "tokens/s", "most memory, MiB"),
        [
            ["before", "", "", f"{before:,.0f}"],
            ["build", f"{building:.1f}", f"{n_tokens / building:,.0f}", f"{built:,.0f}"],
            ["open and check", f"{opening:.2f}", f"{n_tokens / opening:,.0f}", ""],
            [
                f"match {matches.n_places:,} tokens",
                f"{matching:.2f}",
                f"{matches.n_places / matching:,.0f}",
                f"{matched:,.0f}",
            ],
        ],
        ("numpy", "numba", "pydivsufsort"),
    )
    print(f"\n{size / MIB:,.0f} MiB on disk, {size / n_tokens:.1f} bytes per token.")
    print(f"Matches by length: {lengths}; too common: {matches.n_too_common:,}.")
    print(f"Equal to brute force on {COMPARED:,} sequences: {'yes' if same else 'NO'}.")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
