"""The documentation: links lead somewhere, commands exist, formats are those of the code."""

import importlib.util
import itertools
import math
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from bookplate.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
MADE = {"commands.md", "api/index.md"}  # while building
COMMANDS = typer.main.get_command(app)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NO_COMMANDS = {"bookplate influence run"}  # the name of a format


def text_of(page):
    return page.read_text(encoding="utf-8")


def built(name):
    """A module of docs/building, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "building" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slug(heading):
    """The anchor that Python-Markdown gives a heading."""
    plain = re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading)).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


def anchors(page):
    text = FENCE.sub("", text_of(page))
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def name_of(page):
    return page.name


# ---- links and navigation -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page):
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        if path in MADE and page.parent == DOCS:
            continue
        assert target.is_file(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_navigation_holds_every_page():
    nav = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]
    listed = [path for entry in nav for path in entry.values()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {page.name for page in DOCS.glob("*.md")} | MADE


def test_pages_load_nothing_from_elsewhere():
    settings = text_of(ROOT / "mkdocs.yml")
    assert "http" not in settings
    assert yaml.safe_load(settings)["theme"]["font"] is False
    assert "default-src 'self'" in text_of(DOCS / "theme" / "main.html")
    for page in DOCS.glob("*.md"):
        assert not re.search(r"<(script|img|link|iframe)|!\[", FENCE.sub("", text_of(page)))


def test_warnings_are_errors():
    assert yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["strict"] is True
    build = re.search(r"^docs:.*\n\t(.*)$", text_of(ROOT / "Makefile"), re.MULTILINE)[1]
    assert build.endswith("mkdocs build")  # with --quiet, warnings are not counted


def test_formulas_are_closed():
    for page in DOCS.glob("*.md"):
        assert FENCE.sub("", text_of(page)).count("$$") % 2 == 0, page.name


# ---- commands -----------------------------------------------------------------------------------------


def found(words):
    """The command that the words name, or the group; and what stands after its name."""
    node, path, rest = COMMANDS, "bookplate", list(words[1:])
    while rest and not rest[0].startswith("-") and hasattr(node, "commands"):
        path = f"{path} {rest[0]}"
        assert rest[0] in node.commands, f"no command {path!r}"
        node = node.commands[rest.pop(0)]
    return node, path, rest


def options_of(node):
    return {name for p in node.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}


def refuse_unknown_names(words):
    """Fail unless the words name a command, and options that it has."""
    node, path, rest = found(words)
    unknown = {word for word in rest if word.startswith("--")} - options_of(node)
    assert not unknown, f"{path}: no option {unknown}"


def refuse_unparsable(words):
    """Fail unless the words are a whole command line; where `...` stands, arguments may be missing."""
    node, path, rest = found(words)
    if hasattr(node, "commands") or "--help" in rest:
        refuse_unknown_names(words)
        return
    parser = node.make_parser(node.context_class(node))
    given, left, _ = parser.parse_args([word for word in rest if word != "..."])
    assert not left, f"{path}: too many arguments: {left}"
    absent = [p.name for p in node.params if p.required and not given.get(p.name)]
    assert "..." in rest or not absent, f"{path}: {absent} missing"


def command_lines(page):
    """Every `bookplate ...` line of shell blocks, without comments."""
    for language, block in FENCE.findall(text_of(page)):
        if language == "sh":
            for line in block.replace("\\\n", " ").split("\n"):
                words = shlex.split(line, comments=True)
                words = list(itertools.takewhile(lambda w: w not in {">", "|", "&&"}, words))
                if words and words[0] == "bookplate":
                    yield words


def mentioned(page):
    """Commands in running text and tables, with or without `bookplate` before them."""
    for code in CODE.findall(FENCE.sub("", text_of(page))):
        if code in NO_COMMANDS or re.search(r"/\d+$", code) or '"' in code:
            continue
        words = code.replace("COMMAND", "").split()
        if words and words[0] == "bookplate" and len(words) > 1:
            yield words
        elif len(words) > 1 and words[0] in COMMANDS.commands:
            yield ["bookplate", *words]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_line_parses(page):
    for words in command_lines(page):
        refuse_unparsable(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_mentioned_exists(page):
    for words in mentioned(page):
        refuse_unknown_names(words)


@pytest.mark.parametrize(
    "line",
    [
        "bookplate watermark detekt m.parquet --suspect s",
        "bookplate watermark detect m.parquet --suspekt s",
        "bookplate watermark detect m.parquet",
        "bookplate report verify a.zip b.zip",
        "bookplate --nothing",
    ],
)
def test_a_wrong_command_line_would_be_noticed(line):
    with pytest.raises(Exception, match=r"detekt|suspekt|missing|too many|nothing"):
        refuse_unparsable(line.split())


def test_the_page_of_commands_has_all_of_them():
    page = built("command_pages").commands_page()
    leaves = [
        f"bookplate {group} {name}"
        for group, node in COMMANDS.commands.items()
        for name in getattr(node, "commands", {})
    ]
    assert len(leaves) > 30
    for name in [*leaves, "bookplate audit", "bookplate power", "bookplate demo"]:
        assert f"## {name}\n" in page
    assert "| `--tsa-roots` |" in page
    assert "| `--mode` | keyed, leximark |" in page


# ---- the code -----------------------------------------------------------------------------------------


def test_the_api_has_a_page_for_every_package():
    sources = built("sources")
    listed = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["setuptools"]["packages"]
    pages = {page.package for page in sources.api_pages(ROOT)}
    assert {"bookplate.stats", "bookplate.watermark", "bookplate.provenance.influence"} <= pages
    assert not any(name.startswith("bookplate.cli") for name in pages)
    assert pages <= set(listed)
    text = next(p.text for p in sources.api_pages(ROOT) if p.package == "bookplate.stats")
    assert "::: bookplate.stats.choices" in text


def test_docstrings_become_markdown():
    pytest.importorskip("griffe")
    as_markdown = built("docstrings").as_markdown
    formula = as_markdown("Sum:\n\n.. math:: a * b,\n    c\n\nNext.")
    assert formula.split() == ["Sum:", "$$", "a", "*", "b,", "c", "$$", "Next."]
    table = "== ==\na  b\n== ==\n1  *\n== =="
    assert as_markdown(f"Of:\n\n{table}\n") == f"Of:\n\n```text\n{table}\n```\n"
    assert as_markdown("exp(-2 t**2 / max(x)**2) a < b") == (
        r"exp(-2 t\*\*2 / max(x)\*\*2) a &lt; b"
    )
    assert as_markdown("**One.** and `a ** b` and *two*") == "**One.** and `a ** b` and *two*"


def named_in_formats(names):
    text = text_of(DOCS / "formats.md")
    missing = [name for name in names if f"`{name}" not in text]
    assert not missing, missing


def test_formats_names_every_format_that_leaves_the_program():
    # Kept by the program for itself, or a part of what is described.
    within = {"audit-work", "beacon", "beaconed-secret", "commitment", "endpoint"}
    formats = {
        name
        for part in ("cli", "provenance", "stats", "watermark")
        for path in (ROOT / part).rglob("*.py")
        for name in re.findall(r'"(bookplate-[a-z-]+[/-]\d)"', text_of(path))
    }
    assert len(formats) > 10
    named_in_formats(name for name in formats if name[10:-2] not in within)


def test_formats_names_every_field_of_an_audit_file():
    from bookplate.cli.audit import planned, schema

    models = [getattr(schema, name) for name in schema.__all__ if name[0].isupper()]
    kinds = [getattr(planned, name) for name in planned.__all__ if name.endswith("Test")]
    fields = {
        field.alias or name
        for model in (*models, *kinds)
        for name, field in getattr(model, "model_fields", {}).items()
    }
    assert {"alpha", "manifest", "references", "window_tokens"} <= fields
    named_in_formats(fields)
    named_in_formats(kind.model_fields["kind"].annotation.__args__[0] for kind in kinds)


def test_formats_names_columns_and_fields():
    from bookplate.provenance.bundle import predicate
    from bookplate.provenance.custody import log
    from bookplate.provenance.influence import records
    from bookplate.provenance.suspect.recorded import questions
    from bookplate.provenance.suspect.recorded.suspect import ANSWERS_SCHEMA
    from bookplate.stats.workings import _FORMS
    from bookplate.watermark.manifest.rows import ROW_SCHEMA

    named_in_formats(ROW_SCHEMA)
    named_in_formats(ANSWERS_SCHEMA)
    named_in_formats(questions._SCHEMA)
    named_in_formats(records._COLUMNS)
    named_in_formats([*predicate._FIELDS, *predicate._COMMITMENT, *predicate._TEST])
    named_in_formats(log._FIELDS)
    for test, form in _FORMS.items():
        named_in_formats([test, *form.columns, *form.settings, form.numbered])


def test_the_words_of_the_scale_are_those_of_the_code():
    from bookplate.stats.evidence import VERBAL_SCALE, calibrated_log10_e
    from bookplate.stats.report import Status

    text = text_of(DOCS / "meaning.md")
    rows = re.findall(
        r"^\| ([\d,]+) \| ([a-z ]+) \| 1 in [\d,]+ \| ([\d.e-]+) \|$", text, re.MULTILINE
    )
    assert [(f"{10**edge:,.0f}", word) for edge, word in VERBAL_SCALE] == [r[:2] for r in rows]
    for edge, _, p in rows:  # p is rounded to two digits
        e = 10 ** calibrated_log10_e(math.log10(float(p)))
        assert e == pytest.approx(float(edge.replace(",", "")), rel=0.05)
    for status in Status:
        assert f"`{status.value}`" in text


@pytest.mark.parametrize("page", ["amounts.md", "influence.md"])
def test_figures_are_those_of_the_results(page):
    """Every p-value and every interval stands in RESULTS.md as well."""
    results = text_of(ROOT / "benchmarks" / "RESULTS.md")
    text = CODE.sub("", FENCE.sub("", text_of(DOCS / page)))
    figures = re.findall(r"(?<![\w.-])\d\.\d+e-\d+", text)
    figures += re.findall(r"\([>\d][^()]* to [^()]*\)", text)
    assert len(figures) > 10
    assert not [figure for figure in figures if figure not in results]


@pytest.mark.parametrize(
    ("test", "effect", "log10_alpha", "n"),
    [
        ("choice", 0.2, -6, "1,081"),
        ("choice", 0.3, -6, "488"),
        ("choice", 0.3, -2, "148"),
        ("spearman", 0.115, -3, "1,439"),
        ("spearman", 0.4, -3, "114"),
        ("spearman", 0.08, -400, "304,778"),
        ("paired", 0.1, -2, "1,305"),
    ],
)
def test_the_numbers_of_units_are_those_that_power_gives(test, effect, log10_alpha, n):
    from bookplate.stats import Alternative
    from bookplate.stats.power import PowerTest, sample_size

    given = sample_size(
        PowerTest(test), effect, log10_alpha=log10_alpha, alternative=Alternative.GREATER
    )
    assert f"{given.n:,}" == n
    assert n in text_of(DOCS / "amounts.md")
