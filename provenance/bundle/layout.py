"""What lies where in a bundle. Whoever writes one and whoever checks one takes the names from here.

- `audit.yaml`: the pre-registration, byte for byte as it was read
- `report.json`, `.html`, `.md`, `.pdf`: the report; the last two may be absent
- `exhibits/T01.parquet`, ...: the numbers of each test that was run, by its place of registration
- `commitments/NAME.json`: what was committed to, as published
- `commitments/NAME.json.*.tsr`, `commitments/audit.yaml.*.tsr`: timestamps over them, and over `audit.yaml`
- `custody.jsonl`: the hash-chained log
- `signer.pem`: the public key, for convenience; it says nothing of who holds it
- `statement.dsse.json`: signed; binds all files above
- `timestamps/*.tsr`: timestamps over the statement
"""

import re
from collections.abc import Iterable

__all__ = [
    "AUDIT",
    "CUSTODY",
    "REPORT_HTML",
    "REPORT_JSON",
    "REPORT_MARKDOWN",
    "REPORT_PDF",
    "SIGNER",
    "STATEMENT",
    "commitment_names",
    "exhibit_name",
    "may_be_unsigned",
    "stamped_name",
    "stamps_of_statement",
]

AUDIT = "audit.yaml"
REPORT_JSON, REPORT_HTML = "report.json", "report.html"
REPORT_MARKDOWN, REPORT_PDF = "report.md", "report.pdf"
CUSTODY = "custody.jsonl"
SIGNER, STATEMENT = "signer.pem", "statement.dsse.json"

_COMMITMENT = re.compile(r"commitments/[^/]+\.json")
_STAMP_OF_STATEMENT = re.compile(r"timestamps/[^/]+\.tsr")


def exhibit_name(number: int) -> str:
    """Where the numbers of a test lie.

    Args:
        number: The test's place among those registered, from 1.
    """
    return f"exhibits/T{number:02d}.parquet"


def may_be_unsigned(name: str) -> bool:
    """Whether a file may lie in a bundle without being signed for: the statement and its timestamps."""
    return name == STATEMENT or _STAMP_OF_STATEMENT.fullmatch(name) is not None


def stamps_of_statement(names: Iterable[str]) -> list[str]:
    """The timestamps over the statement."""
    return [name for name in names if _STAMP_OF_STATEMENT.fullmatch(name)]


def commitment_names(names: Iterable[str]) -> list[str]:
    """The commitments among some files."""
    return [name for name in names if _COMMITMENT.fullmatch(name)]


def stamped_name(stamp: str, names: Iterable[str]) -> str:
    """Which file a timestamp below `commitments/` is about; empty if none.

    `commitments/release.json.first.tsr` and `commitments/release.first.tsr` are both about
    `commitments/release.json`, and `commitments/audit.yaml.first.tsr` about `audit.yaml`.

    Args:
        stamp: Path of the timestamp.
        names: Paths of the files in the bundle.
    """
    base = stamp.rpartition("/")[2]
    named = {name.rpartition("/")[2]: name for name in commitment_names(names)}
    starts = {n.removesuffix(".json"): path for n, path in named.items()} | named | {AUDIT: AUDIT}
    fitting = [start for start in starts if base.startswith(start + ".")]
    return starts[max(fitting, key=len)] if fitting else ""
