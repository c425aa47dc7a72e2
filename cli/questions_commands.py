"""What is asked of models, for whoever holds their weights: writing the questions, and answering them."""

import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from .dry_run import all_asked, is_rehearsing
from .options import AsJson, Seed, SuspectName, TextColumn
from .output import print_json, print_rows, show_progress, working
from .reaching import Reached, reach, reaches_models
from .transcript_options import OrderRead, reads_order

if TYPE_CHECKING:
    from ..provenance.suspect.recorded.questions import Questions

__all__ = ["of_manifest", "of_texts", "of_transcript", "record"]

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


@reads_order
def of_transcript(
    transcript: Annotated[
        Path, typer.Argument(help="Parquet or jsonl, or a folder: step, and text or tokens.")
    ],
    out: Out,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    order: OrderRead,
) -> None:
    """Write what 'query' would ask of a model, for whoever holds its weights; without the order.

    'query' must then be given the same --sample, --sampling, --prefix-tokens, --window-tokens and --seed.
    """
    from .reporting import refuse_unfit

    refuse_unfit(None, seed=seed)
    from ..provenance.palimpsest import query_test
    from ..provenance.suspect.recorded.questions import collect

    read = order.read(transcript, seed)
    with working(f"reading {transcript}"):
        questions = collect(
            lambda suspect: query_test(read, suspect, seed=seed, window=order.window())
        )
    _write(questions, out, as_json)


def of_texts(
    texts: Annotated[
        Path,
        typer.Argument(help="Texts: .parquet, .jsonl or .csv, the latter two also .gz or .zst."),
    ],
    out: Out,
    scores: Annotated[
        list[str] | None,
        typer.Option("--score", help="As for 'membership score'; default: all that can be had."),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Texts to compare with, if there will be a test.")
    ] = None,
    prefix: Annotated[
        Path | None, typer.Option(help="Texts that were not trained on, for recall.")
    ] = None,
    frequencies: Annotated[
        Path | None, typer.Option(help="A corpus of other texts to count tokens in, for dc_pdd.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(help="Neighbours of each text, for neighbourhood; 0: none.")
    ] = 0,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Write what 'score' would ask of a model, for whoever holds its weights.

    'score' must then be given the same --held-out, --prefix, --frequencies, --neighbours and --seed.
    """
    from ..provenance.membership import score_texts
    from ..provenance.suspect.recorded.questions import collect
    from ..watermark.tables import read_table
    from .membership_request import Request, material_of, neighbours_of

    request = Request(
        texts=texts,
        suspect="",
        scores=None if scores is None else tuple(scores),
        prefix=prefix,
        frequencies=frequencies,
        neighbours=neighbours,
        text_column=text_column,
        seed=seed,
    )
    with working(f"reading {texts}"):
        material = material_of(request)
        if held_out is not None:
            material.texts += read_table(held_out, text_column=text_column).texts
        material.options["neighbours"] = neighbours_of(request, material.texts)
        questions = collect(
            lambda suspect: score_texts(material.texts, suspect, **material.options)
        )
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
    begin = time.monotonic()

    def show(done: int, total: int) -> None:
        show_progress(done, total, time.monotonic() - begin, unit="questions")

    with ExitStack() as stack:
        if is_rehearsing():  # made-up answers go where nobody takes them for others
            out = Path(stack.enter_context(TemporaryDirectory())) / out.name
        stack.enter_context(working(f"asking {suspect}"))
        record_answers(asked, model, out, with_tokens=tokens, on_progress=show)
    all_asked()
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
