"""How a transcript is read and which tokens of it count: options of every order test, said once."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_groups import takes

if TYPE_CHECKING:
    from ..provenance.palimpsest import Transcript, Window

__all__ = ["OrderRead", "SamplingName", "reads_order"]

_PANEL = "The transcript"


class SamplingName(StrEnum):
    """The values of --sampling."""

    RANDOM = "random"
    STRATIFIED = "stratified"
    EXTREMES = "extremes"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRead:
    """How a transcript is read. The fields are options of the command line."""

    sample: Annotated[
        int | None,
        typer.Option(
            help="Ask about so many of its sequences, drawn by --seed; default: all.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    sampling: Annotated[
        SamplingName,
        typer.Option(
            help="random; stratified: evenly over the order; extremes: the earliest and the latest, which "
            "show most.",
            rich_help_panel=_PANEL,
        ),
    ] = SamplingName.EXTREMES
    prefix_tokens: Annotated[
        int,
        typer.Option(
            help="Tokens at the beginning of each sequence that are not scored.",
            rich_help_panel=_PANEL,
        ),
    ] = 0
    window_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens scored after that at most; published: 32 after a prefix of 32. Default: all.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    disclosed: Annotated[
        Path | None,
        typer.Option(
            help="Sequences and salts behind a transcript of digests (.parquet or .jsonl).",
            rich_help_panel=_PANEL,
        ),
    ] = None
    committed: Annotated[
        Path | None,
        typer.Option(
            help="The published commitments.json: refuse a transcript that it does not commit to.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    def read(self, path: Path, seed: int) -> "Transcript":
        """The transcript, or the sample of it; held against its commitment first, if that was named."""
        from ..provenance.palimpsest import Sample, Sampling, Transcript
        from ..provenance.palimpsest.recording import check_committed

        if self.committed is not None:
            check_committed(path, self.committed)
        sample = None
        if self.sample is not None:
            sampling = Sampling(self.sampling.value)
            sample = Sample(size=self.sample, sampling=sampling, seed=seed)
        return Transcript.read(path, sample, disclosed=self.disclosed)

    def window(self) -> "Window":
        """The tokens that count."""
        from ..provenance.palimpsest import Window

        return Window(self.prefix_tokens, self.window_tokens)


reads_order = takes(OrderRead, "order")
