"""Numbers in words never claim more than the numbers."""

import math
import sys
import unicodedata
from pathlib import Path

import pytest
from bookplate.stats import (
    Effect,
)
from bookplate.stats.report.wording import decimal, e_text, effect_text, odds_text, p_text, visible
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import TIMES


@pytest.mark.parametrize(
    ("log10_p", "text", "odds"),
    [
        (0.0, "1.0000", ""),
        (math.log10(0.0312), "0.0312", ""),
        (math.log10(0.01), "0.0100", ""),
        (math.log10(0.0032), "0.0032", "about 1 in 310"),
        (math.log10(3.1e-9), "3.1" + TIMES + "⁻⁹", "about 1 in 320 million"),
        (-12.5, "3.2" + TIMES + "⁻¹³", "about 1 in 3.1 trillion"),
        (-20.5, "3.2" + TIMES + "⁻²¹", "about 1 in 10²⁰"),
        (-1e4, "1.0" + TIMES + "⁻¹⁰⁰⁰⁰", "about 1 in 10¹⁰⁰⁰⁰"),
    ],
)
def test_p_in_words(log10_p, text, odds):
    assert p_text(log10_p) == text
    assert odds_text(log10_p) == odds


@given(st.floats(-400, 0))
def test_p_in_words_never_claims_more_than_p(log10_p):
    mantissa, _, exponent = p_text(log10_p).partition(TIMES)
    power = int(exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)
    assert float(mantissa) > 0
    assert math.log10(float(mantissa)) + power >= log10_p - 1e-9


@pytest.mark.parametrize(
    ("log10_e", "text"),
    [
        (math.log10(0.5), "0.50"),
        (-2.0, "0.01"),
        (-2.1, "< 0.01"),
        (-400.0, "< 0.01"),
        (math.log10(9.999), "9.99"),
        (math.log10(5239), "5,200"),
        (6.0, "1.0" + TIMES + "⁶"),
        (9996.5, "3.1" + TIMES + "⁹⁹⁹⁶"),
    ],
)
def test_e_in_words(log10_e, text):
    assert e_text(log10_e) == text


def test_minus_signs_are_minus_signs():
    assert decimal(-0.153, 2) == "\N{MINUS SIGN}0.15"
    assert decimal(-0.0001, 2) == "0.00"
    assert decimal(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    effect = Effect(name="x", value=0.1534, low=-0.0211, high=0.3279, confidence=0.95, interval="z")
    assert effect_text(effect) == ("0.15", "\N{MINUS SIGN}0.02", "0.33")


@given(st.text(st.characters()))
def test_visible_text_hides_nothing(text):
    shown = visible(text)
    shown.encode()
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in shown)


def test_visible_names_the_code_point():
    assert visible("a\u202eb\x1b\udc80") == "a<U+202E>b<U+001B><U+DC80>"
