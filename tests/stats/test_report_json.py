"""A report for machines is read strictly, and as it was written."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.report import (
    AuditReport,
)

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import HOSTILE, full_report, hostile_report


def test_json_round_trip_is_exact():
    report = full_report()
    data = report.to_json()
    assert AuditReport.from_json(data) == report
    assert AuditReport.from_json(data).to_json() == data
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    assert list(json.loads(data)) == sorted(json.loads(data))
    assert json.loads(data)["format"] == "bookplate-report/1"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_json(text):
    report = hostile_report(text)
    assert AuditReport.from_json(report.to_json()) == report


def _edited(edit: Callable[[dict], object]) -> bytes:
    fields = json.loads(full_report().to_json())
    edit(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "JSON object"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (full_report().to_json() + b"{}", "not JSON"),
        (full_report().to_json().replace(b'"alpha"', b'"alpha":0.5,"alpha"', 1), "appears twice"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":NaN'), "NaN"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":-Infinity'), "Infinity"),
        (full_report().to_json().replace(b'"alpha":0.01', b'"alpha":1e999'), "too large"),
        (_edited(lambda r: r.update(format="bookplate-report/3")), "expected format"),
        (_edited(lambda r: r.update(format="bookplate-report/2")), r"report\.format"),
        (_edited(lambda r: r["entries"][0].update(test="T1")), "belongs to no case"),
        (_edited(lambda r: r.update(note="x")), r"report\.note: unknown field"),
        (_edited(lambda r: r.update({"\x1b[2J": "x"})), r"report\.<U\+001B>\[2J: unknown field"),
        (_edited(lambda r: r["entries"][0].update(note="x")), r"entries\[0\]\.note: unknown field"),
        (_edited(lambda r: r["entries"][0]["finding"].update(note="x")), "not a finding"),
        (_edited(lambda r: r["controls"][0].update(note="x")), "unknown field"),
        (_edited(lambda r: r["exhibits"][0].update(note="x")), "not a report"),
        (_edited(lambda r: r.pop("limits")), "limits"),
        (_edited(lambda r: r.pop("entries")), "entries"),
        (_edited(lambda r: r.update(entries=[], not_run=[])), "no findings"),
        (_edited(lambda r: r["entries"][1].update(status="evidence_found")), "status"),
        (_edited(lambda r: r["entries"][1].update(strength="strong")), "strength"),
        (_edited(lambda r: r["entries"][1].update(log10_p_corrected=-9.0)), "log10_p_corrected"),
        (_edited(lambda r: r["entries"][0]["e_value"].update(log10_e=9.0)), r"e_value\.log10_e"),
        (_edited(lambda r: r["entries"][0]["e_value"].update(method="x")), r"e_value\.method"),
        (_edited(lambda r: r["entries"][0]["finding"]["e_value"].update(x=1)), "not a finding"),
        (_edited(lambda r: r["entries"][1]["finding"].update(p_value=1e-9)), "p_value"),
        (_edited(lambda r: r["controls"][0].update(rate_bound=0.001)), "rate_bound"),
        (_edited(lambda r: r["entries"][0]["finding"].update(name=5)), "Finding.name"),
        (_edited(lambda r: r["entries"][0]["finding"].update(n=True)), "Finding.n"),
        (_edited(lambda r: r["entries"][0]["finding"].update(log10_p="0")), "not a finding"),
        (_edited(lambda r: r["entries"][0]["finding"]["effect"].update(low=None)), "Effect.low"),
        (_edited(lambda r: r.update(limits="abc")), "limits"),
        (_edited(lambda r: r.update(title=None)), "AuditReport.title"),
    ],
)
def test_reading_is_strict(data, message):
    with pytest.raises(InvalidInput, match=message):
        AuditReport.from_json(data)


def test_last_digits_of_computed_numbers_may_differ_between_machines():
    fields = json.loads(full_report().to_json())
    fields["entries"][1]["e_value"]["log10_e"] *= 1 + 1e-14
    assert AuditReport.from_json(json.dumps(fields).encode()) == full_report()
