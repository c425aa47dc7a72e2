"""How curvature is fitted: options of the command that does it, and of the one that plans it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .option_groups import takes

if TYPE_CHECKING:
    from ..provenance.influence import Cutting, FactorSettings

__all__ = ["FactorUse", "says_how_to_fit"]

_PANEL = "The curvature"


class StrategyName(StrEnum):
    """The values of --strategy."""

    IDENTITY = "identity"
    DIAGONAL = "diagonal"
    KFAC = "kfac"
    EKFAC = "ekfac"


class FisherName(StrEnum):
    """The values of --fisher."""

    SAMPLED = "sampled"
    EMPIRICAL = "empirical"


class PrecisionName(StrEnum):
    """The values of --sum-precision and --kept-precision."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorUse:
    """How curvature is fitted. The fields are options of the command line."""

    strategy: Annotated[
        StrategyName, typer.Option(help="How curvature is approximated.", rich_help_panel=_PANEL)
    ] = StrategyName.EKFAC
    fisher: Annotated[
        FisherName,
        typer.Option(
            help="Targets drawn from the model (the Gauss-Newton matrix), or the data's.",
            rich_help_panel=_PANEL,
        ),
    ] = FisherName.SAMPLED
    modules: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of layers' names, such as '*.attention.*'; may be repeated. Default: MLP layers.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    blocks: Annotated[
        int,
        typer.Option(
            help="Diagonal blocks per layer's covariance; more need less memory.",
            rich_help_panel=_PANEL,
        ),
    ] = 1
    data_parts: Annotated[
        int,
        typer.Option(
            help="Parts of the data; a killed run goes on after the last whole one.",
            rich_help_panel=_PANEL,
        ),
    ] = 10
    module_parts: Annotated[
        int,
        typer.Option(
            help="Parts of the layers, one after the other; more need less memory.",
            rich_help_panel=_PANEL,
        ),
    ] = 1
    sum_precision: Annotated[
        PrecisionName, typer.Option(help="Precision of sums over the data.", rich_help_panel=_PANEL)
    ] = PrecisionName.FLOAT32
    kept_precision: Annotated[
        PrecisionName, typer.Option(help="Precision of what is kept.", rich_help_panel=_PANEL)
    ] = PrecisionName.FLOAT32

    def settings(self, seed: int = 0) -> "FactorSettings":
        """What the factors depend on."""
        from ..provenance.influence import (
            MLP_MODULES,
            FactorSettings,
            Fisher,
            Precision,
            Strategy,
        )

        return FactorSettings(
            strategy=Strategy(self.strategy.value),
            fisher=Fisher(self.fisher.value),
            modules=tuple(self.modules or MLP_MODULES),
            blocks=self.blocks,
            seed=seed,
            sum_precision=Precision(self.sum_precision.value),
            kept_precision=Precision(self.kept_precision.value),
        )

    def cutting(self, batch_tokens: int) -> "Cutting":
        """How the work is cut up."""
        from ..provenance.influence import Cutting

        return Cutting(
            batch_positions=batch_tokens,
            data_parts=self.data_parts,
            module_parts=self.module_parts,
        )


says_how_to_fit = takes(FactorUse, "how")
