"""Options that several commands share, each said once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Alpha",
    "AsJson",
    "Committed",
    "Device",
    "IdColumn",
    "Recipients",
    "References",
    "Report",
    "Seed",
    "SuspectName",
    "TextColumn",
    "TierName",
]


class TierName(StrEnum):
    """The values of --tier; the library's own enumeration would cost its import at start-up."""

    STRICT = "strict"
    STANDARD = "standard"
    BROAD = "broad"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SuspectName = Annotated[
    str,
    typer.Option(
        "--suspect",
        help="Model folder (safetensors), owner/model on the Hugging Face hub, https://host/v1#model (an "
        "OpenAI-compatible endpoint), or a .parquet file of recorded answers.",
    ),
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--reference", help="Model that cannot have seen the release or the order; may be repeated."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the random draws.")]
Report = Annotated[
    Path | None, typer.Option(help="Also write report.json and report.html into this new folder.")
]
Alpha = Annotated[float, typer.Option(help="Threshold of the report's verdict, fixed in advance.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
IdColumn = Annotated[str | None, typer.Option(help="Column (or key) of the dataset's own ids.")]
TextColumn = Annotated[str, typer.Option(help="Column (or key) that holds the text.")]
Recipients = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        help="Was it this recipient's copy? May be repeated; needs the owner's --key, and any copy's "
        "manifest.",
    ),
]
Committed = Annotated[
    list[Path] | None,
    typer.Option(
        "--committed",
        help="release.json that was published with a recipient's copy: shows that the name was fixed by "
        "then. May be repeated; every recipient needs one, if any is given.",
    ),
]
