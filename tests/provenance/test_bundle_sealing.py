"""Signing a bundle: what is said of it, what lies where, and what is not signed."""

import json
import sys
from pathlib import Path

import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.bundle.layout import (
    commitment_names,
    exhibit_name,
    may_be_unsigned,
    stamped_name,
)
from bookplate.provenance.bundle.predicate import Commitment, Predicate
from bookplate.provenance.bundle.registration import PlannedTest, Registration
from bookplate.provenance.bundle.sealing import seal
from bookplate.provenance.custody import SigningKey

sys.path.insert(0, str(Path(__file__).parent))
from sample_bundle import sha

# ---- signing ----------------------------------------------------------------------------------------


def predicate(**changes):
    return Predicate(**{
        **{
            "report_id": "BP-1",
            "tool_version": "1",
            "created_at": "2026-01-01T00:00:00Z",
            "pre_registration_sha256": "a" * 64,
            "commitments": (Commitment(name="c", sha256="b" * 64, root="c" * 64, leaf_count=3),),
            "tests": (),
            "suspects": ("größer",),
            "alpha": 1e-7,
            "correction": "holm",
            "custody_head": "",
        },
        **changes,
    })


def test_a_predicate_is_read_as_it_was_written():
    assert Predicate.from_dict(json.loads(json.dumps(predicate().to_dict()))) == predicate()


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": "0.01"},
        {"alpha": 1},
        {"extra": 1},
        {"custodyHead": "x"},
        {"preRegistrationSha256": ""},
        {"suspects": [1]},
        {"tests": [{}]},
        {"tests": 1},
        {"commitments": [{"name": "c", "sha256": "b" * 64, "root": "", "leafCount": 3}]},
        {"commitments": [{"name": "c", "sha256": "B" * 64, "root": "", "leafCount": 0}]},
        {"commitments": [{"name": "c", "sha256": "b" * 64, "root": "", "leafCount": 0}] * 2},
        {"formatVersion": "bookplate-bundle/2"},
        {"formatVersion": None},
    ],
)
def test_a_predicate_of_another_form_is_refused(change):
    with pytest.raises(VerificationError):
        Predicate.from_dict(predicate().to_dict() | change)
    for data in (None, [], {}):
        with pytest.raises(VerificationError):
            Predicate.from_dict(data)


def test_a_predicate_cannot_be_made_wrong():
    for change in ({"custody_head": "x"}, {"format_version": "2"}):
        with pytest.raises(InvalidInput):
            predicate(**change)


def test_a_folder_is_sealed_once(tmp_path):
    (tmp_path / "report.json").write_bytes(b"{}")
    key = SigningKey.generate()
    digest = seal(tmp_path, predicate(), key)
    assert digest == sha((tmp_path / "statement.dsse.json").read_bytes())
    assert (tmp_path / "signer.pem").read_bytes() == key.public.to_pem()
    with pytest.raises(InvalidInput, match="is sealed already"):
        seal(tmp_path, predicate(), key)
    (tmp_path / "statement.dsse.json").unlink()
    with pytest.raises(InvalidInput, match="exists"):  # never another key in its place
        seal(tmp_path, predicate(), key)


def test_what_cannot_be_verified_is_not_signed(tmp_path):
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match="symbolic link"):
        seal(tmp_path, predicate(), SigningKey.generate())
    assert not (tmp_path / "statement.dsse.json").exists()


def test_a_registration_has_tests_of_different_names():
    test = PlannedTest(id="a", kind="watermark", suspect="s", alternative="greater")
    for tests in ((), (test, test)):
        with pytest.raises(InvalidInput):
            Registration(alpha=0.01, correction="holm", tests=tests)


# ---- layout -----------------------------------------------------------------------------------------


def test_what_a_timestamp_is_about_follows_from_its_name():
    names = ["commitments/release.json", "commitments/release.two.json", "audit.yaml", "x.json"]
    assert commitment_names(names) == names[:2]
    for stamp, about in {
        "release.json.one.tsr": names[0],
        "release.one.tsr": names[0],
        "release.two.tsr": names[1],
        "release.two.json.freetsa.org.tsr": names[1],
        "audit.yaml.one.tsr": "audit.yaml",
        "x.json.one.tsr": "",
        "audit.tsr": "",
    }.items():
        assert stamped_name(f"commitments/{stamp}", names) == about


def test_only_the_statement_and_its_timestamps_may_lie_outside():
    assert may_be_unsigned("statement.dsse.json")
    assert may_be_unsigned("timestamps/a.tsr")
    for name in ("timestamps/a/b.tsr", "timestamps/a.txt", "x/timestamps/a.tsr", "signer.pem"):
        assert not may_be_unsigned(name)
    assert exhibit_name(7) == "exhibits/T07.parquet"
    assert exhibit_name(123) == "exhibits/T123.parquet"
