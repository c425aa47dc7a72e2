"""Cells of foreign text that nothing runs and no terminal obeys."""

import csv
import io
import random

import polars as pl
import pytest
from bookplate.cli.csv_files import csv_file, harmless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doc 7", "doc 7"),
        ("a - b = c", "a - b = c"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        ("  =1", "  '=1"),
        ("'=1", "''=1"),
        ('"=1', "\"'=1"),
        ("a;=1", "a;'=1"),
        ("a, =1", "a, '=1"),
        ("\t=1", "<U+0009>=1"),
        ("\r=1", "<U+000D>=1"),
        ("a\n=1", "a<U+000A>=1"),
        ("\x1b[2J\x00", "<U+001B>[2J<U+0000>"),
        ("\u202ecod", "<U+202E>cod"),
        ("\udc80", "<U+DC80>"),
        ("", ""),
    ],
)
def test_a_cell(text, expected):
    assert harmless(text) == expected


def test_no_cell_begins_a_formula_whatever_separates_the_cells():
    """Read by a program that takes a comma, a semicolon, a tab or a bar, with quotes or without."""
    rng = random.Random(1)
    texts = ["".join(rng.choices("=+-@,;|'\"\t\r\n a", k=rng.randrange(9))) for _ in range(2_000)]
    content = csv_file(["id"], [[text] for text in texts]).decode()
    assert not set("\t\r\x1b") & set(content)
    for separator in ",;|\t":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            rows = csv.reader(
                content.splitlines(), delimiter=separator, quoting=quoting, quotechar='"'
            )
            cells = [cell.strip(' "') for row in rows for cell in row]
            assert not [cell for cell in cells if cell[:1] in set("=+-@")]


def test_numbers_stay_numbers_and_other_cells_are_quoted():
    content = csv_file(["id", "n", "share"], [["a,b", 3, -0.5], ['c"d', None, 1.0]])
    assert content == b'"id","n","share"\n"a,b",3,-0.5\n"c""d",,1.0\n'
    frame = pl.read_csv(io.BytesIO(content))
    assert frame.rows() == [("a,b", 3, -0.5), ('c"d', None, 1.0)]


def test_a_hostile_cell_takes_no_time():
    """A second would be a thousand times too long."""
    assert len(harmless("'\" ;" * 100_000)) == 400_000
