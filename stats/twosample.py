r"""Two sets of values: is one larger? By permutation, also within strata.

Notation: stratum s holds n_s values x_si, m_s of them from its smaller set; c_si = x_si - mean_i x_si;
T = sum over strata of the c_si from a, which is minus the sum of those from b; t its observed value;
W = sum_s n_as n_bs / n_s, so that T / W is the mean difference within strata. One stratum: T / W is
mean(a) - mean(b).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
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
from .strata import Strata, arranged
from .subset_bound import subset_log_bound
from .workings import Working, sets_in_one

__all__ = ["stratified_test", "two_sample_test"]


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
    strata = arranged(x_a, x_b, np.zeros(x_a.size + x_b.size, dtype=np.int64))
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
    ).about(
        working=Working(test="two-sample", columns=sets_in_one(x_a, x_b), settings=plan.settings)
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
    (1 + b) / (1 + B). Where no draw reaches t, an upper bound on the same tail (`subset_bound`) replaces
    the floor 1 / (1 + B) if it is smaller, and `method` says so; `montecarlo.drawn_tail` proves that the
    combination is valid. Up to rounding equal sums count as ties, and ties count against the claim.

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
    stratum = np.array([codes.setdefault(x, len(codes)) for x in labels], dtype=np.int64)
    strata = arranged(x_a, x_b, stratum)
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
    ).about(
        working=Working(
            test="stratified",
            columns={**sets_in_one(x_a, x_b), "stratum": stratum},
            settings=plan.settings,
        )
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


def _tested(
    strata: Strata,
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


def _tail(strata: Strata, plan: Plan, enumerates: bool) -> tuple[Tail, float]:
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
            return max(subset_log_bound(towards, starts, picks, observed), least) * LOG10_E
        # P(|T| >= |t|) = P(T >= |t|) + P(-T >= |t|); sets of unequal sizes have no symmetric T.
        above = subset_log_bound(towards, starts, picks, abs(observed))
        below = subset_log_bound(-towards, starts, picks, abs(observed))
        return min(max(float(np.logaddexp(above, below)), least), 0.0) * LOG10_E

    return drawn_tail(plan, draw, observed, strata.tie_scale, bound), observed


def _shift(strata: Strata) -> Effect:
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
