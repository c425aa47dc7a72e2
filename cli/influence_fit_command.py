"""`bookplate influence fit`: the curvature of a model's loss, once for all queries."""

from pathlib import Path
from typing import Annotated

import typer

from .influence_factor_options import FactorUse, says_how_to_fit
from .influence_options import ModelUse, ProgressShown, Texts, load_model, processes, uses_model
from .options import AsJson, IdColumn, Seed, TextColumn
from .output import print_json, print_rows, working

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("fit")(fit)


@says_how_to_fit
@uses_model
def fit(
    model: Annotated[str, typer.Argument(help="Model folder (safetensors), or owner/model.")],
    texts: Texts,
    out: Annotated[
        Path, typer.Argument(help="Folder for the factors; the same call goes on in it.")
    ],
    sequences: Annotated[
        int, typer.Option(help="Sequences that are drawn at random from the texts, at most.")
    ] = 20_000,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    use: ModelUse,
    how: FactorUse,
) -> None:
    """Fit the curvature that 'score' inverts, on a sample of the documents that the model was trained on.

    'bookplate influence plan' says before how much time and memory it takes. Several processes:
    torchrun --no-python --nproc-per-node N bookplate influence fit ...
    """
    from ..provenance.influence import fit_factors
    from ..provenance.influence.corpus import Corpus
    from .reporting import refuse_unfit

    refuse_unfit(out, seed=seed)
    settings, cutting = how.settings(seed), how.cutting(use.batch_tokens)
    with working("reading the texts"):
        loaded = load_model(model, use)
        corpus = Corpus.of_texts(texts, text_column, id_column, model)
        drawn = corpus.draw(sequences, use.window(loaded.model), seed)
    with processes() as rank, working("fitting"):
        factors = fit_factors(
            loaded.model,
            drawn.sequences,
            out,
            settings=settings,
            cutting=cutting,
            progress=ProgressShown(),
        )
    if rank:
        return
    weights = sum(tracked.size for tracked in factors.modules_of(loaded.model))
    if as_json:
        print_json({
            "folder": str(out),
            "sequences": len(drawn.sequences),
            "sequences_in_texts": drawn.n_all,
            "tokens": factors.data.n_positions,
            "documents": drawn.n_documents,
            "documents_too_short": drawn.n_short,
            "layers": list(factors.layers),
            "weights": weights,
        })
        return
    print_rows([
        ("layers", f"{len(factors.layers):,} with {weights:,} weights"),
        ("fitted on", f"{len(drawn.sequences):,} of {drawn.n_all:,} sequences in {texts.name}"),
        ("folder", str(out)),
        (
            "next",
            f"bookplate influence score {model} {out} QUERIES {texts} OUT --training-size N, where N is the "
            f"number of sequences that the model was trained on ({drawn.n_all:,} if these are all)",
        ),
    ])
