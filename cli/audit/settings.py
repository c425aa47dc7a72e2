"""Whether each test was carried out as its registration fixes it: kind, direction, seed, draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ...display import counted, visible
from ...errors import VerificationError
from ...provenance.bundle import layout, read_exhibit
from ...stats import DEFAULT_BET
from ...stats.report import AuditReport
from ...stats.workings import Working
from .controls import control_exhibit_name
from .planned import OrderTest, PartitionTest, WatermarkTest
from .registering import Pair, registered_for

__all__ = ["carried_out_as_registered"]

_LARGEST = 1 << 30

_Read = Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a kind of test is carried out.

    Attributes:
        tests: By which test of `stats`.
        draws: With how many Monte-Carlo draws.
    """

    tests: tuple[str, ...]
    draws: tuple[int, ...] = ()


_FORMS: Mapping[str, _Form] = MappingProxyType({
    "watermark": _Form(("choice", "ghost"), (99_999,)),
    "completion": _Form(("choice",), (99_999,)),
    "watermark-sequential": _Form(("sign e-process", "rank e-process")),
    "leximark": _Form(("welch",)),
    "leak": _Form(("choice",), (99_999, 9_999)),  # the fewer for large releases
    "order": _Form(("spearman",), (9_999,)),
    "order-sequential": _Form(("sign e-process", "rank e-process")),
    "partition": _Form(("spearman",), (9_999,)),
    "reshuffle": _Form(("rank",)),
    "influence": _Form(("stratified",), (99_999,)),
    "membership": _Form(("two-sample",), (99_999,)),
})


def carried_out_as_registered(report: AuditReport, names: Sequence[str], read: _Read) -> str:
    """Hold the options in each exhibit against the registration, which leaves no choice of them.

    Seeds, draws and bets could otherwise be tried until one suits.

    Args:
        report: The report.
        names: All files of the bundle.
        read: Reads one of them, of at most so many bytes.

    Returns:
        What was checked; nothing if the bundle holds no registration.

    Raises:
        VerificationError: If a test was carried out otherwise.
    """
    registered = registered_for(report, names, read)
    if registered is None or report.case is None:
        return ""
    exhibits = {
        layout.exhibit_name(number): pair for number, pair in enumerate(registered.pairs, 1)
    } | {control_exhibit_name(pair): pair for pair in registered.controls}
    n_tests = 0
    for exhibit, pair in exhibits.items():
        if exhibit in names:
            working = read_exhibit(read(exhibit, _LARGEST))
            _check(working, pair, registered.sequential_alpha, exhibit)
            _check_columns(working, pair, exhibit)
            n_tests += 1
    return (
        f"{counted(n_tests, 'test')} with the seeds, draws and options that the registration fixes"
    )


def _check(working: Working, pair: Pair, sequential_alpha: float, exhibit: str) -> None:
    form = _FORMS[pair.planned.kind]
    if working.test not in form.tests:
        raise VerificationError(
            f"{exhibit}: a {working.test} test, where {pair.id} was registered as {pair.planned.kind}"
        )
    due: dict[str, tuple[Any, ...]] = {
        "alternative": (pair.planned.DIRECTION,),
        "alpha": (sequential_alpha,),
        "bet": (DEFAULT_BET,),
        "method": ("auto",),
        "n_resamples": form.draws,
        "seed": (pair.seed,),
        "stop_after": (None,),
    }
    for name, value in working.settings.items():
        if value not in due[name]:
            raise VerificationError(
                f"{exhibit}: {name} is {visible(str(value))}, and the registration of {pair.id} gives "
                f"{' or '.join(map(str, due[name]))}"
            )


def _check_columns(working: Working, pair: Pair, exhibit: str) -> None:
    """As many references and covariates as registered, and no sequence counted twice."""
    planned, n_references = pair.planned, len(pair.references)
    least, most = 0, 0
    if isinstance(planned, WatermarkTest):
        # Of words, their frequency is regressed out besides.
        least = most = n_references + (working.test == "choice")
    elif isinstance(planned, OrderTest):
        covariates = planned.covariates
        n_covariates = int(n_references > 0) if covariates is None else len(covariates)
        if planned.statistic in {None, "residual"}:  # covariates that do not vary are left out
            least, most = n_references, n_references + n_covariates
    elif isinstance(planned, PartitionTest):
        most = len(planned.covariates)
    if not least <= working.n_numbered <= most:
        raise VerificationError(
            f"{exhibit}: {working.n_numbered} references or covariates, and the registration of {pair.id} "
            f"gives {least if least == most else f'{least} to {most}'}"
        )
    if isinstance(planned, OrderTest | PartitionTest) and len(set(working.names)) < len(
        working.names
    ):
        raise VerificationError(f"{exhibit}: a sequence is there twice")
