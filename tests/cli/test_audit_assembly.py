"""From outcomes to a bundle that verifies: what is in it, and what its checks then refuse."""

import gzip
import hashlib
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bookplate.cli.audit.controls import controls_as_computed
from bookplate.cli.audit.endings import endings_as_logged
from bookplate.cli.audit.limits import limits_as_told
from bookplate.cli.audit.linking import LINK_CHECKS
from bookplate.cli.audit.registering import registration_of
from bookplate.cli.audit.rows import choices_as_committed
from bookplate.cli.audit.settings import carried_out_as_registered
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.provenance.bundle.verification import Outcome, Result, verify
from bookplate.provenance.custody import AuthorityChain
from bookplate.provenance.custody import log as custody_log
from bookplate.stats.report import AuditReport, PositiveControl, Status

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "provenance"))
from audit_case import AUDIT, KEY, assembled, edited, laid_out
from timestamp_authority import TIME_STAMPING, certified, forged_answer
from timestamp_authority import laid_out as authority_in


def checked(bundle, **options):
    return verify(
        bundle,
        keys=[KEY.public],
        read_registration=registration_of,
        link_checks=LINK_CHECKS,
        **options,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    return assembled(folder, folder / "bundle"), folder / "bundle"


def test_statuses_follow_the_rule(made):
    report = made[0]
    status = {entry.test: entry.status for entry in (*report.entries, *report.not_run)}
    assert status == {
        "mark.guilty": Status.EVIDENCE_FOUND,
        "mark.innocent": Status.INCONCLUSIVE,
        "order.guilty": Status.NOT_RUN,
        "order.innocent": Status.NO_EVIDENCE_FOUND,
    }
    assert report.n_tests == 4


def test_a_bundle_verifies(made):
    found = checked(made[1])
    said = [(check.number, check.outcome, check.detail) for check in found.checks]
    assert not found.failed, said
    assert found.result is Result.VERIFIED
    outcomes = {check.number: check.outcome for check in found.checks}
    assert {outcomes[number] for number in (7, 8, 9, 11)} == {Outcome.PASSED}, said


def test_a_bundle_holds_what_was_used(made):
    report, bundle = made
    assert (bundle / "audit.yaml").read_text() == AUDIT
    assert AuditReport.from_json((bundle / "report.json").read_bytes()) == report
    case = report.case
    assert case.pre_registration == hashlib.sha256(AUDIT.encode()).hexdigest()
    assert case.key_fingerprint == KEY.public.keyid
    assert {item.name: item.sha256 for item in case.items}["reviews"] == "ab" * 32
    assert [event.what for event in case.events if "registered" in event.what]
    assert [e.proof for e in case.events] == [""] * len(case.events)
    for exhibit in report.exhibits:
        assert hashlib.sha256((bundle / exhibit.name).read_bytes()).hexdigest() == exhibit.sha256
    assert any("Time of commitment unproven" in limit for limit in report.limits)
    assert any("The power of mark was not registered" in limit for limit in report.limits)
    log = custody_log.verify(bundle / "custody.jsonl")
    actions = [entry.action for entry in log.entries]
    assert actions == ["registration", *["analysis"] * 4, "preservation"]
    assert not any(b"s" * 32 in file.read_bytes() for file in bundle.rglob("*") if file.is_file())


def test_controls_are_drawn_anew_and_asked(made):
    controls = {control.name: control for control in made[0].controls}
    assert set(controls) == {"mark, drawn anew", "mark, innocent controls", "order, drawn anew"}
    (p_value,) = controls["mark, innocent controls"].p_values
    assert p_value > 0.01
    assert (made[1] / "exhibits" / "control-mark.stranger.parquet").exists()
    assert len(controls["mark, drawn anew"].p_values) == 200
    assert controls["mark, drawn anew"].count_at(0.05) < 30  # 1e-6 under uniformity


def test_nothing_is_left_behind_if_an_outcome_is_missing(tmp_path):
    with pytest.raises(InvalidInput, match="not those of the registered tests"):
        assembled(tmp_path, tmp_path / "bundle", change=lambda outcomes: outcomes[1:])
    assert not (tmp_path / "bundle").exists()


def test_a_failed_assumption_carries_no_weight_and_an_unsigned_bundle_says_so(tmp_path):
    report = assembled(
        tmp_path,
        tmp_path / "bundle",
        signing_key=None,
        change=lambda outcomes: [
            replace(outcomes[0], failed_assumption="the order follows length"),
            *outcomes[1:],
        ],
    )
    assert report.entries[0].status is Status.ASSUMPTION_FAILED
    assert any("the order follows length" in check.result for check in report.case.checks)
    assert not (tmp_path / "bundle" / "statement.dsse.json").exists()
    assert checked(tmp_path / "bundle").result not in {Result.VERIFIED, Result.SIGNER_UNKNOWN}


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "bundle")


