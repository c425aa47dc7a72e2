"""Seconds of `bookplate.stats` beside numpy, SciPy and scikit-learn, and what it promises.

python benchmarks/stats.py [--huge]        --huge: also 1e8 pairs, a minute or two and 5 GiB
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.stats import (
    Alternative,
    SpearmanMethod,
    paired_test,
    ranks,
    roc,
    spearman_test,
    two_sample_test,
)
from numpy.typing import NDArray
from scipy import stats
from timing import interleaved, table

GREATER = Alternative.GREATER
MILLION = 1_000_000
DRAWS = 99_999
LONGEST_IMPORT = 0.6  # seconds
LEAST_FROM_DISK = 5  # times faster than compiling, or the kernels were not cached
MOST_MEMORY, LEAST_AVAILABLE = 24, 10  # GiB
KIB, GIB = 2**10, 2**30

Row = list[str]


@dataclass(frozen=True)
class Peer:
    """What ours is compared with.

    Attributes:
        name: What it is.
        action: Runs it, or a part of its work.
        parts: The whole work takes so many times as long; every draw costs the same.
        promise: peer / ours is promised to be at least this.
    """

    name: str
    action: Callable[[], object]
    parts: int = 1
    promise: float | None = None


def rows(
    what: str, ours: Callable[[], object], peers: Sequence[Peer], rounds: int = 5
) -> list[Row]:
    """One row per peer, all timed by turns."""
    actions: Mapping[str, Callable[[], object]] = {peer.name: peer.action for peer in peers}
    seconds = interleaved(rounds, {"ours": ours, **actions})
    found = []
    for peer in peers:
        whole = peer.parts * seconds[peer.name]
        ratio = whole / seconds["ours"]
        note = f" (1/{peer.parts} of the draws, times {peer.parts})" if peer.parts > 1 else ""
        promise = (
            [f"at least {peer.promise:g}", met(ratio >= peer.promise)] if peer.promise else ["", ""]
        )
        own = f"{seconds['ours']:.4f}"
        found.append([what, own, peer.name + note, f"{whole:.4f}", f"{ratio:.3g}", *promise])
    return found


def met(kept: bool) -> str:
    return "met" if kept else "MISSED"


# ---- speed ----------------------------------------------------------------------------------------


def spearman(rng: np.random.Generator) -> list[Row]:
    x, y = rng.normal(size=(2, MILLION))
    ours = partial(spearman_test, x, y, alternative=GREATER, seed=1, method=SpearmanMethod.T)
    argsort = partial(np.argsort, x)
    return [
        *rows(
            "Spearman test of 1,000,000 pairs, by t",
            ours,
            [
                Peer("numpy.argsort of one side", argsort, promise=1 / 2.5),
                Peer("scipy.stats.spearmanr", partial(stats.spearmanr, x, y)),
            ],
        ),
        *rows(
            "ranks of 1,000,000 values",
            partial(ranks, x),
            [
                Peer("numpy.argsort", argsort),
                Peer("scipy.stats.rankdata", partial(stats.rankdata, x)),
            ],
        ),
    ]


def permuted_spearman(rng: np.random.Generator) -> list[Row]:
    n, draws, parts = 10_000, 10_000, 50
    x, y = rng.normal(size=(2, n))
    rank_x, rank_y = stats.rankdata(x) - (n + 1) / 2, stats.rankdata(y) - (n + 1) / 2

    def scipys(data: NDArray[np.float64], statistic: Callable[..., object]) -> Callable[[], object]:
        return partial(
            stats.permutation_test,
            (data,),
            statistic,
            permutation_type="pairings",
            n_resamples=draws // parts,
            alternative="greater",
            rng=rng,
        )

    ours = partial(
        spearman_test,
        x,
        y,
        alternative=GREATER,
        seed=1,
        method=SpearmanMethod.PERMUTATION,
        n_resamples=draws,
    )
    by_rho = scipys(x, lambda a: stats.spearmanr(a, y).statistic)
    by_product = scipys(rank_x, lambda a: a @ rank_y)
    peers = [
        Peer("scipy.stats.permutation_test of spearmanr", by_rho, parts, promise=20),
        Peer("scipy.stats.permutation_test, ranked once", by_product, parts),
    ]
    return rows(f"permutation Spearman, n = {n:,}, {draws:,} draws", ours, peers, rounds=3)


def sign_flips(rng: np.random.Generator) -> list[Row]:
    pairs, parts = 1_000, 20
    scores = rng.normal(size=(2, pairs))

    def plain(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return (x - y).mean()

    def vectorised(
        x: NDArray[np.float64], y: NDArray[np.float64], axis: int
    ) -> NDArray[np.float64]:
        return (x - y).mean(axis=axis)

    def scipys(**options: object) -> Callable[[], object]:
        return partial(
            stats.permutation_test,
            tuple(scores),
            permutation_type="samples",
            n_resamples=(DRAWS + 1) // parts,
            alternative="greater",
            rng=rng,
            **options,
        )

    ours = partial(
        paired_test, scores[0] - scores[1], alternative=GREATER, seed=1, n_resamples=DRAWS
    )
    peers = [
        Peer("scipy.stats.permutation_test", scipys(statistic=plain), parts, promise=300),
        Peer(
            "scipy.stats.permutation_test, vectorised, in batches",
            scipys(statistic=vectorised, vectorized=True, batch=1_000),
            parts,
        ),
    ]
    return rows(f"sign flips, {pairs:,} pairs, {DRAWS:,} draws", ours, peers)


def two_samples(rng: np.random.Generator) -> list[Row]:
    size, parts = 500, 20
    a, b = rng.normal(size=(2, size))

    def mean_difference(
        x: NDArray[np.float64], y: NDArray[np.float64], axis: int
    ) -> NDArray[np.float64]:
        return x.mean(axis=axis) - y.mean(axis=axis)

    scipys = partial(
        stats.permutation_test,
        (a, b),
        mean_difference,
        vectorized=True,
        batch=1_000,
        n_resamples=(DRAWS + 1) // parts,
        alternative="greater",
        rng=rng,
    )
    ours = partial(two_sample_test, a, b, alternative=GREATER, seed=1, n_resamples=DRAWS)
    peer = Peer("scipy.stats.permutation_test, vectorised, in batches", scipys, parts)
    return rows(f"two sets of {size} permuted, {DRAWS:,} draws", ours, [peer])


def roc_curve(rng: np.random.Generator) -> list[Row]:
    what = "AUROC, its interval and the curve, 1,000,000 scores"
    labels = rng.random(MILLION) < 0.5
    scores = rng.normal(size=MILLION) + labels
    try:
        from sklearn import metrics
    except ImportError:
        return [[what, "", "scikit-learn: not installed", "", "", "at least 5", ""]]
    peers = [
        Peer(
            "sklearn.metrics.roc_auc_score, no interval",
            partial(metrics.roc_auc_score, labels, scores),
            promise=5,
        ),
        Peer("sklearn.metrics.roc_curve", partial(metrics.roc_curve, labels, scores), promise=5),
    ]
    return rows(what, partial(roc, labels, scores, higher_means=True), peers)


# ---- start and size -------------------------------------------------------------------------------

IMPORT = """
import time
start = time.perf_counter()
import bookplate.stats
print(time.perf_counter() - start)
"""

FIRST_CALL = """
import time
import numpy as np
from bookplate.stats import paired_test, roc, spearman_test
x, y = np.random.default_rng(1).normal(size=(2, 100))
start = time.perf_counter()
spearman_test(x, y, alternative="greater", seed=1, n_resamples=99)
paired_test(x, alternative="greater", seed=1, n_resamples=99)
roc(x > 0, y, higher_means=True)
print(time.perf_counter() - start)
"""

HUGE = """
import resource, time
import numpy as np
from bookplate.stats import spearman_test
x, y = np.random.default_rng(1).normal(size=(2, 100_000_000))
start = time.perf_counter()
spearman_test(x, y, alternative="greater", seed=1, method="t")
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def printed(program: str, **environment: str) -> list[float]:
    """The numbers that a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def in_fresh_process(program: str, **environment: str) -> float:
    """Median seconds of five processes, after one that fills the caches."""
    _ = printed(program, **environment)
    return statistics.median(printed(program, **environment)[0] for _ in range(5))


def start_up() -> list[Row]:
    importing, calling = in_fresh_process(IMPORT), in_fresh_process(FIRST_CALL)
    with tempfile.TemporaryDirectory() as empty:
        compiling = printed(FIRST_CALL, NUMBA_CACHE_DIR=empty)[0]
    return [
        [
            "import of bookplate.stats in a new process, caches warm",
            f"{importing:.4f}",
            "",
            "",
            "",
            f"at most {LONGEST_IMPORT:g} s",
            met(importing <= LONGEST_IMPORT),
        ],
        [
            "first calls of three tests in a new process",
            f"{calling:.4f}",
            "the same without kernels on disk",
            f"{compiling:.4f}",
            f"{compiling / calling:.3g}",
            f"at least {LEAST_FROM_DISK}",
            met(compiling >= LEAST_FROM_DISK * calling),
        ],
    ]


def huge() -> Row:
    what = "Spearman test of 100,000,000 pairs, by t"
    if available_gib() < LEAST_AVAILABLE:
        return [what, f"not run: less than {LEAST_AVAILABLE} GiB available", *[""] * 5]
    seconds, kibibytes = printed(HUGE)
    gib = kibibytes * KIB / GIB
    what += f"; {gib:.1f} GiB at the peak"
    return [
        what,
        f"{seconds:.1f}",
        "",
        "",
        "",
        f"at most {MOST_MEMORY} GiB",
        met(gib <= MOST_MEMORY),
    ]


def available_gib() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if "MemAvailable" in line) * KIB / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--huge", action="store_true", help="also 100,000,000 pairs")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    found: list[Row] = []
    for measure in (spearman, permuted_spearman, sign_flips, two_samples, roc_curve):
        found += measure(rng)
    found += start_up()
    if options.huge:
        found.append(huge())
    heading = ["what", "ours, s", "peer", "peer, s", "peer / ours", "promise", "kept?"]
    table("Statistics", heading, found, ["scipy", "numpy", "numba"])


if __name__ == "__main__":
    main()
