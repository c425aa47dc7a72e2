"""The choice test's laws: validity over all equally likely draws, size, power, invariance, refusals."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import (
    Alternative,
    NullHistogram,
    ResamplingMethod,
    Validity,
    choice_test,
    ghost_test,
)
from scipy.stats import binom, norm

N_NULL = 2_000
CHANCE = 1e-6  # a correct test exceeds a bound below once in a million seeds; ours are fixed


def units_of(sizes, rng, draw="normal"):
    worlds = {
        "normal": lambda k: rng.normal(size=k),
        "cauchy": lambda k: rng.standard_cauchy(size=k),
        "ties": lambda k: rng.integers(0, 2, size=k).astype(float),
        "one giant": lambda k: rng.normal(size=k) * (1e6 if rng.random() < 0.05 else 1.0),
    }
    return [worlds[draw](k) for k in sizes]


def draw_choices(units, rng):
    return np.array([rng.integers(len(u)) for u in units])


def twin_p(values, chosen, weights=None, sign=1.0):
    """P(T >= t) from the definition: every combination of one choice per unit."""
    weights = np.ones(len(values)) if weights is None else weights
    x = [sign * a * (np.asarray(v) - np.mean(v)) for v, a in zip(values, weights, strict=True)]
    t = sum(unit[c] for unit, c in zip(x, chosen, strict=True))
    sums = np.array([sum(pick) for pick in itertools.product(*x)])
    return np.mean(sums >= t - 1e-9)


def at_most(alpha):
    return binom.ppf(1 - CHANCE, N_NULL, alpha)


# ---- p against its definition ---------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["normal", "ties"])
def test_exact_p_is_the_share_of_outcomes_that_reach_the_observed(draw):
    rng = np.random.default_rng(1)
    for _ in range(30):
        values = units_of(rng.integers(2, 5, size=5), rng, draw)
        chosen, weights = draw_choices(values, rng), rng.uniform(0.1, 5, size=5)
        for alternative, sign in ((Alternative.GREATER, 1.0), (Alternative.LESS, -1.0)):
            finding = choice_test(values, chosen, seed=1, weights=weights, alternative=alternative)
            assert finding.p_value == pytest.approx(
                twin_p(values, chosen, weights, sign), rel=1e-12
            )
            assert finding.method == "exact" or finding.warnings
            assert finding.seed is None


@pytest.mark.parametrize("sizes", [[2] * 10, [3, 2, 4, 2, 3, 2], [5, 5, 5]])
def test_monte_carlo_agrees_with_enumeration(sizes):
    """b of B draws is binomial with the exact p: outside [CHANCE/2, 1 - CHANCE/2] once in a million."""
    rng = np.random.default_rng(2)
    n_draws = 20_000
    values = units_of(sizes, rng)
    for chosen in (draw_choices(values, rng) for _ in range(5)):
        p = choice_test(values, chosen, seed=0, method=ResamplingMethod.EXACT).p_value
        drawn = choice_test(
            values, chosen, seed=3, method=ResamplingMethod.MONTE_CARLO, n_resamples=n_draws
        )
        b = round(drawn.p_value * (n_draws + 1)) - 1
        assert binom.ppf(CHANCE / 2, n_draws, p) <= b <= binom.ppf(1 - CHANCE / 2, n_draws, p)
        assert drawn.method == f"monte-carlo B={n_draws}"
        assert drawn.seed == 3


@pytest.mark.parametrize("n_references", [0, 1, 2])
@pytest.mark.parametrize("alternative", [Alternative.GREATER, Alternative.LESS])
def test_over_all_equally_likely_draws_p_is_below_alpha_at_most_so_often(n_references, alternative):
    """The definition of a valid p-value, without any sampling, references regressed out or not."""
    rng = np.random.default_rng(3)
    values = units_of([2, 3, 2, 4, 2, 3], rng)
    references = [[v + rng.normal(size=len(v)) * 0.5 for v in values] for _ in range(n_references)]
    p = np.sort([
        choice_test(
            values, np.array(c), seed=0, references=references, alternative=alternative
        ).p_value
        for c in itertools.product(*(range(len(v)) for v in values))
    ])
    share_at_or_below = np.searchsorted(p, p, side="right") / p.size
    assert (share_at_or_below <= p * (1 + 1e-12)).all()
    assert p[0] == pytest.approx(1 / p.size)


def test_below_the_floor_the_bound_takes_over_and_stays_valid():
    """B = 1 leaves the bound to decide almost alone; again over all equally likely draws."""
    values = units_of([2] * 6 + [3], np.random.default_rng(4))
    p = np.sort([
        choice_test(
            values, np.array(c), seed=5, method=ResamplingMethod.MONTE_CARLO, n_resamples=1
        ).p_value
        for c in itertools.product(*(range(len(v)) for v in values))
    ])
    # One seed fixes the draw, so the Monte-Carlo part is not averaged over; below its floor of 1/2
    # the bound alone speaks, and that holds draw by draw.
    below = p[p < 0.5]
    assert below.size > 20
    assert (np.searchsorted(p, below, side="right") / p.size <= below * (1 + 1e-12)).all()


def test_size_below_the_monte_carlo_floor():
    """With B = 19 every rejection at 0.01 comes from the bound."""
    rng = np.random.default_rng(6)
    p = np.array([
        choice_test(
            v, draw_choices(v, rng), seed=s, method=ResamplingMethod.MONTE_CARLO, n_resamples=19
        ).p_value
        for s, v in ((s, rng.normal(size=(25, 2))) for s in range(N_NULL))
    ])
    for alpha in (0.05, 0.01, 0.001):
        assert (p <= alpha).sum() <= at_most(alpha)


def test_where_no_draw_reaches_the_value_the_finding_says_bound():
    values = np.tile([1.0, 0.0], (200, 1))
    finding = choice_test(values, np.zeros(200, dtype=int), seed=1, n_resamples=99)
    assert finding.method == "chernoff-bound, as none of B=99 draws reached the value"
    assert finding.log10_p == pytest.approx(-200 * math.log10(2), rel=1e-3)
    assert finding.log10_p >= -200 * math.log10(2)
    assert finding.valid is Validity.FINITE_SAMPLE


def test_the_bound_is_not_used_where_the_floor_is_lower():
    """26 of 40 signs: Hoeffding's bound exp(-12^2 / 80) = 0.17 must not replace 1/20 where b = 0."""
    values, chosen = np.tile([1.0, 0.0], (40, 1)), np.repeat([0, 1], [26, 14])
    found = [choice_test(values, chosen, seed=s, n_resamples=19) for s in range(30)]
    assert {finding.method for finding in found} == {"monte-carlo B=19"}
    assert min(finding.p_value for finding in found) == pytest.approx(1 / 20)


