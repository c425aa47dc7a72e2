"""An exhibit holds the committed units: each once, none left out, none weighed at will."""

from dataclasses import replace

import numpy as np
import pytest
from bookplate.cli.audit.planned import (
    CompletionTest,
    LeakTest,
    WatermarkSequentialTest,
    WatermarkTest,
)
from bookplate.cli.audit.units import NamedTest, held_against
from bookplate.errors import VerificationError
from bookplate.stats import ghost_test
from bookplate.stats.choices import choice_test
from bookplate.stats.sequential import RankEProcess
from bookplate.watermark.detect import unit_test
from bookplate.watermark.disclosure import UnitChoice
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.scoring import UnitScores

RNG = np.random.default_rng(3)
N, GHOSTS = 12, 3
NAMES = [f"word{i:02}" for i in range(N)]
UNITS = {
    name: UnitChoice(("a", "b", "c"), int(RNG.integers(3)), n_slots=1 + i, n_first=i % 3)
    for i, name in enumerate(NAMES)
}
PLACES = {name: dict.fromkeys(range(u.n_slots - u.n_first), 1) for name, u in UNITS.items()}
RECORDS = {f"{i:064x}/{slot}": UnitChoice(("a", "b"), 0) for i in range(N) for slot in range(2)}


class Committed:
    """What a release.json says of how it was marked."""

    def __init__(self, unit, **options):
        self.marking = Marking(unit=unit, **options)


TYPES, BY_RECORD = Committed(Unit.TYPE), Committed(Unit.RECORD, ghosts=GHOSTS)


def named(kind, *, n_missing=0, **fields):
    of = {
        "watermark": WatermarkTest,
        "leak": LeakTest,
        "completion": CompletionTest,
        "watermark-sequential": WatermarkSequentialTest,
    }
    planned = of[kind](kind=kind, dataset="reviews", **fields)
    return NamedTest("exhibits/T01.parquet", planned, n_missing=n_missing)


MARK = named("watermark")


def words(n_slots=None, n=N):
    """What the keyed test was given; of places, some have nothing before them."""
    names = NAMES[:n]
    values = [RNG.normal(size=3) for _ in names]
    scores = UnitScores(
        names=tuple(names),
        values=tuple(values),
        frequencies=tuple(RNG.normal(size=3) for _ in names),
        chosen=np.array([UNITS[name].choice for name in names]),
        n_slots=np.array(n_slots or [UNITS[name].n_slots for name in names]),
    )
    finding = unit_test(scores, (), seed=1, n_resamples=99)
    return finding.named(names, [UNITS[name].choices for name in names]).working


def kept(working, rows):
    """Some rows only; units are counted anew."""
    unit = np.unique(working.columns["unit"][rows], return_inverse=True)[1].astype(np.int64)
    return replace(
        working,
        columns={n: c[rows] for n, c in working.columns.items()} | {"unit": unit},
        names=tuple(working.names[i] for i in rows),
        choices=tuple(working.choices[i] for i in rows) if working.choices else (),
    )


def test_what_the_keyed_test_was_given_holds():
    assert held_against(words(), MARK, UNITS, TYPES) == ""
    fewer = [max(1, unit.n_slots - unit.n_first) for unit in UNITS.values()]
    assert held_against(words(fewer), MARK, UNITS, TYPES) == ""


def test_a_unit_twice_is_refused():
    working = words()
    twice = {n: np.concatenate([c, c]) for n, c in working.columns.items()}
    twice["unit"][working.n_rows :] += N
    double = replace(working, columns=twice, names=working.names * 2, choices=working.choices * 2)
    with pytest.raises(VerificationError, match="'word00' is there twice"):
        held_against(double, MARK, UNITS, TYPES)


def test_a_unit_left_out_is_refused_unless_texts_were_missing():
    fewer = words(n=N - 1)
    with pytest.raises(VerificationError, match=r"1 of 12 committed units are not in it.*word11"):
        held_against(fewer, MARK, UNITS, TYPES)
    said = held_against(fewer, named("watermark", n_missing=12), UNITS, TYPES, PLACES)
    assert "1 of 12 committed units are not in it" in said
    # word11 stands in twelve records, in ten of them with a text before it.
    with pytest.raises(VerificationError, match=r"which needs 10 records to be.*that 9 were not"):
        held_against(fewer, named("watermark", n_missing=9), UNITS, TYPES, PLACES)


def test_units_that_are_there_are_weighed_also_where_others_are_missing():
    fewer = words(n=N - 1)
    weight = fewer.columns["weight"] * np.repeat(RNG.uniform(0.2, 1, N - 1), 3)
    suited = replace(fewer, columns={**fewer.columns, "weight": weight})
    frequent = {**fewer.columns, "reference_0": fewer.columns["value"] * 2}
    exact = {name: unit._replace(least=(9.0,) * 3, most=(9.0,) * 3) for name, unit in UNITS.items()}
    test = named("watermark", n_missing=10)
    with pytest.raises(VerificationError, match="the weights of its units do not follow"):
        held_against(suited, test, UNITS, TYPES, PLACES)
    with pytest.raises(VerificationError, match="word frequencies of"):
        held_against(replace(fewer, columns=frequent), test, exact, TYPES, PLACES)


