"""From findings to a report that a court can read and an opponent can check.

`AuditReport.from_findings` takes every registered test, corrects for their number (Holm) and
decides each status by rule; `Control` adds runs with a known answer, `Exhibit` files, and `CaseFile`
says who asked, what was examined and when. `AuditReport.to_json` is the report for machines;
`render_html` writes it for people, one self-contained page that needs no scripts; `render_figure`
draws one finding. Writing files is the caller's part.
"""

from .audit import AuditReport
from .case import (
    PROFILES,
    AssumptionCheck,
    CaseFile,
    CustodyRecord,
    ExaminedItem,
    Party,
    PositiveControl,
    RegisteredTest,
    RepeatStep,
    TimelineEvent,
)
from .entries import AuditedFinding, Control, Exhibit, NotRun, Status
from .figures import render_figure
from .html import render_html
from .letterhead import Letterhead
from .markdown import render_markdown
from .pdf import render_pdf

__all__ = [
    "PROFILES",
    "AssumptionCheck",
    "AuditReport",
    "AuditedFinding",
    "CaseFile",
    "Control",
    "CustodyRecord",
    "ExaminedItem",
    "Exhibit",
    "Letterhead",
    "NotRun",
    "Party",
    "PositiveControl",
    "RegisteredTest",
    "RepeatStep",
    "Status",
    "TimelineEvent",
    "render_figure",
    "render_html",
    "render_markdown",
    "render_pdf",
]