def test_a_tie_counts_against_the_claim():
    values = [[0.1 + 0.2, 0.0], [0.3, 0.0]]  # sums 0.3 and 0.30000000000000004 are one value
    assert choice_test(values, [1, 0], seed=0).p_value == pytest.approx(3 / 4)
    assert choice_test(values, [0, 1], seed=0).p_value == pytest.approx(3 / 4)


# ---- size and power -------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["normal", "cauchy", "ties", "one giant"])
@pytest.mark.parametrize("with_references", [False, True])
def test_null_rejections_keep_their_rate(draw, with_references):
    """Choices drawn uniformly, whatever the scores; references share most of the scores' noise."""
    rng = np.random.default_rng(7)
    sizes = [2, 3, 2, 5] * 6
    p = []
    for seed in range(N_NULL):
        shared = units_of(sizes, rng, draw)
        values = [s + 0.3 * rng.normal(size=len(s)) * (draw != "ties") for s in shared]
        references = [[s + 0.3 * rng.normal(size=len(s)) for s in shared]] * with_references
        chosen = draw_choices(values, rng)
        p.append(
            choice_test(values, chosen, seed=seed, references=references, n_resamples=199).p_value
        )
    for alpha in (0.05, 0.01):
        assert (np.array(p) <= alpha).sum() <= at_most(alpha)
    if (
        draw == "normal"
    ):  # without ties and with B + 1 = 200, p is exactly uniform: not timid either
        assert (np.array(p) <= 0.05).sum() >= binom.ppf(CHANCE, N_NULL, 0.05)


