"""Keys from a secret and a later beacon: RFC 5869 as twin, and each way to cheat refused."""

import hashlib
import hmac
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.files import canonical_json
from bookplate.provenance.custody import Beacon, BeaconedSecret
from bookplate.provenance.custody.beacons import DRAND_DEFAULT, DRAND_QUICKNET, check, scheduled
from bookplate.watermark.keys import MarkingKey
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCE = "nist:2.0:chain-2"
T1 = datetime(2026, 1, 1, 12, tzinfo=UTC)
T0 = T1 - timedelta(seconds=1)
OPENED = BeaconedSecret(bytes(range(32)), bytes(range(32, 64)), SOURCE, 7, "ab" * 32)
BEACON = Beacon(SOURCE, 7, bytes(range(64)), T1)
KEY = OPENED.derive(BEACON)


def refusal(call):
    """The error of ours that a call ends with; None if it ends well. Others pass through."""
    try:
        call()
    except BookplateError as error:
        return error
    return None


def hkdf_by_definition(secret, salt, info):
    """RFC 5869, sections 2.2 and 2.3, for one block."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@pytest.mark.parametrize("size", [32, 64])
def test_the_key_is_hkdf_of_secret_and_beacon(size):
    beacon = replace(BEACON, value=bytes(range(size)))
    info = canonical_json({"commitment": OPENED.commitment, "valueBytes": size})
    assert OPENED.derive(beacon) == hkdf_by_definition(
        OPENED.secret, beacon.value, b"bookplate marking key of a beacon/1 " + info
    )


def test_the_format_stays_as_it_is():
    """Commitments once published must open in every later version."""
    assert (
        OPENED.commitment
        == hashlib.sha256(
            b"bookplate beaconed secret commitment/1"
            + OPENED.salt
            + OPENED.secret
            + b'{"fixed":"%b","round":7,"source":"nist:2.0:chain-2"}' % (b"ab" * 32)
        ).hexdigest()
    )


def test_it_makes_a_marking_key_and_checks():
    assert MarkingKey(KEY, bytes(32)).drawer().draw(2, "unit") in {0, 1}
    check(OPENED.commitment, OPENED, BEACON, KEY, committed_at=T0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"committed_at": T1}, "the key may have been chosen"),
        ({"committed_at": T1 + timedelta(days=1)}, "the key may have been chosen"),
        (
            {"committed_at": datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=-1)))},
            "the key may have been chosen",
        ),
        ({"opened": replace(OPENED, secret=bytes(32))}, "not what was committed to"),
        ({"opened": replace(OPENED, salt=bytes(32))}, "not what was committed to"),
        ({"opened": replace(OPENED, round=8)}, "not what was committed to"),
        ({"opened": replace(OPENED, source="other")}, "not what was committed to"),
        ({"opened": replace(OPENED, fixed="")}, "not what was committed to"),
        ({"commitment": "0" * 64}, "not what was committed to"),
        ({"beacon": replace(BEACON, round=8)}, "committed to round 7"),
        ({"beacon": replace(BEACON, source="other")}, "committed to round 7"),
        ({"beacon": replace(BEACON, value=bytes(64))}, "does not follow"),
        ({"beacon": replace(BEACON, value=BEACON.value[:63])}, "does not follow"),
        ({"derived": bytes(32)}, "does not follow"),
    ],
)
def test_each_cheat_is_refused_for_its_own_reason(changes, message):
    call = {
        "commitment": OPENED.commitment,
        "opened": OPENED,
        "beacon": BEACON,
        "derived": KEY,
        "committed_at": T0,
    }
    call |= changes
    with pytest.raises(VerificationError, match=message):
        check(**call)


def test_zeros_at_the_end_of_a_value_count():
    """HMAC fills a short salt with zeros, so its length is part of what is derived from."""
    short = replace(BEACON, value=bytes(32))
    assert OPENED.derive(short) != OPENED.derive(replace(BEACON, value=bytes(33)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_everything_committed_to_changes_key_and_commitment(data):
    changes = {
        "secret": st.binary(min_size=32, max_size=32),
        "salt": st.binary(min_size=32, max_size=32),
        "fixed": st.binary(min_size=32, max_size=32).map(bytes.hex),
    }
    name = data.draw(st.sampled_from(sorted(changes)))
    value = data.draw(changes[name].filter(lambda value: value != getattr(OPENED, name)))
    other = replace(OPENED, **{name: value})
    assert other.commitment != OPENED.commitment
    assert other.derive(BEACON) != KEY


def test_half_the_draws_change_with_the_beacon():
    """The draws under two beacon values are independent: 200 of 400 agree, give or take 6 sd."""
    drawers = [
        MarkingKey(OPENED.derive(replace(BEACON, value=bytes([i]) * 32)), bytes(32)).drawer()
        for i in (1, 2)
    ]
    agree = sum(drawers[0].draw(2, str(i)) == drawers[1].draw(2, str(i)) for i in range(400))
    assert abs(agree - 200) < 60


def test_rounds_of_drand_have_their_times():
    """Round 1 of each chain, and one that a client's documentation names."""
    assert scheduled(DRAND_DEFAULT, 1) == datetime.fromtimestamp(1595431050, UTC)
    assert scheduled(DRAND_QUICKNET, 27946612) == datetime(2026, 4, 20, tzinfo=UTC)
    assert scheduled(SOURCE, 1) is None
    Beacon(DRAND_QUICKNET, 27946612, bytes(32), datetime(2026, 4, 20, tzinfo=UTC))
    with pytest.raises(InvalidInput, match="was published at 2026-04-20"):
        Beacon(DRAND_QUICKNET, 27946612, bytes(32), datetime(2026, 4, 21, tzinfo=UTC))
    with pytest.raises(InvalidInput, match="beyond the year 9999"):
        scheduled(DRAND_DEFAULT, 2**53 - 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(BEACON, value=bytes(31)),
        lambda: replace(BEACON, value=bytes(65)),
        lambda: replace(BEACON, round=0),
        lambda: replace(BEACON, round=True),
        lambda: replace(BEACON, source="a b"),
        lambda: replace(BEACON, source=""),
        lambda: replace(BEACON, published_at=datetime(2026, 1, 1)),
        lambda: replace(OPENED, secret=bytes(31)),
        lambda: replace(OPENED, salt=b""),
        lambda: replace(OPENED, round=-1),
        lambda: replace(OPENED, source="\x1b"),
        lambda: replace(OPENED, fixed="AB"),
        lambda: check("", OPENED, BEACON, KEY, committed_at=datetime(2025, 1, 1)),
    ],
)
def test_wrong_calls(make):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert str(caught.value).isprintable()


def test_a_saved_secret_is_private_and_the_same(tmp_path):
    path = tmp_path / "secret.json"
    made = BeaconedSecret.generate(SOURCE, 9, fixed="cd" * 32)
    made.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert BeaconedSecret.read(path) == made
    assert made.secret.hex() not in repr(made)
    with pytest.raises(InvalidInput, match="exists"):
        made.save(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        BeaconedSecret.read(tmp_path / "none")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 300))
def test_no_file_breaks_the_reader_or_is_repeated(tmp_path_factory, garbage, at):
    path = tmp_path_factory.mktemp("secrets") / "secret.json"
    OPENED.save(path)
    data = path.read_bytes()
    path.write_bytes(data[:at] + garbage + data[at + len(garbage) :])
    error = refusal(lambda: BeaconedSecret.read(path))
    if error:
        assert isinstance(error, InvalidInput)
        assert OPENED.secret.hex() not in str(error)
        assert error.__cause__ is None
        assert error.__context__ is None
