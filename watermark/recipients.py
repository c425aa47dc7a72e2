"""One dataset, a copy for each recipient: the same slots with draws of each recipient's own key."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import InvalidInput, VerificationError
from .evidence import Evidence
from .keys import MarkingKey

__all__ = ["copies_of"]


def copies_of(
    evidence: Evidence, key: MarkingKey, recipients: Sequence[str]
) -> Iterator[tuple[str, Evidence]]:
    """The evidence as it would be of each recipient's copy, from that of any copy.

    Args:
        evidence: Manifest of any copy, and texts.
        key: The owner's key, from which the recipients' are derived.
        recipients: Who got a copy.

    Returns:
        (recipient, evidence), in the order asked for, made one by one.

    Raises:
        InvalidInput: If no recipient is named, or one is named twice.
        VerificationError: If the key is not the owner's.
    """
    if not recipients:
        raise InvalidInput("recipients: name at least one")
    names = [unicodedata.normalize("NFC", name) for name in recipients]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"recipient {twice!r} is named twice")
    if evidence.manifest.recipient and key.commitment == evidence.manifest.key_commitment:
        raise VerificationError(
            "this is a recipient's own key, from which no other recipient's follows",
            "give the owner's key",
        )
    evidence.manifest.check_key(key)
    # The key of the dataset itself has taken that step already.
    is_of_dataset = key.commitment == evidence.manifest.key_commitment
    dataset = "" if is_of_dataset else evidence.manifest.dataset
    keys = [(name, key.for_copy(dataset, name)) for name in recipients]
    return (
        (name, replace(evidence, manifest=evidence.manifest.redrawn(own, recipient=name)))
        for name, own in keys
    )
