"""Test martingales: every stopping rule by enumeration, slow twins, power, resuming, refusals."""

import copy
import itertools
import json
import math

import mpmath
import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.stats.betting import share_interval
from bookplate.stats.findings import Alternative, Finding, Validity
from bookplate.stats.sequential import RankEProcess, SignEProcess
from scipy import special
from scipy.stats import binom, norm

CHANCE = 1e-6  # a correct process exceeds a bound below once in a million seeds; ours are fixed
SIGN_SIDES = list(Alternative)
RANK_SIDES = [Alternative.GREATER, Alternative.LESS]
THETAS = [2.0 ** (k / 2) for k in range(-16, 5)]
ALPHAS = (0.5, 0.2, 0.1, 0.05, 0.02)


def signs(alternative=Alternative.GREATER, alpha=0.05, fed=()):
    process = SignEProcess(alternative=alternative, alpha=alpha)
    process.extend(fed)
    return process


def ranks(alternative=Alternative.GREATER, alpha=0.05, fed=()):
    process = RankEProcess(alternative=alternative, alpha=alpha)
    process.extend(fed)
    return process


def through_json(process):
    return type(process).from_dict(json.loads(json.dumps(process.to_dict())))


# ---- every stopping rule --------------------------------------------------------------------------


def game(process, outcomes, n, history=()):
    """(sup over stopping rules of E[e], E[e after n records], {alpha: P(1/alpha is ever reached)}).

    `outcomes(history)` lists the equally likely next records; the best stopping rule is found backwards.
    """
    now = 10.0**process.log10_e
    if len(history) == n:
        return now, now, {alpha: float(process.log10_p <= math.log10(alpha)) for alpha in ALPHAS}
    best, mean, reached = 0.0, 0.0, dict.fromkeys(ALPHAS, 0.0)
    records = outcomes(history)
    for index, record in enumerate(records):
        child = copy.deepcopy(process)
        child.feed(record)
        below = game(child, outcomes, n, (*history, index))
        best += below[0] / len(records)
        mean += below[1] / len(records)
        for alpha in ALPHAS:
            reached[alpha] += below[2][alpha] / len(records)
    return max(now, best), mean, reached


SIZES = np.random.default_rng(1).standard_cauchy(size=12)
SIGN_GAMES = {
    "equal sizes": lambda past: (1.0, -1.0),
    "heavy tails": lambda past: (SIZES[len(past)], -SIZES[len(past)]),
    "growing sizes": lambda past: (3.0 ** len(past), -(3.0 ** len(past))),
    "zeros": lambda past: (SIZES[len(past)] * (len(past) % 2), -SIZES[len(past)] * (len(past) % 2)),
    # The size follows the signs so far: large after losses (index 1 is a minus), 0 after two in a row.
    "sizes that follow the signs": lambda past: tuple(
        s * 4.0 ** sum(past) * (past[-2:] != (1, 1)) for s in (1, -1)
    ),
}


@pytest.mark.parametrize("alternative", SIGN_SIDES)
@pytest.mark.parametrize("world", SIGN_GAMES)
def test_no_stopping_rule_gains_on_fair_signs(world, alternative):
    """A martingale: E[e] is 1 for every stopping rule, so the best one gains nothing."""
    best, mean, reached = game(signs(alternative), SIGN_GAMES[world], 10)
    assert best == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx(1, abs=1e-12)
    assert all(probability <= alpha for alpha, probability in reached.items())


@pytest.mark.parametrize("alternative", SIGN_SIDES)
def test_villes_inequality_over_all_signs_of_twelve_records(alternative):
    _, _, reached = game(signs(alternative), SIGN_GAMES["heavy tails"], 12)
    assert all(probability <= alpha for alpha, probability in reached.items())
    assert reached[0.05] > 0  # it is no empty promise


def columns(*scores):
    """Each variant in turn as the released one."""
    return [(scores[i], *scores[:i], *scores[i + 1 :]) for i in range(len(scores))]


