"""A picture of power against the number of units."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from .forecast import MAX_UNITS, PowerForecast, PowerTest, forecast_power
from .levels import level_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLOT_FORMATS", "draw_power"]

PLOT_FORMATS = ("pdf", "png", "svg")

# Okabe & Ito (2008), as in `report.figures`
_BLUE, _VERMILION, _GREY, _INK = "#0072B2", "#D55E00", "#BDBDBD", "#1A1A1A"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "bookplate-power",  # the same bytes for the same forecast
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
_N_POINTS = 161
_DECADES = 1.3  # to either side of the marked number


def draw_power(forecast: PowerForecast, path: Path, file_format: str) -> None:
    """Draw power against n on a logarithmic axis, the forecast marked.

    Args:
        forecast: What to mark; its effect and level make the curve.
        path: File to write into.
        file_format: One of `PLOT_FORMATS`.

    Raises:
        InvalidInput: If the format is another.
    """
    if file_format not in PLOT_FORMATS:
        raise InvalidInput(f"plot: expected {', '.join(PLOT_FORMATS)}, got '{file_format}'")
    import matplotlib  # in here: it is slow to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the reader's matplotlibrc must not change the picture
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.subplots(), forecast)
        figure.savefig(path, format=file_format, dpi=160, metadata=_METADATA[file_format])


def _draw(axes: "Axes", forecast: PowerForecast) -> None:
    numbers = _numbers(forecast)
    powers = [_power_at(forecast, n) for n in numbers]
    axes.plot(numbers, powers, color=_BLUE, linewidth=2)
    n, power = forecast.n, forecast.power
    axes.plot([n, n], [0, power], color=_GREY, linewidth=1, zorder=0)
    axes.plot([numbers[0], n], [power, power], color=_GREY, linewidth=1, zorder=0)
    axes.plot([n], [power], "o", color=_VERMILION, markersize=7)
    left = power > 0.5
    axes.annotate(
        f"{n:,} {forecast.unit}: {power:.3g}",
        (n, power),
        xytext=(-9 if left else 9, 7 if left else -4),
        textcoords="offset points",
        ha="right" if left else "left",
        fontweight="bold",
    )
    axes.set_xscale("log")
    axes.set_xlim(numbers[0], numbers[-1])
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel(f"Number of {forecast.unit} (logarithmic axis)")
    name = "rho" if forecast.test is PowerTest.SPEARMAN else "effect"
    axes.set_title(
        f"Probability of p <= {level_text(forecast.log10_alpha)}, {forecast.test} test "
        f"({forecast.alternative}), {name} {forecast.effect:g}",
        loc="left",
        fontsize=10.5,
    )


def _numbers(forecast: PowerForecast) -> list[int]:
    middle = math.log10(forecast.n)
    low = max(middle - _DECADES, math.log10(4))
    high = min(max(middle, low) + _DECADES, math.log10(MAX_UNITS))
    steps = (low + (high - low) * i / (_N_POINTS - 1) for i in range(_N_POINTS))
    return sorted({round(10**step) for step in steps} | {max(forecast.n, 4)})


def _power_at(forecast: PowerForecast, n: int) -> float:
    return forecast_power(
        forecast.test,
        n,
        forecast.effect,
        log10_alpha=forecast.log10_alpha,
        alternative=forecast.alternative,
    ).power
