"""Real English that lies on every machine Bookplate runs on: docstrings of installed packages."""

import ast
import importlib.metadata
import importlib.util
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars as pl

from ...errors import InvalidInput

__all__ = ["docstrings", "package_version"]

_SHORTEST = 200


def docstrings(package: str) -> list[str]:
    """The distinct docstrings of an installed package, over 200 characters, in a fixed order.

    The package's files are parsed, not imported.

    Args:
        package: Import name of a package.

    Returns:
        Docstrings, cleaned of their indentation as Python's own `help` does.

    Raises:
        InvalidInput: If the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InvalidInput(f"{package}: not installed", f"pip install {package}")
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = pool.map(_docstrings_in, files, chunksize=64)
        return list(dict.fromkeys(text for texts in found for text in texts))


def cached_docstrings(package: str, cache: Path) -> list[str]:
    """`docstrings`, kept in a file per package and version."""
    path = cache / f"docstrings-{package}-{package_version(package)}.parquet"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(".partial")
        pl.DataFrame({"text": docstrings(package)}).write_parquet(staged)
        staged.rename(path)
    texts: list[str] = pl.read_parquet(path)["text"].to_list()
    return texts


def package_version(package: str) -> str:
    """Version of an installed package."""
    return importlib.metadata.version(package)


def _docstrings_in(path: Path) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and Python 2 fixtures are no modules
        return []
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
    return [text for text in texts if text and len(text) > _SHORTEST]
