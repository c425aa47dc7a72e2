"""What the checks look at. Whatever an earlier check did not establish, a later one cannot see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ....display import visible
from ....errors import BookplateError, VerificationError
from ....stats.report import AuditReport
from ....stats.report.case import CaseFile
from ...custody import Statement
from ..layout import REPORT_JSON
from ..predicate import Predicate
from ..reading import OpenBundle
from .outcomes import NotChecked

__all__ = ["LARGEST_TEXT", "Matter", "listed"]

LARGEST_TEXT = 64 << 20  # bytes of a report, a log, a statement


@dataclass(slots=False)
class Matter:
    """A bundle on its way through the checks.

    Attributes:
        opened: Its files; None until check 1 is passed.
        signed: Its statement; None until the signature is known to hold.
        statement_sha256: Of the envelope.
        signer: Id of the key that signed; empty as long as no signature is known to hold.
        altered: Files that are not as they were signed, or missing.
    """

    opened: OpenBundle | None = None
    signed: Statement | None = None
    payload: bytes = b""
    statement_sha256: str = ""
    signer: str = ""
    altered: frozenset[str] = field(default_factory=frozenset)

    @property
    def bundle(self) -> OpenBundle:
        """The files.

        Raises:
            NotChecked: If check 1 failed.
        """
        if self.opened is None:
            raise NotChecked("the bundle cannot be opened safely (check 1)")
        return self.opened

    @property
    def statement(self) -> Statement:
        """What was signed.

        Raises:
            NotChecked: If no statement is known to be signed.
        """
        _ = self.bundle
        if self.signed is None:
            raise NotChecked("nothing here is known to be signed (checks 2 and 3)")
        return self.signed

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of every file that is signed for, as signed."""
        return self.statement.subjects

    def has(self, name: str) -> bool:
        """Whether a file is signed for."""
        return name in self.digests

    def read(self, name: str, limit: int = LARGEST_TEXT) -> bytes:
        """The bytes of a file, which are those that were signed.

        Raises:
            NotChecked: If they are not.
            VerificationError: If the file is not signed for, or larger than `limit`.
        """
        if not self.has(name):
            raise VerificationError(f"{visible(name)}: is not in the bundle")
        if name in self.altered:
            raise NotChecked(f"{visible(name)} is not as it was signed (check 3)")
        return self.bundle.read(name, limit)

    @cached_property
    def predicate_or_error(self) -> Predicate | VerificationError:
        """What is signed about the files, or why it cannot be read."""
        try:
            return Predicate.from_dict(self.statement.predicate)
        except VerificationError as error:
            return error

    @property
    def predicate(self) -> Predicate:
        """What is signed about the files.

        Raises:
            NotChecked: If it cannot be read; check 4 says why.
        """
        found = self.predicate_or_error
        if isinstance(found, VerificationError):
            raise NotChecked("what was signed about the files cannot be read (check 4)")
        return found

    @cached_property
    def report_or_error(self) -> AuditReport | BookplateError:
        """The report, all of its answers computed anew, or why it does not hold up."""
        data = self.read(REPORT_JSON)
        try:
            return AuditReport.from_json(data)
        except BookplateError as error:
            return error

    @property
    def report(self) -> AuditReport:
        """The report.

        Raises:
            NotChecked: If it does not hold up; check 8 says why.
        """
        found = self.report_or_error
        if isinstance(found, BookplateError):
            raise NotChecked("report.json does not hold up (check 8)")
        return found

    @property
    def case(self) -> CaseFile:
        """The case of the report.

        Raises:
            NotChecked: As for `report`, or if there is none; check 4 says so.
        """
        if self.report.case is None:
            raise NotChecked("the report belongs to no case (check 4)")
        return self.report.case


def listed(names: "list[str] | tuple[str, ...]", most: int = 5) -> str:
    """Some names in one phrase."""
    shown = ", ".join(visible(name[:100]) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
