"""Cases whose answer is known: draws made anew, innocent models, and models that used the material."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...stats.redraws import redrawn_p_values
from ...stats.report import AuditReport, Control, PositiveControl
from ...stats.workings import Working
from .outcomes import Outcome
from .registering import Pair, Registered, registered_for

__all__ = [
    "REDRAWS",
    "Controls",
    "control_exhibit_name",
    "controls_as_computed",
    "controls_from",
    "numbers_of",
]

REDRAWS = 200  # draws made anew for each registered test, spread over its suspects

_LARGEST = 1 << 30
_RELATIVE = 1e-9  # between machines, as for every number that is computed anew


@dataclass(frozen=True, slots=True)
class Numbers:
    """What controls are computed from.

    Attributes:
        workings: Of every registered test and of every control that gave a finding, by its id.
        p_values: Of every control that gave a finding, by its id.
    """

    workings: Mapping[str, Working]
    p_values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of an audit, test by test.

    Attributes:
        null: Where the null hypothesis holds: drawn anew, and innocent models or texts.
        positive: Where it does not.
    """

    null: tuple[Control, ...]
    positive: tuple[PositiveControl, ...]


def control_exhibit_name(pair: Pair) -> str:
    """Where the numbers of a control's test lie in a bundle."""
    return f"exhibits/control-{pair.id}.parquet"


def numbers_of(registered: Registered, outcomes: Sequence[Outcome]) -> Numbers:
    """What an audit's controls are computed from."""
    workings: dict[str, Working] = {}
    p_values: dict[str, float] = {}
    for pair, outcome in zip(registered.pairs, outcomes, strict=True):
        if outcome.finding is not None and outcome.finding.working is not None:
            workings[pair.id] = outcome.finding.working
        for name, finding in {**outcome.controls, **outcome.positives}.items():
            p_values[f"{pair.test}.{name}"] = finding.p_value
            if finding.working is not None:
                workings[f"{pair.test}.{name}"] = finding.working
    return Numbers(workings, p_values)


def controls_from(registered: Registered, numbers: Numbers) -> Controls:
    """Runs of each registered test where its null hypothesis holds, and where it does not.

    Draws made anew are those of the exhibits' own numbers, with seeds that follow from the registration. The
    level of positive controls is what Holm's correction asks of the smallest p-value, the hardest.

    Args:
        registered: The audit.
        numbers: What its tests were given.
    """
    null: list[Control] = []
    positive: list[PositiveControl] = []
    level = registered.audit.alpha / len(registered.pairs)
    for test in registered.audit.tests:
        null.extend(_redrawn(test, registered, numbers.workings))
        told = {
            role: {
                pair.subject: numbers.p_values[pair.id]
                for pair in registered.controls
                if pair.test == test and pair.role == role and pair.id in numbers.p_values
            }
            for role in ("innocent", "positive")
        }
        if innocent := told["innocent"]:
            null.append(
                Control(
                    name=f"{test}, innocent controls",
                    description=f"The test {test} of what was registered as innocent: {', '.join(innocent)}.",
                    p_values=tuple(innocent.values()),
                )
            )
        if made := told["positive"]:
            positive.append(
                PositiveControl(
                    name=test,
                    description=f"The test {test} of what was registered as made from the material: "
                    f"{', '.join(made)}.",
                    noticed=sum(p <= level for p in made.values()),
                    runs=len(made),
                    level=level,
                )
            )
    return Controls(tuple(null), tuple(positive))


def controls_as_computed(
    report: AuditReport, names: Sequence[str], read: Callable[[str, int], bytes]
) -> str:
    """Compute every control anew from the exhibits, and hold the report's controls against it.

    A control that was registered and has no exhibit must stand among the report's limits.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If a control is missing, or says something else.
    """
    registered = registered_for(report, names, read)
    if registered is None or report.case is None:
        return ""
    due = controls_from(registered, _numbers_in(registered, names, read))
    _same([control.name for control in due.null], [control.name for control in report.controls])
    for wanted, stated in zip(due.null, report.controls, strict=True):
        alike = len(wanted.p_values) == len(stated.p_values) and all(
            math.isclose(a, b, rel_tol=_RELATIVE)
            for a, b in zip(wanted.p_values, stated.p_values, strict=True)
        )
        if not alike or wanted.description != stated.description:
            raise VerificationError(f"the control {wanted.name!r} is not what its exhibits give")
    if due.positive != report.case.positive_controls:
        raise VerificationError("the positive controls are not what their exhibits give")
    for pair in registered.controls:
        start = f"The control {pair.subject} could not be tested"
        if control_exhibit_name(pair) not in names and not any(
            limit.startswith(start) for limit in report.limits
        ):
            raise VerificationError(
                f"the registered control {pair.id} has no exhibit, and the limits do not say so"
            )
    n = sum(len(control.p_values) for control in due.null)
    return f"{n} control runs computed anew"


def _numbers_in(
    registered: Registered, names: Sequence[str], read: Callable[[str, int], bytes]
) -> Numbers:
    workings = {
        pair.id: read_exhibit(read(name, _LARGEST))
        for number, pair in enumerate(registered.pairs, 1)
        if (name := layout.exhibit_name(number)) in names
    }
    told = {
        pair.id: read_exhibit(read(name, _LARGEST))
        for pair in registered.controls
        if (name := control_exhibit_name(pair)) in names
    }
    return Numbers(
        {**workings, **told}, {id_: working.repeat().p_value for id_, working in told.items()}
    )


def _same(due: Sequence[str], stated: Sequence[str]) -> None:
    if list(due) != list(stated):
        other = ", ".join(sorted(set(due) ^ set(stated)))[:200] or "in another order"
        raise VerificationError(f"the controls are not those of the exhibits: {other}")


def _redrawn(
    test: str, registered: Registered, workings: Mapping[str, Working]
) -> Iterator[Control]:
    mine = [pair.id for pair in registered.pairs if pair.test == test and pair.id in workings]
    if not mine:
        return
    p_values: list[float] = []
    share, more = divmod(REDRAWS, len(mine))
    for place, pair in enumerate(mine):
        n = share + (place < more)
        if n:
            seed = _seed(registered.pre_registration, pair)
            p_values.extend(redrawn_p_values(workings[pair], n, seed))
    yield Control(
        name=f"{test}, drawn anew",
        description=f"The test {test} on the scores of its exhibits, with what chance had decided (the key's "
        f"choices, the order, or who belongs to which set) drawn anew {len(p_values)} times.",
        p_values=tuple(p_values),
    )


def _seed(pre_registration: str, pair: str) -> int:
    digest = hashlib.sha256(f"{pre_registration}\n{pair}\nredraws".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
