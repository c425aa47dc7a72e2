"""`bookplate report verify`: what is printed, the exit code, and the same on a machine without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bookplate.cli.audit import linking

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "provenance"))
from audit_case import KEY, assembled
from forgeries import Workshop


@pytest.fixture(autouse=True)
def no_links(monkeypatch):
    """The workshop's numbers are those of no real test: what its bundles tie to commitments is nothing."""
    monkeypatch.setattr(linking, "LINK_CHECKS", ())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def trusted(shop, tmp_path):
    """Options that name what the verifier has from elsewhere."""
    (tmp_path / "key.pem").write_bytes(shop.key.public.to_pem())
    (tmp_path / "root.pem").write_bytes(shop.authority.root.pem)
    return ["--key", tmp_path / "key.pem", "--tsa-roots", tmp_path / "root.pem"]


def test_every_check_is_printed_with_its_number(run, shop, trusted):
    code, out, err = run("report", "verify", shop.sound, *trusted)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines[:11]] == [str(n) for n in range(1, 12)]
    assert all("passed: " in line for line in lines[:10])
    assert "not checked: " in lines[10]
    assert lines[-1].startswith("result")
    assert "verified; left open: check 11 (choices as committed)" in lines[-1]
    digest = shop.verified(shop.sound).statement_sha256
    assert f"SHA-256 {digest}" in out


def test_the_same_for_a_zip_and_a_fingerprint(run, shop, trusted):
    code, out, _ = run(
        "report", "verify", shop.zipped(), "--fingerprint", shop.key.public.keyid, *trusted[2:]
    )
    assert code == 0
    assert "in a .zip" in out
    assert "verified" in out.splitlines()[-1]


def test_without_a_key_it_is_intact_and_never_verified(run, shop):
    code, out, _ = run("report", "verify", shop.sound)
    last = out.splitlines()[-1]
    assert code == 0
    assert "intact; signer unknown" in last
    assert "verified" not in last
    assert "verified" not in out


def test_a_forgery_ends_with_what_failed(run, shop, trusted):
    folder = shop.copy()
    (folder / "exhibits" / "extra.txt").write_text("x")
    code, out, _ = run("report", "verify", folder, *trusted)
    assert code == 1
    assert out.splitlines()[-1].split(maxsplit=1)[1] == "failed: check 3 (files as signed)"
    assert "failed: exhibits/extra.txt: not signed for" in out


def test_json(run, shop, trusted):
    code, out, _ = run("report", "verify", shop.sound, *trusted, "--json")
    data = json.loads(out)
    assert code == 0
    assert data["result"] == "verified"
    assert [check["number"] for check in data["checks"]] == list(range(1, 12))
    folder = shop.copy()
    (folder / "report.json").write_bytes(b"{}")
    code, out, _ = run("report", "verify", folder, *trusted, "--json")
    assert code == 1
    assert json.loads(out)["result"] == "failed"


def test_a_bad_call_is_told_from_a_bad_bundle(run, shop, tmp_path):
    assert run("report", "verify", tmp_path / "none")[0] == 2
    assert run("report", "verify", shop.sound, "--fingerprint", "abc")[0] == 2
    assert run("report", "verify", shop.sound, "--key", shop.sound / "report.json")[0] == 2
    assert run("report", "verify", shop.sound, "--tsa-roots", shop.sound / "signer.pem")[0] == 2
    assert run("report", "verify", shop.sound / "report.html")[0] == 1  # a file, but no bundle


def test_hostile_names_are_shown_as_text(run, shop, trusted):
    folder = shop.copy()
    (folder / "a\x1b[2J\u202eb").write_text("x")
    code, out, err = run("report", "verify", folder, *trusted)
    assert code == 1
    assert "a<U+001B>[2J<U+202E>b" in out
    assert "\x1b" not in out + err


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_recipe_checks_the_signature_by_hand(run, shop, trusted):
    out = run("report", "verify", shop.sound, *trusted)[1]
    lay_out, check = (
        line.removeprefix("by hand").strip() for line in out.splitlines() if "by hand" in line
    )
    folder = shop.copy()
    check = check.replace("SIGNER.pem", "signer.pem")
    for command in (lay_out, check):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True
        )
    assert "Signature Verified Successfully" in done.stdout
    (folder / "statement.pae").write_bytes(b"other")
    assert subprocess.run(
        ["bash", "-c", check], cwd=folder, capture_output=True, check=False
    ).returncode


WITHOUT = """
import sys

ABSENT = {"torch", "transformers", "nltk", "matplotlib", "typst", "wordfreq", "lemminflect"}

class WithoutThem:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in ABSENT
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [WithoutThem(finder) for finder in sys.meta_path]
from bookplate.cli import main
main()
"""


def test_it_runs_on_a_machine_without_torch(tmp_path):
    """With a real bundle, and so with all its links."""
    assembled(tmp_path, tmp_path / "bundle")
    (tmp_path / "key.pem").write_bytes(KEY.public.to_pem())
    trusted = ("--key", tmp_path / "key.pem")
    command = [sys.executable, "-c", WITHOUT, "report", "verify", tmp_path / "bundle", *trusted]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd="/", check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "verified" in done.stdout.splitlines()[-1]
    assert "tests name its choices" in done.stdout
