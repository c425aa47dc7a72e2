"""Keys, timestamps, custody logs and disclosures at the command line; no secret is ever printed."""

import base64
import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from bookplate.provenance.custody import BeaconedSecret, PublicKey, SigningKey
from bookplate.provenance.custody.beacons import DRAND_QUICKNET
from bookplate.provenance.custody.promises import KeyPromise
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.release import Release

sys.path.insert(0, str(Path(__file__).parents[1] / "provenance"))
from timestamp_authority import (
    TIME_STAMPING,
    answer_of_openssl,
    certified,
    forged_answer,
    laid_out,
)

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command"
)
SIGNATURE = bytes(range(48))
TEXTS = [f"They often worked, and the couple of {i} usually prospered." for i in range(9)]
CARD = ["--name", "Tales", "--description", "Of harbours.", "--license", "CC-BY-4.0"]
CARD += ["--url", "https://example.org/t", "--creator", "H & Sons", "--published", "2026-11-22"]


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A timestamp authority, and its root certificate in `root.pem`."""
    root = certified("Test root", authority=True)
    folder = laid_out(
        tmp_path_factory.mktemp("tsa"), certified("Test TSA", root, usage=([TIME_STAMPING], True))
    )
    (folder / "root.pem").write_bytes(root.pem)
    (folder / "other.pem").write_bytes(certified("Test root", authority=True).pem)
    return folder


@pytest.fixture
def stamp(authority):
    """Have a file timestamped: now by openssl, or at a time of one's choice."""

    def stamp(file, answer, when=None):
        data = file.read_bytes()
        if when is None:
            subprocess.run(
                ["openssl", "ts", "-query", "-data", file, "-sha256", "-cert", "-out", "q.tsq"],
                check=True, capture_output=True, cwd=file.parent,
            )  # fmt: skip
            found = answer_of_openssl(authority, (file.parent / "q.tsq").read_bytes())
        else:
            found = forged_answer(authority, hashlib.sha256(data).digest(), when=when)
        answer.write_bytes(found)

    return stamp


