"""A status follows from numbers by rule, and a malformed report cannot be made."""

import dataclasses
import math
import sys
from pathlib import Path

import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats import (
    EValue,
    calibrated_log10_e,
    verbal_strength,
)
from bookplate.stats.report import (
    AuditReport,
    Control,
    Exhibit,
    Status,
    render_html,
)

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import CHOICE, CONTEXT, ORDER, SHA, full_report


@pytest.mark.parametrize(
    ("log10_p", "power", "failed", "status"),
    [
        (math.log10(0.05), None, "", Status.EVIDENCE_FOUND),
        (math.log10(0.05) + 1e-9, None, "", Status.INCONCLUSIVE),
        (math.log10(0.05) + 1e-9, 0.8999, "", Status.INCONCLUSIVE),
        (math.log10(0.05) + 1e-9, 0.90, "", Status.NO_EVIDENCE_FOUND),
        (0.0, 1.0, "", Status.NO_EVIDENCE_FOUND),
        (-1e4, 0.0, "", Status.EVIDENCE_FOUND),
        (-1e4, 1.0, "A1 failed", Status.ASSUMPTION_FAILED),
    ],
)
def test_status_follows_from_the_rule(log10_p, power, failed, status):
    report = AuditReport.from_findings(
        [("m", CHOICE.about(log10_p=log10_p), power)],
        failed_assumptions={("m", CHOICE.name): failed} if failed else {},
        **{**CONTEXT, "alpha": 0.05},
    )
    assert report.entries[0].status is status


def test_tests_without_a_result_count_in_the_correction():
    entry = full_report().entries[0]
    assert entry.log10_p_corrected == pytest.approx(CHOICE.log10_p + math.log10(5))
    assert entry.e_value.log10_e == pytest.approx(CHOICE.e_value.log10_e - math.log10(5))
    assert entry.strength == verbal_strength(entry.e_value.log10_e)
    calibrated = full_report().entries[1]
    assert calibrated.e_value.log10_e == calibrated_log10_e(min(ORDER.log10_p + math.log10(5), 0.0))


def test_where_p_and_e_value_disagree_the_report_says_so():
    weak = CHOICE.about(log10_p=math.log10(0.03), e_value=EValue(log10_e=-0.3, method="bet"))
    strong = CHOICE.about(log10_p=math.log10(0.2), e_value=EValue(log10_e=1.5, method="bet"))
    pages = [
        render_html(AuditReport.from_findings([("m", f, None)], **{**CONTEXT, "alpha": 0.05}))
        for f in (weak, strong, CHOICE)
    ]
    assert "The two numbers disagree" in pages[0]
    assert "lies in a band with a word" in pages[1]
    assert not any("disagree" in page for page in pages[1:])
    assert "band with a word" not in pages[2]


def test_a_failed_assumption_takes_all_weight_from_the_number():
    failed = full_report().entries[3]
    assert failed.finding.log10_p < -5
    assert failed.log10_p_corrected == 0
    assert failed.finding.e_value.log10_e > 3
    assert failed.e_value.log10_e == calibrated_log10_e(0.0)
    assert failed.strength == "none"


def test_control_counts_and_exact_bound():
    control = Control(name="c", description="d", p_values=(0.05, 0.050001, 0.5, 1.0))
    assert [control.count_at(a) for a in (0.05, 0.5)] == [1, 3]
    none_of_2000 = Control(name="c", description="d", p_values=(0.5,) * 2000)
    assert none_of_2000.rate_bound == pytest.approx(1 - 0.05 ** (1 / 2000), rel=1e-9)
    all_of_3 = Control(name="c", description="d", p_values=(0.01,) * 3)
    assert all_of_3.rate_bound == 1


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan, math.inf, 1, "0.01"])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(InvalidInput, match="alpha"):
        AuditReport.from_findings([("m", CHOICE, None)], **{**CONTEXT, "alpha": alpha})


def test_checking_nothing_is_not_passing():
    with pytest.raises(InsufficientEvidence, match="no findings"):
        AuditReport.from_findings([], **CONTEXT)
    with pytest.raises(InsufficientEvidence, match="no runs"):
        Control(name="c", description="d", p_values=())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tests": [("m", CHOICE, None), ("m", CHOICE, 0.5)]}, "two tests are called"),
        ({"tests": [("m", CHOICE, 1.5)]}, "power"),
        ({"tests": [("m", CHOICE, math.nan)]}, "finite"),
        ({"tests": [(b"m", CHOICE, None)]}, "AuditedFinding.suspect"),
        ({"created": "2026-11-21 14:05"}, "created"),
        ({"created": "2026-13-21T14:05:00Z"}, "created"),
        ({"title": 7}, "AuditReport.title"),
        ({"versions": {"python": 3}}, "versions"),
        ({"failed_assumptions": {("m", "other"): "x"}}, "no such test"),
    ],
)
def test_malformed_reports_are_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        AuditReport.from_findings(**{"tests": [("m", CHOICE, None)], **CONTEXT, **changes})


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_impossible_control_p_values_are_refused(p):
    with pytest.raises(InvalidInput):
        Control(name="c", description="d", p_values=(0.5, p))


def test_an_exhibit_needs_a_whole_digest():
    with pytest.raises(InvalidInput, match="64 hex"):
        Exhibit(name="x", sha256=SHA[:-1], description="d")


def test_a_status_written_by_hand_is_refused():
    report = full_report()
    forged = dataclasses.replace(report.entries[1], status=Status.EVIDENCE_FOUND)
    with pytest.raises(InvalidInput, match="not the computed one"):
        dataclasses.replace(report, entries=(report.entries[0], forged, *report.entries[2:]))
