"""Timestamps: answers of an authority made with openssl, and forgeries that it would not make."""

import hashlib
import re
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.provenance.custody import AuthorityChain, TimestampRequest
from bookplate.provenance.custody.der import with_sorted_certificates
from bookplate.provenance.custody.timestamps import check_answer, send
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from timestamp_authority import (
    TIME_STAMPING,
    answer_of_openssl,
    certified,
    der,
    forged_answer,
    integer,
    laid_out,
)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")

MESSAGE = b'{"format":"bookplate-commitment/1"}'
DIGEST = hashlib.sha256(MESSAGE).digest()
ALONE = ([TIME_STAMPING], True)
ROOT = certified("Test root", authority=True, end=3650, begin=-400)
OTHER_ROOT = certified("Test root", authority=True)
MIDDLE = certified("Test intermediate", ROOT, authority=True)
CHAIN = AuthorityChain.from_pem(ROOT.pem)


def refusal(call):
    """The error of ours that a call ends with; None if it ends well. Others pass through."""
    try:
        call()
    except BookplateError as error:
        return error
    return None


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    signer = certified("Test TSA", ROOT, usage=ALONE)
    return laid_out(tmp_path_factory.mktemp("tsa"), signer)


@pytest.fixture(scope="module")
def stamped(authority):
    request = TimestampRequest.of(MESSAGE)
    return request, answer_of_openssl(authority, request.to_bytes())


def test_an_authority_testifies_to_a_time(stamped):
    request, answer = stamped
    found = CHAIN.verify(answer, MESSAGE, nonce=request.nonce)
    assert abs(found.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert found.time.utcoffset() == timedelta(0)
    assert found.accuracy == timedelta(seconds=1.5)
    assert found.latest == found.time + timedelta(seconds=1.5)
    assert (found.authority, found.policy) == ("CN=Test TSA", "1.2.3.4.1")
    assert CHAIN.verify(answer, MESSAGE) == found


def test_openssl_agrees(authority, stamped):
    (authority / "root.pem").write_bytes(ROOT.pem)
    (authority / "message").write_bytes(MESSAGE)
    (authority / "a.tsr").write_bytes(stamped[1])
    command = "openssl ts -verify -in a.tsr -data message -CAfile root.pem"
    assert subprocess.run(command.split(), cwd=authority, capture_output=True).returncode == 0


@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 255, 256, 2**63, 2**64 - 1])
def test_openssl_reads_the_request(tmp_path, nonce):
    request = TimestampRequest(DIGEST, nonce)
    (tmp_path / "q").write_bytes(request.to_bytes())
    command = "openssl ts -query -in q -text"
    shown = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True).stdout
    assert "Version: 1" in shown
    assert "Hash Algorithm: sha256" in shown
    assert "Certificate required: yes" in shown
    assert int(re.search(r"Nonce: (0x[0-9A-F]+)", shown)[1], 16) == nonce


def test_requests_show_only_the_digest_and_differ():
    first, second = TimestampRequest.of(MESSAGE), TimestampRequest.of(MESSAGE)
    assert first.nonce != second.nonce
    assert DIGEST in first.to_bytes()
    assert MESSAGE not in first.to_bytes()
    with pytest.raises(InvalidInput):
        TimestampRequest(b"short", 1)
    with pytest.raises(InvalidInput):
        TimestampRequest(DIGEST, 2**64)


def test_no_accuracy_is_told_apart_from_a_perfect_one(authority):
    answer = answer_of_openssl(authority, TimestampRequest.of(MESSAGE).to_bytes(), accuracy="")
    found = CHAIN.verify(answer, MESSAGE)
    assert found.accuracy is None
    assert found.latest == found.time


@pytest.mark.parametrize("given_by", ["token", "verifier"])
def test_an_intermediate_authority(tmp_path, given_by):
    signer = certified("Test TSA", MIDDLE, usage=ALONE)
    in_token = given_by == "token"
    folder = laid_out(tmp_path, signer, [MIDDLE] if in_token else [])
    answer = answer_of_openssl(folder, TimestampRequest.of(MESSAGE).to_bytes())
    chain = CHAIN if in_token else AuthorityChain.from_pem(MIDDLE.pem + ROOT.pem)
    assert chain.verify(answer, MESSAGE).authority == "CN=Test TSA"
    if not in_token:
        with pytest.raises(VerificationError, match="chain of certificates does not hold"):
            CHAIN.verify(answer, MESSAGE)


