"""`bookplate palimpsest`: does a model descend from my training run?"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import Alpha, AsJson, References, Report, Seed, SuspectName
from .output import working
from .questions_commands import of_transcript
from .reaching import Reached, reach, reaches_models

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


app.command("questions")(of_transcript)


@app.command("query")
@reaches_models
def query(
    transcript: Annotated[Path, typer.Argument(help="Parquet or jsonl: step, and text or tokens.")],
    suspect: SuspectName,
    reference: References = None,
    statistic: Annotated[
        StatisticName | None,
        typer.Option(help="Default: residual with references, likelihood without."),
    ] = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
    *,
    how: Reached,
) -> None:
    """Correlate a model's likelihood of your training sequences with your training order."""
    from ..provenance.palimpsest import QueryStatistic, Transcript, query_test
    from .reporting import accounts_of, conclude, refuse_unfit

    refuse_unfit(report, alpha, seed)
    order = Transcript.read(transcript)
    model, references = reach(suspect, reference or [], how)
    chosen = None if statistic is None else QueryStatistic(statistic.value)
    with working(f"scoring {suspect}"):
        finding = query_test(order, model, references=references, statistic=chosen, seed=seed)
    accounts = accounts_of((model, *references))
    conclude(suspect, [finding], report, alpha=alpha, as_json=as_json, attachments=accounts)
