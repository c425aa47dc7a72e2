"""Keys and envelopes: vectors of RFC 8032 and DSSE, one forgery per refusal, fuzzing."""

import base64
import hashlib
import json
import pickle
import shutil
import stat
import subprocess

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.provenance.custody import Envelope, PublicKey, SigningKey, sign
from bookplate.provenance.custody.ed25519_points import _L, _P, why_no_key
from bookplate.provenance.custody.envelopes import IN_TOTO, pre_authentication_encoding
from bookplate.provenance.custody.strict_json import canonical_object, strict_object
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = SigningKey.generate()
PAYLOAD = '{"p":1e-9,"who":"Ø"}'.encode()
ENVELOPE = sign(KEY, PAYLOAD)


def refusal(call):
    """The error of ours that a call ends with; None if it ends well. Others pass through."""
    try:
        call()
    except BookplateError as error:
        return error
    return None


def test_what_was_signed_comes_back_to_the_byte():
    read = Envelope.read(ENVELOPE.to_bytes())
    assert read == ENVELOPE
    assert read.verify(KEY.public) == PAYLOAD
    assert "1e-9" not in repr(read)


def test_pre_authentication_encoding_is_that_of_the_specification():
    """The vector of DSSE's protocol.md; lengths count bytes, not characters."""
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication_encoding("ø", "é".encode()) == "DSSEv1 2 ø 2 é".encode()
    assert pre_authentication_encoding("", b"") == b"DSSEv1 0  0 "


def test_the_signature_is_that_of_rfc_8032():
    """Section 7.1, test 2: secret, public key, message, signature."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SigningKey(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
    public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.public.raw.hex() == public
    assert key.signature(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def altered(**changes):
    data = json.loads(ENVELOPE.to_bytes())
    return {**data, **changes}


def with_signature(**changes):
    (signature,) = altered()["signatures"]
    return altered(signatures=[{**signature, **changes}])


def swapped_last_bits(text):
    """The same bytes in base64 whose last digit before the padding holds other unused bits."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body, padding = text.rstrip("="), text[len(text.rstrip("=")) :]
    assert padding
    return body[:-1] + digits[digits.index(body[-1]) ^ 1] + padding


SIG = base64.b64encode(ENVELOPE.signature).decode()
B64 = base64.b64encode(PAYLOAD + b"..."[: (1 - len(PAYLOAD)) % 3]).decode()
SIGNATURES = json.loads(ENVELOPE.to_bytes())["signatures"]
TEXT = ENVELOPE.to_bytes().decode()


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        ("", "no strict JSON"),
        ("[]", "expected a JSON object"),
        ("\ufeff" + TEXT, "no strict JSON"),
        (TEXT.encode("utf-16"), "no UTF-8"),
        (TEXT + TEXT, "no strict JSON"),
        ('{"payload":"",' + TEXT[1:], "the key 'payload' occurs twice"),
        (altered(payload=float("nan")), "NaN is no JSON number"),
        (altered(payload=float("inf")), "Infinity is no JSON number"),
        (TEXT.replace(f'"{IN_TOTO}"', "1e999"), "not finite"),
        (TEXT.replace(f'"{IN_TOTO}"', str(2**60)), r"beyond 2\*\*53"),
        (TEXT.replace(f'"{IN_TOTO}"', "9" * 5000), "no strict JSON"),
        (TEXT.replace(IN_TOTO, r"\ud800"), "surrogate"),
        ("[" * 100_000, "no strict JSON: nested too deeply"),
        ('{"a":' * 80 + "1" + "}" * 80, "nested more than 64"),
        (altered(extra=1), "unknown field 'extra'"),
        (with_signature(extra=1), "unknown field 'extra'"),
        ({"payload": "", "payloadType": ""}, "'signatures' is missing"),
        (altered(payload=None), "'payload' is of type NoneType"),
        (altered(signatures={}), "'signatures' is of type dict"),
        (altered(signatures=[]), "expected one signature, got 0"),
        (altered(signatures=SIGNATURES * 2), "expected one signature, got 2"),
        (altered(signatures=["x"]), "expected a JSON object, got str"),
        (with_signature(sig=""), "expected 64 bytes, got 0"),
        (with_signature(sig=swapped_last_bits(SIG)), "not the canonical base64"),
        (with_signature(sig=SIG.rstrip("=")), "no base64"),
        (with_signature(sig=SIG + "\n"), "no base64"),
        (with_signature(sig="_-" + SIG[2:]), "no base64"),
        (altered(payload=swapped_last_bits(B64)), "not the canonical base64"),
        (altered(payload="é"), "no base64"),
    ],
)
def test_malformed_envelopes_are_refused_each_for_its_own_reason(forged, message):
    if isinstance(forged, dict):
        forged = json.dumps(forged)
    data = forged if isinstance(forged, bytes) else forged.encode()
    with pytest.raises(VerificationError, match=message):
        Envelope.read(data)


