"""Text files that are edited in place: outside the replaced words every byte stays as it was."""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidInput
from .edits import Edit, apply_edits
from .streams import Compression, write_blocks
from .table import Place

__all__ = ["SplicedTable"]


@dataclass
class SplicedTable:
    """Rows of a text file; each row's text is the characters [start, end) of `raw`, escaped.

    Attributes:
        place: Where the rows come from.
        raw: All characters of the rows.
        spans: Where each text lies in `raw`, without its quotes.
        escape: Matches every sequence of characters in `raw` that stands for one character of a text.
        texts: The texts.
        ids: Their ids, or None.
        compression: How to compress what is written.
    """

    place: Place
    raw: str
    spans: list[tuple[int, int]]
    escape: re.Pattern[str]
    texts: list[str]
    ids: list[str] | None
    compression: Compression = Compression.NONE

    def write(self, path: Path, edits: Sequence[Sequence[Edit]]) -> None:
        """Write the table, edited.

        Raises:
            InvalidInput: If a replaced word is spelt with escapes (JSON allows it for any letter):
                the way it was spelt could not be restored.
        """
        moved: list[Edit] = []
        rows = zip(self.texts, self.spans, edits, strict=True)
        for row, (text, span, row_edits) in enumerate(rows, 1):
            for edit, raw_edit in zip(row_edits, self._in_raw(span, row_edits), strict=True):
                word = text[edit.start : edit.end]
                if self.raw[raw_edit.start : raw_edit.end] != word:
                    raise InvalidInput(
                        f"{self.place.row(row)}: the word '{word}' is spelt with escapes",
                        "write ordinary letters as themselves",
                    )
                moved.append(raw_edit)
        write_blocks(path, [apply_edits(self.raw, moved).encode("utf-8")], self.compression)

    def _in_raw(self, span: tuple[int, int], edits: Sequence[Edit]) -> Iterator[Edit]:
        """The edits of one text as edits of `raw`."""
        if not edits:
            return
        ends, shifts = [], [0]  # text position behind each escape; by how much raw is ahead there
        for match in self.escape.finditer(self.raw, *span):
            ends.append(match.start() - span[0] - shifts[-1] + 1)
            shifts.append(shifts[-1] + match.end() - match.start() - 1)
        for start, end, replacement in edits:
            yield Edit(
                span[0] + start + shifts[bisect.bisect_right(ends, start)],
                span[0] + end + shifts[bisect.bisect_right(ends, end)],
                replacement,
            )
