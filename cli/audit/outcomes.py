"""What became of one registered test of one suspect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...stats import Finding, Input
from ..reporting import Attachment

__all__ = ["ENDED", "Outcome", "how_it_ended"]

ENDED = ("done", "assumption failed", "could not be tested")  # as the custody log says it


def how_it_ended(*, reason: str, failed_assumption: str) -> str:
    """One of `ENDED`."""
    if reason:
        return ENDED[2]
    return ENDED[1] if failed_assumption else ENDED[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one registered test of one suspect.

    Attributes:
        test: Id of the registered test: the name of the test, a dot, the name of the suspect.
        started: When it began, RFC 3339 in UTC by this machine's clock.
        finished: When it ended.
        finding: What the test returned, with its working; None if it gave no result.
        reason: Why there is no result, one sentence; empty if there is one.
        failed_assumption: Which assumption failed its check, and how; empty if none did.
        controls: What the same test gave for each innocent control, by its name; not corrected.
        positives: The same for each positive control.
        failed_controls: Why a control gave no finding, by its name.
        examined: What the test took, by the names of the audit file, each with its digest.
        attachments: Further files that belong into the exhibits.
    """

    test: str
    started: str
    finished: str
    finding: Finding | None = None
    reason: str = ""
    failed_assumption: str = ""
    controls: Mapping[str, Finding] = field(default_factory=dict)
    positives: Mapping[str, Finding] = field(default_factory=dict)
    failed_controls: Mapping[str, str] = field(default_factory=dict)
    examined: tuple[Input, ...] = ()
    attachments: tuple[Attachment, ...] = ()
