"""Checks 7 and 8: every number of the report, computed anew."""

from collections.abc import Sequence

from ....errors import BookplateError, VerificationError
from ....stats.findings import Finding
from ....stats.workings import Disagreements, disagreements
from ..layout import exhibit_name
from .matter import Matter, listed

__all__ = ["answers", "p_values"]

# Kinds of tests whose findings state another effect than the test's own, which no exhibit bears out: the leak
# test states the share of words that agree.
_OWN_EFFECT = frozenset({"leak"})


def p_values(matter: Matter) -> Sequence[str]:
    """7. The p-value of every test that was run follows from its exhibit."""
    numbers = {test.test: n for n, test in enumerate(matter.case.registered, start=1)}
    kinds = {test.test: test.kind for test in matter.case.registered}
    wrong: list[str] = []
    beside: list[str] = []
    for entry in matter.report.entries:
        name = exhibit_name(numbers[entry.test])
        try:
            found = _repeated(matter, name, entry.finding)
        except BookplateError as error:
            wrong.append(f"test {entry.test}, {name}: {error}")
            continue
        other = list(found.core)
        if "effect" in found.beside and kinds[entry.test] not in _OWN_EFFECT:
            other.append("effect")
        if other:
            wrong.append(f"test {entry.test}, {name}: gives another {listed(other)}")
        elif found.beside:
            beside.append(entry.test)
    for test in matter.report.not_run:
        name = exhibit_name(numbers[test.test])
        if matter.has(name):
            wrong.append(f"test {test.test}: reported as not run, but {name} is its exhibit")
    if wrong:
        raise VerificationError("; ".join(wrong))
    done = len(matter.report.entries)
    said = [f"{done} computed anew" if done else "no test was run, so no p-value is stated"]
    if beside:
        said.append(f"effect or figure stands on the signer's word in {listed(beside)}")
    return said


def answers(matter: Matter) -> Sequence[str]:
    """8. Corrected p-values, statuses, e-values and words follow from the findings."""
    found = matter.report_or_error
    if isinstance(found, BookplateError):
        raise VerificationError(f"report.json: {found}")
    return [
        f"{len(found.entries)} answers and {len(found.not_run)} tests not run, "
        f"corrected for {found.n_tests} registered tests"
    ]


def _repeated(matter: Matter, name: str, stated: Finding) -> Disagreements:
    from ..exhibits import LARGEST_EXHIBIT, read_exhibit  # imports all of stats

    return disagreements(stated, read_exhibit(matter.read(name, LARGEST_EXHIBIT), name).repeat())
