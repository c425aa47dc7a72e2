"""What all e-processes share: the capital, its largest value so far, the decision, the saved state."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientEvidence, InvalidInput
from .betting import CONFIDENCE, THETAS, log_mean_exp, share_interval
from .checks import MAX_MAGNITUDE, one_of
from .findings import LOG10_E, Alternative, Effect, EValue, Finding, Statistic, Validity
from .workings import Working

__all__ = ["EProcess", "is_number", "real_of", "whole_of"]

_STATE_VERSION = 1
_COMMON_ASSUMPTIONS = (
    "Each record was fed once, and has a random draw of its own: what shares one draw is one record.",
    "The order of the records, and which are queried, does not depend on scores to come.",
    "Every record whose score was seen was fed, in that order.",
    "Every process that was started for the question is reported.",
    "Queries may stop at any time and for any reason: nothing is assumed about it.",
)


class EProcess(ABC):
    """What both processes share: the capital, its largest value so far, the decision, the saved state.

    Attributes:
        _FORMAT: Names the kind of process in a saved state.
        _SIDES: The alternatives that the process can be asked for.
    """

    _FORMAT: ClassVar[str]
    _SIDES: ClassVar[tuple[Alternative, ...]]

    def __init__(self, *, alternative: Alternative, alpha: float) -> None:
        alternative = one_of("alternative", Alternative, alternative)
        if alternative not in self._SIDES:
            allowed = ", ".join(repr(side.value) for side in self._SIDES)
            raise InvalidInput(f"alternative: expected one of {allowed}, got {alternative.value!r}")
        if not is_number(alpha) or not 0 < alpha < 1:
            raise InvalidInput(f"alpha: expected a number in (0, 1), got {alpha!r}")
        self._alternative = alternative
        self._alpha = float(alpha)
        self._thetas = (
            np.concatenate([THETAS, -THETAS])  # the mean of both sides
            if alternative is Alternative.TWO_SIDED
            else THETAS
        )
        self._log_capitals = np.zeros(self._thetas.size)  # log E_k, natural
        self._n = 0
        self._top_log10_e = 0.0  # the capital before the first record is 1
        self._n_at_rejection: int | None = None
        self._log10_e_at_rejection = 0.0
        # What was fed, for the working; None where a saved state was continued, which does not hold it.
        self._fed: list[tuple[NDArray[np.float64], NDArray[np.int64]]] | None = []
        self._share_total = 0.0  # sum of the per-record shares behind the effect, each in [0, 1]

    @property
    def alternative(self) -> Alternative:
        """The direction, fixed at construction."""
        return self._alternative

    @property
    def alpha(self) -> float:
        """The level of the decision, fixed at construction."""
        return self._alpha

    @property
    def n(self) -> int:
        """Number of records fed so far."""
        return self._n

    @property
    def log10_e(self) -> float:
        """Decimal logarithm of the capital now: the e-value if one stops here. It may fall again."""
        return float(log_mean_exp(self._log_capitals)) * LOG10_E

    @property
    def log10_p(self) -> float:
        """Decimal logarithm of the anytime-valid p-value, 1 over the largest capital so far; at most 0."""
        return min(0.0, -self._top_log10_e)

    @property
    def rejected(self) -> bool:
        """Whether the capital has ever reached 1 / alpha; once it has, this stays true."""
        return self._n_at_rejection is not None

    @property
    def n_at_rejection(self) -> int | None:
        """The number of records after which the capital first reached 1 / alpha, or None."""
        return self._n_at_rejection

    def to_dict(self) -> dict[str, Any]:
        """The whole state as plain JSON values; `from_dict` continues from it, to the last bit."""
        return {
            "format": self._FORMAT,
            "version": _STATE_VERSION,
            "alternative": self._alternative.value,
            "alpha": self._alpha,
            "n": self._n,
            "log_capitals": self._log_capitals.tolist(),
            "top_log10_e": self._top_log10_e,
            "n_at_rejection": self._n_at_rejection,
            "log10_e_at_rejection": self._log10_e_at_rejection,
            "share_total": self._share_total,
            **self._extra_state(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Continue a process that `to_dict` saved.

        The state is checked for being whole and free of contradictions, not for being genuine: keep it
        where nobody can write who might gain by it.

        Args:
            state: What `to_dict` gave, also after a way through JSON.

        Raises:
            InvalidInput: If a field is missing, unknown, of the wrong kind or contradicts another, or
                if the state is of another version or another kind of process.
        """
        if not isinstance(state, Mapping):
            raise InvalidInput(f"state: expected a mapping, got {type(state).__name__}")
        if (state.get("format"), state.get("version")) != (cls._FORMAT, _STATE_VERSION):
            raise InvalidInput(
                f"state: expected format {cls._FORMAT!r} of version {_STATE_VERSION}, got "
                f"{state.get('format')!r} of version {state.get('version')!r}"
            )
        known = cls(alternative=Alternative.GREATER, alpha=0.5).to_dict()
        differing = set(state) ^ set(known)
        if differing:
            raise InvalidInput(f"state: fields missing or unknown: {sorted(map(str, differing))}")
        process = cls(alternative=state["alternative"], alpha=state["alpha"])
        process._restore(state)
        return process

    @abstractmethod
    def finding(self) -> Finding:
        """What the records so far show."""

    @abstractmethod
    def _extra_state(self) -> dict[str, Any]:
        """What this kind of process adds to a saved state."""

    def _restore(self, state: Mapping[str, Any]) -> None:
        n = whole_of(state, "n", 0, None)
        logs = state["log_capitals"]
        if not isinstance(logs, list | tuple) or len(logs) != self._log_capitals.size:
            raise InvalidInput(
                f"state['log_capitals']: expected {self._log_capitals.size} numbers, got {logs!r}"
            )
        for index, value in enumerate(logs):
            if not is_number(value) or not abs(value) <= MAX_MAGNITUDE:
                raise InvalidInput(
                    f"state['log_capitals'][{index}]: expected a number, got {value!r:.80}"
                )
        self._log_capitals = np.array(logs, dtype=np.float64)
        self._n = n
        self._fed = None if n else []
        self._top_log10_e = real_of(state, "top_log10_e", max(0.0, self.log10_e), math.inf)
        self._share_total = real_of(state, "share_total", 0.0, float(n))
        if state["n_at_rejection"] is not None:
            self._n_at_rejection = whole_of(state, "n_at_rejection", 1, n)
        self._log10_e_at_rejection = real_of(state, "log10_e_at_rejection", 0.0, self._top_log10_e)
        if self.rejected != (self._log10_e_at_rejection >= -math.log10(self._alpha)):
            raise InvalidInput(
                "state: n_at_rejection and log10_e_at_rejection contradict each other"
            )
        if self.rejected != (self.log10_p <= math.log10(self._alpha)):
            raise InvalidInput("state: n_at_rejection and top_log10_e contradict each other")
        if n == 0 and (self._log_capitals.any() or self._top_log10_e):
            raise InvalidInput("state: capital has changed, but n is 0")

    @abstractmethod
    def _columns(
        self, values: NDArray[np.float64], sizes: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """The columns of the working, from all that was fed: values, and how many each record has."""

    def _working(self) -> Working | None:
        if not self._fed:
            return None
        values, sizes = (np.concatenate(parts) for parts in zip(*self._fed, strict=True))
        return Working(
            test=self._FORMAT.removeprefix("bookplate "),
            columns=self._columns(values, sizes),
            settings={"alternative": self._alternative.value, "alpha": self._alpha},
        )

    def _take(
        self,
        log_capitals: NDArray[np.float64],
        log_path: NDArray[np.float64],
        shares: NDArray[np.float64],
    ) -> None:
        """Enter records whose bets are settled.

        Args:
            log_capitals: log E_k after the last of them.
            log_path: Natural log of the capital after each of them, shape (records,).
            shares: The effect's share of each of them, shape (records,).
        """
        path = log_path * LOG10_E
        if self._n_at_rejection is None:
            reached = np.flatnonzero(-path <= math.log10(self._alpha))
            if reached.size:
                self._n_at_rejection = self._n + int(reached[0]) + 1
                self._log10_e_at_rejection = float(path[reached[0]])
        self._top_log10_e = max(self._top_log10_e, float(path.max()))
        self._log_capitals = log_capitals
        # One by one, as single records are: a pairwise sum would give other bits.
        self._share_total = float(np.cumsum(np.concatenate([[self._share_total], shares]))[-1])
        self._n += path.size

    def _finding(
        self,
        *,
        name: str,
        question: str,
        null: str,
        unit: str,
        share: str,
        bets: str,
        assumption: str,
        warnings: tuple[str, ...],
    ) -> Finding:
        if self._n == 0:
            raise InsufficientEvidence(
                f"{name}: no record was fed", "feed at least one record before asking for a finding"
            )
        reached = (
            f"reached at record {self._n_at_rejection}" if self.rejected else "not reached so far"
        )
        low, high = share_interval(self._share_total, self._n)
        return Finding(
            name=name,
            question=question,
            null=null,
            alternative=self._alternative,
            statistic=Statistic(
                name="log10 of the largest capital so far", value=self._top_log10_e
            ),
            log10_p=self.log10_p,
            method=f"test martingale, {bets}, anytime-valid (Ville 1939); "
            f"level alpha={self._alpha:g} fixed at the start, {reached}",
            valid=Validity.FINITE_SAMPLE,
            n=self._n,
            unit=unit,
            effect=Effect(
                name=share,
                value=self._share_total / self._n,
                low=low,
                high=high,
                confidence=CONFIDENCE,
                interval="beta-binomial mixture (Robbins 1970), anytime-valid, if the expected share is "
                "the same for all records",
            ),
            assumptions=(assumption, *_COMMON_ASSUMPTIONS),
            warnings=warnings,
            # The gambler stops at the level fixed at the start: what is lost later does not count.
            e_value=EValue(
                log10_e=self._log10_e_at_rejection if self.rejected else self.log10_e,
                method=f"capital of the test martingale {'at the level' if self.rejected else 'now'}, "
                f"{bets}, anytime-valid",
            ),
            working=self._working(),
        )


def is_number(value: object) -> bool:
    """Whether something is a number; True and False are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def whole_of(state: Mapping[str, Any], key: str, low: int, high: int | None) -> int:
    """An integer of a saved state, within bounds that may be reached.

    Raises:
        InvalidInput: If it is none.
    """
    value = state[key]
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < low
        or (high is not None and value > high)
    ):
        most = "" if high is None else f" and at most {high}"
        raise InvalidInput(
            f"state[{key!r}]: expected an integer of at least {low}{most}, got {value!r}"
        )
    return value


def real_of(state: Mapping[str, Any], key: str, low: float, high: float) -> float:
    """A finite number of a saved state, within bounds that may be reached.

    Raises:
        InvalidInput: If it is none.
    """
    value = state[key]
    if not is_number(value) or not low <= value <= min(high, MAX_MAGNITUDE):
        raise InvalidInput(
            f"state[{key!r}]: expected a finite number in [{low}, {high}], got {value!r}"
        )
    return float(value)
