"""The permutation bound is never below the truth, and near it: exact laws, a dense twin, known tails."""

import itertools
import math

import numpy as np
import pytest
from bookplate.stats import tails
from bookplate.stats.permutation_bound import _log_bound, _Side, permutation_log10_p
from scipy import special
from scipy.stats import hypergeom

LOG10_E = math.log10(math.e)


def standardised(values):
    values = np.asarray(values, dtype=float)
    return (values - values.mean()) / values.std()


def untied_ranks(n):
    return standardised(np.arange(n))


def vector(kind, n, rng):
    return standardised(
        {
            "ranks": np.arange(n),
            "normal": rng.normal(size=n),
            "cauchy": rng.standard_cauchy(size=n),
            "two values": np.arange(n) < max(n // 3, 1),
            "one outlier": np.arange(n) == 0,
        }[kind]
    )


KINDS = ["ranks", "normal", "cauchy", "two values", "one outlier"]


@pytest.mark.parametrize(
    ("kind_a", "kind_b"), list(itertools.combinations_with_replacement(KINDS, 2))
)
@pytest.mark.parametrize("n", [2, 5, 7])
def test_it_is_never_below_the_exact_tail(n, kind_a, kind_b):
    """At every value the sum can take, and with every permutation counted."""
    rng = np.random.default_rng(n)
    a, b = vector(kind_a, n, rng), vector(kind_b, n, rng)
    sums = np.sort([a @ b[list(order)] for order in itertools.permutations(range(n))])
    for t in [*sums[:: max(sums.size // 60, 1)].tolist(), sums[-1]]:
        exact = math.log10(np.mean(sums >= t - 1e-9))
        assert permutation_log10_p(a, b, t) >= exact - 1e-9


@pytest.mark.parametrize(("n", "hits"), [(20, 3), (200, 50), (1_000, 500), (1_000, 10)])
def test_it_is_never_below_a_hypergeometric_tail(n, hits):
    """Two vectors of zeros and ones: the number of coincidences is hypergeometric."""
    a = standardised(np.arange(n) < hits)
    share = hits / n
    for k in range(max(2 * hits - n, 0), hits + 1, max(hits // 25, 1)):
        t = (k - n * share**2) / (share * (1 - share))
        bound, exact = permutation_log10_p(a, a, t), hypergeom.logsf(k - 1, n, hits, hits) * LOG10_E
        assert bound >= exact - 1e-9
        assert bound <= max(0.9 * exact + 1.5, 0.0) or t <= 0  # and it is of the right size


@pytest.mark.parametrize("n", [60, 400])
def test_it_is_above_the_share_of_random_permutations(n):
    """Where permutations still reach: their share is within a factor of 1.5 of the truth here."""
    rng = np.random.default_rng(3)
    a, b = vector("ranks", n, rng), vector("cauchy", n, rng)
    sums = np.array([a @ rng.permutation(b) for _ in range(20_000)])
    for share in (0.3, 0.1, 0.01):
        t = float(np.quantile(sums, 1 - share))
        assert permutation_log10_p(a, b, t) >= math.log10(share / 1.5)


@pytest.mark.parametrize("n", [500, 16_000, 1_000_000])
def test_it_is_within_a_factor_of_250_of_t(n):
    """As its docstring says; beyond the last z, it is t that is off by more than a factor of 2."""
    a = untied_ranks(n)
    last = (math.log(2) / 0.06 * n) ** 0.25
    for z in np.linspace(3.5, min(last, 45), 8):
        rho = z / math.sqrt(n - 1)
        gap = permutation_log10_p(a, a, n * rho) - tails.student_t_log10_sf(rho, n)
        assert 0.9 <= gap <= math.log10(250) + math.log10(2)


def dense_log_bound(a, b, lam, t, log_y):
    """The bound of the module's docstring without any grid, and the matrix itself."""
    m = np.exp(lam * np.outer(a, b) + log_y)
    sums, k = m.sum(axis=1), np.floor(m.sum(axis=1) / m.max(axis=1) * (1 + 1e-12))
    log_permanent = np.log(sums) - np.log(k) + special.gammaln(k + 1) / k
    constants = -log_y.sum() - special.gammaln(a.size + 1) - lam * t
    return log_permanent.sum() + constants, m, constants


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lam", [0.05, 0.4, 2.0])
def test_the_grid_gives_no_less_than_the_dense_matrix(kind, lam):
    """With the same y; and hardly more, where the values fill the grid."""
    rng = np.random.default_rng(8)
    n = 300
    a, b = vector(kind, n, rng), vector("ranks", n, rng)
    rows, columns = _Side(a), _Side(b)
    grid, log_y_at_nodes = _log_bound_and_scaling(rows, columns, lam, 0.0)
    log_y = np.interp(b, columns.nodes, log_y_at_nodes)
    dense, *_ = dense_log_bound(a, b, lam, 0.0, log_y)
    assert grid >= dense - 1e-9
    if kind in {"ranks", "normal"}:
        assert grid <= dense + 0.01 * max(dense, 1.0) + 3.0


def _log_bound_and_scaling(rows, columns, lam, t):
    """ln y as `_log_bound` ends with, from its definition: Sinkhorn's iteration on the nodes."""
    m = np.exp(lam * np.outer(rows.nodes, columns.nodes))
    rho = (math.sqrt(1 + 4 * lam * lam) - 1) / (2 * lam)
    log_y = -0.5 * lam * rho * columns.nodes**2
    for _ in range(8):
        log_y = -np.log(rows.weights / (m @ (columns.weights * np.exp(log_y))) @ m)
    return _log_bound(rows, columns, lam, t), log_y


@pytest.mark.parametrize("seed", range(5))
def test_the_dense_bound_is_above_the_permanent(seed):
    """The theorem, on small matrices whose permanent is summed over all permutations."""
    rng = np.random.default_rng(seed)
    n = 7
    a, b = standardised(rng.normal(size=n)), standardised(rng.normal(size=n))
    for lam in (0.1, 1.0, 3.0):
        bound, m, constants = dense_log_bound(a, b, lam, 0.0, rng.normal(size=n))
        permanent = sum(
            math.prod(m[i, j] for i, j in enumerate(order))
            for order in itertools.permutations(range(n))
        )
        assert bound >= math.log(permanent) + constants - 1e-9


def test_the_weights_of_a_side_keep_number_and_sum():
    values = standardised(np.random.default_rng(1).gamma(0.5, size=1_000))
    side = _Side(values)
    assert side.weights.sum() == pytest.approx(1_000, rel=1e-12)
    assert side.weights @ side.nodes == pytest.approx(0, abs=1e-9)
    assert side.counts.sum() == 1_000
    assert side.weights @ side.nodes**2 >= (values**2).sum()  # a chord of a convex function


@pytest.mark.parametrize("t", [0.0, -5.0])
def test_in_the_lower_half_it_says_nothing(t):
    assert permutation_log10_p(untied_ranks(50), untied_ranks(50), t) == 0


def test_perfect_order_is_within_half_of_the_logarithm():
    a = untied_ranks(500)
    least = -math.lgamma(501) * LOG10_E
    assert least <= permutation_log10_p(a, a, float(a @ a)) <= 0.45 * least
