"""A whole run: queries asked, documents chosen and scored, and everything about it written into one folder.

RUN/scores.parquet   a row per query and document: query, document, influence, tokens, self_influence,
source, stratum and tfidf
RUN/index.html       the page to read
RUN/run.json         what was run on what, with digests
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...files import canonical_json, sha256_of_file
from .curvature import Progress
from .documents import DocumentScores, score_documents
from .page import write_page
from .presenting import page_of
from .prompts import tokenised
from .records import PAGE, RECORD, SCORES
from .request import Run
from .scores import Queries
from .sequences import TokenSequence
from .tfidf import Chosen, Filtered, candidates_of, filter_recall, tfidf_filter
from .tfidf.frequencies import document_frequencies
from .workers import Workers

__all__ = ["RunSummary", "run"]

_MOST_INFLUENTIAL = 100  # whose recall is estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What came of a run.

    Attributes:
        scores: The scores.
        filtered: What the filter chose; None if every document was scored.
        recall: For each query what the filter may have hidden, in words.
        n_short: Documents of fewer than two tokens, which have no influence.
    """

    scores: DocumentScores
    filtered: Filtered | None
    recall: tuple[str, ...]
    n_short: int


def run(
    what: Run,
    folder: Path,
    *,
    created: str,
    command: str,
    progress: Progress = lambda what, done, total: None,
) -> RunSummary:
    """Score documents and write the folder of the run; the same call takes up one that was killed.

    Args:
        what: What is run.
        folder: Folder to make.
        created: When, RFC 3339.
        command: The command that makes it.
        progress: Told how far it is.

    Raises:
        InvalidInput: If something does not fit, or the folder exists.
    """
    queries = tokenised(what.prompts, what.tokenizer)
    record = what.record()
    workers = Workers.here()
    with workers.together(), workers.new_folder(folder, record) as (whole, parts):
        progress("filter", 0, 1)
        filtered, documents, n_short = _chosen(what, queries)
        sources = _sources(what, documents)
        _refuse_changed(what, record)
        progress("filter", 1, 1)
        asked = Queries.prepare(
            what.model,
            what.factors,
            queries,
            damping=what.damping,
            rank=what.query_rank,
            training_size=what.training_size,
            batch_positions=what.batch_positions,
            progress=progress,
        )
        scores = score_documents(
            asked,
            documents,
            length=what.length,
            parts=parts,
            self_influence=what.self_influence,
            batch_positions=what.batch_positions,
            progress=progress,
        )
        recall = () if filtered is None else tuple(_recall(scores, c) for c in filtered.queries)
        table = _table(scores, filtered, what.only, sources)
        page = page_of(what, asked, documents, scores, filtered, recall, sources, created, command)
        if whole is not None:
            with (whole / SCORES).open("wb") as file:
                table.write_parquet(file)
            write_page(whole / PAGE, page)
            digests = {name: sha256_of_file(whole / name) for name in (SCORES, PAGE)}
            written = canonical_json({**record, "files": digests, "created": created})
            (whole / RECORD).write_bytes(written + b"\n")
    return RunSummary(scores=scores, filtered=filtered, recall=recall, n_short=n_short)


def _chosen(
    what: Run, queries: list[TokenSequence]
) -> tuple[Filtered | None, list[TokenSequence], int]:
    """The documents that are scored, all if the filter would keep all, and how many are too short."""
    source = what.corpus.documents()
    if what.only is not None:
        return None, *_named(what, what.only)
    if what.filtering is not None:
        counted = document_frequencies(source, what.filtering)
        if counted.read.n_documents > what.filtering.k:
            filtered = tfidf_filter(
                source, queries, seed=what.seed, settings=what.filtering, frequencies=counted
            )
            documents = candidates_of(source, filtered)
            # One of them may have the id of a document that was not chosen.
            what.corpus.positions_of({document.id for document in documents})
            return filtered, documents, filtered.n_short
    return None, *_read(what, None)


