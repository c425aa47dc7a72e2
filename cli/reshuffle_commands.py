"""`bookplate palimpsest retrain` and `reshuffle`: does a text prefer my model to others of its kind?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..display import counted
from ..errors import InvalidInput
from .dry_run import all_asked
from .options import Alpha, AsJson, Report, TextColumn
from .output import in_words, print_json, print_note, print_rows, quiet_libraries, working
from .partition_command import read_suspect_texts
from .reaching import Reached, reach, reaches_models

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..provenance.palimpsest import ReshuffleResult
    from ..provenance.palimpsest.retraining import FinishedRuns
    from ..provenance.palimpsest.retraining.foresight import Outlook
    from ..stats import Input

__all__ = ["Heard", "about_the_runs", "hear", "names_of_runs", "register"]

_NOT_COMPARED = (
    "Nobody compared the true run with the model that was released: --released does. Without that, it says "
    "where the text comes from only if checkpoint, transcript and settings are those of its training."
)


class PreferenceName(StrEnum):
    """The values of --rank-by."""

    MIXTURE = "mixture"
    MEAN = "mean"


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    for command in (retrain, reshuffle):
        app.command(command.__name__)(command)


def retrain(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder checkpoint-N that transformers' Trainer saved.")
    ],
    transcript: Annotated[
        Path, typer.Argument(help="Transcript of tokens: parquet or jsonl, or a folder.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the runs; the same call goes on in it.")],
    training: Annotated[
        Path,
        typer.Option(
            help="JSON file of the training's own arguments, as TrainingArguments takes them: learning_rate, "
            "per_device_train_batch_size, lr_scheduler_type, ..."
        ),
    ],
    orders: Annotated[
        int, typer.Option(help="Other orders, K; p cannot fall below 1 / (K + 1).")
    ] = 19,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the orders, which every finding will tell of; default: it follows from the "
            "sequences after the checkpoint and from --orders."
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="Folder of the tokenizer; default: the checkpoint's own."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say how many runs and steps there are; one batch is timed."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train what followed a checkpoint again, in the true order and in others, for 'reshuffle'.

    With several processes: torchrun --no-python --nproc-per-node N bookplate palimpsest retrain ...
    """
    from ..files import read_json
    from ..provenance.palimpsest.recording import Rank
    from ..provenance.palimpsest.retraining import Checkpoint
    from ..provenance.palimpsest.retraining import retrain as train_all

    settings = read_json(training, "training arguments")
    Checkpoint.read(checkpoint)
    if tokenizer is not None and not any(tokenizer.glob("tokenizer*")):
        raise InvalidInput(
            f"{tokenizer}: no tokenizer", "name the folder that holds tokenizer.json"
        )
    quiet_libraries()
    from ..provenance.palimpsest.retraining.settings import trainer_of

    make_trainer = trainer_of(checkpoint, settings, str(training))
    if dry_run:
        from ..provenance.palimpsest.retraining.foresight import outlook

        with working("reading the transcript"):
            ahead = outlook(checkpoint, transcript, out, make_trainer, orders=orders)
        _show_outlook(ahead, as_json=as_json)
        return
    with working("reading the transcript") as say:
        runs = train_all(
            checkpoint,
            transcript,
            out,
            make_trainer,
            orders=orders,
            seed=seed,
            tokenizer=tokenizer,
            progress=say,
        )
    if Rank.own().number:
        return
    if as_json:
        print_json({"true": str(runs[0]), "others": [str(run) for run in runs[1:]]})
        return
    print_rows([("true order", str(runs[0])), ("other orders", f"{len(runs) - 1} in {out}")])
    if not any(runs[0].glob("tokenizer*")):
        print_note(
            "There is no tokenizer beside the models: lay one into each folder to score texts with them."
        )


