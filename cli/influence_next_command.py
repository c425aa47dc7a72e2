"""`bookplate influence next`: which documents to score next, guessed from those that were scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .influence_options import Texts
from .options import AsJson, IdColumn, Seed, TextColumn
from .output import effect_line, print_json, print_note, print_rows, working

if TYPE_CHECKING:
    import polars as pl

__all__ = ["register"]

_AT_RANDOM = ("all", "random", "explored")  # strata that stand for the corpus


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("next")(next_documents)


def next_documents(
    texts: Texts,
    out: Annotated[Path, typer.Argument(help="Parquet file to make, for 'score --only'.")],
    runs: Annotated[
        list[Path],
        typer.Option("--run", help="Folder that 'score' made; may be repeated for later rounds."),
    ],
    n: Annotated[int, typer.Option("--n", help="Documents to choose.")] = 1_000,
    explore: Annotated[
        float, typer.Option(help="Share of them that is drawn at random: it measures the guesses.")
    ] = 0.2,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Learn from scored documents what influence looks like, and rank all others of a corpus by it.

    The learner is a ridge regression on words and length: quick, and no substitute for scores. It says how
    well its guesses rank documents that it did not learn from.
    """
    import polars as pl

    from ..provenance.influence.choosing import choose_next
    from ..provenance.influence.corpus import Corpus
    from ..provenance.influence.records import read_run, refuse_mixed, write_next
    from ..provenance.influence.surrogate import fit_surrogate
    from .reporting import refuse_unfit

    refuse_unfit(out, seed=seed)
    if not runs:
        raise InvalidInput("--run: expected at least one run")
    finished = [read_run(folder) for folder in runs]
    corpus = Corpus(texts, text_column, id_column)
    refuse_mixed(finished, corpus)
    queries, names, influence, at_random = _columns(pl.concat([run.table for run in finished]))
    with working("learning"):
        scored = set(names)
        corpus.positions_of(scored)  # refuses ids of several documents
        held = {name: text for name, text in corpus.texts() if name in scored}
        if missing := sorted(scored - held.keys()):
            raise InvalidInput(
                f"{texts}: {len(missing):,} of {len(names):,} scored documents are not there, e.g. "
                f"{missing[0]!r}",
                "give the texts, and the columns, that were scored",
            )
        surrogate = fit_surrogate(
            [held[name] for name in names],
            influence,
            seed=seed,
            queries=queries,
            at_random=None if all(at_random) else at_random,
        )
    with working("ranking"):
        chosen = choose_next(surrogate, corpus.texts(), n, seed=seed, explore=explore, skip=scored)
    write_next(out, chosen)
    for warning in surrogate.warnings:
        print_note(warning)
    if as_json:
        print_json({
            "predicted": list(chosen.greedy),
            "explored": list(chosen.explored),
            "seen": chosen.n_seen,
            "held_out": {
                query: {"spearman": effect.value, "low": effect.low, "high": effect.high}
                for query, effect in zip(queries, surrogate.held_out, strict=True)
            },
            "warnings": list(surrogate.warnings),
        })
        return
    print_rows([
        *(
            (f"query {query}", effect_line(effect))
            for query, effect in zip(queries, surrogate.held_out, strict=True)
        ),
        ("chosen", f"{len(chosen.greedy):,} predicted, {len(chosen.explored):,} at random"),
        ("of", f"{chosen.n_seen:,} documents not scored yet"),
        ("file", str(out)),
    ])


def _columns(
    table: "pl.DataFrame",
) -> tuple[list[str], list[str], list[list[float]], list[bool]]:
    """Queries, documents, influence for each query, and which documents stand for the corpus.

    Raises:
        InvalidInput: If not every document was scored for every query, once.
    """
    import polars as pl

    queries = table["query"].unique(maintain_order=True).to_list()
    names = table["document"].unique(maintain_order=True).to_list()
    if table.height != len(queries) * len(names):
        raise InvalidInput(
            "--run: the runs do not hold each document once for the same queries",
            "score the documents of 'next' with the same file of queries",
        )
    place = {name: number for number, name in enumerate(names)}
    influence = []
    for query in queries:
        some = table.filter(pl.col("query") == query)
        row = [0.0] * len(names)
        for name, value in zip(some["document"], some["influence"], strict=True):
            row[place[name]] = value
        influence.append(row)
    drawn = set(table.filter(pl.col("stratum").is_in(_AT_RANDOM))["document"])
    return queries, names, influence, [name in drawn for name in names]
