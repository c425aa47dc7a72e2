"""What `bookplate membership score` does once its options are understood."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import InvalidInput
from ..files import new_file
from ..provenance.membership import (
    METHODS,
    SHIFT_WARNING,
    DatasetInference,
    Score,
    ScoreTable,
    dataset_inference,
    score_texts,
    separation,
)
from ..provenance.suspect import Suspect, TokenReader
from ..stats import Effect, RocResult
from ..watermark.piecework import Engine, refuse_missing_engine
from ..watermark.tables import read_table
from .csv_files import csv_file
from .dry_run import all_asked
from .membership_request import Material, Request, input_of, material_of, neighbours_of
from .output import print_json, print_note, print_rows, print_table, working
from .reaching import DtypeName, reach
from .reporting import Attachment, accounts_of, conclude

if TYPE_CHECKING:
    from ..provenance.suspect.local.sharded import ShardedSuspect

__all__ = ["run_inference", "run_scores"]

_LABELS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
_NEED = (
    "DATASET INFERENCE NEEDS HELD-OUT TEXTS OF THE SAME DISTRIBUTION: a random part of one set, "
    "kept back before publication. With texts of another source, time, topic or format it accuses every "
    "model. That their words do not tell them apart is no proof that they are alike."
)


def run_scores(
    request: Request, *, as_json: bool, engine: Engine = Engine.LOCAL, workers: int = 1
) -> None:
    """Score texts, compare with labels if there are any, write and print."""
    refuse_missing_engine(engine)
    material = material_of(request)
    labels = _labels(request)
    material.options["neighbours"] = neighbours_of(request, material.texts)
    with (
        _models(request, engine, workers) as (suspect, references),
        working(f"scoring with {request.suspect}") as show,
    ):
        table = score_texts(
            material.texts,
            suspect,
            references=references,
            progress=lambda n: show(f"scored {n:,} of {len(material.texts):,} texts"),
            **material.options,
        )
    all_asked()
    found = {} if labels is None else separation(table, labels)
    frame = table.frame
    if labels is not None:
        frame = _with_column(frame, 1, "label", labels)
    _write(request, _with_ids(frame, material.ids))
    if as_json:
        print_json(_as_json(request, table, material, found))
        return
    print_rows([
        ("suspect", table.inputs[0].name),
        ("texts", f"{table.frame.height:,}"),
        ("direction", "a higher score speaks for membership"),
    ])
    if labels is None:
        _print_spread(table)
        print_note(
            "Scores alone tell no members from non-members: compare with --labels, or test "
            "with --held-out."
        )
    else:
        _print_separation(found)
        print_rows(_warnings(found))
    print_rows([("left out", f"{score}: {why}") for score, why in table.left_out.items()])


def run_inference(
    request: Request,
    held_out: Path,
    *,
    force: bool,
    report: Path | None,
    alpha: float,
    as_json: bool,
    engine: Engine = Engine.LOCAL,
    workers: int = 1,
) -> None:
    """Dataset inference: test, write and print.

    Raises:
        InvalidInput: If the inputs do not fit, see `dataset_inference`.
        InsufficientEvidence: Likewise.
    """
    refuse_missing_engine(engine)
    material = material_of(request)
    others = read_table(held_out, text_column=request.text_column).texts
    material.inputs.insert(1, input_of(held_out))
    material.options["neighbours"] = neighbours_of(request, [*material.texts, *others])
    print_note(_NEED)
    n = len(material.texts) + len(others)
    with (
        _models(request, engine, workers) as (suspect, references),
        working(f"scoring with {request.suspect}") as show,
    ):
        outcome = dataset_inference(
            material.texts,
            others,
            suspect,
            seed=request.seed,
            force=force,
            references=references,
            progress=lambda done: show(f"scored {done:,} of {n:,} texts"),
            **material.options,
        )
    all_asked()
    finding = outcome.finding.about(inputs=(*material.inputs, *outcome.finding.inputs))
    frame = _both_sets(outcome, len(material.texts))
    ids = None if material.ids is None else [*material.ids, *([""] * len(others))]
    frame = _with_ids(frame, ids, after=2)
    _write(request, frame)
    conclude(
        request.suspect,
        [finding],
        report,
        alpha=alpha,
        as_json=as_json,
        also=[outcome.auroc],
        attachments=[
            Attachment(
                "membership_scores.csv",
                _csv(frame),
                "Membership scores of every text; a higher score speaks for membership.",
            ),
            *accounts_of((suspect, *references)),
        ]
        if report is not None
        else (),
        limits=(_NEED, _check_line(outcome)),
        json_also=_inference_json(outcome),
        rows_also=[
            ("check", _check_line(outcome)),
            *(("weight", f"{name}: {weight:.3f}") for name, weight in outcome.weights.items()),
        ],
    )


# ---- read ------------------------------------------------------------------------------------------


def _labels(request: Request) -> list[int] | None:
    if request.labels is None:
        return None
    table = read_table(request.texts, text_column=request.text_column, id_column=request.labels)
    labels = []
    for row, value in enumerate(table.ids or (), 1):
        label = _LABELS.get(value.strip().lower())
        if label is None:
            raise InvalidInput(
                f"{request.texts}: row {row}: expected 1 or 0 in column '{request.labels}', got "
                f"{value[:40]!r}",
                "1 marks a member, 0 a non-member",
            )
        labels.append(label)
    return labels


@contextmanager
def _models(
    request: Request, engine: Engine, workers: int
) -> Generator[tuple[TokenReader, list[Suspect]]]:
    """The suspect and its references, opened here; with Ray, each worker opens them, too."""
    how = request.how
    if engine is Engine.RAY and how.dtype is not DtypeName.INT8:
        how = replace(how, device="cpu")  # the workers have the accelerators
    suspect, references = reach(request.suspect, request.references, how)
    if not isinstance(suspect, TokenReader):
        raise InvalidInput(
            f"{request.suspect}: does not tell the probabilities of tokens",
            "membership scores need a suspect that does",
        )
    if engine is Engine.LOCAL:
        yield suspect, references
        return
    with _on_ray(request, [suspect, *references], workers) as models:
        yield models[0], [*models[1:]]


@contextmanager
def _on_ray(
    request: Request, models: Sequence[object], workers: int
) -> Generator[list["ShardedSuspect"]]:
    from ..provenance.suspect.local import Dtype, Loading, TransformersSuspect
    from ..provenance.suspect.local.sharded import Opened, sharded
    from ..watermark.ray_engine import ray_cluster

    how = Loading(device=request.how.device, dtype=Dtype(request.how.dtype.value))
    opened = []
    for name, model in zip((request.suspect, *request.references), models, strict=True):
        if not isinstance(model, TransformersSuspect):
            raise InvalidInput(
                f"{name}: the engine 'ray' needs models by their weights",
                "endpoints and recorded answers are read without it",
            )
        opened.append(Opened(model, name, how))
    opened[0] = replace(opened[0], how=replace(how, adapter=request.how.adapter))
    with (
        TemporaryDirectory(prefix="bookplate-") as folder,
        ray_cluster(workers, Path(folder)),
        sharded(opened, workers) as shared,
    ):
        yield shared


# ---- write ----------------------------------------------------------------------------------------


def _with_column(
    frame: pl.DataFrame, place: int, name: str, values: Sequence[object]
) -> pl.DataFrame:
    """A copy with one more column: polars' own `insert_column` changes the frame it is called on."""
    return frame.clone().insert_column(place, pl.Series(name, values))


