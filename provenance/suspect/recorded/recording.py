"""Answering a questions file, for the party with the weights: in shards, so that a killed run goes on."""

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....files import canonical_json, file_locks, new_file
from ....stats import Input
from ..base import Suspect, TokenReader
from .questions import Place, Question, Questions
from .suspect import ANSWERS_FORMAT, ANSWERS_SCHEMA, refuse_malformed

__all__ = ["record_answers"]

_PER_SHARD = 256  # questions


def record_answers(
    questions: Questions,
    suspect: Suspect,
    out: Path,
    *,
    with_tokens: bool = True,
    per_shard: int = _PER_SHARD,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Answer questions, and write the answers file.

    Shards lie in a folder beside the file, each renamed when whole. After a kill the same call goes on
    with the next shard; the folder is removed once the file is there.

    Args:
        questions: What to answer.
        suspect: The model.
        out: A new `.parquet` file.
        with_tokens: Whether tokens of texts, and mean and sd over the vocabulary where the model tells
            them, are recorded: membership scores need them, the other tests do not.
        per_shard: Questions per shard.
        on_progress: Called with the questions answered and their total.

    Raises:
        InvalidInput: If the file exists, another job was left unfinished there or is under way, or as
            the suspect raises it.
    """
    if os.path.lexists(out):
        raise InvalidInput(f"{out}: already exists", "choose another name, or move it away first")
    if per_shard < 1:
        raise InvalidInput(f"expected at least 1 question per shard, got {per_shard}")
    parts = out.with_name(f"{out.name}.parts")
    order = _grouped(questions)
    job = {
        "questions": hashlib.sha256("".join(digest for digest, _ in order).encode()).hexdigest(),
        "model": [suspect.identity.name, suspect.identity.sha256],
        "per_shard": per_shard,
        "with_tokens": with_tokens,
    }
    with _working_in(parts, canonical_json(job)):
        shards = []
        for number, first in enumerate(range(0, len(order), per_shard)):
            shard = parts / f"{number:06}.parquet"
            part = order[first : first + per_shard]
            if not shard.exists():
                frame = _answered(part, suspect, with_tokens=with_tokens)
                with new_file(shard, private=True) as staged:
                    frame.write_parquet(staged)
            shards.append(shard)
            on_progress(first + len(part), len(order))
        _merge(shards, suspect.identity, out)
        shutil.rmtree(parts, ignore_errors=True)


def _grouped(questions: Questions) -> list[tuple[str, Question]]:
    """All questions, places of one text together and ascending: a model reads the text once for them."""
    kinds: tuple[list[Any], list[Any]] = [], []
    for digest, question in questions.asked.items():
        kinds[isinstance(question, Place)].append((digest, question))
    places = sorted(kinds[1], key=lambda one: (one[1].text, one[1].slot.start, one[1].slot.end))
    return [*kinds[0], *places]


def _answered(
    part: Sequence[tuple[str, Question]], suspect: Suspect, *, with_tokens: bool
) -> pl.DataFrame:
    """Answers to some questions, one row each."""
    rows: dict[str, tuple[Any, ...]] = {}
    texts = {digest: question for digest, question in part if isinstance(question, str)}
    if texts and with_tokens and isinstance(suspect, TokenReader):
        for digest, table in zip(texts, suspect.token_tables([*texts.values()]), strict=True):
            rows[digest] = (table.logprobs, list(table.tokens), table.mean, table.sd)
    plain = {d: q for d, q in part if not isinstance(q, Place) and d not in rows}
    if plain:
        for digest, values in zip(plain, suspect.token_logprobs([*plain.values()]), strict=True):
            rows[digest] = (values, None, None, None)
    places = [(digest, question) for digest, question in part if isinstance(question, Place)]
    for digest, values in _scored(places, suspect):
        usable = bool(np.isfinite(values).all())  # else nothing precedes the place
        rows[digest] = (values if usable else None, None, None, None)
    model = suspect.identity
    return pl.DataFrame(
        [(ANSWERS_FORMAT, d, *map(_listed, rows[d]), model.name, model.sha256) for d, _ in part],
        schema=ANSWERS_SCHEMA,
        orient="row",
    )


def _scored(
    places: Sequence[tuple[str, Place]], suspect: Suspect
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    of_text: dict[str, list[tuple[str, Place]]] = {}
    for digest, place in places:
        of_text.setdefault(place.text, []).append((digest, place))
    if not of_text:
        return
    slots = [[place.slot for _, place in own] for own in of_text.values()]
    for own, scores in zip(
        of_text.values(), suspect.choice_logprobs([*of_text], slots), strict=True
    ):
        for (digest, _), values in zip(own, scores, strict=True):
            yield digest, values


def _listed(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _merge(shards: Sequence[Path], model: Input, out: Path) -> None:
    """One file of all shards, in the name of the model as it is known by now: an endpoint tells who it is."""
    frame = pl.concat([pl.DataFrame(schema=ANSWERS_SCHEMA), *map(pl.read_parquet, shards)])
    frame = frame.with_columns(model=pl.lit(model.name), model_sha256=pl.lit(model.sha256))
    refuse_malformed(frame, out)
    with new_file(out) as staged:
        frame.sort("question").write_parquet(staged)


@contextmanager
def _working_in(parts: Path, job: bytes) -> Generator[None]:
    """A private folder that only one process works in; it stays if the block fails."""
    try:
        parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(parts / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(f"{parts}: cannot be written: {error.strerror}") from error
    try:
        _lock(handle, parts)
        described = parts / "job.json"
        if not described.exists():
            with new_file(described, private=True) as staged:
                staged.write_bytes(job)
        elif described.read_bytes() != job:
            raise InvalidInput(
                f"{parts}: holds the shards of another job, with other questions or another model",
                "repeat that call, or remove the folder to start afresh",
            )
        yield
    finally:
        os.close(handle)


def _lock(handle: int, parts: Path) -> None:
    fcntl = file_locks()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidInput(
            f"{parts}: another process is at work there", "wait until it has ended"
        ) from None
