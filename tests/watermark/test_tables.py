"""Tables of texts: what is read, and that edits move no other byte."""

import csv
import datetime
import decimal
import io
import json
import os
import tracemalloc

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.tables import Columns, Edit, apply_edits, pieces_of, read_table
from bookplate.watermark.tables.parquet import read_parquet
from bookplate.watermark.tables.table import Place
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def table_of(tmp_path, content, ending, **columns):
    path = tmp_path / f"data{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **columns)


def written(tmp_path, table, edits, ending):
    path = tmp_path / f"written{ending}"
    table.write(path, edits)
    return path.read_bytes()


def test_edits_are_made_where_they_say():
    edits = [Edit(0, 1, "xyz"), Edit(2, 2, "-"), Edit(4, 6, "")]
    assert apply_edits("abcdef", edits) == "xyzb-cd"
    assert apply_edits("abc", []) == "abc"


# JSON lines.

JSON_TEXTS = {
    r'"caf\u00e9 \/ \ud83d\ude00 \"q\" \\ \\u0041 end"': 'caf\u00e9 / \U0001f600 "q" \\ \\u0041 end',
    r'"\uD83D\uDE00\uD83D\uDE00 x"': "\U0001f600\U0001f600 x",
    r'"\n\t\r\b\f\u0000"': "\n\t\r\b\f\0",
    '"caf\u00e9 \U0001f600 \u2028 \x7f"': "caf\u00e9 \U0001f600 \u2028 \x7f",
    '""': "",
}


@pytest.mark.parametrize(("raw", "text"), JSON_TEXTS.items())
def test_json_escapes_stand_for_one_character_each(tmp_path, raw, text):
    """An edit of every single character lands on it: the slow twin is an edit of the text itself."""
    line = f'  {{ "a" : [1, {{"text": "no"}}] , "text" : {raw}, "z":1.50e3 }}\r\n'
    table = table_of(tmp_path, line, ".jsonl")
    assert table.texts == [text]
    assert written(tmp_path, table, [[]], ".jsonl") == line.encode()
    for position in range(len(text) + 1):
        content = written(tmp_path, table, [[Edit(position, position, "<+>")]], ".jsonl")
        assert json.loads(content)["text"] == text[:position] + "<+>" + text[position:]
        assert len(content) == len(line.encode()) + 3


def test_jsonl_keeps_bom_blank_lines_spacing_and_a_missing_final_newline(tmp_path):
    content = (
        '\ufeff{"text": "one"}\n\n \t\r\n{"id":7,"text":"two"}\r\n{"text":"three" ,"x":{}}'.encode()
    )
    table = table_of(tmp_path, content, ".jsonl")
    assert table.texts == ["one", "two", "three"]
    edited = written(tmp_path, table, [[Edit(0, 3, "1")], [], [Edit(0, 5, "3")]], ".jsonl")
    assert edited == content.replace(b"one", b"1").replace(b"three", b"3")


def test_jsonl_values_that_python_would_not_take_pass_through(tmp_path):
    huge = (
        b'{"n": '
        + b"9" * 5_000
        + b', "f": -1E+999, "d": {"k": 1, "k": 2, "text": "x"}, "text": "t"}\n'
    )
    table = table_of(tmp_path, huge, ".jsonl")
    assert table.texts == ["t"]
    assert written(tmp_path, table, [[]], ".jsonl") == huge


def test_jsonl_keys_are_compared_as_what_they_say(tmp_path):
    assert table_of(tmp_path, r'{"te\u0078t": "t", "Text": "no"}', ".jsonl").texts == ["t"]


def test_jsonl_ids_that_are_no_strings_are_taken_as_written(tmp_path):
    lines = [
        f'{{"text":"t","id":{i}}}'
        for i in ('"a\\u0062"', "12345678901234567890", "1.50", "true", "[1, 2]")
    ]
    table = table_of(tmp_path, "\n".join(lines), ".jsonl", id_column="id")
    assert table.ids == ["ab", "12345678901234567890", "1.50", "true", "[1, 2]"]


