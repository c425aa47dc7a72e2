"""What mkdocs does besides reading pages: it makes the command and API pages, and sets formulas.

Nothing of it needs torch: the API is read from the sources without running them, and the command line's
tree imports no library of its commands.
"""

import html
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
from command_pages import commands_page
from sources import api_index, api_pages, copy_sources

ROOT = Path(__file__).parents[2]
# What `pymdownx.arithmatex` makes of $...$ and $$...$$.
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
_sources = Path()


@event_priority(100)  # before the plugin that reads docstrings looks at its options
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the plugin where a package called `bookplate` lies, whatever the checkout is called."""
    global _sources
    if not _sources.name:
        _sources = copy_sources(ROOT, Path(tempfile.mkdtemp(prefix="bookplate-docs-")))
    python: Any = config.plugins["mkdocstrings"].config.handlers.setdefault("python", {})
    python["paths"] = [str(_sources)]
    for entry in config.nav or []:
        if entry.get("API") == "api/index.md":
            entry["API"] = ["api/index.md", *({p.title: p.path} for p in api_pages(ROOT))]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the program itself."""
    pages = api_pages(ROOT)
    made = {page.path: page.text for page in pages}
    made |= {"commands.md": commands_page(), "api/index.md": api_index(pages)}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(content: str, **_: Any) -> str:
    """Formulas become MathML, which browsers set by themselves: no script, no fonts."""
    return _FORMULA.sub(_set, content)


def on_shutdown() -> None:
    """Leave nothing behind."""
    if _sources.name:
        shutil.rmtree(_sources, ignore_errors=True)


def _set(match: re.Match[str]) -> str:
    display = "block" if match["tag"] == "div" else "inline"
    return str(convert(html.unescape(match["tex"]).strip(), display=display))
