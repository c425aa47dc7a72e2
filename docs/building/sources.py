"""Where the docstrings are read from, and one page for each package."""

import ast
import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Page", "api_index", "api_pages", "copy_sources"]

_NAMES = re.compile(r'^__all__ = \[\s*"', re.MULTILINE)  # a module that lists public names
_NO_API = ("bookplate.cli",)  # the command line: `commands.md`


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the API.

    Attributes:
        package: Full name.
        path: Within the documentation.
        text: Markdown for mkdocstrings.
        summary: First sentence of the package's docstring.
    """

    package: str
    path: str
    text: str
    summary: str

    @property
    def title(self) -> str:
        """The package's name without that of the whole."""
        return self.package.removeprefix("bookplate.")


def copy_sources(root: Path, folder: Path) -> Path:
    """Copy the modules of all packages below a folder called `bookplate`; returns what holds it."""
    for package in packages(root):
        below = Path(*package.split(".")[1:])
        target = folder / "bookplate" / below
        target.mkdir(parents=True, exist_ok=True)
        for path in (root / below).glob("*.py"):
            shutil.copy2(path, target / path.name)
    return folder


@cache
def packages(root: Path) -> tuple[str, ...]:
    """All packages that are installed."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return tuple(settings["tool"]["setuptools"]["packages"])


@cache
def api_pages(root: Path) -> tuple[Page, ...]:
    """A page for each package with public names, and for the modules beside them."""
    return tuple(
        page
        for package in packages(root)
        if not package.startswith(_NO_API) and (page := _page(root, package)) is not None
    )


def api_index(pages: Sequence[Page]) -> str:
    """The list of all packages."""
    rows = "\n".join(f"| [`{p.package}`]({Path(p.path).name}) | {p.summary} |" for p in pages)
    return (
        "# API\n\nFrom the docstrings of every public name: what a module lists in `__all__`. Import from "
        "the package where it has the name, else from the module.\n\n"
        f"| package | what it is |\n| --- | --- |\n{rows}\n"
    )


def _page(root: Path, package: str) -> Page | None:
    folder = root / Path(*package.split(".")[1:])
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    public = [name for name, text in texts.items() if name != "__init__" and _NAMES.search(text)]
    if not public:
        return None
    said = ast.get_docstring(ast.parse(texts["__init__"])) or ""
    entries = "\n\n".join(f"::: {package}.{name}" for name in public)
    text = f"# {package}\n\n{said}\n\n{entries}\n"
    return Page(package, f"api/{package}.md", text, said.partition("\n\n")[0].replace("\n", " "))