def test_a_planted_effect_is_found():
    """100 pairs of standard normal scores, the released one lifted by 0.5: the power of a z test.

    The margin is 5 standard errors of a share of 300 runs; the normal approximation fits far better.
    """
    rng = np.random.default_rng(8)
    n, lift, n_runs = 100, 0.5, 300
    rejected = 0
    for seed in range(n_runs):
        values = rng.normal(size=(n, 2))
        chosen = rng.integers(0, 2, size=n)
        values[np.arange(n), chosen] += lift
        rejected += choice_test(values, chosen, seed=seed, n_resamples=999).rejects(0.05)
    # x = +-(lift + N(0, 2)) / 2: mean lift/2, root mean square sqrt(lift^2 + 2)/2 estimates the null sd
    shift = lift * math.sqrt(n) / math.sqrt(lift**2 + 2)
    spread = math.sqrt(2 / (lift**2 + 2))
    power = norm.sf((norm.isf(0.05) - shift) / spread)
    assert abs(rejected / n_runs - power) <= 5 * math.sqrt(power * (1 - power) / n_runs)


def test_a_reference_sharpens_the_test():
    rng = np.random.default_rng(9)
    shared = rng.normal(size=(300, 3))
    chosen = rng.integers(0, 3, size=300)
    values = shared + 0.1 * rng.normal(size=(300, 3))
    values[np.arange(300), chosen] += 0.1
    alone = choice_test(values, chosen, seed=1)
    helped = choice_test(values, chosen, seed=1, references=[shared])
    assert helped.log10_p < min(alone.log10_p, -8)
    assert "after 1 reference" in helped.effect.name


def test_the_opposite_direction_finds_nothing():
    rng = np.random.default_rng(10)
    values = rng.normal(size=(200, 2))
    chosen = values.argmax(axis=1)
    up = choice_test(values, chosen, seed=1)
    down = choice_test(values, chosen, seed=1, alternative=Alternative.LESS)
    assert up.rejects(1e-20)
    assert down.p_value > 0.999
    assert up.statistic.value == pytest.approx(down.statistic.value)  # z keeps its sign
    assert up.statistic.value > 10
    assert up.effect == down.effect
    mirrored = choice_test(-values, chosen, seed=1, alternative=Alternative.LESS)
    assert mirrored.log10_p == up.log10_p
    assert mirrored.statistic.value == -up.statistic.value


# ---- invariance -----------------------------------------------------------------------------------


def example(n=40, seed=11):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3))
    chosen = rng.integers(0, 3, size=n)
    values[np.arange(n), chosen] += 0.3
    return values, chosen, rng.uniform(0.5, 2, size=n)


def test_p_does_not_change_with_a_constant_per_unit_or_with_scale():
    """Values are multiples of 2^-20, so that adding the constants rounds nothing."""
    values, chosen, weights = example()
    values = np.round(values * 2**20) / 2**20
    constants = np.random.default_rng(12).integers(-1_000, 1_000, size=(len(values), 1))
    plain = choice_test(values, chosen, seed=1, weights=weights)
    moved = choice_test((values + constants) * 2.0**40, chosen, seed=1, weights=weights * 8)
    assert moved.log10_p == plain.log10_p
    assert moved.statistic.value == pytest.approx(plain.statistic.value, rel=1e-9)
    assert moved.effect.value == pytest.approx(plain.effect.value * 2.0**40, rel=1e-9)
    assert moved.effect.high == pytest.approx(plain.effect.high * 2.0**40, rel=1e-9)


def test_exact_p_does_not_depend_on_the_order_of_units_or_choices():
    values, chosen, weights = example(9)
    order = np.random.default_rng(13).permutation(9)
    plain = choice_test(values, chosen, seed=1, weights=weights)
    shuffled = choice_test(values[order], chosen[order], seed=1, weights=weights[order])
    mirrored = choice_test(values[:, ::-1], 2 - chosen, seed=1, weights=weights)
    assert plain.method == "exact"
    assert shuffled.p_value == pytest.approx(plain.p_value, rel=1e-12)
    assert mirrored.p_value == pytest.approx(plain.p_value, rel=1e-12)


