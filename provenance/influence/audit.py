r"""Do the claimed documents influence a behaviour more than matched controls?

The unit is a document (`matching.by_document`). It is compared with documents of its stratum: same
source, similar length (`matching.strata_of`). The test is `stats.stratified_test`, which permutes
the labels *claimed* and *control* within strata, of

.. math:: y_{qd} = e_{qd} - \hat\beta_{qs} \, (\log \ell_d - \overline{\log \ell}_s), \qquad
    e_{qd} = -\ln \frac{n_s - r_{qd} + 1/2}{n_s},

r the rank of document d's influence on query q among the n_s documents of its stratum s (the n_s-th is
the most influential, ties get their average), l its length, and beta the least-squares slope of e on
log l within the stratum. Neither ranks nor slopes look at the labels, so the permutation test is exact for y
if labels are exchangeable within strata. The slope takes away what is left of a length effect inside a bin.

*Why e and not influence itself?* Influence has power-law tails of density exponent 2 to 4.3 (arXiv
2308.03296, figure 8), at which a mean is ruled by a few documents. e (Savage's scores) weighs a document by
how near it is to the top. Power at level 5 %, 100 claimed documents and 900 controls in 10 strata, influence
drawn from Student's t with exponents 2 / 3 / 4.3, by what is permuted (400 audits per cell, standard error at
most .025):

==========================================  ================  ================  ================
claimed documents have                      influence itself  ranks             y
==========================================  ================  ================  ================
a little more each (0.3 of the median size) .07 / .18 / .25   .49 / .59 / .57   .29 / .44 / .44
1.7 times as much, where it is positive     .16 / .41 / .56   .24 / .27 / .34   .48 / .66 / .78
1.5 times as much, of either sign           .07 / .10 / .10   .06 / .08 / .08   .28 / .43 / .48
5 % of them more than 10 times as much      .19 / .58 / .77   .19 / .21 / .24   .39 / .50 / .60
2 % of them more than 100 times as much     .37 / .72 / .70   .09 / .09 / .12   .19 / .21 / .22
==========================================  ================  ================  ================

y is never the worst, but weak where two documents make the effect: for that, look at the shares. With claims
that favour long documents and influence that grows with length, 1,200 audits of 600 or 3,000 documents
gave p <= 0.05 in 5.6 % (standard error 0.6 %); ranks compared without matching did in 75 and 99.8 %.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import AdjustMethod, Alternative, Finding, Input, Statistic, adjust, stratified_test
from .matching import Documents, strata_of
from .results import InfluenceScores
from .shares import ClaimedShare, share_of_positive, share_of_top

__all__ = ["InfluenceAudit", "influence_audit"]

_LENGTHS_DIFFER = 3.0  # standard deviations under the null hypothesis
_NO_SPREAD = 1e-24  # rounding, relative and squared
_FEW_CLAIMED = 10
_TOP_SHARE = 0.01
_SMALLEST_TOP = 10

_SAME_DISTRIBUTION = (
    "Given source and length, the controls come from the same distribution as the claimed documents: the "
    "same subjects, time, language and format. Documents on the subject of a query influence it more than "
    "others, whoever wrote them: controls on other subjects make any claim look right."
)
_NOT_RANDOMISED = (
    "Nobody drew at random which documents are claimed. That labels are exchangeable within strata is "
    "assumed; with a keyed watermark the key's draw makes it a fact."
)
_RANDOMISED = (
    "Which documents are claimed was drawn at random within the strata, as the claimant states."
)
_OTHER_ASSUMPTIONS = (
    "The documents of a stratum are independent of each other: copies of one text, or chapters of one book, "
    "are not.",
    "Claimed documents, controls, queries, bins and top were chosen before any score was seen.",
    "Candidates were selected, cut and scored by one rule that did not look at who claims them.",
)
_NO_TRAINING = (
    "Influence is defined for any text, also for one that the model never read: a small p is no evidence "
    "that the model was trained on the claimed documents."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluenceAudit:
    """The outcome of an audit. Which of `pooled` and `findings` decides is to be said beforehand.

    Attributes:
        findings: One per query.
        holm_log10_p: Decimal logarithms of their p-values, corrected for the number of queries (Holm).
        pooled: All queries together, each document's scores averaged over them: one test, no
            correction. None if there is one query.
        top: Per query, the share of claimed documents among the most influential.
        positive: Per query, the share of the total positive influence that they hold.
    """

    findings: tuple[Finding, ...]
    holm_log10_p: tuple[float, ...]
    pooled: Finding | None
    top: tuple[ClaimedShare, ...]
    positive: tuple[ClaimedShare, ...]


def influence_audit(
    scores: InfluenceScores | ArrayLike,
    claimed: Collection[str] | ArrayLike,
    lengths: Mapping[str, float] | ArrayLike,
    sources: Mapping[str, str] | Sequence[str],
    *,
    seed: int,
    queries: Sequence[str] | None = None,
    length_bins: int = 10,
    top: int | None = None,
    randomised: bool = False,
    inputs: tuple[Input, ...] = (),
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> InfluenceAudit:
    """Test whether claimed documents influence queries more than controls of equal source and length.

    Null hypothesis: within a stratum claimed documents and controls are exchangeable in their influence on
    the query (pooled: on all queries together). Direction: greater.

    Args:
        scores: Influence of windows, or an array over documents, shape (Q, D) or (D,).
        claimed: Ids of the claimed documents if `scores` is `InfluenceScores`; else a mask, shape (D,).
            All other documents are controls.
        lengths: Tokens of each document that were scored: by id, or of shape (D,).
        sources: Source of each document: by id, or D of them.
        seed: Seed of the permutations, in [0, 2**64).
        queries: Names of the queries where `scores` is an array.
        length_bins: Bins of lengths per source at most; fixed beforehand.
        top: How many documents count as the most influential; default 1 % of the matched ones, at
            least 10.
        randomised: State that claimed documents were drawn at random within strata.
        inputs: What the scores rest on, for the findings.
        n_resamples: See `stats.stratified_test`.
        stop_after: See `stats.stratified_test`.

    Returns:
        Findings and shares. A finding's n counts documents of strata that hold both kinds, and a warning
        counts the others, which are left out. Its effect is the mean difference of y: claimed documents stand
        exp(effect) times as near to the top of their stratum, in the geometric mean.

    Raises:
        InvalidInput: If an argument is malformed, or a claimed document was not scored.
        InsufficientEvidence: If all documents are claimed, or no stratum holds both kinds.
    """
    documents = _documents(scores, claimed, lengths, sources, queries)
    strata = strata_of(documents.lengths, documents.sources, length_bins=length_bins)
    matched = _matched(documents.claimed, strata)
    claim, stratum = documents.claimed[matched], strata[matched]
    log_lengths = np.log(documents.lengths[matched])
    influence = documents.influence[:, matched]
    y = np.stack([_without_trend(_savage(row, stratum), log_lengths, stratum) for row in influence])
    ids = [documents.ids[d] for d in np.flatnonzero(matched)] if documents.ids else []
    names = [ids[d] for d in (*np.flatnonzero(claim), *np.flatnonzero(~claim))] if ids else []
    warnings = (
        _NO_TRAINING,
        *_left_out(documents.claimed, matched),
        *_lengths_differ(log_lengths, claim, stratum),
        *_copies(influence),
    )

    def tested(values: NDArray[np.float64], query: str) -> Finding:
        finding = stratified_test(
            values[claim],
            values[~claim],
            stratum[claim],
            stratum[~claim],
            alternative=Alternative.GREATER,
            seed=seed,
            n_resamples=n_resamples,
            stop_after=stop_after,
        )
        finding = finding.named(names) if names else finding
        return _told(finding, query, claim, randomised, warnings, inputs)

    findings = tuple(
        tested(row, f"query {name!r}") for name, row in zip(documents.queries, y, strict=True)
    )
    n_top = (
        min(max(_SMALLEST_TOP, round(_TOP_SHARE * claim.size)), claim.size) if top is None else top
    )
    rows = list(zip(documents.queries, influence, strict=True))
    return InfluenceAudit(
        findings=findings,
        holm_log10_p=adjust(findings, method=AdjustMethod.HOLM),
        pooled=tested(y.mean(axis=0), f"{len(rows)} queries together") if len(rows) > 1 else None,
        top=tuple(share_of_top(query, row, claim, stratum, n_top) for query, row in rows),
        positive=tuple(share_of_positive(query, row, claim, stratum) for query, row in rows),
    )


# ---- check ----------------------------------------------------------------------------------------


def _documents(
    scores: InfluenceScores | ArrayLike,
    claimed: Collection[str] | ArrayLike,
    lengths: Mapping[str, float] | ArrayLike,
    sources: Mapping[str, str] | Sequence[str],
    queries: Sequence[str] | None,
) -> Documents:
    by_id = isinstance(lengths, Mapping), isinstance(sources, Mapping)
    if isinstance(scores, InfluenceScores):
        if not all(by_id) or queries is not None or not isinstance(claimed, Collection):
            raise InvalidInput(
                "InfluenceScores: expected claimed ids, lengths and sources by id, and no queries",
                "several of its candidates may be windows of one document",
            )
        return Documents.of_scores(scores, claimed, lengths, sources)  # type: ignore[arg-type]
    if any(by_id):
        raise InvalidInput(
            "scores: got an array, but lengths or sources by id", "give all by document"
        )
    return Documents.of_arrays(scores, claimed, lengths, sources, queries)  # type: ignore[arg-type]


def _matched(claimed: NDArray[np.bool_], strata: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Documents of strata that hold both kinds."""
    n_claimed, n = np.bincount(strata, claimed), np.bincount(strata)
    matched: NDArray[np.bool_] = ((n_claimed > 0) & (n_claimed < n))[strata]
    if not matched.any():
        raise InsufficientEvidence(
            "no claimed document has a control of its source and length",
            "score controls of the claimed documents' sources, or use fewer length bins",
        )
    return matched


