"""The case around a report: strict, written and read the same, and bound to the tests it registered."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import choice_test
from bookplate.stats.report import (
    AssumptionCheck,
    AuditReport,
    CaseFile,
    CustodyRecord,
    ExaminedItem,
    NotRun,
    Party,
    PositiveControl,
    RegisteredTest,
    RepeatStep,
    TimelineEvent,
)

FINDING = choice_test([[0.0, 1.0], [0.0, 2.0], [3.0, 1.0]], [1, 1, 0], seed=1)


def registered(test: str, suspect: str, **also: object) -> RegisteredTest:
    return RegisteredTest(
        test=test,
        kind="watermark",
        suspect=suspect,
        question="Was it trained on the release?",
        proposition="It was.",
        counter_proposition="It was not.",
        direction="greater",
        **also,
    )


def case(**changes: object) -> CaseFile:
    made = CaseFile(
        report_id="case-1",
        standing="draft",
        profile="cpr35",
        parties=(Party(role="claimant", name="A. <b>"),),
        instructions="",
        pre_registration="ab" * 32,
        registered_at="2026-01-01T00:00:00Z",
        registered_proof="",
        key_fingerprint="",
        previous_statement="",
        items=(ExaminedItem(name="m", kind="model", role="suspect"),),
        events=(TimelineEvent(at="2026-01-01T00:00:00Z", what="registered"),),
        registered=(registered("T1.a", "a"), registered("T1.b", "b", power=0.5)),
        checks=(AssumptionCheck(assumption="x"),),
        positive_controls=(
            PositiveControl(name="c", description="", noticed=9, runs=10, level=0.01),
        ),
        opinions=("A critic would say: no.",),
        conflicts="",
        looks="one",
        custody=(
            CustodyRecord(
                number=0, at="2026-01-01T00:00:00Z", actor="x", action="analysis", what="y"
            ),
        ),
        custody_head="cd" * 32,
        repetition=(RepeatStep(what="all", command="bookplate audit", needs="the model"),),
    )
    return replace(made, **changes)


def report(given: CaseFile, **changes: object) -> AuditReport:
    settings = {
        "title": "t",
        "subject": "s",
        "alpha": 0.01,
        "command": "c",
        "versions": {"bookplate": "0"},
        "created": "2026-01-02T00:00:00Z",
        "not_run": [NotRun(suspect="b", name="n", question="q", reason="r.", test="T1.b")],
        "case": given,
        "ids": {("a", FINDING.name): "T1.a"},
    }
    return AuditReport.from_findings([("a", FINDING, None)], **{**settings, **changes})


def test_a_report_with_its_case_is_read_as_it_was_written():
    written = report(case()).to_json()
    again = AuditReport.from_json(written)
    assert again.to_json() == written
    assert again.case == case()
    assert [entry.test for entry in again.entries] == ["T1.a"]
    assert json.loads(written)["format"] == "bookplate-report/2"


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        (case(registered=(registered("T1.a", "a"),)), {}, r"not those registered: T1\.b"),
        (case(), {"not_run": []}, r"not those registered: T1\.b"),
        (case(), {"ids": {}}, r"not those registered: T1\.a"),
        (
            case(registered=(registered("T1.a", "z"), registered("T1.b", "b"))),
            {},
            "not the registered one",
        ),
        (
            case(registered=(registered("T1.a", "a", power=0.9), registered("T1.b", "b"))),
            {},
            "not the registered one",
        ),
    ],
)
def test_the_tests_are_those_registered(given, changes, message):
    with pytest.raises(InvalidInput, match=message):
        report(given, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"report_id": ""}, "report_id"),
        ({"standing": "signed"}, "standing"),
        ({"profile": "x"}, "profile"),
        ({"pre_registration": "AB" * 32}, "pre_registration"),
        ({"registered_at": "yesterday"}, "registered_at"),
        ({"registered": (registered("T", "a"), registered("T", "b"))}, "registered twice"),
        ({"opinions": "text"}, "opinions"),
        (
            {
                "events": (
                    TimelineEvent(at="2026-01-02T00:00:00Z", what="b"),
                    TimelineEvent(at="2026-01-01T00:00:00Z", what="a"),
                )
            },
            "order of time",
        ),
    ],
)
def test_malformed_cases_are_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        case(**changes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TimelineEvent(at="", what="x"),
        lambda: TimelineEvent(at="2026-13-01T00:00:00Z", what="x"),
        lambda: registered("../x", "a"),
        lambda: PositiveControl(name="c", description="", noticed=2, runs=1, level=0.01),
        lambda: ExaminedItem(name="m", kind="model", role="suspect", sha256="x"),
    ],
)
def test_malformed_parts_are_refused(make):
    with pytest.raises(InvalidInput):
        make()


@pytest.mark.parametrize("field", ["case", "report_id", "items"])
def test_a_missing_or_unknown_field_is_refused_when_read(field):
    data = json.loads(report(case()).to_json())
    if field == "case":
        del data["case"]
    else:
        del data["case"][field]
    with pytest.raises(InvalidInput):
        AuditReport.from_json(json.dumps(data).encode())
    more = json.loads(report(case()).to_json())
    more["case"]["note"] = 1
    with pytest.raises(InvalidInput):
        AuditReport.from_json(json.dumps(more).encode())


def test_the_power_of_positive_controls_is_bounded_from_below():
    # (0.05)**(1/10) by hand: all of ten noticed.
    every = PositiveControl(name="c", description="", noticed=10, runs=10, level=0.01)
    assert every.power_bound == pytest.approx(0.05 ** (1 / 10))
    assert np.isclose(replace(every, noticed=0).power_bound, 0.0)
