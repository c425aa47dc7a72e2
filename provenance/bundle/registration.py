"""What was fixed before any data were read: the part of the audit file that a verification compares."""

from dataclasses import dataclass

from ...errors import InvalidInput

__all__ = ["PlannedTest", "Registration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """One test of one suspect.

    Attributes:
        id: Its id, e.g. `T1-suspect`; unique in the audit file.
        kind: Which test.
        suspect: Of which suspect, by the name that the report uses.
        alternative: greater, less or two-sided.
        seed: Of its random numbers, as it follows from the audit file; None if none does.
        power: Probability of noticing the registered effect, as the audit file states it; None if it
            does not.
    """

    id: str
    kind: str
    suspect: str
    alternative: str
    seed: int | None = None
    power: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An audit file, as far as its report must agree with it.

    Attributes:
        alpha: Threshold for corrected p-values, in (0, 1).
        correction: How p-values are corrected for the number of tests, e.g. `holm`.
        tests: All tests, in order of registration.
    """

    alpha: float
    correction: str
    tests: tuple[PlannedTest, ...]

    def __post_init__(self) -> None:
        ids = [test.id for test in self.tests]
        if not ids or len(set(ids)) < len(ids):
            raise InvalidInput("a registration holds at least one test, and each id once")
