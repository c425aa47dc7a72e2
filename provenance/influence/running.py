"""A whole run: queries asked, documents chosen and scored, and everything about it written into one folder.

RUN/scores.parquet   a row per query and document: query, document, influence, tokens, self_influence,
source, stratum and tfidf
RUN/index.html       the page to read
RUN/run.json         what was run on what, with digests
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...errors import InsufficientEvidence, InvalidInput
from ...files import canonical_json, new_file, read_json, sha256_of_file
from ...stats import Input
from .choosing import NextCandidates
from .corpus import Corpus
from .curvature import Damping, Factors, Progress
from .documents import DocumentScores, explain_documents, score_documents
from .page import (
    FitSettings,
    InfluencePage,
    QueryText,
    ShownDocument,
    shown_candidates,
    write_page,
)
from .prompts import Prompt, tokenised
from .results import InfluenceScores
from .scores import Queries
from .sequences import TokenSequence
from .tail import PowerLaw, fit_power_law
from .tfidf import Chosen, Filtered, FilterSettings, candidates_of, filter_recall, tfidf_filter
from .tfidf.frequencies import document_frequencies
from .workers import Workers

__all__ = ["FinishedRun", "Run", "RunSummary", "read_next", "read_run", "run", "write_next"]

SCORES, PAGE, RECORD = "scores.parquet", "index.html", "run.json"
_FORMAT, _VERSION = "bookplate influence run", 1
_MOST_INFLUENTIAL = 100  # whose recall is estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is run.

    Attributes:
        model: A causal language model.
        tokenizer: Its fast tokenizer.
        identity: Name and digest of both.
        factors: Its curvature.
        prompts: The queries.
        corpus: The documents.
        length: Tokens of a window, as the model was trained.
        filtering: What the filter keeps; None scores every document.
        only: Ids of the only documents that are scored, with why each was chosen; or None. There is no filter
            then.
        seed: Of the filter's random sample and of what a page draws at random.
        damping: What is added to the curvature.
        query_rank: Rank that queries are cut down to, or None.
        training_size: N, or None for as many sequences as the curvature was fitted on.
        self_influence: Whether it is computed too.
        source_column: Column that says where a document comes from, or None.
        batch_positions: Positions that a batch may be padded to.
    """

    model: Any
    tokenizer: Any
    identity: Input
    factors: Factors
    prompts: tuple[Prompt, ...]
    corpus: Corpus
    length: int
    filtering: FilterSettings | None = None
    only: Mapping[str, str] | None = None
    seed: int = 0
    damping: Damping = field(default_factory=Damping)
    query_rank: int | None = None
    training_size: int | None = None
    self_influence: bool = False
    source_column: str | None = None
    batch_positions: int = 4096

    def record(self) -> dict[str, Any]:
        """All that decides the scores, as JSON."""
        files = {path.name: sha256_of_file(path) for path in self.corpus.files()}
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "model": asdict(self.identity),
            "factors": self.factors.settings.as_json(),
            "fitted_on": asdict(self.factors.data),
            "queries": [asdict(prompt) for prompt in self.prompts],
            "corpus": {
                "files": files,
                "column": self.corpus.column,
                "id_column": self.corpus.id_column,
            },
            "length": self.length,
            "filter": None if self.filtering is None else asdict(self.filtering),
            "only": None if self.only is None else dict(self.only),
            "seed": str(self.seed),
            "damping": asdict(self.damping),
            "query_rank": self.query_rank,
            "training_size": self.training_size or self.factors.data.n_examples,
            "self_influence": self.self_influence,
            "source_column": self.source_column,
        }


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
        sources = _sources(what, documents)
        recall = () if filtered is None else tuple(_recall(scores, c) for c in filtered.queries)
        table = _table(scores, filtered, what.only, sources)
        page = _page(what, asked, documents, scores, filtered, recall, sources, created, command)
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
    if what.filtering is not None and what.only is None:
        counted = document_frequencies(source, what.filtering)
        if counted.read.n_documents > what.filtering.k:
            filtered = tfidf_filter(
                source, queries, seed=what.seed, settings=what.filtering, frequencies=counted
            )
            return filtered, candidates_of(source, filtered), filtered.n_short
    found: list[tuple[int, tuple[int, ...]]] = []
    n = 0
    for batch in source:
        for row in range(len(batch)):
            tokens = batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]
            if tokens.size > 1:
                found.append((batch.first + row, tuple(tokens.tolist())))
        n += len(batch)
    names = source.ids(np.array([position for position, _ in found], np.int64))
    documents = [TokenSequence(i, tokens) for i, (_, tokens) in zip(names, found, strict=True)]
    if what.only is not None:
        documents = _named(documents, what.only)
    return None, documents, n - len(found)