def _show_outlook(ahead: "Outlook", *, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, **asdict(ahead), "seconds": ahead.seconds})
        return
    print_rows([
        ("runs", f"{ahead.runs:,}, of which {ahead.finished:,} are there"),
        ("steps of each", f"{ahead.steps:,}"),
        ("sequences of each", f"{ahead.sequences:,} with {ahead.tokens:,} tokens"),
        ("one batch", f"{ahead.batch_seconds:.3g} s, {ahead.batches_per_step:,} in a step"),
        ("about", f"{in_words(ahead.seconds)} for the runs that are left"),
    ])
    print_note("Estimated from one batch: optimizer steps and saving come on top.")


@reaches_models
def reshuffle(
    texts: Annotated[
        Path,
        typer.Argument(
            help="What the suspect wrote: .txt, .parquet, .jsonl or .csv, the latter two also .gz or .zst, "
            "or a folder of such tables."
        ),
    ],
    runs: Annotated[Path | None, typer.Option(help="Folder that 'retrain' filled.")] = None,
    true: Annotated[
        str | None,
        typer.Option("--true", help="Without --runs: your model, trained in the true order."),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--other", help="The same training in another order; to be named for each of them."
        ),
    ] = None,
    controls: Annotated[
        Path | None,
        typer.Option(
            help="Texts of the same kind that are innocent beyond doubt: how well each run models them is "
            "regressed out. Fix them before you look."
        ),
    ] = None,
    released: Annotated[
        Path | None,
        typer.Option(
            help="With --runs: folder of the model that was released, to hold the true run against."
        ),
    ] = None,
    rank_by: Annotated[
        PreferenceName,
        typer.Option(
            help="What a run makes of a token: the likelihood ratio of a text that is half its own, or the "
            "log-probability, as published. Fix it before you look."
        ),
    ] = PreferenceName.MIXTURE,
    text_column: TextColumn = "text",
    report: Report = None,
    alpha: Alpha = 0.05,
    as_json: AsJson = False,
    *,
    how: Reached,
) -> None:
    """Rank your model among the same in other orders by how likely it finds a text."""
    from ..display import visible
    from ..provenance.palimpsest import reshuffle_test
    from ..provenance.palimpsest.reshuffle import Preference, refuse_same_run
    from .reporting import accounts_of, conclude, refuse_unfit

    refuse_unfit(report, alpha)
    if how.adapter is not None:
        raise InvalidInput("--adapter does not go with runs of one training")
    known = _finished(runs, true, other)
    if released is not None and known is None:
        raise InvalidInput("--released needs --runs", "ready-made models are named with --true")
    names = names_of_runs(known, true, other)
    said, also = about_the_runs(known, names, released)
    if alpha * len(names) < 1 - 1e-9:
        print_note(
            f"With {counted(len(names) - 1, 'other order')} p cannot fall below {1 / len(names):.2g}, so "
            f"that no text can reach --alpha {alpha:g}."
        )
    suspect, audited, listing = read_suspect_texts(texts, text_column)
    innocent, control_input = _controls(controls, text_column)
    heard: list[Heard] = []
    for name in names:
        with working(f"scoring under {name}"):
            heard.append(hear(name, [*suspect, *innocent], how))
        refuse_same_run(heard)  # now, not after the last of twenty
    all_asked()
    done = reshuffle_test(
        suspect,
        heard[0],
        heard[1:],
        controls=innocent,
        preference=Preference(rank_by),
        name=visible(texts.name),
    )
    finding = done.finding.about(
        inputs=(*done.finding.inputs, audited, *control_input, *also),
        warnings=(*done.finding.warnings, *said),
    )
    conclude(
        str(texts),
        [finding],
        report,
        alpha=alpha,
        as_json=as_json,
        kind="text",
        attachments=[*listing, *accounts_of(heard)] if report is not None else (),
        json_also={"runs": _told(done, names)} if as_json else {},
        rows_also=_rows(done),
    )


