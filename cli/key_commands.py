"""`bookplate key`: make secret keys."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .output import print_json, print_rows

app = typer.Typer(help="Make secret keys.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make secret keys."""


@app.command("new")
def new(
    keyfile: Annotated[Path, typer.Argument(help="File to write; readable by its owner only.")],
    as_json: AsJson = False,
) -> None:
    """Make a secret marking key. Keep it safe: without it a mark proves nothing."""
    from ..watermark.keys import MarkingKey

    key = MarkingKey.generate()
    key.save(keyfile)
    if as_json:
        print_json({"keyfile": str(keyfile), "commitment": key.commitment})
    else:
        print_rows([("wrote", str(keyfile)), ("public commitment", key.commitment)])
