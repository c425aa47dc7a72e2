"""Signing and verifying bundles: what passes, what stays open, and that nothing hostile stops a check."""

import importlib.metadata
import json
import shutil
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from bookplate import __version__
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.bundle.verification import Outcome, Result, Verification, verify
from bookplate.provenance.bundle.verification import words as words_module
from bookplate.provenance.bundle.verification.outcomes import Check, NotChecked, attempt
from bookplate.provenance.custody import AuthorityChain
from bookplate.stats.report import AuditReport, render_markdown
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parent))
from forgeries import Workshop, rewritten
from sample_bundle import CREATED, Authority, registration, sha

PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKED


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


def trusting(shop, **changes):
    """What the verifier has from elsewhere."""
    return {
        "keys": [shop.key.public],
        "authorities": [AuthorityChain.from_pem(shop.authority.root.pem)],
        "read_registration": registration,
        **changes,
    }


def outcomes(found):
    return [check.outcome for check in found.checks]


# ---- what passes, and what stays open ---------------------------------------------------------------


def test_a_sound_bundle_is_verified_check_by_check(shop):
    found = verify(shop.sound, **trusting(shop))
    assert outcomes(found) == [PASSED] * 10 + [OPEN]
    assert [check.number for check in found.checks] == list(range(1, 12))
    assert found.result is Result.VERIFIED
    assert found.signer == shop.key.public.keyid
    assert found.checks[6].detail == (
        "2 computed anew; effect or figure stands on the signer's word in mark.north, order.north"
    )
    data = json.loads(json.dumps(found.to_dict()))
    assert data["result"] == "verified"
    assert data["checks"][1]["outcome"] == "passed"


def test_a_fingerprint_does_as_well_as_a_key(shop):
    keyid = shop.key.public.keyid
    grouped = " ".join(keyid[i : i + 4] for i in range(0, 64, 4)).upper()
    for fingerprint in (keyid, grouped):
        found = verify(shop.sound, **trusting(shop, keys=(), fingerprints=[fingerprint]))
        assert found.result is Result.VERIFIED
    with pytest.raises(InvalidInput, match="no fingerprint"):
        verify(shop.sound, fingerprints=["abc"])


def test_a_key_from_the_bundle_proves_nothing(shop):
    for folder in (shop.sound, shop.resigned(shop.copy(), shop.stranger)):
        rewritten_case = folder is not shop.sound
        found = verify(folder, **trusting(shop, keys=()))
        assert found.checks[1].outcome is OPEN
        assert "intact, signer unknown" in found.checks[1].detail
        if not rewritten_case:  # the stranger's report still names the claimant's key
            assert found.result is Result.SIGNER_UNKNOWN


def test_without_signer_pem_a_key_must_be_given(shop):
    folder = shop.copy()
    (folder / "signer.pem").unlink()
    found = verify(folder, read_registration=registration)
    assert found.checks[1].outcome is FAILED
    assert "of which only the id is here" in found.checks[1].detail
    found = verify(folder, **trusting(shop))  # it was signed for, so it is missed
    assert found.checks[1].outcome is PASSED
    assert found.failed[0].detail == "signer.pem: signed for, but missing"


def test_without_an_authority_the_time_is_unproven(shop):
    found = verify(shop.sound, **trusting(shop, authorities=()))
    assert found.result is Result.VERIFIED
    assert found.checks[5].outcome is OPEN
    assert "time unproven: no authority's root certificate given" in found.checks[5].detail


def test_without_timestamps_the_time_is_unproven(shop):
    draft = shop.draft()
    folder = draft.write(shop.key)
    for stamp in folder.rglob("*.tsr"):
        stamp.unlink()
    rewritten(folder, _without_proofs)
    found = verify(shop.resigned(folder), **trusting(shop))
    assert found.result is Result.VERIFIED
    assert "time unproven: no timestamp in the bundle" in found.checks[5].detail


def _without_proofs(report):
    case = report.case
    registered = tuple(replace(test, committed_proof="") for test in case.registered)
    return replace(
        report, case=replace(case, registered=registered, registered_proof="", events=())
    )


