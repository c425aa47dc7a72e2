"""Text that was written to harm its reader is shown as text: on the page, in print, on a card, on a terminal.

Every free text of a report is hostile here, and so are names in bundles and audit files. Twice the same
report, once with harmless words in those places: whatever differs but words is a way in.
"""

import io
import json
import re
import sys
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bookplate.cli import audit_command, report_commands
from bookplate.cli.output import print_error, print_finding
from bookplate.display import visible
from bookplate.provenance.bundle.verification import verify
from bookplate.provenance.custody import SigningKey
from bookplate.stats.report import AuditReport, render_html, render_markdown, render_pdf
from bookplate.stats.report.pdf import _in_footer
from markdown_it import MarkdownIt
from pypdf import PdfReader

sys.path.extend(str(Path(__file__).parents[1] / part) for part in ("stats", "provenance"))
from sample_bundle import Authority, Draft
from sample_case import sample_report

SHOWN = (  # what stands there as it was written
    '<script>document.title="OWNED"</script>',
    "<img src=x onerror='document.title=\"OWNED\"'>",
    '#read("/etc/passwd") $x^2$ \\input{/etc/passwd}',
    "[a](javascript:alert(1)) ![i](http://e.example/p.png) `c` @all {{7*7}} {% x %}",
    "--> </style></title></svg> ]]>",
)
UNSEEN = "\x1b[31m\x9b2J\x07\r\n\t\u202e\u2066\u200b\u200d\ufeff\u2028\0"
HOSTILE = UNSEEN + " ".join(SHOWN)
IN_PRINT = UNSEEN + SHOWN[0] + SHOWN[2]  # short, as every place of it is set
HARMLESS = re.sub(r"[^\s\w]", "x", visible(HOSTILE))  # as long, so that lines break where they did
# What is checked when a report is read: times, digests, and words that follow from numbers.
CHECKED = re.compile(
    r"(\bat|_at|sha256|custody_head|key_fingerprint|pre_registration|previous_statement|profile|standing"
    r"|created|format|\.test|alternative|direction|figure\.kind|valid|status|strength|e_value\.method)$"
)


def filled(value, words, path=""):
    """A report's JSON with these words before every free text."""
    if isinstance(value, dict):
        return {name: filled(inner, words, f"{path}.{name}") for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, words, path) for inner in value]
    empty = path.endswith("failed_assumption") and not value
    return (
        words + value
        if isinstance(value, str) and not empty and not CHECKED.search(path)
        else value
    )


def report_with(words, *, report=None):
    data = json.loads((report or sample_report()).to_json())
    return AuditReport.from_json(json.dumps(filled(data, words)).encode())


@pytest.fixture(scope="module")
def hostile():
    return report_with(HOSTILE)


@pytest.fixture(scope="module")
def page(hostile):
    return render_html(hostile)


def unseen_in(text):
    """Characters that command a terminal, reorder text or show nothing."""
    allowed = "\n\u2068\u2069"  # isolates of our own keep right-to-left text from reordering others
    return {
        c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    } - set(allowed)


