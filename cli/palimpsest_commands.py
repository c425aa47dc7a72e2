"""`bookplate palimpsest`: does a model descend from my training run?"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .advise_command import advise
from .dry_run import all_asked
from .options import Alpha, AsJson, References, Report, Seed
from .output import working
from .partition_command import partition
from .questions_commands import of_transcript
from .reaching import Reached, reach, reaches_models
from .recording_commands import register as register_recording
from .reshuffle_commands import register as register_reshuffle
from .transcript_options import OrderRead, reads_order

if TYPE_CHECKING:
    from ..provenance.palimpsest import Covariate, QueryStatistic, Transcript, Window
    from ..provenance.suspect import Suspect
    from ..stats import Finding

app = typer.Typer(
    help="Test whether a model descends from your training run.", no_args_is_help=True
)


class StatisticName(StrEnum):
    """The values of --statistic."""

    LIKELIHOOD = "likelihood"
    DIFFERENCE = "difference"
    RESIDUAL = "residual"


class CovariateName(StrEnum):
    """The values of --covariate."""

    LENGTH = "length"
    ZLIB = "zlib"
    RARITY = "rarity"
    NONE = "none"


@app.callback()
def group() -> None:
    """Test whether a model descends from your training run."""


app.command("questions")(of_transcript)
app.command("advise")(advise)
app.command("partition")(partition)
register_recording(app)
register_reshuffle(app)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The test, as it was fixed before any model was asked."""

    sequential: bool
    budget: int | None
    statistic: "QueryStatistic | None"
    covariates: "list[Covariate] | None"
    seed: int
    alpha: float

    def test(
        self,
        transcript: "Transcript",
        window: "Window",
        model: "Suspect",
        references: "Sequence[Suspect]",
    ) -> "Finding":
        """The finding on one model."""
        from ..provenance.palimpsest import query_sequentially, query_test

        if not self.sequential:
            return query_test(
                transcript,
                model,
                seed=self.seed,
                references=references,
                statistic=self.statistic,
                covariates=self.covariates,
                window=window,
            )
        found = query_sequentially(
            transcript,
            model,
            alpha=self.alpha,
            seed=self.seed,
            references=references,
            window=window,
            budget=self.budget,
        )
        cost = (
            f"{found.n_scored:,} of {found.n_sequences:,} sequences were asked about; the level was "
            f"{'reached' if found.reached else 'not reached'}."
        )
        return found.finding.about(warnings=(*found.finding.warnings, cost))


def _covariates(names: Sequence[CovariateName]) -> "list[Covariate]":
    from ..provenance.palimpsest import Covariate

    if CovariateName.NONE in names and len(names) > 1:
        raise InvalidInput("--covariate: 'none' goes with no other")
    return [Covariate(name.value) for name in names if name is not CovariateName.NONE]


@app.command("query")
@reads_order
@reaches_models
def query(
    transcript: Annotated[
        Path, typer.Argument(help="Parquet or jsonl, or a folder: step, and text or tokens.")
    ],
    suspect: Annotated[
        list[str],
        typer.Option(
            "--suspect",
            help="Model folder (safetensors), owner/model on the Hugging Face hub, https://host/v1#model, or "
            "a .parquet file of recorded answers; may be repeated.",
        ),
    ],
    reference: References = None,
    statistic: Annotated[
        StatisticName | None,
        typer.Option(help="Default: residual with references or covariates, else likelihood."),
    ] = None,
    covariate: Annotated[
        list[CovariateName] | None,
        typer.Option(
            help="What is regressed out of the likelihood beside the references; may be repeated. Default: "
            "length, where there are references."
        ),
    ] = None,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Ask about pairs of an early and a late sequence until the e-value reaches 1/alpha.",
        ),
    ] = False,
    budget: Annotated[
        int | None, typer.Option(help="Most sequences to ask about (--sequential only).")
    ] = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
    *,
    order: OrderRead,
    how: Reached,
) -> None:
    """Correlate models' likelihood of your training sequences with your training order."""
    from ..provenance.palimpsest import QueryStatistic
    from ..provenance.suspect import which_model
    from .reporting import accounts_of, conclude, distinct, refuse_unfit

    refuse_unfit(report, alpha, seed)
    if sequential and (statistic or covariate):
        raise InvalidInput("--statistic and --covariate do not go with --sequential")
    if budget is not None and not sequential:
        raise InvalidInput("--budget goes with --sequential")
    chosen = _Chosen(
        sequential=sequential,
        budget=budget,
        statistic=None if statistic is None else QueryStatistic(statistic.value),
        covariates=None if covariate is None else _covariates(covariate),
        seed=seed,
        alpha=alpha / len(suspect),  # Holm asks this of the first of several
    )
    read, window = order.read(transcript, seed), order.window()
    named = [*suspect, *(reference or [])]
    first, references = reach(suspect[0], reference or [], how, named=named)
    models = [first, *(reach(name, [], how, named=named)[0] for name in suspect[1:])]
    if len(set(map(which_model, models))) < len(models):
        raise InvalidInput("--suspect: the same model is named twice")
    findings, accounts = [], []
    for name, model in zip(suspect, models, strict=True):
        with working(f"scoring {name}"):
            findings.append(chosen.test(read, window, model, references))
        accounts += accounts_of((model, *references))
    all_asked()
    conclude(
        suspect,
        findings,
        report,
        alpha=alpha,
        as_json=as_json,
        labels=suspect if len(suspect) > 1 else (),
        attachments=distinct(accounts),
    )