@pytest.fixture
def release(run, tmp_path):
    """A release of a small dataset, marked with the key in `key`."""
    rows = [{"text": text, "id": f"d{i}"} for i, text in enumerate(TEXTS)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    MarkingKey(bytes(range(32)), b"s" * 32).save(tmp_path / "key")
    marked = ["watermark", "embed", "data.jsonl", "out", "--key", "key", "--id-column", "id"]
    assert run(*marked, "--dataset", "tales", "--recipient", "Ann")[0] == 0
    return tmp_path / "out"


def json_of(done):
    code, out, err = done
    assert code == 0, err
    return json.loads(out)


def refused(done, code, words):
    """One line of error, on standard error, with this exit code."""
    assert done[0] == code, done
    (line,) = [line for line in done[2].splitlines() if line.startswith("error: ")]
    assert re.search(words, line), line
    assert "Traceback" not in done[2]


# Signing keys.


def test_a_new_signing_key_is_two_files(run, tmp_path):
    code, out, err = run("key", "new", "signer", "--signing")
    signer = SigningKey.read(tmp_path / "signer")
    assert code == 0
    assert signer.public.keyid in out
    assert PublicKey.read(tmp_path / "signer.pub") == signer.public
    assert stat.S_IMODE((tmp_path / "signer").stat().st_mode) == 0o600
    assert b"PRIVATE" not in (tmp_path / "signer.pub").read_bytes()
    assert secret_of(tmp_path / "signer") not in out + err


def secret_of(pem):
    return pem.read_text().splitlines()[1]


@pytest.mark.parametrize("there", ["signer", "signer.pub"])
def test_a_signing_key_is_never_overwritten_nor_half_made(run, tmp_path, there):
    (tmp_path / there).write_text("mine")
    refused(run("key", "new", "signer", "--signing"), 2, "already exists")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_every_kind_of_key_file_is_shown_without_its_secret(run, tmp_path):
    run("key", "new", "signer", "--signing")
    run("key", "new", "marking")
    run("key", "promise", "secret", "--at", "2999-01-01T00:00:00Z")
    marking, secret = (
        MarkingKey.read(tmp_path / "marking"),
        BeaconedSecret.read(tmp_path / "secret"),
    )
    expected = {
        "signer": ("signing key", PublicKey.read(tmp_path / "signer.pub").keyid),
        "signer.pub": (
            "public key of a signing key",
            PublicKey.read(tmp_path / "signer.pub").keyid,
        ),
        "marking": ("marking key", marking.commitment),
        "secret": ("secret of a key promise", secret.commitment),
        "key-promise.json": ("key promise", secret.commitment),
    }
    raw = base64.b64decode(secret_of(tmp_path / "signer"))[-32:]
    hidden = [s.hex() for s in (marking.secret, marking.salt, secret.secret, secret.salt, raw)]
    hidden += [secret_of(tmp_path / "signer")]
    for file, (kind, fact) in expected.items():
        shown = json_of(run("key", "show", file, "--json"))
        assert shown["kind"] == kind
        assert fact in shown.values()
        assert shown["secret"] == (not file.endswith((".pub", ".json")))
        text = "".join(map(str, run("key", "show", file)))
        assert fact in text
        assert not [part for part in hidden if part in text + json.dumps(shown)]


def test_a_secret_that_others_can_read_is_remarked_on(run, tmp_path):
    run("key", "new", "marking")
    assert "others" not in run("key", "show", "marking")[2]
    (tmp_path / "marking").chmod(0o644)
    assert "others can read it" in run("key", "show", "marking")[2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nSECRETSECRET\n-----END PUBLIC KEY-----\n",
        b'{"format": "bookplate-key/1", "secret": "SECRETSECRET"}',
        b'{"format": "bookplate-beaconed-secret/1", "secret": "SECRETSECRET"}',
        b'{"format": "bookplate-key-promise/1", "commitment": 7}',
        b'{"format": "bookplate-key-draw/1"',
    ],
)
def test_what_is_no_key_file_is_refused_and_not_repeated(run, tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    done = run("key", "show", "key")
    refused(done, 2, "^error: key: ")
    assert "SECRETSECRET" not in done[1] + done[2]


# Opening a sub-key.


def test_an_opened_sub_key_draws_one_dataset_and_no_other(run, tmp_path, release):
    owner = MarkingKey.read(tmp_path / "key")
    published = ["--release", "out/release/release.json"]
    named = ["--dataset", "tales", "--recipient", "Ann"]
    shown = json_of(run("key", "open", "key", "copy.key", *named, *published, "--json"))
    opened = MarkingKey.read(tmp_path / "copy.key")
    assert opened == owner.for_dataset("tales").for_recipient("Ann")
    assert shown["commitment"] == Release.read(release / "release" / "release.json").key_commitment
    assert stat.S_IMODE((tmp_path / "copy.key").stat().st_mode) == 0o600
    assert json_of(run("key", "open", "key", "set.key", "--dataset", "tales", "--json"))
    for part in ("copy.key", "set.key"):
        evidence = ["out/private/manifest.parquet", "--key", part, "--suspect", "no-such-model"]
        refused(run("watermark", "detect", *evidence), 2, "no-such-model")  # the key was accepted
    run("key", "open", "key", "other.key", "--dataset", "other")
    evidence[2] = "other.key"
    refused(run("watermark", "detect", *evidence), 2, "this key did not mark this release")


def test_a_sub_key_that_was_not_committed_to_is_not_handed_over(run, tmp_path, release):
    published = ["--release", str(release / "release" / "release.json")]
    done = run("key", "open", "key", "copy.key", "--dataset", "other", *published)
    refused(done, 1, "commits to another key")
    assert not (tmp_path / "copy.key").exists()
    refused(run("key", "open", "key", "copy.key"), 2, "name what to open")


# Promised keys.


def promised(run, tmp_path, *, at=None):
    """A promise for a round in the future, and the beacon's answer of then."""
    time = at or datetime.now(UTC) + timedelta(days=1)
    made = json_of(run("key", "promise", "secret", "--at", time.isoformat(), "--json"))
    answer = {"round": made["round"], "signature": SIGNATURE.hex()}
    (tmp_path / "beacon.json").write_text(json.dumps(answer))
    return made


def checked(run, *more, promise="key-promise.json", beacon="beacon.json", roots="root.pem"):
    options = ["--promise", promise, "--timestamp", "promise.tsr", "--roots", roots]
    return run("key", "check-draw", "key-draw.json", *options, "--beacon", beacon, *more)


@pytest.fixture
def drawn(run, tmp_path, authority, stamp):
    """A key that was promised, timestamped and drawn."""
    promised(run, tmp_path)
    stamp(tmp_path / "key-promise.json", tmp_path / "promise.tsr")
    shutil.copy(authority / "root.pem", tmp_path)
    shutil.copy(authority / "other.pem", tmp_path)
    return json_of(run("key", "draw", "secret", "beacon.json", "drawn", "--json"))


@needs_openssl
def test_a_promised_key_from_promise_to_court(run, tmp_path, drawn):
    key = MarkingKey.read(tmp_path / "drawn")
    assert stat.S_IMODE((tmp_path / "drawn").stat().st_mode) == 0o600
    assert drawn["commitment"] == key.commitment
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (tmp_path / "data.jsonl").write_text(rows)
    assert (
        run("watermark", "embed", "data.jsonl", "out", "--key", "drawn", "--dataset", "t")[0] == 0
    )
    closed = json_of(checked(run, "--json"))
    assert closed["holds"]
    assert not closed["follows_from_the_promise"]
    assert "claimed; the secret was not opened" in checked(run)[1]
    release = ["--release", "out/release/release.json"]
    refused(checked(run, *release), 1, "was marked with another key.*--opened can show it")
    opened = ["--opened", "secret", *release, "--dataset", "t"]
    assert json_of(checked(run, *opened, "--json"))["follows_from_the_promise"]
    refused(checked(run, *opened[:-1], "other"), 1, "was marked with another key")
    secret = BeaconedSecret.read(tmp_path / "secret")
    said = "".join(checked(run, *opened)[1:]) + (tmp_path / "key-draw.json").read_text()
    assert not [s for s in (secret.secret, secret.salt, key.secret, key.salt) if s.hex() in said]


@needs_openssl
def test_a_dishonest_draw_is_told_by_exit_code_1(run, tmp_path, drawn, stamp):
    other = json.loads((tmp_path / "beacon.json").read_text()) | {"signature": "00" * 48}
    (tmp_path / "looked-up.json").write_text(json.dumps(other))
    refused(checked(run, beacon="looked-up.json"), 1, "another value than the beacon published")
    refused(checked(run, roots="other.pem"), 1, "timestamp's signature or chain")
    record = json.loads((tmp_path / "key-draw.json").read_text())
    forged = record | {"keyCommitment": MarkingKey.generate().commitment}
    (tmp_path / "key-draw.json").write_text(json.dumps(forged))
    assert checked(run)[0] == 0  # not to be told without the secret, and said to be claimed
    refused(checked(run, "--opened", "secret"), 1, "does not follow")
    (tmp_path / "key-draw.json").write_text(json.dumps(record))
    stamp(
        tmp_path / "key-promise.json",
        tmp_path / "promise.tsr",
        when=datetime.now(UTC) + timedelta(days=2),
    )
    done = checked(run, "--json")
    refused(done, 1, "may have been chosen")
    assert json.loads(done[1])["holds"] is False


def test_a_round_that_is_known_is_not_promised(run, tmp_path):
    refused(run("key", "promise", "secret", "--round", 1), 2, "its value is known")
    refused(run("key", "promise", "secret"), 2, "either --round or --at")
    refused(run("key", "promise", "s", "--at", "2999-01-01"), 2, "expected a time with its zone")
    refused(run("key", "promise", "s", "--at", "x", "--round", 5), 2, "either --round or --at")
    refused(run("key", "promise", "s", "--round", 5, "--source", "a b"), 2, "beacon source")
    assert list(tmp_path.iterdir()) == []


def test_a_promise_binds_a_file_too(run, tmp_path):
    (tmp_path / "data").write_bytes(b"texts")
    options = ["--source", "nist:2.0:chain-2", "--round", 7, "--fixed", "data"]
    made = json_of(run("key", "promise", "secret", *options, "--public", "p.json", "--json"))
    assert made["fixed"] == hashlib.sha256(b"texts").hexdigest()
    assert made["known_at"] is None
    assert KeyPromise.read(tmp_path / "p.json").fixed == made["fixed"]


def test_another_round_than_the_promised_draws_no_key(run, tmp_path):
    made = promised(run, tmp_path)
    answer = {"round": made["round"] + 1, "signature": SIGNATURE.hex()}
    (tmp_path / "beacon.json").write_text(json.dumps(answer))
    refused(run("key", "draw", "secret", "beacon.json", "drawn"), 2, "committed to round")
    (tmp_path / "beacon.json").write_text("{}")
    refused(run("key", "draw", "secret", "beacon.json", "drawn"), 2, r"beacon\.json")
    assert made["source"] == DRAND_QUICKNET
    assert not {"drawn", "key-draw.json"} & {path.name for path in tmp_path.iterdir()}


# Timestamps.


@needs_openssl
def test_a_timestamp_by_hand(run, tmp_path, authority):
    """Request, openssl as the authority, attach, verify; and openssl reads our request."""
    file = tmp_path / "it's.json"
    file.write_bytes(b"{}")
    asked = json_of(run("timestamp", "request", file.name, "--json"))
    assert asked["out"] == "it's.json.tsq"
    assert "--data-binary '@it'\"'\"'s.json.tsq'" in asked["send"]
    answer = answer_of_openssl(authority, (tmp_path / asked["out"]).read_bytes())
    (tmp_path / "answer").write_bytes(answer)
    attach = ["timestamp", "attach", file.name, "answer", "--name", "test"]
    assert run(*attach, "--request", asked["out"])[0] == 0
    assert (tmp_path / "it's.json.test.tsr").read_bytes() == answer
    verify = ["timestamp", "verify", file.name, "it's.json.test.tsr", "--roots"]
    code, out, _ = run(*verify, authority / "root.pem", "--request", asked["out"])
    assert code == 0
    for words in ("within 1.5 s", "1.2.3.4.1", "CN=Test TSA"):
        assert words in out
    shown = json_of(run(*verify, authority / "root.pem", "--json"))
    assert shown["holds"]
    assert shown["accuracy_seconds"] == pytest.approx(1.5)
    assert datetime.fromisoformat(shown["existed_before"]) > datetime.fromisoformat(shown["time"])
    refused(run(*verify, authority / "other.pem"), 1, "chain of certificates")
    file.write_bytes(b"{ }")
    done = run(*verify, authority / "root.pem", "--json")
    refused(done, 1, "of another message")
    assert json.loads(done[1]) == {"holds": False, "reason": "the timestamp is of another message"}


@needs_openssl
def test_an_answer_to_something_else_is_not_attached(run, tmp_path, authority):
    (tmp_path / "file").write_bytes(b"{}")
    run("timestamp", "request", "file")
    run("timestamp", "request", "file", "--out", "again.tsq")
    (tmp_path / "answer").write_bytes(
        answer_of_openssl(authority, (tmp_path / "file.tsq").read_bytes())
    )
    attach = ["timestamp", "attach", "file", "answer", "--name"]
    refused(run(*attach, "a", "--request", "again.tsq"), 1, "nonce differs")
    refused(run(*attach, "a", "--roots", authority / "other.pem"), 1, "chain of certificates")
    refused(run(*attach, "../a"), 2, "--name")
    refused(run(*attach, "a", "--request", "file"), 2, "no timestamp request")
    (tmp_path / "answer").write_bytes(b"<html>")
    refused(run(*attach, "a"), 1, "no timestamp")
    assert not list(tmp_path.glob("*.tsr"))


@pytest.fixture
def served(authority):
    """An authority on loopback; `answers` changes what it says."""

    class Handler(BaseHTTPRequestHandler):
        twist = staticmethod(lambda answer: answer)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = Handler.twist(answer_of_openssl(authority, body))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/tsa", Handler
    server.shutdown()
    server.server_close()


@needs_openssl
def test_a_timestamp_that_is_sent(run, tmp_path, authority, served, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url, handler = served
    (tmp_path / "file").write_bytes(b"{}")
    assert json_of(run("timestamp", "request", "file", "--authority", url, "--json"))[
        "claimed_time"
    ]
    answer = tmp_path / "file.127.0.0.1.tsr"
    verify = ["timestamp", "verify", "file", answer, "--roots", authority / "root.pem"]
    assert run(*verify)[0] == 0
    kept = answer.read_bytes()
    handler.twist = staticmethod(lambda _: kept)  # an old answer: right file, another nonce
    send = ["timestamp", "request", "file", "--authority", url, "--out", "new.tsr"]
    refused(run(*send), 1, "nonce differs")
    handler.twist = staticmethod(lambda _: b"sorry")
    refused(run(*send), 1, "no timestamp")
    assert not (tmp_path / "new.tsr").exists()


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "a.example", "http://", "http://[::1]/", "http://["]
)
def test_an_authority_without_an_address_is_refused(run, tmp_path, url):
    (tmp_path / "file").write_bytes(b"{}")
    refused(run("timestamp", "request", "file", "--authority", url), 2, "--authority")


