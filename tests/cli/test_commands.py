"""The command line: results and exit codes, one line per error, and nothing left behind by one."""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

import polars as pl
import pytest
from bookplate import __version__
from bookplate.errors import InvalidInput
from bookplate.files import unfinished_path
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon.lexicon import SHIPPED_TABLE
from bookplate.watermark.manifest import Manifest
from bookplate.watermark.tables import read_table

TEXTS = [
    "They often worked, and the couple usually prospered.",
    "Quickly! The instructor was valiant.",
    "12 34",
]
KEY = MarkingKey(hashlib.sha256(b"a key").digest(), b"s" * 32)


@pytest.fixture
def folder(tmp_path):
    """A dataset, its key, and a release of it."""
    rows = [{"text": text, "id": i} for i, text in enumerate(TEXTS)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    KEY.save(tmp_path / "key")
    return tmp_path


@pytest.fixture
def release(run, folder):
    assert run("watermark", "embed", "data.jsonl", "out", "--key", "key")[0] == 0
    return folder / "out"


def everything(folder):
    """Every path below a folder, with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


# What works.


def test_the_whole_round(run, folder):
    code, out, err = run(
        "watermark", "embed", "data.jsonl", "out", "--key", "key", "--id-column", "id"
    )
    assert (code, err) == (0, "")
    assert "3, of which 2 have slots" in out
    released = "out/release/data.jsonl"
    code, out, err = run(
        "watermark", "restore", released, "out/private/manifest.parquet", "--out", "back.jsonl"
    )
    assert (code, err) == (0, "")
    assert "rows restored and checked  3" in out
    assert (folder / "back.jsonl").read_bytes() == (folder / "data.jsonl").read_bytes()


def test_every_option_reaches_the_manifest(run, folder):
    pl.DataFrame({"name": ["n1", "n2"], "body": TEXTS[:2]}).write_csv(
        folder / "data.csv", quote_style="always"
    )
    (folder / "kept.txt").write_text("# names of ours\nNeptune\n\n")
    options = ["--unit", "record", "--ghosts", "7", "--dataset", "planets", "--recipient", "Ann"]
    options += ["--tier", "broad", "--per-sentence", "2", "--share", "0.5", "--per-record", "9"]
    options += ["--protect", "kept.txt"]
    columns = ["--text-column", "body", "--id-column", "name"]
    code, out, _ = run(
        "watermark", "embed", "data.csv", "out", "--key", "key", *options, *columns, "--json"
    )
    assert code == 0
    summary = json.loads(out)
    manifest = Manifest.read(folder / "out" / "private" / "manifest.parquet")
    assert (manifest.marking.unit, manifest.marking.ghosts) == ("record", 7)
    assert (manifest.dataset, manifest.recipient) == ("planets", "Ann")
    assert manifest.candidates.name == "lexicon"
    assert dict(manifest.candidates.settings) | {"protect_sha256": ""} == {
        "tier": "broad",
        "per_sentence": 2,
        "share": 0.5,
        "most_per_record": 9,
        "protected": 1,
        "protect_sha256": "",
        "rarer_only": False,
    }
    assert sorted(name for record in manifest.records for name in record.ids) == ["n1", "n2"]
    assert summary["rows"] == summary["records"] == 2
    assert summary["units"] == summary["slots"] == sum(len(r.slots) for r in manifest.records)
    files = ["out/release/data.csv", "out/private/manifest.parquet", "--out", "back.csv"]
    code, out, _ = run(
        "watermark", "restore", *files, "--text-column", "body", "--id-column", "name", "--json"
    )
    assert (code, json.loads(out)) == (0, {"rows": 2, "out": "back.csv"})
    assert (folder / "back.csv").read_bytes() == (folder / "data.csv").read_bytes()


def test_the_unit_record_has_19_ghosts_unless_told(run, folder):
    assert (
        run("watermark", "embed", "data.jsonl", "out", "--key", "key", "--unit", "record")[0] == 0
    )
    assert Manifest.read(folder / "out" / "private" / "manifest.parquet").marking.ghosts == 19


def test_a_new_key_is_its_owners_alone_and_not_shown(run, tmp_path):
    code, out, err = run("key", "new", "deep/key")
    key = MarkingKey.read(tmp_path / "deep" / "key")
    assert (code, err) == (0, "")
    assert key.commitment in out
    assert key.secret.hex() not in out
    assert stat.S_IMODE((tmp_path / "deep" / "key").stat().st_mode) == 0o600
    code, out, _ = run("key", "new", "key2", "--json")
    assert json.loads(out) == {
        "keyfile": "key2", "commitment": MarkingKey.read(tmp_path / "key2").commitment
    }  # fmt: skip


def test_the_secret_is_nowhere_but_in_the_key_file(run, folder):
    outputs = [
        run("watermark", "embed", "data.jsonl", "out", "--key", "key", "--unit", "record"),
        run("watermark", "embed", "data.jsonl", "out", "--key", "key"),
        run("--debug", "watermark", "embed", "data.jsonl", "out2", "--key", "key", "--json"),
    ]
    told = "".join(out + err for _, out, err in outputs).encode()
    files = everything(folder)
    secrets = [
        KEY.secret,
        KEY.secret.hex().encode(),
        KEY.salt.hex().encode(),
        repr(KEY.secret).encode(),
    ]
    for secret in secrets:
        assert secret not in told
        assert not any(
            secret in content for name, content in files.items() if content and name != "key"
        )


def test_a_traceback_does_not_show_the_secret(folder):
    """A key file one digit short, with --debug: the one error that has just held the secret."""
    (folder / "key").write_text((folder / "key").read_text().replace('"salt": "', '"salt": "x'))
    command = ["--debug", "watermark", "embed", "data.jsonl", "out", "--key", "key"]
    code = "from bookplate.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "InvalidInput: key: not a bookplate-key/1 file" in done.stderr
    assert KEY.secret.hex()[:8] not in done.stderr + done.stdout


def test_version_and_help(run):
    assert run("--version") == (0, f"bookplate {__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for command in ("key", "watermark", "palimpsest", "lexicon", "demo"):
        assert re.search(rf"\b{command}\b", out)


def test_lexicon_show(run):
    code, out, err = run("lexicon", "show", "Quickly", "the", "--json")
    shown = json.loads(out)
    assert (code, err) == (0, "")
    assert shown["table_sha256"] == hashlib.sha256(SHIPPED_TABLE.read_bytes()).hexdigest()
    assert "rapidly" in shown["substitutes"]["Quickly"]
    assert shown["substitutes"]["the"] == []
    assert "(left alone)" in run("lexicon", "show", "the", "--tier", "broad")[1]


def test_control_characters_of_arguments_are_shown_not_obeyed(run):
    _, out, _ = run("lexicon", "show", "\x1b[31mred", "\u202eflip")
    assert "<U+001B>[31mred" in out
    assert "<U+202E>flip" in out
    assert "\x1b" not in out


# What is refused: one line, exit code 2, nothing left behind.

EMBED = ["watermark", "embed"]
TO_OUT = ["out", "--key", "key"]


def parquet_of(frame):
    return lambda path: frame.write_parquet(path)


def bytes_of(content):
    return lambda path: path.write_bytes(content)


BAD_DATASETS = {
    "missing column": ("bad.jsonl", bytes_of(b'{"body": "x"}'), "no column 'text'"),
    "missing column, csv": ("bad.csv", bytes_of(b"a,b\n1,2\n"), "no column 'text'"),
    "missing column, parquet": ("bad.parquet", parquet_of(pl.DataFrame({"a": ["x"]})), "no column 'text'"),
    "unreadable parquet": ("bad.parquet", bytes_of(b"PAR1 rubbish"), "cannot be read as parquet"),
    "not UTF-8, jsonl": ("bad.jsonl", bytes_of(b'{"text": "\xff"}'), "line 1: byte 10 is not UTF-8"),
    "not UTF-8, csv": ("bad.csv", bytes_of(b"text\ncaf\xe9\n"), "line 2: byte 8 is not UTF-8"),
    "empty, jsonl": ("bad.jsonl", bytes_of(b""), "the dataset is empty"),
    "empty, csv": ("bad.csv", bytes_of(b"text,n\n"), "the dataset is empty"),
    "empty, parquet": ("bad.parquet", parquet_of(pl.DataFrame({"text": ["x"]}).head(0)), "dataset is empty"),
    "null text, jsonl": ("bad.jsonl", bytes_of(b'{"text": "x"}\n{"text": null}'), "line 2: expected 'text'"),
    "null text, parquet": ("bad.parquet", parquet_of(pl.DataFrame({"text": ["x", None]})), "row 2: 'text'"),
    "lone surrogate": ("bad.jsonl", bytes_of(b'{"text": "\\ud800"}'), "row 1: lone surrogate U+D800"),
    "unknown ending": ("bad.txt", bytes_of(b"x"), "cannot tell the format from '.txt'"),
    "a folder": ("bad.csv", lambda path: path.mkdir(), "holds no dataset files"),
    "no such file": ("bad.csv", lambda path: None, "no such file"),
    "nothing to mark": ("bad.csv", bytes_of(b"text\n1 2 3\n"), "nothing would be marked"),
    "a name that paints": ("\x1b[31m\nbad.csv", bytes_of(b""), "<U+001B>[31m<U+000A>bad.csv: no column"),
    "a name that is no text": (os.fsdecode(b"\xff.csv"), bytes_of(b""), "<U+DCFF>.csv: no column"),
    "a long name": ("n" * 300 + ".csv", lambda path: None, "File name too long"),
}  # fmt: skip


def assert_refused(outcome, folder, before, message):
    code, out, err = outcome
    assert code == 2
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert message in err
    assert everything(folder) == before


@pytest.mark.parametrize(("name", "make", "message"), BAD_DATASETS.values(), ids=BAD_DATASETS)
def test_a_bad_dataset(run, folder, name, make, message):
    make(folder / name)
    before = everything(folder)
    assert_refused(run(*EMBED, name, *TO_OUT), folder, before, message)
    assert_refused(run(*EMBED, name, "deep/er/out", "--key", "key"), folder, before, message)


BAD_CALLS = {
    "ghosts by type": (
        ["data.jsonl", *TO_OUT, "--ghosts", "5"],
        "ghosts belong to the unit 'record'",
    ),
    "no ghosts by record": (
        ["data.jsonl", *TO_OUT, "--unit", "record", "--ghosts", "0"],
        "needs 1 to 999",
    ),
    "no words": (["data.jsonl", *TO_OUT, "--per-sentence", "0"], "at least 1 word per sentence"),
    "no such key": (["data.jsonl", "out", "--key", "none"], "none: cannot be read as a key file"),
    "no key": (
        ["data.jsonl", "out", "--key", "data.jsonl"],
        "data.jsonl: cannot be read as a key file",
    ),
    "another JSON as key": (
        ["data.jsonl", "out", "--key", "object.json"],
        "object.json: not a bookplate-key/1",
    ),
    "a folder as key": (["data.jsonl", "out", "--key", "."], "cannot be read as a key file"),
    "output exists": (["data.jsonl", "folder", "--key", "key"], "folder: already exists"),
    "output is a file": (["data.jsonl", "key", "--key", "key"], "key: already exists"),
    "output is a link to nowhere": (["data.jsonl", "link", "--key", "key"], "link: already exists"),
    "output within a file": (["data.jsonl", "key/out", "--key", "key"], "cannot be written"),
    "output where nothing can be": (
        ["data.jsonl", "/proc/self/out", "--key", "key"],
        "cannot be written",
    ),
    "a long name for the output": (["data.jsonl", "n" * 300, "--key", "key"], "File name too long"),
    "no such id column": (["data.jsonl", *TO_OUT, "--id-column", "x"], "no column 'x'"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call(run, folder, arguments, message):
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("nowhere")
    (folder / "object.json").write_text('{"format": "another"}')
    before = everything(folder)
    assert_refused(run(*EMBED, *arguments), folder, before, message)


def test_a_key_is_not_overwritten(run, folder):
    assert_refused(run("key", "new", "key"), folder, everything(folder), "key: already exists")


RESTORE = ["watermark", "restore"]
RELEASED, MANIFEST = "out/release/data.jsonl", "out/private/manifest.parquet"


def test_bad_restores(run, folder, release):
    other = MarkingKey(b"o" * 32, b"s" * 32)
    other.save(folder / "other-key")
    (folder / "other.jsonl").write_text(json.dumps({"text": TEXTS[0] + " Another."}))
    assert run(*EMBED, "other.jsonl", "other", "--key", "other-key")[0] == 0
    (folder / "cut.parquet").write_bytes((folder / MANIFEST).read_bytes()[:-50])
    before = everything(folder)
    to = ["--out", "deep/back.jsonl"]
    cases = [
        (
            [RELEASED, "other/private/manifest.parquet", *to],
            "row 1 is not a released text of this manifest",
        ),
        (["other/release/other.jsonl", MANIFEST, *to], "is not a released text of this manifest"),
        ([RELEASED, "none.parquet", *to], "none.parquet: no such file"),
        ([RELEASED, "out", *to], "out: no such file"),
        ([RELEASED, "cut.parquet", *to], "cut.parquet: cannot be read as parquet"),
        ([RELEASED, RELEASED, *to], "cannot be read as parquet"),
        (["none.jsonl", MANIFEST, *to], "none.jsonl: no such file"),
        ([RELEASED, MANIFEST, "--out", "data.jsonl"], "data.jsonl: already exists"),
        ([RELEASED, MANIFEST, "--out", "back.csv"], "expected the ending .jsonl"),
        ([RELEASED, MANIFEST, *to, "--text-column", "body"], "no column 'body'"),
        ([RELEASED, MANIFEST, *to, "--id-column", "name"], "no column 'name'"),
    ]
    for arguments, message in cases:
        assert_refused(run(*RESTORE, *arguments), folder, before, message)


def test_a_key_that_did_not_mark_the_release(run, folder, release):
    """Refused before any model is looked for."""
    MarkingKey(b"o" * 32, b"s" * 32).save(folder / "other-key")
    before = everything(folder)
    outcome = run("watermark", "detect", MANIFEST, "--suspect", "none", "--key", "other-key")
    assert_refused(outcome, folder, before, "this key did not mark this release")


def test_a_release_json_of_another_release(run, folder, release):
    description = release / "release" / "release.json"
    data = json.loads(description.read_text())
    data["manifest"]["root"] = "00" * 32
    description.write_text(json.dumps(data))
    before = everything(folder)
    outcome = run("watermark", "detect", MANIFEST, "--suspect", "none")
    assert_refused(outcome, folder, before, "does not describe this manifest")


def test_a_lexicon_from_nothing(run, folder):
    before = everything(folder)
    outcome = run("lexicon", "build", "--wordnet", "none", "--out", "deep/table.parquet")
    assert_refused(outcome, folder, before, "none")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["watermark", "no-such-command"],
        ["watermark", "embed"],
        ["watermark", "embed", "data.jsonl", "out"],
        ["watermark", "embed", "data.jsonl", "out", "--key", "key", "--unit", "sharp"],
        ["watermark", "embed", "data.jsonl", "out", "--key", "key", "--per-sentence", "five"],
        ["--no-such-option"],
        ["key", "new"],
        ["lexicon", "show"],
    ],
)
def test_usage_errors(run, folder, arguments):
    before = everything(folder)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err
    assert everything(folder) == before


class PanicError(BaseException):
    """As polars' panics: no Exception."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device; make room"),
        (OSError(28, "No space left", "place"), "place: No space left; make room"),
        (pl.exceptions.ComputeError("No space left on device (os error 28)"), "the disk is full;"),
        (MemoryError(), "memory ran out; free some"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory ran out;"),
        (PanicError("message: Resource temporarily unavailable"), "memory ran out;"),
    ],
    ids=repr,
)
def test_what_ran_out_is_one_line_and_no_bug(run, folder, monkeypatch, error, said):
    def lacking(*args, **kwargs):
        raise error

    monkeypatch.setattr("bookplate.watermark.tables.spliced.SplicedTable.write", lacking)
    before = everything(folder)
    code, out, err = run(*EMBED, "data.jsonl", *TO_OUT)
    assert (code, out) == (75, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert everything(folder) == before


def test_a_lock_that_is_held_is_no_lack_of_memory(run, folder, monkeypatch):
    def held(*args, **kwargs):
        try:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        except BlockingIOError as error:
            raise InvalidInput("another process is at work") from error

    monkeypatch.setattr("bookplate.watermark.tables.spliced.SplicedTable.write", held)
    assert run(*EMBED, "data.jsonl", *TO_OUT)[0] == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_is_stopped_says_so_in_one_line(run, folder, monkeypatch, number, code):
    def stopped(*args, **kwargs):
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr("bookplate.watermark.piecework.mark_piece", stopped)
    handler, before = signal.getsignal(number), everything(folder)
    ended, out, err = run(*EMBED, "data.jsonl", *TO_OUT)
    assert (ended, out) == (code, "")
    assert err.startswith("error: stopped by ")
    assert err.count("\n") == 1
    assert everything(folder) == before
    assert signal.getsignal(number) == handler


def test_a_bug_says_so_in_one_line(run, folder, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("bookplate.watermark.piecework.mark_piece", broken)
    before = everything(folder)
    code, out, err = run(*EMBED, "data.jsonl", *TO_OUT)
    assert (code, out) == (70, "")
    assert err.startswith("error: this is a bug: ZeroDivisionError: by<U+000A>zero")
    assert err.count("\n") == 1
    assert everything(folder) == before


def test_ctrl_c_leaves_nothing(run, folder, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("bookplate.watermark.piecework.mark_piece", interrupted)
    before = everything(folder)
    code, out, _ = run(*EMBED, "data.jsonl", *TO_OUT)
    assert code not in {0, 2}
    assert out == ""
    assert everything(folder) == before


def test_files_whose_names_are_no_text_are_marked_and_restored(run, folder):
    name = os.fsdecode(b"\xff\xfe") + "\x1b[31m \n.parquet"
    (folder / name).write_bytes(b"")
    frame = pl.DataFrame({"text": TEXTS})
    with (folder / name).open("wb") as file:
        frame.write_parquet(file)
    out = os.fsdecode(b"\xfdout")
    code, shown, err = run(*EMBED, name, out, "--key", "key")
    assert (code, err) == (0, "")
    assert "\x1b" not in shown
    manifest = f"{out}/private/manifest.parquet"
    assert run(*RESTORE, f"{out}/release/{name}", manifest, "--out", "back.parquet")[0] == 0
    assert read_table(folder / "back.parquet").texts == TEXTS


# Folders, workers, and runs that are taken up again.


def test_a_folder_is_marked_by_two_processes_and_restored(run, folder):
    (folder / "data").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / "data" / name).write_bytes((folder / "data.jsonl").read_bytes())
    code, out, err = run(*EMBED, "data", *TO_OUT, "--workers", "2")
    assert (code, err) == (0, "")
    assert "3, of which 2 have slots" in out
    code, out, _ = run(*RESTORE, "out/release", MANIFEST, "--out", "back")
    assert code == 0
    assert "rows restored and checked  6" in out
    assert everything(folder / "back") == everything(folder / "data")


def test_ctrl_c_says_where_private_data_stay_and_how_to_go_on(run, folder, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bookplate.watermark.embed.join", interrupted)
        code, out, err = run(*EMBED, "data.jsonl", *TO_OUT)
    assert code not in {0, 2}
    assert out == ""
    kept = unfinished_path(folder / "out")
    assert kept.name in err
    assert "the same command goes on" in err
    assert run(*EMBED, "data.jsonl", *TO_OUT, "--unit", "slot")[0] == 2
    assert kept.exists()
    assert run(*EMBED, "data.jsonl", *TO_OUT)[0] == 0
    assert not kept.exists()


def test_no_workers_is_a_usage_error(run, folder):
    code, _, err = run(*EMBED, "data.jsonl", *TO_OUT, "--workers", "0")
    assert code == 2
    assert "--workers" in err
