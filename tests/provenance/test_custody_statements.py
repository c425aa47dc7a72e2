"""Statements over folders: each way to change a folder or a statement is refused by its name."""

import hashlib
import json
import math
import os
import threading

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.files import canonical_json
from bookplate.provenance.custody import Statement, statement_over
from bookplate.provenance.custody.file_names import check_name, check_names
from bookplate.provenance.custody.statements import check, check_digests, file_digests
from hypothesis import given, settings
from hypothesis import strategies as st

TYPE = "https://example.org/attestation/audit/v1"
PREDICATE = {"alpha": 0.01, "log10P": -320.5, "suspects": [{"name": "größer"}]}
OUTSIDE = {"statement.dsse.json", "timestamps/statement.tsr"}


def refusal(call):
    """The error of ours that a call ends with; None if it ends well. Others pass through."""
    try:
        call()
    except BookplateError as error:
        return error
    return None


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "exhibits").mkdir(parents=True)
    (folder / "report.json").write_bytes(b"{}")
    (folder / "exhibits" / "scores.parquet").write_bytes(bytes(3_000_000))
    (folder / "statement.dsse.json").write_bytes(b"the envelope, written later")
    return folder


@pytest.fixture
def statement(folder):
    return Statement.read(statement_over(folder, PREDICATE, TYPE, outside=OUTSIDE), [TYPE])


def test_a_statement_is_the_one_of_in_toto(folder):
    data = json.loads(statement_over(folder, PREDICATE, TYPE, outside=OUTSIDE))
    assert data == {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": PREDICATE,
        "predicateType": TYPE,
        "subject": [
            {
                "digest": {"sha256": hashlib.sha256(bytes(3_000_000)).hexdigest()},
                "name": "exhibits/scores.parquet",
            },
            {"digest": {"sha256": hashlib.sha256(b"{}").hexdigest()}, "name": "report.json"},
        ],
    }


def test_an_untouched_folder_is_accepted(folder, statement):
    check(statement, folder, outside=OUTSIDE)
    assert statement.predicate == PREDICATE
    assert statement.signed_bytes(folder, "report.json") == b"{}"


def flip(folder):
    data = bytearray((folder / "exhibits" / "scores.parquet").read_bytes())
    data[2_000_000] ^= 1
    (folder / "exhibits" / "scores.parquet").write_bytes(data)


def replace_by_link(folder):
    (folder / "report.json").rename(folder.parent / "report.json")
    (folder / "report.json").symlink_to(folder.parent / "report.json")


def link_folder(folder):
    (folder / "exhibits").rename(folder.parent / "exhibits")
    (folder / "exhibits").symlink_to(folder.parent / "exhibits")


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (flip, "exhibits/scores.parquet: was altered"),
        (lambda f: (f / "report.json").unlink(), "report.json: signed for, but missing"),
        (
            lambda f: (f / "report.json").rename(f / "r.json"),
            "report.json: signed for, but missing",
        ),
        (lambda f: (f / "extra").touch(), "extra: not signed for"),
        (lambda f: (f / ".hidden").touch(), ".hidden: not signed for"),
        (lambda f: (f / "exhibits" / "extra").touch(), "exhibits/extra: not signed for"),
        (lambda f: (f / "statement.dsse.json.bak").touch(), "not signed for"),
        (replace_by_link, "report.json: a symbolic link"),
        (link_folder, "exhibits: a symbolic link"),
        (lambda f: os.mkfifo(f / "pipe"), "pipe: neither file nor folder"),
        (lambda f: (f / "Report.json").touch(), "one file where case is not told apart"),
        (lambda f: (f / "x\x1b[31m").touch(), "characters that show nothing"),
        (lambda f: (f / "cafe\u0301").touch(), "not composed"),
        (lambda f: (f / "a\\b").touch(), "meaning of its own"),
        (lambda f: os.close(os.open(os.fsencode(f) + b"/\xff", os.O_CREAT)), "show nothing"),
    ],
)
def test_a_changed_folder_is_refused_each_for_its_own_reason(folder, statement, tamper, message):
    tamper(folder)
    with pytest.raises(VerificationError, match=message):
        check(statement, folder, outside=OUTSIDE)