def _named(documents: list[TokenSequence], only: Mapping[str, str]) -> list[TokenSequence]:
    kept = [document for document in documents if document.id in only]
    missing = only.keys() - {document.id for document in kept}
    if missing:
        raise InvalidInput(
            f"{len(missing):,} of {len(only):,} documents to be scored are not there, or have no two tokens, "
            f"e.g. {min(missing)!r}",
            "name the column of ids with --id-column",
        )
    return kept


def _sources(what: Run, documents: list[TokenSequence]) -> Mapping[str, str]:
    """Where each scored document comes from, by id; empty if nobody says."""
    if what.source_column is None:
        return {}
    corpus = what.corpus
    n = sum(len(batch) for batch in corpus.documents())
    every = np.arange(n)
    names = corpus.documents().ids(every)
    wanted = {document.id for document in documents}
    found = zip(names, corpus.column_at(every, what.source_column), strict=True)
    return {name: source for name, source in found if name in wanted}


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


def _page(
    what: Run,
    asked: Queries,
    documents: list[TokenSequence],
    scores: DocumentScores,
    filtered: Filtered | None,
    recall: tuple[str, ...],
    sources: Mapping[str, str],
    created: str,
    command: str,
) -> InfluencePage:
    held = _explained(what, asked, documents, scores)
    shown = shown_candidates(held)
    look = _Looks(what.tokenizer, documents, filtered, sources)
    settings = what.factors.settings
    damping = what.damping
    return InfluencePage(
        title=f"Influence on {what.identity.name}",
        created=created,
        command=command,
        settings=FitSettings(
            model=what.identity.name,
            model_sha256=what.identity.sha256,
            strategy=settings.strategy,
            fisher=settings.fisher,
            damping=damping.factor if damping.absolute is None else damping.absolute,
            blocks=settings.blocks,
            dtype=str(next(what.model.parameters()).dtype).removeprefix("torch."),
            query_rank=what.query_rank,
            fitted_on=what.factors.data.n_examples,
        ),
        scores=held,
        queries=tuple(
            QueryText(
                id=prompt.id,
                prompt=prompt.prompt,
                completion=prompt.completion,
                tail=_tail(row, what.seed),
            )
            for prompt, row in zip(what.prompts, scores.pairwise, strict=True)
        ),
        documents=tuple(
            tuple(look.of(number, candidate) for candidate in some)
            for number, some in enumerate(shown)
        ),
        recall=tuple(f"Query {q}: {text}" for q, text in zip(scores.queries, recall, strict=False)),
        warnings=()
        if damping.absolute is None
        else (
            "Damping was given as a number for all layers, not as a share of the mean eigenvalue.",
        ),
    )


def _explained(
    what: Run, asked: Queries, documents: list[TokenSequence], scores: DocumentScores
) -> InfluenceScores:
    """The scores, with the parts of tokens and layers of those documents that a page shows."""
    n_queries, n = scores.pairwise.shape
    bare = InfluenceScores(
        queries=scores.queries,
        candidates=scores.documents,
        pairwise=scores.pairwise,
        training_size=scores.training_size,
        modules=tuple(tracked.name for tracked in asked.modules),
        self_influence=scores.own,
    )
    shown = sorted({row for some in shown_candidates(bare) for row in some})
    if not shown:
        return bare
    parts = explain_documents(
        asked,
        [documents[row] for row in shown],
        length=what.length,
        batch_positions=what.batch_positions,
    )
    by_token = [np.zeros((n_queries, 0), np.float32)] * n
    by_module = np.zeros((n_queries, n, len(bare.modules)), np.float32)
    for place, row in enumerate(shown):
        by_token[row] = (parts.by_token or ())[place]
        if parts.by_module is not None:
            by_module[:, row] = parts.by_module[:, place]
    return replace(bare, by_token=tuple(by_token), by_module=by_module)