@pytest.mark.parametrize("command", ["request", "attach", "verify"])
def test_a_missing_file_is_bad_input(run, tmp_path, authority, command):
    more = {"request": [], "attach": ["a", "--name", "n"], "verify": ["a", "--roots", "root.pem"]}
    shutil.copy(authority / "root.pem", tmp_path)
    refused(run("timestamp", command, "none", *more[command]), 2, "none: cannot be read")


# The custody log.


def test_a_custody_log(run, tmp_path):
    (tmp_path / "disk.img").write_bytes(b"image")
    who = ["--who", "A. Expert, examiner"]
    ran = "curl -H 'Authorization: Bearer abcdefghijklmnop' https://example.org"
    first = json_of(
        run("log", "add", "log", "acquisition", *who, "--file", "disk.img", "--ran", ran, "--json")
    )
    assert first["details"]["files"] == [
        {"name": "disk.img", "sha256": hashlib.sha256(b"image").hexdigest(), "bytes": 5}
    ]
    assert run("log", "add", "log", "analysis", *who, "--note", "tests \u202e run")[0] == 0
    verified = json_of(run("log", "verify", "log", "--head", first["sha256"], "--json"))
    assert verified["entries"] == 2
    code, out, _ = run("log", "verify", "log")
    assert code == 0
    assert verified["head"] in out
    code, out, err = run("log", "show", "log")
    assert code == 0
    assert "acquisition" in out
    assert "tests <U+202E> run" in out
    assert len(json_of(run("log", "show", "log", "--json"))["log"]) == 2
    assert "abcdefghijklmnop" not in out + err + (tmp_path / "log").read_text()