# ---- compute --------------------------------------------------------------------------------------


def _savage(x: NDArray[np.float64], strata: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores e of the module's docstring, shape (D,)."""
    scores = np.empty(x.size)
    for members in _groups(strata):
        n = members.size
        scores[members] = -np.log((n - rankdata(x[members]) + 0.5) / n)
    return scores


def _without_trend(
    scores: NDArray[np.float64], log_lengths: NDArray[np.float64], strata: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scores less their least-squares line on log length, stratum by stratum; means are kept."""
    rest = scores.copy()
    for members in _groups(strata):
        u = log_lengths[members] - log_lengths[members].mean()
        squares = u @ u
        if squares > 0:
            rest[members] -= (scores[members] @ u) / squares * u
    return rest


def _groups(strata: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(strata, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(strata[order])) + 1)


# ---- explain --------------------------------------------------------------------------------------


def _left_out(claimed: NDArray[np.bool_], matched: NDArray[np.bool_]) -> tuple[str, ...]:
    alone, unused = int((claimed & ~matched).sum()), int((~claimed & ~matched).sum())
    texts = []
    if alone:
        texts.append(
            f"{alone} of {int(claimed.sum())} claimed documents have no control of their source and length "
            "and were left out: the finding does not speak of them."
        )
    if unused:
        texts.append(
            f"{unused} controls have no claimed document in their stratum and were left out."
        )
    n_claimed = int((claimed & matched).sum())
    if n_claimed < _FEW_CLAIMED:
        texts.append(
            f"Only {n_claimed} claimed documents are compared: p cannot become very small."
        )
    return tuple(texts)


def _lengths_differ(
    log_lengths: NDArray[np.float64], claim: NDArray[np.bool_], strata: NDArray[np.int64]
) -> tuple[str, ...]:
    n, n_claimed = np.bincount(strata), np.bincount(strata, claim)
    u = log_lengths - (np.bincount(strata, log_lengths) / np.maximum(n, 1))[strata]
    picks = n_claimed * (n - n_claimed) / np.maximum(n * (n - 1), 1)
    variance = float((np.bincount(strata, u * u) * picks).sum())
    if variance <= _NO_SPREAD * float(log_lengths @ log_lengths):
        return ()  # lengths do not vary within strata
    z = float(u[claim].sum()) / math.sqrt(variance)
    if abs(z) <= _LENGTHS_DIFFER:
        return ()
    return (
        f"Within strata claimed documents are still {'longer' if z > 0 else 'shorter'} than controls "
        f"(z = {z:.1f}). A linear trend of the scores in log length is taken out, a bent one is not: use "
        "more controls and more length bins.",
    )


def _copies(influence: NDArray[np.float64]) -> tuple[str, ...]:
    """Documents that agree with another one in every score."""
    some = influence[:, influence.any(axis=0)]
    n_copies = some.shape[1] - np.unique(some, axis=1).shape[1]
    if not n_copies:
        return ()
    return (
        f"{n_copies} document{'s have' if n_copies > 1 else ' has'} exactly the influence of another one: "
        "copies, or scores that were rounded. Copies are not independent and can make p too small: keep one "
        "of each.",
    )


def _told(
    finding: Finding,
    query: str,
    claim: NDArray[np.bool_],
    randomised: bool,
    warnings: tuple[str, ...],
    inputs: tuple[Input, ...],
) -> Finding:
    effect = finding.effect
    n_claimed = int(claim.sum())
    return finding.about(
        name=f"influence audit, {query}",
        question=f"Do the claimed documents influence {query} more than controls of equal source and similar "
        "length?",
        null="Within each stratum (source and bin of length), claimed documents and controls are "
        f"exchangeable in their influence on {query}: the claim carries no information about influence.",
        statistic=Statistic(
            name="z, standardised difference of mean Savage scores, length trend removed",
            value=finding.statistic.value,
        ),
        unit=f"documents ({n_claimed} claimed, {claim.size - n_claimed} controls)",
        effect=type(effect)(
            name="mean difference within strata of -ln(share of the stratum with more influence), "
            "claimed - controls",
            value=effect.value,
            low=effect.low,
            high=effect.high,
            confidence=effect.confidence,
            interval=effect.interval,
        ),
        assumptions=(
            _SAME_DISTRIBUTION,
            _RANDOMISED if randomised else _NOT_RANDOMISED,
            *_OTHER_ASSUMPTIONS,
        ),
        warnings=(*warnings, *finding.warnings),
        inputs=inputs,
    )
