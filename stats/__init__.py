"""How sure are you, and can you prove it? Numbers in, a `Finding` out.

`choice_test` and `ghost_test` test secret random choices of wording; `spearman_test` tests whether
two quantities rise together; `paired_test`, `two_sample_test`, `stratified_test`, `welch_test` and
`rank_test` compare scores; `roc` says how well a score tells two classes apart; `combine` and
`adjust` deal with several findings; `verbal_strength` puts an e-value into words.
`bookplate.stats.report` writes findings down. This package knows no model, no watermark and no file
format.
"""

from .choices import ChoiceMethod, choice_test, ghost_test
from .combine import AdjustMethod, CombineMethod, adjust, combine
from .correlation import SpearmanMethod, ranks, spearman_test
from .evidence import VERBAL_SCALE, calibrated_log10_e, verbal_strength
from .findings import (
    Alternative,
    Effect,
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
from .rank import rank_test
from .roc import OperatingPoint, RocResult, roc
from .twosample import stratified_test, two_sample_test
from .welch import welch_test

__all__ = [
    "VERBAL_SCALE",
    "AdjustMethod",
    "Alternative",
    "ChoiceMethod",
    "CombineMethod",
    "Effect",
    "Finding",
    "Input",
    "NullHistogram",
    "OperatingPoint",
    "ResamplingMethod",
    "RocResult",
    "SpearmanMethod",
    "Statistic",
    "Trend",
    "Validity",
    "adjust",
    "calibrated_log10_e",
    "choice_test",
    "combine",
    "format_p",
    "ghost_test",
    "paired_test",
    "rank_test",
    "ranks",
    "roc",
    "spearman_test",
    "stratified_test",
    "two_sample_test",
    "verbal_strength",
    "welch_test",
]
