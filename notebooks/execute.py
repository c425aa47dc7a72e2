"""Execute the notebooks anew and write their outputs into them: `make notebooks`.

They share one kernel, so that libraries are imported once, but no variable: each starts from nothing.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

HERE = Path(__file__).parent
_FORGET = """\
for _name in set(globals()) - {"In", "Out", "exit", "get_ipython", "open", "quit"}:
    if not _name.startswith("_"):
        del globals()[_name]
"""
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]+")


def notebooks() -> list[Path]:
    """The notebooks, in order."""
    return sorted(HERE.glob("[0-9][0-9]-*.ipynb"))


def executed(paths: list[Path], folder: Path) -> list[nbformat.NotebookNode]:
    """Each notebook with its new outputs.

    Args:
        paths: The notebooks, in order.
        folder: Where they run: it holds `workshop.py` and gets `work/`.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    books = [nbformat.read(path, as_version=4) for path in paths]
    cells = []
    for number, book in enumerate(books):
        forget = nbformat.v4.new_code_cell(_FORGET, id=f"forget-{number}")
        cells += [forget, *book.cells]
    with tempfile.TemporaryDirectory() as sockets:
        kernel = AsyncKernelManager(kernel_name="python3")
        kernel.kernel_spec.argv[0] = sys.executable  # no other environment's kernel of this name
        if sys.platform != "win32":  # nobody else can listen, which a port would warn of
            kernel.transport, kernel.ip = "ipc", str(Path(sockets, "kernel"))
        client = NotebookClient(
            nbformat.v4.new_notebook(cells=cells),
            km=kernel,
            timeout=600,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        client.owns_km = True  # and ends it
        client.execute()
    return [_tidied(book) for book in books]


def _tidied(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run and says nothing."""
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
        cell.metadata = {}
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            if isinstance(plain := output.get("data", {}).get("text/plain"), str):
                output.data["text/plain"] = _ADDRESS.sub("0x…", plain)
    book.metadata.pop("widgets", None)
    book.metadata.language_info = {"name": "python"}
    return book


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Printed text in one piece: where a kernel cuts it is chance."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


if __name__ == "__main__":
    found = notebooks()
    with tempfile.TemporaryDirectory() as empty:  # so that all is made anew
        shutil.copy(HERE / "workshop.py", empty)
        books = executed(found, Path(empty))
    for path, book in zip(found, books, strict=True):
        nbformat.write(book, path)
        print(path.name)
