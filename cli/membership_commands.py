"""`bookplate membership`: scores that tend to be higher for training texts, and dataset inference."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .embed_command import EngineName
from .options import (
    Alpha,
    AsJson,
    IdColumn,
    References,
    Report,
    Seed,
    SuspectName,
    TextColumn,
)
from .questions_commands import of_texts, record
from .reaching import Reached, reaches_models

app = typer.Typer(
    help="Score texts by how much a model treats them as training data.", no_args_is_help=True
)


app.command("questions")(of_texts)
app.command("record")(record)


@app.callback()
def group() -> None:
    """Score texts by how much a model treats them as training data."""


@app.command("score")
@reaches_models
def score(
    texts: Annotated[
        Path,
        typer.Argument(help="Texts: .parquet, .jsonl or .csv, the latter two also .gz or .zst."),
    ],
    suspect: SuspectName,
    how: Reached,
    reference: References = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--score",
            help="loss, perplexity, lower_case_ratio, zlib_ratio, min_k, max_k, min_k_plus_plus, "
            "recall, dc_pdd, reference_ratio or neighbourhood; may be repeated. Default: all that can be "
            "had.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Column (or key) with 1 for a known member and 0 for a known non-member: gives AUROC and "
            "TPR at 0.1, 1 and 5 % FPR."
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Texts held out at random from the same set and never published: test whether the "
            "model was trained on TEXTS (dataset inference)."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Test although words tell the two sets apart; proves nothing."
        ),
    ] = False,
    prefix: Annotated[
        Path | None, typer.Option(help="Texts that were not trained on, for recall.")
    ] = None,
    frequencies: Annotated[
        Path | None, typer.Option(help="A corpus of other texts to count tokens in, for dc_pdd.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(help="Neighbours of each text, for neighbourhood; 0: none.")
    ] = 0,
    share: Annotated[float, typer.Option(help="K of Min-K% and its kin, as a share.")] = 0.2,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the scores of every text to this new .parquet or .csv file."),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="local: this process scores. ray: those of the cluster that RAY_ADDRESS names; without it "
            "one is started here. Each worker loads the models."
        ),
    ] = EngineName.LOCAL,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --engine ray: number of processes; default 1.")
    ] = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
) -> None:
    """Score texts; with --labels, say how well; with --held-out, test."""
    from ..watermark.piecework import Engine
    from .membership_request import Request
    from .membership_run import run_inference, run_scores
    from .reporting import refuse_unfit

    refuse_unfit(report, alpha, seed)
    if held_out is None and (force or report is not None):
        option = "--force" if force else "--report"
        raise InvalidInput(
            f"{option} needs --held-out", "scores alone are no test, and have nothing to report"
        )
    if held_out is not None and labels is not None:
        raise InvalidInput("--labels and --held-out do not go together", "choose one of them")
    if workers is not None and engine is EngineName.LOCAL:
        raise InvalidInput("--workers goes with --engine ray", "leave it out, or name the engine")
    where = Engine(engine.value)
    request = Request(
        texts=texts,
        suspect=suspect,
        references=tuple(reference or ()),
        scores=None if scores is None else tuple(scores),
        labels=labels,
        prefix=prefix,
        frequencies=frequencies,
        neighbours=neighbours,
        share=share,
        text_column=text_column,
        id_column=id_column,
        out=out,
        seed=seed,
        how=how,
    )
    if held_out is None:
        run_scores(request, as_json=as_json, engine=where, workers=workers or 1)
    else:
        run_inference(
            request,
            held_out,
            force=force,
            report=report,
            alpha=alpha,
            as_json=as_json,
            engine=where,
            workers=workers or 1,
        )
