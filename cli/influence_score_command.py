"""`bookplate influence score`: documents ranked by their influence on queries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .influence_options import ModelUse, ProgressShown, Texts, load_model, processes, uses_model
from .options import AsJson, IdColumn, Seed, TextColumn
from .output import print_json, print_note, print_rows, print_table, working

if TYPE_CHECKING:
    from ..provenance.influence.running import RunSummary

__all__ = ["register"]

_SHOWN = 5  # documents per query on the terminal


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("score")(score)


@uses_model
def score(
    model: Annotated[
        str,
        typer.Argument(help="The model that the factors were fitted on: folder, or owner/model."),
    ],
    factors: Annotated[Path, typer.Argument(help="Folder that 'fit' made.")],
    queries: Annotated[
        Path,
        typer.Argument(
            help=".jsonl or .parquet with columns prompt and completion, and id if you like: what the model "
            "said, and to what."
        ),
    ],
    texts: Texts,
    out: Annotated[Path, typer.Argument(help="Folder for the run; the same call goes on in it.")],
    training_size: Annotated[
        int | None,
        typer.Option(
            help="Sequences that the model was trained on: sets the scores' unit. Default: as many as the "
            "factors were fitted on."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Score every document: no filter.")] = False,
    only: Annotated[
        Path | None, typer.Option(help="Score no other documents than 'next' chose: its file.")
    ] = None,
    top: Annotated[
        int, typer.Option(help="Documents that the TF-IDF filter keeps for each query.")
    ] = 10_000,
    random: Annotated[
        int,
        typer.Option(help="Documents drawn at random, which tell what the filter may have hidden."),
    ] = 1_000,
    bottom: Annotated[
        int, typer.Option(help="Documents that share least with the query, scored too.")
    ] = 100,
    damping: Annotated[
        float, typer.Option(help="Added to the curvature, as a multiple of its mean eigenvalue.")
    ] = 0.1,
    query_rank: Annotated[
        int | None,
        typer.Option(help="Cut the queries down to this rank (32 in the paper): less memory."),
    ] = None,
    self_influence: Annotated[
        bool, typer.Option("--self", help="The documents' influence on themselves, too.")
    ] = False,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    source_column: Annotated[
        str | None, typer.Option(help="Column that says where a document comes from.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    use: ModelUse,
) -> None:
    """Say for each query which documents made it more likely, and by how much; writes index.html.

    A score is the change of the completion's log-probability, in nats, if the document had counted twice in
    training. It is an approximation, and no proof that a document was trained on. 'bookplate influence plan'
    says before how much time and memory it takes. Several processes: torchrun --no-python --nproc-per-node N
    bookplate influence score ...
    """
    from ..provenance.influence import Damping, Factors
    from ..provenance.influence.corpus import Corpus
    from ..provenance.influence.prompts import read_prompts
    from ..provenance.influence.records import PAGE, read_next
    from ..provenance.influence.request import Run
    from ..provenance.influence.running import run
    from ..provenance.influence.tfidf import FilterSettings
    from .reporting import now, refuse_unfit, repeat_command

    refuse_unfit(out, seed=seed)
    if training_size is not None and training_size < 1:
        raise InvalidInput(f"--training-size: expected at least 1, got {training_size}")
    if use.batch_tokens < 1:
        raise InvalidInput(f"--batch-tokens: expected at least 1, got {use.batch_tokens}")
    if every and only is not None:
        raise InvalidInput("--all, --only: give one of them")
    prompts = read_prompts(queries)
    strength = Damping(factor=damping)
    filtering = None if every else FilterSettings(k=top, n_random=random, n_bottom=bottom)
    with working("reading the factors"):
        fitted = Factors.read(factors)
        loaded = load_model(model, use)
        fitted.modules_of(loaded.model)
    what = Run(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        identity=loaded.identity,
        factors=fitted,
        prompts=prompts,
        corpus=Corpus.of_texts(texts, text_column, id_column, model),
        length=use.window(loaded.model),
        filtering=filtering,
        only=None if only is None else read_next(only),
        seed=seed,
        damping=strength,
        query_rank=query_rank,
        training_size=training_size,
        self_influence=self_influence,
        source_column=source_column,
        batch_positions=use.batch_tokens,
    )
    with processes() as rank, working("scoring"):
        summary = run(what, out, created=now(), command=repeat_command(), progress=ProgressShown())
    if rank:
        return
    if training_size is None:
        print_note(
            f"Without --training-size scores are of a training of {fitted.data.n_examples:,} sequences, as "
            "many as the factors were fitted on."
        )
    if as_json:
        print_json(_as_json(summary, out))
        return
    for number, query in enumerate(summary.scores.queries):
        print_table(
            (f"query {query}", "nats"),
            [(name, f"{value:+.3g}") for name, value in _best(summary, number)],
        )
    print_rows([
        ("scored", f"{len(summary.scores.documents):,} documents"),
        *([("too short", f"{summary.n_short:,} documents")] if summary.n_short else []),
        *(
            ("filter", f"{q}: {text}")
            for q, text in zip(summary.scores.queries, summary.recall, strict=False)
        ),
        ("read", str(out / PAGE)),
    ])


def _best(summary: "RunSummary", query: int) -> list[tuple[str, float]]:
    row = summary.scores.pairwise[query]
    order = (-row).argsort(kind="stable")[:_SHOWN]
    return [(summary.scores.documents[column], float(row[column])) for column in order]


def _as_json(summary: "RunSummary", out: Path) -> dict[str, Any]:
    return {
        "folder": str(out),
        "documents": len(summary.scores.documents),
        "documents_too_short": summary.n_short,
        "filtered": summary.filtered is not None,
        "training_size": summary.scores.training_size,
        "queries": [
            {
                "id": query,
                "filter": summary.recall[number] if summary.recall else None,
                "top": [
                    {"document": name, "influence_nats": value}
                    for name, value in _best(summary, number)
                ],
            }
            for number, query in enumerate(summary.scores.queries)
        ],
    }