RANK_GAMES = {
    "one ghost": (8, lambda past: columns(0.3, -1.0)),
    "three ghosts": (5, lambda past: columns(5.0, 1e300, -2.0, 1e-300)),
    "as many as the past says": (5, lambda past: columns(*range(2 + sum(past) % 4))),
}
TIED_GAMES = {
    "some ties": (5, lambda past: columns(1.0, 1.0, 2.0, 0.0)),
    "all tied": (5, lambda past: columns(1.0, 1.0, 1.0)),
    "ties now and then": (6, lambda past: columns(1.0, 2.0, 1.0 + len(past) % 2)),
}


@pytest.mark.parametrize("alternative", RANK_SIDES)
@pytest.mark.parametrize("world", RANK_GAMES)
def test_no_stopping_rule_gains_on_fair_ranks(world, alternative):
    n, outcomes = RANK_GAMES[world]
    best, mean, reached = game(ranks(alternative), outcomes, n)
    assert best == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx(1, abs=1e-12)
    assert all(probability <= alpha for alpha, probability in reached.items())


@pytest.mark.parametrize("alternative", RANK_SIDES)
@pytest.mark.parametrize("world", TIED_GAMES)
def test_ties_count_against_the_claim(world, alternative):
    """A supermartingale: the best stopping rule is not to begin, and going on loses."""
    n, outcomes = TIED_GAMES[world]
    best, mean, reached = game(ranks(alternative), outcomes, n)
    assert best == pytest.approx(1, abs=1e-12)
    assert mean < 1 - 1e-3
    assert all(probability <= alpha for alpha, probability in reached.items())


def test_villes_inequality_over_all_ranks_of_seven_records():
    _, _, reached = game(ranks(), lambda past: columns(1.0, 2.0, 3.0), 7)
    assert all(probability <= alpha for alpha, probability in reached.items())
    assert reached[0.05] > 0


# ---- slow twins -----------------------------------------------------------------------------------


def twin_sign_path(d, alternative):
    """The capital after each record, from the definition, in 50 digits."""
    thetas = [
        sign * theta
        for theta in THETAS
        for sign in {"greater": [1], "less": [-1], "two-sided": [1, -1]}[alternative]
    ]
    with mpmath.workdps(50):
        parts, path = [mpmath.mpf(1)] * len(thetas), []
        for i, now in enumerate(map(mpmath.mpf, d)):
            if now != 0:
                roots = [mpmath.sqrt(abs(mpmath.mpf(x))) for x in d[: i + 1] if x != 0]
                v = min(abs(now) / (sum(roots) / len(roots)) ** 2, mpmath.mpf(2.5))
                x = v if now > 0 else -v
                parts = [
                    part * mpmath.exp(theta * x) / mpmath.cosh(theta * x)
                    for part, theta in zip(parts, thetas, strict=True)
                ]
            path.append(float(mpmath.log10(sum(parts) / len(parts))))
    return path


def twin_rank_path(records, alternative):
    with mpmath.workdps(50):
        parts, path = [mpmath.mpf(1)] * len(THETAS), []
        for released, *ghosts in records:
            beaten = [g > released if alternative == "less" else g < released for g in ghosts]
            m = len(ghosts)
            u = [
                mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(r) / (m + 2) - 1)
                for r in range(1, m + 2)
            ]
            spread = mpmath.sqrt(sum(x * x for x in u) / (m + 1))
            u = [x / spread for x in u]
            parts = [
                part
                * mpmath.exp(theta * u[sum(beaten)])
                / (sum(mpmath.exp(theta * x) for x in u) / (m + 1))
                for part, theta in zip(parts, THETAS, strict=True)
            ]
            path.append(float(mpmath.log10(sum(parts) / len(parts))))
    return path


def assert_follows(process, records, path):
    top = 0.0
    for n, (record, expected) in enumerate(zip(records, path, strict=True), start=1):
        process.feed(record)
        top = max(top, expected)
        assert process.n == n
        assert process.log10_e == pytest.approx(expected, rel=1e-11, abs=1e-12)
        assert process.log10_p == pytest.approx(-top, rel=1e-11, abs=1e-12)
        assert process.log10_p <= 0
    first = next((n for n, e in enumerate(path, 1) if e >= -math.log10(process.alpha)), None)
    assert process.n_at_rejection == first
    assert process.rejected == (first is not None)


