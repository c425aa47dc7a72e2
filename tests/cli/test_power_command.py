"""`bookplate power`: what it prints, draws and refuses."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from bookplate.stats import Alternative, paired_test, spearman_test
from bookplate.stats.power.forecast import sample_size

PAIRED = ["power", "paired", "--effect", "0.1"]


@pytest.fixture
def pilot(tmp_path):
    """A finding as a test command prints it."""
    d = np.random.default_rng(1).normal(0.3, 1, 200)
    finding = paired_test(d, alternative=Alternative.GREATER, seed=1)
    path = tmp_path / "pilot.json"
    path.write_text(json.dumps(finding.to_dict()))
    return path


def test_the_number_needed(run):
    code, out, err = run(*PAIRED)
    n = sample_size("paired", 0.1, alpha=1e-6, alternative="greater").n
    assert (code, err) == (0, "")
    assert out.startswith(f"{n:,} pairs give p <= 1e-06 with probability 0.90")
    assert "assumes" in out
    assert f"{n:,}" in out.splitlines()[-2]  # the table's row for 1e-6


def test_the_power_of_a_number(run):
    code, out, _ = run("power", "choice", "--effect", "0.2", "--n", "566", "--alpha", "0.01")
    assert code == 0
    assert out.startswith("566 units give p <= 0.01 with probability 0.99")


def test_json(run):
    code, out, _ = run(
        "power", "spearman", "--effect", "0.1", "--alpha", "1e-400", "--power", "0.5", "--json"
    )
    data = json.loads(out)
    assert code == 0
    assert data["forecast"]["log10_alpha"] == -400
    assert data["forecast"]["power"] >= 0.5
    assert data["simulation"] is data["pilot"] is data["plot"] is None
    assert [row["alpha"] for row in data["table"]] == ["0.05", "0.01", "0.001", "1e-6", "1e-9"]
    assert list(data["table"][0]["n"]) == ["0.5", "0.8", "0.9", "0.99"]


def test_simulation(run):
    arguments = [*PAIRED, "--n", "30", "--alpha", "0.05", "--simulate", "20", "--seed", "3"]
    code, out, _ = run(*arguments, "--json")
    simulated = json.loads(out)["simulation"]
    assert code == 0
    assert (simulated["n_datasets"], simulated["seed"]) == (20, 3)
    assert "20 data sets, seed 3" in run(*arguments)[1]


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.PDF", b"%PDF")]
)
def test_plots(run, tmp_path, name, start):
    code, out, err = run(*PAIRED, "--plot", name)
    drawn = (tmp_path / name).read_bytes()
    assert (code, err) == (0, "")
    assert f"wrote  {name}" in out
    assert drawn.startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    run(*PAIRED, "--plot", f"again/{name}")
    assert (tmp_path / "again" / name).read_bytes() == drawn


def test_the_plot_says_what_it_shows(run, tmp_path):
    run("power", "choice", "--effect", "0.2", "--plot", "a.svg")
    root = ET.fromstring((tmp_path / "a.svg").read_text())
    text = " ".join(part.strip() for part in root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Probability of p <= 1e-06, choice test (greater), effect 0.2" in text
    assert "Number of units (logarithmic axis)" in text


def test_a_pilot(run, pilot):
    code, out, err = run("power", "paired", "--from", "pilot.json", "--json")
    data = json.loads(out)
    ends = data["pilot"]["forecast_at"]
    assert (code, err) == (0, "")
    assert ends["strong_end"]["n"] < data["forecast"]["n"] < ends["weak_end"]["n"]
    out = run("power", "paired", "--from", "pilot.json")[1]
    assert "weak end" in out
    assert "uncertain" in out


def test_a_pilot_that_may_have_found_nothing(run, tmp_path):
    x = np.arange(50.0)
    y = x + np.random.default_rng(4).normal(0, 90, 50)
    finding = spearman_test(x, y, alternative=Alternative.GREATER, seed=1)
    assert finding.effect.low < 0 < finding.effect.value
    (tmp_path / "weak.json").write_text(json.dumps(finding.to_dict()))
    code, out, _ = run("power", "spearman", "--from", "weak.json")
    assert code == 0
    assert "no effect at all: n = none" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["power", "paired"], "either --effect or --from"),
        ([*PAIRED, "--from", "pilot.json"], "either --effect or --from"),
        ([*PAIRED, "--n", "9", "--power", "0.9"], "either --n or --power"),
        ([*PAIRED, "--alpha", "0"], "--alpha: expected a number between 0 and 1, got '0'"),
        ([*PAIRED, "--alpha", "1"], "--alpha"),
        ([*PAIRED, "--alpha", "nan"], "--alpha"),
        ([*PAIRED, "--alpha", "tiny"], "--alpha"),
        ([*PAIRED, "--power", "1"], "power: expected"),
        ([*PAIRED, "--power", "0"], "power: expected"),
        ([*PAIRED, "--n", "1"], "n: expected 2 to"),
        ([*PAIRED, "--alternative", "less"], "never found"),
        ([*PAIRED, "--simulate", "-1"], "--simulate"),
        ([*PAIRED, "--n", "9", "--simulate", "2", "--seed", "-1"], "seed: expected"),
        ([*PAIRED, "--plot", "a.gif"], "a.gif: expected the ending .svg, .png or .pdf"),
        ([*PAIRED, "--plot", "taken.svg"], "taken.svg: already exists"),
        (["power", "choice", "--effect", "1", "--alternative", "two-sided"], "one direction"),
        (["power", "spearman", "--effect", "1.5", "--plot", "deep/a.svg"], "Spearman correlation in"),
        (["power", "paired", "--effect", "nan"], "effect: expected a finite"),
        (["power", "paired", "--effect", "1e-9"], "more than 1,000,000,000,000"),
        (["power", "paired", "--from", "none.json"], "none.json: cannot be read"),
        (["power", "paired", "--from", "taken.svg"], "taken.svg: cannot be read"),
        (["power", "paired", "--from", "object.json"], "object.json: not a finding"),
        (["power", "choice", "--from", "pilot.json"], "of a paired test, not of a choice test"),
    ],
)  # fmt: skip
def test_refusals(run, tmp_path, pilot, arguments, message):
    (tmp_path / "taken.svg").write_text("mine")
    (tmp_path / "object.json").write_text("{}")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("arguments", [["power"], ["power", "anova"], [*PAIRED, "--n", "many"]])
def test_usage_errors(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err or "Usage" in err
