"""Forgeries by the claimant, who can sign whatever they like: what they sign refutes itself."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.provenance.custody.log import append
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
    CREATED,
    NOW,
    REGISTERED,
    Authority,
    Draft,
    audit_file,
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


@forgery(6, "audit.yaml.sample.tsr: the timestamp is of another message")
def registered_anew(shop: Workshop) -> Path:
    """The claimant registers anew, without the suspect, and keeps the old timestamp."""
    draft = shop.draft()
    old = shop.authority.stamp(draft.audit, REGISTERED)
    draft.audit = audit_file(suspects={"mark": ("north",), "order": ("north",)})
    draft.not_run = {}
    draft.files["commitments/audit.yaml.sample.tsr"] = old
    return draft.write(shop.key)


@forgery(6, "later than the")
def registered_later(shop: Workshop) -> Path:
    """The claimant registers after the data were read, and claims an earlier time."""
    draft = shop.draft()
    draft.times["audit"] = CREATED - timedelta(hours=1)
    return draft.write(shop.key)


@forgery(6, "later than the")
def committed_later(shop: Workshop) -> Path:
    """The claimant commits after registering, with a key that suits the suspect."""
    draft = shop.draft()
    draft.times["release"] = CREATED - timedelta(hours=1)
    return draft.write(shop.key)


@forgery(6, "was seen by")
def committed_later_unsaid(shop: Workshop) -> Path:
    """The same, and the report names no proof."""
    draft = shop.draft()
    draft.times["release"] = CREATED - timedelta(hours=1)
    tests = tuple(replace(t, committed_proof="") for t in registered_tests(draft.audit))
    draft.changes = {"events": (), "registered": tests}
    return draft.write(shop.key)


@forgery(6, "named as proof")
def proof_missing(shop: Workshop) -> Path:
    """The report names a timestamp that is not there."""
    folder = shop.copy()
    (folder / STAMP).unlink()
    return shop.resigned(folder)


@forgery(6, "which has not come yet")
def made_tomorrow(shop: Workshop) -> Path:
    """The report was made tomorrow."""
    folder, time = shop.copy(), (NOW + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rewritten(folder, lambda report: replace(report, created=time))
    return shop.resigned(folder, createdAt=time)


@forgery(6, "chain of certificates")
def own_authority(shop: Workshop) -> Path:
    """The claimant stamps with an authority of their own."""
    draft = Draft(Authority(shop.place()), shop.place())
    return draft.write(shop.key)


@forgery(6, "does not commit to root")
def other_manifest(shop: Workshop) -> Path:
    """The claimant signs the root of another manifest than the release committed to."""
    folder = shop.copy()
    name = "commitments/release.json"
    commitment = {"leafCount": 3, "name": name, "root": "0" * 64}
    commitment["sha256"] = sha((folder / name).read_bytes())
    return shop.resigned(folder, commitments=[commitment])


@forgery(6, "not listed as a commitment")
def lucky_commitment(shop: Workshop) -> Path:
    """The claimant adds a commitment of which the statement says nothing."""
    folder = shop.copy()
    (folder / "commitments/other.json").write_text("{}")
    return shop.resigned(folder)


@forgery(10, "custody.jsonl")
def log_cut(shop: Workshop) -> Path:
    """The claimant empties the custody log."""
    folder = shop.copy()
    (folder / "custody.jsonl").write_bytes(b"")
    return shop.resigned(folder)


@forgery(10, "which the report lists")
def log_of_another(shop: Workshop) -> Path:
    """The claimant hands in another log than the one that the report quotes."""
    folder = shop.copy()
    (folder / "custody.jsonl").unlink()
    head = append(folder / "custody.jsonl", "acquired", who="B. Example").sha256
    rewritten(folder, lambda r: replace(r, case=replace(r.case, custody_head=head)))
    return shop.resigned(folder, custodyHead=head)


@forgery(4, "unknown field")
def unknown_field(shop: Workshop) -> Path:
    """The statement says something that this version does not understand."""
    return shop.resigned(shop.copy(), overrides="alpha")


@forgery(4, "is not known here")
def later_format(shop: Workshop) -> Path:
    """The bundle claims a format of which nothing is known."""
    return shop.resigned(shop.copy(), formatVersion="bookplate-bundle/2")


@forgery(4, "signing key")
def ghost_signed(shop: Workshop) -> Path:
    """The report names another key than the one that signed."""
    folder = shop.copy()
    other = shop.stranger.public.keyid
    rewritten(folder, lambda r: replace(r, case=replace(r.case, key_fingerprint=other)))
    return shop.resigned(folder)


@forgery(10, "which the report lists")
def log_misquoted(shop: Workshop) -> Path:
    """The claimant quotes an entry of the log as another act."""
    folder = shop.copy()

    def misquoted(report: AuditReport) -> AuditReport:
        told = tuple(replace(record, action="inspection") for record in report.case.custody)
        return replace(report, case=replace(report.case, custody=told))

    rewritten(folder, misquoted)
    return shop.resigned(folder)


@forgery(10, "of which the report lists 0 only")
def log_unquoted(shop: Workshop) -> Path:
    """The claimant leaves the log out of the report."""
    folder = shop.copy()
    rewritten(folder, lambda r: replace(r, case=replace(r.case, custody=())))
    return shop.resigned(folder)


@forgery(6, "is no timestamp in the bundle")
def proof_in_words(shop: Workshop) -> Path:
    """The claimant calls a time proven by an authority of which the bundle holds nothing."""
    folder = shop.copy()
    proof = "RFC 3161 timestamp of a qualified authority"
    rewritten(folder, lambda r: replace(r, case=replace(r.case, registered_proof=proof)))
    return shop.resigned(folder)


@forgery(6, "as proof of another file than commitments/release.json")
def proof_of_another(shop: Workshop) -> Path:
    """The claimant proves the registration with the timestamp over the commitment."""
    folder = shop.copy()
    rewritten(folder, lambda r: replace(r, case=replace(r.case, registered_proof=STAMP)))
    return shop.resigned(folder)


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
