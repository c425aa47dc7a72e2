"""From a registered test to its result; each kind calls what its own command calls."""

from collections.abc import Callable, Mapping
from typing import Any

from ..registering import Pair
from . import marks, orders, others
from .materials import Materials
from .tested import Tested

__all__ = ["KINDS", "tested"]

KINDS: Mapping[str, Callable[[Pair, Any, Materials], Tested]] = {
    "watermark": marks.watermark,
    "completion": marks.completion,
    "watermark-sequential": marks.watermark_sequential,
    "leximark": marks.leximark,
    "leak": marks.leak,
    "order": orders.order,
    "order-sequential": orders.order_sequential,
    "partition": orders.partition,
    "reshuffle": orders.reshuffle,
    "influence": others.influence,
    "membership": others.membership,
}


def tested(pair: Pair, materials: Materials) -> Tested:
    """Carry out one test.

    Args:
        pair: Which test of what.
        materials: What it takes.

    Returns:
        What came of it; the finding's name holds that of the test, so that no two are called alike.
    """
    found = KINDS[pair.planned.kind](pair, pair.planned, materials)
    finding = found.finding
    return Tested(finding.about(name=f"{finding.name} ({pair.test})"), found.attachments)
