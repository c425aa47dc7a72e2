"""Forgeries by the claimant, who can sign whatever they like: what they sign refutes itself."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.stats.findings import NullHistogram
from bookplate.stats.report import AuditReport
from forging import (
    STATEMENT,
    Workshop,
    edited_exhibit,
    edited_json,
    forgery,
    judged_anew,
    rewritten,
)
from sample_bundle import (
    registered_tests,
    sha,
)

STAMP = "commitments/release.json.sample.tsr"


# ---- the claimant, who can sign anything ------------------------------------------------------------


def _with_digests(folder: Path) -> None:
    """The report names the exhibits as they are now."""

    def named(report: AuditReport) -> AuditReport:
        return replace(
            report,
            exhibits=tuple(
                replace(x, sha256=sha((folder / x.name).read_bytes())) for x in report.exhibits
            ),
        )

    rewritten(folder, named)


@forgery(8, "log10_p")
def p_in_json(shop: Workshop) -> Path:
    """The claimant edits a corrected p-value before signing."""
    folder = shop.copy()
    edited_json(folder, lambda report: report["entries"][1].update(log10_p_corrected=-9.0))
    return shop.resigned(folder)


@forgery(8, "status")
def status_in_json(shop: Workshop) -> Path:
    """The claimant edits a status before signing."""
    folder = shop.copy()
    edited_json(folder, lambda report: report["entries"][1].update(status="evidence_found"))
    return shop.resigned(folder)


@forgery(9, "report.html")
def p_in_html(shop: Workshop) -> Path:
    """The claimant edits the page only, before signing."""
    folder = shop.copy()
    page = folder / "report.html"
    page.write_text(page.read_text("utf-8").replace("Inconclusive", "Evidence found"), "utf-8")
    return shop.resigned(folder)


@forgery(9, "report.html")
def hidden_words(shop: Workshop) -> Path:
    """The claimant adds a style that hides the limits."""
    folder = shop.copy()
    page = folder / "report.html"
    page.write_text(
        page.read_text("utf-8").replace("</style>", "#limits { display: none }</style>"), "utf-8"
    )
    return shop.resigned(folder)


@forgery(7, "gives another log10_p")
def p_invented(shop: Workshop) -> Path:
    """The claimant invents a p-value, and writes a report that follows from it."""
    folder = shop.copy()

    def change(report: AuditReport) -> AuditReport:
        tests = [(e.suspect, e.finding, e.power) for e in report.entries]
        suspect, finding, power = tests[1]
        tests[1] = (suspect, replace(finding, log10_p=-9.0), power)
        return judged_anew(report, tests=tests)

    rewritten(folder, change)
    statuses = json.loads((folder / "report.json").read_bytes())["entries"]
    tests = json.loads(Envelope.read((folder / STATEMENT).read_bytes()).unverified_payload)
    listed = tests["predicate"]["tests"]
    for entry in statuses:
        next(t for t in listed if t["id"] == entry["test"])["status"] = entry["status"]
    return shop.resigned(folder, tests=listed)


@forgery(7, "gives another effect")
def effect_invented(shop: Workshop) -> Path:
    """The claimant states a larger effect than the exhibit gives, before signing."""
    folder = shop.copy()

    def change(report: AuditReport) -> AuditReport:
        first = report.entries[0]
        effect = replace(first.finding.effect, value=first.finding.effect.high)
        entry = replace(first, finding=first.finding.about(effect=effect))
        return replace(report, entries=(entry, *report.entries[1:]))

    rewritten(folder, change)
    return shop.resigned(folder)


@forgery(7, "gives another")
def rows_dropped(shop: Workshop) -> Path:
    """The claimant drops rows of an exhibit that speak against them."""
    folder = shop.copy()
    edited_exhibit(folder, "exhibits/T03.parquet", lambda column: column[:-5])
    _with_digests(folder)
    return shop.resigned(folder)


@forgery(7, "gives another")
def rows_reordered(shop: Workshop) -> Path:
    """The claimant sorts the scores of an exhibit into the order that suits them."""
    folder = shop.copy()
    path = folder / "exhibits/T03.parquet"
    working = read_exhibit(path)
    path.unlink()
    columns = {**working.columns, "y": np.sort(working.columns["y"])}
    write_exhibit(replace(working, columns=columns), path)
    _with_digests(folder)
    return shop.resigned(folder)


@forgery(7, "gives another")
def exhibit_exchanged(shop: Workshop) -> Path:
    """The claimant hands in the exhibit of another test."""
    folder = shop.copy()
    shutil.copy(folder / "exhibits/T01.parquet", folder / "exhibits/T03.parquet")
    _with_digests(folder)
    return shop.resigned(folder)


@forgery(7, "exhibits/T03.parquet: is not in the bundle")
def exhibit_kept_back(shop: Workshop) -> Path:
    """The claimant does not hand over the exhibit of a test."""
    folder = shop.copy()
    (folder / "exhibits/T03.parquet").unlink()
    rewritten(folder, lambda report: replace(report, exhibits=report.exhibits[:1]))
    return shop.resigned(folder)


@forgery(4, "exhibit exhibits/T03.parquet")
def exhibit_of_another_report(shop: Workshop) -> Path:
    """The claimant exchanges an exhibit that the report names by its digest."""
    folder = shop.copy()
    edited_exhibit(folder, "exhibits/T03.parquet", lambda column: column[:-5])
    return shop.resigned(folder)


@forgery(7, "reported as not run")
def result_hidden(shop: Workshop) -> Path:
    """The claimant reports a test as not run whose result is there."""
    folder = shop.copy()
    shutil.copy(folder / "exhibits/T03.parquet", folder / "exhibits/T02.parquet")
    return shop.resigned(folder)


@forgery(8, "appears twice")
def duplicate_keys(shop: Workshop) -> Path:
    """report.json has a key twice."""
    folder = shop.copy()
    path = folder / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"alpha":', b'"alpha":0.5,"alpha":', 1))
    return shop.resigned(folder)


@forgery(8, "NaN")
def nan(shop: Workshop) -> Path:
    """report.json has a number that is none."""
    folder = shop.copy()
    path = folder / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"alpha":0.01', b'"alpha":NaN', 1))
    return shop.resigned(folder)


@forgery(5, "alpha: registered 0.01, reported 0.05")
def alpha_changed(shop: Workshop) -> Path:
    """The claimant raises the threshold afterwards."""
    folder = shop.copy()
    rewritten(folder, lambda report: judged_anew(report, alpha=0.05))
    return shop.resigned(folder, alpha=0.05)


@forgery(4, "alpha: signed 0.001, reported 0.01")
def alpha_signed(shop: Workshop) -> Path:
    """The claimant signs another threshold than the report has."""
    return shop.resigned(shop.copy(), alpha=0.001)


@forgery(4, "tests: signed")
def status_signed(shop: Workshop) -> Path:
    """The claimant signs another answer than the report gives."""
    folder = shop.copy()
    payload = json.loads(Envelope.read((folder / STATEMENT).read_bytes()).unverified_payload)
    tests = payload["predicate"]["tests"]
    tests[2]["status"] = "evidence_found"
    return shop.resigned(folder, tests=tests)


def _without(shop: Workshop, *ids: str) -> Path:
    """A bundle whose report and statement know nothing of some tests that were registered."""
    draft = shop.draft()
    draft.findings = {i: f for i, f in draft.findings.items() if i not in ids}
    draft.not_run = {i: reason for i, reason in draft.not_run.items() if i not in ids}
    kept = tuple(test for test in registered_tests(draft.audit) if test.test not in ids)
    draft.changes = {"registered": kept}
    return draft.write(shop.key)


@forgery(5, "order.north of 'north' was registered, but is not in the report")
def test_removed(shop: Workshop) -> Path:
    """The claimant leaves out a test that found nothing."""
    return _without(shop, "order.north")


@forgery(5, "mark.south of 'south' was registered, but is not in the report")
def suspect_removed(shop: Workshop) -> Path:
    """The claimant leaves out a suspect that could not be tested."""
    return _without(shop, "mark.south")


@forgery(4, "unknown field")
def unknown_field(shop: Workshop) -> Path:
    """The statement says something that this version does not understand."""
    return shop.resigned(shop.copy(), overrides="alpha")


@forgery(4, "is not known here")
def later_format(shop: Workshop) -> Path:
    """The bundle claims a format of which nothing is known."""
    return shop.resigned(shop.copy(), formatVersion="bookplate-bundle/2")


@forgery(7, "gives another figure")
def figure_exchanged(shop: Workshop) -> Path:
    """The claimant shows the figure of another test."""
    folder = shop.copy()

    def change(report: AuditReport) -> AuditReport:
        first = report.entries[0]
        figure = NullHistogram(label="draws", edges=(0.0, 1.0), counts=(9,), observed=0.5)
        entry = replace(first, finding=first.finding.about(figure=figure))
        return replace(report, entries=(entry, *report.entries[1:]))

    rewritten(folder, change)
    return shop.resigned(folder)


@forgery(7, "gives another list of warnings")
def warning_dropped(shop: Workshop) -> Path:
    """The claimant leaves out that units have tied choices, as their exhibit shows."""
    folder = shop.copy()
    name = "exhibits/T01.parquet"
    working = read_exhibit(folder / name)
    columns = {key: column.copy() for key, column in working.columns.items()}
    columns["difference"][:3] = 0.0
    (folder / name).unlink()
    write_exhibit(replace(working, columns=columns), folder / name)
    made = read_exhibit(folder / name).repeat()

    def change(report: AuditReport) -> AuditReport:
        tests = [(e.suspect, e.finding, e.power) for e in report.entries]
        suspect, finding, power = tests[0]
        told = {word: getattr(finding, word) for word in ("name", "question", "null", "unit")}
        tests[0] = (suspect, made.about(**told, inputs=finding.inputs, warnings=()), power)
        return judged_anew(report, tests=tests)

    rewritten(folder, change)
    _with_digests(folder)
    return shop.resigned(folder)
