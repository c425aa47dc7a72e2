"""`bookplate watermark`: mark a dataset, restore it, find the mark in a model."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .detect_command import detect
from .leak_command import leak
from .options import AsJson, TextColumn, TierName
from .output import print_json, print_note, print_rows, working
from .quality_command import quality

app = typer.Typer(
    help="Mark a dataset before release, and find the mark in a model.", no_args_is_help=True
)

app.command("detect")(detect)
app.command("leak")(leak)
app.command("quality")(quality)


class ModeName(StrEnum):
    """The values of --mode."""

    KEYED = "keyed"
    LEXIMARK = "leximark"


class UnitName(StrEnum):
    """The values of --unit; the library's own enumeration would cost its import at start-up."""

    TYPE = "type"
    SHARD = "shard"
    SLOT = "slot"
    RECORD = "record"


KeyOption = Annotated[Path, typer.Option("--key", help="Key file made by 'bookplate key new'.")]
IdColumn = Annotated[str | None, typer.Option(help="Column (or key) of the dataset's own ids.")]


@app.command("embed")
def embed(
    source: Annotated[
        Path,
        typer.Argument(
            help="Dataset: .parquet, .jsonl or .csv, the latter two also .gz or .zst, or a folder of such "
            "files."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="Folder to make: OUT/release is to publish, OUT/private to keep.")
    ],
    key: KeyOption,
    mode: Annotated[
        ModeName,
        typer.Option(
            help="keyed: the key draws each word, and the test is exact. leximark: as published, always "
            "the rarest substitute."
        ),
    ] = ModeName.KEYED,
    unit: Annotated[
        UnitName,
        typer.Option(
            help="What one draw decides: a word type, a type within a shard of the dataset, a slot, or "
            "each slot of a record with ghosts."
        ),
    ] = UnitName.TYPE,
    tier: Annotated[
        TierName,
        typer.Option(help="How sure a substitute must be; broader tiers reach more words."),
    ] = TierName.STRICT,
    per_sentence: Annotated[
        int, typer.Option(help="Replace at most this many words of a sentence.")
    ] = 5,
    ghosts: Annotated[
        int | None,
        typer.Option(help="Unpublished variants per record (unit 'record' only; default 19)."),
    ] = None,
    shards: Annotated[
        int | None, typer.Option(help="Number of shards (unit 'shard' only; default 10).")
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option(help="Who gets this copy: its marks are drawn by a sub-key of its own."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    as_json: AsJson = False,
) -> None:
    """Mark a dataset. Every byte outside the replaced words stays as it was.

    A run that was stopped is taken up again by the same command.
    """
    from ..files import unfinished_path
    from ..watermark.embed import embed as embed_file
    from ..watermark.keys import MarkingKey
    from ..watermark.lexicon import Tier
    from ..watermark.marking import Marking, Mode, Unit

    if recipient is not None and not recipient.strip():
        raise InvalidInput("--recipient: the name is empty", "leave it out for one copy for all")
    default_ghosts = 19 if unit is UnitName.RECORD else 0
    default_shards = 10 if unit is UnitName.SHARD else 0
    marking = Marking(
        mode=Mode(mode.value),
        unit=Unit(unit.value),
        tier=Tier(tier.value),
        per_sentence=per_sentence,
        ghosts=default_ghosts if ghosts is None else ghosts,
        shards=default_shards if shards is None else shards,
    )
    try:
        with working(f"marking {source}") as show:
            summary = embed_file(
                source,
                out,
                MarkingKey.read(key),
                marking,
                text_column=text_column,
                id_column=id_column,
                recipient=recipient or "",
                workers=workers,
                progress=lambda rows: show(f"marking {source}: {rows:,} rows"),
            )
    except KeyboardInterrupt:
        if (work := unfinished_path(out)).exists():
            print_note(
                f"stopped; the same command goes on where it was. What is done lies in {work}, and is "
                "private: remove it if you do not go on"
            )
        raise
    if as_json:
        print_json(asdict(summary))
        return
    print_rows([
        ("rows", f"{summary.rows:,}"),
        (
            "distinct records",
            f"{summary.records:,}, of which {summary.marked_records:,} have slots",
        ),
        ("slots", f"{summary.slots:,} in {summary.units:,} independent units"),
        ("words changed", f"{summary.edited_words:,}"),
        ("publish", str(out / "release")),
        ("keep secret", str(out / "private")),
    ])


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
