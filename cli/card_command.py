"""`bookplate watermark card`: describe a release for machines and people."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .options import AsJson, TextColumn
from .output import print_json, print_note, print_rows, working
from .verdicts import may_not_hold

__all__ = ["card"]


def card(
    release: Annotated[Path, typer.Argument(help="The folder release/ that 'embed' wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to make; nothing is written elsewhere.")],
    name: Annotated[str, typer.Option(help="Title of the dataset.")],
    description: Annotated[str, typer.Option(help="What it holds, in a few sentences.")],
    license_: Annotated[
        str, typer.Option("--license", help="SPDX identifier, such as CC-BY-4.0, or an address.")
    ],
    url: Annotated[str, typer.Option(help="Where the dataset is described.")],
    creator: Annotated[str, typer.Option(help="Who made it.")],
    published: Annotated[str, typer.Option(help="Date of publication, as 2030-01-31.")],
    person: Annotated[
        bool, typer.Option("--person", help="The creator is a person, not an organisation.")
    ] = False,
    version: Annotated[str, typer.Option(help="Version of the dataset.")] = "1.0.0",
    language: Annotated[
        list[str] | None, typer.Option(help="Language code; may be repeated. Default: en.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag; may be repeated.")] = None,
    say_marked: Annotated[
        bool,
        typer.Option(
            "--say-marked",
            help="Say that the data are marked, and include release.json. By default the card speaks of an "
            "opaque commitment only.",
        ),
    ] = False,
    timestamp: Annotated[
        Path | None,
        typer.Option(
            help="An authority's answer (.tsr) over release.json, or over commitment.json of an earlier card."
        ),
    ] = None,
    roots: Annotated[
        Path | None, typer.Option(help="Root certificate of that authority, PEM.")
    ] = None,
    text_column: TextColumn = "text",
    as_json: AsJson = False,
) -> None:
    """Write croissant.json (Croissant 1.1) and a dataset card for the Hugging Face hub.

    Both quote the public commitment and the SHA-256 of every file.
    """
    from ..provenance.custody import AuthorityChain
    from ..watermark.cards import Described, write_card

    if (timestamp is None) != (roots is None):
        raise InvalidInput("--timestamp and --roots go together")
    described = Described(
        name=name,
        description=description,
        license=license_,
        url=url,
        creator=creator,
        person=person,
        published=published,
        version=version,
        languages=tuple(language or ["en"]),
        tags=tuple(tag or ()),
    )
    trusted = None if roots is None else AuthorityChain.read(roots)
    with may_not_hold(as_json=as_json), working(f"reading {release}"):
        done = write_card(
            release,
            out,
            described,
            text_column=text_column,
            say_marked=say_marked,
            timestamp=timestamp,
            trusted=trusted,
        )
    time = None if done.committed_at is None else done.committed_at.isoformat()
    if as_json:
        print_json({
            "out": str(out),
            "files": list(done.names),
            "rows": done.rows,
            "committed_at": time,
            "says_marked": say_marked,
        })
        return
    print_rows([
        ("wrote", str(out)),
        ("files", ", ".join(done.names)),
        ("rows", f"{done.rows:,}"),
        ("commitment existed by", time or "no timestamp: nothing is said of its time"),
    ])
    if not say_marked:
        print_note(
            f"release.json in {release} says that the data are marked: leave it out of what you publish, or "
            "use --say-marked."
        )
