"""The numbers that a p-value was computed from, kept so that anybody can compute it anew.

Every test of `stats` attaches a `Working` to its `Finding`: its columns and settings, as the test took them
after its own checks. `Working.repeat` calls the test again, and `disagreements` compares what a report
states with what came out. Neither needs the model, the texts or the key. What they cannot show is that the
numbers are those of the model: that stands on who wrote them down, or on asking the model again.

A column is held, not copied, where the test did not copy it either: who changes an array after the test
changes its working.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isclose, isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import BookplateError, InvalidInput, VerificationError
from .checks import MAX_MAGNITUDE, MAX_SEED

if TYPE_CHECKING:  # a finding has a working, so the import would go round
    from .findings import Effect, Figure, Finding

__all__ = ["Disagreements", "Scalar", "Working", "disagreements", "sets_in_one"]

Scalar = str | int | float | bool | None

# Sums are made in another order on another machine, or with fused multiplications: each costs about
# 1e-16 of the sum of magnitudes, and a million terms that cancel may cost 1e-10 of the result. A difference
# of 1e-9 is far below any digit that a report prints.
_RELATIVE = 1e-9
# Statistics are standardised and log10 p is an exponent: near 0, where nothing is relative, 1e-9 of them
# means nothing either.
_NEAR_ZERO = 1e-9

_FLOAT, _INT, _BOOL = np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_)
_RESAMPLED: Mapping[str, tuple[type, ...]] = {
    "alternative": (str,),
    "method": (str,),
    "seed": (int,),
    "n_resamples": (int,),
    "stop_after": (int, NoneType),
}
_SEQUENTIAL: Mapping[str, tuple[type, ...]] = {"alternative": (str,), "alpha": (float,)}
_LONGEST_WORD = 40  # of a setting
_NUMBER = re.compile(r"[0-9][0-9.,]*(?:e[+-]?[0-9]+)?")
LONGEST_LABEL = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What the working of one test is made of.

    Attributes:
        columns: Names and types; a column `unit` says that several rows are one unit.
        numbered: Start of the names of columns of which there may be any number.
        settings: Names and types.
        check: What else holds; raises InvalidInput.
    """

    columns: Mapping[str, np.dtype[Any]]
    settings: Mapping[str, tuple[type, ...]]
    numbered: str = ""
    check: Callable[[Mapping[str, Any]], None] = lambda columns: None


def _units(columns: Mapping[str, Any]) -> NDArray[np.int64]:
    """First row of each unit.

    Raises:
        InvalidInput: If units are not 0, 1, ... in this order, of two rows or more.
    """
    unit = columns["unit"]
    steps = np.diff(unit)
    if unit[0] != 0 or not np.isin(steps, (0, 1)).all():
        raise InvalidInput("unit: expected 0, 1, ... in this order")
    starts = np.concatenate([[0], np.flatnonzero(steps) + 1]).astype(np.int64)
    if np.diff(starts, append=unit.size).min() < 2:
        raise InvalidInput("unit: expected two rows or more of each")
    return starts


def _check_choices(columns: Mapping[str, Any]) -> None:
    starts, weight = _units(columns), columns["weight"]
    if (np.add.reduceat(columns["chosen"], starts, dtype=np.int64) != 1).any():
        raise InvalidInput("chosen: expected one row of each unit")
    if (np.repeat(weight[starts], np.diff(starts, append=weight.size)) != weight).any():
        raise InvalidInput("weight: expected one weight for all rows of a unit")
    if (weight <= 0).any():
        raise InvalidInput("weight: expected positive weights")


def _check_ghosts(columns: Mapping[str, Any]) -> None:
    _check_choices(columns)
    starts = _units(columns)
    if not columns["chosen"][starts].all():
        raise InvalidInput("chosen: expected the first row of each record")
    if np.ptp(np.diff(starts, append=columns["unit"].size)):
        raise InvalidInput("unit: expected as many rows of each record")


def _check_units(columns: Mapping[str, Any]) -> None:
    _units(columns)


def _check_observed(columns: Mapping[str, Any]) -> None:
    if columns["observed"].sum() != 1:
        raise InvalidInput("observed: expected one row")


