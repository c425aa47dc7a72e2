"""`Finding`: the one thing every test returns, and every report prints."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from dataclasses import fields as dataclass_fields
from enum import StrEnum
from typing import Any, Self

from ..errors import InvalidInput
from .workings import Working

__all__ = [
    "Alternative",
    "EValue",
    "Effect",
    "Finding",
    "Input",
    "NullHistogram",
    "Statistic",
    "Trend",
    "Validity",
]

_SMALLEST_FLOAT = sys.float_info.min  # p_value stays there; p_text and log10_p go on below it
_LARGEST = sys.float_info.max
_MOST_UNITS = 2**63 - 1
LOG10_E = math.log10(math.e)


class Alternative(StrEnum):
    """The direction a test looks in, fixed before the data are seen."""

    GREATER = "greater"
    LESS = "less"
    TWO_SIDED = "two-sided"


class Validity(StrEnum):
    """In which sense P(p <= alpha) <= alpha holds under the null hypothesis."""

    FINITE_SAMPLE = "finite-sample"
    ASYMPTOTIC = "asymptotic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """What was computed from the data: its name with the unit, and its value."""

    name: str
    value: float

    def __post_init__(self) -> None:
        _check_text("Statistic.name", self.name)
        _check_finite("Statistic.value", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How large the effect is, apart from how sure we are of it.

    Attributes:
        name: What is measured, with its unit.
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        confidence: Nominal coverage of the interval, in (0, 1).
        interval: How the interval was made.
    """

    name: str
    value: float
    low: float
    high: float
    confidence: float
    interval: str

    def __post_init__(self) -> None:
        _check_text("Effect.name", self.name)
        _check_text("Effect.interval", self.interval)
        for name in ("value", "low", "high", "confidence"):
            _check_finite(f"Effect.{name}", getattr(self, name))
        if self.low > self.high:
            raise InvalidInput(f"Effect: expected low <= high, got {self.low} and {self.high}")
        if not 0 < self.confidence < 1:
            raise InvalidInput(
                f"Effect.confidence: expected a number in (0, 1), got {self.confidence}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EValue:
    """What a bet against the null hypothesis, fixed beforehand, made of one unit staked at fair odds.

    Its expectation under the null hypothesis is at most 1. It is no p-value, and 1/p is no e-value.

    Attributes:
        log10_e: Decimal logarithm of the e-value; very negative where the bet was lost.
        method: Which bet it was, with its size.
    """

    log10_e: float
    method: str

    def __post_init__(self) -> None:
        _check_finite("EValue.log10_e", self.log10_e)
        _check_text("EValue.method", self.method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A file or model that the finding rests on, by name and SHA-256 (hex)."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        _check_text("Input.name", self.name)
        _check_text("Input.sha256", self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class NullHistogram:
    """The statistic's distribution under the null hypothesis, and where the observed value lies.

    Attributes:
        label: What the horizontal axis shows, with its unit.
        edges: Bin edges, one more than `counts`, ascending.
        counts: Draws per bin.
        observed: The observed value, in the unit of `edges`.
    """

    label: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    observed: float

    def __post_init__(self) -> None:
        _check_text("NullHistogram.label", self.label)
        _check_series("NullHistogram.edges", self.edges)
        _check_series("NullHistogram.counts", self.counts)
        _check_finite("NullHistogram.observed", self.observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One variable averaged in bins of another.

    Attributes:
        x_label: Horizontal axis, with its unit.
        y_label: Vertical axis, with its unit.
        x: Mean of x per bin.
        y: Mean of y per bin.
        low: Lower end of a 95 % normal interval of the bin's mean.
        high: Upper end.
    """

    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_text("Trend.x_label", self.x_label)
        _check_text("Trend.y_label", self.y_label)
        for name in ("x", "y", "low", "high"):
            _check_series(f"Trend.{name}", getattr(self, name))


Figure = NullHistogram | Trend
_FIGURES: Mapping[str, type[NullHistogram] | type[Trend]] = {
    "null-histogram": NullHistogram,
    "trend": Trend,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one test, with all that is needed to judge it.

    Attributes:
        name: Which test, of what.
        question: The question the test answers, in plain words.
        null: The null hypothesis.
        alternative: Direction, fixed in advance.
        statistic: Name and value of the test statistic.
        log10_p: Decimal logarithm of the p-value, in (-inf, 0]; p itself may underflow.
        method: How p was computed: `exact`, `monte-carlo B=...`, `chernoff-bound`, `t`.
        valid: In which sense the p-value is valid.
        n: Number of exchangeable units.
        unit: What is exchangeable under the null hypothesis: word types, records; never tokens.
        effect: Size of the effect with an interval.
        assumptions: What the p-value rests on; each can be checked or attacked on its own.
        warnings: What the reader must know besides.
        e_value: The outcome of a bet fixed beforehand, for tests that have one; else None, and
            `evidence.e_value_of` calibrates one from the p-value.
        seed: Seed of the random numbers, or None where none were used.
        inputs: What the finding rests on.
        figure: The data of the one picture that shows the finding, or None.
        working: What the p-value was computed from, to compute it again; see `Working`. It is no part of
            what the finding says: not compared, and written to a file of its own. None for a finding that
            was read from a file, that combines others, or whose test started from a saved state.
        refuted: Assumptions that a check of the data refuted, one sentence each; each is among the warnings,
            too. For the caller, who decides what follows: not compared, and not written to files.
    """

    name: str
    question: str
    null: str
    alternative: Alternative
    statistic: Statistic
    log10_p: float
    method: str
    valid: Validity
    n: int
    unit: str
    effect: Effect
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    e_value: EValue | None = None
    seed: int | None = None
    inputs: tuple[Input, ...] = ()
    figure: Figure | None = field(default=None, repr=False)
    working: Working | None = field(default=None, repr=False, compare=False)
    refuted: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("name", "question", "null", "method", "unit"):
            _check_text(f"Finding.{name}", getattr(self, name))
        for name in ("assumptions", "warnings"):
            for index, text in enumerate(getattr(self, name)):
                _check_text(f"Finding.{name}[{index}]", text)
        _check_finite("Finding.log10_p", self.log10_p)
        if self.log10_p > 0:
            raise InvalidInput(
                f"Finding.log10_p: expected a number in (-inf, 0], got {self.log10_p}"
            )
        if not _is_whole(self.n) or not 1 <= self.n <= _MOST_UNITS:
            raise InvalidInput(
                f"Finding.n: expected at least one exchangeable unit, got {self.n!r:.80}"
            )
        if self.seed is not None and not _is_whole(self.seed):
            raise InvalidInput(f"Finding.seed: expected an integer or None, got {self.seed!r}")
        if self.working is not None and not isinstance(self.working, Working):
            raise InvalidInput(
                f"Finding.working: expected a Working or None, got {self.working!r:.80}"
            )

    @property
    def p_value(self) -> float:
        """The p-value as a float; never 0: below the smallest normal float it stays there."""
        return max(math.pow(10.0, self.log10_p), _SMALLEST_FLOAT)

    @property
    def p_text(self) -> str:
        """The p-value for people, for any exponent, e.g. `0.0312`, `3.1e-09`, `4.7e-412`; see `format_p`."""
        return format_p(self.log10_p)

    def rejects(self, alpha: float) -> bool:
        """Whether p <= alpha; alpha is to be fixed before the data are seen.

        Args:
            alpha: Level of the test, in (0, 1).

        Raises:
            InvalidInput: If alpha is no level.
        """
        if not 0 < alpha < 1:
            raise InvalidInput(f"alpha: expected a number in (0, 1), got {alpha}")
        return self.log10_p <= math.log10(alpha)

    def about(self, **changes: Any) -> Self:
        """A copy with some fields said anew, e.g. the question in the words of the caller."""
        return replace(self, **changes)

    def named(self, names: Sequence[str], choices: Sequence[Sequence[str]] = ()) -> Self:
        """A copy whose working, if it has one, says what its rows are; see `Working.named`."""
        if self.working is None:
            return self
        return self.about(working=self.working.named(names, choices))

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary for JSON, without working and `refuted`; `from_dict` reads it back."""
        out = asdict(self.about(working=None))  # which would copy every number
        del out["working"], out["refuted"]
        out["p_value"] = self.p_value
        if self.figure is not None:
            kind = next(k for k, cls in _FIGURES.items() if isinstance(self.figure, cls))
            out["figure"] = {"kind": kind, **asdict(self.figure)}
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InvalidInput: If a field is missing, unknown or of the wrong kind, or if `p_value` and
                `log10_p` contradict each other.
        """
        try:
            fields = dict(data)
            stated_p = fields.pop("p_value")
            fields["alternative"] = Alternative(fields["alternative"])
            fields["valid"] = Validity(fields["valid"])
            fields["statistic"] = Statistic(**fields["statistic"])
            fields["effect"] = Effect(**fields["effect"])
            fields["inputs"] = tuple(Input(**i) for i in _items(fields["inputs"]))
            for name in ("assumptions", "warnings"):
                fields[name] = _items(fields[name])
            for known in dataclass_fields(cls):
                if known.compare:  # what is not is no part of a report
                    _ = fields[known.name]  # a default must not fill a gap
            if fields["e_value"] is not None:
                fields["e_value"] = EValue(**fields["e_value"])
            if fields["figure"] is not None:
                fields["figure"] = _figure_of(fields["figure"])
            finding = cls(**fields, working=None, refuted=())
            agrees = math.isclose(stated_p, finding.p_value, rel_tol=1e-9)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidInput(f"not a finding of this version: {error}") from error
        if not agrees:
            raise InvalidInput(f"p_value {stated_p} does not follow from log10_p {finding.log10_p}")
        return finding


def _figure_of(data: Mapping[str, Any]) -> Figure:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    kind = fields.pop("kind")
    return _FIGURES[kind](**fields)


def _items(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):  # a string would fall apart into letters
        raise TypeError(f"expected a list, got {value!r}")
    return tuple(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: expected text, got {value!r}")


def _check_finite(name: str, value: object) -> None:
    # JSON has no NaN and no infinity, and a report of evidence has no use for them.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise InvalidInput(f"{name}: expected a finite number, got {value!r:.80}")


def _check_series(name: str, values: object) -> None:
    if not isinstance(values, tuple):
        raise InvalidInput(f"{name}: expected a tuple of numbers, got {values!r}")
    for index, value in enumerate(values):
        _check_finite(f"{name}[{index}]", value)


def format_p(log10_p: float) -> str:
    """The p-value of a given decimal logarithm: four decimals from 0.001 up, else two digits and exponent.

    Rounded upwards, so that the printed number never claims more than the computed one; only an
    excess below one part in 10**9 over a printable number, which is rounding noise, is dropped.

    Args:
        log10_p: Decimal logarithm of a p-value, in (-inf, 0].
    """
    if log10_p >= -3:
        return f"{math.ceil(10**log10_p * 1e4 - 1e-9) / 1e4:.4f}"
    exponent = math.floor(log10_p)
    mantissa = math.ceil(10 ** (log10_p - exponent) * 10 - 1e-9) / 10
    if mantissa >= 10:
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.1f}e{exponent:+03d}"
