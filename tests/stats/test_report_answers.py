"""What is said of each status and each kind of test, and that its numbers are those of the report."""

import math
import re
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from bookplate.stats import EValue
from bookplate.stats.report import AuditReport, Control, NotRun, RegisteredTest, Status
from bookplate.stats.report.answers import ALTERNATIVES, answer
from bookplate.stats.report.inline import percent_up, probability, shown_alpha
from bookplate.stats.report.kinds import kind_of
from bookplate.stats.report.wording import e_text, p_text
from markupsafe import Markup

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import CHOICE, CONTEXT

KINDS = (
    "watermark",
    "completion",
    "leak",
    "leximark",
    "order",
    "partition",
    "reshuffle",
    "influence",
    "membership",
    "something new",
)
LINKS = {
    "para": Markup("para 5.1"),
    "controls": Markup("section 6"),
    "same_order": Markup("para 9.3"),
    "treatments": Markup("para 9.4"),
    "registered": Markup("table 9"),
}
NEVER = (
    r"\bproves?\b",
    r"\bproven\b",
    r"due to chance",
    r"consistent with",
    r"\binnocent\b",
    r"\bguilty\b",
    r"% certain",
    r"probability that (the|a|its) ",
    r"not significant",
    r"was not used",
    r"\bmatch",
)


def registered(kind: str, **also: object) -> RegisteredTest:
    said = {
        "material": "Essays",
        "committed_at": "2026-01-12T09:00:00Z",
        "committed_proof": "stamp",
    }
    return RegisteredTest(
        test="T1.m",
        kind=kind,
        suspect="m",
        question="?",
        proposition="H1",
        counter_proposition="H2",
        direction="greater",
        **{**said, **also},
    )


def made(
    log10_p: float, power: float | None = None, failed: str = "", **more: object
) -> AuditReport:
    """A report with one test that was run, and one that was not."""
    return AuditReport.from_findings(
        [("m", CHOICE.about(log10_p=log10_p, **more), power)],
        not_run=[NotRun(suspect="n", name="x", question="?", reason="No answer came")],
        failed_assumptions={("m", CHOICE.name): failed} if failed else {},
        controls=[Control(name="c", description="", p_values=(0.009, 0.5, 0.9))],
        **CONTEXT,
    )


def said(report: AuditReport, test: RegisteredTest | None, **links: Markup) -> str:
    words = str(answer(report, report.entries[0], test, {**LINKS, **links}))
    return unescape(re.sub(r"<[^>]+>", "", words))


FOUND, NONE, OPEN, FAILED = (
    made(-9.0),
    made(-0.5, 0.956),
    made(-0.5, 0.42),
    made(-9.0, failed="Because"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("report", "status"),
    [
        (FOUND, Status.EVIDENCE_FOUND),
        (NONE, Status.NO_EVIDENCE_FOUND),
        (OPEN, Status.INCONCLUSIVE),
        (FAILED, Status.ASSUMPTION_FAILED),
    ],
)
def test_every_kind_has_words_for_every_status(kind, report, status):
    assert report.entries[0].status is status
    words = said(report, registered(kind))
    assert "{" not in words
    assert words.endswith(".")
    assert ".." not in words
    assert "  " not in words
    for phrase in NEVER:
        assert not re.search(phrase, words, re.IGNORECASE), phrase
    if status is not Status.ASSUMPTION_FAILED:
        assert p_text(report.entries[0].log10_p_corrected) in words


@pytest.mark.parametrize("kind", KINDS)
def test_found_evidence_speaks_of_the_result_under_the_null_hypothesis(kind):
    entry = FOUND.entries[0]
    words = said(FOUND, registered(kind))
    assert "occurs in at most" in words
    assert "already corrected for 2 registered tests" in words
    assert (
        f"The e-value is {e_text(entry.e_value.log10_e)}: {entry.strength} evidence that" in words
    )
    assert "Of the 3 control runs" in words
    assert "1 reached p ≤ 0.01" in words
    assert "The report does not say" in words


def test_controls_of_the_test_itself_are_told_first():
    mine = Control(name="T1, drawn anew", description="", p_values=(0.002, 0.3))
    other = Control(name="T12, drawn anew", description="", p_values=(0.004, 0.001, 0.9))
    words = said(replace(FOUND, controls=(mine, other)), registered("watermark"))
    assert (
        "Of the 2 control runs of this test, 1 reached p ≤ 0.01, uncorrected; of all tests together, "
        "3 of 5 did (section 6)." in words
    )
    words = said(replace(FOUND, controls=(mine,)), registered("watermark"))
    assert (
        "Of the 2 control runs of this test, 1 reached p ≤ 0.01, uncorrected (section 6)." in words
    )


def test_words_of_a_secret_key():
    words = said(FOUND, registered("watermark"))
    assert words.startswith(
        "The choices of wording in Essays were drawn with a secret key committed to on 2026-01-12 (stamp). "
        "For a model built without any text carrying those choices, a result this far or farther"
    )
    p = FOUND.entries[0].log10_p_corrected
    assert "Even had N = 1,000,000 alternatives been prepared" in words
    assert f"p would be at most {p_text(p + ALTERNATIVES)}" in words


def test_alternatives_never_push_p_above_one():
    words = said(made(math.log10(0.004)), registered("watermark"))
    assert "p would be at most 1.0000." in words


@pytest.mark.parametrize("kind", ["influence", "order", "membership", "leximark"])
def test_only_a_secret_key_is_asked_about_other_keys(kind):
    assert "alternatives" not in said(FOUND, registered(kind))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("influence", "It is not a finding of cause in the legal sense."),
        ("order", "shares the claimant's starting checkpoint, or was trained in the same order"),
        (
            "partition",
            "shares the claimant's starting checkpoint, or was trained in the same order",
        ),
        (
            "reshuffle",
            "shares the claimant's starting checkpoint, or was trained in the same order",
        ),
        ("membership", "No secret draw secures that both sets come from one distribution"),
        ("leximark", "No secret draw secures that both sets come from one distribution"),
        ("completion", "which model gave them is not known"),
    ],
)
def test_kinds_add_their_own_caveat(kind, sentence):
    assert sentence in said(FOUND, registered(kind))
    assert sentence not in said(FOUND, registered("watermark"))


