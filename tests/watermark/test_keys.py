"""The key: fixed answers computed with nothing but hmac and hashlib, uniform draws, a secret kept."""

import hashlib
import hmac
import json
import stat
from collections import Counter

import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.keys import MarkingKey
from scipy.stats import chi2

SECRET, SALT = bytes(range(32)), bytes(range(100, 132))
KEY = MarkingKey(SECRET, SALT)


def hkdf(secret, info):
    """RFC 5869 with SHA-256, no salt, one block of output."""
    extracted = hmac.digest(b"\x00" * 32, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def draw_by_hand(n, *unit):
    key = hkdf(SECRET, b"bookplate/1 draw")
    digest = hmac.digest(key, b"\x1f".join(part.encode() for part in unit), "sha256")
    return int.from_bytes(digest[:16], "big") % n


def test_draws_are_hmac_of_the_unit_under_a_derived_key():
    drawer = KEY.drawer()
    units = [("type", f"word{i}") for i in range(200)] + [
        ("record", "ab" * 32, str(i), "0") for i in range(200)
    ]
    for n in (2, 3, 7):
        assert [drawer.draw(n, *unit) for unit in units] == [
            draw_by_hand(n, *unit) for unit in units
        ]


def test_known_answers_so_that_the_format_cannot_change_silently():
    """Releases of this version must verify for ever: these numbers may never change."""
    drawer = KEY.drawer()
    assert [drawer.draw(1_000_003, "type", w) for w in ("profitably", "slogan")] == [727594, 77101]
    assert drawer.draw(1_000_003, "record", "00" * 32, "4", "19") == 725960
    assert KEY.commitment == "d51348dd98403d68d410cab0a900f0f54ddf4d23ecef454fd57047f24c3ff0ea"
    assert KEY.row_salter()("00" * 32).hex() == "dde565ad6a244f9e45ffe156a8fb2525"


def test_commitment_and_row_salts_by_hand():
    expected = hashlib.sha256(b"bookplate key commitment/1" + SALT + SECRET).hexdigest()
    assert KEY.commitment == expected
    salt = hmac.digest(hkdf(SECRET, b"bookplate/1 row salt"), b"a record", "sha256")[:16]
    assert KEY.row_salter()("a record") == salt


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("kind", ["type", "record"])
def test_draws_look_uniform(n, kind):
    """Chi-square over 20,000 units; a fair source fails here once in a million keys (ours is fixed)."""
    drawer, total = KEY.drawer(), 20_000
    counts = Counter(drawer.draw(n, kind, f"unit {i}") for i in range(total))
    assert set(counts) == set(range(n))
    statistic = sum((count - total / n) ** 2 / (total / n) for count in counts.values())
    assert statistic < chi2.isf(1e-6, n - 1)


def test_draws_of_two_keys_or_of_two_names_are_independent():
    """Pairs of draws fall evenly into all 9 cells; a fair source fails once in a million keys."""
    other = MarkingKey(SECRET[::-1], SALT).drawer()
    drawer, total = KEY.drawer(), 9_000
    pairs = {
        "keys": [
            (drawer.draw(3, "type", str(i)), other.draw(3, "type", str(i))) for i in range(total)
        ],
        "names": [
            (drawer.draw(3, "type", str(i)), drawer.draw(3, "record", str(i))) for i in range(total)
        ],
        "parts": [
            (drawer.draw(3, "r", str(i), "1"), drawer.draw(3, "r", str(i) + "1"))
            for i in range(total)
        ],
    }
    for drawn in pairs.values():
        statistic = sum((count - 1_000) ** 2 / 1_000 for count in Counter(drawn).values())
        assert len(set(drawn)) == 9
        assert statistic < chi2.isf(1e-6, 8)


def test_the_salt_blinds_the_commitment_and_draws_nothing():
    salted = MarkingKey(SECRET, SALT[::-1])
    assert salted.commitment != KEY.commitment
    assert salted.drawer().draw(10**9, "type", "word") == KEY.drawer().draw(10**9, "type", "word")


def test_a_key_file_comes_back_and_is_its_owners_alone(tmp_path):
    KEY.save(tmp_path / "key")
    assert MarkingKey.read(tmp_path / "key") == KEY
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_key_file_is_never_overwritten(tmp_path):
    KEY.save(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(InvalidInput, match="already exists"):
        MarkingKey.generate().save(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_generated_keys_differ():
    keys = [MarkingKey.generate() for _ in range(4)]
    assert len({key.secret for key in keys} | {key.salt for key in keys}) == 8


@pytest.mark.parametrize(
    "show",
    [repr, str, lambda key: f"{key}", lambda key: f"{[key]}", lambda key: repr(key.drawer())],
)
def test_the_secret_is_never_shown(show):
    shown = show(KEY)
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:20] not in shown
    assert SALT.hex() not in shown


GOOD = {"format": "bookplate-key/1", "secret": SECRET.hex(), "salt": SALT.hex()}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        json.dumps([GOOD]),
        json.dumps({**GOOD, "format": "bookplate-key/2"}),
        json.dumps({**GOOD, "secret": SECRET.hex()[:-2]}),
        json.dumps({**GOOD, "secret": SECRET.hex()[:-1] + "g"}),
        json.dumps({**GOOD, "secret": 7}),
        json.dumps({**GOOD, "salt": None}),
        json.dumps({"format": GOOD["format"], "secret": GOOD["secret"]}),
        json.dumps(GOOD)[:-3],
    ],
)
def test_what_is_no_key_file_is_refused_without_repeating_it(tmp_path, content):
    (tmp_path / "key").write_text(content)
    with pytest.raises(InvalidInput) as caught:
        MarkingKey.read(tmp_path / "key")
    error, told = caught.value, []
    while error is not None:
        told.append(f"{error} {getattr(error, 'hint', '')}")
        error = error.__cause__ or error.__context__
    assert str(tmp_path / "key") in told[0]
    assert SECRET.hex()[:16] not in "".join(told)


