"""Influence of whole documents, in parts that a killed run takes up again.

A document longer than a sequence is cut into windows as in training; its loss is the sum over them, and so is
its influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from .curvature import Progress
from .results import InfluenceScores
from .scores import Queries, Wanted
from .sequences import TokenSequence, windows
from .workers import Workers

__all__ = ["DocumentScores", "explain_documents", "score_documents"]

_PER_PART = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentScores:
    """Influence of documents on queries, in nats; see `InfluenceScores`.

    Attributes:
        queries: Ids of the queries; Q of them.
        documents: Ids of the documents; D of them.
        pairwise: Shape (Q, D).
        own: The documents' influence on themselves, window by window, shape (D,); None if not asked for.
        n_scored: Tokens of each document whose loss counts, shape (D,).
        training_size: N.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    pairwise: NDArray[np.float64]
    own: NDArray[np.float64] | None
    n_scored: NDArray[np.int64]
    training_size: int


def score_documents(
    asked: Queries,
    documents: Sequence[TokenSequence],
    *,
    length: int,
    parts: Path | None = None,
    self_influence: bool = False,
    batch_positions: int = 4096,
    progress: Progress = lambda what, done, total: None,
) -> DocumentScores:
    """Score documents, a thousand at a time.

    Args:
        asked: The queries.
        documents: Documents of any length, each with an id of its own.
        length: Tokens of a window, as the model was trained.
        parts: Folder in which finished thousands are kept and found again; None keeps none. Only the leader
            needs it.
        self_influence: Whether it is computed too.
        batch_positions: Positions that a batch may be padded to.
        progress: Told how far it is.

    Raises:
        InvalidInput: If there are no documents, one has fewer than two tokens, or two have one id.
    """
    _refuse_unfit(documents, length)
    workers = Workers.here()
    wanted = Wanted(self_influence=self_influence)
    found = []
    for begin in range(0, len(documents), _PER_PART):
        progress("documents", begin, len(documents))
        some = documents[begin : begin + _PER_PART]
        file = None if parts is None else parts / f"documents-{begin:09}.npz"
        with workers.together():
            found_before = _read(file)
        held = workers.from_leader(found_before)
        if held is None:
            cut = [
                window
                for document in some
                for window in windows(document.id, document.tokens, length)
            ]
            scores = asked.scores(cut, wanted=wanted, batch_positions=batch_positions)
            held = _by_document(scores, [document.id for document in some])
            with workers.together():
                _write(file, held)
        found.append(held)
    progress("documents", len(documents), len(documents))
    table = np.concatenate(found, axis=1)
    cuts = [windows(document.id, document.tokens, length) for document in documents]
    return DocumentScores(
        queries=asked.names,
        documents=tuple(document.id for document in documents),
        pairwise=table[:-1],
        own=table[-1] if self_influence else None,
        n_scored=np.array([sum(window.n_scored for window in cut) for cut in cuts]),
        training_size=asked.training_size,
    )


def explain_documents(
    asked: Queries,
    documents: Sequence[TokenSequence],
    *,
    length: int,
    batch_positions: int = 4096,
) -> InfluenceScores:
    """Scores of documents with the parts of their tokens and of the layers, windows put together again.

    A last token that is left over by windows has no part: 0.

    Args:
        asked: The queries.
        documents: The documents, few of them.
        length: Tokens of a window.
        batch_positions: Positions that a batch may be padded to.
    """
    _refuse_unfit(documents, length)
    cut = [list(windows(document.id, document.tokens, length)) for document in documents]
    scores = asked.scores(
        [window for some in cut for window in some],
        wanted=Wanted(by_token=True, by_module=True),
        batch_positions=batch_positions,
    )
    ends = np.cumsum([len(some) for some in cut])
    starts = ends - [len(some) for some in cut]
    by_token, by_module = scores.by_token or (), scores.by_module
    tokens = []
    for document, begin, end in zip(documents, starts, ends, strict=True):
        together = np.concatenate(by_token[begin:end], axis=1)
        tokens.append(np.pad(together, ((0, 0), (0, len(document.tokens) - together.shape[1]))))
    return replace(
        scores,
        candidates=tuple(document.id for document in documents),
        pairwise=np.add.reduceat(scores.pairwise, starts, axis=1),
        by_module=None if by_module is None else np.add.reduceat(by_module, starts, axis=1),
        by_token=tuple(tokens),
    )


def _refuse_unfit(documents: Sequence[TokenSequence], length: int) -> None:
    if not documents:
        raise InvalidInput("expected at least one document, got none")
    if length < 2:
        raise InvalidInput(f"expected windows of at least 2 tokens, got {length}")
    seen = set()
    for document in documents:
        if len(document.tokens) < 2:
            raise InvalidInput(
                f"document {document.id!r}: has {len(document.tokens)} tokens, and so no loss",
                "leave it out",
            )
        if document.id in seen:
            raise InvalidInput(
                f"two documents are called {document.id!r}", "give each an id of its own"
            )
        seen.add(document.id)


def _by_document(scores: InfluenceScores, ids: Sequence[str]) -> NDArray[np.float64]:
    """Rows of queries, and a last one of self-influence; a column per document."""
    place = {name: number for number, name in enumerate(ids)}
    column = np.array([place[name] for name in scores.candidates])
    table = np.zeros((len(scores.queries) + 1, len(ids)))
    np.add.at(table[:-1].T, column, scores.pairwise.T)
    if scores.self_influence is not None:
        if not np.isfinite(scores.self_influence).all():
            bad = int(np.flatnonzero(~np.isfinite(scores.self_influence))[0])
            raise InvalidInput(
                f"document {scores.candidates[bad]!r}: its influence on itself is not finite",
                "use another precision (bfloat16 or float32), or more damping",
            )
        np.add.at(table[-1], column, scores.self_influence)
    return table


def _read(file: Path | None) -> NDArray[np.float64] | None:
    if file is None or not file.exists():
        return None
    with np.load(file, allow_pickle=False) as held:
        return np.asarray(held["table"])


def _write(file: Path | None, table: NDArray[np.float64]) -> None:
    if file is None:
        return
    staged = file.with_suffix(".new")
    with staged.open("wb") as out:
        np.savez(out, table=table)
    staged.replace(file)