def test_an_intermediate_authority_is_no_root(tmp_path):
    """It helps to find the way to a root; without that root it proves nothing."""
    folder = laid_out(tmp_path, certified("Test TSA", MIDDLE, usage=ALONE))
    answer = answer_of_openssl(folder, TimestampRequest.of(MESSAGE).to_bytes())
    for root in (OTHER_ROOT, certified("Unrelated root", authority=True)):
        with pytest.raises(VerificationError, match="does not hold"):
            AuthorityChain.from_pem(root.pem + MIDDLE.pem).verify(answer, MESSAGE)


@pytest.mark.parametrize("order", [1, -1])
def test_certificates_may_come_in_any_order(tmp_path, order):
    """openssl writes them as told; in at least one of these orders that is not the order of DER."""
    signer = certified("Test TSA", MIDDLE, usage=ALONE)
    folder = laid_out(tmp_path, signer, [MIDDLE, ROOT][::order])
    answer = answer_of_openssl(folder, TimestampRequest.of(MESSAGE).to_bytes())
    assert CHAIN.verify(answer, MESSAGE).authority == "CN=Test TSA"
    ordered = with_sorted_certificates(answer)
    assert sorted(ordered) == sorted(answer)
    assert with_sorted_certificates(ordered) == ordered


def test_a_forger_s_tools_make_true_answers_too(authority):
    """So that each forgery below is refused for what is forged, not for how it was made."""
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    folder = laid_out(authority / "long", certified("Old TSA", ROOT, usage=ALONE, begin=-399))
    found = CHAIN.verify(forged_answer(folder, DIGEST, when=when), MESSAGE, nonce=1)
    assert found.time == when


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda a: (CHAIN, a, b"another message", None), "of another message"),
        (lambda a: (CHAIN, a, MESSAGE, 12345), "its nonce differs"),
        (lambda a: (CHAIN, a + b"\0", MESSAGE, None), "bytes after it"),
        (lambda a: (CHAIN, a[:-1], MESSAGE, None), "no timestamp"),
        (lambda a: (CHAIN, b"", MESSAGE, None), "no timestamp"),
        (lambda a: (CHAIN, b"<html>", MESSAGE, None), "no timestamp"),
        (lambda a: (CHAIN, bytes(2 << 20), MESSAGE, None), "more than"),
        (lambda a: (AuthorityChain.from_pem(OTHER_ROOT.pem), a, MESSAGE, None), "does not hold"),
    ],
)
def test_each_misuse_of_a_true_answer_is_refused_by_name(stamped, forge, message):
    chain, answer, stamped_message, nonce = forge(stamped[1])
    with pytest.raises(VerificationError, match=message):
        chain.verify(answer, stamped_message, nonce=nonce)


def test_other_hashes_are_refused(authority):
    """A stamp of SHA-512 by an authority is true, but not what a commitment refers to."""
    request = TimestampRequest.of(MESSAGE).to_bytes()
    sha512 = bytes.fromhex("0609608648016503040203") + b"\x05\x00"
    imprint = der(0x30, der(0x30, sha512), der(0x04, hashlib.sha512(MESSAGE).digest()))
    request = der(0x30, integer(1), imprint, b"\x01\x01\xff")
    with pytest.raises(VerificationError, match="not about a SHA-256"):
        CHAIN.verify(answer_of_openssl(authority, request), MESSAGE)


def test_an_answer_without_the_certificate_is_refused(authority):
    request = TimestampRequest.of(MESSAGE).to_bytes()
    without = der(0x30, request[2:-3])
    with pytest.raises(VerificationError, match="brings 0 certificates"):
        CHAIN.verify(answer_of_openssl(authority, without), MESSAGE)


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 99])
def test_only_granted_is_granted(authority, status):
    with pytest.raises(VerificationError, match=f"no timestamp: status {status}"):
        CHAIN.verify(forged_answer(authority, DIGEST, status=status), MESSAGE)


def test_a_refusal_carries_no_token():
    with pytest.raises(VerificationError, match="status 2"):
        CHAIN.verify(der(0x30, der(0x30, integer(2))), MESSAGE)
    with pytest.raises(VerificationError, match="malformed inside"):
        CHAIN.verify(der(0x30, der(0x30, integer(0))), MESSAGE)


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        (None, "not one for timestamps"),
        (([ExtendedKeyUsageOID.SERVER_AUTH], True), "not for timestamps alone"),
        (([TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING], True), "not for timestamps alone"),
        (([TIME_STAMPING], False), "not critical"),
    ],
)
def test_certificates_for_other_uses_are_refused(tmp_path, usage, message):
    folder = laid_out(tmp_path, certified("Test TSA", ROOT, usage=usage))
    with pytest.raises(VerificationError, match=message):
        CHAIN.verify(forged_answer(folder, DIGEST), MESSAGE)