@pytest.mark.parametrize("alternative", SIGN_SIDES)
@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.5])
def test_sign_capital_is_its_slow_twin(alternative, shift):
    rng = np.random.default_rng(2)
    d = rng.standard_t(2, size=60) + shift
    d[[0, 7, 8, 59]] = 0.0, -0.0, 1e12, 0.0
    assert_follows(signs(alternative), d.tolist(), twin_sign_path(d.tolist(), alternative))


@pytest.mark.parametrize("alternative", RANK_SIDES)
@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0])
def test_rank_capital_is_its_slow_twin(alternative, shift):
    rng = np.random.default_rng(3)
    records = []
    for m in rng.integers(1, 12, size=50):
        scores = rng.normal(size=m + 1).round(1)  # ties
        scores[0] += shift
        records.append(scores.tolist())
    assert_follows(ranks(alternative), records, twin_rank_path(records, alternative))


# ---- laws -----------------------------------------------------------------------------------------


def test_two_sided_capital_is_the_mean_of_both_sides():
    d = np.random.default_rng(4).normal(size=50)
    greater, less, both = (10 ** signs(side, fed=d).log10_e for side in SIGN_SIDES)
    assert both == pytest.approx((greater + less) / 2, rel=1e-12)


def test_mirrored_data_mirror_the_capital():
    rng = np.random.default_rng(5)
    d, records = rng.normal(size=100) + 0.2, rng.normal(size=(40, 5)).round(1)
    assert signs("greater", fed=d).log10_e == signs("less", fed=-d).log10_e
    assert ranks("greater", fed=records).log10_e == ranks("less", fed=-records).log10_e


def test_scale_zeros_and_monotone_transforms_change_nothing():
    rng = np.random.default_rng(6)
    d = rng.normal(size=100) + 0.2
    plain = signs(fed=d)
    for exponent in (900, -900):
        assert signs(fed=d * 2.0**exponent).log10_e == plain.log10_e
    assert signs(fed=np.insert(d, [0, 50, 100], 0.0)).log10_p == plain.log10_p
    records = rng.normal(size=(40, 5))
    shuffled = np.column_stack([records[:, 0], rng.permuted(records[:, 1:], axis=1)])
    assert ranks(fed=np.exp(shuffled)).log10_e == ranks(fed=records).log10_e


def test_one_ghost_is_a_sign():
    """With M = 1 the normal scores are -1 and 1, as signs of equal sizes are."""
    s = np.where(np.random.default_rng(7).random(200) < 0.6, 1.0, -1.0)
    process = ranks(fed=np.column_stack([s, np.zeros(200)]))
    assert process.log10_e == pytest.approx(signs(fed=s).log10_e, rel=1e-10)


def test_one_wild_record_does_little_harm():
    """Neither its bet nor the scale it leaves behind ruins the others'."""
    d = np.random.default_rng(8).normal(size=400) + 0.5
    wild = d.copy()
    wild[200] = -1e4
    assert signs(fed=wild).log10_e > 0.8 * signs(fed=d).log10_e > 8


def test_once_rejected_always_rejected():
    process = signs(alpha=0.01, fed=np.ones(20))
    n, p = process.n_at_rejection, process.log10_p
    assert process.rejected
    process.extend(-np.ones(500))
    assert process.log10_e < -1.5
    assert (process.rejected, process.n_at_rejection, process.log10_p) == (True, n, p)
    assert not process.finding().rejects(1e-9)
    assert process.finding().rejects(0.01)


def test_what_is_lost_after_the_level_was_reached_does_not_count():
    """The e-value of the finding belongs to the stopping time fixed at the start."""
    process = signs(alpha=0.01, fed=np.ones(20))
    then = process.finding().e_value.log10_e
    assert then >= 2
    process.extend(-np.ones(500))
    assert process.log10_e < 0
    assert process.finding().e_value.log10_e == then
    continued = SignEProcess.from_dict(process.to_dict())
    assert continued.finding().e_value.log10_e == then


def test_before_the_first_record():
    for process in (signs(), ranks()):
        assert (process.n, process.log10_e, process.log10_p) == (0, 0.0, 0.0)
        assert (process.rejected, process.n_at_rejection) == (False, None)
        assert math.copysign(1, process.log10_p) == 1
        with pytest.raises(InsufficientEvidence, match="no record was fed"):
            process.finding()


