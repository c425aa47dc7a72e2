"""A manifest that ends whatever reads it is refused, and takes nothing with it."""

import polars as pl
import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.watermark.manifest import Manifest, rehearsal
from bookplate.watermark.manifest.rehearsal import rehearse


def test_what_polars_reads_or_refuses_is_left_to_it(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "sound.parquet")
    (tmp_path / "other.parquet").write_bytes(b"no parquet")
    for name in ("sound.parquet", "other.parquet"):
        rehearse(tmp_path / name)
        with pytest.raises(InvalidInput):
            Manifest.read(tmp_path / name)


@pytest.mark.parametrize("reader", ["import os; os.abort()", "import time; time.sleep(60)"])
def test_what_ends_its_reader_or_holds_it_is_refused(tmp_path, monkeypatch, reader):
    monkeypatch.setattr(rehearsal, "_READ", reader)
    monkeypatch.setattr(rehearsal, "_LONGEST", 0.2 if "sleep" in reader else 60.0)
    with pytest.raises(VerificationError, match="damaged, or made to end whatever reads it"):
        rehearse(tmp_path / "any.parquet")


@pytest.mark.parametrize("command", ["detect", "leak"])
def test_commands_without_a_key_rehearse(tmp_path, monkeypatch, command):
    """With the key, the manifest is one's own."""
    from bookplate.cli.main import app
    from bookplate.watermark.keys import MarkingKey
    from typer.testing import CliRunner

    MarkingKey(bytes(32), b"s" * 32).save(tmp_path / "key")
    pl.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "manifest.parquet")
    asked = []
    monkeypatch.setattr(rehearsal, "rehearse", asked.append)
    path = tmp_path / "manifest.parquet"
    rest = ["--suspect", "none"] if command == "detect" else [str(path)]
    for key, expected in (["--key", str(tmp_path / "key")], []), ([], [path]):
        CliRunner().invoke(app, ["watermark", command, str(path), *rest, *key])
        assert asked == expected
