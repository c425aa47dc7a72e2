"""How many records, sequences or word types a test needs: formulas, and the simulation that checks them.

`sample_size` gives the number for a level and a probability to reach it; `power_paired`,
`power_spearman` and `power_choice` the probability for a number; `simulate_power` runs the tests
themselves on synthetic data; `pilot_effect` takes the effect from a finding.
"""

from .forecast import (
    PowerForecast,
    PowerTest,
    power_choice,
    power_paired,
    power_spearman,
    sample_size,
)
from .pilot import PilotEffect, pilot_effect
from .simulation import SimulatedPower, simulate_power

__all__ = [
    "PilotEffect",
    "PowerForecast",
    "PowerTest",
    "SimulatedPower",
    "pilot_effect",
    "power_choice",
    "power_paired",
    "power_spearman",
    "sample_size",
    "simulate_power",
]