@pytest.mark.parametrize(("begin", "end", "when"), [(-30, -2, 0), (-30, 30, -40), (-30, 30, 40)])
def test_the_time_must_lie_in_the_certificate_s_validity(tmp_path, begin, end, when):
    folder = laid_out(tmp_path, certified("TSA", ROOT, usage=ALONE, begin=begin, end=end))
    time = datetime.now(UTC) + timedelta(days=when)
    with pytest.raises(VerificationError, match="outside the validity of its certificate"):
        CHAIN.verify(forged_answer(folder, DIGEST, when=time), MESSAGE)


def test_a_certificate_that_expired_since_still_testifies(tmp_path):
    folder = laid_out(tmp_path, certified("TSA", ROOT, usage=ALONE, begin=-30, end=-2))
    time = datetime.now(UTC) - timedelta(days=10)
    assert CHAIN.verify(forged_answer(folder, DIGEST, when=time), MESSAGE)


def test_a_root_that_was_not_valid_then_is_refused(tmp_path):
    root = certified("Old root", authority=True, begin=-30, end=-2)
    folder = laid_out(tmp_path, certified("TSA", root, usage=ALONE))
    with pytest.raises(VerificationError, match="does not hold"):
        AuthorityChain.from_pem(root.pem).verify(forged_answer(folder, DIGEST), MESSAGE)


def test_a_certificate_that_no_authority_gave_is_refused(tmp_path):
    """Self-signed, signed by one that is no authority, or by a root of the same name."""
    leaf = certified("Leaf", ROOT, usage=ALONE)
    false_issuer = certified("TSA", leaf, usage=ALONE)
    forgeries = [
        (certified("TSA", usage=ALONE), []),
        (false_issuer, [leaf]),
        (certified("TSA", OTHER_ROOT, usage=ALONE), [OTHER_ROOT]),
    ]
    for i, (signer, extra) in enumerate(forgeries):
        folder = laid_out(tmp_path / str(i), signer)
        with pytest.raises(VerificationError, match="does not hold"):
            CHAIN.verify(forged_answer(folder, DIGEST, extra=extra), MESSAGE)


def test_two_certificates_of_one_name_are_refused(tmp_path):
    """Else one could be read for its purpose, and the other be the one that signed."""
    web = certified("TSA", ROOT, usage=([ExtendedKeyUsageOID.SERVER_AUTH], True))
    double = certified("X", ROOT, usage=ALONE, serial=web.certificate.serial_number)
    folder = laid_out(tmp_path, web)
    with pytest.raises(VerificationError, match="brings 2 certificates of its signer"):
        CHAIN.verify(forged_answer(folder, DIGEST, extra=[double]), MESSAGE)


def test_a_signature_over_something_else_is_refused(authority):
    answer = bytearray(forged_answer(authority, DIGEST))
    other = hashlib.sha256(b"other").digest()
    at = answer.index(DIGEST)
    answer[at : at + 32] = other
    with pytest.raises(VerificationError, match="does not hold"):
        CHAIN.verify(bytes(answer), b"other")


def test_flipped_bits_are_refused_or_change_nothing(stamped):
    """What is not signed may differ (CMS allows it), but never what was testified."""
    _, answer = stamped
    true = CHAIN.verify(answer, MESSAGE)
    accepted = 0
    for at in range(len(answer)):
        flipped = bytearray(answer)
        flipped[at] ^= 1 << at % 8
        found = []
        error = refusal(lambda f=found, b=flipped: f.append(CHAIN.verify(bytes(b), MESSAGE)))
        assert error is None or isinstance(error, VerificationError)
        assert str(error).isprintable()
        assert found in ([], [true])
        accepted += len(found)
    assert accepted < 0.02 * len(answer)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_answer_breaks_the_reader(stamped, data):
    _, answer = stamped
    at = data.draw(st.integers(0, len(answer)))
    cut = data.draw(st.integers(0, 30))
    garbage = data.draw(st.binary(max_size=30))
    for bad in (garbage, answer[:at] + garbage + answer[at + cut :]):
        error = refusal(lambda bad=bad: CHAIN.verify(bad, MESSAGE))
        assert error is None or isinstance(error, VerificationError)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_file_breaks_the_reader_of_chains(garbage, at):
    for pem in (garbage, ROOT.pem[:at] + garbage + ROOT.pem[at + len(garbage) :]):
        error = refusal(lambda pem=pem: AuthorityChain.from_pem(pem))
        assert error is None or isinstance(error, InvalidInput)


