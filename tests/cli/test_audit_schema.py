"""The audit file: what it may say, and that each mistake is one error that names the line."""

import re
import sys
from typing import get_args

import pytest
import yaml
from bookplate.cli.audit.lines import LARGEST, read_yaml
from bookplate.cli.audit.planned import PlannedKind
from bookplate.cli.audit.propositions import weighed_by
from bookplate.cli.audit.registering import Registered, registration_of, seed_of
from bookplate.errors import InvalidInput
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = """\
format: bookplate-audit/1
report_id: R-1
title: Audit of two models
alpha: 0.01
datasets:
  mine:
    manifest: out/private/manifest.parquet
transcripts:
  run: {path: order.parquet}
models:
  first: {model: models/first, role: suspect}
  second: {model: "https://api.example.org/v1#m", role: suspect, token_variable: TOKEN}
  old: {model: owner/name, role: reference}
  clean: {model: clean.parquet, role: innocent}
texts:
  crawl: {path: crawl.jsonl, role: suspect}
tests:
  mark:
    kind: watermark
    dataset: mine
    references: [old]
    innocent: [clean]
  order:
    kind: order
    transcript: run
    suspects: [first]
  leak: {kind: leak, dataset: mine}
"""


def read(tmp_path, text=GOOD, name="audit.yaml"):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(data)
    return Registered.read(tmp_path / name)


def test_a_file_registers_every_test_of_every_suspect(tmp_path):
    registered = read(tmp_path)
    assert [pair.id for pair in registered.pairs] == [
        "mark.first",
        "mark.second",
        "order.first",
        "leak.crawl",
    ]
    assert [(pair.id, pair.role) for pair in registered.controls] == [("mark.clean", "innocent")]
    tests = registered.registered_tests()
    assert {test.direction for test in tests} == {"greater"}
    assert [test.material for test in tests] == ["mine", "mine", "run", "mine"]
    assert registered.sequential_alpha == pytest.approx(0.01 / 4)
    assert registered.warnings[0].startswith("sha256 is not given")
    assert "mine, run, crawl, first, old, clean" in registered.warnings[0]


def test_defaults_stand_in_the_registration(tmp_path):
    registered = read(tmp_path)
    order = registered.registered_tests()[2].settings
    for said in (
        "sampling",
        "tokens read and not scored: 0",
        "covariates: not set",
        "references: none",
    ):
        assert said.replace("sampling", "how they are drawn: extremes") in order
    written = registered.audit.normalised()
    assert written["tests"]["mark"]["suspects"] == "all"
    assert written["tests"]["order"]["references"] == []
    assert written["models"]["first"]["dtype"] == "float32"


def test_seeds_follow_from_the_bytes_and_the_test(tmp_path):
    one, other = read(tmp_path), read(tmp_path, GOOD + "\n", "other.yaml")
    assert len({pair.seed for pair in (*one.pairs, *one.controls)}) == 5
    assert one.pairs[0].seed != other.pairs[0].seed
    assert one.pairs[0].seed == seed_of(one.pre_registration, "mark.first")
    assert all(0 <= pair.seed < 2**53 for pair in one.pairs)
    # Fixed for ever: sha256(b"0" * 64 + b"\na.b"), its first 53 bits.
    assert seed_of("0" * 64, "a.b") == 6452651177067946


def test_what_a_verification_compares(tmp_path):
    registered = read(tmp_path)
    registration = registration_of(registered.data)
    assert (registration.alpha, registration.correction) == (0.01, "holm")
    assert [(t.id, t.kind, t.suspect, t.alternative) for t in registration.tests] == [
        (t.test, t.kind, t.suspect, t.direction) for t in registered.registered_tests()
    ]