def _tail(row: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> PowerLaw | None:
    try:
        return fit_power_law(row, seed=seed)
    except (InsufficientEvidence, InvalidInput):
        return None  # too few documents for a tail


class _Looks:
    """Documents as a page shows them."""

    def __init__(
        self,
        tokenizer: Any,
        documents: list[TokenSequence],
        filtered: Filtered | None,
        sources: Mapping[str, str],
    ) -> None:
        self._decode: Callable[..., str] = tokenizer.decode
        self._documents, self._sources = documents, sources
        self._found: list[dict[str, tuple[str, int | None]]] = [
            {
                name: (stratum, rank if stratum == "top" else None)
                for stratum, members, _ in chosen.strata()
                for rank, name in enumerate(members.ids, start=1)
            }
            for chosen in (() if filtered is None else filtered.queries)
        ]

    def of(self, query: int, candidate: int) -> ShownDocument:
        """A document, shown for a query."""
        document = self._documents[candidate]
        stratum, rank = "", None
        if self._found:
            stratum, rank = self._found[query].get(document.id, ("", None))
        return ShownDocument(
            candidate=candidate,
            tokens=tuple(self._decode([token]) for token in document.tokens),
            source=self._sources.get(document.id, ""),
            stratum=stratum,
            tfidf_rank=rank,
        )


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run on disk.

    Attributes:
        table: What `scores.parquet` holds.
        record: What `run.json` holds.
        inputs: Digests of both.
    """

    table: pl.DataFrame
    record: Mapping[str, Any]
    inputs: tuple[Input, ...]


def read_run(folder: Path) -> FinishedRun:
    """A run's scores, held against its record.

    Raises:
        InvalidInput: If the folder holds no run of this version, or the scores were changed.
    """
    record = read_json(folder / RECORD, "the record of an influence run")
    if record.get("format") != _FORMAT or record.get("version") != _VERSION:
        raise InvalidInput(
            f"{folder / RECORD}: expected '{_FORMAT}' version {_VERSION}",
            "give the folder that 'bookplate influence score' made",
        )
    path = folder / SCORES
    try:
        digest = sha256_of_file(path)
        files = record["files"]
        if not isinstance(files, dict) or digest != files.get(SCORES):
            raise InvalidInput(f"{path}: has changed since it was written", "score again")
        with path.open("rb") as file:
            table = pl.read_parquet(file)
    except (OSError, KeyError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}", "score again") from error
    inputs = (
        Input(name=f"{folder.name}/{RECORD}", sha256=sha256_of_file(folder / RECORD)),
        Input(name=f"{folder.name}/{SCORES}", sha256=digest),
    )
    return FinishedRun(table, record, inputs)


def write_next(path: Path, chosen: NextCandidates) -> None:
    """Write which documents are to be scored next: a parquet file with columns id and why.

    Raises:
        InvalidInput: If it exists already, or cannot be written.
    """
    ids = [*chosen.greedy, *chosen.explored]
    why = ["predicted"] * len(chosen.greedy) + ["explored"] * len(chosen.explored)
    with new_file(path) as staged, staged.open("wb") as file:
        pl.DataFrame({"id": ids, "why": why}).write_parquet(file)


def read_next(path: Path) -> dict[str, str]:
    """Why each of some documents is to be scored, by id.

    Raises:
        InvalidInput: If the file is not what `write_next` wrote.
    """
    try:
        with path.open("rb") as file:
            table = pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InvalidInput(f"{path}: cannot be read: {str(error).partition(chr(10))[0]}") from error
    if table.schema != pl.Schema({"id": pl.String, "why": pl.String}) or not table.height:
        raise InvalidInput(
            f"{path}: expected columns id and why, both texts",
            "give the file that 'bookplate influence next' made",
        )
    return dict(zip(table["id"].to_list(), table["why"].to_list(), strict=True))
