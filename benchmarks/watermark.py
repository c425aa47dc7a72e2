"""Marking: characters per second beside a byte-level BPE on the same texts, by workers, and memory.

    python benchmarks/watermark.py [--megabytes 1000] [--workers 1 2]

Whole datasets take some three minutes per 1,000 MB and core.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.cli.demo.corpus import docstrings
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.candidates.bert import BertSource
from bookplate.watermark.candidates.encoders import Encoder, WordAt
from bookplate.watermark.candidates.sbert import SbertSource
from bookplate.watermark.embed import mark_text
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking, Unit
from numpy.typing import NDArray
from timing import interleaved, table
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

VOCABULARY = 50_000
MARKINGS = {
    "by type, strict": (Marking(), Tier.STRICT),
    "by type, broad": (Marking(), Tier.BROAD),
    "by record, 1 ghost, strict": (Marking(unit=Unit.RECORD, ghosts=1), Tier.STRICT),
    "by record, 19 ghosts, strict": (Marking(unit=Unit.RECORD, ghosts=19), Tier.STRICT),
}

# Run apart, so that the memory of one run is not that of another. Children are workers.
EMBED = """
import json, resource, sys, time
from pathlib import Path
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.marking import Marking, Unit

if __name__ == "__main__":
    source, out, workers = sys.argv[1:]
    marking = Marking(unit=Unit.RECORD, ghosts=1)
    start = time.perf_counter()
    embed(Path(source), Path(out), MarkingKey.generate(), marking, workers=int(workers))
    seconds = time.perf_counter() - start
    own, child = (
        resource.getrusage(who).ru_maxrss * 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"seconds": seconds, "own": own, "child": child}))
"""


def bpe(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False)
    )
    return tokenizer


def kernels(texts: list[str], tokenizer: Tokenizer) -> None:
    """Marking alone, in one process: no file is read, no manifest written."""
    size = sum(map(len, texts))
    drawer = MarkingKey.generate().drawer()

    def mark(marking: Marking, tier: Tier) -> None:
        source = LexiconSource(Lexicon.shipped(tier))
        for text, slots in zip(texts, source.slots(texts), strict=True):
            mark_text(text, slots, drawer, marking)

    def encode() -> None:
        for text in texts:
            tokenizer.encode(text)

    actions = {name: partial(mark, *how) for name, how in MARKINGS.items()}
    seconds = interleaved(5, {**actions, "BPE encoding": encode})
    rows = [
        [name, f"{size / s / 1e6:.1f}", f"{seconds['BPE encoding'] / s:.2f}"]
        for name, s in seconds.items()
    ]
    title = f"Marking {size / 1e6:.1f} M characters of docstrings, one process"
    heading = ["what", "M characters/s", "speed relative to BPE"]
    table(title, heading, rows, ["tokenizers", "scipy", "numpy"])


class Recorded:
    """An encoder that remembers what it was asked to encode."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.sentences: list[str] = []
        self.words: list[WordAt] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def token_ids(self, sentences: Sequence[str]) -> list[tuple[int, ...]]:
        """See `Encoder.token_ids`."""
        self.sentences += sentences
        return self._encoder.token_ids(sentences)

    def word_vectors(self, words: Sequence[WordAt]) -> NDArray[np.float32]:
        """See `Encoder.word_vectors`."""
        self.words += words
        return self._encoder.word_vectors(words)


def contextual(texts: list[str], model: str) -> None:
    """`sbert` and `bert` against the bare encoding of the same candidates, the model loaded."""
    encoder, rows = Encoder.open(model), []
    for kind in (SbertSource, BertSource):
        recorded = Recorded(encoder)
        kind(recorded).slots(texts)
        if kind is SbertSource:
            n = len(recorded.sentences)

            def encode(sentences: list[str] = recorded.sentences) -> None:
                encoder.sentence_vectors(encoder.token_ids(sentences))

        else:
            n = len(recorded.words)

            def encode(words: list[WordAt] = recorded.words) -> None:
                encoder.word_vectors(words)

        source = kind(encoder)
        seconds = interleaved(3, {"slots": partial(source.slots, texts), "encoding": encode})
        rows.append([
            kind.name,
            f"{n:,}",
            f"{n / seconds['slots']:.0f}",
            f"{seconds['encoding'] / seconds['slots']:.2f}",
        ])
    title = f"Judging candidates in {len(texts)} docstrings by {Path(model).name}, tier broad"
    heading = ["source", "candidates encoded", "candidates/s", "speed relative to encoding alone"]
    table(title, heading, rows, ["torch", "transformers"])


def write_dataset(path: Path, texts: list[str], megabytes: int) -> int:
    """Write distinct records of about so many megabytes; returns their number of characters."""
    written, characters = 0, 0
    with path.open("w", encoding="utf-8") as file:
        for number in count():
            text = f"Record {number}. {texts[number % len(texts)]}"
            written += file.write(json.dumps({"id": number, "text": text}) + "\n")
            characters += len(text)
            if written >= megabytes * 1_000_000:
                return characters
    raise AssertionError("counting does not end")


def datasets(texts: list[str], tokenizer: Tokenizer, megabytes: int, workers: list[int]) -> None:
    """Whole runs of `embed`: reading, marking by record with one ghost, release and manifest."""
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        characters = write_dataset(folder / "data.jsonl", texts, megabytes)
        (folder / "script.py").write_text(EMBED)
        start = time.perf_counter()
        for text in texts:
            tokenizer.encode(text)
        bpe_speed = sum(map(len, texts)) / (time.perf_counter() - start)
        for n in workers:
            command = [sys.executable, "script.py", "data.jsonl", f"out{n}", str(n)]
            done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            speed = characters / found["seconds"]
            memory = found["own"] + (n * found["child"] if n > 1 else 0)
            rows.append([
                str(n),
                f"{speed / 1e6:.1f}",
                f"{speed / bpe_speed:.2f}",
                f"{found['own'] / 1e6:,.0f}",
                f"{memory / 1e6:,.0f}",
            ])
    title = f"`embed` of {megabytes:,} MB of JSON lines, by record, 1 ghost, strict"
    heading = [
        "workers",
        "M characters/s",
        "speed relative to BPE in one process",
        "peak memory of the main process, MB",
        "of all at most, MB",
    ]
    table(title, heading, rows, ["tokenizers", "polars"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--encoder", help="sentence encoder, such as a folder of all-MiniLM-L6-v2")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    arguments = parser.parse_args()
    texts = docstrings("scipy") + docstrings("numpy")
    tokenizer = bpe(texts)
    kernels(texts, tokenizer)
    if arguments.encoder:
        contextual(texts[:60], arguments.encoder)
    datasets(texts, tokenizer, arguments.megabytes, arguments.workers)


if __name__ == "__main__":
    main()
