"""What `bookplate membership` is asked, and the files it reads for that."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..display import visible
from ..errors import InvalidInput
from ..files import sha256_of_file
from ..provenance.membership import Score
from ..stats import Input
from ..stats.checks import one_of
from ..watermark.neighbours import neighbours
from ..watermark.tables import read_table
from .reaching import Reached

__all__ = ["Material", "Request", "input_of", "material_of", "neighbours_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for; see the options of the command."""

    texts: Path
    suspect: str
    references: tuple[str, ...] = ()
    scores: tuple[str, ...] | None = None
    labels: str | None = None
    prefix: Path | None = None
    frequencies: Path | None = None
    neighbours: int = 0
    share: float = 0.2
    text_column: str = "text"
    id_column: str | None = None
    out: Path | None = None
    seed: int = 0
    how: Reached = field(default_factory=Reached)

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise InvalidInput(f"--neighbours: expected 0 or more, got {self.neighbours}")
        if not 0 < self.share <= 1:
            raise InvalidInput(
                f"--share: expected a number above 0 and at most 1, got {self.share}"
            )
        for name in self.scores or ():
            one_of("--score", Score, cast("Score", name))
        if self.out is not None:
            if self.out.suffix not in {".parquet", ".csv"}:
                raise InvalidInput(f"{self.out}: expected a name that ends in .parquet or .csv")
            if os.path.lexists(self.out):
                raise InvalidInput(
                    f"{self.out}: already exists", "choose another name, or move it away first"
                )


@dataclass(slots=True)
class Material:
    """The files that were read, and what the scores take from them."""

    texts: list[str]
    ids: list[str] | None
    inputs: list[Input] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def material_of(request: Request) -> Material:
    """Read the files that every run takes.

    Raises:
        InvalidInput: If one cannot be read.
    """
    table = read_table(request.texts, text_column=request.text_column, id_column=request.id_column)
    material = Material(table.texts, table.ids, [input_of(request.texts)])
    material.options = {"scores": request.scores, "share": request.share}
    if request.prefix is not None:
        shots = read_table(request.prefix, text_column=request.text_column).texts
        material.options["prefix"] = "\n\n".join(shots)
        material.inputs.append(input_of(request.prefix))
    if request.frequencies is not None:
        corpus = read_table(request.frequencies, text_column=request.text_column).texts
        material.options["frequency_texts"] = corpus
        material.inputs.append(input_of(request.frequencies))
    return material


def input_of(path: Path) -> Input:
    """Name and digest of a file."""
    return Input(name=visible(path.name), sha256=sha256_of_file(path))


def neighbours_of(request: Request, texts: Sequence[str]) -> list[list[str]] | None:
    """The neighbours of each text, if any were asked for."""
    if request.neighbours == 0:
        return None
    return [neighbours(text, count=request.neighbours, seed=request.seed) for text in texts]