def test_every_kind_has_propositions_without_gaps():
    for kind in get_args(get_args(PlannedKind)[0]):
        name = get_args(kind.model_fields["kind"].annotation)[0]
        needed = {
            field.alias or key: "x"
            for key, field in kind.model_fields.items()
            if field.is_required() and key != "kind"
        }
        planned = kind.model_validate({"kind": name, **needed})
        weighed = weighed_by(planned, "sus")
        for text in (weighed.question, weighed.claim, weighed.counter):
            assert "sus" in text
            assert "{" not in text
        assert weighed.question.endswith("?")
        own = planned.model_copy(update={"proposition": "P of {S}.", "counter_proposition": "Q."})
        assert weighed_by(own, "sus").claim == "P of sus."
        assert weighed_by(own, "sus").counter == "Q."


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").mkdir()
    text = GOOD.replace("clean.parquet", "a.parquet#loss_x")
    registered = read(tmp_path, text)
    assert registered.model_address("second") == "https://api.example.org/v1#m"
    assert registered.model_address("old") == str(tmp_path / "owner" / "name")
    assert registered.model_address("clean") == f"{tmp_path / 'a.parquet'}#loss_x"
    assert dict(registered.files())["models.clean.model"] == tmp_path / "a.parquet"
    assert registered.commitment_of("mine") is None
    (tmp_path / "out" / "release").mkdir(parents=True)
    (tmp_path / "out" / "release" / "release.json").touch()
    assert registered.commitment_of("mine") == tmp_path / "out" / "release" / "release.json"


