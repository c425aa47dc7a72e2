"""Checks 1 to 3: what came, who signed it, and whether it is what was signed."""

import hashlib
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from ....display import counted, visible
from ....errors import VerificationError
from ...custody import Envelope, PublicKey, Statement
from ...custody.statements import check_digests
from ..layout import SIGNER, STATEMENT, may_be_unsigned
from ..predicate import PREDICATE_TYPE
from ..reading import open_bundle
from .matter import LARGEST_TEXT, Matter, listed
from .outcomes import NotChecked

__all__ = ["container", "files", "signature"]

_LARGEST_KEY = 1 << 16


def container(matter: Matter, path: Path, stack: ExitStack) -> Sequence[str]:
    """1. Every byte can be accounted for, and every file can be read."""
    opened = stack.enter_context(open_bundle(path))
    opened.digests()
    matter.opened = opened
    return [f"{counted(len(opened.names), 'file')}, in a {'folder' if path.is_dir() else '.zip'}"]


def signature(
    matter: Matter, keys: Collection[PublicKey], fingerprints: Collection[str]
) -> Sequence[str]:
    """2. The envelope is strict, its signature holds, and its key was named from outside.

    A key that came with the bundle shows that nothing was changed since somebody signed; not who.

    Raises:
        NotChecked: If the signature holds, but no key was named to tell by whom.
        VerificationError: If the check fails.
    """
    if STATEMENT not in matter.bundle.names:
        raise VerificationError(f"{STATEMENT}: missing, so nothing here is signed")
    data = matter.bundle.read(STATEMENT, LARGEST_TEXT)
    matter.statement_sha256 = hashlib.sha256(data).hexdigest()
    envelope = Envelope.read(data)
    brought = _brought(matter)
    key = _key_of(envelope, [*keys, *([brought] if brought else [])])
    matter.payload = envelope.verify(key)
    matter.signer = key.keyid
    matter.signed = Statement.read(matter.payload, [PREDICATE_TYPE])
    if brought is not None and brought != key:
        raise VerificationError(f"{SIGNER}: is not the key that signed, {key.keyid}")
    if key in keys or key.keyid in fingerprints:
        return [f"signed by key {key.keyid}, as named by you"]
    if keys or fingerprints:
        raise VerificationError(f"signed by key {key.keyid}, which is not one that you named")
    raise NotChecked(
        f"intact, signer unknown: the signature holds by {SIGNER} in the bundle, key {key.keyid}; "
        "compare this fingerprint with the signer's, by other means than the bundle"
    )


def files(matter: Matter) -> Sequence[str]:
    """3. Every file is as signed; none is missing, none was added."""
    statement = matter.statement
    digests = matter.bundle.digests()
    matter.altered = frozenset(
        name for name, digest in statement.subjects.items() if digests.get(name) != digest
    )
    if inside := [name for name in statement.subjects if may_be_unsigned(name)]:
        raise VerificationError(f"{listed(inside)}: signed for, though it lies outside by its name")
    check_digests(statement, {n: d for n, d in digests.items() if not may_be_unsigned(n)})
    return [f"{counted(len(statement.subjects), 'file')} signed for"]


def _brought(matter: Matter) -> PublicKey | None:
    if SIGNER not in matter.bundle.names:
        return None
    try:
        return PublicKey.from_pem(matter.bundle.read(SIGNER, _LARGEST_KEY))
    except VerificationError as error:
        raise VerificationError(f"{SIGNER}: {error}") from None


def _key_of(envelope: Envelope, candidates: Sequence[PublicKey]) -> PublicKey:
    """The key that the envelope names; which says nothing yet."""
    for key in candidates:
        if key.keyid == envelope.keyid:
            return key
    if candidates:
        return candidates[-1]  # whose check will fail, and say which key is named
    raise VerificationError(
        f"signed by key {visible(envelope.keyid[:80])!r}, of which only the id is here",
        "give the signer's public key with --key",
    )
