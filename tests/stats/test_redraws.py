"""A test whose randomness is drawn anew is an innocent case: its p-values are uniform, or larger."""

import numpy as np
import pytest
from bookplate.stats import (
    Alternative,
    RankEProcess,
    SignEProcess,
    choice_test,
    ghost_test,
    paired_test,
    rank_test,
    spearman_test,
    stratified_test,
    two_sample_test,
    welch_test,
)
from bookplate.stats.redraws import redrawn, redrawn_p_values
from scipy.stats import binom

RNG = np.random.default_rng(5)
N = 60
GREATER = Alternative.GREATER


def _choices():
    values = [RNG.standard_t(2, size=k) for k in RNG.integers(2, 5, N)]
    chosen = np.array([int(v.argmax()) for v in values])  # as guilty as can be
    others = [RNG.normal(size=v.size) for v in values]
    return choice_test(values, chosen, references=[others], weights=RNG.uniform(1, 2, N), seed=1)


def _ghosts():
    scores = np.sort(RNG.normal(size=(N, 4)), axis=1)[:, ::-1]
    return ghost_test(scores, references=[scores + RNG.normal(size=scores.shape)], seed=1)


def _sequential(process, rows):
    process.extend(rows)
    return process.finding()


def _strata():
    a, b = RNG.normal(2, 1, N), RNG.normal(0, 1, N)
    return stratified_test(a, b, np.arange(N) % 3, np.arange(N) % 3, alternative=GREATER, seed=1)


def _order():
    x = np.arange(N, dtype=float)
    return spearman_test(
        x, x + RNG.normal(size=N), covariates=[RNG.normal(size=N)], alternative=GREATER, seed=1
    )


GUILTY = {
    "choice": _choices,
    "ghost": _ghosts,
    "spearman": _order,
    "paired": lambda: paired_test(RNG.normal(1, 1, N), alternative=GREATER, seed=1),
    "two-sample": lambda: two_sample_test(
        RNG.normal(2, 1, N), RNG.normal(0, 1, N), alternative=GREATER, seed=1
    ),
    "stratified": _strata,
    "welch": lambda: welch_test(RNG.normal(2, 1, N), RNG.normal(0, 1, N), alternative=GREATER),
    "rank": lambda: rank_test(9.0, RNG.normal(size=199), alternative=GREATER),
    "sign e-process": lambda: _sequential(
        SignEProcess(alternative=GREATER, alpha=0.01), RNG.normal(1, 1, N)
    ),
    "rank e-process": lambda: _sequential(
        RankEProcess(alternative=GREATER, alpha=0.01),
        list(np.sort(RNG.normal(size=(N, 4)), axis=1)[:, ::-1]),
    ),
}


@pytest.mark.parametrize("test", GUILTY)
def test_a_guilty_case_becomes_an_innocent_one(test):
    finding = GUILTY[test]()
    assert finding.p_value < 0.01
    p_values = redrawn_p_values(finding.working, 200, seed=3)
    assert finding.working.test == test
    # With 200 uniform p-values outside this once in a million; e-processes give larger ones.
    assert sum(p <= 0.05 for p in p_values) <= binom.isf(1e-6, 200, 0.05)
    if "e-process" not in test:
        assert sum(p <= 0.5 for p in p_values) >= binom.ppf(1e-6, 200, 0.5)


@pytest.mark.parametrize("test", GUILTY)
def test_a_draw_is_repeatable_and_leaves_the_numbers(test):
    working = GUILTY[test]().working
    before = {name: column.copy() for name, column in working.columns.items()}
    one, same = (redrawn(working, np.random.default_rng(7)) for _ in range(2))
    for name, column in working.columns.items():
        np.testing.assert_array_equal(column, before[name])  # what was drawn from is not changed
        np.testing.assert_array_equal(one.columns[name], same.columns[name])
        if not test.startswith(("paired", "sign")):  # there signs change, elsewhere places only
            np.testing.assert_array_equal(np.sort(one.columns[name]), np.sort(column))
    assert any((one.columns[name] != working.columns[name]).any() for name in working.columns)


def test_references_move_with_the_variants_of_a_record():
    scores = RNG.normal(size=(N, 3))
    working = ghost_test(scores, references=[10 * scores], seed=1).working
    drawn = redrawn(working, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.columns["reference_0"], 10 * drawn.columns["value"])
    rows = drawn.columns["value"].reshape(N, 3)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.sort(scores, axis=1))