def test_checking_against_nothing_is_not_passing(tmp_path):
    path = tmp_path / "chain.pem"
    for pem, message in ((b"", "no certificates"), (MIDDLE.pem, "no root certificate")):
        path.write_bytes(pem)
        with pytest.raises(InvalidInput, match=message):
            AuthorityChain.read(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        AuthorityChain.read(tmp_path / "none.pem")
    path.write_bytes(MIDDLE.pem + ROOT.pem + ROOT.pem)
    assert AuthorityChain.read(path) == AuthorityChain((ROOT.certificate,), (MIDDLE.certificate,))


@pytest.fixture
def serve():
    """Start servers that answer as told; they end with the test."""
    servers = []

    def start(answer_to, *, status=200, kind="application/timestamp-reply", delay=None):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                if delay:
                    delay.wait(5)
                answer = answer_to(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/tsa"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_request_is_sent_and_its_answer_holds(authority, serve):
    request = TimestampRequest.of(MESSAGE)
    url = serve(lambda body: answer_of_openssl(authority, body))
    CHAIN.verify(send(request, url), MESSAGE, nonce=request.nonce)


def test_what_is_no_answer_is_refused(serve):
    request = TimestampRequest.of(MESSAGE)
    for url, message in (
        (serve(lambda _: b"", status=500), "answered 500"),
        (serve(lambda _: b"<html>", kind="text/html"), "answered 200 'text/html'"),
        (serve(lambda _: b"", status=302), "answered 302"),
        (serve(lambda _: bytes(2 << 20)), "more than"),
    ):
        with pytest.raises(VerificationError, match=message):
            send(request, url)


def test_nobody_is_waited_for_for_ever(serve):
    request = TimestampRequest.of(MESSAGE)
    release = threading.Event()
    url = serve(lambda _: b"", delay=release)
    with pytest.raises(InvalidInput, match="cannot be reached"):
        send(request, url, timeout=0.2)
    release.set()
    for url in ("http://127.0.0.1:1/", "nonsense://x", "http://[", ""):
        with pytest.raises(InvalidInput, match="cannot be reached"):
            send(request, url, timeout=0.2)


# Requests that were kept, and answers before their authority is trusted.


def test_a_request_comes_back_also_that_of_openssl(tmp_path):
    for nonce in (0, 1, 127, 128, 2**63, 2**64 - 1):
        request = TimestampRequest(DIGEST, nonce)
        assert TimestampRequest.from_bytes(request.to_bytes()) == request
    (tmp_path / "message").write_bytes(MESSAGE)
    query = ["openssl", "ts", "-query", "-data", "message", "-sha256", "-cert", "-out", "q.tsq"]
    subprocess.run(query, cwd=tmp_path, check=True, capture_output=True)
    assert TimestampRequest.from_bytes((tmp_path / "q.tsq").read_bytes()).message_sha256 == DIGEST


@given(st.integers(0, 80), st.binary(max_size=3))
@settings(max_examples=200, deadline=None)
def test_what_is_no_request_is_refused(place, other):
    data = TimestampRequest(DIGEST, 12345).to_bytes()
    altered = data[:place] + other + data[place + 1 :]
    error = refusal(lambda: TimestampRequest.from_bytes(altered))
    if error is None:  # another digest, or another nonce
        assert TimestampRequest.from_bytes(altered).to_bytes() == altered
    else:
        assert isinstance(error, InvalidInput)


def test_an_answer_is_told_from_one_to_something_else(authority):
    request = TimestampRequest.of(MESSAGE)
    answer = answer_of_openssl(authority, request.to_bytes())
    time = check_answer(answer, DIGEST, nonce=request.nonce)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)
    assert check_answer(answer, DIGEST) == time
    for call in (
        lambda: check_answer(answer, DIGEST, nonce=request.nonce ^ 1),
        lambda: check_answer(answer, hashlib.sha256(b"other").digest()),
        lambda: check_answer(answer[:-1], DIGEST),
        lambda: check_answer(b"", DIGEST),
    ):
        assert isinstance(refusal(call), VerificationError)