_CHOICES = {"unit": _INT, "value": _FLOAT, "chosen": _BOOL, "weight": _FLOAT}
_BET = {**_RESAMPLED, "bet": (float,)}
_SETS = {"value": _FLOAT, "from_a": _BOOL}
_FORMS: Mapping[str, _Form] = {
    "choice": _Form(columns=_CHOICES, settings=_BET, numbered="reference_", check=_check_choices),
    "ghost": _Form(columns=_CHOICES, settings=_BET, numbered="reference_", check=_check_ghosts),
    "spearman": _Form(
        columns={"x": _FLOAT, "y": _FLOAT}, settings=_RESAMPLED, numbered="covariate_"
    ),
    "paired": _Form(columns={"difference": _FLOAT}, settings=_RESAMPLED),
    "two-sample": _Form(columns=_SETS, settings=_RESAMPLED),
    "stratified": _Form(columns={**_SETS, "stratum": _INT}, settings=_RESAMPLED),
    "welch": _Form(columns=_SETS, settings={"alternative": (str,)}),
    "rank": _Form(
        columns={"value": _FLOAT, "observed": _BOOL},
        settings={"alternative": (str,)},
        check=_check_observed,
    ),
    "sign e-process": _Form(columns={"difference": _FLOAT}, settings=_SEQUENTIAL),
    "rank e-process": _Form(
        columns={"unit": _INT, "value": _FLOAT}, settings=_SEQUENTIAL, check=_check_units
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Working:
    """What one test was given; one row per number.

    Tests of choices have a row per choice: `unit` (0, 1, ...), `value`, `chosen` (one row of each unit),
    `weight` (of the unit) and `reference_0`, ... The sequential test of ranks has `unit` and `value`, the
    released variant first. Spearman's has `x`, `y` and `covariate_0`, ...; two sets have `value`, `from_a`
    and, in strata, `stratum`; one value among others has `value` and `observed`; paired tests have
    `difference`.

    Attributes:
        test: Which test.
        columns: Of one length and exactly those of the test; float64, int64 or bool.
        settings: The options of the test, exactly those that it has.
        names: What each row is, e.g. the id of a document, or which unit a choice belongs to; may be empty.
        choices: Which choice of its unit each row is, where several rows are one unit; may be empty.
    """

    test: str
    columns: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Scalar]
    names: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        form = _FORMS.get(self.test) if isinstance(self.test, str) else None
        if form is None:
            raise InvalidInput(f"test: expected one of {', '.join(_FORMS)}, got {self.test!r:.80}")
        columns = _checked_columns(self.columns, form)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "settings", _checked_settings(self.settings, form))
        form.check(columns)
        if self.choices and "unit" not in columns:
            raise InvalidInput(f"choices: the test '{self.test}' has none")
        for what in ("names", "choices"):
            _check_labels(what, getattr(self, what), self.n_rows)

    @property
    def n_rows(self) -> int:
        """Length of every column."""
        return next(iter(self.columns.values())).size

    @property
    def n_numbered(self) -> int:
        """How many references or covariates there are."""
        return len(self.columns) - len(_FORMS[self.test].columns)

    def numbered(self) -> list[NDArray[Any]]:
        """The references or covariates, in their order."""
        start = _FORMS[self.test].numbered
        return [self.columns[f"{start}{i}"] for i in range(self.n_numbered)]

    def unit_starts(self) -> NDArray[np.int64]:
        """First row of each unit, where several rows are one unit."""
        return _units(self.columns)

    def named(self, names: Sequence[str], choices: Sequence[Sequence[str]] = ()) -> Self:
        """A copy that says what its rows are.

        Args:
            names: One per unit if several rows are one unit, else one per row.
            choices: Per unit what each of its rows is.

        Raises:
            InvalidInput: If there are too few or too many.
        """
        told = [_writable(name) for name in names]
        if "unit" in self.columns:
            unit = self.columns["unit"]
            if len(told) != int(unit[-1]) + 1:
                raise InvalidInput(f"names: expected {int(unit[-1]) + 1}, got {len(told)}")
            told = [told[u] for u in unit.tolist()]
        words = tuple(_writable(word) for of_unit in choices for word in of_unit)
        return replace(self, names=tuple(told), choices=words)

    def repeat(self) -> "Finding":
        """Compute the test anew.

        Returns:
            What the test of `stats` returns for these columns and settings, in its own words.

        Raises:
            VerificationError: If the test refuses them; it cannot have returned a finding for them then.
        """
        from .repetition import repeated  # which imports all tests, and they import this module

        try:
            return repeated(self)
        except (BookplateError, ValueError, ArithmeticError, MemoryError) as error:
            raise VerificationError(
                f"the {self.test} test cannot be repeated with these numbers: {error}"
            ) from error


