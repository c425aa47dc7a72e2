"""From findings to a report that a court can read and an opponent can check.

`AuditReport.from_findings` takes every registered test, corrects for their number (Holm) and
decides each status by rule; `Control` adds runs with a known answer, `Exhibit` files.
`AuditReport.to_json` is the report for machines; `render_html` writes it for people, one
self-contained page without scripts; `render_figure` draws one finding. Writing files is the
caller's part.
"""

from .audit import AuditReport
from .entries import AuditedFinding, Control, Exhibit, NotRun, Status
from .figures import render_figure
from .html import render_html

__all__ = [
    "AuditReport",
    "AuditedFinding",
    "Control",
    "Exhibit",
    "NotRun",
    "Status",
    "render_figure",
    "render_html",
]
