"""What the four notebooks share: texts, tiny models and a marked release, each made once, in `work/`.

The audits themselves are in the notebooks. To start anew, delete `work/`.
"""

import contextlib
import hashlib
import io
import os
import random
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

warnings.filterwarnings("ignore", "IProgress not found")  # no progress bars here

import matplotlib.pyplot as plt
import numba
import polars as pl
import torch
from bookplate.cli import main
from bookplate.cli.demo.corpus import docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest import Transcript
from bookplate.stats import Finding, verbal_scale
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking
from IPython.display import Markdown, display
from transformers import PreTrainedTokenizerFast

_T = TypeVar("_T")

WORK = Path("work")
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8c8c8c"  # Okabe & Ito (2008)

_ROWS = 450  # of the claimant
_WORLD_ROWS = 350
_LONGEST = 1_200  # characters
_WINDOW, _ORDER_WINDOW = 128, 64  # tokens of a training sequence
_SIZE = ModelSize(layers=2, width=64, heads=4, context=_WINDOW)
_GENTLE = 1e-3  # learning rate of fine-tuning

quiet_libraries()
# Models as small as these gain nothing from more, and sums then do not depend on the machine's processors.
torch.set_num_threads(1)
numba.set_num_threads(1)
plt.rcParams.update({
    "figure.dpi": 90,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
})


# ---- showing ---------------------------------------------------------------------------------------------


def shell(line: str, *, code: int = 0, shown: bool = True) -> str:
    """Run a command line in `work/`, as a terminal there would, and show its standard output.

    Args:
        line: Such as `bookplate report verify bundle`.
        code: The exit code that is expected.
        shown: Whether to show it.

    Returns:
        Its standard output.

    Raises:
        RuntimeError: If it ends with another code; with what it says of that.
    """
    printed, said = io.StringIO(), io.StringIO()
    folder, arguments = Path.cwd(), sys.argv
    found = 0
    try:
        os.chdir(WORK)
        sys.argv = shlex.split(line)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            main()
    except SystemExit as stop:
        found = int(stop.code or 0)
    finally:
        os.chdir(folder)
        sys.argv = arguments
    if found != code:
        raise RuntimeError(f"{line}: expected exit code {code}, got {found}: {said.getvalue()}")
    if shown:
        print(f"$ {line}")
        for row in printed.getvalue().splitlines():
            print(textwrap.fill(row, 100, subsequent_indent=" " * 16, break_on_hyphens=False))
    return printed.getvalue()


def show(finding: Finding) -> None:
    """A finding as a table."""
    strength = verbal_scale(finding)
    effect = finding.effect
    rows = {
        "Question": finding.question,
        "If the claim is false": finding.null,
        "p-value": f"**{finding.p_text}** ({finding.method}, {finding.valid})",
        "Evidence against that": f"**{strength.word}**",
        "Counted": f"{finding.n:,} {finding.unit}",
        "Effect": f"{effect.name}: {effect.value:.2f} ({effect.confidence:.0%} interval "
        f"{effect.low:.2f} to {effect.high:.2f})",
        "Assumed": "<br>".join(finding.assumptions),
        **({"Warnings": "<br>".join(finding.warnings)} if finding.warnings else {}),
    }
    table = "".join(f"| {name} | {text} |\n" for name, text in rows.items())
    display(Markdown(f"| {finding.name} | |\n|:--|:--|\n{table}"))


def fresh(name: str) -> Path:
    """Path of an output in `work/`, which is not there any more."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


# ---- making ----------------------------------------------------------------------------------------------


def texts_of(package: str) -> list[str]:
    """Docstrings of an installed package, cut to 1,200 characters, in one shuffled order."""
    kept = WORK / "texts" / f"{package}.parquet"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"text": docstrings(package)}).write_parquet(kept)
    texts = pl.read_parquet(kept)["text"].to_list()
    cut = [t if len(t) <= _LONGEST else t[:_LONGEST].rsplit(None, 1)[0] for t in texts]
    return shuffled(dict.fromkeys(cut), 0)


def owned_texts() -> list[str]:
    """What the claimant wrote: SciPy's documentation of its statistics."""
    return texts_of("scipy.stats")[:_ROWS]