# ---- size, against one who stops at the maximum ---------------------------------------------------


def dependent_sizes(rng, n):
    """The further the signs have run to one side, the larger the next difference."""
    s = rng.choice([-1.0, 1.0], size=n)
    ahead = np.concatenate([[0.0], np.cumsum(s)[:-1]])
    return s * np.exp2(np.clip(-ahead, -20, 20))


WORLDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "ties": lambda rng, n: rng.integers(-2, 3, size=n).astype(float),
    "unequal spread": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-2, 3, size=n),
    "dependent sizes": dependent_sizes,
}


@pytest.mark.parametrize("world", WORLDS)
def test_stopping_at_the_maximum_keeps_the_level_for_signs(world):
    rng, n_runs = np.random.default_rng(9), 2_000
    for alternative in (Alternative.GREATER, Alternative.TWO_SIDED):
        log10_p = np.array([
            signs(alternative, fed=WORLDS[world](rng, 300)).log10_p for _ in range(n_runs)
        ])
        for alpha in (0.1, 0.05, 0.01, 0.001):
            hits = np.count_nonzero(log10_p <= math.log10(alpha))
            assert hits <= binom.ppf(1 - CHANCE, n_runs, alpha)


@pytest.mark.parametrize("decimals", [8, 0])
def test_stopping_at_the_maximum_keeps_the_level_for_ranks(decimals):
    """Scores of a record share its level; rounded to whole numbers they tie most of the time."""
    rng, n_runs = np.random.default_rng(10), 2_000
    log10_p = np.array([
        ranks(
            fed=(rng.normal(size=(200, 5)) + 5 * rng.standard_cauchy(size=(200, 1))).round(decimals)
        ).log10_p
        for _ in range(n_runs)
    ])
    for alpha in (0.1, 0.05, 0.01, 0.001):
        hits = np.count_nonzero(log10_p <= math.log10(alpha))
        assert hits <= binom.ppf(1 - CHANCE, n_runs, alpha)


# ---- power ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "times"),
    [(0.01, 2.8), (1e-6, 1.8)],  # measured 2.4 and 1.5
)
@pytest.mark.parametrize("effect", [0.1, 0.3, 1.0])
def test_a_planted_effect_is_found_soon(effect, alpha, times):
    """Against the n at which a z test fixed at n rejects half the time: (z_alpha / effect)**2.

    And 10 records: a large effect is not found faster than capital can double, and 1 of 21 parts has it.
    """
    rng, fixed_n = np.random.default_rng(11), (norm.isf(alpha) / effect) ** 2
    n = math.ceil(6 * fixed_n) + 20
    stops = [
        signs(alpha=alpha, fed=rng.normal(size=n) + effect).n_at_rejection or math.inf
        for _ in range(101)
    ]
    assert np.median(stops) <= times * fixed_n + 10


def test_a_planted_effect_is_found_among_ghosts():
    """A shift of 1 sd against 9 ghosts: the record's information is a little below a z of 1."""
    rng = np.random.default_rng(12)
    stops = []
    for _ in range(101):
        records = rng.normal(size=(200, 10))
        records[:, 0] -= 1
        stops.append(ranks("less", alpha=1e-6, fed=records).n_at_rejection or math.inf)
    assert np.median(stops) <= 2.2 * norm.isf(1e-6) ** 2


@pytest.mark.parametrize("effect", [0.02, 0.1, 0.5, 2.0])
def test_the_mixture_holds_its_best_part_but_for_its_share(effect):
    d = np.random.default_rng(13).normal(size=20_000)[: math.ceil(200 / effect**2)] + effect
    process = signs(fed=d)
    logs = process.to_dict()["log_capitals"]
    best = max(logs) / math.log(10)
    assert best - math.log10(21) - 1e-9 <= process.log10_e <= best + 1e-9
    assert 0 < int(np.argmax(logs)) < 20  # the best strength lies inside the grid


# ---- feeding and resuming -------------------------------------------------------------------------


def sign_records(rng, n):
    return WORLDS["unequal spread"](rng, n).round(2) + 0.01


def rank_records(rng, n):
    return [rng.normal(size=m + 1).round(1) for m in rng.integers(1, 9, size=n)]


