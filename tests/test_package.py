"""The house: packages listed, imports that point down, nothing heavy before it is needed."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("stats", "provenance", "watermark", "cli")
MODULES = sorted([
    *ROOT.glob("*.py"),
    *(path for part in PARTS for path in (ROOT / part).rglob("*.py")),
])

# What each part may import from its siblings; the modules beside them are for all.
MAY_IMPORT = {
    "": set(),
    "stats": set(),
    "provenance": {"stats"},
    "watermark": {"provenance", "stats"},
    "cli": {"provenance", "stats", "watermark"},
}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """(absolute module or None, parts below the package's root) of every import in a file."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, ()
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            below = (*base, *(node.module or "").split(".")) if node.module else base
            yield from ((None, (*below, alias.name)) for alias in node.names)


def test_the_list_of_packages_is_that_of_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        path.parent.relative_to(ROOT).parts for path in MODULES if path.name == "__init__.py"
    }
    assert sorted(listed) == sorted(".".join(("bookplate", *parts)) for parts in folders)
    assert {path.parent.relative_to(ROOT).parts for path in MODULES} == folders


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_within_the_package_are_relative_and_point_down(path):
    parts = path.relative_to(ROOT).parts
    part = parts[0] if len(parts) > 1 else ""
    for absolute, below in imports(path):
        if absolute is not None:
            assert absolute.partition(".")[0] != "bookplate"
        elif below[0] in PARTS:
            assert below[0] == part or below[0] in MAY_IMPORT[part], (
                f"{part} imports {'.'.join(below)}"
            )


def test_the_rule_would_notice():
    """The reader of imports sees each form, also within functions."""
    seen = set(imports(ROOT / "cli" / "embed_command.py"))
    assert (None, ("watermark", "marking", "Marking")) in seen
    assert (None, ("cli", "output", "print_json")) in seen
    assert ("typer", ()) in seen
    assert (None, ("provenance", "custody", "MerkleTree")) in set(
        imports(ROOT / "watermark" / "manifest" / "manifest.py")
    )


def loaded_after(code):
    """Modules that are loaded once a fresh interpreter has run this."""
    show = "\nimport sys; print('\\n'.join(sys.modules), file=sys.__stdout__)"
    done = subprocess.run(
        [sys.executable, "-c", code + show], capture_output=True, text=True, check=True, cwd="/"
    )
    return set(done.stdout.split())


LIGHT = {"torch", "transformers"}
NONE_OF_THESE = {"torch", "transformers", "numba", "polars", "numpy", "scipy", "matplotlib", "nltk"}


@pytest.mark.parametrize(
    "module", ["bookplate", "bookplate.watermark", "bookplate.provenance", "bookplate.cli"]
)
def test_each_part_imports_on_its_own_and_nothing_heavy(module):
    loaded = loaded_after(f"import {module}")
    assert module in loaded
    assert not loaded & NONE_OF_THESE


@pytest.mark.parametrize(
    "module",
    [
        "bookplate.stats",
        "bookplate.watermark.embed",
        "bookplate.watermark.lexicon",
        "bookplate.provenance.custody",
        "bookplate.provenance.palimpsest",
        "bookplate.provenance.palimpsest.recording",
    ],
)
def test_models_are_not_needed_to_mark_or_to_count(module):
    assert not loaded_after(f"import {module}") & LIGHT


HELP = """
import sys
sys.argv = ["bookplate", *{arguments}]
from bookplate.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["watermark", "embed", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    assert not loaded_after(HELP.format(arguments=arguments)) & NONE_OF_THESE
