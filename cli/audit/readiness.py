"""Whether an audit file can be registered and run as it stands, as far as is cheap to see."""

from pathlib import Path

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...provenance.custody import TimestampRequest
from .keeping import refuse_other_registration
from .registering import Registered

__all__ = ["changed", "refuse_missing", "refuse_other_request", "refuse_unready"]


def refuse_unready(registered: Registered, work: Path) -> None:
    """Refuse a file that was changed after its tests began, or that was not filled in.

    Args:
        registered: The audit.
        work: Its work folder, which need not be there.

    Raises:
        InvalidInput: If it is either; a placeholder is named with its line.
        VerificationError: If the work folder was altered.
    """
    refuse_other_registration(work, registered.pre_registration)
    if left := registered.placeholders():
        line, field = left[0]
        more = f" ({len(left) - 1} more after it)" if len(left) > 1 else ""
        raise InvalidInput(
            f"{visible(registered.path.name)}, line {line}: {field}: still to be filled in{more}",
            "write what is true of your case, or delete the line; --dry-run names all of them",
        )


def changed(registered: Registered, work: Path) -> str:
    """Why a work folder is not that of this file; empty if it is, or if there is none."""
    try:
        refuse_other_registration(work, registered.pre_registration)
    except (InvalidInput, VerificationError) as error:
        return str(error)
    return ""


def refuse_missing(registered: Registered) -> None:
    """Refuse to register what names files that are not there.

    Raises:
        InvalidInput: With all of them.
    """
    if missing := registered.missing():
        raise InvalidInput(
            "not registered, as files are missing: "
            + ", ".join(visible(f"{where} ({path})") for where, path in missing),
            "mend their paths, or take them out of the audit file",
        )


def refuse_other_request(query: Path, registered: Registered) -> None:
    """Refuse a request that was written before the file was changed: it would have the old one timestamped.

    Args:
        query: The request (.tsq), which need not be there.
        registered: The audit.

    Raises:
        InvalidInput: If it is a request for another file, or none.
    """
    if not query.exists():
        return
    try:
        asked = TimestampRequest.from_bytes(query.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{visible(str(query))}: cannot be read: {error.strerror}") from None
    if asked.message_sha256.hex() != registered.pre_registration:
        raise InvalidInput(
            f"{visible(str(query))}: is a request for another file than this one is now",
            "move it away if the file was changed on purpose, or register it under another name",
        )