@pytest.mark.parametrize("path", ["none", "."])
def test_a_missing_key_file_and_a_folder_are_refused(tmp_path, path):
    with pytest.raises(InvalidInput, match="cannot be read as a key file"):
        MarkingKey.read(tmp_path / path)


@pytest.mark.parametrize(
    ("secret", "salt"), [(b"", SALT), (SECRET, SALT + b"x"), (SECRET[:31], SALT)]
)
def test_a_key_of_another_length_cannot_exist(secret, salt):
    with pytest.raises(InvalidInput, match="32 bytes"):
        MarkingKey(secret, salt)


# ---- recipients -----------------------------------------------------------------------------------


def test_a_recipients_key_follows_from_the_owners_and_from_nothing_else():
    owner = MarkingKey(b"k" * 32, b"s" * 32)
    alice, bob = owner.for_recipient("Alice"), owner.for_recipient("Bob")
    assert alice == owner.for_recipient("Alice")
    assert len({owner.secret, alice.secret, bob.secret, alice.salt, bob.salt, owner.salt}) == 6
    assert len({owner.commitment, alice.commitment, bob.commitment}) == 3
    assert alice != MarkingKey(b"j" * 32, b"s" * 32).for_recipient("Alice")
    assert owner.for_recipient("alice") != alice


def test_two_spellings_of_one_name_are_one_recipient():
    owner = MarkingKey(b"k" * 32, b"s" * 32)
    assert owner.for_recipient("Jos\u00e9") == owner.for_recipient("Jose\u0301")


def test_a_recipients_key_is_hkdf_by_hand():
    """RFC 5869 with one block: HMAC(HMAC(zeros, secret), info | 01)."""
    owner = MarkingKey(b"k" * 32, b"s" * 32)
    prk = hmac.digest(bytes(32), owner.secret, "sha256")
    for part, expected in (("secret", "secret"), ("salt", "salt")):
        info = f"bookplate/1 recipient {part} Alice".encode()
        by_hand = hmac.digest(prk, info + b"\x01", "sha256")
        assert getattr(owner.for_recipient("Alice"), expected) == by_hand


@pytest.mark.parametrize(
    "name", ["", " Alice", "Alice ", "A\nB", "A\x00", "\u202eA", "A" * 201, "\udc80"]
)
def test_a_name_that_cannot_be_read_is_no_recipient(name):
    with pytest.raises(InvalidInput, match="recipient"):
        MarkingKey(b"k" * 32, b"s" * 32).for_recipient(name)


def test_datasets_and_recipients_are_steps_of_their_own():
    owner = MarkingKey(b"k" * 32, b"s" * 32)
    assert owner.for_copy("", "") == owner
    assert owner.for_copy("news", "") == owner.for_dataset("news")
    assert owner.for_copy("", "Alice") == owner.for_recipient("Alice")
    assert owner.for_copy("news", "Alice") == owner.for_dataset("news").for_recipient("Alice")
    ways = [("news", ""), ("", "news"), ("news", "Alice"), ("Alice", "news"), ("books", "Alice")]
    assert len({owner.for_copy(*way).secret for way in ways}) == len(ways)
    with pytest.raises(InvalidInput, match="dataset ' news'"):
        owner.for_copy(" news", "Alice")
