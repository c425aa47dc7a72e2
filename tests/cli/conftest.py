"""The command line, run as a user would."""

import sys

import pytest
from bookplate.cli import main
from bookplate.watermark.keys import MarkingKey


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run a command line in a folder of its own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    # It starts a process, for each manifest without a key; tests/watermark/test_rehearsal.py is about it.
    monkeypatch.setattr("bookplate.watermark.manifest.rehearsal.rehearse", lambda path: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bookplate", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as done:
            main()
        out, err = capfd.readouterr()
        return done.value.code or 0, out, err

    return run


@pytest.fixture
def key(tmp_path):
    """A key file that is the same in every run: of fresh keys, one in a hundred accuses an innocent copy."""
    MarkingKey(bytes(32), b"s" * 32).save(tmp_path / "key")
    return "key"
