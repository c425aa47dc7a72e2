"""The wheel holds the package and its data; the sdist what building and testing need; both nothing private.

`make dist-check` installs both into clean environments and uses them.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis"),
    *("build", "dist", "*.egg-info", "__pycache__", "bookplate-demo"),
)
PRIVATE = {".env": "SECRET=1", "my.key": "{}", "stats/.secret.py.swp": "", "notes.txt": "mine"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[set[str], set[str]]:
    """What a wheel and an sdist hold, built from a copy of the sources where private things lie about.

    The wheel is made of the sdist. No network is needed.
    """
    folder = tmp_path_factory.mktemp("dist")
    source = shutil.copytree(ROOT, folder / "any name", ignore=LEFT_OUT)
    for name, text in PRIVATE.items():
        (source / name).write_text(text, encoding="utf-8")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        sources = {member.name.partition("/")[2] for member in archive if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist()), sources


@pytest.fixture(scope="module")
def names(built):
    return built[0]


def test_the_sdist_holds_all_that_building_and_testing_need(built):
    tracked = {
        path.relative_to(ROOT).as_posix()
        for top in ("stats", "watermark", "provenance", "cli", "tests", "benchmarks", "docs", ".ci")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tracked <= built[1]
    assert {
        *("pyproject.toml", "Makefile", "constraints.txt", "constraints-min.txt", "mkdocs.yml"),
        *("README.md", "LICENSE", "CHANGELOG.md", "ARCHITECTURE.md", "SECURITY.md"),
        *("CONTRIBUTING.md", "CITATION.cff", ".github/workflows/ci.yml", "py.typed"),
    } <= built[1]


def test_nothing_private_is_in_either(built):
    for names in built:
        assert not {name for name in names if name.endswith(tuple(PRIVATE))}
        assert not {name for name in names if "__pycache__" in name or ".git/" in name}


def test_every_module_is_in(names):
    modules = {
        f"bookplate/{path.relative_to(ROOT).as_posix()}"
        for part in ("stats", "watermark", "provenance", "cli")
        for path in (ROOT / part).rglob("*.py")
    }
    assert modules <= names
    assert {"bookplate/__init__.py", "bookplate/errors.py", "bookplate/py.typed"} <= names


def test_data_and_licences_are_in(names):
    assert "bookplate/watermark/lexicon/lexicon.parquet" in names
    assert "bookplate/watermark/lexicon/WORDNET-LICENSE" in names
    assert "bookplate/stats/report/report.html.jinja" in names
    assert "bookplate/stats/report/sections/answers.jinja" in names
    assert "bookplate/stats/report/report.js" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_tests_notebooks_and_benchmarks_are_not(names):
    tops = {name.split("/")[1] for name in names if name.startswith("bookplate/")}
    assert not tops & {"tests", "notebooks", "benchmarks", "build"}
    assert not {name for name in names if name.startswith(("tests", "benchmarks", "notebooks"))}
