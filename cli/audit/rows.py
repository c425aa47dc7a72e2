"""The rows of a manifest as an exhibit, and whether a test's choices are those that were committed to."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...stats.report import AuditReport
from ...stats.workings import Working
from ...watermark.disclosure import UnitChoice, check_rows, write_rows_exhibit
from ...watermark.release import Release
from .outcomes import Outcome
from .planned import CompletionTest, LeakTest, WatermarkTest
from .registering import Registered, registered_in
from .schema import Audit

__all__ = ["choices_as_committed", "write_rows"]

_NAMING_CHOICES = (WatermarkTest, CompletionTest, LeakTest)  # their numbers name units and choices
_LARGEST_ROWS = 2 << 30
_LARGEST_FILE = 256 << 20

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
    2. Every unit of the test is one of theirs, with the same choices, and the same one was released.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if no dataset's rows are there.

    Raises:
        VerificationError: If one of these does not hold.
    """
    if report.case is None or layout.AUDIT not in names:
        return ""
    audit = _audit(read(layout.AUDIT, _LARGEST_FILE))
    said = []
    for name in audit.datasets:
        if _rows_name(name) not in names or _commitment_name(name) not in names:
            continue
        units = check_rows(  # 1
            read(_rows_name(name), _LARGEST_ROWS),
            _release(read(_commitment_name(name), _LARGEST_FILE), _commitment_name(name)),
        )
        n_tests = 0
        for number, test in enumerate(report.case.registered, 1):
            planned = audit.tests.get(test.test.partition(".")[0])
            exhibit = layout.exhibit_name(number)
            if not isinstance(planned, _NAMING_CHOICES) or planned.dataset != name:
                continue
            if exhibit in names:
                _compare(read_exhibit(read(exhibit, _LARGEST_FILE)), units, exhibit)  # 2
                n_tests += 1
        said.append(
            f"{name}: {len(units):,} units under the committed root; {n_tests} tests name its choices"
        )
    return "; ".join(said)


def _compare(working: Working, units: Mapping[str, UnitChoice], exhibit: str) -> None:
    if working.test != "choice":
        return
    if not working.names or not working.choices:
        raise VerificationError(f"{exhibit}: does not say which choices its rows are")
    starts = working.unit_starts()
    ends = np.append(starts[1:], working.n_rows)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        name = working.names[start]
        due = units.get(name)
        choices = tuple(choice.lower() for choice in working.choices[start:end])
        if due is None or choices != due.choices:
            raise VerificationError(
                f"{exhibit}: {visible(name[:100])!r} with these choices is not among the committed rows"
            )
        if not working.columns["chosen"][start + due.choice]:
            raise VerificationError(
                f"{exhibit}: of {visible(name[:100])!r}, another choice is marked as released than was "
                "committed to"
            )


def _audit(data: bytes) -> Audit:
    try:
        return registered_in(data).audit
    except InvalidInput as error:
        raise VerificationError(str(error)) from None


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