def test_what_lies_outside_may_come_and_go_but_not_be_signed(folder, statement):
    (folder / "statement.dsse.json").unlink()
    check(statement, folder, outside=OUTSIDE)
    with pytest.raises(VerificationError, match="should lie outside"):
        check(statement, folder, outside={"report.json"})
    (folder / "statement.dsse.json").touch()
    with pytest.raises(VerificationError, match="not signed for"):
        check(statement, folder)


def test_bytes_are_given_out_only_as_signed(folder, statement):
    for name, message in (
        ("statement.dsse.json", "not signed for"),
        ("../report.json", "not signed for"),
    ):
        with pytest.raises(VerificationError, match=message):
            statement.signed_bytes(folder, name)
    with pytest.raises(VerificationError, match="more than the 1 bytes allowed"):
        statement.signed_bytes(folder, "report.json", limit=1)
    (folder / "report.json").write_bytes(b"[]")
    with pytest.raises(VerificationError, match="was altered"):
        statement.signed_bytes(folder, "report.json")
    replace_by_link(folder)
    with pytest.raises(VerificationError, match="cannot be read"):
        statement.signed_bytes(folder, "report.json")


def test_a_pipe_put_in_place_of_a_file_does_not_hang(folder, statement):
    (folder / "report.json").unlink()
    os.mkfifo(folder / "report.json")
    result = []

    def read():
        try:
            statement.signed_bytes(folder, "report.json")
        except VerificationError as error:
            result.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert result == ["report.json: no file"]


def subject(name="report.json", sha256="0" * 64):
    return {"digest": {"sha256": sha256}, "name": name}


def forged(**changes):
    data = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {},
        "predicateType": TYPE,
        "subject": [subject()],
    }
    return {**data, **changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged(_type="https://in-toto.io/Statement/v0.1"), "not an in-toto Statement v1"),
        (forged(predicateType=TYPE[:-1] + "2"), "not known here"),
        (forged(extra=1), "unknown field 'extra'"),
        (forged(predicate=[]), "'predicate' is of type list"),
        (forged(subject=[]), "names 0 files"),
        (forged(subject=[subject(), subject()]), "named twice"),
        (forged(subject=[subject("b"), subject("a")]), "not in the order"),
        (forged(subject=[subject("A"), subject("a")]), "case is not told apart"),
        (forged(subject=[subject("a"), subject("a/b")]), "both a file and a folder"),
        (forged(subject=[subject("../x")]), "leads out of its folder"),
        (forged(subject=[subject("/etc/passwd")]), "not a relative path"),
        (forged(subject=[subject(sha256="0" * 63)]), "no SHA-256 digest"),
        (forged(subject=[subject(sha256="A" * 64)]), "no SHA-256 digest"),
        (forged(subject=[{**subject(), "uri": ""}]), "unknown field 'uri'"),
        (forged(subject=[{"name": "a", "digest": {"sha256": "0" * 64, "md5": ""}}]), "'md5'"),
        (forged(subject=[{"name": "a", "digest": {}}]), "'sha256' is missing"),
        (forged(subject=["a"]), "expected a JSON object, got str"),
        ({}, "'_type' is missing"),
    ],
)
def test_forged_statements_are_refused_each_for_its_own_reason(data, message):
    with pytest.raises(VerificationError, match=message):
        Statement.read(canonical_json(data), [TYPE])


@pytest.mark.parametrize(
    ("replace", "by", "message"),
    [
        (b'"predicate":{}', b'"predicate":{"p":1,"p":2}', "occurs twice"),
        (b'"predicate":{}', b'"predicate":{"p":NaN}', "NaN"),
        (b'"predicate":{}', b'"predicate":{"p":1e999}', "not finite"),
        (b'"predicate":{}', b'"predicate":{"seed":9007199254740993}', "beyond"),
        (b'"predicate":{}', b'"predicate":{"p":1.0}', "canonical form"),
        (b'"predicate":{}', b'"predicate": {}', "canonical form"),
        (b'"predicate":{}', b'"predicate":{"p":"\xff"}', "no UTF-8"),
    ],
)
def test_a_statement_has_one_reading(replace, by, message):
    data = canonical_json(forged())
    assert replace in data
    with pytest.raises(VerificationError, match=message):
        Statement.read(data.replace(replace, by), [TYPE])


