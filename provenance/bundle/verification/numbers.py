"""Checks 7 and 8: every number of the report, computed anew."""

from collections.abc import Sequence

from ....display import counted
from ....errors import BookplateError, VerificationError
from ....stats.findings import Figure, Finding, NullHistogram
from ....stats.workings import disagreements
from ..layout import exhibit_name
from .matter import Matter, listed

__all__ = ["answers", "p_values"]

# Kinds of tests whose findings state another effect than the test's own, which no exhibit bears out: the leak
# test states the share of words that agree.
_OWN_EFFECT = frozenset({"leak"})
_OF_A_BIN, _MOVED = 1e-6, 0.01  # by which edges may lie elsewhere, and draws in another bin


def p_values(matter: Matter) -> Sequence[str]:
    """7. The p-value of every test that was run follows from its exhibit."""
    numbers = {test.test: n for n, test in enumerate(matter.case.registered, start=1)}
    kinds = {test.test: test.kind for test in matter.case.registered}
    wrong: list[str] = []
    beside: list[str] = []
    for entry in matter.report.entries:
        name = exhibit_name(numbers[entry.test])
        try:
            repeated = _repeated(matter, name)
        except BookplateError as error:
            wrong.append(f"test {entry.test}, {name}: {error}")
            continue
        found = disagreements(entry.finding, repeated)
        other = list(found.core)
        if "effect" in found.beside and kinds[entry.test] not in _OWN_EFFECT:
            other.append("effect")
        if "figure" in found.beside and _is_another(entry.finding.figure, repeated.figure):
            other.append("figure")
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
        f"{counted(len(found.entries), 'answer')} and {counted(len(found.not_run), 'test')} not run, "
        f"corrected for {counted(found.n_tests, 'registered test')}"
    ]


def _repeated(matter: Matter, name: str) -> Finding:
    from ..exhibits import LARGEST_EXHIBIT, read_exhibit  # imports all of stats

    return read_exhibit(matter.read(name, LARGEST_EXHIBIT), name).repeat()


def _is_another(stated: Figure | None, repeated: Figure | None) -> bool:
    """Whether a figure shows something else; one that is left out shows nothing false.

    On a machine that rounds otherwise, some draws of a histogram fall into the next bin.
    """
    if not isinstance(stated, NullHistogram) or not isinstance(repeated, NullHistogram):
        return stated is not None
    if len(stated.counts) != len(repeated.counts):
        return True
    width = repeated.edges[1] - repeated.edges[0]
    places = zip(
        (*stated.edges, stated.observed), (*repeated.edges, repeated.observed), strict=True
    )
    moved = sum(abs(a - b) for a, b in zip(stated.counts, repeated.counts, strict=True))
    return (
        any(abs(a - b) > _OF_A_BIN * width for a, b in places)
        or moved > _MOVED * sum(repeated.counts) + 2
    )
