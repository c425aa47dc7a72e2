"""What is asked of models, for whoever holds their weights: writing the questions, and answering them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, SuspectName, TextColumn
from .output import print_json, print_rows, show_progress, working
from .reaching import Reached, reach, reaches_models

if TYPE_CHECKING:
    from ..provenance.suspect.recorded.questions import Questions

__all__ = ["of_manifest", "of_transcript", "record"]

Out = Annotated[Path, typer.Argument(help="New .parquet file to write.")]


def of_manifest(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    out: Out,
    released: Annotated[
        Path | None,
        typer.Option(help="A released file; default: the ones in ../release/ of the manifest."),
    ] = None,
    text_column: TextColumn = "text",
    as_json: AsJson = False,
) -> None:
    """Write what 'detect' would ask of a model, for whoever holds its weights.

    The file holds the original texts and all choices, not the draws. 'membership record' answers it, and
    'detect --suspect ANSWERS.parquet' tests the answers.
    """
    from ..provenance.suspect.recorded.questions import collect
    from ..watermark.detect import detect
    from ..watermark.evidence import load_evidence

    evidence = load_evidence(manifest, released=released, text_column=text_column)
    with working(f"reading {manifest}"):
        questions = collect(lambda suspect: detect(evidence, suspect, seed=0))
    _write(questions, out, as_json)


def of_transcript(
    transcript: Annotated[Path, typer.Argument(help="Parquet or jsonl: step, and text or tokens.")],
    out: Out,
    as_json: AsJson = False,
) -> None:
    """Write what 'query' would ask of a model, for whoever holds its weights; without the order."""
    from ..provenance.palimpsest import Transcript, query_test
    from ..provenance.suspect.recorded.questions import collect

    order = Transcript.read(transcript)
    with working(f"reading {transcript}"):
        questions = collect(lambda suspect: query_test(order, suspect, seed=0))
    _write(questions, out, as_json)


@reaches_models
def record(
    questions: Annotated[
        Path, typer.Argument(help="Questions that 'watermark questions' and its like wrote.")
    ],
    out: Annotated[
        Path, typer.Argument(help="New .parquet file to write; an unfinished one is gone on with.")
    ],
    suspect: SuspectName,
    tokens: Annotated[
        bool,
        typer.Option(
            help="Record tokens and moments too, which only membership scores need.",
        ),
    ] = True,
    as_json: AsJson = False,
    *,
    how: Reached,
) -> None:
    """Answer questions about a model, so that others can test it without its weights."""
    from ..files import sha256_of_file
    from ..provenance.suspect.recorded.questions import Questions
    from ..provenance.suspect.recorded.recording import record_answers

    asked = Questions.read(questions)
    model, _ = reach(suspect, [], how)
    with working(f"asking {suspect}"):
        record_answers(
            asked,
            model,
            out,
            with_tokens=tokens,
            on_progress=lambda done, total: show_progress(done, total, 0.0),
        )
    _say(out, len(asked.asked), sha256_of_file(out), "answers", as_json)


def _write(questions: "Questions", out: Path, as_json: bool) -> None:
    from ..files import sha256_of_file

    questions.write(out)
    _say(out, len(questions.asked), sha256_of_file(out), "questions", as_json)


def _say(out: Path, n: int, digest: str, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"out": str(out), what: n, "sha256": digest})
    else:
        print_rows([("wrote", str(out)), (what, f"{n:,}"), ("sha256", digest)])
