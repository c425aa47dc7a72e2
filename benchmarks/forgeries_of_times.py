"""Forgeries by the claimant of times, commitments, keys and the custody log."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bookplate.provenance.custody.log import append
from bookplate.stats.report import AuditReport
from forging import Workshop, forgery, rewritten
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


@forgery(6, "and the report says of CN=Federal Institute of Time")
def authority_renamed(shop: Workshop) -> Path:
    """The claimant calls the authority of a timestamp by a better name."""
    return _proved_by(shop, f"RFC 3161 timestamp of CN=Federal Institute of Time ({STAMP})")


@forgery(6, "and the report says of The Federal Court (see")
def authority_renamed_loosely(shop: Workshop) -> Path:
    """The same, in words that only resemble the program's."""
    return _proved_by(shop, f"RFC 3161 timestamp of The Federal Court (see {STAMP})")


@forgery(6, "and the report says of Qualified RFC 3161")
def authority_praised(shop: Workshop) -> Path:
    """The claimant adds a word on the authority's standing."""
    return _proved_by(shop, f"Qualified RFC 3161 timestamp of CN=Sample TSA ({STAMP})")


@forgery(6, "and the report says of CN=Federal Institute of Time")
def registered_before_another(shop: Workshop) -> Path:
    """The claimant calls the authority behind the registration by a better name."""
    folder = shop.copy()
    proof = "RFC 3161 timestamp of CN=Federal Institute of Time (commitments/audit.yaml.sample.tsr)"
    rewritten(folder, lambda r: replace(r, case=replace(r.case, registered_proof=proof)))
    return shop.resigned(folder)


def _proved_by(shop: Workshop, proof: str) -> Path:
    """The sound bundle, its event proven in these words."""
    folder = shop.copy()

    def change(report: AuditReport) -> AuditReport:
        events = tuple(replace(e, proof=proof) if e.proof else e for e in report.case.events)
        return replace(report, case=replace(report.case, events=events))

    rewritten(folder, change)
    return shop.resigned(folder)
