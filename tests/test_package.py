"""The house: packages listed, imports that point down, nothing heavy before it is needed."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import bookplate
import pytest
import yaml
from packaging.version import Version

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


# What pip is told.


def ranges():
    """Lower bound of every requirement, extras included, by its normalised name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    found = {}
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        name, low = re.fullmatch(r"([\w.-]+)>=([\d.]+)(?:,<[\d.]+)?", text).groups()
        assert found.setdefault(normalised(name), low) == low, f"{name} has two lower bounds"
    return found


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normalised(name): version for name, version in pairs}


def test_the_lowest_versions_are_those_of_the_ranges():
    assert pins("constraints-min.txt") == ranges()


def test_every_requirement_has_an_exact_version_within_its_range():
    exact = pins("constraints.txt")
    for name, low in ranges().items():
        assert Version(exact[name]) >= Version(low), name


# What strangers read.


def test_the_workflow_runs_what_every_change_must_pass():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(workflow)["jobs"]
    assert [step["run"] for step in jobs["gate"]["steps"] if "run" in step] == ["bash .ci/run"]
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", action) for action in used)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    runs = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert {run.split()[1] for run in runs if run.startswith("make ")} <= targets


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == bookplate.__version__
    assert cited["type"] == "software"


def test_nobody_is_invented():
    """What only a person can say is marked as such, and no address stands there meanwhile."""
    for name in ("SECURITY.md", "CONTRIBUTING.md", "CITATION.cff"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "TO BE FILLED IN" in text
        assert not re.search(r"[\w.]+@[\w-]+\.\w+", text)
