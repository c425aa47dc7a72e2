"""Whether every test ended as the custody log said when it did: nothing that failed is hushed up."""

from collections.abc import Callable, Iterator, Sequence

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout
from ...provenance.custody.log import VerifiedLog, verify_bytes
from ...stats.report import AuditReport
from .outcomes import ENDED, how_it_ended
from .registering import registered_for

__all__ = ["endings_as_logged", "n_retried"]

_LARGEST = 256 << 20
_AGAIN = "is tried again"  # as `running` writes it


def n_retried(log: VerifiedLog, pre_registration: str) -> int:
    """How often a test of this registration that had failed was tried again."""
    return sum(
        entry.details.get("audit") == pre_registration
        and str(entry.details.get("what", "")).endswith(_AGAIN)
        for entry in log.entries
    )


def endings_as_logged(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Hold how each test ended, by the report, against what the log said at the time.

    A test that ended with a finding never ends again: whoever could run it until it suits would get that.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If a test ended otherwise, or the log does not say how.
    """
    registered = registered_for(report, names, read)
    if registered is None:
        return ""
    if layout.CUSTODY not in names:
        raise VerificationError(f"{layout.CUSTODY}: missing, so nothing says how the tests ended")
    log = verify_bytes(read(layout.CUSTODY, _LARGEST), layout.CUSTODY)
    logged: dict[str, str] = {}
    for entry in log.entries:
        details = entry.details
        if details.get("audit") == registered.pre_registration and "outcome" in details:
            test, how = str(details.get("test")), str(details.get("what")).rpartition(": ")[2]
            if logged.get(test, ENDED[2]) != ENDED[2]:
                raise VerificationError(f"{visible(test[:100])}: ended twice, by the custody log")
            logged[test] = how
    for test, how in _told(report):
        if logged.get(test) != how:
            found = visible(logged.get(test, "nothing")[:60])
            raise VerificationError(f"{test}: {how}, by the report; the custody log says {found}")
    return f"{counted(len(logged), 'ending')} as logged"


def _told(report: AuditReport) -> Iterator[tuple[str, str]]:
    for entry in report.entries:
        yield (
            entry.test,
            how_it_ended(reason="", failed_assumption=entry.failed_assumption),
        )
    for test in report.not_run:
        yield test.test, how_it_ended(reason=test.reason or "none given", failed_assumption="")