def test_a_huge_input_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr("bookplate.provenance.custody.envelopes._LARGEST", 100)
    with pytest.raises(VerificationError, match="more than the 100 allowed"):
        Envelope.read(ENVELOPE.to_bytes())
    with pytest.raises(InvalidInput, match="at most 50"):
        sign(KEY, bytes(51))


OTHER = SigningKey.generate()


@pytest.mark.parametrize(
    ("forged", "key", "message"),
    [
        (altered(payloadType="text/plain"), KEY, "payload type 'text/plain', expected"),
        (altered(payload=base64.b64encode(PAYLOAD + b" ").decode()), KEY, "not made by key"),
        (with_signature(sig=base64.b64encode(bytes(64)).decode()), KEY, "not made by key"),
        (altered(), OTHER, "names another key"),
        (with_signature(keyid=OTHER.public.keyid), OTHER, "not made by key"),
        (with_signature(keyid=OTHER.public.keyid), KEY, "but names"),
        (with_signature(keyid=""), KEY, "but names"),
    ],
)
def test_forged_envelopes_are_refused_each_for_its_own_reason(forged, key, message):
    envelope = Envelope.read(json.dumps(forged).encode())
    with pytest.raises(VerificationError, match=message):
        envelope.verify(key.public)


def test_a_signature_over_one_type_is_none_over_another():
    envelope = sign(KEY, PAYLOAD, "text/plain")
    assert envelope.verify(KEY.public, "text/plain") == PAYLOAD
    relabelled = Envelope(PAYLOAD, IN_TOTO, envelope.keyid, envelope.signature)
    with pytest.raises(VerificationError, match="not made by key"):
        relabelled.verify(KEY.public)


def test_a_signature_has_one_form():
    """S + L would verify, too, did nobody look (RFC 8032, section 5.1.7)."""
    s = int.from_bytes(ENVELOPE.signature[32:], "little") + _L
    forged = ENVELOPE.signature[:32] + s.to_bytes(32, "little")
    with pytest.raises(VerificationError):
        Envelope(PAYLOAD, IN_TOTO, ENVELOPE.keyid, forged).verify(KEY.public)


def test_no_bit_of_an_envelope_can_be_flipped():
    data = sign(KEY, b"{}").to_bytes()
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(VerificationError):
            Envelope.read(bytes(flipped)).verify(KEY.public)


# The eight points of low order, as published in "Taming the many EdDSAs" and libsodium's blacklist.
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


@pytest.mark.parametrize("encoded", LOW_ORDER)
def test_keys_under_which_anyone_can_sign_are_refused(encoded):
    with pytest.raises(VerificationError, match="low order"):
        PublicKey(bytes.fromhex(encoded))


