"""The whole job on real text with really trained models, once per session, small."""

import hashlib
import json
import sys

import polars as pl
import pytest
from bookplate.cli import main
from bookplate.cli.demo import run as run_module
from bookplate.cli.demo.corpus import docstrings, package_version
from bookplate.cli.demo.run import Plan, run_demo
from bookplate.cli.demo.training import ModelSize
from bookplate.cli.output import quiet_libraries
from bookplate.errors import InvalidInput
from bookplate.provenance.bundle.verification import Result
from bookplate.stats.report import AuditReport, Status
from bookplate.watermark.embed import restore
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Tier
from bookplate.watermark.tables import read_table
from scipy.stats import binom

SMALL = Plan(
    owned_records=320,
    world=("numpy",),
    world_records=120,
    longest=900,
    vocabulary=2_048,
    tier=Tier.BROAD,
    size=ModelSize(layers=2),
    order_sequences=450,
    other_sequences=120,
    documents=40,
    claimed=8,
)


class Heard:
    """Progress that only listens."""

    def __init__(self):
        self.stages, self.trained = [], []

    def stage(self, name):
        self.stages.append(name)

    def training(self, model, total_tokens):
        self.trained.append(model)
        return lambda done: None


@pytest.fixture(scope="session")
def cache(tmp_path_factory, english):
    """A cache in which key and order are already drawn, so that the figures below are repeatable."""
    folder = tmp_path_factory.mktemp("cache")
    for package, texts in {"numpy": english, "scipy": docstrings("scipy.stats")}.items():
        kept = folder / f"docstrings-{package}-{package_version(package)}.parquet"
        pl.DataFrame({"text": texts}).write_parquet(kept)
    MarkingKey(hashlib.sha256(b"demo").digest(), b"s" * 32).save(folder / "key.json")
    (folder / "order-seed").write_text("2a")
    return folder


@pytest.fixture(scope="session")
def demo(cache, tmp_path_factory):
    """The demo's folder and what it showed on the way."""
    quiet_libraries()
    heard = Heard()
    out = tmp_path_factory.mktemp("demo") / "out"
    return run_demo(out, cache, heard, SMALL), heard


def finding_of(report, suspect, test):
    (entry,) = [e for e in report.entries if (e.suspect, e.finding.name) == (suspect, test)]
    return entry


MARK, ORDER = "keyed watermark (mark)", "palimpsest query (residual) (order)"


@pytest.mark.slow
def test_the_guilty_are_found(demo):
    report = demo[0].report
    assert finding_of(report, "guilty", MARK).finding.log10_p < -2
    for descendant in ("base", "derivative"):
        assert finding_of(report, descendant, ORDER).finding.log10_p < -6
        assert finding_of(report, descendant, ORDER).status is Status.EVIDENCE_FOUND


@pytest.mark.slow
def test_the_innocent_are_not(demo):
    """With the key and the order fixed above, these p-values are what they are; all are well above alpha."""
    report = demo[0].report
    accused = {
        (e.suspect, e.finding.name)
        for e in report.entries
        if e.status is Status.EVIDENCE_FOUND and e.suspect != "densities"
    }
    assert accused <= {("guilty", MARK), ("base", ORDER), ("derivative", ORDER)}
    assert len(report.entries) == 11
    assert report.not_run == ()


@pytest.mark.slow
def test_all_three_kinds_of_evidence_are_in_the_bundle(demo):
    kinds = {test.kind for test in demo[0].report.case.registered}
    assert kinds == {"watermark", "order", "influence"}


@pytest.mark.slow
def test_controls_look_uniform(demo):
    """Choices and orders are drawn anew, 200 times for each test; outside these bounds once in a million."""
    controls = demo[0].report.controls
    assert [control.name for control in controls] == [
        "mark, drawn anew",
        "order, drawn anew",
        "influence, drawn anew",
    ]
    rare = 1e-6 / (3 * len(controls))
    for control in controls:
        n = len(control.p_values)
        assert control.count_at(0.05) <= binom.isf(rare, n, 0.05)
        assert binom.ppf(rare, n, 0.5) <= control.count_at(0.5) <= binom.isf(rare, n, 0.5)


