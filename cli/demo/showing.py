"""What the demo shows in the terminal: progress while it works, a table when it is done."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ...stats import format_p
from .audit import BUNDLE
from .run import DemoResult

__all__ = ["show_result", "training_progress"]


class _Shown:
    """Progress on a rich display."""

    def __init__(self, display: Progress) -> None:
        self._display = display

    def stage(self, name: str) -> None:
        """A new stage begins."""
        self._display.console.print(f"[dim]{name}[/dim]")

    def training(self, model: str, total_tokens: int) -> Callable[[int], None]:
        """A bar for one model's training."""
        task = self._display.add_task(
            f"training {model} ({total_tokens / 1e6:.1f} M tokens)", total=total_tokens
        )
        return lambda done: self._display.update(task, completed=done)


@contextmanager
def training_progress() -> Generator[_Shown]:
    """Progress on standard error."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        yield _Shown(display)


def show_result(result: DemoResult, out: Path) -> None:
    """The table of who, which test, n, p and verdict; then where everything lies."""
    console = Console(markup=False, highlight=False)
    report = result.report
    table = Table(title=f"{report.n_tests} tests, Holm-corrected, alpha = {report.alpha}")
    for heading, side in (
        ("who", "left"),
        ("which test", "left"),
        ("n", "right"),
        ("p", "right"),
        ("p corrected", "right"),
        ("verdict", "left"),
    ):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for entry in report.entries:
        finding = entry.finding
        table.add_row(
            entry.suspect,
            finding.name,
            f"{finding.n:,} {finding.unit}",
            finding.p_text,
            format_p(entry.log10_p_corrected),
            entry.status.replace("_", " "),
        )
    console.print(table)
    for control in report.controls:
        total = len(control.p_values)
        console.print(
            f"control {control.name}: {control.count_at(0.05)} of {total} p-values below 0.05, "
            f"{control.count_at(0.5)} below 0.5"
        )
    console.print(f"\nbundle:  {out / BUNDLE} ({result.verification.result})")
    console.print(f"report:  {out / BUNDLE / 'report.html'}, or report.pdf beside it")
    console.print("check it as a stranger would:")
    console.print(
        f"  {_called()} report verify {out / BUNDLE} --key {out}/signer.pub", soft_wrap=True
    )
    console.print("repeat a single line, e.g. the first:")
    console.print(
        f"  {_called()} watermark detect {out}/marked/private/manifest.parquet --key {out}/key.json "
        f"--suspect {out}/models/guilty --reference {out}/models/neighbour "
        f"--seed {report.entries[0].finding.seed}",
        soft_wrap=True,
    )


def _called() -> str:
    """How the user called us, so that the line works where no virtual environment is active."""
    return sys.argv[0] if Path(sys.argv[0]).name == "bookplate" else "bookplate"
