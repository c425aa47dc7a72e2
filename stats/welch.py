"""Two sets of values: is the mean of one larger, by Welch's t, in logarithms?"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from . import kernels
from .checks import finite_sample, one_of
from .findings import LOG10_E, Alternative, Effect, Finding, Statistic, Validity
from .projection import power_of_two
from .tails import log_binomial
from .workings import Working, sets_in_one

__all__ = ["welch_test"]

_RELATIVE_TIE = 1e-12
_SMALLEST_BETA = 1e-280
_HUGE_T = 1e100  # its square still is a float


def welch_test(a: ArrayLike, b: ArrayLike, *, alternative: Alternative) -> Finding:
    r"""Test whether the mean of a is larger than that of b by Welch's t.

    .. math:: t = \frac{\bar a - \bar b}{\sqrt{v_a + v_b}}, \quad v = \frac{s^2}{n}, \quad
        \nu = \frac{(v_a + v_b)^2}{v_a^2 / (n_a - 1) + v_b^2 / (n_b - 1)}

    referred to Student's t with nu degrees of freedom, in logarithms: right far below the smallest
    float. TWO_SIDED doubles the smaller side. Source: Welch (1947). Approximate: exact neither for
    normal values of unequal spread nor for others; far out in the tail p rests on normality alone.
    Where p is below 1 / binom(n_a + n_b, n_a), the least that exchangeability can give, a warning
    says so. `two_sample_test` needs no such assumption.

    Args:
        a: Values of the first set, shape (n_a,), n_a >= 2.
        b: Values of the second set, shape (n_b,), n_b >= 2.
        alternative: GREATER (a is larger), LESS or TWO_SIDED; fixed before the data are seen.

    Returns:
        A finding whose statistic is t and whose effect is mean(a) - mean(b) with Welch's interval.

    Raises:
        InvalidInput: If an argument is malformed, or if neither set varies though their values differ.
    """
    alternative = one_of("alternative", Alternative, alternative)
    x_a, x_b = finite_sample("a", a, 2), finite_sample("b", b, 2)
    working = Working(
        test="welch", columns=sets_in_one(x_a, x_b), settings={"alternative": alternative.value}
    )
    exponent = power_of_two(working.columns["value"])
    y_a, y_b = np.ldexp(x_a, -exponent), np.ldexp(x_b, -exponent)
    difference = _mean(y_a) - _mean(y_b)
    v_a, v_b = _variance_of_mean(y_a), _variance_of_mean(y_b)
    if v_a + v_b == 0:
        if abs(difference) > _RELATIVE_TIE:
            raise InvalidInput(
                f"a, b: neither set varies (all of a are {x_a[0]}, all of b are {x_b[0]}), so t is infinite",
                "two_sample_test needs no variance",
            )
        finding = _welch_finding(alternative, 0.0, 1.0, 0.0, 0.0, 0.0, exponent, x_a.size, x_b.size)
        warning = "All values of both sets are tied: p is 1."
        return finding.about(warnings=(warning,), working=working)
    # Shares, so that variances near the smallest float are not lost when squared.
    share_a, share_b = v_a / (v_a + v_b), v_b / (v_a + v_b)
    df = 1 / (share_a**2 / (y_a.size - 1) + share_b**2 / (y_b.size - 1))
    error = math.sqrt(v_a + v_b)
    t = difference / error
    if alternative is Alternative.TWO_SIDED:
        log10_p = min(_student_t_log10_sf(abs(t), df) + math.log10(2), 0.0)
    else:
        log10_p = _student_t_log10_sf(-t if alternative is Alternative.LESS else t, df)
    return _welch_finding(
        alternative, t, df, log10_p, difference, error, exponent, x_a.size, x_b.size
    ).about(working=working)


def _mean(x: NDArray[np.float64]) -> float:
    return float(x[0] + (x - x[0]).mean())  # exact for a set that does not vary


def _variance_of_mean(x: NDArray[np.float64]) -> float:
    """Square of the standard error; 0 where the values are equal up to rounding."""
    if np.ptp(x) <= _RELATIVE_TIE * np.abs(x).max():
        return 0.0
    return float(((x - _mean(x)) ** 2).sum()) / (x.size - 1) / x.size


def _student_t_log10_sf(t: float, df: float) -> float:
    r"""log10 P(T_df >= t) for Student's t, df > 0 not necessarily whole.

    For t >= 0 the tail is I_x(df/2, 1/2) / 2 with x = df / (df + t**2) (DLMF 8.17); where that
    underflows, its series (DLMF 8.17.8) is summed in logs. As `tails.student_t_log10_sf`, which
    takes a correlation: 1 - rho would lose the digits of a large t.
    """
    if t == 0:
        return math.log10(0.5)
    if abs(t) < _HUGE_T:
        log_x, x = -math.log1p(t * t / df), df / (df + t * t)
        log_rest = -math.log1p(df / (t * t)) if t * t > 0 else -math.inf
    else:
        log_x, x, log_rest = math.log(df) - 2 * math.log(abs(t)), 0.0, 0.0
    a, b = df / 2, 0.5
    # I_x(a, b) = 1 - I_{1-x}(b, a): for small t, x rounds to 1 and would lose t altogether.
    tail = special.betainc(a, b, x) if x < 0.5 else special.betaincc(b, a, t * t / (df + t * t))
    half_tail = 0.5 * float(tail)
    if t < 0:
        return math.log1p(-half_tail) * LOG10_E
    if half_tail > _SMALLEST_BETA:
        return math.log10(half_tail)
    log_tail = (
        a * log_x
        + b * log_rest
        - math.log(2 * a)
        - float(special.betaln(a, b))
        + kernels.log_incomplete_beta_sum(a, b, x)
    )
    return min(log_tail * LOG10_E, 0.0)


def _welch_finding(
    alternative: Alternative,
    t: float,
    df: float,
    log10_p: float,
    difference: float,
    error: float,
    exponent: int,
    n_a: int,
    n_b: int,
) -> Finding:
    direction = {
        Alternative.GREATER: "larger than",
        Alternative.LESS: "smaller than",
        Alternative.TWO_SIDED: "different from",
    }[alternative]
    half_width = float(special.stdtrit(df, 0.975)) * error
    least = -float(log_binomial(np.array([n_a + n_b]), np.array([n_a]))[0]) * LOG10_E
    warnings = []
    if log10_p < least:
        warnings.append(
            f"p is below 1e{least:.1f}, the least that exchangeable values can give: it rests on "
            "normal tails."
        )

    def in_unit(value: float) -> float:
        return float(np.ldexp(value, exponent))

    return Finding(
        name="Welch test",
        question=f"Is the mean of a {direction} that of b?",
        null="Both sets are independent samples of distributions with one mean.",
        alternative=alternative,
        statistic=Statistic(name=f"Welch's t with {df:.6g} degrees of freedom", value=t),
        log10_p=log10_p,
        method="t",
        valid=Validity.ASYMPTOTIC,
        n=n_a + n_b,
        unit="values",
        effect=Effect(
            name="mean difference a - b, in the unit of the values",
            value=in_unit(difference),
            low=in_unit(difference - half_width),
            high=in_unit(difference + half_width),
            confidence=0.95,
            interval="Welch's t",
        ),
        assumptions=(
            "Both sets come from one distribution up to the effect under test and their spread.",
            "The values are independent of each other.",
            "The sets are large enough, or the values near enough to normal, for the means to be normal.",
        ),
        warnings=tuple(warnings),
    )
