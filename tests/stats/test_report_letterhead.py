"""A letterhead names who sends a report; it runs nothing, hides nothing, and is part of report.json."""

import base64
import dataclasses
import json
import sys
from pathlib import Path

import pytest
from bookplate.errors import InvalidInput
from bookplate.stats.report import AuditReport, Letterhead, render_html
from bookplate.stats.report.letterhead import LARGEST_LOGO

sys.path.insert(0, str(Path(__file__).parent))
from report_samples import Page
from sample_case import sample_case, sample_report

PNG = b"\x89PNG\r\n\x1a\n rest"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def page_with(letterhead: Letterhead) -> str:
    case = dataclasses.replace(sample_case(), letterhead=letterhead)
    report = dataclasses.replace(sample_report(), case=case)
    return render_html(AuditReport.from_json(report.to_json()))


def test_a_letterhead_is_read_from_a_folder(tmp_path):
    (tmp_path / "letterhead.toml").write_text(
        'name = "Lab <b>"\nlines = ["1 Street", "Town"]\naccent = "#5A1A1A"\nfooter = "Reg. 1"\n'
        'logo = "logo.png"\n'
    )
    (tmp_path / "logo.png").write_bytes(PNG)
    read = Letterhead.read(tmp_path)
    assert read == Letterhead(
        name="Lab <b>",
        lines=("1 Street", "Town"),
        accent="#5a1a1a",
        footer="Reg. 1",
        logo=b64(PNG),
        logo_type="image/png",
    )
    assert Letterhead.read(tmp_path / "letterhead.toml") == read


def test_the_page_shows_it_and_its_digest():
    letterhead = Letterhead(
        name="Lab <b>", lines=("1 Street",), accent="#5a1a1a", footer="Reg. 1", logo=b64(SVG),
        logo_type="image/svg+xml",
    )  # fmt: skip
    page = page_with(letterhead)
    found = Page(page)
    (image,) = [attributes for tag, attributes in found.elements if tag == "img"]
    assert image == {"src": f"data:image/svg+xml;base64,{b64(SVG)}", "alt": "Lab <b>"}
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert "Lab <b>1 Street" in found.text
    assert "Reg. 1 Made with Bookplate" in found.text
    assert letterhead.sha256 in found.text.replace(" ", "")
    assert "--accent: #5a1a1a;" in page
    other = dataclasses.replace(letterhead, footer="")
    assert other.sha256 != letterhead.sha256


def test_without_one_the_page_has_none():
    page = render_html(sample_report())
    assert "<img" not in page
    assert "Letterhead" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "no name"),
        ({"name": 3}, "Letterhead.name"),
        ({"lines": ("x",) * 9}, "at most 8"),
        ({"accent": "red"}, "colour like"),
        ({"accent": "#fff;} body {display: none"}, "colour like"),
        ({"accent": "#9a9a9a"}, "too pale"),
        ({"logo": b64(PNG)}, "come together"),
        ({"logo_type": "image/png"}, "come together"),
        ({"logo": b64(PNG), "logo_type": "text/html"}, "logo_type"),
        ({"logo": b64(SVG), "logo_type": "image/png"}, "is no image/png"),
        ({"logo": "%%%", "logo_type": "image/png"}, "not base64"),
        ({"logo": b64(PNG) + "\n", "logo_type": "image/png"}, "base64"),
        ({"logo": b64(PNG + b"x" * LARGEST_LOGO), "logo_type": "image/png"}, "larger than"),
    ],
)
def test_malformed_letterheads_are_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        Letterhead(**{"name": "Lab", **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        ('name = "x"\nfont = "y"', "unknown key 'font'"),
        ('name = "x"\nlogo = "../a.png"', "beside it"),
        ('name = "x"\nlogo = 3', "beside it"),
        ('name = "x"\nlogo = "a.gif"', "PNG or SVG"),
        ('name = "x"\nlogo = "a.png"', "cannot be read"),
        ('name = "x"\nlines = "abc"', "Letterhead.lines"),
        ("lines = []", "no name"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, message):
    path = tmp_path / "letterhead.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        Letterhead.read(path)


def test_a_letterhead_in_a_report_is_read_strictly():
    case = dataclasses.replace(sample_case(), letterhead=Letterhead(name="Lab"))
    data = json.loads(dataclasses.replace(sample_report(), case=case).to_json())
    data["case"]["letterhead"]["script"] = "x"
    with pytest.raises(InvalidInput):
        AuditReport.from_json(json.dumps(data).encode())
    del data["case"]["letterhead"]["script"]
    assert AuditReport.from_json(json.dumps(data).encode()).case.letterhead.name == "Lab"
