"""`render_pdf`: the report as a tagged PDF, PDF/A-2a and PDF/UA-1, set by typst from the HTML page.

All words are those of the page; they reach typst as JSON and are never read as markup. typst works
without network, in an empty folder, with the fonts it carries and those of matplotlib.
"""

import hashlib
import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from ...errors import InvalidInput
from .audit import AuditReport
from .blocks import Block, Box, Figure, Page, Paragraph, Run
from .html import render_html
from .packing import packed
from .reading import read_page
from .typesetting import drawable_text, font_folder, link_targets, shortened, typeset
from .wording import visible

if TYPE_CHECKING:
    from typst import Fonts

__all__ = ["render_pdf"]

_STANDARDS: list[Any] = ["ua-1", "a-2a"]
_PAPER = {"a4": ("a4", 297.0), "letter": ("us-letter", 279.4)}  # name in typst, height in mm
_MARGINS_MM = 52.0
_ACCENT = "#0b3d66"  # as in report.css
_MOST_MEASURED = 100  # with more findings, boxes may break: to set each twice takes as long again
_LONGEST_ID, _LONGEST_TITLE = 40, 500
_DRAWN_ELSEWHERE = "The figure is drawn in report.html."


def render_pdf(
    report: AuditReport, *, paper: Literal["a4", "letter"] = "a4", page: str | None = None
) -> bytes:
    """Write a report as PDF; the same bytes for the same report and version of typst.

    Code points without a glyph appear as `<U+4E2D>`. A foreign string of more than 5,000 characters, in
    a heading of more than 500, is cut, and says so; report.json has all of it.

    Args:
        report: The report.
        paper: Size of the sheets. With more than 100 findings, their figures are described and not drawn.
        page: What `render_html(report)` returned, if it is at hand.

    Returns:
        The file.

    Raises:
        InvalidInput: If typst is not installed or refuses the report, or paper is of no known size.
    """
    if paper not in _PAPER:
        raise InvalidInput(f"paper: expected one of {', '.join(_PAPER)}, got {paper!r:.40}")
    typst = _typst()
    content = _content(report, read_page(render_html(report) if page is None else page), paper)
    with tempfile.TemporaryDirectory() as empty:
        try:
            made: bytes = typst.compile(
                files(__package__).joinpath("report.typ").read_bytes(),
                root=empty,
                font_paths=_fonts(),
                ignore_system_fonts=True,
                sys_inputs={"report": json.dumps(content, ensure_ascii=False)},
                pdf_standards=_STANDARDS,
                package_path=empty,
                package_cache_path=empty,
                timestamp=_created(report),
            )
        except typst.TypstError as error:
            raise InvalidInput(
                f"report: typst cannot set it as PDF: {error.message:.300}"
            ) from error
    return packed(made)


def _typst() -> Any:
    try:
        import typst
    except ImportError as error:
        raise InvalidInput(
            "a report as PDF needs the package typst, which is not installed", "pip install typst"
        ) from error
    return typst


@cache
def _fonts() -> "Fonts":
    fonts: Fonts = _typst().Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(font_folder())]
    )
    return fonts


def _created(report: AuditReport) -> datetime:
    return datetime.fromisoformat(report.created).astimezone(UTC)


def _content(report: AuditReport, page: Page, paper: str) -> dict[str, Any]:
    sheet, height = _PAPER[paper]
    room = height - _MARGINS_MM
    boxes = sum(isinstance(block, Box) for block in page.main)
    main = page.main if boxes <= _MOST_MEASURED else [_without_pictures(b) for b in page.main]
    targets = link_targets(page.blocks)
    digest = hashlib.sha256(report.to_json()).hexdigest()
    letterhead = report.case.letterhead if report.case else None
    name = _in_footer(report.case.report_id) if report.case else ""
    return {
        "language": page.language,
        "title": drawable_text(shortened(page.title, _LONGEST_TITLE)),
        "paper": sheet,
        "accent": (letterhead.accent if letterhead else "") or _ACCENT,
        "room": room,
        "footer": f"{name}report.json SHA-256 {digest[:16]}…",
        "contents": page.contents,
        "front": typeset(page.front, targets, room),
        "main": typeset(main, targets, room if boxes <= _MOST_MEASURED else 0.0),
        "end": typeset(page.end, targets, room),
    }


def _without_pictures(block: Block) -> Block:
    """A box whose pictures are described: hundreds of them would double the time and size of the file."""
    if not isinstance(block, Box):
        return block
    kept = tuple(
        Paragraph(
            runs=(*inner.caption, Run(text=f" {inner.description} {_DRAWN_ELSEWHERE}")), id=inner.id
        )
        if isinstance(inner, Figure)
        else inner
        for inner in block.blocks
    )
    return replace(block, blocks=kept)


def _in_footer(report_id: str) -> str:
    """So much of an id as leaves room for the number of the page; the cover has all of it."""
    shown = drawable_text(visible(report_id[: _LONGEST_ID + 1]))
    return f"{shown[:_LONGEST_ID]}{'…' if len(shown) > _LONGEST_ID else ''} · "