def test_one_seed_gives_one_p_and_another_seed_another():
    values, chosen, _ = example()
    p = [choice_test(values, chosen, seed=s, n_resamples=999).log10_p for s in (1, 1, 2)]
    assert p[0] == p[1] != p[2]


@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324 * 2**20])
def test_scores_of_any_size_are_tested_alike(scale):
    """Squares of 1e300 overflow and squares of 1e-300 vanish; neither happens.

    Values are small whole numbers, which even the smallest floats hold exactly.
    """
    rng = np.random.default_rng(14)
    values = rng.integers(-3, 4, size=(30, 2)) / 4
    chosen = values.argmax(axis=1)
    chosen[:5] = 1 - chosen[:5]
    plain = choice_test(values, chosen, seed=1, references=[values**2])
    scaled = choice_test(values * scale, chosen, seed=1, references=[values**2 * scale])
    assert scaled.log10_p == pytest.approx(plain.log10_p, rel=1e-6)
    assert scaled.statistic.value == pytest.approx(plain.statistic.value, rel=1e-6)
    assert scaled.effect.value == pytest.approx(plain.effect.value * scale, rel=1e-6)


def test_whole_numbers_are_scores_too():
    values = np.array([[3, 1, 2], [5, 0, 1], [2, 2, 9]])
    as_floats = choice_test(values.astype(float), [0, 0, 2], seed=0)
    assert choice_test(values, np.array([0, 0, 2], dtype=np.uint64), seed=0) == as_floats
    assert choice_test(values.tolist(), [0, 0, 2], seed=np.uint32(0)) == as_floats
    assert as_floats.p_value == pytest.approx(1 / 27)


# ---- references -----------------------------------------------------------------------------------


def test_residuals_are_those_of_weighted_least_squares():
    """The statistic from its definition: regress with rows scaled by 1/sqrt(k_u), then T / sd."""
    rng = np.random.default_rng(15)
    sizes = [2, 3, 4, 2, 5]
    values, first, second = (units_of(sizes, rng) for _ in range(3))
    chosen, weights = draw_choices(values, rng), rng.uniform(0.5, 2, size=5)

    def centred(units):
        return np.concatenate([a * (u - u.mean()) for u, a in zip(units, weights, strict=True)])

    k = np.repeat(sizes, sizes)
    design = np.column_stack([centred(first), centred(second)])
    normal = design.T @ (design / k[:, None])
    x = centred(values) - design @ np.linalg.solve(normal, design.T @ (centred(values) / k))
    starts = np.cumsum([0, *sizes[:-1]])
    z = x[starts + chosen].sum() / math.sqrt((x**2 / k).sum())
    finding = choice_test(values, chosen, seed=0, weights=weights, references=[first, second])
    assert finding.statistic.value == pytest.approx(z, rel=1e-10)
    assert finding.effect.value == pytest.approx(
        x[starts + chosen].sum() / weights.sum(), rel=1e-10
    )


def test_regressing_out_never_uses_what_was_released():
    """Swapping the released choices of two-choice units must flip T and leave the null as it was."""
    rng = np.random.default_rng(16)
    values, reference = rng.normal(size=(2, 40, 2))
    chosen = rng.integers(0, 2, size=40)
    one = choice_test(values, chosen, seed=4, references=[reference])
    other = choice_test(values, 1 - chosen, seed=4, references=[reference])
    assert other.statistic.value == pytest.approx(-one.statistic.value, rel=1e-12)
    assert isinstance(one.figure, NullHistogram)
    assert one.figure.counts == other.figure.counts
    assert one.figure.edges == other.figure.edges