def _with_ids(frame: pl.DataFrame, ids: Sequence[str] | None, *, after: int = 1) -> pl.DataFrame:
    return frame if ids is None else _with_column(frame, after, "id", ids)


def _both_sets(outcome: DatasetInference, n_texts: int) -> pl.DataFrame:
    """The scores with the set of each text, rows counted within the set."""
    if outcome.scores is None:
        raise AssertionError("an outcome from texts has scores")
    frame = outcome.scores.frame
    rest = frame.height - n_texts
    rows = [*range(1, n_texts + 1), *range(1, rest + 1)]
    sets = ["under test"] * n_texts + ["held out"] * rest
    return _with_column(frame.with_columns(pl.Series("row", rows)), 0, "set", sets)


def _csv(frame: pl.DataFrame) -> bytes:
    return csv_file(frame.columns, frame.iter_rows())


def _write(request: Request, frame: pl.DataFrame) -> None:
    if request.out is None:
        return
    with new_file(request.out) as staged, staged.open("wb") as file:
        if request.out.suffix == ".csv":
            file.write(_csv(frame))
        else:
            frame.write_parquet(file)


# ---- show -----------------------------------------------------------------------------------------


def _print_spread(table: ScoreTable) -> None:
    quantiles = (0.05, 0.5, 0.95)
    rows = []
    for name in table.names:
        column = table.frame[name].drop_nulls()
        cells = [_cell(column.quantile(q, interpolation="linear")) for q in quantiles]
        rows.append((name, f"{len(column):,}", *cells, _unit(name)))
    print_table(("score", "texts", "5 %", "median", "95 %", "unit"), rows)


