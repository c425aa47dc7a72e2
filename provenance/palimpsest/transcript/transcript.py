"""`Transcript`: which sequence was trained on at which step, loaded and ready to be tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import InsufficientEvidence, InvalidInput
from ....files import sha256_of_file
from ....stats import Input
from ..sampling import FEWEST, Sample
from .disclosure import disclosed_sequences
from .layout import Content
from .source import TranscriptSource

__all__ = ["Transcript"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Training sequences with their place in the order.

    Attributes:
        steps: Training step of each sequence, shape (n,); sequences of one batch share a step.
        sequences: Each sequence as text or as token ids of the model's tokenizer.
        source: The file or folder it was read from.
        description: How the sequences were chosen from the source, for findings to say.
        disclosure: The file that disclosed the sequences, if the source holds digests.
    """

    steps: NDArray[np.int64]
    sequences: tuple[str | tuple[int, ...], ...]
    source: Input
    description: str = ""
    disclosure: Input | None = None

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.sequences):
            raise InvalidInput(
                f"expected one step per sequence, got {len(self.steps)} and {len(self.sequences)}"
            )
        if len(self.sequences) < FEWEST:
            raise InsufficientEvidence(
                f"{self.source.name}: {len(self.sequences)} sequences are too few",
                f"an order test needs at least {FEWEST}; some thousands are usual",
            )
        if len(np.unique(self.steps)) < 2:
            raise InsufficientEvidence(
                f"{self.source.name}: all sequences have the same step, so there is no order to test"
            )

    @classmethod
    def read(
        cls, path: Path, sample: Sample | None = None, *, disclosed: Path | None = None
    ) -> "Transcript":
        """Read a transcript, or a sample of it that is drawn before any sequence is loaded.

        Args:
            path: A file or folder that `TranscriptSource.open` takes. Rows may come in any order.
            sample: Which sequences to load; default: all.
            disclosed: For a transcript of digests: a `.parquet` or `.jsonl` file of sequences with their
                salts, among them all that are to be loaded; see `disclosed_sequences`.

        Returns:
            The transcript.

        Raises:
            InvalidInput: If a file cannot be read or lacks a column, names file and row; if there are
                only digests and no sequences, or not those of the sample.
            InsufficientEvidence: If there are too few sequences, or only one step.
        """
        source = TranscriptSource.open(path)
        _refuse_misfit(path, source.content, disclosed)
        drawn = source.draw(sample)
        sequences = drawn.contents
        if disclosed is not None:
            sequences = _disclosed(drawn.contents, disclosed)
        return cls(
            steps=drawn.steps,
            sequences=sequences,
            source=source.identity(),
            description="" if sample is None else sample.described(drawn.n_rows),
            disclosure=None
            if disclosed is None
            else Input(name=disclosed.name, sha256=sha256_of_file(disclosed)),
        )

    @staticmethod
    def write(path: Path, steps: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:
        """Write a transcript of token sequences as parquet.

        Args:
            path: File to write.
            steps: Training step of each sequence.
            tokens: Token ids of each sequence.
        """
        schema = pl.Schema([("step", pl.Int64()), ("tokens", pl.List(pl.Int64))])
        rows = {"step": list(steps), "tokens": [list(ids) for ids in tokens]}
        with path.open("wb") as file:  # polars cannot take a path that is not UTF-8
            pl.DataFrame(rows, schema=schema).write_parquet(file)


def _refuse_misfit(path: Path, content: Content, disclosed: Path | None) -> None:
    if content is Content.DIGEST and disclosed is None:
        raise InvalidInput(
            f"{path}: holds digests of its sequences only, and a model cannot be asked about these",
            "name the file of sequences and salts that the claimant disclosed",
        )
    if content is not Content.DIGEST and disclosed is not None:
        raise InvalidInput(
            f"{path}: holds its sequences itself", "leave out the file of disclosed sequences"
        )


def _disclosed(
    digests: tuple[str | tuple[int, ...], ...], path: Path
) -> tuple[str | tuple[int, ...], ...]:
    """The sequence behind each digest; none may be left out, or the claimant could choose."""
    sequences = disclosed_sequences(path)
    if missing := [digest for digest in digests if digest not in sequences]:
        raise InvalidInput(
            f"{path}: lacks {len(missing):,} of the {len(digests):,} sequences that were drawn; "
            f"the first has the digest {missing[0]}",
            "every sequence of the sample must be disclosed",
        )
    return tuple(sequences[str(digest)] for digest in digests)