def test_reading_an_audit_file_loads_no_model_library(tmp_path):
    import subprocess

    code = (
        "import sys; from bookplate.cli.audit.registering import registration_of; "
        f"registration_of({GOOD.encode()!r}); "
        "print([m for m in ('torch', 'transformers', 'nltk') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]", done.stderr


# ---- refusals -------------------------------------------------------------------------------------


def changed(old, new):
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


MODEL = "  first: {model: models/first, role: suspect}\n"
BAD = {
    "unknown field": (
        changed("title:", "tittle:"),
        3,
        "unknown field 'tittle' (1 more after it); did you mean 'title'?",
    ),
    "missing field": (changed("report_id: R-1\n", ""), 1, "the field 'report_id' is missing"),
    "other format": (changed("audit/1", "audit/2"), 1, "expected format: bookplate-audit/1"),
    "alpha of 1": (changed("0.01", "1.0"), 4, "alpha: expected less than 1"),
    "alpha as text": (changed("0.01", '"0.01"'), 4, "alpha: expected a valid number"),
    "alpha NaN": (changed("0.01", ".nan"), 4, ".nan is not a finite number"),
    "alpha infinite": (changed("0.01", "1e999"), 4, "too large for a number"),
    "number as text": (changed("report_id: R-1", "report_id: 1"), 2, "expected a text"),
    "yes as a boolean": (
        changed("role: suspect, token_variable: TOKEN", "role: suspect, chat: yes"),
        12,
        "chat",
    ),
    "bad name": (changed("  crawl:", "  Crawl Two:"), 16, "the name 'Crawl Two'"),
    "name twice": (changed("  crawl:", "  first:"), 16, "'first' is defined under"),
    "key twice": (GOOD + "alpha: 0.05\n", 28, "the key 'alpha' occurs twice"),
    "inner key twice": (
        changed("    kind: order", "    kind: order\n    kind: leak"),
        25,
        "occurs twice",
    ),
    "unknown kind": (changed("kind: order", "kind: ordre"), 24, "unknown kind of test"),
    "no kind": (changed("    kind: order\n", ""), 23, "the field 'kind' is missing"),
    "unknown setting": (
        changed("transcript: run", "transcript: run\n    smaple: 40"),
        26,
        "did you mean 'sample'?",
    ),
    "sample too small": (
        changed("transcript: run", "transcript: run\n    sample: 4"),
        26,
        "greater than or equal to 30",
    ),
    "unknown dataset": (
        changed("    dataset: mine\n", "    dataset: mein\n"),
        20,
        "'mein' is not defined under datasets; did you mean 'mine'?",
    ),
    "unknown suspect": (changed("[first]", "[frist]"), 26, "did you mean 'first'?"),
    "suspect of another sort": (
        changed("[first]", "[crawl]"),
        26,
        "'crawl' is not defined under models",
    ),
    "reference as suspect": (changed("[first]", "[old]"), 26, "'old' has the role 'reference'"),
    "suspect as reference": (
        changed("[old]", "[first]"),
        21,
        "it takes the role 'reference' or 'innocent'",
    ),
    "control twice": (
        changed("[clean]", "[clean, clean]"),
        22,
        "'clean' stands under innocent already",
    ),
    "reference and control": (
        changed("[clean]", "[old]"),
        22,
        "'old' stands under references already",
    ),
    "no suspect": (
        changed(
            "  crawl: {path: crawl.jsonl, role: suspect}",
            "  crawl: {path: c.jsonl, role: material}",
        ),
        27,
        "has no suspect",
    ),
    "no tests": (GOOD[: GOOD.index("tests:")] + "tests: {}\n", 17, "at least 1 item"),
    "power alone": (
        GOOD.replace("    suspects: [first]\n", "    suspects: [first]\n    power: 0.9\n"),
        27,
        "power goes with smallest_effect",
    ),
    "power above 1": (
        GOOD.replace("    suspects: [first]\n", "    suspects: [first]\n    power: 90\n"),
        27,
        "less than or equal to 1",
    ),
    "statistic that does not fit": (
        GOOD.replace(
            "    suspects: [first]\n", "    suspects: [first]\n    statistic: difference\n"
        ),
        27,
        "does not go with these references",
    ),
    "recipient without key": (
        changed("manifest.parquet\n", "manifest.parquet\n    recipient: Alice\n"),
        8,
        "recipient needs key",
    ),
    "digest of an endpoint": (
        changed("token_variable: TOKEN", f"sha256: {'a' * 64}"),
        12,
        "an endpoint has no digest",
    ),
    "password in an address": (
        changed("https://api", "https://me:secret@api"),
        12,
        "an address with a password",
    ),
    "no digest": (
        changed("models/first, role: suspect", "models/first, role: suspect, sha256: abc"),
        11,
        "64 hexadecimal digits",
    ),
    "no time": (
        changed("role: suspect}\ntests", "role: suspect, appeared_at: 2026-13-01}\ntests"),
        16,
        "expected a time like",
    ),
    "NUL in a path": (changed("crawl.jsonl", '"a\\0b"'), 16, "cannot hold the character NUL"),
    "anchor": (changed("[old]", "&a [old]"), 21, "an anchor"),
    "alias": (GOOD + "opinions: [&a x, *a]\n", 28, "an anchor"),
    "tag": (changed("title: Audit", "title: !!str Audit"), 3, "a tag"),
    "python tag": (
        changed("title: Audit of two models", "title: !!python/object/apply:os.system [ls]"),
        3,
        "a tag",
    ),
    "merge key": (GOOD + "budget: {<<: {max_queries: 1}}\n", 28, "a merge key"),
    "two documents": (GOOD + "---\na: 1\n", 28, "a second document"),
    "directive": ("%YAML 1.1\n---\n" + GOOD, 1, "directives"),
    "tab": (changed("title: Audit", "title:\n\tAudit"), 4, "no YAML"),
    "unclosed": (GOOD + "opinions: [\n", 29, "no YAML"),
    "a list": ("- a\n- b\n", 1, "expected a mapping"),
    "nothing": ("", 1, "expected a mapping"),
    "a list as a key": (GOOD + "budget: {[a]: 1}\n", 28, "a list or mapping as a key"),
    "deep": (GOOD + "opinions: " + "[" * 5_000 + "\n", 28, "nested more than 16 levels"),
    "large integer": (GOOD + "budget: {max_queries: 9007199254740992}\n", 28, "beyond 2**53 - 1"),
    "huge integer": (GOOD + f"budget: {{max_queries: {'9' * 5_000}}}\n", 28, "too many digits"),
    "half a pair": (
        changed("title: Audit of two models", 'title: "\\ud800"'),
        3,
        "half of a surrogate pair",
    ),
    "control character": (changed("title: Audit", "title: \x07Audit"), 3, "is not allowed"),
    "code point": (changed("title: Audit of two models", 'title: "\\UFFFFFFFF"'), None, "no YAML"),
    "no UTF-8": (GOOD.encode().replace(b"Audit", b"\xff"), 3, "no UTF-8 at byte"),
    "octal": (GOOD + "budget: {max_queries: 010}\n", 28, "valid integer"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_each_mistake_is_one_error_with_its_line(tmp_path, bad):
    text, line, message = bad
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, text)
    said = f"{refused.value}; {refused.value.hint}"
    assert message in said
    assert "\n" not in said
    assert len(said) < 600
    if line is not None:
        assert said.startswith(f"audit.yaml, line {line}: "), said


def test_hostile_words_are_shown_harmlessly(tmp_path):
    text = GOOD + '"<b>\\e[31m\\u202e": 1\n'
    with pytest.raises(InvalidInput, match=re.escape("unknown field '<b><U+001B>[31m<U+202E>'")):
        read(tmp_path, text)


def test_size_is_bounded(tmp_path):
    with pytest.raises(InvalidInput, match=r"more than the 1,048,576 allowed"):
        read(tmp_path, b"#" * (LARGEST + 1))
    with pytest.raises(InvalidInput, match="cannot be read"):
        Registered.read(tmp_path / "nothing.yaml")


def test_the_number_of_values_is_bounded(monkeypatch):
    monkeypatch.setattr("bookplate.cli.audit.lines._MOST_VALUES", 10)
    assert read_yaml(b"a: [1, 2, 3, 4, 5, 6, 7]", "x").data
    with pytest.raises(InvalidInput, match="more than 10 values"):
        read_yaml(b"a: [1, 2, 3, 4, 5, 6, 7, 8]", "x")


def test_plain_words_mean_what_yaml_1_2_says():
    told = read_yaml(
        b"a: [no, On, 2026-01-31, 12:30, 1_000, 0x10, ~, true, -3, 1e-3, .5, '7']", "x"
    ).data
    assert told == {
        "a": ["no", "On", "2026-01-31", "12:30", "1_000", "0x10", None, True, -3, 0.001, 0.5, "7"]
    }


# ---- fuzzing --------------------------------------------------------------------------------------


def in_one_line(work):
    """Whatever happens, it is no other error than ours, of one line."""
    said = ""
    try:
        work()
    except InvalidInput as error:
        said = str(error)
    assert "\n" not in said


PIECES = st.sampled_from([
    *"{}[]:,-?&*!|>'\"%@`#~ \n\t\r\\/",
    "a: ",
    "- ",
    "\n  ",
    "<<: ",
    "---\n",
    "...\n",
    "%TAG ! x\n",
    "!!binary ",
    '"\\x41\\u00e9',
    "1e9",
    ".inf",
    "\ufeff",
    "\x85",
    "\u2028",
    "null",
])


@settings(max_examples=200, deadline=2_000)
@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=60).map("".join))
def test_no_text_makes_the_reader_fail_otherwise(text):
    """It is a document with a mapping, or it is refused in one line."""
    in_one_line(lambda: read_yaml(text.encode("utf-8", "surrogatepass"), "x"))


@settings(max_examples=150, deadline=2_000)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data):
    in_one_line(lambda: read_yaml(data, "x"))


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["mine", "first", "all", "watermark", "order", "suspect"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=8), st.sampled_from(["kind", "path"])), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=2_000)
@given(
    st.sampled_from([
        "alpha",
        "title",
        "models",
        "tests",
        "datasets",
        "budget",
        "parties",
        "texts",
    ]),
    st.sampled_from([None, "first", "mine", "mark", "order"]),
    VALUES,
)
def test_no_value_in_any_field_makes_it_fail_otherwise(field, name, value):
    data = yaml.safe_load(GOOD)
    if name is not None and isinstance(data.get(field), dict) and name in data[field]:
        data[field][name] = value
    else:
        data[field] = value
    text = yaml.safe_dump(data, allow_unicode=False)
    in_one_line(lambda: registration_of(text.encode()))
