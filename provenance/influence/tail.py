r"""How heavy is the tail of influence?

Grosse et al. (2023, arXiv 2308.03296, figure 8) fitted power laws to the top 0.01 % of some 5 million
sequences and found exponents of about 2.0 to 4.3.

Notation: x_(1) >= x_(2) >= ... influence in falling order; k the number in the tail; alpha the exponent of
the density p(x) ~ x**-alpha above a threshold u.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ...errors import InsufficientEvidence, InvalidInput
from ...stats import Effect
from ...stats.checks import finite_vector, number_in, positive_count, seed_of

__all__ = [
    "PowerLaw",
    "fit_power_law",
    "hill_curve",
    "tail_points",
]

_CONFIDENCE = 0.95
_TAIL = (1 - _CONFIDENCE) / 2
_FEWEST = 10  # values in a tail; the interval of alpha - 1 then spans a factor of 3.6
_DRAWS = 999
_MOST_DRAWN = 20_000_000  # values, for all draws together
_FEWEST_DRAWS = 99
_AT_ONCE = 1_000_000  # values
_MANY_TIED = 0.05
_DOUBTFUL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """A power law fitted to the largest values.

    Attributes:
        alpha: Exponent of the density, with its interval. At alpha <= 3 the variance is infinite, at
            alpha <= 2 the mean as well.
        threshold: u, the largest value outside the tail, in the unit of the values.
        n_tail: k.
        fraction: k as a share of all values, positive or not.
        ks_distance: Largest distance between the tail's distribution function and the fitted one.
        p_power_law: How often as large a distance occurs for k draws from a power law with alpha fitted.
            Small: no power law. Large: none was ruled out, nor anything else of that shape.
        warnings: What the reader must know besides.
    """

    alpha: Effect
    threshold: float
    n_tail: int
    fraction: float
    ks_distance: float
    p_power_law: float
    warnings: tuple[str, ...] = ()


def fit_power_law(
    influence: ArrayLike, *, seed: int, fraction: float = 1e-4, least: int = 50
) -> PowerLaw:
    r"""Fit a power law to the top of the values by maximum likelihood.

    .. math:: \hat\alpha = 1 + \frac kS, \quad S = \sum_{i \le k} \ln\frac{x_{(i)}}{x_{(k+1)}}

    This is Hill's (1975) estimator, and that of Clauset, Shalizi & Newman (2009, eq. 3.1) with u = x_(k+1);
    they take u = x_(k), which counts a sure 0 among the logarithms. If the values above x_(k+1) follow a
    power law, S (alpha - 1) is exactly Gamma(k) distributed (Rényi 1953), which gives the interval: 95 % for
    any k, if the values are independent. The estimate of alpha - 1 is too large by a factor k / (k - 1) on
    average. k is fixed beforehand by `fraction`; Clauset et al. choose u by the fit, which the interval
    would not know of.

    Args:
        influence: Influence of each document, shape (D,); pass the negative to fit the other tail.
        seed: Seed of the draws for `p_power_law`, in [0, 2**64).
        fraction: Share of all values that makes the tail, in (0, 1].
        least: The tail holds at least so many values if there are so many positive ones.

    Raises:
        InvalidInput: If an argument is malformed.
        InsufficientEvidence: If fewer than 11 values are positive, or those in the tail are all equal.
    """
    x = finite_vector("influence", influence)
    fraction, least = number_in("fraction", fraction, 0, 1), positive_count("least", least)
    falling = _positive(x)
    k = _tail_size(x.size, falling.size, fraction, least)
    logs = np.log(falling[:k] / falling[k])
    s = float(logs.sum())
    if not s > 0:
        raise InsufficientEvidence(
            f"the {k} largest values are all equal: they have no tail", "take a larger fraction"
        )
    distance = _distances(logs[None, ::-1])[0]
    p = _p_of_distance(distance, k, np.random.default_rng(int(seed_of(seed))))
    return PowerLaw(
        alpha=_alpha(k, s),
        threshold=float(falling[k]),
        n_tail=k,
        fraction=k / x.size,
        ks_distance=float(distance),
        p_power_law=p,
        warnings=_warnings(falling[: k + 1], k, round(fraction * x.size), p),
    )


def hill_curve(influence: ArrayLike, sizes: Sequence[int]) -> tuple[Effect, ...]:
    """Alpha for several sizes k of the tail: where it is flat, a power law fits; where it climbs, none does.

    Args:
        influence: Shape (D,).
        sizes: Each k at least 10 and below the number of positive values.

    Raises:
        InvalidInput: If a size is out of range.
        InsufficientEvidence: If a tail's values are all equal, or too few are positive.
    """
    falling = _positive(finite_vector("influence", influence))
    logs = np.log(falling / falling[-1])
    sums = np.cumsum(logs)
    curve = []
    for k in sizes:
        if not _FEWEST <= positive_count("sizes", k) < falling.size:
            raise InvalidInput(
                f"sizes: expected numbers in [{_FEWEST}, {falling.size - 1}], got {k}"
            )
        if falling[0] == falling[k]:
            raise InsufficientEvidence(f"the {k} largest values are all equal", "take larger sizes")
        curve.append(_alpha(k, float(sums[k - 1] - k * logs[k])))
    return tuple(curve)


def tail_points(
    influence: ArrayLike, *, points: int = 200
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points for a picture on two logarithmic axes: values, and the share of all documents that reach them.

    Args:
        influence: Shape (D,); only positive values are drawn.
        points: How many at most, evenly spaced in the logarithm of the share; the largest is among them.

    Returns:
        Falling values and rising shares, shapes (P,).

    Raises:
        InvalidInput: If an argument is malformed.
        InsufficientEvidence: If no value is positive.
    """
    x = finite_vector("influence", influence)
    falling = np.sort(x[x > 0])[::-1]
    if not falling.size:
        raise InsufficientEvidence("no document has positive influence")
    ranks = np.unique(np.geomspace(1, falling.size, positive_count("points", points)).round())
    rank = ranks.astype(np.int64)
    return falling[rank - 1], rank / x.size


