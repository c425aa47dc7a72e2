"""Whether an exhibit holds the committed units: each once, none left out, none weighed at will."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...display import visible
from ...errors import VerificationError
from ...stats.workings import Working
from ...watermark.disclosure import UnitChoice
from ...watermark.marking import Unit
from ...watermark.release import Release
from ...watermark.scoring import UnitScores, unit_weights
from .planned import CompletionTest, LeakTest, PlannedKind, WatermarkSequentialTest, WatermarkTest

__all__ = ["RECORDS_MISSING", "NamedTest", "Places", "held_against"]

RECORDS_MISSING = (  # as evidence warns of it
    "* of * records of the manifest are in none of the files at hand: they were left out."
)
_WEIGHT_TOLERANCE = 1e-4  # a place more or less of a thousand; no such weight suits anybody
_ROUNDS = 20
_FREQUENCY_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class NamedTest:
    """A test whose exhibit names units of a release.

    Attributes:
        exhibit: Path of the exhibit.
        planned: As registered.
        n_missing: How many records its findings say were not at hand.
    """

    exhibit: str
    planned: PlannedKind
    n_missing: int = 0


Places = Mapping[str, Mapping[int, int]]  # of each unit: its places that are not first, by record


def held_against(
    working: Working,
    test: NamedTest,
    units: Mapping[str, UnitChoice],
    release: Release,
    places: Places = MappingProxyType({}),
) -> str:
    """Hold one exhibit against the units of the rows.

    Args:
        working: The exhibit.
        test: Its test.
        units: The committed units, by name.
        release: What commits to them.
        places: Where they stand in the rows; needed where records are said to be missing.

    Returns:
        What could not be checked; nothing if all was.

    Raises:
        VerificationError: If something does not hold.
    """
    planned, by_record = test.planned, release.marking.unit is Unit.RECORD
    if isinstance(planned, WatermarkTest | CompletionTest | LeakTest):
        due = "ghost" if by_record and isinstance(planned, WatermarkTest) else "choice"
        if working.test != due:
            raise VerificationError(
                f"{test.exhibit}: a {working.test} test, where a release by {release.marking.unit} has a "
                f"{due} test"
            )
    names = _names(working, test.exhibit)
    if by_record and isinstance(planned, WatermarkTest | WatermarkSequentialTest):
        return _records(working, names, test, units, release)
    if isinstance(planned, WatermarkSequentialTest):
        return _steps(working, names, test, units, places)
    _choices(working, names, test.exhibit, units)
    if isinstance(planned, WatermarkTest):
        counting = {n for n, u in units.items() if u.n_slots > u.n_first}
        left = _left_out(names, test, counting)
        _refuse_unexplained(counting - set(names), test, places)
        _frequencies(working, names, test.exhibit, units)
        _weights(working, names, test, units, places)
        return left
    elif isinstance(planned, LeakTest) and np.ptp(working.columns["weight"]) > 0:
        raise VerificationError(f"{test.exhibit}: weighs its units, which this test does not")
    elif isinstance(planned, CompletionTest):
        _answers(working, test.exhibit)
    return ""


def _names(working: Working, exhibit: str) -> list[str]:
    """The name of each unit of an exhibit, each once."""
    if not working.names:
        raise VerificationError(f"{exhibit}: does not say which choices its rows are")
    names = [working.names[start] for start in working.unit_starts().tolist()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise VerificationError(f"{exhibit}: {visible(twice[:100])!r} is there twice")
    return names


def _choices(
    working: Working, names: list[str], exhibit: str, units: Mapping[str, UnitChoice]
) -> None:
    if not working.choices:
        raise VerificationError(f"{exhibit}: does not say which choices its rows are")
    starts = working.unit_starts()
    ends = np.append(starts[1:], working.n_rows)
    for name, start, end in zip(names, starts.tolist(), ends.tolist(), strict=True):
        due = units.get(name)
        choices = tuple(choice.lower() for choice in working.choices[start:end])
        if due is None or choices != due.choices:
            raise VerificationError(
                f"{exhibit}: {visible(name[:100])!r} with these choices is not among the committed rows"
            )
        if not working.columns["chosen"][start + due.choice]:
            raise VerificationError(
                f"{exhibit}: of {visible(name[:100])!r}, another choice is marked as released than was "
                "committed to"
            )


def _left_out(names: list[str], test: NamedTest, due: set[str]) -> str:
    """What an exhibit leaves out; nothing if it leaves out nothing.

    Raises:
        VerificationError: If the finding does not say that texts were missing.
    """
    missing = sorted(due - set(names))
    if not missing:
        return ""
    said = f"{test.exhibit}: {len(missing):,} of {len(due):,} committed units are not in it"
    if not test.n_missing:
        raise VerificationError(f"{said}, such as {visible(missing[0][:100])!r}")
    return f"{said}; the report says that {test.n_missing:,} records were not at hand"


def _refuse_unexplained(missing: Collection[str], test: NamedTest, places: Places) -> None:
    """A unit is missing only if every record is in which a place of it has a text before it."""
    lost = set().union(*(places[name] for name in missing)) if missing else set()
    if len(lost) > test.n_missing:
        raise VerificationError(
            f"{test.exhibit}: {len(missing):,} units are missing, which needs {len(lost):,} records to be; "
            f"the report says that {test.n_missing:,} were not at hand"
        )


def _fewest_places(name: str, unit: UnitChoice, test: NamedTest, places: Places) -> int:
    """How many places of a unit count at least, whichever records were missing."""
    if not test.n_missing:
        return unit.n_slots - unit.n_first
    counts = sorted(places[name].values())
    return sum(counts[: max(len(counts) - test.n_missing, 0)])


def _records(
    working: Working,
    names: list[str],
    test: NamedTest,
    units: Mapping[str, UnitChoice],
    release: Release,
) -> str:
    """Units that are whole records, each with the released variant first."""
    records = {name.rpartition("/")[0] for name in units}
    if unknown := [name for name in names if name not in records]:
        raise VerificationError(
            f"{test.exhibit}: {visible(unknown[0][:100])!r} is not among the committed rows"
        )
    sizes = np.diff(working.unit_starts(), append=working.n_rows)
    if (sizes != release.marking.ghosts + 1).any():
        raise VerificationError(
            f"{test.exhibit}: a record without {release.marking.ghosts} unpublished variants"
        )
    if isinstance(test.planned, WatermarkSequentialTest):
        return ""
    left = _left_out(names, test, records)
    if (n_left := len(records - set(names))) > test.n_missing:
        raise VerificationError(
            f"{test.exhibit}: {n_left:,} records are missing; the report says that {test.n_missing:,} were "
            "not at hand"
        )
    return left


def _steps(
    working: Working,
    names: list[str],
    test: NamedTest,
    units: Mapping[str, UnitChoice],
    places: Places,
) -> str:
    """Units one by one: those with most places first, of equal ones in the order of names.

    Where records were missing, a unit may have had fewer places, by as many as that many records hold.
    """
    sizes = np.diff(working.unit_starts(), append=working.n_rows).tolist()
    for name, size in zip(names, sizes, strict=True):
        if name not in units or len(units[name].choices) != size:
            raise VerificationError(
                f"{test.exhibit}: {visible(name[:100])!r} with {size} choices is not among the committed rows"
            )
    if test.n_missing:
        in_order = _may_be_in_order(names, test, units, places)
    else:
        ranked = sorted(units, key=lambda name: (-units[name].n_slots, name))
        order = {name: place for place, name in enumerate(ranked)}
        found = [order[name] for name in names]
        before = [n for n in ranked[: found[-1]] if units[n].n_slots > units[n].n_first]
        in_order = found == sorted(found) and set(before) <= set(names)
    if not in_order:
        raise VerificationError(
            f"{test.exhibit}: its units are not in the order of the test, most places first, without a gap"
        )
    if test.n_missing:
        return (
            f"{test.exhibit}: {test.n_missing:,} records were not at hand, so the order of its units is open "
            "where their places are"
        )
    return ""


def _may_be_in_order(
    names: list[str], test: NamedTest, units: Mapping[str, UnitChoice], places: Places
) -> bool:
    """Whether some choice of so many records, missing for each unit, could give this order."""
    fewest = {name: _fewest_places(name, unit, test, places) for name, unit in units.items()}
    most_left = math.inf  # that a unit may have after all before it
    for name in names:
        if fewest[name] > most_left:
            return False
        most_left = min(most_left, units[name].n_slots)
    return all(fewest[name] <= most_left for name in units.keys() - set(names))


def _weights(
    working: Working,
    names: list[str],
    test: NamedTest,
    units: Mapping[str, UnitChoice],
    places: Places,
) -> None:
    """The weights follow from scores and numbers of places; see `unit_weights`.

    A first place may have nothing before it and then does not count, which rows do not show. So the numbers
    are found from the weights, within what the rows allow, until both agree.
    """
    starts = working.unit_starts()
    stated = working.columns["weight"][starts]
    most = np.array([units[name].n_slots for name in names], np.int64)
    fewest = [_fewest_places(name, units[name], test, places) for name in names]
    least = np.maximum(np.array(fewest, np.int64), 1)
    known = [np.split(column, starts[1:]) for column in working.numbered()]
    scores = UnitScores(
        names=tuple(names),
        values=tuple(np.split(working.columns["value"], starts[1:])),
        frequencies=(),
        chosen=np.zeros(starts.size, np.int64),
        n_slots=most,
    )
    due: NDArray[np.float64] = unit_weights(scores, known)
    for _ in range(_ROUNDS):
        if np.allclose(stated, due, rtol=_WEIGHT_TOLERANCE, atol=0):
            return
        base = scores.n_slots / (scores.n_slots + 2.0)
        share = np.clip(stated / due * base, 1e-9, 1 - 1e-12)
        counts = np.clip(np.rint(2 * share / (1 - share)), least, most).astype(np.int64)
        scores = replace(scores, n_slots=counts)
        due = unit_weights(scores, known)
    raise VerificationError(
        f"{test.exhibit}: the weights of its units do not follow from their scores and places"
    )


def _frequencies(
    working: Working, names: list[str], exhibit: str, units: Mapping[str, UnitChoice]
) -> None:
    """How frequent each word is, regressed out first, follows from the surprisals in the rows.

    Who could choose these numbers with the key in hand could make p small. A unit's number is the mean over
    its places, which all have one surprisal where the words come from the table.
    """
    starts = working.unit_starts()
    ends = np.append(starts[1:], working.n_rows)
    stated = working.columns["reference_0"]
    for name, start, end in zip(names, starts.tolist(), ends.tolist(), strict=True):
        due = units[name]
        if len(due.least) != end - start:
            continue  # rows without surprisals
        lowest, highest = (-math.log(2) * np.array(bits) for bits in (due.most, due.least))
        found = stated[start:end]
        slack = _FREQUENCY_TOLERANCE * np.maximum(1.0, np.abs(lowest))
        if (found < lowest - slack).any() or (found > highest + slack).any():
            raise VerificationError(
                f"{exhibit}: the word frequencies of {visible(name[:100])!r} are not those of the committed "
                "rows"
            )


def _answers(working: Working, exhibit: str) -> None:
    """A unit of m answers weighs m / (m + 2), and each score is a share of m."""
    starts = working.unit_starts()
    weight = working.columns["weight"]
    n_answers = 2 * weight / np.maximum(1 - weight, 1e-12)
    shares = working.columns["value"] * n_answers
    sums = np.add.reduceat(shares, starts)
    whole = np.rint(n_answers), np.rint(shares), np.rint(n_answers[starts])
    given = (n_answers, shares, sums)
    if not all(np.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(given, whole, strict=True)):
        raise VerificationError(
            f"{exhibit}: its shares and weights are not those of counted answers"
        )
