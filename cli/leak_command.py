"""`bookplate watermark leak`: is another dataset a copy of the release?"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .embed_command import EngineName
from .options import Alpha, AsJson, Committed, Recipients, Report, Seed
from .output import working

if TYPE_CHECKING:
    from ..stats import Input
    from ..watermark.alignment import Alignment
    from ..watermark.audited import AuditedDataset
    from ..watermark.evidence import Evidence
    from ..watermark.keys import MarkingKey
    from ..watermark.leak import LeakResult
    from ..watermark.piecework import Engine
    from .reporting import Attachment

__all__ = ["leak"]


def leak(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    texts: Annotated[
        Path,
        typer.Argument(
            help="The dataset under audit: .parquet, .jsonl or .csv, the latter two also .gz or .zst, or a "
            "folder of such files."
        ),
    ],
    released: Annotated[
        Path | None,
        typer.Option(
            help="A released file, or a folder of them; default: the ones in ../release/ of the manifest."
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Draw every choice anew and compare.")
    ] = None,
    recipient: Recipients = None,
    committed: Committed = None,
    text_column: Annotated[
        str, typer.Option(help="Column (or key) of the dataset under audit that holds the text.")
    ] = "text",
    released_column: Annotated[
        str, typer.Option(help="Column (or key) of the released file that holds the text.")
    ] = "text",
    engine: Annotated[
        EngineName,
        typer.Option(
            help="local: this process searches. ray: those of the cluster that RAY_ADDRESS names; without it "
            "one is started here."
        ),
    ] = EngineName.LOCAL,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --engine ray: number of processes; default 1.")
    ] = None,
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
) -> None:
    """Test whether a dataset was copied from a marked release."""
    from ..display import visible
    from ..watermark.audited import AuditedDataset
    from ..watermark.evidence import load_evidence
    from ..watermark.keys import MarkingKey
    from ..watermark.manifest.rehearsal import rehearse
    from ..watermark.piecework import Engine, refuse_missing_engine
    from .leak_coverage import Coverage
    from .reporting import conclude, evidence_found, refuse_unfit

    refuse_unfit(report, alpha, seed)
    marking_key = None if key is None else MarkingKey.read(key)
    if recipient and marking_key is None:
        raise InvalidInput(
            "--recipient needs --key, the owner's key that recipients' keys follow from"
        )
    if committed and not recipient:
        raise InvalidInput("--committed goes with --recipient")
    if workers is not None and engine is EngineName.LOCAL:
        raise InvalidInput("--workers goes with --engine ray", "leave it out, or name the engine")
    refuse_missing_engine(Engine(engine.value))
    dataset = AuditedDataset(texts, text_column=text_column)
    if marking_key is None and manifest.is_file():  # whoever has no key has it from someone else
        rehearse(manifest)
    evidence = load_evidence(
        manifest, released=released, key=marking_key, text_column=released_column
    )
    labels = recipient or []
    copies = _copies(evidence, marking_key, labels, committed or [])
    found = _searched(evidence, dataset, texts, Engine(engine.value), workers or 1)
    audited, listing = identified(dataset, texts)
    results = _tested(copies, found, seed=seed, name=visible(texts.name))
    findings = [
        result.finding.about(
            name=f"leak test, copy of {label}" if label else "leak test",
            inputs=(*result.finding.inputs, audited),
        )
        for result, label in zip(results, labels or [""], strict=True)
    ]
    coverage = Coverage(results, labels, evidence_found(findings, alpha))
    conclude(
        str(texts),
        findings,
        report,
        alpha=alpha,
        as_json=as_json,
        labels=labels,
        kind="dataset",
        attachments=[coverage.attachment(), *listing] if report is not None else (),
        limits=coverage.limits(),
        json_also={"coverage": coverage.as_json()} if as_json else {},
        rows_also=coverage.rows(),
    )


def _copies(
    evidence: "Evidence", key: "MarkingKey | None", recipients: list[str], committed: list[Path]
) -> "list[Evidence]":
    from ..watermark.recipients import commitments_in, copies_of

    if not recipients or key is None:
        return [evidence]
    copies = copies_of(evidence, key, recipients, committed=commitments_in(committed))
    return [copy for _, copy in copies]


def _searched(
    evidence: "Evidence", dataset: "AuditedDataset", texts: Path, engine: "Engine", workers: int
) -> "Alignment":
    from ..watermark.searching import search

    with working(f"searching {texts}") as show:
        return search(
            evidence,
            dataset,
            workers=workers,
            engine=engine,
            progress=lambda n_texts: show(f"searching {texts}: {n_texts:,} texts"),
        )


def _tested(
    copies: "list[Evidence]", found: "Alignment", *, seed: int, name: str
) -> "list[LeakResult]":
    from ..watermark.leak import leak_test

    with working("testing"):
        return [leak_test(copy, found, seed=seed, name=name) for copy in copies]


def identified(dataset: "AuditedDataset", texts: Path) -> "tuple[Input, list[Attachment]]":
    """The dataset as an input of the findings; of a folder, with the list of files that it stands for."""
    from ..display import visible
    from ..stats import Input
    from .csv_files import csv_file
    from .reporting import Attachment

    if not dataset.is_folder:
        (file,) = dataset.files
        return Input(name=visible(texts.name), sha256=file.sha256), []
    content = csv_file(
        ("file", "texts", "sha256"),
        ([file.name, file.n_texts, file.sha256] for file in dataset.files),
    )
    name = "audited_files.csv"
    listing = Attachment(name, content, "The files of the dataset, with their digests.")
    digest = hashlib.sha256(content).hexdigest()
    return Input(name=f"{visible(texts.name)}/ (digest of {name})", sha256=digest), [listing]