def test_a_word_spelt_with_escapes_is_refused_as_it_could_not_be_restored(tmp_path):
    table = table_of(tmp_path, r'{"text":"ok"}' + "\n" + r'{"text":"a w\u006frd"}', ".jsonl")
    with pytest.raises(InvalidInput, match="row 2: the word 'word' is spelt with escapes"):
        table.write(tmp_path / "out.jsonl", [[], [Edit(2, 6, "term")]])
    assert not (tmp_path / "out.jsonl").exists()
    table.write(tmp_path / "out.jsonl", [[], [Edit(0, 1, "one")]])
    assert (tmp_path / "out.jsonl").read_text().endswith(r'{"text":"one w\u006frd"}')


# CSV.


def test_csv_keeps_quoting_line_ends_bom_blank_lines_and_a_missing_final_newline(tmp_path):
    content = (
        '\ufeff"id","text",other\r\n1,plain text,"x"\n\r\n'
        '2,"a ""quoted"", one\r\nover lines",\r3,"",\u00e9\n4,,"last"'
    ).encode()
    table = table_of(tmp_path, content, ".csv", id_column="id")
    assert table.texts == ["plain text", 'a "quoted", one\r\nover lines', "", ""]
    assert table.ids == ["1", "2", "3", "4"]
    edits = [[Edit(0, 5, "fancy")], [Edit(3, 9, "cited"), Edit(17, 21, "past")], [], []]
    expected = (
        content.replace(b"plain", b"fancy").replace(b"quoted", b"cited").replace(b"over", b"past")
    )
    assert written(tmp_path, table, edits, ".csv") == expected
    assert written(tmp_path, table, [[]] * 4, ".csv") == content


# Python's writer leaves a lone carriage return unquoted unless lines end in one.
CSV_STYLES = [(end, csv.QUOTE_ALL) for end in ("\n", "\r\n", "\r")] + [("\r\n", csv.QUOTE_MINIMAL)]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1), st.sampled_from(CSV_STYLES))
def test_csv_is_read_as_pythons_writer_wrote_it(tmp_path_factory, rows, style):
    line_end, quoting = style
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=line_end, quoting=quoting).writerows([("text", "x"), *rows])
    table = table_of(tmp_path_factory.mktemp("csv"), buffer.getvalue(), ".csv", id_column="x")
    assert list(zip(table.texts, table.ids, strict=True)) == rows


def test_a_table_of_one_column_may_have_empty_rows(tmp_path):
    table = table_of(tmp_path, "text\na\n\nb\n", ".csv")
    assert table.texts == ["a", "", "b"]


