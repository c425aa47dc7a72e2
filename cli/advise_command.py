"""`bookplate palimpsest advise`: which reference to take, and how many sequences to ask about."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .dry_run import all_asked
from .options import AsJson, References, Seed
from .output import print_json, print_note, print_table, working
from .reaching import Reached, reach, reaches_models
from .transcript_options import OrderRead, SamplingName, reads_order

if TYPE_CHECKING:
    from ..provenance.palimpsest.advice import Option

__all__ = ["advise"]


@reads_order
@reaches_models
def advise(
    transcript: Annotated[
        Path, typer.Argument(help="Parquet or jsonl, or a folder: step, and text or tokens.")
    ],
    own: Annotated[
        str,
        typer.Option(
            "--own", help="Your own model of this run, or a fine-tune of it. Not the suspect."
        ),
    ],
    reference: References = None,
    alpha: Annotated[float, typer.Option(help="The p-value to reach.")] = 1e-3,
    power: Annotated[float, typer.Option(help="Probability to reach it.")] = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    order: OrderRead,
    how: Reached,
) -> None:
    """Measure on a model of your own what 'query' will need. Try --sample 1000 --sampling random."""
    from ..provenance.palimpsest.advice import advise as try_all
    from .reporting import refuse_unfit

    refuse_unfit(None, seed=seed)
    if order.sample is not None and order.sampling is not SamplingName.RANDOM:
        raise InvalidInput(
            f"a sample by '{order.sampling.value}' shows more than its size promises",
            "give --sampling random",
        )
    read = order.read(transcript, seed)
    model, references = reach(own, reference or [], how)
    with working(f"scoring {own}"):
        options = try_all(
            read,
            model,
            seed=seed,
            references=references,
            window=order.window(),
            alpha=alpha,
            power=power,
        )
    all_asked()
    if as_json:
        print_json({"alpha": alpha, "power": power, "options": [asdict(o) for o in options]})
        return
    _print(options, alpha, power)


def _print(options: "Sequence[Option]", alpha: float, power: float) -> None:
    heading = ("references", "covariates", "rho", "95 % interval", "sequences needed", "at worst")
    print_table(
        heading,
        [
            (
                ", ".join(option.references) or "none",
                ", ".join(option.covariates) or "none",
                f"{option.pilot.effect:.3f}",
                f"{option.pilot.low:.3f} to {option.pilot.high:.3f}",
                _count(option.needed),
                _count(option.needed_at_worst),
            )
            for option in options
        ],
    )
    print_note(
        f"For p <= {alpha:g} with a probability of {power:g}, for sequences drawn at random. The best of "
        "several pilots looks better than it is, and a suspect that was trained further shows less: plan for "
        "the worst column. Fix reference, covariates and number before the suspect is asked."
    )


def _count(needed: int | None) -> str:
    return "cannot be told" if needed is None else f"{needed:,}"
