"""What the other side will ask, and where this report answers, or that it does not."""

from collections.abc import Sequence

from markupsafe import Markup

from .answers import ALTERNATIVES
from .audit import AuditReport
from .case import CaseFile
from .contents import AnsweredTest
from .inline import datum
from .kinds import kind_of
from .numbering import Numbering
from .tables import Column, table

__all__ = ["doubts_table", "needs_commitment", "time_of_commitment"]


def needs_commitment(test: AnsweredTest) -> bool:
    """Whether the result rests on a draw that had to be fixed before the suspect was made."""
    return test.registered is not None and "{commitment}" in kind_of(test.registered.kind).premise


def time_of_commitment(tests: Sequence[AnsweredTest]) -> str:
    """Whether somebody else testifies to when key or order were fixed, in one sentence."""
    drawn = [t.registered for t in tests if t.registered is not None and needs_commitment(t)]
    if not drawn:
        return "No registered test rests on a secret draw."
    unproven = sum(not (t.committed_at and t.committed_proof) for t in drawn)
    if not unproven:
        return f"Others testify to it, for all {len(drawn)} tests that rest on a secret draw."
    return (
        f"Time of commitment unproven for {unproven} of {len(drawn)} tests that rest on a secret draw: "
        "nobody else testifies to when it was fixed."
    )


def doubts_table(
    at: Numbering, report: AuditReport, case: CaseFile, tests: Sequence[AnsweredTest]
) -> Markup:
    """Questions of an opposing expert, with this report's answers."""
    rows = [
        ("Who chose tests, threshold and unit, and when?", _who_chose(at, case)),
        (
            "How many others were tried?",
            Markup(
                "{} were registered, and all are in {}. Audits that were never registered cannot be seen "
                "from here."
            ).format(_count(report.n_tests, "test"), at.ref("registered-table")),
        ),
        (
            "Could the key or the order have been picked after the model was seen?",
            Markup("{} See {}.").format(time_of_commitment(tests), at.ref("timeline")),
        ),
        (
            "Could many keys or releases have been prepared, and the lucky one shown?",
            Markup(
                "For tests of a secret key, the answers in {} say what p would be had {:,} been prepared. "
                "Commitments under other names cannot be seen from here."
            ).format(at.ref("findings"), 10**ALTERNATIVES),
        ),
        (
            "What is random, if the model simply likes common words?",
            Markup(
                "In tests of a secret draw, only the draw is random; the model's taste is given. What is "
                "compared are wordings or orders that could equally have been drawn ({})."
            ).format(at.ref("idea")),
        ),
        (
            "What is exchangeable, and were duplicates counted twice?",
            Markup(
                "Each box in {} names the unit; the warnings in it say what was left out."
            ).format(at.ref("findings")),
        ),
        ("What is the error rate on models like mine?", _error_rate(at, report)),
        (
            "Could a reference model have seen the release?",
            Markup(
                "In a test of secret wording this lowers the chance of finding anything, and cannot make a "
                "trace; of a test of training order see {}."
            ).format(at.ref("references")),
        ),
        (
            "Would a mirror, a quotation or a licence explain it?",
            Markup("Yes, and no test here tells these routes apart ({}).").format(at.ref("routes")),
        ),
        (
            "Was the model I run the one that was asked?",
            Markup(
                "If its digest is the one in {}. Behind an endpoint, the name, the times of the queries and "
                "the answers are all that is known."
            ).format(at.ref("items" if at.has("items") else "examined")),
        ),
        (
            "Can I repeat it without you, without the key, without your program?",
            Markup("{} says what takes what.").format(at.start("repeat")),
        ),
        (
            "Were numbers invented before signing?",
            Markup(
                "A signature shows who said it, not that it is true. With open weights, the scores can be "
                "computed again; answers of a closed endpoint can be compared with the provider's own log."
            ),
        ),
        (
            "Was the text given to the model by the audit itself, or planted?",
            Markup(
                "The log in {} records when each step was taken. How a text came to a model is no "
                "statistical question: p can be right and the accusation wrong."
            ).format(at.ref("custody")),
        ),
        (
            "What would have cleared my client?",
            Markup(
                "A corrected p above {} in a test of power 0.90 or more: “no evidence found” ({}). "
                "Even that would not show that nothing was used."
            ).format(f"{report.alpha:g}", at.ref("rule")),
        ),
        (
            "Who reviewed the method, and do others use it?",
            Markup("{} and {}.").format(at.start("reviewed"), at.ref("accepted")),
        ),
        (
            "What is left open?",
            Markup(
                "Route and intent; permission; amount and effect on a market; the identity of a remote "
                "model; audits restarted in secret; answers invented at closed endpoints; a stolen key."
            ),
        ),
    ]
    return table(
        at.table("doubts"),
        "Questions of the other side",
        [Column("Question", 36), Column("What this report can say")],
        [[question, said] for question, said in rows],
        wide=True,
    )


def _who_chose(at: Numbering, case: CaseFile) -> Markup:
    if not case.registered_at:
        when = Markup("when is not stated")
    elif case.registered_proof:
        when = Markup("on {} ({})").format(datum(case.registered_at), datum(case.registered_proof))
    else:
        when = Markup("on {}, by the claimant's own clock alone").format(datum(case.registered_at))
    return Markup(
        "Whoever wrote the audit file whose digest is on the first page, {}. See {} and {}."
    ).format(when, at.ref("timeline"), at.ref("registered"))


def _error_rate(at: Numbering, report: AuditReport) -> Markup:
    if not report.controls:
        return Markup("It was not measured on this case ({}).").format(at.ref("controls"))
    return Markup(
        "{} gives what was measured, on which models, with the upper bound. It says nothing about models "
        "unlike those."
    ).format(at.start("controls-table"))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
