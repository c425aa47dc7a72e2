"""bookplate.toml and the environment: what is stronger, what is refused, and that nothing is hidden."""

import json

import pytest
import typer
from bookplate.cli.configuration import Settings
from bookplate.cli.main import app

POWER = ["power", "choice", "--effect", "0.2"]
SECRET = "sk-0123456789abcdefghij"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes bookplate.toml; nothing of the user's is read."""
    monkeypatch.delenv("BOOKPLATE_CONFIG", raising=False)

    def write(text, name="bookplate.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")

    return write


def n_of(run, *arguments):
    code, out, err = run(*POWER, "--json", *arguments)
    assert code == 0, err
    return json.loads(out)["forecast"]["n"]


def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(
    run, config, monkeypatch
):
    by_default, weak, middle, strong = (
        n_of(run, *more) for more in ([], *(["--alpha", a] for a in ("1e-2", "1e-4", "1e-9")))
    )
    assert len({by_default, weak, middle, strong}) == 4
    config("[power]\nalpha = 1e-2\n")
    assert n_of(run) == weak
    monkeypatch.setenv("BOOKPLATE_POWER_ALPHA", "1e-4")
    assert n_of(run) == middle
    assert n_of(run, "--alpha", "1e-9") == strong
    assert n_of(run, "--alpha=1e-9") == strong


def test_what_comes_from_elsewhere_is_said_unless_overridden(run, config):
    config("[power]\nalpha = 1e-3\n")
    assert run(*POWER)[2] == "from bookplate.toml: --alpha 0.001\n"
    assert run(*POWER, "--alpha", "0.05")[2] == ""


def test_another_file_can_be_named(run, config, monkeypatch):
    config("[power]\nalpha = 1e-3\n")
    config("[power]\nalpha = 1e-6\n", "other.toml")
    monkeypatch.setenv("BOOKPLATE_CONFIG", "other.toml")
    assert "from other.toml: --alpha 1e-06" in run(*POWER)[2]
    monkeypatch.setenv("BOOKPLATE_CONFIG", "none.toml")
    code, _, err = run(*POWER)
    assert code == 2
    assert "BOOKPLATE_CONFIG=none.toml: no such file" in err


def test_config_shows_what_applies(run, config, monkeypatch):
    assert "Nothing is set" in run("config")[2]
    config('[watermark.detect]\ndevice = "cpu"\nreference = ["a", "b"]\n')
    monkeypatch.setenv("BOOKPLATE_WATERMARK_DETECT_DEVICE", "cuda")
    shown = json.loads(run("config", "--json")[1])
    assert shown["file"] == "bookplate.toml"
    assert {(s["option"], str(s["value"]), s["source"]) for s in shown["settings"]} == {
        ("device", "cuda", "BOOKPLATE_WATERMARK_DETECT_DEVICE"),
        ("reference", "['a', 'b']", "bookplate.toml, line 3"),
    }
    assert "a, b" in run("config")[1]


