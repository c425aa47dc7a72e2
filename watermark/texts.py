"""Marking one text."""

from collections.abc import Iterable
from dataclasses import replace

from .keys import Drawer
from .manifest import MarkedRecord, MarkedSlot, digest_of
from .marking import Marking, Mode, type_name
from .selection import Slot, to_the_rarest
from .tables import apply_edits

__all__ = ["mark_text"]


def mark_text(text: str, slots: Iterable[Slot], drawer: Drawer, marking: Marking) -> MarkedRecord:
    """Draw the choices of one text.

    Args:
        text: The original text.
        slots: Its slots, as a candidate source found them.
        drawer: The key's source of choices.
        marking: How to mark.

    Returns:
        The record; `apply_edits(text, record.release_edits())` is the released text.
    """
    record = digest_of(text)
    if marking.mode is Mode.LEXIMARK:
        slots = to_the_rarest(slots)
    marked = []
    for index, slot in enumerate(slots):
        word_type = type_name(slot.choices)
        released, *ghosts = marking.draw(drawer, record, index, word_type, len(slot.choices))
        marked.append(
            MarkedSlot(
                slot.start,
                slot.end,
                slot.choices,
                released,
                tuple(ghosts),
                word_type,
                slot.surprisals,
            )
        )
    unfinished = MarkedRecord(record, record, tuple(marked))
    return replace(unfinished, released=digest_of(apply_edits(text, unfinished.release_edits())))
