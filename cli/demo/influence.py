"""The demo's influence run: which of the claimant's documents stand behind what a model writes?"""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ...provenance.influence import Cutting, Factors, FactorSettings, fit_factors
from ...provenance.influence.corpus import Corpus
from ...provenance.influence.prompts import read_prompts
from ...provenance.influence.request import Run
from ...provenance.influence.running import run
from ..influence_options import ModelUse, load_model

__all__ = ["make_influence_run"]

_FITTED = 150  # sequences that the curvature is fitted on, at most
_SUBJECT = "probability density function"
_QUERIES = {  # what a model writes that has read much of SciPy's statistics
    "density": ("The probability density function for", " `norm` is:"),
    "standardised": ("The probability density above is defined in the", ' "standardized" form.'),
}


def make_influence_run(
    model: Path,
    texts: Sequence[str],
    folder: Path,
    *,
    documents: int,
    claimed: int,
    seed: int,
    created: str,
) -> None:
    """Score documents for what a model writes about probability densities.

    Claimed are documents that speak of them; their controls are others of the same source and similar length.

    Args:
        model: The model that was trained on the texts.
        texts: The released texts, in an order drawn at random.
        folder: Where to write documents, queries, claimed ids, factors and the run.
        documents: How many documents to score, at most.
        claimed: How many of them are claimed, at most.
        seed: Seed of the sample that the curvature is fitted on.
        created: Time of the run.
    """
    folder.mkdir()
    about = [text for text in texts if _SUBJECT in text][:claimed]
    others = [text for text in texts if _SUBJECT not in text][: documents - len(about)]
    ids = [f"scipy-{number}" for number in range(len(about) + len(others))]
    table = {"id": ids, "text": [*about, *others], "source": ["scipy"] * len(ids)}
    pl.DataFrame(table).write_parquet(folder / "documents.parquet")
    claimed_ids = "".join(f"{name}\n" for name in ids[: len(about)])
    (folder / "claimed.txt").write_text(claimed_ids, encoding="utf-8")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        for name, (prompt, completion) in _QUERIES.items():
            line = {"id": name, "prompt": prompt, "completion": completion}
            file.write(json.dumps(line) + "\n")
    use = ModelUse(device="cpu")
    loaded = load_model(str(model), use)
    corpus = Corpus.of_texts(folder / "documents.parquet", "text", "id", str(model))
    length = use.window(loaded.model)
    fit_factors(
        loaded.model,
        corpus.draw(_FITTED, length, seed).sequences,
        folder / "factors",
        settings=FactorSettings(seed=seed),
        cutting=Cutting(batch_positions=use.batch_tokens),
    )
    what = Run(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        identity=loaded.identity,
        factors=Factors.read(folder / "factors"),
        prompts=read_prompts(folder / "queries.jsonl"),
        corpus=corpus,
        length=length,
        source_column="source",
        batch_positions=use.batch_tokens,
    )
    run(what, folder / "run", created=created, command="bookplate demo")