def test_an_unproven_commitment_is_called_so():
    own = said(FOUND, registered("watermark", committed_proof=""))
    assert "committed to, by the claimant's own clock alone, on 2026-01-12" in own
    none = said(FOUND, registered("order", committed_at=""))
    assert "When that draw was committed to is not stated." in none
    assert "not stated" not in said(FOUND, registered("influence", committed_at=""))


def test_a_test_that_finds_nothing_says_what_it_could_have_found():
    words = said(NONE, registered("watermark", smallest_effect="one epoch", power_source="runs"))
    assert "smallest size registered as of interest (one epoch) would have been noticed" in words
    assert "with probability 0.95 (runs)" in words  # 0.956, rounded down
    assert "the treatments in para 9.4, could escape this test" in words
    assert "does not show that Essays was left out of m" in words


def test_an_inconclusive_result_counts_for_nobody():
    words = said(OPEN, registered("order"))
    assert "with probability 0.42 only" in words
    assert "should not be counted for either party" in words
    assert "was not measured" in said(made(-0.5), registered("order"))


def test_a_failed_assumption_is_named_and_its_number_disclosed_elsewhere():
    words = said(
        FAILED,
        registered("order"),
        assumption=Markup("assumption A3"),
        exhibit=Markup("exhibit E7"),
    )
    assert words.startswith("Test T1.m was carried out on m, but assumption A3 did not stand up")
    assert "Because. Its number is disclosed in exhibit E7" in words
    assert "10⁻" not in words


def test_a_test_that_was_not_run_stays_in_the_table():
    words = str(answer(FOUND, FOUND.not_run[0], registered("completion"), LINKS))
    assert "registered but gave no result: <bdi>No answer came</bdi>. Nothing about" in words
    assert "The test stays in table 9 and in the correction" in words


def test_a_value_far_on_the_other_side_is_an_anomaly_and_no_evidence():
    words = said(made(math.log10(0.9995), 0.95), registered("watermark"))
    assert "no evidence either way" in words
    assert "anomaly" not in said(NONE, registered("watermark"))


def test_where_p_and_the_bet_disagree_it_is_said():
    lost = EValue(log10_e=-0.3, method="bet")
    assert "The two numbers disagree" in said(made(-4.0, e_value=lost), registered("watermark"))


def test_foreign_text_cannot_be_a_template():
    words = said(FOUND, registered("watermark", material="{suspect} {0} {x!r}"))
    assert "in {suspect} {0} {x!r} were drawn" in words


def test_unknown_kinds_get_general_words():
    assert kind_of("something new") is kind_of("")
    assert kind_of("watermark-sequential") is kind_of("watermark")
    assert kind_of("order-sequential") is kind_of("order") is not kind_of("")
    assert "If the null hypothesis of para 5.1 is true of m" in said(FOUND, registered("new"))
    assert "If the null hypothesis of para 5.1 is true of m" in said(FOUND, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.956, "0.95"), (0.29, "0.29"), (1.0, "1.00"), (0.0, "0.00"), (0.004, "less than 0.01")],
)
def test_probabilities_are_rounded_down(value, text):
    assert probability(value) == text


def test_bounds_are_rounded_up_and_thresholds_not_at_all():
    assert percent_up(1 - 0.05 ** (1 / 2000)) == "0.15 %"
    assert percent_up(0.1829) == "18.29 %"
    assert percent_up(0.18291) == "18.30 %"
    assert percent_up(1.0) == "100.00 %"
    assert shown_alpha(0.01) == "0.01"
    assert shown_alpha(0.0012345678) == "0.0012345678"