def files_of(bundle):
    found = (path for path in bundle.rglob("*") if path.is_file())
    return {str(path.relative_to(bundle)): path.read_bytes() for path in found}


def held(made, change):
    """What the checks of choices and of options say of the first exhibit, changed before signing."""
    report, bundle = made
    files = files_of(bundle)
    change(files)

    def run(check):
        return check(report, list(files), lambda name, limit: files[name])

    return run


def changed_exhibit(change):
    def apply(files):
        with tempfile.TemporaryDirectory() as folder:
            write_exhibit(change(read_exhibit(files[FIRST])), Path(folder) / "exhibit")
            files[FIRST] = (Path(folder) / "exhibit").read_bytes()

    return apply


FIRST, ROWS = "exhibits/T01.parquet", "exhibits/rows-reviews.jsonl.gz"


def test_choices_other_than_those_committed_to_are_refused(made):
    """The claimant's own doing, before signing: the exhibit says that other choices were released."""

    def swapped(working):
        chosen = working.columns["chosen"].copy()
        first = working.columns["unit"] == 0
        chosen[first] = chosen[first][::-1]
        return replace(working, columns={**working.columns, "chosen": chosen})

    with pytest.raises(VerificationError, match="another choice is marked as released"):
        held(made, changed_exhibit(swapped))(choices_as_committed)
    with pytest.raises(VerificationError, match="not among the committed rows"):
        held(made, changed_exhibit(lambda w: replace(w, names=tuple(f"x{n}" for n in w.names))))(
            choices_as_committed
        )
    with pytest.raises(VerificationError, match="does not say which choices"):
        held(made, changed_exhibit(lambda w: replace(w, names=(), choices=())))(
            choices_as_committed
        )


@pytest.mark.parametrize(
    ("setting", "value"), [("seed", 5), ("n_resamples", 100), ("bet", 3.0), ("stop_after", 10)]
)
def test_options_other_than_those_registered_are_refused(setting, value, made):
    altered = changed_exhibit(lambda w: replace(w, settings={**w.settings, setting: value}))
    with pytest.raises(VerificationError, match=f"{setting} is {value}"):
        held(made, altered)(carried_out_as_registered)


def test_another_test_than_the_registered_one_is_refused(made):
    def other(files):
        files[FIRST] = files["exhibits/T04.parquet"]

    with pytest.raises(VerificationError, match="registered as watermark"):
        held(made, other)(carried_out_as_registered)


def test_rows_that_are_not_those_committed_to_are_refused(made):
    def fewer(files):
        lines = gzip.decompress(files[ROWS]).splitlines(keepends=True)
        files[ROWS] = gzip.compress(b"".join(lines[:-1]))

    assert "under the committed root; 3 tests" in held(made, lambda f: None)(choices_as_committed)
    with pytest.raises(VerificationError):
        held(made, fewer)(choices_as_committed)
    with pytest.raises(VerificationError, match="missing, so nothing ties the choices"):
        held(made, lambda files: files.pop(ROWS))(choices_as_committed)


def _first_control(report, **changes):
    first = replace(report.controls[0], **changes)
    return replace(report, controls=(first, *report.controls[1:]))


def _case(report, **changes):
    return replace(report, case=replace(report.case, **changes))