def test_a_log_that_was_changed_is_told_by_exit_code_1(run, tmp_path):
    for action in ("identification", "collection", "preservation"):
        assert run("log", "add", "log", action, "--who", "me")[0] == 0
    head = json_of(run("log", "verify", "log", "--json"))["head"]
    lines = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    (tmp_path / "log").write_bytes(b"".join(lines[:2]))
    assert run("log", "verify", "log")[0] == 0  # which is why the head is kept elsewhere
    refused(run("log", "verify", "log", "--head", head), 1, "not the log of head")
    (tmp_path / "log").write_bytes(lines[0] + lines[2])
    for command in (["verify", "log"], ["show", "log"], ["add", "log", "analysis", "--who", "me"]):
        refused(run("log", *command), 1, "log, line 2")
    done = run("log", "verify", "log", "--json")
    assert json.loads(done[1])["holds"] is False
    assert (tmp_path / "log").read_bytes() == lines[0] + lines[2]


def test_what_cannot_be_logged_is_refused(run, tmp_path):
    add = ["log", "add", "log", "analysis", "--who"]
    refused(run(*add, "me", "--file", "none"), 2, "none: no such file")
    refused(run(*add, "me", "--ran", "'"), 2, "no command line")
    refused(run(*add, ""), 2, "needs who")
    assert run("log", "add", "log", "tampering", "--who", "me")[0] == 2
    refused(run("log", "verify", "log"), 2, "cannot be read")
    assert list(tmp_path.iterdir()) == []


