"""`bookplate demo`: the whole job on text and models that are already here."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .output import print_json, quiet_libraries


def demo(
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("bookplate-demo"),
    cache: Annotated[
        Path | None,
        typer.Option(
            envvar="BOOKPLATE_CACHE", help="Where trained models are kept for the next run."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Mark a dataset, train guilty and innocent models, audit them, and write the report."""
    from .demo.run import default_cache, run_demo
    from .demo.showing import show_result, training_progress

    quiet_libraries()
    with training_progress() as progress:
        result = run_demo(out, cache or default_cache(), progress)
    if as_json:
        print_json(result.to_dict())
    else:
        show_result(result, out)