REFUSED = {
    "no option": ("[power]\n\nalfa = 1\n", "bookplate.toml, line 3: 'bookplate power' has no"),
    "underscores": ("[watermark.embed]\ntext_column = 'x'\n", "line 2.*'text-column' is one"),
    "no command": ("[pover]\nalpha = 1\n", "line 2: 'pover.alpha' is no option of a command"),
    "no table": ("alpha = 1\n", "line 1: 'alpha' is no option of a command"),
    "no TOML": ("[power\nalpha = 1\n", "cannot be read as TOML.*line 1"),
    "a list for one": ("[power]\nalpha = [1]\n", "line 2: expected one text or number"),
    "one for a list": ("[watermark.detect]\nreference = 'a'\n", "line 2.*expected a list"),
    "a text for a flag": ("[power]\njson = 'yes'\n", "line 2: expected true or false"),
    "a secret": (f"[power]\nalpha = '{SECRET}'\n", "line 2.*looks like a secret"),
    "the token itself": (
        "[watermark.detect]\ntoken-variable = 'my-token'\n",
        "line 2.*names no environment variable",
    ),
    "an argument": ("[watermark.detect]\nmanifest = 'x'\n", "has no option 'manifest'"),
    "a wrong value": ("[power]\nalpha = 3\n", "--alpha: expected a number between 0 and 1"),
    "tests of an audit": ("[audit]\nretry = true\n", "'bookplate audit' has no option 'retry'"),
    "where an audit goes": ("[audit]\nwork = 'w'\n", "'bookplate audit' has no option 'work'"),
    "whom to trust": ("[report.verify]\nkey = ['k']\n", "has no option 'key'"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_belong_in_the_file_is_refused_with_its_line(run, config, text, said):
    import re

    config(text)
    code, out, err = run(*POWER)
    assert (code, out) == (2, "")
    assert re.search(said, err.splitlines()[-1]), err
    assert SECRET not in err


def test_an_unknown_variable_is_refused_and_others_are_left_alone(run, config, monkeypatch):
    monkeypatch.setenv("BOOKPLATE_CACHE", "x")
    monkeypatch.setenv("BOOKPLATES_OF_MINE", "x")
    assert run(*POWER)[0] == 0
    monkeypatch.setenv("BOOKPLATE_POWER_ALFA", "0.1")
    code, _, err = run(*POWER)
    assert code == 2
    assert "BOOKPLATE_POWER_ALFA: names no option" in err


def test_flags_and_lists_from_the_environment(monkeypatch, tmp_path):
    environment = {
        "BOOKPLATE_POWER_JSON": "1",
        "BOOKPLATE_WATERMARK_DETECT_REFERENCE": "one 'two words'",
    }
    found = Settings.read(typer.main.get_command(app), environment, tmp_path)
    assert {setting.option: setting.value for setting in found.found} == {
        "json": True,
        "reference": ["one", "two words"],
    }


def test_help_and_version_work_beside_a_broken_file(run, config):
    config("[")
    for asked in (["--help"], ["--version"], ["power", "--help"]):
        assert run(*asked)[0] == 0
    assert run(*POWER)[0] == 2


def test_every_option_that_may_be_set_has_a_variable_of_its_own(tmp_path):
    from bookplate.cli.configuration import _commands_of, _variable_of

    names = [
        _variable_of(command, option)
        for command, options in _commands_of(typer.main.get_command(app))
        for option in options
    ]
    assert len(names) > 300
    assert len(set(names)) == len(names)
    assert "BOOKPLATE_CONFIG" not in names


def test_a_report_repeats_options_that_came_from_elsewhere(monkeypatch, tmp_path):
    from bookplate.cli import configuration
    from bookplate.cli.reporting import repeat_command

    (tmp_path / "bookplate.toml").write_text(
        '[watermark.detect]\nalpha = 0.5\nseed = 3\nreference = ["a b"]\nreport = "r"\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    words = ["watermark", "detect", "m.parquet", "--suspect", "s", "--seed", "4"]
    monkeypatch.setattr("sys.argv", ["bookplate", *words])
    monkeypatch.setattr(configuration, "_process", configuration._Process())
    configuration.defaults_of(typer.main.get_command(app), words)
    expected = (
        "bookplate watermark detect m.parquet --suspect s --seed 4 --alpha 0.5 --reference 'a b'"
    )
    assert repeat_command() == expected


def test_no_setting_changes_what_an_audit_registers(run, config, tmp_path):
    """Its tests, seeds and thresholds come from AUDIT.yaml alone."""
    example = run("audit", "--example")[1]
    (tmp_path / "AUDIT.yaml").write_text(example, encoding="utf-8")
    before = run("audit", "AUDIT.yaml", "--dry-run", "--json")
    config(
        "[watermark.detect]\nalpha = 0.5\nseed = 7\nmethod = 'completion'\n"
        "[palimpsest.query]\nalpha = 0.5\nseed = 7\nsample = 3\n[audit]\nwho = 'me'\n"
    )
    after = run("audit", "AUDIT.yaml", "--dry-run", "--json")
    assert (before[0], before[1]) == (after[0], after[1])
    assert before[0] == 0, before[2]
    assert json.loads(after[1])["tests"]
