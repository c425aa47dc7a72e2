"""Marking one text."""

from dataclasses import replace

from .keys import Drawer
from .lexicon import Lexicon
from .manifest import MarkedRecord, MarkedSlot, digest_of
from .marking import Marking, Mode
from .selection import find_slots, to_the_rarest
from .tables import apply_edits

__all__ = ["mark_text"]


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