def test_of_two_authorities_one_may_be_unknown(shop, tmp_path):
    folder = shop.copy()
    other = Authority(tmp_path / "other")
    data = (folder / "statement.dsse.json").read_bytes()
    later = shop.authority.stamp(data, CREATED + timedelta(hours=5))
    (folder / "timestamps/later.tsr").write_bytes(later)
    stamp = other.stamp(data, CREATED + timedelta(minutes=2))
    (folder / "timestamps/other.tsr").write_bytes(stamp)
    found = verify(folder, **trusting(shop))
    assert found.checks[5].outcome is PASSED
    assert "not proven by timestamps/other.tsr" in found.checks[5].detail
    both = [AuthorityChain.from_pem(a.root.pem) for a in (shop.authority, other)]
    found = verify(folder, **trusting(shop, authorities=both))
    assert "not proven" not in found.checks[5].detail
    only = verify(folder, **trusting(shop, authorities=both[1:]))
    assert only.checks[5].outcome is FAILED


def test_what_is_needed_and_not_made_leaves_the_bundle_unverified(shop):
    found = verify(shop.sound, **trusting(shop, read_registration=None))
    assert found.checks[4].outcome is OPEN
    assert found.result is Result.INCOMPLETE


def test_links_are_made_by_who_knows_the_methods(shop):
    seen = []

    def link(report, names, read):
        seen.append((report.title, "audit.yaml" in names, read("audit.yaml", 1 << 20)[:1]))
        return "3 choices are those committed to"

    def silent(report, names, read):
        return ""

    def broken(report, names, read):
        raise VerificationError("row 7 is not the committed one")

    found = verify(shop.sound, **trusting(shop, link_checks=[link, silent]))
    assert found.checks[10].outcome is PASSED
    assert found.checks[10].detail == "3 choices are those committed to"
    assert seen == [("Audit of north and south", True, b"{")]
    found = verify(shop.sound, **trusting(shop, link_checks=[link, broken]))
    assert found.result is Result.FAILED
    assert found.failed[0].detail == "row 7 is not the committed one"
    assert verify(shop.sound, **trusting(shop, link_checks=[silent])).checks[10].outcome is OPEN


def test_an_early_failure_leaves_later_checks_unmade(shop):
    folder = shop.copy()
    (folder / "link").symlink_to("report.json")
    assert outcomes(verify(folder, **trusting(shop))) == [FAILED] + [OPEN] * 10
    folder = shop.copy()
    (folder / "statement.dsse.json").write_bytes(b"{}")
    assert outcomes(verify(folder, **trusting(shop))) == [PASSED, FAILED] + [OPEN] * 9


def test_a_file_that_was_altered_is_not_looked_into(shop):
    folder = shop.copy()
    (folder / "report.json").write_bytes(b"{}")
    found = verify(folder, **trusting(shop))
    assert [c.number for c in found.failed] == [3]
    assert "report.json is not as it was signed (check 3)" in found.checks[7].detail
    assert found.checks[9].outcome is OPEN  # the log is compared with the report
    folder = shop.copy()
    (folder / "exhibits/T01.parquet").write_bytes(b"")
    found = verify(folder, **trusting(shop))
    assert [c.number for c in found.failed] == [3]
    assert found.checks[6].outcome is OPEN
    assert found.checks[7].outcome is PASSED