KINDS = pytest.mark.parametrize(
    ("start", "records"),
    [
        *((lambda side=side: signs(side), sign_records) for side in SIGN_SIDES),
        *((lambda side=side: ranks(side), rank_records) for side in RANK_SIDES),
    ],
)


@KINDS
def test_extending_is_feeding_to_the_last_bit(start, records):
    fed = records(np.random.default_rng(14), 700)
    one_by_one, at_once, in_parts = start(), start(), start()
    for record in fed:
        one_by_one.feed(record)
    at_once.extend(fed)
    for first, last in itertools.pairwise([0, 1, 2, 2, 300, 699, 700]):
        in_parts.extend(fed[first:last])
    assert one_by_one.to_dict() == at_once.to_dict() == in_parts.to_dict()
    assert one_by_one.finding() == at_once.finding()


@KINDS
def test_an_interrupted_process_goes_on_to_the_last_bit(start, records):
    fed = records(np.random.default_rng(15), 60)
    whole, resumed = start(), start()
    for record in fed:
        whole.feed(record)
        resumed.feed(record)
        resumed = through_json(resumed)
        assert resumed.to_dict() == whole.to_dict()
    assert resumed.finding() == whole.finding()
    assert through_json(start()).to_dict() == start().to_dict()


def test_a_table_and_a_list_of_records_are_the_same():
    records = np.random.default_rng(16).normal(size=(30, 4))
    assert ranks(fed=records).to_dict() == ranks(fed=records.tolist()).to_dict()


def test_a_saved_state_depends_on_this_grid():
    """States of version 1 were made with these bets: a change of them needs a new version."""
    state = signs(fed=[3.0, -1.0, 0.0, 3.0]).to_dict()
    assert state["version"] == 1
    ratios = (1.0, -1 / ((math.sqrt(3) + 1) / 2) ** 2, 3 / ((2 * math.sqrt(3) + 1) / 3) ** 2)
    expected = [sum(t * v - math.log(math.cosh(t * v)) for v in ratios) for t in THETAS]
    assert state["log_capitals"] == pytest.approx(expected, rel=1e-12)


# ---- extremes -------------------------------------------------------------------------------------


def test_the_ends_of_the_number_line():
    for d in (
        [1e300, -1e300, 1e-300, 5e-324, -5e-324, 1e300],
        [5e-324, 1e300, 5e-324],
        [5e-324] * 5,
    ):
        for side in SIGN_SIDES:
            process = signs(side, fed=d)
            path = twin_sign_path(d, side)
            assert process.log10_e == pytest.approx(path[-1], rel=1e-11, abs=1e-12)
            assert through_json(process).to_dict() == process.to_dict()
    assert signs(fed=np.full(10_000, 1e300)).log10_e == signs(fed=np.ones(10_000)).log10_e
    scores = [[1e300, -1e300, 5e-324], [-1e300, 0.0, -5e-324]]
    assert ranks(fed=scores).log10_e == ranks(fed=[[3, 1, 2], [1, 3, 2]]).log10_e


def test_a_million_records_of_one_sign():
    """Beyond any float: e = 10**301,000 for the right side; the other side is broke, not NaN."""
    n = 1_000_000
    won, lost = signs("greater", fed=np.ones(n)), signs("less", fed=np.ones(n))
    with mpmath.workdps(30):
        for process, sign in ((won, 1), (lost, -1)):
            e = mpmath.fsum(
                (mpmath.exp(sign * t) / mpmath.cosh(t)) ** n for t in map(mpmath.mpf, THETAS)
            )
            assert process.log10_e == pytest.approx(float(mpmath.log10(e / 21)), rel=1e-9)
    assert won.log10_p == -won.log10_e < -300_000
    assert lost.log10_e < -1_700
    assert lost.log10_p == 0
    finding = lost.finding()
    assert (finding.p_value, finding.e_value.log10_e) == (1, lost.log10_e)
    assert won.finding().p_text.endswith(f"e-{math.ceil(won.log10_e)}")


