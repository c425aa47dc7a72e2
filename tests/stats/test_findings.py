"""A finding survives JSON, refuses what it is not, and never prints a p-value too small."""

import copy
import dataclasses
import json
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.stats import (
    Alternative,
    Effect,
    EValue,
    Finding,
    Input,
    NullHistogram,
    Statistic,
    Trend,
    Validity,
    choice_test,
    format_p,
    spearman_test,
)

PLAIN = Finding(
    name="choice test",
    question="Is it?",
    null="It is not.",
    alternative=Alternative.LESS,
    statistic=Statistic(name="z", value=-3.5),
    log10_p=-412.3,
    method="exact",
    valid=Validity.FINITE_SAMPLE,
    n=12,
    unit="records",
    effect=Effect(name="d", value=0.1, low=-0.1, high=0.3, confidence=0.95, interval="normal"),
    assumptions=("A1", "A2"),
    warnings=("W",),
    seed=2**64 - 1,
    inputs=(Input(name="a", sha256="00"), Input(name="b", sha256="ff")),
)
HISTOGRAM = NullHistogram(label="z", edges=(-1.0, 0.0, 1.0), counts=(3, 4), observed=9.5)
TREND = Trend(x_label="x", y_label="y", x=(1.0, 2.0), y=(0.1, 0.2), low=(0.0, 0.1), high=(0.2, 0.3))


def from_a_test(draw_seed: int) -> list[Finding]:
    rng = np.random.default_rng(draw_seed)
    values = rng.normal(size=(30, 2))
    return [
        choice_test(values, np.zeros(30, dtype=int), seed=1, n_resamples=99),
        choice_test(np.ones((3, 2)), [0, 1, 0], seed=1),
        spearman_test(
            values[:, 0],
            values[:, 1],
            alternative=Alternative.LESS,
            seed=np.int64(3),
            n_resamples=99,
        ),
    ]


# ---- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "finding",
    [
        PLAIN,
        PLAIN.about(seed=None, inputs=(), warnings=(), assumptions=()),
        PLAIN.about(figure=HISTOGRAM, log10_p=0.0),
        PLAIN.about(figure=TREND, log10_p=-0.3),
        PLAIN.about(e_value=EValue(log10_e=-400.5, method="bet")),
        *from_a_test(1),
    ],
)
def test_json_gives_the_finding_back(finding):
    data = finding.to_dict()
    assert Finding.from_dict(data) == finding
    assert Finding.from_dict(json.loads(json.dumps(data, allow_nan=False))) == finding


def test_reading_does_not_change_what_is_read():
    data = PLAIN.about(figure=TREND).to_dict()
    before = copy.deepcopy(data)
    Finding.from_dict(data)
    assert data == before


def test_what_was_refuted_is_for_the_caller_alone():
    told = PLAIN.about(refuted=("the order is not random",))
    assert told == PLAIN
    assert "refuted" not in told.to_dict()
    assert Finding.from_dict(told.to_dict()).refuted == ()
    with pytest.raises(InvalidInput, match="not a finding of this version"):
        Finding.from_dict({**PLAIN.to_dict(), "refuted": ["x"]})


