"""Whether the findings of a report say what findings of their kind say, and hush up no warning."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...stats import Finding
from ...stats.report import AuditedFinding, AuditReport
from ...stats.workings import Working
from .options import names_of_kind, possible_assumptions, unmatched
from .planned import OrderTest, PartitionTest
from .registering import Pair, Registered, registered_for
from .subjects import is_about
from .wordings import REFUTING, WORDINGS, Wording, blanks

__all__ = ["findings_as_worded"]

_LARGEST = 1 << 30
_DECIMAL = re.compile(r"[0-9][0-9,]*(\.[0-9]+)?(e[+-]?[0-9]+)?")


def findings_as_worded(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Hold the texts of each finding against those of its kind; see `WORDINGS`.

    1. Name, question, null hypothesis, unit and statistic have the fixed form, and are about this subject.
    2. No assumption and no warning that such a finding always has is missing; no assumption is there besides
       those that such a finding may have, and each once.
    3. Where neighbours in the training order have alike scores, by the exhibit, a warning says so.
    4. An assumption has failed where a warning refutes one, in its words, and nowhere else.

    Other warnings of the data, such as of sequences sorted by length, need the texts: no bundle shows them.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If a finding says something else, or leaves something out.
    """
    registered = registered_for(report, names, read)
    if registered is None:
        return ""
    numbers = {pair.id: (number, pair) for number, pair in enumerate(registered.pairs, 1)}
    for entry in report.entries:
        number, pair = numbers[entry.test]
        exhibit = layout.exhibit_name(number)
        working = read_exhibit(read(exhibit, _LARGEST), exhibit)
        for what, text in (
            *_other_texts(entry.finding, pair, working, registered, report),
            *_left_out(entry.finding, pair, working),
            *_surplus(entry.finding, pair, working),
            *_not_refuted(entry),
        ):
            raise VerificationError(f"test {entry.test}: {what}: {visible(text[:200])!r}")
    return f"{counted(len(report.entries), 'finding')} in the words of the kind of test"


def _other_texts(
    finding: Finding, pair: Pair, working: Working, registered: Registered, report: AuditReport
) -> Iterator[tuple[str, str]]:
    """1."""
    due = WORDINGS[pair.planned.kind]
    null = due.nulls.get(working.test, "")
    forms = {
        "name": names_of_kind(pair),
        "question": (due.question,),
        "null hypothesis": (null,),
        "unit": due.units,
        "statistic": due.statistics,
    }
    stated = {
        "name": finding.name,
        "question": finding.question,
        "null hypothesis": finding.null,
        "unit": finding.unit,
        "statistic": finding.statistic.name,
    }
    for what, text in stated.items():
        if all(blanks(text, form) is None for form in forms[what]):
            yield f"another {what} than that of its kind", text
    if not is_about(finding, pair, registered, report):
        yield "asks about something else than was tested", finding.question
    if counts := _counts(finding.unit, due):
        total = sum(counts)
        if total != finding.n:
            yield f"its unit counts {total} of {finding.n}", finding.unit
    elif finding.unit not in due.units:
        yield "its unit counts in words", finding.unit
    for blank in blanks(finding.statistic.name, due.statistics[0]) or ():
        if not _DECIMAL.fullmatch(blank):
            yield "its statistic has a blank filled with words", finding.statistic.name


def _counts(unit: str, due: Wording) -> list[int]:
    """The numbers in the blanks of a unit; none if it has no blanks."""
    for form in due.units:
        found = blanks(unit, form)
        if found and all(number.isdecimal() and len(number) < 12 for number in found):
            return [int(number) for number in found]
    return []


def _left_out(finding: Finding, pair: Pair, working: Working) -> Iterator[tuple[str, str]]:
    """2 and 3."""
    due = WORDINGS[pair.planned.kind]
    assumptions = (*due.assumptions, *(due.with_references if pair.references else ()))
    for what, forms, stated in (
        ("assumption", assumptions, finding.assumptions),
        ("warning", (*due.warnings, *_alike(pair, working)), finding.warnings),
    ):
        for form in forms:
            if all(blanks(text, form) is None for text in stated):
                yield f"leaves out the {what}", form


def _surplus(finding: Finding, pair: Pair, working: Working) -> Iterator[tuple[str, str]]:
    """2: what no finding of this kind assumes."""
    forms = possible_assumptions(pair)
    for text in unmatched(finding.assumptions, forms):
        # What a test of `stats` assumes by itself, such as one in steps, it says again when it is repeated.
        if text not in working.repeat().assumptions:
            yield "states an assumption that its kind does not make", text
    if len(set(finding.assumptions)) < len(finding.assumptions):
        yield "states an assumption twice", finding.name


def _alike(pair: Pair, working: Working) -> tuple[str, ...]:
    """The warning of alike neighbours, where the exhibit gives it.

    It does where the suspect's scores are what was correlated, and no two sequences share a step.
    """
    if not isinstance(pair.planned, OrderTest | PartitionTest) or "x" not in working.columns:
        return ()
    steps, scores = working.columns["x"], working.columns["y"]
    differs = isinstance(pair.planned, OrderTest) and pair.planned.statistic == "difference"
    if differs or np.unique(steps).size < steps.size:
        return ()
    from ...provenance.palimpsest.exchangeability import neighbours_alike

    places = np.argsort(np.argsort(steps))
    return REFUTING[1:2] if neighbours_alike(places, places, scores) else ()


def _not_refuted(entry: AuditedFinding) -> Iterator[tuple[str, str]]:
    """4."""
    refuting = [
        warning
        for warning in entry.finding.warnings
        if any(blanks(warning, form) is not None for form in REFUTING)
    ]
    if entry.failed_assumption != " ".join(refuting):
        yield (
            "the assumption that failed is not what its warnings say",
            " ".join(refuting) or "none",
        )
