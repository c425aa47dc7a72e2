"""The words of findings: those of the modules that write them, and held against each report."""

import ast
from pathlib import Path

import numpy as np
import pytest
from bookplate.cli.audit.kinds.testing import KINDS
from bookplate.cli.audit.options import MAY_ASSUME
from bookplate.cli.audit.planned import OrderTest
from bookplate.cli.audit.wording_checks import _alike, _counts
from bookplate.cli.audit.wordings import REFUTING, WORDINGS, blanks
from bookplate.stats import Alternative, spearman_test
from bookplate.watermark.marking import Unit

ROOT = Path(__file__).parents[2]
WRITERS = (
    *("stats", "watermark", "provenance/palimpsest", "provenance/influence"),
    *("provenance/membership", "cli/audit/kinds"),
)


@pytest.fixture(scope="module")
def written():
    """Every text in the modules that word findings; `*` for what is filled in."""
    found = []
    for path in (path for folder in WRITERS for path in (ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "*" for p in node.values)
                found.append("".join(parts))
    return found


def fixed():
    """Every fixed text but the units that are plurals of `Unit`."""
    found = [*REFUTING, *MAY_ASSUME]
    for due in WORDINGS.values():
        found += [due.question, *due.nulls.values(), *due.statistics, *due.assumptions]
        found += [*due.names, *due.with_references, *due.warnings]
        found += [unit for unit in due.units if not unit.startswith(PLURALS)]
    return sorted(set(found))


PLURALS = tuple(unit.plural for unit in Unit)
JOINED = {  # put together from two places each
    "* of * scores were asked for; the level was *.": "* of * scores were asked for",
    "* of * sequences were asked about; the level was *.": "* of * sequences were asked about",
    "dataset inference (FORCED: the sets differ, p is no evidence)": "* (FORCED: the sets differ, p is no "
    "evidence)",
}


@pytest.mark.parametrize("text", fixed())
def test_it_is_what_the_tests_write(text, written):
    text = JOINED.get(text, text)
    assert any(blanks(one, text) is not None for one in written)


def test_units_are_those_of_a_marking():
    assert WORDINGS["watermark"].units == WORDINGS["leak"].units == PLURALS
    assert WORDINGS["completion"].units == tuple(f"{plural} with an answer" for plural in PLURALS)


def test_every_kind_has_its_words():
    assert set(WORDINGS) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("plain", "plain", ()),
        ("plain words", "plain", None),
        ("Was x trained?", "Was * trained?", ("x",)),
        ("Was  trained?", "Was * trained?", ("",)),
        ("Was trained?", "Was * trained?", None),
        ("a b c", "* *", ("a", "b c")),
        ("ab", "ab*b", None),
        ("Was x\ntrained?", "Was *trained?", None),
        ("x" * 100_000, "*y*y*y*", None),
    ],
)
def test_blanks(text, form, found):
    assert blanks(text, form) == found


def test_numbers_in_a_unit_are_read():
    assert _counts("documents (20 claimed, 160 controls)", WORDINGS["influence"]) == [20, 160]
    assert _counts("documents (many claimed, 1 controls)", WORDINGS["influence"]) == []
    assert _counts("texts", WORDINGS["leximark"]) == []


def test_alike_neighbours_follow_from_an_exhibit():
    rng = np.random.default_rng(3)

    class Pair:
        planned = OrderTest(kind="order", transcript="t")

    def asked(scores, steps=None, planned=Pair.planned):
        steps = np.arange(400.0) if steps is None else steps
        made = spearman_test(steps, scores, alternative=Alternative.GREATER, seed=1, n_resamples=99)
        Pair.planned = planned
        return _alike(Pair, made.working)

    blocks = np.repeat(rng.normal(size=100), 4) + 0.01 * rng.normal(size=400)
    assert asked(blocks) == REFUTING[1:2]
    assert asked(rng.normal(size=400)) == ()
    shuffled = rng.permutation(400)
    assert asked(blocks[shuffled], shuffled.astype(float)) == REFUTING[1:2]
    assert asked(blocks, np.repeat(np.arange(100.0), 4)) == ()  # which stood first is not known
    other = Pair.planned.model_copy(update={"statistic": "difference"})
    assert asked(blocks, planned=other) == ()
