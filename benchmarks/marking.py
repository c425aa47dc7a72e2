"""Characters per second of keyed marking, beside a byte-level BPE tokenizer reading the same texts."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bookplate.cli.demo.corpus import docstrings
from bookplate.watermark.embed import mark_text
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking, Unit
from timing import interleaved, table
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

VOCABULARY = 50_000


def bpe(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False)
    )
    return tokenizer


def main() -> None:
    texts = docstrings("scipy") + docstrings("numpy")
    size = sum(map(len, texts))
    drawer = MarkingKey.generate().drawer()
    tokenizer = bpe(texts)

    def mark(marking: Marking) -> None:
        lexicon = Lexicon.shipped(marking.tier)
        for text in texts:
            mark_text(text, lexicon, drawer, marking)

    def encode() -> None:
        for text in texts:
            tokenizer.encode(text)

    markings = {
        "by type, strict": Marking(),
        "by type, broad": Marking(tier=Tier.BROAD),
        "by record, 1 ghost, strict": Marking(unit=Unit.RECORD, ghosts=1),
        "by record, 19 ghosts, strict": Marking(unit=Unit.RECORD, ghosts=19),
    }
    actions = {name: partial(mark, marking) for name, marking in markings.items()}
    seconds = interleaved(5, {**actions, "BPE encoding": encode})
    rows = [
        [name, f"{size / s / 1e6:.1f}", f"{seconds['BPE encoding'] / s:.2f}"]
        for name, s in seconds.items()
    ]
    title = f"Marking {size / 1e6:.1f} M characters of docstrings, one process"
    heading = ["what", "M characters/s", "speed relative to BPE"]
    table(title, heading, rows, ["tokenizers", "scipy", "numpy"])


if __name__ == "__main__":
    main()