@pytest.mark.slow
def test_everything_is_written(demo):
    folder = demo[0].folder
    bundle = folder / "evidence"
    assert AuditReport.from_json((bundle / "report.json").read_bytes()) == demo[0].report
    page = (bundle / "report.html").read_text(encoding="utf-8")
    assert hashlib.sha256((bundle / "report.json").read_bytes()).hexdigest()[:4] in page
    assert (bundle / "report.pdf").read_bytes().startswith(b"%PDF-")
    for model in ("guilty", "innocent", "base", "derivative", "stranger", "neighbour"):
        assert (folder / "models" / model / "model.safetensors").exists()
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_stranger_verifies_the_bundle(demo, monkeypatch, capsys):
    folder = demo[0].folder
    assert demo[0].verification.result is Result.VERIFIED
    verify = ("report", "verify", folder / "evidence", "--key", folder / "signer.pub")
    code, out, err = call(monkeypatch, capsys, *verify)
    assert (code, err) == (0, "")
    assert "11 computed anew" in out
    assert "tests name its choices" in out
    assert "with the seeds, draws and options that the registration fixes" in out


@pytest.mark.slow
def test_the_release_can_be_restored(demo, tmp_path):
    marked = demo[0].folder / "marked"
    released = marked / "release" / "scipy-docstrings.parquet"
    restore(released, marked / "private" / "manifest.parquet", tmp_path / "restored.parquet")
    originals = read_table(demo[0].folder / "scipy-docstrings.parquet").texts
    assert read_table(tmp_path / "restored.parquet").texts == originals
    assert read_table(released).texts != originals


@pytest.mark.slow
def test_a_second_run_trains_nothing(demo, cache, tmp_path, monkeypatch):
    """The audit is the first one's: `report verify` has repeated its numbers."""
    monkeypatch.setattr(run_module, "make_influence_run", lambda *args, **options: None)
    known = (demo[0].report, demo[0].verification)
    monkeypatch.setattr(run_module, "audit", lambda folder, signer: known)
    heard = Heard()
    run_demo(tmp_path / "again", cache, heard, SMALL)
    assert demo[1].trained
    assert heard.trained == []
    for model in ("guilty", "base"):
        name = f"models/{model}/model.safetensors"
        assert (tmp_path / "again" / name).read_bytes() == (demo[0].folder / name).read_bytes()


@pytest.mark.slow
def test_an_output_that_exists_is_refused_before_any_work(demo, cache):
    heard = Heard()
    with pytest.raises(InvalidInput, match="already exists"):
        run_demo(demo[0].folder, cache, heard, SMALL)
    assert heard.stages == []


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["bookplate", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.mark.slow
def test_the_command_line_repeats_the_reports_figures(demo, monkeypatch, capsys, tmp_path):
    folder = demo[0].folder
    expected = finding_of(demo[0].report, "guilty", MARK).finding
    code, out, err = call(
        monkeypatch, capsys, "watermark", "detect", folder / "marked/private/manifest.parquet",
        "--suspect", folder / "models/guilty", "--reference", folder / "models/neighbour",
        "--key", folder / "key.json", "--seed", expected.seed, "--json", "--report", tmp_path / "evidence",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert json.loads(out)["log10_p"] == pytest.approx(expected.log10_p, rel=1e-6)
    report = AuditReport.from_json((tmp_path / "evidence" / "report.json").read_bytes())
    assert report.entries[0].finding.log10_p == pytest.approx(expected.log10_p, rel=1e-6)

    code, out, err = call(
        monkeypatch, capsys, "palimpsest", "query", folder / "transcript.parquet",
        "--suspect", folder / "models/derivative", "--reference", folder / "models/neighbour",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert finding_of(demo[0].report, "derivative", ORDER).finding.p_text in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suspect", "message"),
    [("models", "config.json is missing"), ("nowhere", "no such folder")],
)
def test_a_bad_suspect_is_one_line_and_leaves_nothing(
    demo, monkeypatch, capsys, tmp_path, suspect, message
):
    folder = demo[0].folder
    code, out, err = call(
        monkeypatch, capsys, "palimpsest", "query", folder / "transcript.parquet",
        "--suspect", folder / suspect, "--report", tmp_path / "evidence",
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []
