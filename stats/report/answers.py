"""The sentence that answers a registered test. It follows from status, kind and numbers; nobody writes it.

Every number is rounded against what the sentence claims, and every probability is one of the result
under the null hypothesis, never one of a proposition.
"""

import math
from collections.abc import Mapping, Sequence
from string import Formatter

from markupsafe import Markup

from ..findings import Validity
from .audit import AuditReport
from .case import PositiveControl, RegisteredTest
from .entries import AuditedFinding, Control, NotRun, Status
from .inline import datum, day, e_number, p_number, probability, shown_alpha
from .kinds import Kind, kind_of

__all__ = ["ALTERNATIVES", "STATUS_WORDS", "answer", "strength_words"]

ALTERNATIVES = 6  # decimal logarithm of how many keys or releases a claimant may have prepared
_FAR_SIDE_LOG10_P = math.log10(0.999)

# Shape and word together: nothing depends on colour.
STATUS_WORDS = {
    Status.EVIDENCE_FOUND: ("■", "Evidence found"),
    Status.NO_EVIDENCE_FOUND: ("□", "No evidence found"),
    Status.INCONCLUSIVE: ("◇", "Inconclusive"),
    Status.ASSUMPTION_FAILED: ("\N{MULTIPLICATION SIGN}", "Assumption failed"),
    Status.NOT_RUN: ("\N{EN DASH}", "Not run"),
}


def strength_words(entry: AuditedFinding) -> str:
    """`moderate evidence`, `no evidence`, ..."""
    return f"{'no' if entry.strength == 'none' else entry.strength} evidence"


def answer(
    report: AuditReport,
    answered: AuditedFinding | NotRun,
    registered: RegisteredTest | None,
    links: Mapping[str, Markup],
) -> Markup:
    """Say what a test answered.

    Args:
        report: The report it belongs to.
        answered: The test.
        registered: How it was registered, where the report belongs to a case.
        links: Where things stand: `para` of the finding, `controls`, `same_order`, `treatments`,
            `assumption` that failed (may be missing), `exhibit` with its numbers (may be missing) and
            `registered`, the table of all tests.

    Returns:
        One paragraph.
    """
    if isinstance(answered, NotRun):
        return _not_run(answered, registered, links)
    kind = kind_of(registered.kind if registered else "")
    said = _Sentences(kind, answered.suspect, registered, links)
    match answered.status:
        case Status.EVIDENCE_FOUND:
            return _evidence_found(report, answered, said)
        case Status.NO_EVIDENCE_FOUND:
            return _no_evidence_found(report, answered, said)
        case Status.INCONCLUSIVE:
            return _inconclusive(report, answered, said)
        case _:
            return _assumption_failed(answered, registered, links)


class _Sentences:
    """The words of a kind, filled with the names of a test."""

    def __init__(
        self,
        kind: Kind,
        suspect: str,
        registered: RegisteredTest | None,
        links: Mapping[str, Markup],
    ) -> None:
        self.kind, self.registered, self.links = kind, registered, links
        named = registered is not None and registered.material
        self._names: dict[str, Markup] = {
            **links,
            "suspect": datum(suspect),
            "material": datum(registered.material)
            if registered is not None and named
            else Markup("the material of {}").format(links["para"]),
            "commitment": _commitment(registered),
        }

    def __call__(self, template: str) -> Markup:
        return Markup(Formatter().vformat(template, (), self._names))  # ruff: ignore[unsafe-markup-use]

    def premise(self) -> Markup:
        words = self(self.kind.premise)
        if "{commitment}" in self.kind.premise and not self._names["commitment"]:
            words += Markup(" When that draw was committed to is not stated.")
        return words


def _commitment(registered: RegisteredTest | None) -> Markup:
    if registered is None or not registered.committed_at:
        return Markup("")
    if registered.committed_proof:
        return Markup(" committed to on {} ({})").format(
            day(registered.committed_at), datum(registered.committed_proof)
        )
    return Markup(" committed to, by the claimant's own clock alone, on {}").format(
        day(registered.committed_at)
    )


def _evidence_found(report: AuditReport, entry: AuditedFinding, said: _Sentences) -> Markup:
    about = "at most" if entry.finding.valid is Validity.FINITE_SAMPLE else "about"
    parts = [
        said.premise(),
        Markup(
            "{} a result this far or farther in the tested direction occurs in {} {} of cases, already "
            "corrected for {}."
        ).format(
            said(said.kind.innocent),
            about,
            p_number(entry.log10_p_corrected),
            _tests(report.n_tests),
        ),
        Markup("The e-value is {}: {} that {}.").format(
            e_number(entry.e_value.log10_e), strength_words(entry), said(said.kind.against)
        ),
    ]
    if entry.strength == "none":
        parts.append(
            Markup(
                "The two numbers disagree: p is below the threshold, and the bet fixed beforehand gained "
                "little or lost. Where they do, the evidence is weak at best."
            )
        )
    if said.kind.keyed:
        parts.append(_alternatives(entry, about))
    parts += [_controls(report, said), said(said.kind.open), said(said.kind.adds)]
    return _joined(parts)


def _alternatives(entry: AuditedFinding, about: str) -> Markup:
    """Bonferroni over keys or releases that might have been prepared and not shown."""
    return Markup(
        "Even had N = {:,} alternatives been prepared and the luckiest shown, p would be {} {}."
    ).format(10**ALTERNATIVES, about, p_number(min(entry.log10_p_corrected + ALTERNATIVES, 0.0)))


