"""`bookplate watermark quality`: what marking did to a release, to be read before it is published."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .dry_run import all_asked
from .options import AsJson, Seed, TextColumn
from .output import print_json, print_rows, working
from .reaching import Reached, reach, reaches_models

if TYPE_CHECKING:
    from ..watermark.candidates.encoders import Encoder
    from ..watermark.quality import Quality

__all__ = ["quality"]


@reaches_models
def quality(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    report: Annotated[
        Path | None,
        typer.Option(
            help="Also write quality.json and quality.html into this new folder; private."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Language model to measure the change of perplexity with.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Sentence encoder to compare sentences with, such as all-MiniLM-L6-v2."),
    ] = None,
    examples: Annotated[int, typer.Option(help="Replaced words to show.")] = 50,
    effect: Annotated[
        float, typer.Option(help="Guess for the forecast, in standard deviations per unit.")
    ] = 0.3,
    released: Annotated[
        Path | None,
        typer.Option(help="A released file; default: the ones in ../release/ of the manifest."),
    ] = None,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    how: Reached,
) -> None:
    """Show what marking did: words changed, fluency, examples side by side, how much the test will need."""
    from ..files import new_folder
    from ..watermark.evidence import load_evidence
    from ..watermark.quality import assess, render_quality
    from ..watermark.release import RELEASE_NAME
    from .reporting import now, refuse_unfit, repeat_command

    refuse_unfit(report, seed=seed)
    evidence = load_evidence(manifest, released=released, text_column=text_column)
    reader = None if model is None else reach(model, [], how)[0]
    with working(f"reading {manifest}"):
        found = assess(
            evidence,
            seed=seed,
            n_examples=examples,
            model=reader,
            encoder=None if encoder is None else _opened(encoder, how.device),
            effect=effect,
        )
    all_asked()
    if report is not None:
        import json

        page = render_quality(
            found,
            title=", ".join(
                i.name for i in found.inputs if i.name not in {manifest.name, RELEASE_NAME}
            )
            or manifest.name,
            created=now(),
            command=repeat_command(),
        )
        with new_folder(report) as staged:
            (staged / "quality.html").write_text(page, encoding="utf-8")
            text = json.dumps(found.to_dict(), indent=2, allow_nan=False)
            (staged / "quality.json").write_text(text + "\n", encoding="utf-8")
            for file in staged.iterdir():
                file.chmod(0o600)
    if as_json:
        print_json(found.to_dict())
    else:
        print_rows(_lines(found))


def _opened(name: str, device: str) -> "Encoder":
    from ..watermark.candidates.encoders import Encoder
    from .output import quiet_libraries

    quiet_libraries()
    return Encoder.open(name, device=device)


def _lines(found: "Quality") -> list[tuple[str, str]]:
    rows = [
        (
            "distinct records",
            f"{found.n_records:,}, of which {found.n_changed_records:,} were changed",
        ),
        (
            "words changed",
            f"{found.n_changed:,} of {found.n_words:,} ({found.changed_share:.2%}), at "
            f"{found.n_slots:,} possible places",
        ),
        (
            "edits per sentence",
            ", ".join(f"{k}: {n:,}" for k, n in enumerate(found.edits_per_sentence)),
        ),
    ]
    if found.perplexity is not None:
        p = found.perplexity
        rows.append((
            "perplexity",
            f"{p.original:.2f} before, {p.released:.2f} after, by {p.model.name}; {p.change:.2f} nats per "
            f"replaced word (95% interval {p.low:.2f} to {p.high:.2f})",
        ))
    if found.similarity is not None:
        s = found.similarity
        rows.append((
            "similarity",
            f"mean cosine {s.mean:.3f} of {s.n:,} changed sentences with their originals, by "
            f"{s.encoder.name}; 5% below {s.low:.3f}, {s.n_below:,} below 0.8",
        ))
    if found.forecast is not None:
        f = found.forecast
        rows.append((
            "forecast",
            f"{f.effective[-1]:,.0f} effective units of {f.units[-1]:,}; p <= 0.001 with probability "
            f"{f.power[-1]:.2f} if the effect is {f.effect:g}; {f.needed:,} would give 0.9",
        ))
    rows += [("warning", text) for text in found.warnings]
    rows += [
        ("example", f"...{e.before[-40:]}[{e.original} -> {e.released}]{e.after[:40]}...")
        for e in found.examples[:5]
    ]
    return rows