def test_many_ghosts():
    rng = np.random.default_rng(17)
    process = ranks(fed=[rng.normal(size=100_000), rng.normal(size=2), rng.normal(size=100_000)])
    assert math.isfinite(process.log10_e)
    top = ranks(
        fed=[np.arange(1_000.0, 0.0, -1.0)]
    )  # the best of 1,000 multiplies by at most 1,000
    assert 1 < top.log10_e < 3


# ---- the finding ----------------------------------------------------------------------------------


def test_the_finding_says_what_was_found():
    d = np.concatenate([np.random.default_rng(18).normal(size=200) + 0.5, np.zeros(3)])
    process = signs(alpha=0.01, fed=d)
    finding = process.finding()
    assert finding.log10_p == process.log10_p == -finding.statistic.value
    assert finding.e_value.log10_e >= 2  # as it was when the level was reached
    assert "at the level" in finding.e_value.method
    assert (finding.n, finding.unit, finding.seed) == (203, "pairs", None)
    assert finding.valid is Validity.FINITE_SAMPLE
    assert finding.effect.value == pytest.approx((np.count_nonzero(d > 0) + 1.5) / 203)
    assert finding.effect.low < finding.effect.value < finding.effect.high
    assert finding.warnings == ("3 of 203 differences are 0 and say nothing.",)
    for words in ("test martingale, mixture of 21 bets", "anytime-valid", "alpha=0.01"):
        assert words in finding.method
    assert f"reached at record {process.n_at_rejection}" in finding.method
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding
    assert len(finding.assumptions) == 6


def test_the_rank_finding_says_what_was_found():
    records = [[2.0, 1.0, 3.0], [1.0, 1.0, 0.0], [0.0, 0.0]]
    finding = ranks("less", fed=records).finding()
    assert finding.effect.value == pytest.approx((0.5 + 0.75 + 0.5) / 3)
    assert (finding.n, finding.unit) == (3, "records")
    assert finding.question == "Does the released variant score lower than its ghosts?"
    assert finding.warnings == (
        "In 2 of 3 records a ghost ties with the released variant; ties count against the claim.",
    )
    assert "not reached so far" in finding.method
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding


def test_differences_of_0_only():
    process = signs("two-sided", fed=np.zeros(30))
    finding = process.finding()
    assert (process.log10_e, finding.p_value, finding.effect.value) == (0, 1, 0.5)
    assert finding.warnings == ("30 of 30 differences are 0 and say nothing.",)


def test_the_effect_interval_is_where_the_mixture_is_below_20():
    for total, n in ((0, 1), (1, 1), (0, 40), (40, 40), (13, 40), (12.75, 40), (5e5, 1_000_000)):
        low, high = share_interval(total, n)
        assert 0 <= low <= total / n <= high <= 1
        for p in {low, high} - {0, 1}:
            fit = special.xlogy(total, p) + special.xlog1py(n - total, -p)
            log_ratio = special.betaln(total + 1, n - total + 1) - fit
            assert log_ratio == pytest.approx(math.log(20), abs=1e-6)
    assert share_interval(0, 40)[0] == 0
    assert share_interval(40, 40)[1] == 1


@pytest.mark.parametrize("concentration", [0.0, 0.5, 3.0])
def test_the_effect_interval_holds_at_all_times(concentration):
    """Shares of mean 0.7, of 0 and 1 or in between; the interval is checked at 25 times in each run."""
    rng, n_runs = np.random.default_rng(19), 300
    times = np.unique(np.geomspace(1, 2_000, 25, dtype=int))
    missed = 0
    for _ in range(n_runs):
        x = (
            rng.beta(0.7 * concentration, 0.3 * concentration, size=2_000)
            if concentration
            else (rng.random(2_000) < 0.7).astype(float)
        )
        totals = np.cumsum(x)[times - 1]
        intervals = [share_interval(s, int(n)) for s, n in zip(totals, times, strict=True)]
        missed += any(not low <= 0.7 <= high for low, high in intervals)
    assert missed <= binom.ppf(1 - CHANCE, n_runs, 0.05)


