"""The commands that faults are tried on, each with inputs, its outputs, and what these hold."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from bookplate.cli.audit.linking import LINK_CHECKS
from bookplate.cli.audit.registering import registration_of
from bookplate.files import sha256_of_file
from bookplate.provenance.bundle.verification import verify
from bookplate.provenance.custody import SigningKey
from bookplate.watermark.keys import MarkingKey

from .harness import Ground


@dataclass
class Case:
    """A command to disturb.

    Attributes:
        name: Its name.
        command: Its words.
        finals: What it makes; nothing may be there under these names that is not whole.
        product: What it made, from its folder: equal for all runs that went right.
        inputs: Files that it reads, in the order of interest: the first is its data.
        undo: What else it makes or changes, that has to be as it was for it to run anew.
        finish: Commands that come after it before its product can be seen.
        is_resumable: Whether it keeps parts, so that a changed input in between must be refused.
        template: A folder with its inputs.
        reference: The product of an undisturbed run.
        moments: How many there are in such a run.
        seconds: How long it took.
    """

    name: str
    command: tuple[str, ...]
    finals: tuple[str, ...]
    product: Callable[[Path], Any]
    inputs: tuple[str, ...]
    undo: tuple[str, ...] = ()
    finish: tuple[tuple[str, ...], ...] = ()
    is_resumable: bool = True
    template: Path = field(default=Path())
    reference: Any = None
    moments: int = 0
    seconds: float = 0


def tree(name):
    """Every byte of a folder, or file."""

    def product(folder):
        top = folder / name
        files = [path for path in top.rglob("*") if path.is_file()] if top.is_dir() else [top]
        return {str(path.relative_to(folder)): sha256_of_file(path) for path in sorted(files)}

    return product


def report(folder):
    """The numbers of a report; its times, and what the endpoint told when, differ from run to run."""
    told = json.loads((folder / "report" / "report.json").read_bytes())
    assert (folder / "report" / "report.html").read_text().rstrip().endswith("</html>")
    for exhibit in told["exhibits"]:
        assert sha256_of_file(folder / "report" / exhibit["name"]) == exhibit["sha256"]
    numbers = ("statistic", "log10_p", "n", "effect", "seed", "warnings")
    return [
        {name: entry["finding"].get(name) for name in numbers} | {"status": entry["status"]}
        for entry in told["entries"]
    ]


def influence(folder):
    """Scores and record of a run, but for the time that the page tells, too."""
    told = json.loads((folder / "scored" / "run.json").read_bytes())
    for name, digest in told["files"].items():
        assert sha256_of_file(folder / "scored" / name) == digest
    del told["created"], told["files"]["index.html"]
    return told


def bundle(folder):
    """What came of each test, and the exhibits; the bundle verifies."""
    path = folder / "AUDIT-bundle"
    told = json.loads((path / "report.json").read_bytes())
    exhibits = {p.name: sha256_of_file(p) for p in sorted((path / "exhibits").iterdir())}
    found = verify(path, read_registration=registration_of, link_checks=LINK_CHECKS)
    assert not found.failed, found.failed
    return {
        "entries": told["entries"],
        "not_run": told["not_run"],
        "exhibits": exhibits,
        "verified": found.result.value,
    }


def transcript(folder):
    """The sealed transcript with its commitments, to the byte."""
    sealed = tree("run/private/transcript")(folder)
    assert sealed
    return {**sealed, **tree("run/commitments.json")(folder)}


EMBED = (
    "watermark",
    "embed",
    "data",
    "out",
    "--key",
    "key",
    "--tier",
    "broad",
    "--id-column",
    "id",
)
MANIFEST = "marked/private/manifest.parquet"
DOCUMENTS = ("--id-column", "id", "--length", "64")

CASES = {
    "embed": Case("embed", EMBED, ("out",), tree("out"), ("data/2.jsonl", "data/5.csv")),
    "embed-workers": Case(
        "embed-workers", (*EMBED, "--workers", "2"), ("out",), tree("out"), ("data/2.jsonl",)
    ),
    "record": Case(
        "record", ("train", "run"), (), transcript, (),
        finish=(("palimpsest", "seal", "run"),),
    ),
    "seal": Case(
        "seal", ("palimpsest", "seal", "run"), (), transcript,
        ("run/private/journals/attempt-00001-rank-00000.journal",),
        undo=("run/private/transcript", "run/commitments.json"),
    ),
    "score": Case(
        "score",
        ("membership", "score", "texts.jsonl", "--suspect", "model", "--out", "scores.parquet"),
        ("scores.parquet",), tree("scores.parquet"), ("texts.jsonl",), is_resumable=False,
    ),
    "detect": Case(
        "detect",
        ("watermark", "detect", MANIFEST, "--suspect", "SERVER", "--key", "key", "--answers",
         "answers.sqlite", "--at-once", "1", "--report", "report"),
        ("report",), report, ("marked/release/data.jsonl", MANIFEST), is_resumable=False,
    ),
    "fit": Case(
        "fit",
        ("influence", "fit", "model", "docs.parquet", "factors", "--sequences", "40",
         "--data-parts", "4", *DOCUMENTS),
        ("factors",), tree("factors"), ("docs.parquet",),
    ),
    "influence": Case(
        "influence",
        ("influence", "score", "model", "factors", "queries.jsonl", "docs.parquet", "scored",
         "--all", "--self", "--training-size", "40", *DOCUMENTS),
        ("scored",), influence, ("docs.parquet", "queries.jsonl"),
    ),
    "audit": Case(
        "audit", ("audit", "AUDIT.yaml", "--sign", "signing"), ("AUDIT-bundle",), bundle,
        ("answers.parquet", "order.parquet", "AUDIT.yaml"),
    ),
}  # fmt: skip

AUDIT = """\
format: bookplate-audit/1
report_id: R-1
title: Audit
alpha: 0.01
transcripts:
  mine: {path: order.parquet}