def sets_in_one(a: NDArray[np.float64], b: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The columns `value` and `from_a` of two sets."""
    return {"value": np.concatenate((a, b)), "from_a": np.arange(a.size + b.size) < a.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreements:
    """Fields of a stated finding that a repetition does not give.

    Attributes:
        core: Among what the evidence consists of; any of them refutes the finding.
        beside: Among `effect` and `figure`. Some callers put another effect or figure in the place of the
            test's own, e.g. the leak test a share of words; these stand on the signer's word.
    """

    core: tuple[str, ...]
    beside: tuple[str, ...]


def disagreements(stated: "Finding", repeated: "Finding") -> Disagreements:
    """Compare the numbers of a finding with those of its repetition.

    Names, questions and other texts are not compared: callers say them in their own words. But no warning of
    the test may be missing, unless p is 1.

    - `alternative`, `method`, `valid`, `n`: equal.
    - `log10_p`, `statistic`: equal up to 1e-9.
    - `e_value`: the same, and equal in its method. A finding without the test's e-value disagrees, as one
      would be calibrated from p instead: which of the two is used must not be a choice.
    - `warnings`: those of the repetition are among those stated, up to their numbers, which count ties and
      the like and may differ on another machine.
    - `effect`, `figure`: equal up to 1e-9 of their largest number, as they are in the unit of the data;
      counts of a histogram may then differ on a machine that rounds a draw into the next bin.
    - `seed`: equal, or the seed in the repeated finding's working. Dataset inference names it also where the
      test enumerates, as it has split the texts with it.

    Args:
        stated: What a report says.
        repeated: What `Working.repeat` gave.
    """
    seeds = {repeated.seed}
    if repeated.working is not None:
        seeds.add(repeated.working.settings.get("seed"))  # type: ignore[arg-type]  # an int, as checked
    agree = {
        "alternative": stated.alternative == repeated.alternative,
        "log10_p": _close(stated.log10_p, repeated.log10_p),
        "method": stated.method == repeated.method,
        "valid": stated.valid == repeated.valid,
        "n": stated.n == repeated.n,
        "seed": stated.seed in seeds,
        "statistic": _close(stated.statistic.value, repeated.statistic.value),
        "e_value": _same_e_value(stated, repeated),
        "list of warnings": repeated.log10_p == 0 or _warned(stated) >= _warned(repeated),
    }
    beside = {
        "effect": _same_effect(stated.effect, repeated.effect),
        "figure": _same_figure(stated.figure, repeated.figure),
    }
    return Disagreements(
        core=tuple(name for name, agrees in agree.items() if not agrees),
        beside=tuple(name for name, agrees in beside.items() if not agrees),
    )


# ---- check ----------------------------------------------------------------------------------------


def _checked_columns(columns: object, form: _Form) -> dict[str, NDArray[Any]]:
    """The columns in the order of the form."""
    if not isinstance(columns, Mapping):
        raise InvalidInput(f"columns: expected a mapping, got {type(columns).__name__}")
    n_numbered = len(columns) - len(form.columns) if form.numbered else 0
    types = {**form.columns, **{f"{form.numbered}{i}": _FLOAT for i in range(n_numbered)}}
    if set(columns) != set(types):
        differing = sorted(f"{name!r:.40}" for name in set(columns) ^ set(types))
        raise InvalidInput(f"columns: missing or unknown: {', '.join(differing[:5])}")
    first = None
    for name, kind in types.items():
        column = columns[name]
        if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype != kind:
            raise InvalidInput(f"{name}: expected a vector of {kind}")
        first = column.size if first is None else first
        if column.size != first or not first:
            raise InvalidInput(f"{name}: expected {first or 'one or more'} rows, got {column.size}")
        if kind == _FLOAT and not (np.abs(column) <= MAX_MAGNITUDE).all():
            raise InvalidInput(f"{name}: expected finite numbers up to 1e300")
    return {name: columns[name] for name in types}


def _checked_settings(settings: object, form: _Form) -> dict[str, Scalar]:
    if not isinstance(settings, Mapping) or set(settings) != set(form.settings):
        raise InvalidInput(f"settings: expected exactly {', '.join(form.settings)}")
    for name, kinds in form.settings.items():
        value = settings[name]
        if type(value) not in kinds:
            raise InvalidInput(f"settings: {name} is a {type(value).__name__}, which it cannot be")
        if isinstance(value, str) and len(value) > _LONGEST_WORD:
            raise InvalidInput(f"settings: {name} is too long")
        if isinstance(value, float) and not isfinite(value):
            raise InvalidInput(f"settings: {name} is not finite")
        if isinstance(value, int) and not 0 <= value <= MAX_SEED:
            raise InvalidInput(f"settings: {name} is out of range")
    return {name: settings[name] for name in form.settings}


def _check_labels(what: str, labels: object, n_rows: int) -> None:
    if not isinstance(labels, tuple) or len(labels) not in {0, n_rows}:
        raise InvalidInput(f"{what}: expected none or {n_rows}, one per row")
    try:
        "".join(labels).encode("utf-8")
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidInput(f"{what}: expected well-formed strings") from error
    if max(map(len, labels), default=0) > LONGEST_LABEL:
        raise InvalidInput(f"{what}: expected at most {LONGEST_LABEL} characters each")


def _writable(name: str) -> str:
    """The same name, cut if very long; halves of surrogate pairs, which no file can hold, spelled out."""
    told = name[: LONGEST_LABEL + 1].encode("utf-8", "backslashreplace").decode("utf-8")
    return told if len(told) <= LONGEST_LABEL else f"{told[: LONGEST_LABEL - 1]}…"


# ---- compare --------------------------------------------------------------------------------------


def _close(a: float, b: float) -> bool:
    """For numbers without a unit, of magnitude about 1, which may be 0 but for rounding."""
    return isclose(a, b, rel_tol=_RELATIVE, abs_tol=_NEAR_ZERO)


def _warned(finding: "Finding") -> set[str]:
    """What it warns of, without the numbers."""
    return {_NUMBER.sub("#", warning) for warning in finding.warnings}


def _same_e_value(stated: "Finding", repeated: "Finding") -> bool:
    one, other = stated.e_value, repeated.e_value
    if one is None or other is None:
        return one is other
    return one.method == other.method and _close(one.log10_e, other.log10_e)


def _same_effect(one: "Effect", other: "Effect") -> bool:
    ends = [(e.value, e.low, e.high) for e in (one, other)]
    return one.confidence == other.confidence and _same_series(*ends)


def _same_figure(one: "Figure | None", other: "Figure | None") -> bool:
    if one is None or other is None:
        return one is other
    numbers = {
        field.name: (getattr(one, field.name), getattr(other, field.name, None))
        for field in fields(one)
        if not isinstance(getattr(one, field.name), str)
    }
    return type(one) is type(other) and all(_same_series(a, b) for a, b in numbers.values())


def _same_series(a: Any, b: Any) -> bool:
    """Whether numbers are alike up to 1e-9 of the largest of them: their unit may be anything."""
    x, y = np.atleast_1d(np.asarray(a, np.float64)), np.atleast_1d(np.asarray(b, np.float64))
    if x.shape != y.shape:
        return False
    largest = max(float(np.abs(x).max(initial=0.0)), float(np.abs(y).max(initial=0.0)))
    return bool((np.abs(x / 2 - y / 2) <= _RELATIVE / 2 * largest).all())  # halves do not overflow
