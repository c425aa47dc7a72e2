"""`bookplate power`: how many records, sequences or word types a test needs."""

import math
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BookplateError, InvalidInput
from .options import AsJson, Seed
from .output import print_json, print_rows, working

if TYPE_CHECKING:
    from ..stats.power.forecast import PowerForecast, PowerTest
    from ..stats.power.pilot import PilotEffect
    from ..stats.power.simulation import SimulatedPower

__all__ = ["power"]

_TABLE_POWERS = (0.5, 0.8, 0.9, 0.99)
_TABLE_ALPHAS = ("0.05", "0.01", "0.001", "1e-6", "1e-9")
_PILOT_WARNING = (
    "A pilot's effect is uncertain, and the pilots that get published are the lucky ones: plan for the "
    "weak end of its interval."
)


class PowerTestName(StrEnum):
    """The tests; the library's own enumeration would cost its import at start-up."""

    PAIRED = "paired"
    SPEARMAN = "spearman"
    CHOICE = "choice"


class Direction(StrEnum):
    """The values of --alternative."""

    GREATER = "greater"
    LESS = "less"
    TWO_SIDED = "two-sided"


def power(
    test: Annotated[
        PowerTestName,
        typer.Argument(
            help="paired: differences of records. spearman: training sequences. choice: word types."
        ),
    ],
    effect: Annotated[
        float | None,
        typer.Option(
            help="Mean over standard deviation (paired, choice), or the rank correlation (spearman)."
        ),
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option("--from", help="Take the effect from this finding, printed by --json."),
    ] = None,
    alpha: Annotated[
        str, typer.Option(help="The p-value to reach; may be as small as 1e-400.")
    ] = "1e-6",
    n: Annotated[
        int | None, typer.Option("--n", help="Number of units: print the power it gives.")
    ] = None,
    target: Annotated[
        float | None,
        typer.Option("--power", help="Print the number of units that give it; default 0.9."),
    ] = None,
    alternative: Annotated[
        Direction, typer.Option(help="Direction of the test.")
    ] = Direction.GREATER,
    simulate: Annotated[
        int, typer.Option(help="Also run the test on so many synthetic data sets.")
    ] = 0,
    seed: Seed = 1,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw power against n: a new .svg, .png or .pdf file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How many records, sequences or word types are needed for a given p."""
    from ..files import new_file
    from ..stats import Alternative
    from ..stats.power.forecast import PowerTest, forecast_power, sample_size
    from ..stats.power.plot import draw_power
    from ..stats.power.simulation import simulate_power

    if n is not None and target is not None:
        raise InvalidInput("give either --n or --power: one follows from the other")
    if simulate < 0:
        raise InvalidInput(f"--simulate: expected a number of data sets, got {simulate}")
    file_format = "" if plot is None else _format_of(plot)
    level = _log10_of(alpha)
    chosen, direction = PowerTest(test.value), Alternative(alternative.value)
    found = None if pilot is None else _read_pilot(pilot, chosen)
    size = _one_effect(effect, found)
    wanted = 0.9 if target is None else target
    if n is None:
        forecast = sample_size(chosen, size, log10_alpha=level, power=wanted, alternative=direction)
    else:
        forecast = forecast_power(chosen, n, size, log10_alpha=level, alternative=direction)
    simulated = None
    if simulate:
        with working(f"running the test on {simulate:,} data sets"):
            simulated = simulate_power(
                chosen,
                forecast.n,
                size,
                log10_alpha=level,
                alternative=direction,
                seed=seed,
                n_datasets=simulate,
            )
    if plot is not None:
        with new_file(plot) as staged:
            draw_power(forecast, staged, file_format)
    table = _table(forecast)
    ends = None if found is None else _ends(found, forecast, wanted)
    if as_json:
        print_json({
            "forecast": forecast.to_dict(),
            "simulation": None if simulated is None else simulated.to_dict(),
            "pilot": None if found is None else {**asdict(found), "forecast_at": ends},
            "table": table,
            "plot": None if plot is None else str(plot),
        })
    else:
        _show(forecast, simulated, found, ends, table)
        if plot is not None:
            print_rows([("wrote", str(plot))])


def _format_of(plot: Path) -> str:
    from ..stats.power.plot import PLOT_FORMATS

    ending = plot.suffix[1:].lower()
    if ending not in PLOT_FORMATS:
        raise InvalidInput(f"{plot}: expected the ending .svg, .png or .pdf")
    return ending


def _log10_of(alpha: str) -> float:
    """The decimal logarithm of a number written in any way, also of 1e-400, which is no float."""
    try:
        value = Decimal(alpha)
        level = float(value.log10()) if 0 < value < 1 else math.nan
    except InvalidOperation:
        level = math.nan
    if math.isnan(level):
        raise InvalidInput(f"--alpha: expected a number between 0 and 1, got '{alpha}'")
    return level


def _one_effect(effect: float | None, found: "PilotEffect | None") -> float:
    if effect is not None and found is None:
        return effect
    if effect is None and found is not None:
        return found.effect
    raise InvalidInput("give either --effect or --from")


def _read_pilot(path: Path, test: "PowerTest") -> "PilotEffect":
    from ..files import read_json
    from ..stats import Finding
    from ..stats.power.pilot import pilot_effect

    data = read_json(path, "a finding printed by --json")
    try:
        found = pilot_effect(Finding.from_dict(data))
    except BookplateError as error:
        raise InvalidInput(f"{path}: {error}", error.hint) from error
    if found.test is not test:
        raise InvalidInput(f"{path}: this finding is of a {found.test} test, not of a {test} test")
    return found


def _table(forecast: "PowerForecast") -> list[dict[str, Any]]:
    """The fewest units for some levels and powers; null where none, or more than 1e12, would do."""
    return [
        {
            "alpha": alpha,
            "n": {
                f"{power:g}": _fewest(forecast, forecast.effect, _log10_of(alpha), power)
                for power in _TABLE_POWERS
            },
        }
        for alpha in _TABLE_ALPHAS
    ]


def _fewest(
    forecast: "PowerForecast", effect: float, log10_alpha: float, power: float
) -> int | None:
    from ..stats.power.forecast import sample_size

    try:
        return sample_size(
            forecast.test,
            effect,
            log10_alpha=log10_alpha,
            power=power,
            alternative=forecast.alternative,
        ).n
    except InvalidInput:
        return None


def _ends(found: "PilotEffect", forecast: "PowerForecast", wanted: float) -> dict[str, Any]:
    """The forecast's number of units, had the effect been at either end of the pilot's interval."""
    ends: dict[str, Any] = {}
    for name, effect in (("weak_end", found.weakest), ("strong_end", found.strongest)):
        n = None
        if effect is not None:
            n = _fewest(forecast, effect, forecast.log10_alpha, wanted)
        ends[name] = {"effect": effect, "n": n}
    return ends


def _show(
    forecast: "PowerForecast",
    simulated: "SimulatedPower | None",
    found: "PilotEffect | None",
    ends: dict[str, Any] | None,
    table: list[dict[str, Any]],
) -> None:
    typer.echo(forecast.statement)
    rows = [("direction", f"{forecast.alternative}, to be fixed before the data are seen")]
    if simulated is not None:
        rows.append((
            "simulated",
            f"{simulated.power:.3f}, {simulated.confidence:.0%} interval {simulated.low:.3f} to "
            f"{simulated.high:.3f} ({simulated.n_datasets:,} data sets, seed {simulated.seed})",
        ))
    if found is not None and ends is not None:
        rows.append((
            "pilot",
            f"effect {found.effect:.4g}, 95% interval {found.low:.4g} to {found.high:.4g}, "
            f"from {found.n:,} {found.unit}",
        ))
        for name, end in ends.items():
            size = "no effect at all" if end["effect"] is None else f"effect {end['effect']:.4g}"
            rows.append((name.replace("_", " "), f"{size}: n = {_number(end['n'])}"))
        rows.append(("warning", _PILOT_WARNING))
    rows += [("assumes", text) for text in forecast.assumptions]
    rows += [("warning", text) for text in forecast.warnings]
    print_rows(rows)
    typer.echo(f"\nNumber of {forecast.unit} by p-value to reach and probability to reach it:")
    powers = [f"{power:g}" for power in _TABLE_POWERS]
    typer.echo(f"{'p <=':>8}" + "".join(f"{power:>18}" for power in powers))
    for row in table:
        typer.echo(f"{row['alpha']:>8}" + "".join(f"{_number(row['n'][p]):>18}" for p in powers))


def _number(n: int | None) -> str:
    return "none" if n is None else f"{n:,}"