def test_a_large_quoted_field_costs_little_memory(tmp_path):
    """Backtracking would keep a state per character: 1.3 GB for this field."""
    tracemalloc.start()
    table = table_of(tmp_path, 'text\n"' + "ab" * 5_000_000 + '"\n', ".csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table.texts[0]) == 10_000_000
    assert peak < 100_000_000


# Parquet.

FRAME = pl.DataFrame({
    "text": ["one", "two", ""],
    "i8": pl.Series([1, None, -3], dtype=pl.Int8),
    "u64": pl.Series([2**64 - 1, 0, None], dtype=pl.UInt64),
    "f32": pl.Series([0.1, float("nan"), float("-inf")], dtype=pl.Float32),
    "bool": [True, None, False],
    "bytes": [b"\xff\x00", b"", None],
    "date": [datetime.date(2020, 2, 29), None, datetime.date(1, 1, 1)],
    "time": pl.Series([datetime.datetime(2020, 1, 1), None, None], dtype=pl.Datetime("us", "Europe/Berlin")),
    "span": pl.Series([1, 2, None], dtype=pl.Duration("ms")),
    "dec": pl.Series([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], dtype=pl.Decimal(20, 2)),
    "cat": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
    "list": [[1, None], [], None],
    "struct": [{"text": "in", "l": [{"k": 1.5}]}, {"text": None, "l": []}, {"text": "x", "l": None}],
    "array": pl.Series([[1, 2], [3, 4], [5, 6]], dtype=pl.Array(pl.Int16, 2)),
    "": ["empty name", None, "x"],
    "null": pl.Series([None, None, None], dtype=pl.Null),
})  # fmt: skip


def test_parquet_keeps_the_other_columns_with_their_types(tmp_path):
    FRAME.write_parquet(tmp_path / "data.parquet")
    source = pl.read_parquet(tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet", id_column="text")
    assert table.texts == ["one", "two", ""]
    table.write(tmp_path / "out.parquet", [[Edit(0, 3, "1")], [], [Edit(0, 0, "new")]])
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.schema == source.schema
    assert out["text"].to_list() == ["1", "two", "new"]
    assert out.drop("text").equals(source.drop("text"), null_equal=True)


def test_a_path_tells_nothing_about_the_columns(tmp_path):
    """Neither hive folders, nor wildcards, nor bytes that are no UTF-8 mean anything in a name."""
    for name in ("year=2020", "[a-z]*?", "~", os.fsdecode(b"\xff")):
        path = tmp_path / name / f"{name}.parquet"
        path.parent.mkdir()
        FRAME.select("text").write_parquet(tmp_path / "plain.parquet")
        path.write_bytes((tmp_path / "plain.parquet").read_bytes())
        table = read_table(path)
        table.write(path.with_name(f"{name}2.parquet"), [[], [], []])
        out = path.with_name(f"{name}2.parquet").read_bytes()
        assert pl.read_parquet(io.BytesIO(out)).equals(FRAME.select("text"))


def test_a_panic_of_the_parquet_reader_is_a_refusal(tmp_path, monkeypatch):
    """Polars panics on some damaged pages, with an error that is no Exception."""

    def panic(*args, **kwargs):
        raise pl.exceptions.PanicException("assertion failed: offset\nnote: in Rust")

    FRAME.write_parquet(tmp_path / "data.parquet")
    monkeypatch.setattr(pl, "scan_parquet", panic)
    with pytest.raises(InvalidInput, match=r"cannot be read as parquet: assertion failed: offset$"):
        read_table(tmp_path / "data.parquet")


def parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


TWICE = parquet(pl.DataFrame({"text": ["a"], "texu": ["b"]})).replace(b"texu", b"text")

REFUSED = [
    (".parquet", b"", "cannot be read as parquet"),
    (".parquet", b"PAR1 not really PAR1", "cannot be read as parquet"),
    (".parquet", parquet(FRAME)[:-20], "cannot be read as parquet"),
    (".parquet", parquet(FRAME)[:200], "cannot be read as parquet"),
    (".parquet", TWICE, "more than one"),
    (".parquet", parquet(FRAME.rename({"text": "t"})), "no column 'text'"),
    (".parquet", parquet(FRAME.head(0)), "dataset is empty"),
    (".parquet", parquet(pl.DataFrame({"text": ["a", None]})), "row 2: 'text' is missing"),
    (".parquet", parquet(pl.DataFrame({"text": [1, 2]})), "expected strings, got Int64"),
    (".parquet", parquet(pl.DataFrame({"text": [b"a"]})), "expected strings, got Binary"),
    (".jsonl", b"", "dataset is empty"),
    (".jsonl", b"\n \n", "dataset is empty"),
    (".jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}', "line 2: byte 27 is not UTF-8"),
    (".jsonl", b'{"text": "\xed\xa0\x80"}', "not UTF-8"),
    (".jsonl", b'{"text": "a"}\n{"t": "a"}', "line 2: no column 'text'"),
    (".jsonl", b'{"text": "a"}\n\n{"text": null}', "line 3: expected 'text' to be a string, got null"),
    (".jsonl", b'{"text": 7}', "got a number"),
    (".jsonl", b'{"text": 7.5}', "got a number"),
    (".jsonl", b'{"text": false}', "got a boolean"),
    (".jsonl", b'{"text": ["a"]}', "got a list"),
    (".jsonl", b'{"text": {"a": "b"}}', "got an object"),
    (".jsonl", b'{"text": "\\ud83d x"}', "row 1: lone surrogate U\\+D83D at character 0"),
    (".jsonl", b'{"text": "x \\ude00\\ud83d"}', "row 1: lone surrogate U\\+DE00 at character 2"),
    (".jsonl", b'{"text": "a", "text": "b"}', "line 1: not a JSON object: key 'text' appears twice"),
    (".jsonl", b'{"text": "a", "te\\u0078t": "b"}', "appears twice"),
    (".jsonl", b'["a"]', "line 1: not a JSON object"),
    (".jsonl", b'{"text": "a"} {"text": "b"}', "more after the object"),
    (".jsonl", b'{"text": "a"}]', "more after the object"),
    (".jsonl", b'{"text": "a",}', "not a JSON object"),
    (".jsonl", b'{"text": "a"', "not a JSON object"),
    (".jsonl", b"{", "not a JSON object"),
    (".jsonl", b"{}", "no column 'text'"),
    (".jsonl", b"{} x", "more after the object"),
    (".jsonl", b"{'text': 'a'}", "not a JSON object"),
    (".jsonl", b'{"text": "a\tb"}', "not a JSON object"),
    (".jsonl", b'{"x": ' + b"[" * 100_000 + b"}", "not a JSON object"),
    (".csv", b"", "no column 'text'"),
    (".csv", b"text,b\n", "dataset is empty"),
    (".csv", b'"text"', "dataset is empty"),
    (".csv", b"text\n\xff\n", "line 2: byte 5 is not UTF-8"),
    (".csv", b"a,b\n1,2\n", "no column 'text'"),
    (".csv", b"text,text\n1,2\n", "two columns are called 'text'"),
    (".csv", b"text,b\n1,2\n1\n", "row 2: expected 2 fields, got 1"),
    (".csv", b"text,b\n1,2,3\n", "row 1: expected 2 fields, got 3"),
    (".csv", b'text,b\n"open,2\n', "row 1: a quote is not closed"),
    (".csv", b'text,b\n1,a "quote" within\n', "stands within an unquoted field"),
    (".csv", b'text,b\n1,"a"x\n', "row 1: a quote"),
    (".txt", b"text", "cannot tell the format from '.txt'"),
    ("", b"text", "cannot tell the format from ''"),
    (".txt.gz", b"text", "cannot tell the format from '.gz'"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "content", "message"), REFUSED)
def test_bad_tables_are_refused_with_file_and_row(tmp_path, ending, content, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        table_of(tmp_path, content, ending)
    assert str(caught.value).startswith(str(tmp_path / f"data{ending}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        (
            ".parquet",
            parquet(pl.DataFrame({"text": ["a", "b"], "id": [None, 1]})),
            "row 1: 'id' is missing",
        ),
        (".jsonl", b'{"text": "a", "id": null}', "line 1: 'id' is missing"),
        (".jsonl", b'{"text": "a"}', "line 1: no column 'id'"),
        (".jsonl", b'{"text": "a", "id": "\\ud800"}', "row 1: lone surrogate"),
        (".csv", b"text,ID\na,1\n", "no column 'id'"),
        (".csv", b"text,id,id\na,1,2\n", "two columns are called 'id'"),
    ],
)
def test_bad_ids_are_refused(tmp_path, ending, content, message):
    with pytest.raises(InvalidInput, match=message):
        table_of(tmp_path, content, ending, id_column="id")


@pytest.mark.parametrize(
    ("name", "message"), [("none.csv", "no such file"), ("folder.csv", "is a folder")]
)
def test_what_is_no_file_is_refused(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidInput, match=message):
        read_table(tmp_path / name)


@pytest.mark.parametrize("id_column", [None, "text", "n"])
def test_texts_alone_are_read_without_the_other_columns(tmp_path, id_column):
    path = tmp_path / "data.parquet"
    pl.DataFrame({"n": [1, 2], "text": ["a", "b"], "more": [["x"], []]}).write_parquet(path)
    (piece,) = pieces_of(path, Columns("text", id_column))
    assert piece.texts() == piece.read().texts == ["a", "b"]
    alone = read_parquet(Place(path), Columns("text", id_column), every_column=False)
    assert set(alone.frame.columns) == {"text", id_column} - {None}