# Disclosure and cards.


def test_a_few_records_are_disclosed_and_checked(run, tmp_path, release):
    options = ["--record", "d3", "--record", "d5", "--out", "few.json"]
    shown = json_of(
        run("watermark", "disclose", "out/private/manifest.parquet", *options, "--json")
    )
    check = ["watermark", "check-disclosure", "few.json", "out/release/release.json"]
    found = json_of(run(*check, "--json"))
    assert found["root"] == shown["root"]
    assert found["records"][0].keys() == {"index", "record", "released", "ids", "slots"}
    assert sorted(record["ids"] for record in found["records"]) == [["d3"], ["d5"]]
    assert "2 of 9" in run(*check)[1]
    data = json.loads((tmp_path / "few.json").read_text())
    data["rows"][0]["salt"] = "0" * 32
    (tmp_path / "few.json").write_text(json.dumps(data))
    done = run(*check, "--json")
    refused(done, 1, "another root")
    assert json.loads(done[1])["holds"] is False
    key = MarkingKey.read(tmp_path / "key")
    assert key.secret.hex() not in (tmp_path / "few.json").read_text()


def test_what_cannot_be_disclosed_leaves_nothing(run, tmp_path, release):
    options = ["out/private/manifest.parquet", "--record", "none", "--out", "few.json"]
    refused(run("watermark", "disclose", *options), 2, "no record is called so")
    assert not (tmp_path / "few.json").exists()
    refused(
        run("watermark", "check-disclosure", "few.json", "out/release/release.json"),
        2,
        "cannot be read",
    )


