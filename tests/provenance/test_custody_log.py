"""The custody log: every change shows, a kill loses nothing, and secrets stay out."""

import hashlib
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.files import canonical_json
from bookplate.provenance.custody import log as custody_log
from bookplate.provenance.custody.log import append, verify
from bookplate.provenance.custody.redaction import REDACTED, redact, redacted_text
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "custody.jsonl"
    for i in range(4):
        append(path, f"step {i}", who="A. Expert", command=["bookplate", str(i)], details={"n": i})
    return path


def refusal(call):
    """The error of ours that a call ends with; None if it ends well. Others pass through."""
    try:
        call()
    except BookplateError as error:
        return error
    return None


def test_a_log_says_who_ran_what_in_which_order(path):
    log = verify(path)
    assert [entry.action for entry in log.entries] == [f"step {i}" for i in range(4)]
    assert [entry.number for entry in log.entries] == [1, 2, 3, 4]
    last = log.entries[-1]
    assert (last.who, last.command, last.details) == ("A. Expert", ("bookplate", "3"), {"n": 3})
    assert log.head == last.sha256
    assert (log.fragments, log.unfinished, log.set_back) == ((), False, ())


def test_the_format_stays_as_it_is(path):
    """By definition: canonical JSON lines, each with the SHA-256 of the line before."""
    previous = "0" * 64
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        data = json.loads(line)
        assert canonical_json(data) == line
        assert data.keys() == {
            *("action", "command", "details", "format"),
            *("number", "previous", "time", "who"),
        }
        assert (data["format"], data["number"]) == ("bookplate-custody/1", number)
        assert data["previous"] == previous
        previous = hashlib.sha256(line).hexdigest()
    assert verify(path).head == previous


def test_only_its_owner_reads_a_log(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_log_is_one(tmp_path):
    (tmp_path / "log").touch()
    assert verify(tmp_path / "log") == custody_log.VerifiedLog((), "0" * 64, (), False, 0, ())
    with pytest.raises(InvalidInput, match="cannot be read"):
        verify(tmp_path / "none")


def changed(line, **changes):
    return canonical_json({**json.loads(line), **changes})


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda a, b, c, d: [a, changed(b, who="B"), c, d], "line 3: does not follow"),
        (
            lambda a, b, c, d: [changed(a, time="2020-01-01T00:00:00.000000Z"), b, c, d],
            "line 2: does",
        ),
        (lambda a, b, c, d: [a, c, d], "line 2: numbered 3"),
        (lambda a, b, c, d: [b, c, d], "line 1: numbered 2"),
        (lambda a, b, c, d: [a, c, b, d], "line 2: numbered 3"),
        (lambda a, b, c, d: [a, b, b, c, d], "line 3: numbered 2"),
        (lambda a, b, c, d: [a, changed(c, number=2), changed(d, number=3)], "line 2: does not"),
        (lambda a, b, c, d: [a, b"", b, c, d], "line 3: numbered 2"),
        (lambda a, b, c, d: [a, b[:-5], c, d], "line 3: does not follow"),
        (lambda a, b, c, d: [a, b + b" ", c, d], "line 3: does not follow"),
        (lambda a, b, c, d: [a, b, c, b"{}"], "'action' is missing"),
        (lambda a, b, c, d: [a, b, c, changed(d, extra=1)], "unknown field 'extra'"),
        (lambda a, b, c, d: [a, b, c, changed(d, format="bookplate-custody/2")], "not known here"),
        (lambda a, b, c, d: [a, b, c, changed(d, time="yesterday")], "isoformat"),
        (lambda a, b, c, d: [a, b, c, changed(d, time="2026-01-01")], "no time in UTC"),
        (
            lambda a, b, c, d: [a, b, c, changed(d, time="2026-01-01T00:00:00.000000+01:00")],
            "no time",
        ),
        (lambda a, b, c, d: [a, b, c, changed(d, command=[1])], "no list of strings"),
        (lambda a, b, c, d: [a, b, c, changed(d, previous="x")], "no hash of a line"),
        (
            lambda a, b, c, d: [a, b, c, changed(d, action="interrupted")],
            "fragment that is not there",
        ),
    ],
)
def test_each_forgery_is_refused_for_its_own_reason(path, forge, message):
    path.write_bytes(b"\n".join(forge(*path.read_bytes().splitlines())) + b"\n")
    with pytest.raises(VerificationError, match=message):
        verify(path)
    before = path.read_bytes()
    with pytest.raises(VerificationError, match=message):
        append(path, "more", who="A")
    assert path.read_bytes() == before


def test_last_lines_that_were_cut_off_show_against_a_head(path):
    head = verify(path).head
    append(path, "later", who="A")
    assert verify(path, head=head).lines == 5
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    assert verify(path).lines == 3
    with pytest.raises(VerificationError, match="its last lines were cut off"):
        verify(path, head=head)


