r"""Two sets of values: is one larger? By permutation, also within strata.

Notation: stratum s holds n_s values x_si, m_s of them from its smaller set; c_si = x_si - mean_i x_si;
T = sum over strata of the c_si from a, which is minus the sum of those from b; t its observed value;
W = sum_s n_as n_bs / n_s, so that T / W is the mean difference within strata. One stratum: T / W is
mean(a) - mean(b).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InsufficientEvidence, InvalidInput
from . import resampling_kernels
from .checks import finite_sample
from .findings import LOG10_E, Alternative, Effect, Finding, NullHistogram, Statistic, Validity
from .montecarlo import (
    Plan,
    ResamplingMethod,
    Tail,
    drawn_tail,
    enumerated_tail,
    null_histogram,
)
from .projection import power_of_two
from .tails import log_binomial

__all__ = ["stratified_test", "two_sample_test"]

_RELATIVE_TIE = 1e-12
# Centring rounds by some 2e-16 of the largest value; sums that differ by less count as ties too. In
# units of the 1e-10 by which `montecarlo` tells ties, per value.
_ROUNDING = 1e-5
_NEWTON_STEPS = 12
_SEARCH_STEPS = 30


@dataclass(frozen=True, slots=True)
class _Strata:
    """Both sets, centred and scaled by a power of two, the smaller set of each stratum first.

    Attributes:
        values: c_si, negated where b is the smaller set: the leading values of all strata sum to T.
        starts: Stratum s owns `values[starts[s]:starts[s + 1]]`.
        picks: m_s, in [1, n_s / 2].
        from_a: Which values come from a.
        exponent: values * 2**exponent is in the unit of the data.
        tie_scale: Sums closer than 1e-10 of it are ties.
        n_left_out: Values in strata that hold one set only.
    """

    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    picks: NDArray[np.int64]
    from_a: NDArray[np.bool_]
    exponent: int
    tie_scale: float
    n_left_out: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    @property
    def weight(self) -> float:
        """W."""
        return float((self.picks * (self.sizes - self.picks) / self.sizes).sum())

    @property
    def log_outcomes(self) -> float:
        """Log of the number of ways to choose the smaller sets."""
        return float(log_binomial(self.sizes, self.picks).sum())

    def n_outcomes(self) -> int:
        pairs = zip(self.sizes.tolist(), self.picks.tolist(), strict=True)
        return math.prod(math.comb(n, m) for n, m in pairs)

    def null_variance(self, values: NDArray[np.float64]) -> float:
        """Variance of T, made of centred `values`, when the smaller sets are drawn at random."""
        squares = np.add.reduceat(values**2, self.starts[:-1])
        n, m = self.sizes, self.picks
        return float((squares * m * (n - m) / (n * (n - 1.0))).sum())


def two_sample_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    alternative: Alternative,
    seed: int,
    method: ResamplingMethod = ResamplingMethod.AUTO,
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> Finding:
    """Test whether the values of a are larger than those of b, by permuting them between the sets.

    Null hypothesis: every assignment of the values to the two sets is equally likely. The statistic is
    the mean difference. All else is as in `stratified_test`, of which this is the case of one stratum.

    A small p speaks against exchangeability, not only against equal means: sets of one mean but of
    unequal sizes and spreads are no null data. `welch_test` allows for them.

    Args:
        a: Values of the first set, shape (n_a,), n_a >= 1.
        b: Values of the second set, shape (n_b,), n_b >= 1; n_a + n_b >= 3.
        alternative: GREATER (a is larger), LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the Monte-Carlo draws, in [0, 2**64).
        method: See `ResamplingMethod`.
        n_resamples: Number B of Monte-Carlo draws.
        stop_after: See `stratified_test`.

    Returns:
        A finding whose statistic is z, the mean difference over its standard deviation under the null
        hypothesis, and whose effect is mean(a) - mean(b), in the unit of the values.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
    """
    plan = Plan.of(alternative, method, seed, n_resamples, stop_after)
    x_a, x_b = finite_sample("a", a, 1), finite_sample("b", b, 1)
    if x_a.size + x_b.size < 3:
        raise InvalidInput("a, b: expected at least 3 values together, got 2")
    strata = _arranged(x_a, x_b, np.zeros(x_a.size + x_b.size, dtype=np.int64))
    return _tested(
        strata,
        plan,
        name="two-sample test",
        where="",
        null="All values are exchangeable: every assignment of them to the two sets is equally likely.",
        assumptions=(
            "Without an effect, both sets come from one distribution, or were split at random.",
            "The values are independent of each other, or the split was random.",
        ),
    )


def stratified_test(
    a: ArrayLike,
    b: ArrayLike,
    strata_a: ArrayLike,
    strata_b: ArrayLike,
    *,
    alternative: Alternative,
    seed: int,
    method: ResamplingMethod = ResamplingMethod.AUTO,
    n_resamples: int = 99_999,
    stop_after: int | None = None,
) -> Finding:
    r"""Test whether the values of a are larger than those of b in the same stratum.

    The statistic is T, the sum of a's values after each stratum's mean is subtracted, which weighs
    the strata's mean differences by n_as n_bs / n_s. The p-value is P(T >= t), P(T <= t) for LESS,
    P(|T| >= |t|) for TWO_SIDED, when within each stratum every assignment of its values to the two
    sets is equally likely: exact by enumeration up to 2**20 assignments, otherwise Monte Carlo,
    (1 + b) / (1 + B). Where no draw reaches t, an upper bound on the same tail replaces the floor
    1 / (1 + B) if it is smaller, and `method` says so; `montecarlo.drawn_tail` proves that the
    combination is valid. Up to rounding equal sums count as ties, and ties count against the claim.

    The bound is Chernoff's, exp(K(lambda) - lambda t), with an upper bound K on the cumulant
    generating function. With w_i = exp(lambda c_i), E exp(lambda T_s) = e_m(w) / binom(n, m), where e_m
    is the elementary symmetric polynomial. Per stratum the smaller of two bounds on it is used:

    .. math:: \frac{e_m(w)}{\binom nm} \le \Bigl(\frac{e_1(w)}{n}\Bigr)^m, \qquad
        e_m(w) \le z^{-m} \prod_i (1 + z w_i) \, e^{-v} I_0(v)

    The first is Maclaurin's inequality (so the bound of Hoeffding 1963, section 6). The second holds
    for every z > 0. Let N count the successes of independent trials with odds z w_i. As the coefficient
    of z**m in the product, e_m(w) = z**-m prod_i (1 + z w_i) P(N = m). With v the variance of N,
    P(N = m) is at most the mean of N's characteristic function in absolute value over a period, and
    |1 - p + p e^{i s}|**2 = 1 - 2 p (1 - p)(1 - cos s) bounds that by the mean of
    exp(-v (1 - cos s)), which is e^{-v} I_0(v), some 1 / sqrt(2 pi v).

    Args:
        a: Values of the first set, shape (n_a,).
        b: Values of the second set, shape (n_b,).
        strata_a: Stratum of each value of a: integers or strings, shape (n_a,). Must not depend on
            the values.
        strata_b: Stratum of each value of b, of the same kind, shape (n_b,).
        alternative: GREATER (a is larger), LESS or TWO_SIDED; fixed before the data are seen.
        seed: Seed of the Monte-Carlo draws, in [0, 2**64).
        method: See `ResamplingMethod`.
        n_resamples: Number B of Monte-Carlo draws.
        stop_after: Stop drawing once so many draws have reached the observed value (Besag & Clifford
            1991); None makes all B draws. Enumeration, where AUTO chooses it, needs no draws.

    Returns:
        A finding whose n counts the values in strata that hold both sets, whose statistic is z = t /
        sd(T under the null), and whose effect is T / W, the weighted mean difference within strata.

    Raises:
        InvalidInput: If an argument is malformed; the message names it and the index.
        InsufficientEvidence: If the strata that hold both sets leave nothing to compare.
    """
    plan = Plan.of(alternative, method, seed, n_resamples, stop_after)
    x_a, x_b = finite_sample("a", a, 1), finite_sample("b", b, 1)
    labels_a, labels_b = _labels("strata_a", strata_a, x_a), _labels("strata_b", strata_b, x_b)
    if (labels_a.dtype.kind == "U") != (labels_b.dtype.kind == "U"):
        raise InvalidInput(
            f"strata_b: expected labels of the kind of strata_a, {labels_a.dtype}, got {labels_b.dtype}"
        )
    # As Python objects: joined as arrays, int64 and uint64 labels would become floats.
    codes: dict[object, int] = {}
    labels = [*labels_a.tolist(), *labels_b.tolist()]
    strata = _arranged(
        x_a, x_b, np.array([codes.setdefault(x, len(codes)) for x in labels], dtype=np.int64)
    )
    finding = _tested(
        strata,
        plan,
        name="stratified test",
        where=" of the same stratum",
        null="Within each stratum, every assignment of its values to the two sets is equally likely, "
        "independently of the other strata.",
        assumptions=(
            "Without an effect, both sets of a stratum come from one distribution, or were split at "
            "random; strata may differ.",
            "The values of a stratum are independent of each other, or its split was random.",
        ),
    )
    if not strata.n_left_out:
        return finding
    note = f"{strata.n_left_out} values lie in strata that hold one set only and were left out."
    return finding.about(warnings=(*finding.warnings, note))


def _labels(name: str, data: ArrayLike, values: NDArray[np.float64]) -> NDArray[np.generic]:
    try:
        labels = np.asarray(data)
    except ValueError as error:
        raise InvalidInput(f"{name}: expected {values.size} labels ({error})") from error
    if labels.dtype.kind not in "iuU":
        raise InvalidInput(f"{name}: expected integers or strings, got {labels.dtype}")
    if isinstance(data, list | tuple) and labels.dtype.kind == "U":
        for index, label in enumerate(data):  # NumPy writes 1 as "1" where it stands among strings
            if not isinstance(label, str):
                raise InvalidInput(f"{name}[{index}]: expected a string as before, got {label!r}")
    if labels.shape != values.shape:
        raise InvalidInput(
            f"{name}: expected one label per value, shape {values.shape}, got {labels.shape}"
        )
    return labels


def _arranged(
    x_a: NDArray[np.float64], x_b: NDArray[np.float64], codes: NDArray[np.int64]
) -> _Strata:
    """Sort by stratum, the smaller set first, and centre; strata with one set only are left out."""
    pooled = np.concatenate((x_a, x_b))
    from_a = np.arange(pooled.size) < x_a.size
    n_a, n_b = np.bincount(codes[from_a], minlength=1), np.bincount(codes[~from_a], minlength=1)
    n_codes = max(n_a.size, n_b.size)
    n_a, n_b = np.pad(n_a, (0, n_codes - n_a.size)), np.pad(n_b, (0, n_codes - n_b.size))
    both = (n_a > 0) & (n_b > 0)
    sizes, picks = (n_a + n_b)[both], np.minimum(n_a, n_b)[both]
    if int((sizes - 1).sum()) < 2:
        raise InsufficientEvidence(
            "strata_a, strata_b: fewer than 3 values lie in strata that hold both sets",
            "a value is compared only with the other set's values of its own stratum",
        )
    a_is_smaller = n_a <= n_b
    order = np.lexsort((from_a != a_is_smaller[codes], codes))
    order = order[both[codes[order]]]
    exponent = power_of_two(pooled[order])
    scaled, in_a = np.ldexp(pooled[order], -exponent), from_a[order]
    starts = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    first = starts[:-1]
    centred = _centred(scaled, starts)
    # Values equal up to rounding are ties, so that a stratum of ties is seen to say nothing.
    spread = np.maximum.reduceat(scaled, first) - np.minimum.reduceat(scaled, first)
    tied = spread <= _RELATIVE_TIE * np.maximum.reduceat(np.abs(scaled), first)
    signs = np.where(tied, 0.0, np.where(a_is_smaller[both], 1.0, -1.0))
    values = centred * np.repeat(signs, sizes)
    telling = np.repeat(~tied, sizes)
    rest = power_of_two(values)
    return _Strata(
        values=np.ldexp(values, -rest),
        starts=starts,
        picks=picks.astype(np.int64),
        from_a=in_a,
        exponent=exponent + rest,
        tie_scale=float(
            np.ldexp(np.abs(values).sum() + _ROUNDING * np.abs(scaled[telling]).sum(), -rest)
        ),
        n_left_out=pooled.size - order.size,
    )


def _centred(x: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.diff(starts)
    return x - np.repeat(np.add.reduceat(x, starts[:-1]) / sizes, sizes)


def _tested(
    strata: _Strata,
    plan: Plan,
    *,
    name: str,
    where: str,
    null: str,
    assumptions: tuple[str, ...],
) -> Finding:
    enumerates = plan.enumerates(strata.log_outcomes / math.log(2))
    deviation = math.sqrt(strata.null_variance(strata.values))
    figure: NullHistogram | None = None
    if deviation == 0:
        z, tail = 0.0, Tail(0.0, "exact", np.zeros(1), None)
        warnings: tuple[str, ...] = (f"All values{where or ' of both sets'} are tied: p is 1.",)
    else:
        tail, observed = _tail(strata, plan, enumerates)
        z, warnings = plan.sign * observed / deviation, ()
        figure = null_histogram(
            plan.sign * tail.null / deviation, z, "Standardised mean difference (z)"
        )
    direction = {
        Alternative.GREATER: "larger than",
        Alternative.LESS: "smaller than",
        Alternative.TWO_SIDED: "different on average from",
    }[plan.alternative]
    return Finding(
        name=name,
        question=f"Are the values of a {direction} those of b{where}?",
        null=null,
        alternative=plan.alternative,
        statistic=Statistic(name="z, standardised mean difference", value=z),
        log10_p=tail.log10_p,
        method=tail.method,
        valid=Validity.FINITE_SAMPLE,
        n=strata.values.size,
        unit="values",
        effect=_shift(strata),
        assumptions=assumptions,
        warnings=warnings,
        seed=tail.seed,
        figure=figure,
    )


def _tail(strata: _Strata, plan: Plan, enumerates: bool) -> tuple[Tail, float]:
    """The tail of T at t, and t, oriented by the plan."""
    towards, starts, picks = plan.sign * strata.values, strata.starts, strata.picks
    observed = resampling_kernels.leading_sum(towards, starts, picks)
    if enumerates:
        null = resampling_kernels.all_subset_sums(towards, starts, picks, strata.n_outcomes())
        return enumerated_tail(plan, null, observed, strata.tie_scale), observed

    def draw(first: int, count: int) -> NDArray[np.float64]:
        return resampling_kernels.drawn_subset_sums(towards, starts, picks, plan.seed, first, count)

    def bound() -> float:
        least = -strata.log_outcomes  # an outcome has at least this probability
        if not plan.two_sided:
            return max(_log_bound(towards, starts, picks, observed), least) * LOG10_E
        # P(|T| >= |t|) = P(T >= |t|) + P(-T >= |t|); sets of unequal sizes have no symmetric T.
        above = _log_bound(towards, starts, picks, abs(observed))
        below = _log_bound(-towards, starts, picks, abs(observed))
        return min(max(float(np.logaddexp(above, below)), least), 0.0) * LOG10_E

    return drawn_tail(plan, draw, observed, strata.tie_scale, bound), observed


def _log_bound(
    values: NDArray[np.float64],
    starts: NDArray[np.int64],
    picks: NDArray[np.int64],
    t: float,
) -> float:
    """Log of the bound on P(T >= t) of `stratified_test`; every lambda > 0 and z > 0 gives a valid one.

    Source: Chernoff (1952). A search that stops early only loses sharpness. Up to the rounding of float64.

    Args:
        values: Centred values, shape (sum n_s,).
        starts: Stratum s owns `values[starts[s]:starts[s + 1]]`, shape (S + 1,).
        picks: m_s, 1 <= m_s < n_s, shape (S,).
        t: A value that the sum can take.

    Returns:
        A number <= 0; 0 where t <= 0.
    """
    sizes, first = np.diff(starts), starts[:-1]
    squares = np.add.reduceat(values**2, first)
    variance = float((squares * picks * (sizes - picks) / (sizes * (sizes - 1.0))).sum())
    if t <= 0 or variance == 0:
        return 0.0

    def exponent(log_lam: float) -> float:
        lam = math.exp(log_lam)
        return float(_log_moments(lam * values, starts, picks).sum()) - lam * t

    # Golden section in log(lambda) around t / variance, the choice for normal sums.
    low, high = math.log(t / variance) - 4.0, math.log(t / variance) + 8.0
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = exponent(left), exponent(right)
    best = min(0.0, at_left, at_right)
    for _ in range(_SEARCH_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = exponent(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = exponent(right)
        best = min(best, at_left, at_right)
    return best


def _log_moments(
    y: NDArray[np.float64], starts: NDArray[np.int64], picks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Upper bounds on log(e_m(exp y) / binom(n, m)) per stratum, shape (S,)."""
    sizes, first = np.diff(starts), starts[:-1]
    tops, bottoms = np.maximum.reduceat(y, first), np.minimum.reduceat(y, first)
    means = np.log(np.add.reduceat(np.exp(y - np.repeat(tops, sizes)), first) / sizes) + tops
    # log z solves sum_i expit(y_i + log z) = m; it lies where all terms are below, or all above, m / n.
    odds = special.logit(picks / sizes)
    low, high = odds - tops, odds - bottoms
    log_z = odds - means  # the solution to first order
    for _ in range(_NEWTON_STEPS):
        log_z = np.where((log_z > low) & (log_z < high), log_z, (low + high) / 2)
        share = special.expit(y + np.repeat(log_z, sizes))
        excess = np.add.reduceat(share, first) - picks
        low, high = np.where(excess < 0, log_z, low), np.where(excess >= 0, log_z, high)
        slope = np.add.reduceat(share * (1 - share), first)
        log_z = log_z - excess / np.maximum(slope, 1e-300)
    log_z = np.where((log_z > low) & (log_z < high), log_z, (low + high) / 2)
    log_odds = y + np.repeat(log_z, sizes)
    products = np.add.reduceat(np.logaddexp(0.0, log_odds), first)
    share = special.expit(log_odds)
    local = np.log(special.i0e(np.add.reduceat(share * (1 - share), first)))
    coefficients = products - picks * log_z + local - log_binomial(sizes, picks)
    moments: NDArray[np.float64] = np.minimum(picks * means, coefficients)
    return moments


def _shift(strata: _Strata) -> Effect:
    """T / W, with the standard error that the null variance has once the shift is taken out.

    One stratum gives the interval of Student's two-sample t, pairs as strata that of the paired t.
    """
    sizes, picks, weight = strata.sizes, strata.picks, strata.weight
    total = resampling_kernels.leading_sum(strata.values, strata.starts, picks)
    shift = total / weight
    leading = np.arange(strata.values.size) < np.repeat(strata.starts[:-1] + picks, sizes)
    rest = strata.values - shift * (leading - np.repeat(picks / sizes, sizes))
    df = int((sizes - 1).sum()) - 1
    variance = strata.null_variance(rest) * (df + 1) / df
    half_width = float(special.stdtrit(df, 0.975)) * math.sqrt(variance) / weight

    def in_unit(value: float) -> float:
        return float(np.ldexp(value, strata.exponent))

    within = " within strata" if sizes.size > 1 else ""
    return Effect(
        name=f"mean difference a - b{within}, in the unit of the values",
        value=in_unit(shift),
        low=in_unit(shift - half_width),
        high=in_unit(shift + half_width),
        confidence=0.95,
        interval="Student t for a shift of equal spread, as if the values were a sample of many",
    )
