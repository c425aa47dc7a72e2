"""The calibrator is one (its mean under the null is 1), and the verbal scale reads its edges downwards."""

import math

import mpmath
import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import (
    VERBAL_SCALE,
    calibrated_log10_e,
    choice_test,
    e_value_of,
    paired_test,
    verbal_scale,
    verbal_strength,
)
from scipy import integrate


def e_value(p: float) -> float:
    return 10 ** calibrated_log10_e(math.log10(p))


def test_one_in_a_million_is_an_e_value_of_5239():
    """Not a million: 1/p is no e-value."""
    assert e_value(1e-6) == pytest.approx(5_239, abs=0.5)


@pytest.mark.parametrize(
    ("e", "p"),
    [(2, 0.040), (10, 2.9e-3), (100, 1.2e-4), (1_000, 7.1e-6), (10_000, 4.7e-7), (1e6, 2.5e-9)],
)
def test_each_band_begins_at_the_p_value_of_the_evidence_guide(e, p):
    """The guide gives two digits of p; e moves by less than p does."""
    assert e_value(p) == pytest.approx(e, rel=0.05)


@pytest.mark.parametrize(
    "log10_p", [-1e-9, -1e-4, -4.3e-4, -4.4e-4, -0.01, -1.0, -3.0, -300.0, -400.0, -1e4]
)
def test_the_e_value_is_its_formula(log10_p):
    with mpmath.workdps(60):
        p = mpmath.power(10, mpmath.mpf(log10_p))
        e = (1 - p + p * mpmath.log(p)) / (p * mpmath.log(p) ** 2)
        expected = float(mpmath.log10(e))
    assert calibrated_log10_e(log10_p) == pytest.approx(expected, rel=1e-9)


def test_at_p_one_the_e_value_is_one_half():
    assert calibrated_log10_e(0.0) == math.log10(0.5)


def test_the_mean_e_value_under_the_null_is_one():
    """With p = exp(-u), the integral of e(p) over (0, 1) is that of (1 - e^-u - u e^-u) / u^2.

    Its upper part, beyond U = 500, is 1/U up to e^-U.
    """
    log10_e_is = math.log10(math.e)
    part, error = integrate.quad(
        lambda u: 10 ** calibrated_log10_e(-u * log10_e_is) * math.exp(-u),
        0,
        500,
        points=[1e-3, 1, 10, 100],
        limit=400,
    )
    assert error < 1e-8
    assert part + 1 / 500 == pytest.approx(1, abs=1e-7)


def test_smaller_p_means_more_evidence():
    """Strictly, also across p = exp(-0.001), where the series takes over."""
    curve = [calibrated_log10_e(p) for p in -np.geomspace(1e-6, 1e6, 4_000)]
    assert (np.diff(curve) > 0).all()
    assert all(math.isfinite(e) for e in curve)


def test_the_series_joins_the_formula():
    """The next term of the series is 8e-12; cancellation in the formula costs 1e-9 at most."""
    switch = -1e-3 * math.log10(math.e)
    left, right = (calibrated_log10_e(switch * (1 + d)) for d in (1e-9, -1e-9))
    assert left == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize("log10_p", [0.1, math.nan, -math.inf, math.inf])
def test_what_is_no_p_value_is_refused(log10_p):
    with pytest.raises(InvalidInput, match=r"^expected log10_p in \(-inf, 0\], got"):
        calibrated_log10_e(log10_p)


@pytest.mark.parametrize(
    ("e", "word"),
    [
        (0.0, "none"),
        (0.5, "none"),
        (1.0, "none"),
        (2.0, "none"),
        (2.001, "weak"),
        (10.0, "weak"),
        (10.01, "moderate"),
        (100.0, "moderate"),
        (100.1, "moderately strong"),
        (1_000.0, "moderately strong"),
        (1_001.0, "strong"),
        (10_000.0, "strong"),
        (10_001.0, "very strong"),
        (1e6, "very strong"),
        (1.0001e6, "extremely strong"),
        (1e300, "extremely strong"),
    ],
)
def test_an_edge_belongs_to_the_band_below(e, word):
    assert verbal_strength(math.log10(e) if e else -math.inf) == word


def test_the_scale_falls_from_strong_to_weak():
    edges = [edge for edge, _ in VERBAL_SCALE]
    assert edges == sorted(edges, reverse=True)
    assert len({word for _, word in VERBAL_SCALE}) == len(VERBAL_SCALE)


@pytest.mark.parametrize("log10_e", [math.nan, math.inf])
def test_what_is_no_e_value_gets_no_word(log10_e):
    with pytest.raises(InvalidInput, match=r"^expected log10_e in \[-inf, inf\), got"):
        verbal_strength(log10_e)


def test_a_finding_is_worded_by_its_own_bet_where_it_has_one():
    """Whatever came out: the larger of two e-values is none."""
    rng = np.random.default_rng(20261121)
    for shift in (0.0, 0.5):
        values = rng.normal(size=(300, 2)) + np.array([shift, 0.0])
        finding = choice_test(list(values), np.zeros(300, dtype=int), seed=1)
        assert e_value_of(finding) == finding.e_value
        assert finding.e_value.log10_e != calibrated_log10_e(finding.log10_p)
        strength = verbal_scale(finding)
        assert strength.e_value == finding.e_value
        assert strength.word == verbal_strength(finding.e_value.log10_e)


def test_a_finding_without_a_bet_is_worded_by_its_p_value():
    finding = paired_test(np.full(40, 1.0), alternative="greater", seed=1)
    strength = verbal_scale(finding)
    assert strength.e_value.log10_e == calibrated_log10_e(finding.log10_p)
    assert "calibrated" in strength.e_value.method
    assert strength.word == "extremely strong"
    assert strength.chance == pytest.approx(1e-6)


def test_no_evidence_is_reached_with_any_probability():
    finding = paired_test([1.0, -1.0], alternative="greater", seed=1)
    assert verbal_scale(finding).word == "none"
    assert verbal_scale(finding).chance >= 1
