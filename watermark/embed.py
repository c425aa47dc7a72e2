"""Marking a dataset before release; `restore` takes the marks out again."""

import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from .. import __version__
from ..errors import InsufficientEvidence, InvalidInput
from ..files import resumable_folder, sha256_of_file
from .candidates import CandidateSource, LexiconSource
from .keys import MarkingKey
from .manifest import Manifest, ManifestHeader
from .marking import Marking, Mode
from .merging import merge
from .piecework import Engine, Job, Part, do_pieces, refuse_missing_engine
from .release import RELEASE_NAME, Release
from .restore import original_texts, restore
from .sources import LocalFiles, Source, source_of
from .tables import PIECE_BYTES, Columns, Piece, join, pieces_of, refuse_empty
from .texts import mark_text

__all__ = [
    "RELEASE_NAME",
    "EmbedOptions",
    "EmbedSummary",
    "Engine",
    "embed",
    "mark_text",
    "mark_texts",
    "original_texts",
    "restore",
]

MANIFEST_NAME = "manifest.parquet"
CONTEXT_PIECE_BYTES = (
    1 << 18
)  # a model reads some hundred sentences a second; a kill loses one piece


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedSummary:
    """What marking did to a dataset.

    Attributes:
        rows: Rows of the dataset.
        records: Distinct texts.
        marked_records: Distinct texts with at least one slot.
        slots: Slots over all distinct texts.
        units: Independent draws of the key: word types, or slots.
        edited_words: Slots whose released word differs from the original.
    """

    rows: int
    records: int
    marked_records: int
    slots: int
    units: int
    edited_words: int


def _refuse_no_draws(marking: Marking, recipient: str) -> None:
    if recipient and marking.mode is not Mode.KEYED:
        raise InvalidInput(
            f"mode '{marking.mode}' gives every recipient the same text, so nobody could be traced",
            "leave out --recipient, or use mode 'keyed'",
        )


def _default(marking: Marking) -> LexiconSource:
    return LexiconSource(rarer_only=marking.mode is Mode.LEXIMARK)


def mark_texts(
    texts: Sequence[str],
    key: MarkingKey,
    marking: Marking,
    *,
    candidates: CandidateSource | None = None,
    ids: Sequence[str] | None = None,
    dataset: str = "",
    recipient: str = "",
) -> Manifest:
    """Mark a list of texts.

    Args:
        texts: Original texts; equal texts get equal marks and one entry in the manifest.
        key: The secret key.
        marking: How to mark.
        candidates: What may stand for which word; default: the shipped table, strict tier.
        ids: The dataset's own id of each text, or None.
        dataset: Which of the owner's datasets this is; its choices are drawn by a sub-key of its own.
            Empty where the key marks no other.
        recipient: Whose copy this is; its choices are drawn by a sub-key of its own. Empty for one
            copy for all.

    Returns:
        The manifest; `manifest.by_original()` finds the record of each text.

    Raises:
        InsufficientEvidence: If no text has a slot, so that nothing would be marked.
    """
    _refuse_no_draws(marking, recipient)
    source = _default(marking) if candidates is None else candidates
    key = key.for_copy(dataset, recipient)
    drawer = key.drawer()
    distinct = list(dict.fromkeys(texts))
    marked = {
        text: mark_text(text, slots, drawer, marking)
        for text, slots in zip(distinct, source.slots(distinct), strict=True)
    }
    _refuse_no_slots(sum(len(record.slots) for record in marked.values()), len(texts))
    shared = {digest for digest, n in Counter(r.released for r in marked.values()).items() if n > 1}
    texts_ids: dict[str, set[str]] = {}
    texts_rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        if ids is not None:
            texts_ids.setdefault(text, set()).add(ids[row])
        if marked[text].released in shared:
            texts_rows.setdefault(text, []).append(row)
    records = [
        replace(
            record, ids=tuple(sorted(texts_ids.get(text, ()))), rows=tuple(texts_rows.get(text, ()))
        )
        for text, record in marked.items()
    ]
    return Manifest.create(
        marking, source.identity, key, records, dataset=dataset, recipient=recipient
    )