@pytest.mark.parametrize(
    "predicate",
    [
        {"p": math.nan},
        {"p": math.inf},
        {"seed": 2**60},
        {"x": "\ud800"},
        {"x": b""},
        {1: 2},
        {"x": object()},
    ],
)
def test_only_what_can_be_read_again_is_signed(folder, predicate):
    with pytest.raises(InvalidInput, match="cannot be signed for"):
        statement_over(folder, predicate, TYPE)


@pytest.mark.parametrize(
    "predicate_type", ["", "v1", "https://example.org/audit", "https://example.org/v0", "a b:/v1"]
)
def test_a_predicate_type_ends_in_its_version(folder, predicate_type):
    with pytest.raises(InvalidInput, match="ends in /v1"):
        statement_over(folder, {}, predicate_type)


def test_folders_that_cannot_be_signed_for(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="names 0 files"):
        statement_over(tmp_path / "empty", {}, TYPE)
    with pytest.raises(InvalidInput, match="no folder"):
        statement_over(tmp_path / "none", {}, TYPE)
    (folder / "link").symlink_to("report.json")
    with pytest.raises(InvalidInput, match="a symbolic link"):
        statement_over(folder, {}, TYPE)


def test_the_same_folder_gives_the_same_bytes(folder, tmp_path):
    first = statement_over(folder, PREDICATE, TYPE)
    folder.rename(tmp_path / "elsewhere")
    assert statement_over(tmp_path / "elsewhere", PREDICATE, TYPE) == first


def test_digests_from_elsewhere_can_be_compared(folder, statement):
    digests = file_digests(folder)
    del digests["statement.dsse.json"]
    check_digests(statement, digests)
    with pytest.raises(VerificationError, match="altered"):
        check_digests(statement, {**digests, "report.json": "0" * 64})


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/a", "a/", "a//b", ".", "./a", "a/.", "..", "../a", "a/../b", "a\\b", "C:a"),
        *("a:b", "a*", "nul", "COM1.txt", "x/aux.json", "a ", " a", "a.", "a./b", "a\n", "a\0b"),
        *(
            "e\u0301",
            "\u202egpj.exe",
            "a\u200b",
            "\ud800",
            "x" * 256,
            "é" * 128,
            "/".join("a" * 17),
        ),
        "/".join(["x" * 250] * 5),
    ],
)
def test_names_that_mean_other_files_elsewhere(name):
    with pytest.raises(VerificationError):
        check_name(name)


@pytest.mark.parametrize(
    "names",
    [
        ("a", "A"),
        ("d/a", "D/b"),
        ("ß", "ss"),
        ("\u212a", "k"),
        ("ﬁ", "fi"),
        ("a", "a"),
        ("a", "a/b"),
    ],
)
def test_names_that_collide_elsewhere(names):
    with pytest.raises(VerificationError):
        check_names(names)


def test_ordinary_names():
    check_names(
        ["report.html", "exhibits/größe 1.parquet", "exhibits/表.parquet", ".x", "con.d/y"][:4]
    )
    check_names(["a/b", "a/c", "b/b"])


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from(["a", "..", "", "B", "b", "é"])).map("/".join))
def test_no_name_breaks_the_check_and_none_leads_out(name):
    error = refusal(lambda: check_name(name))
    assert str(error).isprintable()
    if error is None:
        path = os.path.normpath(os.path.join("/base/folder", name))
        assert path.startswith("/base/folder/")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(forged())), JSON, max_size=4), st.binary(max_size=9))
def test_no_input_breaks_the_reader(changes, garbage):
    data = json.dumps({**forged(), **changes}).encode()
    for payload in (data, data[: -len(garbage) or None] + garbage, garbage):
        error = refusal(lambda payload=payload: Statement.read(payload, [TYPE]))
        assert error is None or isinstance(error, VerificationError)
        assert str(error).isprintable()
