"""Cases whose answer is known: draws made anew, innocent models, and models that used the material."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from ...stats.redraws import redrawn_p_values
from ...stats.report import Control, PositiveControl
from .outcomes import Outcome
from .registering import Registered

__all__ = ["REDRAWS", "controls_of", "positive_controls_of"]

REDRAWS = 200  # draws made anew for each registered test, spread over its suspects


def controls_of(registered: Registered, outcomes: Sequence[Outcome]) -> list[Control]:
    """Runs of each registered test where its null hypothesis holds.

    The draws are those of the exhibits' own numbers, so anybody can make them again.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
    """
    found: list[Control] = []
    for test, mine in _by_test(registered, outcomes).items():
        found.extend(_redrawn(test, mine, registered.pre_registration))
        innocent = _told(outcome.controls for outcome in mine)
        if innocent:
            found.append(
                Control(
                    name=f"{test}, innocent controls",
                    description=f"The test {test} of what was registered as innocent: {', '.join(innocent)}.",
                    p_values=tuple(innocent.values()),
                )
            )
    return found


def positive_controls_of(
    registered: Registered, outcomes: Sequence[Outcome]
) -> list[PositiveControl]:
    """How often each registered test noticed what was registered as made from the material.

    The level is what Holm's correction asks of the smallest p-value, the hardest.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
    """
    level = registered.audit.alpha / len(registered.pairs)
    found = []
    for test, mine in _by_test(registered, outcomes).items():
        positive = _told(outcome.positives for outcome in mine)
        if positive:
            found.append(
                PositiveControl(
                    name=test,
                    description=f"The test {test} of what was registered as made from the material: "
                    f"{', '.join(positive)}.",
                    noticed=sum(p <= level for p in positive.values()),
                    runs=len(positive),
                    level=level,
                )
            )
    return found


def _redrawn(test: str, mine: Sequence[Outcome], pre_registration: str) -> Iterator[Control]:
    workings = [
        (outcome.test, outcome.finding.working)
        for outcome in mine
        if outcome.finding is not None and outcome.finding.working is not None
    ]
    if not workings:
        return
    p_values: list[float] = []
    share, more = divmod(REDRAWS, len(workings))
    for place, (pair, working) in enumerate(workings):
        n = share + (place < more)
        if n:
            p_values.extend(redrawn_p_values(working, n, _seed(pre_registration, pair)))
    yield Control(
        name=f"{test}, drawn anew",
        description=f"The test {test} on the scores of its exhibits, with what chance had decided (the key's "
        f"choices, the order, or who belongs to which set) drawn anew {len(p_values)} times.",
        p_values=tuple(p_values),
    )


def _seed(pre_registration: str, pair: str) -> int:
    digest = hashlib.sha256(f"{pre_registration}\n{pair}\nredraws".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def _by_test(registered: Registered, outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    test_of = {pair.id: pair.test for pair in registered.pairs}
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(test_of[outcome.test], []).append(outcome)
    return found


def _told(tables: Iterator[Mapping[str, float]]) -> dict[str, float]:
    """Every control once: it is the same for all suspects of a test."""
    told: dict[str, float] = {}
    for table in tables:
        told.update(table)
    return told
