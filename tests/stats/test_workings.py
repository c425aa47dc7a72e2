"""Workings: every test repeats to the last bit from its numbers, and no other numbers pass for them."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.stats import (
    CombineMethod,
    EValue,
    Finding,
    RankEProcess,
    SignEProcess,
    Working,
    choice_test,
    combine,
    disagreements,
    ghost_test,
    paired_test,
    rank_test,
    spearman_test,
    stratified_test,
    two_sample_test,
    welch_test,
)
from bookplate.stats.report import AuditReport

RNG = np.random.default_rng(20261122)
SIZES = [2, 3, 2, 4, 2, 2, 3, 2] * 6
VALUES = [RNG.normal(size=k) for k in SIZES]
CHOSEN = np.array([RNG.integers(k) for k in SIZES])
REFERENCES = [[v + RNG.normal(size=v.size) for v in VALUES] for _ in range(2)]
WEIGHTS = RNG.uniform(0.2, 3, len(SIZES))
GHOSTS = RNG.normal(size=(40, 4))
GHOSTS[:, 0] += 0.4
X, NOISE = np.arange(60) % 31, RNG.normal(size=60)
Y, LENGTHS = 0.04 * X + NOISE, RNG.integers(5, 50, 60)
MANY = RNG.permutation(700)
A, B = RNG.normal(0.5, size=12), RNG.normal(size=25)
STRATA_A, STRATA_B = list("abcd" * 3), list("abcde" * 5)
FEW = {"n_resamples": 199}
DRAWN = {"method": "monte-carlo", **FEW}


def signs(side, resumed=False):
    process = SignEProcess(alternative=side, alpha=0.05)
    process.extend(NOISE[:30])
    if resumed:
        process = SignEProcess.from_dict(json.loads(json.dumps(process.to_dict())))
    for difference in Y[30:]:
        process.feed(difference)
    return process


def ranks(side):
    process = RankEProcess(alternative=side, alpha=0.2)
    process.extend(VALUES[:5])
    for scores in VALUES[5:]:
        process.feed(scores)
    return process


def cases():
    """Every test with every option, by name."""
    yield "choice", choice_test(VALUES, CHOSEN, seed=7, **FEW)
    yield (
        "choice of references",
        choice_test(
            VALUES,
            CHOSEN,
            seed=2**64 - 1,
            references=REFERENCES,
            weights=WEIGHTS,
            alternative="less",
            bet=2.5,
            method="monte-carlo",
            n_resamples=99,
            stop_after=10,
        ),
    )
    yield "choice, exact", choice_test(VALUES[:8], CHOSEN[:8], seed=0, method="exact")
    yield "choice, tied", choice_test([[1.0, 1.0], [2.0, 2.0]], [0, 1], seed=0)
    yield "choice, far out", choice_test([[9.0, 0.0]] * 60, [0] * 60, seed=1, **FEW)
    yield "ghost", ghost_test(GHOSTS, seed=3, weights=np.arange(1, 41), **FEW)
    yield "ghost of a reference", ghost_test(GHOSTS, seed=3, references=[GHOSTS**2], **DRAWN)
    for side in ("greater", "less", "two-sided"):
        yield f"spearman {side}", spearman_test(X, Y, alternative=side, seed=1, **FEW)
        yield f"paired {side}", paired_test(Y, alternative=side, seed=1, **FEW)
        yield f"two sets {side}", two_sample_test(A, B, alternative=side, seed=1, **FEW)
        yield (
            f"strata {side}",
            stratified_test(A, B, STRATA_A, STRATA_B, alternative=side, seed=1, **FEW),
        )
        yield f"welch {side}", welch_test(A, B, alternative=side)
        yield f"rank {side}", rank_test(1.5, B, alternative=side)
        yield f"signs {side}", signs(side).finding()
    yield (
        "spearman given covariates",
        spearman_test(X, Y, alternative="greater", seed=1, covariates=[LENGTHS, NOISE**2], **FEW),
    )
    yield "spearman, exact", spearman_test(Y[:8], X[:8], alternative="less", seed=1)
    yield (
        "spearman, stopped",
        spearman_test(X, NOISE, alternative="greater", seed=1, stop_after=5, method="permutation"),
    )
    yield "spearman by t", spearman_test(X, Y, alternative="greater", seed=1, method="t")
    yield "spearman, many", spearman_test(MANY, RNG.normal(size=700), alternative="less", seed=1)
    yield "spearman, far out", spearman_test(MANY, MANY**2, alternative="greater", seed=1)
    yield "spearman, tied", spearman_test(X, X * 0, alternative="greater", seed=1)
    yield "paired, exact", paired_test(Y[:10], alternative="greater", seed=1, method="exact")
    yield "paired, zeros", paired_test([0.0, 0.0], alternative="less", seed=1)
    yield "paired, stopped", paired_test(NOISE, alternative="less", seed=1, stop_after=5, **DRAWN)
    yield "two sets, exact", two_sample_test(A[:4], B[:5], alternative="greater", seed=1)
    yield (
        "strata with one set only",
        stratified_test(A, B, np.arange(12) // 4, [0] * 9 + [7] * 16, alternative="less", seed=1),
    )
    yield "welch, tied", welch_test([1.0, 1.0], [1.0, 1.0], alternative="less")
    yield "ranks greater", ranks("greater").finding()
    yield "ranks less", ranks("less").finding()


CASES = dict(cases())
EVERY = pytest.mark.parametrize("finding", CASES.values(), ids=CASES.keys())


def with_columns(working, **columns):
    return replace(working, columns={**working.columns, **columns})


def told(finding, working):
    """What a verifier says of a finding and some other working; an error counts as an answer."""
    try:
        return disagreements(finding, working.repeat()).core
    except VerificationError:
        return ("refused",)


@EVERY
def test_every_test_repeats_to_the_last_bit(finding):
    repeated = finding.working.repeat()
    assert repeated == finding
    assert disagreements(finding, repeated).core == disagreements(finding, repeated).beside == ()


def test_the_cases_are_of_every_kind():
    from bookplate.stats.workings import _FORMS

    assert {finding.working.test for finding in CASES.values()} == set(_FORMS)
    methods = " ".join(finding.method for finding in CASES.values())
    for method in ("exact", "monte-carlo B=", "chernoff", "stopped at draw", "martingale"):
        assert method in methods


def changed(working):
    """Workings that are not this one, by what was done to them."""
    for name, column in working.columns.items():
        if column.dtype == np.float64:
            other = column.copy()
            rows = working.columns["unit"] == 0 if name == "weight" else slice(0, 1)
            other[rows] += 3.0
            yield f"a change in {name}", {name: other}
    if working.test == "choice":
        chosen = working.columns["chosen"].copy()
        chosen[:2] = chosen[1::-1]
        yield "another choice", {"chosen": chosen}
    if "from_a" in working.columns:
        yield "the sets swapped", {"from_a": ~working.columns["from_a"]}
        yield "one value more in a", {"from_a": working.columns["from_a"] | _row(working, -1)}
    if "observed" in working.columns:
        yield "another one observed", {"observed": _row(working, int(B.argmin()) + 1)}


def _row(working, row):
    return np.arange(working.n_rows) == row % working.n_rows


def without_one(working):
    """The first row dropped, or the last unit: the first one has to be number 0."""
    units = working.columns.get("unit")
    keep = ~_row(working, 0) if units is None else units < units[-1]
    return replace(working, columns={n: column[keep] for n, column in working.columns.items()})


TELLING = {
    name: finding
    for name, finding in CASES.items()
    if "tied" not in name and "zeros" not in name and "far out" not in name
}


@pytest.mark.parametrize("finding", TELLING.values(), ids=TELLING.keys())
def test_other_numbers_do_not_pass(finding):
    for what, columns in changed(finding.working):
        assert told(finding, with_columns(finding.working, **columns)), what


@EVERY
def test_a_dropped_row_does_not_pass(finding):
    try:
        shorter = without_one(finding.working)
    except InvalidInput:
        return  # the one that was observed
    assert {"n", "refused"} & set(told(finding, shorter))


@pytest.mark.parametrize("name", ["spearman greater", "strata greater", "choice", "signs greater"])
def test_rows_that_change_places_in_one_column_do_not_pass(name):
    """A column by itself. Whole rows in another order are the same data: then most tests agree up to the
    draws, and some wholly (Welch's, ranks, what is enumerated). An exhibit's digest binds their order.
    """
    working = CASES[name].working
    column = next(n for n in ("x", "value", "difference") if n in working.columns)
    mixed = np.random.default_rng(1).permutation(working.columns[column])
    assert told(CASES[name], with_columns(working, **{column: mixed}))


def test_whole_rows_in_another_order_are_the_same_data():
    finding = CASES["welch greater"]
    columns = {name: column[::-1] for name, column in finding.working.columns.items()}
    assert told(finding, replace(finding.working, columns=columns)) == ()


# ---- what is compared -----------------------------------------------------------------------------

CORE = {
    "alternative": {"alternative": "less"},
    "log10_p": {"log10_p": CASES["choice"].log10_p - 1e-6},
    "method": {"method": "exact"},
    "valid": {"valid": "asymptotic"},
    "n": {"n": 47},
    "seed": {"seed": 8},
    "statistic": {"statistic": replace(CASES["choice"].statistic, value=99.0)},
}


@pytest.mark.parametrize("name", CORE)
def test_each_field_of_the_core_is_compared(name):
    finding = CASES["choice"].about(**CORE[name])
    assert disagreements(finding, CASES["choice"]).core == (name,)


def test_an_e_value_can_be_neither_changed_nor_left_out_nor_added():
    finding = CASES["choice"]
    method, log10_e = finding.e_value.method, finding.e_value.log10_e
    for e_value in (
        None,
        EValue(log10_e=log10_e + 1e-6, method=method),
        EValue(log10_e=log10_e, method="x"),
    ):
        assert disagreements(finding.about(e_value=e_value), finding).core == ("e_value",)
    plain = CASES["welch less"]
    assert disagreements(plain.about(e_value=finding.e_value), plain).core == ("e_value",)


def test_effect_and_figure_are_told_apart_from_the_core():
    finding = CASES["choice"]
    effect = replace(finding.effect, low=finding.effect.low - 1)
    counts = (finding.figure.counts[0] + 1, *finding.figure.counts[1:])
    assert disagreements(finding.about(effect=effect), finding).beside == ("effect",)
    for figure in (None, replace(finding.figure, counts=counts), CASES["spearman less"].figure):
        found = disagreements(finding.about(figure=figure), finding)
        assert (found.core, found.beside) == ((), ("figure",))


def test_words_and_rounding_are_not_compared():
    finding = CASES["choice"]
    nearly = finding.about(
        name="other",
        question="?",
        warnings=("w",),
        log10_p=finding.log10_p * (1 + 1e-12),
        statistic=replace(finding.statistic, name="z", value=finding.statistic.value + 1e-12),
        effect=replace(finding.effect, name="e", value=finding.effect.value * (1 - 1e-12)),
        figure=replace(finding.figure, label="l"),
    )
    assert disagreements(nearly, finding).core == disagreements(nearly, finding).beside == ()


def test_numbers_of_any_unit_are_compared():
    """Effects in the unit of the data: 1e-280 is not nothing, and 1e299 does not overflow."""
    tiny, huge = (
        paired_test(Y * scale, alternative="less", seed=1, **FEW) for scale in (1e-280, 1e299)
    )
    for finding in (tiny, huge):
        other = replace(finding.effect, value=finding.effect.value * 0.9)
        assert disagreements(finding, finding.working.repeat()).beside == ()
        assert disagreements(finding.about(effect=other), finding).beside == ("effect",)


def test_a_caller_may_name_the_seed_that_it_drew_with_itself():
    finding = CASES["two sets, exact"]
    assert finding.seed is None
    assert disagreements(finding.about(seed=1), finding.working.repeat()).core == ()
    assert disagreements(finding.about(seed=2), finding.working.repeat()).core == ("seed",)


# ---- a finding's working --------------------------------------------------------------------------


@EVERY
def test_a_working_is_no_part_of_what_a_finding_says(finding):
    without = finding.about(working=None)
    assert finding == without
    assert hash(finding) == hash(without)
    assert "working" not in repr(finding)
    assert finding.to_dict() == without.to_dict()
    assert Finding.from_dict(finding.to_dict()).working is None
    assert finding.about(name="other").working is finding.working


def test_a_report_cannot_bring_a_working():
    data = CASES["choice"].to_dict()
    assert "working" not in data
    with pytest.raises(InvalidInput, match="not a finding of this version"):
        Finding.from_dict({**data, "working": None})
    with pytest.raises(InvalidInput, match=r"Finding\.working"):
        CASES["choice"].about(working={"test": "choice"})


def test_findings_with_workings_go_into_reports_and_other_processes():
    finding = CASES["choice"]
    assert pickle.loads(pickle.dumps(finding)).working.repeat() == finding
    report = AuditReport.from_findings(
        [("a model", finding, None)],
        title="t",
        subject="s",
        alpha=0.01,
        command="c",
        versions={},
        created="2026-11-22T00:00:00Z",
    )
    assert report.entries[0].finding.working is finding.working
    assert AuditReport.from_json(report.to_json()).entries[0].finding == finding


def test_a_combination_has_no_working_of_its_own():
    """Its parts have theirs, and the combination is repeated from the parts."""
    parts = [CASES["choice"], CASES["paired less"]]
    assert combine(parts, method=CombineMethod.BONFERRONI).working is None


def test_columns_are_held_and_not_copied():
    y = RNG.normal(size=50)
    finding = paired_test(y, alternative="less", seed=1, **FEW)
    assert np.shares_memory(finding.working.columns["difference"], y)


def test_a_process_keeps_what_it_was_fed_though_the_array_is_used_again():
    process, again = SignEProcess(alternative="greater", alpha=0.1), np.empty(3)
    ranked, row = RankEProcess(alternative="greater", alpha=0.1), np.empty(4)
    for i in range(5):
        again[:], row[:] = Y[3 * i : 3 * i + 3], GHOSTS[i]
        process.extend(again)
        ranked.feed(row)
    assert process.finding().working.repeat() == process.finding()
    assert ranked.finding().working.repeat() == ranked.finding()
    np.testing.assert_array_equal(process.finding().working.columns["difference"], Y[:15])


def test_a_process_that_was_resumed_has_no_working():
    """A saved state does not hold what was fed before."""
    assert signs("greater", resumed=True).finding() == signs("greater").finding()
    assert signs("greater", resumed=True).finding().working is None
    fresh = SignEProcess.from_dict(SignEProcess(alternative="less", alpha=0.1).to_dict())
    fresh.extend(Y)
    assert fresh.finding().working is not None


# ---- names ----------------------------------------------------------------------------------------


def test_names_are_of_units_and_choices_of_rows():
    words = [[f"word {u} {i}" for i in range(k)] for u, k in enumerate(SIZES)]
    working = CASES["choice"].working.named([f"unit {u}" for u in range(len(SIZES))], words)
    assert working.names[:6] == ("unit 0", "unit 0", "unit 1", "unit 1", "unit 1", "unit 2")
    assert working.choices[:3] == ("word 0 0", "word 0 1", "word 1 0")
    assert working.repeat() == CASES["choice"]
    pairs = CASES["paired less"].named([f"pair {i}" for i in range(60)])
    assert pairs.working.names[59] == "pair 59"


def test_a_finding_without_a_working_is_named_in_vain():
    finding = CASES["choice"].about(working=None)
    assert finding.named(["a"]) is finding


def test_hostile_names_become_writable_ones():
    working = CASES["paired, zeros"].working.named(["\ud800\n", "x" * 10**6])
    assert working.names[0] == "\\ud800\n"
    assert len(working.names[1]) == 500
    assert working.names[1].endswith("x…")
    "".join(working.names).encode()


@pytest.mark.parametrize(
    ("case", "names", "choices"),
    [
        ("choice", ["one"], ()),
        ("paired, zeros", ["one"], ()),
        ("choice", [str(u) for u in range(48)], [["a", "b"]]),
        ("paired, zeros", ["a", "b"], [["a"], ["b"]]),
    ],
)
def test_too_few_names_are_refused(case, names, choices):
    with pytest.raises(InvalidInput, match=r"names|choices"):
        CASES[case].working.named(names, choices)


# ---- refusals -------------------------------------------------------------------------------------

F, U, T = (np.array(v) for v in ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [True, False] * 2))
CHOICE = {"unit": U, "value": F, "chosen": T, "weight": np.ones(4)}
SETTINGS = dict(CASES["choice"].working.settings)
WELCH = {"alternative": "less"}


def refused(match, test="choice", columns=CHOICE, settings=SETTINGS, **labels):
    with pytest.raises(InvalidInput, match=match):
        Working(test=test, columns=columns, settings=settings, **labels)


@pytest.mark.parametrize("test", ["", "ttest", None, ["choice"]])
def test_unknown_tests_are_refused(test):
    refused("test: expected one of choice", test=test)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"value": None}, "value: expected a vector of float64"),
        ({"value": [1.0, 2.0, 3.0, 4.0]}, "value: expected a vector"),
        ({"value": F.astype(np.float32)}, "value: expected a vector of float64"),
        ({"value": F.reshape(2, 2)}, "value: expected a vector"),
        ({"value": F[:3]}, "value: expected 4 rows, got 3"),
        ({"value": np.array([1.0, np.nan, 1.0, 1.0])}, "value: expected finite numbers"),
        ({"value": np.array([1.0, 1e301, 1.0, 1.0])}, "value: expected finite numbers"),
        ({"chosen": U}, "chosen: expected a vector of bool"),
        ({"chosen": np.array([True, True, False, False])}, "chosen: expected one row of each unit"),
        ({"chosen": np.zeros(4, bool)}, "chosen: expected one row"),
        ({"unit": np.array([0, 0, 0, 1])}, "unit: expected two rows or more"),
        ({"unit": np.array([1, 1, 0, 0])}, "unit: expected 0, 1"),
        ({"unit": np.array([0, 0, 2, 2])}, "unit: expected 0, 1"),
        ({"unit": np.array([0, 0, -(2**63), -(2**63)])}, "unit: expected 0, 1"),
        ({"weight": F}, "weight: expected one weight"),
        ({"weight": -np.ones(4)}, "weight: expected positive"),
        ({"reference_1": F}, "columns: missing or unknown: 'reference_0', 'reference_1'"),
        ({"covariate_0": F}, "columns: missing or unknown"),
        ({"reference_00": F}, "columns: missing or unknown"),
    ],
)
def test_columns_that_are_none_of_the_test_are_refused(columns, match):
    refused(match, columns={**CHOICE, **columns})


def test_missing_and_empty_columns_are_refused():
    refused(
        "columns: missing", columns={name: CHOICE[name] for name in ("unit", "value", "chosen")}
    )
    refused("columns: expected a mapping", columns=[F])
    empty = {name: column[:0] for name, column in CHOICE.items()}
    refused("unit: expected one or more rows", columns=empty)
    late = {**CHOICE, "chosen": ~T}
    refused("chosen: expected the first row", test="ghost", columns=late)
    uneven = {
        "unit": np.array([0, 0, 1, 1, 1]),
        "value": np.ones(5),
        "chosen": np.array([True, False, True, False, False]),
        "weight": np.ones(5),
    }
    refused("unit: expected as many rows", test="ghost", columns=uneven)
    several = {"value": F, "observed": T}
    refused("observed: expected one row", test="rank", columns=several, settings=WELCH)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"seed": True}, "seed is a bool"),
        ({"seed": 1.0}, "seed is a float"),
        ({"seed": 2**64}, "seed is out of range"),
        ({"seed": -1}, "seed is out of range"),
        ({"bet": float("nan")}, "bet is not finite"),
        ({"bet": 4}, "bet is a int"),
        ({"alternative": "g" * 41}, "alternative is too long"),
        ({"alternative": ["greater"]}, "alternative is a list"),
        ({"n_resamples": None}, "n_resamples is a NoneType"),
        ({"alpha": 0.1}, "settings: expected exactly"),
    ],
)
def test_settings_that_are_none_of_the_test_are_refused(settings, match):
    refused(match, settings={**SETTINGS, **settings})


@pytest.mark.parametrize(
    "labels",
    [
        {"names": ("a",)},
        {"names": ["a"] * 4},
        {"names": (1, 2, 3, 4)},
        {"names": ("\ud800",) * 4},
        {"names": ("x" * 501,) * 4},
        {"choices": ("a",)},
    ],
)
def test_labels_that_no_file_can_hold_are_refused(labels):
    refused(r"names|choices", **labels)


@pytest.mark.parametrize(
    "settings",
    [
        {"alternative": "greatr"},
        {"alternative": "two-sided"},
        {"method": "T"},
        {"bet": -1.0},
        {"n_resamples": 0},
        {"stop_after": 10**6},
    ],
)
def test_settings_that_the_test_refuses_cannot_be_repeated(settings):
    working = Working(test="choice", columns=CHOICE, settings={**SETTINGS, **settings})
    with pytest.raises(VerificationError, match="choice test cannot be repeated"):
        working.repeat()


def test_numbers_that_the_test_refuses_cannot_be_repeated():
    columns = {"value": F, "from_a": np.ones(4, dtype=bool)}
    with pytest.raises(VerificationError, match="welch test cannot be repeated"):
        Working(test="welch", columns=columns, settings=WELCH).repeat()
