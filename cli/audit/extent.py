"""Whether a test of the training order looked at as many sequences as were registered and committed to."""

from collections.abc import Callable, Sequence

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...provenance.custody.strict_json import strict_object
from ...stats.report import AuditedFinding, AuditReport
from .planned import OrderTest, PartitionTest
from .registering import Pair, registered_for
from .wordings import blanks

__all__ = ["sequences_as_registered"]

_LARGEST = 1 << 30
_LARGEST_COMMITMENT = 256 << 20
_ALL = "All * sequences of the transcript were used."
_TOO_SHORT = "* sequences that are too short to be scored (*) were left out."
_REPEATED = (
    "* of the * distinct sequences were trained on repeatedly (* rows in all): each is one unit, "
    "with *."
)

_Read = Callable[[str, int], bytes]


def sequences_as_registered(report: AuditReport, names: Sequence[str], read: _Read) -> str:
    """Hold the number of sequences in the exhibits of order tests against registration and commitment.

    1. A registered sample was drawn, with its size, its seed and its way to draw, from as many sequences as
       the transcript's commitment has leaves.
    2. All that were drawn, or all there are, stand in the exhibit, but for those of which the finding says
       that they are too short, or that they are copies of others.

    Which sequences they are, the exhibit does not show: it names them by digests that no commitment holds.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if there is nothing to hold.

    Raises:
        VerificationError: If there are more or fewer.
    """
    registered = registered_for(report, names, read)
    if registered is None:
        return ""
    numbers = {pair.id: (number, pair) for number, pair in enumerate(registered.pairs, 1)}
    n_checked = 0
    for entry in report.entries:
        number, pair = numbers[entry.test]
        if not isinstance(pair.planned, OrderTest | PartitionTest):
            continue
        exhibit = layout.exhibit_name(number)
        n_rows = read_exhibit(read(exhibit, _LARGEST), exhibit).n_rows
        leaves = _leaves(f"commitments/{pair.planned.transcript}.json", names, read)
        n_checked += _check(entry, pair, n_rows, leaves)
    return f"{counted(n_checked, 'exhibit')} of sequences complete" if n_checked else ""


def _leaves(name: str, names: Sequence[str], read: _Read) -> int | None:
    """How many rows of the transcript were committed to; None if that is not known."""
    if name not in names:
        return None
    tree = strict_object(read(name, _LARGEST_COMMITMENT), name, limit=_LARGEST_COMMITMENT)
    found = tree.get("transcript")
    count = found.get("leaf_count") if isinstance(found, dict) else None
    return count if type(count) is int else None


def _check(entry: AuditedFinding, pair: Pair, n_rows: int, leaves: int | None) -> bool:
    """Whether the number of rows could be held against anything; raises if it is another."""
    planned, where = pair.planned, f"test {entry.test}"
    drawn = leaves
    if isinstance(planned, OrderTest) and planned.sample is not None:
        drawn = _drawn(entry, pair, leaves)
    if drawn is None:
        return False
    if isinstance(planned, PartitionTest):
        if n_rows > drawn:
            raise VerificationError(f"{where}: {n_rows:,} sequences, of {drawn:,} committed to")
        return True
    rows = n_rows
    short = 0
    for warning in entry.finding.warnings:
        if found := blanks(warning, _REPEATED):
            rows = _number(found[2]) if _number(found[1]) == n_rows else -1
        elif found := blanks(warning, _TOO_SHORT):
            short = _number(found[0])
    if rows + short != drawn:
        raise VerificationError(
            f"{where}: its exhibit has {n_rows:,} of {drawn:,} sequences, and its warnings do not say why"
        )
    return True


def _drawn(entry: AuditedFinding, pair: Pair, leaves: int | None) -> int:
    """How many sequences a registered sample holds, by what the finding assumes."""
    planned = pair.planned
    if not isinstance(planned, OrderTest) or planned.sample is None:
        raise TypeError(f"{pair.id}: has no sample")
    size = planned.sample
    some = (
        f"{size:,} of * sequences were used, drawn * ({planned.sampling}, seed {pair.seed}) without regard "
        "to any score."
    )
    for text in entry.finding.assumptions:
        of_all, of_some = blanks(text, _ALL), blanks(text, some)
        if found := of_all or of_some:
            n = _number(found[0])
            if (n <= size) == bool(of_all) and leaves in {None, n}:
                return min(n, size)
            raise VerificationError(
                f"test {entry.test}: {visible(text[:200])!r}, where {size:,} of "
                f"{'all' if leaves is None else f'{leaves:,}'} sequences were registered"
            )
    raise VerificationError(
        f"test {entry.test}: does not say that the registered sample of {size:,} sequences was drawn"
    )


def _number(text: str) -> int:
    """A whole number as findings write it; -1 if it is none."""
    plain = text.replace(",", "")
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 16 else -1
