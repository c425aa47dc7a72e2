"""A small bundle that holds: made-up numbers of two suspects, three tests, an authority of its own."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from bookplate import __version__
from bookplate.provenance.bundle import write_exhibit
from bookplate.provenance.bundle.layout import exhibit_name
from bookplate.provenance.bundle.predicate import ClaimedTest, Commitment, Predicate
from bookplate.provenance.bundle.registration import PlannedTest, Registration
from bookplate.provenance.bundle.sealing import seal
from bookplate.provenance.custody import SigningKey, commit
from bookplate.provenance.custody.log import append, verify
from bookplate.stats import Alternative, paired_test, spearman_test
from bookplate.stats.report import (
    AuditReport,
    CaseFile,
    CustodyRecord,
    ExaminedItem,
    Exhibit,
    NotRun,
    RegisteredTest,
    TimelineEvent,
    render_html,
)
from timestamp_authority import TIME_STAMPING, certified, forged_answer, laid_out

NOW = datetime.now(UTC).replace(microsecond=0)
COMMITTED, REGISTERED, CREATED = (NOW - timedelta(days=days) for days in (20, 10, 9))
KINDS = {"mark": "watermark", "order": "order"}
SUSPECTS = {"mark": ("north", "south"), "order": ("north",)}


def utc(time):
    """As reports write times."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def proof_by(name):
    """How a report names the timestamp over a file."""
    return f"RFC 3161 timestamp of CN=Sample TSA (commitments/{name}.sample.tsr)"


def sha(data):
    """SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


class Authority:
    """A time authority that stamps whatever time it is told to."""

    def __init__(self, folder):
        self.root = certified("Sample root", authority=True, begin=-400, end=3650)
        signer = certified("Sample TSA", self.root, usage=([TIME_STAMPING], True), begin=-100)
        self.folder = laid_out(folder, signer)

    def stamp(self, data, when):
        """An answer about these bytes."""
        return forged_answer(self.folder, hashlib.sha256(data).digest(), when=when)


def audit_file(*, alpha=0.01, suspects=SUSPECTS):
    """An audit file, in the part of YAML that is JSON."""
    names = dict.fromkeys(name for listed in suspects.values() for name in listed)
    needs = {"mark": {"dataset": "essays"}, "order": {"transcript": "run"}}
    audit = {
        "format": "bookplate-audit/1",
        "report_id": "BP-1",
        "title": "Audit of north and south",
        "alpha": alpha,
        "datasets": {"essays": {"manifest": "private/manifest"}},
        "transcripts": {"run": {"path": "transcript"}},
        "models": {name: {"model": f"models/{name}", "role": "suspect"} for name in names},
        "tests": {
            test: {"kind": KINDS[test], "suspects": list(listed), **needs[test]}
            for test, listed in suspects.items()
        },
    }
    return json.dumps(audit, indent=1).encode()


def registration(data):
    """What `verify` compares, read from `audit_file` without the command line's parser."""
    audit = json.loads(data)
    return Registration(
        alpha=audit["alpha"],
        correction="holm",
        tests=tuple(
            PlannedTest(id=f"{name}.{s}", kind=test["kind"], suspect=s, alternative="greater")
            for name, test in audit["tests"].items()
            for s in test["suspects"]
        ),
    )


def findings():
    """By id of the registered test; the third was not run. Without figures, which are slow to draw."""
    rng = np.random.default_rng(5)
    difference, step = rng.normal(0.9, 1.0, size=60), np.arange(60.0)
    mark = paired_test(difference, alternative=Alternative.GREATER, seed=1, n_resamples=999).about(
        name="keyed watermark", question="Was north trained on the essays?", figure=None
    )
    order = spearman_test(
        step, rng.normal(size=60), alternative=Alternative.GREATER, seed=2, n_resamples=999
    ).about(name="palimpsest query", question="Was north derived from the run?", figure=None)
    return {"mark.north": mark, "order.north": order}


def registered_tests(data):
    """As the report lists them."""
    return tuple(
        RegisteredTest(
            test=test.id,
            kind=test.kind,
            suspect=test.suspect,
            question=f"Question of {test.id}",
            proposition="It was.",
            counter_proposition="It was not.",
            direction=test.alternative,
            committed_at=utc(COMMITTED),
            committed_proof=proof_by("release.json"),
        )
        for test in registration(data).tests
    )


