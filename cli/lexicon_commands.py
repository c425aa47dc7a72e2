"""`bookplate lexicon`: rebuild or look into the substitution table."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, TierName
from .output import print_json, print_rows

app = typer.Typer(help="Rebuild or look into the substitution table.", no_args_is_help=True)


@app.command("build")
def build(
    wordnet: Annotated[
        Path, typer.Option(help="Folder with the WordNet 3.0 files (index.noun, ...).")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    opposites: Annotated[
        Path | None,
        typer.Option(help="Also write the pairs of opposites, which the sources refuse, as text."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the substitution table from WordNet 3.0; two builds give identical bytes."""
    from ..files import new_file, sha256_of_file
    from ..watermark.candidates.opposites import build_opposites
    from ..watermark.lexicon.build import build_lexicon, write_lexicon

    if opposites is not None:
        with new_file(opposites) as staged:
            build_opposites(wordnet, staged)
    with new_file(out) as staged:
        table = build_lexicon(wordnet)
        write_lexicon(table, staged)
    digest = sha256_of_file(out)
    if as_json:
        print_json({"out": str(out), "pairs": table.height, "sha256": digest})
    else:
        print_rows([("wrote", str(out)), ("pairs", f"{table.height:,}"), ("sha256", digest)])


@app.command("show")
def show(
    words: Annotated[list[str], typer.Argument(help="Words to look up.")],
    tier: Annotated[TierName, typer.Option(help="Tier of the table.")] = TierName.STRICT,
    as_json: AsJson = False,
) -> None:
    """Show what may stand for a word."""
    from ..watermark.lexicon import Lexicon, Tier

    lexicon = Lexicon.shipped(Tier(tier.value))
    found = {word: list(lexicon.choices(word.lower())[1:]) for word in words}
    if as_json:
        print_json({"tier": tier.value, "table_sha256": lexicon.sha256, "substitutes": found})
    else:
        print_rows([(word, ", ".join(others) or "(left alone)") for word, others in found.items()])
