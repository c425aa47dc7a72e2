"""How much of a release was found in a dataset: for people, as JSON, and as an exhibit.

How well a record agrees with a copy is only told of copies that the texts were found to come from.
Of any other copy it would tell the reader words that the reader does not have: somebody with one
recipient's copy could learn another's, and put that other under suspicion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .csv_files import csv_file
from .reporting import Attachment

if TYPE_CHECKING:
    from ..watermark.coverage import RecordCoverage
    from ..watermark.leak import LeakResult

__all__ = ["Coverage"]

_MOST_ROWS = 10
_MOST_IDS = 10
_HEADING = (
    "record",
    "file",
    "row",
    "ids",
    "words_found",
    "texts",
    "slots",
    "slots_found",
    "by_chance",
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was found, in one dataset, of one or more copies of a release.

    Attributes:
        results: The outcome for each copy; all of one alignment.
        labels: Whose copy each is; empty where there is one copy for all.
        is_source: Of each whether the texts were found to come from it.
    """

    results: "Sequence[LeakResult]"
    labels: Sequence[str]
    is_source: Sequence[bool]

    def rows(self) -> list[tuple[str, str]]:
        """For people: the totals, and the records found best."""
        first = self.results[0]
        rows = [
            (
                "texts",
                f"{first.n_texts_found:,} of {first.n_texts:,} hold a part of some record",
            ),
            (
                "records",
                f"{len(first.records):,} of {first.n_records:,} were found in part or whole",
            ),
            ("slots", f"{first.n_shown:,} were found"),
        ]
        for result, label in zip(self.results, self._names(), strict=True):
            rows.append((
                "",
                f"{result.released:,.1f} with {label}; {result.expected:,.1f} by chance",
            ))
        rows += [("record", self._line(index)) for index in range(len(first.records[:_MOST_ROWS]))]
        more = len(first.records) - _MOST_ROWS
        return rows + (
            [("", f"and {more:,} more records; all with --json or --report")] if more > 0 else []
        )

    def as_json(self) -> dict[str, Any]:
        """For machines: the totals, and all records."""
        first = self.results[0]
        totals = ("n_records", "n_texts", "n_texts_found", "n_shown", "expected")
        found: dict[str, Any] = {name: getattr(first, name) for name in totals}
        copies = [
            {"released": result.released, "portion": result.portion} for result in self.results
        ]
        if self.labels:
            found["copies"] = [
                {"recipient": label, **copy}
                for label, copy in zip(self.labels, copies, strict=True)
            ]
        else:
            found |= copies[0]
        found["records"] = [
            {**_public(row), **self._agreement_json(index)}
            for index, row in enumerate(first.records)
        ]
        return found

    def attachment(self) -> Attachment:
        """As a file beside a report."""
        sources = self._sources()
        names = self._names()
        heading = [*_HEADING, *(f"with {names[copy]}" for copy in sources)]
        rows = (
            [
                row.name,
                row.file,
                row.row or None,
                _few_ids(row.ids),
                round(row.words_found, 6),
                row.n_texts,
                row.n_slots,
                row.n_shown,
                round(row.expected, 6),
                *(round(self.results[copy].records[index].released, 6) for copy in sources),
            ]
            for index, row in enumerate(self.results[0].records)
        )
        return Attachment(
            "coverage.csv",
            csv_file(heading, rows),
            "How much of each record of the release was found in the dataset; records go by salted names. "
            "Agreement is told only of copies that the texts were found to come from. An apostrophe keeps "
            "a cell from being run as a formula; <U+0009> and the like are characters that show nothing.",
        )

    def limits(self) -> tuple[str, ...]:
        """What the tests do not speak of."""
        first = self.results[0]
        return (
            f"Parts of {len(first.records):,} of {first.n_records:,} records were found, in "
            f"{first.n_texts_found:,} of {first.n_texts:,} texts. The result speaks of these passages, not "
            "of the rest of the dataset; and it cannot tell who copied them, or by which way they came.",
        )

    def _names(self) -> list[str]:
        return [f"the words of {label}" for label in self.labels] or ["the released word"]

    def _sources(self) -> list[int]:
        return [copy for copy, is_source in enumerate(self.is_source) if is_source]

    def _agreement_json(self, index: int) -> Mapping[str, Any]:
        released = {copy: self.results[copy].records[index].released for copy in self._sources()}
        if self.labels:
            return {"released": {self.labels[copy]: value for copy, value in released.items()}}
        return {"released": released.get(0)}

    def _line(self, index: int) -> str:
        row = self.results[0].records[index]
        names = self._names()
        agreement = "".join(
            f", {self.results[copy].records[index].released:.1f} with {names[copy]}"
            for copy in self._sources()
        )
        return (
            f"{_title(row)}: {row.words_found:.0%} of its word runs in {row.n_texts:,} texts, "
            f"{row.n_shown} of {row.n_slots} slots{agreement} ({row.expected:.1f} by chance)"
        )


def _title(row: "RecordCoverage") -> str:
    if row.ids:
        return row.ids[0]
    return f"{row.file}: row {row.row}" if row.file else row.name


def _public(row: "RecordCoverage") -> dict[str, Any]:
    """What everybody may know of a record: neither its digest, nor how it agrees with a copy."""
    return {
        "name": row.name,
        "file": row.file,
        "row": row.row or None,
        "ids": row.ids,
        "words_found": row.words_found,
        "n_texts": row.n_texts,
        "n_slots": row.n_slots,
        "n_shown": row.n_shown,
        "expected": row.expected,
    }


def _few_ids(ids: Sequence[str]) -> str:
    more = len(ids) - _MOST_IDS
    return "; ".join(ids[:_MOST_IDS]) + (f"; and {more:,} more" if more > 0 else "")
