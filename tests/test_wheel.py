"""The wheel holds the package and its data, and neither tests nor benchmarks."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "__pycache__", "bookplate-demo"
)


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> set[str]:
    """What a wheel built from a copy of the sources holds; no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT, folder / "any name", ignore=NOT_SOURCE)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


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