@pytest.mark.parametrize("scale", [1.0, -3.7, 1e-9, 1e200])
def test_a_reference_equal_to_the_suspect_leaves_nothing_to_rank(scale):
    """What rounding leaves is a tiny copy of the scores, here all in favour of the claim."""
    values = np.random.default_rng(17).normal(size=(200, 3)) - 7
    finding = choice_test(values, values.argmax(axis=1), seed=1, references=[values * scale])
    assert finding.p_value == 1
    assert finding.warnings == (
        "All choices of every unit have the same score after 1 reference: p is 1.",
    )


def test_a_nearly_equal_reference_leaves_only_the_difference():
    rng = np.random.default_rng(18)
    values, noise = rng.normal(size=(2, 300, 2))
    chosen = values.argmax(axis=1)
    finding = choice_test(values, chosen, seed=1, references=[values + 1e-6 * noise])
    expected = choice_test(noise, chosen, seed=1, references=[values])
    assert finding.statistic.value == pytest.approx(-expected.statistic.value, abs=1e-3)


def test_collinear_references_count_once():
    rng = np.random.default_rng(19)
    values, reference = rng.normal(size=(2, 30, 3))
    chosen = rng.integers(0, 3, size=30)
    once = choice_test(values, chosen, seed=1, references=[reference])
    copies = [reference, reference * 1e-12, 5 - 1e9 * reference, np.ones_like(reference)]
    assert choice_test(values, chosen, seed=1, references=copies).statistic.value == pytest.approx(
        once.statistic.value, rel=1e-6
    )


def test_more_references_than_scores_explain_everything():
    rng = np.random.default_rng(20)
    values = rng.normal(size=(3, 2))
    references = list(rng.normal(size=(5, 3, 2)))
    assert choice_test(values, [0, 0, 0], seed=1, references=references).p_value == 1


# ---- what the finding says ------------------------------------------------------------------------


def test_all_ties_give_p_one_with_a_warning():
    finding = choice_test(np.full((50, 3), 0.1) * 3, np.zeros(50, dtype=int), seed=1)
    assert finding.p_value == 1
    assert finding.warnings == ("All choices of every unit have the same score: p is 1.",)
    assert finding.method == "exact"
    assert finding.seed is None
    assert finding.figure is None


def test_units_that_say_nothing_are_counted():
    values = [[1.0, 1.0], [0.3, 0.1 + 0.2], [1.0, 0.0]]
    finding = choice_test(values, [0, 0, 0], seed=1)
    assert finding.p_value == pytest.approx(0.5)
    assert finding.warnings == ("2 of 3 units have tied choices and say nothing.",)


def test_the_effect_is_the_weighted_mean_advantage():
    values, chosen, weights = example()
    advantage = values[np.arange(40), chosen] - values.mean(axis=1)
    effect = choice_test(values, chosen, seed=1, weights=weights).effect
    assert effect.value == pytest.approx(np.average(advantage, weights=weights), rel=1e-12)
    assert effect.low < effect.value < effect.high


def test_the_interval_covers_the_mean_advantage():
    """Equal weights and normal advantages: Student's interval is exact, so it misses 5 % of the time."""
    rng = np.random.default_rng(21)
    misses = 0
    for _ in range(N_NULL):
        d = rng.normal(0.7, 1, size=5)
        effect = choice_test(np.column_stack([d, -d]), np.zeros(5, dtype=int), seed=0).effect
        misses += not effect.low <= 0.7 <= effect.high
    assert binom.ppf(CHANCE / 2, N_NULL, 0.05) <= misses <= at_most(0.05)


def test_one_unit_claims_no_precision():
    effect = choice_test([[1.0, 0.0, -1.0]], [0], seed=0).effect
    assert (effect.low, effect.value, effect.high) == pytest.approx((-1, 1, 1))
    assert "one unit" in effect.interval


def test_the_histogram_holds_all_draws_around_zero():
    values, chosen, _ = example()
    figure = choice_test(values, chosen, seed=1, n_resamples=500).figure
    assert isinstance(figure, NullHistogram)
    assert sum(figure.counts) == 500
    assert figure.edges[0] == -figure.edges[-1]


# ---- ghosts ---------------------------------------------------------------------------------------


