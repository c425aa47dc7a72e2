"""`bookplate watermark`: mark a dataset, restore it, find the mark in a model."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .options import Alpha, AsJson, Device, References, Report, Seed, SuspectName, TierName
from .output import print_json, print_rows, working

if TYPE_CHECKING:
    from ..watermark.evidence import Evidence

app = typer.Typer(
    help="Mark a dataset before release, and find the mark in a model.", no_args_is_help=True
)


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
TextColumn = Annotated[str, typer.Option(help="Column (or key) that holds the text.")]
IdColumn = Annotated[str | None, typer.Option(help="Column (or key) of the dataset's own ids.")]


@app.command("embed")
def embed(
    source: Annotated[Path, typer.Argument(help="Dataset: .parquet, .jsonl or .csv.")],
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
        str,
        typer.Option(help="Who gets this copy: its marks are drawn by a sub-key of its own."),
    ] = "",
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    as_json: AsJson = False,
) -> None:
    """Mark a dataset. Every byte outside the replaced words stays as it was."""
    from ..watermark.embed import embed as embed_file
    from ..watermark.keys import MarkingKey
    from ..watermark.lexicon import Tier
    from ..watermark.marking import Marking, Mode, Unit

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
    with working(f"marking {source}"):
        summary = embed_file(
            source,
            out,
            MarkingKey.read(key),
            marking,
            text_column=text_column,
            id_column=id_column,
            recipient=recipient,
        )
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
    released: Annotated[Path, typer.Argument(help="A released file.")],
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
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


@app.command("detect")
def detect(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    suspect: SuspectName,
    reference: References = None,
    released: Annotated[
        Path | None,
        typer.Option(help="A released file; default: the ones in ../release/ of the manifest."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Draw every choice anew and compare.")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Marked texts that nobody has seen, to compare with (mode leximark only)."
        ),
    ] = None,
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            help="Was it this recipient's copy? May be repeated; needs the owner's --key, and any "
            "copy's manifest."
        ),
    ] = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    text_column: TextColumn = "text",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Test whether a model was trained on a marked release."""
    from ..watermark.detect import detect as detect_mark
    from ..watermark.detect import detect_recipients
    from ..watermark.evidence import load_evidence
    from ..watermark.keys import MarkingKey
    from .reporting import conclude, reach, refuse_unfit

    refuse_unfit(report, alpha, seed)
    marking_key = None if key is None else MarkingKey.read(key)
    if recipient and marking_key is None:
        raise InvalidInput(
            "--recipient needs --key, the owner's key that recipients' keys follow from"
        )
    evidence = load_evidence(manifest, released=released, key=marking_key, text_column=text_column)
    if held_out is not None:
        if recipient or reference:
            raise InvalidInput(
                "--held-out compares two sets of texts: no --recipient, no --reference"
            )
        _compare(evidence, held_out, suspect, report, alpha, text_column, device, as_json)
        return
    model, references = reach(suspect, reference or [], device)
    with working(f"scoring {suspect}"):
        if recipient and marking_key is not None:
            named = detect_recipients(
                evidence,
                model,
                key=marking_key,
                recipients=recipient,
                references=references,
                seed=seed,
            )
        else:
            named = [("", detect_mark(evidence, model, references=references, seed=seed))]
    conclude(
        suspect,
        [finding for _, finding in named],
        report,
        alpha=alpha,
        as_json=as_json,
        labels=recipient or (),
    )


def _compare(
    evidence: "Evidence",
    held_out: Path,
    suspect: str,
    report: Path | None,
    alpha: float,
    text_column: str,
    device: str,
    as_json: bool,
) -> None:
    """Released against held-back texts, as LexiMark published it."""
    from ..files import sha256_of_file
    from ..stats import Input
    from ..tables import read_table
    from ..watermark.leximark import leximark_test, released_texts
    from .reporting import conclude, reach

    texts = read_table(held_out, text_column=text_column).texts
    model, _ = reach(suspect, [], device)
    with working(f"scoring {suspect}"):
        result = leximark_test(
            released_texts(evidence),
            texts,
            model,
            inputs=(
                *evidence.inputs,
                Input(name=held_out.name, sha256=sha256_of_file(held_out)),
            ),
        )
    conclude(
        suspect,
        [result.finding],
        report,
        alpha=alpha,
        as_json=as_json,
        also=(result.roc.auroc, *(point.tpr for point in result.roc.at_fpr)),
    )
