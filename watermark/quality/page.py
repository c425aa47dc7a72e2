"""The quality report as one self-contained HTML page."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from ...display import visible
from .assess import Quality

__all__ = ["render_quality"]


def render_quality(quality: Quality, *, title: str, created: str, command: str) -> str:
    """Write the page.

    Args:
        quality: What was measured.
        title: Name of the release.
        created: When, RFC 3339.
        command: The command that made it.

    Returns:
        HTML without scripts or outside references; every text from outside is escaped and made visible.
    """
    style = files("bookplate.stats.report").joinpath("report.css").read_text(encoding="utf-8")
    return _template().render(
        q=quality,
        title=title,
        created=created,
        command=command,
        style=Markup(style),  # ruff: ignore[unsafe-markup-use]  (our own file)
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalised,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = files(__package__).joinpath("quality.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def _finalised(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
