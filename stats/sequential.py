r"""Test martingales fed record by record, for auditors who pay per query and may stop at any time.

A gambler starts with a capital of 1 and bets, before each record is seen, at odds that are fair (or
worse for the gambler) if the claim is false. The capital is then a nonnegative supermartingale:
whenever one stops, and for whatever reason, its expectation is at most 1, so it is an e-value; and
the probability that it ever reaches 1/alpha is at most alpha (Ville 1939), so that 1 over its largest
value so far is a p-value, valid at any time (Shafer, Shen, Vereshchagin & Vovk 2011, "Test martingales,
Bayes factors and p-values").

How strongly to bet depends on the size of the effect, which nobody knows beforehand. The capital is
therefore split into equal parts, each of which bets with one strength theta throughout. A mixture of
martingales is one (Robbins 1970, "Statistical methods related to the law of the iterated logarithm";
Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence
sequences"), and it never holds less than the best of its K parts divided by K.

Notation: records i = 1, 2, ...; K strengths theta_k; E_k the capital of part k, up to its share.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..errors import InvalidInput
from .betting import BETS, CAP, prices_of, settle_ranks, settle_signs
from .checks import MAX_MAGNITUDE, finite_vector, ragged
from .eprocess import EProcess, is_number, real_of, whole_of
from .findings import Alternative, Finding

__all__ = ["RankEProcess", "SignEProcess"]


class SignEProcess(EProcess):
    r"""Do paired differences lean one way? Fed one difference at a time.

    Null hypothesis (conditional symmetry): given all earlier records and the size |d_i|, the sign s_i
    of the difference d_i is + or - with probability 1/2 each. Sizes may have any distribution and may
    depend on everything before, earlier signs too. The capital after n records is

    .. math:: \frac1K \sum_k \prod_{i \le n} \frac{\exp(\theta_k s_i v_i)}{\cosh(\theta_k v_i)},
        \quad v_i = \min\Bigl(\frac{|d_i|}{m_i^2}, 2.5\Bigr)

    with m_i the mean of sqrt(|d_j|) over the differences that are not 0, up to and with d_i; a difference
    of 0 multiplies by 1. For LESS, theta is negative; for TWO_SIDED half of the capital is on each side.

    That |d_i| itself may scale the bet on its sign is what makes conditional symmetry useful: de la Pena
    (1999), "A general class of exponential inequalities for martingales and ratios", has the factor
    exp(theta s v - theta**2 v**2 / 2), which is never larger, as cosh(x) <= exp(x**2 / 2), and gives a
    supermartingale; Howard, Ramdas, McAuliffe & Sekhon (2020), "Time-uniform Chernoff bounds via
    nonnegative supermartingales", collect such factors. That a martingale is to be preferred, for tests
    of symmetry too, is shown by Ramdas, Ruf, Larsson & Koolen (2020), "Admissible anytime-valid
    sequential inference must rely on nonnegative martingales". The scale, the cap and the grid are ours.

    A small p speaks against symmetry about 0, not only against a mean of 0.

    Args:
        alternative: GREATER (differences lean above 0), LESS or TWO_SIDED; fixed before the data are seen.
        alpha: Level of the decision, in (0, 1); fixed before the data are seen.

    Raises:
        InvalidInput: If an argument is malformed; the message names it.
    """

    # Why this is a martingale under the null hypothesis. Let G_i hold all earlier records and |d_i|. Then
    # v_i is known given G_i: it is made of |d_1|, ..., |d_i|. If d_i is not 0, s_i is fair given G_i, so
    #     E[exp(theta s_i v_i) | G_i] = (exp(theta v_i) + exp(-theta v_i)) / 2 = cosh(theta v_i),
    # so the factor has expectation 1 given G_i; if d_i = 0, it is 1. Hence E[E_k(i) | G_i] = E_k(i - 1) for
    # each k, and so for their mean; averaging over |d_i| gives the same given the earlier records alone.

    _FORMAT = "bookplate sign e-process"
    _SIDES = (Alternative.GREATER, Alternative.LESS, Alternative.TWO_SIDED)

    def __init__(self, *, alternative: Alternative, alpha: float) -> None:
        super().__init__(alternative=alternative, alpha=alpha)
        self._n_nonzero = 0
        self._mean_root = 0.0  # of sqrt(|d|), over the differences that are not 0

    def feed(self, difference: float) -> None:
        """Enter one paired difference, in any unit as long as it is the same for all.

        Raises:
            InvalidInput: If it is no finite number of magnitude up to 1e300; nothing has changed then.
        """
        if not is_number(difference):
            raise InvalidInput(f"difference: expected a number, got {difference!r}")
        if not abs(difference) <= MAX_MAGNITUDE:
            raise InvalidInput(
                f"difference: expected a finite number up to 1e300, got {difference!r}"
            )
        self._bet(np.array([float(difference)]))

    def extend(self, differences: ArrayLike) -> None:
        """Enter differences in order, with the same result as feeding them one by one.

        Args:
            differences: Shape (m,); m may be 0.

        Raises:
            InvalidInput: If one of them is no finite number of magnitude up to 1e300; the message names
                its index, and none has been entered then.
        """
        d = finite_vector("differences", differences)
        if d.size:
            self._bet(d)

    def finding(self) -> Finding:
        """What the records so far show: p from the largest capital, the e-value from the capital now.

        The effect is the share of differences above 0, those of 0 counted half.

        Raises:
            InsufficientEvidence: If no record was fed.
        """
        direction = {
            Alternative.GREATER: "above 0",
            Alternative.LESS: "below 0",
            Alternative.TWO_SIDED: "to one side of 0",
        }[self._alternative]
        n_zero = self._n - self._n_nonzero
        both = " on each side, half the capital on either" * (
            self._alternative is Alternative.TWO_SIDED
        )
        return self._finding(
            name="sign e-process",
            question=f"Do the paired differences lean {direction}?",
            null="Given all earlier records and its own size, each difference is as likely to be above 0 "
            "as below 0.",
            unit="pairs",
            share="share of differences above 0, those of 0 counted half",
            bets=f"{BETS}{both}, on the sign of a difference times its size over the typical size so far "
            f"(at most {CAP})",
            assumption="Without an effect, each difference is as likely to be x as -x, given all records "
            "before it.",
            warnings=(f"{n_zero} of {self._n} differences are 0 and say nothing.",)
            if n_zero
            else (),
        )

    def _bet(self, d: NDArray[np.float64]) -> None:
        logs, path = self._log_capitals.copy(), np.empty(d.size)
        towards = -d if self._alternative is Alternative.LESS else d
        n_nonzero, mean_root = settle_signs(
            towards, self._thetas, logs, path, self._n_nonzero, self._mean_root
        )
        self._n_nonzero, self._mean_root = int(n_nonzero), float(mean_root)
        self._take(logs, path, (1 + np.sign(d)) / 2)
        if self._fed is not None:  # copied: whoever feeds may use the array again
            self._fed.append((d.copy(), np.ones(d.size, dtype=np.int64)))

    def _columns(
        self, values: NDArray[np.float64], sizes: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        del sizes
        return {"difference": values}

    def _extra_state(self) -> dict[str, Any]:
        return {"n_nonzero": self._n_nonzero, "mean_root": self._mean_root}

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        if self._log_capitals.max() > self._n * math.log(2) + 1e-6:  # a bet doubles at most
            raise InvalidInput("state: more capital than so many records can bring")
        self._n_nonzero = whole_of(state, "n_nonzero", 0, self._n)
        self._mean_root = real_of(state, "mean_root", 0.0, math.sqrt(MAX_MAGNITUDE))
        if (self._n_nonzero > 0) != (self._mean_root > 0):
            raise InvalidInput("state: n_nonzero and mean_root contradict each other")


class RankEProcess(EProcess):
    r"""Does the released variant stand out among its ghosts? Fed the scores of one record at a time.

    Null hypothesis: given all earlier records and the unordered scores of this one, each of its M + 1
    variants is equally likely to be the released one. M may differ from record to record. With R_i
    the rank of the released variant (1 the lowest, ties counted against the claim), the capital after n
    records is

    .. math:: \frac1K \sum_k \prod_{i \le n}
        \frac{\exp(\theta_k u(R_i))}{\frac1{M_i+1} \sum_{r=1}^{M_i+1} \exp(\theta_k u(r))}

    with u(r) the normal scores (van der Waerden) Phi^-1(r / (M + 2)), divided by their root mean square
    so that one grid of theta suits every M; for M = 1 they are -1 and 1. LESS ranks from the top.

    Only ranks count: any increasing transform of a record's scores gives the same capital. Betting on
    ranks is due to Vovk, Nouretdinov & Gammerman (2003), "Testing exchangeability on-line". Their ranks
    are among past records, so stopping may look at nothing but ranks; here each record brings its own
    ghosts, and stopping may look at all scores so far.

    Args:
        alternative: GREATER (the released variant scores higher than its ghosts) or LESS; fixed before
            the data are seen.
        alpha: Level of the decision, in (0, 1); fixed before the data are seen.

    Raises:
        InvalidInput: If an argument is malformed; the message names it.
    """

    # Why this is a supermartingale under the null hypothesis. Let G_i hold all earlier records and the
    # unordered scores of record i; M_i is known given G_i. Break ties by a fair draw: the rank R' of the
    # released variant is then uniform on 1, ..., M_i + 1 given G_i, so that
    #     E[exp(theta u(R')) / mean_r exp(theta u(r)) | G_i] = 1.
    # R_i is the lowest rank that any way to break the ties gives, so R_i <= R', and as theta > 0 and u
    # increases, the factor used is at most that one; the two are equal where there are no ties.

    _FORMAT = "bookplate rank e-process"
    _SIDES = (Alternative.GREATER, Alternative.LESS)

    def __init__(self, *, alternative: Alternative, alpha: float) -> None:
        super().__init__(alternative=alternative, alpha=alpha)
        self._n_tied = 0

    def feed(self, scores: ArrayLike) -> None:
        """Enter one record.

        Args:
            scores: Scores of the released variant (first) and its ghosts, shape (M + 1,), M >= 1; in any
                unit, which may differ from record to record.

        Raises:
            InvalidInput: If the scores are malformed; the message names the index, and nothing has
                changed then.
        """
        values = finite_vector("scores", scores)
        if values.size < 2:
            raise InvalidInput(
                f"scores: expected the released variant and at least one ghost, got shape {values.shape}",
                "a record without ghosts says nothing: leave it out",
            )
        self._bet(values, np.array([0, values.size]))

    def extend(self, records: Sequence[ArrayLike]) -> None:
        """Enter records in order, with the same result as feeding them one by one.

        Args:
            records: Per record what `feed` takes, of equal or unequal lengths; may be empty.

        Raises:
            InvalidInput: If a record is malformed; the message names it and the index in it, and none
                has been entered then.
        """
        if not _is_empty(records):
            self._bet(*ragged("records", records))

    def finding(self) -> Finding:
        """What the records so far show: p from the largest capital, the e-value from the capital now.

        The effect is the mean over records of the share of ghosts that score below the released variant,
        ties counted half.

        Raises:
            InsufficientEvidence: If no record was fed.
        """
        direction = "lower" if self._alternative is Alternative.LESS else "higher"
        return self._finding(
            name="rank e-process",
            question=f"Does the released variant score {direction} than its ghosts?",
            null="Given all earlier records and the unordered scores of a record, each of its variants is "
            "equally likely to be the released one.",
            unit="records",
            share="mean share of ghosts that score below the released variant, ties counted half",
            bets=f"{BETS}, on the normal score of the released variant's rank",
            assumption="Without an effect, released variant and ghosts are exchangeable, given all records "
            "before.",
            warnings=(
                f"In {self._n_tied} of {self._n} records a ghost ties with the released variant; "
                "ties count against the claim.",
            )
            if self._n_tied
            else (),
        )

    def _bet(self, values: NDArray[np.float64], starts: NDArray[np.int64]) -> None:
        sizes = np.diff(starts)
        released = np.repeat(values[starts[:-1]], sizes)
        below = np.add.reduceat(values < released, starts[:-1], dtype=np.int64)
        above = np.add.reduceat(values > released, starts[:-1], dtype=np.int64)
        n_beaten = above if self._alternative is Alternative.LESS else below
        distinct, rows = np.unique(sizes, return_inverse=True)
        prices = [prices_of(int(size)) for size in distinct]
        spreads = np.array([spread for spread, _ in prices])
        scores = special.ndtri((1 + n_beaten) / (sizes + 1)) / spreads[rows]
        logs, path = self._log_capitals.copy(), np.empty(sizes.size)
        settle_ranks(scores, rows, np.array([row for _, row in prices]), self._thetas, logs, path)
        self._n_tied += int(np.count_nonzero(below + above + 1 < sizes))
        self._take(logs, path, (1 + (below - above) / (sizes - 1)) / 2)
        if self._fed is not None:
            self._fed.append((values.copy(), sizes))

    def _columns(
        self, values: NDArray[np.float64], sizes: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        return {"unit": np.repeat(np.arange(sizes.size), sizes), "value": values}

    def _extra_state(self) -> dict[str, Any]:
        return {"n_tied": self._n_tied}

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self._n_tied = whole_of(state, "n_tied", 0, self._n)


def _is_empty(records: object) -> bool:
    try:
        return len(records) == 0  # type: ignore[arg-type]  # what has no length is refused elsewhere
    except TypeError:
        return False
