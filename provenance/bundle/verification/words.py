"""Check 9: the words for people say what the numbers for machines say.

The report is rendered again from report.json. Nothing of the bundle is used for it but that file: a
template that came with a bundle would be a program of the other side's.
"""

import importlib.metadata
import re
from collections.abc import Sequence
from hashlib import sha256
from html import unescape
from itertools import zip_longest
from typing import Final, Literal

from .... import __version__
from ....display import visible
from ....errors import InvalidInput, VerificationError
from ....stats.report import AuditReport, render_html, render_markdown, render_pdf
from ....stats.report.wording import grouped
from ..layout import REPORT_HTML, REPORT_JSON, REPORT_MARKDOWN, REPORT_PDF
from .matter import Matter
from .outcomes import NotChecked

__all__ = ["words"]

_BETWEEN = r"(?:<[^<>]{0,60}>){0,4}"  # groups of a digest are spans; bounded, as pages are hostile
_SETS_PDF = ("typst", "matplotlib")  # the latter for its fonts
_PAPERS: Final[tuple[Literal["a4", "letter"], ...]] = ("a4", "letter")
_ANSWERS = 'aria-labelledby="answers"'  # what marks the section


def words(matter: Matter) -> Sequence[str]:
    """9. report.html, report.md and report.pdf are what report.json gives when it is rendered again.

    If another version of this program made them, its words may be others: then only the answers in
    brief are compared, and a difference says nothing.

    Raises:
        NotChecked: If something cannot be rendered here, or was by other versions.
    """
    report = matter.report
    page = _text(matter, REPORT_HTML)
    maker = report.versions.get("bookplate", "")
    if maker != __version__:
        return _other_version(report, page, maker)
    due = render_html(report)
    _refuse_other(matter, REPORT_HTML, page, due)
    said = [f"{REPORT_HTML} is what {REPORT_JSON} gives"]
    if matter.has(REPORT_MARKDOWN):
        due_short = render_markdown(report, page=due)
        _refuse_other(matter, REPORT_MARKDOWN, _text(matter, REPORT_MARKDOWN), due_short)
        said.append(f"so is {REPORT_MARKDOWN}")
    if matter.has(REPORT_PDF):
        if doubt := _pdf_doubt(matter, due):
            raise NotChecked("; ".join([*said, doubt]))
        said.append(f"so is {REPORT_PDF}")
    return said


def _text(matter: Matter, name: str) -> str:
    try:
        return matter.read(name).decode("utf-8")
    except UnicodeDecodeError:
        raise VerificationError(f"{name}: no UTF-8") from None


def _refuse_other(matter: Matter, name: str, found: str, due: str) -> None:
    """Refuse words that differ; where, and how."""
    if found == due:
        return
    # Digits that nothing shows may differ between machines, and with them the digest of the report.
    found = _without(found, sha256(matter.read(REPORT_JSON)).hexdigest())
    due = _without(due, sha256(matter.report.to_json()).hexdigest())
    if found == due:
        return
    lines = list(zip_longest(found.split("\n"), due.split("\n"), fillvalue=""))
    number, (one, other) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    shown = slice(max(0, at - 20), at + 60)
    raise VerificationError(
        f"{name}, line {number}: says {visible(one[shown])!r} where {REPORT_JSON} gives "
        f"{visible(other[shown])!r}"
    )


def _without(page: str, digest: str) -> str:
    groups = _BETWEEN.join(map(re.escape, grouped(digest)))
    return re.sub(groups, "(digest)", page).replace(digest[:16], "(digest)")


def _pdf_doubt(matter: Matter, page: str) -> str:
    """Why report.pdf cannot be compared; nothing if it is what it should be.

    Raises:
        VerificationError: If it is another.
    """
    for library in _SETS_PDF:
        stated = matter.report.versions.get(library, "")
        try:
            here = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            return f"{REPORT_PDF} cannot be set again: {library} is not installed"
        if stated != here:
            by = visible(stated[:40]) or "of a version not stated"
            return f"{REPORT_PDF} was set by {library} {by}, and here is {here}"
    if matter.report.to_json() != matter.read(REPORT_JSON):
        return f"{REPORT_PDF} cannot be compared: this machine rounds a number otherwise"
    found = matter.read(REPORT_PDF)
    try:
        made = (render_pdf(matter.report, paper=paper, page=page) for paper in _PAPERS)
        if any(found == pdf for pdf in made):
            return ""
    except (InvalidInput, ImportError) as error:
        return f"{REPORT_PDF} cannot be set again: {error}"
    raise VerificationError(f"{REPORT_PDF}: is not what {REPORT_JSON} gives")


def _other_version(report: AuditReport, page: str, maker: str) -> Sequence[str]:
    made_by = visible(maker[:40]) or "(not stated)"
    if _answers(page) != _answers(render_html(report)):
        raise NotChecked(
            f"the report was written by version {made_by}, this is {__version__}: the words of the "
            "answers differ, and only that version can compare them; the numbers are those of checks 7 and 8"
        )
    return [
        f"the answers in brief are those that this version gives; the rest, by {made_by}, is not"
    ]


def _answers(page: str) -> list[str]:
    """The words of the answers in brief; of any text, in time that grows with its length only."""
    depth, found = 0, []
    for part in page.split("<"):
        tag, _, text = part.partition(">")
        if tag.startswith("section") and (depth or _ANSWERS in tag):
            depth += 1
        elif tag.startswith("/section") and depth:
            depth -= 1
        if depth:
            found += unescape(text).split()
    return found
