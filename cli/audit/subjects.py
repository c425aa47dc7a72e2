"""Whom or what a finding asks about, and whether that is what was tested."""

import re
from itertools import pairwise
from pathlib import PurePath

from ...display import visible
from ...stats import Finding
from ...stats.report import AuditReport
from .planned import InfluenceTest, LeakTest
from .registering import Pair, Registered
from .wordings import WORDINGS, blanks

__all__ = ["is_about"]

_OF = " of "  # before the name, where a question may go without one
_POOLED = re.compile(r"[0-9]+ queries together|query (['\"]).*\1")


def is_about(finding: Finding, pair: Pair, registered: Registered, report: AuditReport) -> bool:
    """Whether a finding's question names what was tested, and nothing else.

    A name is one of the audit file: of the subject, its path or its file. The name that a model gives itself
    counts where its digest is the subject's: as registered or, where none was, as the report lists it.

    Args:
        finding: In the words of its kind, but for the blanks.
        pair: What was tested.
        registered: The audit.
        report: Lists the digests of what was examined.
    """
    form = WORDINGS[pair.planned.kind].question
    found = blanks(finding.question, form)
    if not found:
        return False
    named, *rest = found
    if isinstance(pair.planned, InfluenceTest):
        return _is_query(named, finding, pair.planned)
    if isinstance(pair.planned, LeakTest) and not _is_copy(rest[0], pair.planned, registered):
        return False
    if "texts*" in form:
        if not named:
            return True
        if not named.startswith(_OF):
            return False
        named = named.removeprefix(_OF)
    return named in _names_of(finding, pair, registered, report)


def _is_query(named: str, finding: Finding, planned: InfluenceTest) -> bool:
    """The registered query, or all together; by one name in name, question and null hypothesis."""
    due = WORDINGS[planned.kind]
    (null,) = due.nulls.values()
    (name,) = due.names
    others = [
        *(blanks(finding.null, null) or ("",)),
        (blanks(finding.name, f"{name} (*)") or ("",))[0],
    ]
    if any(other != named for other in others):
        return False
    if planned.query is not None:
        return named == f"query {planned.query!r}"
    return _POOLED.fullmatch(named) is not None


def _is_copy(named: str, planned: LeakTest, registered: Registered) -> bool:
    """Of a recipient's copy the question says whose it is."""
    recipient = registered.audit.datasets[planned.dataset].recipient
    return named == (f" made for {recipient}" if recipient else "")


def _names_of(
    finding: Finding, pair: Pair, registered: Registered, report: AuditReport
) -> set[str]:
    thing = registered.audit.section(pair.section)[pair.subject]
    path = str(getattr(thing, "model", "") or getattr(thing, "path", ""))
    known = {pair.subject, path, PurePath(path).name, path.replace("/#", "#")}
    items = report.case.items if report.case else ()
    digest = thing.sha256 or next((i.sha256 for i in items if i.name == pair.subject), "")
    inputs = finding.inputs
    known |= {given.name for given in inputs if given.sha256 == digest}
    if ".parquet" in path:
        # Of a model known by a record of its answers, the digest is the record's, which stands next.
        pairs = pairwise(inputs)
        known |= {given.name for given, record in pairs if record.sha256 == digest}
    return (known | set(map(visible, known))) - {""}
