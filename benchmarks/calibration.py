"""False alarms of every test of `bookplate.stats` on data for which its null hypothesis is true.

Counts how many of so many null data sets give p <= 0.05, 0.01 and 0.001; for e-values e >= 20, 100
and 1,000, which Markov's inequality bounds alike; for intervals how many miss. What claims to be
valid for finite samples must stay within the binomial 1 - 1e-6 quantile, or the exit status is 1.
What claims to be valid for large samples only is printed as measured.

python benchmarks/calibration.py [--datasets 20000] [--only NAME]
"""

import os

# One thread per worker process: has to be said before numba and numpy are loaded.
os.environ.update(NUMBA_NUM_THREADS="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.stats import (
    AdjustMethod,
    Alternative,
    CombineMethod,
    Effect,
    Finding,
    RankEProcess,
    SignEProcess,
    adjust,
    calibrated_log10_e,
    choice_test,
    combine,
    ghost_test,
    paired_test,
    rank_test,
    roc,
    spearman_test,
    stratified_test,
    two_sample_test,
    welch_test,
)
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy import special
from scipy.stats import binom
from timing import table

LEVELS = (0.05, 0.01, 0.001)
FALSE_ALARM = 1e-6  # probability, per count, that a valid test is called out here
ENTROPY = 20_261_121
CHUNK = 500  # data sets per task
DRAWS = 999  # p = 0.001 is the smallest that can be counted, and is attained exactly
FEW_DRAWS = 99  # p = 0.001 is left to the tail bound
N_FINDINGS = 5  # combined, or adjusted together
N_RECORDS = 500  # fed to an e-process
N_ONE_BY_ONE = 50  # likewise where the next record depends on the capital, which takes longer

Floats = NDArray[np.float64]
Noise = Callable[[Generator, int], Floats]
Outcome = Callable[[Generator], float]
# Of one sample, of both sets, or of both sets in each stratum.
Size = int | tuple[int, int] | tuple[tuple[int, int], ...]
GREATER, LESS, TWO_SIDED = Alternative.GREATER, Alternative.LESS, Alternative.TWO_SIDED


@dataclass(frozen=True)
class Case:
    """One test in one null world.

    Attributes:
        test: The function.
        method: Its options.
        world: What the data are like.
        n: Size of a data set.
        outcome: Draws a data set and gives log10 p, or -log10 e; for an interval -inf if it misses.
        asymptotic: Whether validity is claimed for large samples only.
        levels: Levels at which to count.
    """

    test: str
    method: str
    world: str
    n: str
    outcome: Outcome
    asymptotic: bool = False
    levels: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """What tells the row from the others, and sets its random numbers."""
        return f"{self.test}, {self.method}, {self.world}, n = {self.n}"


# ---- worlds ---------------------------------------------------------------------------------------


def normal(rng: Generator, n: int) -> Floats:
    return rng.normal(size=n)


def cauchy(rng: Generator, n: int) -> Floats:
    return rng.standard_cauchy(size=n)


def t2(rng: Generator, n: int) -> Floats:
    return rng.standard_t(2, size=n)  # no variance, but a mean, which Welch's null hypothesis needs


def tied(rng: Generator, n: int) -> Floats:
    return rng.integers(-2, 3, size=n).astype(float)