def test_the_ghost_test_is_the_choice_test_of_column_zero():
    rng = np.random.default_rng(22)
    table, reference = rng.normal(size=(2, 60, 5))
    weights = rng.uniform(1, 2, size=60)
    for alternative in (Alternative.GREATER, Alternative.LESS):
        ghost = ghost_test(
            table, seed=6, references=[reference], weights=weights, alternative=alternative
        )
        choice = choice_test(
            list(table),
            np.zeros(60, dtype=int),
            seed=6,
            references=[list(reference)],
            weights=weights,
            alternative=alternative,
        )
        assert (ghost.log10_p, ghost.statistic, ghost.effect) == (
            choice.log10_p,
            choice.statistic,
            choice.effect,
        )
        assert ghost.unit == "records"
        assert ("lower" if alternative is Alternative.LESS else "higher") in ghost.question


def test_the_ghost_test_permutes_within_records():
    table = np.random.default_rng(23).normal(size=(5, 4))
    relabelled = itertools.product(range(4), repeat=5)
    sums = [sum(row[i] for row, i in zip(table, pick, strict=True)) for pick in relabelled]
    p = np.mean(np.array(sums) >= table[:, 0].sum() - 1e-12)
    assert ghost_test(table, seed=0).p_value == pytest.approx(p)


def test_stopping_early_gives_h_over_l():
    """Besag & Clifford (1991): the h-th draw that reaches the value ends the drawing."""
    rng = np.random.default_rng(41)
    values = units_of([2] * 40, rng)
    chosen = draw_choices(values, rng)
    finding = choice_test(values, chosen, seed=4, stop_after=20)
    made = int(finding.method.split("stopped at draw ")[1].split()[0])
    assert finding.p_value == pytest.approx(20 / made, rel=1e-12)
    whole = choice_test(values, chosen, seed=4, n_resamples=made)
    assert whole.p_value == pytest.approx(21 / (made + 1), rel=1e-12)


# ---- the bet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bet", [0.5, 4.0, 20.0])
@pytest.mark.parametrize("alternative", [Alternative.GREATER, Alternative.LESS])
def test_over_all_equally_likely_draws_the_mean_e_value_is_one(alternative, bet):
    """The definition of an e-value, without any sampling; equality, as the null is one law."""
    rng = np.random.default_rng(31)
    values, reference = (units_of([2, 3, 2, 4, 2], rng) for _ in range(2))
    for references in ([], [reference]):
        e_values = [
            10
            ** choice_test(
                values,
                np.array(chosen),
                seed=1,
                references=references,
                weights=[1.0, 2.0, 0.5, 1.0, 3.0],
                alternative=alternative,
                bet=bet,
            ).e_value.log10_e
            for chosen in itertools.product(*(range(len(u)) for u in values))
        ]
        assert np.mean(e_values) == pytest.approx(1, rel=1e-9)


def test_the_bet_is_a_likelihood_ratio():
    """Of choices drawn with probabilities proportional to exp(lambda x / sigma), over uniform ones."""
    rng = np.random.default_rng(32)
    values = units_of([2, 3, 5, 2], rng)
    chosen, bet = draw_choices(values, rng), 3.0
    with mpmath.workdps(40):
        x = [
            [mpmath.mpf(float(s)) - mpmath.fsum(map(float, u)) / len(u) for s in u] for u in values
        ]
        sigma = mpmath.sqrt(mpmath.fsum(mpmath.fsum(y * y for y in u) / len(u) for u in x))
        ratio = mpmath.mpf(1)
        for u, c in zip(x, chosen, strict=True):
            tilted = [mpmath.exp(bet * y / sigma) for y in u]
            ratio *= tilted[c] / mpmath.fsum(tilted) * len(u)
        expected = float(mpmath.log10(ratio))
    found = choice_test(values, chosen, seed=1, bet=bet).e_value
    assert found.log10_e == pytest.approx(expected, rel=1e-9)
    assert "lambda = 3" in found.method


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_a_large_bet_on_scores_of_any_size_stays_finite(scale):
    """All that four units can give is their 2**4 outcomes; a bet this large is on just the one that came."""
    values = [np.array([scale, 0.0])] * 4
    e_value = choice_test(values, [0, 0, 0, 0], seed=1, bet=100.0).e_value
    assert e_value.log10_e == pytest.approx(4 * math.log10(2), rel=1e-12)


