"""What a claimant says in findings, of times and of the log before signing is held against the bundle."""

import sys
from pathlib import Path

import pytest
from bookplate.cli.audit.linking import LINK_CHECKS
from bookplate.errors import VerificationError
from bookplate.provenance.bundle.verification import Result
from bookplate.stats.report import AuditReport

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from forgeries_of_audits import OF_AUDITS, AuditShop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return AuditShop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("name", OF_AUDITS)
def test_check_11_refuses_it_for_its_own_reason(name, shop):
    """`python benchmarks/forgeries.py` tries the other checks, too: these take a second each."""
    folder = shop.forged(name)
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    report = AuditReport.from_json((folder / "report.json").read_bytes())

    def all_of_them():
        for check in LINK_CHECKS:
            check(report, names, lambda name, limit: (folder / name).read_bytes())

    with pytest.raises(VerificationError) as refused:
        all_of_them()
    assert OF_AUDITS[name][0] in str(refused.value)


def test_by_all_checks_it_is_refused_by_this_one_first(shop):
    """Such as this one, which changes an exhibit and all numbers that follow."""
    (name,) = (name for name, (reason, _) in OF_AUDITS.items() if "55 of 60" in reason)
    found = shop.verified(shop.forged(name))
    assert found.result is Result.FAILED
    assert [check.number for check in found.failed] == [11]