class Draft:
    """A bundle before it is signed: what an honest claimant, or a dishonest one, puts into it."""

    def __init__(self, authority, folder):
        self.authority, self.folder = authority, folder
        self.files = {}
        self.audit = audit_file()
        self.findings = findings()
        self.not_run = {"mark.south": "The endpoint returned no log-probabilities."}
        self.times = {"release": COMMITTED, "audit": REGISTERED}
        self.changes = {}
        self.predicate_changes = {}

    def write(self, key):
        """All files, signed; gives the folder."""
        self.folder.mkdir(parents=True)
        release = json.dumps({
            "format": "bookplate-release/1",
            "manifest": {"root": commit([b"row"] * 3).root, "leaf_count": 3},
        }).encode()
        log = self.folder / "custody.jsonl"
        entry = append(log, "acquired", who="A. Example", details={"sha256": sha(release)})
        self.put("commitments/release.json", release)
        self.put("audit.yaml", self.audit)
        for name, data, when in (
            ("release.json", release, self.times["release"]),
            ("audit.yaml", self.audit, self.times["audit"]),
        ):
            self.put(f"commitments/{name}.sample.tsr", self.authority.stamp(data, when))
        tests = registered_tests(self.audit)
        exhibits = self._exhibits(tests)
        report = self.report(tests, exhibits, key, entry, verify(log).head)
        self.put("report.json", report.to_json())
        self.put("report.html", render_html(report).encode())
        self.seal(key, report, release)
        return self.folder

    def put(self, name, data):
        """Write a file, unless it is to hold something else."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files.get(name, data))

    def _exhibits(self, tests):
        found = []
        for number, test in enumerate(tests, 1):
            if test.test in self.findings:
                path = self.folder / exhibit_name(number)
                path.parent.mkdir(exist_ok=True)
                write_exhibit(self.findings[test.test].working, path)
                if exhibit_name(number) in self.files:
                    path.write_bytes(self.files[exhibit_name(number)])
                found.append(
                    Exhibit(
                        name=exhibit_name(number),
                        sha256=sha(path.read_bytes()),
                        description=f"Numbers of {test.test}",
                    )
                )
        return found

    def report(self, tests, exhibits, key, entry, head):
        """The report of what is in the draft."""
        case = CaseFile(**{
            **{
                "report_id": "BP-1",
                "standing": "final",
                "profile": "none",
                "parties": (),
                "instructions": "",
                "pre_registration": sha(self.audit),
                "registered_at": utc(REGISTERED),
                "registered_proof": proof_by("audit.yaml"),
                "key_fingerprint": key.public.keyid,
                "previous_statement": "",
                "items": (ExaminedItem(name="north", kind="model", role="suspect"),),
                "events": (
                    TimelineEvent(
                        at=utc(COMMITTED),
                        what="Committed",
                        proof=proof_by("release.json"),
                    ),
                ),
                "registered": tests,
                "checks": (),
                "positive_controls": (),
                "opinions": (),
                "conflicts": "",
                "looks": "",
                "custody": (
                    CustodyRecord(
                        number=entry.number,
                        at=utc(entry.time),
                        actor=entry.who,
                        action=entry.action,
                        what="the release",
                    ),
                ),
                "custody_head": head,
                "repetition": (),
            },
            **self.changes,
        })
        known = {test.test: test for test in case.registered}
        return AuditReport.from_findings(
            [(known[i].suspect, f, None) for i, f in self.findings.items() if i in known],
            title="Audit of north and south",
            subject="Two models.",
            alpha=json.loads(self.audit)["alpha"],
            command="bookplate audit audit.yaml",
            versions={"bookplate": __version__},
            created=utc(CREATED),
            exhibits=exhibits,
            not_run=[
                NotRun(suspect=known[i].suspect, name=i, question="?", reason=reason, test=i)
                for i, reason in self.not_run.items()
                if i in known
            ],
            case=case,
            ids={(known[i].suspect, f.name): i for i, f in self.findings.items() if i in known},
        )

    def seal(self, key, report, release):
        """Sign."""
        status = {e.test: e.status.value for e in (*report.entries, *report.not_run)}
        case, tree = report.case, json.loads(release)["manifest"]
        fields = {
            "report_id": case.report_id,
            "tool_version": __version__,
            "created_at": report.created,
            "pre_registration_sha256": case.pre_registration,
            "commitments": (
                Commitment(
                    name="commitments/release.json",
                    sha256=sha((self.folder / "commitments/release.json").read_bytes()),
                    root=tree["root"],
                    leaf_count=tree["leaf_count"],
                ),
            ),
            "tests": tuple(
                ClaimedTest(id=t.test, kind=t.kind, suspect=t.suspect, status=status[t.test])
                for t in case.registered
            ),
            "suspects": tuple(dict.fromkeys(t.suspect for t in case.registered)),
            "alpha": report.alpha,
            "correction": "holm",
            "custody_head": case.custody_head,
        }
        seal(self.folder, Predicate(**{**fields, **self.predicate_changes}), key)
        statement = self.folder / "statement.dsse.json"
        stamp = self.authority.stamp(statement.read_bytes(), CREATED + timedelta(minutes=1))
        self.put("timestamps/statement.sample.tsr", stamp)


def sound_bundle(folder: Path):
    """A bundle that holds: its folder, the key that signed it, and the authority behind its times."""
    authority = Authority(folder / "authority")
    key = SigningKey.generate()
    return Draft(authority, folder / "bundle").write(key), key, authority
