"""The test behind a working, called again. What a test needs besides its columns is in the settings."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .choices import choice_test, ghost_test
from .correlation import spearman_test
from .findings import Finding
from .paired import paired_test
from .rank import rank_test
from .sequential import RankEProcess, SignEProcess
from .twosample import stratified_test, two_sample_test
from .welch import welch_test
from .workings import Working

__all__ = ["repeated"]

# Settings come from untrusted files; each test checks its own, e.g. that "greatr" is no direction.
_Settings = Mapping[str, Any]


def repeated(working: Working) -> Finding:
    """What the test gives for these columns and settings.

    Raises:
        BookplateError: If the test refuses them.
    """
    return _TESTS[working.test](working, working.settings)


def _choice(working: Working, settings: _Settings) -> Finding:
    starts = working.unit_starts()
    return choice_test(
        _by_unit(working.columns["value"], starts),
        np.flatnonzero(working.columns["chosen"]) - starts,
        references=[_by_unit(column, starts) for column in working.numbered()],
        weights=working.columns["weight"][starts],
        **settings,
    )


def _ghost(working: Working, settings: _Settings) -> Finding:
    starts = working.unit_starts()
    shape = (starts.size, -1)
    return ghost_test(
        working.columns["value"].reshape(shape),
        references=[column.reshape(shape) for column in working.numbered()],
        weights=working.columns["weight"][starts],
        **settings,
    )


def _spearman(working: Working, settings: _Settings) -> Finding:
    x, y = working.columns["x"], working.columns["y"]
    return spearman_test(x, y, covariates=working.numbered(), **settings)


def _paired(working: Working, settings: _Settings) -> Finding:
    return paired_test(working.columns["difference"], **settings)


def _two_sample(working: Working, settings: _Settings) -> Finding:
    return two_sample_test(*_sets(working, "value"), **settings)


def _stratified(working: Working, settings: _Settings) -> Finding:
    return stratified_test(*_sets(working, "value"), *_sets(working, "stratum"), **settings)


def _welch(working: Working, settings: _Settings) -> Finding:
    return welch_test(*_sets(working, "value"), **settings)


def _rank(working: Working, settings: _Settings) -> Finding:
    value, observed = working.columns["value"], working.columns["observed"]
    return rank_test(float(value[observed][0]), value[~observed], **settings)


def _sign_process(working: Working, settings: _Settings) -> Finding:
    process = SignEProcess(**settings)
    process.extend(working.columns["difference"])
    return process.finding()


def _rank_process(working: Working, settings: _Settings) -> Finding:
    process = RankEProcess(**settings)
    process.extend(_by_unit(working.columns["value"], working.unit_starts()))
    return process.finding()


def _by_unit(column: NDArray[Any], starts: NDArray[np.int64]) -> list[NDArray[Any]]:
    return np.split(column, starts[1:])


def _sets(working: Working, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    column, from_a = working.columns[name], working.columns["from_a"]
    return column[from_a], column[~from_a]


_TESTS: Mapping[str, Callable[[Working, _Settings], Finding]] = {
    "choice": _choice,
    "ghost": _ghost,
    "spearman": _spearman,
    "paired": _paired,
    "two-sample": _two_sample,
    "stratified": _stratified,
    "welch": _welch,
    "rank": _rank,
    "sign e-process": _sign_process,
    "rank e-process": _rank_process,
}
