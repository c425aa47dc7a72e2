"""One dataset, a copy for each recipient: the same slots with draws of each recipient's own key."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ..display import visible
from ..errors import InvalidInput, VerificationError
from ..files import sha256_of_file
from ..stats import Input
from .evidence import Evidence
from .keys import MarkingKey
from .release import Release

__all__ = ["commitments_in", "copies_of"]

_NO_COMMITMENTS: Mapping[str, Input] = MappingProxyType({})
_UNCOMMITTED = (
    "Nothing at hand shows that this recipient's name was fixed before what is examined was seen: with names "
    "to choose from, one could be found that fits. The release.json published with the copy would show it."
)
_COMMITTED = (
    "That the release.json which commits to this recipient's name was published before what is examined was "
    "seen was not checked."
)


def commitments_in(releases: Sequence[Path]) -> dict[str, Input]:
    """The commitments to keys in the release.json of several copies.

    Args:
        releases: The files.

    Returns:
        The file of each commitment.

    Raises:
        InvalidInput: If one is no release.json.
    """
    return {
        Release.read(path).key_commitment: Input(
            name=visible(path.name), sha256=sha256_of_file(path)
        )
        for path in releases
    }


def copies_of(
    evidence: Evidence,
    key: MarkingKey,
    recipients: Sequence[str],
    *,
    committed: Mapping[str, Input] = _NO_COMMITMENTS,
) -> Iterator[tuple[str, Evidence]]:
    """The evidence as it would be of each recipient's copy, from that of any copy.

    A name decides the draws of its copy, so whoever may choose a name after seeing what is examined can
    try many until one fits. What was published with a copy rules that out: it commits to the copy's key.

    Args:
        evidence: Manifest of any copy, and texts.
        key: The owner's key, from which the recipients' are derived.
        recipients: Who got a copy.
        committed: See `commitments_in`. Where a copy's key is not among them, its evidence says so.

    Returns:
        (recipient, evidence), in the order asked for, made one by one.

    Raises:
        InvalidInput: If no recipient is named, or one is named twice.
        VerificationError: If the key is not the owner's, or commitments are given and a copy's is not
            among them.
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
    if committed:
        for name, own in keys:
            if own.commitment not in committed:
                raise VerificationError(
                    f"none of the releases given commits to the key of recipient {visible(name)!r}",
                    "give the release.json that was published with this copy, and the name as it was then",
                )
    return ((name, _copy(evidence, own, name, committed)) for name, own in keys)


def _copy(
    evidence: Evidence, key: MarkingKey, recipient: str, committed: Mapping[str, Input]
) -> Evidence:
    release = committed.get(key.commitment)
    published = (
        ()
        if release is None
        else (replace(release, name=f"{release.name} of {visible(recipient)}"),)
    )
    return replace(
        evidence,
        manifest=evidence.manifest.redrawn(key, recipient=recipient),
        inputs=(*evidence.inputs, *published),
        warnings=(*evidence.warnings, _COMMITTED if published else _UNCOMMITTED),
    )