def test_where_all_choices_tie_the_bet_is_returned():
    assert choice_test([[1.0, 1.0]] * 3, [0, 1, 0], seed=1).e_value.log10_e == 0


@pytest.mark.parametrize(
    ("bet", "message"),
    [
        (0.0, r"^bet: expected a number in \(0, 100\], got 0.0"),
        (-1.0, "^bet: "),
        (100.5, "^bet: "),
        (math.nan, "^bet: "),
        (math.inf, "^bet: "),
        (True, "^bet: expected a number, got True"),
        ("4", "^bet: expected a number, got '4'"),
    ],
)
def test_what_is_no_bet_is_refused(bet, message):
    with pytest.raises(InvalidInput, match=message):
        choice_test([[1.0, 2.0]] * 3, [0, 1, 0], seed=1, bet=bet)
    with pytest.raises(InvalidInput, match=message):
        ghost_test([[1.0, 2.0]] * 3, seed=1, bet=bet)


# ---- refusals -------------------------------------------------------------------------------------

GOOD = {"values": [[1.0, 2.0], [0.0, 1.0, 5.0]], "chosen": [0, 1], "seed": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [[1.0, 2.0], [0.0, math.nan, 5.0]]}, r"^values\[1\]: value nan at index 1"),
        ({"values": [[-math.inf, 2.0], [0.0, 1.0]]}, r"^values\[0\]: value -inf at index 0"),
        ({"values": [[1.0, 2.0], [2e300, 1.0, 5.0]]}, r"^values\[1\]: .* index 0 is beyond 1e300"),
        ({"values": [[1.0, 2.0], [0.0]]}, r"^values\[1\]: expected at least two choices, got 1"),
        ({"values": [[], [0.0, 1.0]]}, r"^values\[0\]: expected at least two choices, got 0"),
        ({"values": []}, "^values: expected at least one unit"),
        ({"values": 3.0}, "^values: expected one vector per unit"),
        ({"values": [1.0, 2.0]}, r"^values\[0\]: expected one dimension"),
        (
            {"values": np.zeros((2, 2, 2))},
            r"^values\[0\]: expected one dimension, got shape \(2, 2\)",
        ),
        ({"values": [[1.0, 2.0], ["a", "b"]]}, r"^values\[1\]: expected numbers"),
        ({"values": [["1", "2"], [0.0, 1.0]]}, r"^values\[0\]: expected numbers"),
        ({"values": [[1j, 2.0], [0.0, 1.0]]}, r"^values\[0\]: expected numbers"),
        ({"values": [[1.0, None], [0.0, 1.0]]}, r"^values\[0\]: value nan at index 1"),
        ({"values": [[10**400, 1], [0.0, 1.0]]}, r"^values\[0\]: expected numbers"),
        ({"values": [[1.0, [2.0]], [0.0, 1.0]]}, r"^values\[0\]: expected numbers"),
        (
            {"values": np.ma.masked_greater([[1.0, 2.0], [0.0, 9.0]], 5)},
            r"^values\[0\]: got a masked",
        ),
        ({"chosen": [0]}, "^chosen: expected 2 integers"),
        ({"chosen": [[0, 1]]}, "^chosen: expected 2 integers"),
        ({"chosen": [[0], [1, 2]]}, "^chosen: expected 2 integers"),
        ({"chosen": [0.0, 1.0]}, "^chosen: expected 2 integers, .* float64"),
        ({"chosen": [True, False]}, "^chosen: expected 2 integers, .* bool"),
        ({"chosen": [0, 3]}, r"^chosen\[1\]: expected an index in \[0, 3\), got 3"),
        ({"chosen": [-1, 0]}, r"^chosen\[0\]: expected an index in \[0, 2\), got -1"),
        ({"chosen": np.array([0, 2**63], dtype=np.uint64)}, r"^chosen\[1\]: expected an index"),
        ({"weights": [1.0]}, r"^weights: expected shape \(2,\)"),
        ({"weights": [1.0, 0.0]}, r"^weights\[1\]: expected a positive weight, got 0"),
        ({"weights": [-2.0, 1.0]}, r"^weights\[0\]: expected a positive weight, got -2"),
        ({"weights": [1.0, math.nan]}, "^weights: value nan at index 1"),
        ({"weights": [math.inf, 1.0]}, "^weights: value inf at index 0"),
        ({"references": [[[1.0, 2.0], [0.0, 1.0]]]}, r"^references\[0\]: expected the same units"),
        (
            {"references": [GOOD["values"], [[1.0, 2.0], [0.0, math.nan, 1.0]]]},
            r"^references\[1\]\[1\]: value nan at index 1",
        ),
        ({"seed": -1}, "^seed: .*got -1"),
        ({"seed": 2**64}, "^seed: "),
        ({"seed": 1.0}, r"^seed: .*got 1\.0"),
        ({"seed": True}, "^seed: .*got True"),
        ({"seed": np.True_}, "^seed: .*True"),
        ({"seed": "1"}, "^seed: "),
        ({"seed": None}, "^seed: "),
        ({"n_resamples": 0}, "^n_resamples: .*got 0"),
        ({"n_resamples": 99.0}, "^n_resamples: "),
        ({"n_resamples": True}, "^n_resamples: "),
        ({"stop_after": 0}, "^stop_after: .*got 0"),
        ({"stop_after": 100_000}, "^stop_after: expected at most n_resamples"),
        ({"alternative": Alternative.TWO_SIDED}, "^alternative: choose GREATER or LESS"),
        ({"alternative": "two-sided"}, "^alternative: choose GREATER or LESS"),
        ({"alternative": "grater"}, "^alternative: expected one of 'greater', 'less'"),
        ({"method": "guess"}, "^method: expected one of 'auto'"),
    ],
)
def test_choice_test_refuses(change, message):
    with pytest.raises(InvalidInput, match=message):
        choice_test(**{**GOOD, **change})


