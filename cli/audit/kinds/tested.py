"""What one test of one subject gives."""

from dataclasses import dataclass

from ....stats import Finding
from ...reporting import Attachment

__all__ = ["Tested"]


@dataclass(frozen=True, slots=True)
class Tested:
    """A result.

    Attributes:
        finding: What the test returned, with its working.
        attachments: Files that belong beside it.
    """

    finding: Finding
    attachments: tuple[Attachment, ...] = ()

    @property
    def failed_assumption(self) -> str:
        """Which assumption the data refute; empty if none."""
        return " ".join(self.finding.refuted)