def sparse(rng: Generator, n: int) -> Floats:
    return (rng.permutation(n) < n // 50).astype(float)


def fifth(rng: Generator, n: int) -> Floats:
    return (rng.permutation(n) < 0.22 * n).astype(float)


def uneven(rng: Generator, n: int) -> Floats:
    return rng.normal(size=n) * np.geomspace(0.1, 10, n)


def skewed(rng: Generator, n: int) -> Floats:
    return rng.lognormal(sigma=2, size=n)


def fair_signs(rng: Generator, n: int) -> Floats:
    return skewed(rng, n) * rng.choice([-1.0, 1.0], size=n)


def clustered(rng: Generator, n: int) -> Floats:
    return np.repeat(rng.normal(size=-(-n // 5)), 5)[:n] + 0.1 * rng.normal(size=n)


WORLDS: dict[Noise, str] = {
    normal: "normal",
    cauchy: "Cauchy",
    t2: "t with 2 df",
    tied: "five values",
    sparse: "2 % ones, else zeros",
    fifth: "22 % ones, else zeros",
    uneven: "spreads 1 to 100",
    skewed: "lognormal, sigma 2",
    fair_signs: "lognormal sizes, fair signs",
    clustered: "clusters of 5",
}
SYMMETRIC: tuple[Noise, ...] = (normal, cauchy, tied, uneven, fair_signs)
ANY: tuple[Noise, ...] = (normal, cauchy, tied, uneven, skewed, clustered)


def in_turn(worlds: tuple[Noise, ...]) -> Iterator[tuple[Noise, Alternative]]:
    """Each world with one direction, the directions by turns."""
    return zip(worlds, cycle(Alternative), strict=False)


def fresh_seed(rng: Generator) -> int:
    return int(rng.integers(2**63))


# ---- what is counted ------------------------------------------------------------------------------


def p_value(finding: Finding) -> float:
    return finding.log10_p


def own_e(finding: Finding) -> float:
    return -finding.e_value.log10_e


def calibrated_e(finding: Finding) -> float:
    return -calibrated_log10_e(finding.log10_p)


def missed(interval: Effect, truth: float) -> float:
    return 0.0 if interval.low <= truth <= interval.high else -math.inf


def case(
    test: str,
    draw: Callable[..., Finding],
    text: str,
    noise: Noise,
    *,
    n: Size,
    alternative: Alternative,
    read: Callable[[Finding], float] = p_value,
    asymptotic: bool = False,
    **options: object,
) -> Case:
    """One row: `draw` makes a data set of size n of the world and tests it."""

    def outcome(rng: Generator) -> float:
        return read(draw(rng, noise=noise, n=n, alternative=alternative, **options))

    return Case(test, f"{text}, {alternative}", WORLDS[noise], sized(n), outcome, asymptotic)


def sized(n: Size) -> str:
    if isinstance(n, int):
        return f"{n:,}"
    return " + ".join(str(part if isinstance(part, int) else sum(part)) for part in n)


# ---- Spearman -------------------------------------------------------------------------------------


def spearman(
    rng: Generator,
    *,
    noise: Noise,
    n: int,
    covariates: int = 0,
    x_noise: Noise | None = None,
    **options: object,
) -> Finding:
    # x is drawn apart from all else and its order is random, so the null holds for any y, clustered
    # or unequally spread, and for covariates that make up most of y.
    given = [cauchy(rng, n) for _ in range(covariates)]
    y = noise(rng, n) + sum((3 * column for column in given), start=np.zeros(n))
    both_tied = noise if noise in {tied, sparse} else None
    drawn = x_noise or both_tied
    x = np.arange(n) if drawn is None else drawn(rng, n)
    return spearman_test(rng.permutation(x), y, covariates=given, seed=fresh_seed(rng), **options)


def spearman_cases() -> Iterator[Case]:
    by = partial(case, "spearman_test", spearman)
    yield by("exact", normal, n=4, alternative=GREATER)
    for noise, side in in_turn(ANY):
        yield by("exact", noise, n=8, alternative=side)
        drawn = dict(n=30, alternative=side, method="permutation")
        yield by("permutation", noise, **drawn, n_resamples=DRAWS)
        yield by("permutation, 2 covariates", noise, **drawn, n_resamples=DRAWS, covariates=2)
        yield by("permutation and bound", noise, **drawn, n_resamples=FEW_DRAWS)
        yield by("t", noise, n=500, alternative=side, method="t", asymptotic=True)
    yield by("t", sparse, n=500, alternative=GREATER, method="t", asymptotic=True)
    for noise, side in in_turn((normal, tied, sparse, fifth)):
        auto = dict(n=500, alternative=side)
        yield by("auto, x untied", noise, x_noise=normal, **auto, asymptotic=True)
        if noise is not normal:
            yield by("auto, x 2 % ones", noise, x_noise=sparse, **auto, n_resamples=DRAWS)


# ---- choices --------------------------------------------------------------------------------------


def choice(
    rng: Generator, *, noise: Noise, n: int, helped: bool = False, **options: object
) -> Finding:
    # The key draws uniformly and apart from all else, so the null holds for any scores, reference
    # and weights. In the clustered world units come in fives with the same scores.
    if noise is clustered:
        values = list(np.repeat(normal(rng, 3 * -(-n // 5)).reshape(-1, 3), 5, axis=0)[:n])
    else:
        sizes = rng.integers(2, 5, size=n)
        values = np.split(noise(rng, int(sizes.sum())), np.cumsum(sizes)[:-1])
    if helped:
        options["references"] = [[v + cauchy(rng, v.size) for v in values]]
        options["weights"] = rng.exponential(size=n)
    chosen = np.array([rng.integers(v.size) for v in values])
    return choice_test(values, chosen, seed=fresh_seed(rng), **options)


def ghost(rng: Generator, *, noise: Noise, n: int, **options: object) -> Finding:
    # Whatever a record's scores, which of its variants is released was drawn uniformly.
    scores = rng.permuted(noise(rng, 5 * n).reshape(n, 5), axis=1)
    return ghost_test(scores, seed=fresh_seed(rng), **options)


def choice_cases() -> Iterator[Case]:
    by = partial(case, "choice_test", choice)
    yield by("exact", normal, n=1, alternative=GREATER)
    for noise, side in zip(ANY, cycle((GREATER, LESS)), strict=False):
        drawn = dict(n=20, alternative=side, method="monte-carlo")
        yield by("exact", noise, n=6, alternative=side)
        yield by("Monte Carlo", noise, **drawn, n_resamples=DRAWS)
        yield by("Monte Carlo and bound", noise, **drawn, n_resamples=FEW_DRAWS)
        yield by("Monte Carlo, reference, weights", noise, **drawn, n_resamples=DRAWS, helped=True)
        yield by("stop_after=10", noise, **drawn, n_resamples=DRAWS, stop_after=10)
        yield case("ghost_test", ghost, "Monte Carlo", noise, **drawn, n_resamples=DRAWS)
        # Draws say nothing about an e-value, so only one is made.
        drawn |= dict(n_resamples=1, read=own_e)
        yield by("its e-value, bet 1", noise, **drawn, bet=1.0)
        yield by("its e-value, bet 4", noise, **drawn, bet=4.0)
        yield case("ghost_test", ghost, "its e-value, bet 4", noise, **drawn, bet=4.0)


# ---- differences, sets, strata, ranks -------------------------------------------------------------


def paired(rng: Generator, *, noise: Noise, n: int, **options: object) -> Finding:
    return paired_test(noise(rng, n), seed=fresh_seed(rng), **options)


def two_sample(rng: Generator, *, noise: Noise, n: tuple[int, int], **options: object) -> Finding:
    # The values, whatever they are, are split at random.
    pooled = rng.permutation(noise(rng, sum(n)))
    return two_sample_test(pooled[: n[0]], pooled[n[0] :], seed=fresh_seed(rng), **options)


def stratified(
    rng: Generator, *, noise: Noise, n: tuple[tuple[int, int], ...], **options: object
) -> Finding:
    # The strata lie far apart and fill the sets unequally, so the sets' means differ; but within
    # each stratum the values, whatever they are, are split at random.
    sizes = np.sum(n, axis=1)
    blocks = np.split(noise(rng, int(sizes.sum())), np.cumsum(sizes)[:-1])
    values = np.concatenate([rng.permutation(block) + 100 * s for s, block in enumerate(blocks)])
    strata = np.repeat(np.arange(len(n)), sizes)
    in_a = np.concatenate([np.arange(n_a + n_b) < n_a for n_a, n_b in n])
    a, b = values[in_a], values[~in_a]
    return stratified_test(a, b, strata[in_a], strata[~in_a], seed=fresh_seed(rng), **options)


def resampling_cases() -> Iterator[Case]:
    strata = ((1, 1), (1, 2)), ((2, 4), (3, 3), (4, 2)), ((2, 1), (1, 5), (6, 2), (3, 9))
    plans = (
        ("paired_test", paired, SYMMETRIC, (2, 12, 30)),
        ("two_sample_test", two_sample, ANY, ((1, 2), (4, 8), (10, 20))),
        ("stratified_test", stratified, ANY, strata),
    )
    for test, draw, worlds, (tiny, small, large) in plans:
        by = partial(case, test, draw)
        yield by("exact", normal, n=tiny, alternative=GREATER)
        for noise, side in in_turn(worlds):
            drawn = dict(n=large, alternative=side, method="monte-carlo")
            yield by("exact", noise, n=small, alternative=side)
            yield by("Monte Carlo", noise, **drawn, n_resamples=DRAWS)
            yield by("Monte Carlo and bound", noise, **drawn, n_resamples=FEW_DRAWS)
            yield by("stop_after=10", noise, **drawn, n_resamples=DRAWS, stop_after=10)
    for noise, side in in_turn(SYMMETRIC):
        calibrated = dict(n=12, alternative=side, read=calibrated_e)
        yield case("paired_test", paired, "calibrated e-value", noise, **calibrated)


def rank(rng: Generator, *, noise: Noise, n: int, **options: object) -> Finding:
    values = rng.permutation(noise(rng, n))  # which of them is the observed one is drawn at random
    return rank_test(values[0], values[1:], **options)


def rank_cases() -> Iterator[Case]:
    by = partial(case, "rank_test", rank)
    yield by("exact", normal, n=2, alternative=GREATER)
    for noise, side in in_turn(ANY):
        yield by("exact", noise, n=20, alternative=side)
        yield by("exact", noise, n=1_000, alternative=side)
        yield by("calibrated e-value", noise, n=1_000, alternative=side, read=calibrated_e)


def welch(
    rng: Generator,
    *,
    noise: Noise,
    n: tuple[int, int],
    spread: float = 1.0,
    alternative: Alternative,
) -> Finding:
    return welch_test(noise(rng, n[0]) * spread, noise(rng, n[1]), alternative=alternative)


def welch_cases() -> Iterator[Case]:
    by = partial(case, "welch_test", welch, asymptotic=True)
    for noise, side in in_turn((normal, t2, tied)):
        yield by("t", noise, n=(30, 30), alternative=side)
    for n in ((2, 2), (10, 100), (100, 10)):
        yield by("t, spreads 100 : 1", normal, n=n, spread=100.0, alternative=GREATER)
    for n, side in (((30, 30), TWO_SIDED), ((10, 100), GREATER), ((10, 100), LESS)):
        yield by("t", skewed, n=n, alternative=side)


# ---- several findings -----------------------------------------------------------------------------


def stated(log10_p: Floats) -> list[Finding]:
    """Findings with these p-values, all else being equal."""
    template = paired_test([1.0, 2.0], alternative=GREATER, seed=0)
    return [template.about(log10_p=min(float(p), 0.0)) for p in log10_p]


def uniform_parts(rng: Generator) -> list[Finding]:
    return stated(np.log10(1 - rng.random(N_FINDINGS)))


def discrete_parts(rng: Generator) -> list[Finding]:
    # Named apart, as `combine` takes findings that are alike in everything for the same one.
    tests = [paired(rng, noise=tied, n=8, alternative=GREATER) for _ in range(N_FINDINGS)]
    return [test.about(name=f"test {i}") for i, test in enumerate(tests)]


def correlated_parts(rng: Generator) -> list[Finding]:
    z = math.sqrt(0.5) * (rng.normal() + rng.normal(size=N_FINDINGS))
    return stated(special.log_ndtr(-z) / math.log(10))


def exclusive_parts(rng: Generator) -> list[Finding]:
    """Each of five values among the same 1,000 others: small p-values shut each other out."""
    x = rng.normal(size=1_000)
    return [rank_test(x[i], np.delete(x, i), alternative=GREATER) for i in range(N_FINDINGS)]


def combined(
    rng: Generator, *, parts: Callable[[Generator], list[Finding]], method: CombineMethod
) -> float:
    needs_independence = method in {CombineMethod.FISHER, CombineMethod.STOUFFER}
    return combine(parts(rng), method=method, assume_independent=needs_independence).log10_p


def adjusted(
    rng: Generator, *, parts: Callable[[Generator], list[Finding]], method: AdjustMethod, false: int
) -> float:
    """The smallest adjusted p of a true null hypothesis; the first `false` ones are false."""
    found = [part.about(log10_p=-6.0) for part in stated(np.zeros(false))]
    return min(adjust(found + parts(rng)[false:], method=method)[false:])


def several_cases() -> Iterator[Case]:
    independent = {
        "independent, uniform p": uniform_parts,
        "independent, discrete p": discrete_parts,
    }
    dependent = {
        "normal statistics correlated by 0.5": correlated_parts,
        "small p-values exclude each other": exclusive_parts,
    }
    for method in CombineMethod:
        any_dependence = method in {CombineMethod.CAUCHY, CombineMethod.BONFERRONI}
        for world, parts in (independent | (dependent if any_dependence else {})).items():
            outcome = partial(combined, parts=parts, method=method)
            cauchy_sum = method is CombineMethod.CAUCHY
            yield Case("combine", method.value, world, str(N_FINDINGS), outcome, cauchy_sum)
    # Where all null hypotheses hold, the false discovery rate of bh and by is the rate of any finding.
    for method, worlds, false in (
        (AdjustMethod.HOLM, independent | dependent, 0),
        (AdjustMethod.HOLM, independent | dependent, 2),
        (AdjustMethod.BH, independent, 0),
        (AdjustMethod.BY, dependent, 0),
    ):
        for world, parts in worlds.items():
            outcome = partial(adjusted, parts=parts, method=method, false=false)
            how = f"{method.value}, {false} of the nulls false"
            yield Case("adjust", how, world, str(N_FINDINGS), outcome)


# ---- e-processes ----------------------------------------------------------------------------------


def best_moment(process: SignEProcess | RankEProcess, records: Iterable[object]) -> float:
    """-log10 of the capital where an auditor who looks after every record would rather stop."""
    best = 0.0
    for record in records:
        process.feed(record)
        best = max(best, process.log10_e)
    return -best


def sign_process(rng: Generator, *, noise: Noise, alternative: Alternative) -> float:
    process = SignEProcess(alternative=alternative, alpha=LEVELS[0])
    process.extend(noise(rng, N_RECORDS))
    return process.log10_p


def rank_process(rng: Generator, *, noise: Noise, alternative: Alternative) -> float:
    process = RankEProcess(alternative=alternative, alpha=LEVELS[0])
    process.extend(rng.permuted(noise(rng, 5 * N_RECORDS).reshape(N_RECORDS, 5), axis=1))
    return process.log10_p


def provoked_sign_process(rng: Generator) -> float:
    """Sizes may depend on what went before: here they are larger the less capital there is."""
    process = SignEProcess(alternative=GREATER, alpha=LEVELS[0])
    signs = rng.choice([-1.0, 1.0], size=N_ONE_BY_ONE)
    return best_moment(process, (s * min(10**-process.log10_e, 1e3) for s in signs))


def provoked_rank_process(rng: Generator) -> float:
    """The number of ghosts may too: here many while there is little capital, one otherwise."""
    process = RankEProcess(alternative=GREATER, alpha=LEVELS[0])
    scores = rng.normal(size=(N_ONE_BY_ONE, 20))
    return best_moment(process, (x[:20] if process.log10_e < 0 else x[:2] for x in scores))


def process_cases() -> Iterator[Case]:
    n, few = str(N_RECORDS), str(N_ONE_BY_ONE)
    for noise, side in in_turn(SYMMETRIC):
        outcome = partial(sign_process, noise=noise, alternative=side)
        yield Case("SignEProcess", f"best moment, {side}", WORLDS[noise], n, outcome)
    for noise, side in zip(ANY, cycle((GREATER, LESS)), strict=False):
        outcome = partial(rank_process, noise=noise, alternative=side)
        yield Case("RankEProcess", f"best moment, {side}", WORLDS[noise], n, outcome)
    how = "best moment, greater, one by one"
    yield Case("SignEProcess", how, "sizes set by the capital", few, provoked_sign_process)
    yield Case("RankEProcess", how, "ghosts set by the capital", few, provoked_rank_process)


# ---- intervals ------------------------------------------------------------------------------------


def auroc(rng: Generator, *, noise: Noise, shift: float, truth: float, n: tuple[int, int]) -> float:
    scores = np.concatenate((noise(rng, n[0]) + shift, noise(rng, n[1])))
    result = roc(np.arange(sum(n)) < n[0], scores, higher_means=True, fprs=(0.1,))
    return missed(result.auroc, truth)


def separated_auroc(rng: Generator) -> float:
    """Two positives, each above both negatives with the largest probability that is to be excluded."""
    q = 0.158  # just below 0.025**(1/2)
    positives = np.where(rng.random(2) < q, 1.0, -1.0)
    result = roc([True, True, False, False], [*positives, 0.0, 0.0], higher_means=True)
    return missed(result.auroc, q) if result.auroc.value in {0, 1} else 0.0


def tied_auroc(rng: Generator) -> float:
    """Two positives, each tied with both negatives with the largest probability to be excluded."""
    q = 0.2236  # just below 0.05**(1/2)
    positives = (rng.random(2) > q).astype(float)
    result = roc([True, True, False, False], [*positives, 0.0, 0.0], higher_means=True)
    return missed(result.auroc, 1 - q / 2) if not positives.any() else 0.0


def operating_point(rng: Generator, *, of_positives: bool) -> float:
    m, n, target, shift = 60, 50, 0.1, 1.0
    positives, negatives = rng.normal(size=m) + shift, rng.normal(size=n)
    scores = np.concatenate((positives, negatives))
    point = roc(np.arange(m + n) < m, scores, higher_means=True, fprs=(target,)).at_fpr[0]
    if of_positives:
        # Given the negatives, the positives above the highest of them that must not pass are binomial.
        forbidden = np.sort(negatives)[n - 1 - round(n * target)]
        return missed(point.tpr, float(special.ndtr(shift - forbidden)))
    return missed(point.fpr, float(special.ndtr(-point.threshold)))


def share_below(rng: Generator) -> float:
    return missed(
        rank_test(0.5, rng.normal(size=40), alternative=GREATER).effect, special.ndtr(0.5)
    )


def interval_cases() -> Iterator[Case]:
    def row(
        test: str, method: str, world: str, n: str, outcome: Outcome, asymptotic: bool = False
    ) -> Case:
        return Case(test, method, world, n, outcome, asymptotic, levels=LEVELS[:1])

    for noise, shift, truth in (
        (normal, 1.0, special.ndtr(1 / math.sqrt(2))),
        (normal, 2.5, special.ndtr(2.5 / math.sqrt(2))),
        (cauchy, 1.0, 0.5 + math.atan(0.5) / math.pi),  # the difference of two is Cauchy of scale 2
        (tied, 0.0, 0.5),
    ):
        for n in ((50, 50), (200, 20)):
            outcome = partial(auroc, noise=noise, shift=shift, truth=truth, n=n)
            world = f"{WORLDS[noise]}, AUROC {truth:.2f}"
            yield row("roc", "misses of DeLong", world, sized(n), outcome, asymptotic=True)
    how = "misses of Clopper-Pearson"
    yield row("roc", f"{how}, AUROC", "separated at the edge", "2 + 2", separated_auroc)
    yield row("roc", f"{how}, AUROC", "tied at the edge", "2 + 2", tied_auroc)
    tpr, fpr = (partial(operating_point, of_positives=which) for which in (True, False))
    yield row("roc", f"{how}, TPR", "normal, cut set by the negatives", "60 + 50", tpr)
    # The docstring says so: the same negatives chose the threshold.
    yield row("roc", f"{how}, FPR", "normal, cut set by them", "60 + 50", fpr, asymptotic=True)
    yield row("rank_test", how, "normal", "40", share_below)


# ---- run ------------------------------------------------------------------------------------------


def all_cases() -> dict[str, Case]:
    cases = [
        *spearman_cases(),
        *choice_cases(),
        *resampling_cases(),
        *rank_cases(),
        *welch_cases(),
        *several_cases(),
        *process_cases(),
        *interval_cases(),
    ]
    named = {case.name: case for case in cases}
    if len(named) < len(cases):
        raise ValueError("two rows have one name, and would have the same random numbers")
    return named


def count_chunk(name: str, first: int, n_datasets: int) -> tuple[list[int], float]:
    """Rejections per level in data sets `first`, `first + 1`, ..., and seconds; runs in a worker."""
    start = time.perf_counter()
    case = all_cases()[name]
    rng = default_rng(SeedSequence(ENTROPY, spawn_key=(zlib.crc32(name.encode()), first)))
    outcomes = np.array([case.outcome(rng) for _ in range(n_datasets)])
    counts = [int((outcomes <= math.log10(level)).sum()) for level in case.levels]
    return counts, time.perf_counter() - start


def allowed(n_datasets: int, level: float) -> int:
    return int(binom.isf(FALSE_ALARM, n_datasets, level))


def count_all(names: list[str], n_datasets: int) -> Iterator[tuple[str, list[int]]]:
    """Rejections per level of each case, in order, while all cores work."""
    starts = range(0, n_datasets, CHUNK)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        waiting = {
            name: [pool.submit(count_chunk, name, s, min(CHUNK, n_datasets - s)) for s in starts]
            for name in names
        }
        for number, (name, chunks) in enumerate(waiting.items(), 1):
            counts, seconds = zip(*(chunk.result() for chunk in chunks), strict=True)
            totals = np.sum(counts, axis=0).tolist()
            done = f"{number}/{len(names)}"
            print(f"{done} {name}: {totals}, {sum(seconds):.1f} s of work", file=sys.stderr)
            yield name, totals


def row(case: Case, counts: list[int], n_datasets: int) -> list[str]:
    within = all(
        count <= allowed(n_datasets, level)
        for count, level in zip(counts, case.levels, strict=True)
    )
    cells = [f"{count:,}" for count in counts] + [""] * (len(LEVELS) - len(counts))
    verdict = ("yes" if within else "NO") + (", asymptotic" if case.asymptotic else "")
    return [case.test, case.method, case.world, case.n, *cells, verdict]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--datasets", type=int, default=20_000, help="null data sets per row")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    cases = {name: case for name, case in all_cases().items() if options.only in name}
    if not cases:
        parser.error(f"no row's name contains {options.only!r}")
    n = options.datasets
    rows = [row(cases[name], counts, n) for name, counts in count_all(list(cases), n)]
    levels = [f"p <= {level:g} (allowed {allowed(n, level):,})" for level in LEVELS]
    heading = ["test", "method", "null world", "n", *levels, "within?"]
    title = (
        f"False alarms in {n:,} null data sets (e-values: e >= 20, 100, 1,000; intervals: misses)"
    )
    table(title, heading, rows, ["scipy", "numpy", "numba"])
    return int(any(cells[-1] == "NO" for cells in rows))


if __name__ == "__main__":
    sys.exit(main())