@needs_openssl
def test_a_card_quotes_a_timestamp_that_holds(run, tmp_path, release, authority, stamp):
    stamp(release / "release" / "release.json", tmp_path / "t.tsr")
    stamped = ["--timestamp", "t.tsr", "--roots", authority / "root.pem"]
    made = json_of(
        run("watermark", "card", "out/release", "--out", "card", *CARD, *stamped, "--json")
    )
    assert made["rows"] == 9
    croissant = json.loads((tmp_path / "card" / "croissant.json").read_text())
    told = datetime.fromisoformat(croissant["bp:committedAt"])
    assert told == datetime.fromisoformat(made["committed_at"]).replace(microsecond=0)
    stamped[-1] = authority / "other.pem"
    refused(
        run("watermark", "card", "out/release", "--out", "c2", *CARD, *stamped), 1, "holds for none"
    )
    assert not (tmp_path / "c2").exists()


def test_a_card_says_what_it_leaves_out(run, tmp_path, release):
    code, out, err = run("watermark", "card", "out/release", "--out", "card", *CARD)
    assert code == 0
    assert "nothing is said of its time" in out
    assert "leave it out of what you publish" in err
    again = run("watermark", "card", "out/release", "--out", "card", *CARD)
    refused(again, 2, "already exists")
    told = run("watermark", "card", "out/release", "--out", "told", *CARD, "--say-marked", "--json")
    assert "release.json" in json_of(told)["files"]
    bad = [*CARD[:-1], "soon"]
    refused(run("watermark", "card", "out/release", "--out", "c3", *bad), 2, "expected a date")
    refused(
        run("watermark", "card", "out/release", "--out", "c3", *CARD, "--roots", "x"), 2, "together"
    )