def test_a_clock_that_was_set_back_is_told(path, monkeypatch):
    class Earlier(custody_log.datetime):
        @classmethod
        def now(cls, tz):
            return cls(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(custody_log, "datetime", Earlier)
    append(path, "early", who="A")
    assert verify(path).set_back == (5,)


@pytest.mark.parametrize("cut", [1, 2, 40, 150, 200])
@pytest.mark.parametrize("filler", [b"", b"\n", b"\0\0\0"])
def test_a_torn_line_is_kept_and_declared(path, cut, filler):
    """As after `kill -9`; a line feed or zeros at the end are what a power cut may leave."""
    whole = path.read_bytes()
    torn = whole[:-cut] + filler
    path.write_bytes(torn)
    log = verify(path)
    whole_entry = cut == 1 and filler != b"\0\0\0"  # only the line feed was missing
    assert log.unfinished is not whole_entry
    entry = append(path, "after", who="A")
    assert path.read_bytes().startswith(torn)
    log = verify(path)
    assert log.entries[-1] == entry
    assert not log.unfinished
    if whole_entry:
        assert log.fragments == ()
        assert [e.action for e in log.entries[-2:]] == ["step 3", "after"]
    else:
        assert log.fragments == (4,)
        assert [e.action for e in log.entries[-3:]] == ["step 2", "interrupted", "after"]
        assert log.entries[-2].details == {"line": 4}


def test_a_kill_while_a_fragment_is_declared(path):
    """The declaration, too, may be cut short."""
    path.write_bytes(path.read_bytes()[:-9])
    before = path.read_bytes()
    append(path, "after", who="A")
    after = path.read_bytes()
    for cut in range(len(before), len(after), 7):
        path.write_bytes(after[:cut])
        append(path, "again", who="A")
        log = verify(path)
        assert log.entries[-1].action == "again"
        assert log.fragments[:1] == (4,)
        assert path.read_bytes().startswith(after[:cut])


def test_a_fragment_cannot_hide_a_line_that_was_followed(path):
    """Only what nobody had built upon can have been cut short."""
    lines = path.read_bytes().splitlines()
    for garbage in (b"", b"x", lines[1][:50]):
        path.write_bytes(b"\n".join([lines[0], garbage, *lines[2:]]) + b"\n")
        with pytest.raises(VerificationError, match="does not follow"):
            verify(path)


def test_a_line_in_another_hand_needs_its_declaration(path):
    """Rubbish that later entries were chained on, but that nobody declared, came from no crash."""
    first, second = path.read_bytes().splitlines()[:2]
    previous = hashlib.sha256(b"rubbish").hexdigest()
    for action, accepted in (("step", False), ("interrupted", True)):
        chained = changed(second, number=3, previous=previous, action=action)
        path.write_bytes(b"\n".join([first, b"rubbish", chained]) + b"\n")
        if accepted:
            assert verify(path).fragments == (2,)
        else:
            with pytest.raises(VerificationError, match="line 2: no entry of a custody log"):
                verify(path)


WRITER = """
import sys
from pathlib import Path
from bookplate.provenance.custody.log import append
for i in range(100_000):
    append(Path(sys.argv[1]), "step", who="A", details={"n": i, "padding": "x" * 300})
    print(i, flush=True)
"""


def test_kill_9_loses_nothing_that_was_reported(tmp_path):
    path = tmp_path / "log"
    reported = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True, cwd="/"
        )
        for _ in range(5):
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        reported += 5 + len([x for x in process.stdout.read().split("\n") if x.isdigit()])
        process.wait()
        process.stdout.close()
    append(path, "end", who="A")
    steps = [entry for entry in verify(path).entries if entry.action == "step"]
    assert reported <= len(steps) <= reported + 3


def _append_some(path, name):
    for i in range(8):
        append(path, f"{name} {i}", who=name)


def test_processes_take_turns(tmp_path):
    path = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_some, args=(path, name)) for name in "ABC"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log = verify(path)
    assert len(log.entries) == 24
    assert sorted({entry.who for entry in log.entries}) == ["A", "B", "C"]


def test_a_held_log_is_not_waited_for_for_ever(path, monkeypatch):
    import fcntl

    monkeypatch.setattr(custody_log, "_PATIENCE", 0.05)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidInput, match="another process holds the log"):
            append(path, "x", who="A")


def nested(depth):
    return {} if not depth else {"x": nested(depth - 1)}


def bottomless():
    found = {}
    found["x"] = found
    return found


