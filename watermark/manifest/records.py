"""A marked text: its slots, their draws, and the edits between original and released text."""

import hashlib
from dataclasses import dataclass

from ..tables import Edit, apply_edits

__all__ = ["MarkedRecord", "MarkedSlot", "digest_of"]


@dataclass(frozen=True, slots=True)
class MarkedSlot:
    """A slot with its draws.

    Attributes:
        start: First character in the original text (code points).
        end: End, exclusive.
        choices: What may stand there; the original comes first.
        choice: Index of the released choice.
        ghosts: Index of each ghost's choice; empty by type.
        unit: The word type, see `type_name`.
        surprisals: -log2 of each choice's frequency, in bits.
    """

    start: int
    end: int
    choices: tuple[str, ...]
    choice: int
    ghosts: tuple[int, ...]
    unit: str
    surprisals: tuple[float, ...]

    @property
    def original(self) -> str:
        """The word as it stood."""
        return self.choices[0]

    @property
    def released(self) -> str:
        """The word as it is published."""
        return self.choices[self.choice]


@dataclass(frozen=True, slots=True)
class MarkedRecord:
    """A distinct text and its slots.

    Attributes:
        record: SHA-256 of the original text (UTF-8), hexadecimal.
        released: SHA-256 of the released text.
        slots: Slots in the order of the text.
        ids: The dataset's own ids of this text, sorted; empty if it has none.
        rows: Row numbers of this text in the dataset, from 0; kept only where another record
            happens to have the same released text.
    """

    record: str
    released: str
    slots: tuple[MarkedSlot, ...]
    ids: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    def release_edits(self) -> list[Edit]:
        """What turns the original into the released text."""
        return [Edit(s.start, s.end, s.released) for s in self.slots if s.choice != 0]

    def restore_edits(self) -> list[Edit]:
        """What turns the released text into the original."""
        edits, shift = [], 0
        for slot in self.slots:
            if slot.choice != 0:
                start = slot.start + shift
                edits.append(Edit(start, start + len(slot.released), slot.original))
                shift += len(slot.released) - len(slot.original)
        return edits

    def ghost_texts(self, original: str) -> list[str]:
        """The full text of each ghost."""
        n_ghosts = len(self.slots[0].ghosts) if self.slots else 0
        return [
            apply_edits(
                original, [Edit(s.start, s.end, s.choices[s.ghosts[g]]) for s in self.slots]
            )
            for g in range(n_ghosts)
        ]


def digest_of(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, hexadecimal: the default id of a record."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