# ---- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SignEProcess, RankEProcess])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alternative": "bigger"}, r"alternative: expected one of 'greater', 'less'"),
        ({"alternative": None}, r"alternative: expected one of"),
        ({"alpha": 0}, r"alpha: expected a number in \(0, 1\), got 0"),
        ({"alpha": 1.0}, r"alpha: expected a number in \(0, 1\), got 1.0"),
        ({"alpha": -0.1}, r"alpha: expected a number in"),
        ({"alpha": math.nan}, r"alpha: expected a number in \(0, 1\), got nan"),
        ({"alpha": True}, r"alpha: expected a number in \(0, 1\), got True"),
        ({"alpha": "0.05"}, r"alpha: expected a number in \(0, 1\), got '0.05'"),
        ({"alpha": None}, r"alpha: expected a number in"),
    ],
)
def test_malformed_options_are_refused(kind, changes, message):
    with pytest.raises(InvalidInput, match=message):
        kind(**{"alternative": "greater", "alpha": 0.05, **changes})


@pytest.mark.parametrize("kind", [SignEProcess, RankEProcess])
def test_direction_and_level_are_never_guessed(kind):
    with pytest.raises(TypeError):
        kind(alternative="greater")
    with pytest.raises(TypeError):
        kind(alpha=0.05)


def test_ghosts_have_two_directions():
    with pytest.raises(InvalidInput, match="expected one of 'greater', 'less', got 'two-sided'"):
        ranks("two-sided")


def refused(process, how, record, message):
    before = process.to_dict()
    with pytest.raises(InvalidInput, match=message):
        getattr(process, how)(record)
    assert process.to_dict() == before


@pytest.mark.parametrize(
    ("how", "record", "message"),
    [
        ("feed", math.nan, r"difference: expected a finite number up to 1e300, got nan"),
        ("feed", -math.inf, r"difference: expected a finite number up to 1e300, got -inf"),
        ("feed", 2e300, r"difference: expected a finite number up to 1e300, got 2e\+300"),
        ("feed", 10**400, r"difference: expected a finite number up to 1e300"),
        ("feed", True, r"difference: expected a number, got True"),
        ("feed", "1.0", r"difference: expected a number, got '1.0'"),
        ("feed", None, r"difference: expected a number, got None"),
        ("feed", [1.0], r"difference: expected a number, got \[1.0\]"),
        ("feed", 1j, r"difference: expected a number, got 1j"),
        ("extend", [1.0, math.nan], r"differences: value nan at index 1 is not finite"),
        ("extend", [1.0, 2.0, -math.inf], r"differences: value -inf at index 2 is not finite"),
        ("extend", [1.0, -2e300], r"differences: value -2e\+300 at index 1 is beyond 1e300"),
        ("extend", [[1.0, 2.0]], r"differences: expected one dimension, got shape \(1, 2\)"),
        ("extend", 1.0, r"differences: expected one dimension, got shape \(\)"),
        ("extend", ["a"], r"differences: expected numbers"),
        ("extend", (x for x in (1.0, 2.0)), r"differences: expected numbers, got generator"),
    ],
)
def test_malformed_differences_change_nothing(how, record, message):
    refused(signs(fed=[1.0, -2.0, 3.0]), how, record, message)


