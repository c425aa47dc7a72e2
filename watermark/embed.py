"""Marking a dataset before release, and taking the marks out again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InsufficientEvidence, InvalidInput, VerificationError
from ..files import new_file, new_folder, sha256_of_file
from ..tables import apply_edits, read_table
from .keys import Drawer, MarkingKey
from .lexicon import Lexicon
from .manifest import Manifest, MarkedRecord, MarkedSlot, digest_of
from .marking import Marking, Mode
from .release import Release
from .selection import find_slots, to_the_rarest

__all__ = ["EmbedSummary", "embed", "mark_text", "mark_texts", "original_texts", "restore"]

MANIFEST_NAME = "manifest.parquet"
RELEASE_NAME = "release.json"


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


def mark_text(text: str, lexicon: Lexicon, drawer: Drawer, marking: Marking) -> MarkedRecord:
    """Find the slots of one text and draw their choices.

    Args:
        text: The original text.
        lexicon: The substitution table.
        drawer: The key's source of choices.
        marking: How to mark.

    Returns:
        The record; `apply_edits(text, record.release_edits())` is the released text.
    """
    record = digest_of(text)
    found = find_slots(text, lexicon, per_sentence=marking.per_sentence)
    if marking.mode is Mode.LEXIMARK:
        found = to_the_rarest(found)
    slots = []
    for index, slot in enumerate(found):
        released, *ghosts = marking.draw(drawer, record, index, slot.word, len(slot.choices))
        slots.append(
            MarkedSlot(
                slot.start,
                slot.end,
                slot.choices,
                released,
                tuple(ghosts),
                slot.word,
                slot.surprisals,
            )
        )
    unfinished = MarkedRecord(record, record, tuple(slots))
    return replace(unfinished, released=digest_of(apply_edits(text, unfinished.release_edits())))


def mark_texts(
    texts: Sequence[str],
    key: MarkingKey,
    marking: Marking,
    *,
    lexicon: Lexicon | None = None,
    ids: Sequence[str] | None = None,
    recipient: str = "",
) -> Manifest:
    """Mark a list of texts.

    Args:
        texts: Original texts; equal texts get equal marks and one entry in the manifest.
        key: The secret key.
        marking: How to mark.
        lexicon: The substitution table; default: the shipped one, of the marking's tier.
        ids: The dataset's own id of each text, or None.
        recipient: Whose copy this is; its choices are drawn by a sub-key of its own. Empty for one
            copy for all.

    Returns:
        The manifest; `manifest.by_original()` finds the record of each text.

    Raises:
        InsufficientEvidence: If no text has a slot, so that nothing would be marked.
    """
    table = Lexicon.shipped(marking.tier) if lexicon is None else lexicon
    key = key.for_recipient(recipient) if recipient else key
    drawer = key.drawer()
    marked = {text: mark_text(text, table, drawer, marking) for text in dict.fromkeys(texts)}
    if not any(record.slots for record in marked.values()):
        raise InsufficientEvidence(
            f"none of the {len(texts)} texts has a word that could be replaced: nothing would be marked",
            "marking needs running English prose; '--tier broad' reaches more words",
        )
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
    return Manifest.create(marking, table.sha256, key, records, recipient=recipient)


def embed(
    source: Path,
    out: Path,
    key: MarkingKey,
    marking: Marking,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    lexicon: Lexicon | None = None,
    recipient: str = "",
) -> EmbedSummary:
    """Mark a dataset file; write `out/release/` to publish and `out/private/` to keep.

    Args:
        source: Parquet, JSON lines or CSV.
        out: A folder that does not exist yet.
        key: The secret key.
        marking: How to mark.
        text_column: Column of the texts.
        id_column: Column of the dataset's own ids, or None.
        lexicon: The substitution table; default: the shipped one.
        recipient: See `mark_texts`.

    Returns:
        What was done.

    Raises:
        InvalidInput: If the dataset cannot be read or `out` exists; nothing is written then.
        InsufficientEvidence: If nothing could be marked.
    """
    with new_folder(out) as staged:
        table = read_table(source, text_column=text_column, id_column=id_column)
        manifest = mark_texts(
            table.texts, key, marking, lexicon=lexicon, ids=table.ids, recipient=recipient
        )
        by_text = manifest.by_original()
        records = [by_text[digest_of(text)] for text in table.texts]
        private, public = staged / "private", staged / "release"
        private.mkdir(mode=0o700)
        public.mkdir()
        table.write(public / source.name, [record.release_edits() for record in records])
        manifest.write(private / MANIFEST_NAME)
        Release(
            marking=marking,
            lexicon_sha256=manifest.lexicon_sha256,
            key_commitment=manifest.key_commitment,
            manifest=manifest.commitment(),
            files={source.name: sha256_of_file(public / source.name)},
        ).write(public / RELEASE_NAME)
    return _summary(len(table.texts), manifest)


def restore(
    released: Path,
    manifest_path: Path,
    out: Path,
    *,
    text_column: str = "text",
    id_column: str | None = None,
) -> int:
    """Take the marks out of a released file.

    Args:
        released: A released file; its rows may come in another order, or be fewer.
        manifest_path: The private manifest.
        out: File to write, of the same ending; it must not exist.
        text_column: Column of the texts.
        id_column: Column of the dataset's own ids, if the release was made with one; only needed
            where rows were moved and two originals became the same text.

    Returns:
        Number of rows written; every one was checked against the digest of its original.

    Raises:
        InvalidInput: If a file cannot be read, or `out` exists.
        VerificationError: If a text is not in this release, or could be one of several originals.
    """
    if out.suffix.lower() != released.suffix.lower():
        raise InvalidInput(
            f"{out}: expected the ending {released.suffix}, as {released.name} has",
            "a table is restored in the format it was released in",
        )
    with new_file(out) as staged:
        manifest = Manifest.read(manifest_path)
        table = read_table(released, text_column=text_column, id_column=id_column)
        records = list(manifest.match(table.texts, str(released), ids=table.ids))
        for row, (text, record) in enumerate(zip(table.texts, records, strict=True), 1):
            _checked_original(text, record, f"{released}: row {row}")
        table.write(staged, [record.restore_edits() for record in records])
    return len(table.texts)


def original_texts(manifest: Manifest, texts: Sequence[str], where: str) -> dict[str, str]:
    """The original text of each record that is present, by its digest.

    Args:
        manifest: The manifest.
        texts: Released texts.
        where: Name of their file, for error messages.

    Returns:
        Original texts by record, each checked against its digest.

    Raises:
        VerificationError: If a text is not in this release.
    """
    matched = zip(texts, manifest.match(texts, where), strict=True)
    return {
        record.record: _checked_original(text, record, f"{where}: row {row}")
        for row, (text, record) in enumerate(matched, 1)
    }


def _checked_original(text: str, record: MarkedRecord, where: str) -> str:
    original = apply_edits(text, record.restore_edits())
    if digest_of(original) != record.record:
        raise VerificationError(
            f"{where}: taking the marks out does not give the original",
            "the manifest was altered, or belongs to another release",
        )
    return original


def _summary(rows: int, manifest: Manifest) -> EmbedSummary:
    slots = [slot for record in manifest.records for slot in record.slots]
    units = {
        manifest.marking.unit_name(record.record, index, slot.unit)
        for record in manifest.records
        for index, slot in enumerate(record.slots)
    }
    return EmbedSummary(
        rows=rows,
        records=len(manifest.records),
        marked_records=sum(bool(record.slots) for record in manifest.records),
        slots=len(slots),
        units=len(units),
        edited_words=sum(slot.choice != 0 for slot in slots),
    )