def test_there_must_be_a_bundle(tmp_path):
    with pytest.raises(InvalidInput, match="no such folder or file"):
        verify(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert verify(tmp_path / "empty").result is Result.FAILED


def test_registered_seed_and_power_bind(shop):
    def read(**fields):
        def planned(data):
            found = registration(data)
            return replace(
                found,
                tests=tuple(
                    replace(t, **fields) if t.id == "order.north" else t for t in found.tests
                ),
            )

        return verify(shop.sound, **trusting(shop, read_registration=planned)).checks[4]

    assert read(seed=2).outcome is PASSED
    assert "seed of test order.north: registered 3, used 2" in read(seed=3).detail
    assert "direction of test" not in read(alternative="greater").detail
    assert "tests: registered" in read(alternative="less").detail
    assert "power of test order.north: registered 0.5, reported None" in read(power=0.5).detail


def test_an_audit_file_that_cannot_be_read_fails(shop):
    def read(data):
        raise InvalidInput("line 3: unknown field")

    found = verify(shop.sound, **trusting(shop, read_registration=read))
    assert found.failed[0].detail == "audit.yaml: line 3: unknown field"


# ---- words ------------------------------------------------------------------------------------------


def test_another_version_is_told_from_a_forgery(shop):
    def older(report):
        return replace(report, versions={"bookplate": "0.0.1"})

    folder = shop.copy()
    rewritten(folder, older)
    page = folder / "report.html"
    page.write_text(page.read_text("utf-8").replace("Method", "Our method"), "utf-8")
    found = verify(shop.resigned(folder, toolVersion="0.0.1"), **trusting(shop))
    assert found.checks[8].outcome is PASSED
    assert "the answers in brief are those that this version gives" in found.checks[8].detail
    page.write_text(page.read_text("utf-8").replace("Inconclusive", "Evidence found"), "utf-8")
    found = verify(shop.resigned(folder, toolVersion="0.0.1"), **trusting(shop))
    assert found.checks[8].outcome is OPEN
    assert "the words of the answers differ" in found.checks[8].detail


def with_a_figure(shop):
    from bookplate.stats import Alternative, paired_test

    draft = shop.draft()
    mark = draft.findings["mark.north"]
    figure = paired_test(
        mark.working.columns["difference"], alternative=Alternative.GREATER, seed=1, n_resamples=999
    ).figure
    draft.findings["mark.north"] = mark.about(figure=figure)
    return draft.write(shop.key)


def test_figures_are_compared_too(shop):
    folder = with_a_figure(shop)
    found = verify(folder, **trusting(shop))
    assert found.checks[8].outcome is PASSED
    assert "signer's word in order.north" in found.checks[6].detail  # mark.north has its own figure
    page = folder / "report.html"
    page.write_text(page.read_text("utf-8").replace("</svg>", "<desc>new</desc></svg>"), "utf-8")
    found = verify(shop.resigned(folder), **trusting(shop))
    assert found.failed[0].number == 9
    assert "<desc>new</desc>" in found.failed[0].detail


def test_digits_that_differ_between_machines_do_not_make_a_forgery(shop):
    """A number may be another in its 14th digit, and with it the digest that the page prints."""
    folder = shop.copy()
    path = folder / "report.json"
    old = path.read_bytes()
    value = json.loads(old)["entries"][0]["log10_p_corrected"]
    new = old.replace(repr(value).encode(), repr(value * (1 + 1e-13)).encode(), 1)
    assert new != old
    page = folder / "report.html"
    text = page.read_text("utf-8")
    from bookplate.stats.report.wording import grouped

    for a, b in zip(grouped(sha(old)), grouped(sha(new)), strict=True):
        text = text.replace(f"<span>{a}</span>", f"<span>{b}</span>")
    page.write_text(text.replace(sha(old)[:16], sha(new)[:16]), "utf-8")
    path.write_bytes(new)
    found = verify(shop.resigned(folder), **trusting(shop))
    assert found.checks[8].detail == "report.html is what report.json gives"
    assert found.result is Result.VERIFIED


def test_the_short_form_is_compared(shop):
    folder = shop.copy()
    report = AuditReport.from_json((folder / "report.json").read_bytes())
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")
    found = verify(shop.resigned(folder), **trusting(shop))
    assert found.checks[8].detail.endswith("so is report.md")
    (folder / "report.md").write_text(render_markdown(report) + "It was trained on it.\n")
    found = verify(shop.resigned(folder), **trusting(shop))
    assert "says 'It was trained on it.' where report.json gives ''" in found.failed[0].detail


def test_the_pdf_is_set_again_where_it_can_be(shop, monkeypatch):
    """Setting it for real takes seconds; here only whether, and with what, it is compared."""
    versions = {"bookplate": __version__, "typst": "0.15", "matplotlib": "3.11"}
    installed = dict(versions)

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(words_module.importlib.metadata, "version", version)
    monkeypatch.setattr(words_module, "render_pdf", lambda report, paper, page: paper.encode())
    folder = shop.copy()
    rewritten(folder, lambda report: replace(report, versions=versions))

    def check(pdf):
        (folder / "report.pdf").write_bytes(pdf)
        found = verify(shop.resigned(folder), **trusting(shop))
        return found.checks[8]

    assert check(b"a4").detail == "report.html is what report.json gives; so is report.pdf"
    assert check(b"letter").outcome is PASSED
    assert check(b"other").outcome is FAILED
    assert check(b"other").detail == "report.pdf: is not what report.json gives"
    installed["typst"] = "0.16"
    assert check(b"other").outcome is OPEN
    assert "report.pdf was set by typst 0.15, and here is 0.16" in check(b"a4").detail
    del installed["typst"]
    assert "report.pdf cannot be set again: typst is not installed" in check(b"a4").detail


# ---- hostile input never stops a verification ---------------------------------------------------


def test_a_check_that_breaks_has_not_been_passed():
    def broken():
        raise ZeroDivisionError("x\x1b[2J")

    found = attempt(3, "Title", broken)
    assert found.outcome is FAILED
    assert found.detail == "the check broke off: ZeroDivisionError: x<U+001B>[2J"
    assert len(attempt(3, "Title", lambda: ["y" * 9_999]).detail) < 2_100


def test_results_follow_from_checks():
    def result(*wrong, outcome=FAILED, signer="k"):
        checks = tuple(
            Check(number=n, title="", outcome=outcome if n in wrong else PASSED, detail="")
            for n in range(1, 12)
        )
        return Verification(checks=checks, statement_sha256="", signer=signer).result

    assert result() is Result.VERIFIED
    assert result(signer="") is Result.INCOMPLETE
    assert all(result(n) is Result.FAILED for n in range(1, 12))
    assert {n: result(n, outcome=OPEN) for n in range(1, 12)} == {
        **dict.fromkeys((1, 3, 4, 5, 7, 8), Result.INCOMPLETE),
        2: Result.SIGNER_UNKNOWN,
        **dict.fromkeys((6, 9, 10, 11), Result.VERIFIED),
    }
    assert Verification(checks=(), statement_sha256="", signer="k").result is Result.INCOMPLETE
    assert isinstance(NotChecked("x"), Exception)


FUZZED = ("statement.dsse.json", "report.json", "audit.yaml", "custody.jsonl", "signer.pem")


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(FUZZED), data=st.binary(max_size=200), at=st.integers(0, 5_000))
def test_bytes_put_anywhere_are_never_a_verified_bundle(shop, tmp_path_factory, name, data, at):
    """By a stranger, and by a claimant who signs them."""
    folder = tmp_path_factory.mktemp("fuzz") / "b"
    shutil.copytree(shop.sound, folder)
    old = (folder / name).read_bytes()
    new = old[:at] + data + old[at + len(data) :]
    (folder / name).write_bytes(new)
    found = verify(folder, **trusting(shop))
    assert (found.result is Result.VERIFIED) == (new == old)
    if name != "statement.dsse.json":
        found = verify(shop.resigned(folder), **trusting(shop))
        assert (found.result is Result.VERIFIED) == (new == old or name == "signer.pem")
    assert not any("broke off" in check.detail for check in found.checks)
    shutil.rmtree(folder)


