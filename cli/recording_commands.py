"""`bookplate palimpsest record`, `inspect`, `seal`, `verify`, `digests`: a training order, recorded."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AsJson
from .output import print_json, print_note, print_rows, working
from .verdicts import may_not_hold

if TYPE_CHECKING:
    from ..provenance.palimpsest.recording import Commitments, Summary

__all__ = ["register"]

_Folder = Annotated[Path, typer.Argument(help="Folder of the recording.")]
_Attempt = Annotated[
    int | None,
    typer.Option(
        "--attempt", help="Which start of the training made the model; default: the last."
    ),
]
_Stop = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Optimizer steps that the model has made, if it is not the last checkpoint."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    for command in (record, inspect, seal, verify, digests):
        app.command(command.__name__)(command)


def record(
    folder: _Folder,
    seed: Annotated[int, typer.Option(help="Seed of the shuffle; it stays private.")],
    order: Annotated[
        str, typer.Option(help="How the seed gives the order, in words; this is published.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Begin a recording: commit to the shuffle seed before training."""
    from ..errors import InvalidInput
    from ..provenance.palimpsest.recording import Commitments, Rank, Recorder
    from ..provenance.palimpsest.recording.folder import RecordingFolder

    where = RecordingFolder(folder)
    if where.exists():
        raise InvalidInput(f"{folder}: holds a recording already", "choose another folder")
    Recorder(folder, seed=seed, order=order, rank=Rank())
    _show(Commitments.read(where.commitments), where.commitments, as_json)
    if not as_json:
        print_note(
            "Publish commitments.json now, and train with Recorder(folder); see its documentation."
        )


def inspect(
    folder: _Folder, attempt: _Attempt = None, steps: _Stop = None, as_json: AsJson = False
) -> None:
    """Say what a recording holds, without changing it."""
    from ..provenance.palimpsest.recording import inspect_recording

    with working(f"reading {folder}"):
        summary = inspect_recording(folder, attempt=attempt, stop=steps)
    _show_summary(summary, as_json)


def seal(
    folder: _Folder,
    attempt: _Attempt = None,
    steps: _Stop = None,
    with_gaps: Annotated[
        bool, typer.Option("--with-gaps", help="Go on even if some steps were not recorded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the transcript of a recording, and commit to it after training."""
    from ..provenance.palimpsest import recording

    with working(f"sealing {folder}"):
        summary = recording.seal(folder, attempt=attempt, stop=steps, with_gaps=with_gaps)
    _show_summary(summary, as_json)
    if not as_json:
        print_note(
            "Publish commitments.json before the model; keep the folder private/ to yourself."
        )


def verify(
    folder: _Folder,
    published: Annotated[
        Path | None,
        typer.Option(help="The commitments.json that was published; default: the folder's own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a sealed recording against its commitments."""
    from ..provenance.palimpsest.recording import NOT_CHECKED, verify_recording

    with may_not_hold(as_json=as_json), working(f"verifying {folder}"):
        commitments = verify_recording(folder, published=published)
    _show(commitments, published or folder / "commitments.json", as_json)
    for open_question in NOT_CHECKED:
        print_note(f"Not checked: {open_question}.")
    if published is None:
        print_note(
            "Held against the folder's own commitments: name the --published ones to show anything more."
        )


def digests(
    transcript: Annotated[Path, typer.Argument(help="A sealed transcript.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Make a transcript of salted digests, to be handed over without the sequences."""
    from ..provenance.palimpsest.recording import write_digests

    with working(f"reading {transcript}"):
        tree = write_digests(transcript, out)
    if as_json:
        print_json({"out": str(out), "root": tree.root, "leaf_count": tree.leaf_count})
    else:
        print_rows([("wrote", str(out)), ("root", tree.root), ("rows", f"{tree.leaf_count:,}")])


def _show(commitments: "Commitments", path: Path, as_json: bool) -> None:
    if as_json:
        print_json(commitments.as_dict())
        return
    rows = [("commitments", str(path)), ("shuffle seed", commitments.seed_commitment)]
    if (tree := commitments.transcript) is not None:
        rows += [("transcript", tree.root), ("rows", f"{tree.leaf_count:,}")]
    print_rows(rows)


def _show_summary(summary: "Summary", as_json: bool) -> None:
    data: dict[str, Any] = {
        "commitments": summary.commitments.as_dict(),
        "attempts": summary.n_attempts,
        "first_step": summary.first_step,
        "last_step": summary.stop - 1,
        "sequences": summary.n_sequences,
        "tokens": summary.n_tokens,
        "ended": summary.ended,
        "gaps": [list(gap) for gap in summary.gaps],
    }
    if as_json:
        print_json(data)
        return
    tree = summary.commitments.transcript
    print_rows([
        ("steps", f"{summary.first_step:,} to {summary.stop - 1:,}"),
        ("sequences", f"{summary.n_sequences:,}"),
        ("tokens", f"{summary.n_tokens:,}"),
        ("starts", f"{summary.n_attempts}, of which {len(summary.parts)} made the model"),
        ("shuffle seed", summary.commitments.seed_commitment),
        ("transcript", "not sealed" if tree is None else tree.root),
        *(
            ("gap", f"steps {first:,} to {last:,} were not recorded")
            for first, last in summary.gaps
        ),
    ])
    if not summary.ended:
        print_note(
            "Training did not come to its end: if the model is of a checkpoint, name its --steps."
        )
