"""How sure are you, and can you prove it? Numbers in, a `Finding` out.

`choice_test` and `ghost_test` test secret random choices of wording; `spearman_test` tests whether
two quantities rise together; `paired_test`, `two_sample_test`, `stratified_test`, `welch_test` and
`rank_test` compare scores; `SignEProcess` and `RankEProcess` are fed record by record and may be stopped
at any time; `roc` says how well a score tells two classes apart; `combine` and `adjust` deal with
several findings; `verbal_scale` puts a finding into a word; `sample_size` and `simulate_power` say how
many units a test needs. `bookplate.stats.report` writes findings down. This package knows no model,
no watermark and no file format.
"""

from .choices import DEFAULT_BET, choice_test, ghost_test
from .combine import AdjustMethod, CombineMethod, adjust, combine
from .correlation import SpearmanMethod, spearman_test
from .evidence import (
    VERBAL_SCALE,
    Strength,
    calibrated_log10_e,
    e_value_of,
    verbal_scale,
    verbal_strength,
)
from .findings import (
    Alternative,
    Effect,
    EValue,
    Finding,
    Input,
    NullHistogram,
    Statistic,
    Trend,
    Validity,
    format_p,
)
from .montecarlo import ResamplingMethod
from .paired import paired_test
from .power import (
    PilotEffect,
    PowerForecast,
    PowerTest,
    SimulatedPower,
    pilot_effect,
    power_choice,
    power_paired,
    power_spearman,
    sample_size,
    simulate_power,
)
from .rank import rank_test
from .ranking import ranks
from .roc import OperatingPoint, RocResult, roc
from .sequential import RankEProcess, SignEProcess
from .twosample import stratified_test, two_sample_test
from .welch import welch_test
from .workings import Disagreements, Working, disagreements

__all__ = [
    "DEFAULT_BET",
    "VERBAL_SCALE",
    "AdjustMethod",
    "Alternative",
    "CombineMethod",
    "Disagreements",
    "EValue",
    "Effect",
    "Finding",
    "Input",
    "NullHistogram",
    "OperatingPoint",
    "PilotEffect",
    "PowerForecast",
    "PowerTest",
    "RankEProcess",
    "ResamplingMethod",
    "RocResult",
    "SignEProcess",
    "SimulatedPower",
    "SpearmanMethod",
    "Statistic",
    "Strength",
    "Trend",
    "Validity",
    "Working",
    "adjust",
    "calibrated_log10_e",
    "choice_test",
    "combine",
    "disagreements",
    "e_value_of",
    "format_p",
    "ghost_test",
    "paired_test",
    "pilot_effect",
    "power_choice",
    "power_paired",
    "power_spearman",
    "rank_test",
    "ranks",
    "roc",
    "sample_size",
    "simulate_power",
    "spearman_test",
    "stratified_test",
    "two_sample_test",
    "verbal_scale",
    "verbal_strength",
    "welch_test",
]
