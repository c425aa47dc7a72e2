"""Forgeries of a bundle, each with the check that must refuse it, and words of the reason.

Run `python benchmarks/forgeries.py` for a table; `tests/provenance/test_forgeries.py` runs the same list, and
`tests/cli/test_audit_forgeries.py` those of a whole audit. Three kinds of people forge: a stranger without a
key, a stranger with a key of their own, and the claimant, who can sign whatever they like.
"""

import tempfile
from pathlib import Path

import forgeries_by_claimants  # ruff: ignore[unused-import]  (fills the list)
import forgeries_of_times  # ruff: ignore[unused-import]  (likewise)
from forgeries_by_strangers import FLIPPED
from forgeries_of_audits import OF_AUDITS, AuditShop, refused
from forging import FORGERIES, Workshop, rewritten

__all__ = ["FLIPPED", "FORGERIES", "Workshop", "rewritten"]


def main() -> None:
    """Print what becomes of each."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        print(f"the sound bundle: {shop.verified(shop.sound).result}\n")
        missed = 0
        for item in FORGERIES:
            failed = shop.verified(item.make(shop)).failed
            found = failed[0] if failed else None
            good = found is not None and found.number == item.check and item.reason in found.detail
            missed += not good
            seen = f"check {found.number}: {found.detail[:110]}" if found else "not noticed"
            print(f"{'refused' if good else 'MISSED'}  {item.name}\n         {seen}")
        missed += len(OF_AUDITS) - refused(AuditShop(Path(folder, "audits")))
        n = len(FORGERIES) + len(OF_AUDITS)
        print(f"\n{n - missed} of {n} refused for their own reason")


if __name__ == "__main__":
    main()
