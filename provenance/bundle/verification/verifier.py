"""All checks of a bundle, in order."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from ....display import visible
from ....errors import InvalidInput
from ....files import hexadecimal
from ...custody import AuthorityChain, PublicKey
from .contents import ReadRegistration, agreement, registration
from .history import LinkCheck, custody, links
from .matter import Matter
from .numbers import answers, p_values
from .outcomes import Verification, attempt
from .signature import container, files, signature
from .times import commitments
from .words import words

__all__ = ["verify"]


def verify(
    path: Path,
    *,
    keys: Collection[PublicKey] = (),
    fingerprints: Collection[str] = (),
    authorities: Collection[AuthorityChain] = (),
    read_registration: ReadRegistration | None = None,
    link_checks: Sequence[LinkCheck] = (),
    now: datetime | None = None,
) -> Verification:
    """Check a bundle with nothing but the bundle, and what the verifier trusts from elsewhere.

    1. The container is sound: a folder, or a .zip that every program reads alike.
    2. The envelope's signature holds, by a key that was named from outside the bundle.
    3. Every file is as signed, nothing is missing, nothing was added.
    4. The formats are known, and what was signed agrees with report.json.
    5. The report answers the audit file: its digest, tests, directions, threshold and correction.
    6. Commitments are as listed, and outside times bear out the order of events.
    7. Every p-value follows from its exhibit, computed anew.
    8. Corrections, statuses, e-values and words follow from the findings, computed anew.
    9. The pages for people are what report.json gives when rendered again.
    10. The custody log is whole, and ends where the statement says.
    11. What the exhibits say was chosen is what was committed to.

    A check that needs what an earlier one did not establish is not made, and says so. Nothing in the
    bundle is run, trusted or written to disk under its own name, and nothing in it raises an error.

    Not checked: whether the numbers of the exhibits are those of the model. A signature shows who
    said so, not that it is true.

    Args:
        path: A folder or a .zip.
        keys: Public keys that the verifier has from the signer.
        fingerprints: Ids of such keys, 64 hexadecimal digits each.
        authorities: Whom the verifier trusts for times.
        read_registration: Parses an audit file; without it, check 5 compares its digest only.
        link_checks: What can be checked of choices against commitments.
        now: The verifier's time; that of this machine if not given.

    Returns:
        All checks; see `Verification.result`.

    Raises:
        InvalidInput: If there is no such bundle, or a fingerprint is none.
    """
    if not path.exists():
        raise InvalidInput(f"{visible(str(path))}: no such folder or file")
    named = frozenset(map(_fingerprint, fingerprints))
    moment = datetime.now(UTC) if now is None else now
    matter = Matter()
    with ExitStack() as stack:
        checks = (
            attempt(1, "Container", lambda: container(matter, path, stack)),
            attempt(2, "Signature", lambda: signature(matter, keys, named)),
            attempt(3, "Files as signed", lambda: files(matter)),
            attempt(4, "Statement and report agree", lambda: agreement(matter)),
            attempt(5, "Pre-registration", lambda: registration(matter, read_registration)),
            attempt(6, "Commitments and times", lambda: commitments(matter, authorities, moment)),
            attempt(7, "P-values from exhibits", lambda: p_values(matter)),
            attempt(8, "Corrections and statuses", lambda: answers(matter)),
            attempt(9, "Words of the report", lambda: words(matter)),
            attempt(10, "Custody log", lambda: custody(matter)),
            attempt(11, "Choices as committed", lambda: links(matter, link_checks)),
        )
    return Verification(
        checks=checks, statement_sha256=matter.statement_sha256, signer=matter.signer
    )


def _fingerprint(text: str) -> str:
    """As `keyid` writes it; people copy it in groups and in capitals."""
    plain = "".join(text.split()).replace(":", "").lower()
    try:
        return hexadecimal(64, plain, "fingerprint")
    except ValueError:
        raise InvalidInput(
            f"{visible(text[:80])!r} is no fingerprint: expected 64 hexadecimal digits"
        ) from None
