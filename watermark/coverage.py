"""How much of each record stands in other texts, and with whose words.

Some of it must not be told to everybody. The digest of an original gives its wording away: whoever has
the release can write each slot's choices into a record until the digest fits. Rows in the order of
their digests tell as much of it as it takes to name a row. So a record goes by a salted name, or by
where it stands in the release. And how well a record agrees with a copy tells a reader who has another
copy about words that only the copy's recipient should know: see `RecordCoverage.released`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from .alignment import Alignment
from .evidence import Evidence
from .manifest import MarkedRecord

__all__ = ["RecordCoverage", "coverage_of", "record_names"]

_NAME_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCoverage:
    """How much of one record was found in the texts.

    Attributes:
        record: SHA-256 of the original text; private, as it gives the original wording away.
        name: What to call the record in public; it says nothing of the text.
        file: Name of the released file it stands in; empty if this is not known.
        row: Its first row there, from 1, or 0.
        ids: The dataset's own ids of it.
        words_found: Share of the record's five-word runs that were found, in [0, 1]; runs that occur
            in more than 64 places of the dataset are not counted.
        n_texts: Texts in which a part of it was found.
        n_slots: Its slots.
        n_shown: Slots that were found with one of their choices.
        released: Of these, how many show the released choice; a slot found with several words counts
            in part. Where the texts follow another copy, this tells a reader who has that one about
            the words of this one: keep it private then.
        expected: What `released` would be on average if the key were independent of the texts.
    """

    record: str
    name: str
    file: str
    row: int
    ids: tuple[str, ...]
    words_found: float
    n_texts: int
    n_slots: int
    n_shown: int
    released: float
    expected: float


def coverage_of(evidence: Evidence, found: Alignment) -> tuple[RecordCoverage, ...]:
    """The coverage of each record of which something was found, best covered first.

    Args:
        evidence: Manifest and texts of the release.
        found: What was found of them.

    Returns:
        The coverage; those that are covered alike come in the order of the release, or by name.
    """
    names = record_names(evidence)
    rows = []
    for r, record in enumerate(evidence.marked()):
        if not found.n_texts_of[r]:
            continue
        counts_of = found.counts[found.first_slot[r] : found.first_slot[r + 1]]
        shown = [(s, c / c.sum()) for s, c in zip(record.slots, counts_of, strict=True) if c.any()]
        file, row = evidence.places.get(record.record, ("", 0))
        rows.append(
            RecordCoverage(
                record=record.record,
                name=names(record),
                file=file,
                row=row,
                ids=record.ids,
                words_found=float(found.words_found[r]),
                n_texts=int(found.n_texts_of[r]),
                n_slots=len(record.slots),
                n_shown=len(shown),
                released=float(sum(shares[slot.choice] for slot, shares in shown)),
                expected=float(sum(1 / shares.size for _, shares in shown)),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.words_found, row.file, row.row, row.name)))


def record_names(evidence: Evidence) -> Callable[[MarkedRecord], str]:
    """The public name of a record: SHA-256 of its salt in the manifest and its digest, 16 digits.

    The salt is secret until the record's row of the manifest is opened; then the name can be checked.

    Args:
        evidence: Manifest and texts of the release.
    """
    manifest = evidence.manifest
    salts = {r.record: salt for r, salt in zip(manifest.records, manifest.salts, strict=True)}

    def name(record: MarkedRecord) -> str:
        content = bytes.fromhex(salts[record.record]) + bytes.fromhex(record.record)
        return hashlib.sha256(b"bookplate record name/1" + content).hexdigest()[:_NAME_DIGITS]

    return name
