"""`bookplate influence plan`: memory, disk and time of each stage before anything runs."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .influence_factor_options import FactorUse, says_how_to_fit
from .influence_options import ModelUse, load_model, uses_model
from .options import AsJson
from .output import print_json, print_note, print_rows, print_table, quiet_libraries, working

if TYPE_CHECKING:
    from ..provenance.influence.plan import Plan

__all__ = ["bytes_of", "plan", "register"]

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command("plan")(plan)


@says_how_to_fit
@uses_model
def plan(
    model: Annotated[
        Path, typer.Argument(help="Model folder, or a config.json alone: weights are not needed.")
    ],
    sequences: Annotated[int, typer.Option(help="Sequences that curvature is fitted on.")] = 20_000,
    candidates: Annotated[int, typer.Option(help="Sequences that are scored.")] = 11_000,
    queries: Annotated[int, typer.Option(help="Queries that are asked at once.")] = 8,
    query_length: Annotated[
        int | None,
        typer.Option(help="Tokens of a query with its completion. Default: as training sequences."),
    ] = None,
    query_rank: Annotated[
        int | None, typer.Option(help="Rank that the queries are cut down to.")
    ] = None,
    self_influence: Annotated[
        bool, typer.Option("--self", help="The documents' influence on themselves, too.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory to plan for, such as 16GiB. Default: what is free here, now."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where factors would be written: is there room on that disk?")
    ] = Path(),
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Time a small batch on this machine.")
    ] = True,
    as_json: AsJson = False,
    *,
    use: ModelUse,
    how: FactorUse,
) -> None:
    """Say what 'fit' and 'score' will need; if that is not there, what would make it fit (exit code 2)."""
    import torch

    from ..provenance.influence import Wanted
    from ..provenance.influence.plan import Amount, Machine
    from ..provenance.influence.plan import plan as plan_for
    from ..provenance.influence.rehearsal import model_without_weights
    from ..provenance.suspect.local.devices import device_named

    quiet_libraries()
    shape = model_without_weights(model)
    device = _device(use.device) if memory is not None else device_named(use.device)
    length = use.window(shape)
    machine = (
        Machine.here(device, out)
        if memory is None
        else Machine(memory=bytes_of(memory, "--memory"))
    )
    what: dict[str, Any] = {
        "fitted": Amount.equal(sequences, length),
        "candidates": Amount.equal(candidates, length),
        "queries": Amount.equal(queries, length if query_length is None else query_length),
        "settings": how.settings(),
        "cutting": how.cutting(use.batch_tokens),
        "query_rank": query_rank,
        "wanted": Wanted(by_token=True, by_module=True, self_influence=self_influence),
        "folder": out,
    }
    with working("planning"):
        planned = plan_for(
            shape,
            **what,
            device=device,
            dtype=getattr(torch, use.dtype.value),
            machine=machine,
            probe=probe and memory is None,
        )
    if probe and memory is None and planned.unfit is None and _has_weights(model):
        with working("timing a small batch"):
            planned = planned.timed_with(load_model(str(model), use).model)
    if as_json:
        print_json(planned.as_json())
    else:
        _show(planned)
    with working("looking for what would make it fit"):
        planned.refuse_unfit()


def _device(name: str) -> Any:
    """A device that need not be here, when it is said how much memory it has."""
    import torch

    from ..provenance.suspect.local.devices import device_named

    return torch.device(name) if name.startswith("cuda") else device_named(name)


def _has_weights(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.safetensors"))


def bytes_of(text: str, option: str) -> int:
    """Bytes from a number with a unit: 16GiB, 512 MiB, 1.5T; 16GB has the smaller units of disks."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{option}: expected a size such as 16GiB, got {text!r}")
    number, unit, binary = found.groups()
    decimal = not binary and text.strip().lower().endswith("b") and unit
    size = float(number) * (1000 if decimal else 1024) ** _UNITS[unit.lower()]
    if not math.isfinite(size):
        raise InvalidInput(f"{option}: {text[:20]}... is beyond any machine")
    return int(size)


def _show(planned: "Plan") -> None:
    elsewhere = any(stage.host_memory for stage in planned.stages)
    rows = [
        [
            stage.name,
            _size(stage.memory),
            *([_size(stage.host_memory)] if elsewhere else []),
            _size(stage.disk) if stage.disk else "",
            "" if stage.seconds is None else _time(stage.seconds),
        ]
        for stage in planned.stages
    ]
    heading = ["stage", "memory", *(["host memory"] if elsewhere else []), "disk", "time"]
    print_table(heading, rows)
    needed, machine = planned.needed, planned.machine
    print_rows([
        (
            "memory",
            "'load' is the model itself with the documents; other stages need theirs beside it",
        ),
        ("at most", f"{_size(needed.memory)}, of {_size(machine.memory)} that are free"),
        *(
            [("disk", f"{_size(needed.disk or 0)}, of {_size(machine.disk)} that are free")]
            if machine.disk is not None
            else []
        ),
        ("time", planned.time_based_on),
    ])
    if planned.unfit is not None:
        print_note("This does not fit.")


def _size(n: int) -> str:
    return f"{n / (1 << 30):,.1f} GiB" if n >= 1 << 30 else f"{n / (1 << 20):,.0f} MiB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