def test_such_a_key_would_have_been_believed():
    """R = the neutral point, S = 0: OpenSSL takes it for a signature of every message."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(LOW_ORDER[0]))
    key.verify(bytes.fromhex(LOW_ORDER[0]) + bytes(32), b"any message")


@pytest.mark.parametrize(
    ("y", "sign_bit"),
    [
        *((_P, 0), (_P, 1), (_P + 1, 0), (_P + 1, 1), (2**255 - 1, 0), (2**255 - 1, 1)),
        *((2, 0), (2, 1)),  # on no point of the curve
        *((1, 1), (_P - 1, 1)),  # x = 0 has no sign
    ],
)
def test_bytes_that_are_no_point_are_refused(y, sign_bit):
    encoded = (y | sign_bit << 255).to_bytes(32, "little")
    with pytest.raises(VerificationError, match="not the canonical encoding"):
        PublicKey(encoded)


def test_a_key_with_a_small_part_is_refused():
    """A good key plus a point of order 8: signatures under it verify here and not there."""
    from bookplate.provenance.custody.ed25519_points import _add, _decompress

    x, y, z, _ = _add(_decompress(KEY.public.raw), _decompress(bytes.fromhex(LOW_ORDER[4])))
    x, y = (value * pow(z, -1, _P) % _P for value in (x, y))
    with pytest.raises(VerificationError, match="outside the subgroup"):
        PublicKey((y | (x & 1) << 255).to_bytes(32, "little"))


def test_every_made_key_is_accepted():
    for _ in range(30):
        assert why_no_key(SigningKey.generate().public.raw) == ""


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33)])
def test_a_key_has_32_bytes(raw):
    with pytest.raises(VerificationError, match="32 bytes"):
        PublicKey(raw)


def test_a_saved_key_is_private_and_the_same(tmp_path):
    KEY.save(tmp_path / "key.pem")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert SigningKey.read(tmp_path / "key.pem").public == KEY.public
    with pytest.raises(InvalidInput, match="exists"):
        KEY.save(tmp_path / "key.pem")


def test_a_public_key_survives_its_file(tmp_path):
    path = tmp_path / "key.pub"
    path.write_bytes(KEY.public.to_pem())
    assert PublicKey.read(path) == KEY.public
    assert len({PublicKey.read(path), KEY.public, OTHER.public}) == 2


def test_a_key_is_never_shown():
    secret = KEY._key.private_bytes_raw()
    assert KEY.public.keyid[:16] in repr(KEY)
    assert secret.hex() not in repr(KEY)
    assert repr(secret) not in repr(vars(type(KEY)))
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(KEY)


def pem_of(key, password=None):
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"secret stuff",
        KEY.public.to_pem(),
        pem_of(x25519.X25519PrivateKey.generate()),
        pem_of(ed25519.Ed25519PrivateKey.generate(), b"password"),
        b"x" * 100_000,
    ],
)
def test_files_without_a_signing_key_are_refused_and_not_repeated(tmp_path, pem):
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(InvalidInput) as caught:
        SigningKey.read(tmp_path / "key.pem")
    assert "secret stuff" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", "not a public key"),
        (pem_of(KEY._key), "not a public key"),
        (
            rsa
            .generate_private_key(65537, 2048)
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "expected an Ed25519",
        ),
        (
            ed25519.Ed25519PublicKey.from_public_bytes(bytes(32)).public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "low order",
        ),
    ],
)
def test_files_without_a_public_key_are_refused(tmp_path, pem, message):
    (tmp_path / "key.pub").write_bytes(pem)
    with pytest.raises(VerificationError, match=message):
        PublicKey.read(tmp_path / "key.pub")


def test_files_that_are_not_there(tmp_path):
    for kind in (SigningKey, PublicKey):
        with pytest.raises(InvalidInput, match="cannot be read"):
            kind.read(tmp_path / "none.pem")


@pytest.mark.parametrize("payload_type", ["", "type/ø", "a\nb"])
def test_only_a_media_type_can_be_signed(payload_type):
    with pytest.raises(InvalidInput, match="media type"):
        sign(KEY, b"", payload_type)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_verifies_without_this_tool(tmp_path):
    (tmp_path / "key.pub").write_bytes(KEY.public.to_pem())
    (tmp_path / "signature").write_bytes(ENVELOPE.signature)
    (tmp_path / "pae").write_bytes(pre_authentication_encoding(IN_TOTO, PAYLOAD))
    command = "openssl pkeyutl -verify -rawin -pubin -inkey key.pub -sigfile signature -in pae"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "pae").write_bytes(b"other")
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True).returncode


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({
        "payload": JSON,
        "payloadType": JSON,
        "signatures": st.lists(JSON, max_size=2),
    }).map(lambda value: json.dumps(value).encode())
)
def test_no_input_breaks_the_reader(data):
    for read in (
        lambda: Envelope.read(data).verify(KEY.public),
        lambda: strict_object(data, "it", limit=1 << 20),
        lambda: canonical_object(data, "it", limit=1 << 20),
        lambda: PublicKey.from_pem(data),
        lambda: PublicKey(data),
    ):
        error = refusal(read)
        assert error is None or isinstance(error, VerificationError)
        assert str(error).isprintable()


def test_the_key_id_is_the_fingerprint_that_openssl_prints():
    der = base64.b64decode("".join(KEY.public.to_pem().decode().splitlines()[1:-1]))
    assert len(der) == 44
    assert KEY.public.keyid == hashlib.sha256(der).hexdigest()