@pytest.mark.parametrize(
    "call",
    [
        {"action": "x", "who": "A", "details": nested(70)},
        {"action": "x", "who": "A", "details": bottomless()},
        {"action": "", "who": "A"},
        {"action": "x", "who": ""},
        {"action": "interrupted", "who": "A"},
        {"action": "x", "who": "A", "details": {"p": float("nan")}},
        {"action": "x", "who": "A", "details": {"seed": 2**60}},
        {"action": "x", "who": "A", "details": {"x": "\ud800"}},
        {"action": "x", "who": "A", "details": {"x": object()}},
        {"action": "x", "who": "A", "details": {"x": "x" * (1 << 20)}},
    ],
)
def test_entries_that_could_not_be_read_again_are_not_written(path, call):
    before = path.read_bytes()
    with pytest.raises(InvalidInput):
        append(path, **call)
    assert path.read_bytes() == before


def test_a_log_is_no_link_and_no_folder(tmp_path, path):
    (tmp_path / "link").symlink_to(path)
    for place in (tmp_path / "link", tmp_path, tmp_path / "no" / "log"):
        with pytest.raises(InvalidInput, match="cannot be opened"):
            append(place, "x", who="A")


def test_a_full_disk_is_told_and_leaves_a_log(path, monkeypatch):
    real = os.write

    def full(handle, data):
        if len(data) > 60:
            return real(handle, bytes(data)[:60])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InvalidInput, match="No space left"):
        append(path, "x" * 400, who="A")
    monkeypatch.undo()
    assert verify(path).unfinished
    append(path, "after", who="A")
    assert [entry.action for entry in verify(path).entries[-2:]] == ["interrupted", "after"]


HF = "hf_" + "aB3" * 10


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--token", "s3cret"], ["--token", REDACTED]),
        (["--token=s3cret"], [f"--token={REDACTED}"]),
        (["--token", "--s3cret"], ["--token", REDACTED]),
        (["--hf-token", "s3cret", "next"], ["--hf-token", REDACTED, "next"]),
        (["--api-key", "s3cret"], ["--api-key", REDACTED]),
        (["--apiKey=s3cret"], [f"--apiKey={REDACTED}"]),
        (["--PASSWORD", "1234"], ["--PASSWORD", REDACTED]),
        (["-H", "Authorization: Bearer s3cret"], ["-H", REDACTED]),
        (["HF_TOKEN=s3cret", "bookplate"], [f"HF_TOKEN={REDACTED}", "bookplate"]),
        (["https://me:s3cret@host/x"], [f"https://{REDACTED}@host/x"]),
        (["https://host/x?a=1&token=s3cret&b=2"], [f"https://host/x?a=1&token={REDACTED}&b=2"]),
        (["--header=Cookie: s3cret"], [f"--header={REDACTED}"]),
        (["--model", HF], ["--model", REDACTED]),
        (["--x=" + HF], ["--x=" + REDACTED]),
        (["Authorization: Bearer s3cret"], [f"Authorization: {REDACTED} {REDACTED}"]),
        (['{"token": "s3cret"}'], [f'{{"token": "{REDACTED}"}}']),
    ],
)
def test_secrets_are_redacted(arguments, shown):
    assert redact(arguments) == shown
    assert "s3cret" not in str(redact(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["bookplate", "audit", "audit.yaml", "--key", "owner.key", "--alpha", "0.01"],
        ["--token-variable", "HF_TOKEN", "--max-tokens", "100", "--batch-tokens=8192"],
        ["--suspect", "https://host/v1#model", "--out", "a=b", "--time", "12:30:45"],
        ["--sha256", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
        ["--max-token", "5", "--token=12"],
        ["C:\\tokens\\x.txt", "--key=signing.pem", "-v", "-", "--", ""],
    ],
)
def test_what_is_no_secret_stays(arguments):
    assert redact(arguments) == arguments


def test_nothing_secret_reaches_the_file(tmp_path):
    path = tmp_path / "log"
    append(
        path,
        f"queried with {HF}",
        who="me token=s3cret",
        command=["bookplate", "--token", "s3cret"],
        details={"api_key": "s3cret", "deep": [{"password": "s3cret", "url": "http://a:s3cret@b"}]},
    )
    written = path.read_text()
    assert "s3cret" not in written
    assert HF not in written
    assert verify(path).entries[0].details["deep"][0]["url"] == f"http://{REDACTED}@b"


def test_redaction_takes_linear_time():
    for text in ("a" * 10**6, "a=" * 10**5, " " * 10**6, "a:" + " " * 10**6, "://" * 10**5):
        begin = time.process_time()
        redacted_text(text)
        assert time.process_time() - begin < 5


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_no_command_line_breaks_redaction(arguments):
    assert len(redact(arguments)) == len(arguments)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_file_breaks_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("logs") / "log"
    for i in range(2):
        append(path, f"step {i}", who="A")
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    garbage = data.draw(st.binary(max_size=20))
    path.write_bytes(whole[:at] + garbage + whole[at + data.draw(st.integers(0, 20)) :])
    error = refusal(lambda: verify(path))
    assert error is None or isinstance(error, VerificationError)
    assert str(error).isprintable()
    if error is None:
        append(path, "after", who="A")
        assert verify(path).entries[-1].action == "after"