def world_texts() -> list[str]:
    """What everybody trains on: NetworkX's documentation."""
    return texts_of("networkx")[:_WORLD_ROWS]


def marking_key() -> MarkingKey:
    """A key that everybody knows, so that you get the numbers that are printed here.

    Yours comes from `bookplate key new`, or `MarkingKey.generate()`, and nobody else ever sees it.
    """
    return MarkingKey(*(hashlib.sha256(name).digest() for name in (b"notebooks", b"salt")))


def marked_release() -> Path:
    """The release of the first notebook: its folders `release` and `private`; key.json beside them."""
    folder = WORK / "marked"
    if not folder.exists():
        dataset = WORK / "texts" / "statistics.jsonl"
        owned = owned_texts()
        ids = [f"doc-{number:03}" for number in range(len(owned))]
        pl.DataFrame({"id": ids, "text": owned}).write_ndjson(dataset)
        words = LexiconSource(Lexicon.shipped(Tier.STANDARD))
        embed(dataset, folder, marking_key(), Marking(), id_column="id", candidates=words)
        marking_key().save(folder / "key.json")
    return folder


def transcript() -> Path:
    """The order in which the claimant's model `ours` was trained, drawn at random and written down."""
    path = WORK / "transcript.parquet"
    if not path.exists():
        order = _sequences(world_texts(), _ORDER_WINDOW, 42)
        Transcript.write(path, [number // Recipe().batch for number in range(len(order))], order)
    return path


def model(name: str) -> Path:
    """The folder of one of the tiny models, which is trained if it is not there yet.

    ours: the claimant's, trained on the world's text in the order of the transcript.
    suspect-a: `ours`, fine-tuned on the marked release.
    suspect-b: trained on the claimant's originals, from before the mark, and some of the world's text.
    neighbour: trained on the world's text in an order of its own. The reference.
    """
    folder = WORK / "models" / name
    if folder.exists():
        return folder
    gentle = Recipe(seed=2, learning_rate=_GENTLE)
    if name == "ours":
        _train(folder, _sequences(world_texts(), _ORDER_WINDOW, 42), Recipe(seed=1))
    elif name == "suspect-a":
        released = pl.read_ndjson(marked_release() / "release" / "statistics.jsonl")["text"]
        _train(folder, _sequences(released.to_list(), _WINDOW, 2), gentle, model("ours"))
    elif name == "suspect-b":
        some = world_texts()[:100]
        _train(folder, _sequences([*owned_texts(), *some], _WINDOW, 3), Recipe(seed=3))
    elif name == "neighbour":
        _train(folder, _sequences(world_texts(), _ORDER_WINDOW, 4), Recipe(seed=4))
    else:
        raise ValueError(name)
    return folder


def fine_tuned(name: str, start: str, texts: Sequence[str]) -> Path:
    """A model that goes on from another one with texts of yours."""
    folder = WORK / "models" / name
    if not folder.exists():
        _train(folder, _sequences(texts, _WINDOW, 5), Recipe(seed=5), model(start))
    return folder


def shuffled(items: Iterable[_T], seed: int) -> list[_T]:
    """In an order drawn at random."""
    drawn = list(items)
    random.Random(seed).shuffle(drawn)
    return drawn


def _tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer_of([*owned_texts(), *world_texts()], 1_024)


def _sequences(texts: Sequence[str], length: int, seed: int) -> list[list[int]]:
    return shuffled(packed(_tokenizer(), shuffled(texts, seed), length), seed)


def _train(
    folder: Path, sequences: list[list[int]], recipe: Recipe, start: Path | None = None
) -> None:
    print(f"training a model of 0.2 million parameters: {folder.name}")
    train(folder, _tokenizer(), sequences, size=_SIZE, recipe=recipe, start_from=start)
