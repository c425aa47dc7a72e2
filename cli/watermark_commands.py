"""`bookplate watermark`: mark a dataset, restore it, find the mark in a model."""

from pathlib import Path
from typing import Annotated

import typer

from .card_command import card
from .detect_command import detect
from .disclosure_commands import check_disclosure, disclose
from .embed_command import embed
from .leak_command import leak
from .options import AsJson, IdColumn, TextColumn
from .output import print_json, print_rows
from .quality_command import quality
from .questions_commands import of_manifest

app = typer.Typer(
    help="Mark a dataset before release, and find the mark in a model.", no_args_is_help=True
)

app.command("embed")(embed)
app.command("detect")(detect)
app.command("leak")(leak)
app.command("quality")(quality)
app.command("questions")(of_manifest)
app.command("disclose")(disclose)
app.command("check-disclosure")(check_disclosure)
app.command("card")(card)


@app.command("restore")
def restore(
    released: Annotated[Path, typer.Argument(help="A released file, or a folder of them.")],
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    out: Annotated[Path, typer.Option("--out", help="File or folder to write.")],
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    as_json: AsJson = False,
) -> None:
    """Take the marks out again: the original texts, byte for byte."""
    from ..watermark.embed import restore as restore_file

    rows = restore_file(released, manifest, out, text_column=text_column, id_column=id_column)
    if as_json:
        print_json({"rows": rows, "out": str(out)})
    else:
        print_rows([("rows restored and checked", f"{rows:,}"), ("wrote", str(out))])
