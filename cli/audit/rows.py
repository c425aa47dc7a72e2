"""The rows of a manifest as an exhibit, and whether a test's choices are those that were committed to."""

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...display import counted, visible
from ...errors import InvalidInput, VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...provenance.bundle.verification import NotChecked
from ...stats.report import AuditReport
from ...watermark.disclosure import check_rows, write_rows_exhibit
from ...watermark.release import Release
from .controls import control_exhibit_name
from .outcomes import Outcome
from .planned import CompletionTest, LeakTest, WatermarkSequentialTest, WatermarkTest
from .registering import Registered, registered_for
from .units import RECORDS_MISSING, NamedTest, Places, held_against
from .wordings import blanks

__all__ = ["choices_as_committed", "write_rows"]

_NAMING_CHOICES = (WatermarkTest, CompletionTest, LeakTest)  # their numbers name units and choices
_LARGEST_ROWS = 2 << 30
_LARGEST_FILE = 256 << 20
_DIGITS = 16  # of a count, fewer
_MANY = 10**_DIGITS

_Read = Callable[[str, int], bytes]


def write_rows(
    registered: Registered, outcomes: Sequence[Outcome], folder: Path
) -> Mapping[str, str]:
    """Write the committed rows of every dataset that a finding names the choices of.

    Args:
        registered: The audit.
        outcomes: One for each registered pair.
        folder: Where the bundle is being made.

    Returns:
        What each file holds, by its path in the bundle.
    """
    tested = {
        pair.planned.dataset
        for pair, outcome in zip(registered.pairs, outcomes, strict=True)
        if isinstance(pair.planned, _NAMING_CHOICES) and outcome.finding is not None
    }
    described = {}
    for name, dataset in registered.audit.datasets.items():
        # A recipient's copy has other choices than the manifest, whose rows then bind nothing.
        if name in tested and not dataset.recipient and registered.commitment_of(name) is not None:
            path = _rows_name(name)
            write_rows_exhibit(registered.resolved(dataset.manifest), folder / path)
            described[path] = (
                f"the rows that {_commitment_name(name)} commits to: every place and its choices in {name}"
            )
    return described


def choices_as_committed(report: AuditReport, names: Sequence[str], read: _Read) -> str:
    """Hold the choices that each watermark test says were released against the committed rows.

    1. The rows give the Merkle root and the number of leaves that the commitment states.
    2. Every unit of a test is one of theirs, once, with the same choices, and the same one was released.
    3. The keyed test leaves none out but those of records that its findings say were missing, and weighs each
       by its places and scores; see `unit_weights`.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if no test is about a dataset.

    Raises:
        VerificationError: If one of these does not hold, or rows are missing that are committed to.
        NotChecked: If nothing binds the choices of a test.
    """
    registered = registered_for(report, names, read)
    if registered is None:
        return ""
    said, left = [], []
    for name, dataset in registered.audit.datasets.items():
        mine = _tests_of(name, report, registered, names)
        if not mine:
            continue
        if dataset.recipient or _commitment_name(name) not in names:
            why = "a recipient's copy" if dataset.recipient else "no commitment in the bundle"
            left.append(f"{name}: {why}, so its choices stand on the signer's word")
            continue
        if _rows_name(name) not in names:
            if all(isinstance(test.planned, WatermarkSequentialTest) for test in mine):
                left.append(f"{name}: no committed rows, so its units stand on the signer's word")
                continue
            raise VerificationError(
                f"{_rows_name(name)}: missing, so nothing ties the choices of {mine[0].exhibit} to "
                f"{_commitment_name(name)}"
            )
        release = _release(read(_commitment_name(name), _LARGEST_FILE), _commitment_name(name))
        units = check_rows(read(_rows_name(name), _LARGEST_ROWS), release)  # 1
        places: Places = {}
        if any(test.n_missing for test in mine):
            places = _places_in(read(_rows_name(name), _LARGEST_ROWS), release)
        for test in mine:
            working = read_exhibit(read(test.exhibit, _LARGEST_FILE))
            _check_missing(test, release)
            if doubt := held_against(working, test, units, release, places):  # 2, 3
                left.append(doubt)
        said.append(
            f"{name}: {counted(len(units), 'unit')} under the committed root; "
            f"{counted(len(mine), 'test names', 'tests name')} its choices"
        )
    if left:
        raise NotChecked("; ".join([*said, *left]))
    return "; ".join(said)


def _tests_of(
    dataset: str, report: AuditReport, registered: Registered, names: Sequence[str]
) -> list[NamedTest]:
    """The tests of a dataset, of suspects and controls, whose exhibits are there."""
    exhibits = {layout.exhibit_name(n): pair.test for n, pair in enumerate(registered.pairs, 1)}
    exhibits |= {control_exhibit_name(pair): pair.test for pair in registered.controls}
    warnings = {entry.test: entry.finding.warnings for entry in report.entries}
    missing: dict[str, int] = {}  # by test: what all its findings say at least, of the same records
    for test, texts in warnings.items():
        name = test.partition(".")[0]
        missing[name] = min(missing.get(name, _MANY), _n_missing(texts, test))
    found = []
    for exhibit, name in exhibits.items():
        planned = registered.audit.tests[name]
        if (
            isinstance(planned, (*_NAMING_CHOICES, WatermarkSequentialTest))
            and planned.dataset == dataset
            and exhibit in names
        ):
            found.append(NamedTest(exhibit, planned, n_missing=missing.get(name, 0)))
    return found


def _n_missing(warnings: Sequence[str], test: str) -> int:
    """How many records a finding says were not at hand."""
    for text in warnings:
        if found := blanks(text, RECORDS_MISSING):
            plain = found[0].replace(",", "")
            if not (plain.isascii() and plain.isdecimal() and len(plain) < _DIGITS):
                raise VerificationError(
                    f"test {test}: does not say how many records were missing: {visible(text[:200])!r}"
                )
            return int(plain)
    return 0


def _check_missing(test: NamedTest, release: Release) -> None:
    if test.n_missing >= max(release.manifest.leaf_count, 1):
        raise VerificationError(
            f"{test.exhibit}: {test.n_missing:,} records are said to be missing, of "
            f"{release.manifest.leaf_count:,} committed to"
        )


def _places_in(rows: bytes, release: Release) -> dict[str, dict[int, int]]:
    """Of each unit, how many places that are not first each row has; the rows were checked before."""
    found: dict[str, dict[int, int]] = {}
    with gzip.open(io.BytesIO(rows)) as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)["row"]
            for index, slot in enumerate(row["slots"]):
                counts = found.setdefault(
                    release.marking.unit_name(row["record"], index, slot["unit"]), {}
                )
                if index:
                    counts[number] = counts.get(number, 0) + 1
    return found


def _release(data: bytes, name: str) -> Release:
    # The reader takes a path: a name of ours, in a folder that only we can read.
    with tempfile.TemporaryDirectory(prefix="bookplate-") as folder:
        path = Path(folder) / "release.json"
        path.write_bytes(data)
        try:
            return Release.read(path)
        except InvalidInput as error:
            raise VerificationError(str(error).replace(str(path), name)) from None


def _rows_name(dataset: str) -> str:
    return f"exhibits/rows-{dataset}.jsonl.gz"


def _commitment_name(dataset: str) -> str:
    return f"commitments/{dataset}.json"
