"""The public record of a key that nobody can have chosen: it comes back, and each way to cheat is refused."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.provenance.custody import Beacon, BeaconedSecret
from bookplate.provenance.custody.beacons import DRAND_QUICKNET, first_round_at, scheduled
from bookplate.provenance.custody.promises import KeyDraw, KeyPromise, parse_beacon, verify_draw
from bookplate.watermark.drawn_keys import draw_key, verify_opened
from bookplate.watermark.keys import MarkingKey
from hypothesis import given, settings
from hypothesis import strategies as st

ROUND = 34_426_612
SIGNATURE = bytes(range(48))
SECRET = BeaconedSecret(bytes(range(32)), bytes(range(32, 64)), DRAND_QUICKNET, ROUND, "ab" * 32)
PROMISE = KeyPromise.of(SECRET)
T1 = scheduled(DRAND_QUICKNET, ROUND)
T0 = T1 - timedelta(seconds=1)
BEACON = Beacon(DRAND_QUICKNET, ROUND, hashlib.sha256(SIGNATURE).digest(), T1)
KEY, DRAW = draw_key(SECRET, BEACON)
DRAND = {
    "round": ROUND,
    "signature": SIGNATURE.hex(),
    "randomness": hashlib.sha256(SIGNATURE).hexdigest(),
}
PULSE = {
    "version": "Version 2.0",
    "chainIndex": 2,
    "pulseIndex": 7,
    "timeStamp": "2026-01-01T12:00:00.000Z",
    "outputValue": "AB" * 64,
    "uri": "https://beacon.example/7",
}


def test_promise_and_draw_come_back():
    assert KeyPromise.parse(PROMISE.to_bytes()) == PROMISE
    assert KeyDraw.parse(DRAW.to_bytes()) == DRAW
    assert DRAW.key_commitment == KEY.commitment
    assert PROMISE.known_at == T1


def test_neither_holds_the_secret_or_the_key():
    for data in (PROMISE.to_bytes(), DRAW.to_bytes()):
        for hidden in (SECRET.secret, SECRET.salt, KEY.secret, KEY.salt):
            assert hidden.hex() not in data.decode()


def test_the_key_and_its_blinding_follow_from_the_secret_and_the_beacon_alone():
    assert draw_key(SECRET, BEACON)[0] == KEY
    assert (KEY.secret, KEY.salt) == (SECRET.derive(BEACON), SECRET.derive_salt(BEACON))
    assert KEY.secret != KEY.salt
    other, _ = draw_key(SECRET, replace(BEACON, value=bytes(32)))
    assert not {other.secret, other.salt} & {KEY.secret, KEY.salt}


def test_the_formats_stay_as_they_are():
    """Promises once published must be checkable in every later version."""
    assert json.loads(PROMISE.to_bytes()) == {
        "format": "bookplate-key-promise/1",
        "commitment": SECRET.commitment,
        "source": DRAND_QUICKNET,
        "round": ROUND,
        "fixed": "ab" * 32,
    }
    assert KEY.commitment == "209aee70d6344d9c8150d18f3d3ae346e37e089396c0966d2aaeaf65077665af"


def test_an_honest_draw_is_accepted_closed_and_opened():
    verify_draw(DRAW, PROMISE, committed_at=T0, beacon=BEACON)
    assert verify_opened(DRAW, PROMISE, SECRET, committed_at=T0, beacon=BEACON) == KEY


OTHER_VALUE = replace(BEACON, value=bytes(32))
NEXT_ROUND = Beacon(DRAND_QUICKNET, ROUND + 1, BEACON.value, T1 + timedelta(seconds=3))
LATER = replace(PROMISE, round=ROUND + 1)


@pytest.mark.parametrize(
    ("draw", "promise", "committed_at", "beacon", "reason"),
    [
        (DRAW, PROMISE, T1, BEACON, "was public"),
        (DRAW, PROMISE, T1 + timedelta(days=1), BEACON, "was public"),
        (DRAW, LATER, T0, BEACON, "another promise"),
        (replace(DRAW, promise=LATER), PROMISE, T0, BEACON, "another promise"),
        (replace(DRAW, beacon=NEXT_ROUND), PROMISE, T0, BEACON, "drawn with round"),
        (DRAW, PROMISE, T0, OTHER_VALUE, "another value"),
        (replace(DRAW, beacon=OTHER_VALUE), PROMISE, T0, BEACON, "another value"),
        (DRAW, PROMISE, T0, NEXT_ROUND, "another value"),
    ],
)
def test_a_dishonest_draw_is_refused(draw, promise, committed_at, beacon, reason):
    with pytest.raises(VerificationError, match=reason):
        verify_draw(draw, promise, committed_at=committed_at, beacon=beacon)
    with pytest.raises(VerificationError, match=reason):
        verify_opened(draw, promise, SECRET, committed_at=committed_at, beacon=beacon)


def test_an_opened_secret_must_be_the_promised_one():
    for opened in (
        replace(SECRET, secret=bytes(32)),
        replace(SECRET, salt=bytes(32)),
        replace(SECRET, fixed=""),
        replace(SECRET, round=ROUND + 1),
    ):
        with pytest.raises(VerificationError, match="not what was committed to"):
            verify_opened(DRAW, PROMISE, opened, committed_at=T0, beacon=BEACON)


def test_a_key_that_does_not_follow_shows_once_the_secret_is_opened_and_not_before():
    chosen = replace(DRAW, key_commitment=MarkingKey(bytes(32), bytes(32)).commitment)
    verify_draw(chosen, PROMISE, committed_at=T0, beacon=BEACON)  # it stands as claimed
    with pytest.raises(VerificationError, match="does not follow"):
        verify_opened(chosen, PROMISE, SECRET, committed_at=T0, beacon=BEACON)


def test_a_time_without_a_zone_is_no_time():
    with pytest.raises(InvalidInput, match="time zone"):
        verify_draw(DRAW, PROMISE, committed_at=datetime(2020, 1, 1), beacon=BEACON)


# What beacons publish.


@pytest.mark.parametrize("left_out", [(), ("randomness",)])
def test_drands_answer_is_read(left_out):
    answer = {name: value for name, value in DRAND.items() if name not in left_out}
    assert parse_beacon(json.dumps(answer).encode(), DRAND_QUICKNET) == BEACON


def test_nists_pulse_is_read():
    found = parse_beacon(json.dumps({"pulse": PULSE}).encode(), "nist:2.0:chain-2")
    time = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert found == Beacon("nist:2.0:chain-2", 7, bytes.fromhex("ab" * 64), time)


def test_our_own_form_is_read():
    own = json.dumps(json.loads(DRAW.to_bytes())["beacon"]).encode()
    assert parse_beacon(own, DRAND_QUICKNET) == BEACON


@pytest.mark.parametrize(
    ("data", "source"),
    [
        ({**DRAND, "randomness": "00" * 32}, DRAND_QUICKNET),
        ({**DRAND, "signature": "xy"}, DRAND_QUICKNET),
        ({**DRAND, "signature": 7}, DRAND_QUICKNET),
        ({**DRAND, "round": "1"}, DRAND_QUICKNET),
        ({**DRAND, "round": 0}, DRAND_QUICKNET),
        ({**DRAND, "round": 2**53 - 1}, DRAND_QUICKNET),
        (DRAND, "nist:2.0:chain-2"),
        ({"pulse": []}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "version": "none"}}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "timeStamp": "2026-01-01T12:00:00"}}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "timeStamp": "soon"}}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "outputValue": "ab"}}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "outputValue": "zz" * 64}}, "nist:2.0:chain-2"),
        ({"pulse": {**PULSE, "pulseIndex": True}}, "nist:2.0:chain-2"),
        ({}, DRAND_QUICKNET),
    ],
)
def test_what_no_beacon_publishes_is_refused(data, source):
    with pytest.raises(VerificationError):
        parse_beacon(json.dumps(data).encode(), source)


def test_the_first_round_at_a_time():
    assert first_round_at(DRAND_QUICKNET, T1) == ROUND
    assert first_round_at(DRAND_QUICKNET, T1 + timedelta(microseconds=1)) == ROUND + 1
    assert first_round_at(DRAND_QUICKNET, datetime(2000, 1, 1, tzinfo=UTC)) == 1
    with pytest.raises(InvalidInput, match="schedule"):
        first_round_at("nist:2.0:chain-2", T1)


# Anything else.


@pytest.mark.parametrize(
    "change",
    [
        {"format": "bookplate-key-promise/2"},
        {"commitment": "AB" * 32},
        {"commitment": 7},
        {"source": "two words"},
        {"round": 0},
        {"round": True},
        {"fixed": "ab"},
        {"more": 1},
    ],
)
def test_what_is_no_promise_is_refused(change):
    data = json.loads(PROMISE.to_bytes()) | change
    with pytest.raises(VerificationError):
        KeyPromise.parse(json.dumps(data).encode())
    whole = json.loads(DRAW.to_bytes()) | {"promise": data}
    with pytest.raises(VerificationError):
        KeyDraw.parse(json.dumps(whole).encode())


@given(st.binary(max_size=60) | st.sampled_from([PROMISE.to_bytes(), DRAW.to_bytes()]), st.data())
@settings(max_examples=150, deadline=None)
def test_no_bytes_crash_a_reader(data, more):
    cut = more.draw(st.integers(0, len(data)))
    altered = data[:cut] + more.draw(st.binary(max_size=4)) + data[cut + 1 :]
    for read in (KeyPromise.parse, KeyDraw.parse, lambda d: parse_beacon(d, DRAND_QUICKNET)):
        try:
            read(altered)
        except BookplateError:
            pass