def _controls(report: AuditReport, said: _Sentences) -> Markup:
    """How often controls came out like this; those of this test, as audits name them, by themselves."""
    if not any(control.p_values for control in report.controls):
        return Markup("No control runs accompany this report.")
    alpha, link = shown_alpha(report.alpha), said.links["controls"]
    runs, reached = _counts(report, report.controls)
    test = said.registered.test.partition(".")[0] if said.registered is not None else ""
    start = f"{test}, " if test else ""
    mine = [control for control in report.controls if start and control.name.startswith(start)]
    if not mine:
        return Markup(
            "Of the {:,} control runs of this report, of all its tests together, {:,} reached p ≤ {}, "
            "uncorrected ({})."
        ).format(runs, reached, alpha, link)
    rest = Markup("")
    if len(mine) < len(report.controls):
        rest = Markup("; of all tests together, {:,} of {:,} did").format(reached, runs)
    return Markup(
        "Of the {:,} control runs of this test, {:,} reached p ≤ {}, uncorrected{} ({})."
    ).format(*_counts(report, mine), alpha, rest, link)


def _counts(report: AuditReport, controls: Sequence[Control]) -> tuple[int, int]:
    """Runs, and how many of them reached alpha."""
    runs = sum(len(control.p_values) for control in controls)
    return runs, sum(control.count_at(report.alpha) for control in controls)


def _no_evidence_found(report: AuditReport, entry: AuditedFinding, said: _Sentences) -> Markup:
    return _joined([
        Markup("{} (corrected p = {}, above the threshold {}).").format(
            said(said.kind.trace), p_number(entry.log10_p_corrected), shown_alpha(report.alpha)
        ),
        _power(entry, said, ""),
        *_noticed(report, said),
        Markup(
            "Smaller effects, or those followed by the treatments in {}, could escape this test; the result "
            "does not show that {}."
        ).format(said.links["treatments"], said(said.kind.left_out)),
        _far_side(entry),
    ])


def _inconclusive(report: AuditReport, entry: AuditedFinding, said: _Sentences) -> Markup:
    word = (
        Markup("")
        if entry.strength == "none"
        else Markup(
            ", although its e-value, {}, lies in a band with a word: the status follows from p and the "
            "threshold"
        ).format(e_number(entry.e_value.log10_e))
    )
    return _joined([
        Markup(
            "The result for {} (corrected p = {}) does not reach the threshold {} fixed beforehand."
        ).format(
            datum(entry.suspect), p_number(entry.log10_p_corrected), shown_alpha(report.alpha)
        ),
        _power(entry, said, " only"),
        Markup("This result should not be counted for either party{}.").format(word),
        _far_side(entry),
    ])


def _power(entry: AuditedFinding, said: _Sentences, only: str) -> Markup:
    if entry.power is None:
        return Markup(
            "The probability that this test would have noticed an effect was not measured."
        )
    registered = said.registered
    size = (
        Markup("of the smallest size registered as of interest ({})").format(
            datum(registered.smallest_effect)
        )
        if registered and registered.smallest_effect
        else Markup("of the size for which the power of this test was measured")
    )
    source = (
        Markup(" ({})").format(datum(registered.power_source))
        if registered and registered.power_source
        else ""
    )
    return Markup("An effect {} would have been noticed with probability {}{}{}.").format(
        size, probability(entry.power), only, source
    )


def _noticed(report: AuditReport, said: _Sentences) -> list[Markup]:
    """Positive controls of the size that was registered as the smallest of interest."""
    size = said.registered.smallest_effect if said.registered else ""
    controls: tuple[PositiveControl, ...] = report.case.positive_controls if report.case else ()
    return [
        Markup("Under the same conditions it was noticed in {:,} of {:,} runs of {}.").format(
            control.noticed, control.runs, datum(control.name)
        )
        for control in controls
        if size and control.description == size
    ]


def _far_side(entry: AuditedFinding) -> Markup:
    if entry.finding.log10_p < _FAR_SIDE_LOG10_P:
        return Markup("")
    return Markup(
        "The value lies far on the other side of the tested direction. The direction was fixed beforehand, "
        "so this is an anomaly to be looked into, and no evidence either way."
    )


def _assumption_failed(
    entry: AuditedFinding, registered: RegisteredTest | None, links: Mapping[str, Markup]
) -> Markup:
    subject = (
        Markup("Test {}").format(datum(registered.test))
        if registered
        else Markup("The test of {}").format(links["para"])
    )
    return Markup(
        "{} was carried out on {}, but {} did not stand up to its check: {} Its number is disclosed in {} "
        "and carries no weight in this report's answers; it counts in the correction with p = 1."
    ).format(
        subject,
        datum(entry.suspect),
        links.get("assumption") or "an assumption",
        _sentence(entry.failed_assumption),
        links.get("exhibit") or links["para"],
    )


def _not_run(
    test: NotRun, registered: RegisteredTest | None, links: Mapping[str, Markup]
) -> Markup:
    subject = (
        Markup("Test {}").format(datum(registered.test)) if registered else Markup("This test")
    )
    stays = (
        Markup("The test stays in {} and in the correction, with p = 1.").format(
            links["registered"]
        )
        if "registered" in links
        else "The test counts in the correction with p = 1."
    )
    return Markup(
        "{} was registered but gave no result: {} Nothing about {} follows from this. {}"
    ).format(subject, _sentence(test.reason), datum(test.suspect), stays)


def _sentence(text: str) -> Markup:
    """A text from outside that ends like a sentence."""
    return datum(text) + ("" if text.rstrip().endswith((".", "!", "?")) else ".")


def _tests(number: int) -> str:
    return f"{number} registered test{'s' * (number != 1)}"


def _joined(parts: list[Markup]) -> Markup:
    return Markup(" ").join(part for part in parts if part)
