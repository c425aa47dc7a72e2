"""`bookplate watermark leak`: is another dataset a copy of the release?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .options import Alpha, AsJson, Recipients, Report, Seed
from .output import print_finding, print_json, print_rows, working

if TYPE_CHECKING:
    from ..stats import Input
    from ..watermark.leak import LeakResult

__all__ = ["leak"]

_MOST_ROWS = 10
_COVERAGE_NAME = "coverage.csv"


def leak(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    texts: Annotated[
        Path, typer.Argument(help="The dataset under audit: .parquet, .jsonl or .csv.")
    ],
    released: Annotated[
        Path | None,
        typer.Option(help="A released file; default: the ones in ../release/ of the manifest."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Draw every choice anew and compare.")
    ] = None,
    recipient: Recipients = None,
    text_column: Annotated[
        str, typer.Option(help="Column (or key) of the dataset under audit that holds the text.")
    ] = "text",
    released_column: Annotated[
        str, typer.Option(help="Column (or key) of the released file that holds the text.")
    ] = "text",
    seed: Seed = 0,
    report: Report = None,
    alpha: Alpha = 0.01,
    as_json: AsJson = False,
) -> None:
    """Test whether a dataset was copied from a marked release."""
    from ..display import visible
    from ..files import sha256_of_file
    from ..stats import Input
    from ..watermark.evidence import load_evidence
    from ..watermark.keys import MarkingKey
    from ..watermark.leak import aligner_of, leak_test
    from ..watermark.leak import leak as leak_of
    from ..watermark.recipients import copies_of
    from ..watermark.tables import read_table
    from .reporting import conclude, refuse_unfit

    refuse_unfit(report, alpha, seed)
    marking_key = None if key is None else MarkingKey.read(key)
    if recipient and marking_key is None:
        raise InvalidInput(
            "--recipient needs --key, the owner's key that recipients' keys follow from"
        )
    evidence = load_evidence(
        manifest, released=released, key=marking_key, text_column=released_column
    )
    table = read_table(texts, text_column=text_column)
    audited = Input(name=texts.name, sha256=sha256_of_file(texts))
    if recipient and marking_key is not None:
        copies = copies_of(evidence, marking_key, recipient)
        with working(f"searching {texts}"):
            found = aligner_of(evidence).align(table.texts)
            results = [leak_test(c, found, seed=seed, name=visible(texts.name)) for _, c in copies]
        conclude(
            str(texts),
            [
                r.finding.about(
                    name=f"leak test, copy of {name}", inputs=(*r.finding.inputs, audited)
                )
                for r, name in zip(results, recipient, strict=True)
            ],
            report,
            alpha=alpha,
            as_json=as_json,
            labels=recipient,
        )
        return
    with working(f"searching {texts}"):
        result = leak_of(evidence, table.texts, seed=seed, name=visible(texts.name))
    finding = result.finding.about(inputs=(*result.finding.inputs, audited))
    if report is not None:
        _write_report(report, str(texts), result, finding.inputs, alpha)
    if as_json:
        coverage = asdict(result)
        del coverage["finding"]
        print_json({**finding.to_dict(), "coverage": coverage})
        return
    print_finding(finding)
    print_rows(_coverage_lines(result))


def _coverage_lines(result: "LeakResult") -> list[tuple[str, str]]:
    """How much was taken, for people: the totals, and the records found best."""
    rows = [
        ("texts", f"{result.n_texts_found:,} of {result.n_texts:,} hold a part of some record"),
        ("records", f"{len(result.records):,} of {result.n_records:,} were found in part or whole"),
        (
            "slots",
            f"{result.n_shown:,} were found, {result.released:,.1f} with the released word; "
            f"{result.expected:,.1f} by chance",
        ),
    ]
    for row in result.records[:_MOST_ROWS]:
        name = row.ids[0] if row.ids else row.record[:16]
        rows.append((
            "record",
            f"{name}: {row.words_found:.0%} of its word runs in {row.n_texts:,} texts, "
            f"{row.n_shown} of {row.n_slots} slots, {row.released:.1f} with the released word "
            f"({row.expected:.1f} by chance)",
        ))
    more = len(result.records) - _MOST_ROWS
    return rows + (
        [("", f"and {more:,} more records; all with --json or --report")] if more > 0 else []
    )


def _write_report(
    folder: Path, suspect: str, result: "LeakResult", inputs: "tuple[Input, ...]", alpha: float
) -> None:
    """Write report.json, report.html and the coverage of every record into a new folder."""
    import polars as pl

    from ..files import new_folder, sha256_of_file
    from ..stats.report import AuditReport, Exhibit
    from .reporting import now, repeat_command, versions, write_files

    finding = result.finding.about(inputs=inputs)
    rows = [{**asdict(row), "ids": " ".join(row.ids)} for row in result.records]
    with new_folder(folder) as staged:
        table = staged / _COVERAGE_NAME
        with table.open("wb") as file:  # polars cannot take a path that is not UTF-8
            pl.DataFrame(rows).write_csv(file)
        report = AuditReport.from_findings(
            [(suspect, finding, None)],
            title="Audit of one dataset",
            subject=f"The dataset {suspect}, examined with one test.",
            alpha=alpha,
            command=repeat_command(),
            versions=versions(),
            created=now(),
            exhibits=[
                Exhibit(
                    name=_COVERAGE_NAME,
                    sha256=sha256_of_file(table),
                    description="How much of each record of the release was found in the dataset.",
                )
            ],
            limits=(
                "Power was not measured: a result above the threshold is inconclusive, not an acquittal.",
                "No control datasets were examined in this run.",
            ),
        )
        write_files(report, staged)