# ---- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(Finding) if field.compare] + ["p_value"]
)
def test_a_missing_field_is_refused(name):
    """Also one that has a default: a gap in a report must not be filled in."""
    data = PLAIN.to_dict()
    del data[name]
    with pytest.raises(InvalidInput, match=f"not a finding of this version: '{name}'"):
        Finding.from_dict(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"note": "x"}, "unexpected keyword argument 'note'"),
        ({"alternative": "sideways"}, "sideways"),
        ({"valid": "always"}, "always"),
        ({"log10_p": "-3"}, r"Finding\.log10_p: expected a finite number, got '-3'"),
        ({"log10_p": None}, r"Finding\.log10_p: expected a finite number, got None"),
        ({"log10_p": False}, r"Finding\.log10_p: expected a finite number, got False"),
        ({"log10_p": math.nan}, r"Finding\.log10_p: expected a finite number, got nan"),
        ({"log10_p": -math.inf}, r"Finding\.log10_p: expected a finite number, got -inf"),
        ({"log10_p": 0.1}, r"Finding\.log10_p: expected a number in \(-inf, 0\], got 0\.1"),
        ({"log10_p": -3.0}, r"p_value .* does not follow from log10_p -3\.0"),
        ({"p_value": 0.5}, r"p_value 0\.5 does not follow from log10_p -412\.3"),
        ({"p_value": math.nan}, "p_value nan does not follow"),
        ({"p_value": "0.5"}, "not a finding"),
        ({"n": 0}, r"Finding\.n: .*got 0"),
        ({"n": 2.5}, r"Finding\.n: .*got 2\.5"),
        ({"n": True}, r"Finding\.n: .*got True"),
        ({"seed": 1.5}, r"Finding\.seed: .*got 1\.5"),
        ({"seed": True}, r"Finding\.seed: .*got True"),
        ({"name": 5}, r"Finding\.name: expected text, got 5"),
        ({"unit": None}, r"Finding\.unit: expected text, got None"),
        ({"assumptions": "A1"}, "expected a list, got 'A1'"),
        ({"warnings": [1]}, r"Finding\.warnings\[0\]: expected text, got 1"),
        ({"inputs": "ab"}, "expected a list, got 'ab'"),
        ({"inputs": [{"name": "a"}]}, "sha256"),
        ({"inputs": [{"name": "a", "sha256": 5}]}, r"Input\.sha256: expected text"),
        ({"statistic": {"name": "z"}}, "value"),
        ({"statistic": {"name": "z", "value": "3"}}, r"Statistic\.value: expected a finite number"),
        ({"statistic": {"name": "z", "value": math.nan}}, r"Statistic\.value"),
        ({"statistic": [1]}, "not a finding"),
        ({"effect": None}, "not a finding"),
        ({"effect": {**PLAIN.to_dict()["effect"], "low": math.inf}}, r"Effect\.low"),
        ({"effect": {**PLAIN.to_dict()["effect"], "low": 0.4}}, "Effect: expected low <= high"),
        ({"effect": {**PLAIN.to_dict()["effect"], "confidence": 1.0}}, r"Effect\.confidence"),
        ({"effect": {**PLAIN.to_dict()["effect"], "interval": 1}}, r"Effect\.interval"),
        ({"e_value": {"log10_e": "1", "method": "bet"}}, r"EValue\.log10_e"),
        ({"e_value": {"log10_e": math.inf, "method": "bet"}}, r"EValue\.log10_e"),
        ({"e_value": {"log10_e": 1.0, "method": 5}}, r"EValue\.method"),
        ({"e_value": {"log10_e": 1.0}}, "method"),
        ({"e_value": 5.0}, "not a finding"),
        ({"log10_p": -(10**401)}, "log10_p"),
        ({"p_value": 10**401}, "not a finding"),
        ({"n": 10**401}, r"Finding\.n"),
        ({"figure": {"kind": "pie"}}, "pie"),
        ({"figure": {**dataclasses.asdict(TREND)}}, "kind"),
        ({"figure": {"kind": "trend", **dataclasses.asdict(HISTOGRAM)}}, "unexpected keyword"),
        ({"figure": {"kind": "trend", **dataclasses.asdict(TREND), "y": 5}}, r"Trend\.y"),
        ({"figure": {"kind": "trend", **dataclasses.asdict(TREND), "y": ["a"]}}, r"Trend\.y\[0\]"),
        (
            {"figure": {"kind": "trend", **dataclasses.asdict(TREND), "x_label": 5}},
            r"Trend\.x_label",
        ),
        (
            {
                "figure": {
                    "kind": "null-histogram",
                    **dataclasses.asdict(HISTOGRAM),
                    "edges": [0, None],
                }
            },
            r"NullHistogram\.edges\[1\]",
        ),
        (
            {
                "figure": {
                    "kind": "null-histogram",
                    **dataclasses.asdict(HISTOGRAM),
                    "observed": "1",
                }
            },
            r"NullHistogram\.observed",
        ),
        ({"figure": 5}, "not a finding"),
    ],
)
def test_a_wrong_field_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        Finding.from_dict({**PLAIN.to_dict(), **change})


