"""A transcript as it lies on disk: one file or a folder of shards, of any size."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....files import canonical_json, sha256_of_file
from ....stats import Input
from ..sampling import Sample, Sampling, drawn_places, random_places
from .layout import Content, Layout, layout_of, sequences_in, steps_in
from .tables import frames_of, schema_of

__all__ = ["Drawn", "Outline", "TranscriptSource"]

_FRAME_ROWS = 1 << 13
_STEP_ROWS = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What one pass over the order tells.

    Attributes:
        n_rows: Sequences.
        first_step: Smallest step; 0 if there are no rows.
        last_step: Largest step.
        in_order: Whether the rows come in training order: by step, within a step by position.
    """

    n_rows: int
    first_step: int
    last_step: int
    in_order: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Rows of a transcript that were loaded.

    Attributes:
        steps: Their training steps, shape (n,).
        contents: Their texts, token ids or digests.
        n_rows: Rows of the whole transcript.
    """

    steps: NDArray[np.int64]
    contents: tuple[str | tuple[int, ...], ...]
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptSource:
    """A transcript on disk. Opening it reads column names only.

    Attributes:
        path: What was named.
        files: The file, or the shards in order of their names.
        layout: Its columns.
    """

    path: Path
    files: tuple[Path, ...]
    layout: Layout

    @classmethod
    def open(cls, path: Path) -> "TranscriptSource":
        """Open a transcript.

        Args:
            path: A `.parquet` or `.jsonl` file, a folder of `.parquet` shards, or a sealed recording. Its
                columns: `step` (integer; `index` in published transcripts) and `tokens` (lists of
                integers), `text` (strings) or `digest` (see `sequence_digest`); `position` (integer, place
                within the step) may be there. Rows may come in any order.

        Raises:
            InvalidInput: If a file cannot be read or lacks a column, or shards differ.
        """
        files = _shards(path) if path.is_dir() else (path,)
        layouts = [layout_of(schema_of(file), file) for file in files]
        for file, layout in zip(files, layouts, strict=True):
            if layout != layouts[0]:
                raise InvalidInput(
                    f"{file}: its columns are not those of {files[0].name}",
                    "a folder holds the shards of one transcript",
                )
        return cls(path=path, files=files, layout=layouts[0])

    @property
    def content(self) -> Content:
        """What stands for the sequences."""
        return self.layout.content

    def identity(self) -> Input:
        """Name and SHA-256; reads every byte.

        For a folder it is the SHA-256 of the canonical JSON of all names and their files' SHA-256.
        """
        if self.files == (self.path,):
            return Input(name=self.path.name, sha256=sha256_of_file(self.path))
        digests = {file.name: sha256_of_file(file) for file in self.files}
        name = self.path.resolve().name
        return Input(name=name, sha256=hashlib.sha256(canonical_json(digests)).hexdigest())

    def frames(
        self, n_rows: int = _FRAME_ROWS, *, extra: tuple[str, ...] = ()
    ) -> Iterator[pl.DataFrame]:
        """All rows as they lie in the files, a few at a time, in constant memory.

        Args:
            n_rows: Most rows per frame.
            extra: Further columns to read, unchecked.

        Yields:
            Frames with the columns `step`, `position` if the transcript has it, and the content.

        Raises:
            InvalidInput: If a step or position is missing or negative, or a column is not there.
        """
        for _, _, frame in self._frames((self.content, *extra), n_rows):
            yield frame

    def outline(self) -> Outline:
        """Count the rows and find the range of steps, in constant memory.

        Raises:
            InvalidInput: As for `frames`.
        """
        n_rows, lowest, highest, in_order = 0, 0, 0, True
        last = (-1, -1)
        for _, _, frame in self._frames((), _STEP_ROWS):
            steps = frame["step"].to_numpy()
            places = (
                frame["position"].to_numpy() if self.layout.has_position else np.zeros_like(steps)
            )
            lowest = int(min(steps.min(), lowest)) if n_rows else int(steps.min())
            highest = max(highest, int(steps.max()))
            in_order &= last <= (int(steps[0]), int(places[0])) and _ascending(steps, places)
            last = (int(steps[-1]), int(places[-1]))
            n_rows += frame.height
        return Outline(n_rows=n_rows, first_step=lowest, last_step=highest, in_order=in_order)

    def steps(self) -> NDArray[np.int64]:
        """Training step of every row, shape (N,): 8 bytes a row.

        Raises:
            InvalidInput: As for `frames`.
        """
        return self._column("step")

    def drawn_rows(self, sample: Sample | None) -> NDArray[np.int64]:
        """Numbers of the rows of a sample, ascending; of all rows without one.

        No sequence is loaded. A random sample of rows that come in order needs no more memory than its
        result, any other some 32 bytes per row of the transcript. If there are positions, rows in any
        order give the same sample.
        """
        outline = self.outline()
        if sample is None or sample.size >= outline.n_rows:
            return np.arange(outline.n_rows)
        if outline.in_order and sample.sampling is Sampling.RANDOM:
            return random_places(outline.n_rows, sample)
        steps = self.steps()
        if outline.in_order or not self.layout.has_position:
            return drawn_places(steps, sample)
        in_order = np.lexsort((self._column("position"), steps))
        return np.sort(in_order[drawn_places(steps[in_order], sample)])

    def draw(self, sample: Sample | None = None) -> Drawn:
        """Load a sample, or all rows.

        Raises:
            InvalidInput: If a row is malformed; names file and row.
        """
        wanted = self.drawn_rows(sample)
        steps: list[NDArray[np.int64]] = []
        contents: list[str | tuple[int, ...]] = []
        start = 0  # of the frame, among all rows
        for file, first_row, frame in self._frames((self.content,), _FRAME_ROWS):
            low, high = np.searchsorted(wanted, [start, start + frame.height])
            here = wanted[low:high] - start
            start += frame.height
            if not here.size:
                continue
            chosen = frame[here]
            steps.append(chosen["step"].to_numpy())
            contents += sequences_in(chosen[self.content], file, here + first_row)
        order = np.concatenate(steps) if steps else np.zeros(0, dtype=np.int64)
        return Drawn(steps=order, contents=tuple(contents), n_rows=start)

    def _column(self, name: str) -> NDArray[np.int64]:
        parts = [frame[name].to_numpy() for _, _, frame in self._frames((), _STEP_ROWS)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _frames(
        self, contents: tuple[str, ...], n_rows: int
    ) -> Iterator[tuple[Path, int, pl.DataFrame]]:
        """File, number of the first row in it, and rows with checked steps and positions."""
        integers = [self.layout.order, *(["position"] if self.layout.has_position else [])]
        for file in self.files:
            first_row = 0
            for frame in frames_of(file, [*integers, *contents], n_rows):
                checked = [
                    pl.Series(name, steps_in(frame[column], file, first_row))
                    for name, column in zip(("step", "position"), integers, strict=False)
                ]
                yield file, first_row, pl.DataFrame([*checked, *frame.select(contents)])
                first_row += frame.height


def _shards(folder: Path) -> tuple[Path, ...]:
    if (sealed := folder / "private" / "transcript").is_dir():
        folder = sealed
    files = tuple(sorted(p for p in folder.glob("*.parquet") if not p.name.startswith(".")))
    if not files:
        raise InvalidInput(
            f"{folder}: holds no .parquet file",
            "name a folder of shards; a recording must be sealed first",
        )
    return files


def _ascending(steps: NDArray[np.int64], places: NDArray[np.int64]) -> bool:
    later = np.diff(steps)
    return bool(((later > 0) | ((later == 0) & (np.diff(places) >= 0))).all())
