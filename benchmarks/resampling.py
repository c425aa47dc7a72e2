"""Seconds of the resampling kernels beside SciPy's permutation tests, and ranks beside argsort."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.stats import Alternative, paired_test, ranks, spearman_test
from scipy import stats
from timing import interleaved, table

PACKAGES = ["scipy", "numpy", "numba"]


def sign_flips(rng: np.random.Generator) -> list[str]:
    pairs, draws = 1_000, 99_999
    scores = rng.normal(size=(pairs, 2))
    differences = scores[:, 0] - scores[:, 1]

    def ours() -> None:
        paired_test(differences, alternative=Alternative.GREATER, seed=1, n_resamples=draws)

    def scipys() -> None:
        stats.permutation_test(
            (scores[:, 0], scores[:, 1]),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=draws,
            batch=1_000,
            alternative="greater",
            rng=rng,
        )

    seconds = interleaved(3, {"ours": ours, "scipy": scipys})
    return [
        f"sign flips, {pairs:,} pairs, {draws:,} draws (peer: vectorised, in batches)",
        *_compared(seconds),
    ]


def permutations(rng: np.random.Generator) -> list[str]:
    n, draws = 2_000, 2_000
    x, y = rng.normal(size=(2, n))
    ours = partial(
        spearman_test,
        x,
        y,
        alternative=Alternative.GREATER,
        seed=1,
        method="permutation",
        n_resamples=draws,
    )

    def scipys() -> None:
        stats.permutation_test(
            (x,),
            lambda a: stats.spearmanr(a, y).statistic,
            permutation_type="pairings",
            n_resamples=draws,
            alternative="greater",
            rng=rng,
        )

    seconds = interleaved(3, {"ours": ours, "scipy": scipys})
    return [f"permutation Spearman, n = {n:,}, {draws:,} draws", *_compared(seconds)]


def ranking(rng: np.random.Generator) -> list[str]:
    x = rng.normal(size=1_000_000)
    seconds = interleaved(3, {"ours": partial(ranks, x), "argsort": partial(np.argsort, x)})
    return ["ranks of 1,000,000 (peer: numpy.argsort)", *_compared(seconds)]


def _compared(seconds: dict[str, float]) -> list[str]:
    ours, peer = seconds.values()
    return [f"{ours:.4f}", f"{peer:.4f}", f"{peer / ours:.2f}"]


def main() -> None:
    rng = np.random.default_rng(1)
    rows = [sign_flips(rng), permutations(rng), ranking(rng)]
    table("Resampling", ["what", "ours, s", "peer, s", "peer / ours"], rows, PACKAGES)


if __name__ == "__main__":
    main()