@pytest.mark.parametrize("data", [None, 5, "finding", [1, 2], []])
def test_what_is_no_mapping_is_refused(data):
    with pytest.raises(InvalidInput, match="not a finding of this version"):
        Finding.from_dict(data)


def test_a_finding_cannot_be_made_invalid_by_restating_it():
    with pytest.raises(InvalidInput, match=r"Finding\.log10_p"):
        PLAIN.about(log10_p=0.5)


# ---- p-values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log10_p", "text"),
    [
        (0.0, "1.0000"),
        (math.log10(0.5), "0.5000"),
        (math.log10(0.05), "0.0500"),
        (math.log10(0.04999), "0.0500"),
        (math.log10(0.05001), "0.0501"),
        (math.log10(0.99999), "1.0000"),
        (math.log10(0.0011), "0.0011"),
        (-3.0, "0.0010"),
        (math.nextafter(-3.0, -4), "1.0e-03"),
        (math.log10(0.00099), "9.9e-04"),
        (math.log10(0.000991), "1.0e-03"),
        (-4.0, "1.0e-04"),
        (-4.000001, "1.0e-04"),
        (-3.999999, "1.1e-04"),
        (-9.0, "1.0e-09"),
        (math.log10(3.1) - 9, "3.1e-09"),
        (math.log10(3.11) - 9, "3.2e-09"),
        (-100.0, "1.0e-100"),
        (math.log10(4.7) - 412, "4.7e-412"),
        (-10_000.0, "1.0e-10000"),
        (math.log10(2.04) - 10_001, "2.1e-10001"),
    ],
)
def test_p_is_printed_rounded_upwards(log10_p, text):
    assert format_p(log10_p) == text
    assert PLAIN.about(log10_p=log10_p).p_text == text


def test_a_printed_p_is_never_below_the_computed_one():
    """Nor above it by more than the last digit; both up to the 1e-9 that the docstring grants rounding."""
    with localcontext() as context:
        context.prec = 50
        for log10_p in -np.geomspace(1e-6, 1e4, 5_000):
            exact = Decimal(10) ** Decimal(float(log10_p))
            printed = Decimal(format_p(log10_p))
            assert printed >= exact * (1 - Decimal("1e-9"))
            step = Decimal("1e-4") if log10_p >= -3 else exact / 10
            assert printed <= exact * (1 + Decimal("1e-9")) + step


def test_p_as_a_float_is_never_zero():
    assert PLAIN.p_value == np.finfo(float).tiny
    assert PLAIN.about(log10_p=-1e9).p_value > 0
    assert PLAIN.about(log10_p=-2.0).p_value == pytest.approx(0.01)
    assert PLAIN.about(log10_p=0.0).p_value == 1


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001, 1e-6, 1e-300])
def test_p_equal_to_alpha_rejects(alpha):
    at = PLAIN.about(log10_p=math.log10(alpha))
    above = PLAIN.about(log10_p=math.nextafter(math.log10(alpha), 0))
    assert at.rejects(alpha)
    assert not above.rejects(alpha)


def test_rejecting_goes_on_below_the_smallest_float():
    assert PLAIN.rejects(5e-324)
    assert not PLAIN.about(log10_p=-323.0).rejects(5e-324)


@pytest.mark.parametrize("alpha", [0, 1, -0.05, 5, math.nan, math.inf])
def test_what_is_no_level_is_refused(alpha):
    with pytest.raises(InvalidInput, match=r"^alpha: expected a number in \(0, 1\)"):
        PLAIN.rejects(alpha)
