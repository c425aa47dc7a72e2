"""How far an audit is: a table of tests and subjects on a terminal, else a line for each test that ended."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...display import visible
from ..output import print_note, shown_by
from .registering import Pair

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

__all__ = ["Progress", "progress_of"]

_WAITING, _RUNNING = "waiting", "running"
_MOST_ROWS = 30


class Progress:
    """Told what begins and ends; never of p-values, which nobody should watch come in.

    Args:
        pairs: Everything that is to be done.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._state = {pair.id: _WAITING for pair in pairs}
        self._pairs = list(pairs)
        self._words = ""

    def begins(self, pair: Pair) -> None:
        """A test begins."""
        self._state[pair.id] = _RUNNING
        self._show()

    def ended(self, pair: Pair, how: str, seconds: float | None) -> None:
        """A test ended; without seconds it was kept from before."""
        self._state[pair.id] = how
        if seconds is not None:
            self._tell(pair, how, seconds)
        self._show()

    def says(self, words: str) -> None:
        """What is being done at the moment."""
        self._words = words
        self._show()

    @property
    def n_ended(self) -> int:
        """Tests that need no more work."""
        return sum(state not in {_WAITING, _RUNNING} for state in self._state.values())

    def _tell(self, pair: Pair, how: str, seconds: float) -> None:
        done = f"{self.n_ended} of {len(self._pairs)}"
        print_note(f"{done}: {pair.id}: {how}, {seconds:.1f} s")

    def _show(self) -> None:
        """Lines only."""


class _Table(Progress):
    """The same as a live table."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        super().__init__(pairs)
        self.live: Live | None = None

    def _tell(self, pair: Pair, how: str, seconds: float) -> None:
        del pair, how, seconds  # the table shows it

    def _show(self) -> None:
        if self.live is not None:
            self.live.update(self.rendered())

    def rendered(self) -> "Group":
        """The table as rich draws it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        tests = list(dict.fromkeys(pair.test for pair in self._pairs))
        subjects = list(dict.fromkeys(pair.subject for pair in self._pairs))
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for test in tests:
            table.add_column(Text(test))
        begin = self._first_row(subjects)
        for subject in subjects[begin : begin + _MOST_ROWS]:
            cells = (Text(self._state.get(f"{test}.{subject}", "")) for test in tests)
            table.add_row(Text(subject), *cells)
        below = f"{self.n_ended} of {len(self._pairs)} done. {visible(self._words)}"
        return Group(table, Text(below, no_wrap=True, overflow="ellipsis"))

    def _first_row(self, subjects: Sequence[str]) -> int:
        """So that what runs now is in sight."""
        running = [pair.subject for pair in self._pairs if self._state[pair.id] == _RUNNING]
        place = subjects.index(running[0]) if running else 0
        return max(0, min(place - _MOST_ROWS // 2, len(subjects) - _MOST_ROWS))


@contextmanager
def progress_of(pairs: Sequence[Pair]) -> Generator[Progress]:
    """Show on standard error how far an audit is."""
    if not sys.stderr.isatty():
        yield Progress(pairs)
        return
    from rich.console import Console
    from rich.live import Live

    table = _Table(pairs)
    with Live(table.rendered(), console=Console(stderr=True), refresh_per_second=4) as live:
        table.live = live
        with shown_by(table.says):
            yield table
