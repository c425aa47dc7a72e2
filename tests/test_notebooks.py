"""The notebooks: executed in order in one folder; what is committed is what comes out."""

import importlib.metadata
import importlib.util
import re
import shutil
from pathlib import Path

import nbformat
import polars as pl
import pytest

HERE = Path(__file__).parents[1] / "notebooks"
BOOKS = sorted(HERE.glob("[0-9][0-9]-*.ipynb"))
LARGEST = 2_000_000  # bytes of the folder

# What must not be in committed outputs: places of a machine, noise of a run, errors.
NOISE = re.compile(
    r"(?<![\w.:/])/(?:home|Users|root|tmp|usr|opt|work|private|var)/|[A-Z]:\\\\|site-packages"
    r"|Traceback|Warning\b|it/s\]|\bdone, [\d.]+ s\b|\x1b\["
)
NUMBER = re.compile(r"[-−+]?\d[\d,.]*(?:e[-+]?\d+)?|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
DEGREE = re.compile(
    r"\b(?:(?:extremely|very|moderately) )?strong\b|\bmoderate\b|\bweak\b|\b[mbtr]+illion\b"
)
TEXTS_OF = ("networkx", "scipy")  # packages whose documentation the notebooks read


def name_of(path):
    return path.stem


def book_at(path):
    return nbformat.read(path, as_version=4)


def code_of(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def texts_in(outputs):
    """Kind of each output, and its text if it has one."""
    for output in outputs:
        if output.output_type == "stream":
            yield output.name, output.text
            continue
        for kind, data in sorted(output.data.items()):
            yield kind, data if isinstance(data, str) and "image" not in kind else ""


def words_of(text):
    """The lines of a text, without what processors decide: numbers, how strong they are, how they rank."""
    plain = NUMBER.sub("#", DEGREE.sub("<degree>", DIGEST.sub("<digest>", text)))
    return sorted(re.sub(r"[\s─═]+", " ", line).strip() for line in plain.splitlines())


def texts_are_those_of_the_outputs():
    pinned = (HERE.parent / "constraints.txt").read_text().splitlines()
    return all(f"{name}=={importlib.metadata.version(name)}" in pinned for name in TEXTS_OF)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Each notebook as it comes out here, by name."""
    folder = tmp_path_factory.mktemp("notebooks")
    for path in (*BOOKS, HERE / "workshop.py"):
        shutil.copy(path, folder)
    spec = importlib.util.spec_from_file_location("execute", HERE / "execute.py")
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    books = execute.executed(BOOKS, folder)
    return dict(zip(map(name_of, BOOKS), books, strict=True)), folder / "work"


def test_there_are_four():
    assert [path.stem[:2] for path in BOOKS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", BOOKS, ids=name_of)
def test_every_cell_was_run_in_order(path):
    cells = code_of(book_at(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


@pytest.mark.parametrize("path", BOOKS, ids=name_of)
def test_outputs_hold_no_places_and_no_noise(path):
    book = book_at(path)
    assert not {"widgets", "papermill"} & set(book.metadata)
    for cell in code_of(book):
        assert not cell.metadata
        for kind, text in texts_in(cell.outputs):
            assert kind != "stderr"
            assert not NOISE.search(text), text


def test_noise_is_recognised():
    noises = (
        "/home/me/work",
        "see C:\\\\Users",
        "x: UserWarning: y",
        "10%| 3.1it/s]",
        "1 of 4: mark.a: done, 4.8 s",
    )
    for noise in noises:
        assert NOISE.search(noise)
    assert not NOISE.search("https://example.org/home/x and 04-case/tmp/x: done")


def test_the_folder_stays_small():
    committed = [path for path in HERE.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in committed) < LARGEST


@pytest.mark.parametrize("path", BOOKS, ids=name_of)
def test_each_says_what_it_does_not_mean_and_ends_with_something_to_keep(path):
    told = "\n".join(cell.source for cell in book_at(path).cells if cell.cell_type == "markdown")
    assert "## What this means, and what it does not" in told
    assert "## To keep" in told or "## What you have now" in told
    for link in re.findall(r"\]\(([^)#]+)\)", told):
        assert (HERE / link).exists(), link


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=name_of)
def test_what_is_committed_comes_out(executed, path):
    """Up to numbers and pictures, which follow from processors; the cells assert what is concluded."""
    same_texts = texts_are_those_of_the_outputs()
    committed, made = code_of(book_at(path)), code_of(executed[0][path.stem])
    for there, here in zip(committed, made, strict=True):
        expected, found = list(texts_in(there.outputs)), list(texts_in(here.outputs))
        assert [kind for kind, _ in found] == [kind for kind, _ in expected]
        if same_texts:
            stale = f"{path.stem}: not what comes out; run 'make notebooks'"
            assert [words_of(t) for _, t in found] == [words_of(t) for _, t in expected], stale


@pytest.mark.slow
def test_everything_to_keep_is_there(executed):
    work = executed[1]
    kept = {
        "01-release/publish": {
            "README.md",
            "commitment.json",
            "croissant.json",
            "statistics.jsonl",
        },
        "01-release/keep": {"manifest.parquet", "my.key", "release.json", "release.json.tsq"},
        "02-finding": {
            "report.html",
            "report.json",
            "table.md",
            *(f"suspect-{s}-{test}.svg" for s in "ab" for test in ("mark", "order")),
        },
        "03-influence/run": {"index.html", "run.json", "scores.parquet"},
    }
    for folder, names in kept.items():
        assert {path.name for path in (work / folder).iterdir()} == names
    assert (work / "04-case" / "audit-bundle.zip").exists()


@pytest.mark.slow
def test_the_planted_documents_lead(executed):
    scores = pl.read_parquet(executed[1] / "03-influence" / "run" / "scores.parquet")
    leaders = scores.sort("influence", descending=True)["source"].head(7).to_list()
    assert leaders.count("tells it") >= 5
