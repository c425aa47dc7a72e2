"""The one picture of a finding, as inline SVG: the same bytes for the same data."""

import hashlib
import io
import warnings
import xml.etree.ElementTree as ET  # ruff: ignore[suspicious-xml-etree-import]
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from ..findings import NullHistogram, Trend
from .wording import decimal, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["render_figure"]

# Okabe & Ito (2008); told apart in grey by lightness, and here also by shape and label.
_BLUE, _VERMILION, _GREY, _INK = "#0072B2", "#D55E00", "#BDBDBD", "#1A1A1A"

_SIZE_INCHES = (4.4, 2.5)  # small, so that the text stays readable at the width of a phone
_LONGEST_LABEL = 54
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.unicode_minus": True,
}


def render_figure(figure: NullHistogram | Trend, title: str, description: str) -> str:
    """Draw a figure as an `<svg>` element for an HTML page.

    Its ids start with a digest of figure, title and description, so that figures share a page.

    Args:
        figure: What to draw.
        title: Short name, read aloud in place of the picture.
        description: What the picture shows, for those who do not see it.

    Returns:
        One well-formed `svg` element, without XML declaration, script or outside reference.

    Raises:
        InvalidInput: If the parts of the figure do not fit each other.
    """
    _check(figure)
    identity = hashlib.sha256(repr((figure, title, description)).encode("utf-8", "replace"))
    prefix = f"fig-{identity.hexdigest()[:12]}-"
    # The parser sees nothing from outside: matplotlib has just written and escaped this text.
    root = ET.fromstring(_drawn(figure, prefix))  # ruff: ignore[suspicious-xml-element-tree-usage]
    _name(root, prefix, visible(title), visible(description))
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _check(figure: NullHistogram | Trend) -> None:
    if isinstance(figure, Trend):
        sizes = {len(part) for part in (figure.x, figure.y, figure.low, figure.high)}
        if len(sizes) > 1 or 0 in sizes:
            raise InvalidInput(
                f"trend: expected x, y, low, high of one length, got {sorted(sizes)}"
            )
        return
    if len(figure.edges) != len(figure.counts) + 1 or not figure.counts:
        raise InvalidInput(
            f"histogram: expected one edge more than counts, got {len(figure.edges)} edges and "
            f"{len(figure.counts)} counts"
        )
    if list(figure.edges) != sorted(figure.edges):
        raise InvalidInput("histogram: expected ascending edges")


def _drawn(figure: NullHistogram | Trend, salt: str) -> str:
    import matplotlib  # in here: it is slow to import
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A label may need glyphs that the measuring font lacks; the reader's browser draws it.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        matplotlib.rcdefaults()  # the reader's matplotlibrc must not change the picture
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        canvas = Figure(figsize=_SIZE_INCHES, layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.subplots()
        if isinstance(figure, NullHistogram):
            _draw_histogram(axes, figure)
        else:
            _draw_trend(axes, figure)
        canvas.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return out.getvalue()


def _draw_histogram(axes: "Axes", figure: NullHistogram) -> None:
    axes.stairs(figure.counts, figure.edges, fill=True, color=_GREY)
    axes.stairs(figure.counts, figure.edges, color=_INK, linewidth=0.6)
    axes.axvline(figure.observed, color=_VERMILION, linewidth=2)
    middle = (min(figure.edges[0], figure.observed) + max(figure.edges[-1], figure.observed)) / 2
    axes.annotate(
        f"observed {decimal(figure.observed, 2)}",
        (figure.observed, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if figure.observed > middle else 5, -2),
        textcoords="offset points",
        ha="right" if figure.observed > middle else "left",
        va="top",
        fontweight="bold",
    )
    axes.set_ylim(0, max(figure.counts, default=1) * 1.3 or 1)
    _label(axes, figure.label, "Draws under the null hypothesis")


def _draw_trend(axes: "Axes", figure: Trend) -> None:
    below = [y - low for y, low in zip(figure.y, figure.low, strict=True)]
    above = [high - y for y, high in zip(figure.y, figure.high, strict=True)]
    axes.errorbar(
        figure.x,
        figure.y,
        yerr=[[max(d, 0.0) for d in below], [max(d, 0.0) for d in above]],
        fmt="o",
        color=_BLUE,
        ecolor=_INK,
        elinewidth=1,
        capsize=2.5,
        markersize=5,
    )
    _label(axes, figure.x_label, figure.y_label, "mean per bin, with 95 % interval")


def _label(axes: "Axes", x_label: str, *y_lines: str) -> None:
    axes.set_xlabel(_short(x_label))
    # Above the axis instead of beside it: all text of a figure is horizontal.
    axes.set_title("\n".join(map(_short, y_lines)), loc="left", fontsize=10.5)


def _short(label: str) -> str:
    shown = visible(label)
    return shown if len(shown) <= _LONGEST_LABEL else shown[: _LONGEST_LABEL - 1] + "…"


def _name(root: ET.Element, prefix: str, title: str, description: str) -> None:
    """Give the picture its words, drop its size and metadata, and make its ids its own."""
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}]:
            parent.remove(child)
    # What matplotlib's style sheet says; in a page, that sheet would reach all other drawings too.
    root.set("stroke-linejoin", "round")
    root.set("stroke-linecap", "butt")
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _prefixed(name, value, prefix))
    for name in ("width", "height"):
        root.attrib.pop(name)
    words: list[Any] = [ET.Element(f"{{{_SVG}}}title"), ET.Element(f"{{{_SVG}}}desc")]
    for element, kind, text in zip(words, ("title", "desc"), (title, description), strict=True):
        element.set("id", prefix + kind)
        element.text = text
    root[:0] = words
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}title {prefix}desc")


def _prefixed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name in {"href", f"{{{_XLINK}}}href"} and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return value.replace("url(#", f"url(#{prefix}")
