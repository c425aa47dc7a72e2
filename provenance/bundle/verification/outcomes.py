"""What a verification says: numbered checks, and one result that follows from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ....display import visible
from ....errors import BookplateError

__all__ = ["Check", "NotChecked", "Outcome", "Result", "Verification", "attempt"]

_LONGEST_DETAIL = 2_000
# Without these nothing is shown: a bundle in which one of them was not made is not verified. The times,
# the words re-rendered, the log and the links may lack what they need; the result names them then.
_NEEDED = frozenset({1, 2, 3, 4, 5, 7, 8})
_SIGNATURE = 2


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


class Result(StrEnum):
    """What all checks together show."""

    VERIFIED = "verified"
    SIGNER_UNKNOWN = "intact, signer unknown"
    INCOMPLETE = "not verified: a check could not be made"
    FAILED = "failed"


class NotChecked(Exception):
    """A check cannot be made, and says nothing for or against the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        number: Its number, from 1; the same in every release.
        title: What is checked.
        outcome: How it ended.
        detail: What was seen; why it failed, or why it was not made. Fit to be shown.
    """

    number: int
    title: str
    outcome: Outcome
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "number": self.number,
            "title": self.title,
            "outcome": self.outcome.value,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks of a bundle.

    Attributes:
        checks: In order.
        statement_sha256: Of `statement.dsse.json`, 64 hexadecimal digits; empty if there is none.
        signer: Id of the key that signed, whoever holds it; empty if no signature holds.
    """

    checks: tuple[Check, ...]
    statement_sha256: str
    signer: str

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that speak against the bundle."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def not_checked(self) -> tuple[Check, ...]:
        """The checks that could not be made."""
        return tuple(check for check in self.checks if check.outcome is Outcome.NOT_CHECKED)

    @property
    def result(self) -> Result:
        """Follows from the checks; `verified` only if the signer's key came from outside."""
        if self.failed:
            return Result.FAILED
        missing = {check.number for check in self.not_checked} & _NEEDED
        if missing - {_SIGNATURE} or not self.checks or not self.signer:
            return Result.INCOMPLETE
        return Result.SIGNER_UNKNOWN if missing else Result.VERIFIED

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "result": self.result.value,
            "statement_sha256": self.statement_sha256,
            "signer": self.signer,
            "checks": [check.to_dict() for check in self.checks],
        }


def attempt(number: int, title: str, make: Callable[[], Sequence[str]]) -> Check:
    """Make one check.

    Args:
        number: Its number.
        title: What is checked.
        make: Returns what was seen, one sentence each; raises `NotChecked`, or any other error if the
            bundle does not stand up to it.

    Returns:
        The check; no error of `make` gets out.
    """
    try:
        outcome, detail = Outcome.PASSED, "; ".join(make())
    except NotChecked as error:
        outcome, detail = Outcome.NOT_CHECKED, str(error)
    except BookplateError as error:
        outcome, detail = Outcome.FAILED, str(error)
    except Exception as error:  # ruff: ignore[blind-except]  (a check that breaks has not been passed)
        outcome = Outcome.FAILED
        detail = f"the check broke off: {type(error).__name__}: {str(error)[:200]}"
    shown = visible(detail)
    if len(shown) > _LONGEST_DETAIL:
        shown = shown[:_LONGEST_DETAIL] + " ..."
    return Check(number=number, title=title, outcome=outcome, detail=shown)
