"""What the signature says of a bundle, besides the digests of its files: the predicate of its statement.

It repeats, in a form for machines, what a reader must be able to hold against the report without trusting
the report: which tests were registered, of whom, with which threshold, and what became of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import hexadecimal
from ..custody.strict_json import fields_of

__all__ = ["FORMAT_VERSION", "PREDICATE_TYPE", "ClaimedTest", "Commitment", "Predicate"]

# A tag URI (RFC 4151): it needs no domain, and nobody else can be meant by it.
PREDICATE_TYPE = "tag:bookplate,2026:attestation/audit-report/v1"
FORMAT_VERSION = "bookplate-bundle/1"
_WHAT = "the predicate"
_FIELDS: Mapping[str, type] = {
    "alpha": float,
    "commitments": list,
    "correction": str,
    "createdAt": str,
    "custodyHead": str,
    "formatVersion": str,
    "preRegistrationSha256": str,
    "previousStatementSha256": str,
    "reportId": str,
    "suspects": list,
    "tests": list,
    "toolVersion": str,
}
_COMMITMENT: Mapping[str, type] = {"leafCount": int, "name": str, "root": str, "sha256": str}
_TEST: Mapping[str, type] = {"id": str, "kind": str, "status": str, "suspect": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A file that binds something without showing it.

    Attributes:
        name: Its path in the bundle, e.g. `commitments/release.json`.
        sha256: Of its bytes.
        root: Merkle root stated in it; empty if it states none.
        leaf_count: The number of leaves under that root; 0 if there is none.
    """

    name: str
    sha256: str
    root: str = ""
    leaf_count: int = 0

    def __post_init__(self) -> None:
        _digest("sha256", self.sha256)
        _digest_or_nothing("root", self.root)
        if self.leaf_count < 0 or (self.leaf_count and not self.root):
            raise InvalidInput(
                f"commitment {visible(self.name[:200])!r}: a leaf count without root"
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "leafCount": self.leaf_count,
            "name": self.name,
            "root": self.root,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTest:
    """One registered test, and what became of it.

    Attributes:
        id: As registered.
        kind: Which test.
        suspect: Of which suspect.
        status: As in the report, e.g. `evidence_found` or `not_run`.
    """

    id: str
    kind: str
    suspect: str
    status: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"id": self.id, "kind": self.kind, "status": self.status, "suspect": self.suspect}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """What is signed about a bundle.

    Attributes:
        report_id: Name of the report.
        tool_version: Version of this program that made it.
        created_at: RFC 3339 in UTC, by the clock of the machine that made it.
        pre_registration_sha256: Of `audit.yaml`.
        commitments: What was committed to.
        tests: Every registered test, in order of registration.
        suspects: Their suspects, each once, in order of first registration.
        alpha: Threshold for corrected p-values.
        correction: How they are corrected.
        custody_head: Hash of the last line of the custody log; empty if there is no log.
        previous_statement_sha256: Of the `statement.dsse.json` that this one replaces; empty if none.
        format_version: Of the bundle.
    """

    report_id: str
    tool_version: str
    created_at: str
    pre_registration_sha256: str
    commitments: tuple[Commitment, ...]
    tests: tuple[ClaimedTest, ...]
    suspects: tuple[str, ...]
    alpha: float
    correction: str
    custody_head: str
    previous_statement_sha256: str = ""
    format_version: str = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise InvalidInput(
                f"format {visible(self.format_version[:80])!r} is not known here",
                "a newer version of this tool may read it",
            )
        _digest("preRegistrationSha256", self.pre_registration_sha256)
        _digest_or_nothing("custodyHead", self.custody_head)
        _digest_or_nothing("previousStatementSha256", self.previous_statement_sha256)
        names = [commitment.name for commitment in self.commitments]
        if len(set(names)) < len(names):
            raise InvalidInput("a commitment is listed twice")

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for `statement_over`."""
        return {
            "alpha": self.alpha,
            "commitments": [commitment.to_dict() for commitment in self.commitments],
            "correction": self.correction,
            "createdAt": self.created_at,
            "custodyHead": self.custody_head,
            "formatVersion": self.format_version,
            "preRegistrationSha256": self.pre_registration_sha256,
            "previousStatementSha256": self.previous_statement_sha256,
            "reportId": self.report_id,
            "suspects": list(self.suspects),
            "tests": [test.to_dict() for test in self.tests],
            "toolVersion": self.tool_version,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote, from a statement that was read strictly.

        Raises:
            VerificationError: If a field is missing, unknown or of another type, a digest is none, or
                the format is not known.
        """
        if isinstance(data, dict) and data.get("formatVersion") != FORMAT_VERSION:
            raise VerificationError(
                f"{_WHAT}: format {visible(str(data.get('formatVersion'))[:80])!r} is not known here",
                "a newer version of this tool may read it",
            )
        found = dict(zip(_FIELDS, fields_of(data, _FIELDS, _WHAT), strict=True))
        try:
            return cls(
                report_id=found["reportId"],
                tool_version=found["toolVersion"],
                created_at=found["createdAt"],
                pre_registration_sha256=found["preRegistrationSha256"],
                commitments=tuple(_commitment(item) for item in found["commitments"]),
                tests=tuple(_test(item) for item in found["tests"]),
                suspects=_strings(found["suspects"]),
                alpha=found["alpha"],
                correction=found["correction"],
                custody_head=found["custodyHead"],
                previous_statement_sha256=found["previousStatementSha256"],
                format_version=found["formatVersion"],
            )
        except InvalidInput as error:
            raise VerificationError(f"{_WHAT}: {error}", error.hint) from None


def _commitment(data: Any) -> Commitment:
    leaf_count, name, root, sha256 = fields_of(data, _COMMITMENT, f"{_WHAT}, a commitment")
    return Commitment(name=name, sha256=sha256, root=root, leaf_count=leaf_count)


def _test(data: Any) -> ClaimedTest:
    id_, kind, status, suspect = fields_of(data, _TEST, f"{_WHAT}, a test")
    return ClaimedTest(id=id_, kind=kind, suspect=suspect, status=status)


def _strings(data: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in data):
        raise VerificationError(f"{_WHAT}: a suspect whose name is no string")
    return tuple(data)


def _digest_or_nothing(name: str, value: str) -> None:
    if value:
        _digest(name, value)


def _digest(name: str, value: str) -> None:
    try:
        hexadecimal(64, value, "SHA-256 digest")
    except ValueError:
        raise InvalidInput(f"{name}: {visible(value[:80])!r} is no SHA-256 digest") from None