def _finished(
    folder: Path | None, true: str | None, other: list[str] | None
) -> "FinishedRuns | None":
    """The runs of a folder; None where models are named one by one."""
    from ..provenance.palimpsest.retraining import finished_runs

    if folder is None:
        if true is None or not other:
            raise InvalidInput(
                "no runs are named", "name --runs, or --true and at least one --other"
            )
        return None
    if true is not None or other:
        raise InvalidInput(
            "--runs does not go with --true and --other", "leave one or the other out"
        )
    return finished_runs(folder)


def names_of_runs(
    known: "FinishedRuns | None", true: str | None, other: list[str] | None
) -> list[str]:
    """Names of all runs, the true one first."""
    if known is not None:
        return [str(known.true), *map(str, known.others)]
    return [*([] if true is None else [true]), *(other or [])]


def about_the_runs(
    known: "FinishedRuns | None", names: Sequence[str], released: Path | None
) -> "tuple[tuple[str, ...], tuple[Input, ...]]":
    """What a finding must say of the runs, and further inputs; models that cannot be compared are refused."""
    from ..display import visible
    from ..provenance.palimpsest.retraining.likeness import refuse_unlike, told_of_released
    from ..provenance.suspect.local.folders import folder_digest, refuse_unsafe
    from ..stats import Input

    folders = [Path(name) for name in names if Path(name).is_dir()]
    if len(folders) == len(names):
        for folder in folders:
            refuse_unsafe(folder)
        refuse_unlike(folders)
    if known is None:
        return (), ()
    if released is None:
        return (*known.doubts, _NOT_COMPARED), (known.job,)
    refuse_unsafe(released)
    with working(f"comparing with {released}"):
        told = told_of_released(released, known)
        identity = Input(name=visible(released.name), sha256=folder_digest(released))
    return (*known.doubts, told), (known.job, identity)


def _controls(path: Path | None, column: str) -> "tuple[list[str], tuple[Input, ...]]":
    if path is None:
        return [], ()
    texts, identity, _ = read_suspect_texts(path, column)
    return texts, (identity,)


@dataclass(slots=True)
class Heard:
    """What one run said of all texts: the run itself need not stay in memory beside twenty others."""

    identity: "Input"
    source: "Input | None"
    account: bytes | None
    answers: "dict[str, NDArray[np.float64]]" = field(repr=False)

    @property
    def record(self) -> Any:
        """As endpoints have it, for the files beside a report."""
        return None if self.account is None else self._account

    def _account(self) -> bytes | None:
        return self.account

    def token_logprobs(
        self, sequences: Sequence[str | Sequence[int]]
    ) -> "list[NDArray[np.float64]]":
        """See `LikelihoodReader.token_logprobs`."""
        return [self.answers[str(sequence)] for sequence in sequences]


def hear(name: str, texts: Sequence[str], how: Reached) -> "Heard":
    """Open one run, ask it about all texts, and let it go."""
    model, _ = reach(name, [], how)
    distinct = list(dict.fromkeys(texts))
    answers = dict(zip(distinct, model.token_logprobs(distinct), strict=True))
    record = getattr(model, "record", None)
    # The digest of an endpoint is of its answers: it is asked for when they are there.
    return Heard(
        identity=model.identity,
        source=getattr(model, "source", None),
        account=None if record is None else record(),
        answers=answers,
    )


def _told(done: "ReshuffleResult", names: Sequence[str]) -> dict[str, Any]:
    approximate = bool(done.approximation)
    return {
        "tokens": done.n_tokens,
        "statistics": dict(zip(names, done.statistics.tolist(), strict=True)),
        "z_approximation": done.z if approximate else None,
        "log10_p_if_normal": done.log10_p_normal if approximate else None,
    }


def _rows(done: "ReshuffleResult") -> list[tuple[str, str]]:
    rank = 1 + int((done.statistics[1:] >= done.statistics[0]).sum())
    return [
        ("tokens", f"{done.n_tokens:,}"),
        ("rank", f"the true order is {rank} of {done.statistics.size}; 1 is the most likely"),
    ]
