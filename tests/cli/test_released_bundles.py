"""Bundles of earlier formats and versions stay what they are, and stay accepted.

If one of these fails, a text, a number or a rule that checks compare was changed: keep the old one beside the
new one, by version. Never make the bundle again: those in other people's hands cannot be.
"""

import hashlib
import zipfile
from pathlib import Path

import pytest
from bookplate.cli.audit.controls import _seed, controls_as_computed
from bookplate.cli.audit.linking import LINK_CHECKS
from bookplate.cli.audit.registering import registered_in, registration_of
from bookplate.provenance.bundle import read_exhibit
from bookplate.provenance.bundle.layout import exhibit_name
from bookplate.provenance.bundle.verification import Outcome, Result, verify
from bookplate.stats.redraws import redrawn_p_values
from bookplate.stats.report import AuditReport

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASED = {  # by name: SHA-256 of the file, fingerprint of the key
    "bundle-format-1.zip": (
        "3e7b1108be36291f57b5b26b470c6e9df4b2c031e366b2ba1168bc999da06691",
        "a050837d85070582ccf7394b0988847cc312cb88259b894899f6f239cf1791a5",
    ),
}


def test_none_is_forgotten():
    assert {path.name for path in FIXTURES.glob("*.zip")} == set(RELEASED)


@pytest.mark.parametrize("name", RELEASED)
def test_it_was_never_rewritten(name):
    assert hashlib.sha256((FIXTURES / name).read_bytes()).hexdigest() == RELEASED[name][0]


@pytest.mark.parametrize("name", RELEASED)
def test_it_is_accepted(name):
    found = verify(
        FIXTURES / name,
        fingerprints=[RELEASED[name][1]],
        read_registration=registration_of,
        link_checks=[check for check in LINK_CHECKS if check is not controls_as_computed],
    )
    assert found.result is Result.VERIFIED, [check.detail for check in found.failed]
    outcomes = {check.number: check.outcome for check in found.checks}
    unproven, words = outcomes.pop(6), outcomes.pop(9)
    assert unproven is Outcome.NOT_CHECKED  # it has no timestamp
    assert words is not Outcome.FAILED  # of another version: its answers in brief, at most
    assert set(outcomes.values()) == {Outcome.PASSED}
    detail = {check.number: check.detail for check in found.checks}
    assert detail[7] == "4 computed anew"
    assert detail[8].startswith("4 answers and 1 test not run")


@pytest.mark.parametrize("name", RELEASED)
def test_its_controls_are_still_drawn_alike(name):
    """The first three draws of each test: `controls_as_computed` makes all of them, which takes seconds."""
    with zipfile.ZipFile(FIXTURES / name) as bundle:
        report = AuditReport.from_json(bundle.read("report.json"))
        registered = registered_in(bundle.read("audit.yaml"))
        told = {control.name: control.p_values for control in report.controls}
        for number, pair in enumerate(registered.pairs, 1):
            known = told.pop(f"{pair.test}, drawn anew", ())
            if known and exhibit_name(number) in bundle.namelist():
                working = read_exhibit(bundle.read(exhibit_name(number)))
                again = redrawn_p_values(working, 3, _seed(registered.pre_registration, pair.id))
                assert list(again) == pytest.approx(known[:3], rel=1e-9)
            elif known:
                told[f"{pair.test}, drawn anew"] = known  # the next suspect was tested
    assert list(told) == ["mark, innocent controls"]
