"""Every error says what to do; names of models are folders or of the hub by rule; shells complete."""

import os
import subprocess
import sys

import httpx
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.suspect import open_suspect
from bookplate.provenance.suspect.naming import hub_options, is_local

MODELLESS = ["watermark", "detect", "m.parquet", "--suspect"]


WRONG = {
    "no such key": (["watermark", "embed", "docs.jsonl", "o", "--key", "none"], "check its name"),
    "no such dataset": (["watermark", "embed", "none.jsonl", "o", "--key", "k"], "check its name"),
    "a folder for a file": (["timestamp", "request", "."], "name a file, not a folder"),
    "no such audit": (["audit", "none.yaml"], "check its name"),
    "no effect": (["power", "choice"], "'bookplate power --help' says"),
    "no plan": (["influence", "plan", "none"], "give a model folder"),
    "a missing ending": (["membership", "questions", "none", "q.parquet"], "check its name"),
}


@pytest.mark.parametrize(("words", "hint"), WRONG.values(), ids=WRONG)
def test_an_error_is_one_line_with_a_next_step(run, tmp_path, words, hint):
    (tmp_path / "docs.jsonl").write_text('{"text": "The couple often worked."}\n', encoding="utf-8")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "; " in err
    assert hint in err
    assert "[Errno" not in err


def test_a_text_that_is_no_log_does_not_pass_for_one(run, tmp_path):
    (tmp_path / "notes.txt").write_text("dear diary", encoding="utf-8")
    code, _, err = run("log", "verify", "notes.txt")
    assert code == 1
    assert "no entry of a custody log" in err


def test_a_recording_that_does_not_hold_ends_with_1(run, tmp_path, monkeypatch):
    from bookplate.errors import VerificationError
    from bookplate.provenance.palimpsest import recording

    def refuse(*args, **options):
        raise VerificationError("row 3 was changed")

    monkeypatch.setattr(recording, "verify_recording", refuse)
    code, out, err = run("palimpsest", "verify", "run", "--json")
    assert (code, err) == (1, "error: row 3 was changed\n")
    assert '"holds": false' in out


# Names of models.


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("owner/model", False),
        ("owner/model-7b.v1", False),
        ("models/x", True),  # there is a folder models
        ("there/x", False),
        ("./x", True),
        ("../x", True),
        ("/x/y", True),
        ("a/b/c", True),
        ("x", True),
        ("~/x", True),
        ("C:\\models\\x", True),
        ("models\\x", True),
    ],
)
def test_what_can_only_be_a_folder_is_not_looked_up(tmp_path, monkeypatch, name, local):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert is_local(name) == local
    if local:
        monkeypatch.setattr("huggingface_hub.HfApi.model_info", pytest.fail)
        with pytest.raises(InvalidInput, match="no such folder"):
            open_suspect(name)


def test_a_hub_that_cannot_be_reached_is_told_at_once(tmp_path, monkeypatch):
    def nobody(*args, **options):
        raise httpx.ConnectError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", nobody)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    with pytest.raises(InvalidInput, match="cannot be reached"):
        hub_options("owner/model")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: "config.json")
    assert hub_options("owner/model") == {"local_files_only": True}
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *args, **options: None)
    assert hub_options("owner/model") == {}


# Shells, pipes and terminals.

COMPLETE = "import sys; sys.argv = ['bookplate']; from bookplate.cli import main; main()"
LINES = {
    "bash": {"COMP_WORDS": "bookplate watermark em", "COMP_CWORD": "2"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "bookplate watermark em"},
    "fish": {
        "_TYPER_COMPLETE_ARGS": "bookplate watermark em",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}


@pytest.mark.parametrize("shell", LINES)
def test_a_shell_completes_subcommands_beside_a_broken_file_of_settings(tmp_path, shell):
    (tmp_path / "bookplate.toml").write_text("[", encoding="utf-8")
    asked = {**os.environ, **LINES[shell], "_BOOKPLATE_COMPLETE": f"complete_{shell}"}
    show = "; import sys; print(*sys.modules, file=sys.stderr)"
    code = COMPLETE.replace("main()", f"\ntry:\n    main()\nfinally:\n    pass{show}")
    done = subprocess.run(
        [sys.executable, "-c", code], env=asked, cwd=tmp_path, capture_output=True, text=True
    )
    assert "embed" in done.stdout, done.stderr
    assert not {"torch", "numba", "polars", "numpy"} & set(done.stderr.split())


def test_no_colours_and_no_progress_in_pipes():
    """Even where the environment of a build machine asks for colours, NO_COLOR counts."""
    asked = {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "40"}
    for words in (["--help"], ["nonsense"], ["power", "choice", "--effect", "0.2"]):
        code = f"import sys; sys.argv = ['bookplate', *{words}]; from bookplate.cli import main; main()"
        plain = {name: v for name, v in os.environ.items() if name not in {"FORCE_COLOR"}}
        done = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True)
        assert b"\x1b" not in done.stdout + done.stderr
        done = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True)
        assert b"\x1b[3" not in done.stdout + done.stderr