REWRITTEN = {
    "a control's p-values": (
        controls_as_computed,
        lambda r: _first_control(r, p_values=(0.5,) * 200),
        "not what its exhibits give",
    ),
    "fewer runs of a control": (
        controls_as_computed,
        lambda r: _first_control(r, p_values=r.controls[0].p_values[:100]),
        "not what its exhibits give",
    ),
    "no controls": (controls_as_computed, lambda r: replace(r, controls=()), "not those of the"),
    "a positive control": (
        controls_as_computed,
        lambda r: _case(
            r,
            positive_controls=(
                PositiveControl(name="mark", description="", noticed=30, runs=30, level=0.01),
            ),
        ),
        "positive controls are not",
    ),
    "no limits": (limits_as_told, lambda r: replace(r, limits=()), "the limits do not say"),
    "one limit less": (
        limits_as_told,
        lambda r: replace(r, limits=tuple(x for x in r.limits if "unproven" not in x)),
        "Time of commitment unproven",
    ),
    "a check": (
        limits_as_told,
        lambda r: _case(
            r, checks=tuple(replace(c, result="holds beyond doubt") for c in r.case.checks)
        ),
        "checks of assumptions",
    ),
    "a failed assumption": (
        endings_as_logged,
        lambda r: AuditReport.from_findings(
            [(e.suspect, e.finding, e.power) for e in r.entries],
            **{n: getattr(r, n) for n in ("title", "subject", "alpha", "command", "versions")},
            **{n: getattr(r, n) for n in ("created", "controls", "exhibits", "limits", "case")},
            not_run=r.not_run,
            ids={(e.suspect, e.finding.name): e.test for e in r.entries},
            failed_assumptions={("innocent", r.entries[1].finding.name): "x"},
        ),
        "assumption failed, by the report; the custody log says done",
    ),
    "the looks": (limits_as_told, lambda r: _case(r, looks="One."), "looks at the data"),
}


@pytest.mark.parametrize("case", REWRITTEN)
def test_a_report_rewritten_before_signing_is_refused(case, made):
    check, change, message = REWRITTEN[case]
    files = files_of(made[1])

    def read(name, limit):
        return files[name]

    assert check(made[0], list(files), read)
    with pytest.raises(VerificationError, match=message):
        check(change(made[0]), list(files), read)


def test_a_registered_control_cannot_vanish(made):
    report, bundle = made
    files = files_of(bundle)
    del files["exhibits/control-mark.stranger.parquet"]
    silent = replace(report, controls=tuple(c for c in report.controls if "innocent" not in c.name))
    with pytest.raises(VerificationError, match=r"mark\.stranger has no exhibit"):
        controls_as_computed(silent, list(files), lambda name, limit: files[name])
    told = replace(silent, limits=("The control stranger could not be tested: no.", *silent.limits))
    assert controls_as_computed(told, list(files), lambda name, limit: files[name])


def test_an_edited_p_value_is_refused(bundle):
    edited(
        bundle / "report.json",
        lambda report: report["entries"][1]["finding"].update(log10_p=-9.0, p_value=1e-9),
    )
    found = {check.number: check for check in checked(bundle).checks}
    assert found[3].outcome is Outcome.FAILED
    assert "report.json" in found[3].detail


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_timestamps_prove_times(tmp_path):
    root = certified("Root", authority=True)
    signer = certified("TSA", root, usage=([TIME_STAMPING], True))
    authority = authority_in(tmp_path / "tsa", signer)
    text = AUDIT.replace("key: key.json}", "key: key.json, timestamps: [release.tsr]}").replace(
        "title:", "timestamps: [audit.tsr]\ntitle:"
    )

    def stamped(folder):
        folder.mkdir()
        laid_out(folder, text)
        release = (folder / "marked/release/release.json").read_bytes()
        for name, message in (("release", release), ("audit", text.encode())):
            digest = hashlib.sha256(message).digest()
            when = datetime.now(UTC) - timedelta(hours=1)
            (folder / f"{name}.tsr").write_bytes(forged_answer(authority, digest, when=when))
        for path in (folder / "marked", folder / "reviews.parquet", folder / "key.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (folder / "transcript.parquet").unlink()
        return folder

    chain = AuthorityChain.from_pem(root.pem)
    one = stamped(tmp_path / "one")
    report = assembled(one, one / "bundle", text=text, chains=[chain])
    assert "CN=TSA" in report.case.registered_proof
    assert sum(bool(event.proof) for event in report.case.events) == 2
    assert not any("unproven" in limit for limit in report.limits)
    found = checked(one / "bundle", authorities=[chain])
    assert not found.failed, [check.detail for check in found.failed]
    other = AuthorityChain.from_pem(certified("Other", authority=True).pem)
    two = stamped(tmp_path / "two")
    with pytest.raises(VerificationError, match=r"audit\.tsr"):
        assembled(two, two / "bundle", text=text, chains=[other])