models:
  guilty: {model: answers.parquet#loss_guilty, role: suspect}
  clean: {model: answers.parquet#loss_clean, role: suspect}
  old: {model: answers.parquet#loss_old, role: innocent}
tests:
  order: {kind: order, transcript: mine, innocent: [old]}
  steps: {kind: order-sequential, transcript: mine, suspects: [guilty, clean]}
"""


def build(name, folder, nursery, url, model, english):
    """Lay out a case's inputs, run it undisturbed, and note what came of it."""
    case = CASES[name]
    case.command = tuple(f"{url}#tiny" if word == "SERVER" else word for word in case.command)
    case.template = folder / "template"
    case.template.mkdir()
    LAY[name](case.template, nursery, model, english)
    ground = Ground(case, folder / "undisturbed", nursery)
    tell = folder / "moments"
    began = time.monotonic()
    ended = ground.run(tell=str(tell))
    case.seconds = time.monotonic() - began
    assert ended.code == 0, ended.err
    ground.finish()
    case.reference = case.product(ground.folder)
    case.moments = int(tell.read_text())
    return case


def command(folder, nursery, *words):
    """A command that a case begins with."""
    ended = nursery.ended(nursery.start(folder, words, {}))
    assert ended.code == 0, ended.err


def lay_key(folder):
    MarkingKey(bytes(32), b"s" * 32).save(folder / "key")


def lay_embed(folder, nursery, model, english):
    lay_key(folder)
    (folder / "data").mkdir()
    for number in range(7):
        texts = english[30 * number : 30 * number + 35]
        frame = pl.DataFrame({"id": [f"{number}-{i}" for i in range(35)], "text": texts})
        if number == 5:
            frame.write_csv(folder / "data" / "5.csv")
        elif number == 3:
            frame.write_parquet(folder / "data" / "3.parquet")
        else:
            frame.write_ndjson(folder / "data" / f"{number}.jsonl")


def lay_record(folder, nursery, model, english):
    command(folder, nursery, "palimpsest", "record", "run", "--seed", "5")


def lay_seal(folder, nursery, model, english):
    lay_record(folder, nursery, model, english)
    command(folder, nursery, "train", "run")


def lay_score(folder, nursery, model, english):
    (folder / "model").symlink_to(model)
    texts = [text[:300] for text in english[:40]]
    pl.DataFrame({"text": texts}).write_ndjson(folder / "texts.jsonl")


def lay_detect(folder, nursery, model, english):
    lay_key(folder)
    pl.DataFrame({"text": [text[:300] for text in english[:12]]}).write_ndjson(
        folder / "data.jsonl"
    )
    command(
        folder, nursery, "watermark", "embed", "data.jsonl", "marked", "--key", "key", "--tier", "broad"
    )  # fmt: skip


def lay_fit(folder, nursery, model, english):
    (folder / "model").symlink_to(model)
    pl.DataFrame({"id": [f"d{i}" for i in range(60)], "text": english[:60]}).write_parquet(
        folder / "docs.parquet"
    )


def lay_influence(folder, nursery, model, english):
    lay_fit(folder, nursery, model, english)
    queries = [
        {"id": "a", "prompt": "Returns an array of", "completion": " the same shape and type."},
        {"id": "b", "prompt": "", "completion": "Return the mean of the array"},
    ]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    command(folder, nursery, *CASES["fit"].command)


def lay_audit(folder, nursery, model, english):
    SigningKey.generate().save(folder / "signing")
    rng = np.random.default_rng(7)
    n, steps = 60, rng.permutation(60)
    tokens = [rng.integers(0, 500, 12).tolist() for _ in range(n)]
    pl.DataFrame(
        {"step": steps, "tokens": tokens}, schema_overrides={"step": pl.Int64}
    ).write_parquet(folder / "order.parquet")
    noise = {f"loss_{name}": rng.normal(3, 0.1, n) for name in ("clean", "old")}
    signal = {"loss_guilty": 3 - 0.02 * steps + rng.normal(0, 0.1, n)}
    pl.DataFrame({"tokens": tokens, **noise, **signal}).write_parquet(folder / "answers.parquet")
    (folder / "AUDIT.yaml").write_text(AUDIT)


LAY = {
    "embed": lay_embed,
    "embed-workers": lay_embed,
    "record": lay_record,
    "seal": lay_seal,
    "score": lay_score,
    "detect": lay_detect,
    "fit": lay_fit,
    "influence": lay_influence,
    "audit": lay_audit,
}
