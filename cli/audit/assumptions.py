"""How each assumption of the findings was checked in this audit, and what follows if it is false."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...stats.report import AssumptionCheck
from .outcomes import Outcome
from .planned import (
    CompletionTest,
    InfluenceTest,
    LeakTest,
    OrderSequentialTest,
    OrderTest,
    PartitionTest,
    ReshuffleTest,
    WatermarkSequentialTest,
    WatermarkTest,
)
from .registering import Registered

__all__ = ["checks_of"]


@dataclass(frozen=True, slots=True)
class _Family:
    """What is said of the assumptions of some kinds of tests.

    Attributes:
        check: How they were checked.
        if_false: What follows if they do not hold.
    """

    check: str
    if_false: str


_KEY = _Family(
    "The manifest was held against the published commitment, and every choice was {}. Whether the key "
    "stayed secret cannot be checked by a program.",
    "Someone who knew the choices, or text that carries them from elsewhere, may have brought them to the "
    "suspect: the p-value then says nothing about the release.",
)
_ORDER = _Family(
    "Whether the order follows what the sequences are like, and whether neighbours are alike, was looked at; "
    "a suspicion is a warning in the findings. {}",
    "An order that follows the contents, or that others shared, makes innocent models look guilty.",
)
_SETS = _Family(
    "The two sets were compared by their words before the model was asked; a difference is a warning or "
    "stops the test.",
    "Any difference between the sets, such as their time or topic, gives such a result without training.",
)
_INFLUENCE = _Family(
    "Claimed documents were compared with controls of the same source and similar length only.",
    "Another difference between claimed documents and controls gives such a result.",
)
_RUNS = _Family(
    "Every run was made by one program from one checkpoint on the same sequences.",
    "A difference between the true run and the others besides the order gives such a result.",
)


def checks_of(registered: Registered, outcomes: Sequence[Outcome]) -> tuple[AssumptionCheck, ...]:
    """Every distinct assumption of the findings, in order of first use, with what became of it.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
    """
    pairs = {pair.id: pair for pair in registered.pairs}
    found: dict[str, AssumptionCheck] = {}
    for outcome in outcomes:
        if outcome.finding is None:
            continue
        family = _family(registered, pairs[outcome.test].test)
        for text in outcome.finding.assumptions:
            found.setdefault(
                text,
                AssumptionCheck(
                    assumption=text,
                    check=family.check,
                    result="nothing was found against it",
                    if_false=family.if_false,
                ),
            )
            if outcome.failed_assumption:
                found[text] = AssumptionCheck(
                    assumption=text,
                    check=family.check,
                    result=f"an assumption of {outcome.test} failed: {outcome.failed_assumption}",
                    if_false=family.if_false,
                )
    return tuple(found.values())


def _family(registered: Registered, test: str) -> _Family:
    audit, planned = registered.audit, registered.audit.tests[test]
    if isinstance(planned, WatermarkTest | CompletionTest | WatermarkSequentialTest | LeakTest):
        has_key = audit.datasets[planned.dataset].key is not None
        how = "drawn anew from the key" if has_key else "read from the manifest, not drawn anew"
        return replace(_KEY, check=_KEY.check.format(how))
    if isinstance(planned, OrderTest | OrderSequentialTest | PartitionTest):
        how = (
            "No commitment to the transcript was named, so when it was written is not shown."
            if audit.transcripts[planned.transcript].commitments is None
            else "The transcript was held against its published commitment."
        )
        return replace(_ORDER, check=_ORDER.check.format(how))
    if isinstance(planned, ReshuffleTest):
        return _RUNS
    return _INFLUENCE if isinstance(planned, InfluenceTest) else _SETS