def _refuse_no_slots(n_slots: int, n_texts: int) -> None:
    if n_slots == 0:
        raise InsufficientEvidence(
            f"none of the {n_texts} texts has a word that could be replaced: nothing would be marked",
            "marking needs running English prose; '--tier broad' reaches more words",
        )


class EmbedOptions(TypedDict, total=False):
    """What `embed` can be told beside its source; see there."""

    text_column: str
    id_column: str | None
    candidates: CandidateSource | None
    dataset: str
    recipient: str
    workers: int
    engine: Engine
    piece_bytes: int | None
    progress: Callable[[int], object]


def embed(
    source: Path | str | Source,
    out: Path,
    key: MarkingKey,
    marking: Marking,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    candidates: CandidateSource | None = None,
    dataset: str = "",
    recipient: str = "",
    workers: int = 1,
    engine: Engine = Engine.LOCAL,
    piece_bytes: int | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> EmbedSummary:
    """Mark a dataset; write `out/release/` to publish and `out/private/` to keep.

    The dataset is worked on in pieces, in memory that does not grow with it. A run that was killed is
    taken up again by the same call; see `resumable_folder`. The files it writes are the same bytes for
    any number of workers, any engine, any size of pieces and any interruption.

    Args:
        source: A file (see `ENDINGS`), or a folder of such files, also in folders; hidden ones are left
            out. Or parquet files in an object store, see `RemoteFiles`. Or any other `Source`.
        out: A folder that does not exist yet.
        key: The secret key.
        marking: How to mark.
        text_column: Column of the texts.
        id_column: Column of the dataset's own ids, or None.
        candidates: See `mark_texts`.
        dataset: See `mark_texts`.
        recipient: See `mark_texts`.
        workers: Number of processes. With more than one, a script that calls this must be importable:
            its own work stands below `if __name__ == "__main__":`.
        engine: Whose processes they are: this machine's, or those of Ray; see `ray_engine`.
        piece_bytes: Uncompressed bytes of a piece of a text file, about; default: `PIECE_BYTES`, and
            `CONTEXT_PIECE_BYTES` where a model reads every sentence.
        progress: Called after each piece with the number of rows done so far.

    Returns:
        What was done.

    Raises:
        InvalidInput: If the dataset cannot be read or `out` exists; nothing is left behind then.
        InsufficientEvidence: If nothing could be marked.
        Interrupted: If a worker or the Ray cluster was lost.
    """
    source_of_words = _default(marking) if candidates is None else candidates
    if piece_bytes is None:
        piece_bytes = CONTEXT_PIECE_BYTES if source_of_words.reads_context else PIECE_BYTES
    if workers < 1 or piece_bytes < 1:
        raise InvalidInput(f"expected at least 1 worker and 1 byte, got {workers}, {piece_bytes}")
    _refuse_no_draws(marking, recipient)
    refuse_missing_engine(engine)
    columns = Columns(text_column, id_column)
    data = source_of(source)
    data.check(columns)
    key = key.for_copy(dataset, recipient)
    header = ManifestHeader(
        marking=marking,
        candidates=source_of_words.identity,
        key_commitment=key.commitment,
        dataset=dataset,
        recipient=recipient,
    )
    description = {
        "bookplate": __version__,
        "header": header.metadata(),
        "columns": columns.names(),
        "piece_bytes": piece_bytes,
        "files": data.identity(),
    }
    with resumable_folder(out, description) as unfinished:
        job = Job(key, marking, source_of_words, unfinished.parts)
        files = data.files(unfinished.parts / "source")
        with _named_by_origin(data, files):
            cut = {name: _Cut(path, columns, piece_bytes) for name, path in files.items()}
            pieces = itertools.chain.from_iterable(cut.values())
            marked = do_pieces(pieces, job, workers=workers, engine=engine)
            units, done = _collected(marked, progress)
            parts = _by_file(cut, done)
            summary = _assemble(files, parts, unfinished.whole, header, len(units))
        _refuse_changed(data, description["files"])
        return summary


def _refuse_changed(data: Source, before: object) -> None:
    """Pieces are read one after the other: were a file another one meanwhile, two versions would be mixed.

    Raises:
        InvalidInput: If a file has changed since the run began.
    """
    if isinstance(data, LocalFiles) and data.identity() != before:
        raise InvalidInput(
            "the dataset has changed while it was read", "let nobody write to it meanwhile"
        )


@contextmanager
def _named_by_origin(source: Source, files: Mapping[str, Path]) -> Generator[None]:
    """Let errors speak of a file by the name its owner knows, not by that of our copy."""
    try:
        yield
    except InvalidInput as error:
        message = str(error)
        for name, path in files.items():
            message = message.replace(str(path), source.origin(name))
        if message == str(error):
            raise
        raise InvalidInput(message, error.hint) from error


class _Cut:
    """The pieces of a file, which counts them as they are handed out."""

    def __init__(self, path: Path, columns: Columns, piece_bytes: int) -> None:
        self.path = path
        self.count = 0
        self._pieces = pieces_of(path, columns, piece_bytes)

    def __iter__(self) -> Iterator[Piece]:
        for piece in self._pieces:
            self.count += 1
            yield piece


def _collected(
    parts: Iterable[Part], progress: Callable[[int], object]
) -> tuple[set[str], list[Part]]:
    """The units that parts share, and the parts without them: each would hold the same words."""
    units: set[str] = set()
    done: list[Part] = []
    rows = 0
    for part in parts:
        units.update(part.units)
        done.append(replace(part, units=()))
        rows += part.rows
        progress(rows)
    return units, done


def _by_file(cut: Mapping[str, _Cut], done: Sequence[Part]) -> dict[str, list[Part]]:
    """The parts of each file.

    Raises:
        InvalidInput: If a file holds no rows.
        InsufficientEvidence: If no text has a slot.
    """
    waiting = iter(done)
    parts = {name: list(itertools.islice(waiting, file.count)) for name, file in cut.items()}
    for name, of_file in parts.items():
        refuse_empty(cut[name].path, sum(part.rows for part in of_file))
    _refuse_no_slots(sum(part.slots for part in done), sum(part.rows for part in done))
    return parts


def _assemble(
    files: Mapping[str, Path],
    parts: Mapping[str, Sequence[Part]],
    whole: Path,
    header: ManifestHeader,
    n_units: int,
) -> EmbedSummary:
    """Write release and manifest from the parts."""
    private, public = whole / "private", whole / "release"
    private.mkdir(mode=0o700)
    public.mkdir()
    rows = {name: sum(part.rows for part in of_file) for name, of_file in parts.items()}
    if len(files) > 1:
        header = replace(header, files=tuple(rows.items()))
    for name, path in files.items():
        target = public / name
        target.parent.mkdir(parents=True, exist_ok=True)
        join(path, (part.released for part in parts[name]), target)
    all_parts = list(itertools.chain.from_iterable(parts.values()))
    manifest = private / MANIFEST_NAME
    manifest.touch(mode=0o600)  # private wherever its owner moves it
    merged = merge(all_parts, manifest, header)
    Release(
        marking=header.marking,
        candidates=header.candidates,
        key_commitment=header.key_commitment,
        manifest=merged.commitment,
        files={name: sha256_of_file(public / name) for name in files},
    ).write(public / RELEASE_NAME)
    return EmbedSummary(
        rows=sum(rows.values()),
        records=merged.records,
        marked_records=merged.marked_records,
        slots=merged.slots,
        units=n_units or merged.slots,
        edited_words=merged.edited_words,
    )