def test_a_unit_whose_places_all_begin_a_text_may_be_left_out():
    alone = UNITS | {"first": UnitChoice(("a", "b"), 0, n_slots=2, n_first=2)}
    assert held_against(words(), MARK, alone, TYPES) == ""


def test_weights_that_suit_are_refused():
    working = words()
    values, chosen = working.columns["value"], working.columns["chosen"]
    agrees = np.repeat(values[chosen] > values.reshape(N, 3).mean(1), 3)
    for weight in (np.where(agrees, 1.0, 1e-6), working.columns["weight"] * (1 + agrees)):
        suited = replace(working, columns={**working.columns, "weight": weight})
        with pytest.raises(VerificationError, match="the weights of its units do not follow"):
            held_against(suited, MARK, UNITS, TYPES)


def test_another_form_of_the_test_is_refused():
    variants = ghost_test(RNG.normal(size=(N, GHOSTS + 1)), seed=1, n_resamples=99)
    with pytest.raises(
        VerificationError, match="a ghost test, where a release by type has a choice"
    ):
        held_against(variants.named(NAMES).working, MARK, UNITS, TYPES)


def test_records_are_those_committed_to():
    names = [f"{i:064x}" for i in range(N)]
    working = (
        ghost_test(RNG.normal(size=(N, GHOSTS + 1)), seed=1, n_resamples=99).named(names).working
    )
    assert held_against(working, MARK, RECORDS, BY_RECORD) == ""
    with pytest.raises(VerificationError, match="is not among the committed rows"):
        held_against(
            replace(working, names=tuple(f"x{n}" for n in working.names)), MARK, RECORDS, BY_RECORD
        )
    with pytest.raises(VerificationError, match="without 4 unpublished variants"):
        held_against(working, MARK, RECORDS, Committed(Unit.RECORD, ghosts=4))
    fewer = kept(working, np.arange(4 * (N - 1)))
    with pytest.raises(VerificationError, match="1 of 12 committed units are not in it"):
        held_against(fewer, MARK, RECORDS, BY_RECORD)
    one, fewest = named("watermark", n_missing=1), kept(working, np.arange(4 * (N - 2)))
    assert "1 records were not at hand" in held_against(fewer, one, RECORDS, BY_RECORD)
    with pytest.raises(VerificationError, match="2 records are missing; the report says that 1"):
        held_against(fewest, one, RECORDS, BY_RECORD)


def test_steps_come_in_their_order():
    def working(names):
        process = RankEProcess(alternative="greater", alpha=0.01)
        process.extend([RNG.normal(size=3) for _ in names])
        return process.finding().named(names).working

    test, order = named("watermark-sequential"), NAMES[::-1]  # most places first
    assert held_against(working(order[:5]), test, UNITS, TYPES) == ""
    for names in (NAMES, [*order[:3], order[4]]):
        with pytest.raises(VerificationError, match="not in the order of the test"):
            held_against(working(names), test, UNITS, TYPES)
    missing = named("watermark-sequential", n_missing=2)
    said = held_against(working([*order[:3], order[4]]), missing, UNITS, TYPES, PLACES)
    assert "2 records were not at hand" in said
    with pytest.raises(VerificationError, match="not in the order of the test"):
        held_against(working(NAMES), missing, UNITS, TYPES, PLACES)


def test_answers_are_counted():
    counts = [RNG.integers(1, 5, 3) for _ in NAMES]
    totals = np.array([count.sum() for count in counts])
    chosen = [UNITS[name].choice for name in NAMES]
    shares = [count / total for count, total in zip(counts, totals, strict=True)]
    labels = (NAMES, [UNITS[name].choices for name in NAMES])

    def working(weights):
        return choice_test(shares, chosen, weights=weights, seed=1).named(*labels).working

    test = named("completion")
    assert held_against(working(totals / (totals + 2.0)), test, UNITS, TYPES) == ""
    with pytest.raises(VerificationError, match="not those of counted answers"):
        held_against(working(totals / (totals + 1.5)), test, UNITS, TYPES)
    with pytest.raises(VerificationError, match="which this test does not"):
        held_against(working(totals / (totals + 2.0)), named("leak"), UNITS, TYPES)
    assert held_against(working(None), named("leak"), UNITS, TYPES) == ""


def test_word_frequencies_follow_from_the_rows():
    working = words()
    column = working.columns["reference_0"]
    bits = [tuple(-column[i : i + 3] / np.log(2)) for i in working.unit_starts()]
    exact = {
        name: unit._replace(least=of_unit, most=of_unit)
        for (name, unit), of_unit in zip(UNITS.items(), bits, strict=True)
    }
    assert held_against(working, MARK, exact, TYPES) == ""
    wide = {n: u._replace(most=tuple(b + 1 for b in u.most)) for n, u in exact.items()}
    assert (
        held_against(working, MARK, wide, TYPES) == ""
    )  # its places differ: the mean lies between
    for change in (-1e-3, 1e-3):
        other = {n: u._replace(least=(u.least[0] + change, *u.least[1:])) for n, u in exact.items()}
        other = {n: u._replace(most=u.least) for n, u in other.items()}
        with pytest.raises(VerificationError, match="word frequencies of"):
            held_against(working, MARK, other, TYPES)
