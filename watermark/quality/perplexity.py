"""What a language model thinks of the edits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ...provenance.suspect import Suspect
from ...stats import Input
from ..evidence import Evidence
from ..manifest import MarkedRecord
from ..tables import apply_edits

__all__ = ["Perplexity", "measure_perplexity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """How a language model takes the edits, over records that were changed.

    Attributes:
        model: The model.
        n: Records compared.
        original: Perplexity per token of the original texts.
        released: Perplexity per token of the released texts.
        change: Mean rise of the negative log-likelihood of a text, in nats per replaced word.
        low: Lower end of its 95 % interval (Student t over records).
        high: Upper end.
    """

    model: Input
    n: int
    original: float
    released: float
    change: float
    low: float
    high: float


def measure_perplexity(
    evidence: Evidence, records: Sequence[MarkedRecord], model: Suspect
) -> Perplexity | None:
    """Compare what a model expects of original and released texts.

    Args:
        evidence: Manifest and texts.
        records: Changed records to read.
        model: The language model.

    Returns:
        The comparison; None if fewer than two records could be read.
    """
    originals = [evidence.originals[record.record] for record in records]
    released = [
        apply_edits(text, record.release_edits())
        for text, record in zip(originals, records, strict=True)
    ]
    before, after = model.token_logprobs(originals), model.token_logprobs(released)
    rows = [
        (-b.sum(), -a.sum(), b.size, a.size, len(record.release_edits()))
        for b, a, record in zip(before, after, records, strict=True)
        if b.size and a.size
    ]
    if len(rows) < 2:
        return None
    nll_before, nll_after, n_before, n_after, edits = np.array(rows, dtype=float).T
    # Weighted by edits: the mean over replaced words, with the scatter between records.
    change = float((nll_after - nll_before).sum() / edits.sum())
    rest = nll_after - nll_before - change * edits
    n = len(rows)
    error = math.sqrt(float((rest**2).sum()) * n / (n - 1)) / float(edits.sum())
    half_width = float(special.stdtrit(n - 1, 0.975)) * error
    return Perplexity(
        model=model.identity,
        n=n,
        original=math.exp(float(nll_before.sum() / n_before.sum())),
        released=math.exp(float(nll_after.sum() / n_after.sum())),
        change=change,
        low=change - half_width,
        high=change + half_width,
    )