@pytest.mark.parametrize(
    ("how", "record", "message"),
    [
        ("feed", [1.0, math.nan], r"scores: value nan at index 1 is not finite"),
        ("feed", [math.inf, 1.0], r"scores: value inf at index 0 is not finite"),
        ("feed", [1.0, 2e300], r"scores: value 2e\+300 at index 1 is beyond 1e300"),
        ("feed", [1.0], r"scores: expected the released variant and at least one ghost"),
        ("feed", [], r"scores: expected the released variant and at least one ghost"),
        ("feed", 1.0, r"scores: expected one dimension, got shape \(\)"),
        ("feed", [[1.0, 2.0]], r"scores: expected one dimension, got shape \(1, 2\)"),
        ("feed", ["a", "b"], r"scores: expected numbers"),
        ("feed", "ab", r"scores: expected numbers"),
        ("extend", [[1, 2], [1, math.nan]], r"records\[1\]: value nan at index 1 is not finite"),
        ("extend", [[1, 2], [1, 2], [-2e300, 1]], r"records\[2\]: value -2e\+300 at index 0"),
        ("extend", [[1, 2], [1]], r"records\[1\]: expected at least two choices, got 1"),
        ("extend", np.ones((3, 1)), r"records\[0\]: expected at least two choices, got 1"),
        ("extend", [1.0, 2.0], r"records\[0\]: expected one dimension, got shape \(\)"),
        ("extend", ["ab", "cd"], r"records\[0\]: expected numbers"),
        ("extend", 3, r"records: expected one vector per unit, got int"),
    ],
)
def test_malformed_scores_change_nothing(how, record, message):
    refused(ranks(fed=[[1.0, 2.0], [3.0, 1.0, 1.0]]), how, record, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "bookplate rank e-process"}, r"expected format 'bookplate sign e-process'"),
        ({"version": 2}, r"of version 1, got 'bookplate sign e-process' of version 2"),
        ({"alternative": "bigger"}, r"alternative: expected one of"),
        ({"alternative": "two-sided"}, r"log_capitals'\]: expected 42 numbers"),
        ({"alternative": 1}, r"alternative: expected one of"),
        ({"alpha": True}, r"alpha: expected a number"),
        ({"alpha": 2}, r"alpha: expected a number"),
        ({"alpha": 0.9}, r"contradict each other"),
        ({"n": -1}, r"'n'\]: expected an integer of at least 0, got -1"),
        ({"n": 3.0}, r"'n'\]: expected an integer"),
        ({"n": True}, r"'n'\]: expected an integer"),
        ({"n": 0}, r"share_total|capital has changed"),
        ({"log_capitals": [0.0] * 20}, r"log_capitals'\]: expected 21 numbers"),
        ({"log_capitals": "0" * 21}, r"log_capitals'\]: expected 21 numbers"),
        ({"log_capitals": [0.0] * 20 + [math.nan]}, r"log_capitals'\]\[20\]: expected a number"),
        ({"log_capitals": [None] * 21}, r"log_capitals'\]\[0\]: expected a number, got None"),
        ({"log_capitals": [9.0] * 21}, r"top_log10_e'\]: expected a finite number in \[3.9"),
        ({"top_log10_e": -0.1}, r"top_log10_e'\]: expected a finite number"),
        ({"top_log10_e": math.inf}, r"top_log10_e'\]: expected a finite number"),
        ({"top_log10_e": 5.0}, r"contradict each other"),
        ({"n_at_rejection": 2}, r"contradict each other"),
        ({"n_at_rejection": 0}, r"n_at_rejection'\]: expected an integer of at least 1"),
        (
            {"n_at_rejection": 4},
            r"n_at_rejection'\]: expected an integer of at least 1 and at most 3",
        ),
        ({"share_total": 3.5}, r"share_total'\]: expected a finite number in \[0.0, 3.0\]"),
        ({"n_nonzero": 4}, r"n_nonzero'\]: expected an integer of at least 0 and at most 3"),
        ({"n_nonzero": 0}, r"n_nonzero and mean_root contradict each other"),
        ({"mean_root": -1.0}, r"mean_root'\]: expected a finite number"),
        ({"mean_root": "2"}, r"mean_root'\]: expected a finite number"),
        ({"extra": 1}, r"fields missing or unknown: \['extra'\]"),
        ({"n": ...}, r"fields missing or unknown: \['n'\]"),
        ({"format": ...}, r"got None of version 1"),
    ],
)
def test_a_contradictory_state_is_refused(changes, message):
    state = {**signs(fed=[1.0, -2.0, 3.0]).to_dict(), **changes}
    state = {key: value for key, value in state.items() if value is not ...}
    with pytest.raises(InvalidInput, match=message):
        SignEProcess.from_dict(state)


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(InvalidInput, match="expected a mapping, got list"):
        RankEProcess.from_dict([])
    with pytest.raises(InvalidInput, match="expected format 'bookplate rank e-process'"):
        RankEProcess.from_dict(signs().to_dict())
    state = {**ranks(fed=[[1.0, 2.0]]).to_dict(), "n_tied": 2}
    with pytest.raises(
        InvalidInput, match=r"n_tied'\]: expected an integer of at least 0 and at most 1"
    ):
        RankEProcess.from_dict(state)
    with pytest.raises(InvalidInput, match="capital has changed, but n is 0"):
        RankEProcess.from_dict({**ranks().to_dict(), "log_capitals": [-1.0] * 21})
