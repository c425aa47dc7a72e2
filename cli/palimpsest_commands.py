"""`bookplate palimpsest`: does a model descend from my training run?"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .output import print_finding, print_json, quiet_libraries, working

app = typer.Typer(
    help="Test whether a model descends from your training run.", no_args_is_help=True
)


class StatisticName(StrEnum):
    """The values of --statistic."""

    LIKELIHOOD = "likelihood"
    DIFFERENCE = "difference"
    RESIDUAL = "residual"


@app.callback()
def group() -> None:
    """Test whether a model descends from your training run."""


@app.command("query")
def query(
    transcript: Annotated[Path, typer.Argument(help="Parquet or jsonl: step, and text or tokens.")],
    suspect: Annotated[
        str, typer.Option(help="Model folder (safetensors), or owner/model on the hub.")
    ],
    reference: Annotated[
        list[str] | None, typer.Option(help="Model trained without this order; may be repeated.")
    ] = None,
    statistic: Annotated[
        StatisticName | None,
        typer.Option(help="Default: residual with references, likelihood without."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Also write report.json and report.html here.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Threshold for the report's verdict, fixed in advance.")
    ] = 0.01,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Correlate a model's likelihood of your training sequences with your training order."""
    from ..provenance.palimpsest import QueryStatistic, Transcript, query_test
    from ..provenance.suspect import open_suspect
    from .reporting import audit_of_one, refuse_existing, write_report

    refuse_existing(report)
    order = Transcript.read(transcript)
    quiet_libraries()
    with working(f"scoring {suspect}"):
        finding = query_test(
            order,
            open_suspect(suspect, device=device),
            references=[open_suspect(name, device=device) for name in reference or []],
            statistic=None if statistic is None else QueryStatistic(statistic.value),
            seed=seed,
        )
    if report is not None:
        write_report(audit_of_one(suspect, finding, alpha), report)
    print_json(finding.to_dict()) if as_json else print_finding(finding)
