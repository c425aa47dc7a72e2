"""How sure are you, and can you prove it? Numbers in, a `Finding` out.

`choice_test` and `ghost_test` test secret random choices of wording; `spearman_test` tests whether
two quantities rise together; `verbal_strength` puts an e-value into words. `bookplate.stats.report`
writes findings down. This package knows no model, no watermark and no file format.
"""

from .choices import ChoiceMethod, choice_test, ghost_test
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

__all__ = [
    "VERBAL_SCALE",
    "Alternative",
    "ChoiceMethod",
    "Effect",
    "Finding",
    "Input",
    "NullHistogram",
    "SpearmanMethod",
    "Statistic",
    "Trend",
    "Validity",
    "calibrated_log10_e",
    "choice_test",
    "format_p",
    "ghost_test",
    "ranks",
    "spearman_test",
    "verbal_strength",
]
