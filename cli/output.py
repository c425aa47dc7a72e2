"""What the terminal shows: results to standard output, errors and progress to standard error."""

import json
import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ..display import visible

if TYPE_CHECKING:
    from ..stats import Effect, Finding

__all__ = [
    "in_words",
    "print_error",
    "print_finding",
    "print_json",
    "print_note",
    "print_rows",
    "print_table",
    "quiet_libraries",
    "show_progress",
    "shown_by",
    "working",
]


def print_error(message: str, hint: str = "") -> None:
    """One line on standard error: what is wrong, where, and what to do."""
    line = f"{message}; {hint}" if hint else message
    typer.echo(f"error: {visible(line)}", err=True)


def print_note(message: str) -> None:
    """One line on standard error that is no error."""
    typer.echo(visible(message), err=True)


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(data, ensure_ascii=True, allow_nan=False, indent=2))


def print_finding(finding: "Finding") -> None:
    """A finding for people."""
    from ..stats import verbal_scale
    from ..stats.report.wording import e_text

    strength = verbal_scale(finding)
    rows = [
        ("question", finding.question),
        ("null hypothesis", finding.null),
        ("direction", f"{finding.alternative}, fixed in advance"),
        ("n", f"{finding.n} {finding.unit}"),
        ("statistic", f"{finding.statistic.name} = {finding.statistic.value:.3f}"),
        ("p-value", f"{finding.p_text} ({finding.method}; {finding.valid})"),
        (
            "e-value",
            f"{e_text(strength.e_value.log10_e)} ({strength.e_value.method}): "
            f"{'no' if strength.word == 'none' else strength.word} evidence against the null "
            "hypothesis, if this is the only test",
        ),
        ("effect", effect_line(finding.effect)),
        *(("assumes", text) for text in finding.assumptions),
        *(("warning", text) for text in finding.warnings),
    ]
    print_rows(rows)


def effect_line(effect: "Effect") -> str:
    """An effect with its interval, for people."""
    return (
        f"{effect.name}: {effect.value:.4f}, {effect.confidence:.0%} interval "
        f"{effect.low:.4f} to {effect.high:.4f} ({effect.interval})"
    )


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Labelled lines on standard output."""
    width = max((len(label) for label, _ in rows), default=0)
    for label, text in rows:
        typer.echo(f"{visible(label):<{width}}  {visible(text)}")


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on standard output."""
    cells = [[visible(cell) for cell in row] for row in (heading, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


class _Status:
    """The sign of life that is shown now, if any: words, and how far a model has come."""

    def __init__(self) -> None:
        self._show: Callable[[str], None] | None = None
        self._words = ""

    @property
    def is_taken(self) -> bool:
        """Whether somebody shows it already."""
        return self._show is not None

    def begin(self, words: str, show: Callable[[str], None]) -> None:
        self._words, self._show = words, show

    def end(self) -> None:
        self._show = None

    def say(self, words: str) -> None:
        self._words = words
        self.add("")

    def add(self, words: str) -> None:
        if self._show is not None:
            self._show(f"{self._words}: {words}" if words else self._words)


_status = _Status()


@contextmanager
def working(what: str) -> Generator[Callable[[str], None]]:
    """A sign of life on standard error while the block runs, if that is a terminal.

    Args:
        what: What is being done.

    Yields:
        A function that shows other words in its place.
    """
    if _status.is_taken:
        _status.say(what)
        yield _status.say
        return
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(visible(what))) as status:
        _status.begin(what, lambda words: status.update(Text(visible(words))))
        try:
            yield _status.say
        finally:
            _status.end()


@contextmanager
def shown_by(show: Callable[[str], None]) -> Generator[None]:
    """Let somebody else show the signs of life of what runs in the block.

    Args:
        show: Gets the words, foreign ones among them.
    """
    _status.begin("", show)
    try:
        yield
    finally:
        _status.end()


def show_progress(done: int, total: int, seconds: float, *, unit: str = "tokens") -> None:
    """Add to the sign of life how far a model has come.

    Args:
        done: How much of it is done.
        total: How much there is.
        seconds: Since the beginning.
        unit: Of what.
    """
    if done and seconds > 1:
        speed, left = done / seconds, seconds * (total - done) / done
        _status.add(f"{done:,} of {total:,} {unit}, {speed:,.0f} a second, {in_words(left)} left")


def in_words(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def quiet_libraries() -> None:
    """Keep other libraries' progress bars and advice out of our output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from transformers.utils import logging as advice

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    advice.set_verbosity_error()
    advice.disable_progress_bar()
