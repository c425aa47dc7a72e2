"""Every forgery on the list is refused, first by the check and for the reason it names."""

import sys
from pathlib import Path

import pytest
from bookplate.provenance.bundle.verification import Result

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parent))
from forgeries import FLIPPED, FORGERIES, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


def test_the_bundle_that_is_forged_is_sound(shop):
    assert shop.verified(shop.sound).result is Result.VERIFIED
    assert shop.verified(shop.zipped()).result is Result.VERIFIED


def test_signed_anew_without_a_change_it_still_is(shop):
    """So it is the forgery that is refused, and not the signing."""
    assert shop.verified(shop.resigned(shop.copy())).result is Result.VERIFIED
    assert shop.verified(shop.draft().write(shop.key)).result is Result.VERIFIED


def test_every_file_has_a_bit_flipped(shop):
    with_files = {
        p.relative_to(shop.sound).as_posix() for p in shop.sound.rglob("*") if p.is_file()
    }
    assert with_files == set(FLIPPED)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_it_is_refused_for_its_own_reason(shop, forgery):
    found = shop.verified(forgery.make(shop))
    assert found.result is Result.FAILED
    assert found.failed[0].number == forgery.check
    assert forgery.reason in found.failed[0].detail


def test_names_are_told_apart():
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES) >= 25
