"""Makes `tests/fixtures/bundle-format-1.zip`, a finished bundle that every later version must accept.

    python benchmarks/bundle_format_1.py NEW.zip

That file stands as it was made: a bundle in the files of some court is not made again, either. Its scores are
made up; the rest is what an audit writes: marks of two models, one of them found; an order test, and one that
was not run; an influence audit; a control; commitment, registration, log and PDF. Its time is fixed, and so
is its key, which anybody can derive from this script: the bundle shows a format and nothing else. It says
that version 0.1.0.dev0 made it, so that the words of later pages may differ.
"""

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cli"))
import audit_case
import numpy as np
from bookplate.cli import reporting
from bookplate.cli.audit import assembly
from bookplate.cli.audit.outcomes import Outcome
from bookplate.cli.audit.registering import Pair
from bookplate.cli.audit.wordings import WORDINGS
from bookplate.provenance.bundle.sealing import pack
from bookplate.provenance.custody import SigningKey
from bookplate.provenance.custody import log as custody_log
from bookplate.stats import Alternative, Finding, stratified_test
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = "0.1.0.dev0"
__all__ = ["AUDIT", "KEY", "made"]

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AUDIT = (
    audit_case.AUDIT.replace(
        "tests:\n", "runs:\n  densities: {folder: run, claimed: claimed.txt}\ntests:\n"
    ).replace("kind: order,", "kind: order, sample: 60,")
    + "  influence: {kind: influence}\n"
)
START = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Clock(datetime):
    """A clock that a second passes on with each look."""

    looks = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The next second."""
        cls.looks += 1
        return cls.fromtimestamp(START.timestamp() + cls.looks, tz)


def influence_finding(pair: Pair) -> Finding:
    """Made-up influence of claimed documents and controls, in the words of an influence audit."""
    rng, due = np.random.default_rng(6), WORDINGS["influence"]
    finding = stratified_test(
        rng.normal(size=12) + 0.5,
        rng.normal(size=40),
        np.repeat([0, 1], 6),
        np.repeat([0, 1], 20),
        alternative=Alternative.GREATER,
        seed=pair.seed,
    )
    about = "2 queries together"
    return finding.about(
        name=f"{due.names[0].replace('*', about)} ({pair.test})",
        question=due.question.replace("*", about),
        null=due.nulls["stratified"].replace("*", about),
        unit="documents (12 claimed, 40 controls)",
        statistic=type(finding.statistic)(name=due.statistics[0], value=finding.statistic.value),
        assumptions=due.assumptions,
        warnings=(*due.warnings, *finding.warnings),
    )


def made(folder: Path) -> Path:
    """The bundle, as a folder."""
    pairs = {pair.id: pair for pair in audit_case.laid_out(folder, AUDIT).pairs}

    def with_influence(outcomes: Sequence[Outcome]) -> list[Outcome]:
        kept = {outcome.test: outcome for outcome in outcomes}
        one = kept["influence.densities"]
        finding = influence_finding(pairs[one.test])
        kept[one.test] = audit_case.replace(one, finding=finding, reason="")
        return list(kept.values())

    Clock.looks = 0
    with (
        patch.object(custody_log, "datetime", Clock),
        patch.object(reporting, "datetime", Clock),
        patch.object(reporting, "__version__", VERSION),
        patch.object(assembly, "__version__", VERSION),
        tempfile.TemporaryDirectory() as again,
    ):
        audit_case.assembled(
            Path(again), folder / "bundle", text=AUDIT, signing_key=KEY, change=with_influence
        )
    return folder / "bundle"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        pack(made(Path(place)), Path(sys.argv[1]))
    print(f"{Path(sys.argv[1]).name}: key {KEY.public.keyid}")
