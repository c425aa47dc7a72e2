"""How much of a release the test will need."""

import math
import random
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ...stats import Alternative, PowerTest, power_choice, sample_size
from ..evidence import Evidence
from ..marking import Mode, Unit

__all__ = ["Forecast", "forecast"]

_TARGET_P = 1e-3
_TARGET_POWER = 0.9
# A unit of m slots weighs m / (m + 2) here; `detect` weighs by how units scatter too, and needs fewer.
_SLOT_NOISE = 2.0
_FRACTIONS = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How likely the keyed test finds a model that was trained on a part of the release.

    Attributes:
        effect: The guess: mean advantage of the released choice per unit, in standard deviations.
        records: Number of records in each part.
        units: Independent units in it.
        effective: What they count for, as rare units say less: (sum of weights)^2 / sum of squares.
        power: Probability of p <= 0.001.
        needed: Effective units for p <= 0.001 with probability 0.9.
    """

    effect: float
    records: tuple[int, ...]
    units: tuple[int, ...]
    effective: tuple[float, ...]
    power: tuple[float, ...]
    needed: int


def forecast(evidence: Evidence, effect: float, rng: random.Random) -> Forecast | None:
    """Forecast the keyed test for parts of a release.

    Args:
        evidence: Manifest and texts.
        effect: See `Forecast`.
        rng: Draws the parts.

    Returns:
        The forecast; None where there is no keyed draw by unit.
    """
    marking = evidence.manifest.marking
    if marking.mode is not Mode.KEYED or marking.unit is Unit.RECORD:
        return None
    marked = evidence.marked()
    if not marked:
        return None
    rng.shuffle(marked)
    parts = sorted({max(round(len(marked) * share), 1) for share in _FRACTIONS})
    units, effective = [], []
    for part in parts:
        slots = Counter(
            marking.unit_name(record.record, index, slot.unit)
            for record in marked[:part]
            for index, slot in enumerate(record.slots)
        )
        m = np.array(list(slots.values()), dtype=float)
        weights = m / (m + _SLOT_NOISE)
        units.append(m.size)
        effective.append(float(weights.sum() ** 2 / (weights**2).sum()))
    return Forecast(
        effect=effect,
        records=tuple(parts),
        units=tuple(units),
        effective=tuple(effective),
        power=tuple(
            power_choice(max(math.floor(n), 1), effect, alpha=_TARGET_P).power for n in effective
        ),
        needed=sample_size(
            PowerTest.CHOICE,
            effect,
            alpha=_TARGET_P,
            power=_TARGET_POWER,
            alternative=Alternative.GREATER,
        ).n,
    )
