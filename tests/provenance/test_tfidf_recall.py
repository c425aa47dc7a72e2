"""What the filter may hide: intervals equal to those of exact tests, and cover as often as they say."""

import math
from fractions import Fraction

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.influence.tfidf import filter_recall, hidden_tail, random_needed


def true_recall(top, outside, m):
    """Share of the m most influential documents that are in the top; ties count against it."""
    labels = [(-value, 1) for value in top] + [(-value, 0) for value in outside]
    return sum(inside for _, inside in sorted(labels)[:m]) / m


def exact_at_most(x, n_documents, n_marked, n_drawn):
    ways = sum(
        math.comb(n_marked, j) * math.comb(n_documents - n_marked, n_drawn - j)
        for j in range(x + 1)
    )
    return Fraction(ways, math.comb(n_documents, n_drawn))


@pytest.mark.parametrize(("share_outside", "shift"), [(0.9, 1.5), (0.5, 0.3), (0.95, 3.0)])
def test_intervals_cover_at_least_as_often_as_they_say(share_outside, shift):
    """Over draws of the random stratum from one corpus; each end may err in 10 % of them."""
    rng = np.random.default_rng(0)
    n_outside = int(400 * share_outside)
    values = rng.standard_normal(400).round(1)  # with ties
    outside, top = values[:n_outside], values[n_outside:] + shift
    m, n_draws = 12, 300
    truth = true_recall(top, outside, m)
    hidden = int((outside >= np.sort(top)[-m]).sum())
    misses = np.zeros(4)
    for _ in range(n_draws):
        sample = rng.choice(outside, 60, replace=False)
        found = filter_recall(top, sample, n_outside=n_outside, m=m, confidence=0.8)
        misses += [
            truth < found.recall_low,
            truth > found.recall_high,
            hidden < found.hidden_low,
            hidden > found.hidden_high,
        ]
    assert (misses / n_draws <= 0.1 + 3 * math.sqrt(0.09 / n_draws)).all()
    assert found.recall_high < 1 or found.recall_low > 0  # says something


def test_recall_ends_are_those_of_every_hypothesis_tried_in_turn():
    rng = np.random.default_rng(1)
    for _ in range(40):
        outside, top = rng.standard_normal(80).round(1), rng.standard_normal(30).round(1) + 1
        sample, m = rng.choice(outside, 30, replace=False), int(rng.integers(1, 20))
        found = filter_recall(top, sample, n_outside=80, m=m, confidence=0.9)
        best = np.sort(top)[::-1]
        low = 0
        while low < m and (
            exact_at_most(int((sample >= best[low]).sum()), 80, m - low, 30) <= Fraction(1, 20)
        ):
            low += 1
        high = m
        while high > 0 and (
            1 - exact_at_most(int((sample >= best[high - 1]).sum()) - 1, 80, m - high, 30)
            <= Fraction(1, 20)
        ):
            high -= 1
        assert (found.recall_low, found.recall_high) == (low / m, high / m)
        x = int((sample >= best[m - 1]).sum())
        kept = [
            many
            for many in range(81)
            if exact_at_most(x, 80, many, 30) > Fraction(1, 20)
            and 1 - exact_at_most(x - 1, 80, many, 30) > Fraction(1, 20)
        ]
        assert (found.hidden_low, found.hidden_high) == (kept[0], kept[-1])


def test_with_everything_outside_scored_the_recall_is_known():
    rng = np.random.default_rng(2)
    top, outside = rng.standard_normal(50) + 1, rng.standard_normal(200)
    found = filter_recall(top, outside, n_outside=200, m=20)
    truth = true_recall(top, outside, 20)
    assert found.recall == found.recall_low == found.recall_high == truth
    assert found.hidden == found.hidden_low == found.hidden_high == found.n_above
    assert 0 < truth < 1


def test_an_empty_handed_sample_does_not_prove_that_nothing_is_hidden():
    top, sample = np.arange(200) + 5.0, np.zeros(1_000)
    found = filter_recall(top, sample, n_outside=990_000, m=100)
    assert (found.n_above, found.recall, found.recall_low, found.recall_high) == (0, 1, 0, 1)
    assert 3_600 < found.hidden_high < 3_700  # 3.7 N / n
    assert found.explained() == (
        "Of 1,000 documents drawn at random from the 990,000 outside the filter's top, 0 have at least the "
        "influence of the top's best number 100. With 95 % confidence 0 to 3,643 documents outside do, and "
        "of the corpus's 100 most influential documents 0 to 100 are in the top. The sample is too small to "
        "show that any of them are."
    )
    enough = random_needed(990_000, 100, recall=0.5)
    sample = np.zeros(enough)
    shown = filter_recall(top, sample, n_outside=990_000, m=100).recall_low
    assert shown == pytest.approx(0.5)
    assert filter_recall(top, sample[1:], n_outside=990_000, m=100).recall_low < shown


def test_without_a_sample_nothing_is_claimed():
    found = filter_recall([3.0, 2.0], [], n_outside=10, m=2)
    assert math.isnan(found.recall)
    assert math.isnan(found.hidden)
    assert (found.recall_low, found.recall_high) == (0, 1)
    assert (found.hidden_low, found.hidden_high) == (0, 10)
    none_outside = filter_recall([3.0, 2.0], [], n_outside=0, m=2)
    assert (none_outside.recall, none_outside.recall_low, none_outside.hidden_high) == (1, 1, 0)


def test_the_tail_is_estimated_without_bias_and_its_bound_covers():
    rng = np.random.default_rng(3)
    outside, top = rng.standard_normal(300), rng.standard_normal(40) + 2
    truth = np.maximum(outside, 0).sum()
    found = [
        hidden_tail(top, rng.choice(outside, 50, replace=False), n_outside=300, confidence=0.8)
        for _ in range(300)
    ]
    sums = np.array([one.outside for one in found])
    assert sums.mean() == pytest.approx(truth, abs=4 * sums.std() / math.sqrt(300))
    errors = np.array([one.standard_error for one in found])
    assert math.sqrt((errors**2).mean()) == pytest.approx(sums.std(), rel=0.15)
    beyond = [(outside > one.largest).sum() > one.most_above_largest for one in found]
    assert np.mean(beyond) <= 0.2 + 3 * math.sqrt(0.16 / 300)
    assert found[0].inside == pytest.approx(np.maximum(top, 0).sum())
    assert found[0].share_inside == found[0].inside / (found[0].inside + found[0].outside)


@pytest.mark.parametrize(
    ("top", "random", "options", "message"),
    [
        ([1.0], [0.0], {"n_outside": 5, "m": 2}, "m: expected 1 to 1"),
        ([1.0], [0.0], {"n_outside": 5, "m": 0}, "m: expected 1 to 1"),
        ([1.0], [0.0] * 6, {"n_outside": 5, "m": 1}, "cannot be of 5"),
        ([math.nan], [0.0], {"n_outside": 5, "m": 1}, "top"),
        ([1.0], [0.0], {"n_outside": 5, "m": 1, "confidence": 95}, "confidence"),
    ],
)
def test_bad_influences_are_refused(top, random, options, message):
    with pytest.raises(InvalidInput, match=message):
        filter_recall(top, random, **options)


def test_bad_plans_and_tails_are_refused():
    with pytest.raises(InvalidInput, match="at least 2"):
        hidden_tail([1.0], [1.0], n_outside=5)
    with pytest.raises(InvalidInput, match="recall"):
        random_needed(10, 5, recall=0)
    with pytest.raises(InvalidInput, match="at least 1"):
        random_needed(0, 5, recall=0.5)