def test_a_report_without_a_result_states_no_p_value(shop):
    draft = shop.draft()
    draft.findings = {}
    draft.not_run = dict.fromkeys(("mark.north", "mark.south", "order.north"), "No answer.")
    found = verify(draft.write(shop.key), **trusting(shop))
    assert found.checks[6].detail == "no test was run, so no p-value is stated"
    assert found.result is Result.VERIFIED


def test_the_report_of_a_single_command_is_no_bundle(shop):
    folder = shop.copy()

    def alone(report):
        return AuditReport.from_findings(
            [(e.suspect, e.finding, None) for e in report.entries],
            **{
                name: getattr(report, name)
                for name in ("title", "subject", "alpha", "command", "versions", "created")
            },
        )

    rewritten(folder, alone)
    found = verify(shop.resigned(folder), **trusting(shop))
    assert found.failed[0].number == 4
    assert "belongs to no case" in found.failed[0].detail


def test_long_hostile_text_costs_no_more_than_its_length(shop):
    """Patterns over foreign text must not go back and forth in it."""
    draft = shop.draft()
    draft.changes = {
        "registered_proof": "a" * 200_000 + " (commitments/audit.yaml.sample.tsr)",
        "events": (),
    }
    folder = draft.write(shop.key)
    page = folder / "report.html"
    digest = sha((folder / "report.json").read_bytes())
    page.write_text(f"<{digest[:4]}" * 60_000 + f"{digest[:4]} " * 60_000, encoding="utf-8")
    begin = time.monotonic()
    found = verify(shop.resigned(folder), **trusting(shop))
    assert [check.number for check in found.failed] == [6, 9]
    assert time.monotonic() - begin < 5