class Skeleton(HTMLParser):
    """Elements, attributes and addresses of a page, without its words."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.addresses, self.words = [], set(), []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(sorted(name for name, _ in attributes))))
        for name, value in attributes:
            if name in {
                "href",
                "src",
                "xlink:href",
                "action",
                "srcset",
                "data",
                "style",
                "id",
                "class",
            }:
                self.addresses.add((tag, name, re.sub(r"\bfig-[0-9a-f]{12}", "fig", value)))

    def handle_comment(self, data):
        self.elements.append(("comment", ()))

    def handle_decl(self, decl):
        self.elements.append((decl, ()))

    unknown_decl = handle_pi = handle_comment

    def handle_data(self, data):
        self.words.append(data)


# The page.


def test_the_page_has_the_elements_of_a_harmless_one(page):
    found, due = Skeleton(page), Skeleton(render_html(report_with(HARMLESS)))
    assert found.elements == due.elements
    assert found.addresses == due.addresses
    assert not [name for _, names in found.elements for name in names if name.startswith("on")]
    assert sum(tag == "script" for tag, _ in found.elements) == 1


def test_the_page_shows_what_was_written(page):
    words = " ".join(Skeleton(page).words)
    for text in SHOWN:
        assert text in words
    assert "<U+001B>[31m<U+009B>2J<U+0007><U+000D><U+000A><U+0009><U+202E><U+2066><U+200B>" in words
    assert not unseen_in(page)


# Print.


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("printed")
    written = Draft(Authority(folder / "authority"), folder / "bundle").write(SigningKey.generate())
    small = AuditReport.from_json((written / "report.json").read_bytes())
    return PdfReader(io.BytesIO(render_pdf(report_with(IN_PRINT, report=small))))


def test_print_shows_what_was_written(printed):
    text = "".join(sheet.extract_text() for sheet in printed.pages[:3])
    bare = re.sub(r"\s", "", text)
    for shown in (
        SHOWN[0],
        SHOWN[2],
        "<U+001B>[31m<U+009B>2J<U+0007>",
        "<U+202E><U+2066><U+200B><U+200D><U+FEFF>",
    ):
        assert re.sub(r"\s", "", shown) in bare
    assert "root:" not in bare  # no file was read
    assert not unseen_in(text)


def test_print_runs_and_opens_nothing(printed):
    catalogue = printed.root_object
    assert not {"/OpenAction", "/AA", "/AcroForm"} & catalogue.keys()
    assert not {"/JavaScript", "/EmbeddedFiles"} & catalogue.get("/Names", {}).keys()
    for sheet in printed.pages:
        for note in sheet.get("/Annots", []):
            assert note.get_object().get("/A", {"/S": "/GoTo"})["/S"] == "/GoTo"


# The card.


def test_the_card_holds_no_markup_of_others(hostile, page):
    card = render_markdown(hostile, page=page)
    assert not unseen_in(card)

    def kinds(text):
        found, pending = set(), MarkdownIt("gfm-like", {"linkify": False}).parse(text)
        while pending:
            token = pending.pop()
            found.add(token.type)
            pending += token.children or []
        return found

    assert not {"html_inline", "html_block", "link_open", "image"} & kinds(card)
    assert "html_inline" in kinds("a " + HOSTILE)  # the test can fail
    for text in ("document.title", "<U+202E>"):
        assert text in card


# Of a great length, and what is no text at all.


def test_names_of_a_megabyte_are_cut_and_say_so():
    report = replace(sample_report(), title="x" * 1_000_001, subject="\u202e" * 200_000)
    page = render_html(report)
    assert "all are in report.json" in page
    assert len(page) < 12_000_000
    assert len(render_markdown(report, page=page)) < 200_000


def test_half_of_a_surrogate_pair_is_shown_by_its_number():
    page = render_html(replace(sample_report(), title="half \ud800 of it"))
    page.encode("utf-8")
    assert "half &lt;U+D800&gt; of it" in page


# The terminal.


@pytest.fixture
def terminal(capsys):
    def shown():
        out, err = capsys.readouterr()
        assert not unseen_in(out + err)
        assert "<U+001B>" in out + err
        return out + err

    return shown


def test_errors_and_findings_hold_no_controls(hostile, terminal):
    print_error(HOSTILE, HOSTILE)
    assert terminal().count("\n") == 1
    print_finding(hostile.entries[0].finding)
    assert SHOWN[0] in terminal()


def test_audit_tells_statuses_without_controls(hostile, terminal):
    audit_command._tell(hostile, None, Path(HOSTILE), as_zip=True, as_json=False)
    assert SHOWN[0] in terminal()


@pytest.mark.parametrize("wrong", [False, True])
def test_a_hostile_audit_file_commands_no_terminal(run, tmp_path, wrong):
    told = json.dumps(HOSTILE.replace("\0", ""))
    name = told if wrong else "suspect"
    (tmp_path / "audit.yaml").write_text(
        f"{{format: bookplate-audit/1, report_id: {told}, title: {told}, alpha: 0.01,"
        f" datasets: {{essays: {{manifest: {told}}}}},"
        f" models: {{suspect: {{model: {told}, role: suspect}}}},"
        f" tests: {{mark: {{kind: watermark, dataset: essays, suspects: [{name}]}}}}}}"
    )
    code, out, err = run("audit", "audit.yaml", "--dry-run")
    assert code == 1 + wrong, err  # 1: what it names is not there
    assert not unseen_in(out + err)
    assert wrong or "<U+001B>" in out
    assert err.count("\n") <= 1


@pytest.mark.parametrize("what", ["sound", "damaged", "named"])
def test_verify_shows_no_controls(tmp_path, terminal, what):
    draft = Draft(Authority(tmp_path / "authority"), tmp_path / "bundle")
    draft.changes = {"report_id": HOSTILE, "conflicts": HOSTILE}
    draft.not_run = {test: HOSTILE for test in draft.not_run}
    key = SigningKey.generate()
    if what == "damaged":
        draft.predicate_changes = {"report_id": HOSTILE[::-1], "correction": HOSTILE}
    folder = draft.write(key)
    if what == "named":
        (folder / f"a{UNSEEN[:-1]}b").write_bytes(b"")
    found = verify(folder, keys=[key.public])
    report_commands._print(found)
    terminal()
    assert (what != "sound") == bool(found.failed)


def test_an_id_leaves_room_in_the_footer_for_the_number_of_the_page():
    for report_id in (HOSTILE, "W" * 500):
        assert len(_in_footer(report_id)) <= 44
    assert _in_footer("BP-1") == "BP-1 · "