def test_a_plain_string_means_its_direction():
    """`"less"` is not the object `Alternative.LESS`, and must not silently test the other tail."""
    values, chosen, _ = example()
    assert choice_test(values, chosen, seed=1, alternative="less") == choice_test(
        values, chosen, seed=1, alternative=Alternative.LESS
    )


def test_infeasible_enumeration_is_refused():
    values, chosen = np.tile([1.0, 0.0], (21, 1)), np.zeros(21, dtype=int)
    with pytest.raises(InvalidInput, match=r"^method: exact enumeration of 2\*\*21.0 outcomes"):
        choice_test(values, chosen, seed=1, method=ResamplingMethod.EXACT)
    assert choice_test(values[:20], chosen[:20], seed=1).log10_p == pytest.approx(
        math.log10(2**-20)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0, 2.0]}, r"^scores: expected shape \(N, M \+ 1\)"),
        ({"scores": [[1.0], [2.0]]}, r"^scores: expected shape"),
        ({"scores": np.zeros((0, 2))}, "^scores: expected shape"),
        ({"scores": [[1.0, 2.0], [3.0]]}, "^scores: expected numbers"),
        ({"scores": [["a", "b"]]}, "^scores: expected numbers"),
        ({"scores": [[1.0, 2.0], [3.0, math.nan]]}, r"^scores\[1\]: value nan at index 1"),
        ({"scores": [[1.0, 2.0], [math.inf, 1.0]]}, r"^scores\[1\]: value inf at index 0"),
        ({"references": [np.zeros((2, 3))]}, r"^references\[0\]: expected the shape of scores"),
        ({"references": [[[1.0, 2.0], [math.nan, 0.0]]]}, r"^references\[0\]\[1\]: value nan"),
        ({"weights": [1.0, -1.0]}, r"^weights\[1\]"),
        ({"seed": True}, "^seed"),
        ({"alternative": "two-sided"}, "^alternative"),
    ],
)
def test_ghost_test_refuses(change, message):
    with pytest.raises(InvalidInput, match=message):
        ghost_test(**{"scores": [[1.0, 2.0], [3.0, 1.0]], "seed": 1, **change})