def _read(what: Run, positions: NDArray[np.int64] | None) -> tuple[list[TokenSequence], int]:
    """Documents at some positions, or all, and how many of them are too short; some 40 bytes per token."""
    source = what.corpus.documents()
    found: list[tuple[int, tuple[int, ...]]] = []
    n = 0
    for batch in source:
        end = batch.first + len(batch)
        rows: Iterable[int] = range(len(batch))
        if positions is not None:
            low, high = np.searchsorted(positions, (batch.first, end))
            rows = (positions[low:high] - batch.first).tolist()
        for row in rows:
            n += 1
            tokens = batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]
            if tokens.size > 1:
                found.append((batch.first + row, tuple(tokens.tolist())))
    names = source.ids(np.array([position for position, _ in found], np.int64))
    documents = [TokenSequence(i, tokens) for i, (_, tokens) in zip(names, found, strict=True)]
    return documents, n - len(found)


def _named(what: Run, only: Mapping[str, str]) -> tuple[list[TokenSequence], int]:
    positions = what.corpus.positions_of(only)
    if positions.size < len(only):
        missing = only.keys() - set(what.corpus.documents().ids(positions))
        raise InvalidInput(
            f"{len(missing):,} of {len(only):,} documents to be scored are not there, e.g. {min(missing)!r}",
            "name the column of ids with --id-column",
        )
    return _read(what, positions)


def _refuse_changed(what: Run, record: Mapping[str, Any]) -> None:
    """The corpus was read several times: were it another one meanwhile, ids would not fit texts."""
    if what.corpus.digests() != record["corpus"]["files"]:
        raise InvalidInput(
            f"{what.corpus.path}: has changed while it was read", "let nobody write to it meanwhile"
        )


def _sources(what: Run, documents: list[TokenSequence]) -> Mapping[str, str]:
    """Where each scored document comes from, by id; empty if nobody says."""
    if what.source_column is None:
        return {}
    corpus = what.corpus
    positions = corpus.positions_of({document.id for document in documents})
    names = corpus.documents().ids(positions)
    found = zip(names, corpus.column_at(positions, what.source_column), strict=True)
    return {name: source or "" for name, source in found}


def _recall(scores: DocumentScores, chosen: Chosen) -> str:
    """What the filter may have hidden for a query, in words."""
    row = scores.pairwise[scores.queries.index(chosen.query)]
    column = {name: number for number, name in enumerate(scores.documents)}
    top, random = (
        [float(row[column[name]]) for name in members.ids]
        for members in (chosen.top, chosen.random)
    )
    if not top:
        return "No document shares a term with the query: the filter's top is empty."
    m = min(_MOST_INFLUENTIAL, len(top))
    # So that all queries' intervals hold at once with 95 % (Bonferroni).
    return filter_recall(
        top, random, n_outside=chosen.n_outside, m=m, confidence=1 - 0.05 / len(scores.queries)
    ).explained()


def _table(
    scores: DocumentScores,
    filtered: Filtered | None,
    only: Mapping[str, str] | None,
    sources: Mapping[str, str],
) -> pl.DataFrame:
    n_queries, n = scores.pairwise.shape
    own = np.full(n, np.nan) if scores.own is None else scores.own
    table = pl.DataFrame(
        {
            "query": np.repeat(np.array(scores.queries, object), n),
            "document": list(scores.documents) * n_queries,
            "influence": scores.pairwise.ravel(),
            "tokens": np.tile(scores.n_scored, n_queries),
            "self_influence": np.tile(own, n_queries),
            "source": [sources.get(name, "") for name in scores.documents] * n_queries,
        },
        schema_overrides={"query": pl.String},
    ).with_columns(pl.col("self_influence").fill_nan(None))
    if filtered is None:
        strata = ["all" if only is None else only[name] for name in scores.documents]
        return table.with_columns(
            stratum=pl.Series(strata * n_queries, dtype=pl.String), tfidf=pl.lit(None, pl.Float64)
        )
    chosen = filtered.frame().select("query", document="id", stratum="stratum", tfidf="score")
    joined = table.join(chosen, on=["query", "document"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("stratum").fill_null("of another query"))