def _print_separation(found: Mapping[str, RocResult]) -> None:
    first = next(iter(found.values()))
    heading = ("score", "AUROC", "95 % interval", "members", "non-members")
    rates = [f"TPR at {100 * point.target_fpr:g} % FPR" for point in first.at_fpr]
    rows = [
        (
            name,
            f"{result.auroc.value:.3f}",
            f"{result.auroc.low:.3f} to {result.auroc.high:.3f}",
            f"{result.n_positives:,}",
            f"{result.n_negatives:,}",
            *(
                f"{100 * p.tpr.value:.1f} % ({100 * p.tpr.low:.1f} to {100 * p.tpr.high:.1f})"
                for p in result.at_fpr
            ),
        )
        for name, result in found.items()
    ]
    print_table((*heading, *rates), rows)


def _warnings(found: Mapping[str, RocResult]) -> list[tuple[str, str]]:
    """Each warning once: most hold for all scores."""
    said: dict[str, list[str]] = {}
    for name, result in found.items():
        for warning in result.warnings:
            said.setdefault(warning, []).append(name)
    return [
        ("warning", text if len(names) == len(found) else f"{', '.join(names)}: {text}")
        for text, names in said.items()
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _method(column: str) -> Score:
    """The score of a column; those of several references are numbered."""
    return Score.REFERENCE_RATIO if column.startswith(Score.REFERENCE_RATIO) else Score(column)


def _unit(column: str) -> str:
    return METHODS[_method(column)].unit


def _check_line(outcome: DatasetInference) -> str:
    return "not made" if outcome.check is None else outcome.check.sentence


def _as_json(
    request: Request, table: ScoreTable, material: Material, found: Mapping[str, RocResult]
) -> dict[str, Any]:
    scores = {}
    for name in table.names:
        method = METHODS[_method(name)]
        column = table.frame[name].drop_nulls()
        scores[name] = {
            "source": method.source,
            "unit": method.unit,
            "published": method.published,
            "n": len(column),
            "median": column.median(),
            **(_roc_json(found[name]) if name in found else {}),
        }
    inputs = [*table.inputs, *material.inputs]
    return {
        "n": table.frame.height,
        "direction": "a higher score speaks for membership",
        "scores": scores,
        "left_out": {str(score): why for score, why in table.left_out.items()},
        "warnings": [SHIFT_WARNING] if found else [],
        "seed": request.seed,
        "inputs": [{"name": i.name, "sha256": i.sha256} for i in inputs],
    }


def _roc_json(result: RocResult) -> dict[str, Any]:
    return {
        "auroc": _interval(result.auroc),
        "n_members": result.n_positives,
        "n_non_members": result.n_negatives,
        "tpr_at_fpr": [{"fpr": p.target_fpr, **_interval(p.tpr)} for p in result.at_fpr],
        "warnings": result.warnings,
    }


def _interval(effect: Effect) -> dict[str, Any]:
    return {
        "value": effect.value,
        "low": effect.low,
        "high": effect.high,
        "interval": effect.interval,
    }


def _inference_json(outcome: DatasetInference) -> dict[str, Any]:
    check = outcome.check
    left_out = {} if outcome.scores is None else outcome.scores.left_out
    return {
        "weights": outcome.weights,
        "left_out": {str(score): why for score, why in left_out.items()},
        "check": None
        if check is None
        else {
            "accepts": check.accepts,
            "auroc": check.auroc,
            "alpha": check.alpha,
            "finding": check.finding.to_dict(),
        },
    }