def _positive(x: NDArray[np.float64]) -> NDArray[np.float64]:
    falling = np.sort(x[x > 0])[::-1]
    if falling.size <= _FEWEST:
        raise InsufficientEvidence(
            f"{falling.size} values are positive: a tail needs more than {_FEWEST}",
            "score more documents",
        )
    return falling


def _tail_size(n: int, n_positive: int, fraction: float, least: int) -> int:
    return min(max(round(fraction * n), least, _FEWEST), n_positive - 1)


def _alpha(k: int, s: float) -> Effect:
    return Effect(
        name="exponent alpha of the density's power law",
        value=1 + k / s,
        low=1 + float(special.gammaincinv(k, _TAIL)) / s,
        high=1 + float(special.gammainccinv(k, _TAIL)) / s,
        confidence=_CONFIDENCE,
        interval="Gamma distribution of the sum of logarithms, exact for independent power-law values",
    )


def _distances(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kolmogorov-Smirnov distance of each row, rising, to an exponential distribution of its own mean."""
    k = logs.shape[1]
    fitted = -np.expm1(-logs / logs.mean(axis=1, keepdims=True))
    steps = np.arange(k + 1) / k
    distances: NDArray[np.float64] = np.maximum(steps[1:] - fitted, fitted - steps[:-1]).max(axis=1)
    return distances


def _p_of_distance(observed: float, k: int, rng: np.random.Generator) -> float:
    """Monte-Carlo p of a distance: logarithms over a threshold are exponential, so it depends on k only.

    This is Lilliefors' (1969) test for the exponential distribution.
    """
    draws = max(min(_DRAWS, _MOST_DRAWN // k), _FEWEST_DRAWS)
    at_once = max(_AT_ONCE // k, 1)
    reached = 0
    for first in range(0, draws, at_once):
        logs = rng.exponential(size=(min(at_once, draws - first), k))
        reached += int((_distances(np.sort(logs, axis=1)) >= observed).sum())
    return (1 + reached) / (1 + draws)


def _warnings(tail: NDArray[np.float64], k: int, wanted: int, p: float) -> tuple[str, ...]:
    texts = []
    if k > wanted:
        texts.append(f"The fraction asked for holds {wanted} values; the tail was widened to {k}.")
    if k < wanted:
        texts.append(f"The fraction asked for holds {wanted} values; only {k + 1} are positive.")
    tied = 1 - (np.unique(tail).size - 1) / k
    if tied > _MANY_TIED:
        texts.append(
            f"{tied:.0%} of the tail equal another value: copies of documents or rounded scores. The "
            "interval takes all values as independent and is too narrow."
        )
    if p <= _DOUBTFUL:
        texts.append(
            f"The tail does not look like a power law (p = {p:.3f}): alpha says how fast it falls on average."
        )
    return tuple(texts)
